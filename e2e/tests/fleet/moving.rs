//! A store that is moved, by backup and restore or onto PostgreSQL: all of it is there, and whoever
//! joined comes back by itself.

use std::collections::BTreeMap;

use e2e::fleet::{Joined, Plan};
use e2e::program::ended;
use e2e::server;
use serde_json::Value;

use crate::scene::{Scene, routes};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_server_is_the_same_to_everybody() {
    let mut scene = Scene::new(Plan::default()).await;
    let before = seen(&scene).await;
    scene.fleet.stop().await;
    let (backup, data) = (scene.fleet.path("backup"), scene.fleet.path("restored"));
    keep(&["--data", word(scene.fleet.data()), "backup", word(&backup)]);
    std::fs::create_dir_all(data.join("keys")).expect("a folder for the keys");
    let key = |folder: &std::path::Path| folder.join("keys/seal.json");
    std::fs::copy(key(scene.fleet.data()), key(&data)).expect("the keys are there");
    keep(&["--data", word(&data), "restore", word(&backup)]);
    scene.fleet.move_to(data, None);
    is_the_same(&mut scene, &before).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_moved_to_postgresql_is_the_same_to_everybody() {
    let database = e2e::postgres::Postgres::start().await;
    let mut scene = Scene::new(Plan::default()).await;
    let before = seen(&scene).await;
    scene.fleet.stop().await;
    keep(&["--data", word(scene.fleet.data()), "store", "copy", "--to", &database.url()]);
    let data = scene.fleet.data().to_owned();
    scene.fleet.move_to(data, Some(database.url()));
    is_the_same(&mut scene, &before).await;
    // What nobody may do is seen, and where.
    let change = "UPDATE history SET body = replace(body, 'v0', 'v1') WHERE kind = 'HTTPRoute'";
    let changed = ended(std::process::Command::new("psql").args([
        "-X",
        "-q",
        "-v",
        "ON_ERROR_STOP=1",
        "-c",
        change,
        &database.url(),
    ]));
    assert_eq!(changed.code, 0, "{changed:?}");
    let audit = scene.fleet.get("/audit/verify").await;
    assert_eq!(audit["intact"], false, "{audit:#}");
    assert!(audit["seq"].is_i64(), "{audit:#}");
}

/// What REST shows of everything, and what the gateway proves itself with.
#[derive(Debug, PartialEq)]
struct Seen {
    all: BTreeMap<&'static str, Value>,
    certificate: String,
}

async fn seen(scene: &Scene) -> Seen {
    let mut all = BTreeMap::new();
    for path in ["/resources?limit=500", "/changes?limit=500", "/users", "/join-tokens"] {
        all.insert(path, scene.fleet.get(path).await);
    }
    let identity = scene.gateway.state().join("identity.json");
    Seen { all, certificate: std::fs::read_to_string(identity).expect("it has an identity") }
}

/// The server shows the same, the gateway comes back with what it has, and a new one gets a
/// certificate that the old one's root vouches for.
async fn is_the_same(scene: &mut Scene, before: &Seen) {
    scene.fleet.serve().await;
    let revision = before.all["/resources?limit=500"]["revision"].as_i64().expect("a revision");
    scene.fleet.until_everywhere(revision).await;
    let now = seen(scene).await;
    assert_eq!(now.all, before.all);
    assert_eq!(roots(&now.certificate), roots(&before.certificate));
    let token = scene.fleet.join_token("local", 1).await;
    let state = scene.fleet.path("state-second");
    let second = Joined::spawn("second", scene.fleet.nodes, &state, Some(&token));
    second.until_joined().await;
    let identity = state.join("identity.json");
    let identity = std::fs::read_to_string(identity).expect("it has an identity");
    assert_eq!(roots(&identity), roots(&before.certificate), "one root");
    let revision = scene.fleet.change(&routes(7)).await;
    scene.fleet.until_everywhere(revision).await;
}

fn roots(identity: &str) -> Value {
    let identity: Value = serde_json::from_str(identity).expect("JSON");
    assert!(!identity["roots"].is_null(), "{identity:#}");
    identity["roots"].clone()
}

/// Runs a keeping command of the server.
fn keep(words: &[&str]) {
    let done = ended(server::command().args(words));
    assert_eq!(done.code, 0, "{done:?}");
}

fn word(path: &std::path::Path) -> &str {
    path.to_str().expect("a path of plain letters")
}
