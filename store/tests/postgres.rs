//! The conformance suite on PostgreSQL: a server that runs, a database of its own for each test.

#![allow(clippy::unwrap_used, reason = "only tests are here")]

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use store::{Location, Store};

mod suite;

/// A store of one test.
pub(crate) struct Bed {
    folder: tempfile::TempDir,
    url: String,
    pub(crate) store: Store,
}

impl Bed {
    pub(crate) async fn fresh() -> Self {
        let server = std::env::var("HEDDLE_TEST_POSTGRES").unwrap_or_else(|_| {
            panic!(
                "HEDDLE_TEST_POSTGRES names no server; `cargo xtask test --only store` starts one"
            )
        });
        let name = format!("heddle_{}", uuid::Uuid::now_v7().simple());
        let mut admin = PgConnection::connect(&server).await.unwrap();
        let create = format!("CREATE DATABASE {name} {}", foreign_order(&mut admin).await);
        sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut admin).await.unwrap();
        let (address, _) = server.rsplit_once('/').unwrap();
        let url = format!("{address}/{name}");
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&at(&folder, &url)).await.unwrap();
        Bed { folder, url, store }
    }

    /// Where it is, for opening it again.
    pub(crate) fn location(&self) -> Location {
        at(&self.folder, &self.url)
    }

    /// Does what the store never would, behind its back.
    pub(crate) async fn tamper(&self, sql: &str) {
        let mut connection = PgConnection::connect(&self.url).await.unwrap();
        // References are kept by triggers, which such a session does not run.
        let sql = format!("SET session_replication_role = replica; {sql}");
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }
}

/// Has the database order text by a language, where the server can: the store's must not follow.
async fn foreign_order(admin: &mut PgConnection) -> &'static str {
    let version = "SELECT current_setting('server_version_num')::BIGINT";
    let version: i64 = sqlx::query_scalar(version).fetch_one(admin).await.unwrap();
    if version >= 150_000 {
        "TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US'"
    } else {
        ""
    }
}

fn at(folder: &tempfile::TempDir, url: &str) -> Location {
    Location::Postgres { url: url.to_owned(), folder: folder.path().join("store") }
}

#[tokio::test]
async fn a_commit_of_another_program_wakes_the_feed() {
    let bed = Bed::fresh().await;
    let other = Store::open(&bed.location()).await.unwrap();
    let mut changes = bed.store.changes();
    let committed = suite::one_commit(&other).await;
    let woken = changes.wait_for(|revision| *revision == committed.revision);
    suite::within(woken).await.unwrap();
}

#[tokio::test]
async fn a_database_that_is_not_there_is_refused() {
    let bed = Bed::fresh().await;
    let failed = Store::open(&at(&bed.folder, &format!("{}_not", bed.url))).await.map(drop);
    let Err(store::OpenError::Database(store::Error::Refused(_))) = failed else {
        panic!("{failed:?}");
    };
}
