//! For whom an application asks: carried from the edge to whoever is asked last, and never borrowed.

use std::net::SocketAddr;

use e2e::client::{Reply, nothing, request};
use e2e::fleet::{Fleet, Kind, Plan};
use e2e::program::free_port;
use e2e::soak::count;
use e2e::{Connection, Joined, Origin};
use futures::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::scene::{HOST, edge, until_speaking};

const CLERK: &str = "clerk-0123456789abcdef";
const READER: &str = "reader-0123456789abcdef";
const TRACE: &str = "traceparent";
const PASSPORT: &str = "heddle-passport";

/// A storefront that anybody with a key may call, orders that it may ask for clerks alone, and one
/// more application that may call the storefront.
struct Scene {
    fleet: Fleet,
    front: Origin,
    orders: Origin,
    web: SocketAddr,
    /// Where the storefront, and the other application, send what they ask of others.
    front_sends: SocketAddr,
    other_sends: SocketAddr,
    nodes: Vec<Joined>,
}

impl Scene {
    async fn new() -> Self {
        let (fleet, front) = (Fleet::start(Plan::default()).await, Origin::start("front").await);
        let orders = Origin::start("orders").await;
        let loopback = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let [web, front_sends, other_sends] = [0; 3].map(|_| loopback(free_port()));
        let text = edge(web.port())
            + &shop()
            + &workload("front", front.address.port(), front_sends.port())
            + &workload("orders", orders.address.port(), free_port())
            + &workload("other", 9, other_sends.port());
        fleet.change(&text).await;
        let mut nodes = vec![fleet.join_in("local", Kind::Gateway, "edge").await];
        until_speaking(&nodes[0], "gateway edge of local").await;
        for name in ["front", "orders", "other"] {
            let node = fleet.join_in("local", Kind::Mesh, &format!("shop/{name}")).await;
            until_speaking(&node, &format!("workload shop/{name} of local")).await;
            nodes.push(node);
        }
        Scene { fleet, front, orders, web, front_sends, other_sends, nodes }
    }

    /// A request at the edge, from somebody with a key.
    async fn get(&self, path: &str, key: &str, headers: &[(&str, &str)]) -> Reply {
        let headers = [&[("x-api-key", key)], headers].concat();
        send(self.web, HOST, path, &headers).await
    }

    /// One that is under way at the storefront until the gate opens, and what the storefront was
    /// told as its trace.
    async fn under_way(&self, key: &'static str) -> (JoinHandle<Reply>, String) {
        let (before, web) = (self.front.count(), self.web);
        let sent =
            tokio::spawn(async move { send(web, HOST, "/gate", &[("x-api-key", key)]).await });
        e2e::wait::until_true("the request at the storefront", || self.front.count() > before)
            .await;
        (sent, self.front.last().header(TRACE).to_owned())
    }

    /// What the storefront gets that asks for orders under a trace.
    async fn asks(&self, trace: &str) -> u16 {
        self.asks_with(&[(TRACE, trace)]).await
    }

    async fn asks_with(&self, headers: &[(&str, &str)]) -> u16 {
        send(self.front_sends, "orders", "/echo", headers).await.status
    }
}

async fn send(to: SocketAddr, host: &str, path: &str, headers: &[(&str, &str)]) -> Reply {
    let mut asked = request("GET", host, path);
    for (name, value) in headers {
        asked = asked.header(*name, *value);
    }
    let mut connection = Connection::h1(to).await.expect("it listens");
    connection.send(asked.body(nothing()).expect("a request")).await.expect("an answer")
}

fn shop() -> String {
    let service = |name: &str| {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{ name: {name}, namespace: shop }}\nspec:\n  \
             selector: {{ app: {name} }}\n  ports: [{{ port: 80, targetPort: http }}]\n---\n"
        )
    };
    let keys = "  credentials: { apiKey: { header: x-api-key, secretRef: { name: keys } } }\n  \
                rules: [{ name: known, when: { callers: [{}] } }]\n";
    let front = "  rules:\n    - { name: edge, when: { workloads: [{ cluster: local, gateway: edge }] } }\n    \
                 - { name: other, when: { workloads: [{ cluster: local, serviceAccount: other }] } }\n";
    "apiVersion: heddle.dev/v1alpha1\nkind: Workspace\nmetadata: { name: shop }\n\
     spec: { namespaces: [shop] }\n---\n"
        .to_owned()
        + &service("front")
        + &service("orders")
        + &format!(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n\
             metadata: {{ name: front, namespace: shop }}\nspec:\n  \
             parentRefs: [{{ name: edge, namespace: platform }}]\n  hostnames: [{HOST}]\n  rules:\n    \
             - backendRefs: [{{ name: front, port: 80 }}]\n---\n\
             apiVersion: v1\nkind: Secret\nmetadata: {{ name: keys, namespace: shop }}\n\
             stringData: {{ clerk: {CLERK}, reader: {READER} }}\n---\n"
        )
        + &policy("edge", "HTTPRoute, name: front", keys)
        + &policy("front", "Service, name: front", front)
        + &orders("callers: [{ apiKey: clerk }]")
}

/// The policy of the orders, for the storefront that asks for somebody.
fn orders(callers: &str) -> String {
    let rule = format!(
        "  rules:\n    - name: for-users\n      when:\n        \
         workloads: [{{ cluster: local, serviceAccount: front }}]\n        {callers}\n"
    );
    policy("orders", "Service, name: orders", &rule)
}

fn policy(name: &str, target: &str, spec: &str) -> String {
    format!(
        "apiVersion: heddle.dev/v1alpha1\nkind: AccessPolicy\n\
         metadata: {{ name: {name}, namespace: shop }}\nspec:\n  \
         targetRefs: [{{ kind: {target} }}]\n{spec}---\n"
    )
}

fn workload(name: &str, port: u16, outbound: u16) -> String {
    format!(
        "apiVersion: heddle.dev/v1alpha1\nkind: Workload\nmetadata:\n  name: {name}\n  \
         namespace: shop\n  labels: {{ app: {name} }}\nspec:\n  cluster: local\n  \
         serviceAccount: {name}\n  address: 127.0.0.1\n  ports: [{{ name: http, port: {port} }}]\n  \
         mesh: {{ port: {}, outbound: {outbound} }}\n---\n",
        free_port()
    )
}

/// The id in a `traceparent`.
fn id(trace: &str) -> &str {
    trace.split('-').nth(1).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_is_known_to_whom_their_application_asks_and_to_nobody_before_or_after() {
    let scene = Scene::new().await;
    let (sent, trace) = scene.under_way(CLERK).await;
    assert_eq!(scene.asks(&trace).await, 200);
    // No application ever holds one.
    for seen in [scene.front.last(), scene.orders.last()] {
        assert!(!seen.headers.contains_key(PASSPORT), "{:?}", seen.headers);
    }
    let orders = &scene.nodes[2];
    e2e::wait::until_true("the user in the log of the orders' proxy", || {
        let log = orders.access_log();
        log.contains(r#""principal":"apikey:clerk""#) && log.contains(id(&trace))
    })
    .await;
    let before = scene.orders.count();
    // A trace that was dropped, or made up, or one with a passport that was made up.
    let made_up = format!("00-{}-00f067aa0ba902b7-01", "ab".repeat(16));
    assert_eq!(scene.asks_with(&[]).await, 403);
    assert_eq!(scene.asks(&made_up).await, 403);
    assert_eq!(scene.asks_with(&[(TRACE, &made_up), (PASSPORT, "a.b.c.d")]).await, 403);
    assert_eq!(scene.orders.count(), before);
    // A user whom the rule does not name.
    let (other, reader) = scene.under_way(READER).await;
    assert_eq!(scene.asks(&reader).await, 403);
    // Over, but for a moment; then it tells for nobody.
    scene.front.open_gate();
    for reply in [sent.await, other.await] {
        assert_eq!(reply.expect("it was sent").status, 200);
    }
    assert_eq!(scene.asks(&trace).await, 200);
    e2e::wait::until("the trace to tell for nobody", || async {
        (scene.asks(&trace).await == 403).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_served_as_somebody_whose_request_is_under_way() {
    let scene = Scene::new().await;
    let (sent, trace) = scene.under_way(CLERK).await;
    let (mut as_clerk, tries) = (0, count(50));
    for _ in 0..tries {
        // From outside, with the trace and a passport that is none; from another application.
        let outside = [(TRACE, &*trace), (PASSPORT, "a.b.c.d")];
        let from_outside = scene.get("/echo", READER, &outside).await;
        let at_front = scene.front.last();
        let from_inside = send(scene.other_sends, "front", "/echo", &[(TRACE, &trace)]).await;
        assert_eq!((from_outside.status, from_inside.status), (200, 200));
        for seen in [at_front, scene.front.last()] {
            let shown = seen.header(TRACE).to_owned();
            assert_ne!(id(&shown), id(&trace));
            assert!(!seen.headers.contains_key(PASSPORT));
            as_clerk += u32::from(scene.asks(&shown).await != 403);
        }
        // The other application itself may not even ask.
        let direct = send(scene.other_sends, "orders", "/echo", &[(TRACE, &trace)]).await;
        as_clerk += u32::from(direct.status != 403);
    }
    println!("{tries} tries of each kind, {as_clerk} served as the user");
    assert_eq!((as_clerk, scene.orders.count()), (0, 0));
    // Nor did they take anything from whose request it is.
    assert_eq!(scene.asks(&trace).await, 200);
    scene.front.open_gate();
    assert_eq!(sent.await.expect("it was sent").status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_of_a_user_outlives_a_change_and_ends_with_the_rule_that_let_it_in() {
    let scene = Scene::new().await;
    let (sent, trace) = scene.under_way(CLERK).await;
    let mut asked = "ws://orders/ws".into_client_request().expect("a request");
    asked.headers_mut().insert(TRACE, trace.parse().expect("a header's value"));
    let stream = TcpStream::connect(scene.front_sends).await.expect("the proxy listens");
    let (mut socket, _) = tokio_tungstenite::client_async(asked, stream).await.expect("a tunnel");
    let mut echoed = async |words: &str| {
        socket.send(Message::text(words)).await.expect("it is open");
        let back = e2e::wait::within("the echo", socket.next()).await;
        matches!(back, Some(Ok(back)) if back == Message::text(words))
    };
    assert!(echoed("one").await);
    let revision =
        scene.fleet.change(&orders("callers: [{ apiKey: clerk }, { apiKey: reader }]")).await;
    scene.fleet.until_everywhere(revision).await;
    assert!(echoed("two").await);
    let revision = scene.fleet.change(&orders("callers: [{ apiKey: reader }]")).await;
    scene.fleet.until_everywhere(revision).await;
    let ended = e2e::wait::within("the end", socket.next()).await;
    assert!(!matches!(ended, Some(Ok(Message::Text(_)))), "{ended:?}");
    scene.front.open_gate();
    sent.await.expect("it was sent");
}
