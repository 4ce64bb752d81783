//! The two databases behind one small face: text, integers and bytes in and out.
//!
//! Writing goes through a [`Tx`] that [`Db::write`] begins, one at a time on SQLite. Reading goes
//! through [`Db::read`], or through [`Db::snapshot`] where several statements must see one state.

use std::time::Duration;

use sqlx::{PgPool, SqlSafeStr, SqlitePool};

use crate::Error;

mod postgres;
mod sqlite;
mod tx;
mod value;

#[cfg(test)]
mod tests;

pub use sqlite::Settings;

pub(crate) use sqlite::{Open, private_folder};
pub(crate) use tx::Tx;
pub(crate) use value::{Row, Value, containing, unreadable};

/// How long a statement waits for a connection or for somebody else's lock.
const WAIT: Duration = Duration::from_secs(10);

/// How many connections read at once.
const READERS: u32 = 8;

/// An open database.
#[derive(Debug, Clone)]
pub(crate) enum Db {
    /// A file, with one connection that writes.
    Sqlite { writer: SqlitePool, readers: SqlitePool },
    /// A server.
    Postgres(PgPool),
}

impl Db {
    /// Opens a SQLite file.
    pub(crate) async fn sqlite(file: &std::path::Path, open: Open) -> Result<Self, Error> {
        sqlite::open(file, open).await
    }

    /// Connects to a PostgreSQL server.
    pub(crate) async fn postgres(url: &str) -> Result<Self, Error> {
        postgres::connect(url).await.map(Db::Postgres)
    }

    /// Begins a transaction that writes. Dropped without a commit it leaves nothing.
    pub(crate) async fn write(&self) -> Result<Tx, Error> {
        match self {
            // Taking the lock at once: a transaction that reads first and then finds that it may
            // not write would have to begin anew.
            Db::Sqlite { writer, .. } => {
                let begun = writer.begin_with("BEGIN IMMEDIATE").await;
                begun.map(Tx::Sqlite).map_err(busy)
            }
            // Whatever the server's default is: who waited for the counter goes on from there.
            Db::Postgres(pool) => {
                let begin = "BEGIN ISOLATION LEVEL READ COMMITTED";
                Ok(Tx::Postgres(pool.begin_with(begin).await?))
            }
        }
    }

    /// Begins a transaction that reads one state of everything, whatever others commit meanwhile.
    pub(crate) async fn snapshot(&self) -> Result<Tx, Error> {
        let mut tx = match self {
            Db::Sqlite { readers, .. } => Tx::Sqlite(readers.begin().await?),
            Db::Postgres(pool) => {
                let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
                Tx::Postgres(pool.begin_with(begin).await?)
            }
        };
        // Both take their picture at the first statement, not at the beginning.
        tx.rows("SELECT revision FROM counter", &[]).await?;
        Ok(tx)
    }

    /// The rows of one statement that reads.
    pub(crate) async fn read(
        &self,
        sql: impl SqlSafeStr,
        values: &[Value],
    ) -> Result<Vec<Row>, Error> {
        match self {
            Db::Sqlite { readers, .. } => tx::sqlite_rows(readers, sql, values).await,
            Db::Postgres(pool) => tx::postgres_rows(pool, sql, values).await,
        }
    }

    /// One statement that writes, as a transaction of its own; the rows that it changed.
    pub(crate) async fn execute(&self, sql: &'static str, values: &[Value]) -> Result<u64, Error> {
        match self {
            Db::Sqlite { writer, .. } => tx::sqlite_execute(writer, sql, values).await,
            Db::Postgres(pool) => tx::postgres_execute(pool, sql, values).await,
        }
    }

    /// One statement that writes and tells what it wrote.
    pub(crate) async fn returning(
        &self,
        sql: &'static str,
        values: &[Value],
    ) -> Result<Vec<Row>, Error> {
        match self {
            Db::Sqlite { writer, .. } => tx::sqlite_rows(writer, sql, values).await,
            Db::Postgres(pool) => tx::postgres_rows(pool, sql, values).await,
        }
    }

    pub(crate) async fn close(&self) {
        match self {
            Db::Sqlite { writer, readers } => {
                readers.close().await;
                writer.close().await;
            }
            Db::Postgres(pool) => pool.close().await,
        }
    }
}

/// Nobody but ourselves holds the one writer, so waiting for it in vain means a lock.
fn busy(error: sqlx::Error) -> Error {
    match error {
        sqlx::Error::PoolTimedOut => Error::Locked(error),
        other => other.into(),
    }
}
