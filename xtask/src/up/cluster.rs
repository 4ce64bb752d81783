//! The clusters of the demo: which programs run in each, and on which ports.

use std::path::Path;

use super::process::Spec;

/// Both clusters, in the order in which they start.
pub(super) const CLUSTERS: [Cluster; 2] =
    [Cluster { name: "east", nth: 0 }, Cluster { name: "west", nth: 1 }];

/// The gateway's name in its cluster.
pub(super) const GATEWAY: &str = "edge";

/// The bookshop's services, in the order in which one needs the other.
const SERVICES: [Service; 4] = [
    Service { name: "catalog-v1", kind: "catalog", version: "v1", nth: 2, calls: None },
    Service { name: "catalog-v2", kind: "catalog", version: "v2", nth: 3, calls: None },
    Service {
        name: "orders",
        kind: "orders",
        version: "v1",
        nth: 1,
        calls: Some(("--catalog", "http://catalog-v1")),
    },
    Service {
        name: "storefront",
        kind: "storefront",
        version: "v1",
        nth: 0,
        calls: Some(("--orders", "http://orders")),
    },
];

/// A cluster of the demo.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cluster {
    pub(super) name: &'static str,
    /// Ports of the second one lie above those of the first.
    nth: u16,
}

/// A service of the bookshop; its ports are those of `examples/bookshop/mesh.yaml` and `west.yaml`.
#[derive(Debug, Clone, Copy)]
struct Service {
    name: &'static str,
    kind: &'static str,
    version: &'static str,
    nth: u16,
    /// By which argument it is told whom to call.
    calls: Option<(&'static str, &'static str)>,
}

/// A node that is to join, and how it is started once it may.
pub(super) struct Joins {
    /// `gateway` or `mesh`.
    pub(super) kind: &'static str,
    /// The name by which it joins.
    pub(super) name: String,
    pub(super) cluster: &'static str,
    /// Where it keeps who it is.
    pub(super) state: std::path::PathBuf,
    pub(super) spec: Spec,
}

impl Cluster {
    pub(super) fn http(self) -> u16 {
        8080 + 100 * self.nth
    }

    pub(super) fn https(self) -> u16 {
        8443 + 100 * self.nth
    }

    /// The admin port of the gateway; those of the proxies follow.
    pub(super) fn admin(self) -> u16 {
        9901 + 10 * self.nth
    }

    /// Where what the storefront (0) or the orders (1) ask of others goes.
    pub(super) fn outbound(self, service: u16) -> u16 {
        15031 + 100 * self.nth + service
    }

    /// The services without their proxies.
    pub(super) fn services(self) -> Vec<Spec> {
        SERVICES.iter().map(|service| self.service(service)).collect()
    }

    /// People who look in at the shop through its gateway.
    pub(super) fn visitors(self) -> Spec {
        let listen = format!("127.0.0.1:{}", 9105 + 100 * self.nth);
        let gateway = format!("127.0.0.1:{}", self.http());
        let mut args = words(&["--service", "visitors", "--listen", &listen]);
        args.extend(words(&["--cluster", self.name, "--proxy", &gateway]));
        args.extend(words(&["--shop", "http://bookshop.localhost"]));
        self.shop("visitors", listen, args)
    }

    fn service(self, service: &Service) -> Spec {
        let listen = format!("127.0.0.1:{}", 9101 + 100 * self.nth + service.nth);
        let mut args = words(&["--service", service.kind, "--listen", &listen]);
        args.extend(words(&["--version", service.version, "--cluster", self.name]));
        if let Some((word, url)) = service.calls {
            let proxy = format!("127.0.0.1:{}", self.outbound(service.nth));
            args.extend(words(&["--proxy", &proxy, word, url]));
        }
        self.shop(service.name, listen, args)
    }

    /// A program of the bookshop.
    fn shop(self, name: &str, listen: String, args: Vec<String>) -> Spec {
        Spec {
            name: format!("{name}-{}", self.name),
            cluster: Some(self.name),
            kind: "service",
            program: "bookshop",
            args,
            env: Vec::new(),
            ready: listen,
            ready_path: "/healthz",
        }
    }

    /// The gateway, and a proxy beside each service.
    pub(super) fn nodes(self, data: &Path) -> Vec<Joins> {
        let proxies = SERVICES.iter().map(|service| self.proxy(service, data));
        std::iter::once(self.gateway(data)).chain(proxies).collect()
    }

    fn gateway(self, data: &Path) -> Joins {
        let name = format!("gateway-{}", self.name);
        self.node(data, &name, "gateway", GATEWAY, &words(&["--name", GATEWAY]), self.admin())
    }

    fn proxy(self, service: &Service, data: &Path) -> Joins {
        let workload = format!("{}-{}", service.name, self.nth + 1);
        let name = format!("mesh-{}-{}", service.name, self.name);
        let who = words(&["--workload", &format!("bookshop/{workload}")]);
        let admin = self.admin() + 1 + service.nth;
        self.node(data, &name, "mesh", &format!("bookshop.{workload}"), &who, admin)
    }

    fn node(
        self,
        data: &Path,
        name: &str,
        kind: &'static str,
        joins_as: &str,
        who: &[String],
        admin: u16,
    ) -> Joins {
        let (state, admin) = (data.join(name), format!("127.0.0.1:{admin}"));
        let log = data.join(format!("access-{name}.log")).display().to_string();
        let state_shown = state.display().to_string();
        let joined = ["--server", "127.0.0.1:7081", "--state", &state_shown];
        let seen = ["--admin", &admin, "--access-log", &log, "--decision-ratio", "1"];
        let spec = Spec {
            name: name.to_owned(),
            cluster: Some(self.name),
            kind,
            program: if kind == "mesh" { "heddle-mesh" } else { "heddle-gateway" },
            args: [who.to_vec(), words(&joined), words(&seen)].concat(),
            env: Vec::new(),
            ready: admin,
            ready_path: "/readyz",
        };
        Joins { kind, name: joins_as.to_owned(), cluster: self.name, state, spec }
    }
}

pub(super) fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
