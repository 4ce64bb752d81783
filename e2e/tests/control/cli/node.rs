//! Nodes: let in by a token, waited for, and named where they lack something.

use e2e::program::Ended;
use e2e::{Fleet, Joined, fleet};
use serde_json::Value;

use super::{Home, done, ended, refused};
use crate::bed::PEOPLE;

/// A server for nodes, and the first admin before it.
struct Yard {
    fleet: Fleet,
    home: Home,
}

impl Yard {
    fn heddle(&self, arguments: &[&str]) -> Ended {
        let mut command = self.home.command(arguments);
        command.env("HEDDLE_SERVER", &self.home.url).env("HEDDLE_TOKEN", self.fleet.token());
        ended(&mut command)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_waited_for_and_whoever_lacks_it_is_named() {
    let fleet = Fleet::start(fleet::Plan::default()).await;
    let yard = Yard { home: Home::before(fleet.rest), fleet };
    let made = yard.heddle(&["join-token", "create", "--cluster", "here", "--name", "edge-*"]);
    let token = done(&made).trim();
    assert_eq!(token.split('.').count(), 3, "{made:?}");
    let state = yard.fleet.path("state");
    let mut gateway = Joined::spawn("edge-1", yard.fleet.nodes, &state, Some(token));
    gateway.until_ready().await;
    let tokens = yard.heddle(&["join-token", "list"]);
    assert!(done(&tokens).contains("edge-*"), "{tokens:?}");
    assert!(!tokens.stdout.contains(token), "{tokens:?}");

    yard.home.file("people.yaml", PEOPLE);
    let applied = yard.heddle(&["apply", "-f", "people.yaml", "--wait"]);
    assert!(done(&applied).ends_with("applied by 1 node\n"), "{applied:?}");
    let status = yard.heddle(&["status"]);
    for word in ["NODE", "edge-1", "here", "gateway", "connected", "SCOPE", "platform"] {
        assert!(done(&status).contains(word), "no '{word}' in\n{}", status.stdout);
    }

    drop(gateway);
    let note = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: n, namespace: platform }\n";
    yard.home.file("note.yaml", note);
    let applied = yard.heddle(&["apply", "-f", "note.yaml", "--wait=1s", "-o", "json"]);
    assert_eq!(applied.code, 1, "{applied:?}");
    let answer: Value = serde_json::from_str(&applied.stdout).unwrap();
    assert_eq!(answer["receipt"]["complete"], false, "{answer:#}");
    let lacks = format!("lacks revision {}\n", answer["revision"]);
    let told =
        applied.stderr.starts_with("node edge-1 (here, ") && applied.stderr.ends_with(&lacks);
    assert!(told, "{applied:?}");

    let none = yard.heddle(&["node", "delete", "edge-1", "--cluster", "there"]);
    refused(&none, 1, &["there is no node 'edge-1' in cluster 'there'; see them all"]);
    let forgotten = yard.heddle(&["node", "delete", "edge-1"]);
    assert_eq!(done(&forgotten), "node edge-1 (here) forgotten\n");
    let waited = yard.heddle(&["delete", "cm/platform/n", "--wait=30s"]);
    assert!(done(&waited).ends_with("no node is concerned\n"), "{waited:?}");
    refused(&yard.heddle(&["node", "delete", "edge-1"]), 1, &["there is no node 'edge-1'"]);
}
