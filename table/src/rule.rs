//! Rules: what is done with a request that a match picked.

use std::sync::Arc;
use std::time::Duration;

use model::{Key, Name};
use policy::{Chain, Reason};

/// One rule of a route, as one set of Gateway and listener policies sees it.
#[derive(Debug)]
pub struct Rule {
    /// Its place in [`Table::rules`](crate::Table::rules).
    pub id: usize,
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
    /// Where requests go, by weight. A rule that only redirects has none.
    pub backends: Vec<Backend>,
    /// Where copies go.
    pub mirrors: Vec<Mirror>,
    /// From the request's head to the whole answer.
    pub request_timeout: Option<Duration>,
    /// For each try at a backend; none where the rule leaves it to the proxy, and
    /// [`UNBOUNDED`](Self::UNBOUNDED) where it wants no bound.
    pub backend_timeout: Option<Duration>,
}

impl Rule {
    /// A year: longer than anything waits.
    pub const UNBOUNDED: Duration = Duration::from_secs(365 * 24 * 3600);
}

/// A backend with its share. A broken one keeps its share, and answers for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backend {
    /// Its share of the sum of all weights.
    pub weight: u32,
    /// Where it leads.
    pub target: Target,
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
