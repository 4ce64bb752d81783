//! Which claims, routes and listeners are near a host, without a look at all the others.
//!
//! Hosts stand with their labels turned round (`*.shop.example.com` as `com.example.shop.*`), so
//! that all that is below a name lies side by side.

use std::collections::BTreeSet;

use imbl::{OrdMap, OrdSet};
use model::{Hostname, Key, Resource};

type Hosts = OrdMap<Box<str>, OrdSet<Key>>;

/// The hosts that are claimed, and those that are used, each with the objects that do.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Grounds {
    claims: Hosts,
    /// By routes and listeners that name a host.
    uses: Hosts,
    /// The routes that name none, and want every one.
    everywhere: OrdSet<Key>,
}

impl Grounds {
    /// Notes an object's hosts.
    pub(crate) fn add(&mut self, resource: &Resource) {
        let key = resource.key();
        if is_of_every_host(resource) {
            self.everywhere.insert(key);
            return;
        }
        let Some(hosts) = self.hosts(resource) else { return };
        for host in named(resource) {
            let place = hosts.entry(turned(host)).or_default();
            place.insert(key.clone());
        }
    }

    /// Forgets an object's hosts.
    pub(crate) fn remove(&mut self, resource: &Resource) {
        let key = resource.key();
        if is_of_every_host(resource) {
            self.everywhere.remove(&key);
            return;
        }
        let Some(hosts) = self.hosts(resource) else { return };
        for host in named(resource) {
            let host = turned(host);
            let Some(place) = hosts.get_mut(&host) else { continue };
            place.remove(&key);
            if place.is_empty() {
                hosts.remove(&host);
            }
        }
    }

    /// The objects that may come between `resource` and its traffic: their hosts meet. Whether
    /// their paths do, it does not say.
    pub(crate) fn near(&self, resource: &Resource) -> BTreeSet<Key> {
        let mut near = BTreeSet::new();
        match resource {
            Resource::Claim(_) => {
                for host in named(resource) {
                    meeting(&self.claims, host, &mut near);
                    meeting(&self.uses, host, &mut near);
                }
            }
            // A route that names no host wants every one.
            route if is_of_every_host(route) => {
                near.extend(self.claims.values().flatten().cloned());
            }
            other if other.kind().is_route() || other.kind().has_listeners() => {
                named(resource).for_each(|host| meeting(&self.claims, host, &mut near));
            }
            _ => {}
        }
        near
    }

    /// The routes that some host has in common with `route`, which may be one of them.
    pub(crate) fn rivals(&self, route: &Resource) -> BTreeSet<Key> {
        let mut near: BTreeSet<_> = self.everywhere.iter().cloned().collect();
        match is_of_every_host(route) {
            true => near.extend(self.uses.values().flatten().cloned()),
            false => named(route).for_each(|host| meeting(&self.uses, host, &mut near)),
        }
        near.retain(|key| key.kind.is_route());
        near
    }

    fn hosts(&mut self, resource: &Resource) -> Option<&mut Hosts> {
        match resource {
            Resource::Claim(_) => Some(&mut self.claims),
            other if other.kind().is_route() || other.kind().has_listeners() => {
                Some(&mut self.uses)
            }
            _ => None,
        }
    }
}

/// Whether a route wants every host, and is no route of Services, which want none.
fn is_of_every_host(resource: &Resource) -> bool {
    resource.kind().is_route() && resource.hostnames().is_empty() && !resource.is_of_services()
}

/// The hosts that an object names.
fn named(resource: &Resource) -> Box<dyn Iterator<Item = &Hostname> + '_> {
    match resource {
        Resource::Claim(claim) => Box::new(claim.spec.hosts.iter().map(|one| &one.host)),
        route if route.is_of_services() => Box::new(std::iter::empty()),
        route if route.kind().is_route() => Box::new(route.hostnames().iter()),
        other => Box::new(other.listeners().iter().filter_map(|one| one.hostname.as_ref())),
    }
}

/// A host with its labels turned round.
fn turned(host: &Hostname) -> Box<str> {
    let labels: Vec<_> = host.as_str().rsplit('.').collect();
    labels.join(".").into()
}

/// Gathers what stands at hosts that have some name in common with `host`.
fn meeting(hosts: &Hosts, host: &Hostname, near: &mut BTreeSet<Key>) {
    let own = turned(host);
    near.extend(hosts.get(&own).into_iter().flatten().cloned());
    if let Some(below) = own.strip_suffix('*') {
        let inside = hosts.range(Box::from(below)..);
        let inside = inside.take_while(|(other, _)| other.starts_with(below));
        near.extend(inside.flat_map(|(_, keys)| keys).cloned());
    }
    let above = own.match_indices('.').map(|(at, _)| format!("{}.*", &own[..at]).into_boxed_str());
    near.extend(above.filter_map(|star| hosts.get(&star)).flatten().cloned());
}

#[cfg(test)]
mod tests;
