//! Times as people say them: `3m ago`, `in 2d`.

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

const SECOND: i64 = 1;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const YEAR: i64 = 365 * DAY;

/// The time at `pointer` in `value`, beside now; as it is written where it is none.
pub(crate) fn when(value: &Value, pointer: &str) -> String {
    let word = super::word(value, pointer);
    match OffsetDateTime::parse(&word, &Rfc3339) {
        Ok(time) => beside(time, OffsetDateTime::now_utc()),
        Err(_) => word,
    }
}

/// Whether the time at `pointer` in `value` comes more than a minute before `span` from now is over.
pub(crate) fn is_sooner(value: &Value, pointer: &str, span: std::time::Duration) -> bool {
    let time = OffsetDateTime::parse(&super::word(value, pointer), &Rfc3339);
    let wanted = OffsetDateTime::now_utc().checked_add(span.try_into().unwrap_or_default());
    let slack = time::Duration::seconds(MINUTE);
    time.ok().zip(wanted).is_some_and(|(time, wanted)| wanted - time > slack)
}

/// `time` as said at `now`.
fn beside(time: OffsetDateTime, now: OffsetDateTime) -> String {
    let seconds = (now - time).whole_seconds();
    let span = span(seconds.abs());
    match seconds {
        0 => "now".to_owned(),
        1.. => format!("{span} ago"),
        _ => format!("in {span}"),
    }
}

/// The largest unit of which there are two, or seconds.
fn span(seconds: i64) -> String {
    for (unit, letter) in [(YEAR, 'y'), (DAY, 'd'), (HOUR, 'h'), (MINUTE, 'm')] {
        if seconds >= 2 * unit {
            return format!("{}{letter}", seconds / unit);
        }
    }
    format!("{seconds}s")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn times_are_said_in_the_unit_that_fits() {
        let now = OffsetDateTime::UNIX_EPOCH + time::Duration::days(10_000);
        for (seconds, wanted) in [
            (0, "now"),
            (1, "1s ago"),
            (119, "119s ago"),
            (120, "2m ago"),
            (2 * HOUR - 1, "119m ago"),
            (47 * HOUR, "47h ago"),
            (3 * DAY, "3d ago"),
            (800 * DAY, "2y ago"),
            (-90, "in 90s"),
            (-30 * DAY, "in 30d"),
        ] {
            assert_eq!(beside(now - time::Duration::seconds(seconds), now), wanted);
        }
    }

    #[test]
    fn what_is_no_time_is_shown_as_it_is() {
        assert_eq!(when(&json!({"at": "soon"}), "/at"), "soon");
        assert_eq!(when(&json!({}), "/at"), "-");
        assert_eq!(
            when(&json!({"at": "2000-01-01T00:00:00.000000Z"}), "/at").find(" ago"),
            Some(3)
        );
    }
}
