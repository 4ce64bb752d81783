//! What nodes say counts at once, and is written in few transactions.

use std::sync::atomic::{AtomicI64, Ordering};

use store::Scope;
use time::OffsetDateTime;

use super::*;
use crate::moment::time;
use crate::snapshot::{Catalogue, Class};
use crate::test::{Bed as World, TRAFFIC, op, slice};
use crate::{App, Op, Refusal, Rollout};

/// A fleet over a store, at a time that a test sets.
struct Bed {
    world: World,
    app: App,
    fleet: Arc<Fleet>,
    time: Arc<AtomicI64>,
    catalogue: Catalogue,
}

impl Bed {
    async fn new() -> Self {
        let world = World::new().await;
        let time = Arc::new(AtomicI64::new(micros(OffsetDateTime::now_utc())));
        let (app, fleet) = server(&world.store, &time);
        Bed { world, app, fleet, time, catalogue: Catalogue::default() }
    }

    async fn node(&self, name: &str) -> Node {
        let now = self.time.load(Ordering::Relaxed);
        let node = Node {
            id: name.to_owned(),
            cluster: "east".to_owned(),
            kind: "gateway".to_owned(),
            name: name.to_owned(),
            version: "0.1.0".to_owned(),
            first_seen: now,
            last_seen: now,
            certificate: None,
            connected: false,
            standing: None,
        };
        self.world.store.node_join(&node).await.unwrap();
        self.app.node_changed();
        node
    }

    async fn snapshot(&mut self) -> Arc<Snapshot> {
        let cluster = model::Name::parse("east").unwrap();
        self.catalogue.advance(&self.world.app.world().await.unwrap(), None);
        self.catalogue.snapshot(&Class { cluster, kind: crate::ca::NodeKind::Gateway })
    }

    fn pass(&self, seconds: i64) {
        self.time.fetch_add(seconds * 1_000_000, Ordering::Relaxed);
    }

    async fn receipt(&self, revision: i64) -> Result<Rollout, Refusal> {
        let op = Op { now: time(self.time.load(Ordering::Relaxed)), ..op() };
        self.app.change_receipt(&op, revision, Duration::ZERO).await
    }

    async fn complete(&self, revision: i64) -> bool {
        self.receipt(revision).await.unwrap().complete
    }

    /// None of a node that has no stream.
    fn state(&self) -> Option<NodeState> {
        self.fleet.here("n1").map(|now| now.state)
    }
}

fn server(store: &Store, time: &Arc<AtomicI64>) -> (App, Arc<Fleet>) {
    let (app, fleet) = (App::new(store.clone()), Arc::new(fleet(store, time)));
    app.attend(Arc::clone(&fleet));
    (app, fleet)
}

fn fleet(store: &Store, time: &Arc<AtomicI64>) -> Fleet {
    let time = Arc::clone(time);
    let clock = Clock::of(move || {
        let now = i128::from(time.load(Ordering::Relaxed));
        OffsetDateTime::from_unix_timestamp_nanos(now * 1_000).unwrap()
    });
    Fleet::new(store.clone(), clock)
}

#[tokio::test]
async fn a_receipt_is_complete_when_nobody_lacks_the_revision() {
    let mut bed = Bed::new().await;
    let revision = bed.world.put(TRAFFIC).await;
    assert!(bed.complete(revision).await, "there is nobody");
    assert!(bed.receipt(revision + 1).await.is_err());
    let (one, two) = (bed.node("n1").await, bed.node("n2").await);
    assert!(!bed.complete(revision).await, "who joined just now is waited for");
    let first = bed.fleet.opened(one).await.unwrap();
    let snapshot = bed.snapshot().await;
    bed.fleet.landed(&first, &snapshot, Vec::new());
    assert!(!bed.complete(revision).await);
    let second = bed.fleet.opened(two).await.unwrap();
    bed.fleet.landed(&second, &snapshot, Vec::new());
    assert!(bed.complete(revision).await);
    let later = bed.world.put(&slice("10.0.0.1")).await;
    assert!(!bed.complete(later).await && bed.complete(revision).await);
    let snapshot = bed.snapshot().await;
    bed.fleet.landed(&first, &snapshot, Vec::new());
    bed.fleet.closed(&second);
    assert!(!bed.complete(later).await, "who was here a moment ago is waited for");
    bed.fleet.flush().await;
    bed.pass(601);
    bed.fleet.heard(&first);
    assert!(bed.complete(later).await);
}

#[tokio::test]
async fn what_nodes_run_outlives_the_server_and_counts_from_their_first_words() {
    let mut bed = Bed::new().await;
    let revision = bed.world.put(TRAFFIC).await;
    let node = bed.node("n1").await;
    let ticket = bed.fleet.opened(node.clone()).await.unwrap();
    let snapshot = bed.snapshot().await;
    bed.fleet.landed(&ticket, &snapshot, Vec::new());
    let applied = bed.receipt(revision).await.unwrap().nodes[0].applied;
    assert!(applied.is_some());
    assert!(bed.fleet.flush().await.is_empty());
    bed.pass(5);
    // Another server, which was told nothing.
    (bed.app, bed.fleet) = server(&bed.world.store, &bed.time);
    assert!(bed.complete(revision).await, "the store says so");
    let again = bed.fleet.opened(bed.world.store.node("n1").await.unwrap().unwrap()).await.unwrap();
    bed.fleet.greeted(&again, "0.2.0", &snapshot.vector);
    let receipt = bed.receipt(revision).await.unwrap();
    assert_eq!(receipt.nodes[0].applied, applied, "since when it runs stays");
    bed.fleet.greeted(&again, "0.2.0", &Vector::new());
    assert!(!bed.complete(revision).await, "it came back with less than it had");
    bed.fleet.flush().await;
    assert!(bed.world.store.node_vector("n1").await.unwrap().is_empty());
    assert_eq!(bed.world.store.node("n1").await.unwrap().unwrap().version, "0.2.0");
    bed.fleet.greeted(&again, "0.2.0", &snapshot.vector);
    bed.fleet.flush().await;
    let stored = bed.world.store.node_vector("n1").await.unwrap();
    assert_eq!(stored.get(&Scope::Platform).map(|(at, _)| *at), Some(revision));
}

#[tokio::test]
async fn silence_makes_a_node_stale_and_the_end_of_its_stream_away() {
    let bed = Bed::new().await;
    let node = bed.node("n1").await;
    assert_eq!(bed.state(), None);
    let ticket = bed.fleet.opened(node.clone()).await.unwrap();
    assert_eq!(bed.state(), Some(NodeState::Connected));
    bed.pass(11);
    assert_eq!(bed.state(), Some(NodeState::Stale));
    bed.fleet.heard(&ticket);
    assert_eq!(bed.state(), Some(NodeState::Connected));
    // A second stream makes the first one's end nothing.
    let second = bed.fleet.opened(node).await.unwrap();
    bed.fleet.closed(&ticket);
    assert_eq!(bed.state(), Some(NodeState::Connected));
    bed.fleet.closed(&second);
    bed.fleet.flush().await;
    assert_eq!(bed.state(), None);
    let figures = bed.fleet.figures();
    assert_eq!((figures.connected, figures.stale, figures.away), (0, 0, 1));
}

#[tokio::test]
async fn a_node_that_is_forgotten_is_told_of_by_the_next_write() {
    let bed = Bed::new().await;
    let ticket = bed.fleet.opened(bed.node("n1").await).await.unwrap();
    assert!(bed.fleet.flush().await.is_empty());
    assert!(crate::test::forget(&bed.world.store, "n1").await);
    bed.fleet.heard(&ticket);
    bed.pass(5);
    bed.fleet.heard(&ticket);
    assert_eq!(bed.fleet.flush().await, ["n1"]);
    assert!(bed.fleet.here("n1").is_none());
}

#[test]
fn latencies_are_counted_below_each_bound() {
    let mut latency = Latency::default();
    for micros in [1_000, 4_000, 30_000, 2_000_000_000] {
        latency.add(micros);
    }
    let counted: Vec<u64> = latency.buckets().iter().map(|(_, count)| *count).collect();
    assert_eq!(counted, [2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3, 3, 4]);
    assert!((latency.sum() - 2_000.035).abs() < 1e-9);
    let figures = Figures { connected: 2, nacks: 7, latency, ..Figures::default() };
    let text = figures.exposition();
    for line in [
        "heddle_server_nodes{state=\"connected\"} 2\n",
        "heddle_server_nacks_total 7\n",
        "heddle_server_rollout_seconds_bucket{le=\"0.005\"} 2\n",
        "heddle_server_rollout_seconds_bucket{le=\"+Inf\"} 4\n",
        "heddle_server_rollout_seconds_count 4\n",
    ] {
        assert!(text.contains(line), "{line}{text}");
    }
}

#[tokio::test]
async fn a_node_whose_server_was_killed_is_not_connected_for_ever() {
    let bed = Bed::new().await;
    let node = bed.node("n1").await;
    let _ticket = bed.fleet.opened(node).await.unwrap();
    bed.fleet.flush().await;
    // This server runs on while the other one is gone.
    let other = fleet(&bed.world.store, &bed.time);
    other.hush().await;
    assert!(bed.world.store.node("n1").await.unwrap().unwrap().connected);
    bed.pass(31);
    other.hush().await;
    assert!(!bed.world.store.node("n1").await.unwrap().unwrap().connected);
}

#[tokio::test]
async fn what_was_being_written_when_writing_ended_is_written_at_last() {
    let bed = Bed::new().await;
    let node = bed.node("n1").await;
    let _ticket = bed.fleet.opened(node).await.unwrap();
    tokio::select! {
        biased;
        _ = bed.fleet.flush() => panic!("no store is that fast"),
        () = std::future::ready(()) => {}
    }
    bed.fleet.flush().await;
    assert!(bed.world.store.node("n1").await.unwrap().unwrap().connected);
}
