//! Requests for access: who asked for what they may not do, and what came of it.
//!
//! ```text
//! create ──> open ──┬── a commit that settles it ──> granted
//!                   ├── refuse ────────────────────> refused
//!                   └── withdraw ──────────────────> withdrawn
//! ```
//!
//! A request is decided once: each way out of `open` is one statement that asks for `open`.
//! A grant is noted in the transaction of the commit that gives it ([`Commit::settles`]), so there
//! is never one without the other.
//! What is open is bounded, and of what is decided the oldest goes when somebody asks anew.
//!
//! [`Commit::settles`]: crate::Commit::settles

use sqlx::AssertSqlSafe;

use crate::commit::{Commit, CommitError};
use crate::db::{Row, Tx, Value, unreadable};
use crate::{Entry, Error, Scope, Store, audit, key};

/// Open requests of one user.
pub const OPEN_OF_USER: i64 = 20;

/// Open requests of all users.
pub const OPEN: i64 = 1_000;

/// How long a decided request is kept, in microseconds.
pub const KEPT: i64 = 30 * 24 * 3600 * 1_000_000;

/// Decided requests of one user, however young.
const DECIDED_OF_USER: i64 = 100;

/// Somebody's request for access.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessRequest {
    /// UUIDv7.
    pub id: String,
    /// The id of the user who asks.
    pub user: String,
    /// Their name.
    pub user_name: String,
    /// Where the object was when they asked.
    pub scope: Scope,
    /// The kind of the object.
    pub kind: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// What they want to do with it.
    pub verb: String,
    /// The field that they want to change; empty where it is not about one.
    pub field: String,
    /// Why, in their words.
    pub message: String,
    /// When they asked.
    pub created: i64,
    /// What came of it.
    pub state: State,
    /// Who decided when; none while it is open.
    pub decided: Option<Decided>,
}

/// Who decided on a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// When.
    pub at: i64,
    /// The name of the user.
    pub by: String,
    /// Why, in their words.
    pub answer: String,
    /// The revision that gives what was asked for, if one does.
    pub revision: Option<i64>,
}

/// What came of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nobody decided yet.
    Open,
    /// A revision gives what was asked for.
    Granted,
    /// Somebody who could have given it did not.
    Refused,
    /// Who asked took it back, or is let in no more.
    Withdrawn,
}

impl State {
    /// Every state.
    pub const ALL: [State; 4] = [State::Open, State::Granted, State::Refused, State::Withdrawn];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            State::Open => "open",
            State::Granted => "granted",
            State::Refused => "refused",
            State::Withdrawn => "withdrawn",
        }
    }
}

/// What came of asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// The request is stored.
    New,
    /// The user asked for the same before, and nobody decided yet.
    Open(Box<AccessRequest>),
    /// So many of the user's are open as may be.
    Enough,
    /// So many of all users' are open as may be.
    Full,
    /// No such user is let in.
    Nobody,
}

/// Which requests a list shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Those in this state.
    pub state: Option<State>,
    /// Those behind this one, by time and id.
    pub after: Option<(i64, String)>,
}

const COLUMNS: &str = "SELECT id, user_id, user_name, scope, kind, namespace, name, verb, field, \
     message, created, state, decided, decided_by, answer, revision FROM access_requests ";

impl Store {
    /// Stores a request that is open, and says so, unless one for the same is open or there are so
    /// many as may be. Who asks takes turns by the audit's head, so none is counted out.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn access_request_create(
        &self,
        new: &AccessRequest,
        said: &Entry,
    ) -> Result<Asked, Error> {
        let mut tx = self.db.write().await?;
        audit::say(&mut tx, std::slice::from_ref(said)).await?;
        let asked = ask(&mut tx, new).await;
        match asked {
            Ok(Asked::New) => tx.commit().await?,
            Ok(_) | Err(_) => tx.rollback().await?,
        }
        asked
    }

    /// The request of this id.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn access_request(&self, id: &str) -> Result<Option<AccessRequest>, Error> {
        let select = format!("{COLUMNS} WHERE id = $1");
        let rows = self.db.read(AssertSqlSafe(select), &[id.into()]).await?;
        rows.into_iter().next().map(read).transpose()
    }

    /// Requests, newest first; none that was decided before `since`.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn access_request_list(
        &self,
        filter: &Filter,
        since: i64,
        limit: i64,
    ) -> Result<Vec<AccessRequest>, Error> {
        let select = format!(
            "{COLUMNS} WHERE (state = $1 OR $1 = '*') AND (decided IS NULL OR decided >= $2) \
             AND (created, id) < ($3, $4) ORDER BY created DESC, id DESC LIMIT $5"
        );
        let (at, id) = filter.after.clone().unwrap_or((i64::MAX, String::new()));
        let state = filter.state.map_or("*", State::as_str);
        let values = [state.into(), since.into(), at.into(), id.into(), limit.into()];
        let rows = self.db.read(AssertSqlSafe(select), &values).await?;
        rows.into_iter().map(read).collect()
    }

    /// Refuses an open request at the time of `said`; whether it was open.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn access_request_refuse(
        &self,
        id: &str,
        answer: &str,
        said: &Entry,
    ) -> Result<bool, Error> {
        self.decide(id, State::Refused, answer, said).await
    }

    /// Takes an open request back at the time of `said`; whether it was open.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn access_request_withdraw(&self, id: &str, said: &Entry) -> Result<bool, Error> {
        self.decide(id, State::Withdrawn, "", said).await
    }

    async fn decide(
        &self,
        id: &str,
        state: State,
        answer: &str,
        said: &Entry,
    ) -> Result<bool, Error> {
        let update = "UPDATE access_requests \
            SET state = $2, decided = $3, decided_by = $4, answer = $5 \
            WHERE id = $1 AND state = 'open'";
        let values: [Value; 5] =
            [id.into(), state.as_str().into(), said.at.into(), (&said.actor).into(), answer.into()];
        Ok(audit::with(self.db.write().await?, said, update, &values).await? > 0)
    }
}

/// Notes that a commit gives what a request asked for. The commit holds the audit's head by now, as
/// everybody does who writes a request.
pub(crate) async fn settle(tx: &mut Tx, commit: &Commit, revision: i64) -> Result<(), CommitError> {
    let Some(id) = &commit.settles else { return Ok(()) };
    let update = "UPDATE access_requests \
        SET state = 'granted', decided = $2, decided_by = $3, answer = $4, revision = $5 \
        WHERE id = $1 AND state = 'open'";
    let values: [Value; 5] = [
        id.into(),
        commit.at.into(),
        (&commit.actor).into(),
        (&commit.message).into(),
        revision.into(),
    ];
    match tx.execute(update, &values).await? {
        0 => Err(CommitError::Settled(id.clone())),
        _ => Ok(()),
    }
}

/// Takes back what a user asked for who is let in no more.
pub(crate) async fn drop_all(tx: &mut Tx, user: &str, said: &Entry) -> Result<(), Error> {
    let update = "UPDATE access_requests SET state = 'withdrawn', decided = $2, decided_by = $3 \
                  WHERE user_id = $1 AND state = 'open'";
    tx.execute(update, &[user.into(), said.at.into(), (&said.actor).into()]).await?;
    Ok(())
}

async fn ask(tx: &mut Tx, new: &AccessRequest) -> Result<Asked, Error> {
    if let Some(same) = same(tx, new).await? {
        return Ok(Asked::Open(Box::new(same)));
    }
    let count = "SELECT count(*), count(CASE WHEN user_id = $1 THEN 1 END) \
                 FROM access_requests WHERE state = 'open'";
    let mut row =
        tx.row(count, &[(&new.user).into()]).await?.ok_or_else(|| unreadable("no count"))?;
    let (all, own) = (row.int()?, row.int()?);
    if own >= OPEN_OF_USER {
        return Ok(Asked::Enough);
    }
    if all >= OPEN {
        return Ok(Asked::Full);
    }
    sweep(tx, new).await?;
    Ok(if insert(tx, new).await? > 0 { Asked::New } else { Asked::Nobody })
}

/// The open request of the same user for the same.
async fn same(tx: &mut Tx, new: &AccessRequest) -> Result<Option<AccessRequest>, Error> {
    let select = format!(
        "{COLUMNS} WHERE user_id = $1 AND state = 'open' AND kind = $2 AND namespace = $3 \
         AND name = $4 AND verb = $5 AND field = $6 AND scope = $7"
    );
    let values: [Value; 7] = [
        (&new.user).into(),
        (&new.kind).into(),
        (&new.namespace).into(),
        (&new.name).into(),
        (&new.verb).into(),
        (&new.field).into(),
        (&new.scope).into(),
    ];
    let rows = tx.rows(AssertSqlSafe(select), &values).await?;
    rows.into_iter().next().map(read).transpose()
}

/// Forgets what was decided long ago, and of what the user asked for all but the latest.
async fn sweep(tx: &mut Tx, new: &AccessRequest) -> Result<(), Error> {
    let old = "DELETE FROM access_requests WHERE decided < $1";
    tx.execute(old, &[new.created.saturating_sub(KEPT).into()]).await?;
    let many = "DELETE FROM access_requests WHERE user_id = $1 AND state <> 'open' AND id NOT IN \
        (SELECT id FROM access_requests WHERE user_id = $1 AND state <> 'open' \
        ORDER BY decided DESC, id DESC LIMIT $2)";
    tx.execute(many, &[(&new.user).into(), DECIDED_OF_USER.into()]).await?;
    Ok(())
}

/// Adds a request of a user who is let in; 0 if there is none.
async fn insert(tx: &mut Tx, new: &AccessRequest) -> Result<u64, Error> {
    let insert = "INSERT INTO access_requests (id, user_id, user_name, scope, kind, namespace, \
        name, verb, field, message, created, state, answer) \
        SELECT $1, id, $3, $4, $5, $6, $7, $8, $9, $10, $11, 'open', '' \
        FROM users WHERE id = $2 AND disabled = 0";
    let values: [Value; 11] = [
        (&new.id).into(),
        (&new.user).into(),
        (&new.user_name).into(),
        (&new.scope).into(),
        (&new.kind).into(),
        (&new.namespace).into(),
        (&new.name).into(),
        (&new.verb).into(),
        (&new.field).into(),
        (&new.message).into(),
        new.created.into(),
    ];
    tx.execute(insert, &values).await
}

fn read(mut row: Row) -> Result<AccessRequest, Error> {
    let (id, user, user_name) = (row.text()?, row.text()?, row.text()?);
    let scope = key::read_scope(&mut row)?;
    let (kind, namespace, name) = (row.text()?, row.text()?, row.text()?);
    let (verb, field, message) = (row.text()?, row.text()?, row.text()?);
    let (created, word) = (row.int()?, row.text()?);
    let state = State::ALL.into_iter().find(|state| state.as_str() == word);
    let state = state.ok_or_else(|| unreadable(&format!("'{word}' as what came of a request")))?;
    let (at, by) = (row.int_or_none()?, row.text_or_none()?);
    let (answer, revision) = (row.text()?, row.int_or_none()?);
    let decided = at.map(|at| Decided { at, by: by.unwrap_or_default(), answer, revision });
    Ok(AccessRequest {
        id,
        user,
        user_name,
        scope,
        kind,
        namespace,
        name,
        verb,
        field,
        message,
        created,
        state,
        decided,
    })
}
