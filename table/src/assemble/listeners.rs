//! Listeners of all Gateways and ListenerSets: certificates resolved, those on another's ground refused, conflicts
//! decided by age.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use model::gateway::{
    self, CLIENT_CERTIFICATE, FrontendValidation, FrontendValidationMode, Gateway, ListenerTls,
    ObjectRef, ObjectReference, Protocol, TlsMode,
};
use model::secret::TLS_SECRET;
use model::service::Transport;
use model::{Invalid, Key, Kind, Name, Resource};

use crate::assemble::encryptions;
use crate::assemble::namespaces::Namespaces;
use crate::assemble::sets::{self, Taken};
use crate::claimed::Claimed;
use crate::encryption::Presented;
use crate::isolate::{Settled, fault};
use crate::listener::{Authority, Certificate, ClientValidation, Listener, State};
use crate::route::Routes;

/// Every listener, older Gateways first, then those of ListenerSets, older sets first, so that none of them
/// takes what is a Gateway's own; each accepted or refused with a fault. What is asked of callers is taken
/// over from `before`.
pub(crate) fn draft(
    settled: &Settled,
    (claimed, namespaces): (&Claimed, &Namespaces<'_>),
    before: &[Arc<Listener>],
    faults: &mut Vec<Invalid>,
) -> Vec<Listener> {
    let known = before.iter().filter_map(|listener| listener.client_validation.clone()).collect();
    let (callers, presents) = (BTreeMap::new(), BTreeMap::new());
    let (claims, kept, all) = (Claims::default(), Claims::default(), Vec::new());
    let mut drafts =
        Drafts { settled, claimed, claims, kept, known, callers, presented: presents, all };
    for (key, gateway) in by_age(settled) {
        let presented = presented(settled, key, gateway, before, faults);
        drafts.presented.insert(key.clone(), presented);
        let owner = Owner { key, gateway: key, of: gateway };
        drafts.add(owner, &gateway.spec.listeners, faults);
    }
    for Taken { key, set, gateway } in sets::taken(settled, namespaces, faults) {
        let owner = Owner { key, gateway: &set.gateway(), of: gateway };
        drafts.add(owner, &set.spec.listeners, faults);
    }
    drafts.all
}

/// Listeners while they are drafted, and what that hangs on.
struct Drafts<'a> {
    settled: &'a Settled,
    claimed: &'a Claimed,
    claims: Claims,
    /// What listeners of Gateways hold from sets that cannot serve for what is wrong with themselves.
    kept: Claims,
    /// What was asked of callers before, and what others ask.
    known: HashSet<Arc<ClientValidation>>,
    /// What each Gateway asks of callers.
    callers: BTreeMap<Key, Callers>,
    /// What each Gateway shows to backends.
    presented: BTreeMap<Key, Presented>,
    all: Vec<Listener>,
}

/// Who has listeners: a Gateway, or a ListenerSet and the Gateway that takes it.
#[derive(Clone, Copy)]
struct Owner<'a> {
    key: &'a Key,
    gateway: &'a Key,
    of: &'a Gateway,
}

impl Drafts<'_> {
    fn add(
        &mut self,
        owner: Owner<'_>,
        listeners: &[gateway::Listener],
        faults: &mut Vec<Invalid>,
    ) {
        let (settled, key) = (self.settled, owner.key);
        let lost = || Presented::Unusable("its Gateway is not there".into());
        let presented = self.presented.get(owner.gateway).cloned().unwrap_or_else(lost);
        for (index, written) in listeners.iter().enumerate() {
            let at = format!("spec.listeners[{index}]");
            let mut listener = listener(settled, owner, written, &at, faults);
            listener.presented = presented.clone();
            if listener.ends_tls() {
                match self.asked(owner, written.port, faults) {
                    Ok(asked) => {
                        let optional =
                            written.tls.as_ref().map(ListenerTls::lets_callers_show_none);
                        listener.client_validation = if optional.unwrap_or_default() {
                            self.optional(owner, asked, &at, faults)
                        } else {
                            asked
                        };
                    }
                    Err(reason) if listener.is_serving() => {
                        listener.state = State::Refused(reason);
                    }
                    Err(_) => {}
                }
            }
            let host = written.hostname.as_ref();
            let anothers = host.and_then(|host| self.claimed.of_listener(key, host));
            if !listener.is_serving() && listener.set.is_none() && anothers.is_none() {
                self.kept.hold(&listener);
            }
            if let Some(reason) = anothers.filter(|_| listener.is_serving()) {
                faults.push(fault(key, &format!("{at}.hostname"), reason.clone()));
                listener.state = State::Refused(reason);
            }
            if listener.is_serving()
                && let Err(reason) = self.take(&listener)
            {
                faults.push(fault(key, &at, reason.clone()));
                listener.state = State::Refused(reason);
            }
            self.all.push(listener);
        }
    }

    /// What is asked of callers who may show no certificate. Where that cannot be said it is as if it were not.
    fn optional(
        &mut self,
        owner: Owner<'_>,
        asked: Option<Arc<ClientValidation>>,
        at: &str,
        faults: &mut Vec<Invalid>,
    ) -> Option<Arc<ClientValidation>> {
        let why = match &asked {
            None => "its Gateway asks nothing of callers on this port; see 'spec.tls.frontend'",
            Some(_) if owner.key != owner.gateway => {
                "what a Gateway asks of callers, its own listeners alone may make optional"
            }
            Some(asked) if asked.mode == FrontendValidationMode::AllowInsecureFallback => {
                "with mode AllowInsecureFallback nothing is required"
            }
            Some(asked) => {
                let optional = ClientValidation { is_optional: true, ..(**asked).clone() };
                return Some(shared(&mut self.known, optional));
            }
        };
        let at = format!("{at}.tls.options['{CLIENT_CERTIFICATE}']");
        faults.push(fault(owner.key, &at, why.to_owned()));
        asked
    }

    fn take(&mut self, listener: &Listener) -> Result<(), String> {
        let kept = listener.set.as_ref().and_then(|_| self.kept.rival(listener));
        match kept.or_else(|| self.claims.rival(listener)) {
            Some(reason) => Err(reason),
            None => {
                self.claims.hold(listener);
                Ok(())
            }
        }
    }

    /// What a Gateway asks of callers on a port, whoever has the listener there.
    fn asked(&mut self, owner: Owner<'_>, port: u16, faults: &mut Vec<Invalid>) -> Asked {
        let Owner { gateway: key, of: gateway, .. } = owner;
        let asker = Asker { settled: self.settled, key, gateway };
        let callers = self.callers.entry(key.clone()).or_default();
        callers.on(asker, port, &mut self.known, faults)
    }
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

/// What listeners hold that come first: what is spoken on each port, and each host name on it.
#[derive(Default)]
struct Claims {
    spoken: BTreeMap<(Transport, u16), (Protocol, Holder)>,
    hosts: BTreeMap<Place, Holder>,
}

/// A port of what carries a listener, and a host name on it.
type Place = (Transport, u16, String);

/// A listener that holds something.
#[derive(Clone)]
struct Holder {
    owner: Key,
    name: Name,
}

impl Holder {
    /// What it is called before another one. ListenerSets of others are theirs to know.
    fn told(&self, to: &Listener) -> String {
        let Holder { owner, name } = self;
        let is_hidden = owner.kind == Kind::ListenerSet && owner.namespace != to.owner().namespace;
        match is_hidden {
            true => "a listener of an older ListenerSet".to_owned(),
            false => format!("listener '{name}' of {owner}"),
        }
    }
}

impl Claims {
    /// Why a listener cannot have what it wants: another one has it.
    fn rival(&self, listener: &Listener) -> Option<String> {
        let port = listener.port;
        if let Some((spoken, holder)) = self.spoken.get(&listener.place())
            && !share(*spoken, listener.protocol)
        {
            let (spoken, holder) = (spoken.as_str(), holder.told(listener));
            return Some(format!("port {port} is held by {holder}, which speaks {spoken} there"));
        }
        let place = place(listener);
        let holder = self.hosts.get(&place)?.told(listener);
        let (transport, _, host) = &place;
        Some(match transport {
            Transport::Udp => format!("port {port} of UDP is held by {holder}"),
            Transport::Tcp | Transport::Sctp => {
                format!("'{host}' on port {port} is held by {holder}")
            }
        })
    }

    fn hold(&mut self, listener: &Listener) {
        let by = Holder { owner: listener.owner().clone(), name: listener.name.clone() };
        self.spoken.entry(listener.place()).or_insert_with(|| (listener.protocol, by.clone()));
        self.hosts.entry(place(listener)).or_insert(by);
    }
}

/// The port and the host name that a listener wants.
fn place(listener: &Listener) -> Place {
    let host = listener.hostname.as_ref().map_or("any host", |host| host.as_str());
    (listener.protocol.transport(), listener.port, host.to_owned())
}

/// Whether listeners of these protocols may share a port: with TLS the server name tells them apart.
fn share(one: Protocol, other: Protocol) -> bool {
    let is_tls = |protocol| matches!(protocol, Protocol::Https | Protocol::Tls);
    one == other || (is_tls(one) && is_tls(other))
}

fn listener(
    settled: &Settled,
    owner: Owner<'_>,
    written: &gateway::Listener,
    at: &str,
    faults: &mut Vec<Invalid>,
) -> Listener {
    let tls = written.tls.as_ref();
    let Owner { key, gateway, .. } = owner;
    let mut listener = Listener {
        gateway: gateway.clone(),
        set: (key != gateway).then(|| key.clone()),
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
        listener.certificates = certificates(settled, key, written, at, faults);
        if listener.certificates.is_empty() {
            listener.state = State::Refused("it has no certificate that can be used".to_owned());
        }
    }
    listener
}

/// The certificates that can be used, each once; the others are faults.
fn certificates(
    settled: &Settled,
    owner: &Key,
    written: &gateway::Listener,
    at: &str,
    faults: &mut Vec<Invalid>,
) -> Vec<Certificate> {
    let refs = written.tls.as_ref().map_or(&[][..], |tls| &tls.certificate_refs);
    let (mut seen, mut found) = (BTreeSet::new(), Vec::new());
    for (index, reference) in refs.iter().enumerate() {
        match certificate(settled, owner, reference) {
            Ok(one) if seen.insert(one.secret.clone()) => found.push(one),
            Ok(_) => {}
            Err(reason) => {
                let at = format!("{at}.tls.certificateRefs[{index}]");
                faults.push(fault(owner, &at, reason));
            }
        }
    }
    found
}

fn certificate(
    settled: &Settled,
    owner: &Key,
    reference: &ObjectRef,
) -> Result<Certificate, String> {
    let called = (reference.namespace.as_ref(), &reference.name);
    let key = referred(settled, owner, Kind::Secret, called)?;
    let Key { namespace, name, .. } = &key;
    let Some(secret) = settled.secret(namespace, name) else {
        return Err(settled.absence(&key, &owner.namespace));
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

/// What an object is called that a Gateway or ListenerSet names and may refer to.
fn referred(
    settled: &Settled,
    owner: &Key,
    kind: Kind,
    (namespace, name): (Option<&Name>, &Name),
) -> Result<Key, String> {
    let namespace = namespace.unwrap_or(&owner.namespace);
    let key = Key::new(kind, namespace.clone(), name.clone());
    match settled.permits(owner, &key) {
        true => Ok(key),
        false => Err(Settled::not_permitted(owner, &key)),
    }
}

/// What a Gateway asks of callers, each port's looked at once.
#[derive(Default)]
struct Callers {
    ports: BTreeMap<Option<u16>, Asked>,
}

/// The Gateway that asks.
#[derive(Clone, Copy)]
struct Asker<'a> {
    settled: &'a Settled,
    key: &'a Key,
    gateway: &'a Gateway,
}

/// What is asked of callers, or why who asks it has nobody to believe.
type Asked = Result<Option<Arc<ClientValidation>>, String>;

impl Callers {
    /// What is asked on a port; one of `known` where it is the same.
    fn on(
        &mut self,
        asker: Asker<'_>,
        port: u16,
        known: &mut HashSet<Arc<ClientValidation>>,
        faults: &mut Vec<Invalid>,
    ) -> Asked {
        let tls = asker.gateway.spec.tls.as_ref();
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
            Some(written) => {
                let asked = asker.ask(written, &format!("{at}.validation"), faults);
                asked.map(|asked| Some(shared(known, asked)))
            }
            None => Ok(None),
        };
        self.ports.insert(place, asked.clone());
        asked
    }
}

/// The one of `known` that asks the same.
fn shared(
    known: &mut HashSet<Arc<ClientValidation>>,
    asked: ClientValidation,
) -> Arc<ClientValidation> {
    if let Some(same) = known.get(&asked) {
        return Arc::clone(same);
    }
    let asked = Arc::new(asked);
    known.insert(Arc::clone(&asked));
    asked
}

impl Asker<'_> {
    /// Where no authority is left, nobody could prove anything, and who asks for proof serves nobody.
    fn ask(
        self,
        written: &FrontendValidation,
        at: &str,
        faults: &mut Vec<Invalid>,
    ) -> Result<ClientValidation, String> {
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
        Ok(ClientValidation { authorities, mode: written.mode, is_optional: false })
    }
}

fn authority(
    settled: &Settled,
    gateway: &Key,
    reference: &ObjectReference,
) -> Result<Authority, String> {
    let called = (reference.namespace.as_ref(), &reference.name);
    let key = referred(settled, gateway, Kind::ConfigMap, called)?;
    encryptions::authority(settled, key, &gateway.namespace)
}
