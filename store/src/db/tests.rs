//! A database that fails says in which way.

use sqlx::Connection as _;

use super::{Db, Open};
use crate::Error;

async fn opened(folder: &tempfile::TempDir) -> Db {
    let db = Db::sqlite(&folder.path().join("heddle.db"), Open::OrCreate).await.unwrap();
    db.execute("CREATE TABLE lines (line TEXT NOT NULL)", &[]).await.unwrap();
    db
}

#[tokio::test]
async fn a_full_disk_is_told_as_one() {
    let folder = tempfile::tempdir().unwrap();
    let db = opened(&folder).await;
    // SQLite's own bound on the size of a file fails as a disk without room does.
    db.returning("PRAGMA max_page_count = 8", &[]).await.unwrap();
    let line = "x".repeat(100_000);
    let failed = db.execute("INSERT INTO lines (line) VALUES ($1)", &[line.into()]).await;
    assert!(matches!(failed, Err(Error::Full(_))), "{failed:?}");
    let rows = db.read("SELECT count(*) FROM lines", &[]).await.unwrap();
    assert_eq!(rows.into_iter().next().unwrap().int().unwrap(), 0);
}

#[tokio::test]
async fn a_lock_of_another_program_is_told_as_one() {
    let folder = tempfile::tempdir().unwrap();
    let db = opened(&folder).await;
    db.returning("PRAGMA busy_timeout = 20", &[]).await.unwrap();
    let url = format!("sqlite://{}", folder.path().join("heddle.db").display());
    let mut other = sqlx::SqliteConnection::connect(&url).await.unwrap();
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    let failed = db.write().await.map(drop);
    assert!(matches!(failed, Err(Error::Locked(_))), "{failed:?}");
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    assert!(db.write().await.is_ok(), "it goes on when the other is through");
}

#[tokio::test]
async fn what_is_no_database_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("heddle.db");
    std::fs::write(&file, "not a database at all, but long enough to be looked at ".repeat(200))
        .unwrap();
    let failed = Db::sqlite(&file, Open::OrCreate).await.map(drop);
    assert!(matches!(failed, Err(Error::Damaged(_))), "{failed:?}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told_at_once() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let began = std::time::Instant::now();
    let failed = Db::postgres(&format!("postgres://heddle@127.0.0.1:{port}/heddle")).await;
    assert!(matches!(failed, Err(Error::Unreachable(_))), "{failed:?}");
    assert!(began.elapsed() < super::WAIT, "it did not wait for what is not there");
}

#[tokio::test]
async fn a_reader_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let db = opened(&folder).await;
    let failed = db.read("INSERT INTO lines (line) VALUES ('x')", &[]).await;
    assert!(matches!(failed, Err(Error::Refused(_))), "{failed:?}");
}
