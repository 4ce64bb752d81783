//! Requests that may be sent twice and are done once: the first answer is kept for a day.
//!
//! The answer is written in the transaction that makes the commit, which holds the counter: of two
//! requests with one key the second finds it, whichever server they came to.

use serde::{Deserialize, Serialize};

use crate::commit::{Commit, CommitError, Committed, Once};
use crate::db::{Row, Tx, Value};
use crate::{Error, Store};

/// How long an answer is kept, in microseconds.
const KEPT: i64 = 24 * 3600 * 1_000_000;

const SELECT: &str = "SELECT answer FROM idempotency \
                      WHERE actor = $1 AND request_key = $2 AND at > $3";

/// What is kept of a request.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    /// The digest of what it asked for.
    digest: String,
    answer: Committed,
}

impl Store {
    /// What this actor's request was answered in the 24 hours before `now`, if it came before.
    ///
    /// # Errors
    /// [`CommitError::KeyReused`] if its key was another request's, [`CommitError::Database`].
    pub async fn answered(
        &self,
        actor: &str,
        once: &Once,
        now: i64,
    ) -> Result<Option<Committed>, CommitError> {
        let rows = self.db.read(SELECT, &place(actor, once, now)).await?;
        rows.into_iter().next().map_or(Ok(None), |row| read(row, once).map(Some))
    }

    /// Forgets the answers to requests that came before `before`; how many.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn idempotency_sweep(&self, before: i64) -> Result<u64, Error> {
        self.db.execute("DELETE FROM idempotency WHERE at < $1", &[before.into()]).await
    }
}

/// What a commit of the same actor and key was answered before.
pub(super) async fn answered(
    tx: &mut Tx,
    commit: &Commit,
) -> Result<Option<Committed>, CommitError> {
    let Some(once) = &commit.once else { return Ok(None) };
    let row = tx.row(SELECT, &place(&commit.actor, once, commit.at)).await?;
    row.map_or(Ok(None), |row| read(row, once).map(Some))
}

/// Keeps the answer; in the place of one that is too old to count.
pub(super) async fn answer(
    tx: &mut Tx,
    commit: &Commit,
    committed: &Committed,
) -> Result<(), Error> {
    let Some(once) = &commit.once else { return Ok(()) };
    let upsert = "INSERT INTO idempotency (actor, request_key, at, answer) \
                  VALUES ($1, $2, $3, $4) ON CONFLICT (actor, request_key) DO UPDATE \
                  SET at = excluded.at, answer = excluded.answer";
    let kept = Kept { digest: once.digest.clone(), answer: committed.clone() };
    let answer = serde_json::to_string(&kept).expect("names and numbers always serialise");
    let values: [Value; 4] =
        [(&commit.actor).into(), (&once.key).into(), commit.at.into(), answer.into()];
    tx.execute(upsert, &values).await?;
    Ok(())
}

fn place(actor: &str, once: &Once, now: i64) -> [Value; 3] {
    [actor.into(), (&once.key).into(), now.saturating_sub(KEPT).into()]
}

fn read(mut row: Row, once: &Once) -> Result<Committed, CommitError> {
    let unreadable = |_| Error::Unreadable("an answer to an earlier request".to_owned());
    let kept: Kept = serde_json::from_str(&row.text()?).map_err(unreadable)?;
    match kept.digest == once.digest {
        true => Ok(Committed { replayed: true, ..kept.answer }),
        false => Err(CommitError::KeyReused(once.key.clone())),
    }
}
