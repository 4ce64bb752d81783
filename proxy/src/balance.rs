//! Which endpoint.
//!
//! Unless a TrafficPolicy says otherwise, two endpoints are drawn and the one whose recent answer time
//! times its requests under way is lower gets the request.
//! A slow answer raises an endpoint's estimate at once; fast ones lower it with time (Finagle's
//! "Peak EWMA").
//!
//! One that could not be reached, or at which too much failed, rests, longer each time, and then gets
//! single requests until it answers one; one that does not answer when it is asked whether it is well
//! gets none. While all that are near rest, those of other clusters are asked. Where the own zone is
//! preferred, those near by in other zones get what too few that are well leave of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use model::traffic::{Algorithm, Balance};
use tokio::time::Instant;

use crate::live::{Endpoint, Service};
use crate::session::canonical;
use ring::Ring;

mod asking;
mod load;
pub(crate) mod ring;

pub(crate) use asking::Asking;
pub(crate) use load::{Load, Said, Sending, Turn};

/// How requests are spread over endpoints, ready to be asked.
#[derive(Debug, Default)]
pub(crate) struct Spread {
    by: By,
    slow_start: Option<Duration>,
    panic_percent: usize,
}

/// What decides.
#[derive(Debug, Default)]
enum By {
    #[default]
    PeakEwma,
    LeastRequest,
    /// Whose turn it is.
    RoundRobin(Arc<AtomicUsize>),
    Random,
    Hash(Ring),
}

impl Spread {
    /// As `balance` says, over these near endpoints; what `before` counted goes on.
    pub(crate) fn new(
        balance: &Balance,
        near: impl Iterator<Item = SocketAddr>,
        before: Option<&Spread>,
    ) -> Self {
        let by = match balance.algorithm {
            Algorithm::PeakEwma => By::PeakEwma,
            Algorithm::LeastRequest => By::LeastRequest,
            Algorithm::RoundRobin => match before.map(|before| &before.by) {
                Some(By::RoundRobin(next)) => By::RoundRobin(Arc::clone(next)),
                Some(By::PeakEwma | By::LeastRequest | By::Random | By::Hash(_)) | None => {
                    By::RoundRobin(Arc::default())
                }
            },
            Algorithm::Random => By::Random,
            Algorithm::RingHash => By::Hash(Ring::of(near)),
        };
        let slow_start = balance.slow_start.map(Duration::from);
        Spread { by, slow_start, panic_percent: usize::from(balance.panic_percent) }
    }

    /// Whether an endpoint that is slow gets few requests for that alone, and so no chance to fail often.
    pub(crate) fn goes_by_time(&self) -> bool {
        matches!(self.by, By::PeakEwma)
    }

    /// Whether fewer are well than are needed for that to count.
    fn is_panic(&self, all: &[Arc<Endpoint>]) -> bool {
        self.panic_percent > 0 && {
            let well = all.iter().filter(|endpoint| endpoint.load.is_well()).count();
            well * 100 < self.panic_percent * all.len()
        }
    }

    /// The cost of one more request, more where an endpoint starts slowly.
    fn cost(&self, endpoint: &Endpoint, now: u64) -> f64 {
        let cost = match &self.by {
            By::LeastRequest => f64::from(endpoint.load.under_way() + 1),
            By::PeakEwma | By::RoundRobin(_) | By::Random | By::Hash(_) => endpoint.load.cost(now),
        };
        let cost = cost / endpoint.load.eased(now);
        match self.slow_start {
            Some(time) => cost / endpoint.load.share(now, time),
            None => cost,
        }
    }

    fn cheaper<'s>(
        &self,
        one: &'s Arc<Endpoint>,
        other: &'s Arc<Endpoint>,
        now: u64,
    ) -> &'s Arc<Endpoint> {
        if self.cost(other, now) < self.cost(one, now) { other } else { one }
    }
}

/// What is drawn by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Draw {
    /// In nanoseconds since the process's epoch.
    pub(crate) now: u64,
    pub(crate) random: u64,
    /// What of the request decides, where something does.
    pub(crate) key: Option<u64>,
}

/// Nanoseconds since `epoch`.
pub(crate) fn nanos(epoch: Instant, now: Instant) -> u64 {
    u64::try_from(now.saturating_duration_since(epoch).as_nanos()).unwrap_or(u64::MAX)
}

/// The endpoint of `service` at an address, where a session is kept there: one that is well, or none is.
pub(crate) fn kept(service: &Service, at: SocketAddr) -> Option<&Arc<Endpoint>> {
    let all = &service.endpoints;
    let endpoint = all.iter().find(|endpoint| canonical(endpoint.address) == at)?;
    let counts = || !service.spread.is_panic(all) && all.iter().any(|one| one.load.is_well());
    (endpoint.load.is_well() || !counts()).then_some(endpoint)
}

/// Picks an endpoint of `service` that is not among `tried`; `None` when all were tried.
/// After the last try there is none.
pub(crate) fn pick<'s>(
    service: &'s Service,
    tried: &[SocketAddr],
    is_last: bool,
    draw: Draw,
) -> Option<&'s Arc<Endpoint>> {
    let spread = &service.spread;
    let (near, far) = service.endpoints.split_at(service.near);
    if tried.is_empty() {
        // Another cluster's are asked where this one has none, or none that can be reached.
        let (all, others) = if near.is_empty() { (far, &[][..]) } else { (near, far) };
        let draw = Draw { key: draw.key.filter(|_| !near.is_empty()), ..draw };
        if spread.is_panic(all) && !others.iter().any(|other| other.load.is_well()) {
            return any(all, draw.random);
        }
        let (own, elsewhere) = all.split_at(service.own.min(all.len()));
        let well = match own.is_empty() || elsewhere.is_empty() {
            true => spread.draw(all, draw),
            false => spread.by_zone(own, elsewhere, draw),
        };
        let well = well.or_else(|| spread.better_of_two(others, draw));
        return well.or_else(|| any(all, draw.random));
    }
    let left = |all: &'s [Arc<Endpoint>], wants_well: bool| {
        let left = all.iter().filter(|endpoint| !tried.contains(&endpoint.address));
        let left = left.filter(|endpoint| !wants_well || endpoint.load.is_well());
        left.reduce(|best, other| spread.cheaper(best, other, draw.now))
    };
    let (own, elsewhere) = near.split_at(service.own);
    // The last try is at another cluster's, or in another zone, if there are any: what ails this one may ail
    // all of it.
    let levels = if is_last { [far, elsewhere, own] } else { [own, elsewhere, far] };
    let well = levels.iter().find_map(|level| left(level, true));
    well.or_else(|| levels.iter().find_map(|level| left(level, false)))
}

/// How many times its usual share an endpoint bears: while not fewer than 100 / 1.4 of a hundred are well in the
/// own zone, no request leaves it (Envoy's "overprovisioning factor").
const BEARS: f64 = 1.4;

/// How much of all requests endpoints bear, by how many of them are well.
fn bears(all: &[Arc<Endpoint>]) -> f64 {
    let well = all.iter().filter(|endpoint| endpoint.load.is_well()).count();
    (BEARS * well as f64 / all.len().max(1) as f64).min(1.0)
}

impl Spread {
    /// One of the own zone, or, as far as too few there are well, of elsewhere.
    fn by_zone<'s>(
        &self,
        own: &'s [Arc<Endpoint>],
        elsewhere: &'s [Arc<Endpoint>],
        draw: Draw,
    ) -> Option<&'s Arc<Endpoint>> {
        let here = bears(own);
        if here >= 1.0 {
            return self.draw(own, draw).or_else(|| self.draw(elsewhere, draw));
        }
        // However few requests stay, one tries whoever has rested there.
        let mut rested = own.iter().filter(|one| !one.load.is_well());
        if let Some(trial) = rested.find(|one| one.load.takes_trial(draw.now)) {
            return Some(trial);
        }
        let there = bears(elsewhere).min(1.0 - here);
        // By other bits than those that say which endpoint.
        let chance = f64::from(ring::hash(&draw.random.to_be_bytes()) as u32) / 2f64.powi(32);
        let stays = chance * (here + there) < here;
        let [first, second] = if stays { [own, elsewhere] } else { [elsewhere, own] };
        self.draw(first, draw).or_else(|| self.draw(second, draw))
    }

    /// One of `all` that is well, or that has rested and is tried; `None` where none is.
    fn draw<'s>(&self, all: &'s [Arc<Endpoint>], draw: Draw) -> Option<&'s Arc<Endpoint>> {
        let Draw { now, random, key } = draw;
        match (&self.by, key) {
            (By::PeakEwma | By::LeastRequest, _) | (By::Hash(_), None) => {
                self.better_of_two(all, draw)
            }
            (By::RoundRobin(next), _) => {
                self.next(all, next.fetch_add(1, Relaxed) % all.len().max(1), draw)
            }
            (By::Random, _) => self.next(all, random as u32 as usize % all.len().max(1), draw),
            (By::Hash(ring), Some(key)) => {
                let wanted = ring.order(key).filter_map(|index| all.get(index));
                let mut wanted =
                    wanted.filter(|one| one.load.is_well() || one.load.takes_trial(now));
                wanted.next()
            }
        }
    }

    /// The first from `first` on that is well or tried; one that starts slowly, or asked for fewer requests, is
    /// stepped over for its share of times.
    fn next<'s>(
        &self,
        all: &'s [Arc<Endpoint>],
        first: usize,
        Draw { now, random, .. }: Draw,
    ) -> Option<&'s Arc<Endpoint>> {
        let chance = (random >> 32) as f64 / 2f64.powi(32);
        let has_share = |endpoint: &Endpoint| {
            let load = &endpoint.load;
            chance < load.eased(now) * self.slow_start.map_or(1.0, |time| load.share(now, time))
        };
        let in_turn = || all.iter().cycle().skip(first).take(all.len());
        let mut ready = in_turn().filter(|one| {
            if one.load.is_well() { has_share(one) } else { one.load.takes_trial(now) }
        });
        ready.next().or_else(|| in_turn().find(|one| one.load.is_well()))
    }

    fn better_of_two<'s>(
        &self,
        all: &'s [Arc<Endpoint>],
        Draw { now, random, .. }: Draw,
    ) -> Option<&'s Arc<Endpoint>> {
        let (one, other) = match all {
            [] => return None,
            [only] if only.load.is_well() => return Some(only),
            [only] => (only, only),
            _ => {
                let first = (random as u32 as usize) % all.len();
                let step = 1 + ((random >> 32) as usize) % (all.len() - 1);
                (&all[first], &all[(first + step) % all.len()])
            }
        };
        if one.load.is_well() && other.load.is_well() {
            return Some(self.cheaper(one, other, now));
        }
        // One that has rested is tried by who draws it, or it would never be found well again.
        let rested = [one, other].into_iter().filter(|drawn| !drawn.load.is_well());
        let trial = rested.into_iter().find(|drawn| drawn.load.takes_trial(now));
        let well = || all.iter().filter(|endpoint| endpoint.load.is_well());
        trial.or_else(|| well().reduce(|best, other| self.cheaper(best, other, now)))
    }
}

/// Who gets the requests that an endpoint which is well does not get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nearer {
    /// Those of this cluster.
    Cluster,
    /// Those of the own zone.
    Zone,
}

impl Service {
    /// Whether any endpoint of it gets requests like others.
    pub(crate) fn is_anybody_well(&self) -> bool {
        self.endpoints.iter().any(|endpoint| endpoint.load.is_well())
    }

    /// Who gets what the endpoint of this index would get; nobody where it gets requests.
    pub(crate) fn nearer_ones(&self, index: usize) -> Option<Nearer> {
        let (near, _) = self.endpoints.split_at(self.near);
        let (own, _) = near.split_at(self.own);
        if index >= near.len() {
            return near.iter().any(|one| one.load.is_well()).then_some(Nearer::Cluster);
        }
        let is_elsewhere = index >= own.len() && !own.is_empty();
        (is_elsewhere && bears(own) >= 1.0).then_some(Nearer::Zone)
    }

    /// Whether an endpoint that is not well gets requests all the same.
    pub(crate) fn is_anybody_as_good(&self, endpoint: &Endpoint) -> bool {
        let (near, far) = self.endpoints.split_at(self.near);
        let all = if near.is_empty() || endpoint.is_far { far } else { near };
        let others = if near.is_empty() || endpoint.is_far { &[][..] } else { far };
        let is_well = |one: &Arc<Endpoint>| one.load.is_well();
        !others.iter().any(is_well) && (self.spread.is_panic(all) || !all.iter().any(is_well))
    }
}

/// Any, where none is well.
fn any(all: &[Arc<Endpoint>], random: u64) -> Option<&Arc<Endpoint>> {
    let drawn = (random as u32 as usize).checked_rem(all.len())?;
    all.get(drawn)
}

#[cfg(test)]
mod tests;
