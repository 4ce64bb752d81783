//! What was can be read as it was.

use store::{Change, Commit};

use super::{commit, delete, key, put, puts, workspace};
use crate::Bed;

#[tokio::test]
async fn the_versions_of_a_resource_come_newest_first_and_in_pages() {
    let bed = Bed::fresh().await;
    let store = bed.store.clone();
    for body in ["1", "2", "3"] {
        store.commit(&puts([put("a", body), put("other", body)])).await.unwrap();
    }
    store.commit(&commit(vec![delete("a")])).await.unwrap();
    let page = store.history(&key("a"), None, 2).await.unwrap();
    let numbers = |page: &[store::Version]| page.iter().map(|v| v.revision).collect::<Vec<_>>();
    assert_eq!(numbers(&page), [4, 3]);
    assert_eq!((&page[0].change, page[0].generation), (&Change::Delete, 3));
    assert_eq!(numbers(&store.history(&key("a"), Some(3), 10).await.unwrap()), [2, 1]);
}

#[tokio::test]
async fn a_follower_sees_all_changes_in_the_order_of_commits() {
    let bed = Bed::fresh().await;
    let store = bed.store.clone();
    store.commit(&puts([put("b", "1"), put("a", "1")])).await.unwrap();
    store.commit(&puts([put("a", "2")])).await.unwrap();
    store.commit(&commit(vec![delete("b")])).await.unwrap();
    let seen = |versions: Vec<store::Version>| {
        versions.into_iter().map(|v| (v.revision, v.key.name)).collect::<Vec<_>>()
    };
    let one = |revision, name: &str| (revision, name.to_owned());
    let all = seen(store.changes_since(0, i64::MAX).await.unwrap());
    assert_eq!(all, [one(1, "a"), one(1, "b"), one(2, "a"), one(3, "b")]);
    assert_eq!(seen(store.changes_since(1, 2).await.unwrap()), [one(2, "a")]);
}

#[tokio::test]
async fn revisions_are_listed_with_their_scopes_and_bases() {
    let bed = Bed::fresh().await;
    let store = bed.store.clone();
    store.commit(&puts([put("a", "1")])).await.unwrap();
    let bank = store::Put { scope: workspace("bank"), ..put("b", "1") };
    store.commit(&Commit { reverts: Some(1), ..puts([bank, put("a", "2")]) }).await.unwrap();
    let all = store.revisions(None, None, 10).await.unwrap();
    assert_eq!(all.iter().map(|one| one.revision).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(all[0].scopes, [(workspace("bank"), 0), (workspace("shop"), 1)]);
    assert_eq!((all[0].reverts, all[1].reverts), (Some(1), None));
    let bank = store.revisions(Some(&[workspace("bank")]), None, 10).await.unwrap();
    assert_eq!(bank, [all[0].clone()]);
    let both = [workspace("bank"), workspace("shop")];
    assert_eq!(store.revisions(Some(&both), None, 10).await.unwrap(), all, "each once");
    assert_eq!(store.revisions(Some(&both), None, 1).await.unwrap(), all[..1]);
    assert_eq!(store.revisions(Some(&both), Some(2), 10).await.unwrap(), all[1..]);
    assert_eq!(store.revisions(Some(&[]), None, 10).await.unwrap(), []);
}

#[tokio::test]
async fn versions_come_with_their_commits_and_revisions_with_what_they_touched() {
    let bed = Bed::fresh().await;
    let store = bed.store.clone();
    store.commit(&puts([put("a", "1"), put("b", "1")])).await.unwrap();
    let gone = Commit { actor: "bob".to_owned(), ..commit(vec![delete("a")]) };
    store.commit(&gone).await.unwrap();
    let past = store.past(&key("a"), None, 9).await.unwrap();
    let told: Vec<_> =
        past.iter().map(|one| (one.version.revision, one.actor.as_str(), one.at)).collect();
    assert_eq!(told, [(2, "bob", gone.at), (1, "alice", gone.at)]);
    assert_eq!(past[1].message, "because");
    assert_eq!(store.past(&key("a"), Some(2), 9).await.unwrap(), past[1..]);
    let touched = store.touched(&[1, 2, 3], None).await.unwrap();
    let names: Vec<_> =
        touched[&1].iter().map(|one| (one.key.name.as_str(), one.is_gone)).collect();
    assert_eq!(names, [("a", false), ("b", false)]);
    assert!(touched[&2][0].is_gone && !touched.contains_key(&3));
    let own = [touched[&1][0].scope.clone()];
    assert_eq!(store.touched(&[2, 1], Some(&own)).await.unwrap(), touched);
    let elsewhere = [workspace("elsewhere")];
    assert!(store.touched(&[1, 2], Some(&elsewhere)).await.unwrap().is_empty());
}

#[tokio::test]
async fn scopes_that_moved_are_told_with_the_last_revision_that_did() {
    let bed = Bed::fresh().await;
    let store = bed.store.clone();
    let bank = |body: &str| store::Put { scope: workspace("bank"), ..put("b", body) };
    store.commit(&puts([put("a", "1")])).await.unwrap();
    store.commit(&puts([bank("1")])).await.unwrap();
    store.commit(&puts([put("a", "2")])).await.unwrap();
    store.commit(&puts([bank("2")])).await.unwrap();
    let moved = store.scopes_moved(1, 3).await.unwrap();
    assert_eq!(moved, [(workspace("bank"), 2), (workspace("shop"), 3)].into());
    assert!(store.scopes_moved(4, 9).await.unwrap().is_empty());
}
