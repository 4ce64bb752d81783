//! Bringing a database to the schema of this program, one step at a time and under a lock.
//!
//! The steps are the files in `migrations/`. The one thing that differs between the databases is
//! how text is ordered: SQLite compares bytes, and PostgreSQL is told to do so too, since pages
//! and digests follow that order.

use sqlx::AssertSqlSafe;

use crate::Error;
use crate::db::{Db, Tx};

/// The steps in order; the place in the list, from 1, is the version.
const STEPS: &[&str] = &[
    include_str!("../../migrations/0001_store.sql"),
    include_str!("../../migrations/0002_serial_before.sql"),
    include_str!("../../migrations/0003_decision.sql"),
    include_str!("../../migrations/0004_rotation.sql"),
    include_str!("../../migrations/0005_access_request.sql"),
    include_str!("../../migrations/0006_login.sql"),
    include_str!("../../migrations/0007_session_secret.sql"),
    include_str!("../../migrations/0008_key_set.sql"),
    include_str!("../../migrations/0009_revocation.sql"),
];

/// The version that this program writes and reads.
pub(crate) const VERSION: i64 = STEPS.len() as i64;

const TABLE: &str =
    "CREATE TABLE IF NOT EXISTS migrations (version BIGINT PRIMARY KEY, text TEXT NOT NULL)";

/// Why a database was not brought to our schema.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MigrationError {
    #[error(
        "the database has schema {found} and this program knows schemas up to {known}; run a \
         newer Heddle, or restore the backup that was made before the newer one ran"
    )]
    Newer { found: i64, known: i64 },
    #[error(transparent)]
    Database(#[from] Error),
}

/// Runs the steps that are missing, all or none.
pub(crate) async fn run(db: &Db) -> Result<(), MigrationError> {
    let mut tx = db.write().await?;
    lock(&mut tx).await?;
    tx.execute(TABLE, &[]).await?;
    let found = version(&mut tx).await?;
    if found > VERSION {
        return Err(MigrationError::Newer { found, known: VERSION });
    }
    let missing = STEPS.iter().zip(1i64..).filter(|(_, version)| *version > found);
    for (step, version) in missing {
        tx.script(AssertSqlSafe(adapted(&tx, step))).await?;
        let note = "INSERT INTO migrations (version, text) VALUES ($1, $2)";
        tx.execute(note, &[version.into(), (*step).into()]).await?;
    }
    Ok(tx.commit().await?)
}

/// Whether this program, or another version of it, ever ran on a database.
pub(crate) async fn there(db: &Db) -> Result<bool, Error> {
    let ask = match db {
        Db::Sqlite { .. } => "SELECT count(*) FROM sqlite_master WHERE name = 'migrations'",
        Db::Postgres(_) => "SELECT count(*) FROM pg_class WHERE oid = to_regclass('migrations')",
    };
    let row = db.read(ask, &[]).await?.into_iter().next();
    Ok(row.map_or(Ok(0), |mut row| row.int())? > 0)
}

/// The version that a database has, without changing it; 0 where there is none.
pub(crate) async fn version(tx: &mut Tx) -> Result<i64, Error> {
    let row = tx.row("SELECT coalesce(max(version), 0) FROM migrations", &[]).await?;
    row.map_or(Ok(0), |mut row| row.int())
}

/// Two programs that start at once take turns. On SQLite the transaction itself is the lock.
async fn lock(tx: &mut Tx) -> Result<(), Error> {
    if matches!(tx, Tx::Postgres(_)) {
        // Any number, if it is always the same.
        tx.script("SELECT pg_advisory_xact_lock(4733825)").await?;
    }
    Ok(())
}

fn adapted(tx: &Tx, step: &str) -> String {
    match tx {
        Tx::Sqlite(_) => step.to_owned(),
        Tx::Postgres(_) => step.replace(" TEXT", " TEXT COLLATE \"C\""),
    }
}
