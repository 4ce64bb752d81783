//! Which endpoint: power of two choices by peak EWMA.
//!
//! Two endpoints are drawn and the one whose recent answer time times its requests under way is
//! lower gets the request.
//! A slow answer raises an endpoint's estimate at once; fast ones lower it with time (Finagle's
//! "Peak EWMA").

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::Instant;

use crate::live::{Endpoint, Service};

/// What an endpoint that could not be reached is taken to cost.
const UNREACHED: Duration = Duration::from_secs(5);
/// What a request is taken to cost at an endpoint that has not answered any.
const UNKNOWN: Duration = Duration::from_secs(1);
/// How fast an estimate forgets: it falls to a third of the distance in this time.
const DECAY: Duration = Duration::from_secs(10);

/// How an endpoint has been doing, shared by all workers.
#[derive(Debug, Default)]
pub(crate) struct Load {
    /// Estimate of the time to an answer's head, in nanoseconds.
    ewma: AtomicU64,
    /// When it was last touched, in nanoseconds since the process's epoch.
    touched: AtomicU64,
    under_way: AtomicU32,
}

impl Load {
    /// The estimated cost of one more request. An endpoint that has a request and never answered
    /// one is taken to be slow, so that a mute one does not draw everybody.
    fn cost(&self, now: u64) -> f64 {
        let under_way = self.under_way.load(Relaxed);
        let known = self.ewma.load(Relaxed);
        if known == 0 {
            return f64::from(under_way) * UNKNOWN.as_nanos() as f64;
        }
        let idle = now.saturating_sub(self.touched.load(Relaxed)) as f64;
        let estimate = known as f64 * (-idle / DECAY.as_nanos() as f64).exp();
        (estimate + 1.0) * f64::from(under_way + 1)
    }

    /// Learns from an answer that took `took`.
    pub(crate) fn answered(&self, now: u64, took: Duration) {
        let took = took.as_nanos() as f64;
        let idle = now.saturating_sub(self.touched.swap(now, Relaxed)) as f64;
        let before = self.ewma.load(Relaxed) as f64;
        let keep = (-idle / DECAY.as_nanos() as f64).exp();
        let after = if took > before { took } else { before * keep + took * (1.0 - keep) };
        self.ewma.store((after as u64).max(1), Relaxed);
    }

    /// Requests under way.
    pub(crate) fn under_way(&self) -> u32 {
        self.under_way.load(Relaxed)
    }

    /// The estimate as it stands.
    pub(crate) fn estimate(&self) -> Duration {
        Duration::from_nanos(self.ewma.load(Relaxed))
    }
}

/// A request's turn at an endpoint: counted as under way for as long as it is held.
#[derive(Debug)]
pub(crate) struct Turn {
    endpoint: Arc<Endpoint>,
    epoch: Instant,
    began: Instant,
    learnt: bool,
}

impl Turn {
    pub(crate) fn at(endpoint: &Arc<Endpoint>, epoch: Instant, began: Instant) -> Self {
        endpoint.load.under_way.fetch_add(1, Relaxed);
        Turn { endpoint: Arc::clone(endpoint), epoch, began, learnt: false }
    }

    /// From here on it is the endpoint that is waited for, and no longer the client.
    pub(crate) fn waits_since(&mut self, whole: Instant) {
        self.began = self.began.max(whole);
    }

    /// The endpoint answered, `now`.
    pub(crate) fn answered(&mut self, now: Instant) {
        let took = now.saturating_duration_since(self.began);
        self.endpoint.load.answered(nanos(self.epoch, now), took);
        self.learnt = true;
    }

    /// The endpoint could not be reached.
    pub(crate) fn unreached(&mut self) {
        self.endpoint.load.answered(nanos(self.epoch, self.began), UNREACHED);
        self.learnt = true;
    }

    /// What went wrong was not the endpoint's doing: nothing is learnt from it.
    pub(crate) fn blameless(&mut self) {
        self.learnt = true;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let load = &self.endpoint.load;
        load.under_way.fetch_sub(1, Relaxed);
        if !self.learnt {
            // Given up before an answer: it would have taken at least as long as this.
            let now = Instant::now();
            let waited = now.saturating_duration_since(self.began);
            if waited > load.estimate() {
                load.answered(nanos(self.epoch, now), waited);
            }
        }
    }
}

/// Nanoseconds since `epoch`.
pub(crate) fn nanos(epoch: Instant, now: Instant) -> u64 {
    u64::try_from(now.saturating_duration_since(epoch).as_nanos()).unwrap_or(u64::MAX)
}

/// Picks an endpoint of `service` that is not among `tried`; `None` when all were tried.
/// `random` draws the two; after the last try there is none.
pub(crate) fn pick<'s>(
    service: &'s Service,
    tried: &[SocketAddr],
    is_last: bool,
    now: u64,
    random: u64,
) -> Option<&'s Arc<Endpoint>> {
    let near = &service.endpoints[..service.near];
    if tried.is_empty() {
        // Another cluster's are asked where this one has none, or none that answers.
        let all = if near.is_empty() { &service.endpoints[..] } else { near };
        return match all.len() {
            0 => None,
            1 => all.first(),
            len => {
                let first = (random as u32 as usize) % len;
                let step = 1 + ((random >> 32) as usize) % (len - 1);
                Some(cheaper(&all[first], &all[(first + step) % len], now))
            }
        };
    }
    let left = |all: &'s [Arc<Endpoint>]| {
        let left = all.iter().filter(|endpoint| !tried.contains(&endpoint.address));
        left.reduce(|best, other| cheaper(best, other, now))
    };
    // The last try is at another cluster's, if there are any: what ails this one may ail all of it.
    let far = || left(&service.endpoints[service.near..]);
    let last = if is_last { far() } else { None };
    last.or_else(|| left(near)).or_else(far)
}

fn cheaper<'s>(one: &'s Arc<Endpoint>, other: &'s Arc<Endpoint>, now: u64) -> &'s Arc<Endpoint> {
    if other.load.cost(now) < one.load.cost(now) { other } else { one }
}

#[cfg(test)]
mod tests;
