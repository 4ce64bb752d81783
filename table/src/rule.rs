//! Rules: what is done with a request that a match picked.

use std::slice;
use std::sync::Arc;
use std::time::Duration;

use model::{Key, Name};
use policy::{Chain, Reason};

use crate::Session;

/// One rule of a route, as one set of Gateway and listener policies sees it. Tables that follow
/// each other share those that did not change.
#[derive(Debug)]
pub struct Rule {
    /// The route.
    pub route: Key,
    /// Which rule of the route, counted from 0.
    pub index: usize,
    /// The rule's name, if it has one.
    pub name: Option<Name>,
    /// `namespace/route/name`, or the index where the rule has no name: for metrics and logs.
    pub label: Arc<str>,
    /// Policies and filters.
    pub chain: Chain,
    /// Where requests go. A rule that only redirects has none.
    pub backends: Backends,
    /// Where copies go.
    pub mirrors: Vec<Mirror>,
    /// From the request's head to the whole answer.
    pub request_timeout: Option<Duration>,
    /// For each try at a backend; none where the rule leaves it to the proxy, and
    /// [`UNBOUNDED`](Self::UNBOUNDED) where it wants no bound.
    pub backend_timeout: Option<Duration>,
    /// When a request is sent again that was sent; never where the rule says nothing of it.
    pub retry: Option<Box<Retry>>,
    /// By what requests are known that go to one and the same endpoint.
    pub session: Option<Box<Session>>,
}

/// When, and how often, a request is sent again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// The statuses of answers that are not passed on, in order.
    pub codes: Box<[u16]>,
    /// How often it may be sent again.
    pub attempts: u32,
    /// The least time before it is sent again, twice as long each further time.
    pub backoff: Duration,
}

impl Rule {
    /// A year: longer than anything waits.
    pub const UNBOUNDED: Duration = Duration::from_secs(365 * 24 * 3600);
}

/// Backends that share requests by weight.
#[derive(Debug, Clone, Default)]
pub struct Backends {
    all: Vec<Backend>,
    /// Running sums of the weights.
    sums: Box<[u32]>,
}

impl Backends {
    /// Of these.
    pub(crate) fn new(all: Vec<Backend>) -> Self {
        let mut sum = 0u32;
        let add = |backend: &Backend| {
            sum = sum.saturating_add(backend.weight);
            sum
        };
        let sums = all.iter().map(add).collect();
        Backends { all, sums }
    }

    /// All, as they were written.
    pub fn iter(&self) -> slice::Iter<'_, Backend> {
        self.all.iter()
    }

    /// Where the backend that `random` falls on leads; `None` where no weight is above 0.
    pub fn target(&self, random: u32) -> Option<&Target> {
        self.drawn(random).map(|backend| &backend.target)
    }

    /// The backend that `random` falls on; `None` where no weight is above 0.
    pub fn drawn(&self, random: u32) -> Option<&Backend> {
        if let [only] = self.all.as_slice()
            && only.weight > 0
        {
            return Some(only);
        }
        let whole = *self.sums.last()?;
        if whole == 0 {
            return None;
        }
        let drawn = (u64::from(random) * u64::from(whole)) >> 32;
        let at = self.sums.partition_point(|sum| u64::from(*sum) <= drawn);
        self.all.get(at)
    }

    /// The backend that `random` falls on of those that count; `None` where none of them has a weight above 0.
    pub fn drawn_of(&self, random: u32, counts: impl Fn(&Backend) -> bool) -> Option<&Backend> {
        let those = || self.all.iter().filter(|backend| counts(backend));
        let whole: u128 = those().map(|backend| u128::from(backend.weight)).sum();
        let mut drawn = (u128::from(random) * whole) >> 32;
        let mut those = those();
        those.find(|backend| {
            let weight = u128::from(backend.weight);
            let is_it = drawn < weight;
            drawn = drawn.saturating_sub(weight);
            is_it
        })
    }
}

/// A backend with its share. A broken one keeps its share, and answers for it.
#[derive(Debug, Clone)]
pub struct Backend {
    /// Its share of the sum of all weights.
    pub weight: u32,
    /// Where it leads.
    pub target: Target,
    /// Filters of its own, if it has any.
    pub filters: Option<Arc<Filters>>,
}

impl Backend {
    /// All of a rule's requests, as they are.
    pub(crate) fn whole(target: Target) -> Self {
        Backend { weight: 1, target, filters: None }
    }
}

/// What is done to the requests of one backend, after what its rule does.
#[derive(Debug)]
pub struct Filters {
    /// Redirect, headers and rewrite; it has no policies.
    pub chain: Chain,
    /// Where copies go.
    pub mirrors: Vec<Mirror>,
}

/// Where a reference leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// To a service: its place in [`Table::services`](crate::Table::services).
    Service(usize),
    /// Nowhere; requests are answered with this.
    Broken(Reason),
}

/// A copy of some requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// Who gets it.
    pub target: Target,
    /// Of `denominator` requests, how many are copied.
    pub numerator: u32,
    /// See `numerator`; never 0.
    pub denominator: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_those_that_count_each_is_drawn_by_its_share() {
        let weights = [3, 0, 5, 1, u32::MAX];
        let all = weights.map(|weight| Backend {
            weight,
            ..Backend::whole(Target::Broken(Reason::BackendMissing))
        });
        let backends = Backends::new(all.to_vec());
        let small = |one: &Backend| one.weight < 9;
        let drawn = |of_ninth: u64| {
            let random = ((of_ninth << 32) / 9 + 1) as u32;
            backends.drawn_of(random, small).map(|one| one.weight)
        };
        assert_eq!([0, 2, 3, 7, 8].map(drawn), [3, 3, 5, 5, 1].map(Some));
        assert_eq!(backends.drawn_of(u32::MAX, small).map(|one| one.weight), Some(1));
        assert_eq!(backends.drawn_of(7, |one| one.weight == 0).map(|one| one.weight), None);
        assert_eq!(backends.drawn_of(u32::MAX, |_| true).map(|one| one.weight), Some(u32::MAX));
    }
}
