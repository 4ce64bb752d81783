//! Listeners: which one serves a host on a port, with which certificates.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::gateway::{FrontendValidationMode, Protocol, TlsVersion};
use model::secret::SecretBytes;
use model::service::Transport;
use model::{Hostname, Key, Name};
use policy::{Facts, Layer, Scheme};

use crate::encryption::Presented;
use crate::hosts::Hosts;
use crate::route::{Entry, Routes};

/// One listener of a Gateway, or of a ListenerSet.
#[derive(Debug)]
pub struct Listener {
    /// The Gateway.
    pub gateway: Key,
    /// The ListenerSet that adds it, unless it is the Gateway's own.
    pub set: Option<Key>,
    /// The listener's name within the Gateway, or the set.
    pub name: Name,
    /// The port.
    pub port: u16,
    /// What is spoken.
    pub protocol: Protocol,
    /// With protocol TLS, whether it goes on to the backend as it came.
    pub is_passthrough: bool,
    /// The hosts it serves; all where there is none.
    pub hostname: Option<Hostname>,
    /// Where TLS ends here, at least one where it serves; which of them fits a server name, their
    /// own names say.
    pub certificates: Vec<Certificate>,
    /// The oldest version of TLS that is spoken where it ends here.
    pub min_version: TlsVersion,
    /// What callers prove by certificates, where that is asked of them: one value for all listeners that ask
    /// the same, and the same one from one assembly to the next.
    pub client_validation: Option<Arc<ClientValidation>>,
    /// What its Gateway shows to backends.
    pub presented: Presented,
    /// Whether it serves.
    pub state: State,
    pub(crate) routes: Routes,
}

/// Whether a listener serves, or why not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It serves.
    Serving,
    /// It does not; this is why.
    Refused(String),
}

/// A certificate chain and its key, as the Secret holds them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The Secret.
    pub secret: Key,
    /// PEM of the chain, the server's own certificate first.
    pub chain_pem: SecretBytes,
    /// PEM of the key.
    pub key_pem: SecretBytes,
}

/// By what certificates of callers are known, and what becomes of those who show none.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClientValidation {
    /// Any of them may have signed; at least one.
    pub authorities: Vec<Authority>,
    /// What becomes of who proves nothing.
    pub mode: FrontendValidationMode,
    /// Whether who shows no certificate is let in all the same; with `AllowValidOnly` alone, by which one that is
    /// shown has to be good.
    pub is_optional: bool,
}

/// Certificates of authorities, as a ConfigMap holds them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Authority {
    /// The ConfigMap.
    pub config_map: Key,
    /// PEM.
    pub pem: String,
}

impl Listener {
    /// What carries what it speaks, and its port of that.
    pub fn place(&self) -> (Transport, u16) {
        (self.protocol.transport(), self.port)
    }

    /// The object that has it: the Gateway or the ListenerSet.
    pub fn owner(&self) -> &Key {
        self.set.as_ref().unwrap_or(&self.gateway)
    }

    /// Whose it is, in words.
    pub fn whose(&self) -> String {
        let gateway = &self.gateway;
        match &self.set {
            Some(set) => format!("{set} of {gateway}"),
            None => gateway.to_string(),
        }
    }

    /// Whether it serves.
    pub fn is_serving(&self) -> bool {
        self.state == State::Serving
    }

    /// What comes through it.
    pub fn layer(&self) -> Layer {
        match self.protocol {
            Protocol::Http | Protocol::Https => Layer::Request,
            Protocol::Tls | Protocol::Tcp => Layer::Connection,
            Protocol::Udp => Layer::Datagrams,
        }
    }

    /// How it comes: by TLS or plain.
    pub fn scheme(&self) -> Scheme {
        scheme(self.protocol)
    }

    /// The rule that something meets which comes through it.
    pub(crate) fn lead(&self, facts: &Facts<'_>) -> Option<&Entry> {
        match facts.layer {
            Layer::Request => self.routes.find(facts),
            // No path of it is known, and routes for connections name none.
            Layer::Connection | Layer::Datagrams => {
                self.routes.find(&Facts { path: "/", ..*facts })
            }
        }
    }

    /// Whether TLS ends here.
    pub fn ends_tls(&self) -> bool {
        self.scheme() == Scheme::Https && !self.is_passthrough
    }
}

/// How what a protocol carries comes: by TLS or plain.
pub(crate) fn scheme(protocol: Protocol) -> Scheme {
    match protocol {
        Protocol::Https | Protocol::Tls => Scheme::Https,
        Protocol::Http | Protocol::Tcp | Protocol::Udp => Scheme::Http,
    }
}

/// What serves, by port: those of UDP are others than those of TCP.
pub(crate) type Ports = BTreeMap<(Transport, u16), Port>;

/// The listeners that share a port.
#[derive(Debug)]
pub(crate) struct Port {
    pub(crate) scheme: Scheme,
    hosts: Hosts<Slot>,
}

/// What becomes of a host name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot {
    /// This listener serves it.
    Served(usize),
    /// A refused listener of the Gateway or ListenerSet that would serve it otherwise names it: nobody
    /// does, since a broader listener there may have weaker policies.
    Blocked,
}

impl Port {
    /// The listener for a host.
    pub(crate) fn listener(&self, host: &str) -> Option<usize> {
        match self.hosts.matching(host).next()? {
            Slot::Served(index) => Some(*index),
            Slot::Blocked => None,
        }
    }
}

/// The index of what serves.
pub(crate) fn ports(listeners: &[Listener]) -> Ports {
    let mut ports = Ports::new();
    for (index, listener) in listeners.iter().enumerate().filter(|(_, one)| one.is_serving()) {
        let scheme = listener.scheme();
        let port = ports
            .entry(listener.place())
            .or_insert_with(|| Port { scheme, hosts: Hosts::default() });
        port.hosts.entry(listener.hostname.as_ref(), || Slot::Served(index));
    }
    block(listeners, &mut ports);
    ports
}

/// Keeps the hosts of refused listeners from broader listeners of the same Gateway, its ListenerSets
/// included; those of a set only from that set, since others are not to feel what is wrong with it.
fn block(listeners: &[Listener], ports: &mut Ports) {
    let mut blocked = Vec::new();
    for refused in listeners.iter().filter(|one| !one.is_serving()) {
        let (Some(port), Some(name)) = (ports.get(&refused.place()), &refused.hostname) else {
            continue;
        };
        // Any host that the refused listener alone would have had: its own name, or for a
        // wildcard a first label that no index holds.
        let host = match name.suffix() {
            Some(suffix) => format!("*{suffix}"),
            None => name.as_str().to_owned(),
        };
        let free = port.hosts.get(Some(name)).is_none();
        let instead = port.listener(&host).and_then(|index| listeners.get(index));
        let is_near = |other: &Listener| {
            let is_of_set = refused.set.is_none() || refused.set == other.set;
            other.gateway == refused.gateway && is_of_set
        };
        if free && instead.is_some_and(is_near) {
            blocked.push((refused.place(), name));
        }
    }
    for (place, name) in blocked {
        if let Some(port) = ports.get_mut(&place) {
            port.hosts.entry(Some(name), || Slot::Blocked);
        }
    }
}
