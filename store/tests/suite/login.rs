//! Who comes from login providers, and the browsers that are on their way.

use store::identity::Identity;
use store::login::Login;
use store::session::Session;
use store::user::{Keep, User};
use store::{Entry, Error, digest};

use super::within;
use crate::Bed;

fn said(at: i64) -> Entry {
    Entry { at, actor: "corp-alice".to_owned(), ..Entry::default() }
}

fn user(id: &str, name: &str) -> User {
    let (id, name) = (id.to_owned(), name.to_owned());
    User { id, name, password: None, disabled: false, created: 1, updated: 1 }
}

fn identity(subject: &str, user: &str) -> Identity {
    Identity {
        provider: "corp".to_owned(),
        issuer: "https://id.example".to_owned(),
        subject: subject.to_owned(),
        user: user.to_owned(),
        groups: ["weavers".to_owned()].into(),
        created: 1,
        seen: 1,
    }
}

fn session(cookie: &str, user: &str) -> Session {
    Session {
        id: digest(cookie.as_bytes()),
        user: user.to_owned(),
        created: 10,
        expires: 100,
        seen: 10,
        agent: "a browser".to_owned(),
    }
}

#[tokio::test]
async fn a_subject_of_a_provider_is_one_user_and_a_user_one_subject() {
    let bed = Bed::fresh().await;
    let store = &bed.store;
    let alice = identity("7", "u1");
    store.identity_create(&user("u1", "corp-alice"), &alice, &said(1)).await.unwrap();
    for (user, identity) in [
        (user("u2", "corp-alice"), identity("8", "u2")),
        (user("u2", "corp-bob"), identity("7", "u2")),
    ] {
        let refused = store.identity_create(&user, &identity, &said(2)).await;
        assert!(matches!(refused, Err(Error::Conflict(_))), "{refused:?}");
        assert_eq!(store.user("u2").await.unwrap(), None, "nothing of it is there");
    }
    let elsewhere = Identity { issuer: "https://other.example".to_owned(), ..identity("7", "u3") };
    store.identity_create(&user("u3", "corp-carl"), &elsewhere, &said(3)).await.unwrap();
    let of = async |issuer: &str| store.identity("corp", issuer, "7").await.unwrap();
    assert_eq!(of("https://id.example").await, Some(alice.clone()));
    assert_eq!(of("https://other.example").await, Some(elsewhere));
    assert_eq!(of("https://third.example").await, None);
    assert_eq!(store.identity_of("u1").await.unwrap(), Some(alice));
    assert_eq!(store.identity_of("u2").await.unwrap(), None);
    assert_eq!(store.identity_counts().await.unwrap(), [("corp".to_owned(), 2)].into());
}

#[tokio::test]
async fn who_comes_again_has_the_groups_that_are_told_now() {
    let bed = Bed::fresh().await;
    let store = &bed.store;
    let alice = identity("7", "u1");
    store.identity_create(&user("u1", "corp-alice"), &alice, &said(1)).await.unwrap();
    let again = Identity { groups: ["spinners".to_owned()].into(), seen: 9, ..alice.clone() };
    assert!(store.identity_enter(&again, &session("c", "u1"), &said(9)).await.unwrap());
    assert_eq!(store.identity_of("u1").await.unwrap(), Some(again.clone()));
    assert!(store.session(&digest(b"c"), 50).await.unwrap().is_some());
    store.user_disable("u1", &Keep::default(), &said(20)).await.unwrap();
    let late = Identity { groups: Default::default(), seen: 30, ..again.clone() };
    assert!(!store.identity_enter(&late, &session("d", "u1"), &said(30)).await.unwrap());
    assert_eq!(store.identity_of("u1").await.unwrap(), Some(again), "nothing was done");
    assert_eq!(store.audit_list(None, 1).await.unwrap()[0].entry.at, 20, "nor said");
    let unknown = Identity { subject: "9".to_owned(), ..late };
    assert!(!store.identity_enter(&unknown, &session("e", "u1"), &said(31)).await.unwrap());
}

#[tokio::test]
async fn nobody_gives_a_password_to_who_comes_from_a_provider() {
    let bed = Bed::fresh().await;
    let store = &bed.store;
    store.identity_create(&user("u1", "corp-alice"), &identity("7", "u1"), &said(1)).await.unwrap();
    assert!(!store.user_password("u1", "hash", &said(2)).await.unwrap());
    assert_eq!(store.user("u1").await.unwrap().unwrap().password, None);
    assert!(
        !store.user_any(&["corp-alice".to_owned()].into()).await.unwrap(),
        "nor keeps others in"
    );
    for password in ["", "hash"] {
        assert!(!store.session_create(&session("c", "u1"), password, &said(3)).await.unwrap());
    }
}

fn login(state: &str, created: i64) -> Login {
    Login {
        id: digest(state.as_bytes()),
        browser: digest(b"browser"),
        provider: "corp".to_owned(),
        origin: "https://heddle.example".to_owned(),
        wanted: "/fleet".to_owned(),
        created,
        expires: created + 100,
    }
}

#[tokio::test]
async fn a_login_is_taken_back_once_in_time_and_by_its_own_browser() {
    let bed = Bed::fresh().await;
    let store = &bed.store;
    let (id, own, other) = (digest(b"a"), digest(b"browser"), digest(b"another"));
    store.login_create(&login("a", 1), 10).await.unwrap();
    assert_eq!(store.login_take(&id, &other, 50).await.unwrap(), None);
    assert_eq!(store.login_take(&id, &own, 101).await.unwrap(), None);
    assert_eq!(store.login_take(&id, &own, 100).await.unwrap(), Some(login("a", 1)));
    assert_eq!(store.login_take(&id, &own, 100).await.unwrap(), None);
}

#[tokio::test]
async fn the_oldest_logins_make_room() {
    let bed = Bed::fresh().await;
    let store = &bed.store;
    for at in 1..=5 {
        store.login_create(&login(&at.to_string(), at), 3).await.unwrap();
    }
    for (at, is_there) in [(1, false), (2, false), (3, true), (4, true), (5, true)] {
        let id = digest(at.to_string().as_bytes());
        let taken = store.login_take(&id, &digest(b"browser"), 50).await.unwrap();
        assert_eq!(taken.is_some(), is_there, "{at}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_who_take_a_login_one_has_it() {
    let bed = Bed::fresh().await;
    bed.store.login_create(&login("a", 1), 10).await.unwrap();
    let race = (0..4).map(|_| {
        let store = bed.store.clone();
        tokio::spawn(async move {
            store.login_take(&digest(b"a"), &digest(b"browser"), 50).await.unwrap()
        })
    });
    let mut taken = 0;
    for task in race.collect::<Vec<_>>() {
        taken += usize::from(within(task).await.unwrap().is_some());
    }
    assert_eq!(taken, 1);
}
