//! Moving a store: every row from one database to an empty one, whichever they are.
//!
//! All is read from one snapshot and written in one transaction, so a copy is one moment's state
//! or nothing. At the end what arrived is read back and compared, table by table. History, audit
//! and authorities come along as they are: the chain of the audit holds in the copy.

use std::io;
use std::path::Path;

use sqlx::AssertSqlSafe;

use crate::db::{Db, Open, Tx, Value};
use crate::digest::Fields;
use crate::migration::{self, MigrationError};
use crate::open::{Location, key_missing};
use crate::seal::{Keyring, SealError};
use crate::{Error, Store};

mod table;

#[cfg(test)]
mod tests;

use table::{TABLES, Table};

/// Rows that are held at a time. Together with the widest table it stays below what both databases
/// take as parameters of one statement.
const PAGE: usize = 500;

/// Why nothing was copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// There is something where the copy should go.
    #[error("{table} is not empty; copy into a new database, or into an empty folder")]
    NotEmpty {
        /// The first table that has rows.
        table: &'static str,
    },
    /// What arrived is not what was sent.
    #[error("{table} differs in the copy; nothing was kept; check the disks of both")]
    Differs {
        /// The first table that differs.
        table: &'static str,
    },
    /// There is a file where the backup should go, or it cannot be made.
    #[error("the file cannot be made; name one that is not there, in a folder that is")]
    File(#[source] io::Error),
    /// There is no backup to read.
    #[error("the backup cannot be opened; name a file that is there and that you may write")]
    Unopened(#[source] io::Error),
    /// The file is a database, and not one of ours.
    #[error("the file is no backup of Heddle's; name one that a backup wrote")]
    Foreign,
    /// The two schemas differ.
    #[error(
        "the backup has schema {found} and this program reads {known}; use the Heddle that wrote it"
    )]
    Schema {
        /// The backup's.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// What is to be copied is damaged.
    #[error("what is to be copied is damaged ({found}); nothing was written")]
    Damaged {
        /// What the database says of it.
        found: String,
    },
    /// A key is missing, or could not be taken along.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// One of the databases failed.
    #[error(transparent)]
    Database(#[from] Error),
}

impl From<MigrationError> for CopyError {
    fn from(error: MigrationError) -> Self {
        match error {
            MigrationError::Newer { found, known } => CopyError::Schema { found, known },
            MigrationError::Database(error) => CopyError::Database(error),
        }
    }
}

/// What was copied: each table with its rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Copied {
    /// In the order in which they were copied.
    pub tables: Vec<(&'static str, u64)>,
}

impl Copied {
    /// The rows of all tables.
    pub fn rows(&self) -> u64 {
        self.tables.iter().map(|(_, rows)| rows).sum()
    }
}

/// Copies all of `from` into `to`, which must be empty, with the keys that open its secrets.
///
/// # Errors
/// [`CopyError`]; `to` is as it was then.
pub async fn copy(from: &Store, to: &Store) -> Result<Copied, CopyError> {
    empty(&to.db).await?;
    // Before the rows: keys that open nothing do no harm, rows that nothing opens do.
    to.keys.take_over(&from.keys)?;
    let copied = rows(&from.db, &to.db).await?;
    to.feed.tell(to.revision().await?);
    Ok(copied)
}

impl Store {
    /// Reads all that a copy would, so that nothing is made for what cannot be copied.
    ///
    /// # Errors
    /// [`CopyError`].
    pub async fn rehearse(&self) -> Result<(), CopyError> {
        rehearse(&self.db).await
    }

    /// Copies all into a new SQLite file. The keys are not in it: what is sealed opens only with
    /// the key file, which is to be kept elsewhere than the backup.
    ///
    /// # Errors
    /// [`CopyError`] if there is such a file, or one of the databases fails.
    pub async fn backup(&self, file: &Path) -> Result<Copied, CopyError> {
        if file.try_exists().map_err(CopyError::File)? {
            return Err(CopyError::File(io::ErrorKind::AlreadyExists.into()));
        }
        // Half a backup looks like one, so that it has its name only when it is whole.
        let draft = file.with_added_extension(format!("{}.draft", std::process::id()));
        std::fs::File::create_new(&draft).map_err(CopyError::File)?;
        let copied = match self.backup_as(&draft).await {
            Ok(copied) => std::fs::rename(&draft, file).map(|()| copied).map_err(CopyError::File),
            Err(error) => Err(error),
        };
        if copied.is_err() {
            // That it cannot be removed harms nobody: its name says what it is.
            drop(std::fs::remove_file(&draft));
        }
        copied
    }

    async fn backup_as(&self, file: &Path) -> Result<Copied, CopyError> {
        let db = Db::sqlite(file, Open::OrCreate).await?;
        let copied = async {
            migration::run(&db).await?;
            rows(&self.db, &db).await
        };
        let copied = copied.await;
        db.close().await;
        copied
    }

    /// Copies all from a backup into this store, which must be empty.
    ///
    /// # Errors
    /// [`CopyError`]; this store is as it was then.
    pub async fn restore(&self, backup: Backup) -> Result<Copied, CopyError> {
        let copied = async {
            // It may have been opened for another place.
            if let Some(id) = key_missing(&backup.0, &self.keys).await? {
                return Err(SealError::Unknown(id).into());
            }
            empty(&self.db).await?;
            rows(&backup.0, &self.db).await
        };
        let copied = copied.await;
        backup.close().await;
        self.feed.tell(self.revision().await?);
        copied
    }
}

/// A file that is a backup, of the schema of this program.
#[derive(Debug)]
pub struct Backup(Db);

impl Backup {
    /// Opens it for a place where it is to be restored, whose keys must open what is sealed in it.
    /// Nothing is made there.
    ///
    /// # Errors
    /// [`CopyError`].
    pub async fn open(file: &Path, place: &Location) -> Result<Self, CopyError> {
        // SQLite would say only that it could not.
        std::fs::OpenOptions::new()
            .read(true)
            .append(true)
            .open(file)
            .map_err(CopyError::Unopened)?;
        let keys = Keyring::open(&place.keys())?;
        let db = Db::sqlite(file, Open::Existing).await?;
        let fits = fits(&db, &keys).await;
        if fits.is_err() {
            db.close().await;
        }
        fits.map(|()| Backup(db))
    }

    /// Closes it, so that nothing is left beside its file.
    pub async fn close(self) {
        self.0.close().await;
    }
}

async fn fits(db: &Db, keys: &Keyring) -> Result<(), CopyError> {
    if !migration::there(db).await? {
        return Err(CopyError::Foreign);
    }
    let found = migration::version(&mut db.snapshot().await?).await?;
    if found != migration::VERSION {
        return Err(CopyError::Schema { found, known: migration::VERSION });
    }
    if let Some(id) = key_missing(db, keys).await? {
        return Err(SealError::Unknown(id).into());
    }
    rehearse(db).await
}

/// Whether the database finds itself whole, and every row can be read.
async fn rehearse(db: &Db) -> Result<(), CopyError> {
    let mut source = db.snapshot().await?;
    if matches!(db, Db::Sqlite { .. }) {
        let ask = "SELECT integrity_check FROM pragma_integrity_check \
                   WHERE integrity_check <> 'ok' UNION ALL \
                   SELECT 'a row of ' || \"table\" || ' points nowhere' FROM pragma_foreign_key_check";
        if let Some(mut row) = source.rows(ask, &[]).await?.into_iter().next() {
            return Err(CopyError::Damaged { found: row.text()? });
        }
    }
    for table in TABLES {
        let mut pages = Pages::of(table);
        while pages.next(&mut source).await?.is_some() {}
    }
    Ok(())
}

/// Nothing was ever written: each table is empty, but for those that have one row from the start.
async fn empty(db: &Db) -> Result<(), CopyError> {
    let mut tx = db.snapshot().await?;
    for table in TABLES {
        let count = format!("SELECT count(*) FROM {}", table.name);
        let counted = tx.rows(AssertSqlSafe(count), &[]).await?.into_iter().next();
        let rows = counted.map_or(Ok(0), |mut row| row.int())?;
        if rows > i64::from(matches!(table.name, "counter" | "audit_head")) {
            return Err(CopyError::NotEmpty { table: table.name });
        }
    }
    Ok(())
}

async fn rows(from: &Db, to: &Db) -> Result<Copied, CopyError> {
    let mut source = from.snapshot().await?;
    let mut target = to.write().await?;
    target.script("DELETE FROM counter; DELETE FROM audit_head;").await?;
    let mut copied = Copied::default();
    for table in TABLES {
        let sent = send(table, &mut source, &mut target).await?;
        if sent != arrived(table, &mut target).await? {
            target.rollback().await?;
            return Err(CopyError::Differs { table: table.name });
        }
        copied.tables.push((table.name, sent.rows));
    }
    target.commit().await?;
    Ok(copied)
}

/// How many rows, and the digest over all of them in the order of their keys.
#[derive(Debug, PartialEq, Eq)]
struct Sum {
    rows: u64,
    digest: String,
}

async fn send(table: &Table, source: &mut Tx, target: &mut Tx) -> Result<Sum, Error> {
    let mut pages = Pages::of(table);
    while let Some(page) = pages.next(source).await? {
        target.execute(AssertSqlSafe(table.insert(page.len())), &page.concat()).await?;
    }
    Ok(pages.finish())
}

async fn arrived(table: &Table, target: &mut Tx) -> Result<Sum, Error> {
    let mut pages = Pages::of(table);
    while pages.next(target).await?.is_some() {}
    Ok(pages.finish())
}

/// A table read from its first row to its last.
struct Pages<'a> {
    table: &'a Table,
    behind: Vec<Value>,
    rows: u64,
    fields: Fields,
}

impl<'a> Pages<'a> {
    fn of(table: &'a Table) -> Self {
        Pages { table, behind: Vec::new(), rows: 0, fields: Fields::new() }
    }

    async fn next(&mut self, tx: &mut Tx) -> Result<Option<Vec<Vec<Value>>>, Error> {
        let sql = self.table.page(!self.behind.is_empty());
        let mut page = Vec::new();
        for row in tx.rows(AssertSqlSafe(sql), &self.behind).await? {
            let mut values = row.rest();
            self.table.typed(&mut values);
            self.fields.add_all(&values);
            self.rows += 1;
            page.push(values);
        }
        let Some(last) = page.last() else { return Ok(None) };
        self.behind = last[..self.table.key].to_vec();
        Ok(Some(page))
    }

    fn finish(self) -> Sum {
        Sum { rows: self.rows, digest: self.fields.finish() }
    }
}
