//! The endpoints to which the connections of a room lead, by the table in force.

use std::sync::{Arc, Weak};

use model::service::AppProtocol;

use crate::live::Endpoint;
use crate::pool::Pool;

/// As many requests one connection of HTTP/2 bears at the least (RFC 9113, section 6.5.2), and an endpoint often
/// has but one.
const STREAMS: u32 = 100;

/// How near an endpoint is; what is nearest comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// In this process's zone, where that is preferred.
    Own,
    /// Elsewhere in this cluster.
    Near,
    /// In another cluster.
    Far,
}

/// One of them.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) level: Level,
    pub(crate) endpoint: Weak<Endpoint>,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Members {
    all: Vec<Member>,
    /// Whether connections to some of them are shared.
    shares: bool,
}

impl Members {
    pub(super) fn new(all: Vec<Member>) -> Self {
        let is_shared = |one: &Arc<Endpoint>| one.protocol == AppProtocol::H2c;
        let shares = all.iter().filter_map(|one| one.endpoint.upgrade()).any(|one| is_shared(&one));
        Members { all, shares }
    }

    /// One that has shared connections, and no request under way.
    pub(super) fn unused(&self) -> Option<Arc<Endpoint>> {
        if !self.shares {
            return None;
        }
        let is_shared = |one: &Arc<Endpoint>| one.pools.iter().any(Pool::is_shared);
        let mut all = self.all().map(|(_, one)| one);
        all.find(|one| one.load.under_way() == 0 && is_shared(one))
    }

    /// Those that are there.
    pub(super) fn all(&self) -> impl Iterator<Item = (Level, Arc<Endpoint>)> {
        self.all.iter().filter_map(|one| Some((one.level, one.endpoint.upgrade()?)))
    }

    /// Where who meant to go to an endpoint goes in its stead: to the one that balancing would rather have,
    /// of those at which there is what `has` looks for.
    pub(super) fn instead<T>(
        &self,
        meant: &Arc<Endpoint>,
        has: impl Fn(&Arc<Endpoint>) -> Option<T>,
    ) -> Option<(Arc<Endpoint>, T)> {
        let is_meant = |one: &&Member| std::ptr::eq(one.endpoint.as_ptr(), Arc::as_ptr(meant));
        let level = self.all.iter().find(is_meant).map(|one| one.level);
        let others = self.all().filter(|(_, other)| !Arc::ptr_eq(other, meant));
        let having = others.filter_map(|(at, other)| {
            let found = has(&other)?;
            // Of the same level at first, then the nearest; but for what is left of those, not where requests
            // would wait on the connection for each other.
            let under_way = other.load.under_way();
            let is_full = under_way >= STREAMS;
            let cost = (!other.load.is_well(), is_full, level != Some(at), at, under_way);
            Some((cost, other, found))
        });
        let best = having.min_by_key(|(cost, ..)| *cost)?;
        Some((best.1, best.2))
    }
}
