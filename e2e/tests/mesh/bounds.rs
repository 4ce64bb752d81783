//! How many connections to a Service are open at once through the proxies of its endpoints.

use e2e::client::{Fault, nothing, request};
use e2e::{Connection, Reply, wait};
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::scene::{HOST, Scene, policy};

const BOUNDS: &str = "\
apiVersion: heddle.dev/v1alpha1
kind: TrafficPolicy
metadata: { name: orders, namespace: shop }
spec:
  targetRefs: [{ kind: Service, name: orders }]
  bounds: { connections: 1, pending: 5, pendingTimeout: 20s }
---
";

/// A request on a connection of its own that is under way.
fn begun(scene: &Scene, path: &'static str) -> JoinHandle<Result<Reply, Fault>> {
    let web = scene.web;
    tokio::spawn(async move {
        let asked = request("GET", HOST, path).body(nothing())?;
        Connection::h1(web).await?.send(asked).await
    })
}

/// What the gateway says of the connections to the Service.
async fn told(scene: &Scene) -> Value {
    let config = scene.gateway.admin("/config").await.expect("/config answers").json();
    config["inForce"]["connections"]["shop/orders:80"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_through_a_proxy_are_no_more_than_a_service_bears() {
    let scene = Scene::new().await;
    scene.change(&(policy("name: all") + BOUNDS)).await;
    let held = begun(&scene, "/gate");
    wait::until_true("one under way", || scene.origin.count() == 1).await;
    let waiting: Vec<_> = (0..5).map(|_| begun(&scene, "/echo")).collect();
    wait::until_true_of("the others to wait", async || told(&scene).await["waiting"] == 5).await;
    assert_eq!(scene.get("/echo").await.status, 503);
    // Through one connection comes one request at a time.
    assert_eq!((scene.origin.count(), &told(&scene).await["open"]), (1, &1.into()));
    scene.origin.open_gate();
    for one in waiting.into_iter().chain([held]) {
        let reply = wait::within("an answer", one).await.expect("it ended").expect("an answer");
        assert_eq!(reply.status, 200, "{reply:?}");
    }
    let told = told(&scene).await;
    assert_eq!(
        (&told["most"], &told["refused"], &told["waiting"]),
        (&1.into(), &1.into(), &0.into())
    );
    assert_eq!(scene.origin.count(), 6);
}
