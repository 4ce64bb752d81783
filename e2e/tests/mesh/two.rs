//! Two clusters under one server, each with a gateway and the bookshop behind proxies of its own.

use std::net::SocketAddr;

use e2e::Joined;
use e2e::app::App;
use e2e::fleet::{Fleet, Kind, Plan};
use e2e::program::free_port;

use crate::scene::{HOST, until_speaking};

/// The services, each with whom it calls.
const SERVICES: [(&str, Option<(&str, &str)>); 3] = [
    ("catalog", None),
    ("orders", Some(("--catalog", "http://catalog"))),
    ("storefront", Some(("--orders", "http://orders"))),
];

/// A server and two clusters.
pub(crate) struct Two {
    pub(crate) fleet: Fleet,
    pub(crate) east: Cluster,
    pub(crate) west: Cluster,
}

/// One of them.
pub(crate) struct Cluster {
    /// Where its gateway serves.
    pub(crate) web: SocketAddr,
    pub(crate) gateway: Joined,
    /// In the order of the services.
    pub(crate) apps: Vec<App>,
    pub(crate) proxies: Vec<Joined>,
}

/// Which ports a cluster has.
struct Ports {
    name: &'static str,
    web: u16,
    /// Of each service: its own, its proxy's, and where its proxy takes what it sends.
    services: Vec<[u16; 3]>,
}

impl Two {
    pub(crate) async fn new() -> Self {
        let node_arguments = ["--decision-ratio", "1"].map(str::to_owned).to_vec();
        let fleet = Fleet::start(Plan { node_arguments, ..Plan::default() }).await;
        let ports = ["east", "west"].map(Ports::new);
        let text = shop() + &ports.iter().map(Ports::objects).collect::<String>();
        fleet.change(&text).await;
        let [east, west] = &ports;
        let (east, west) = (Cluster::start(&fleet, east).await, Cluster::start(&fleet, west).await);
        Two { fleet, east, west }
    }

    pub(crate) fn webs(&self) -> [SocketAddr; 2] {
        [self.east.web, self.west.web]
    }
}

impl Cluster {
    async fn start(fleet: &Fleet, ports: &Ports) -> Self {
        let cluster = ports.name;
        let (mut apps, mut proxies) = (Vec::new(), Vec::new());
        for ((service, calls), [port, _, outbound]) in SERVICES.iter().zip(&ports.services) {
            let proxy = format!("127.0.0.1:{outbound}");
            let mut arguments = vec!["--service", service, "--cluster", cluster];
            if let Some((word, url)) = calls {
                arguments.extend(["--proxy", &proxy, word, url]);
            }
            apps.push(App::start(loopback(*port), &arguments).await);
            let workload = format!("shop/{service}-{cluster}");
            let node = fleet.join_in(cluster, Kind::Mesh, &workload).await;
            until_speaking(&node, &format!("workload shop/{service} of {cluster}")).await;
            proxies.push(node);
        }
        let gateway = fleet.join_in(cluster, Kind::Gateway, "edge").await;
        until_speaking(&gateway, &format!("gateway edge of {cluster}")).await;
        Cluster { web: loopback(ports.web), gateway, apps, proxies }
    }
}

impl Ports {
    fn new(name: &'static str) -> Self {
        let services = SERVICES.iter().map(|_| [(); 3].map(|()| free_port()));
        Ports { name, web: free_port(), services: services.collect() }
    }

    fn objects(&self) -> String {
        let (cluster, web) = (self.name, self.web);
        let gateway = format!(
            "apiVersion: heddle.dev/v1alpha1\nkind: Cluster\n\
             metadata: {{ name: {cluster}, labels: {{ shop: open }} }}\n---\n\
             apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata:\n  \
             name: {cluster}\n  namespace: platform\n  \
             labels: {{ heddle.dev/cluster: {cluster} }}\nspec:\n  gatewayClassName: heddle\n  \
             listeners:\n    - name: http\n      protocol: HTTP\n      port: {web}\n      \
             allowedRoutes: {{ namespaces: {{ from: All }} }}\n---\n"
        );
        let workloads = SERVICES.iter().zip(&self.services);
        let workloads = workloads.map(|((service, _), [port, hbone, outbound])| {
            format!(
                "apiVersion: heddle.dev/v1alpha1\nkind: Workload\nmetadata:\n  \
                 name: {service}-{cluster}\n  namespace: shop\n  labels: {{ app: {service} }}\n\
                 spec:\n  cluster: {cluster}\n  serviceAccount: {service}\n  address: 127.0.0.1\n  \
                 ports: [{{ name: http, port: {port} }}]\n  \
                 mesh: {{ port: {hbone}, outbound: {outbound} }}\n---\n"
            )
        });
        gateway + &workloads.collect::<String>()
    }
}

/// The shop: who may call whom, wherever the workspace is.
fn shop() -> String {
    let services = SERVICES.iter().map(|(service, _)| {
        let caller = match *service {
            "storefront" => "gateway: edge",
            "orders" => "serviceAccount: storefront",
            _ => "serviceAccount: orders",
        };
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{ name: {service}, namespace: shop }}\nspec:\n  \
             selector: {{ app: {service} }}\n  ports: [{{ port: 80, targetPort: http }}]\n---\n\
             apiVersion: heddle.dev/v1alpha1\nkind: AccessPolicy\n\
             metadata: {{ name: {service}, namespace: shop }}\nspec:\n  \
             targetRefs: [{{ group: \"\", kind: Service, name: {service} }}]\n  \
             rules: [{{ name: one, when: {{ methods: [GET], workloads: [{{ {caller} }}] }} }}]\n---\n"
        )
    });
    format!(
        "apiVersion: heddle.dev/v1alpha1\nkind: Workspace\nmetadata: {{ name: shop }}\n\
         spec: {{ namespaces: [shop], clusters: {{ shop: open }} }}\n---\n\
         apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n\
         metadata: {{ name: front, namespace: shop }}\nspec:\n  \
         parentRefs: [{{ name: east, namespace: platform }}, {{ name: west, namespace: platform }}]\n  \
         hostnames: [{HOST}]\n  rules: [{{ backendRefs: [{{ name: storefront, port: 80 }}] }}]\n---\n\
         apiVersion: heddle.dev/v1alpha1\nkind: AccessPolicy\n\
         metadata: {{ name: open-edge, namespace: shop }}\nspec:\n  \
         targetRefs: [{{ kind: HTTPRoute, name: front }}]\n  rules: [{{ name: all }}]\n---\n"
    ) + &services.collect::<String>()
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}
