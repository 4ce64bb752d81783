//! Moments by the calendar, in whole seconds since 1970.

use std::time::SystemTime;

/// Of a moment; none are before 1970.
pub(crate) fn seconds(at: SystemTime) -> u64 {
    at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// The same with a sign, as `policy` counts.
pub(crate) fn signed(at: SystemTime) -> i64 {
    i64::try_from(seconds(at)).unwrap_or(i64::MAX)
}
