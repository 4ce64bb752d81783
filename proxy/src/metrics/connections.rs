//! The counts of connections: one set for each worker, on cache lines of its own.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// In order: either side closed between exchanges.
    Done,
    /// The client broke it.
    Reset,
    /// A bound on time ran out.
    TimedOut,
    /// The TLS handshake failed.
    HandshakeFailed,
    /// What came was no HTTP that we take.
    ParseFailed,
    /// We ended it: drain, or a table that forbids it.
    Cut,
    /// There were as many as there may be.
    Refused,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Outcome; 7] = [
        Outcome::Done,
        Outcome::Reset,
        Outcome::TimedOut,
        Outcome::HandshakeFailed,
        Outcome::ParseFailed,
        Outcome::Cut,
        Outcome::Refused,
    ];

    /// The metric label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Outcome::Done => "done",
            Outcome::Reset => "reset",
            Outcome::TimedOut => "timed_out",
            Outcome::HandshakeFailed => "handshake_failed",
            Outcome::ParseFailed => "parse_failed",
            Outcome::Cut => "cut",
            Outcome::Refused => "refused",
        }
    }
}

/// One worker's connections.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Connections {
    opened: AtomicU64,
    closed: [AtomicU64; Outcome::ALL.len()],
    handshakes_failed: AtomicU64,
    parses_failed: AtomicU64,
}

/// Connections, summed over the workers.
#[derive(Debug, Default)]
pub(super) struct Sum {
    pub(super) opened: u64,
    /// In the order of [`Outcome::ALL`].
    pub(super) closed: [u64; Outcome::ALL.len()],
    pub(super) handshakes_failed: u64,
    pub(super) parses_failed: u64,
}

impl Connections {
    pub(crate) fn opened(&self) {
        self.opened.fetch_add(1, Relaxed);
    }

    pub(crate) fn closed(&self, outcome: Outcome) {
        self.closed[outcome as usize].fetch_add(1, Relaxed);
    }

    pub(crate) fn handshake_failed(&self) {
        self.handshakes_failed.fetch_add(1, Relaxed);
    }

    pub(crate) fn parse_failed(&self) {
        self.parses_failed.fetch_add(1, Relaxed);
    }

    pub(super) fn add_to(&self, sum: &mut Sum) {
        // Closed before opened: a connection that comes between is open, never below none.
        for (total, closed) in sum.closed.iter_mut().zip(&self.closed) {
            *total += closed.load(Relaxed);
        }
        sum.opened += self.opened.load(Relaxed);
        sum.handshakes_failed += self.handshakes_failed.load(Relaxed);
        sum.parses_failed += self.parses_failed.load(Relaxed);
    }
}

impl Sum {
    pub(super) fn open(&self) -> u64 {
        self.opened.saturating_sub(self.closed.iter().sum())
    }
}
