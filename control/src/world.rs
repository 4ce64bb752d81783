//! Every object as of one revision, and what follows from all of them together.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::access::Directory;
use model::secret::SecretBytes;
use model::{Key, Kind, Resource, Scope};
use store::{Change, Store, Version};
use table::{Assembly, Input};
use time::OffsetDateTime;

use crate::body::{self, Body};
use crate::refusal::Refusal;

/// The hub's own objects; those of clusters come with the fleet.
pub(crate) const HUB: &str = "hub";

/// Revisions that are read at once.
const PAGE: i64 = 500;

/// An object as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// What it says.
    pub resource: Resource,
    /// Its generation.
    pub generation: i64,
    /// When it was first written.
    pub created: OffsetDateTime,
}

/// Every object as of one revision.
#[derive(Debug, Default)]
pub struct World {
    /// The last revision that is in it.
    pub revision: i64,
    /// The objects.
    pub objects: BTreeMap<Key, Object>,
    /// The revision that last changed each scope.
    pub scopes: BTreeMap<Scope, i64>,
    /// Who may do what.
    pub directory: Directory,
    /// What the proxies make of them; none before the first object.
    pub(crate) assembly: Option<Arc<Assembly>>,
}

impl World {
    /// This world, brought to the store's last revision; `None` if it is there.
    pub(crate) async fn next(&self, store: &Store) -> Result<Option<Self>, Refusal> {
        let last = store.revision().await?;
        if last == self.revision {
            return Ok(None);
        }
        let mut next = World {
            revision: last,
            objects: self.objects.clone(),
            scopes: self.scopes.clone(),
            ..World::default()
        };
        for version in store.changes_since(self.revision, last).await? {
            next.take(store, &version).await?;
        }
        next.move_scopes(store, self.revision).await?;
        next.directory = Directory::new(next.resources());
        let input = Input { resources: traffic(next.resources()), ..Input::default() };
        next.assembly = Some(Arc::new(table::assemble(input, self.assembly.as_deref())));
        Ok(Some(next))
    }

    /// All objects.
    pub fn resources(&self) -> impl Iterator<Item = &Resource> + Clone {
        self.objects.values().map(|object| &object.resource)
    }

    async fn take(&mut self, store: &Store, version: &Version) -> Result<(), Refusal> {
        // An object of a newer version's kind is for newer programs.
        let Some(key) = body::key(&version.key) else { return Ok(()) };
        match &version.change {
            Change::Delete => drop(self.objects.remove(&key)),
            Change::Put { body, .. } => {
                let resource = resource(store, version, key.kind, body).await?;
                let created = resource.meta().creation_timestamp;
                let created = created.unwrap_or(OffsetDateTime::UNIX_EPOCH);
                let generation = version.generation;
                self.objects.insert(key, Object { resource, generation, created });
            }
        }
        Ok(())
    }

    /// Also the scopes that an object left, which its own row does not name.
    async fn move_scopes(&mut self, store: &Store, since: i64) -> Result<(), Refusal> {
        let mut before = self.revision + 1;
        while before > since + 1 {
            let page = store.revisions(None, Some(before), PAGE).await?;
            let Some(oldest) = page.last() else { break };
            before = oldest.revision;
            for revision in page.into_iter().filter(|one| one.revision > since) {
                for (scope, _) in revision.scopes {
                    let at = self.scopes.entry(scope).or_default();
                    *at = revision.revision.max(*at);
                }
            }
        }
        Ok(())
    }
}

/// An object as it was at a version.
pub(crate) async fn resource(
    store: &Store,
    version: &Version,
    kind: Kind,
    body: &str,
) -> Result<Resource, Refusal> {
    let secret = match kind {
        Kind::Secret => store.secret(&version.key, version.generation).await,
        _ => Ok(None),
    };
    let secret = secret.map_err(|error| Refusal::Store(Box::new(error)))?;
    let body = Body { shown: body.to_owned(), secret: secret.map(SecretBytes::new) };
    body.resource(kind).map_err(|error| Refusal::Store(Box::new(error)))
}

/// What proxies are told of.
pub(crate) fn traffic<'r>(resources: impl Iterator<Item = &'r Resource>) -> Vec<Resource> {
    let is_traffic = |resource: &&Resource| match resource {
        Resource::Gateway(_)
        | Resource::HttpRoute(_)
        | Resource::Service(_)
        | Resource::EndpointSlice(_)
        | Resource::Secret(_)
        | Resource::ConfigMap(_)
        | Resource::AccessPolicy(_)
        | Resource::Api(_)
        | Resource::Claim(_)
        | Resource::Workspace(_) => true,
        Resource::Team(_) | Resource::Role(_) | Resource::Grant(_) => false,
    };
    resources.filter(is_traffic).cloned().collect()
}
