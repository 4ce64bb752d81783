//! Through the mesh to an application: default deny, policies by who sends, and who is not let in.

use e2e::fleet::Kind;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::scene::{Scene, policy, until_speaking};

const GATEWAY: &str =
    "{ name: from-the-edge, when: { workloads: [{ cluster: local, gateway: edge }] } }";

#[tokio::test]
async fn an_application_is_reached_by_whom_its_policy_names_and_by_nobody_else() {
    let scene = Scene::new().await;
    // The edge lets it pass; the workspace denies it at the application.
    let denied = scene.get("/status/200").await;
    assert_eq!((denied.status, denied.json()["reason"].as_str()), (403, Some("default_denied")));
    assert_eq!(scene.origin.count(), 0);
    scene.change(&policy(GATEWAY)).await;
    let served = scene.get("/echo").await;
    assert_eq!((served.status, served.header("x-origin")), (200, "orders"), "{}", served.text());
    assert_eq!(scene.origin.count(), 1);
    e2e::wait::until_true("the peer in the proxy's access log", || {
        scene.proxy.access_log().contains(r#""peer":"gateway edge of local""#)
    })
    .await;
    // By method and path, as at the edge.
    let reads = "{ name: reads, when: { methods: [GET], paths: [{ value: /status }], \
                 workloads: [{ cluster: local, gateway: edge }] } }";
    scene.change(&policy(reads)).await;
    assert_eq!(scene.get("/status/200").await.status, 200);
    let denied = scene.get("/echo").await;
    assert_eq!((denied.status, denied.json()["reason"].as_str()), (403, Some("access_denied")));
    // The same name in another cluster is somebody else.
    let west = "{ name: west, when: { workloads: [{ cluster: west, gateway: edge }] } }";
    scene.change(&policy(west)).await;
    assert_eq!(scene.get("/status/200").await.status, 403);
    assert_eq!(scene.origin.count(), 2);
}

#[tokio::test]
async fn who_shows_no_certificate_gets_nothing_out_of_a_proxy() {
    let scene = Scene::new().await;
    scene.change(&policy("{ name: all }")).await;
    assert_eq!(scene.get("/echo").await.status, 200);
    // In the clear, as to the application itself.
    let mut stream = TcpStream::connect(scene.hbone).await.expect("the proxy listens");
    stream.write_all(b"GET /echo HTTP/1.1\r\nHost: orders\r\n\r\n").await.expect("it takes bytes");
    let mut said = Vec::new();
    let _reset = stream.read_to_end(&mut said).await;
    assert!(!String::from_utf8_lossy(&said).contains("HTTP/"), "{said:?}");
    assert_eq!(scene.origin.count(), 1);
}

#[tokio::test]
async fn a_proxy_speaks_for_its_own_workload_alone() {
    let scene = Scene::new().await;
    let fleet = &scene.fleet;
    // One that nobody wrote, and one that runs in another cluster.
    for (cluster, name) in [("local", "shop/catalog-1"), ("west", "shop/orders-1")] {
        let proxy = fleet.join_in(cluster, Kind::Mesh, name).await;
        let shown = proxy.admin("/config").await.expect("/config answers").json();
        assert!(shown["inForce"]["speaksAs"].is_null(), "{shown:#}");
        assert!(!proxy.stderr().contains("speaks in the mesh"), "{}", proxy.stderr());
    }
}

#[tokio::test]
async fn a_proxy_that_starts_without_its_server_speaks_by_what_it_kept() {
    let mut scene = Scene::new().await;
    scene.change(&policy(GATEWAY)).await;
    assert_eq!(scene.get("/echo").await.status, 200);
    scene.proxy.stop().await;
    scene.fleet.kill().await;
    assert_eq!(scene.get("/echo").await.status, 503, "nobody is there");
    scene.proxy.respawn();
    scene.proxy.until_ready().await;
    until_speaking(&scene.proxy, "workload shop/orders of local").await;
    assert_eq!(scene.get("/echo").await.status, 200);
}
