//! Two workspaces behind one gateway, and callers that never stop.

use std::net::SocketAddr;
use std::time::Duration;

use e2e::load::{Plan as Load, Protocol, Tally};
use e2e::program::free_port;
use e2e::{Fleet, Joined, Origin, fleet};
use tokio::task::JoinHandle;

/// The host of the workspace `shop`.
pub(crate) const SHOP: &str = "shop.example.com";
/// The host of the workspace `bank`.
pub(crate) const BANK: &str = "bank.example.com";

/// A fleet with one gateway, an origin, and a route in each of two workspaces.
pub(crate) struct Scene {
    pub(crate) fleet: Fleet,
    pub(crate) gateway: Joined,
    pub(crate) origin: Origin,
    /// Where the gateway serves.
    pub(crate) web: SocketAddr,
}

impl Scene {
    pub(crate) async fn new(plan: fleet::Plan) -> Self {
        let (fleet, origin) = (Fleet::start(plan).await, Origin::start("shop").await);
        let web = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let text = people() + &gateway(web.port()) + &routes(0) + &services(&origin);
        let revision = fleet.change(&text).await;
        let gateway = fleet.join("edge").await;
        fleet.until_everywhere(revision).await;
        Scene { fleet, gateway, origin, web }
    }

    /// Requests at a fixed rate for some time.
    pub(crate) fn load(&self, host: &str, rate: f64, lasting: Duration) -> JoinHandle<Tally> {
        let load = Load {
            target: self.web,
            protocol: Protocol::H1,
            host: host.to_owned(),
            path: "/".to_owned(),
            body: None,
            ca: None,
            connections: 8,
            rate,
            warmup: Duration::ZERO,
            duration: lasting,
        };
        tokio::task::spawn_blocking(move || load.run().expect("the load is well formed"))
    }
}

/// Nothing failed, and something was served.
pub(crate) fn clean(tally: &Tally) {
    assert!(tally.is_clean() && tally.latency.total() > 0, "{}", tally.to_json());
}

fn people() -> String {
    let workspace = |name: &str, member: &str| {
        format!(
            "apiVersion: heddle.dev/v1alpha1\nkind: Workspace\nmetadata: {{ name: {name} }}\n\
             spec: {{ access: open }}\n---\n\
             apiVersion: heddle.dev/v1alpha1\nkind: Team\nmetadata: {{ name: {name}-team }}\n\
             spec: {{ members: [{member}] }}\n---\n\
             apiVersion: heddle.dev/v1alpha1\nkind: Grant\n\
             metadata: {{ name: team, namespace: {name} }}\n\
             spec: {{ subjects: [{{ team: {name}-team }}], role: owner }}\n---\n"
        )
    };
    workspace("shop", "sara") + &workspace("bank", "bert")
}

fn gateway(port: u16) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n\
         metadata: {{ name: edge, namespace: platform }}\nspec:\n  gatewayClassName: heddle\n  \
         listeners:\n    - name: http\n      protocol: HTTP\n      port: {port}\n      \
         allowedRoutes: {{ namespaces: {{ from: All }} }}\n---\n"
    )
}

/// The routes of both workspaces, each of which says `version` in its answers.
pub(crate) fn routes(version: u64) -> String {
    route("shop", SHOP, version) + &route("bank", BANK, version)
}

/// A route of a workspace that says `version` in its answers.
pub(crate) fn route(workspace: &str, host: &str, version: u64) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n\
         metadata: {{ name: all, namespace: {workspace} }}\nspec:\n  \
         parentRefs: [{{ name: edge, namespace: platform }}]\n  hostnames: [{host}]\n  rules:\n    \
         - filters:\n        - type: ResponseHeaderModifier\n          \
         responseHeaderModifier: {{ set: [{{ name: x-version, value: 'v{version}' }}] }}\n      \
         backendRefs: [{{ name: app, port: 80 }}]\n---\n"
    )
}

fn services(origin: &Origin) -> String {
    service("shop", origin) + &service("bank", origin)
}

fn service(workspace: &str, origin: &Origin) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{ name: app, namespace: {workspace} }}\n\
         spec: {{ ports: [{{ port: 80 }}] }}\n---\n\
         apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata:\n  name: app-1\n  \
         namespace: {workspace}\n  labels: {{ kubernetes.io/service-name: app }}\n\
         addressType: IPv4\nports: [{{ port: {} }}]\nendpoints: [{{ addresses: ['{}'] }}]\n---\n",
        origin.address.port(),
        origin.address.ip()
    )
}
