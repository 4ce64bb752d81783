//! Which BackendTLSPolicy holds for which port of a Service.
//!
//! One that cannot be used closes what it holds for, since without it that would be sent in the clear, or to
//! somebody else than was meant. So does one that could not be read, where no other holds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::backend_tls::BackendTlsPolicy;
use model::secret::CA_ENTRY;
use model::service::ServicePort;
use model::{Invalid, Key, Kind, Name, Resource};

use crate::assemble::policies::beyond;
use crate::encryption::{Authorities, BackendTls, Encryption};
use crate::isolate::closing::Place;
use crate::isolate::{IN_BROWSER, Settled, fault};
use crate::listener::Authority;

/// How what goes to Services is encrypted.
#[derive(Debug, Default)]
pub(crate) struct Encryptions {
    /// By the Service, and the name of its port where the policy names one.
    by_place: BTreeMap<Place, Held>,
    /// Namespaces of policies of which nobody can tell what they are for.
    closed: BTreeMap<Name, Key>,
    /// The policies that could not be used.
    unusable: BTreeSet<Key>,
}

/// What holds for a place, and by which policy.
#[derive(Debug)]
struct Held {
    policy: Key,
    encryption: Encryption,
}

impl Encryptions {
    /// Of several for one place the oldest holds, of one age the first by name; the others are faults there,
    /// and so are those of what is not there.
    pub(crate) fn new(settled: &Settled, faults: &mut Vec<Invalid>) -> Self {
        let mut all = Encryptions::default();
        // No browser is told of endpoints, or sends to them.
        if IN_BROWSER {
            return all;
        }
        let mut nowhere = Vec::new();
        for (key, policy) in by_age(settled) {
            let encryption = encryption(settled, key, policy, faults);
            if matches!(encryption, Encryption::Closed(_)) {
                all.unusable.insert(key.clone());
            }
            for (index, place) in Place::all_of_tls(policy).into_iter().enumerate() {
                let at = format!("spec.targetRefs[{index}]");
                let reason = lacks(settled, &place);
                if let Some(reason) = reason.filter(|_| !settled.is_elsewhere(&place.object)) {
                    faults.push(fault(key, &at, reason.clone()));
                    nowhere.push((key, place, reason));
                } else if let Some(other) = all.by_place.get(&place) {
                    let (name, of) = (&other.policy.name, in_words(&place));
                    let text = format!("BackendTLSPolicy '{name}' holds for {of} already");
                    faults.push(fault(key, &at, text));
                } else {
                    let held = Held { policy: key.clone(), encryption: encryption.clone() };
                    all.by_place.insert(place, held);
                }
            }
        }
        // Only now: what can be used holds, whoever is older.
        for (key, place, reason) in nowhere.into_iter().filter(|(_, one, _)| one.section.is_some())
        {
            all.close(key, whole(&place), &format!("{key} holds for no port of it: {reason}"));
        }
        all.close_unread(settled, faults);
        all
    }

    /// Closes what is meant by policies that could not be read. A port that does not exist stands for its
    /// Service.
    fn close_unread(&mut self, settled: &Settled, faults: &mut Vec<Invalid>) {
        for closing in &settled.unread_tls {
            let policy = &closing.policy;
            self.unusable.insert(policy.clone());
            // A target that is no Service is a word for one that cannot be told.
            let is_kept = settled.get(policy).is_some();
            let is_told = |place: &Place| is_kept || place.object.kind == Kind::Service;
            let targets = closing.targets.as_ref().filter(|all| all.iter().all(is_told));
            let Some(targets) = targets else {
                self.closed.entry(policy.namespace.clone()).or_insert_with(|| policy.clone());
                continue;
            };
            for place in targets.iter().filter(|place| place.object.kind == Kind::Service) {
                let is_there = lacks(settled, place).is_none();
                if is_kept {
                    faults.push(beyond(policy, place));
                }
                let closed = if is_there { place.clone() } else { whole(place) };
                self.close(policy, closed, &refused(policy));
            }
        }
    }

    /// Sends nothing to a place for which no other policy holds.
    fn close(&mut self, policy: &Key, place: Place, why: &str) {
        self.unusable.insert(policy.clone());
        let encryption = Encryption::Closed(why.into());
        self.by_place.entry(place).or_insert_with(|| Held { policy: policy.clone(), encryption });
    }

    /// What holds for a port of a Service: what names the port counts before what names the Service alone.
    pub(crate) fn of(&self, service: &Key, port: &ServicePort) -> Encryption {
        let place = |section| Place { object: service.clone(), section };
        let section = port.name.as_deref().and_then(|name| Name::parse(name).ok());
        let own = section.and_then(|name| self.by_place.get(&place(Some(name))));
        if let Some(held) = own.or_else(|| self.by_place.get(&place(None))) {
            return held.encryption.clone();
        }
        if let Some(policy) = self.closed.get(&service.namespace) {
            return Encryption::Closed(refused(policy).into());
        }
        if port.wants_tls() {
            let number = port.port;
            let why = format!(
                "port {number} of {service} says https, and no BackendTLSPolicy says who must answer there"
            );
            return Encryption::Closed(why.into());
        }
        Encryption::None
    }

    /// The policies that could not be used.
    pub(crate) fn unusable(&self) -> impl Iterator<Item = &Key> {
        self.unusable.iter()
    }
}

/// Why nothing goes where a policy that is refused is meant to hold.
fn refused(policy: &Key) -> String {
    format!("{policy} is refused, see its own faults")
}

fn whole(place: &Place) -> Place {
    Place { object: place.object.clone(), section: None }
}

fn in_words(place: &Place) -> String {
    let port = place.section.iter().map(|name| format!("port '{name}' of "));
    format!("{}{}", port.collect::<String>(), place.object)
}

/// What a policy says; closed where no authority of it can be used.
fn encryption(
    settled: &Settled,
    key: &Key,
    policy: &BackendTlsPolicy,
    faults: &mut Vec<Invalid>,
) -> Encryption {
    let validation = &policy.spec.validation;
    let authorities = match validation.well_known_ca_certificates {
        Some(_) => Authorities::System,
        None => Authorities::These(authorities(settled, key, policy, faults)),
    };
    if authorities == Authorities::These(Vec::new()) {
        let why = format!("no certificate of an authority that {key} names can be used");
        return Encryption::Closed(why.into());
    }
    Encryption::Tls(Arc::new(BackendTls {
        policy: key.clone(),
        server_name: validation.hostname.clone(),
        names: validation.subject_alt_names.clone(),
        authorities,
    }))
}

/// The authorities that can be used, each once; the others are faults.
fn authorities(
    settled: &Settled,
    key: &Key,
    policy: &BackendTlsPolicy,
    faults: &mut Vec<Invalid>,
) -> Vec<Authority> {
    let mut authorities: Vec<Authority> = Vec::new();
    for (index, map) in policy.authorities().enumerate() {
        match authority(settled, map, &key.namespace) {
            Ok(one) if authorities.contains(&one) => {}
            Ok(one) => authorities.push(one),
            Err(reason) => {
                let at = format!("spec.validation.caCertificateRefs[{index}]");
                faults.push(fault(key, &at, reason));
            }
        }
    }
    authorities
}

/// What a ConfigMap holds of authorities.
pub(super) fn authority(settled: &Settled, key: Key, from: &Name) -> Result<Authority, String> {
    let Some(Resource::ConfigMap(found)) = settled.get(&key) else {
        return Err(settled.absence(&key, from));
    };
    match found.data.get(CA_ENTRY) {
        Some(pem) => Ok(Authority { pem: pem.clone(), config_map: key }),
        None => Err(format!("{key} has no '{CA_ENTRY}'")),
    }
}

/// What a Service, or a port of it, lacks to exist.
fn lacks(settled: &Settled, place: &Place) -> Option<String> {
    let Some(Resource::Service(service)) = settled.get(&place.object) else {
        return Some(settled.absence(&place.object, &place.object.namespace));
    };
    let section = place.section.as_ref()?;
    let mut names = service.spec.ports.iter().filter_map(|port| port.name.as_deref());
    let is_there = names.any(|name| name == section.as_str());
    (!is_there).then(|| format!("{} has no port '{section}'", place.object))
}

/// All policies, the oldest first.
fn by_age(settled: &Settled) -> Vec<(&Key, &Arc<BackendTlsPolicy>)> {
    let policies = settled.of_kind(Kind::BackendTlsPolicy);
    let policies = policies.filter_map(|(key, item)| match &item.resource {
        Resource::BackendTlsPolicy(policy) => Some((key, policy)),
        _ => None,
    });
    let mut policies: Vec<_> = policies.collect();
    policies.sort_by_key(|(_, policy)| policy.metadata.creation_timestamp);
    policies
}
