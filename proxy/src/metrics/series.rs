//! The counts of one route: a shard for each worker, made when that worker first needs it.

use std::array::from_fn;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use policy::Reason;

use super::Sample;
use crate::grpc::{CODES, Code};

/// Upper bounds of the buckets, in microseconds; a last one takes the rest.
pub(super) const BOUNDS: [u64; 14] = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000, 10_000_000,
];
/// The label `code_class`; the first stands for "no answer was given".
pub(super) const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];
const REASONS: usize = Reason::ALL.len();

/// A route's counts.
#[derive(Debug)]
pub(super) struct Series {
    shards: Box<[OnceLock<Box<Shard>>]>,
}

/// One worker's part, on cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard {
    /// By status class, for [`Reason::Ok`]: nearly every request.
    routed: [AtomicU64; CLASSES.len()],
    /// By status class and reason, for the rest; made when first needed.
    others: OnceLock<Box<[[AtomicU64; REASONS]; CLASSES.len()]>>,
    /// gRPC calls by status, the last without any; made when first needed.
    calls: OnceLock<Box<[AtomicU64; CODES + 1]>>,
    duration: Histogram,
    backend: Histogram,
}

#[derive(Debug, Default)]
struct Histogram {
    buckets: [AtomicU64; BOUNDS.len() + 1],
    micros: AtomicU64,
}

/// A route's counts, summed over the workers.
#[derive(Debug, Default)]
pub(super) struct Sum {
    /// Class, reason and count; only what was counted.
    pub(super) requests: Vec<(&'static str, Reason, u64)>,
    /// gRPC status and count; only what was counted.
    pub(super) calls: Vec<(&'static str, u64)>,
    pub(super) duration: HistogramSum,
    pub(super) backend: HistogramSum,
}

#[derive(Debug, Default)]
pub(super) struct HistogramSum {
    /// Not cumulative.
    pub(super) buckets: [u64; BOUNDS.len() + 1],
    pub(super) micros: u64,
}

impl Series {
    pub(super) fn new(workers: usize) -> Self {
        Series { shards: (0..workers.max(1)).map(|_| OnceLock::new()).collect() }
    }

    pub(super) fn count(&self, worker: usize, sample: Sample) {
        let shard = self.shards[worker % self.shards.len()].get_or_init(Box::default);
        shard.requests(sample).fetch_add(1, Relaxed);
        if let Some(call) = sample.call {
            let place = call.code.map_or(CODES, |code| usize::from(code.number()));
            shard.calls.get_or_init(Box::default)[place].fetch_add(1, Relaxed);
        }
        shard.duration.observe(sample.took);
        if let Some(took) = sample.backend {
            shard.backend.observe(took);
        }
    }

    pub(super) fn sum(&self) -> Sum {
        let mut sum = Sum::default();
        let shards = || self.shards.iter().filter_map(OnceLock::get);
        for (class, word) in CLASSES.into_iter().enumerate() {
            for &reason in Reason::ALL {
                let count = shards().map(|shard| shard.counted(class, reason)).sum();
                if count > 0 {
                    sum.requests.push((word, reason, count));
                }
            }
        }
        let words = Code::all().map(Code::as_str).chain(["none"]);
        for (place, word) in words.enumerate() {
            let calls = shards().filter_map(|shard| shard.calls.get());
            let count = calls.map(|calls| calls[place].load(Relaxed)).sum();
            if count > 0 {
                sum.calls.push((word, count));
            }
        }
        for shard in shards() {
            shard.duration.add_to(&mut sum.duration);
            shard.backend.add_to(&mut sum.backend);
        }
        sum
    }
}

impl Shard {
    fn requests(&self, sample: Sample) -> &AtomicU64 {
        let class = class(sample.status);
        match sample.reason {
            Reason::Ok => &self.routed[class],
            other => &self.others.get_or_init(nothing_yet)[class][other as usize],
        }
    }

    fn counted(&self, class: usize, reason: Reason) -> u64 {
        match reason {
            Reason::Ok => self.routed[class].load(Relaxed),
            other => {
                self.others.get().map_or(0, |others| others[class][other as usize].load(Relaxed))
            }
        }
    }
}

/// Arrays of this length have no default of their own.
fn nothing_yet() -> Box<[[AtomicU64; REASONS]; CLASSES.len()]> {
    Box::new(from_fn(|_| from_fn(|_| AtomicU64::new(0))))
}

fn class(status: Option<u16>) -> usize {
    let class = status.map_or(0, |status| usize::from(status / 100));
    if class < CLASSES.len() { class } else { 0 }
}

impl Histogram {
    fn observe(&self, took: Duration) {
        let micros = took.as_micros() as u64;
        let bucket = BOUNDS.partition_point(|bound| *bound < micros);
        self.buckets[bucket].fetch_add(1, Relaxed);
        self.micros.fetch_add(micros, Relaxed);
    }

    fn add_to(&self, sum: &mut HistogramSum) {
        for (total, bucket) in sum.buckets.iter_mut().zip(&self.buckets) {
            *total += bucket.load(Relaxed);
        }
        sum.micros += self.micros.load(Relaxed);
    }
}

impl HistogramSum {
    pub(super) fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    pub(super) fn seconds(&self) -> f64 {
        self.micros as f64 / 1e6
    }

    /// Upper bound in seconds and count, for each bucket; the last has no bound.
    pub(super) fn by_seconds(&self) -> Vec<(f64, u64)> {
        let bounds = BOUNDS.iter().map(|micros| *micros as f64 / 1e6).chain([f64::INFINITY]);
        bounds.zip(self.buckets).collect()
    }
}
