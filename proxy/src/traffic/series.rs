//! The counts of one kind of requests: a shard for each worker, made when that worker first needs it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use wire::{OUTCOMES, Outcome, Sketch};

/// Buckets that are made together.
const ROW: usize = 16;

#[derive(Debug)]
pub(super) struct Series {
    shards: Box<[OnceLock<Box<Shard>>]>,
}

/// One worker's part, on cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard {
    outcomes: [AtomicU64; OUTCOMES],
    /// The buckets of a [`Sketch`]; times that never come take no room.
    rows: [OnceLock<Box<[AtomicU32; ROW]>>; Sketch::BUCKETS / ROW],
}

impl Series {
    pub(super) fn new(workers: usize) -> Self {
        Series { shards: (0..workers.max(1)).map(|_| OnceLock::new()).collect() }
    }

    /// Counts a request; `took` where it was sent to a backend.
    pub(super) fn count(&self, worker: usize, outcome: Outcome, took: Option<Duration>) {
        let shard = self.shards[worker % self.shards.len()].get_or_init(Box::default);
        shard.outcomes[outcome as usize].fetch_add(1, Relaxed);
        let Some(took) = took else { return };
        let place = Sketch::place(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        let row = shard.rows[place / ROW].get_or_init(Box::default);
        row[place % ROW].fetch_add(1, Relaxed);
    }

    /// What was counted since it was last taken; none if nothing was.
    pub(super) fn take(&self) -> Option<([u64; OUTCOMES], Sketch)> {
        let (mut outcomes, mut latency) = ([0; OUTCOMES], Sketch::default());
        for shard in self.shards.iter().filter_map(OnceLock::get) {
            for (sum, count) in outcomes.iter_mut().zip(&shard.outcomes) {
                *sum += taken(count);
            }
            let rows = shard.rows.iter().enumerate();
            for (at, row) in rows.filter_map(|(at, row)| Some((at, row.get()?))) {
                for (cut, count) in row.iter().enumerate().filter(|(_, one)| one.load(Relaxed) > 0)
                {
                    latency.add(at * ROW + cut, count.swap(0, Relaxed));
                }
            }
        }
        (outcomes.iter().any(|count| *count > 0)).then_some((outcomes, latency))
    }
}

/// What a count came to, which begins anew.
fn taken(count: &AtomicU64) -> u64 {
    if count.load(Relaxed) == 0 { 0 } else { count.swap(0, Relaxed) }
}
