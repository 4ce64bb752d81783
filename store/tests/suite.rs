//! What a store does, whichever database is below it.
//!
//! Each test has a `Bed`, which the target at the root makes: a new store, a way to open it again,
//! and a way to do behind its back what it never would.

use std::collections::BTreeMap;
use std::time::Duration;

use model::Name;
use store::commit::{Claim, Sort};
use store::{Commit, Committed, Delete, Expected, Key, Once, Put, Scope, Store, Write};

mod access_request;
mod audit;
mod claim;
mod commit;
mod copy;
mod decision;
mod feed;
mod history;
mod key_set;
mod login;
mod node;
mod open;
mod resource;
mod revocation;
mod seal;
mod session_secret;
mod user;

/// How long anything may take before a test gives up on it.
const BOUND: Duration = Duration::from_secs(60);

pub(crate) async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(BOUND, work).await.expect("it came to an end")
}

/// How often a race is run.
fn rounds() -> usize {
    let given =
        ["HEDDLE_ROUNDS", "HEDDLE_SOAK_COUNT"].into_iter().find_map(|n| std::env::var(n).ok());
    given.map_or(50, |rounds| rounds.parse().expect("a number of rounds"))
}

fn workspace(name: &str) -> Scope {
    Scope::Workspace(Name::parse(name).unwrap())
}

fn key(name: &str) -> Key {
    Key {
        cluster: "here".to_owned(),
        kind: "HTTPRoute".to_owned(),
        namespace: "shop".to_owned(),
        name: name.to_owned(),
    }
}

fn put(name: &str, body: &str) -> Put {
    Put {
        key: key(name),
        expected: None,
        body: format!("{{\"spec\":\"{body}\"}}"),
        scope: workspace("shop"),
        owner_team: "sellers".to_owned(),
        source: "user".to_owned(),
        labels: BTreeMap::new(),
        references: Vec::new(),
        claims: Vec::new(),
        grants: Vec::new(),
        secret: None,
    }
}

fn delete(name: &str) -> Write {
    Write::Delete(Delete { key: key(name), expected: None })
}

fn expecting(put: Put, expected: Expected) -> Put {
    Put { expected: Some(expected), ..put }
}

fn claiming(put: Put, host: &str, by: &str) -> Put {
    let claim = Claim {
        sort: Sort::Host,
        host: host.to_owned(),
        path: "/".to_owned(),
        workspace: by.to_owned(),
    };
    Put { claims: vec![claim], ..put }
}

fn commit(writes: Vec<Write>) -> Commit {
    Commit {
        at: 1_700_000_000_000_000,
        actor: "alice".to_owned(),
        request_id: "r-1".to_owned(),
        message: "because".to_owned(),
        writes,
        ..Commit::default()
    }
}

fn puts(all: impl IntoIterator<Item = Put>) -> Commit {
    commit(all.into_iter().map(|put| Write::Put(Box::new(put))).collect())
}

fn once(key: &str) -> Once {
    Once { key: key.to_owned(), digest: "the same".to_owned() }
}

/// Some commit or other.
pub(crate) async fn one_commit(store: &Store) -> Committed {
    store.commit(&puts([put("files", "one")])).await.unwrap()
}
