//! Lists of nodes and of workspaces come in pages, and nodes with counts of all of them.

use std::time::Duration;

use store::node::{Heard, Node};

use super::*;
use crate::NodeState;
use crate::app::fleet::Rejected;
use crate::app::node::{Reader, seen};
use crate::app::roster::OLDEST;
use crate::app::{Live, NodeListing, WorkspaceListing, rights};

impl Bed {
    /// A node that was heard of just now, and ran this of a scope.
    async fn node(&self, cluster: &str, name: &str, scope: &Scope, revision: i64) {
        self.node_of("gateway", cluster, name, scope, revision).await;
    }

    async fn node_of(&self, kind: &str, cluster: &str, name: &str, scope: &Scope, revision: i64) {
        let now = NOW * 1_000_000;
        let node = Node {
            id: format!("{cluster}-{name}"),
            cluster: cluster.to_owned(),
            kind: kind.to_owned(),
            name: name.to_owned(),
            version: String::new(),
            first_seen: now,
            last_seen: now,
            certificate: None,
            connected: true,
            standing: None,
        };
        let id = self.app.store.node_join(&node).await.unwrap();
        let moved = vec![(scope.clone(), revision, now)];
        let heard = Heard { id, seen: now, connected: true, moved, ..Heard::default() };
        self.app.store.node_heard(&[heard]).await.unwrap();
    }
}

#[tokio::test]
async fn nodes_come_in_pages_with_counts_of_all_that_may_be_seen() {
    let bed = Bed::shop().await;
    let (shop, bank) = (Scope::Workspace(name("shop")), Scope::Workspace(name("bank")));
    let last = bed.revision().await;
    bed.node("west", "a", &shop, last).await;
    bed.node("east", "b", &shop, last - 1).await;
    bed.node("east", "a", &bank, last).await;
    let names = async |user: &str, listing: &NodeListing| {
        let page = bed.app.node_list(&op(user), listing).await.unwrap();
        let names = page.items.iter().map(|(node, _)| format!("{}/{}", node.cluster, node.name));
        (names.collect::<Vec<_>>().join(" "), page.next, page.clusters)
    };
    let two = NodeListing { limit: 2, ..NodeListing::default() };
    let (first, next, clusters) = names("root", &two).await;
    assert_eq!(first, "east/a east/b");
    assert_eq!(
        (clusters["east"].nodes, clusters["east"].behind, clusters["west"].nodes),
        (2, 1, 1)
    );
    let (second, next, _) = names("root", &NodeListing { after: next, ..two.clone() }).await;
    assert_eq!((second.as_str(), next), ("west/a", None));
    let (found, ..) =
        names("root", &NodeListing { text: Some("EAST".into()), ..two.clone() }).await;
    assert_eq!(found, "east/a east/b");
    let (unwell, ..) = names("root", &NodeListing { unwell: true, ..two.clone() }).await;
    assert_eq!(unwell, "east/b", "it is behind");
    let (own, next, clusters) = names("sara", &two).await;
    assert_eq!((own.as_str(), next), ("east/b west/a", None));
    assert_eq!(clusters["east"].nodes, 1, "what runs nothing of the shop's is not counted");
}

#[tokio::test]
async fn a_proxy_is_for_whoever_may_read_the_workload_that_it_is_named_by() {
    let bed = Bed::shop().await;
    let shop = Scope::Workspace(name("shop"));
    let workload = "apiVersion: heddle.dev/v1alpha1\nkind: Workload\n\
        metadata: { name: front-1, namespace: shop, labels: { heddle.dev/api: orders } }\n\
        spec: { cluster: east, address: 192.0.2.1, ports: [{ port: 80 }] }\n---\n\
        apiVersion: heddle.dev/v1alpha1\nkind: Team\nmetadata: { name: orders }\n\
        spec: { members: [olga] }\n";
    let other = api("sellers").replace("name: orders", "name: other");
    let team = "---\napiVersion: heddle.dev/v1alpha1\nkind: Team\nmetadata: { name: others }\n\
                spec: { members: [otto] }\n";
    let other = other.replace("owner: sellers", "owner: others");
    bed.put("root", &(workload.to_owned() + &api("orders") + team + &other)).await.unwrap();
    // Every node runs every workspace.
    let last = bed.revision().await;
    for (kind, node) in [("gateway", "edge"), ("mesh", "shop.front-1"), ("mesh", "bank.vault-1")] {
        bed.node_of(kind, "east", node, &shop, last).await;
    }
    for (user, wanted) in [
        ("root", "edge bank.vault-1 shop.front-1"),
        ("sara", "edge shop.front-1"),
        ("olga", "edge shop.front-1"),
        ("otto", "edge"),
        ("eve", ""),
    ] {
        let all = NodeListing { limit: 9, ..NodeListing::default() };
        let page = bed.app.node_list(&op(user), &all).await.unwrap();
        let names: Vec<_> = page.items.iter().map(|(node, _)| node.name.as_str()).collect();
        assert_eq!(names.join(" "), wanted, "{user}");
        let vault = bed.app.node_show(&op(user), "east-bank.vault-1").await;
        assert_eq!(vault.is_ok(), user == "root", "{user}");
        if let Ok(told) = bed.app.change_receipt(&op(user), last, Duration::ZERO).await {
            let names: Vec<_> = told.nodes.iter().map(|node| node.name.as_str()).collect();
            assert_eq!(names.join(" "), wanted, "{user}");
        }
    }
}

#[tokio::test]
async fn nodes_are_read_once_for_all_who_look_and_anew_when_one_changed() {
    let bed = Bed::shop().await;
    let shop = Scope::Workspace(name("shop"));
    let all = NodeListing { limit: 9, ..NodeListing::default() };
    let count = async || bed.app.node_list(&op("root"), &all).await.unwrap().items.len();
    bed.node("east", "a", &shop, 1).await;
    assert_eq!(count().await, 1);
    let one = bed.app.nodes_now().await.unwrap();
    assert!(!Arc::ptr_eq(&one, &bed.app.nodes_now().await.unwrap()), "read anew");
    bed.app.node_changed();
    let one = bed.app.nodes().await.unwrap();
    // No time passes, so it is not a second old.
    tokio::time::pause();
    let same = bed.app.nodes().await.unwrap();
    tokio::time::resume();
    assert!(Arc::ptr_eq(&one, &same));
    // As another server does it.
    bed.node("east", "b", &shop, 1).await;
    tokio::time::pause();
    tokio::time::advance(OLDEST).await;
    tokio::time::resume();
    assert_eq!(count().await, 2);
    bed.app.node_forget(&op("root"), "east-a").await.unwrap();
    assert_eq!(count().await, 1, "what this server does is seen at once");
}

#[tokio::test]
async fn workspaces_come_in_pages_and_are_found_by_what_they_are_called() {
    let bed = Bed::shop().await;
    let names = async |user: &str, listing: &WorkspaceListing| {
        let page = bed.app.workspace_list(&op(user), listing).await.unwrap();
        let names: Vec<_> = page.items.iter().map(|one| one.name.to_string()).collect();
        (names.join(" "), page.next)
    };
    let one = WorkspaceListing { limit: 1, ..WorkspaceListing::default() };
    let (first, next) = names("root", &one).await;
    assert_eq!(first, "bank");
    assert_eq!(names("root", &WorkspaceListing { after: next, ..one.clone() }).await.0, "shop");
    let found = WorkspaceListing { text: Some("SHO".into()), ..one.clone() };
    assert_eq!(names("root", &found).await, ("shop".into(), None));
    assert_eq!(names("sara", &one).await, ("shop".into(), None), "the bank is hidden");
}

#[tokio::test]
async fn what_a_node_says_of_an_object_is_for_whoever_may_read_that() {
    let bed = Bed::shop().await;
    let of = |api: &str, text: String| {
        text.replace(
            "namespace: shop",
            &format!("namespace: shop, labels: {{ heddle.dev/api: {api} }}"),
        )
    };
    let teams = "---\napiVersion: heddle.dev/v1alpha1\nkind: Team\nmetadata: { name: others }\n\
                 spec: { members: [otto] }\n";
    let other = api("sellers").replace("name: orders", "name: other");
    let other = other.replace("owner: sellers", "owner: others");
    bed.put("root", &(teams.to_owned() + &other + &api("sellers"))).await.unwrap();
    bed.put("sara", &of("orders", service("shop"))).await.unwrap();
    let world = bed.app.world().await.unwrap();
    let shop = Scope::Workspace(name("shop"));
    let rejected = |word: &str| Rejected {
        scope: shop.clone(),
        key: key(Kind::Service, "shop", word),
        path: "spec".to_owned(),
        reason: "no".to_owned(),
    };
    for (user, wanted) in [("sara", "app gone"), ("otto", ""), ("eve", "")] {
        let live = Live {
            state: NodeState::Connected,
            vector: Vec::new(),
            // Of what is not there any more nobody can tell whose it was.
            rejected: vec![rejected("app"), rejected("gone")],
            silent: None,
            behind: 0,
        };
        let mut reader = Reader::new(rights(&op(user), &world));
        let seen = seen(&world, live, &mut reader).rejected;
        let names: Vec<_> = seen.iter().map(|one| one.key.name.as_str()).collect();
        assert_eq!(names.join(" "), wanted, "{user}");
    }
}
