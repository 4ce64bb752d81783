//! Lengths of time as they are typed: `500ms`, `90s`, `5m`, `24h`, `30d`, or whole seconds.

use std::time::Duration;

/// None is longer: ten years.
const LONGEST: u64 = 3_650 * 86_400_000;
/// Each unit in milliseconds; `ms` before `m` and `s`, which end it.
const UNITS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// Reads a length of time that is more than none.
///
/// # Errors
/// Says how it is written.
pub(crate) fn span(text: &str) -> Result<Duration, String> {
    let unit = UNITS.iter().find_map(|(unit, size)| Some((text.strip_suffix(unit)?, *size)));
    let (digits, size) = unit.unwrap_or((text, 1_000));
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.parse::<u64>().ok().filter(|_| is_number);
    number
        .and_then(|number| number.checked_mul(size))
        .filter(|milliseconds| (1..=LONGEST).contains(milliseconds))
        .map(Duration::from_millis)
        .ok_or_else(|| "a time such as 30s, 5m, 24h or 30d".to_owned())
}

/// As the server reads it (GEP-2257): `2160h`, `1h30m`. It takes five digits of each unit.
pub(crate) fn told(span: Duration) -> String {
    const PARTS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
    let mut rest = u64::try_from(span.as_millis()).unwrap_or(LONGEST);
    let mut told = String::new();
    for (unit, size) in PARTS {
        if rest >= size {
            told.push_str(&format!("{}{unit}", rest / size));
            rest %= size;
        }
    }
    if told.is_empty() { "0s".to_owned() } else { told }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_have_units() {
        for (text, milliseconds) in
            [("500ms", 500), ("7", 7_000), ("90s", 90_000), ("5m", 300_000), ("30d", 2_592_000_000)]
        {
            assert_eq!(span(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for wrong in ["", "s", "0", "0s", "-1s", "+1s", "1.5s", "1w", "99999999999d", "4000d"] {
            assert!(span(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn lengths_of_time_are_told_in_the_form_of_the_server() {
        for (text, wanted) in
            [("90s", "1m30s"), ("1500ms", "1s500ms"), ("90d", "2160h"), ("3650d", "87600h")]
        {
            assert_eq!(told(span(text).unwrap()), wanted);
        }
        assert_eq!(told(Duration::ZERO), "0s");
    }
}
