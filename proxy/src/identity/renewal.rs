//! When a certificate is renewed: at two thirds of its life, and again until it ends.

use std::time::{Duration, SystemTime};

/// The first wait after a renewal that failed; it doubles.
const FIRST: Duration = Duration::from_secs(1);
/// No wait is longer.
const LONGEST: Duration = Duration::from_secs(300);

/// A certificate is dated so far back, to bear with clocks; it is no part of its life.
const BACK: Duration = Duration::from_secs(60);

/// When a certificate that holds from `begins` to `ends` is due; `dice` is from 0 to 1, so that
/// nodes that joined together do not come together.
pub(crate) fn due(begins: SystemTime, ends: SystemTime, dice: f64) -> SystemTime {
    let begins = (begins + BACK).min(ends);
    let life = ends.duration_since(begins).unwrap_or_default();
    let share = 2.0 / 3.0 * (0.9 + 0.2 * dice.clamp(0.0, 1.0));
    begins + life.mul_f64(share)
}

/// How long to wait after so many failures in a row, the certificate having `left` to live: never
/// past a tenth of what is left, so that a short life gets its tries too.
pub(crate) fn again(failures: u32, left: Duration, dice: f64) -> Duration {
    let doubled = FIRST.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(LONGEST);
    let wait = doubled.mul_f64(0.5 + 0.5 * dice.clamp(0.0, 1.0));
    wait.min((left / 10).max(Duration::from_millis(100)))
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn it_is_due_about_two_thirds_into_its_life() {
        let hour = |hours: u64| UNIX_EPOCH + Duration::from_secs(hours * 3600);
        let due = |dice| due(hour(0), hour(24), dice).duration_since(UNIX_EPOCH).unwrap();
        assert!(due(0.0) >= Duration::from_secs(14 * 3600));
        assert!(due(1.0) <= Duration::from_secs(18 * 3600));
        assert!(due(0.0) < due(0.5) && due(0.5) < due(1.0));
    }

    #[test]
    fn failures_wait_longer_and_leave_time_for_more() {
        let day = Duration::from_secs(24 * 3600);
        assert!(again(1, day, 0.0) < again(3, day, 0.0));
        assert!(again(40, day, 1.0) <= LONGEST);
        assert!(again(40, Duration::from_secs(10), 1.0) <= FIRST);
        assert!(again(1, Duration::ZERO, 0.0) >= Duration::from_millis(100));
    }
}
