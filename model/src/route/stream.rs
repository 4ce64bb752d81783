//! TLSRoute, TCPRoute and UDPRoute (`gateway.networking.k8s.io/v1`): where connections and datagrams go of
//! which nothing is read but the server name.
//!
//! A connection, and all datagrams of one caller, is led as a request would be for any path of its host, so such a route says what an
//! HTTPRoute of one rule without matches would; [`TlsRoute::as_http`] is that HTTPRoute.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{HttpBackendRef, HttpRoute, HttpRouteSpec, HttpRule, ParentRef, one, service_kind};
use crate::invalid::Checker;
use crate::{Hostname, Meta, Name};

/// Where connections go that come in through listeners of protocol TLS, by the server name that they
/// ask for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "TLSRoute")]
pub struct TlsRoute {
    /// Who it is.
    pub metadata: Meta,
    /// What is wanted.
    pub spec: TlsRouteSpec,
}

/// `spec` of a TLSRoute.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TlsRouteSpec {
    /// The Gateways (or single listeners) that it attaches to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub parent_refs: Vec<ParentRef>,
    /// Attach to default Gateways. Not enforced yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub use_default_gateways: Option<serde_json::Value>,
    /// The server names that it serves, intersected with the listener's host name.
    #[schemars(length(min = 1, max = 1024))]
    pub hostnames: Vec<Hostname>,
    /// Where their connections go; there is one rule.
    #[schemars(length(min = 1, max = 1))]
    pub rules: Vec<StreamRule>,
}

/// Where connections go that come in through listeners of protocol TCP, or of protocol TLS that end it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "TCPRoute")]
pub struct TcpRoute {
    /// Who it is.
    pub metadata: Meta,
    /// What is wanted.
    pub spec: TcpRouteSpec,
}

/// `spec` of a TCPRoute.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TcpRouteSpec {
    /// The Gateways (or single listeners) that it attaches to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub parent_refs: Vec<ParentRef>,
    /// Attach to default Gateways. Not enforced yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub use_default_gateways: Option<serde_json::Value>,
    /// Where connections go; there is one rule.
    #[schemars(length(min = 1, max = 1))]
    pub rules: Vec<StreamRule>,
}

/// Where datagrams go that come in through listeners of protocol UDP.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "UDPRoute")]
pub struct UdpRoute {
    /// Who it is.
    pub metadata: Meta,
    /// What is wanted.
    pub spec: UdpRouteSpec,
}

/// `spec` of a UDPRoute.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UdpRouteSpec {
    /// The Gateways (or single listeners) that it attaches to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub parent_refs: Vec<ParentRef>,
    /// Attach to default Gateways. Not enforced yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub use_default_gateways: Option<serde_json::Value>,
    /// Where datagrams go; there is one rule.
    #[schemars(length(min = 1, max = 1))]
    pub rules: Vec<StreamRule>,
}

/// Where connections, or the datagrams of a caller, go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StreamRule {
    /// Its name within the route; policies attach to it as `sectionName`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// Where they go, by weight. The share of a backend that is not there is closed at once; datagrams of
    /// it are dropped.
    #[schemars(length(min = 1, max = 16))]
    pub backend_refs: Vec<StreamBackendRef>,
}

/// A backend of a rule for connections, with its share.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StreamBackendRef {
    /// The core group where none is written.
    #[serde(default)]
    pub group: String,
    /// `Service` where none is written.
    #[serde(default = "service_kind")]
    pub kind: String,
    /// The route's own namespace where none is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Name>,
    /// The Service's name.
    pub name: Name,
    /// The Service's port; needed for a Service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<u16>,
    /// Its share of the sum of all weights; 1 where none is written, 0 for none.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub weight: u32,
}

impl TlsRoute {
    /// The HTTPRoute that leads requests as this one leads connections.
    pub fn as_http(&self) -> HttpRoute {
        let TlsRouteSpec { parent_refs, use_default_gateways, hostnames, rules } = &self.spec;
        let attached = (&parent_refs[..], use_default_gateways);
        as_http(&self.metadata, attached, hostnames, rules)
    }

    /// Reports what the schema cannot say.
    pub fn check(&self, at: &mut Checker) {
        check(&self.as_http(), at);
    }
}

impl TcpRoute {
    /// The HTTPRoute that leads requests as this one leads connections.
    pub fn as_http(&self) -> HttpRoute {
        let TcpRouteSpec { parent_refs, use_default_gateways, rules } = &self.spec;
        let attached = (&parent_refs[..], use_default_gateways);
        as_http(&self.metadata, attached, &[], rules)
    }

    /// Reports what the schema cannot say.
    pub fn check(&self, at: &mut Checker) {
        check(&self.as_http(), at);
    }
}

impl UdpRoute {
    /// The HTTPRoute that leads requests as this one leads datagrams.
    pub fn as_http(&self) -> HttpRoute {
        let UdpRouteSpec { parent_refs, use_default_gateways, rules } = &self.spec;
        let attached = (&parent_refs[..], use_default_gateways);
        as_http(&self.metadata, attached, &[], rules)
    }

    /// Reports what the schema cannot say.
    pub fn check(&self, at: &mut Checker) {
        check(&self.as_http(), at);
    }
}

impl StreamRule {
    fn as_http(&self) -> HttpRule {
        let backend = |to: &StreamBackendRef| HttpBackendRef {
            group: to.group.clone(),
            kind: to.kind.clone(),
            namespace: to.namespace.clone(),
            name: to.name.clone(),
            port: to.port,
            weight: to.weight,
            filters: Vec::new(),
        };
        HttpRule {
            name: self.name.clone(),
            backend_refs: self.backend_refs.iter().map(backend).collect(),
            ..HttpRule::default()
        }
    }
}

/// A route of these rules for requests, attached where one for connections is.
fn as_http(
    metadata: &Meta,
    (parent_refs, use_default_gateways): (&[ParentRef], &Option<serde_json::Value>),
    hostnames: &[Hostname],
    rules: &[StreamRule],
) -> HttpRoute {
    HttpRoute {
        metadata: metadata.clone(),
        spec: HttpRouteSpec {
            parent_refs: parent_refs.to_vec(),
            use_default_gateways: use_default_gateways.clone(),
            hostnames: hostnames.to_vec(),
            rules: rules.iter().map(StreamRule::as_http).collect(),
        },
    }
}

/// What it shares with an HTTPRoute is checked as one.
fn check(route: &HttpRoute, at: &mut Checker) {
    route.check(at);
    at.within("spec", |at| {
        at.each("parentRefs", &route.spec.parent_refs, |at, parent| {
            if parent.is_service() {
                let text =
                    "this version attaches a route for connections or datagrams to Gateways only";
                at.fault_in("kind", text);
            }
        });
    });
}
