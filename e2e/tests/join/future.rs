//! A policy of a later version reaches an older gateway: what it protects is closed, and everybody
//! else's requests pass as before, however many.

use std::time::Duration;

use e2e::load::{Plan, Protocol};
use e2e::soak::count;
use serde_json::json;

use crate::bed::{Bed, HOST, assert_served};
use crate::states::{allow_all, rewritten};

/// Requests per second beside it.
const RATE: f64 = 1_000.0;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_of_the_future_costs_nobody_else_a_request() {
    let count = count(2_000);
    let bed = Bed::new().await;
    let with = |policy| {
        let mut all = bed.shop(&["orders", "catalog"]);
        all.push(policy);
        all
    };
    bed.control.set(1, with(allow_all("orders")));
    let gateway = bed.joined().await;
    bed.control.acknowledged(1).await;
    assert_served(&gateway.get(HOST, "/orders").await);
    let load = Plan {
        target: gateway.web(),
        protocol: Protocol::H1,
        host: HOST.to_owned(),
        path: "/catalog".to_owned(),
        body: None,
        ca: None,
        connections: 8,
        rate: RATE,
        warmup: Duration::ZERO,
        duration: Duration::from_secs_f64(count as f64 / RATE),
    };
    let load = tokio::task::spawn_blocking(move || load.run().expect("the load is well formed"));
    let mut revision = 1;
    while !load.is_finished() {
        // It comes, changes, and goes again, as long as requests are made.
        for phase in ["new", "full"] {
            let mut future =
                rewritten(&allow_all("orders"), |body| body["spec"]["moonPhase"] = json!(phase));
            future.schema = wire::SCHEMA + 1;
            revision += 1;
            bed.control.set(revision, with(future.digested()));
            let ack = bed.control.acknowledged(revision).await;
            assert_eq!(ack.rejected.len(), 1, "{:?}", ack.rejected);
            assert_eq!(gateway.get(HOST, "/orders").await.status, 503, "its target is closed");
        }
        revision += 1;
        bed.control.set(revision, with(allow_all("orders")));
        assert!(bed.control.acknowledged(revision).await.rejected.is_empty());
        assert_served(&gateway.get(HOST, "/orders").await);
    }
    let tally = load.await.expect("the load ends");
    println!("future: {revision} states, {}", tally.to_json());
    assert!(tally.is_clean(), "{}", tally.to_json());
    assert!(tally.latency.total() >= count, "{}", tally.to_json());
}
