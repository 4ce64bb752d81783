//! Gateway (`gateway.networking.k8s.io/v1`): where traffic enters, field for field.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::invalid::Checker;
use crate::{Hostname, Kind, Meta, Name};

/// Listeners on ports, and what may attach to them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Gateway {
    /// Who it is.
    pub metadata: Meta,
    /// What is wanted.
    pub spec: GatewaySpec,
}

/// `spec` of a Gateway.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GatewaySpec {
    /// The class that serves it. From a file every class means this gateway.
    pub gateway_class_name: Name,
    /// Where it listens; names are unique, and so is each port, protocol and host name together.
    #[schemars(length(min = 1, max = 64))]
    pub listeners: Vec<Listener>,
    /// Wanted addresses. Not enforced yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub addresses: Option<Vec<serde_json::Value>>,
    /// Labels and annotations for what a cluster makes of it. Not enforced yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub infrastructure: Option<serde_json::Value>,
    /// Which ListenerSets may attach. Not enforced yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_listeners: Option<serde_json::Value>,
    /// Client certificates at both sides. Not enforced yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<serde_json::Value>,
    /// Makes it the default for routes without a parent. Not enforced yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_scope: Option<serde_json::Value>,
}

/// One port, protocol and host name on which the gateway listens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Listener {
    /// Its name within the Gateway; routes attach to it as `sectionName`.
    pub name: Name,
    /// The hosts it serves; all where none is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<Hostname>,
    /// The port, 1 to 65535.
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,
    /// What is spoken on it.
    pub protocol: Protocol,
    /// Needed for HTTPS and TLS, refused for HTTP and TCP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<ListenerTls>,
    /// Which routes may attach; those of the same namespace where nothing is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_routes: Option<AllowedRoutes>,
}

/// What a listener speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Protocol {
    /// Plain HTTP/1.1, and HTTP/2 with prior knowledge.
    Http,
    /// HTTP/1.1 and HTTP/2 over TLS that ends here.
    Https,
    /// TLS of any content, which ends here or goes on to the backend as it came.
    Tls,
    /// Plain TCP.
    Tcp,
    /// Plain UDP. Not enforced yet.
    Udp,
}

impl Protocol {
    /// The word of the field `protocol`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Protocol::Http => "HTTP",
            Protocol::Https => "HTTPS",
            Protocol::Tls => "TLS",
            Protocol::Tcp => "TCP",
            Protocol::Udp => "UDP",
        }
    }
}

/// How a listener ends TLS.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ListenerTls {
    /// `Terminate` (the default) ends TLS here; `Passthrough`, for protocol TLS only, at the backend.
    #[serde(default)]
    pub mode: TlsMode,
    /// Secrets of type `kubernetes.io/tls`; needed where TLS ends here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub certificate_refs: Vec<ObjectRef>,
    /// Implementation-specific options; none exist.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
}

/// Where TLS ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TlsMode {
    /// Here.
    #[default]
    Terminate,
    /// At the backend.
    Passthrough,
}

/// A reference to another object; the namespace of the referring object where none is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ObjectRef {
    /// API group; the core group where none is written.
    #[serde(default)]
    pub group: String,
    /// Kind; `Secret` where none is written.
    #[serde(default = "secret_kind")]
    pub kind: String,
    /// Namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Name>,
    /// Name.
    pub name: Name,
}

fn secret_kind() -> String {
    "Secret".to_owned()
}

/// Which routes may attach to a listener.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AllowedRoutes {
    /// From which namespaces.
    #[serde(default)]
    pub namespaces: RouteNamespaces,
    /// Of which kinds; those that fit the protocol where none is written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub kinds: Vec<RouteGroupKind>,
}

/// Namespaces from which routes may attach.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RouteNamespaces {
    /// `Same` where nothing is written.
    #[serde(default)]
    pub from: FromNamespaces,
    /// With `Selector`, labels of namespaces. Not enforced yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<serde_json::Value>,
}

/// The word of `namespaces.from`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FromNamespaces {
    /// Every namespace.
    All,
    /// Those that `selector` picks. Not enforced yet.
    Selector,
    /// The Gateway's own.
    #[default]
    Same,
    /// None at all.
    None,
}

/// A kind of route, by group and kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RouteGroupKind {
    /// `gateway.networking.k8s.io` where none is written.
    #[serde(default = "gateway_group")]
    pub group: String,
    /// `HTTPRoute`, `GRPCRoute`, `TLSRoute` or `TCPRoute`.
    pub kind: String,
}

/// The API group of the Gateway API.
pub(crate) fn gateway_group() -> String {
    "gateway.networking.k8s.io".to_owned()
}

impl Gateway {
    /// Reports what the schema cannot say.
    pub fn check(&self, at: &mut Checker) {
        let spec = &self.spec;
        at.within("spec", |at| {
            at.unenforced("addresses", spec.addresses.as_ref());
            at.unenforced("infrastructure", spec.infrastructure.as_ref());
            at.unenforced("allowedListeners", spec.allowed_listeners.as_ref());
            at.unenforced("tls", spec.tls.as_ref());
            at.unenforced("defaultScope", spec.default_scope.as_ref());
            at.each("listeners", &spec.listeners, |at, listener| listener.check(at));
            let (mut names, mut places) = (BTreeSet::new(), BTreeSet::new());
            at.each("listeners", &spec.listeners, |at, listener| {
                if !names.insert(&listener.name) {
                    at.fault_in("name", format!("a listener '{}' stands above", listener.name));
                }
                let host = listener.hostname.as_ref().map_or("", Hostname::as_str);
                if !places.insert((listener.port, listener.protocol as u8, host)) {
                    at.fault(format!(
                        "another listener of this Gateway has the same port {}, protocol and host \
                         name; change one of them",
                        listener.port
                    ));
                }
            });
        });
    }
}

impl Listener {
    fn check(&self, at: &mut Checker) {
        let protocol = self.protocol;
        match (protocol, &self.tls) {
            (Protocol::Http, Some(_)) => {
                at.fault_in("tls", "protocol HTTP has no TLS; remove it or say HTTPS");
            }
            (Protocol::Tcp, Some(_)) => {
                at.fault_in("tls", "protocol TCP has no TLS; remove it or say TLS");
            }
            (Protocol::Http | Protocol::Tcp, None) => {}
            (Protocol::Https, None) => at.fault("protocol HTTPS needs tls.certificateRefs"),
            (Protocol::Tls, None) => {
                at.fault("protocol TLS needs tls.certificateRefs, or tls.mode Passthrough");
            }
            (Protocol::Https | Protocol::Tls, Some(tls)) => {
                at.within("tls", |at| tls.check(at, protocol));
            }
            (Protocol::Udp, _) => {
                at.fault_in("protocol", "this version serves HTTP, HTTPS, TLS and TCP");
            }
        }
        if protocol == Protocol::Tcp && self.hostname.is_some() {
            at.fault_in("hostname", "nobody names a host in plain TCP; remove it");
        }
        if let Some(allowed) = &self.allowed_routes {
            at.within("allowedRoutes", |at| allowed.check(at));
        }
    }
}

impl ListenerTls {
    fn check(&self, at: &mut Checker, protocol: Protocol) {
        match (self.mode, self.certificate_refs.is_empty()) {
            (TlsMode::Passthrough, _) if protocol == Protocol::Https => {
                at.fault_in("mode", "HTTPS ends here; say Terminate, or protocol TLS");
            }
            (TlsMode::Passthrough, false) => {
                let text = "with mode Passthrough the backend has the certificate; remove them";
                at.fault_in("certificateRefs", text);
            }
            (TlsMode::Terminate, true) => {
                at.fault_in("certificateRefs", "at least one Secret of type kubernetes.io/tls");
            }
            (TlsMode::Passthrough, true) | (TlsMode::Terminate, false) => {}
        }
        at.each("certificateRefs", &self.certificate_refs, |at, reference| {
            if !reference.group.is_empty() || reference.kind != "Secret" {
                at.fault_in("kind", "a certificate comes from a Secret of the core group");
            }
        });
        for option in self.options.keys() {
            at.fault_in("options", format!("no option '{option}' exists"));
        }
    }
}

impl AllowedRoutes {
    fn check(&self, at: &mut Checker) {
        at.within("namespaces", |at| {
            if self.namespaces.from == FromNamespaces::Selector {
                at.fault_in("from", "this version knows All, Same and None");
            }
            at.unenforced("selector", self.namespaces.selector.as_ref());
        });
        at.each("kinds", &self.kinds, |at, kind| {
            let is_route = Kind::parse(&kind.kind).is_some_and(Kind::is_route);
            if kind.group != gateway_group() || !is_route {
                at.fault_in(
                    "kind",
                    "this version knows HTTPRoute, GRPCRoute, TLSRoute and TCPRoute",
                );
            }
        });
    }
}
