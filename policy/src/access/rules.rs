//! The rules of one action, found so that ten thousand cost about what ten do.
//!
//! Every rule hangs on *hooks* of one dimension that it asks for: its callers, hosts, sources or
//! paths, whichever fewest other rules share. A request brings few hooks (its caller, its host
//! and the suffixes of it, its address cut to each length in use, its path and the paths above
//! it), and only what hangs there is asked. A rule that names nothing such is always asked.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

use super::rule::{Rule, Seen};
use crate::principal::Principal;

/// Fewer rules than this are asked one by one.
const FEW: usize = 16;

/// What a rule asks for and a request may bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Hook<'a> {
    /// Of whatever namespace.
    Consumer(&'a str),
    ApiKey(&'a str),
    Subject(&'a str),
    /// A host, or what stands after the star of a wildcard, with its dot.
    Host(&'a str),
    Net(IpNet),
    /// A whole path, or a prefix without the slash at its end.
    Path(&'a str),
}

/// Rules in the order in which they were written, and where to look for those that could match.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    rules: Vec<Rule>,
    consumers: BTreeMap<Box<str>, Vec<u32>>,
    api_keys: BTreeMap<Box<str>, Vec<u32>>,
    subjects: BTreeMap<Box<str>, Vec<u32>>,
    hosts: BTreeMap<Box<str>, Vec<u32>>,
    paths: BTreeMap<Box<str>, Vec<u32>>,
    /// The length of the longest path: what is cut longer need not be looked for.
    longest_path: usize,
    nets: BTreeMap<IpNet, Vec<u32>>,
    /// The prefix lengths in use, of IPv4 and of IPv6.
    lengths: [BTreeSet<u8>; 2],
    /// Rules that hang on nothing.
    anywhere: Vec<u32>,
}

impl Rules {
    pub(crate) fn new(rules: Vec<Rule>) -> Self {
        if rules.len() >= FEW {
            return Rules::indexed(rules);
        }
        let anywhere = (0..).take(rules.len()).collect();
        Rules { rules, anywhere, ..Rules::default() }
    }

    fn indexed(rules: Vec<Rule>) -> Self {
        let mut index = Rules::default();
        let hooks: Vec<_> = rules.iter().map(Rule::hooks).collect();
        let mut sharers: BTreeMap<Hook<'_>, usize> = BTreeMap::new();
        for hook in hooks.iter().flatten().flatten() {
            *sharers.entry(*hook).or_default() += 1;
        }
        for (place, dimensions) in (0..).zip(&hooks) {
            let crowd = |hooks: &&Vec<Hook<'_>>| {
                let shared = hooks.iter().map(|hook| sharers[hook]).max();
                (shared, hooks.len())
            };
            match dimensions.iter().min_by_key(crowd) {
                Some(hooks) => hooks.iter().for_each(|hook| index.hang(*hook, place)),
                None => index.anywhere.push(place),
            }
        }
        drop(hooks);
        index.rules = rules;
        index
    }

    fn hang(&mut self, hook: Hook<'_>, place: u32) {
        let places = match hook {
            Hook::Consumer(name) => self.consumers.entry(name.into()).or_default(),
            Hook::ApiKey(name) => self.api_keys.entry(name.into()).or_default(),
            Hook::Subject(name) => self.subjects.entry(name.into()).or_default(),
            Hook::Host(host) => self.hosts.entry(host.into()).or_default(),
            Hook::Path(path) => {
                self.longest_path = self.longest_path.max(path.len());
                self.paths.entry(path.into()).or_default()
            }
            Hook::Net(net) => {
                self.lengths[usize::from(net.addr().is_ipv6())].insert(net.prefix_len());
                self.nets.entry(net).or_default()
            }
        };
        // One rule may name the same thing twice.
        if places.last() != Some(&place) {
            places.push(place);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.rules.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter()
    }

    /// The first rule, as written, that means what is seen.
    pub(crate) fn first_matching(&self, seen: &Seen<'_>) -> Option<&Rule> {
        // What most hang on is not told of a connection.
        if !seen.facts.layer.is_read() {
            return self.rules.iter().find(|rule| rule.matches(seen));
        }
        let mut first = Search { rules: &self.rules, seen, found: usize::MAX };
        first.among(Some(&self.anywhere));
        if self.anywhere.len() < self.rules.len() {
            self.search_callers(&mut first);
            self.search_hosts(&mut first);
            self.search_nets(&mut first);
            self.search_paths(&mut first);
        }
        self.rules.get(first.found)
    }

    fn search_callers(&self, first: &mut Search<'_>) {
        if self.consumers.is_empty() && self.api_keys.is_empty() && self.subjects.is_empty() {
            return;
        }
        for one in first.seen.known.at(first.seen.level) {
            match &*one.principal {
                Principal::Consumer { name, .. } => first.among(self.consumers.get(name.as_str())),
                Principal::ApiKey { name } => first.among(self.api_keys.get(name.as_str())),
                Principal::Jwt { subject: Some(subject), .. } => {
                    first.among(self.subjects.get(subject.as_str()));
                }
                Principal::Jwt { subject: None, .. } => {}
            }
        }
    }

    fn search_hosts(&self, first: &mut Search<'_>) {
        if self.hosts.is_empty() {
            return;
        }
        let host = first.seen.facts.host;
        first.among(self.hosts.get(host));
        for (dot, _) in host.match_indices('.') {
            first.among(self.hosts.get(&host[dot..]));
        }
    }

    fn search_nets(&self, first: &mut Search<'_>) {
        let address = first.seen.source();
        for length in &self.lengths[usize::from(address.is_ipv6())] {
            let net = IpNet::new(address, *length).map(|net| net.trunc());
            first.among(net.ok().and_then(|net| self.nets.get(&net)));
        }
    }

    fn search_paths(&self, first: &mut Search<'_>) {
        if self.paths.is_empty() {
            return;
        }
        let path = first.seen.facts.path;
        first.among(self.paths.get(path));
        first.among(self.paths.get("/"));
        let above = path.match_indices('/').skip(1).map(|(slash, _)| slash);
        for slash in above.take_while(|slash| *slash <= self.longest_path) {
            first.among(self.paths.get(&path[..slash]));
        }
    }
}

/// The first match so far.
struct Search<'a> {
    rules: &'a [Rule],
    seen: &'a Seen<'a>,
    found: usize,
}

impl Search<'_> {
    /// Asks the rules at `places`, which ascend, up to the first that matches.
    fn among(&mut self, places: Option<&Vec<u32>>) {
        for place in places.into_iter().flatten() {
            let place = *place as usize;
            if place >= self.found {
                return;
            }
            if self.rules[place].matches(self.seen) {
                self.found = place;
                return;
            }
        }
    }
}

/// `address` and `length` as a hook.
pub(super) fn net(address: impl Into<IpAddr>, length: u8) -> Option<Hook<'static>> {
    IpNet::new(address.into(), length).ok().map(|net| Hook::Net(net.trunc()))
}

#[cfg(test)]
mod tests;
