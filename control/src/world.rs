//! Every object as of one revision, and what follows from all of them together.
//!
//! A world is read from the store once, and from then on each is made from the one before by what
//! changed: by commits of others ([`World::next`]) or by one's own. Worlds share what they have in
//! common, so one costs what changed, and any may be kept for as long as somebody looks at it.
//!
//! What this program cannot read is set aside ([`World::unreadable`]) and stops only what concerns
//! it.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use imbl::OrdMap;
use model::access::Directory;
use model::{Key, Kind, Name, Resource, Scope};
use store::Store;
use table::{Assembly, Input};
use time::OffsetDateTime;

use crate::body;
use crate::claims::Grounds;
use crate::cost::Cost;
use crate::refusal::Refusal;

mod apis;
mod aside;
mod found;
mod view;

pub use aside::Unreadable;

pub(crate) use apis::Belongings;
pub(crate) use found::{Found, resource};

/// The hub's own objects; those of clusters come with the fleet.
pub(crate) const HUB: &str = "hub";

/// More revisions than these are not followed: everything is read anew.
const FOLLOWED: i64 = 1000;

/// Objects by key, shared between worlds.
pub type Objects = OrdMap<Key, Object>;

/// An object as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// What it says.
    pub resource: Resource,
    /// Its generation.
    pub generation: i64,
    /// The revision that made it so.
    pub revision: i64,
    /// When it was first written.
    pub created: OffsetDateTime,
    /// What it takes.
    pub(crate) cost: Cost,
}

impl Object {
    /// A resource as it stands.
    pub(crate) fn new(resource: Resource, (generation, revision): (i64, i64)) -> Self {
        let (created, cost) = (body::created(&resource), Cost::of(&resource));
        Object { resource, generation, revision, created, cost }
    }
}

/// Every object as of one revision.
#[derive(Debug, Clone, Default)]
pub struct World {
    /// The last revision that is in it.
    pub revision: i64,
    /// The objects.
    pub objects: Objects,
    /// The revision that last changed each scope.
    pub scopes: BTreeMap<Scope, i64>,
    /// Who may do what.
    pub directory: Arc<Directory>,
    /// What this program cannot read.
    pub unreadable: OrdMap<store::Key, Unreadable>,
    /// Who holds and uses which host.
    pub(crate) grounds: Grounds,
    /// What the objects of each kind in a namespace take.
    pub(crate) taken: OrdMap<(Name, Kind), Cost>,
    /// What belongs to which Api, once somebody wants to know.
    belongings: OnceLock<Arc<Belongings>>,
    /// What the proxies make of them all, once somebody wants to know.
    assembly: OnceLock<Arc<Assembly>>,
    /// What they made of an older world; what did not change since is taken over from it.
    older: Option<Arc<Assembly>>,
}

/// What has to be made anew.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Changed {
    /// Who may do what.
    pub(crate) borders: bool,
    /// What proxies make of it.
    pub(crate) traffic: bool,
}

impl World {
    /// This world, brought to the store's last revision; `None` if it is there.
    pub(crate) async fn next(&self, store: &Store) -> Result<Option<Self>, Refusal> {
        let last = store.revision().await?;
        if last == self.revision {
            return Ok(None);
        }
        // A store that was put back to an older state cannot be followed.
        if self.revision == 0 || last < self.revision || last - self.revision > FOLLOWED {
            return self.read(store).await.map(Some);
        }
        let mut latest = BTreeMap::new();
        for version in store.changes_since(self.revision, last).await? {
            latest.insert(version.key.clone(), version);
        }
        let (mut next, mut changed) = (self.clone(), Changed::default());
        for (key, version) in latest.into_iter().filter(|(key, _)| key.cluster == HUB) {
            let found = Found::version(store, &version).await?;
            // What it means for others is told by everything that is stored beside it.
            if found.is_border_aside() {
                return self.read(store).await.map(Some);
            }
            next.take(&key, found, &mut changed);
        }
        next.revision = last;
        next.scopes.extend(store.scopes_moved(self.revision, last).await?);
        next.settle(changed);
        Ok(Some(next))
    }

    /// Everything, as the store has it. What this world's proxies made of it is taken over where
    /// it is the same.
    async fn read(&self, store: &Store) -> Result<Self, Refusal> {
        let snapshot = store.snapshot(HUB).await?;
        let mut world = World {
            revision: snapshot.revision,
            scopes: snapshot.scopes.clone(),
            older: self.assembly.get().or(self.older.as_ref()).cloned(),
            ..World::default()
        };
        let mut changed = Changed { borders: true, traffic: true };
        for stored in &snapshot.resources {
            let found = Found::stored(store, stored, &snapshot).await?;
            world.take(&stored.key, found, &mut changed);
        }
        world.settle(changed);
        Ok(world)
    }

    /// Puts an object in its place, or takes it away, and notes what has to be made anew for it.
    pub(crate) fn take(&mut self, key: &store::Key, found: Found, changed: &mut Changed) {
        if let Some(ours) = body::key(key) {
            let before = self.objects.remove(&ours);
            if let Some(gone) = &before {
                self.grounds.remove(&gone.resource);
                self.give_back(&ours, gone.cost);
            }
            changed.borders |= is_border(ours.kind);
            changed.traffic |= is_traffic(ours.kind);
        }
        let aside = self.unreadable.remove(key);
        for stand_in in aside.iter().filter_map(|aside| aside.stand_in.as_ref()) {
            self.grounds.remove(stand_in);
        }
        match found {
            Found::Nothing => {}
            Found::Object(object) => {
                let ours = object.resource.key();
                self.grounds.add(&object.resource);
                let place = (ours.namespace.clone(), ours.kind);
                *self.taken.entry(place).or_default() += object.cost;
                self.objects.insert(ours, object);
            }
            Found::Aside(aside) => {
                let Unreadable { key, reason, .. } = &aside;
                tracing::warn!(%key, reason, "an object cannot be read and is set aside");
                aside.stand_in.iter().for_each(|stand_in| self.grounds.add(stand_in));
                self.unreadable.insert(key.clone(), aside);
            }
        }
    }

    /// Makes anew, or leaves to be made, what follows from what changed.
    pub(crate) fn settle(&mut self, changed: Changed) {
        if changed.borders {
            self.directory = Arc::new(Directory::new(self.people()));
        }
        self.belongings.take();
        if changed.traffic {
            self.older = self.assembly.take().or(self.older.take());
        }
    }

    /// What the proxies make of all objects.
    pub(crate) fn assembly(&self) -> &Arc<Assembly> {
        self.assembly.get_or_init(|| {
            let kinds = Kind::ALL.into_iter().filter(|kind| is_traffic(*kind));
            let objects = kinds.flat_map(|kind| self.of_kind(kind)).map(|(_, object)| object);
            let resources = objects.map(|object| object.resource.clone()).collect();
            Arc::new(table::assemble(self.input(resources), self.older.as_deref()))
        })
    }

    /// What belongs to which Api.
    pub(crate) fn belongings(&self) -> &Belongings {
        self.belongings.get_or_init(|| Arc::new(Belongings::of(self)))
    }

    /// These objects, beside all that cannot be read.
    fn input(&self, resources: Vec<Resource>) -> Input {
        let refused = self.unreadable.values().filter_map(Unreadable::refused).collect();
        Input { resources, refused, ..Input::default() }
    }

    /// All objects.
    pub fn resources(&self) -> impl Iterator<Item = &Resource> {
        self.objects.values().map(|object| &object.resource)
    }

    /// All objects of a kind, by namespace and name.
    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = (&Key, &Object)> {
        let first = Key::new(kind, first_name(), first_name());
        self.objects.range(first..).take_while(move |(key, _)| key.kind == kind)
    }

    /// What is known of what an object says; of one that cannot be read, as much as is needed to
    /// take nothing away from whom it protects.
    pub(crate) fn known(&self, key: &Key) -> Option<&Resource> {
        let object = self.objects.get(key).map(|object| &object.resource);
        object.or_else(|| self.aside(key)?.stand_in.as_ref())
    }

    /// The object of this name that is there and cannot be read.
    pub(crate) fn aside(&self, key: &Key) -> Option<&Unreadable> {
        // Nearly always there is none.
        (!self.unreadable.is_empty())
            .then(|| self.unreadable.get(&store::Key::new(HUB, key)))
            .flatten()
    }

    /// Some object in a namespace, read or not, in words.
    pub(crate) fn inhabitant(&self, namespace: &Name) -> Option<String> {
        let own = |kind| Key::new(kind, namespace.clone(), first_name());
        let kinds = Kind::ALL.into_iter();
        let mut found = kinds.filter_map(|kind| self.objects.range(own(kind)..).next());
        let found = found.find(|(key, _)| key.namespace == *namespace);
        let aside = || self.unreadable.values().find(|one| one.key.namespace == namespace.as_str());
        found.map(|(key, _)| key.to_string()).or_else(|| Some(aside()?.to_string()))
    }

    /// What decides on rights and borders.
    fn people(&self) -> impl Iterator<Item = &Resource> {
        let kinds = Kind::ALL.into_iter().filter(|kind| is_border(*kind));
        let objects = kinds.flat_map(|kind| self.of_kind(kind)).map(|(_, one)| &one.resource);
        objects.chain(self.unreadable.values().filter_map(|aside| aside.stand_in.as_ref()))
    }

    /// Whether a namespace belongs to a scope.
    pub(crate) fn is_in(&self, namespace: &Name, scope: &Scope) -> bool {
        self.directory.is_in(namespace.as_str(), scope)
    }

    fn give_back(&mut self, key: &Key, cost: Cost) {
        let place = (key.namespace.clone(), key.kind);
        let Some(taken) = self.taken.get_mut(&place) else { return };
        *taken -= cost;
        if taken.objects == 0 {
            self.taken.remove(&place);
        }
    }
}

/// Whether objects of a kind decide on rights and borders.
pub(crate) const fn is_border(kind: Kind) -> bool {
    match kind {
        Kind::Api | Kind::Workspace | Kind::Cluster | Kind::Team | Kind::Role | Kind::Grant => true,
        Kind::Gateway
        | Kind::ListenerSet
        | Kind::HttpRoute
        | Kind::GrpcRoute
        | Kind::TlsRoute
        | Kind::TcpRoute
        | Kind::UdpRoute
        | Kind::ReferenceGrant
        | Kind::Namespace
        | Kind::Service
        | Kind::EndpointSlice
        | Kind::Workload
        | Kind::Secret
        | Kind::ConfigMap
        | Kind::Consumer
        | Kind::AuthnPolicy
        | Kind::AccessPolicy
        | Kind::RateLimitPolicy
        | Kind::TrafficPolicy
        | Kind::BackendTlsPolicy
        | Kind::Claim
        | Kind::LoginProvider => false,
    }
}

/// Whether proxies are told of objects of a kind.
pub(crate) const fn is_traffic(kind: Kind) -> bool {
    match kind {
        Kind::Gateway
        | Kind::ListenerSet
        | Kind::HttpRoute
        | Kind::GrpcRoute
        | Kind::TlsRoute
        | Kind::TcpRoute
        | Kind::UdpRoute
        | Kind::ReferenceGrant
        | Kind::Namespace
        | Kind::Service
        | Kind::EndpointSlice
        | Kind::Workload
        | Kind::Secret
        | Kind::ConfigMap
        | Kind::Consumer
        | Kind::AuthnPolicy
        | Kind::AccessPolicy
        | Kind::RateLimitPolicy
        | Kind::TrafficPolicy
        | Kind::BackendTlsPolicy
        | Kind::Api
        | Kind::Claim
        | Kind::Workspace
        | Kind::Cluster => true,
        Kind::Team | Kind::Role | Kind::Grant | Kind::LoginProvider => false,
    }
}

fn first_name() -> Name {
    Name::parse("0").expect("a digit is the first of all names")
}
