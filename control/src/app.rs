//! The use cases: one door for every change.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::access::{Actor, Rights};
use model::role::{Grant, GrantSpec, RoleRule, Subject};
use model::{Key, Kind, Meta, Name, Resource, Scope};
use store::{Change, Commit, CommitError, Committed, Delete, Expected, Put, Store, Version, Write};
use time::OffsetDateTime;
use tokio::sync::Mutex;

use crate::authn::{Authn, is_platform_admin};
use crate::body::{self, Body};
use crate::draft::{self, Draft};
use crate::edit::{Edit, Expect};
use crate::moment::micros;
use crate::refusal::{Conflict, Refusal};
use crate::world::{HUB, World, resource};

mod audit;
mod first;
mod fleet;
mod join_token;
mod node;
mod session;
mod token;
pub(crate) mod user;

pub use first::First;
pub use fleet::{Delivered, Delivery, Held, Live, Rejected, State};
pub use join_token::NewJoinToken;
pub use session::{SignIn, SignedIn};
pub use token::NewToken;
pub use user::NewPassword;

/// How often a change is judged anew when others change what it was judged by.
const TRIES: usize = 5;

/// The control plane over one store.
#[derive(Debug)]
pub struct App {
    store: Store,
    world: Mutex<Arc<World>>,
    authn: Authn,
}

/// One request to change something.
#[derive(Debug, Clone)]
pub struct Op {
    /// Who asks.
    pub actor: Actor,
    /// What their token is narrowed to, if they came with one: where, and to which rules.
    pub limit: Option<(Option<Scope>, Arc<[RoleRule]>)>,
    /// The request that it came with.
    pub request_id: String,
    /// When.
    pub now: OffsetDateTime,
    /// Why, in the actor's words.
    pub message: String,
}

/// What became of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Its revision; the last one there was, if nothing changed.
    pub revision: i64,
    /// The objects that changed, each with its generation; none for one that is gone.
    pub changed: Vec<(Key, Option<i64>)>,
}

impl App {
    /// Over `store`.
    pub fn new(store: Store) -> Self {
        App { store, world: Mutex::default(), authn: Authn::new() }
    }

    /// The store that it is over.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Whether who asks is a platform admin.
    ///
    /// # Errors
    /// What `none` says, where they are not.
    pub async fn admin(&self, op: &Op, none: impl FnOnce() -> Refusal) -> Result<(), Refusal> {
        let world = self.world().await?;
        if is_platform_admin(&rights(op, &world)) { Ok(()) } else { Err(none()) }
    }

    /// Every object as of the last revision.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub async fn world(&self) -> Result<Arc<World>, Refusal> {
        let mut world = self.world.lock().await;
        if let Some(next) = world.next(&self.store).await? {
            *world = Arc::new(next);
        }
        Ok(Arc::clone(&world))
    }

    /// Makes `admin` the first who may do everything, in an installation in which nobody may do
    /// anything yet; whether it was one.
    ///
    /// # Errors
    /// [`Refusal::Store`], or [`Refusal::Busy`] if others do the same.
    pub async fn found(&self, admin: &Name, now: OffsetDateTime) -> Result<bool, Refusal> {
        let world = self.world().await?;
        if world.objects.keys().any(|key| key.kind == Kind::Grant) {
            return Ok(false);
        }
        let edits = [Edit::Put { resource: first_grant(admin), expected: Expect::Absent }];
        let op = Op {
            actor: Actor { user: admin.clone(), groups: BTreeSet::new() },
            limit: None,
            request_id: String::new(),
            now,
            message: "the first who may do everything".to_owned(),
        };
        let draft = Draft::new(&world, &edits)?;
        match self.store.commit(&commit(&op, &world, &draft, None)).await {
            Ok(_) => Ok(true),
            Err(CommitError::Moved(_) | CommitError::Stale(_)) => Err(Refusal::Busy),
            Err(error) => Err(Refusal::Store(Box::new(error))),
        }
    }

    /// Makes a change, all of it or nothing.
    ///
    /// # Errors
    /// [`Refusal`], which names all that stands in the way.
    pub async fn change_commit(&self, op: &Op, edits: Vec<Edit>) -> Result<Receipt, Refusal> {
        self.commit(op, edits, None).await
    }

    /// Takes back what a revision changed, where nothing has changed it since.
    ///
    /// # Errors
    /// [`Refusal::NoRevision`] where who asks may see nothing of it, [`Refusal::Partly`] where not
    /// all, [`Refusal::Conflict`] with every object that later changes touched, and whatever a
    /// change can be refused for.
    pub async fn change_revert(&self, op: &Op, revision: i64) -> Result<Receipt, Refusal> {
        let world = self.world().await?;
        let rights = rights(op, &world);
        let (mut edits, mut touched, mut hidden) = (Vec::new(), Vec::new(), 0u32);
        for version in self.store.changes_since(revision - 1, revision).await? {
            let Some(key) = body::key(&version.key) else { continue };
            let scope = world.directory.scope(&key.namespace);
            let now = world.objects.get(&key);
            if !draft::reads(&rights, &key, &scope, now.map(|object| &object.resource)) {
                hidden += 1;
                continue;
            }
            let last = self.store.history(&version.key, None, 1).await?;
            if last.first().is_none_or(|last| last.revision != revision) {
                let (expected, found) = (Some(version.generation), now.map(|now| now.generation));
                touched.push(Conflict { key, expected, found });
                continue;
            }
            edits.push(self.inverse(key, &version).await?);
        }
        match (hidden, touched.is_empty() && edits.is_empty()) {
            (_, true) => Err(Refusal::NoRevision(revision)),
            (1.., false) => Err(Refusal::Partly(revision)),
            (0, false) if !touched.is_empty() => Err(Refusal::Conflict(touched)),
            (0, false) => self.commit(op, edits, Some(revision)).await,
        }
    }

    async fn inverse(&self, key: Key, version: &Version) -> Result<Edit, Refusal> {
        let expected = match version.change {
            Change::Put { .. } => Expect::Generation(version.generation),
            Change::Delete => Expect::Absent,
        };
        let before = self.store.history(&version.key, Some(version.revision), 1).await?;
        Ok(match before.first().map(|before| (before, &before.change)) {
            Some((before, Change::Put { body, .. })) => {
                let resource = resource(&self.store, before, key.kind, body).await?;
                Edit::Put { resource, expected }
            }
            Some((_, Change::Delete)) | None => Edit::Delete { key, expected },
        })
    }

    async fn commit(
        &self,
        op: &Op,
        edits: Vec<Edit>,
        reverts: Option<i64>,
    ) -> Result<Receipt, Refusal> {
        for _ in 0..TRIES {
            let world = self.world().await?;
            let edits = edits.iter().map(|edit| in_stored_form(op, &world, edit, reverts));
            let edits: Vec<_> = edits.collect::<Result<_, _>>()?;
            let draft = Draft::new(&world, &edits)?;
            draft.judge(&rights(op, &world))?;
            let commit = commit(op, &world, &draft, reverts);
            match self.store.commit(&commit).await {
                Ok(committed) => return Ok(receipt(&draft, &committed)),
                // Others were quicker: what they changed may change what was decided.
                Err(CommitError::Moved(_) | CommitError::Stale(_) | CommitError::Claimed(_)) => {}
                Err(error) => return Err(Refusal::Store(Box::new(error))),
            }
        }
        Err(Refusal::Busy)
    }
}

impl Op {
    /// What the audit says of it.
    fn said(&self, verb: &str, object: &str, detail: String) -> store::Entry {
        store::Entry {
            at: micros(self.now),
            actor: self.actor.user.to_string(),
            verb: verb.to_owned(),
            object: object.to_owned(),
            outcome: "done".to_owned(),
            detail,
        }
    }
}

fn first_grant(admin: &Name) -> Resource {
    let name = |word| Name::parse(word).expect("a word of lower-case letters is a name");
    let subjects = vec![Subject { user: Some(admin.clone()), team: None }];
    Resource::Grant(Arc::new(Grant {
        metadata: Meta::new(Kind::Team.default_namespace(), name("first-admin")),
        spec: GrantSpec { subjects, role: name("admin"), apis: Vec::new() },
    }))
}

/// What the actor may do as things stand.
fn rights(op: &Op, world: &World) -> Rights {
    let rights = world.directory.rights(&op.actor);
    match &op.limit {
        Some((scope, rules)) => rights.limited(scope.clone(), Arc::clone(rules)),
        None => rights,
    }
}

/// The edit with its object as it will be read back from the store: Secrets in one form, and its age,
/// which decides between routes: that of the object that is there, or was, else it is new.
fn in_stored_form(
    op: &Op,
    world: &World,
    edit: &Edit,
    reverts: Option<i64>,
) -> Result<Edit, Refusal> {
    let Edit::Put { resource, expected } = edit else { return Ok(edit.clone()) };
    let was = resource.meta().creation_timestamp.filter(|_| reverts.is_some());
    let is = world.objects.get(&resource.key()).map(|object| object.created);
    let body = Body::of(resource, is.or(was).unwrap_or(op.now));
    let resource = body.resource(resource.kind());
    let resource = resource.map_err(|error| Refusal::Store(Box::new(error)))?;
    Ok(Edit::Put { resource, expected: *expected })
}

fn commit(op: &Op, world: &World, draft: &Draft<'_>, reverts: Option<i64>) -> Commit {
    let writes = draft.edits().map(|(key, edit)| write(op, world, draft, key, edit));
    Commit {
        at: micros(op.now),
        actor: op.actor.user.to_string(),
        request_id: op.request_id.clone(),
        message: op.message.clone(),
        reverts,
        bases: draft.bases(),
        writes: writes.collect(),
        audit: Vec::new(),
        idempotency: None,
    }
}

fn write(op: &Op, world: &World, draft: &Draft<'_>, key: &Key, edit: &Edit) -> Write {
    let before = world.objects.get(key);
    let expected = Some(match before {
        Some(object) => Expected::Generation(object.generation),
        None => Expected::Absent,
    });
    let name = store::Key::new(HUB, key);
    let Some(resource) = edit.after() else { return Write::Delete(Delete { key: name, expected }) };
    let body = Body::of(resource, resource.meta().creation_timestamp.unwrap_or(op.now));
    let owner_team = match resource {
        Resource::Api(api) => api.spec.owner.to_string(),
        _ => String::new(),
    };
    Write::Put(Box::new(Put {
        key: name,
        expected,
        body: body.shown,
        scope: draft.scope(key),
        owner_team,
        source: op.actor.user.to_string(),
        labels: resource.meta().labels.clone(),
        references: Vec::new(),
        claims: Vec::new(),
        grants: Vec::new(),
        secret: body.secret,
    }))
}

fn receipt(draft: &Draft<'_>, committed: &Committed) -> Receipt {
    let generation = |key: &Key| {
        let name = store::Key::new(HUB, key);
        committed.generations.iter().find(|(one, _)| *one == name).map(|(_, number)| *number)
    };
    let changed =
        draft.edits().map(|(key, edit)| (key.clone(), edit.after().and_then(|_| generation(key))));
    Receipt { revision: committed.revision, changed: changed.collect() }
}

#[cfg(test)]
mod tests;
