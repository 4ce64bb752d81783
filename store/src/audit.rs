//! Who did what, in a chain that shows when somebody rewrote it.
//!
//! ```text
//! row n:  fields ─┐
//!         digest over what its commit wrote ───────────┼─> hash n ──> row n+1: previous ... ──> head
//!         previous = hash n-1 ─┘
//! ```
//!
//! Each row's hash covers all its fields, the hash before it, and the bodies that its commit wrote.
//! So a changed byte of history or audit breaks the chain where it stands, and a row cut from the
//! end differs from the head. Who rewrites the whole chain with its head is seen only by whoever
//! kept a head from before: [`Verified::head`].

use std::collections::BTreeSet;
use std::ops::Range;

use crate::commit::Commit;
use crate::db::{Row, Tx, Value, containing};
use crate::digest::Fields;
use crate::{Error, Scope, Store};

mod verify;

pub use verify::{Fault, Verified};

/// What somebody did, or tried to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    /// When.
    pub at: i64,
    /// Who.
    pub actor: String,
    /// What they did.
    pub verb: String,
    /// To what.
    pub object: String,
    /// What came of it.
    pub outcome: String,
    /// More, in words or JSON; never a secret.
    pub detail: String,
}

/// An entry in its place in the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its place, from 1.
    pub seq: i64,
    /// What was done.
    pub entry: Entry,
    /// The revision that it made.
    pub revision: Option<i64>,
    /// The digest over what that revision wrote; empty but in the row that tells of it.
    pub changes: String,
    /// The hash of the row before; empty for the first.
    pub previous: String,
    /// The hash of this row.
    pub hash: String,
}

/// The end of the chain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Head {
    /// The last place; 0 before the first.
    pub seq: i64,
    /// The hash there.
    pub hash: String,
}

impl Store {
    /// Notes what changed no resource: a login, a refusal, a read of the platform's auditor.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn audit_append(&self, entries: &[Entry]) -> Result<(), Error> {
        let mut tx = self.db.write().await?;
        say(&mut tx, entries).await?;
        tx.commit().await
    }

    /// The rows before place `before`, newest first.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn audit_list(&self, before: Option<i64>, limit: i64) -> Result<Vec<Record>, Error> {
        let select = "SELECT seq, at, actor, verb, object, outcome, revision, detail, changes, \
                      previous, hash FROM audit WHERE seq < $1 ORDER BY seq DESC LIMIT $2";
        let values = [before.unwrap_or(i64::MAX).into(), limit.into()];
        self.db.read(select, &values).await?.into_iter().map(read).collect()
    }

    /// Those of these places in which `text` is part of who, what, to what or the words beside it,
    /// whatever the case of letters from A to Z, newest first; those alone that were not done, if only
    /// they are wanted.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn audit_search(
        &self,
        of: Range<i64>,
        text: &str,
        undone: bool,
        limit: i64,
    ) -> Result<Vec<Record>, Error> {
        let select = "SELECT seq, at, actor, verb, object, outcome, revision, detail, changes, \
                      previous, hash FROM audit WHERE seq >= $1 AND seq < $2 \
                      AND (lower(actor) LIKE $3 ESCAPE '!' \
                      OR lower(verb) LIKE $3 ESCAPE '!' \
                      OR lower(object) LIKE $3 ESCAPE '!' \
                      OR lower(detail) LIKE $3 ESCAPE '!') \
                      AND ($4 = 0 OR outcome <> 'done') \
                      ORDER BY seq DESC LIMIT $5";
        let Some(pattern) = containing(text) else { return Ok(Vec::new()) };
        let (start, end, undone) = (of.start.into(), of.end.into(), i64::from(undone).into());
        let values = [start, end, pattern.into(), undone, limit.into()];
        self.db.read(select, &values).await?.into_iter().map(read).collect()
    }
}

/// What a commit made, for the row that tells of it.
#[derive(Debug, Clone, Default)]
struct Made {
    revision: Option<i64>,
    changes: String,
}

/// The rows of what a transaction does besides. Who says them first goes before all others that do.
pub(crate) async fn say(tx: &mut Tx, entries: &[Entry]) -> Result<(), Error> {
    let mut head = lock_head(tx).await?;
    for entry in entries {
        append(tx, &mut head, entry, Made::default()).await?;
    }
    move_head(tx, &head).await
}

/// One statement with the row that tells of it; how many rows it changed. Where it changes none,
/// nothing happened and nothing is said.
pub(crate) async fn with(
    mut tx: Tx,
    said: &Entry,
    statement: &'static str,
    values: &[Value],
) -> Result<u64, Error> {
    // The head before any row, as everybody takes them: so no two wait for each other.
    let mut head = lock_head(&mut tx).await?;
    let changed = tx.execute(statement, values).await?;
    if changed == 0 {
        tx.rollback().await?;
        return Ok(0);
    }
    append(&mut tx, &mut head, said, Made::default()).await?;
    move_head(&mut tx, &head).await?;
    tx.commit().await?;
    Ok(changed)
}

/// The rows of a commit: one that binds what it wrote, and what the caller has to say.
pub(crate) async fn of_commit(
    tx: &mut Tx,
    commit: &Commit,
    scopes: &BTreeSet<Scope>,
    revision: i64,
) -> Result<(), Error> {
    let mut head = lock_head(tx).await?;
    let scopes: Vec<String> = scopes.iter().map(Scope::to_string).collect();
    let entry = Entry {
        at: commit.at,
        actor: commit.actor.clone(),
        verb: "commit".to_owned(),
        object: scopes.join(" "),
        outcome: "done".to_owned(),
        detail: commit.message.clone(),
    };
    let changes = changes(tx, revision).await?;
    append(tx, &mut head, &entry, Made { revision: Some(revision), changes }).await?;
    for entry in &commit.audit {
        let made = Made { revision: Some(revision), changes: String::new() };
        append(tx, &mut head, entry, made).await?;
    }
    move_head(tx, &head).await
}

/// What of a revision its audit row binds: who made it, the scopes that it moved, its history.
const OF_REVISION: [&str; 3] = [
    "SELECT revision, at, actor, request_id, message, reverts FROM revisions WHERE revision = $1",
    "SELECT scope, base FROM revision_scopes WHERE revision = $1 ORDER BY scope",
    "SELECT cluster, kind, namespace, name, revision, generation, verb, scope, owner_team, \
     source, digest, body FROM history WHERE revision = $1 \
     ORDER BY cluster, kind, namespace, name",
];

/// The digest over every column of what a revision wrote.
async fn changes(tx: &mut Tx, revision: i64) -> Result<String, Error> {
    let mut fields = Fields::new();
    for select in OF_REVISION {
        let rows = tx.rows(select, &[revision.into()]).await?;
        // So that a row that goes from one table to the next does not look the same.
        fields.add(&Value::from(rows.len() as i64));
        for row in rows {
            fields.add_all(&row.rest());
        }
    }
    Ok(fields.finish())
}

/// Takes the head for this transaction alone, so that two never follow the same row.
async fn lock_head(tx: &mut Tx) -> Result<Head, Error> {
    let lock = "UPDATE audit_head SET seq = seq WHERE id = 1 RETURNING seq, hash";
    let row = tx.row(lock, &[]).await?;
    read_head(row.ok_or_else(|| Error::Unreadable("no head of the audit".to_owned()))?)
}

async fn move_head(tx: &mut Tx, head: &Head) -> Result<(), Error> {
    let update = "UPDATE audit_head SET seq = $1, hash = $2 WHERE id = 1";
    tx.execute(update, &[head.seq.into(), (&head.hash).into()]).await?;
    Ok(())
}

async fn append(tx: &mut Tx, head: &mut Head, entry: &Entry, made: Made) -> Result<(), Error> {
    let insert = "INSERT INTO audit (seq, at, actor, verb, object, outcome, revision, detail, \
                  changes, previous, hash) \
                  VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
    let mut record = Record {
        seq: head.seq + 1,
        entry: entry.clone(),
        revision: made.revision,
        changes: made.changes,
        previous: head.hash.clone(),
        hash: String::new(),
    };
    record.hash = record.computed_hash();
    let mut values = record.values();
    values.push((&record.hash).into());
    tx.execute(insert, &values).await?;
    *head = Head { seq: record.seq, hash: record.hash };
    Ok(())
}

impl Record {
    /// Every column but the hash.
    fn values(&self) -> Vec<Value> {
        let entry = &self.entry;
        vec![
            self.seq.into(),
            entry.at.into(),
            (&entry.actor).into(),
            (&entry.verb).into(),
            (&entry.object).into(),
            (&entry.outcome).into(),
            self.revision.into(),
            (&entry.detail).into(),
            (&self.changes).into(),
            (&self.previous).into(),
        ]
    }

    /// What the hash of such a row is. Hexadecimal has a fixed length, so that where `previous`
    /// ends is never in doubt.
    fn computed_hash(&self) -> String {
        let mut fields = Fields::new();
        fields.add(&(&self.previous).into());
        fields.add_all(&self.values());
        fields.finish()
    }
}

fn read(mut row: Row) -> Result<Record, Error> {
    let seq = row.int()?;
    let mut entry = Entry {
        at: row.int()?,
        actor: row.text()?,
        verb: row.text()?,
        object: row.text()?,
        outcome: row.text()?,
        detail: String::new(),
    };
    let revision = row.int_or_none()?;
    entry.detail = row.text()?;
    let (changes, previous, hash) = (row.text()?, row.text()?, row.text()?);
    Ok(Record { seq, entry, revision, changes, previous, hash })
}

fn read_head(mut row: Row) -> Result<Head, Error> {
    Ok(Head { seq: row.int()?, hash: row.text()? })
}
