//! An application of the workspace `shop` behind its proxy, and a gateway that leads there.

use std::net::SocketAddr;

use e2e::client::{Reply, nothing, request};
use e2e::fleet::{Fleet, Kind, Plan};
use e2e::program::free_port;
use e2e::{Connection, Joined, Origin};

/// The host of the shop.
pub(crate) const HOST: &str = "shop.example.com";

/// A free address of this machine.
pub(crate) fn somewhere() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], free_port()))
}

/// A fleet with one gateway, and the proxy of one workload.
pub(crate) struct Scene {
    pub(crate) fleet: Fleet,
    pub(crate) gateway: Joined,
    pub(crate) proxy: Joined,
    pub(crate) origin: Origin,
    /// Where the gateway serves.
    pub(crate) web: SocketAddr,
    /// Where the proxy takes connections of the mesh.
    pub(crate) hbone: SocketAddr,
}

impl Scene {
    pub(crate) async fn new() -> Self {
        Self::with(Plan::default()).await
    }

    pub(crate) async fn with(plan: Plan) -> Self {
        let (fleet, origin) = (Fleet::start(plan).await, Origin::start("orders").await);
        let (web, hbone) = (somewhere(), somewhere());
        let text = edge(web.port()) + &shop() + &workload("orders-1", "local", &origin, hbone);
        fleet.change(&text).await;
        let gateway = fleet.join_in("local", Kind::Gateway, "edge").await;
        let proxy = fleet.join_in("local", Kind::Mesh, "shop/orders-1").await;
        let scene = Scene { fleet, gateway, proxy, origin, web, hbone };
        until_speaking(&scene.gateway, "gateway edge of local").await;
        until_speaking(&scene.proxy, "workload shop/orders of local").await;
        scene
    }

    /// Makes a change, and waits until every node has it; its revision.
    pub(crate) async fn change(&self, text: &str) -> i64 {
        let revision = self.fleet.change(text).await;
        self.fleet.until_everywhere(revision).await;
        revision
    }

    /// `GET http://HOST/PATH` at the gateway.
    pub(crate) async fn get(&self, path: &str) -> Reply {
        let asked = request("GET", HOST, path).body(nothing()).expect("a well-formed request");
        let mut connection = Connection::h1(self.web).await.expect("the gateway listens");
        connection.send(asked).await.expect("an answer")
    }
}

/// Waits until a node speaks in the mesh.
pub(crate) async fn until_speaking(node: &Joined, whom: &str) {
    e2e::wait::until(&format!("speaking as {whom}; {}", node.stderr()), || async {
        let shown = node.admin("/config").await.ok()?.json();
        (shown["inForce"]["speaksAs"] == whom).then_some(())
    })
    .await;
}

pub(crate) fn edge(port: u16) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n\
         metadata: {{ name: edge, namespace: platform }}\nspec:\n  gatewayClassName: heddle\n  \
         listeners:\n    - name: http\n      protocol: HTTP\n      port: {port}\n      \
         allowedRoutes: {{ namespaces: {{ from: All }} }}\n---\n"
    )
}

/// The workspace, which denies what no policy speaks of, its Service, and a route that is open at
/// the edge.
fn shop() -> String {
    let route = format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n\
         metadata: {{ name: orders, namespace: shop }}\nspec:\n  \
         parentRefs: [{{ name: edge, namespace: platform }}]\n  hostnames: [{HOST}]\n  rules:\n    \
         - backendRefs: [{{ name: orders, port: 80 }}]\n---\n\
         apiVersion: heddle.dev/v1alpha1\nkind: AccessPolicy\n\
         metadata: {{ name: open-edge, namespace: shop }}\nspec:\n  \
         targetRefs: [{{ kind: HTTPRoute, name: orders }}]\n  rules: [{{ name: all }}]\n---\n"
    );
    workspace(&["orders"]) + &route
}

/// The workspace, with Services of these names.
pub(crate) fn workspace(services: &[&str]) -> String {
    let service = |name: &&str| {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{ name: {name}, namespace: shop }}\nspec:\n  \
             selector: {{ app: {name} }}\n  ports: [{{ port: 80, targetPort: http }}]\n---\n"
        )
    };
    let workspace = "apiVersion: heddle.dev/v1alpha1\nkind: Workspace\nmetadata: { name: shop }\n\
                     spec: { namespaces: [shop] }\n---\n";
    workspace.to_owned() + &services.iter().map(service).collect::<String>()
}

/// The storefront, which is there to call: its proxy takes what it sends at `outbound`.
pub(crate) fn storefront(hbone: u16, outbound: u16) -> String {
    format!(
        "apiVersion: heddle.dev/v1alpha1\nkind: Workload\nmetadata:\n  name: front-1\n  \
         namespace: shop\nspec:\n  cluster: local\n  serviceAccount: storefront\n  \
         address: 127.0.0.1\n  ports: [{{ port: 9 }}]\n  \
         mesh: {{ port: {hbone}, outbound: {outbound} }}\n---\n"
    )
}

/// A copy of the application in a cluster, behind a proxy.
pub(crate) fn workload(name: &str, cluster: &str, origin: &Origin, hbone: SocketAddr) -> String {
    format!(
        "apiVersion: heddle.dev/v1alpha1\nkind: Workload\nmetadata:\n  name: {name}\n  \
         namespace: shop\n  labels: {{ app: orders }}\nspec:\n  cluster: {cluster}\n  \
         serviceAccount: orders\n  address: 127.0.0.1\n  \
         ports: [{{ name: http, port: {} }}]\n  mesh: {{ port: {} }}\n---\n",
        origin.address.port(),
        hbone.port()
    )
}

/// A policy of the Service, with one rule.
pub(crate) fn policy(rule: &str) -> String {
    format!(
        "apiVersion: heddle.dev/v1alpha1\nkind: AccessPolicy\n\
         metadata: {{ name: orders, namespace: shop }}\nspec:\n  \
         targetRefs: [{{ kind: Service, name: orders }}]\n  rules:\n    - {rule}\n---\n"
    )
}
