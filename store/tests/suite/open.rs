//! Opening: again, at once, and never what a newer program wrote.

use store::{OpenError, Store};

use super::{key, one_commit, within};
use crate::Bed;

#[tokio::test]
async fn what_was_committed_is_there_when_opened_again() {
    let bed = Bed::fresh().await;
    let committed = one_commit(&bed.store).await;
    bed.store.close().await;
    let again = Store::open(&bed.location()).await.unwrap();
    assert_eq!(again.revision().await.unwrap(), committed.revision);
    assert_eq!(*again.changes().borrow(), committed.revision);
    assert!(again.resource(&key("files")).await.unwrap().is_some());
}

#[tokio::test]
async fn a_newer_schema_is_refused_with_both_versions_and_a_remedy() {
    let bed = Bed::fresh().await;
    bed.tamper("INSERT INTO migrations (version, text) VALUES (99, 'of a later day')").await;
    let error = Store::open(&bed.location()).await.map(drop).unwrap_err();
    let OpenError::Newer { found: 99, known } = error else { panic!("{error:?}") };
    let said = error.to_string();
    for word in ["schema 99", &format!("up to {known}"), "newer Heddle", "backup"] {
        assert!(said.contains(word), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn programs_that_open_at_once_take_turns() {
    let bed = Bed::fresh().await;
    bed.tamper("DROP TABLE audit_head; DELETE FROM migrations").await;
    // All but one table are there, so steps that ran twice or half would fail.
    let failed = Store::open(&bed.location()).await.map(drop);
    assert!(failed.is_err(), "a step is run whole or not at all");
    let fresh = Bed::fresh().await;
    let opening: Vec<_> = (0..4)
        .map(|_| {
            let location = fresh.location();
            tokio::spawn(async move { Store::open(&location).await.map(drop) })
        })
        .collect();
    for task in opening {
        within(task).await.unwrap().unwrap();
    }
}
