//! "Look again": the last revision, for whoever follows commits; and the number of the last change of who is
//! shut out, for whoever follows those.
//!
//! It never says what changed: a follower asks [`Store::changes_since`] for that, so a word that
//! came late, twice or never costs time and nothing else. Own commits are told at once. Each second
//! we look by ourselves, too: at what other programs commit, and at commits whose caller went away
//! before the answer. PostgreSQL notifies us of the former at once, but notifications do not
//! survive a broken connection.

use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::PgListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::db::{Db, Tx};
use crate::{Error, Store};

/// The name under which PostgreSQL notifies.
const CHANNEL: &str = "heddle_revision";

/// How long a commit may stay unseen when nobody tells of it.
const LOOK: Duration = Duration::from_secs(1);

/// Where revisions are told.
#[derive(Debug)]
pub(crate) struct Feed {
    last: Last,
    /// Who looks each second, and listens to the server.
    looking: JoinHandle<()>,
}

/// What was last.
#[derive(Debug, Clone)]
struct Last {
    revision: watch::Sender<i64>,
    revocation: watch::Sender<i64>,
}

impl Feed {
    pub(crate) async fn start(db: &Db) -> Result<Self, Error> {
        let (revision, revocation) = numbers(db).await?;
        let (revision, _) = watch::channel(revision);
        let (revocation, _) = watch::channel(revocation);
        let last = Last { revision, revocation };
        let looking = match db {
            Db::Sqlite { .. } => tokio::spawn(look(db.clone(), last.clone())),
            Db::Postgres(pool) => tokio::spawn(listen(pool.clone(), last.clone())),
        };
        Ok(Feed { last, looking })
    }

    /// Tells a revision, if it is news.
    pub(crate) fn tell(&self, revision: i64) {
        tell(&self.last.revision, revision);
    }

    /// The same of who is shut out.
    pub(crate) fn tell_revocation(&self, number: i64) {
        tell(&self.last.revocation, number);
    }

    /// Wakes when that changed.
    pub(crate) fn revocations(&self) -> watch::Receiver<i64> {
        self.last.revocation.subscribe()
    }

    pub(crate) fn stop(&self) {
        self.looking.abort();
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Store {
    /// Wakes with the last revision after each commit, or after several.
    pub fn changes(&self) -> watch::Receiver<i64> {
        self.feed.last.revision.subscribe()
    }

    /// The last revision; 0 before the first.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn revision(&self) -> Result<i64, Error> {
        let rows = self.db.read("SELECT revision FROM counter WHERE id = 1", &[]).await?;
        rows.into_iter().next().map_or(Ok(0), |mut row| row.int())
    }
}

/// The last revision, and the number of the last change of who is shut out.
async fn numbers(db: &Db) -> Result<(i64, i64), Error> {
    let select = "SELECT c.revision, r.number FROM counter c, revocation_counter r \
                  WHERE c.id = 1 AND r.id = 1";
    let rows = db.read(select, &[]).await?;
    rows.into_iter().next().map_or(Ok((0, 0)), |mut row| Ok((row.int()?, row.int()?)))
}

/// Has the server tell the others when this transaction commits.
pub(crate) async fn notify(tx: &mut Tx, revision: i64) -> Result<(), Error> {
    if matches!(tx, Tx::Postgres(_)) {
        let notify = "SELECT 1::BIGINT FROM pg_notify($1, $2)";
        tx.rows(notify, &[CHANNEL.into(), revision.to_string().into()]).await?;
    }
    Ok(())
}

/// Commits of one program may be told out of order, so only a later revision is news.
fn tell(last: &watch::Sender<i64>, revision: i64) {
    last.send_if_modified(|known| {
        let news = revision > *known;
        *known = revision.max(*known);
        news
    });
}

/// Looks until it is aborted.
async fn look(db: Db, last: Last) {
    loop {
        tokio::time::sleep(LOOK).await;
        look_once(&db, &last).await;
    }
}

async fn look_once(db: &Db, last: &Last) {
    match numbers(db).await {
        Ok((revision, revocation)) => {
            tell(&last.revision, revision);
            tell(&last.revocation, revocation);
        }
        Err(error) => tracing::warn!(%error, "the last revision could not be read"),
    }
}

/// Listens until it is aborted; a listener that broke is made anew at the next look.
async fn listen(pool: PgPool, last: Last) {
    let db = Db::Postgres(pool.clone());
    let mut listener = None;
    loop {
        if listener.is_none() {
            listener = listening(&pool).await;
        }
        look_once(&db, &last).await;
        let Some(open) = &mut listener else {
            tokio::time::sleep(LOOK).await;
            continue;
        };
        if let Ok(Err(error)) = tokio::time::timeout(LOOK, open.recv()).await {
            tracing::warn!(%error, "the database no longer notifies of commits; looking instead");
            listener = None;
        }
    }
}

async fn listening(pool: &PgPool) -> Option<PgListener> {
    let mut listener = PgListener::connect_with(pool).await.ok()?;
    listener.listen(CHANNEL).await.ok()?;
    Some(listener)
}
