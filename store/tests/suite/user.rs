//! Users, their sessions and tokens, and join tokens.

use store::join::JoinToken;
use store::session::Session;
use store::token::Token;
use store::user::{Disabled, Keep, User};
use store::{Commit, CommitError, Entry, Error, Store, digest};

use super::{one_commit, put, puts, rounds, within, workspace};
use crate::Bed;

/// What is said of it in the audit.
fn said(at: i64) -> Entry {
    Entry { at, actor: "admin".to_owned(), ..Entry::default() }
}

fn user() -> User {
    User {
        id: "u1".to_owned(),
        name: "alice".to_owned(),
        password: Some("$argon2id$".to_owned()),
        disabled: false,
        created: 1,
        updated: 1,
    }
}

async fn alice(store: &Store) -> User {
    let user = user();
    store.user_create(&user, &said(1)).await.unwrap();
    user
}

fn session(cookie: &str) -> Session {
    Session {
        id: digest(cookie.as_bytes()),
        user: "u1".to_owned(),
        created: 10,
        expires: 100,
        seen: 10,
        agent: "a browser".to_owned(),
    }
}

#[tokio::test]
async fn a_name_belongs_to_one_user() {
    let bed = Bed::fresh().await;
    let store = bed.store.clone();
    let user = alice(&store).await;
    let other = User { id: "u2".to_owned(), ..user.clone() };
    assert!(matches!(store.user_create(&other, &said(2)).await, Err(Error::Conflict(_))));
    assert_eq!(store.user_named("alice").await.unwrap(), Some(user.clone()));
    assert_eq!(store.user("u1").await.unwrap(), Some(user));
    assert_eq!(store.user("u2").await.unwrap(), None);
    assert_eq!(store.user_list("", "", 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn users_are_found_by_a_part_of_their_names_and_no_letter_stands_for_others() {
    let bed = Bed::fresh().await;
    let store = bed.store.clone();
    let alice = alice(&store).await;
    for (id, name) in [("u2", "malice"), ("u3", "mal_ice"), ("u4", "bob")] {
        let user = User { id: id.to_owned(), name: name.to_owned(), ..alice.clone() };
        store.user_create(&user, &said(2)).await.unwrap();
    }
    let found = async |text: &str, after: &str, limit| {
        let users = store.user_list(text, after, limit).await.unwrap();
        users.into_iter().map(|user| user.name).collect::<Vec<_>>()
    };
    assert_eq!(found("ALICE", "", 9).await, ["alice", "malice"]);
    assert_eq!(found("alice", "alice", 9).await, ["malice"]);
    assert_eq!(found("l_", "", 9).await, ["mal_ice"]);
    assert!(found("%", "", 9).await.is_empty() && found("\0", "", 9).await.is_empty());
    assert_eq!(found("", "", 2).await.len(), 2);
}

#[tokio::test]
async fn a_session_lasts_until_it_ends() {
    let bed = Bed::fresh().await;
    let store = bed.store.clone();
    assert!(!store.session_create(&session("c"), "$argon2id$", &said(1)).await.unwrap());
    alice(&store).await;
    assert!(store.session_create(&session("c"), "$argon2id$", &said(1)).await.unwrap());
    assert!(store.session_create(&session("d"), "$argon2id$", &said(1)).await.unwrap());
    let id = digest(b"c");
    assert_eq!(store.session(&id, 99).await.unwrap(), Some(session("c")));
    assert_eq!(store.session(&id, 100).await.unwrap(), None);
    assert!(store.session_touch(&id, 50, 150).await.unwrap());
    assert!(!store.session_touch(&id, 150, 250).await.unwrap(), "what ended does not come back");
    assert_eq!(store.session_list("u1", 120).await.unwrap().len(), 1);
    assert_eq!(store.session_count(120).await.unwrap(), 1);
    assert_eq!(store.session_sweep(120).await.unwrap(), 1);
    assert!(store.session_end(&id, &said(1)).await.unwrap());
    assert!(!store.session_end(&id, &said(1)).await.unwrap());
}

#[tokio::test]
async fn a_new_password_or_a_lock_ends_all_sessions() {
    let bed = Bed::fresh().await;
    let store = bed.store.clone();
    alice(&store).await;
    assert!(store.session_create(&session("c"), "$argon2id$", &said(1)).await.unwrap());
    assert!(store.user_password("u1", "other", &said(20)).await.unwrap());
    let old = store.session_create(&session("c"), "$argon2id$", &said(1)).await.unwrap();
    assert!(!old, "by the old password");
    assert_eq!(store.session(&digest(b"c"), 30).await.unwrap(), None);
    assert!(store.session_create(&session("c"), "other", &said(1)).await.unwrap());
    let done = store.user_disable("u1", &Keep::default(), &said(40)).await.unwrap();
    assert_eq!(done, Disabled::Done);
    assert!(!store.session_create(&session("d"), "other", &said(1)).await.unwrap());
    assert_eq!(store.session(&digest(b"d"), 50).await.unwrap(), None, "a disabled user's");
    let user = store.user("u1").await.unwrap().unwrap();
    assert_eq!((user.disabled, user.updated, user.password.as_deref()), (true, 40, Some("other")));
}

#[tokio::test]
async fn of_those_who_are_to_stay_one_is_let_in() {
    let bed = Bed::fresh().await;
    let store = bed.store.clone();
    let user = alice(&store).await;
    let bob = User { id: "u2".to_owned(), name: "bob".to_owned(), ..user };
    store.user_create(&bob, &said(2)).await.unwrap();
    let read_at = one_commit(&store).await.revision;
    let keep = |name: &str, revision| Keep {
        one_of: Some([name.to_owned()].into()),
        bases: vec![(workspace("shop"), revision)],
    };
    let disable = async |id: &str, keep| store.user_disable(id, &keep, &said(9)).await.unwrap();
    let keeping =
        |name: &str| Commit { keepers: [name.to_owned()].into(), ..puts([put("a", name)]) };
    assert_eq!(disable("u1", keep("bob", read_at - 1)).await, Disabled::Moved);
    assert_eq!(disable("u1", keep("nobody", read_at)).await, Disabled::Last);
    assert!(store.audit_list(None, 1).await.unwrap()[0].entry.at != 9, "nothing is said");
    store.commit(&keeping("alice")).await.unwrap();
    let moved = store.revision().await.unwrap();
    assert_eq!(disable("u1", keep("bob", moved)).await, Disabled::Done);
    assert_eq!(disable("u2", keep("alice", moved)).await, Disabled::Last);
    for gone in ["alice", "nobody"] {
        let refused = store.commit(&keeping(gone)).await;
        assert!(matches!(refused, Err(CommitError::NobodyLeft)), "{refused:?}");
        assert!(!store.user_any(&[gone.to_owned()].into()).await.unwrap());
    }
    assert_eq!(store.revision().await.unwrap(), moved);
    store.commit(&keeping("bob")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_who_are_to_keep_each_other_do_not_both_go() {
    let bed = Bed::fresh().await;
    let store = bed.store.clone();
    for round in 0..rounds() {
        let name = |of: &str| format!("{of}{round}");
        for of in ["a", "b"] {
            let user = User { id: name(of), name: name(of), ..user() };
            store.user_create(&user, &said(1)).await.unwrap();
        }
        let (commits, disables, scope) = (store.clone(), store.clone(), workspace("shop"));
        let revision = store.scopes().await.unwrap().get(&scope).copied().unwrap_or(0);
        let keep = Keep { one_of: Some([name("b")].into()), bases: vec![(scope, revision)] };
        let kept = Commit { keepers: [name("a")].into(), ..puts([put("r", &name("body"))]) };
        let takes = tokio::spawn(async move { commits.commit(&kept).await.is_ok() });
        let id = name("a");
        let shuts = tokio::spawn(async move {
            disables.user_disable(&id, &keep, &said(2)).await.unwrap() == Disabled::Done
        });
        let (took, shut) = (within(takes).await.unwrap(), within(shuts).await.unwrap());
        assert!(!(took && shut), "round {round}");
    }
}

#[tokio::test]
async fn a_token_is_good_until_it_ends_or_is_revoked() {
    let bed = Bed::fresh().await;
    let store = bed.store.clone();
    alice(&store).await;
    let token = Token {
        id: "t1".to_owned(),
        user: "u1".to_owned(),
        name: "ci".to_owned(),
        hash: digest(b"secret"),
        scopes: "apply".to_owned(),
        created: 1,
        expires: Some(100),
        revoked: None,
        seen: None,
    };
    store.token_create(&token, &said(1)).await.unwrap();
    let good = async |now| store.token_by_hash(&digest(b"secret"), now).await.unwrap().is_some();
    assert!(good(99).await);
    assert!(!good(100).await);
    store.token_touch("t1", 7).await.unwrap();
    assert!(store.token_revoke("t1", &said(50)).await.unwrap());
    assert!(!store.token_revoke("t1", &said(60)).await.unwrap());
    assert!(!good(99).await);
    let listed = store.token_list("u1").await.unwrap();
    assert_eq!((listed[0].seen, listed[0].revoked), (Some(7), Some(50)));
}

fn join_token(uses_left: i64) -> JoinToken {
    JoinToken {
        id: format!("j{uses_left}"),
        hash: digest(format!("join {uses_left}").as_bytes()),
        cluster: "here".to_owned(),
        kind: "gateway".to_owned(),
        pattern: "edge-*".to_owned(),
        uses_left,
        created: 1,
        expires: 100,
        revoked: None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_last_use_of_a_join_token_goes_to_one() {
    let bed = Bed::fresh().await;
    let store = bed.store.clone();
    for round in 1..=rounds() as i64 {
        let token = JoinToken { uses_left: 1, ..join_token(round) };
        store.join_token_create(&token, &said(1)).await.unwrap();
        let race = (0..4).map(|_| {
            let (store, hash) = (store.clone(), token.hash.clone());
            tokio::spawn(async move { store.join_token_use(&hash, 50).await.unwrap() })
        });
        let mut used = 0;
        for task in race.collect::<Vec<_>>() {
            used += usize::from(within(task).await.unwrap().is_some());
        }
        assert_eq!(used, 1, "round {round}");
    }
    assert!(store.join_token_list().await.unwrap().iter().all(|token| token.uses_left == 0));
}

#[tokio::test]
async fn a_join_token_that_ended_or_was_revoked_lets_nobody_in() {
    let bed = Bed::fresh().await;
    let store = bed.store.clone();
    let token = join_token(2);
    store.join_token_create(&token, &said(1)).await.unwrap();
    assert_eq!(store.join_token_use(&token.hash, 100).await.unwrap(), None);
    assert_eq!(store.join_token_use(&token.hash, 99).await.unwrap().unwrap().uses_left, 1);
    assert!(store.join_token_revoke(&token.id, &said(50)).await.unwrap());
    assert_eq!(store.join_token_use(&token.hash, 99).await.unwrap(), None);
}
