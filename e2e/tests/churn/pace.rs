//! How steadily answers came: those of each second, the longest wait for one, and what was asked again.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Counts answers by when they came.
#[derive(Debug)]
pub(crate) struct Pace {
    began: Instant,
    /// Answers in each second.
    seconds: Mutex<Vec<u64>>,
    longest_us: AtomicU64,
    again: AtomicU64,
}

/// What it came to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Steadiness {
    /// Answers a second, over the whole time.
    pub(crate) rate: f64,
    /// The fewest in one second that was over.
    worst: u64,
    /// The longest from when a request was due to when its answer was there.
    pub(crate) longest: Duration,
    /// Requests that were sent again, since the other side had done nothing about them.
    again: u64,
}

impl Pace {
    pub(crate) fn new() -> Self {
        Pace {
            began: Instant::now(),
            seconds: Mutex::default(),
            longest_us: AtomicU64::new(0),
            again: AtomicU64::new(0),
        }
    }

    /// An answer is there to a request that was due at `due`.
    pub(crate) fn answered(&self, due: Instant) {
        let now = Instant::now();
        let took = now.saturating_duration_since(due).as_micros();
        self.longest_us.fetch_max(u64::try_from(took).unwrap_or(u64::MAX), Ordering::Relaxed);
        let second = now.saturating_duration_since(self.began).as_secs() as usize;
        let mut seconds = self.seconds.lock().unwrap_or_else(PoisonError::into_inner);
        if seconds.len() <= second {
            seconds.resize(second + 1, 0);
        }
        seconds[second] += 1;
    }

    /// A request has to be sent again.
    pub(crate) fn again(&self) {
        self.again.fetch_add(1, Ordering::Relaxed);
    }

    /// What it has come to.
    pub(crate) fn so_far(&self) -> Steadiness {
        let elapsed = self.began.elapsed();
        let mut seconds = self.seconds.lock().unwrap_or_else(PoisonError::into_inner).clone();
        seconds.resize(elapsed.as_secs() as usize + 1, 0);
        // The last one is not over.
        let over = &seconds[..seconds.len() - 1];
        Steadiness {
            rate: seconds.iter().sum::<u64>() as f64 / elapsed.as_secs_f64(),
            worst: over.iter().copied().min().unwrap_or_default(),
            longest: Duration::from_micros(self.longest_us.load(Ordering::Relaxed)),
            again: self.again.load(Ordering::Relaxed),
        }
    }
}

impl fmt::Display for Steadiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Steadiness { rate, worst, longest, again } = self;
        write!(
            f,
            "{rate:.0}/s, {worst} in the worst second, longest answer {longest:.0?}, {again} sent again"
        )
    }
}

#[test]
fn a_stall_is_seen() {
    let pace = Pace { began: Instant::now() - Duration::from_secs(4), ..Pace::new() };
    pace.answered(Instant::now());
    pace.answered(Instant::now() - Duration::from_secs(3));
    let Steadiness { rate, worst, longest, again } = pace.so_far();
    assert!(rate <= 0.5 && longest >= Duration::from_secs(3), "{rate} {longest:?}");
    assert_eq!((worst, again), (0, 0));
}
