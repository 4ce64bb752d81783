//! Decisions: told twice and kept once, found by what joins them, gone when they are old or many.

use store::Scope;
use store::decision::{By, Decision, LONGEST, Located, Told};
use store::node::Node;

use super::workspace;
use crate::Bed;

fn decision(span: &str, at: i64) -> Decision {
    Decision {
        span: span.to_owned(),
        request: "r-1".to_owned(),
        trace: "t-1".to_owned(),
        link: None,
        at,
        reason: "ok".to_owned(),
        scope: workspace("shop"),
        body: format!("{{\"span\":\"{span}\"}}"),
        story: Some("{}".to_owned()),
    }
}

async fn join(bed: &Bed, id: &str) {
    let node = Node {
        id: id.to_owned(),
        cluster: "east".to_owned(),
        kind: "gateway".to_owned(),
        name: format!("edge-{id}"),
        version: "0.1.0".to_owned(),
        first_seen: 1,
        last_seen: 1,
        certificate: None,
        connected: true,
        standing: None,
    };
    bed.store.node_join(&node).await.unwrap();
}

async fn keep(bed: &Bed, node: &str, all: &[Decision]) -> Option<u64> {
    bed.store.decision_keep(node, all).await.unwrap()
}

fn spans(told: &[Told]) -> Vec<&str> {
    told.iter().map(|one| one.decision.span.as_str()).collect()
}

#[tokio::test]
async fn what_is_told_again_is_kept_once() {
    let bed = Bed::fresh().await;
    join(&bed, "n1").await;
    join(&bed, "n2").await;
    let (a, b) = (decision("a", 1), decision("b", 2));
    assert_eq!(keep(&bed, "n1", std::slice::from_ref(&a)).await, Some(1));
    let again = Decision { body: "\"another\"".to_owned(), ..a.clone() };
    assert_eq!(keep(&bed, "n1", &[again.clone(), b, again]).await, Some(1));
    assert_eq!(keep(&bed, "n2", std::slice::from_ref(&a)).await, Some(1), "each has its own spans");
    assert_eq!(keep(&bed, "n3", &[decision("c", 3)]).await, None, "nobody told it");
    let found = bed.store.decision_find(By::Request("r-1"), 9).await.unwrap();
    assert_eq!(spans(&found), ["a", "a", "b"]);
    assert_eq!(found[0].decision, a);
    let by = &found[0].by;
    let told = [&by.id, &by.cluster, &by.kind, &by.name];
    assert_eq!(told, ["n1", "east", "gateway", "edge-n1"]);
    assert!(
        bed.store
            .node_forget("n1", &super::revocation::node("n1"), &store::Entry::default())
            .await
            .unwrap()
    );
    assert_eq!(bed.store.decision_find(By::Request("r-1"), 9).await.unwrap(), found);
}

#[tokio::test]
async fn decisions_are_found_by_request_by_trace_and_by_link() {
    let bed = Bed::fresh().await;
    join(&bed, "n1").await;
    let linked = Decision {
        request: "r-2".to_owned(),
        trace: "t-2".to_owned(),
        link: Some("t-1".to_owned()),
        scope: Scope::Platform,
        story: None,
        ..decision("c", 3)
    };
    let all = [decision("b", 2), decision("a", 1), linked.clone()];
    assert_eq!(keep(&bed, "n1", &all).await, Some(3));
    let find = async |by: By<'_>, limit| bed.store.decision_find(by, limit).await.unwrap();
    assert_eq!(spans(&find(By::Request("r-1"), 9).await), ["a", "b"]);
    assert_eq!(spans(&find(By::Trace("t-1"), 1).await), ["a"]);
    assert_eq!(spans(&find(By::Trace("t-2"), 9).await), ["c"]);
    assert_eq!(find(By::Link("t-1"), 9).await[0].decision, linked);
    assert!(find(By::Link("t-2"), 9).await.is_empty());
    assert!(find(By::Request("t-1"), 9).await.is_empty());
}

#[tokio::test]
async fn a_list_goes_from_the_newest_back_and_has_no_stories() {
    let bed = Bed::fresh().await;
    join(&bed, "n1").await;
    let denied = |span: &str, at| Decision { reason: "denied".to_owned(), ..decision(span, at) };
    let all = [decision("a", 1), denied("b", 2), denied("c", 2), decision("d", 3)];
    assert_eq!(keep(&bed, "n1", &all).await, Some(4));
    let list = async |before: Option<(i64, &str)>, reasons: &[&str], limit| {
        let before = before.map(|(at, span)| (at, span.to_owned()));
        let places = bed.store.decision_places(before.as_ref(), reasons, limit).await.unwrap();
        let told = bed.store.decision_list(&places).await.unwrap();
        let located = told.iter().map(|told| Located {
            place: (told.decision.at, told.decision.span.clone()),
            node: told.by.id.clone(),
            scope: told.decision.scope.clone(),
        });
        assert_eq!(located.collect::<Vec<_>>(), places);
        told
    };
    assert_eq!(spans(&list(None, &[], 3).await), ["d", "c", "b"]);
    assert_eq!(spans(&list(Some((2, "c")), &[], 3).await), ["b", "a"]);
    assert_eq!(spans(&list(None, &["denied", "gone"], 9).await), ["c", "b"]);
    assert_eq!(spans(&list(Some((2, "c")), &["denied"], 9).await), ["b"]);
    assert!(list(None, &[], 9).await.iter().all(|one| one.decision.story.is_none()));
}

#[tokio::test]
async fn a_long_story_is_left_out_and_a_long_decision_is() {
    let bed = Bed::fresh().await;
    join(&bed, "n1").await;
    let body = decision("a", 1).body.len();
    let story = |length| Some("s".repeat(length));
    let all = [
        Decision { story: story(LONGEST - body), ..decision("a", 1) },
        Decision { story: story(LONGEST - body + 1), ..decision("b", 2) },
        Decision { body: "s".repeat(LONGEST + 1), story: None, ..decision("c", 3) },
    ];
    assert_eq!(keep(&bed, "n1", &all).await, Some(2));
    let found = bed.store.decision_find(By::Trace("t-1"), 9).await.unwrap();
    assert_eq!(spans(&found), ["a", "b"]);
    assert!(found[0].decision.story.is_some() && found[1].decision.story.is_none());
}

#[tokio::test]
async fn the_oldest_go_first_by_age_and_by_what_they_weigh() {
    let bed = Bed::fresh().await;
    join(&bed, "n1").await;
    let mut all: Vec<_> = (0..2_500).map(|at| decision(&format!("{at:04}"), at)).collect();
    all.reverse();
    assert_eq!(keep(&bed, "n1", &all).await, Some(2_500));
    let store = &bed.store;
    let oldest = async || store.decision_find(By::Trace("t-1"), 1).await.unwrap();
    assert_eq!(store.decision_prune(0, i64::MAX).await.unwrap(), 0);
    assert_eq!(store.decision_prune(1_300, i64::MAX).await.unwrap(), 1_300);
    assert_eq!(spans(&oldest().await), ["1300"]);
    let each = store.decision_bytes().await.unwrap() / 1_200;
    // Half of one is as much in the way as a whole one.
    assert_eq!(store.decision_prune(0, 100 * each + each / 2).await.unwrap(), 1_100);
    assert_eq!(spans(&oldest().await), ["2400"]);
    assert_eq!(store.decision_bytes().await.unwrap(), 100 * each);
    assert_eq!(store.decision_prune(2_500, 0).await.unwrap(), 100);
    assert_eq!(store.decision_bytes().await.unwrap(), 0);
    assert_eq!(store.decision_prune(i64::MAX, 0).await.unwrap(), 0);
}

#[tokio::test]
async fn a_copy_is_made_without_them() {
    let (from, to) = (Bed::fresh().await, Bed::fresh().await);
    join(&from, "n1").await;
    assert_eq!(keep(&from, "n1", &[decision("a", 1)]).await, Some(1));
    store::copy(&from.store, &to.store).await.unwrap();
    assert_eq!(to.store.node_list().await.unwrap().len(), 1);
    assert!(to.store.decision_find(By::Trace("t-1"), 9).await.unwrap().is_empty());
}
