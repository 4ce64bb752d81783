//! `cargo xtask tidy` over a real, tiny workspace: a forbidden import makes it fail.

#![allow(clippy::unwrap_used, reason = "a test's own helpers may fail by panicking")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

#[test]
fn a_tidy_workspace_passes() {
    let clone = Clone::new("passes");
    let out = clone.tidy();
    assert!(out.status.success(), "{}", shown(&out));
    assert!(shown(&out).contains("rules hold"));
}

#[test]
fn a_library_that_a_proxy_may_never_link_fails_with_the_way_to_it() {
    let clone = Clone::new("links");
    clone.append("vendor/tonic/Cargo.toml", "axum = { path = \"../axum\" }\n");
    let out = clone.tidy();
    assert_eq!(out.status.code(), Some(1), "{}", shown(&out));
    assert!(shown(&out).contains("proxy: links proxy -> tonic -> axum: "), "{}", shown(&out));
}

#[test]
fn an_import_against_the_layers_fails_even_for_tests_alone() {
    let clone = Clone::new("imports");
    clone.append("model/Cargo.toml", "[dev-dependencies]\nproxy = { workspace = true }\n");
    let out = clone.tidy();
    assert_eq!(out.status.code(), Some(1), "{}", shown(&out));
    let wanted = "model: imports proxy: of our crates it may import none";
    assert!(shown(&out).contains(wanted), "{}", shown(&out));
}

#[test]
fn a_new_file_is_checked_before_it_is_committed() {
    let clone = Clone::new("new-file");
    clone.write("model/src/clock.rs", "//! Time.\nuse std::time::SystemTime::now;\n");
    let out = clone.tidy();
    assert_eq!(out.status.code(), Some(1), "{}", shown(&out));
    assert!(shown(&out).contains("model/src/clock.rs:2: says `SystemTime::now`"));
}

/// A workspace of two crates and two libraries that stand for foreign ones.
struct Clone(PathBuf);

impl Clone {
    fn new(name: &str) -> Self {
        let clone = Self(Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("tidy-{name}")));
        // What an earlier run left.
        if clone.0.exists() {
            std::fs::remove_dir_all(&clone.0).unwrap();
        }
        clone.write(
            "Cargo.toml",
            "[workspace]\nresolver = \"3\"\nmembers = [\"model\", \"proxy\"]\n\
             exclude = [\"vendor\"]\n[workspace.dependencies]\nmodel = { path = \"model\" }\n\
             proxy = { path = \"proxy\" }\ntonic = { path = \"vendor/tonic\" }\n",
        );
        let ours = "[lints]\nworkspace = true\n[dependencies]\n";
        let proxy = format!("{ours}model.workspace = true\ntonic.workspace = true\n");
        clone.package("model", "model", ours);
        clone.package("proxy", "proxy", &proxy);
        clone.package("vendor/tonic", "tonic", "[dependencies]\n");
        clone.package("vendor/axum", "axum", "[dependencies]\n");
        clone.append("Cargo.toml", "[workspace.lints.rust]\nunsafe_code = \"deny\"\n");
        clone.write("docs/ARCHITECTURE.md", "# Map\n`model/`\n`proxy/`\n");
        let git = Command::new("git").args(["init", "--quiet"]).arg(&clone.0).status().unwrap();
        assert!(git.success());
        clone
    }

    fn package(&self, folder: &str, name: &str, rest: &str) {
        let head = format!("[package]\nname = \"{name}\"\nedition = \"2024\"\n");
        self.write(&format!("{folder}/Cargo.toml"), &format!("{head}{rest}"));
        let root = "//! What it is for.\n#![forbid(unsafe_code)]\n";
        self.write(&format!("{folder}/src/lib.rs"), root);
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn append(&self, path: &str, text: &str) {
        let before = std::fs::read_to_string(self.0.join(path)).unwrap();
        self.write(path, &format!("{before}{text}"));
    }

    fn tidy(&self) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.args(["tidy", "--root"]).arg(&self.0).output().unwrap()
    }
}

fn shown(out: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr))
}
