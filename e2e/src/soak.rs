//! How much of a long check is run: all of it by `cargo xtask soak`, a little in CI.

/// How many rounds, requests or seconds: `HEDDLE_SOAK_COUNT`, or the `default` of CI.
pub fn count(default: u64) -> u64 {
    setting("HEDDLE_SOAK_COUNT", default)
}

/// How many a second: `full` where a count is given, and in CI, whose programs are not optimised and
/// whose machine may be a slow one, `small`.
pub fn rate(small: u32, full: u32) -> u32 {
    if std::env::var_os("HEDDLE_SOAK_COUNT").is_some() { full } else { small }
}

/// The seed of what is left to chance: `HEDDLE_SOAK_SEED`, or 1.
pub fn seed() -> u64 {
    setting("HEDDLE_SOAK_SEED", 1)
}

fn setting(name: &str, default: u64) -> u64 {
    let text = std::env::var(name).ok();
    text.and_then(|text| text.parse().ok()).unwrap_or(default)
}
