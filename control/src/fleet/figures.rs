//! What is counted of the fleet, for whoever shows metrics.

/// Bounds of the buckets of [`Latency`], in milliseconds.
const BOUNDS: [i64; 12] = [5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 60_000];

/// What was counted since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Figures {
    /// Nodes that hold a stream and are heard of.
    pub connected: usize,
    /// Nodes that hold a stream and are silent.
    pub stale: usize,
    /// Nodes that held a stream since the start, and hold none.
    pub away: usize,
    /// Transactions that were given to streams.
    pub pushes: u64,
    /// Bytes of bodies in them.
    pub bytes: u64,
    /// Transactions that are in force.
    pub acks: u64,
    /// Transactions that were refused.
    pub nacks: u64,
    /// From commit to force.
    pub latency: Latency,
}

/// How long it took from a commit until a node had it in force.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Latency {
    counts: [u64; BOUNDS.len() + 1],
    /// In microseconds.
    sum: i64,
}

impl Latency {
    /// Counts one, in microseconds.
    pub(super) fn add(&mut self, micros: i64) {
        let bucket = BOUNDS.iter().position(|bound| micros <= bound * 1_000);
        self.counts[bucket.unwrap_or(BOUNDS.len())] += 1;
        self.sum = self.sum.saturating_add(micros.max(0));
    }

    /// Each bound in seconds with how many took no longer, as Prometheus wants histograms; the
    /// last has no bound and counts all.
    pub fn buckets(&self) -> Vec<(f64, u64)> {
        let mut below = 0;
        let bounds = BOUNDS.iter().map(|bound| *bound as f64 / 1_000.0).chain([f64::INFINITY]);
        let counted = bounds.zip(self.counts).map(|(bound, count)| {
            below += count;
            (bound, below)
        });
        counted.collect()
    }

    /// All together, in seconds.
    pub fn sum(&self) -> f64 {
        self.sum as f64 / 1_000_000.0
    }
}
