//! Latencies in buckets that are narrow where values are small: any quantile within 1 %.

use std::time::Duration;

/// Buckets in each power of two.
const STEPS: u64 = 128;
/// Values below this have a bucket of their own.
const EXACT: u64 = 2 * STEPS;

/// Counts of durations, in nanoseconds, by bucket.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max: u64,
}

impl Histogram {
    /// Counts one duration.
    pub fn record(&mut self, value: Duration) {
        let nanos = u64::try_from(value.as_nanos()).unwrap_or(u64::MAX);
        let index = bucket(nanos);
        if self.counts.len() <= index {
            self.counts.resize(index + 1, 0);
        }
        self.counts[index] += 1;
        self.total += 1;
        self.max = self.max.max(nanos);
    }

    /// Adds what another histogram counted.
    pub fn merge(&mut self, other: &Self) {
        if self.counts.len() < other.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.total += other.total;
        self.max = self.max.max(other.max);
    }

    /// How many durations were counted.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The longest duration counted, exactly.
    pub fn max(&self) -> Duration {
        Duration::from_nanos(self.max)
    }

    /// The duration that the share `q` (0 to 1) of all counted ones does not exceed; zero if
    /// nothing was counted.
    pub fn quantile(&self, q: f64) -> Duration {
        let wanted = ((q * self.total as f64).ceil() as u64).max(1);
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return Duration::from_nanos(upper(index).min(self.max));
            }
        }
        self.max()
    }
}

fn bucket(nanos: u64) -> usize {
    if nanos < EXACT {
        return nanos as usize;
    }
    let shift = u64::from(nanos.ilog2() - EXACT.ilog2() + 1);
    (EXACT + (shift - 1) * STEPS + (nanos >> shift) - STEPS) as usize
}

/// The largest value that falls into the bucket `index`.
fn upper(index: usize) -> u64 {
    let index = index as u64;
    if index < EXACT {
        return index;
    }
    let shift = (index - EXACT) / STEPS + 1;
    let step = (index - EXACT) % STEPS + STEPS;
    ((step + 1) << shift).wrapping_sub(1)
}
