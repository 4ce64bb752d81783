//! The index of a listener: host, then path, then the few matches that share both.
//!
//! Exact paths stand in a hash map, prefixes in a tree of path elements, and regular expressions in
//! a list, each list in the order of precedence.
//! A lookup walks down one branch of the tree and back up until a match holds.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use model::route::{GrpcRoute, HttpMatch, HttpRoute};
use model::service::Transport;
use model::{Hostname, Kind, Name};
use policy::pattern::{HeaderPattern, PathPattern, PatternError, QueryPattern};
use policy::{Facts, Layer};

use crate::claimed::{Claimed, Holder};
use crate::hosts::Hosts;
use crate::precedence::{HostRank, PathRank, Rank};
use paths::Paths;

mod paths;

#[cfg(test)]
pub(crate) use paths::VISITED;

/// What routes of a kind lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Leads {
    /// Requests of HTTP.
    Requests,
    /// Calls of gRPC, which need HTTP/2.
    Calls,
    /// Connections, of which no request is read.
    Connections,
    /// Datagrams of UDP.
    Datagrams,
}

impl Leads {
    /// What routes of `kind` lead.
    pub(crate) fn of(kind: Kind) -> Self {
        match kind {
            Kind::GrpcRoute => Leads::Calls,
            Kind::TlsRoute | Kind::TcpRoute => Leads::Connections,
            Kind::UdpRoute => Leads::Datagrams,
            _ => Leads::Requests,
        }
    }

    /// What carries what it leads.
    pub(crate) const fn transport(self) -> Transport {
        match self {
            Leads::Requests | Leads::Calls | Leads::Connections => Transport::Tcp,
            Leads::Datagrams => Transport::Udp,
        }
    }

    /// Whether a request is read of it.
    pub(crate) const fn is_read(self) -> bool {
        match self {
            Leads::Requests | Leads::Calls => true,
            Leads::Connections | Leads::Datagrams => false,
        }
    }
}

/// A route whose patterns are compiled; shared by every listener and every table that has it.
#[derive(Debug)]
pub(crate) struct Compiled {
    /// What is written, in the words of an HTTPRoute.
    pub(crate) source: Arc<HttpRoute>,
    /// What it leads.
    pub(crate) leads: Leads,
    /// The matches of each rule.
    pub(crate) rules: Vec<Vec<Arc<Match>>>,
}

/// One match of a rule, compiled.
#[derive(Debug)]
pub(crate) struct Match {
    pub(crate) rank: Rank,
    pub(crate) source: Arc<HttpRoute>,
    pub(crate) path: PathPattern,
    pub(crate) method: Option<http::Method>,
    pub(crate) headers: Vec<HeaderPattern>,
    pub(crate) queries: Vec<QueryPattern>,
}

/// A match, and the rule of this table that it leads to.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) rule: usize,
    pub(crate) of: Arc<Match>,
}

/// What is attached to one listener.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    hosts: Hosts<Paths>,
    /// What strays of each namespace were meant for, and which its other routes must not answer.
    shut: BTreeMap<Name, Hosts<Paths>>,
    all: Vec<Entry>,
    /// What others hold, where anybody claims anything.
    pub(crate) claimed: Option<Arc<Claimed>>,
}

impl Compiled {
    /// Compiles every pattern of a route.
    ///
    /// # Errors
    /// The patterns that do not compile, by their path in the object.
    pub(crate) fn new(source: &Arc<HttpRoute>) -> Result<Self, Vec<(String, PatternError)>> {
        Compiled::by(source, Leads::Requests, |_, _, written| PathPattern::compile(&written.path))
    }

    /// The same of a route for gRPC.
    ///
    /// # Errors
    /// As above.
    pub(crate) fn of_grpc(route: &GrpcRoute) -> Result<Self, Vec<(String, PatternError)>> {
        Compiled::by(&Arc::new(route.as_http()), Leads::Calls, |rule, index, written| {
            let of = route.spec.rules.get(rule).and_then(|rule| rule.matches.get(index));
            match of.and_then(|of| of.method.as_ref()) {
                Some(method) => PathPattern::of_call(method),
                None => PathPattern::compile(&written.path),
            }
        })
    }

    /// The same of a route for connections or datagrams, in the words of an HTTPRoute.
    ///
    /// # Errors
    /// As above.
    pub(crate) fn of_connections(
        route: HttpRoute,
        leads: Leads,
    ) -> Result<Self, Vec<(String, PatternError)>> {
        let path = |_, _, written: &HttpMatch| PathPattern::compile(&written.path);
        Compiled::by(&Arc::new(route), leads, path)
    }

    /// Compiles a route; the path of each match, by rule and place, is compiled by `path`.
    fn by(
        source: &Arc<HttpRoute>,
        leads: Leads,
        path: impl Fn(usize, usize, &HttpMatch) -> Result<PathPattern, PatternError>,
    ) -> Result<Self, Vec<(String, PatternError)>> {
        let source = without_idle_hosts(source);
        let (mut rules, mut faults) = (Vec::new(), Vec::new());
        let everything = [HttpMatch::default()];
        for (rule, written) in source.spec.rules.iter().enumerate() {
            let none = written.matches.is_empty();
            let matches = if none { &everything[..] } else { &written.matches };
            let mut compiled = Vec::with_capacity(matches.len());
            for (index, one) in matches.iter().enumerate() {
                let path = path(rule, index, one);
                match path.and_then(|path| Match::new(&source, one, path, (rule, index))) {
                    Ok(one) => compiled.push(Arc::new(one)),
                    Err(error) => {
                        faults.push((format!("spec.rules[{rule}].matches[{index}]"), error));
                    }
                }
            }
            rules.push(compiled);
        }
        if faults.is_empty() { Ok(Compiled { source, leads, rules }) } else { Err(faults) }
    }

    /// The route's own host names; one `None` where it names none.
    pub(crate) fn hosts(&self) -> impl Iterator<Item = Option<&Hostname>> {
        let names = &self.source.spec.hostnames;
        names.iter().map(Some).chain(names.is_empty().then_some(None))
    }
}

/// The route without host names where it attaches to Services, of which they say nothing (GEP-1426).
fn without_idle_hosts(route: &Arc<HttpRoute>) -> Arc<HttpRoute> {
    let mut route = Arc::clone(route);
    if route.is_of_services() && !route.spec.hostnames.is_empty() {
        Arc::make_mut(&mut route).spec.hostnames.clear();
    }
    route
}

impl Match {
    fn new(
        source: &Arc<HttpRoute>,
        written: &HttpMatch,
        path: PathPattern,
        (rule, index): (usize, usize),
    ) -> Result<Self, PatternError> {
        let headers: Result<_, _> = written.headers.iter().map(HeaderPattern::compile).collect();
        let queries: Result<_, _> =
            written.query_params.iter().map(QueryPattern::compile).collect();
        let method = written.method.map(|method| method.as_str().as_bytes());
        Ok(Match {
            rank: rank(source, written, path_rank(&path), (rule, index)),
            source: Arc::clone(source),
            path,
            method: method.and_then(|word| http::Method::from_bytes(word).ok()),
            headers: headers?,
            queries: queries?,
        })
    }

    /// What was written; `None` where the rule has no matches and so means everything.
    pub(crate) fn written(&self) -> Option<&HttpMatch> {
        self.source.spec.rules.get(self.rank.rule)?.matches.get(self.rank.index)
    }

    /// The most specific of the route's own host names that means `host`; `Some(None)` where the
    /// route names none.
    pub(crate) fn best_host(&self, host: &str) -> Option<Option<&Hostname>> {
        let names = &self.source.spec.hostnames;
        if names.is_empty() {
            return Some(None);
        }
        let fitting = names.iter().filter(|name| name.matches(host));
        fitting.min_by_key(|name| HostRank::of(Some(name))).map(Some)
    }

    /// How specific it is for `host`, all but host and path left aside; the smaller wins.
    fn place(&self, host: &str) -> (Option<HostRank>, PathRank) {
        (self.best_host(host).map(HostRank::of), self.rank.path)
    }

    /// The prefix, if this match is by prefix.
    pub(crate) fn prefix(&self) -> Option<&str> {
        self.path.prefix()
    }

    /// Whether all but host and path holds.
    pub(crate) fn holds(&self, facts: &Facts<'_>) -> bool {
        self.method.as_ref().is_none_or(|method| method == facts.method)
            && self.headers.iter().all(|header| header.matches(facts.headers))
            && self.queries.iter().all(|query| query.matches(facts.query))
    }
}

/// A prefix counts in its normal form: one that is only written longer wins nothing.
fn path_rank(path: &PathPattern) -> PathRank {
    if path.exact().is_some() {
        return PathRank::Exact;
    }
    if let Some(len) = path.expression_len() {
        return PathRank::Expression(Reverse(len));
    }
    let method = path.method_alone().map_or(0, <[u8]>::len);
    PathRank::Prefix(Reverse(path.prefix().unwrap_or("/").len()), Reverse(method))
}

fn rank(
    source: &HttpRoute,
    written: &HttpMatch,
    path: PathRank,
    (rule, index): (usize, usize),
) -> Rank {
    let meta = &source.metadata;
    Rank {
        path,
        method: written.method.is_some(),
        headers: written.headers.len(),
        queries: written.query_params.len(),
        created: meta.creation_timestamp.map(|at| at.unix_timestamp_nanos()),
        route: format!("{}/{}", meta.namespace, meta.name).into(),
        rule,
        index,
    }
}

impl Routes {
    /// Puts matches of one rule in, under a host name of their route.
    pub(crate) fn add(&mut self, host: Option<&Hostname>, matches: &[Arc<Match>], rule: usize) {
        put(&mut self.hosts, [host].into_iter(), matches, rule);
        self.all.extend(matches.iter().map(|of| Entry { rule, of: Arc::clone(of) }));
    }

    /// Closes the matches of one rule of a stray to the other routes of its namespace.
    pub(crate) fn shut<'a>(
        &mut self,
        namespace: &Name,
        hosts: impl Iterator<Item = Option<&'a Hostname>>,
        matches: &[Arc<Match>],
        rule: usize,
    ) {
        let index = self.shut.entry(namespace.clone()).or_default();
        put(index, hosts, matches, rule);
    }

    /// Every entry once, in the order of precedence, for [`why`](crate::why).
    pub(crate) fn all(&self) -> Vec<&Entry> {
        let mut all: Vec<_> = self.all.iter().collect();
        all.sort_by(|a, b| a.of.rank.cmp(&b.of.rank));
        all.dedup_by(|a, b| Arc::ptr_eq(&a.of, &b.of));
        all
    }

    /// The matches that share a host and, but for expressions, a path, in the order of precedence.
    pub(crate) fn lists(&self) -> impl Iterator<Item = &[Entry]> {
        self.hosts.values().flat_map(Paths::lists)
    }

    /// Brings every list into the order of precedence.
    pub(crate) fn sort(&mut self) {
        let shut = self.shut.values_mut().flat_map(Hosts::values_mut);
        self.hosts.values_mut().chain(shut).for_each(Paths::sort);
    }

    /// The entry that wins. A host name whose rules do not fit leaves the request to less specific
    /// ones.
    pub(crate) fn find(&self, facts: &Facts<'_>) -> Option<&Entry> {
        let entry = first(&self.hosts, facts)?;
        if self.claimed.is_some() && self.keeps(&entry.of, facts) {
            return None;
        }
        Some(self.instead(entry, facts).unwrap_or(entry))
    }

    /// Whether a match that names no host must not answer a request, since others hold that. One
    /// that names its hosts is attached only where nobody else holds anything.
    fn keeps(&self, of: &Match, facts: &Facts<'_>) -> bool {
        of.source.spec.hostnames.is_empty() && self.holder(of, facts).is_some()
    }

    /// Another owner than that of a match who holds what a request asks for.
    pub(crate) fn holder(&self, of: &Match, facts: &Facts<'_>) -> Option<&Holder> {
        let namespace = &of.source.metadata.namespace;
        let claimed = self.claimed.as_ref()?;
        match facts.layer {
            Layer::Request => claimed.holder(namespace, facts.host, facts.path),
            Layer::Connection | Layer::Datagrams => claimed.holder_of_any(namespace, facts.host),
        }
    }

    /// The closed entry that keeps a request from `entry`, if its namespace has one there. An
    /// entry of another namespace is never kept from its requests.
    fn instead(&self, entry: &Entry, facts: &Facts<'_>) -> Option<&Entry> {
        let own = self.shut.get(&entry.of.source.metadata.namespace)?;
        let shut = first(own, facts)?;
        (shut.of.place(facts.host) <= entry.of.place(facts.host)).then_some(shut)
    }
}

/// Puts matches under each of the hosts.
fn put<'a>(
    index: &mut Hosts<Paths>,
    hosts: impl Iterator<Item = Option<&'a Hostname>>,
    matches: &[Arc<Match>],
    rule: usize,
) {
    for host in hosts {
        let paths = index.entry(host, Paths::default);
        for of in matches {
            paths.add(Entry { rule, of: Arc::clone(of) });
        }
    }
}

/// The first entry that fits, from the most specific host on.
fn first<'a>(index: &'a Hosts<Paths>, facts: &Facts<'_>) -> Option<&'a Entry> {
    index.matching(facts.host).find_map(|paths| paths.find(facts))
}
