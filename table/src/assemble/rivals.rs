//! Rivals: routes for HTTP and for gRPC that want the same host at the same listener, and TCPRoutes or
//! UDPRoutes that want the same port. Other routes for connections have the more specific host, or are the older one.
//!
//! One of the two has it there, the older one, by name where both are of one age; the other is not
//! attached (Gateway API, `GRPCRouteSpec.hostnames`). Whoever holds the host yields to no stranger.

use std::collections::{BTreeMap, BTreeSet};

use model::{Hostname, Invalid, Key, Kind};

use crate::assemble::parents::Parents;
use crate::claimed::{Claimed, backwards};
use crate::isolate::{Settled, fault};
use crate::listener::Listener;
use crate::route::{Compiled, Leads};

/// The listeners at which routes yield to older ones of the other kind.
#[derive(Debug, Default)]
pub(crate) struct Rivals {
    yielded: BTreeMap<Key, BTreeSet<usize>>,
}

/// Hosts with the routes that want them, by their labels turned round: `*.example.com` as
/// `com.example.*`, so that all that is below a name lies side by side.
#[derive(Debug, Default)]
struct Wanted<'a> {
    named: BTreeMap<String, Vec<&'a Key>>,
    every: Vec<&'a Key>,
}

impl Rivals {
    /// Finds all of them; whoever yields is told so.
    pub(crate) fn find(
        settled: &Settled,
        listeners: &[Listener],
        (parents, claimed): (&Parents, &Claimed),
        faults: &mut Vec<Invalid>,
    ) -> Self {
        let mut rivals = Rivals::default();
        let is_there = |kind| settled.of_kind(kind).next().is_some();
        for kind in [Kind::TcpRoute, Kind::UdpRoute].into_iter().filter(|kind| is_there(*kind)) {
            outdated((settled, kind), listeners, parents, faults);
        }
        if !is_there(Kind::GrpcRoute) {
            return rivals;
        }
        let mut held = BTreeMap::<usize, [Wanted<'_>; 2]>::new();
        for (key, route) in by_age(settled) {
            if !route.leads.is_read() {
                continue;
            }
            for &at in parents.of(key) {
                let listener = &listeners[at];
                let hosts: Vec<_> = hosts(route, listener).collect();
                let [http, grpc] = held.entry(at).or_default();
                let (own, other) = match route.leads {
                    Leads::Calls => (grpc, http),
                    Leads::Requests | Leads::Connections | Leads::Datagrams => (http, grpc),
                };
                let stands = |host: Option<&Hostname>, rival: &Key| {
                    let is_stranger = !claimed.are_one(&rival.namespace, &key.namespace);
                    !(is_stranger && host.is_some_and(|host| claimed.holds(&key.namespace, host)))
                };
                let rival = hosts.iter().find_map(|host| {
                    let mut rivals = other.meeting(*host);
                    rivals.find(|rival| stands(*host, rival))
                });
                let Some(rival) = rival else {
                    hosts.iter().for_each(|host| own.add(*host, key));
                    continue;
                };
                rivals.yielded.entry(key.clone()).or_default().insert(at);
                // Routes of others are theirs to know.
                let who = match rival.namespace == key.namespace {
                    true => rival.to_string(),
                    false => format!("an older {}", rival.kind),
                };
                let text = format!(
                    "{who} has a host of it at listener '{}' of {}, and a host is there for routes \
                     of one kind; it is not attached there: use another host or listener",
                    listener.name,
                    listener.whose()
                );
                faults.push(fault(key, "spec.parentRefs", text));
            }
        }
        rivals
    }

    /// Where a route yields.
    pub(crate) fn of(&self, route: &Key) -> &BTreeSet<usize> {
        static NONE: BTreeSet<usize> = BTreeSet::new();
        self.yielded.get(route).unwrap_or(&NONE)
    }
}

/// Tells of TCPRoutes or UDPRoutes to which nothing comes at a listener, since an older one has all of its
/// connections or datagrams.
fn outdated(
    (settled, kind): (&Settled, Kind),
    listeners: &[Listener],
    parents: &Parents,
    faults: &mut Vec<Invalid>,
) {
    let mut held = BTreeMap::<usize, &Key>::new();
    for (key, _) in by_age(settled).into_iter().filter(|(key, _)| key.kind == kind) {
        for &at in parents.of(key) {
            let older = *held.entry(at).or_insert(key);
            if older == key {
                continue;
            }
            // Routes of others are theirs to know.
            let who = match older.namespace == key.namespace {
                true => older.to_string(),
                false => format!("an older {kind}"),
            };
            let (listener, led) = (&listeners[at], led(kind));
            let text = format!(
                "{who} is older and has the {led} of listener '{}' of {}; name another \
                 listener there, by 'sectionName', for one of the two",
                listener.name,
                listener.whose()
            );
            faults.push(fault(key, "spec.parentRefs", text));
        }
    }
}

/// What such a route has of a listener, all of it.
fn led(kind: Kind) -> &'static str {
    match Leads::of(kind) {
        Leads::Datagrams => "datagrams",
        Leads::Connections | Leads::Requests | Leads::Calls => "connections",
    }
}

/// Routes, the oldest first; without a time they count as oldest, and by name among themselves.
fn by_age(settled: &Settled) -> Vec<(&Key, &Compiled)> {
    let mut routes: Vec<_> = settled.routes().map(|(key, route)| (key, &**route)).collect();
    routes.sort_by_cached_key(|(key, route)| {
        let at = route.source.metadata.creation_timestamp;
        (at, format!("{}/{}", key.namespace, key.name), key.kind)
    });
    routes
}

/// The hosts that a route has at a listener; `None` for every host.
fn hosts<'a>(
    route: &'a Compiled,
    listener: &'a Listener,
) -> impl Iterator<Item = Option<&'a Hostname>> {
    route.hosts().filter_map(|own| match (own, &listener.hostname) {
        (Some(own), Some(of)) => of.intersect(own).map(Some),
        (own, of) => Some(own.or(of.as_ref())),
    })
}

impl<'a> Wanted<'a> {
    fn add(&mut self, host: Option<&Hostname>, route: &'a Key) {
        match host {
            Some(host) => self.named.entry(backwards(host.as_str())).or_default().push(route),
            None => self.every.push(route),
        }
    }

    /// The routes that have a host in common with `host`.
    fn meeting(&self, host: Option<&Hostname>) -> impl Iterator<Item = &'a Key> {
        let own = host.map(|host| backwards(host.as_str()));
        // All that is below a name, or the name itself, or everything.
        let (from, is_below) = match own.as_deref() {
            None => (String::new(), true),
            Some(own) => match own.strip_suffix('*') {
                Some(below) => (below.to_owned(), true),
                None => (own.to_owned(), false),
            },
        };
        let inside =
            self.named.range(from.clone()..).take_while(move |(other, _)| match is_below {
                true => other.starts_with(&from),
                false => **other == from,
            });
        let dots = own.iter().flat_map(|own| own.match_indices('.').map(|(dot, _)| &own[..dot]));
        let above: Vec<_> =
            dots.filter_map(|above| self.named.get(&format!("{above}.*"))).flatten().collect();
        let inside = inside.flat_map(|(_, routes)| routes);
        self.every.iter().chain(above).chain(inside).copied()
    }
}
