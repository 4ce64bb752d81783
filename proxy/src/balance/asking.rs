//! A request of which an endpoint is to be heard once all of its body is there.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tokio::time::Instant;

use super::nanos;
use crate::live::Endpoint;

/// That request, as its body knows it.
#[derive(Debug)]
pub(crate) struct Asking {
    endpoint: Arc<Endpoint>,
    epoch: Instant,
    /// Since when, in nanoseconds since the epoch; 0 until then.
    since: AtomicU64,
}

impl Asking {
    pub(super) fn new(endpoint: &Arc<Endpoint>, epoch: Instant) -> Arc<Self> {
        Arc::new(Asking { endpoint: Arc::clone(endpoint), epoch, since: AtomicU64::new(0) })
    }

    /// All of the body is there, `now`.
    pub(crate) fn begins(&self, now: Instant) {
        let now = nanos(self.epoch, now).max(1);
        self.since.store(now, Relaxed);
        self.endpoint.load.asks(now);
    }

    /// Since when it is a question, in nanoseconds since the epoch, if it is one.
    pub(super) fn since(&self) -> Option<u64> {
        Some(self.since.load(Relaxed)).filter(|since| *since > 0)
    }
}
