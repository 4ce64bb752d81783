//! Keys of issuers, and whose turn it is to fetch them.

use store::Entry;
use store::key_set::KeySet;

use super::within;
use crate::Bed;

const URL: &str = "https://login.example/keys";

#[tokio::test]
async fn of_those_who_go_for_keys_at_once_one_has_the_turn() {
    let bed = Bed::fresh().await;
    let store = &bed.store;
    for (before, now) in [(None, 1), (Some(1), 2)] {
        let turn = |_| {
            let store = store.clone();
            tokio::spawn(async move { store.key_set_turn(URL, before, now).await.unwrap() })
        };
        let (turns, mut taken): (Vec<_>, _) = ((0..8).map(turn).collect(), 0);
        for turn in turns {
            taken += usize::from(within(turn).await.unwrap());
        }
        assert_eq!(taken, 1, "after {before:?}");
    }
    assert!(!store.key_set_turn(URL, Some(1), 3).await.unwrap(), "it was tried at 2");
}

#[tokio::test]
async fn keys_stay_while_they_are_sought_in_vain() {
    let bed = Bed::fresh().await;
    let store = &bed.store;
    assert!(store.key_set_turn(URL, None, 1).await.unwrap());
    let (url, fault) = (URL.to_owned(), None);
    let new = KeySet { url, fetched: None, tried: 1, failures: 0, fault };
    assert_eq!(store.key_set_list().await.unwrap(), std::slice::from_ref(&new));
    assert_eq!(store.key_set_keys(URL).await.unwrap(), None);
    store.key_set_keep(URL, "{}", 1).await.unwrap();
    store.key_set_fail(URL, "it is away", 1).await.unwrap();
    store.key_set_fail(URL, "it is far away", 1).await.unwrap();
    let kept = KeySet { fetched: Some(1), ..new };
    assert_eq!(store.key_set_keys(URL).await.unwrap().as_deref(), Some("{}"));
    let fault = Some("it is far away".to_owned());
    let failed = KeySet { failures: 2, fault, ..kept.clone() };
    assert_eq!(store.key_set_list().await.unwrap(), [failed]);
    store.key_set_keep(URL, "{}", 1).await.unwrap();
    assert_eq!(store.key_set_list().await.unwrap(), [kept]);
}

#[tokio::test]
async fn who_comes_back_late_changes_nothing() {
    let bed = Bed::fresh().await;
    let store = &bed.store;
    assert!(store.key_set_turn(URL, None, 1).await.unwrap());
    assert!(store.key_set_turn(URL, Some(1), 2).await.unwrap());
    store.key_set_keep(URL, "new", 2).await.unwrap();
    store.key_set_keep(URL, "old", 1).await.unwrap();
    store.key_set_fail(URL, "it is away", 1).await.unwrap();
    store.key_set_forget(URL, 1).await.unwrap();
    let rows = store.key_set_list().await.unwrap();
    assert_eq!((rows[0].fetched, rows[0].failures), (Some(2), 0));
    assert_eq!(store.key_set_keys(URL).await.unwrap().as_deref(), Some("new"));
    store.key_set_forget(URL, 2).await.unwrap();
    assert_eq!(store.key_set_list().await.unwrap(), []);
    // Nor does what was forgotten while somebody was at it come back.
    store.key_set_keep(URL, "new", 2).await.unwrap();
    assert_eq!(store.key_set_keys(URL).await.unwrap(), None);
}

#[tokio::test]
async fn somebody_has_keys_fetched_that_were_not_tried_just_now() {
    let bed = Bed::fresh().await;
    let store = &bed.store;
    let said = Entry { actor: "sara".to_owned(), object: URL.to_owned(), ..Entry::default() };
    assert!(!store.key_set_due(URL, 90..=200, &said).await.unwrap(), "nobody knows it");
    assert!(store.key_set_turn(URL, None, 90).await.unwrap());
    assert!(!store.key_set_due(URL, 90..=200, &said).await.unwrap(), "it was tried just now");
    assert!(store.key_set_due(URL, 91..=200, &said).await.unwrap());
    assert!(!store.key_set_due(URL, 91..=200, &said).await.unwrap(), "once is enough");
    // What was under way meanwhile is not what was wanted.
    store.key_set_keep(URL, "{}", 90).await.unwrap();
    assert_eq!(store.key_set_keys(URL).await.unwrap(), None);
    // A clock was ahead.
    assert!(store.key_set_turn(URL, Some(0), 900).await.unwrap());
    assert!(store.key_set_due(URL, 90..=200, &said).await.unwrap());
    let audit = store.audit_list(None, 100).await.unwrap();
    assert_eq!(audit.iter().filter(|record| record.entry.object == URL).count(), 2);
}
