//! When each request is meant to leave.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::Plan;

/// A fixed rate, from a common start, shared by all connections.
#[derive(Debug)]
pub struct Schedule {
    start: Instant,
    rate: f64,
    warm: u64,
    end: u64,
    next: AtomicU64,
}

/// The right and the duty to send one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// When the request is meant to leave.
    pub due: Instant,
    /// Whether its answer is counted (it is not while warming up).
    pub counted: bool,
}

impl Schedule {
    /// The schedule of `plan`, from `start` on.
    pub fn new(plan: &Plan, start: Instant) -> Self {
        let warm = (plan.rate * plan.warmup.as_secs_f64()) as u64;
        let end = warm + ((plan.rate * plan.duration.as_secs_f64()) as u64).max(1);
        Self { start, rate: plan.rate, warm, end, next: AtomicU64::new(0) }
    }

    /// The next request that no connection has taken yet; `None` when the run is over.
    pub fn take(&self) -> Option<Ticket> {
        self.ticket(self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// The request of that number, counted from 0; `None` past the run's end.
    pub fn ticket(&self, number: u64) -> Option<Ticket> {
        (number < self.end).then(|| Ticket {
            due: self.start + Duration::from_secs_f64(number as f64 / self.rate),
            counted: number >= self.warm,
        })
    }
}

impl Ticket {
    /// Sleeps until the request is due; returns at once if it is late.
    pub fn wait(&self) {
        let left = self.due.saturating_duration_since(Instant::now());
        if !left.is_zero() {
            std::thread::sleep(left);
        }
    }
}

/// Asks the kernel for wake-ups as close to the moment as it can. Threads started later inherit
/// it; where it cannot be had, sleeps are 50 us longer and nothing else changes.
pub(super) fn sharpen_sleep() {
    let _refused = std::fs::write("/proc/self/timerslack_ns", "1");
}
