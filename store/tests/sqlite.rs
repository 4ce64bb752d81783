//! The conformance suite on SQLite, and what is SQLite's alone.

#![allow(clippy::unwrap_used, reason = "only tests are here")]

use std::os::unix::fs::PermissionsExt as _;

use store::{Location, Store};

mod suite;

/// A store of one test.
pub(crate) struct Bed {
    folder: tempfile::TempDir,
    pub(crate) store: Store,
}

impl Bed {
    pub(crate) async fn fresh() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&at(&folder)).await.unwrap();
        Bed { folder, store }
    }

    /// Where it is, for opening it again.
    pub(crate) fn location(&self) -> Location {
        at(&self.folder)
    }

    /// Does what the store never would, behind its back.
    pub(crate) async fn tamper(&self, sql: &str) {
        let file = self.folder.path().join("store/heddle.db");
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(file).foreign_keys(false);
        let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&pool).await.unwrap();
        pool.close().await;
    }
}

fn at(folder: &tempfile::TempDir) -> Location {
    Location::Folder(folder.path().join("store"))
}

#[tokio::test]
async fn an_acknowledged_commit_is_on_the_disk() {
    let bed = Bed::fresh().await;
    let settings = bed.store.settings().await.unwrap().unwrap();
    assert_eq!(settings.journal, "wal");
    assert_eq!(settings.synchronous, 2, "FULL");
    assert!(settings.foreign_keys);
    assert!(settings.secure_delete);
    assert!(settings.busy_timeout >= 1_000);
}

#[tokio::test]
async fn files_are_their_owners_alone() {
    let bed = Bed::fresh().await;
    suite::one_commit(&bed.store).await;
    let mode = |path: &str| {
        let path = bed.folder.path().join(path);
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    };
    assert_eq!(mode("store"), 0o700);
    assert_eq!(mode("store/keys"), 0o700);
    for file in ["store/heddle.db", "store/heddle.db-wal", "store/keys/seal.json"] {
        assert_eq!(mode(file), 0o600, "{file}");
    }
}
