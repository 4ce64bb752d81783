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

/// As the server reads it.
pub(crate) fn told(span: Duration) -> String {
    match span.subsec_millis() {
        0 => format!("{}s", span.as_secs()),
        _ => format!("{}ms", span.as_millis()),
    }
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
        assert_eq!(told(Duration::from_secs(90)), "90s");
        assert_eq!(told(Duration::from_millis(1500)), "1500ms");
    }
}
