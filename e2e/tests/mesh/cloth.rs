//! Three applications behind their proxies, and a gateway that leads to the first.

use std::net::SocketAddr;

use e2e::client::{Reply, nothing, request};
use e2e::fleet::{Fleet, Kind, Plan};
use e2e::people::heddle;
use e2e::program::{ended, free_port};
use e2e::{Connection, Joined, Origin};
use tokio::task::JoinHandle;

use crate::scene::{HOST, edge, somewhere, until_speaking, workspace};

pub(crate) const CLERK: &str = "clerk-0123456789abcdef";
pub(crate) const READER: &str = "reader-0123456789abcdef";
pub(crate) const TRACE: &str = "traceparent";
pub(crate) const PASSPORT: &str = "heddle-passport";

/// A storefront that anybody with a key may call, orders that it may ask for clerks alone, and one
/// more application that may call the storefront.
pub(crate) struct Cloth {
    pub(crate) fleet: Fleet,
    pub(crate) front: Origin,
    pub(crate) orders: Origin,
    pub(crate) web: SocketAddr,
    /// Where the storefront, and the other application, send what they ask of others.
    pub(crate) front_sends: SocketAddr,
    pub(crate) other_sends: SocketAddr,
    /// The gateway, then the proxies of the storefront, the orders and the other one.
    pub(crate) nodes: Vec<Joined>,
}

impl Cloth {
    pub(crate) async fn new() -> Self {
        // Of every request it is told why it passed.
        let node_arguments = ["--decision-ratio", "1"].map(str::to_owned).to_vec();
        Self::with(Plan { node_arguments, ..Plan::default() }).await
    }

    pub(crate) async fn with(plan: Plan) -> Self {
        let (fleet, front) = (Fleet::start(plan).await, Origin::start("front").await);
        let orders = Origin::start("orders").await;
        let [web, front_sends, other_sends] = [0; 3].map(|_| somewhere());
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
        Cloth { fleet, front, orders, web, front_sends, other_sends, nodes }
    }

    /// A request at the edge, from somebody with a key.
    pub(crate) async fn get(&self, path: &str, key: &str, headers: &[(&str, &str)]) -> Reply {
        let headers = [&[("x-api-key", key)], headers].concat();
        send(self.web, HOST, path, &headers).await
    }

    /// What `heddle explain` prints of a request.
    pub(crate) fn explained(&self, id: &str) -> String {
        let mut command = heddle(&self.fleet);
        let ended = ended(command.env("HEDDLE_TOKEN", self.fleet.token()).args(["explain", id]));
        assert_eq!(ended.code, 0, "{ended:?}");
        ended.stdout
    }

    /// One that is under way at the storefront until the gate opens, and what the storefront was
    /// told as its trace.
    pub(crate) async fn under_way(&self, key: &'static str) -> (JoinHandle<Reply>, String) {
        let (before, web) = (self.front.count(), self.web);
        let sent =
            tokio::spawn(async move { send(web, HOST, "/gate", &[("x-api-key", key)]).await });
        e2e::wait::until_true("the request at the storefront", || self.front.count() > before)
            .await;
        (sent, self.front.last().header(TRACE).to_owned())
    }

    /// What the storefront gets that asks for orders under a trace.
    pub(crate) async fn asks(&self, trace: &str) -> u16 {
        self.asks_with(&[(TRACE, trace)]).await
    }

    pub(crate) async fn asks_with(&self, headers: &[(&str, &str)]) -> u16 {
        send(self.front_sends, "orders", "/echo", headers).await.status
    }
}

pub(crate) async fn send(
    to: SocketAddr,
    host: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> Reply {
    let mut asked = request("GET", host, path);
    for (name, value) in headers {
        asked = asked.header(*name, *value);
    }
    let mut connection = Connection::h1(to).await.expect("it listens");
    connection.send(asked.body(nothing()).expect("a request")).await.expect("an answer")
}

pub(crate) fn shop() -> String {
    let keys = "  rules: [{ name: known, when: { callers: [{}] } }]\n";
    let front = "  rules:\n    - { name: edge, when: { workloads: [{ cluster: local, gateway: edge }] } }\n    \
                 - { name: other, when: { workloads: [{ cluster: local, serviceAccount: other }] } }\n";
    workspace(&["front", "orders"])
        + &format!(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n\
             metadata: {{ name: front, namespace: shop }}\nspec:\n  \
             parentRefs: [{{ name: edge, namespace: platform }}]\n  hostnames: [{HOST}]\n  rules:\n    \
             - backendRefs: [{{ name: front, port: 80 }}]\n---\n\
             apiVersion: v1\nkind: Secret\nmetadata: {{ name: keys, namespace: shop }}\n\
             stringData: {{ clerk: {CLERK}, reader: {READER} }}\n---\n\
             apiVersion: heddle.dev/v1alpha1\nkind: AuthnPolicy\n\
             metadata: {{ name: edge, namespace: shop }}\nspec:\n  \
             targetRefs: [{{ kind: HTTPRoute, name: front }}]\n  \
             methods: [{{ name: keys, apiKey: {{ secretRef: {{ name: keys }} }} }}]\n---\n"
        )
        + &policy("edge", "HTTPRoute, name: front", keys)
        + &policy("front", "Service, name: front", front)
        + &orders("callers: [{ apiKey: clerk }]")
}

/// The policy of the orders, for the storefront that asks for somebody.
pub(crate) fn orders(callers: &str) -> String {
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

pub(crate) fn workload(name: &str, port: u16, outbound: u16) -> String {
    format!(
        "apiVersion: heddle.dev/v1alpha1\nkind: Workload\nmetadata:\n  name: {name}\n  \
         namespace: shop\n  labels: {{ app: {name} }}\nspec:\n  cluster: local\n  \
         serviceAccount: {name}\n  address: 127.0.0.1\n  ports: [{{ name: http, port: {port} }}]\n  \
         mesh: {{ port: {}, outbound: {outbound} }}\n---\n",
        free_port()
    )
}
