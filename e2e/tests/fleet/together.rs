//! One change of objects in several scopes becomes visible at once.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use e2e::client::{nothing, request};
use e2e::soak::count;
use e2e::{Connection, fleet};

use crate::scene::{BANK, SHOP, Scene, routes};

/// The versions that replies of each table named, by the table's digest.
type Seen = BTreeMap<String, BTreeSet<String>>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_table_mixes_old_and_new_of_one_change() {
    let scene = Scene::new(fleet::Plan::default()).await;
    let changes = count(20);
    let stopped = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> =
        (0..4).map(|_| tokio::spawn(call(scene.web, Arc::clone(&stopped)))).collect();
    let mut last = 0;
    for version in 1..=changes {
        // Three objects of three scopes: both workspaces, and the platform's.
        let platform = format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: version, namespace: platform }}\n\
             data: {{ version: 'v{version}' }}\n"
        );
        last = scene.fleet.change(&(routes(version) + &platform)).await;
        scene.fleet.until_everywhere(last).await;
    }
    stopped.store(true, Ordering::SeqCst);
    let mut seen = Seen::new();
    let mut replies = 0;
    for caller in callers {
        let (one, number) = caller.await.expect("a caller does not panic");
        replies += number;
        for (table, versions) in one {
            seen.entry(table).or_default().extend(versions);
        }
    }
    let mixed: Vec<_> = seen.iter().filter(|(_, versions)| versions.len() != 1).collect();
    assert!(mixed.is_empty(), "{mixed:?}");
    println!("together: {replies} replies by {} tables, {changes} changes", seen.len());
    // All of them were there to be seen, so the check above had something to look at.
    assert!(seen.len() as u64 > changes / 2, "{} tables of {changes} changes", seen.len());
    let receipt = scene.fleet.receipt(last, std::time::Duration::from_secs(1)).await;
    assert_eq!(receipt["nodes"][0]["name"], "edge", "{receipt:#}");
}

/// Asks both hosts in turn; what each table said, and how many replies there were.
async fn call(web: SocketAddr, stopped: Arc<AtomicBool>) -> (Seen, u64) {
    let (mut seen, mut number) = (Seen::new(), 0);
    let mut connection = Connection::h1(web).await.expect("the gateway listens");
    while !stopped.load(Ordering::SeqCst) {
        for host in [SHOP, BANK] {
            let asked = request("GET", host, "/").body(nothing()).expect("a well-formed request");
            let reply = connection.send(asked).await.expect("an answer");
            assert_eq!(reply.status, 200, "{}", reply.text());
            let table = reply.header("heddle-debug").split(' ').next().unwrap_or_default();
            let version = reply.header("x-version").to_owned();
            seen.entry(table.to_owned()).or_default().insert(version);
            number += 1;
        }
    }
    (seen, number)
}
