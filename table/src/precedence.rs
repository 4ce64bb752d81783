//! Precedence: of all matches that fit a request, the smallest wins.
//!
//! The order is that of the Gateway API's HTTPRoute.
//! First the host name, by the index itself: a route's own host names count, so a route without any
//! comes after one that names the host.
//! Then path, method, number of headers, number of query parameters, age of the route, its
//! `namespace/name`, and the order of rules and matches within it.
//! The specification leaves regular expressions open: here they come after exact paths and before
//! prefixes, longer ones first, since a prefix `/` would otherwise hide every one of them.
//! A GRPCRoute's order, by letters of the service, then of the method, then by headers, is the same
//! over the paths by which its methods are called.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use model::Hostname;

/// How specific a route's host name is; the smaller wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum HostRank {
    /// The very name.
    Exact,
    /// A wildcard, longer ones first.
    Wildcard(std::cmp::Reverse<usize>),
    /// The route names no host.
    Any,
}

impl HostRank {
    /// The rank of a route's own host name.
    pub(crate) fn of(name: Option<&Hostname>) -> Self {
        match name {
            None => HostRank::Any,
            Some(name) => match name.suffix() {
                Some(suffix) => HostRank::Wildcard(std::cmp::Reverse(suffix.len())),
                None => HostRank::Exact,
            },
        }
    }
}

/// How specific a path is; the smaller wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum PathRank {
    /// The whole path.
    Exact,
    /// A regular expression, longer ones first.
    Expression(std::cmp::Reverse<usize>),
    /// A prefix, longer ones first; of gRPC's calls of any service's method, for which the prefix is the
    /// root, longer names first.
    Prefix(std::cmp::Reverse<usize>, std::cmp::Reverse<usize>),
}

/// The place of one match among those of the same host name; the smaller wins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rank {
    pub(crate) path: PathRank,
    pub(crate) method: bool,
    pub(crate) headers: usize,
    pub(crate) queries: usize,
    /// Nanoseconds since 1970; none counts as oldest.
    pub(crate) created: Option<i128>,
    /// `namespace/name`, compared as one text.
    pub(crate) route: Arc<str>,
    pub(crate) rule: usize,
    pub(crate) index: usize,
}

/// What set two matches apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    Host,
    Path,
    Method,
    Headers,
    Queries,
    Age,
    Name,
    Order,
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            By::Host => "its host name is less specific",
            By::Path => "its path is less specific",
            By::Method => "it names no method",
            By::Headers => "it names fewer headers",
            By::Queries => "it names fewer query parameters",
            By::Age => "its route is younger",
            By::Name => "its route comes later in the alphabet",
            By::Order => "it stands later in the route",
        })
    }
}

impl Rank {
    /// The order of two matches, and what set them apart.
    pub(crate) fn compare(&self, other: &Rank) -> (Ordering, By) {
        let steps = [
            (self.path.cmp(&other.path), By::Path),
            (other.method.cmp(&self.method), By::Method),
            (other.headers.cmp(&self.headers), By::Headers),
            (other.queries.cmp(&self.queries), By::Queries),
            (self.created.cmp(&other.created), By::Age),
            (self.route.cmp(&other.route), By::Name),
        ];
        let decided = steps.into_iter().find(|(order, _)| order.is_ne());
        let last = (self.rule, self.index).cmp(&(other.rule, other.index));
        decided.unwrap_or((last, By::Order))
    }
}

impl Ord for Rank {
    fn cmp(&self, other: &Self) -> Ordering {
        self.compare(other).0
    }
}

impl PartialOrd for Rank {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
