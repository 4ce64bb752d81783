//! "Look again": the last revision, for whoever follows commits.
//!
//! It never says what changed: a follower asks [`Store::changes_since`] for that, so a word that
//! came late, twice or never costs time and nothing else. Own commits are told at once. On
//! PostgreSQL other programs commit too: the server notifies us, and each second we look by
//! ourselves, for notifications do not survive a broken connection.

use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::PgListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::db::{Db, Tx};
use crate::{Error, Store};

/// The name under which PostgreSQL notifies.
const CHANNEL: &str = "heddle_revision";

/// How long a commit of another program may stay unseen when its notification is lost.
const LOOK: Duration = Duration::from_secs(1);

/// Where revisions are told.
#[derive(Debug)]
pub(crate) struct Feed {
    last: watch::Sender<i64>,
    /// Who listens to the server.
    listener: Option<JoinHandle<()>>,
}

impl Feed {
    pub(crate) async fn start(db: &Db) -> Result<Self, Error> {
        let (last, _) = watch::channel(revision(db).await?);
        let listener = match db {
            Db::Sqlite { .. } => None,
            Db::Postgres(pool) => Some(tokio::spawn(listen(pool.clone(), last.clone()))),
        };
        Ok(Feed { last, listener })
    }

    /// Tells a revision, if it is news.
    pub(crate) fn tell(&self, revision: i64) {
        tell(&self.last, revision);
    }

    pub(crate) fn stop(&self) {
        if let Some(listener) = &self.listener {
            listener.abort();
        }
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

/// Listens until it is aborted; a listener that broke is made anew at the next look.
async fn listen(pool: PgPool, last: watch::Sender<i64>) {
    let db = Db::Postgres(pool.clone());
    let mut listener = None;
    loop {
        if listener.is_none() {
            listener = listening(&pool).await;
        }
        match revision(&db).await {
            Ok(revision) => tell(&last, revision),
            Err(error) => tracing::warn!(%error, "the last revision could not be read"),
        }
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
