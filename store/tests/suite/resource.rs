//! What is can be found by kind, place, label and reference.

use std::collections::BTreeMap;

use store::commit::Grant;
use store::{Filter, Key, Put, Reference, Scope};

use super::{commit, delete, key, put, puts, workspace};
use crate::Bed;

fn labels(all: &[(&str, &str)]) -> BTreeMap<String, String> {
    all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[tokio::test]
async fn pages_show_each_resource_once_in_the_order_of_bytes() {
    let bed = Bed::fresh().await;
    let store = bed.store.clone();
    // Databases with a language's own order would put these differently.
    let names = ["B", "_", "a", "a-b", "a.b", "ab", "b", "\u{e4}", "\u{10348}"];
    store.commit(&puts(names.map(|name| put(name, "1")))).await.unwrap();
    for size in [1, 2, 4, 100] {
        let mut seen: Vec<String> = Vec::new();
        let mut after: Option<Key> = None;
        loop {
            let filter = Filter::default();
            let page = store.resources(&filter, after.as_ref(), size).await.unwrap();
            assert!(page.len() <= size as usize);
            let Some(last) = page.last() else { break };
            after = Some(last.key.clone());
            seen.extend(page.into_iter().map(|one| one.key.name));
        }
        assert_eq!(seen, names, "pages of {size}");
    }
}

#[tokio::test]
async fn all_conditions_of_a_filter_hold() {
    let bed = Bed::fresh().await;
    let store = bed.store.clone();
    let bank = Put { scope: workspace("bank"), labels: labels(&[("tier", "1")]), ..put("b", "1") };
    let both = labels(&[("tier", "1"), ("api", "orders")]);
    store
        .commit(&puts([put("a", "1"), bank, Put { labels: both.clone(), ..put("c", "1") }]))
        .await
        .unwrap();
    let found = async |filter: Filter| {
        let page = store.resources(&filter, None, 10).await.unwrap();
        page.into_iter().map(|one| one.key.name).collect::<Vec<_>>()
    };
    let all = Filter::default;
    assert_eq!(found(all()).await, ["a", "b", "c"]);
    assert_eq!(found(Filter { scope: Some(workspace("bank")), ..all() }).await, ["b"]);
    assert_eq!(found(Filter { labels: labels(&[("tier", "1")]), ..all() }).await, ["b", "c"]);
    assert_eq!(found(Filter { labels: both, ..all() }).await, ["c"]);
    assert_eq!(found(Filter { kind: Some("Gateway".into()), ..all() }).await, [""; 0]);
    let here = Filter {
        cluster: Some("here".into()),
        kind: Some("HTTPRoute".into()),
        namespace: Some("shop".into()),
        scope: Some(workspace("shop")),
        labels: labels(&[("tier", "1")]),
    };
    assert_eq!(found(here).await, ["c"]);
    let hostile = Filter { namespace: Some("' OR '1' = '1".into()), ..all() };
    assert_eq!(found(hostile).await, [""; 0]);
}

#[tokio::test]
async fn labels_and_references_are_those_of_the_last_generation() {
    let bed = Bed::fresh().await;
    let store = bed.store.clone();
    let to = |name: &str| Reference {
        path: "/spec/rules/0/backendRefs/0".to_owned(),
        kind: "Service".to_owned(),
        namespace: "shop".to_owned(),
        name: name.to_owned(),
    };
    let service = |name: &str| Key { kind: "Service".to_owned(), ..key(name) };
    let first = Put { references: vec![to("old")], labels: labels(&[("a", "1")]), ..put("r", "1") };
    store.commit(&puts([first])).await.unwrap();
    let second = Put { references: vec![to("new")], ..put("r", "2") };
    store.commit(&puts([second])).await.unwrap();
    assert!(store.referring_to(&service("old")).await.unwrap().is_empty());
    let referring = store.referring_to(&service("new")).await.unwrap();
    assert_eq!(referring, [(key("r"), "/spec/rules/0/backendRefs/0".to_owned())]);
    let labelled = Filter { labels: labels(&[("a", "1")]), ..Filter::default() };
    assert!(store.resources(&labelled, None, 10).await.unwrap().is_empty());
    store.commit(&commit(vec![delete("r")])).await.unwrap();
    assert!(store.referring_to(&service("new")).await.unwrap().is_empty());
}

#[tokio::test]
async fn grants_are_found_by_their_subject() {
    let bed = Bed::fresh().await;
    let store = bed.store.clone();
    let grant = |subject: &str, scope: Scope| Grant {
        subject: subject.to_owned(),
        role: "editor".to_owned(),
        scope,
    };
    let held = vec![grant("alice", Scope::Platform), grant("bob", workspace("shop"))];
    store.commit(&puts([Put { grants: held.clone(), ..put("g", "1") }])).await.unwrap();
    assert_eq!(store.grants_of("bob").await.unwrap(), [(key("g"), held[1].clone())]);
    store.commit(&commit(vec![delete("g")])).await.unwrap();
    assert!(store.grants_of("alice").await.unwrap().is_empty());
}

#[tokio::test]
async fn a_snapshot_is_everything_as_of_one_revision() {
    let bed = Bed::fresh().await;
    let store = bed.store.clone();
    assert_eq!(store.snapshot("here").await.unwrap(), store::Snapshot::default());
    let elsewhere = Put { key: Key { cluster: "east".to_owned(), ..key("x") }, ..put("x", "1") };
    let claimed = super::claiming(put("a", "1"), "shop.example", "shop");
    store.commit(&puts([claimed, put("b", "1"), elsewhere])).await.unwrap();
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let writing = tokio::spawn({
        let (store, stop) = (store.clone(), std::sync::Arc::clone(&stop));
        async move {
            let mut number = 0;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                number += 1;
                let both = [put("a", &number.to_string()), put("b", &number.to_string())];
                store.commit(&puts(both)).await.unwrap();
            }
        }
    });
    for _ in 0..super::rounds() {
        let seen = store.snapshot("here").await.unwrap();
        let names: Vec<_> = seen.resources.iter().map(|one| one.key.name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(seen.resources[0].body, seen.resources[1].body);
        assert_eq!(seen.resources[0].revision, seen.revision);
        assert_eq!(seen.scopes[&workspace("shop")], seen.revision);
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    super::within(writing).await.unwrap();
}
