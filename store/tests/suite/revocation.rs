//! Who is shut out, and which browsers logged out: told to whoever follows, whoever wrote it.

use store::revocation::{EndedSession, Revocation};
use store::{Entry, Store, copy};

use super::within;
use crate::Bed;

pub(crate) fn node(id: &str) -> Revocation {
    Revocation { whom: format!(r#"{{"node":{{"id":"{id}"}}}}"#), ..user(id, None) }
}

fn user(id: &str, ends: Option<i64>) -> Revocation {
    Revocation {
        id: id.to_owned(),
        whom: format!(r#"{{"user":{{"issuer":"i","subject":"{id}"}}}}"#),
        at: 10,
        actor: "root".to_owned(),
        note: "why".to_owned(),
        proved_before: Some(7),
        ends,
    }
}

fn said() -> Entry {
    Entry { verb: "revoke".to_owned(), ..Entry::default() }
}

fn left(cluster: &str, session: &str, ends: i64) -> EndedSession {
    EndedSession { cluster: cluster.to_owned(), session: session.to_owned(), ends }
}

async fn ids(store: &Store) -> Vec<String> {
    store.revocation_list().await.unwrap().into_iter().map(|one| one.id).collect()
}

#[tokio::test]
async fn who_is_shut_out_is_kept_with_why_and_told_to_other_programs() {
    let bed = Bed::fresh().await;
    let other = Store::open(&bed.location()).await.unwrap();
    let (mut here, mut there) = (bed.store.revocations(), other.revocations());
    assert!(bed.store.revocation_add(&user("a", None), 2, &said()).await.unwrap());
    assert!(here.has_changed().unwrap(), "told before the answer");
    within(there.wait_for(|number| *number == 1)).await.unwrap();
    assert_eq!(other.revocation_list().await.unwrap(), [user("a", None)]);
    assert_eq!(other.revocation_number().await.unwrap(), 1);
    assert_eq!(other.audit_list(None, 1).await.unwrap()[0].entry.verb, "revoke");
    assert!(!other.revocation_lift("b", &said()).await.unwrap());
    assert!(other.revocation_lift("a", &said()).await.unwrap());
    within(here.wait_for(|number| *number == 2)).await.unwrap();
    assert!(ids(&bed.store).await.is_empty());
    assert_eq!(bed.store.revision().await.unwrap(), 0, "it is no revision");
}

#[tokio::test]
async fn only_so_many_are_shut_out_of_whom_those_that_are_over_take_no_room() {
    let bed = Bed::fresh().await;
    let store = &bed.store;
    assert!(store.revocation_add(&user("a", Some(10)), 1, &said()).await.unwrap());
    assert!(store.revocation_add(&user("b", Some(11)), 1, &said()).await.unwrap());
    assert_eq!(ids(store).await, ["b"], "at 10 the first is over");
    let audited = store.audit_list(None, 9).await.unwrap().len();
    assert!(!store.revocation_add(&user("c", None), 1, &said()).await.unwrap());
    assert_eq!(store.audit_list(None, 9).await.unwrap().len(), audited, "nothing happened");
    assert_eq!(store.revocation_number().await.unwrap(), 2);
}

#[tokio::test]
async fn browsers_that_logged_out_are_listed_behind_a_number_and_forgotten_when_they_are_over() {
    let bed = Bed::fresh().await;
    let store = &bed.store;
    let first = [left("east", "a", 20), left("west", "a", 30), left("east", "b", 5)];
    store.ended_session_add(&first, 10, 10).await.unwrap();
    store.ended_session_add(&first, 10, 10).await.unwrap();
    let wanted = [(1, left("east", "a", 20)), (1, left("west", "a", 30))];
    assert_eq!(store.ended_session_list(0).await.unwrap(), wanted, "what is over is none");
    assert_eq!(store.revocation_number().await.unwrap(), 1, "what is said again changes nothing");
    store.ended_session_add(&[left("east", "c", 40)], 25, 10).await.unwrap();
    assert_eq!(store.ended_session_list(1).await.unwrap(), [(2, left("east", "c", 40))]);
    let wanted = [(1, left("west", "a", 30)), (2, left("east", "c", 40))];
    assert_eq!(store.ended_session_list(0).await.unwrap(), wanted);
    let more = [left("east", "d", 50), left("east", "e", 60)];
    store.ended_session_add(&more, 25, 2).await.unwrap();
    let wanted = [(1, left("west", "a", 30)), (3, more[0].clone()), (3, more[1].clone())];
    assert_eq!(store.ended_session_list(0).await.unwrap(), wanted, "of too many the last");
}

#[tokio::test]
async fn whoever_is_shut_out_stays_so_in_a_copy() {
    let (bed, other) = (Bed::fresh().await, Bed::fresh().await);
    assert!(bed.store.revocation_add(&user("a", None), 9, &said()).await.unwrap());
    bed.store.ended_session_add(&[left("east", "a", 20)], 10, 10).await.unwrap();
    copy(&bed.store, &other.store).await.unwrap();
    assert_eq!(other.store.revocation_list().await.unwrap(), [user("a", None)]);
    assert!(other.store.ended_session_list(0).await.unwrap().is_empty());
}
