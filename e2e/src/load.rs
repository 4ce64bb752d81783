//! A load generator with an open loop: requests leave at a fixed rate, whatever the answers do.
//!
//! Every request has a moment at which it was *meant* to leave, computed from the rate alone. Its
//! latency runs from that moment, so a subject that stalls is charged for the requests that
//! queued up behind the stall (no coordinated omission). Threads block, since a sleeping thread
//! wakes within microseconds where an async timer wakes within a millisecond.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

mod histogram;
mod http1;
mod http2;
mod schedule;
mod tally;

pub use histogram::Histogram;
pub use schedule::{Schedule, Ticket};
pub use tally::{Reply, Tally};

/// What the load speaks to its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Protocol {
    /// HTTP/1.1, one request at a time on each connection.
    H1,
    /// HTTP/2 without TLS, by prior knowledge, many streams on each connection.
    H2c,
    /// HTTP/1.1 over TLS 1.3.
    Https,
    /// Calls of gRPC with one message, over HTTP/2 without TLS. One that fails has no body of the length that
    /// is asked for.
    Grpc,
}

/// One run of load: where to, what, how much and for how long.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The address that is dialled.
    pub target: SocketAddr,
    /// What is spoken there.
    pub protocol: Protocol,
    /// The `Host` (or `:authority`) of each request; for TLS the server's name, too.
    pub host: String,
    /// The path of each request.
    pub path: String,
    /// The length that each body must have, where that is to be checked.
    pub body: Option<u64>,
    /// The certificate to trust, PEM; needed for HTTPS.
    pub ca: Option<PathBuf>,
    /// How many connections share the rate.
    pub connections: u32,
    /// Requests per second, over all connections.
    pub rate: f64,
    /// How long requests are sent without being counted.
    pub warmup: Duration,
    /// How long requests are counted.
    pub duration: Duration,
}

impl Plan {
    /// Runs the load to its end. Failures of single requests are counted, not returned.
    pub fn run(&self) -> Result<Tally> {
        match self.protocol {
            Protocol::H1 | Protocol::Https => http1::run(self),
            Protocol::H2c | Protocol::Grpc => http2::run(self),
        }
    }
}

#[cfg(test)]
mod tests;
