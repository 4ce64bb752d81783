//! "Look again": the last revision, for whoever follows commits.
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
    last: watch::Sender<i64>,
    /// Who looks each second, and listens to the server.
    looking: JoinHandle<()>,
}

impl Feed {
    pub(crate) async fn start(db: &Db) -> Result<Self, Error> {
        let (last, _) = watch::channel(revision(db).await?);
        let looking = match db {
            Db::Sqlite { .. } => tokio::spawn(look(db.clone(), last.clone())),
            Db::Postgres(pool) => tokio::spawn(listen(pool.clone(), last.clone())),
        };
        Ok(Feed { last, looking })
    }

    /// Tells a revision, if it is news.
    pub(crate) fn tell(&self, revision: i64) {
        tell(&self.last, revision);
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
        self.feed.last.subscribe()
    }

    /// The last revision; 0 before the first.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn revision(&self) -> Result<i64, Error> {
        revision(&self.db).await
    }
}

async fn revision(db: &Db) -> Result<i64, Error> {
    let rows = db.read("SELECT revision FROM counter WHERE id = 1", &[]).await?;
    rows.into_iter().next().map_or(Ok(0), |mut row| row.int())
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
async fn look(db: Db, last: watch::Sender<i64>) {
    loop {
        tokio::time::sleep(LOOK).await;
        look_once(&db, &last).await;
    }
}

async fn look_once(db: &Db, last: &watch::Sender<i64>) {
    match revision(db).await {
        Ok(revision) => tell(last, revision),
        Err(error) => tracing::warn!(%error, "the last revision could not be read"),
    }
}

/// Listens until it is aborted; a listener that broke is made anew at the next look.
async fn listen(pool: PgPool, last: watch::Sender<i64>) {
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
