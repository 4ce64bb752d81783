//! The chain shows what was rewritten.

use store::{Commit, Entry};

use super::{commit, delete, put, puts};
use crate::Bed;

fn entry(verb: &str) -> Entry {
    Entry {
        at: 5,
        actor: "alice".to_owned(),
        verb: verb.to_owned(),
        object: "session".to_owned(),
        outcome: "refused".to_owned(),
        detail: "wrong password".to_owned(),
    }
}

/// Puts a resource back to its revision before the last.
const AS_BEFORE: &str = "UPDATE resources SET (revision, generation, digest, body) = \
    (SELECT revision, generation, digest, body FROM history WHERE name = 'a' AND revision = 2) \
    WHERE name = 'a'";

/// Six rows: commit, its own entry, commit, login, commit (a deletion), commit.
async fn written() -> Bed {
    let bed = Bed::fresh().await;
    let store = &bed.store;
    let first = Commit { audit: vec![entry("approve")], ..puts([put("a", "1"), put("b", "1")]) };
    store.commit(&first).await.unwrap();
    store.commit(&puts([put("a", "2")])).await.unwrap();
    store.audit_append(&[entry("login")]).await.unwrap();
    store.commit(&commit(vec![delete("b")])).await.unwrap();
    store.commit(&puts([put("a", "3")])).await.unwrap();
    bed
}

#[tokio::test]
async fn an_untouched_chain_holds() {
    let bed = written().await;
    let verified = bed.store.audit_verify().await.unwrap().unwrap();
    assert_eq!((verified.head.seq, verified.history), (6, 5));
    let rows = bed.store.audit_list(None, 10).await.unwrap();
    assert_eq!(verified.head.hash, rows[0].hash);
    let verbs: Vec<String> = rows.into_iter().map(|row| row.entry.verb).collect();
    assert_eq!(verbs, ["commit", "commit", "login", "commit", "approve", "commit"]);
}

#[tokio::test]
async fn rows_are_found_by_who_what_or_to_what_and_by_what_came_of_it() {
    let bed = Bed::fresh().await;
    let entry = |actor: &str, verb: &str, object: &str, outcome: &str| Entry {
        actor: actor.to_owned(),
        verb: verb.to_owned(),
        object: object.to_owned(),
        outcome: outcome.to_owned(),
        detail: format!("by {verb}{}", if actor == "bert" { " für Ümit" } else { "" }),
        ..entry("login")
    };
    let all = [
        entry("anna", "sign in", "user anna", "done"),
        entry("bert", "sign in", "user bert", "refused"),
        entry("anna", "forget", "node n_1", "done"),
    ];
    bed.store.audit_append(&all).await.unwrap();
    let found = async |of, text: &str, undone, limit| {
        let rows = bed.store.audit_search(of, text, undone, limit).await.unwrap();
        rows.into_iter().map(|row| row.seq).collect::<Vec<_>>()
    };
    assert_eq!(found(1..4, "", false, 9).await, [3, 2, 1]);
    assert_eq!(found(1..4, "ANNA", false, 9).await, [3, 1]);
    assert_eq!(found(1..4, "sign", false, 9).await, [2, 1]);
    assert_eq!(found(1..4, "n_", false, 9).await, [3]);
    assert_eq!(found(1..4, "BY for", false, 9).await, [3]);
    assert_eq!(found(1..4, "\0", false, 9).await, [0_i64; 0]);
    assert_eq!(found(1..4, "für Ümit", false, 9).await, [2]);
    assert_eq!(found(1..4, "", true, 9).await, [2]);
    assert_eq!(found(1..4, "anna", true, 9).await, [0_i64; 0]);
    assert_eq!(found(2..3, "", false, 9).await, [2]);
    assert_eq!(found(1..4, "", false, 1).await, [3]);
}

#[tokio::test]
async fn what_was_changed_behind_its_back_is_found_where_it_is() {
    let cases = [
        (
            "one byte of a body",
            "UPDATE history SET body = '{\"spec\":\"9\"}' WHERE name = 'a' AND revision = 2",
            (3, Some(2)),
        ),
        (
            "a scope in history",
            "UPDATE history SET scope = 'workspace/x' WHERE name = 'a' AND revision = 2",
            (3, Some(2)),
        ),
        ("a row of history", "DELETE FROM history WHERE name = 'b' AND revision = 1", (1, Some(1))),
        ("a deletion", "DELETE FROM history WHERE verb = 'delete'", (5, Some(3))),
        (
            "who asked for a revision",
            "UPDATE revisions SET request_id = 'x' WHERE revision = 2",
            (3, Some(2)),
        ),
        (
            "a scope that moved",
            "UPDATE revision_scopes SET base = 0 WHERE revision = 4",
            (6, Some(4)),
        ),
        ("an actor", "UPDATE audit SET actor = 'bob' WHERE seq = 4", (4, None)),
        ("a time", "UPDATE audit SET at = at + 1 WHERE seq = 2", (2, Some(1))),
        ("a hash", "UPDATE audit SET hash = previous WHERE seq = 6", (6, Some(4))),
        ("a row in the middle", "DELETE FROM audit WHERE seq = 4", (4, None)),
        (
            "a row in the middle, closed up",
            "DELETE FROM audit WHERE seq = 4; UPDATE audit SET seq = seq - 1 WHERE seq = 5; \
             UPDATE audit SET seq = seq - 1 WHERE seq = 6",
            (4, Some(3)),
        ),
        ("the first row", "DELETE FROM audit WHERE seq = 1", (1, None)),
        ("the last row", "DELETE FROM audit WHERE seq = 6", (6, None)),
        ("the tail", "DELETE FROM audit WHERE seq > 3", (4, None)),
        ("all rows", "DELETE FROM audit", (1, None)),
        (
            "history that nobody made",
            "INSERT INTO history SELECT cluster, kind, namespace, name, 99, 9, verb, scope, \
             owner_team, source, digest, body FROM history WHERE name = 'a' AND revision = 2",
            (6, Some(99)),
        ),
        ("a resource", "UPDATE resources SET body = '{}' WHERE name = 'a'", (6, Some(4))),
        ("a resource's scope", "UPDATE resources SET scope = 'platform'", (6, Some(4))),
        ("a resource that is gone", "DELETE FROM resources WHERE name = 'a'", (6, Some(4))),
        ("a resource as it was before", AS_BEFORE, (6, Some(4))),
        (
            "a resource that was deleted",
            "INSERT INTO resources SELECT cluster, kind, namespace, name, scope, owner_team, \
             source, generation, revision, 0, 0, digest, body FROM history \
             WHERE name = 'b' AND revision = 1",
            (6, Some(3)),
        ),
    ];
    for (what, sql, (seq, revision)) in cases {
        let bed = written().await;
        bed.tamper(sql).await;
        let fault = bed.store.audit_verify().await.unwrap().expect_err(what);
        assert_eq!((fault.seq, fault.revision), (seq, revision), "{what}: {fault}");
        assert!(!fault.what.is_empty());
    }
}

#[tokio::test]
async fn a_rewritten_chain_differs_from_a_head_that_was_kept() {
    let bed = written().await;
    let kept = bed.store.audit_verify().await.unwrap().unwrap().head;
    bed.tamper(
        &[
            "DELETE FROM audit WHERE seq = 6; DELETE FROM history WHERE revision = 4; \
             UPDATE audit_head SET seq = 5, hash = (SELECT hash FROM audit WHERE seq = 5); ",
            AS_BEFORE,
        ]
        .concat(),
    )
    .await;
    let verified = bed.store.audit_verify().await.unwrap().unwrap();
    assert_ne!(verified.head, kept, "the chain holds, and is not the one that was");
}
