//! How steadily answers came: the fewest in any second, the longest wait for one, and what was asked again.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Answers are counted by tenths of a second, so that a second may begin at any of them.
const SLOT: Duration = Duration::from_millis(100);
const SLOTS: usize = 10;

/// Counts answers by when they came.
#[derive(Debug)]
pub(crate) struct Pace {
    began: Instant,
    /// Answers in each tenth of a second.
    slots: Mutex<Vec<u64>>,
    longest_us: AtomicU64,
    again: AtomicU64,
    parted: AtomicU64,
}

/// What it came to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Steadiness {
    /// Answers a second, over the whole time.
    pub(crate) rate: f64,
    /// The fewest in any second that was over.
    pub(crate) worst: u64,
    /// The longest from when a request was due to when its answer was there.
    pub(crate) longest: Duration,
    /// Requests that were sent again, since the other side had done nothing about them.
    pub(crate) again: u64,
    /// Connections of HTTP/1.1 that were closed while nothing was on them, and no answer had said so.
    pub(crate) parted: u64,
}

/// How steadily answers are to come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// The least share of the rate over the whole time.
    rate: f64,
    /// The least share of it in any second.
    second: f64,
    /// How long an answer or a message may take, from when it was due.
    longest: Duration,
    /// How many connections of HTTP/1.1 may be closed as idle: who calls all the time has none that is, unless
    /// the machine stops them.
    parted: u64,
}

impl Bounds {
    /// In CI, whose programs are not optimised and whose machines have other things to do: how many answers
    /// come is up to these then, and that none waits for long is not.
    pub(crate) const SMALL: Bounds =
        Bounds { rate: 0.3, second: 0.02, longest: Duration::from_secs(5), parted: 9 };
    /// Where a count is given.
    pub(crate) const FULL: Bounds =
        Bounds { rate: 0.9, second: 0.5, longest: Duration::from_secs(1), parted: 0 };
}

impl Pace {
    pub(crate) fn new() -> Self {
        Pace {
            began: Instant::now(),
            slots: Mutex::default(),
            longest_us: AtomicU64::new(0),
            again: AtomicU64::new(0),
            parted: AtomicU64::new(0),
        }
    }

    /// An answer is there to a request that was due at `due`.
    pub(crate) fn answered(&self, due: Instant) {
        self.waited(due);
        let slot = self.slot();
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() <= slot {
            slots.resize(slot + 1, 0);
        }
        slots[slot] += 1;
    }

    /// What was due at `due` is there.
    pub(crate) fn waited(&self, due: Instant) {
        let took = u64::try_from(due.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.longest_us.fetch_max(took, Ordering::Relaxed);
    }

    fn slot(&self) -> usize {
        (self.began.elapsed().as_millis() / SLOT.as_millis()) as usize
    }

    /// A request has to be sent again.
    pub(crate) fn again(&self) {
        self.again.fetch_add(1, Ordering::Relaxed);
    }

    /// A connection of HTTP/1.1 was closed while nothing was on it, and no answer had said so.
    pub(crate) fn parted(&self) {
        self.parted.fetch_add(1, Ordering::Relaxed);
    }

    /// What it has come to.
    pub(crate) fn so_far(&self) -> Steadiness {
        let elapsed = self.began.elapsed();
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let answers: u64 = slots.iter().sum();
        // The one that is not over is left out.
        slots.resize(self.slot(), 0);
        let seconds = slots.windows(SLOTS).map(|second| second.iter().sum());
        Steadiness {
            rate: answers as f64 / elapsed.as_secs_f64(),
            worst: seconds.min().unwrap_or_default(),
            longest: Duration::from_micros(self.longest_us.load(Ordering::Relaxed)),
            again: self.again.load(Ordering::Relaxed),
            parted: self.parted.load(Ordering::Relaxed),
        }
    }
}

impl Steadiness {
    /// Whether it is within `bounds`, where `rate` requests a second were due.
    pub(crate) fn is_within(&self, bounds: Bounds, rate: f64) -> bool {
        let second = self.worst as f64;
        self.rate >= bounds.rate * rate
            && second >= bounds.second * rate
            && self.longest <= bounds.longest
            && self.parted <= bounds.parted
    }
}

impl fmt::Display for Steadiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Steadiness { rate, worst, longest, again, parted } = self;
        write!(
            f,
            "{rate:.0}/s, {worst} in the worst second, longest answer {longest:.0?}, \
             {again} sent again, {parted} idle ones closed"
        )
    }
}

#[test]
fn a_stall_is_seen() {
    let pace = Pace { began: Instant::now() - Duration::from_secs(4), ..Pace::new() };
    pace.answered(Instant::now());
    pace.answered(Instant::now() - Duration::from_secs(3));
    let Steadiness { rate, worst, longest, again, parted } = pace.so_far();
    assert!(rate <= 0.5 && longest >= Duration::from_secs(3), "{rate} {longest:?}");
    assert_eq!((worst, again, parted), (0, 0, 0));
}

#[test]
fn a_stall_of_a_second_is_seen_wherever_it_begins() {
    let pace = Pace { began: Instant::now() - Duration::from_secs(4), ..Pace::new() };
    // From 1.5 s on, which is in the middle of a second.
    *pace.slots.lock().unwrap() = [vec![9; 15], vec![0; 10], vec![9; 15]].concat();
    assert_eq!(pace.so_far().worst, 0);
    *pace.slots.lock().unwrap() = [vec![9; 15], vec![0; 5], vec![9; 20]].concat();
    assert_eq!(pace.so_far().worst, 45);
}

#[test]
fn each_bound_holds() {
    let longest = Duration::from_millis(900);
    let well = Steadiness { rate: 950.0, worst: 600, longest, again: 9, parted: 0 };
    assert!(well.is_within(Bounds::FULL, 1000.0));
    for ill in [
        Steadiness { rate: 890.0, ..well },
        Steadiness { worst: 490, ..well },
        Steadiness { longest: Duration::from_millis(1100), ..well },
        Steadiness { parted: 1, ..well },
    ] {
        assert!(!ill.is_within(Bounds::FULL, 1000.0), "{ill}");
        assert!(ill.is_within(Bounds::SMALL, 1000.0), "{ill}");
    }
    let stalled = Steadiness { worst: 0, ..well };
    assert!(!stalled.is_within(Bounds::SMALL, 1000.0));
}
