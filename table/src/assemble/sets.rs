//! ListenerSets: which of them their Gateways take.
//!
//! A Gateway says which namespaces may add listeners to it, none where it says nothing.
//! A set that is not let has no effect, and is told so; that a Gateway of others is not for it, in the
//! same words whether it is there or not, but where a selector of the platform's or its own does not pick it.

use std::sync::Arc;

use model::gateway::{Gateway, ListenerSet};
use model::{Invalid, Key, Kind, Resource};

use crate::assemble::namespaces::Namespaces;
use crate::isolate::{Settled, fault};

/// A set and the Gateway that takes it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Taken<'a> {
    pub(super) key: &'a Key,
    pub(super) set: &'a ListenerSet,
    pub(super) gateway: &'a Gateway,
}

/// The sets that their Gateways take, the oldest first; without a time they count as oldest, and by name
/// among themselves.
pub(super) fn taken<'a>(
    settled: &'a Settled,
    namespaces: &Namespaces<'_>,
    faults: &mut Vec<Invalid>,
) -> Vec<Taken<'a>> {
    let mut taken = Vec::new();
    for (key, set) in all(settled) {
        match gateway(settled, namespaces, key, set) {
            Ok(gateway) => taken.push(Taken { key, set, gateway }),
            Err(_) if settled.is_elsewhere(&set.gateway()) => {}
            Err(reason) => faults.push(fault(key, "spec.parentRef", reason)),
        }
    }
    taken.sort_by_cached_key(|Taken { key, set, .. }| {
        (set.metadata.creation_timestamp, format!("{}/{}", key.namespace, key.name))
    });
    taken
}

/// Every set, in the order of names.
pub(super) fn all(settled: &Settled) -> impl Iterator<Item = (&Key, &Arc<ListenerSet>)> {
    settled.of_kind(Kind::ListenerSet).filter_map(|(key, item)| match &item.resource {
        Resource::ListenerSet(set) => Some((key, set)),
        _ => None,
    })
}

/// The Gateway that takes a set, or why none does.
fn gateway<'a>(
    settled: &'a Settled,
    namespaces: &Namespaces<'_>,
    key: &Key,
    set: &ListenerSet,
) -> Result<&'a Gateway, String> {
    let name = set.gateway();
    let found = match settled.get(&name) {
        Some(Resource::Gateway(gateway)) => Some(&**gateway),
        Some(_) | None => None,
    };
    let (own, namespace) = (&key.namespace, namespaces.get(&key.namespace));
    let is_near = name.namespace == *own;
    let unmet = found.and_then(|gateway| gateway.unmet(namespace));
    let unmet = unmet.and_then(|unmet| namespaces.told(unmet, &name.namespace, own));
    match (found, unmet) {
        (Some(gateway), _) if gateway.lets(namespace) => Ok(gateway),
        (Some(_), Some(unmet)) => {
            Err(format!("{name} takes no ListenerSets of namespace '{own}': its selector {unmet}"))
        }
        (None, _) if is_near => Err(settled.absence(&name, own)),
        (Some(_) | None, _) => Err(format!(
            "no {name} takes ListenerSets of namespace '{own}'; it would say so by \
             spec.allowedListeners.namespaces.from"
        )),
    }
}
