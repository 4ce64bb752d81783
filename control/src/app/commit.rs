//! The door itself: a change is judged against the world and becomes a revision.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use model::{Key, Name, Resource};
use store::{Commit, CommitError, Committed, Delete, Expected, Put, Write};
use tokio::sync::{RwLockReadGuard, RwLockWriteGuard};

use super::sight::{api_in, body};
use super::{App, Op, rights};
use crate::body::{self, Body};
use crate::draft::{Draft, created, waited_for};
use crate::edit::Edit;
use crate::lookup;
use crate::moment;
use crate::refusal::Refusal;
use crate::world::{HUB, World};

/// How often a change is judged anew when others change what it was judged by.
pub(super) const TRIES: usize = 5;

/// How often answers to earlier requests are swept, and how long each is kept, in microseconds.
const SWEEP: i64 = 3600 * 1_000_000;
const KEPT: i64 = 24 * SWEEP;

/// By name, the Api of the last object that had it, where others wait for one.
pub(super) type Formerly = BTreeMap<Key, Option<Name>>;

/// What became of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Its revision; the last one there was, if nothing changed.
    pub revision: i64,
    /// The objects that changed, each with its generation; none for one that is gone.
    pub changed: Vec<(Key, Option<i64>)>,
    /// Whether this is the answer to an earlier request of the same key, and nothing was done now.
    pub replayed: bool,
}

/// What a commit does beside its edits.
#[derive(Debug, Clone, Default)]
pub(super) struct Besides {
    /// The revision that it takes back.
    pub(super) reverts: Option<i64>,
    /// The access request that it grants.
    pub(super) settles: Option<String>,
    /// What the audit says of it besides.
    pub(super) audit: Vec<store::Entry>,
}

/// When a change may be tried.
enum Turn<'a> {
    Beside(#[expect(dead_code, reason = "it is held")] RwLockReadGuard<'a, ()>),
    Alone(#[expect(dead_code, reason = "it is held")] RwLockWriteGuard<'a, ()>),
}

impl App {
    /// Does `work`, unless the same request was made before: then it is answered as it was. What
    /// refuses it may be that it happened meanwhile, so then we look once more.
    pub(super) async fn once(
        &self,
        op: &Op,
        work: impl Future<Output = Result<Receipt, Refusal>>,
    ) -> Result<Receipt, Refusal> {
        let Some(once) = &op.once else { return work.await };
        let actor = op.actor.user.as_str();
        if let Some(first) = self.store.answered(actor, once, micros(op)).await? {
            return Ok(receipt(first));
        }
        match work.await {
            Ok(done) => Ok(done),
            Err(Refusal::Store(error)) => Err(Refusal::Store(error)),
            Err(refusal) => {
                let first = self.store.answered(actor, once, micros(op)).await?;
                first.map(receipt).ok_or(refusal)
            }
        }
    }

    /// Judges and commits.
    pub(super) async fn commit(
        &self,
        op: &Op,
        edits: Vec<Edit>,
        reverts: Option<i64>,
    ) -> Result<Receipt, Refusal> {
        self.commit_besides(op, edits, &Besides { reverts, ..Besides::default() }).await
    }

    /// The same with what a commit does beside its edits.
    pub(super) async fn commit_besides(
        &self,
        op: &Op,
        edits: Vec<Edit>,
        besides: &Besides,
    ) -> Result<Receipt, Refusal> {
        let edits: Arc<[Edit]> = edits.into();
        let reverts = besides.reverts;
        for tried in 0..TRIES {
            // The lock is fair: who comes later waits behind who lost.
            let _turn = match tried {
                0 => Turn::Beside(self.changing.read().await),
                _ => Turn::Alone(self.changing.write().await),
            };
            let (world, by, edits) = (self.world().await?, op.clone(), Arc::clone(&edits));
            let formerly = self.formerly(&world, &edits).await?;
            let judging = move || {
                let draft = judge(&by, &world, &edits, reverts, formerly)?;
                let commit = commit(&by, &world, &draft, reverts);
                Ok::<_, Refusal>((draft, commit))
            };
            let (draft, mut commit) = self.aside(judging).await??;
            commit.settles.clone_from(&besides.settles);
            commit.audit.clone_from(&besides.audit);
            match self.store.commit(&commit).await {
                Ok(committed) => {
                    draft.into_world(&committed).into_iter().for_each(|next| self.advance(next));
                    self.sweep(op).await;
                    return Ok(receipt(committed));
                }
                // Others were quicker: what they changed may change what was decided.
                Err(CommitError::Moved(_) | CommitError::Stale(_) | CommitError::Claimed(_)) => {}
                Err(CommitError::NobodyLeft) => {
                    return Err(Refusal::Invalid(vec![draft.nobody_left()]));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(Refusal::Busy)
    }

    /// Of the new objects among edits for whose names others wait, the Api of the last one that had it. One
    /// of an Api that only had the name of today's is nobody's.
    pub(super) async fn formerly(
        &self,
        world: &World,
        edits: &[Edit],
    ) -> Result<Formerly, Refusal> {
        let mut formerly = Formerly::new();
        for key in waited_for(world, created(world, edits)) {
            let versions = self.store.history(&store::Key::new(HUB, &key), None, 2).await?;
            let said = versions.iter().find_map(|one| Some((one.revision, body(one)?)));
            let Some((revision, body)) = said else { continue };
            let api = api_in(key.kind, &body);
            let scope = world.directory.scope(&key.namespace);
            let api_now = api.as_ref().and_then(|api| world.directory.api(&scope, api));
            let made = api_now.and_then(|api| api.metadata.creation_timestamp).map(moment::micros);
            let was = self.at(revision).await?;
            if made.zip(was).is_none_or(|(made, was)| made <= was) {
                formerly.insert(key, api);
            }
        }
        Ok(formerly)
    }

    /// What the store would say of a change that is judged and not made.
    pub(super) async fn keeps(&self, draft: &Draft) -> Result<(), Refusal> {
        let keepers = keepers(draft);
        if keepers.is_empty() || self.store.user_any(&keepers).await? {
            return Ok(());
        }
        Err(Refusal::Invalid(vec![draft.nobody_left()]))
    }

    /// Forgets old answers, once an hour. That it fails is no reason to refuse what was done.
    async fn sweep(&self, op: &Op) {
        let (now, last) = (micros(op), self.swept.load(Ordering::Relaxed));
        if op.once.is_none() || now < last.saturating_add(SWEEP) {
            return;
        }
        self.swept.store(now, Ordering::Relaxed);
        if let Err(error) = self.store.idempotency_sweep(now.saturating_sub(KEPT)).await {
            tracing::warn!(%error, "answers to earlier requests were not swept");
        }
    }
}

/// A change that may be made as things stand. It assembles what it touches, which takes longer than
/// others should wait for their answers.
pub(super) fn judge(
    op: &Op,
    world: &Arc<World>,
    edits: &[Edit],
    reverts: Option<i64>,
    formerly: Formerly,
) -> Result<Draft, Refusal> {
    let edits = edits.iter().map(|edit| in_stored_form(op, world, edit, reverts));
    let draft = Draft::new(Arc::clone(world), edits.collect::<Result<_, _>>()?)?;
    let mut draft = draft.knowing(formerly);
    draft.judge(&rights(op, world))?;
    Ok(draft)
}

/// The edit with its object as it will be read back from the store: Secrets in one form, and its age,
/// which decides between routes: that of the object that is there, or was, else it is new.
pub(super) fn in_stored_form(
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

pub(super) fn commit(op: &Op, world: &World, draft: &Draft, reverts: Option<i64>) -> Commit {
    let writes = draft.edits().map(|(key, edit)| write(op, world, draft, key, edit));
    Commit {
        at: micros(op),
        actor: op.actor.user.to_string(),
        request_id: op.request_id.clone(),
        message: op.message.clone(),
        reverts,
        bases: draft.bases(),
        keepers: keepers(draft),
        writes: writes.collect(),
        settles: None,
        audit: Vec::new(),
        once: op.once.clone(),
    }
}

/// Users of whom one must be let in for the change to be made, if it asks for any.
fn keepers(draft: &Draft) -> BTreeSet<String> {
    draft.left().into_iter().flatten().map(ToString::to_string).collect()
}

fn write(op: &Op, world: &World, draft: &Draft, key: &Key, edit: &Edit) -> Write {
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
        references: lookup::references(resource, draft.after()),
        claims: lookup::claims(resource, draft.after()),
        grants: lookup::grants(resource, draft.after()),
        secret: body.secret,
    }))
}

fn micros(op: &Op) -> i64 {
    i64::try_from(op.now.unix_timestamp_nanos() / 1000).unwrap_or(i64::MAX)
}

fn receipt(committed: Committed) -> Receipt {
    let Committed { revision, changed, replayed, .. } = committed;
    let ours = changed.into_iter().filter_map(|(key, number)| Some((body::key(&key)?, number)));
    Receipt { revision, changed: ours.collect(), replayed }
}
