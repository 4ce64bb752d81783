//! Times as the store keeps them: microseconds since 1970.

use time::OffsetDateTime;

/// A time in microseconds since 1970.
pub(crate) fn micros(at: OffsetDateTime) -> i64 {
    i64::try_from(at.unix_timestamp_nanos() / 1000).unwrap_or(i64::MAX)
}

/// The time so many microseconds after 1970; 1970 itself for one that no calendar has.
pub(crate) fn time(micros: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1000)
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// RFC 3339 in UTC, with six digits of the second.
pub(crate) fn rfc3339(micros: i64) -> String {
    let at = time(micros);
    let (year, month, day) = at.to_calendar_date();
    let (hour, minute, second, micro) = at.to_hms_micro();
    let month = u8::from(month);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micro:06}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_goes_out_and_comes_back() {
        let at = 1_700_000_000_000_007;
        assert_eq!(micros(time(at)), at);
        assert_eq!(rfc3339(at), "2023-11-14T22:13:20.000007Z");
    }
}
