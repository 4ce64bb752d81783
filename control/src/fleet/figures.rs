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
    /// Decisions that nodes told, each once.
    pub decisions: u64,
    /// Decisions that nodes dropped, for want of room, before they could tell them.
    pub dropped: u64,
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

impl Figures {
    /// As lines of the OpenMetrics text.
    pub fn exposition(&self) -> String {
        let mut text = String::from(
            "# HELP heddle_server_nodes Nodes that had a stream since the start.\n\
             # TYPE heddle_server_nodes gauge\n",
        );
        let states = [("connected", self.connected), ("stale", self.stale), ("away", self.away)];
        for (state, count) in states {
            text.push_str(&format!("heddle_server_nodes{{state=\"{state}\"}} {count}\n"));
        }
        for (name, about, count) in [
            ("pushes", "Transactions given to streams", self.pushes),
            ("push_bytes", "Bytes of bodies given to streams", self.bytes),
            ("acks", "Transactions in force at a node", self.acks),
            ("nacks", "Transactions that a node refused", self.nacks),
            ("decisions", "Decisions on requests that nodes told", self.decisions),
            ("decisions_dropped", "Decisions that nodes dropped for want of room", self.dropped),
        ] {
            let name = format!("heddle_server_{name}");
            text.push_str(&format!(
                "# HELP {name} {about}.\n# TYPE {name} counter\n{name}_total {count}\n"
            ));
        }
        let name = "heddle_server_rollout_seconds";
        text.push_str(&format!(
            "# HELP {name} From a commit until a node has it in force.\n# TYPE {name} histogram\n"
        ));
        let buckets = self.latency.buckets();
        for (bound, count) in &buckets {
            let bound = if bound.is_finite() { format!("{bound:?}") } else { "+Inf".to_owned() };
            text.push_str(&format!("{name}_bucket{{le=\"{bound}\"}} {count}\n"));
        }
        let count = buckets.last().map_or(0, |(_, count)| *count);
        text.push_str(&format!("{name}_sum {}\n{name}_count {count}\n", self.latency.sum()));
        text
    }
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
