//! Every object that nodes may be told of, encoded.

use bytes::Bytes;
use imbl::OrdMap;
use model::access::Directory;
use model::namespace::{Labelled, Namespace};
use time::OffsetDateTime;

use super::sight::Sight;
use super::{
    Arc, BTreeMap, Class, DiffItem, Difference, Envelope, Key, Kind, Name, Objects, Resource,
    Served, Snapshot, Vector, World, aside, digest_of, sight,
};
use crate::body::Body;
use crate::key_set::Known;
use crate::moment::micros;
use crate::world::{self, Object, is_traffic};

/// Two snapshots of a class are seldom asked for apart from the last ones.
const KEPT: usize = 32;

/// Objects as of one revision, and what classes see of them.
#[derive(Debug, Default)]
pub struct Catalogue {
    revision: i64,
    committed: Option<i64>,
    vector: Vector,
    /// The world's own objects and borders, as they were last looked at.
    seen: world::Objects,
    directory: Arc<Directory>,
    objects: OrdMap<Key, Entry>,
    /// The keys of issuers, which policies that name a URL are told with.
    keys: Arc<Known>,
    /// What this program cannot read, and nodes perhaps can.
    aside: Vec<aside::Aside>,
    classes: BTreeMap<Class, Arc<Snapshot>>,
    differences: Vec<((u64, u64), Arc<Difference>)>,
    numbers: u64,
}

#[derive(Debug, Clone)]
struct Entry {
    resource: Resource,
    created: OffsetDateTime,
    envelope: Arc<Envelope>,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.envelope, &other.envelope)
    }
}

impl Catalogue {
    /// The last revision that is in it.
    pub fn revision(&self) -> i64 {
        self.revision
    }

    /// Moves on to `world`, whose last revision was committed at `committed`. Snapshots of the
    /// classes that were asked for are made anew.
    pub fn advance(&mut self, world: &World, committed: Option<i64>) {
        let before = self.objects.clone();
        let had_aside = !self.aside.is_empty();
        let is_placed = self.directory.is_placed_as(&world.directory);
        if Arc::ptr_eq(&self.directory, &world.directory) {
            self.follow(world);
        } else {
            // Objects may be of another scope now, unchanged as they are.
            self.take_all(world);
        }
        (self.seen, self.directory) = (world.objects.clone(), Arc::clone(&world.directory));
        self.aside = world.unreadable.values().filter_map(aside::Aside::of).collect();
        self.revision = world.revision;
        self.committed = committed;
        self.vector = world.scopes.clone();
        let is_plain = is_placed && !had_aside && self.aside.is_empty();
        for (class, last) in std::mem::take(&mut self.classes) {
            let objects = is_plain.then(|| self.changed(&class, &last.objects, &before)).flatten();
            let objects = objects.unwrap_or_else(|| self.whole(&class));
            self.put(class, objects);
        }
    }

    /// Takes what changed since the world before.
    fn follow(&mut self, world: &World) {
        let seen = std::mem::take(&mut self.seen);
        for change in seen.diff(&world.objects) {
            match change {
                DiffItem::Add(key, object) | DiffItem::Update { new: (key, object), .. } => {
                    self.take(world, key, object);
                }
                DiffItem::Remove(key, _) => drop(self.objects.remove(key)),
            }
        }
    }

    fn take_all(&mut self, world: &World) {
        let gone = self.objects.keys().filter(|key| !world.objects.contains_key(*key));
        for key in gone.cloned().collect::<Vec<_>>() {
            self.objects.remove(&key);
        }
        for (key, object) in &world.objects {
            self.take(world, key, object);
        }
    }

    /// Takes an object, unless it is as it was.
    fn take(&mut self, world: &World, key: &Key, object: &Object) {
        if !is_traffic(key.kind) {
            return;
        }
        let scope = world.directory.scope(&key.namespace).to_string();
        let same = |was: &&Entry| {
            let is_same = was.envelope.generation == object.generation;
            is_same && was.created == object.created && was.envelope.scope == scope
        };
        if self.objects.get(key).filter(same).is_none() {
            let Object { resource, created, generation, .. } = object.clone();
            let envelope = Arc::new(self.envelope(key, scope, (&resource, created, generation)));
            self.objects.insert(key.clone(), Entry { resource, created, envelope });
        }
    }

    /// Takes the keys of issuers that are known now; whether a policy is told by others, so that classes that see it
    /// see it anew.
    pub fn learn(&mut self, keys: Arc<Known>) -> bool {
        let before = std::mem::replace(&mut self.keys, keys);
        let is_other = |url: &str| before.keys(url) != self.keys.keys(url);
        let named = self.objects.iter().filter(|(_, entry)| match &entry.resource {
            Resource::AuthnPolicy(policy) => policy.key_urls().any(|(_, url)| is_other(url)),
            _ => false,
        });
        let told: Vec<_> = named.map(|(key, entry)| (key.clone(), entry.clone())).collect();
        if told.is_empty() {
            return false;
        }
        for (key, Entry { resource, created, envelope }) in told {
            let (scope, generation) = (envelope.scope.clone(), envelope.generation);
            let envelope = Arc::new(self.envelope(&key, scope, (&resource, created, generation)));
            self.objects.insert(key, Entry { resource, created, envelope });
        }
        // What comes now was not committed then, and is not to be measured from there.
        self.committed = None;
        for class in std::mem::take(&mut self.classes).into_keys() {
            let objects = self.whole(&class);
            self.put(class, objects);
        }
        true
    }

    /// An object as nodes are told of it.
    fn envelope(
        &self,
        key: &Key,
        scope: String,
        (resource, created, generation): (&Resource, OffsetDateTime, i64),
    ) -> Envelope {
        let told = match resource {
            Resource::AuthnPolicy(policy) if policy.key_urls().next().is_some() => {
                let whole = policy.with_keys(|url| self.keys.keys(url));
                &Resource::AuthnPolicy(Arc::new(whole))
            }
            other => other,
        };
        let body = Body::of(told, created);
        let body = match body.secret {
            Some(secret) => Bytes::copy_from_slice(secret.expose()),
            None => Bytes::from(body.shown),
        };
        let targets = if key.kind.is_guard() { sight::attached(resource) } else { Vec::new() };
        Envelope {
            key: key.into(),
            scope,
            generation,
            digest: [0; 32],
            body,
            schema: wire::SCHEMA,
            policy: key.kind.is_guard(),
            targets: targets.iter().map(wire::Key::from).collect(),
        }
        .digested()
    }

    /// What a class sees.
    pub fn snapshot(&mut self, class: &Class) -> Arc<Snapshot> {
        if let Some(known) = self.classes.get(class) {
            return Arc::clone(known);
        }
        let objects = self.whole(class);
        self.put(class.clone(), objects)
    }

    fn put(&mut self, class: Class, objects: Objects) -> Arc<Snapshot> {
        self.numbers += 1;
        let snapshot = Arc::new(Snapshot {
            number: self.numbers,
            revision: self.revision,
            committed: self.committed,
            vector: self.vector.clone(),
            gateways: self.gateways(&objects),
            digest: digest_of(&objects),
            objects,
        });
        self.classes.insert(class, Arc::clone(&snapshot));
        snapshot
    }

    /// The Gateways among what a class sees, but for those that we cannot read.
    fn gateways(&self, objects: &Objects) -> Vec<Served> {
        let kind = Kind::Gateway.as_str();
        let (namespace, name) = (String::new(), String::new());
        let first = wire::Key { kind: kind.to_owned(), namespace, name };
        let keys = objects.range(first..).map(|(key, _)| key).take_while(|key| key.kind == kind);
        let served = |key: &wire::Key| {
            let created = micros(self.objects.get(&key.known()?)?.created);
            Some(Served { key: key.clone(), created })
        };
        keys.filter_map(served).collect()
    }

    /// The objects that a class sees, from nothing.
    fn whole(&self, class: &Class) -> Objects {
        let all = self.objects.iter().filter(|(key, _)| self.is_near(class, key));
        let all = all.map(|(key, entry)| (key, &entry.resource));
        let is_near = |one: &&aside::Aside| {
            let is_near = match &one.key {
                Some(key) => self.is_near(class, key),
                None => Name::parse(&one.envelope.key.namespace)
                    .ok()
                    .is_none_or(|namespace| self.directory.reach(&namespace).has(&class.cluster)),
            };
            is_near && sight::is_of(class, one.cluster.as_deref())
        };
        let aside = || self.aside.iter().filter(is_near);
        let seen = sight::seen(class, &all, aside());
        let seen = self.objects.iter().filter(|(key, _)| seen.contains(key));
        let envelopes = seen.map(|(_, entry)| &entry.envelope);
        let envelopes = envelopes.chain(aside().map(|one| &one.envelope));
        envelopes.map(|one| (one.key.clone(), Arc::clone(one))).collect()
    }

    /// The objects that a class sees which saw `last` of what was there `before`; `None` where what
    /// changed decides what is seen of others, too.
    fn changed(
        &self,
        class: &Class,
        last: &Objects,
        before: &OrdMap<Key, Entry>,
    ) -> Option<Objects> {
        let mut objects = last.clone();
        for change in before.diff(&self.objects) {
            let (key, entry) = match change {
                DiffItem::Add(key, entry) | DiffItem::Update { new: (key, entry), .. } => {
                    (key, Some(entry))
                }
                DiffItem::Remove(key, _) => (key, None),
            };
            let name = wire::Key::from(key);
            let entry = entry.filter(|_| self.is_near(class, key));
            let is_seen = match (sight::of(key.kind), entry) {
                (Sight::Decides, _) => return None,
                (_, None) => false,
                (Sight::Always, Some(_)) => true,
                (Sight::Hangs, Some(entry)) => {
                    let labels = self.resource(&Namespace::key(&key.namespace));
                    let namespace = labels.and_then(sight::labelled);
                    let namespace = namespace.unwrap_or_else(|| Labelled::bare(&key.namespace));
                    let sees = |to: &Key| {
                        last.contains_key(&wire::Key::from(to))
                            && sight::takes(self.resource(to), &entry.resource, namespace)
                    };
                    sight::hangs(class, &entry.resource, sees)
                }
            };
            // What hangs on an object comes and goes with it.
            let is_new = is_seen != last.contains_key(&name);
            if is_new && sight::of(key.kind) == Sight::Hangs && self.has_policies(&key.namespace) {
                return None;
            }
            match entry.filter(|_| is_seen) {
                Some(entry) => objects.insert(name, Arc::clone(&entry.envelope)),
                None => objects.remove(&name),
            };
        }
        Some(objects)
    }

    fn resource(&self, key: &Key) -> Option<&Resource> {
        self.objects.get(key).map(|entry| &entry.resource)
    }

    /// Whether an object's workspace is in the cluster of a class. What draws the borders, or says who attaches,
    /// is told everywhere.
    fn is_near(&self, class: &Class, key: &Key) -> bool {
        let is_border =
            matches!(key.kind, Kind::Workspace | Kind::Cluster | Kind::Claim | Kind::Namespace);
        is_border || self.directory.reach(&key.namespace).has(&class.cluster)
    }

    fn has_policies(&self, namespace: &Name) -> bool {
        let first = Name::parse("0").expect("a digit is the first of all names");
        let has = |kind| {
            let first = Key::new(kind, namespace.clone(), first.clone());
            let next = self.objects.range(first..).next();
            next.is_some_and(|(key, _)| key.kind == kind && key.namespace == *namespace)
        };
        Kind::GUARDS.into_iter().any(has)
    }

    /// What brings a node from one snapshot to another, computed once for all that need it.
    pub fn difference(&mut self, from: &Snapshot, to: &Snapshot) -> Arc<Difference> {
        let between = (from.number, to.number);
        if let Some((_, known)) = self.differences.iter().find(|(one, _)| *one == between) {
            return Arc::clone(known);
        }
        let difference = Arc::new(to.since(from));
        if self.differences.len() == KEPT {
            self.differences.remove(0);
        }
        self.differences.push((between, Arc::clone(&difference)));
        difference
    }
}
