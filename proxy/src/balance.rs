//! Which endpoint: power of two choices by peak EWMA.
//!
//! Two endpoints are drawn and the one whose recent answer time times its requests under way is
//! lower gets the request.
//! A slow answer raises an endpoint's estimate at once; fast ones lower it with time (Finagle's
//! "Peak EWMA").
//!
//! One that could not be reached rests, longer each time, and then gets single requests until it
//! answers one. While all that are near rest, those of other clusters are asked.

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
/// How long an endpoint rests that could not be reached; twice as long each further time.
const REST: Duration = Duration::from_secs(1);
/// It rests no longer than this.
const LONGEST_REST: Duration = Duration::from_secs(8);
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
    /// How often in a row it could not be reached.
    missed: AtomicU32,
    /// Until when it rests for that, in nanoseconds since the process's epoch.
    rests_until: AtomicU64,
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

    /// Learns from an answer that took `took`. The first one after none came says all that is known.
    pub(crate) fn answered(&self, now: u64, took: Duration) {
        if !self.is_well() {
            self.missed.store(0, Relaxed);
            self.ewma.store(0, Relaxed);
        }
        self.took(now, took);
    }

    /// Learns that an answer takes as long as this, or longer.
    fn took(&self, now: u64, took: Duration) {
        let took = took.as_nanos() as f64;
        let idle = now.saturating_sub(self.touched.swap(now, Relaxed)) as f64;
        let before = self.ewma.load(Relaxed) as f64;
        let keep = (-idle / DECAY.as_nanos() as f64).exp();
        let after = if took > before { took } else { before * keep + took * (1.0 - keep) };
        self.ewma.store((after as u64).max(1), Relaxed);
    }

    /// Learns `now` that a request which `began` could not reach it. Of those who find that at once, one
    /// counts.
    fn unreached(&self, began: u64, now: u64) {
        if !self.is_well() && began < self.touched.load(Relaxed) {
            return;
        }
        self.touched.store(now, Relaxed);
        self.ewma.store(UNREACHED.as_nanos() as u64, Relaxed);
        let missed = self.missed.fetch_add(1, Relaxed);
        let rest = (REST * (1 << missed.min(8))).min(LONGEST_REST);
        self.rests_until.store(now + rest.as_nanos() as u64, Relaxed);
    }

    /// How long it rests yet.
    pub(crate) fn rests(&self, now: u64) -> Duration {
        match self.missed.load(Relaxed) {
            0 => Duration::ZERO,
            _ => Duration::from_nanos(self.rests_until.load(Relaxed).saturating_sub(now)),
        }
    }

    /// Whether it could be reached when it was last tried.
    fn is_well(&self) -> bool {
        self.missed.load(Relaxed) == 0
    }

    /// Whether it has rested and this request is the one that tries it. The others wait for as long as
    /// the first rest was.
    fn takes_trial(&self, now: u64) -> bool {
        let until = self.rests_until.load(Relaxed);
        let next = now + REST.as_nanos() as u64;
        now >= until && self.rests_until.compare_exchange(until, next, Relaxed, Relaxed).is_ok()
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
        let (began, now) = (nanos(self.epoch, self.began), nanos(self.epoch, Instant::now()));
        self.endpoint.load.unreached(began, now);
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
                load.took(nanos(self.epoch, now), waited);
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
    let (near, far) = service.endpoints.split_at(service.near);
    if tried.is_empty() {
        // Another cluster's are asked where this one has none, or none that can be reached.
        let all = if near.is_empty() { far } else { near };
        let well = draw(near, now, random).or_else(|| draw(far, now, random));
        return well.or_else(|| any(all, random));
    }
    let left = |all: &'s [Arc<Endpoint>], wants_well: bool| {
        let left = all.iter().filter(|endpoint| !tried.contains(&endpoint.address));
        let left = left.filter(|endpoint| !wants_well || endpoint.load.is_well());
        left.reduce(|best, other| cheaper(best, other, now))
    };
    // The last try is at another cluster's, if there are any: what ails this one may ail all of it.
    let (first, second) = if is_last { (far, near) } else { (near, far) };
    let well = left(first, true).or_else(|| left(second, true));
    well.or_else(|| left(first, false)).or_else(|| left(second, false))
}

/// The better one of two that are drawn; `None` where all rest.
fn draw(all: &[Arc<Endpoint>], now: u64, random: u64) -> Option<&Arc<Endpoint>> {
    let (one, other) = match all {
        [] => return None,
        [only] => (only, only),
        _ => {
            let first = (random as u32 as usize) % all.len();
            let step = 1 + ((random >> 32) as usize) % (all.len() - 1);
            (&all[first], &all[(first + step) % all.len()])
        }
    };
    if one.load.is_well() && other.load.is_well() {
        return Some(cheaper(one, other, now));
    }
    // One that has rested is tried by who draws it, or it would never be found well again.
    let rested = [one, other].into_iter().filter(|drawn| !drawn.load.is_well());
    let trial = rested.into_iter().find(|drawn| drawn.load.takes_trial(now));
    let well = || all.iter().filter(|endpoint| endpoint.load.is_well());
    trial.or_else(|| well().reduce(|best, other| cheaper(best, other, now)))
}

/// Any, where none is well.
fn any(all: &[Arc<Endpoint>], random: u64) -> Option<&Arc<Endpoint>> {
    let drawn = (random as u32 as usize).checked_rem(all.len())?;
    all.get(drawn)
}

fn cheaper<'s>(one: &'s Arc<Endpoint>, other: &'s Arc<Endpoint>, now: u64) -> &'s Arc<Endpoint> {
    if other.load.cost(now) < one.load.cost(now) { other } else { one }
}

#[cfg(test)]
mod tests;
