//! Fault isolation: one good form of each object, and what must be closed for want of one.
//!
//! A refused object keeps the form that it had in the assembly before.
//! Without one, a policy closes what it was meant for, since leaving it out would open a door; so it
//! does where its good form is older than what it names now. Any other object is absent, and whoever
//! names it sees it missing.
//! An absent workspace denies what no policy speaks of, in the namespaces that its text names.
//! Of an absent HTTPRoute it is remembered what it was meant for, as far as that can be read: where a
//! policy protects it, that stays closed.
//! Nothing here is felt outside the refused object's own namespace.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::secret::Secret;
use model::workspace::Workspace;
use model::{Invalid, Key, Kind, Name, Resource};
use sha2::{Digest as _, Sha256};

use crate::assemble::{Assembly, Closed, Input, Refused};
use crate::isolate::closing::Closing;
use crate::isolate::stray::Stray;
use crate::route::Compiled;

pub(crate) mod closing;
pub(crate) mod stray;
mod unread;

/// One good form of each object, by key.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    objects: BTreeMap<Key, Item>,
    /// The compiled form of each HTTPRoute among the objects.
    pub(crate) routes: BTreeMap<Key, Arc<Compiled>>,
    /// What refused policies close: those without a good form, and those that name more than theirs.
    pub(crate) closings: Vec<Closing>,
    /// Refused HTTPRoutes without a good form.
    pub(crate) strays: Vec<Stray>,
    /// Refused workspaces without a good form.
    pub(crate) unread: Vec<Workspace>,
    /// Policies that are known only by name.
    pub(crate) unknown: Vec<Closed>,
    /// Refused objects that keep their last good form.
    pub(crate) kept: BTreeSet<Key>,
    /// Refused objects that have none.
    pub(crate) lost: BTreeSet<Key>,
    /// [`Input::slice`].
    pub(crate) slice: bool,
}

/// An object with a digest of all it says.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) resource: Resource,
    digest: [u8; 32],
}

impl Settled {
    /// Puts the form that `key` had in `previous` in the place of the one it has now.
    pub(crate) fn keep(&mut self, key: &Key, previous: &Assembly) {
        if let Some(item) = previous.settled.objects.get(key) {
            self.objects.insert(key.clone(), item.clone());
            self.kept.insert(key.clone());
        }
    }

    /// The object called `key`.
    pub(crate) fn get(&self, key: &Key) -> Option<&Resource> {
        self.objects.get(key).map(|item| &item.resource)
    }

    /// Whether `key` may well be there, only not for us: then its absence is no fault.
    pub(crate) fn is_elsewhere(&self, key: &Key) -> bool {
        self.slice && self.get(key).is_none() && !self.lost.contains(key)
    }

    /// Why there is no object called `key` to refer to.
    pub(crate) fn absence(&self, key: &Key) -> String {
        if self.lost.contains(key) {
            format!("{key} is refused, see its own faults")
        } else {
            format!("no {key}")
        }
    }

    /// The Secret `namespace/name`.
    pub(crate) fn secret(&self, namespace: &Name, name: &Name) -> Option<&Arc<Secret>> {
        match self.get(&Key::new(Kind::Secret, namespace.clone(), name.clone()))? {
            Resource::Secret(secret) => Some(secret),
            _ => None,
        }
    }

    /// All objects of a kind, in the order of their names.
    pub(crate) fn of_kind(&self, kind: Kind) -> impl Iterator<Item = (&Key, &Item)> {
        self.objects.iter().filter(move |(key, _)| key.kind == kind)
    }

    /// A digest of everything, whatever the order in which it came.
    pub(crate) fn digest(&self) -> String {
        let mut hash = Sha256::new();
        for (key, item) in &self.objects {
            hash.update(key.to_string());
            hash.update(item.digest);
        }
        for closing in &self.closings {
            hash.update(format!("{closing:?}"));
        }
        for stray in &self.strays {
            hash.update(format!("{stray:?}"));
        }
        for workspace in &self.unread {
            hash.update(format!("{workspace:?}"));
        }
        for Closed { policy, targets, .. } in &self.unknown {
            hash.update(format!("{policy} {targets:?}"));
        }
        hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Chooses one good form of each object.
pub(crate) fn settle(
    input: Input,
    previous: Option<&Assembly>,
    faults: &mut Vec<Invalid>,
) -> Settled {
    let mut settled = Settled { slice: input.slice, ..Settled::default() };
    let mut refused = input.refused;
    for resource in input.resources {
        let key = resource.key();
        if settled.objects.contains_key(&key) {
            faults.push(fault(
                &key,
                "metadata.name",
                "another one of this name stands above; the first stays",
            ));
            continue;
        }
        match accept(&key, &resource, previous) {
            Ok(route) => {
                settled.routes.extend(route.map(|route| (key.clone(), route)));
                let item = item(&key, resource, previous);
                settled.objects.insert(key, item);
            }
            Err(faults) => {
                refused.push(Refused { key: Some(key), raw: Some(resource.to_json()), faults });
            }
        }
    }
    for object in refused {
        replace(&mut settled, &object, previous);
        faults.extend(object.faults);
    }
    for closed in input.closed {
        faults.push(closed.fault.clone());
        settled.unknown.push(closed);
    }
    settled.unknown.iter_mut().for_each(|closed| closed.targets.sort());
    settled.unknown.sort_by(|a, b| (&a.policy, &a.targets).cmp(&(&b.policy, &b.targets)));
    settled.unread.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
    settled.closings.sort();
    settled.closings.dedup();
    settled.strays.sort_by_cached_key(|stray| format!("{stray:?}"));
    settled
}

/// Compiles a route; other objects have nothing that could fail here.
fn accept(
    key: &Key,
    resource: &Resource,
    previous: Option<&Assembly>,
) -> Result<Option<Arc<Compiled>>, Vec<Invalid>> {
    let Resource::HttpRoute(route) = resource else { return Ok(None) };
    let before = previous.and_then(|assembly| assembly.settled.routes.get(key));
    if let Some(same) = before.filter(|before| before.source == *route) {
        return Ok(Some(Arc::clone(same)));
    }
    match Compiled::new(route) {
        Ok(route) => Ok(Some(Arc::new(route))),
        Err(errors) => {
            let faults =
                errors.into_iter().map(|(path, error)| fault(key, &path, error.to_string()));
            Err(faults.collect())
        }
    }
}

/// Digests an object, unless it is the one of before.
fn item(key: &Key, resource: Resource, previous: Option<&Assembly>) -> Item {
    let before = previous.and_then(|assembly| assembly.settled.objects.get(key));
    if let Some(same) = before.filter(|before| before.resource == resource) {
        return same.clone();
    }
    let text = serde_json::to_vec(&resource);
    let text = text.unwrap_or_else(|_| format!("{resource:?}").into_bytes());
    Item { resource, digest: Sha256::digest(text).into() }
}

/// Puts the last good form in the place of a refused object, or notes what it was meant for.
fn replace(settled: &mut Settled, refused: &Refused, previous: Option<&Assembly>) {
    let Some(key) = &refused.key else { return };
    if settled.objects.contains_key(key) {
        return;
    }
    let before = previous.map(|assembly| &assembly.settled);
    if let Some(item) = before.and_then(|before| before.objects.get(key)) {
        let route = before.and_then(|before| before.routes.get(key));
        settled.routes.extend(route.map(|route| (key.clone(), Arc::clone(route))));
        settled.objects.insert(key.clone(), item.clone());
        settled.kept.insert(key.clone());
        if let Resource::AccessPolicy(good) = &item.resource {
            settled.closings.extend(Closing::beyond(key, refused.raw.as_ref(), good));
        }
    } else {
        if key.kind == Kind::AccessPolicy {
            settled.closings.push(Closing::of(key, refused.raw.as_ref()));
        } else if key.kind == Kind::HttpRoute {
            settled.strays.push(Stray::of(key, refused.raw.as_ref()));
        } else if key.kind == Kind::Workspace && key.namespace == key.kind.default_namespace() {
            settled.unread.push(unread::workspace(key, refused.raw.as_ref()));
        }
        settled.lost.insert(key.clone());
    }
}

/// A fault of an object that was read well.
pub(crate) fn fault(key: &Key, path: &str, reason: impl Into<String>) -> Invalid {
    Invalid {
        key: Some(key.clone()),
        path: path.to_owned(),
        line: None,
        reason: reason.into(),
        nearest: None,
    }
}
