//! How much of a long check is run: all of it by `cargo xtask soak`, a little in CI; and what it leaves to
//! chance.

use bytes::Bytes;

/// How many rounds, requests or seconds: `HEDDLE_SOAK_COUNT`, or the `default` of CI.
///
/// # Panics
/// Where it is set and no number.
pub fn count(default: u64) -> u64 {
    setting("HEDDLE_SOAK_COUNT", default)
}

/// How many a second: `HEDDLE_SOAK_RATE`, or `full` where a count is given, and in CI, whose programs are not
/// optimised and whose machine may be a slow one, `small`.
///
/// # Panics
/// Where it is set and no number.
pub fn rate(small: u32, full: u32) -> u32 {
    let default = if is_full() { full } else { small };
    setting("HEDDLE_SOAK_RATE", default.into()).try_into().unwrap_or(u32::MAX)
}

/// Whether a count is given.
pub fn is_full() -> bool {
    std::env::var_os("HEDDLE_SOAK_COUNT").is_some()
}

/// The seed of what is left to chance: `HEDDLE_SOAK_SEED`, or 1.
///
/// # Panics
/// Where it is set and no number.
pub fn seed() -> u64 {
    setting("HEDDLE_SOAK_SEED", 1)
}

/// Where it is set and no number it panics: a soak that is asked for shall not be a small one unnoticed.
fn setting(name: &str, default: u64) -> u64 {
    let Some(value) = std::env::var_os(name) else { return default };
    let number = value.to_str().and_then(|text| text.parse().ok());
    number.unwrap_or_else(|| panic!("{name} is to be a whole number, and is {value:?}"))
}

/// A number as good as random (the finaliser of SplitMix64).
pub fn mix(seed: u64) -> u64 {
    let mut word = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// How often [`bytes`] begin again. A prime, so that they differ from themselves moved on by any buffer.
const PERIOD: usize = 1021;

/// Bytes by which it shows if one is missing, another's or elsewhere.
pub fn bytes(seed: u64, length: usize) -> Bytes {
    let words = (0..PERIOD.div_ceil(8) as u64).map(|at| mix(seed ^ mix(at)).to_le_bytes());
    let mut period: Vec<u8> = words.flatten().collect();
    period.truncate(PERIOD);
    let mut all = period.repeat(length.div_ceil(PERIOD));
    all.truncate(length);
    all.into()
}

/// Parts `body` into one byte, three, nine and so on, and at last into pieces of some 20 KB.
pub fn pieces(mut body: Bytes) -> impl Iterator<Item = Bytes> {
    let mut next = 1;
    std::iter::from_fn(move || {
        let size = next.min(body.len());
        next = (3 * next).min(20_000);
        (size > 0).then(|| body.split_to(size))
    })
}
