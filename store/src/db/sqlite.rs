//! Opening SQLite: one writer, some readers, and the settings by which a commit lasts.

use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

use super::{Db, READERS, WAIT};
use crate::Error;

/// Rows that a connection's thread reads ahead: with few, it and who reads wake each other all the
/// time.
const ROWS: usize = 1_000;

/// Whether a file is to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Open {
    /// It must be there.
    Existing,
    /// It is made where it is not, for its owner alone.
    OrCreate,
}

/// What SQLite says of its connection: read back, not assumed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `wal`: readers do not stop the writer, and a commit is one append.
    pub journal: String,
    /// 2 is full: a commit is on the disk before it is acknowledged.
    pub synchronous: i64,
    /// References hold.
    pub foreign_keys: bool,
    /// What is deleted is overwritten, so that no secret stays behind in the file.
    pub secure_delete: bool,
    /// How long a statement waits for another process, in milliseconds.
    pub busy_timeout: i64,
}

pub(super) async fn open(file: &Path, open: Open) -> Result<Db, Error> {
    if open == Open::OrCreate {
        private_file(file).map_err(sqlx::Error::Io)?;
    }
    let options = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(false)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .pragma("secure_delete", "ON")
        .row_buffer_size(ROWS)
        .busy_timeout(WAIT);
    let writer = SqlitePoolOptions::new()
        .max_connections(1)
        // Waiting for our own writer is waiting in a queue, not for a lock: it may take longer
        // than one statement's wait for another process.
        .acquire_timeout(3 * WAIT)
        // A full disk ends SQLite's transaction by itself, and sqlx's own count of it stays open:
        // such a connection would refuse every transaction from then on.
        .before_acquire(|connection, _| Box::pin(async { Ok(!connection.is_in_transaction()) }))
        .connect_with(options.clone())
        .await?;
    let readers = SqlitePoolOptions::new()
        .max_connections(READERS)
        .acquire_timeout(WAIT)
        .connect_with(options.pragma("query_only", "ON"))
        .await?;
    Ok(Db::Sqlite { writer, readers })
}

/// Sees to it that `file` is there and its owner's alone; SQLite gives its other files the same.
fn private_file(file: &Path) -> io::Result<()> {
    let opened = std::fs::OpenOptions::new().append(true).create(true).mode(0o600).open(file)?;
    opened.set_permissions(std::fs::Permissions::from_mode(0o600))
}

/// Makes a folder for its owner alone; one that is there keeps its mode, which somebody chose.
pub(crate) fn private_folder(folder: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

impl Db {
    /// What the writer says of itself; none where there is no SQLite.
    pub(crate) async fn settings(&self) -> Result<Option<Settings>, Error> {
        let Db::Sqlite { .. } = self else { return Ok(None) };
        let mut all = Vec::new();
        for pragma in [
            "PRAGMA journal_mode",
            "PRAGMA synchronous",
            "PRAGMA foreign_keys",
            "PRAGMA secure_delete",
            "PRAGMA busy_timeout",
        ] {
            all.extend(self.returning(pragma, &[]).await?);
        }
        let [journal, synchronous, foreign_keys, secure_delete, busy_timeout] = all.as_mut_slice()
        else {
            return Ok(None);
        };
        Ok(Some(Settings {
            journal: journal.text()?,
            synchronous: synchronous.int()?,
            foreign_keys: foreign_keys.is()?,
            secure_delete: secure_delete.is()?,
            busy_timeout: busy_timeout.int()?,
        }))
    }
}
