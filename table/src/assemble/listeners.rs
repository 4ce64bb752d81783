//! Listeners of all Gateways: certificates resolved, those on another's ground refused, conflicts
//! decided by age.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use model::gateway::{
    self, FrontendValidation, Gateway, ListenerTls, ObjectRef, ObjectReference, Protocol, TlsMode,
};
use model::secret::TLS_SECRET;
use model::{Invalid, Key, Kind, Name, Resource};

use crate::assemble::encryptions;
use crate::claimed::Claimed;
use crate::encryption::Presented;
use crate::isolate::{Settled, fault};
use crate::listener::{Authority, Certificate, ClientValidation, Listener, State};
use crate::route::Routes;

/// Every listener, older Gateways first, each accepted or refused with a fault. What is asked of callers is
/// taken over from `before`.
pub(crate) fn draft(
    settled: &Settled,
    claimed: &Claimed,
    before: &[Arc<Listener>],
    faults: &mut Vec<Invalid>,
) -> Vec<Listener> {
    let mut drafts = Vec::new();
    let mut claims = Claims::default();
    let mut known: HashSet<_> =
        before.iter().filter_map(|listener| listener.client_validation.clone()).collect();
    for (key, gateway) in by_age(settled) {
        let presented = presented(settled, key, gateway, before, faults);
        let known = &mut known;
        let mut callers = Callers { settled, key, gateway, known, ports: BTreeMap::new() };
        for (index, written) in gateway.spec.listeners.iter().enumerate() {
            let at = format!("spec.listeners[{index}]");
            let mut listener = listener(settled, key, written, &at, faults);
            listener.presented = presented.clone();
            if listener.ends_tls() {
                match callers.on(written.port, faults) {
                    Ok(validation) => listener.client_validation = validation,
                    Err(reason) if listener.is_serving() => {
                        listener.state = State::Refused(reason);
                    }
                    Err(_) => {}
                }
            }
            let host = written.hostname.as_ref().filter(|_| listener.is_serving());
            if let Some(reason) = host.and_then(|host| claimed.of_listener(key, host)) {
                faults.push(fault(key, &format!("{at}.hostname"), reason.clone()));
                listener.state = State::Refused(reason);
            }
            if listener.is_serving()
                && let Err(reason) = claims.take(&listener)
            {
                faults.push(fault(key, &at, reason.clone()));
                listener.state = State::Refused(reason);
            }
            drafts.push(listener);
        }
    }
    drafts
}

/// Gateways, the oldest first; without a time they count as oldest, and by name among themselves.
fn by_age(settled: &Settled) -> Vec<(&Key, &Arc<Gateway>)> {
    let mut gateways: Vec<_> = settled
        .of_kind(Kind::Gateway)
        .filter_map(|(key, item)| match &item.resource {
            Resource::Gateway(gateway) => Some((key, gateway)),
            _ => None,
        })
        .collect();
    gateways.sort_by_cached_key(|(key, gateway)| {
        (gateway.metadata.creation_timestamp, format!("{}/{}", key.namespace, key.name))
    });
    gateways
}

/// What older listeners hold: what is spoken on each port, and each host name on it.
#[derive(Default)]
struct Claims {
    spoken: BTreeMap<u16, (Protocol, String)>,
    hosts: BTreeMap<(u16, String), String>,
}

impl Claims {
    fn take(&mut self, listener: &Listener) -> Result<(), String> {
        let port = listener.port;
        let by = format!("listener '{}' of {}", listener.name, listener.gateway);
        if let Some((spoken, holder)) = self.spoken.get(&port)
            && !share(*spoken, listener.protocol)
        {
            let spoken = spoken.as_str();
            return Err(format!("port {port} is held by {holder}, which speaks {spoken} there"));
        }
        let host = listener.hostname.as_ref().map_or("any host", |host| host.as_str()).to_owned();
        if let Some(holder) = self.hosts.get(&(port, host.clone())) {
            return Err(format!("'{host}' on port {port} is held by {holder}"));
        }
        self.spoken.entry(port).or_insert_with(|| (listener.protocol, by.clone()));
        self.hosts.insert((port, host), by);
        Ok(())
    }
}

/// Whether listeners of these protocols may share a port: with TLS the server name tells them apart.
fn share(one: Protocol, other: Protocol) -> bool {
    let is_tls = |protocol| matches!(protocol, Protocol::Https | Protocol::Tls);
    one == other || (is_tls(one) && is_tls(other))
}

fn listener(
    settled: &Settled,
    gateway: &Key,
    written: &gateway::Listener,
    at: &str,
    faults: &mut Vec<Invalid>,
) -> Listener {
    let tls = written.tls.as_ref();
    let mut listener = Listener {
        gateway: gateway.clone(),
        name: written.name.clone(),
        port: written.port,
        protocol: written.protocol,
        is_passthrough: tls.is_some_and(|tls| tls.mode == TlsMode::Passthrough),
        hostname: written.hostname.clone(),
        certificates: Vec::new(),
        min_version: tls.map(ListenerTls::min_version).unwrap_or_default(),
        client_validation: None,
        presented: Presented::default(),
        state: State::Serving,
        routes: Routes::default(),
    };
    if listener.ends_tls() {
        listener.certificates = certificates(settled, gateway, written, at, faults);
        if listener.certificates.is_empty() {
            listener.state = State::Refused("it has no certificate that can be used".to_owned());
        }
    }
    if written.protocol == Protocol::Udp {
        // No Gateway with one passes its own check.
        listener.state = State::Refused("this version serves no UDP".to_owned());
    }
    listener
}

/// The certificates that can be used, each once; the others are faults.
fn certificates(
    settled: &Settled,
    gateway: &Key,
    written: &gateway::Listener,
    at: &str,
    faults: &mut Vec<Invalid>,
) -> Vec<Certificate> {
    let refs = written.tls.as_ref().map_or(&[][..], |tls| &tls.certificate_refs);
    let (mut seen, mut found) = (BTreeSet::new(), Vec::new());
    for (index, reference) in refs.iter().enumerate() {
        match certificate(settled, gateway, reference) {
            Ok(one) if seen.insert(one.secret.clone()) => found.push(one),
            Ok(_) => {}
            Err(reason) => {
                let at = format!("{at}.tls.certificateRefs[{index}]");
                faults.push(fault(gateway, &at, reason));
            }
        }
    }
    found
}

fn certificate(
    settled: &Settled,
    gateway: &Key,
    reference: &ObjectRef,
) -> Result<Certificate, String> {
    let called = (reference.namespace.as_ref(), &reference.name);
    let key = referred(settled, gateway, Kind::Secret, called)?;
    let Key { namespace, name, .. } = &key;
    let Some(secret) = settled.secret(namespace, name) else {
        return Err(settled.absence(&key));
    };
    if secret.kind != TLS_SECRET {
        return Err(format!("Secret {namespace}/{name} is not of type {TLS_SECRET}"));
    }
    let value = |entry: &str| {
        let found = secret.value(entry).cloned();
        found.ok_or_else(|| format!("Secret {namespace}/{name} has no '{entry}'"))
    };
    let (chain_pem, key_pem) = (value("tls.crt")?, value("tls.key")?);
    Ok(Certificate { secret: key, chain_pem, key_pem })
}

/// What a Gateway shows to backends; the very one of `before` where it is the same.
fn presented(
    settled: &Settled,
    key: &Key,
    gateway: &Gateway,
    before: &[Arc<Listener>],
    faults: &mut Vec<Invalid>,
) -> Presented {
    let backend = gateway.spec.tls.as_ref().and_then(|tls| tls.backend.as_ref());
    let Some(to) = backend.and_then(|backend| backend.client_certificate_ref.as_ref()) else {
        return Presented::Nothing;
    };
    match certificate(settled, key, to) {
        Ok(one) => {
            let shown = before.iter().filter_map(|listener| match &listener.presented {
                Presented::Certificate(shown) => Some(shown),
                Presented::Nothing | Presented::Unusable(_) => None,
            });
            let same = shown.into_iter().find(|shown| ***shown == one);
            Presented::Certificate(same.cloned().unwrap_or_else(|| Arc::new(one)))
        }
        Err(reason) => {
            let why = format!("the certificate that {key} is to show cannot be used: {reason}");
            faults.push(fault(key, "spec.tls.backend.clientCertificateRef", reason));
            Presented::Unusable(why.into())
        }
    }
}

/// What an object is called that a Gateway names and may refer to.
fn referred(
    settled: &Settled,
    gateway: &Key,
    kind: Kind,
    (namespace, name): (Option<&Name>, &Name),
) -> Result<Key, String> {
    let namespace = namespace.unwrap_or(&gateway.namespace);
    let key = Key::new(kind, namespace.clone(), name.clone());
    match settled.permits(gateway, &key) {
        true => Ok(key),
        false => Err(Settled::not_permitted(gateway, &key)),
    }
}

/// What a Gateway asks of callers, each port's looked at once.
struct Callers<'a> {
    settled: &'a Settled,
    key: &'a Key,
    gateway: &'a Gateway,
    /// What was asked before, and what others ask.
    known: &'a mut HashSet<Arc<ClientValidation>>,
    ports: BTreeMap<Option<u16>, Asked>,
}

/// What is asked of callers, or why who asks it has nobody to believe.
type Asked = Result<Option<Arc<ClientValidation>>, String>;

impl Callers<'_> {
    /// What is asked on a port.
    fn on(&mut self, port: u16, faults: &mut Vec<Invalid>) -> Asked {
        let tls = self.gateway.spec.tls.as_ref();
        let Some(frontend) = tls.and_then(|tls| tls.frontend.as_ref()) else { return Ok(None) };
        let own = frontend.per_port.iter().position(|one| one.port == port);
        let (place, at) = match own {
            Some(index) => (Some(port), format!("spec.tls.frontend.perPort[{index}].tls")),
            None => (None, "spec.tls.frontend.default".to_owned()),
        };
        if let Some(asked) = self.ports.get(&place) {
            return asked.clone();
        }
        let asked = match frontend.on(port) {
            Some(written) => self.ask(written, &format!("{at}.validation"), faults).map(Some),
            None => Ok(None),
        };
        self.ports.insert(place, asked.clone());
        asked
    }

    /// Where no authority is left, nobody could prove anything, and who asks for proof serves nobody.
    fn ask(
        &mut self,
        written: &FrontendValidation,
        at: &str,
        faults: &mut Vec<Invalid>,
    ) -> Result<Arc<ClientValidation>, String> {
        let mut authorities: Vec<Authority> = Vec::new();
        for (index, reference) in written.ca_certificate_refs.iter().enumerate() {
            match authority(self.settled, self.key, reference) {
                Ok(one) if authorities.contains(&one) => {}
                Ok(one) => authorities.push(one),
                Err(reason) => {
                    let at = format!("{at}.caCertificateRefs[{index}]");
                    faults.push(fault(self.key, &at, reason));
                }
            }
        }
        if authorities.is_empty() {
            return Err("no certificate of an authority that it names can be used".to_owned());
        }
        let asked = ClientValidation { authorities, mode: written.mode };
        if let Some(same) = self.known.get(&asked) {
            return Ok(Arc::clone(same));
        }
        let asked = Arc::new(asked);
        self.known.insert(Arc::clone(&asked));
        Ok(asked)
    }
}

fn authority(
    settled: &Settled,
    gateway: &Key,
    reference: &ObjectReference,
) -> Result<Authority, String> {
    let called = (reference.namespace.as_ref(), &reference.name);
    let key = referred(settled, gateway, Kind::ConfigMap, called)?;
    encryptions::authority(settled, key)
}
