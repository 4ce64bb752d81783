//! From one application to another: each through its own proxy, by who sends.

use std::net::{Ipv4Addr, SocketAddr};

use e2e::client::{Reply, nothing, request};
use e2e::fleet::{Kind, Plan};
use e2e::program::free_port;
use e2e::{Connection, Joined, wait};
use http::Request;
use serde_json::{Value, json};

use crate::scene::{HOST, Scene, policy, storefront, until_speaking};

const FRONT: &str =
    "{ name: front, when: { workloads: [{ cluster: local, serviceAccount: storefront }] } }";

/// What an application gets that calls `host` through its proxy.
async fn call(proxy: SocketAddr, host: &str, path: &str) -> Reply {
    let asked = request("GET", host, path).body(nothing()).expect("a well-formed request");
    let mut connection = Connection::h1(proxy).await.expect("the proxy listens");
    connection.send(asked).await.expect("an answer")
}

#[tokio::test]
async fn an_application_calls_another_by_name_as_itself() {
    let scene = Scene::new().await;
    let (hbone, outbound) = (free_port(), free_port());
    scene.change(&(storefront(hbone, outbound) + &policy(FRONT))).await;
    let front = scene.fleet.join_in("local", Kind::Mesh, "shop/front-1").await;
    until_speaking(&front, "workload shop/storefront of local").await;
    let proxy = SocketAddr::from(([127, 0, 0, 1], outbound));
    for host in ["orders", "orders.shop", "orders.shop.svc.cluster.local:80"] {
        let served = call(proxy, host, "/echo").await;
        assert_eq!((served.status, served.header("x-origin")), (200, "orders"), "{host}");
    }
    // As programs do that are told of a proxy: the whole URL in the request's first line.
    let whole = Request::get("http://orders.shop/echo").header("host", "orders.shop");
    let mut connection = Connection::h1(proxy).await.expect("the proxy listens");
    let served = connection.send(whole.body(nothing()).unwrap()).await.expect("an answer");
    assert_eq!(served.status, 200);
    let before = scene.origin.count();
    // The edge is somebody else, and so is whoever nobody knows.
    assert_eq!(scene.get("/echo").await.status, 403);
    let unknown = call(proxy, "shop.example.com", "/echo").await;
    assert_eq!((unknown.status, unknown.json()["reason"].as_str()), (404, Some("no_route")));
    assert_eq!(scene.origin.count(), before);
    e2e::wait::until_true("the peer in the access log of the one who was called", || {
        scene.proxy.access_log().contains(r#""peer":"workload shop/storefront of local""#)
    })
    .await;
}

/// The one policy of the route at the edge and of the Service: these paths alone.
fn at_both(path: &str) -> String {
    format!(
        "apiVersion: heddle.dev/v1alpha1\nkind: AccessPolicy\n\
         metadata: {{ name: open-edge, namespace: shop }}\nspec:\n  \
         targetRefs: [{{ kind: HTTPRoute, name: orders }}, {{ kind: Service, name: orders }}]\n  \
         rules: [{{ name: all, when: {{ paths: [{{ value: {path} }}] }} }}]\n---\n"
    )
}

/// What the server knows of the decision at a node.
async fn decision(scene: &Scene, reply: &Reply, node: &Joined) -> Value {
    let path = format!("/requests/{}", reply.header("x-request-id"));
    wait::until(&format!("{path} at {}", node.name()), || async {
        let told = scene.fleet.get_as(scene.fleet.token(), &path).await.ok()?.json();
        let mut hops = told["hops"].as_array()?.iter();
        hops.find(|hop| hop["node"]["name"] == node.name()).cloned()
    })
    .await
}

/// Sees that a node itself let a request pass or denied it, by the workspace as of a revision.
async fn decides(scene: &Scene, reply: &Reply, node: &Joined, revision: i64) {
    let hop = decision(scene, reply, node).await;
    let (reason, policy) = match reply.status {
        200 => ("ok", json!("open-edge")),
        _ => ("access_denied", Value::Null),
    };
    assert_eq!((&hop["reason"], &hop["policy"]["name"]), (&json!(reason), &policy), "{hop:#}");
    let mut ran = hop["vector"].as_array().into_iter().flatten();
    let ran = ran.find(|one| one["scope"] == "workspace/shop").expect("the scope of the shop");
    assert_eq!(ran["revision"], revision, "{hop:#}");
}

#[tokio::test]
async fn one_edit_of_one_policy_changes_an_answer_at_the_edge_and_between_applications() {
    let node_arguments = ["--decision-ratio", "1"].map(str::to_owned).to_vec();
    let scene = Scene::with(Plan { node_arguments, ..Plan::default() }).await;
    let outbound = free_port();
    scene.change(&storefront(free_port(), outbound)).await;
    let front = scene.fleet.join_in("local", Kind::Mesh, "shop/front-1").await;
    until_speaking(&front, "workload shop/storefront of local").await;
    let proxy = SocketAddr::from(([127, 0, 0, 1], outbound));
    // The gateway decides the one, and the proxy of who is called the other.
    let statuses = async |path: &str, revision: i64| {
        let (edge, inside) = (scene.get(path).await, call(proxy, "orders", path).await);
        decides(&scene, &edge, &scene.gateway, revision).await;
        decides(&scene, &inside, &scene.proxy, revision).await;
        (edge.status, inside.status)
    };
    for (open, closed) in [("/status/200", "/echo"), ("/echo", "/status/200")] {
        let revision = scene.change(&at_both(open)).await;
        assert_eq!(statuses(open, revision).await, (200, 200), "{open}");
        let before = scene.origin.count();
        assert_eq!(statuses(closed, revision).await, (403, 403), "{closed}");
        assert_eq!(scene.origin.count(), before);
    }
}

#[tokio::test]
async fn who_the_client_is_counts_from_a_gateway_and_not_from_a_workload() {
    let scene = Scene::new().await;
    let outbound = free_port();
    let inside = "{ name: inside, when: { sources: [127.0.0.2/32] } }";
    scene.change(&(storefront(free_port(), outbound) + &policy(inside))).await;
    let front = scene.fleet.join_in("local", Kind::Mesh, "shop/front-1").await;
    until_speaking(&front, "workload shop/storefront of local").await;
    let proxy = SocketAddr::from(([127, 0, 0, 1], outbound));
    let inside = Ipv4Addr::new(127, 0, 0, 2);
    for (from, to, host, wanted) in [
        (inside, scene.web, HOST, 200),
        (Ipv4Addr::LOCALHOST, scene.web, HOST, 403),
        (inside, proxy, "orders", 403),
    ] {
        let mut connection = Connection::h1_from(from, to).await.expect("it listens");
        let asked = request("GET", host, "/echo").body(nothing()).expect("a well-formed request");
        let reply = connection.send(asked).await.expect("an answer");
        assert_eq!(reply.status, wanted, "{host} from {from}: {}", reply.text());
    }
}
