//! Nodes and what they run; authorities.

use std::collections::BTreeMap;

use store::Scope;
use store::authority::{Authority, Kind, State, Step};
use store::node::{Certificate, Heard, Node, Standing};

use super::workspace;
use crate::Bed;

fn node(id: &str) -> Node {
    Node {
        id: id.to_owned(),
        cluster: "here".to_owned(),
        kind: "gateway".to_owned(),
        name: "edge-1".to_owned(),
        version: "0.1.0".to_owned(),
        first_seen: 1,
        last_seen: 1,
        certificate: None,
        connected: true,
        standing: None,
    }
}

#[tokio::test]
async fn a_node_that_joins_again_keeps_its_id() {
    let bed = Bed::fresh().await;
    let store = bed.store.clone();
    assert_eq!(store.node_join(&node("n1")).await.unwrap(), "n1");
    let certificate = Certificate { serial: "0a".to_owned(), expires: 99 };
    let again = Node {
        version: "0.2.0".to_owned(),
        first_seen: 9,
        last_seen: 9,
        certificate: Some(certificate.clone()),
        ..node("n2")
    };
    assert_eq!(store.node_join(&again).await.unwrap(), "n1");
    let held = store.node("n1").await.unwrap().unwrap();
    let expected = Node {
        version: "0.2.0".to_owned(),
        last_seen: 9,
        certificate: Some(certificate),
        ..node("n1")
    };
    assert_eq!(held, expected);
    assert_eq!(store.node_list().await.unwrap(), [expected]);
}

#[tokio::test]
async fn a_node_runs_the_vector_that_it_told_last() {
    let bed = Bed::fresh().await;
    let store = bed.store.clone();
    store.node_join(&node("n1")).await.unwrap();
    let heard = |moved: &[(Scope, i64, i64)], left: &[Scope]| Heard {
        id: "n1".to_owned(),
        moved: moved.to_vec(),
        left: left.to_vec(),
        ..Heard::default()
    };
    let (shop, bank) = (workspace("shop"), workspace("bank"));
    let first = [(Scope::Platform, 1, 10), (shop.clone(), 2, 10), (bank.clone(), 2, 10)];
    store.node_heard(&[heard(&first, &[])]).await.unwrap();
    store.node_heard(&[heard(&[(shop, 5, 20)], &[bank])]).await.unwrap();
    let expected = BTreeMap::from([(Scope::Platform, (1, 10)), (workspace("shop"), (5, 20))]);
    assert_eq!(store.node_vector("n1").await.unwrap(), expected);
    assert!(
        store
            .node_forget("n1", &super::revocation::node("n1"), &store::Entry::default())
            .await
            .unwrap()
    );
    assert!(store.node_vector("n1").await.unwrap().is_empty());
}

#[tokio::test]
async fn an_authority_is_listed_and_its_key_opens() {
    let bed = Bed::fresh().await;
    let store = bed.store.clone();
    let authority = Authority {
        id: "a1".to_owned(),
        cluster: "here".to_owned(),
        kind: Kind::Intermediate,
        certificate: "PEM".to_owned(),
        created: 1,
        expires: 99,
        state: State::Coming,
        since: 1,
    };
    let expected = [store.authority_settle(&authority, b"private", 0).await.unwrap()];
    assert_eq!(expected[0], authority);
    assert_eq!(store.authority_list(Some("here")).await.unwrap(), expected);
    assert_eq!(store.authority_list(None).await.unwrap(), expected);
    assert!(store.authority_list(Some("there")).await.unwrap().is_empty());
    assert_eq!(store.authority_key("a1").await.unwrap().as_deref(), Some(&b"private"[..]));
    assert_eq!(store.authority_key("a2").await.unwrap(), None);
}

#[tokio::test]
async fn of_authorities_that_are_made_at_once_one_is_settled_on() {
    let bed = Bed::fresh().await;
    let store = bed.store.clone();
    let authority = |id: &str, expires| Authority {
        id: id.to_owned(),
        cluster: "here".to_owned(),
        kind: Kind::Intermediate,
        certificate: id.to_owned(),
        created: 1,
        expires,
        state: State::Active,
        since: 1,
    };
    let made = [authority("a1", 99), authority("a2", 99), authority("a3", 99)];
    let (one, two, three) = tokio::join!(
        store.authority_settle(&made[0], b"private", 50),
        store.authority_settle(&made[1], b"private", 50),
        store.authority_settle(&made[2], b"private", 50),
    );
    let settled = [one.unwrap(), two.unwrap(), three.unwrap()];
    assert!(settled.iter().all(|one| *one == settled[0]), "{settled:?}");
    assert_eq!(store.authority_list(Some("here")).await.unwrap(), settled[..1]);
    let next = authority("a4", 200);
    assert_eq!(store.authority_settle(&next, b"private", 99).await.unwrap(), next);
    let root = Authority { kind: Kind::Root, ..authority("a5", 99) };
    assert_eq!(store.authority_settle(&root, b"private", 50).await.unwrap(), root);
}

#[tokio::test]
async fn a_step_moves_all_authorities_of_a_state_or_none() {
    let bed = Bed::fresh().await;
    let store = bed.store.clone();
    let authority = |id: &str, cluster: &str, kind, state| Authority {
        id: id.to_owned(),
        cluster: cluster.to_owned(),
        kind,
        certificate: id.to_owned(),
        created: 1,
        expires: 99,
        state,
        since: 1,
    };
    let said = store::Entry { at: 7, ..store::Entry::default() };
    let root = authority("r1", "", Kind::Root, State::Active);
    let east = authority("e1", "east", Kind::Intermediate, State::Active);
    store.authority_settle(&root, b"r1", 0).await.unwrap();
    let settled = store.authority_settle_under("r1", &east, b"e1", 0).await.unwrap();
    assert_eq!(settled, Some(east.clone()));
    let seen = store.authority_list(None).await.unwrap();
    let next = authority("r2", "", Kind::Root, State::Coming);
    let begin = Step { seen: &seen, moves: &[], new: Some((&next, b"r2")) };
    assert!(store.authority_step(&begin, &said).await.unwrap());
    // Of two who saw the same, one steps.
    assert!(!store.authority_step(&begin, &said).await.unwrap());
    let seen = store.authority_list(None).await.unwrap();
    let moves = [(State::Active, State::Leaving), (State::Coming, State::Active)];
    let step = Step { seen: &seen, moves: &moves, new: None };
    assert!(store.authority_step(&step, &said).await.unwrap());
    let states: Vec<_> = store.authority_list(None).await.unwrap();
    let states: Vec<_> = states.iter().map(|one| (&*one.id, one.state, one.since)).collect();
    let expected = [("e1", State::Leaving, 7), ("r1", State::Leaving, 7), ("r2", State::Active, 7)];
    assert_eq!(states, expected);
    // What the old one signed meanwhile is not taken any more.
    let west = authority("w1", "west", Kind::Intermediate, State::Active);
    assert_eq!(store.authority_settle_under("r1", &west, b"w1", 0).await.unwrap(), None);
    let late = authority("e2", "east", Kind::Intermediate, State::Active);
    let settled = store.authority_settle_under("r2", &late, b"e2", 0).await.unwrap();
    assert_eq!(settled, Some(late));
    store.audit_verify().await.unwrap().unwrap();
}

#[tokio::test]
async fn under_which_roots_a_node_lives_is_kept_until_it_joins_anew() {
    let bed = Bed::fresh().await;
    let store = bed.store.clone();
    store.node_join(&node("n1")).await.unwrap();
    let standing = Standing {
        trusts: vec!["aa".to_owned(), "bb".to_owned()],
        certificate: "aa".to_owned(),
        workload: None,
        state: Some(String::new()),
    };
    let heard = Heard { id: "n1".to_owned(), ..Heard::default() };
    let told = Heard { standing: Some(standing.clone()), ..heard.clone() };
    store.node_heard(&[told]).await.unwrap();
    store.node_heard(&[heard]).await.unwrap();
    let is = async || store.node("n1").await.unwrap().unwrap().standing;
    assert_eq!(is().await, Some(standing));
    store.node_join(&node("n1")).await.unwrap();
    assert_eq!(is().await, None);
}

#[tokio::test]
async fn what_many_nodes_said_is_noted_at_once() {
    let bed = Bed::fresh().await;
    let store = bed.store.clone();
    let named = |id: &str| Node { name: id.to_owned(), ..node(id) };
    for id in ["n1", "n2"] {
        store.node_join(&named(id)).await.unwrap();
    }
    let said = |id: &str, connected| Heard {
        id: id.to_owned(),
        seen: 20,
        connected,
        moved: vec![(Scope::Platform, 3, 15), (workspace("shop"), 2, 15)],
        ..Heard::default()
    };
    let all = [said("n1", true), said("gone", true), said("n2", false)];
    assert_eq!(store.node_heard(&all).await.unwrap(), ["gone"]);
    let version = Some("0.2.0".to_owned());
    let left = vec![workspace("shop")];
    let later = Heard { version, seen: 10, moved: Vec::new(), left, ..said("n1", true) };
    assert!(store.node_heard(&[later]).await.unwrap().is_empty());
    let expected = Node { version: "0.2.0".into(), last_seen: 20, ..named("n1") };
    assert_eq!(store.node("n1").await.unwrap(), Some(expected), "time does not go back");
    let vector = BTreeMap::from([(Scope::Platform, (3, 15))]);
    assert_eq!(store.node_vector("n1").await.unwrap(), vector);
    assert_eq!(store.node_vector("n2").await.unwrap().len(), 2);
    assert_eq!(store.node_silent(20).await.unwrap(), 0);
    assert_eq!(store.node_silent(21).await.unwrap(), 1);
    assert!(!store.node("n1").await.unwrap().unwrap().connected);
}
