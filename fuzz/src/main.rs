//! libFuzzer around one target, which `HEDDLE_FUZZ` names; `cargo xtask soak fuzz` builds and runs it.

#![no_main]
#![forbid(unsafe_code)]

use std::sync::LazyLock;

use fuzz::Target;

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("HEDDLE_FUZZ").unwrap_or_default();
    fuzz::target(&name).expect("HEDDLE_FUZZ names one of the targets")
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| (TARGET.run)(data));
