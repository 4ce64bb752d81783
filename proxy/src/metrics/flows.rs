//! The counts of flows of datagrams: one set for each worker, on cache lines of its own.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Which way a datagram goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// To a backend.
    There,
    /// To a caller.
    Back,
}

impl Way {
    /// Both, in the order of their counts.
    pub(crate) const ALL: [Way; 2] = [Way::There, Way::Back];

    /// The metric label.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Way::There => "to_backend",
            Way::Back => "to_caller",
        }
    }
}

/// Why a datagram went nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dropped {
    /// No route leads it anywhere.
    NoRoute,
    /// A policy denies it, or none allows it.
    Denied,
    /// The backend that it is led to is not there, has no endpoint, or takes no datagrams.
    NoBackend,
    /// The worker has as many flows as it may have.
    TooManyFlows,
    /// Its caller's address has.
    TooManyOfAddress,
    /// It would begin a flow while the process ends.
    Draining,
    /// The system would not send it on.
    Unsent,
}

impl Dropped {
    /// Every reason.
    pub(crate) const ALL: [Dropped; 7] = [
        Dropped::NoRoute,
        Dropped::Denied,
        Dropped::NoBackend,
        Dropped::TooManyFlows,
        Dropped::TooManyOfAddress,
        Dropped::Draining,
        Dropped::Unsent,
    ];

    /// The metric label.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Dropped::NoRoute => "no_route",
            Dropped::Denied => "denied",
            Dropped::NoBackend => "no_backend",
            Dropped::TooManyFlows => "too_many_flows",
            Dropped::TooManyOfAddress => "too_many_flows_of_address",
            Dropped::Draining => "draining",
            Dropped::Unsent => "unsent",
        }
    }
}

/// One worker's flows.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Flows {
    begun: AtomicU64,
    over: AtomicU64,
    /// In the order of [`Way::ALL`], as are the bytes.
    datagrams: [AtomicU64; Way::ALL.len()],
    bytes: [AtomicU64; Way::ALL.len()],
    /// In the order of [`Dropped::ALL`].
    dropped: [AtomicU64; Dropped::ALL.len()],
}

/// Flows, summed over the workers.
#[derive(Debug, Default)]
pub(super) struct Sum {
    pub(super) begun: u64,
    pub(super) over: u64,
    pub(super) datagrams: [u64; Way::ALL.len()],
    pub(super) bytes: [u64; Way::ALL.len()],
    pub(super) dropped: [u64; Dropped::ALL.len()],
}

impl Flows {
    /// One began.
    pub(crate) fn begun(&self) {
        self.begun.fetch_add(1, Relaxed);
    }

    /// One that began is over.
    pub(crate) fn over(&self) {
        self.over.fetch_add(1, Relaxed);
    }

    /// A datagram of so many bytes was sent on.
    pub(crate) fn carried(&self, way: Way, bytes: usize) {
        self.datagrams[way as usize].fetch_add(1, Relaxed);
        self.bytes[way as usize].fetch_add(bytes as u64, Relaxed);
    }

    /// A datagram went nowhere.
    pub(crate) fn dropped(&self, why: Dropped) {
        self.dropped[why as usize].fetch_add(1, Relaxed);
    }

    pub(super) fn add_to(&self, sum: &mut Sum) {
        // What is over is read before what began: a flow that comes between is open, never below none.
        sum.over += self.over.load(Relaxed);
        sum.begun += self.begun.load(Relaxed);
        let counts = [
            (&mut sum.datagrams[..], &self.datagrams[..]),
            (&mut sum.bytes[..], &self.bytes[..]),
            (&mut sum.dropped[..], &self.dropped[..]),
        ];
        for (totals, counts) in counts {
            totals.iter_mut().zip(counts).for_each(|(total, count)| *total += count.load(Relaxed));
        }
    }
}

impl Sum {
    pub(super) fn open(&self) -> u64 {
        self.begun.saturating_sub(self.over)
    }
}
