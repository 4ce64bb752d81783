//! A store moves whole, or not at all.

use std::collections::BTreeMap;

use store::access_request::Asked;
use store::authority::{Authority, Kind, State};
use store::commit::Grant;
use store::identity::Identity;
use store::join::JoinToken;
use store::node::{Heard, Node};
use store::session::Session;
use store::token::Token;
use store::user::User;
use store::{
    Backup, Commit, CopyError, Entry, Filter, Location, Put, Reference, Scope, Store, copy,
};

use super::access_request::request;
use super::{claiming, commit, delete, key, once, one_commit, put, puts, workspace};
use crate::Bed;

/// At least one row in every table.
async fn filled() -> Bed {
    let bed = Bed::fresh().await;
    let store = &bed.store;
    let reference = Reference {
        path: "/spec".to_owned(),
        kind: "Service".to_owned(),
        namespace: "shop".to_owned(),
        name: "s".to_owned(),
    };
    let grant =
        Grant { subject: "bob".to_owned(), role: "viewer".to_owned(), scope: Scope::Platform };
    let rich = Put {
        labels: BTreeMap::from([("a".to_owned(), "1".to_owned())]),
        references: vec![reference],
        grants: vec![grant],
        secret: Some(model::secret::SecretBytes::new(*b"value")),
        ..claiming(put("rich", "\u{e4} '\u{1f600}"), "shop.example", "shop")
    };
    let many = (0..1_203).map(|n| put(&format!("n{n}"), "1"));
    let first = puts([rich].into_iter().chain(many));
    store.commit(&Commit { once: Some(once("k")), ..first }).await.unwrap();
    store.commit(&commit(vec![delete("n7")])).await.unwrap();
    people(store).await;
    fleet(store).await;
    bed
}

async fn people(store: &Store) {
    let user = User {
        id: "u1".to_owned(),
        name: "alice".to_owned(),
        password: Some("x".to_owned()),
        disabled: false,
        created: 1,
        updated: 1,
    };
    store.user_create(&user, &Entry::default()).await.unwrap();
    let guest = User { id: "u2".to_owned(), name: "corp-bob".to_owned(), password: None, ..user };
    let identity = Identity {
        provider: "corp".to_owned(),
        issuer: "https://id.example".to_owned(),
        subject: "7".to_owned(),
        user: "u2".to_owned(),
        groups: ["a".to_owned()].into(),
        created: 1,
        seen: 1,
    };
    store.identity_create(&guest, &identity, &Entry::default()).await.unwrap();
    let session = Session {
        id: "s".to_owned(),
        user: "u1".to_owned(),
        created: 1,
        expires: 2,
        seen: 1,
        agent: String::new(),
    };
    assert!(store.session_create(&session, "x", &Entry::default()).await.unwrap());
    let token = Token {
        id: "t1".to_owned(),
        user: "u1".to_owned(),
        name: String::new(),
        hash: "h".to_owned(),
        scopes: String::new(),
        created: 1,
        expires: None,
        revoked: None,
        seen: None,
    };
    store.token_create(&token, &Entry::default()).await.unwrap();
    let asked = store.access_request_create(&request("q1", "u1"), &Entry::default()).await;
    assert_eq!(asked.unwrap(), Asked::New);
}

async fn fleet(store: &Store) {
    let token = JoinToken {
        id: "j".to_owned(),
        hash: "h".to_owned(),
        cluster: "here".to_owned(),
        kind: "mesh".to_owned(),
        pattern: "*".to_owned(),
        uses_left: 3,
        created: 1,
        expires: 2,
        revoked: None,
    };
    store.join_token_create(&token, &Entry::default()).await.unwrap();
    let node = Node {
        id: "n".to_owned(),
        cluster: "here".to_owned(),
        kind: "mesh".to_owned(),
        name: "m".to_owned(),
        version: "1".to_owned(),
        first_seen: 1,
        last_seen: 1,
        certificate: None,
        connected: false,
        standing: None,
    };
    store.node_join(&node).await.unwrap();
    let runs =
        Heard { id: "n".to_owned(), moved: vec![(workspace("shop"), 1, 1)], ..Heard::default() };
    store.node_heard(&[runs]).await.unwrap();
    let authority = Authority {
        id: "a".to_owned(),
        cluster: "here".to_owned(),
        kind: Kind::Root,
        certificate: "PEM".to_owned(),
        created: 1,
        expires: 2,
        state: State::Active,
        since: 1,
    };
    store.authority_settle(&authority, b"private", 0).await.unwrap();
    let out = super::revocation::node("gone");
    assert!(store.revocation_add(&out, 9, &Entry::default()).await.unwrap());
}

async fn folder(folder: &tempfile::TempDir, name: &str) -> Store {
    Store::open(&Location::Folder(folder.path().join(name))).await.unwrap()
}

#[tokio::test]
async fn a_store_moves_to_sqlite_and_back() {
    let from = filled().await;
    let folders = tempfile::tempdir().unwrap();
    let between = folder(&folders, "between").await;
    let there = copy(&from.store, &between).await.unwrap();
    assert!(there.tables.iter().all(|(_, rows)| *rows > 0), "{there:?}");
    let back = Bed::fresh().await;
    assert_eq!(copy(&between, &back.store).await.unwrap(), there);
    for store in [&between, &back.store] {
        same(&from.store, store).await;
        assert_eq!(store.secret(&key("rich"), 1).await.unwrap().as_deref(), Some(&b"value"[..]));
        assert_eq!(store.authority_key("a").await.unwrap().as_deref(), Some(&b"private"[..]));
        let next = store.commit(&puts([put("n7", "1")])).await.unwrap();
        assert_eq!((next.revision, next.generations[0].1), (3, 2), "it goes on where it was");
        store.audit_verify().await.unwrap().unwrap();
    }
    let reopened = Store::open(&back.location()).await.unwrap();
    assert_eq!(reopened.secret(&key("rich"), 1).await.unwrap().as_deref(), Some(&b"value"[..]));
}

async fn same(one: &Store, other: &Store) {
    let all = Filter::default();
    let page = async |store: &Store| store.resources(&all, None, 5_000).await.unwrap();
    assert_eq!(page(one).await, page(other).await);
    let changes = async |store: &Store| store.changes_since(0, i64::MAX).await.unwrap();
    assert_eq!(changes(one).await, changes(other).await);
    let verified = async |store: &Store| store.audit_verify().await.unwrap().unwrap();
    assert_eq!(verified(one).await, verified(other).await);
    assert_eq!(one.scopes().await.unwrap(), other.scopes().await.unwrap());
    assert_eq!(one.node_list().await.unwrap(), other.node_list().await.unwrap());
    let asked =
        async |store: &Store| store.access_request_list(&Default::default(), 0, 10).await.unwrap();
    assert_eq!(asked(one).await, asked(other).await);
    assert_eq!(*one.changes().borrow(), *other.changes().borrow());
}

#[tokio::test]
async fn a_copy_goes_only_where_nothing_is() {
    let (from, to) = (Bed::fresh().await, Bed::fresh().await);
    one_commit(&from.store).await;
    one_commit(&to.store).await;
    let before = to.store.changes_since(0, 9).await.unwrap();
    let refused = copy(&from.store, &to.store).await;
    assert!(matches!(refused, Err(CopyError::NotEmpty { table: "scopes" })), "{refused:?}");
    assert_eq!(to.store.changes_since(0, 9).await.unwrap(), before);
}

#[tokio::test]
async fn a_damaged_backup_is_told_before_anything_is_made() {
    let from = filled().await;
    let (Location::Folder(home) | Location::Postgres { folder: home, .. }) = from.location();
    let place = Location::Folder(home);
    let folders = tempfile::tempdir().unwrap();
    let file = folders.path().join("backup.db");
    from.store.backup(&file).await.unwrap();
    let whole = std::fs::read(&file).unwrap();
    let mut torn = whole.clone();
    let middle = torn.len() / 2;
    torn[middle..middle + 4_096].fill(0);
    std::fs::write(&file, torn).unwrap();
    let refused = Backup::open(&file, &place).await.map(|_| ());
    assert!(refused.is_err(), "{refused:?}");
    std::fs::write(&file, whole).unwrap();
    Backup::open(&file, &place).await.unwrap().close().await;
    from.store.rehearse().await.unwrap();
}

#[tokio::test]
async fn a_backup_is_restored_with_the_keys_that_belong_to_it() {
    let from = filled().await;
    let folders = tempfile::tempdir().unwrap();
    let file = folders.path().join("backup.db");
    from.store.backup(&file).await.unwrap();
    let again = from.store.backup(&file).await;
    assert!(matches!(again, Err(CopyError::File(_))), "a backup replaces none: {again:?}");
    let keyless = folders.path().join("keyless");
    let refused = Backup::open(&file, &Location::Folder(keyless.clone())).await;
    assert!(matches!(refused, Err(CopyError::Seal(_))), "{refused:?}");
    assert!(!keyless.exists(), "nothing is made for what cannot be restored");
    let (Location::Folder(home) | Location::Postgres { folder: home, .. }) = from.location();
    let keys = folders.path().join("restored/keys");
    std::fs::create_dir_all(&keys).unwrap();
    std::fs::copy(home.join("keys/seal.json"), keys.join("seal.json")).unwrap();
    let restored = folder(&folders, "restored").await;
    let place = Location::Folder(folders.path().join("restored"));
    restored.restore(Backup::open(&file, &place).await.unwrap()).await.unwrap();
    same(&from.store, &restored).await;
    assert_eq!(restored.secret(&key("rich"), 1).await.unwrap().as_deref(), Some(&b"value"[..]));
}
