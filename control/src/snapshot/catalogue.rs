//! Every object that nodes may be told of, encoded.

use bytes::Bytes;
use time::OffsetDateTime;

use super::{
    Arc, BTreeMap, Class, Difference, Envelope, Key, Resource, Snapshot, Vector, World, aside,
    digest_of, sight,
};
use crate::body::Body;
use crate::world::is_traffic;

/// Two snapshots of a class are seldom asked for apart from the last ones.
const KEPT: usize = 32;

/// Objects as of one revision, and what classes see of them.
#[derive(Debug, Default)]
pub struct Catalogue {
    revision: i64,
    committed: Option<i64>,
    vector: Vector,
    /// In the order of the wire's keys.
    objects: BTreeMap<wire::Key, Entry>,
    /// What this program cannot read, and nodes perhaps can.
    aside: Vec<aside::Aside>,
    classes: BTreeMap<Class, Arc<Snapshot>>,
    differences: Vec<((u64, u64), Arc<Difference>)>,
    numbers: u64,
}

#[derive(Debug)]
struct Entry {
    key: Key,
    resource: Resource,
    created: OffsetDateTime,
    envelope: Arc<Envelope>,
}

impl Catalogue {
    /// The last revision that is in it.
    pub fn revision(&self) -> i64 {
        self.revision
    }

    /// Moves on to `world`, whose last revision was committed at `committed`. Snapshots of the
    /// classes that were asked for are made anew.
    pub fn advance(&mut self, world: &World, committed: Option<i64>) {
        let mut before = std::mem::take(&mut self.objects);
        for (key, object) in world.objects.iter().filter(|(key, _)| is_traffic(key.kind)) {
            let name = wire::Key::from(key);
            let scope = world.directory.scope(&key.namespace).to_string();
            let same = |was: &Entry| {
                let is_same = was.envelope.generation == object.generation;
                is_same && was.created == object.created && was.envelope.scope == scope
            };
            let entry = match before.remove(&name).filter(same) {
                Some(entry) => entry,
                None => Entry {
                    key: key.clone(),
                    resource: object.resource.clone(),
                    created: object.created,
                    envelope: Arc::new(envelope(&name, scope, object)),
                },
            };
            self.objects.insert(name, entry);
        }
        self.aside = world.unreadable.values().filter_map(aside::Aside::of).collect();
        self.revision = world.revision;
        self.committed = committed;
        self.vector = world.scopes.clone();
        let classes: Vec<_> = std::mem::take(&mut self.classes).into_keys().collect();
        for class in classes {
            self.snapshot(&class);
        }
    }

    /// What a class sees.
    pub fn snapshot(&mut self, class: &Class) -> Arc<Snapshot> {
        if let Some(known) = self.classes.get(class) {
            return Arc::clone(known);
        }
        let all = self.objects.values().map(|entry| (&entry.key, &entry.resource));
        let aside = || self.aside.iter().filter(|one| sight::is_of(class, one.cluster.as_deref()));
        let seen = sight::seen(class, &all, aside().filter_map(|one| one.key.as_ref()));
        let seen = self.objects.values().filter(|entry| seen.contains(&entry.key));
        let mut objects: Vec<_> = seen.map(|entry| Arc::clone(&entry.envelope)).collect();
        objects.extend(aside().map(|one| Arc::clone(&one.envelope)));
        objects.sort_by(|one, other| one.key.cmp(&other.key));
        self.numbers += 1;
        let snapshot = Arc::new(Snapshot {
            number: self.numbers,
            revision: self.revision,
            committed: self.committed,
            vector: self.vector.clone(),
            digest: digest_of(&objects),
            objects,
        });
        self.classes.insert(class.clone(), Arc::clone(&snapshot));
        snapshot
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

fn envelope(name: &wire::Key, scope: String, object: &crate::Object) -> Envelope {
    let body = Body::of(&object.resource, object.created);
    let body = match body.secret {
        Some(secret) => Bytes::copy_from_slice(secret.expose()),
        None => Bytes::from(body.shown),
    };
    let is_policy = match &object.resource {
        Resource::AccessPolicy(_) => true,
        Resource::Gateway(_)
        | Resource::HttpRoute(_)
        | Resource::Service(_)
        | Resource::EndpointSlice(_)
        | Resource::Secret(_)
        | Resource::ConfigMap(_)
        | Resource::Api(_)
        | Resource::Claim(_)
        | Resource::Workspace(_)
        | Resource::Team(_)
        | Resource::Role(_)
        | Resource::Grant(_) => false,
    };
    let targets = if is_policy { sight::attached(&object.resource) } else { Vec::new() };
    Envelope {
        key: name.clone(),
        scope,
        generation: object.generation,
        digest: [0; 32],
        body,
        schema: wire::SCHEMA,
        policy: is_policy,
        targets: targets.iter().map(wire::Key::from).collect(),
    }
    .digested()
}
