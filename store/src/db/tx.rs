//! A transaction, and how one statement is sent to either database.

use sqlx::query::Query;
use sqlx::{
    Database, Encode, Executor, PgTransaction, Postgres, SqlSafeStr, Sqlite, SqliteTransaction,
    Type,
};

use super::value::{Row, Value};
use crate::Error;

/// A transaction under way. Dropped without a commit it leaves nothing.
pub(crate) enum Tx {
    Sqlite(SqliteTransaction<'static>),
    Postgres(PgTransaction<'static>),
}

impl Tx {
    /// Runs a statement; how many rows it changed.
    pub(crate) async fn execute(
        &mut self,
        sql: impl SqlSafeStr,
        values: &[Value],
    ) -> Result<u64, Error> {
        match self {
            Tx::Sqlite(tx) => sqlite_execute(&mut **tx, sql, values).await,
            Tx::Postgres(tx) => postgres_execute(&mut **tx, sql, values).await,
        }
    }

    /// Runs a statement; the rows that it answers with.
    pub(crate) async fn rows(
        &mut self,
        sql: impl SqlSafeStr,
        values: &[Value],
    ) -> Result<Vec<Row>, Error> {
        match self {
            Tx::Sqlite(tx) => sqlite_rows(&mut **tx, sql, values).await,
            Tx::Postgres(tx) => postgres_rows(&mut **tx, sql, values).await,
        }
    }

    /// The first row that a statement answers with.
    pub(crate) async fn row(
        &mut self,
        sql: &'static str,
        values: &[Value],
    ) -> Result<Option<Row>, Error> {
        Ok(self.rows(sql, values).await?.into_iter().next())
    }

    /// Runs several statements parted by semicolons, without parameters.
    pub(crate) async fn script(&mut self, sql: impl SqlSafeStr) -> Result<(), Error> {
        let script = sqlx::raw_sql(sql);
        match self {
            Tx::Sqlite(tx) => script.execute(&mut **tx).await.map(|_| ())?,
            Tx::Postgres(tx) => script.execute(&mut **tx).await.map(|_| ())?,
        }
        Ok(())
    }

    /// Makes it last. When this fails on the way to a server, it may have happened or not.
    pub(crate) async fn commit(self) -> Result<(), Error> {
        match self {
            Tx::Sqlite(tx) => tx.commit().await?,
            Tx::Postgres(tx) => tx.commit().await?,
        }
        Ok(())
    }

    /// Leaves nothing, and waits until that is so.
    pub(crate) async fn rollback(self) -> Result<(), Error> {
        match self {
            Tx::Sqlite(tx) => tx.rollback().await?,
            Tx::Postgres(tx) => tx.rollback().await?,
        }
        Ok(())
    }
}

pub(super) async fn sqlite_execute<'e>(
    on: impl Executor<'e, Database = Sqlite>,
    sql: impl SqlSafeStr,
    values: &[Value],
) -> Result<u64, Error> {
    Ok(bound(sqlx::query(sql), values).execute(on).await?.rows_affected())
}

pub(super) async fn postgres_execute<'e>(
    on: impl Executor<'e, Database = Postgres>,
    sql: impl SqlSafeStr,
    values: &[Value],
) -> Result<u64, Error> {
    Ok(bound(sqlx::query(sql), values).execute(on).await?.rows_affected())
}

pub(super) async fn sqlite_rows<'e>(
    on: impl Executor<'e, Database = Sqlite>,
    sql: impl SqlSafeStr,
    values: &[Value],
) -> Result<Vec<Row>, Error> {
    let rows = bound(sqlx::query(sql), values).fetch_all(on).await?;
    rows.iter().map(Row::of_sqlite).collect()
}

pub(super) async fn postgres_rows<'e>(
    on: impl Executor<'e, Database = Postgres>,
    sql: impl SqlSafeStr,
    values: &[Value],
) -> Result<Vec<Row>, Error> {
    let rows = bound(sqlx::query(sql), values).fetch_all(on).await?;
    rows.iter().map(Row::of_postgres).collect()
}

/// The statement with its parameters. A missing value keeps its type, which PostgreSQL asks for.
fn bound<'q, D: Database>(
    statement: Query<'q, D, D::Arguments>,
    values: &[Value],
) -> Query<'q, D, D::Arguments>
where
    Option<String>: Encode<'q, D> + Type<D>,
    Option<i64>: Encode<'q, D> + Type<D>,
    Option<Vec<u8>>: Encode<'q, D> + Type<D>,
{
    values.iter().fold(statement, |statement, value| match value {
        Value::Text(text) => statement.bind(text.clone()),
        Value::Int(int) => statement.bind(*int),
        Value::Bytes(bytes) => statement.bind(bytes.clone()),
    })
}
