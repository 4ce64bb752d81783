//! Who holds which hosts and paths, by the Claims of workspaces.
//!
//! This is the second line: the control plane's door refuses what would come between another
//! workspace and its traffic, and what came past the door is not attached here.
//! A route that names no host was there first, maybe, and stays; but it answers nothing that is held.
//! What is the platform's own is never refused: what it opens is open to all.
//!
//! Claims are found by host, then by path, so the cost of a route is that of its own hosts.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Bound;
use std::sync::Arc;

use model::claim::{Claim, Ground};
use model::{Hostname, Invalid, Key, Kind, Name, Resource, Scope};

use crate::assemble::borders::{Borders, in_words};
use crate::hosts::Hosts;
use crate::isolate::{Settled, fault};
use crate::route::{Compiled, Match};

/// What is held, by whom.
#[derive(Debug, Default)]
pub(crate) struct Claimed {
    hosts: Hosts<Paths>,
    /// The same host names by their labels from the last to the first, to find those below one.
    names: BTreeMap<String, Hostname>,
    /// Of each namespace that is in a workspace.
    scopes: BTreeMap<Name, Scope>,
}

/// What is held of one host name, by path as [`Ground`] writes it.
type Paths = BTreeMap<String, Holder>;

/// Who holds a ground.
#[derive(Debug, Clone)]
pub(crate) struct Holder {
    scope: Scope,
    claim: Key,
    ground: String,
}

/// The matches of a route that are on another's ground: its host, rule and match, each by its place.
pub(crate) type Refused = BTreeSet<(usize, usize, usize)>;

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Holder { scope, claim, ground } = self;
        write!(f, "'{ground}', which {} holds by {claim}", in_words(scope))
    }
}

impl Claimed {
    /// Of claims that overlap across workspaces the oldest holds, as with listeners.
    pub(crate) fn new(settled: &Settled, borders: &Borders, faults: &mut Vec<Invalid>) -> Self {
        let mut claimed = Claimed { scopes: borders.scopes(), ..Claimed::default() };
        for (key, claim) in by_age(settled) {
            let scope = borders.scope(&key.namespace);
            for (index, host) in claim.spec.hosts.iter().enumerate() {
                for ground in host.grounds() {
                    if let Some(holder) = claimed.overlap(&scope, &ground) {
                        let text =
                            format!("'{ground}' overlaps with {holder}; the older one holds");
                        faults.push(fault(key, &format!("spec.hosts[{index}]"), text));
                        continue;
                    }
                    claimed.take(&host.host, key, &scope, &ground);
                }
            }
        }
        claimed
    }

    fn take(&mut self, host: &Hostname, claim: &Key, scope: &Scope, ground: &Ground<'_>) {
        let holder =
            Holder { scope: scope.clone(), claim: claim.clone(), ground: ground.to_string() };
        let paths = self.hosts.entry(Some(host), Paths::default);
        paths.entry(ground.path.clone().into_owned()).or_insert(holder);
        self.names.insert(backwards(host.as_str()), host.clone());
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Somebody else than `own` who holds what some request of `ground` falls on. Whoever names no
    /// host asks for none that is held.
    fn overlap<'c>(&'c self, own: &Scope, ground: &Ground<'_>) -> Option<&'c Holder> {
        let mut holders = self.holders(ground.host?, &ground.path);
        holders.find(|holder| visit(holder).scope != *own)
    }

    /// Whether the owner of a namespace holds something of a host.
    pub(crate) fn holds(&self, namespace: &Name, host: &Hostname) -> bool {
        let own = self.scopes.get(namespace);
        own.is_some_and(|own| self.holders(host, "/").any(|holder| holder.scope == *own))
    }

    /// Whether two namespaces have one owner.
    pub(crate) fn are_one(&self, one: &Name, other: &Name) -> bool {
        one == other || self.scopes.get(one) == self.scopes.get(other)
    }

    /// Everybody who holds what some request for a host and path prefix falls on.
    fn holders<'c, 'p>(
        &'c self,
        host: &'p Hostname,
        path: &'p str,
    ) -> impl Iterator<Item = &'c Holder> + use<'c, 'p> {
        let above = self.hosts.matching(host.as_str());
        let below = host.suffix().map(|suffix| {
            let prefix = backwards(suffix);
            let names = self.names.range(prefix.clone()..);
            let names = names.take_while(move |(name, _)| name.starts_with(&prefix));
            names.filter_map(|(_, name)| self.hosts.get(Some(name)))
        });
        let all = above.chain(below.into_iter().flatten());
        all.flat_map(move |paths| over(paths, path).chain(under(paths, path)))
    }

    /// Who keeps a listener with a host name from serving it.
    pub(crate) fn of_listener(&self, owner: &Key, host: &Hostname) -> Option<String> {
        let own = self.scopes.get(&owner.namespace)?;
        let ground = Ground::new(Some(host), "/");
        let holder = self.overlap(own, &ground)?;
        Some(format!("'{ground}' overlaps with {holder}"))
    }

    /// The matches of a route that are not attached, with a fault for the first of each host.
    pub(crate) fn of_route(
        &self,
        key: &Key,
        route: &Compiled,
        faults: &mut Vec<Invalid>,
    ) -> Refused {
        let mut refused = Refused::new();
        let Some(own) = self.scopes.get(&key.namespace).filter(|_| !self.is_empty()) else {
            return refused;
        };
        for (at, host) in route.source.spec.hostnames.iter().enumerate() {
            let matches = route.rules.iter().enumerate().flat_map(|(rule, matches)| {
                matches.iter().enumerate().map(move |(index, one)| (rule, index, one))
            });
            let mut told = false;
            for (rule, index, one) in matches {
                let ground = Ground::new(Some(host), path_of(one));
                let Some(holder) = self.overlap(own, &ground) else { continue };
                refused.insert((at, rule, index));
                if !std::mem::replace(&mut told, true) {
                    let text = format!(
                        "'{ground}' overlaps with {holder}; the route does not answer there"
                    );
                    faults.push(fault(key, &format!("spec.hostnames[{at}]"), text));
                }
            }
        }
        refused
    }

    /// Somebody else than the owner of `namespace` who holds what a request asks for. Paths without
    /// upper case are looked up as they are.
    pub(crate) fn holder(&self, namespace: &Name, host: &str, path: &str) -> Option<&Holder> {
        let own = self.scopes.get(namespace)?;
        let path = match path.bytes().any(|byte| byte.is_ascii_uppercase()) {
            true => Cow::Owned(path.to_ascii_lowercase()),
            false => Cow::Borrowed(path),
        };
        let mut holders = self.hosts.matching(host).flat_map(|paths| over(paths, &path));
        holders.find(|holder| holder.scope != *own)
    }

    /// Somebody else than the owner of `namespace` who holds some path of a host: of a connection nobody
    /// knows which ones are asked for.
    pub(crate) fn holder_of_any(&self, namespace: &Name, host: &str) -> Option<&Holder> {
        let own = self.scopes.get(namespace)?;
        let mut holders = self.hosts.matching(host).flat_map(BTreeMap::values);
        holders.find(|holder| holder.scope != *own)
    }
}

/// Claims, the oldest first; without a time they count as oldest, and by name among themselves. Those
/// that cannot be read hold what is left.
fn by_age(settled: &Settled) -> Vec<(&Key, &Arc<Claim>)> {
    let claims = settled.of_kind(Kind::Claim).filter_map(|(key, item)| match &item.resource {
        Resource::Claim(claim) => Some((key, claim)),
        _ => None,
    });
    let mut claims: Vec<_> = claims.collect();
    claims.sort_by_cached_key(|(key, claim)| {
        (claim.metadata.creation_timestamp, format!("{}/{}", key.namespace, key.name))
    });
    claims.extend(&settled.unread_claims);
    claims
}

/// The path prefix that a match asks for at least: all of them where that cannot be told.
fn path_of(of: &Match) -> &str {
    of.path.exact().or(of.prefix()).unwrap_or("/")
}

/// What is held at `path` or above it.
fn over<'c>(paths: &'c Paths, path: &str) -> impl Iterator<Item = &'c Holder> {
    let ends = path.match_indices('/').map(|(at, _)| at.max(1)).chain([path.len()]);
    ends.filter_map(move |end| paths.get(&path[..end]))
}

/// What is held below `path`.
fn under<'c>(paths: &'c Paths, path: &str) -> impl Iterator<Item = &'c Holder> {
    let prefix = if path == "/" { path.to_owned() } else { format!("{path}/") };
    let from = (Bound::Included(prefix.clone()), Bound::Unbounded);
    let below = paths.range(from).take_while(move |(path, _)| path.starts_with(&prefix));
    below.map(|(_, holder)| holder)
}

#[cfg(test)]
thread_local! {
    /// How many holders this thread has looked at while assembling.
    pub(crate) static VISITED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// A holder; tests count how many are looked at.
fn visit(holder: &Holder) -> &Holder {
    #[cfg(test)]
    VISITED.with(|visited| visited.set(visited.get() + 1));
    holder
}

/// `a.example.com` as `com.example.a`, `.example.com` as `com.example.`.
pub(crate) fn backwards(name: &str) -> String {
    name.rsplit('.').collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests;
