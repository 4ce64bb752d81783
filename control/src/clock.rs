//! What time it is: an argument, so that a test can say another one.

use std::fmt;
use std::sync::Arc;

use time::OffsetDateTime;

/// Tells the time.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> OffsetDateTime + Send + Sync>);

impl Clock {
    /// The system's.
    pub fn system() -> Self {
        Clock::of(OffsetDateTime::now_utc)
    }

    /// One that says what `now` says.
    pub fn of(now: impl Fn() -> OffsetDateTime + Send + Sync + 'static) -> Self {
        Clock(Arc::new(now))
    }

    /// What time it is.
    pub fn now(&self) -> OffsetDateTime {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}
