//! What came of the requests.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Histogram, Plan, Ticket};

/// One answer, as far as the load looks at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The status code; 0 where it is known only that it was not 200.
    pub status: u16,
    /// How many bytes its body had.
    pub body: u64,
}

/// The counts and latencies of a run; only answers as expected have a latency.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// From the moment a request was meant to leave to the end of its answer.
    pub latency: Histogram,
    /// Answers with another status than 200.
    pub non_200: u64,
    /// Answers with a body of another length than the one asked for.
    pub wrong_length: u64,
    /// Requests without a whole answer.
    pub errors: u64,
}

impl Tally {
    /// Counts an answer that is complete now.
    pub(super) fn add(&mut self, ticket: Ticket, reply: Reply, plan: &Plan) {
        if !ticket.counted {
            return;
        }
        if reply.status != 200 {
            self.non_200 += 1;
        } else if plan.body.is_some_and(|length| length != reply.body) {
            self.wrong_length += 1;
        } else {
            self.latency.record(Instant::now().saturating_duration_since(ticket.due));
        }
    }

    /// Counts a request that never got its answer, warm-up or not: a broken connection is news.
    pub(super) fn fail(&mut self) {
        self.errors += 1;
    }

    /// Adds what another connection counted.
    pub fn merge(&mut self, other: &Self) {
        self.latency.merge(&other.latency);
        self.non_200 += other.non_200;
        self.wrong_length += other.wrong_length;
        self.errors += other.errors;
    }

    /// Whether every request got the answer asked for.
    pub fn is_clean(&self) -> bool {
        self.non_200 + self.wrong_length + self.errors == 0
    }

    /// The tally as one JSON object, latencies in microseconds.
    pub fn to_json(&self) -> Value {
        let micros = |value: Duration| value.as_nanos() as f64 / 1e3;
        json!({
            "ok": self.latency.total(),
            "non_200": self.non_200,
            "wrong_length": self.wrong_length,
            "errors": self.errors,
            "p50_us": micros(self.latency.quantile(0.5)),
            "p99_us": micros(self.latency.quantile(0.99)),
            "p999_us": micros(self.latency.quantile(0.999)),
            "max_us": micros(self.latency.max()),
        })
    }
}
