//! Workload (`heddle.dev/v1alpha1`): one running copy of an application, and the proxy beside it.
//!
//! ```yaml
//! apiVersion: heddle.dev/v1alpha1
//! kind: Workload
//! metadata: { name: orders-1, namespace: shop, labels: { app: orders } }
//! spec:
//!   cluster: east
//!   serviceAccount: orders         # whom it speaks as: spiffe://east.TRUST/ns/shop/sa/orders
//!   address: 10.1.2.3
//!   ports: [{ name: http, port: 8080 }]
//!   mesh: { port: 15008, outbound: 15001 }
//! ```
//!
//! A Service of the same namespace whose selector fits the labels sends to it. With `mesh`, requests
//! reach it through its proxy alone, which is the node [`Workload::node`].

use std::collections::BTreeMap;
use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::identity::Peer;
use crate::invalid::Checker;
use crate::service::{
    AppProtocol, PROTOCOLS, Service, ServicePort, TargetPort, no_endpoint, speaks,
};
use crate::{Key, Kind, Meta, Name};

/// The port where proxies of the mesh take each other's connections, where none is written.
pub const HBONE: u16 = 15008;

/// A running copy of an application.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Workload {
    /// Who it is; its labels are what Services select by.
    pub metadata: Meta,
    /// What is known of it.
    pub spec: WorkloadSpec,
}

/// `spec` of a Workload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WorkloadSpec {
    /// The cluster that it runs in.
    pub cluster: Name,
    /// As whom it speaks; `default` where none is written. Workloads with the same one are the same
    /// to policies.
    #[serde(default = "service_account")]
    pub service_account: Name,
    /// The IP address by which others reach it, or its proxy.
    #[schemars(length(min = 1, max = 64))]
    pub address: String,
    /// The ports on which it listens: with a proxy on loopback, where that alone reaches it, else at its
    /// address.
    #[schemars(length(min = 1, max = 16))]
    pub ports: Vec<WorkloadPort>,
    /// The proxy beside it; reached plainly where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mesh: Option<WorkloadMesh>,
}

fn service_account() -> Name {
    Name::parse("default").expect("'default' is a name")
}

/// A port on which an application listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WorkloadPort {
    /// Its name, by which a Service's `targetPort` may mean it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// Its number.
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,
    /// What is spoken: `http` (also `kubernetes.io/ws`), `kubernetes.io/h2c`, or `tcp` for bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_protocol: Option<String>,
}

/// The proxy beside a workload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WorkloadMesh {
    /// The port at the workload's address where it takes HBONE; 15008 where none is written.
    #[serde(default = "hbone")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,
    /// The port on loopback where it takes what the application sends; nothing is taken where none is
    /// written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub outbound: Option<u16>,
    /// Ports on loopback that each lead to one port of a Service, for programs that know of no proxy. It
    /// has to be one that carries TCP.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub upstreams: Vec<Upstream>,
}

/// A port of loopback that leads to a Service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Upstream {
    /// The port on loopback.
    #[schemars(range(min = 1, max = 65535))]
    pub listen: u16,
    /// The namespace of the Service; the workload's own where none is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Name>,
    /// The Service.
    pub name: Name,
    /// The port of the Service.
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,
}

impl WorkloadMesh {
    /// The ports that the proxy takes for itself, each with the field that says so.
    pub fn ports(&self) -> impl Iterator<Item = (u16, String)> {
        let own = [(self.port, "port".to_owned())];
        let outbound = self.outbound.map(|port| (port, "outbound".to_owned()));
        let upstreams = self.upstreams.iter().enumerate();
        let upstreams = upstreams.map(|(at, one)| (one.listen, format!("upstreams[{at}].listen")));
        own.into_iter().chain(outbound).chain(upstreams)
    }
}

fn hbone() -> u16 {
    HBONE
}

impl Workload {
    /// Its address.
    pub fn address(&self) -> Option<IpAddr> {
        self.spec.address.parse().ok()
    }

    /// As whom it speaks.
    pub fn peer(&self) -> Peer {
        Peer::Workload {
            cluster: self.spec.cluster.clone(),
            namespace: self.metadata.namespace.clone(),
            service_account: self.spec.service_account.clone(),
        }
    }

    /// The name of its proxy among the nodes of its cluster: `NAMESPACE.NAME`, each of one label, so
    /// that no two workloads have one.
    pub fn node(&self) -> Option<Name> {
        let Meta { namespace, name, .. } = &self.metadata;
        self.spec.mesh.as_ref()?;
        let is_label = |name: &Name| !name.as_str().contains('.');
        (is_label(namespace) && is_label(name))
            .then(|| Name::parse(&format!("{namespace}.{name}")).ok())
            .flatten()
    }

    /// The Workload whose proxy a node of this name is.
    pub fn of_node(node: &Name) -> Option<Key> {
        let (namespace, name) =
            node.as_str().split_once('.').filter(|(_, name)| !name.contains('.'))?;
        Some(Key::new(Kind::Workload, Name::parse(namespace).ok()?, Name::parse(name).ok()?))
    }

    /// Whether a Service's selector means it; an empty one means nothing.
    pub fn is_selected(&self, service: &Service) -> bool {
        let (selector, labels) = (&service.spec.selector, &self.metadata.labels);
        service.metadata.namespace == self.metadata.namespace
            && !selector.is_empty()
            && selector.iter().all(|(label, value)| labels.get(label) == Some(value))
    }

    /// The port that a Service's port means: the one of that number or name, or the Service port's
    /// own number where no `targetPort` is written.
    pub fn port_of(&self, service: &ServicePort) -> Option<&WorkloadPort> {
        self.spec.ports.iter().find(|port| match &service.target_port {
            None => port.port == service.port,
            Some(TargetPort::Number(number)) => port.port == *number,
            Some(TargetPort::Name(name)) => {
                port.name.as_ref().is_some_and(|own| own.as_str() == name)
            }
        })
    }

    /// Reports what the schema cannot say.
    pub fn check(&self, at: &mut Checker) {
        let spec = &self.spec;
        if spec.mesh.is_some() && self.node().is_none() {
            let text = "a workload with a proxy has a name and a namespace without dots";
            at.within("metadata", |at| at.fault_in("name", text));
        }
        at.within("spec", |at| {
            if spec.cluster.as_str().contains('.') {
                at.fault_in("cluster", "a cluster's name is one label, without dots");
            }
            if self.address().is_none() {
                at.fault_in("address", format!("'{}' is no IP address", spec.address));
            } else if let Some(why) = no_endpoint(&spec.address) {
                at.fault_in("address", format!("'{}' {why}", spec.address));
            }
            at.each("ports", &spec.ports, |at, port| {
                if spec.ports.iter().filter(|other| other.port == port.port).count() > 1 {
                    at.fault_in("port", format!("port {} stands twice", port.port));
                }
                let named = |other: &&WorkloadPort| other.name == port.name;
                if port.name.is_some() && spec.ports.iter().filter(named).count() > 1 {
                    at.fault_in("name", "stands twice");
                }
                if port.speaks().is_none() {
                    at.fault_in("appProtocol", PROTOCOLS);
                }
                let mut taken = spec.mesh.iter().flat_map(WorkloadMesh::ports);
                if taken.any(|(taken, _)| taken == port.port) {
                    at.fault_in("port", "is a port of its proxy, too");
                }
            });
            at.within("mesh", |at| {
                let mut seen = BTreeMap::new();
                for (port, field) in spec.mesh.iter().flat_map(WorkloadMesh::ports) {
                    match seen.get(&port) {
                        Some(first) => at.fault_in(&field, format!("is the same as '{first}'")),
                        None => drop(seen.insert(port, field)),
                    }
                }
            });
        });
    }
}

impl WorkloadPort {
    /// What is spoken; `None` for a word that this version does not know.
    pub fn speaks(&self) -> Option<AppProtocol> {
        speaks(self.app_protocol.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workload(namespace: &str, name: &str, mesh: bool) -> Workload {
        let mut written = serde_json::json!({
            "metadata": { "name": name, "namespace": namespace, "labels": { "app": "orders" } },
            "spec": { "cluster": "east", "address": "127.0.0.1",
                "ports": [{ "name": "http", "port": 8080 }] },
        });
        if mesh {
            written["spec"]["mesh"] = serde_json::json!({});
        }
        serde_json::from_value(written).unwrap()
    }

    fn faults(workload: &Workload) -> Vec<String> {
        let mut at = Checker::default();
        workload.check(&mut at);
        at.faults().into_iter().map(|(path, reason)| format!("{path}: {reason}")).collect()
    }

    #[test]
    fn a_node_is_the_proxy_of_one_workload() {
        let orders = workload("shop", "orders-1", true);
        let node = orders.node().unwrap();
        assert_eq!(node.as_str(), "shop.orders-1");
        let key = Workload::of_node(&node).unwrap();
        assert_eq!(key.to_string(), "Workload shop/orders-1");
        assert_eq!(workload("shop", "orders-1", false).node(), None);
        for (namespace, name) in [("shop.x", "orders"), ("shop", "x.orders")] {
            let odd = workload(namespace, name, true);
            assert_eq!(odd.node(), None);
            assert_eq!(faults(&odd).len(), 1);
        }
        for word in ["orders", "shop.x.orders"] {
            assert_eq!(Workload::of_node(&Name::parse(word).unwrap()), None, "{word}");
        }
        assert_eq!(faults(&orders), [""; 0]);
    }

    #[test]
    fn a_service_means_workloads_by_labels_and_their_ports_by_number_or_name() {
        let orders = workload("shop", "orders-1", true);
        let service = |selector: serde_json::Value, target: serde_json::Value| -> Service {
            let port = serde_json::json!({ "port": 80, "targetPort": target });
            serde_json::from_value(serde_json::json!({
                "metadata": { "name": "orders", "namespace": "shop" },
                "spec": { "selector": selector, "ports": [port] },
            }))
            .unwrap()
        };
        let app = serde_json::json!({ "app": "orders" });
        for (selector, target, is_meant, port) in [
            (app.clone(), serde_json::json!(8080), true, Some(8080)),
            (app.clone(), serde_json::json!("http"), true, Some(8080)),
            (app, serde_json::Value::Null, true, None),
            (serde_json::json!({}), serde_json::json!(8080), false, Some(8080)),
            (serde_json::json!({ "app": "catalog" }), serde_json::json!(1), false, None),
            (serde_json::json!({ "app": "orders", "v": "2" }), serde_json::json!(1), false, None),
        ] {
            let service = service(selector, target);
            assert_eq!(orders.is_selected(&service), is_meant, "{service:?}");
            let found = orders.port_of(&service.spec.ports[0]).map(|port| port.port);
            assert_eq!(found, port, "{service:?}");
        }
    }
}
