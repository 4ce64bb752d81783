//! What routes that are attached to a Service do for its callers: two versions of an application behind
//! one name, and pages that are told what they may read.

use std::net::SocketAddr;

use e2e::Origin;
use e2e::client::{Reply, nothing, request};
use e2e::fleet::Kind;
use e2e::program::free_port;
use serde_json::json;

use crate::scene::{Scene, policy, storefront, until_speaking, workload};

const FRONT: &str =
    "{ name: front, when: { workloads: [{ cluster: local, serviceAccount: storefront }] } }";

/// Of a hundred calls of `/echo` ten go to the second version, and all that say so; `/old` was moved.
const SPLIT: &str = "\
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: split, namespace: shop }
spec:
  parentRefs: [{ group: '', kind: Service, name: orders }]
  rules:
    - matches: [{ headers: [{ name: x-canary, value: 'yes' }] }]
      backendRefs: [{ name: second, port: 80 }]
    - matches: [{ path: { value: /echo } }]
      backendRefs:
        - { name: orders, port: 80, weight: 90 }
        - { name: second, port: 80, weight: 10 }
    - matches: [{ path: { value: /old } }]
      filters:
        - type: RequestRedirect
          requestRedirect: { path: { type: ReplaceFullPath, replaceFullPath: /echo } }
---
";

/// The second version: a Workload, its Service, and who may call it.
fn second(origin: &Origin) -> String {
    let hbone = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let workload = workload("second-1", "local", origin, hbone);
    let service = "apiVersion: v1\nkind: Service\nmetadata: { name: second, namespace: shop }\n\
                   spec:\n  selector: { app: second }\n  \
                   ports: [{ port: 80, targetPort: http }]\n---\n";
    let policy = policy(FRONT).replace("name: orders", "name: second");
    workload.replace("app: orders", "app: second") + service + &policy
}

/// What the storefront gets of orders through its proxy.
async fn call(proxy: SocketAddr, path: &str, canary: bool) -> Reply {
    let mut asked = request("GET", "orders", path);
    if canary {
        asked = asked.header("x-canary", "yes");
    }
    let mut connection = e2e::Connection::h1(proxy).await.expect("the proxy listens");
    connection.send(asked.body(nothing()).expect("a well-formed request")).await.expect("an answer")
}

#[tokio::test]
async fn a_route_of_a_service_leads_its_callers_for_as_long_as_it_is_there() {
    let scene = Scene::new().await;
    let (origin, outbound) = (Origin::start("second").await, free_port());
    let apart = storefront(free_port(), outbound) + &second(&origin) + &policy(FRONT);
    scene.change(&apart).await;
    let front = scene.fleet.join_in("local", Kind::Mesh, "shop/front-1").await;
    until_speaking(&front, "workload shop/storefront of local").await;
    let proxy_of_second = scene.fleet.join_in("local", Kind::Mesh, "shop/second-1").await;
    until_speaking(&proxy_of_second, "workload shop/orders of local").await;
    let proxy = SocketAddr::from(([127, 0, 0, 1], outbound));
    assert_eq!(call(proxy, "/echo", true).await.header("x-origin"), "orders");
    assert_eq!(call(proxy, "/status/204", false).await.status, 204);

    scene.change(SPLIT).await;
    let canary = call(proxy, "/status/200", true).await;
    assert_eq!((canary.status, canary.header("x-origin")), (200, "second"), "{}", canary.text());
    let mut to_second = 0;
    for _ in 0..200 {
        let served = call(proxy, "/echo", false).await;
        assert_eq!(served.status, 200, "{}", served.text());
        to_second += usize::from(served.header("x-origin") == "second");
    }
    assert!((1..=60).contains(&to_second), "{to_second} of 200");
    let unmatched = call(proxy, "/status/204", false).await;
    assert_eq!((unmatched.status, unmatched.json()["reason"].as_str()), (404, Some("no_route")));
    let moved = call(proxy, "/old", false).await;
    assert_eq!((moved.status, moved.header("location")), (302, "http://orders/echo"));
    // The edge leads to the Service's endpoints, whatever its routes say; there nobody lets it in.
    let edge = scene.get("/status/204").await;
    assert_eq!((edge.status, edge.json()["reason"].as_str()), (403, Some("access_denied")));

    let gone = json!({ "kind": "HTTPRoute", "namespace": "shop", "name": "split" });
    let gone = scene.fleet.post("/changes", json!({ "edits": [{ "delete": gone }] })).await;
    let gone = gone.expect("an answer");
    assert!(matches!(gone.status, 200 | 201), "{}", gone.text());
    let revision = gone.json()["revision"].as_i64().expect("a revision");
    scene.fleet.until_everywhere(revision).await;
    assert_eq!(call(proxy, "/status/204", false).await.status, 204);
    for _ in 0..20 {
        assert_eq!(call(proxy, "/echo", true).await.header("x-origin"), "orders");
    }
}

/// Pages of one origin may read what orders answers.
const PAGES: &str = "\
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: pages, namespace: shop }
spec:
  parentRefs: [{ group: '', kind: Service, name: orders }]
  rules:
    - filters: [{ type: CORS, cors: { allowOrigins: ['https://pages.test'] } }]
      backendRefs: [{ name: orders, port: 80 }]
---
";

#[tokio::test]
async fn pages_are_told_in_the_mesh_as_at_the_edge_what_they_may_read() {
    let (scene, outbound) = (Scene::new().await, free_port());
    scene.change(&(storefront(free_port(), outbound) + PAGES)).await;
    let front = scene.fleet.join_in("local", Kind::Mesh, "shop/front-1").await;
    until_speaking(&front, "workload shop/storefront of local").await;
    let proxy = SocketAddr::from(([127, 0, 0, 1], outbound));
    let ask = async |method: &str, origin: &str| {
        let asked = request(method, "orders", "/echo").header("origin", origin);
        let asked = asked.header("access-control-request-method", "PUT").body(nothing());
        let mut connection = e2e::Connection::h1(proxy).await.expect("the proxy listens");
        let asked = asked.expect("a well-formed request");
        connection.send(asked).await.expect("an answer")
    };
    // Who is called lets nobody in, and a preflight does not get that far.
    for (origin, allowed) in [("https://pages.test", "https://pages.test"), ("null", "")] {
        for (method, status) in [("OPTIONS", 204), ("GET", 403)] {
            let reply = ask(method, origin).await;
            assert_eq!(reply.status, status, "{method} {}", reply.text());
            assert_eq!(reply.header("access-control-allow-origin"), allowed, "{method} {origin}");
        }
    }
    assert_eq!(scene.origin.count(), 0);
    scene.change(&policy(FRONT)).await;
    let reply = ask("GET", "https://pages.test").await;
    assert_eq!((reply.status, reply.header("x-origin")), (200, "orders"), "{}", reply.text());
    assert_eq!(reply.header("access-control-allow-origin"), "https://pages.test");
    assert_eq!(reply.header("vary"), "origin");
}
