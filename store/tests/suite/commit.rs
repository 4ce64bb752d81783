//! A commit happens as a whole or not at all.

use store::commit::{Moved, Stale};
use store::{Commit, CommitError, Expected, Filter, Key};

use super::{
    claiming, commit, delete, expecting, key, once, one_commit, put, puts, within, workspace,
};
use crate::Bed;

#[tokio::test]
async fn revisions_and_generations_count_up() {
    let bed = Bed::fresh().await;
    let store = bed.store.clone();
    let first = store.commit(&puts([put("a", "1"), put("b", "1")])).await.unwrap();
    assert_eq!(first.revision, 1);
    assert_eq!(first.generations, [(key("a"), 1), (key("b"), 1)]);
    let second = store.commit(&puts([put("a", "2")])).await.unwrap();
    assert_eq!((second.revision, second.generations), (2, vec![(key("a"), 2)]));
    let held = store.resource(&key("a")).await.unwrap().unwrap();
    assert_eq!((held.generation, held.revision, &*held.body), (2, 2, "{\"spec\":\"2\"}"));
    assert_eq!(held.digest, store::digest(held.body.as_bytes()));
    assert_eq!(store.scopes().await.unwrap()[&workspace("shop")], 2);
}

#[tokio::test]
async fn what_fails_leaves_nothing_behind() {
    let bed = Bed::fresh().await;
    let store = bed.store.clone();
    store.commit(&puts([claiming(put("a", "1"), "shop.example", "shop")])).await.unwrap();
    let before = state(&store).await;
    // The third write fails, after two would have been made.
    let bad = puts([put("b", "1"), put("a2", "2"), claiming(put("c", "1"), "shop.example", "x")]);
    let bad = Commit { once: Some(once("k")), ..bad };
    let failed = store.commit(&bad).await;
    assert!(matches!(failed, Err(CommitError::Claimed(_))), "{failed:?}");
    assert_eq!(state(&store).await, before);
    let next = store.commit(&puts([put("b", "1")])).await.unwrap();
    assert_eq!(next.revision, 2, "no number was used up");
}

/// All that a commit moves.
async fn state(store: &store::Store) -> impl PartialEq + std::fmt::Debug + use<> {
    (
        store.resources(&Filter::default(), None, 100).await.unwrap(),
        store.changes_since(0, i64::MAX).await.unwrap(),
        store.scopes().await.unwrap(),
        store.revision().await.unwrap(),
        store.audit_list(None, 100).await.unwrap(),
    )
}

#[tokio::test]
async fn a_moved_base_is_refused_with_what_was_found() {
    let bed = Bed::fresh().await;
    let store = bed.store.clone();
    let read_at = one_commit(&store).await.revision;
    let other = store.commit(&puts([put("files", "two")])).await.unwrap().revision;
    let bases = vec![(workspace("shop"), read_at), (workspace("elsewhere"), 0)];
    let late = Commit { bases, ..puts([put("late", "1")]) };
    let Err(CommitError::Moved(moved)) = store.commit(&late).await else { panic!("it was made") };
    let expected = Moved { scope: workspace("shop"), expected: read_at, found: other };
    assert_eq!(moved, [expected]);
    let again = Commit { bases: vec![(workspace("shop"), other)], ..late };
    assert_eq!(store.commit(&again).await.unwrap().revision, other + 1);
}

#[tokio::test]
async fn scopes_do_not_hold_each_other_up() {
    let bed = Bed::fresh().await;
    let store = bed.store.clone();
    let of =
        |name: &str, scope: &str| puts([store::Put { scope: workspace(scope), ..put(name, "1") }]);
    store.commit(&of("a", "shop")).await.unwrap();
    store.commit(&of("b", "bank")).await.unwrap();
    let based = Commit { bases: vec![(workspace("shop"), 1)], ..puts([put("a", "2")]) };
    assert_eq!(store.commit(&based).await.unwrap().revision, 3);
    let scopes = store.scopes().await.unwrap();
    assert_eq!((scopes[&workspace("bank")], scopes[&workspace("shop")]), (2, 3));
}

#[tokio::test]
async fn a_resource_that_changes_its_scope_moves_both() {
    let bed = Bed::fresh().await;
    let store = bed.store.clone();
    one_commit(&store).await;
    let moved = store::Put { scope: workspace("bank"), ..put("files", "one") };
    let moved = store.commit(&puts([moved])).await.unwrap().revision;
    let scopes = store.scopes().await.unwrap();
    assert_eq!((scopes[&workspace("bank")], scopes[&workspace("shop")]), (moved, moved));
    let versions = store.history(&key("files"), None, 9).await.unwrap();
    let told: Vec<_> = versions.into_iter().map(|one| (one.revision, one.scope)).collect();
    assert_eq!(told, [(moved, workspace("bank")), (moved - 1, workspace("shop"))]);
}

#[tokio::test]
async fn all_stale_writes_are_named_at_once() {
    let bed = Bed::fresh().await;
    let store = bed.store.clone();
    store.commit(&puts([put("a", "1"), put("b", "1")])).await.unwrap();
    store.commit(&puts([put("a", "2")])).await.unwrap();
    let wrong = puts([
        expecting(put("a", "3"), Expected::Generation(1)),
        expecting(put("b", "2"), Expected::Generation(1)),
        expecting(put("b2", "1"), Expected::Generation(7)),
        expecting(put("c", "1"), Expected::Absent),
    ]);
    let Err(CommitError::Stale(stale)) = store.commit(&wrong).await else { panic!("made") };
    let one = |name: &str, expected, found| Stale {
        key: key(name),
        expected: Expected::Generation(expected),
        found,
    };
    assert_eq!(stale, [one("a", 1, Some(2)), one("b2", 7, None)]);
    let there = puts([expecting(put("a", "3"), Expected::Absent)]);
    assert!(matches!(store.commit(&there).await, Err(CommitError::Stale(_))));
}

#[tokio::test]
async fn what_changes_nothing_makes_no_revision() {
    let bed = Bed::fresh().await;
    let store = bed.store.clone();
    let first = one_commit(&store).await;
    let again = one_commit(&store).await;
    assert_eq!(again, store::Committed { changed: Vec::new(), ..first.clone() });
    assert_eq!(store.history(&key("files"), None, 10).await.unwrap().len(), 1);
    let none = store.commit(&commit(vec![delete("never was")])).await.unwrap();
    assert_eq!(none.revision, first.revision);
    let owner = store::Put { owner_team: "others".to_owned(), ..put("files", "one") };
    let owner = store.commit(&puts([owner])).await.unwrap();
    assert_eq!(owner.generations, [(key("files"), 2)], "another owner is a change");
}

#[tokio::test]
async fn generations_go_on_after_a_deletion() {
    let bed = Bed::fresh().await;
    let store = bed.store.clone();
    for body in ["1", "2"] {
        store.commit(&puts([put("a", body)])).await.unwrap();
    }
    store.commit(&commit(vec![delete("a")])).await.unwrap();
    assert_eq!(store.resource(&key("a")).await.unwrap(), None);
    let again = store.commit(&puts([expecting(put("a", "2"), Expected::Absent)])).await.unwrap();
    assert_eq!(again.generations, [(key("a"), 3)]);
}

#[tokio::test]
async fn one_key_is_written_once() {
    let bed = Bed::fresh().await;
    let store = bed.store.clone();
    let twice = store.commit(&puts([put("a", "1"), put("a", "2")])).await;
    assert!(matches!(twice, Err(CommitError::Twice(Key { name, .. })) if name == "a"));
}

#[tokio::test]
async fn a_request_that_is_sent_twice_has_one_answer() {
    let bed = Bed::fresh().await;
    let store = bed.store.clone();
    let asks = |text: &str| store::Once { key: "once".to_owned(), digest: text.to_owned() };
    let request = |body: &str| Commit { once: Some(asks(body)), ..puts([put("a", body)]) };
    let first = store.commit(&request("1")).await.unwrap();
    assert_eq!((first.replayed, &first.changed), (false, &vec![(key("a"), Some(1))]));
    let replayed = store::Committed { replayed: true, ..first.clone() };
    assert_eq!(store.commit(&request("1")).await.unwrap(), replayed);
    let reused = store.commit(&request("2")).await;
    assert!(matches!(reused, Err(CommitError::KeyReused(key)) if key == "once"));
    assert_eq!(store.resource(&key("a")).await.unwrap().unwrap().generation, 1);
    let other = Commit { actor: "bob".to_owned(), ..request("2") };
    assert_eq!(store.commit(&other).await.unwrap().revision, 2, "keys are an actor's own");
    assert_eq!(store.idempotency_sweep(i64::MAX).await.unwrap(), 2);
    assert_eq!(store.commit(&request("1")).await.unwrap().revision, 3, "the answer is forgotten");
    let day = 24 * 3600 * 1_000_000;
    let late = Commit { at: request("2").at + day, ..request("2") };
    assert_eq!(store.commit(&late).await.unwrap().revision, 4, "a day is over, swept or not");
}

#[tokio::test]
async fn what_changed_nothing_is_answered_so_again_whatever_happened_since() {
    let bed = Bed::fresh().await;
    let store = bed.store.clone();
    let one = |body: &str| puts([put("a", body)]);
    store.commit(&one("1")).await.unwrap();
    let idle = Commit { once: Some(once("k")), ..one("1") };
    let first = store.commit(&idle).await.unwrap();
    assert_eq!((first.revision, first.changed.len()), (1, 0));
    assert_eq!(store.commit(&one("2")).await.unwrap().revision, 2, "no number was used up");
    let again = store.commit(&idle).await.unwrap();
    assert_eq!(again, store::Committed { replayed: true, ..first });
    assert_eq!(store.resource(&key("a")).await.unwrap().unwrap().generation, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_racing_requests_with_one_key_one_is_done() {
    let bed = Bed::fresh().await;
    let store = bed.store.clone();
    let one = |name: String| {
        let (store, commit) =
            (store.clone(), Commit { once: Some(once("k")), ..puts([put(&name, "1")]) });
        tokio::spawn(async move { store.commit(&commit).await.unwrap() })
    };
    let all: Vec<_> = (0..16).map(|n| one(format!("r{n}"))).collect();
    let mut done = 0;
    for task in all {
        let committed = within(task).await.unwrap();
        assert_eq!(committed.revision, 1);
        done += usize::from(!committed.replayed);
    }
    assert_eq!((done, store.revision().await.unwrap()), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_commits_take_each_revision_once() {
    let bed = Bed::fresh().await;
    let store = bed.store.clone();
    let one = |name: String| {
        let store = store.clone();
        tokio::spawn(async move { store.commit(&puts([put(&name, "1")])).await.unwrap().revision })
    };
    let all: Vec<_> = (0..32).map(|n| one(format!("r{n}"))).collect();
    let mut revisions = Vec::new();
    for task in all {
        revisions.push(within(task).await.unwrap());
    }
    revisions.sort_unstable();
    assert_eq!(revisions, (1..=32).collect::<Vec<_>>());
    assert_eq!(store.audit_verify().await.unwrap().unwrap().history, 32);
}
