//! Fault isolation: one good form of each object, and what must be closed for want of one.
//!
//! A refused object keeps the form that it had in the assembly before.
//! Without one, a policy closes what it was meant for, since leaving it out would open a door; so it
//! does where its good form is older than what it names now. Any other object is absent, and whoever
//! names it sees it missing.
//! An absent workspace denies what no policy speaks of, in the namespaces that its text names; an
//! absent claim holds the hosts that can be read in it.
//! An absent ReferenceGrant opens nothing.
//! Of an absent route it is remembered what it was meant for, as far as that can be read: where a
//! policy protects it, that stays closed.
//! Nothing here is felt outside the refused object's own namespace, but that a claim goes on holding.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use model::claim::Claim;
use model::cluster::Cluster;
use model::consumer::Consumer;
use model::reference::ReferenceGrant;
use model::secret::Secret;
use model::workspace::Workspace;
use model::{Invalid, Key, Kind, Name, Resource};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::assemble::{Assembly, Closed, Input, Refused};
use crate::isolate::closing::{Closing, Place};
use crate::isolate::stray::Stray;
use crate::route::{Compiled, Leads};

pub(crate) mod absent;
pub(crate) mod closing;
pub(crate) mod stray;
mod unread;

/// A browser is to load little (ADR 024): it reads a few kinds, of which only a route can fail here, makes
/// one table of them, and compares it with no other, so nothing has a digest there.
pub(crate) const IN_BROWSER: bool = cfg!(target_arch = "wasm32");

/// One good form of each object, by key.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    objects: BTreeMap<Key, Item>,
    /// What refused policies close: those without a good form, and those that name more than theirs.
    pub(crate) closings: Vec<Closing>,
    /// The same of policies that say how a Service is reached by TLS.
    pub(crate) unread_tls: Vec<Closing>,
    /// Refused routes without a good form.
    pub(crate) strays: Vec<Stray>,
    /// Refused workspaces without a good form.
    pub(crate) unread: Vec<Workspace>,
    /// Refused clusters without a good form.
    pub(crate) unread_clusters: Vec<Cluster>,
    /// Refused claims without a good form, by key.
    pub(crate) unread_claims: BTreeMap<Key, Arc<Claim>>,
    /// Policies that are known only by name.
    pub(crate) unknown: Vec<Closed>,
    /// Refused objects that keep their last good form.
    pub(crate) kept: BTreeSet<Key>,
    /// Refused objects that have none.
    pub(crate) lost: BTreeSet<Key>,
    /// [`Input::slice`].
    pub(crate) slice: bool,
    /// [`Input::lends`].
    lends: bool,
    /// What was said to be meant by what is not there: many may refer to it.
    meant: Mutex<HashMap<Key, Box<str>>>,
}

/// An object with what was made of it alone.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) resource: Resource,
    /// Of its key and all it says.
    digest: [u8; 32],
    /// The compiled form of a route.
    route: Option<Arc<Compiled>>,
}

impl Settled {
    /// Whether every workspace could be read as it is now.
    pub(crate) fn knows_workspaces(&self) -> bool {
        self.unread.is_empty() && !self.kept.iter().any(|key| key.kind == model::Kind::Workspace)
    }

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

    /// The Secret `namespace/name`.
    pub(crate) fn secret(&self, namespace: &Name, name: &Name) -> Option<&Arc<Secret>> {
        match self.get(&Key::new(Kind::Secret, namespace.clone(), name.clone()))? {
            Resource::Secret(secret) => Some(secret),
            _ => None,
        }
    }

    /// The Consumers of a namespace.
    pub(crate) fn consumers<'a>(
        &'a self,
        namespace: &'a Name,
    ) -> impl Iterator<Item = &'a Arc<Consumer>> {
        self.within(Kind::Consumer, namespace).filter_map(|(_, item)| match &item.resource {
            Resource::Consumer(consumer) => Some(consumer),
            _ => None,
        })
    }

    /// Whether the object `from` may refer to `to`: it lies beside it, or is let by a grant that does.
    pub(crate) fn permits(&self, from: &Key, to: &Key) -> bool {
        from.namespace == to.namespace
            || self.lends
            || (!IN_BROWSER && self.grants(&to.namespace).any(|one| one.permits(from, to)))
    }

    /// All objects of a kind in a namespace, in the order of their names.
    fn within<'a>(
        &'a self,
        kind: Kind,
        namespace: &'a Name,
    ) -> impl Iterator<Item = (&'a Key, &'a Item)> {
        let first = Name::parse("0").expect("a digit is the first of all names");
        let all = self.objects.range(Key::new(kind, namespace.clone(), first)..);
        all.take_while(move |(key, _)| key.kind == kind && key.namespace == *namespace)
    }

    /// The grants of a namespace.
    fn grants<'a>(&'a self, namespace: &'a Name) -> impl Iterator<Item = &'a ReferenceGrant> {
        self.within(Kind::ReferenceGrant, namespace).filter_map(|(_, item)| match &item.resource {
            Resource::ReferenceGrant(grant) => Some(&**grant),
            _ => None,
        })
    }

    /// Why the object `from` may not refer to `to`, in the same words whether that is there or not.
    pub(crate) fn not_permitted(from: &Key, to: &Key) -> String {
        format!(
            "{to} lies in another namespace, and no ReferenceGrant in '{}' lets {}s of '{}' refer to it",
            to.namespace, from.kind, from.namespace
        )
    }

    /// All objects of a kind, in the order of their names.
    pub(crate) fn of_kind(&self, kind: Kind) -> impl Iterator<Item = (&Key, &Item)> {
        let first = Name::parse("0").expect("a digit is the first of all names");
        let all = self.objects.range(Key::new(kind, first.clone(), first)..);
        all.take_while(move |(key, _)| key.kind == kind)
    }

    /// Every route, compiled, in the order of keys.
    pub(crate) fn routes(&self) -> impl Iterator<Item = (&Key, &Arc<Compiled>)> {
        let routes = Kind::ROUTES.into_iter().flat_map(|kind| self.of_kind(kind));
        routes.filter_map(|(key, item)| Some((key, item.route.as_ref()?)))
    }

    /// A short digest of everything, whatever the order in which it came.
    pub(crate) fn digest(&self) -> String {
        if IN_BROWSER {
            return String::new();
        }
        let hash = self.hash(|_| true).finalize();
        hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }

    /// A digest of all that a route's attachment may hang on besides the route itself, the services
    /// that there are, and the levels of policies.
    pub(crate) fn surroundings(&self) -> [u8; 32] {
        if IN_BROWSER {
            return [0; 32];
        }
        let mut hash = self.hash(|kind| match kind {
            Kind::HttpRoute
            | Kind::GrpcRoute
            | Kind::TlsRoute
            | Kind::TcpRoute
            | Kind::UdpRoute
            | Kind::Service
            | Kind::TrafficPolicy
            | Kind::BackendTlsPolicy
            | Kind::EndpointSlice
            | Kind::Workload
            | Kind::Consumer => false,
            Kind::Gateway
            | Kind::ListenerSet
            | Kind::ReferenceGrant
            | Kind::Namespace
            | Kind::Secret
            | Kind::ConfigMap
            | Kind::AuthnPolicy
            | Kind::AccessPolicy
            | Kind::RateLimitPolicy
            | Kind::Api
            | Kind::Claim
            | Kind::Workspace
            | Kind::Cluster
            | Kind::Team
            | Kind::Role
            | Kind::Grant
            | Kind::LoginProvider => true,
        });
        for key in &self.lost {
            hash.update(format!("{key}\n"));
        }
        hash.update([u8::from(self.slice), u8::from(self.lends)]);
        hash.finalize().into()
    }

    /// A hash of the objects of some kinds, and of what is known of those without a good form.
    fn hash(&self, is_in: impl Fn(Kind) -> bool) -> Sha256 {
        let mut hash = Sha256::new();
        for (_, item) in self.objects.iter().filter(|(key, _)| is_in(key.kind)) {
            hash.update(item.digest);
        }
        for closing in self.closings.iter().chain(&self.unread_tls) {
            hash.update(format!("{closing:?}"));
        }
        for stray in &self.strays {
            hash.update(stray.written());
        }
        for workspace in &self.unread {
            hash.update(written(workspace));
        }
        for cluster in &self.unread_clusters {
            hash.update(written(cluster));
        }
        for claim in self.unread_claims.values() {
            hash.update(written(claim));
        }
        for Closed { policy, targets, .. } in &self.unknown {
            hash.update(format!("{policy} {targets:?}"));
        }
        hash
    }
}

/// Chooses one good form of each object.
pub(crate) fn settle(
    input: Input,
    previous: Option<&Assembly>,
    faults: &mut Vec<Invalid>,
) -> Settled {
    let mut settled = Settled { slice: input.slice, lends: input.lends, ..Settled::default() };
    let mut refused = input.refused;
    for resource in input.resources {
        let key = resource.key();
        let Entry::Vacant(place) = settled.objects.entry(key) else {
            let text = "another one of this name stands above; the first stays";
            faults.push(fault(&resource.key(), "metadata.name", text));
            continue;
        };
        let before = previous.and_then(|assembly| assembly.settled.objects.get(place.key()));
        match accept(place.key(), &resource, before) {
            Ok(item) => drop(place.insert(item)),
            Err(faults) => {
                let (key, raw) = (Some(place.into_key()), raw(&resource));
                refused.push(Refused { key, raw, faults });
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
    settled.unread_clusters.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
    settled.closings.sort();
    settled.closings.dedup();
    settled.unread_tls.sort();
    settled.strays.sort_by_cached_key(Stray::written);
    settled
}

/// Compiles and digests an object, unless it is the one of before. Only a route can fail here.
fn accept(key: &Key, resource: &Resource, before: Option<&Item>) -> Result<Item, Vec<Invalid>> {
    let is_same =
        |before: &&Item| before.resource.is_shared(resource) || before.resource == *resource;
    if let Some(same) = before.filter(is_same) {
        return Ok(same.clone());
    }
    let route = match resource {
        Resource::HttpRoute(route) => Some(Compiled::new(route)),
        Resource::GrpcRoute(route) => Some(Compiled::of_grpc(route)),
        Resource::TlsRoute(route) => {
            Some(Compiled::of_connections(route.as_http(), Leads::Connections))
        }
        Resource::TcpRoute(route) => {
            Some(Compiled::of_connections(route.as_http(), Leads::Connections))
        }
        Resource::UdpRoute(route) => {
            Some(Compiled::of_connections(route.as_http(), Leads::Datagrams))
        }
        _ => None,
    };
    let route = route.transpose().map_err(|errors| {
        let told = errors.into_iter();
        told.map(|(path, error)| fault(key, &path, error.to_string())).collect::<Vec<_>>()
    })?;
    let digest = if IN_BROWSER { [0; 32] } else { digest(key, resource) };
    Ok(Item { resource: resource.clone(), digest, route: route.map(Arc::new) })
}

fn digest(key: &Key, resource: &Resource) -> [u8; 32] {
    let named = Sha256::new().chain_update(format!("{key}\n"));
    named.chain_update(written(resource)).finalize().into()
}

/// What was written of an object that does not compile, which is a route.
fn raw(resource: &Resource) -> Option<serde_json::Value> {
    let is_told = !IN_BROWSER && resource.kind().is_route();
    if is_told { serde_json::to_value(resource).ok() } else { None }
}

/// All that is said of an object, or of what is known of one.
fn written(of: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(of).expect("it is plain data with text keys")
}

/// Puts the last good form in the place of a refused object, or notes what it was meant for.
fn replace(settled: &mut Settled, refused: &Refused, previous: Option<&Assembly>) {
    let Some(key) = &refused.key else { return };
    if settled.objects.contains_key(key) {
        return;
    }
    let before = previous.map(|assembly| &assembly.settled);
    if let Some(item) = before.and_then(|before| before.objects.get(key)) {
        settled.objects.insert(key.clone(), item.clone());
        settled.kept.insert(key.clone());
        if IN_BROWSER {
            return;
        }
        let raw = refused.raw.as_ref();
        match &item.resource {
            Resource::BackendTlsPolicy(good) => {
                settled.unread_tls.extend(Closing::beyond(key, raw, &Place::all_of_tls(good)));
            }
            good => {
                let good = good.guarded().map(|targets| Place::all_of(&key.namespace, targets));
                let beyond = good.and_then(|good| Closing::beyond(key, raw, &good));
                settled.closings.extend(beyond);
            }
        }
    } else {
        if IN_BROWSER {
            settled.strays.push(Stray::untold(key));
        } else if key.kind.is_route() {
            settled.strays.push(Stray::of(key, refused.raw.as_ref()));
        } else if key.kind.is_guard() {
            settled.closings.push(Closing::of(key, refused.raw.as_ref()));
        } else if key.kind == Kind::BackendTlsPolicy {
            settled.unread_tls.push(Closing::of(key, refused.raw.as_ref()));
        } else if key.kind == Kind::Workspace && key.namespace == key.kind.default_namespace() {
            settled.unread.push(unread::workspace(key, refused.raw.as_ref()));
        } else if key.kind == Kind::Cluster && key.namespace == key.kind.default_namespace() {
            settled.unread_clusters.push(unread::cluster(key, refused.raw.as_ref()));
        } else if key.kind == Kind::Claim {
            let claim = Arc::new(unread::claim(key, refused.raw.as_ref()));
            settled.unread_claims.insert(key.clone(), claim);
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
