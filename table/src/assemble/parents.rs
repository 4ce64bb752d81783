//! Parents: which listeners admit a route, and which a stray would have had; of a route of Services,
//! whether they are there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::gateway::{self, ListenerSet, Protocol, RouteNamespaces, TlsMode};
use model::route::ParentRef;
use model::service::{AppProtocol, ServicePort, Transport};
use model::{Hostname, Invalid, Key, Kind, Name, Resource};

use crate::assemble::namespaces::Namespaces;
use crate::assemble::sets;
use crate::assemble::walk::Walk;
use crate::isolate::absent::listed;
use crate::isolate::stray::Stray;
use crate::isolate::{Settled, fault};
use crate::listener::Listener;
use crate::route::Compiled;

/// The listeners that admit each route, those included that do not serve.
#[derive(Debug, Default)]
pub(crate) struct Parents {
    found: BTreeMap<Key, Arc<Found>>,
    /// The listeners of each of [`Settled::strays`], all where its Gateways cannot be told.
    pub(crate) strays: Vec<BTreeSet<usize>>,
    sets: BTreeMap<Key, OfSet>,
}

/// The Gateway of a ListenerSet.
#[derive(Debug)]
struct OfSet {
    gateway: Key,
    abroad: Abroad,
    /// Whether it has no good form.
    is_lost: bool,
}

/// The parents of one route.
#[derive(Debug)]
struct Found {
    of: Arc<Compiled>,
    /// By their places.
    listeners: BTreeSet<usize>,
    abroad: Abroad,
    /// Whether it names a parent without a good form.
    is_partial: bool,
    faults: Vec<Invalid>,
}

/// The Gateways of other namespaces that a route or ListenerSet names, or those of its sets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Abroad {
    /// None.
    #[default]
    Nowhere,
    /// Each admits it.
    Attached,
    /// One is not there or does not admit it, so nobody can tell what it would offer.
    Untold,
}

impl Parents {
    /// Finds the parents of every route; one that is not there or does not admit it is a fault.
    /// Those of a route that did not change are taken over from `before`, which the surroundings
    /// must be those of; they say nothing of Services, so what is attached to those is looked at anew.
    pub(crate) fn find(
        (settled, namespaces): (&Settled, &Namespaces<'_>),
        listeners: &[Listener],
        before: Option<&Parents>,
        faults: &mut Vec<Invalid>,
    ) -> Self {
        let search = Search::new(settled, namespaces, listeners);
        let strays = settled.strays.iter().map(|stray| search.of_stray(stray, listeners.len()));
        let strays = strays.collect();
        let mut before = Walk::over(before.map(|before| &before.found));
        let found = settled.routes().map(|(key, route)| {
            let same = before.at(key).filter(|before| Arc::ptr_eq(&before.of, route));
            let same = same.filter(|_| !route.source.is_of_services());
            let found = same.cloned().unwrap_or_else(|| Arc::new(search.parents(key, route)));
            faults.extend_from_slice(&found.faults);
            (key.clone(), found)
        });
        let sets = sets::all(settled).map(|(key, set)| (key.clone(), search.of_set(key, set)));
        Parents { found: found.collect(), strays, sets: sets.collect() }
    }

    /// The listeners that admit a route, by their places.
    pub(crate) fn of(&self, route: &Key) -> &BTreeSet<usize> {
        static NONE: BTreeSet<usize> = BTreeSet::new();
        self.found.get(route).map_or(&NONE, |found| &found.listeners)
    }

    /// Whether a route or ListenerSet names a Gateway of which nobody can tell what it would be.
    pub(crate) fn are_partial(&self, object: &Key) -> bool {
        self.found.get(object).is_some_and(|found| found.is_partial)
            || self.sets.get(object).is_some_and(|set| set.is_lost)
    }

    /// The Gateways of other namespaces that an object names, which only routes and ListenerSets do.
    pub(crate) fn abroad(&self, object: &Key) -> Abroad {
        let of_route = self.found.get(object).map(|found| found.abroad);
        of_route.or(self.sets.get(object).map(|set| set.abroad)).unwrap_or_default()
    }

    /// The Gateway that a ListenerSet names.
    pub(crate) fn gateway(&self, set: &Key) -> Option<&Key> {
        self.sets.get(set).map(|set| &set.gateway)
    }
}

struct Search<'a> {
    settled: &'a Settled,
    namespaces: &'a Namespaces<'a>,
    /// Where each listener stands, by whose it is and its name.
    places: BTreeMap<(Key, Name), usize>,
}

impl<'a> Search<'a> {
    fn new(settled: &'a Settled, namespaces: &'a Namespaces<'a>, listeners: &[Listener]) -> Self {
        let named = listeners.iter().map(|one| (one.owner().clone(), one.name.clone()));
        let places = named.enumerate().map(|(at, name)| (name, at)).collect();
        Search { settled, namespaces, places }
    }

    /// The listeners that admit a route, each once, and all else that is known of its parents.
    fn parents(&self, key: &Key, of: &Arc<Compiled>) -> Found {
        let spec = &of.source.spec;
        let (mut listeners, mut abroad) = (BTreeSet::new(), Abroad::default());
        let (mut is_partial, mut faults) = (false, Vec::new());
        for (index, parent) in spec.parent_refs.iter().enumerate() {
            let name = parent.key(&key.namespace);
            let found = self.parent(key, &spec.hostnames, parent);
            let gateway = self.gateway(&name);
            let named = [Some(&name), gateway.as_ref()].into_iter().flatten();
            is_partial |= named.clone().any(|one| self.settled.lost.contains(one));
            if named.clone().any(|one| one.namespace != key.namespace) {
                let seen = if found.is_ok() { Abroad::Attached } else { Abroad::Untold };
                abroad = abroad.max(seen);
            }
            match found {
                Ok(found) => listeners.extend(found),
                Err(_) if self.settled.is_elsewhere(&name) => {}
                Err(Obstacle { field, reason }) => {
                    faults.push(fault(key, &format!("spec.parentRefs[{index}]{field}"), reason));
                }
            }
        }
        if spec.parent_refs.is_empty() {
            let reason = "names no Gateway and no Service, so no request can reach it";
            faults.push(fault(key, "spec.parentRefs", reason));
        }
        Found { of: Arc::clone(of), listeners, abroad, is_partial, faults }
    }

    /// The Gateway that an object names, if it is a ListenerSet.
    fn gateway(&self, object: &Key) -> Option<Key> {
        match self.settled.get(object)? {
            Resource::ListenerSet(set) => Some(set.gateway()),
            _ => None,
        }
    }

    fn of_set(&self, key: &Key, set: &ListenerSet) -> OfSet {
        let gateway = set.gateway();
        let is_taken = set.spec.listeners.iter().any(|one| self.listener(key, one).is_some());
        let abroad = match (gateway.namespace == key.namespace, is_taken) {
            (true, _) => Abroad::Nowhere,
            (false, true) => Abroad::Attached,
            (false, false) => Abroad::Untold,
        };
        let is_lost = self.settled.lost.contains(&gateway);
        OfSet { gateway, abroad, is_lost }
    }

    /// The listeners that a stray would have had, as far as that can be told; else all.
    fn of_stray(&self, stray: &Stray, all: usize) -> BTreeSet<usize> {
        let Some(parents) = &stray.parents else { return (0..all).collect() };
        let hosts = stray.reach.as_ref().map_or(&[][..], |reach| &reach.source.spec.hostnames);
        let found = parents.iter().flat_map(|parent| self.parent(&stray.key, hosts, parent));
        found.flatten().collect()
    }

    /// The listeners that one reference means, of which a Service has none, or the first thing that
    /// is in the way of all.
    fn parent(
        &self,
        key: &Key,
        hosts: &[Hostname],
        parent: &ParentRef,
    ) -> Result<Vec<usize>, Obstacle> {
        let name = parent.key(&key.namespace);
        if parent.is_service() {
            let found = self.service(key, &name, parent.port);
            return found.map(|()| Vec::new()).map_err(Obstacle::whole);
        }
        let found = self.settled.get(&name).map(Resource::listeners);
        let is_near = name.namespace == key.namespace;
        let is_meant = |one: &&gateway::Listener| {
            parent.section_name.as_ref().is_none_or(|section| *section == one.name)
                && parent.port.is_none_or(|port| port == one.port)
        };
        let is_taken =
            |all: &&[gateway::Listener]| all.iter().any(|one| self.fits(one, &name, key));
        let Some(listeners) = found.filter(|all| is_near || is_taken(all)) else {
            let mut meant = found.into_iter().flatten().filter(is_meant);
            return Err(Obstacle::whole(match meant.find_map(|one| self.unmet(one, &name, key)) {
                Some(unmet) => format!("{name} takes no routes of {unmet}"),
                None if is_near || self.settled.lost.contains(&name) => {
                    self.settled.absence(&name, &key.namespace)
                }
                // One of others that is not for them is no other than none.
                None => format!("no {name} takes routes of namespace '{}'", key.namespace),
            }));
        };
        let meant = listeners.iter().filter(is_meant);
        let mut attached = Vec::new();
        let told = listeners.iter().filter(|one| is_near || self.fits(one, &name, key));
        let mut obstacle = Obstacle::of_no_listener(&name, parent, told);
        for one in meant {
            match (self.admits(&name, one, key, hosts), self.listener(&name, one)) {
                (Ok(()), Some(at)) => attached.push(at),
                (Ok(()), None) => {
                    let text = format!("no Gateway takes {name}, see the faults of that one");
                    obstacle = Obstacle::whole(text);
                }
                (Err(reason), _) => obstacle = Obstacle::whole(reason),
            }
        }
        if attached.is_empty() { Err(obstacle) } else { Ok(attached) }
    }

    /// Whether a Service is there for a route, with a port where one is named.
    fn service(&self, route: &Key, name: &Key, port: Option<u16>) -> Result<(), String> {
        if name.namespace != route.namespace {
            return Err("a route attaches to Services of its own namespace".to_owned());
        }
        let Some(Resource::Service(service)) = self.settled.get(name) else {
            return Err(self.settled.absence(name, &route.namespace));
        };
        // Routes of Services lead what TCP carries.
        let meant = |one: &&ServicePort| {
            one.transport() == Transport::Tcp && port.is_none_or(|port| port == one.port)
        };
        let mut meant = service.spec.ports.iter().filter(meant).peekable();
        match port {
            Some(port) if meant.peek().is_none() => {
                let ports = service.spec.ports.iter();
                let ports = ports.filter(|one| one.transport() == Transport::Tcp);
                let there = listed(ports.map(|one| one.port.to_string()));
                Err(format!("{name} has no port {port}{there}"))
            }
            _ if meant.peek().is_some()
                && meant.all(|one| one.speaks() == Some(AppProtocol::Tcp)) =>
            {
                Err(format!("what {name} is sent there is TCP, and a route leads requests"))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Where a listener stands; nowhere if it is of a ListenerSet that no Gateway takes.
    fn listener(&self, owner: &Key, written: &gateway::Listener) -> Option<usize> {
        self.places.get(&(owner.clone(), written.name.clone())).copied()
    }

    /// Whether a listener of a Gateway or ListenerSet takes routes of the namespace of this one.
    fn fits(&self, listener: &gateway::Listener, owner: &Key, route: &Key) -> bool {
        let usual = RouteNamespaces::default();
        let from = listener.allowed_routes.as_ref().map(|allowed| &allowed.namespaces);
        let namespace = self.namespaces.get(&route.namespace);
        from.unwrap_or(&usual).lets(&owner.namespace, namespace)
    }

    /// The namespace of a route with what a listener's selector asks of it in vain, as far as that may be told.
    fn unmet(&self, listener: &gateway::Listener, owner: &Key, route: &Key) -> Option<String> {
        let own = &route.namespace;
        let from = &listener.allowed_routes.as_ref()?.namespaces;
        let unmet = from.unmet(self.namespaces.get(own))?;
        let told = self.namespaces.told(unmet, &owner.namespace, own)?;
        Some(format!("namespace '{own}': its selector {told}"))
    }

    /// Whether a listener lets a route attach, or why not.
    fn admits(
        &self,
        owner: &Key,
        listener: &gateway::Listener,
        route: &Key,
        hosts: &[Hostname],
    ) -> Result<(), String> {
        let place = format!("listener '{}' of {owner}", listener.name);
        if !self.fits(listener, owner, route) {
            let unmet = self.unmet(listener, owner, route);
            let of = unmet.unwrap_or_else(|| format!("namespace '{}'", route.namespace));
            return Err(format!("{place} takes no routes of {of}"));
        }
        if !leads(listener, route.kind) {
            let spoken = listener.protocol.as_str();
            let mode = match listener.tls.as_ref().map(|tls| tls.mode) {
                Some(TlsMode::Passthrough) => " as it comes",
                Some(TlsMode::Terminate) | None => "",
            };
            return Err(format!(
                "{place} speaks {spoken}{mode}, and leads nothing by {}",
                route.kind
            ));
        }
        let kinds = listener.allowed_routes.as_ref().map_or(&[][..], |allowed| &allowed.kinds);
        if !kinds.is_empty() && !kinds.iter().any(|kind| kind.kind == route.kind.as_str()) {
            return Err(format!("{place} takes no {}", route.kind));
        }
        match &listener.hostname {
            Some(own) if !hosts.is_empty() && !hosts.iter().any(|h| own.intersect(h).is_some()) => {
                Err(format!("none of the route's host names lies within '{own}' of {place}"))
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// What is in the way of a reference.
struct Obstacle {
    /// The field of the reference that it is about; empty for the whole.
    field: &'static str,
    reason: String,
}

impl Obstacle {
    fn whole(reason: String) -> Self {
        Obstacle { field: "", reason }
    }

    /// No listener is called, or stands at the port, as `parent` says; some that there are instead are told.
    fn of_no_listener<'l>(
        owner: &Key,
        parent: &ParentRef,
        there: impl Iterator<Item = &'l gateway::Listener>,
    ) -> Self {
        let (field, port) = match (&parent.section_name, parent.port) {
            (Some(_), port) => (".sectionName", port),
            (None, Some(port)) => (".port", Some(port)),
            (None, None) => ("", None),
        };
        let named = parent.section_name.as_ref().map(|name| format!(" '{name}'"));
        let at = port.map(|port| format!(" on port {port}"));
        let called = |one: &gateway::Listener| match at {
            Some(_) => format!("'{}' on port {}", one.name, one.port),
            None => format!("'{}'", one.name),
        };
        let there = listed(there.map(called));
        let (named, at) = (named.unwrap_or_default(), at.as_deref().unwrap_or_default());
        Obstacle { field, reason: format!("{owner} has no listener{named}{at}{there}") }
    }
}

/// Whether what a listener speaks can be led by routes of a kind.
fn leads(listener: &gateway::Listener, kind: Kind) -> bool {
    let ends_here = listener.tls.as_ref().is_none_or(|tls| tls.mode == TlsMode::Terminate);
    match listener.protocol {
        Protocol::Http | Protocol::Https => matches!(kind, Kind::HttpRoute | Kind::GrpcRoute),
        Protocol::Tls => kind == Kind::TlsRoute || (kind == Kind::TcpRoute && ends_here),
        Protocol::Tcp => kind == Kind::TcpRoute,
        Protocol::Udp => kind == Kind::UdpRoute,
    }
}
