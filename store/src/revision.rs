//! The one transaction by which an edit becomes a revision.
//!
//! The counter moves first. On PostgreSQL that row's lock makes commits wait for each other, on
//! SQLite there is one writer: so what is read after it stays true until the end, and the order of
//! revisions is the order of commits.

use std::collections::{BTreeMap, BTreeSet};

use crate::commit::{Commit, CommitError, Committed, Moved, Stale, Write};
use crate::db::Tx;
use crate::{Error, Expected, Key, Scope, Store, access_request, audit, feed, user};

mod held;
mod index;
mod once;
mod rows;

use held::Held;

impl Store {
    /// Makes a commit, all of it or nothing.
    ///
    /// # Errors
    /// [`CommitError`]; but for a failing server, nothing was written then.
    pub async fn commit(&self, commit: &Commit) -> Result<Committed, CommitError> {
        each_once(&commit.writes)?;
        let mut tx = self.db.write().await?;
        let revision = next_revision(&mut tx).await?;
        match once::answered(&mut tx, commit).await {
            Ok(None) => {}
            Ok(Some(first)) => {
                tx.rollback().await?;
                return Ok(first);
            }
            Err(error) => return Err(refused(tx, error).await),
        }
        let plan = match plan(&mut tx, commit, revision).await {
            Ok(plan) => plan,
            Err(error) => return Err(refused(tx, error).await),
        };
        if plan.changes.is_empty() {
            return idle(tx, commit, plan.committed(revision - 1)).await;
        }
        if let Err(error) = self.write(&mut tx, commit, &plan, revision).await {
            return Err(refused(tx, error).await);
        }
        let committed = plan.committed(revision);
        once::answer(&mut tx, commit, &committed).await?;
        feed::notify(&mut tx, revision).await?;
        tx.commit().await?;
        self.feed.tell(revision);
        Ok(committed)
    }

    async fn write(
        &self,
        tx: &mut Tx,
        commit: &Commit,
        plan: &Plan<'_>,
        revision: i64,
    ) -> Result<(), CommitError> {
        rows::revision(tx, commit, revision).await?;
        for change in &plan.changes {
            index::clear(tx, change.write.key()).await?;
        }
        for change in &plan.changes {
            match change.write {
                Write::Put(put) => {
                    rows::put(tx, put, change, commit.at).await?;
                    if let Some(plain) = &put.secret {
                        rows::secret(tx, &self.keys, change, plain.expose()).await?;
                    }
                    index::fill(tx, put).await?;
                }
                Write::Delete(_) => rows::delete(tx, change).await?,
            }
        }
        index::claim(tx, &plan.changes).await?;
        let scopes = plan.scopes();
        rows::scopes(tx, &scopes, revision).await?;
        audit::of_commit(tx, commit, &scopes, revision).await?;
        // Whoever writes a request has the audit's head first; so do we by now.
        access_request::settle(tx, commit, revision).await
    }
}

/// What a commit comes to, once it is known what is there.
struct Plan<'a> {
    changes: Vec<Change<'a>>,
    generations: Vec<(Key, i64)>,
}

/// A write that changes something.
struct Change<'a> {
    write: &'a Write,
    /// What is there before.
    held: Held,
    /// The generation that it makes, or that it ends.
    generation: i64,
    revision: i64,
}

impl Plan<'_> {
    fn committed(&self, revision: i64) -> Committed {
        let changed = self.changes.iter().map(|change| {
            let generation = match change.write {
                Write::Put(_) => Some(change.generation),
                Write::Delete(_) => None,
            };
            (change.write.key().clone(), generation)
        });
        let (changed, generations) = (changed.collect(), self.generations.clone());
        Committed { revision, generations, changed, replayed: false }
    }

    /// The scopes that move: a resource that changes its scope moves both.
    fn scopes(&self) -> BTreeSet<Scope> {
        let of = |change: &Change<'_>| {
            let after = match change.write {
                Write::Put(put) => Some(put.scope.clone()),
                Write::Delete(_) => None,
            };
            [change.held.scope(), after]
        };
        self.changes.iter().flat_map(of).flatten().collect()
    }
}

async fn plan<'a>(tx: &mut Tx, commit: &'a Commit, revision: i64) -> Result<Plan<'a>, CommitError> {
    let moved = moved(tx, &commit.bases).await?;
    if !moved.is_empty() {
        return Err(CommitError::Moved(moved));
    }
    if !commit.keepers.is_empty() && !user::any_is_let_in(tx, &commit.keepers).await? {
        return Err(CommitError::NobodyLeft);
    }
    let mut plan = Plan { changes: Vec::new(), generations: Vec::new() };
    let mut stale = Vec::new();
    for write in &commit.writes {
        let key = write.key();
        let held = Held::read(tx, key).await?;
        if let Some(expected) = write.expected().filter(|expected| !held.is(*expected)) {
            stale.push(Stale { key: key.clone(), expected, found: held.generation() });
            continue;
        }
        let generation = held.generation_after(write);
        if let (Write::Put(_), Some(generation)) = (write, generation) {
            plan.generations.push((key.clone(), generation));
        }
        if let Some(generation) = generation.filter(|_| held.is_changed_by(write)) {
            plan.changes.push(Change { write, held, generation, revision });
        }
    }
    if stale.is_empty() { Ok(plan) } else { Err(CommitError::Stale(stale)) }
}

/// The scopes that are no longer where they were read.
pub(crate) async fn moved(tx: &mut Tx, bases: &[(Scope, i64)]) -> Result<Vec<Moved>, Error> {
    let mut moved = Vec::new();
    for (scope, expected) in bases {
        let row = tx.row("SELECT revision FROM scopes WHERE scope = $1", &[scope.into()]).await?;
        let found = row.map_or(Ok(0), |mut row| row.int())?;
        if found != *expected {
            moved.push(Moved { scope: scope.clone(), expected: *expected, found });
        }
    }
    Ok(moved)
}

fn each_once(writes: &[Write]) -> Result<(), CommitError> {
    let mut seen = BTreeMap::new();
    match writes.iter().find(|write| seen.insert(write.key(), ()).is_some()) {
        Some(twice) => Err(CommitError::Twice(twice.key().clone())),
        None => Ok(()),
    }
}

async fn next_revision(tx: &mut Tx) -> Result<i64, Error> {
    let bump = "UPDATE counter SET revision = revision + 1 WHERE id = 1 RETURNING revision";
    let row = tx.row(bump, &[]).await?;
    row.ok_or_else(|| Error::Unreadable("no counter of revisions".to_owned()))?.int()
}

/// Takes everything back before the error is told, so that whoever hears it may read at once.
async fn refused(tx: Tx, error: CommitError) -> CommitError {
    match tx.rollback().await {
        Ok(()) => error,
        Err(failed) => CommitError::Database(failed),
    }
}

/// A commit that changes nothing takes no revision, and leaves its answer where one is kept.
async fn idle(mut tx: Tx, commit: &Commit, committed: Committed) -> Result<Committed, CommitError> {
    if commit.once.is_none() {
        tx.rollback().await?;
        return Ok(committed);
    }
    tx.execute("UPDATE counter SET revision = revision - 1 WHERE id = 1", &[]).await?;
    once::answer(&mut tx, commit, &committed).await?;
    tx.commit().await?;
    Ok(committed)
}

impl Held {
    /// Whether what is there is what a write expects.
    fn is(&self, expected: Expected) -> bool {
        match expected {
            Expected::Absent => self.generation().is_none(),
            Expected::Generation(generation) => self.generation() == Some(generation),
        }
    }
}
