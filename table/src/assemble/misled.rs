//! A policy whose edit would let go of what it protects for a target that is not there.
//!
//! A target may be written before it exists, so a missing one refuses no policy.
//! But where the edit that names it takes away a target that is there, it is most likely misspelt,
//! and what the policy protected would stand open.
//! Then the policy keeps the form that it had.

use model::{Invalid, Key, Kind, Resource};

use super::policies::missing;
use crate::Assembly;
use crate::isolate::closing::Place;
use crate::isolate::{Settled, fault};

/// Gives such policies back the form of `previous`, with a fault for each missing target.
pub(super) fn keep(settled: &mut Settled, previous: Option<&Assembly>, faults: &mut Vec<Invalid>) {
    let Some(previous) = previous else { return };
    let kinds = Kind::GUARDS.into_iter().chain([Kind::BackendTlsPolicy]);
    let policies = kinds.flat_map(|kind| settled.of_kind(kind));
    let misled = policies.filter_map(|(key, item)| {
        let after = places(&item.resource)?;
        let before = places(previous.settled.get(key)?)?;
        let faults = misled(settled, key, before, &after);
        (!faults.is_empty()).then(|| (key.clone(), faults))
    });
    let misled: Vec<_> = misled.collect();
    for (key, reasons) in misled {
        settled.keep(&key, previous);
        faults.extend(reasons);
    }
}

/// What a policy that protects is attached to.
fn places(resource: &Resource) -> Option<Vec<Place>> {
    match resource {
        Resource::BackendTlsPolicy(policy) => Some(Place::all_of_tls(policy)),
        other => Some(Place::all_of(&other.meta().namespace, other.guarded()?)),
    }
}

/// The missing targets of `after`, if it lets go of one of `before` that is there. What is there but
/// for the part that is named, or is refused, is closed whole, so it is no door.
fn misled(settled: &Settled, key: &Key, before: Vec<Place>, after: &[Place]) -> Vec<Invalid> {
    let holds = |after: &Place, place: &Place| {
        after.covers(place) || (after.object == place.object && missing(settled, after).is_some())
    };
    let lost = before.into_iter().find(|place| {
        missing(settled, place).is_none() && !after.iter().any(|after| holds(after, place))
    });
    let Some(lost) = lost else { return Vec::new() };
    let is_nowhere = |object: &Key| settled.get(object).is_none() && !settled.lost.contains(object);
    let nowhere = after.iter().enumerate().filter(|(_, place)| is_nowhere(&place.object));
    let told = nowhere.map(|(index, place)| {
        let what = settled.lack(&place.object);
        let meant = settled.meant(&place.object, &key.namespace);
        let text = format!("{what}; so the policy stays as it was, on {}{meant}", lost.object);
        fault(key, &format!("spec.targetRefs[{index}]"), text)
    });
    told.collect()
}
