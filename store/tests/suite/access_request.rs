//! Requests for access: bounded, decided once, and granted with the commit that gives or not at all.

use store::access_request::{
    AccessRequest, Asked, Decided, Filter, KEPT, OPEN, OPEN_OF_USER, State,
};
use store::user::{Keep, User};
use store::{Commit, CommitError, Entry, Store};

use super::{one_commit, put, puts, rounds, within, workspace};
use crate::Bed;

/// An open request of a user for a route.
pub(super) fn request(id: &str, user: &str) -> AccessRequest {
    AccessRequest {
        id: id.to_owned(),
        user: user.to_owned(),
        user_name: "carol".to_owned(),
        scope: workspace("shop"),
        kind: "HTTPRoute".to_owned(),
        namespace: "shop".to_owned(),
        name: id.to_owned(),
        verb: "Update".to_owned(),
        field: "spec.rules".to_owned(),
        message: "for the sale".to_owned(),
        created: 10,
        state: State::Open,
        decided: None,
    }
}

fn said(verb: &str, at: i64) -> Entry {
    Entry { at, actor: "olga".to_owned(), verb: verb.to_owned(), ..Entry::default() }
}

async fn peopled() -> Bed {
    let bed = Bed::fresh().await;
    for id in ["u1", "u2"] {
        user(&bed.store, id).await;
    }
    bed
}

async fn user(store: &Store, id: &str) {
    let user = User {
        id: id.to_owned(),
        name: id.to_owned(),
        password: None,
        disabled: false,
        created: 1,
        updated: 1,
    };
    store.user_create(&user, &said("create", 1)).await.unwrap();
}

async fn ask(store: &Store, request: &AccessRequest) -> Asked {
    store.access_request_create(request, &said("ask", request.created)).await.unwrap()
}

/// A commit that grants a request.
fn granting(id: &str, body: &str) -> Commit {
    Commit { settles: Some(id.to_owned()), ..puts([put("granted", body)]) }
}

async fn ids(store: &Store, state: Option<State>, since: i64) -> Vec<String> {
    let filter = Filter { state, after: None };
    let found = store.access_request_list(&filter, since, 500).await.unwrap();
    found.into_iter().map(|one| one.id).collect()
}

async fn rows(store: &Store) -> usize {
    store.audit_list(None, 10_000).await.unwrap().len()
}

#[tokio::test]
async fn the_same_is_asked_for_once_until_it_is_decided() {
    let bed = peopled().await;
    let store = bed.store.clone();
    let first = request("a", "u1");
    assert_eq!(ask(&store, &first).await, Asked::New);
    assert_eq!(store.access_request("a").await.unwrap(), Some(first.clone()));
    let before = rows(&store).await;
    let again = AccessRequest { id: "b".to_owned(), created: 20, ..first.clone() };
    assert_eq!(ask(&store, &again).await, Asked::Open(Box::new(first.clone())));
    assert_eq!(rows(&store).await, before, "nothing happened and nothing is said");
    let others = [
        AccessRequest { user: "u2".to_owned(), ..again.clone() },
        AccessRequest { id: "c".to_owned(), field: String::new(), ..again.clone() },
        AccessRequest { id: "d".to_owned(), verb: "Delete".to_owned(), ..again.clone() },
    ];
    for other in &others {
        assert_eq!(ask(&store, other).await, Asked::New, "{other:?}");
    }
    assert!(store.access_request_withdraw("a", &said("withdraw", 30)).await.unwrap());
    let anew = AccessRequest { id: "e".to_owned(), ..again };
    assert_eq!(ask(&store, &anew).await, Asked::New);
}

#[tokio::test]
async fn what_is_open_is_bounded_for_each_and_for_all() {
    let bed = peopled().await;
    let store = bed.store.clone();
    for n in 0..OPEN_OF_USER {
        assert_eq!(ask(&store, &request(&format!("n{n}"), "u1")).await, Asked::New);
    }
    assert_eq!(ask(&store, &request("more", "u1")).await, Asked::Enough);
    assert!(store.access_request_refuse("n0", "no", &said("refuse", 20)).await.unwrap());
    assert_eq!(ask(&store, &request("more", "u1")).await, Asked::New);
    for user in 0..OPEN / OPEN_OF_USER - 1 {
        // Behind its back, as users who ask would, and in less time.
        let sql = format!(
            "INSERT INTO users SELECT 'f{user}', 'f{user}', password, 0, 1, 1 FROM users \
             WHERE id = 'u1'; \
             INSERT INTO access_requests SELECT id || 'f{user}', 'f{user}', user_name, scope, kind, \
             namespace, name, verb, field, message, created, state, decided, decided_by, answer, \
             revision FROM access_requests WHERE user_id = 'u1' AND state = 'open'"
        );
        bed.tamper(&sql).await;
    }
    assert_eq!(ask(&store, &request("last", "u2")).await, Asked::Full);
    assert!(store.access_request_refuse("n1", "no", &said("refuse", 20)).await.unwrap());
    assert_eq!(ask(&store, &request("last", "u2")).await, Asked::New);
}

#[tokio::test]
async fn a_request_is_decided_once() {
    let bed = peopled().await;
    let store = bed.store.clone();
    for id in ["a", "b", "c"] {
        assert_eq!(ask(&store, &request(id, "u1")).await, Asked::New);
    }
    assert!(store.access_request_refuse("a", "not now", &said("refuse", 20)).await.unwrap());
    assert!(store.access_request_withdraw("b", &said("withdraw", 21)).await.unwrap());
    let before = rows(&store).await;
    for id in ["a", "b", "nothing"] {
        assert!(!store.access_request_refuse(id, "", &said("refuse", 30)).await.unwrap());
        assert!(!store.access_request_withdraw(id, &said("withdraw", 30)).await.unwrap());
        let refused = store.commit(&granting(id, "1")).await;
        assert!(matches!(refused, Err(CommitError::Settled(of)) if of == id));
    }
    assert_eq!((store.revision().await.unwrap(), rows(&store).await), (0, before));
    let made = store.commit(&granting("c", "1")).await.unwrap();
    let found = async |id: &str| store.access_request(id).await.unwrap().unwrap();
    let decided = |at, by: &str, answer: &str, revision| {
        Some(Decided { at, by: by.to_owned(), answer: answer.to_owned(), revision })
    };
    let (a, b, c) = (found("a").await, found("b").await, found("c").await);
    assert_eq!((a.state, a.decided), (State::Refused, decided(20, "olga", "not now", None)));
    assert_eq!((b.state, b.decided), (State::Withdrawn, decided(21, "olga", "", None)));
    let granted = decided(puts([]).at, "alice", "because", Some(made.revision));
    assert_eq!((c.state, c.decided), (State::Granted, granted));
    let again = Commit { settles: Some("c".to_owned()), ..puts([put("other", "1")]) };
    assert!(matches!(store.commit(&again).await, Err(CommitError::Settled(_))));
    assert_eq!(store.revision().await.unwrap(), made.revision);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_those_who_decide_at_once_one_does() {
    let bed = peopled().await;
    let store = bed.store.clone();
    for round in 0..rounds() {
        let id = format!("r{round}");
        assert_eq!(ask(&store, &request(&id, "u1")).await, Asked::New);
        let grants = ["1", "2"].map(|body| {
            let (store, commit) = (store.clone(), granting(&id, &format!("{body} {round}")));
            tokio::spawn(async move { store.commit(&commit).await.is_ok() })
        });
        let (other, name) = (store.clone(), id.clone());
        let refuses = tokio::spawn(async move {
            other.access_request_refuse(&name, "", &said("refuse", 20)).await.unwrap()
        });
        let mut done = 0;
        for one in grants.into_iter().chain([refuses]) {
            done += usize::from(within(one).await.unwrap());
        }
        assert_eq!(done, 1, "round {round}");
    }
}

#[tokio::test]
async fn what_was_decided_long_ago_is_not_listed_and_goes_when_somebody_asks() {
    let bed = peopled().await;
    let store = bed.store.clone();
    for id in ["a", "b", "c"] {
        ask(&store, &request(id, "u1")).await;
    }
    assert!(store.access_request_refuse("a", "", &said("refuse", 20)).await.unwrap());
    assert!(store.access_request_refuse("b", "", &said("refuse", 40)).await.unwrap());
    assert_eq!(ids(&store, None, 0).await, ["c", "b", "a"]);
    assert_eq!(ids(&store, None, 21).await, ["c", "b"]);
    assert_eq!(ids(&store, Some(State::Refused), 21).await, ["b"]);
    assert_eq!(ids(&store, Some(State::Open), 21).await, ["c"]);
    let after = Filter { state: None, after: Some((10, "c".to_owned())) };
    let page = store.access_request_list(&after, 0, 1).await.unwrap();
    assert_eq!(page[0].id, "b");
    ask(&store, &AccessRequest { created: KEPT + 21, ..request("d", "u2") }).await;
    assert_eq!(ids(&store, None, 0).await, ["d", "c", "b"]);
}

#[tokio::test]
async fn of_one_users_decided_ones_the_oldest_go() {
    let bed = peopled().await;
    let store = bed.store.clone();
    for n in 0..110 {
        let id = format!("n{n:03}");
        assert_eq!(ask(&store, &request(&id, "u1")).await, Asked::New);
        assert!(store.access_request_withdraw(&id, &said("withdraw", 20 + n)).await.unwrap());
    }
    ask(&store, &request("last", "u1")).await;
    let kept = ids(&store, Some(State::Withdrawn), 0).await;
    assert_eq!((kept.len(), kept[0].as_str(), kept[99].as_str()), (100, "n109", "n010"));
}

#[tokio::test]
async fn who_is_let_in_no_more_asks_for_nothing() {
    let bed = peopled().await;
    let store = bed.store.clone();
    one_commit(&store).await;
    for (id, user) in [("a", "u1"), ("b", "u2")] {
        assert_eq!(ask(&store, &request(id, user)).await, Asked::New);
    }
    store.user_disable("u1", &Keep::default(), &said("disable", 50)).await.unwrap();
    assert_eq!(ids(&store, Some(State::Open), 0).await, ["b"]);
    let decided = store.access_request("a").await.unwrap().unwrap().decided.unwrap();
    assert_eq!((decided.at, decided.by.as_str()), (50, "olga"));
    let before = rows(&store).await;
    assert_eq!(ask(&store, &request("c", "u1")).await, Asked::Nobody);
    assert_eq!(ask(&store, &request("d", "nobody")).await, Asked::Nobody);
    assert_eq!(rows(&store).await, before);
    assert!(store.audit_verify().await.unwrap().is_ok());
}
