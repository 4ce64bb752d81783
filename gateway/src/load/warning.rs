//! What is no fault, and most likely not meant: certificates that callers will not believe, ports of Services
//! that no endpoint has, endpoints of Services that are not there, matches that can never win.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::SystemTime;

use model::service::{EndpointPort, EndpointSlice, SERVICE_NAME_LABEL, Service, Transport};
use model::{Hostname, Invalid, Key, Kind, Meta, Name, Resource, nearest};
use proxy::tls::Stated;
use table::{Listener, Table};

use super::fault::Fault;

/// A finding that changes nothing.
#[derive(Debug, Clone)]
pub(crate) struct Warning(pub(crate) Fault);

impl fmt::Display for Warning {
    /// `FILE:LINE: warning: Kind namespace/name: path: what it is`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}warning: {}", self.0.place(), self.0.told())
    }
}

/// What there is to say of the objects in force, by the object that it is about.
pub(super) fn warnings(
    resources: &BTreeMap<Key, Resource>,
    table: &Table,
    now: SystemTime,
) -> Vec<Invalid> {
    let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    let stated: BTreeMap<_, _> = resources.iter().filter_map(stated).collect();
    let out_of_time = stated.iter().filter_map(|(key, stated)| {
        let Some(Resource::Secret(secret)) = resources.get(key) else { return None };
        let field = if secret.string_data.contains_key("tls.crt") { "stringData" } else { "data" };
        Some(warning(key, format!("{field}['tls.crt']"), out_of_time(stated, now)?))
    });
    let for_others = table.listeners.iter().flat_map(|listener| {
        let owner = resources.get(listener.owner());
        owner.map(|owner| for_others(owner, listener, &stated)).unwrap_or_default()
    });
    let slices = slices_by_service(resources);
    let services = resources.values().filter_map(|resource| match resource {
        Resource::Service(service) => Some(service),
        _ => None,
    });
    let portless = services.flat_map(|service| portless(service, &slices));
    let stray = resources.iter().filter_map(|(key, resource)| stray(key, resource, resources));
    out_of_time
        .chain(for_others)
        .chain(portless)
        .chain(stray)
        .chain(table.shadowed())
        .chain(table.idle_logins())
        .collect()
}

/// That a slice is of a Service that is not there.
fn stray(key: &Key, slice: &Resource, resources: &BTreeMap<Key, Resource>) -> Option<Invalid> {
    let Resource::EndpointSlice(slice) = slice else { return None };
    let service = Key::new(Kind::Service, key.namespace.clone(), slice.service()?);
    if resources.contains_key(&service) {
        return None;
    }
    let others = resources.keys().filter(|other| other.kind == Kind::Service);
    let others = others.filter(|other| other.namespace == key.namespace);
    let nearest = nearest(service.name.as_str(), others.map(|other| other.name.as_str()));
    let reason = format!("there is no {service}, so nothing is sent to its endpoints");
    let path = format!("metadata.labels['{SERVICE_NAME_LABEL}']");
    Some(Invalid { nearest, ..warning(key, path, reason) })
}

/// The slices of each Service that have endpoints.
type Slices<'r> = BTreeMap<(&'r Name, Name), Vec<&'r EndpointSlice>>;

fn slices_by_service(resources: &BTreeMap<Key, Resource>) -> Slices<'_> {
    let mut slices = Slices::new();
    for (key, resource) in resources {
        if let Resource::EndpointSlice(slice) = resource
            && let Some(service) = slice.service().filter(|_| !slice.endpoints.is_empty())
        {
            slices.entry((&key.namespace, service)).or_default().push(slice);
        }
    }
    slices
}

/// Ports of a Service that none of its slices has, whatever endpoints these hold.
fn portless(service: &Service, slices: &Slices<'_>) -> Vec<Invalid> {
    let Meta { namespace, name, .. } = &service.metadata;
    let Some(slices) = slices.get(&(namespace, name.clone())) else { return Vec::new() };
    let there = || slices.iter().flat_map(|slice| &slice.ports);
    let ports = service.spec.ports.iter().enumerate();
    let missing = ports.filter(|(_, port)| {
        let name = port.name.as_deref().unwrap_or_default();
        !there().any(|one| {
            let transport = one.protocol.unwrap_or_default();
            one.name.as_deref().unwrap_or_default() == name && transport == port.transport()
        })
    });
    let told = missing.map(|(index, port)| {
        let (name, number) = (called(port.name.as_deref(), port.transport()), port.port);
        let reason = format!(
            "no EndpointSlice of this Service has a port {name}, so nothing that is sent to port \
             {number} finds an endpoint; they have {}",
            listed(there())
        );
        let key = Key::new(Kind::Service, namespace.clone(), service.metadata.name.clone());
        warning(&key, format!("spec.ports[{index}]"), reason)
    });
    told.collect()
}

/// The ports of slices in words, each once.
fn listed<'s>(ports: impl Iterator<Item = &'s EndpointPort>) -> String {
    let ports = ports.map(|one| called(one.name.as_deref(), one.protocol.unwrap_or_default()));
    let ports: BTreeSet<_> = ports.collect();
    if ports.is_empty() {
        return "none at all".to_owned();
    }
    ports.into_iter().collect::<Vec<_>>().join(", ")
}

/// What ports are matched by.
fn called(name: Option<&str>, transport: Transport) -> String {
    let name = name.filter(|name| !name.is_empty()).map(|name| format!("'{name}'"));
    let name = name.unwrap_or_else(|| "without a name".to_owned());
    format!("{name} of {}", transport.as_str())
}

/// A finding about an object.
fn warning(key: &Key, path: String, reason: String) -> Invalid {
    Invalid { key: Some(key.clone()), path, line: None, reason, nearest: None }
}

/// What the certificate of a Secret says, where it has one.
fn stated<'r>((key, resource): (&'r Key, &Resource)) -> Option<(&'r Key, Stated)> {
    match resource {
        Resource::Secret(secret) => Some((key, Stated::of(secret)?)),
        _ => None,
    }
}

/// Why nobody believes a certificate at this moment.
fn out_of_time(stated: &Stated, now: i64) -> Option<String> {
    if stated.ends < now {
        return Some(format!("the certificate ended at {}", Stated::day(stated.ends)));
    }
    let begins = Some(stated.begins).filter(|begins| *begins > now)?;
    Some(format!("the certificate holds only from {} on", Stated::day(begins)))
}

/// Certificates that a listener shows, and that are for none of its hosts.
fn for_others(
    owner: &Resource,
    listener: &Listener,
    stated: &BTreeMap<&Key, Stated>,
) -> Vec<Invalid> {
    let Some(host) = listener.hostname.as_ref().filter(|_| listener.is_serving()) else {
        return Vec::new();
    };
    let place = owner.listeners().iter().position(|one| one.name == listener.name);
    let place = place.map(|index| format!("spec.listeners[{index}].tls."));
    let named = owner.certificates();
    let told = listener.certificates.iter().filter_map(|shown| {
        let stated = stated.get(&shown.secret).filter(|stated| !stated.is_for(host))?;
        let is_here = |(path, key): &&(String, Key)| {
            *key == shown.secret && place.as_ref().is_some_and(|place| path.starts_with(place))
        };
        let (path, _) = named.iter().find(is_here)?;
        Some(warning(&owner.key(), path.clone(), names(&shown.secret, stated, host)))
    });
    told.collect()
}

/// Which hosts a certificate is for, in the place of this one.
fn names(secret: &Key, stated: &Stated, host: &Hostname) -> String {
    const LISTED: usize = 5;
    let more = if stated.hosts.len() > LISTED { " and others" } else { "" };
    let hosts: Vec<_> = stated.hosts.iter().take(LISTED).map(String::as_str).collect();
    match hosts.is_empty() {
        true => format!("the certificate of {secret} names no host, so it is not for '{host}'"),
        false => {
            let hosts = hosts.join(", ");
            format!("the certificate of {secret} is for {hosts}{more}, not for '{host}'")
        }
    }
}
