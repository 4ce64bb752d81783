//! Service (`v1`) and EndpointSlice (`discovery.k8s.io/v1`): what routes send to.

use std::collections::BTreeMap;
use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::invalid::Checker;
use crate::{Meta, Name};

pub use zone::{EndpointHints, Meant, ZONE_LABEL};

mod zone;

/// The label by which an EndpointSlice names its Service.
pub const SERVICE_NAME_LABEL: &str = "kubernetes.io/service-name";

/// A name for a set of endpoints, with ports.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// Who it is.
    pub metadata: Meta,
    /// What is wanted.
    pub spec: ServiceSpec,
}

/// `spec` of a Service, as far as routing needs it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceSpec {
    /// Its ports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<ServicePort>,
    /// The kind of address it has; `ClusterIP` where none is written.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<ServiceType>,
    /// Labels of the Workloads that it sends to. Of pods Kubernetes makes EndpointSlices.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub selector: BTreeMap<String, String>,
    /// Its virtual address; without effect here.
    #[serde(rename = "clusterIP", default, skip_serializing_if = "Option::is_none")]
    pub cluster_ip: Option<String>,
    /// Its virtual addresses; without effect here.
    #[serde(rename = "clusterIPs", default, skip_serializing_if = "Option::is_none")]
    pub cluster_ips: Option<Vec<String>>,
    /// A name outside. Not enforced yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_name: Option<String>,
    /// Stickiness by address. Not enforced yet other than `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_affinity: Option<String>,
    /// How long stickiness lasts; without effect here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_affinity_config: Option<serde_json::Value>,
    /// Address families; without effect here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_families: Option<Vec<String>>,
    /// Address family policy; without effect here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_family_policy: Option<String>,
    /// Without effect here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub internal_traffic_policy: Option<String>,
    /// Without effect here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_traffic_policy: Option<String>,
    /// A wish that endpoints near by are preferred, where no TrafficPolicy says otherwise: `PreferSameZone`,
    /// which is also what `PreferClose` and `PreferSameNode` mean here; without effect otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic_distribution: Option<String>,
    /// Addresses outside the cluster; without effect here.
    #[serde(rename = "externalIPs", default, skip_serializing_if = "Vec::is_empty")]
    pub external_ips: Vec<String>,
    /// Who makes its load balancer; without effect here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_balancer_class: Option<String>,
    /// The wanted address of its load balancer; without effect here.
    #[serde(rename = "loadBalancerIP", default, skip_serializing_if = "Option::is_none")]
    pub load_balancer_ip: Option<String>,
    /// Who may use its load balancer; without effect here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub load_balancer_source_ranges: Vec<String>,
    /// Without effect here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allocate_load_balancer_node_ports: Option<bool>,
    /// Without effect here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check_node_port: Option<u16>,
    /// Without effect here: the conditions of its EndpointSlices say who is ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publish_not_ready_addresses: Option<bool>,
}

/// The word of a Service's `type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub enum ServiceType {
    #[serde(rename = "ClusterIP")]
    ClusterIp,
    NodePort,
    LoadBalancer,
    ExternalName,
}

/// One port of a Service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServicePort {
    /// Its name; needed where there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The port that routes name.
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,
    /// The port at the Workloads, number or name; that of an EndpointSlice it says itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_port: Option<TargetPort>,
    /// Transport: `TCP`, also where none is written, or `UDP`, to which UDPRoutes alone lead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Transport>,
    /// What is spoken, of a port of TCP: `http` (also `kubernetes.io/ws`), `https` for the same under the TLS of a
    /// BackendTLSPolicy alone, `kubernetes.io/h2c` (also `grpc`), or `tcp` for bytes; `http` where none is
    /// written, but for what a GRPCRoute of a Gateway sends there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_protocol: Option<String>,
    /// Without effect here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_port: Option<u16>,
}

/// A port by number or by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum TargetPort {
    /// By number.
    Number(u16),
    /// By name.
    Name(String),
}

/// A transport.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs)]
pub enum Transport {
    #[default]
    Tcp,
    Udp,
    Sctp,
}

/// What a Service's port speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AppProtocol {
    /// HTTP/1.1, upgrades included.
    Http1,
    /// HTTP/2 with prior knowledge.
    H2c,
    /// Bytes that nobody reads on their way.
    Tcp,
    /// Datagrams that nobody reads on their way.
    Udp,
}

impl Transport {
    /// The word of the field `protocol`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Transport::Tcp => "TCP",
            Transport::Udp => "UDP",
            Transport::Sctp => "SCTP",
        }
    }
}

impl ServicePort {
    /// What is spoken; `None` for a word that this version does not know.
    pub fn speaks(&self) -> Option<AppProtocol> {
        match self.transport() {
            Transport::Tcp if self.wants_tls() => Some(AppProtocol::Http1),
            Transport::Tcp => speaks(self.app_protocol.as_deref()),
            Transport::Udp => Some(AppProtocol::Udp),
            Transport::Sctp => None,
        }
    }

    /// What carries it.
    pub fn transport(&self) -> Transport {
        self.protocol.unwrap_or_default()
    }

    /// Whether it takes nothing in the clear.
    pub fn wants_tls(&self) -> bool {
        self.app_protocol.as_deref() == Some("https")
    }
}

/// The words of `appProtocol`.
pub(crate) const PROTOCOLS: &str = "one of http, kubernetes.io/ws, kubernetes.io/h2c, grpc, tcp";

/// What the word of an `appProtocol` means; `None` for one that this version does not know.
pub(crate) fn speaks(word: Option<&str>) -> Option<AppProtocol> {
    match word {
        None | Some("http" | "kubernetes.io/ws") => Some(AppProtocol::Http1),
        Some("kubernetes.io/h2c" | "http2" | "grpc") => Some(AppProtocol::H2c),
        Some("tcp") => Some(AppProtocol::Tcp),
        Some(_) => None,
    }
}

impl Service {
    /// Reports what the schema cannot say.
    pub fn check(&self, at: &mut Checker) {
        let spec = &self.spec;
        at.within("spec", |at| {
            if spec.kind == Some(ServiceType::ExternalName) || spec.external_name.is_some() {
                at.fault_in("type", "this version does not enforce ExternalName");
            }
            if spec.session_affinity.as_deref().is_some_and(|word| word != "None") {
                at.fault_in("sessionAffinity", "this version enforces 'None' only");
            }
            at.each("ports", &spec.ports, |at, port| {
                match port.transport() {
                    Transport::Tcp if port.speaks().is_none() => {
                        at.fault_in("appProtocol", format!("{PROTOCOLS}, https"));
                    }
                    Transport::Udp if port.app_protocol.is_some() => {
                        at.fault_in("appProtocol", "of datagrams nothing is read; remove it");
                    }
                    Transport::Sctp => {
                        at.fault_in("protocol", "this version sends to TCP and UDP only");
                    }
                    Transport::Tcp | Transport::Udp => {}
                }
                let same = |other: &&ServicePort| {
                    (other.port, other.transport()) == (port.port, port.transport())
                };
                if spec.ports.iter().filter(same).count() > 1 {
                    at.fault_in("port", format!("port {} stands twice", port.port));
                }
                if spec.ports.len() > 1 && port.name.is_none() {
                    at.fault_in("name", "each of several ports needs a name");
                }
            });
        });
    }
}

/// A part of a Service's endpoints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EndpointSlice {
    /// Who it is; the label `kubernetes.io/service-name` names its Service.
    pub metadata: Meta,
    /// The family of its addresses.
    pub address_type: AddressType,
    /// The endpoints.
    #[serde(default)]
    #[schemars(with = "Option<Vec<Endpoint>>", length(max = 1000), extend("nullable" = true))]
    pub endpoints: Vec<Endpoint>,
    /// The ports at every endpoint, by the names of the Service's ports.
    #[serde(default)]
    #[schemars(with = "Option<Vec<EndpointPort>>", length(max = 100), extend("nullable" = true))]
    pub ports: Vec<EndpointPort>,
}

/// The word of `addressType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AddressType {
    /// IPv4 addresses.
    IPv4,
    /// IPv6 addresses.
    IPv6,
    /// Names. Not enforced yet.
    #[serde(rename = "FQDN")]
    Fqdn,
}

/// One endpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Endpoint {
    /// Its addresses, all of the same endpoint; the first is used.
    #[schemars(length(min = 1, max = 100))]
    pub addresses: Vec<String>,
    /// How it is; ready where nothing is written.
    #[serde(default)]
    pub conditions: EndpointConditions,
    /// Without effect here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// The node it runs on; without effect here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_name: Option<String>,
    /// The zone it runs in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// The object behind it; without effect here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_ref: Option<serde_json::Value>,
    /// What `nodeName` and `zone` were before; without effect here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deprecated_topology: Option<serde_json::Value>,
    /// For whom it is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hints: Option<EndpointHints>,
}

/// How an endpoint is. An unset condition counts as Kubernetes says: ready.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EndpointConditions {
    /// May get new requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<bool>,
    /// Still answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serving: Option<bool>,
    /// Is going away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terminating: Option<bool>,
}

/// A port at the endpoints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EndpointPort {
    /// The name of the Service's port; empty or none for the only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The port number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<u16>,
    /// Transport, which is that of the Service's port; `TCP` where none is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Transport>,
    /// Without effect here; the Service's port says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_protocol: Option<String>,
}

/// Why nothing that is somebody's can be at an address, as Kubernetes has it for endpoints; or that it is
/// another form of an IPv4 address (RFC 4291, section 2.5.5.2).
pub(crate) fn no_endpoint(address: &str) -> Option<String> {
    let address: IpAddr = address.parse().ok()?;
    let is_here = match address {
        IpAddr::V4(address) => address.octets()[0] == 0 || address.is_broadcast(),
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(meant) => return Some(format!("is the IPv4 address {meant}; write that")),
            None => address.is_unspecified(),
        },
    };
    let is_near = match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    match (is_here, address.is_multicast(), is_near) {
        (true, ..) => Some("is the address of no machine".to_owned()),
        (_, true, _) => Some("is a multicast address; write that of one machine".to_owned()),
        (.., true) => Some("is link-local, and another machine on each".to_owned()),
        (false, false, false) => None,
    }
}

impl EndpointSlice {
    /// The Service whose endpoints these are.
    pub fn service(&self) -> Option<Name> {
        self.metadata.labels.get(SERVICE_NAME_LABEL).and_then(|name| Name::parse(name).ok())
    }

    /// Reports what the schema cannot say.
    pub fn check(&self, at: &mut Checker) {
        if self.service().is_none() {
            at.within("metadata", |at| {
                at.fault_in("labels", format!("needs the label {SERVICE_NAME_LABEL}: NAME"));
            });
        }
        if self.address_type == AddressType::Fqdn {
            at.fault_in("addressType", "this version knows IPv4 and IPv6");
            return;
        }
        at.each("endpoints", &self.endpoints, |at, endpoint| {
            at.each("addresses", &endpoint.addresses, |at, address| {
                let fits = match (address.parse::<IpAddr>(), self.address_type) {
                    (Ok(IpAddr::V4(_)), AddressType::IPv4) => true,
                    (Ok(IpAddr::V6(_)), AddressType::IPv6) => true,
                    (Ok(_) | Err(_), _) => false,
                };
                if !fits {
                    at.fault(format!("'{address}' is no {:?} address", self.address_type));
                } else if let Some(why) = no_endpoint(address) {
                    at.fault(format!("'{address}' {why}"));
                }
            });
        });
    }
}
