//! Followers are woken, and find the last revision.

use super::{claiming, one_commit, put, puts, within};
use crate::Bed;

#[tokio::test]
async fn a_commit_wakes_its_followers_at_once() {
    let bed = Bed::fresh().await;
    let store = bed.store.clone();
    let mut changes = store.changes();
    assert_eq!(*changes.borrow_and_update(), 0);
    let committed = one_commit(&store).await;
    assert!(changes.has_changed().unwrap(), "told before the commit's answer");
    assert_eq!(*changes.borrow_and_update(), committed.revision);
}

#[tokio::test]
async fn what_was_not_committed_wakes_nobody() {
    let bed = Bed::fresh().await;
    let store = bed.store.clone();
    store.commit(&puts([claiming(put("a", "1"), "shop.example", "shop")])).await.unwrap();
    let mut changes = store.changes();
    changes.borrow_and_update();
    store.commit(&puts([claiming(put("b", "1"), "shop.example", "bank")])).await.unwrap_err();
    store.commit(&puts([claiming(put("a", "1"), "shop.example", "shop")])).await.unwrap();
    assert!(!changes.has_changed().unwrap());
}

#[tokio::test]
async fn a_slow_follower_sees_the_last_of_many() {
    let bed = Bed::fresh().await;
    let store = bed.store.clone();
    let mut changes = store.changes();
    for body in ["1", "2", "3"] {
        store.commit(&puts([put("a", body)])).await.unwrap();
    }
    within(changes.changed()).await.unwrap();
    assert_eq!(*changes.borrow_and_update(), 3);
}

#[tokio::test]
async fn a_commit_that_nobody_told_of_is_seen_all_the_same() {
    let bed = Bed::fresh().await;
    let mut changes = bed.store.changes();
    // As a commit does whose caller went away before its answer.
    bed.tamper("UPDATE counter SET revision = 5").await;
    within(changes.wait_for(|revision| *revision == 5)).await.unwrap();
}
