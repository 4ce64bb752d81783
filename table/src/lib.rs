//! From resources to a table: which listener, which rule, which backends, for any request.
//!
//! [`assemble`] takes every resource at hand and never fails as a whole: a bad object keeps its
//! last good form or is closed, and is felt only inside its own namespace.
//! [`Table::find`] answers one request by the precedence of the Gateway API; its cost is the depth
//! of the match, not the number of routes, and it allocates nothing of its own.
//! [`Table::why`] tells the same story in words, and [`trial`] does so of requests that were never sent.
//!
//! Architecture Invariant: nothing here does I/O, awaits, reads a clock or randomness.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::sync::Arc;

use model::Name;
use model::cluster::Reach;
use model::identity::Peer;
use model::service::{AppProtocol, Transport};
use policy::{Facts, Layer, Reason, Scheme};

mod assemble;
mod claimed;
mod encryption;
mod hosts;
mod inbound;
mod isolate;
mod listener;
mod outbound;
mod precedence;
mod route;
mod rule;
mod service;
mod session;
mod shadow;
pub mod trial;
pub mod why;
mod zones;

pub use assemble::{Assembly, Closed, Input, Refused, assemble};
pub use encryption::{Authorities, BackendTls, Encryption, Onward, Presented};
pub use inbound::Inbound;
pub use listener::{Authority, Certificate, ClientValidation, Listener, State};
pub use outbound::Outbound;
pub use rule::{Backend, Backends, Filters, Mirror, Retry, Rule, Target};
pub use service::{Endpoint, Service, Through};
pub use session::{Carrier, Session};

/// All that a proxy needs to answer requests; immutable.
#[derive(Debug, Default)]
pub struct Table {
    /// Short hexadecimal digest of what it was made from; the order of the input is irrelevant.
    pub digest: String,
    /// Every listener, the refused ones included; older Gateways first, then older ListenerSets.
    pub listeners: Vec<Arc<Listener>>,
    /// Every rule that some listener or Service leads to.
    pub rules: Vec<Arc<Rule>>,
    /// Every Service port that some rule names, by [`Service::id`].
    pub services: Vec<Arc<Service>>,
    /// What comes through the mesh, where this is the table of a workload's proxy.
    pub inbound: Option<Inbound>,
    /// What the application beside it sends, where it takes that.
    pub outbound: Option<Outbound>,
    /// The workspace of each namespace that is in one; what is in none is the platform's.
    pub workspaces: BTreeMap<Name, Name>,
    /// Where each namespace is that is not in every cluster.
    pub reaches: BTreeMap<Name, Arc<Reach>>,
    /// Whether every workspace could be read as it is now, so that all of their namespaces are known.
    pub knows_workspaces: bool,
    ports: listener::Ports,
}

/// What a request leads to.
#[derive(Debug, Clone, Copy)]
pub struct Found<'t> {
    /// The listener that serves it.
    pub listener: &'t Arc<Listener>,
    /// The rule that won.
    pub rule: &'t Arc<Rule>,
    /// Its place in [`Table::rules`].
    pub place: usize,
    /// The prefix of the match that won, if that was a `PathPrefix`.
    pub prefix: Option<&'t str>,
}

impl Table {
    /// The ports of TCP to open, and what is spoken on each.
    pub fn ports(&self) -> BTreeMap<u16, Scheme> {
        let of_tcp = self.ports.iter().filter(|((of, _), _)| *of == Transport::Tcp);
        of_tcp.map(|(&(_, number), port)| (number, port.scheme)).collect()
    }

    /// The ports of UDP to open.
    pub fn udp_ports(&self) -> impl Iterator<Item = u16> {
        let of_udp = self.ports.keys().filter(|(of, _)| *of == Transport::Udp);
        of_udp.map(|(_, number)| *number)
    }

    /// The listener for datagrams on a port; there is one.
    pub fn udp_listener(&self, port: u16) -> Option<&Arc<Listener>> {
        self.listeners.get(self.ports.get(&(Transport::Udp, port))?.listener("")?)
    }

    /// The most specific listener for `host` on a port of TCP: it alone serves the request (listener
    /// isolation). The same choice by server name gives the certificates of a connection.
    pub fn listener(&self, port: u16, host: &str) -> Option<&Arc<Listener>> {
        self.listeners.get(self.listener_index(port, host)?)
    }

    /// Where in `listeners` it stands.
    pub fn listener_index(&self, port: u16, host: &str) -> Option<usize> {
        self.ports.get(&(Transport::Tcp, port))?.listener(host)
    }

    /// The rule that a request leads to: through the mesh that of the application's port, whatever
    /// its host.
    ///
    /// # Errors
    /// [`Reason::NoListener`] if nothing listens for the host on the port, [`Reason::NoRoute`] if
    /// no rule of the listener fits.
    pub fn find<'t>(&'t self, facts: &Facts<'_>) -> Result<Found<'t>, Reason> {
        if facts.peer.is_some() {
            let inbound = self.inbound.as_ref().ok_or(Reason::NoListener)?;
            let (listener, place) = inbound.port(facts.port).ok_or(Reason::NoListener)?;
            let rule = self.rules.get(place).ok_or(Reason::NoRoute)?;
            return Ok(Found { listener, rule, place, prefix: None });
        }
        let listener = match facts.layer {
            Layer::Request | Layer::Connection => self.listener(facts.port, facts.host),
            Layer::Datagrams => self.udp_listener(facts.port),
        };
        // A connection may be older than the table: what came in plain is not served as HTTPS.
        let fits = |listener: &&Arc<Listener>| {
            listener.scheme() == facts.scheme && listener.layer() == facts.layer
        };
        let listener = listener.filter(fits).ok_or(Reason::NoListener)?;
        let entry = listener.lead(facts).ok_or(Reason::NoRoute)?;
        let rule = self.rules.get(entry.rule).ok_or(Reason::NoRoute)?;
        Ok(Found { listener, rule, place: entry.rule, prefix: entry.of.prefix() })
    }

    /// The rule that a call of the application beside this proxy meets, be it a request or a connection,
    /// by the host that it names, and the port where it names one. The listener is the Service's port.
    ///
    /// # Errors
    /// [`Reason::NoRoute`] if no Service is called so, or if none of the routes that are attached to
    /// it fits; [`Reason::BackendProtocol`] if what the port speaks is not what comes.
    pub fn called<'t>(&'t self, facts: &Facts<'_>, port: Option<u16>) -> Result<Found<'t>, Reason> {
        let outbound = self.outbound.as_ref().ok_or(Reason::NoListener)?;
        let port = outbound.port(facts.host, port).ok_or(Reason::NoRoute)?;
        if port.layer != facts.layer {
            return Err(Reason::BackendProtocol);
        }
        let (place, prefix) = port.lead(facts).ok_or(Reason::NoRoute)?;
        let rule = self.rules.get(place).ok_or(Reason::NoRoute)?;
        Ok(Found { listener: &port.listener, rule, place, prefix })
    }

    /// The rules that requests or connections through a listener may meet.
    pub fn led<'t>(&'t self, listener: &'t Listener) -> impl Iterator<Item = &'t Arc<Rule>> {
        let all = listener.routes.all().into_iter();
        all.filter_map(|entry| self.rules.get(entry.rule))
    }

    /// What a port of the application beside this proxy takes; none where it has no such port.
    pub fn takes(&self, port: u16) -> Option<Layer> {
        let rule = self.rules.get(self.inbound.as_ref()?.rule(port)?)?;
        let Some(Target::Service(id)) = rule.backends.target(0) else { return None };
        Some(layer(self.services.get(*id)?.protocol))
    }

    /// Whether a namespace is in a cluster, as its workspace is.
    pub fn are_in(&self, namespace: &Name, cluster: &Name) -> bool {
        self.reaches.get(namespace).is_none_or(|reach| reach.has(cluster))
    }

    /// Whether somebody is where they may be: a workload in a cluster of its workspace, a gateway in one
    /// of the workspace that it calls. Whoever is not is somebody else than rules mean by that name.
    pub fn is_at_home(&self, peer: &Peer) -> bool {
        let called = self.inbound.as_ref().map(|inbound| &inbound.workload.namespace);
        let namespace = match peer {
            Peer::Workload { namespace, .. } => Some(namespace),
            Peer::Gateway { .. } => called,
        };
        namespace.is_none_or(|namespace| self.are_in(namespace, peer.cluster()))
    }

    /// Which listener, route and rule a request leads to, why not the others, and what the rule's
    /// policies say.
    pub fn why(&self, facts: &Facts<'_>) -> why::Story {
        why::tell(self, facts)
    }
}

/// What carries it.
fn layer(protocol: AppProtocol) -> Layer {
    match protocol {
        AppProtocol::Http1 | AppProtocol::H2c => Layer::Request,
        AppProtocol::Tcp => Layer::Connection,
        AppProtocol::Udp => Layer::Datagrams,
    }
}

#[cfg(test)]
mod tests;
