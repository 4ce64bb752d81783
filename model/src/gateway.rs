//! Gateway (`gateway.networking.k8s.io/v1`): where traffic enters, field for field.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::invalid::Checker;
use crate::namespace::Labelled;
use crate::service::Transport;
use crate::{Hostname, Key, Kind, Meta, Name};

mod selector;
mod set;

pub use selector::{NamespaceExpression, NamespaceSelector, SelectorOperator, Unmet};
pub use set::{AllowedListeners, ListenerNamespaces, ListenerSet, ListenerSetSpec, ParentGateway};

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
    /// Which ListenerSets may attach; none where nothing is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_listeners: Option<AllowedListeners>,
    /// Certificates of callers, and of the gateway as a caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<GatewayTls>,
    /// Makes it the default for routes without a parent. Not enforced yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_scope: Option<serde_json::Value>,
}

/// What certificates prove beyond that the gateway is who it says.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GatewayTls {
    /// What the gateway shows to backends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<GatewayBackendTls>,
    /// What callers show to the gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frontend: Option<FrontendTls>,
}

/// What the gateway shows to backends that it speaks TLS with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GatewayBackendTls {
    /// A Secret of type `kubernetes.io/tls`: the certificate by which it proves who it is, and its key. It
    /// proves nothing where none is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate_ref: Option<ObjectRef>,
}

/// What callers show, where TLS ends at the gateway.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FrontendTls {
    /// On every port that `perPort` does not name.
    pub default: TlsConfig,
    /// On single ports, in the place of `default`; each once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub per_port: Vec<TlsPortConfig>,
}

/// What callers show on one port.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TlsPortConfig {
    /// The port, 1 to 65535, of a listener of this Gateway, or of its ListenerSets, at which TLS ends.
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,
    /// What holds there.
    pub tls: TlsConfig,
}

/// What callers show. Nothing is asked of them where nothing is written.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TlsConfig {
    /// By what their certificates are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<FrontendValidation>,
}

/// By what certificates of callers are known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FrontendValidation {
    /// ConfigMaps that hold certificates of authorities, in PEM under `ca.crt`; any of them may have signed.
    #[schemars(length(min = 1, max = 8))]
    pub ca_certificate_refs: Vec<ObjectReference>,
    /// What becomes of who shows none, or one that nobody of them signed.
    #[serde(default)]
    pub mode: FrontendValidationMode,
}

/// What becomes of who proves nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum FrontendValidationMode {
    /// The handshake fails.
    #[default]
    AllowValidOnly,
    /// They are let in all the same, as somebody who proved nothing.
    AllowInsecureFallback,
}

impl FrontendTls {
    /// What holds on a port.
    pub fn on(&self, port: u16) -> Option<&FrontendValidation> {
        let own = self.per_port.iter().find(|one| one.port == port);
        own.map_or(&self.default, |own| &own.tls).validation.as_ref()
    }

    /// All that it says, each behind the place at which it does.
    fn all(&self) -> impl Iterator<Item = (String, &FrontendValidation)> {
        let place = |at: &str| format!("spec.tls.frontend.{at}.validation");
        let own = self.per_port.iter().enumerate();
        let own = own.map(move |(index, one)| (place(&format!("perPort[{index}].tls")), &one.tls));
        let all = [(place("default"), &self.default)].into_iter().chain(own);
        all.filter_map(|(at, one)| Some((at, one.validation.as_ref()?)))
    }

    fn check(&self, at: &mut Checker, gateway: &GatewaySpec) {
        // Where ListenerSets may attach, nobody knows here on which ports they do.
        let ends_at = |port: Option<u16>| {
            let mut ends = gateway.listeners.iter().filter(|one| one.ends_tls());
            gateway.lets_from() != FromNamespaces::None
                || ends.any(|one| port.is_none_or(|port| port == one.port))
        };
        at.within("default", |at| {
            self.default.check(at);
            if self.default.validation.is_some() && !ends_at(None) {
                at.fault_in("validation", "no listener of this Gateway ends TLS; remove it");
            }
        });
        let mut ports = BTreeSet::new();
        at.each("perPort", &self.per_port, |at, own| {
            if !ports.insert(own.port) {
                at.fault_in("port", format!("port {} stands above", own.port));
            } else if !ends_at(Some(own.port)) {
                let text = format!("no listener of this Gateway ends TLS on port {}", own.port);
                at.fault_in("port", text);
            }
            at.within("tls", |at| own.tls.check(at));
        });
    }
}

impl TlsConfig {
    fn check(&self, at: &mut Checker) {
        let Some(validation) = &self.validation else { return };
        at.within("validation", |at| {
            at.each("caCertificateRefs", &validation.ca_certificate_refs, |at, reference| {
                if !reference.group.is_empty() || reference.kind != Kind::ConfigMap.as_str() {
                    at.fault_in("kind", "authorities come from a ConfigMap of the core group");
                }
            });
        });
    }
}

/// One port, protocol and host name on which the gateway listens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Listener {
    /// Its name within the Gateway or ListenerSet; routes attach to it as `sectionName`.
    pub name: Name,
    /// The hosts it serves; all where none is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<Hostname>,
    /// The port, 1 to 65535.
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,
    /// What is spoken on it.
    pub protocol: Protocol,
    /// Needed for HTTPS and TLS, refused for HTTP, TCP and UDP.
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
    /// Plain UDP. A port of it is another one than that of the same number of any other protocol.
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

    /// What carries it.
    pub const fn transport(self) -> Transport {
        match self {
            Protocol::Http | Protocol::Https | Protocol::Tls | Protocol::Tcp => Transport::Tcp,
            Protocol::Udp => Transport::Udp,
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
    /// Options of Heddle's own. `heddle.dev/tls-min-version`: `1.2` (the default) or `1.3`.
    /// `heddle.dev/client-certificate`: `required` (the default) or `optional`, where the Gateway asks callers
    /// for certificates: who shows none is let in, and one that is shown has to be good.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum TlsVersion {
    /// RFC 5246.
    #[default]
    #[serde(rename = "1.2")]
    V12,
    /// RFC 8446.
    #[serde(rename = "1.3")]
    V13,
}

/// The option that says the oldest version of TLS which a listener speaks.
const MIN_VERSION: &str = "heddle.dev/tls-min-version";
/// The option that says whether callers may show no certificate where they are asked for one.
pub const CLIENT_CERTIFICATE: &str = "heddle.dev/client-certificate";

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

/// A reference to an object whose kind is always written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ObjectReference {
    /// API group; empty for the core group.
    pub group: String,
    /// Kind.
    pub kind: String,
    /// Namespace; that of the referring object where none is written.
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
    /// With `Selector`, labels of namespaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<NamespaceSelector>,
}

/// The word of `namespaces.from`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FromNamespaces {
    /// Every namespace.
    All,
    /// Those that `selector` picks.
    Selector,
    /// The Gateway's own; of a listener of a ListenerSet the set's.
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
    /// `HTTPRoute`, `GRPCRoute`, `TLSRoute`, `TCPRoute` or `UDPRoute`.
    pub kind: String,
}

/// The API group of the Gateway API.
pub(crate) fn gateway_group() -> String {
    "gateway.networking.k8s.io".to_owned()
}

impl RouteNamespaces {
    /// Whether a listener of what is in the namespace `own` takes routes of a namespace.
    pub fn lets(&self, own: &Name, namespace: Labelled<'_>) -> bool {
        self.from.lets(self.selector.as_ref(), own, namespace)
    }

    /// What its selector asks for in vain of a namespace.
    pub fn unmet<'a>(&'a self, namespace: Labelled<'a>) -> Option<Unmet<'a>> {
        self.from.unmet(self.selector.as_ref(), namespace)
    }
}

impl GatewaySpec {
    /// From which namespaces ListenerSets may attach.
    pub fn lets_from(&self) -> FromNamespaces {
        self.allowed_listeners.as_ref().map_or(FromNamespaces::None, |one| one.namespaces.from)
    }
}

impl Gateway {
    /// Whether it lets ListenerSets of a namespace attach.
    pub fn lets(&self, namespace: Labelled<'_>) -> bool {
        self.spec.allowed_listeners.as_ref().is_some_and(|allowed| {
            let ListenerNamespaces { from, selector } = &allowed.namespaces;
            from.lets(selector.as_ref(), &self.metadata.namespace, namespace)
        })
    }

    /// What its selector of ListenerSets asks for in vain of a namespace.
    pub fn unmet<'a>(&'a self, namespace: Labelled<'a>) -> Option<Unmet<'a>> {
        let ListenerNamespaces { from, selector } =
            &self.spec.allowed_listeners.as_ref()?.namespaces;
        from.unmet(selector.as_ref(), namespace)
    }

    /// The Secrets and ConfigMaps that hold the certificates which it names, each behind the place at which
    /// it does.
    pub fn certificates(&self) -> impl Iterator<Item = (String, Key)> {
        let own = &self.metadata.namespace;
        let shown = certificates(own, &self.spec.listeners);
        let frontend = self.spec.tls.as_ref().and_then(|tls| tls.frontend.as_ref());
        let asked = frontend.into_iter().flat_map(FrontendTls::all).flat_map(move |(at, asked)| {
            let refs = asked.ca_certificate_refs.iter().enumerate();
            refs.map(move |(index, to)| {
                let path = format!("{at}.caCertificateRefs[{index}]");
                (path, named(Kind::ConfigMap, own, to.namespace.as_ref(), &to.name))
            })
        });
        let backend = self.spec.tls.as_ref().and_then(|tls| tls.backend.as_ref());
        let presented = backend.and_then(|backend| backend.client_certificate_ref.as_ref());
        let presented = presented.map(move |to| {
            let path = "spec.tls.backend.clientCertificateRef".to_owned();
            (path, named(Kind::Secret, own, to.namespace.as_ref(), &to.name))
        });
        shown.chain(asked).chain(presented)
    }

    /// Reports what the schema cannot say.
    pub fn check(&self, at: &mut Checker) {
        let spec = &self.spec;
        at.within("spec", |at| {
            at.unenforced("addresses", spec.addresses.as_ref());
            at.unenforced("infrastructure", spec.infrastructure.as_ref());
            if let Some(allowed) = &spec.allowed_listeners {
                at.within("allowedListeners", |at| allowed.check(at));
            }
            at.within("tls", |at| {
                let Some(tls) = &spec.tls else { return };
                let presented =
                    tls.backend.as_ref().and_then(|one| one.client_certificate_ref.as_ref());
                at.within("backend.clientCertificateRef", |at| {
                    if let Some(to) = presented
                        && (!to.group.is_empty() || to.kind != Kind::Secret.as_str())
                    {
                        at.fault_in("kind", "certificates come from a Secret of the core group");
                    }
                });
                let Some(frontend) = &tls.frontend else { return };
                at.within("frontend", |at| frontend.check(at, spec));
            });
            at.unenforced("defaultScope", spec.default_scope.as_ref());
            check_listeners(at, &spec.listeners, Kind::Gateway);
        });
    }
}

/// The Secrets that listeners of a namespace name for their certificates, each behind its place.
fn certificates(own: &Name, listeners: &[Listener]) -> impl Iterator<Item = (String, Key)> {
    listeners.iter().enumerate().flat_map(move |(listener, written)| {
        let refs = written.tls.iter().flat_map(|tls| &tls.certificate_refs).enumerate();
        refs.map(move |(index, to)| {
            let path = format!("spec.listeners[{listener}].tls.certificateRefs[{index}]");
            (path, named(Kind::Secret, own, to.namespace.as_ref(), &to.name))
        })
    })
}

/// What an object of the namespace `own` names.
fn named(kind: Kind, own: &Name, namespace: Option<&Name>, name: &Name) -> Key {
    Key::new(kind, namespace.unwrap_or(own).clone(), name.clone())
}

/// Reports what is wrong with each listener of an object, and what two of them have in common.
fn check_listeners(at: &mut Checker, listeners: &[Listener], of: Kind) {
    at.each("listeners", listeners, |at, listener| listener.check(at));
    let (mut names, mut places) = (BTreeSet::new(), BTreeSet::new());
    at.each("listeners", listeners, |at, listener| {
        if !names.insert(&listener.name) {
            at.fault_in("name", format!("a listener '{}' stands above", listener.name));
        }
        let host = listener.hostname.as_ref().map_or("", Hostname::as_str);
        if !places.insert((listener.port, listener.protocol as u8, host)) {
            at.fault(format!(
                "another listener of this {of} has the same port {}, protocol and host name; \
                 change one of them",
                listener.port
            ));
        }
    });
}

impl Listener {
    /// Whether TLS ends at it.
    pub fn ends_tls(&self) -> bool {
        let is_passthrough = self.tls.as_ref().is_some_and(|tls| tls.mode == TlsMode::Passthrough);
        matches!(self.protocol, Protocol::Https | Protocol::Tls) && !is_passthrough
    }

    fn check(&self, at: &mut Checker) {
        let protocol = self.protocol;
        match (protocol, &self.tls) {
            (Protocol::Http, Some(_)) => {
                at.fault_in("tls", "protocol HTTP has no TLS; remove it or say HTTPS");
            }
            (Protocol::Tcp, Some(_)) => {
                at.fault_in("tls", "protocol TCP has no TLS; remove it or say TLS");
            }
            (Protocol::Udp, Some(_)) => {
                at.fault_in("tls", "protocol UDP has no TLS; remove it or say TLS");
            }
            (Protocol::Http | Protocol::Tcp | Protocol::Udp, None) => {}
            (Protocol::Https, None) => at.fault("protocol HTTPS needs tls.certificateRefs"),
            (Protocol::Tls, None) => {
                at.fault("protocol TLS needs tls.certificateRefs, or tls.mode Passthrough");
            }
            (Protocol::Https | Protocol::Tls, Some(tls)) => {
                at.within("tls", |at| tls.check(at, protocol));
            }
        }
        if let Protocol::Tcp | Protocol::Udp = protocol
            && self.hostname.is_some()
        {
            let text = format!("nobody names a host in plain {}; remove it", protocol.as_str());
            at.fault_in("hostname", text);
        }
        if let Some(allowed) = &self.allowed_routes {
            at.within("allowedRoutes", |at| allowed.check(at));
        }
    }
}

impl ListenerTls {
    /// Whether callers who are asked for a certificate may show none.
    pub fn lets_callers_show_none(&self) -> bool {
        self.options.get(CLIENT_CERTIFICATE).is_some_and(|value| value == "optional")
    }

    /// The oldest version that is spoken.
    pub fn min_version(&self) -> TlsVersion {
        match self.options.get(MIN_VERSION).map(String::as_str) {
            Some("1.3") => TlsVersion::V13,
            Some(_) | None => TlsVersion::V12,
        }
    }

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
        at.within("options", |at| {
            for (option, value) in &self.options {
                let fault = match (option.as_str(), value.as_str()) {
                    (MIN_VERSION, _) if self.mode == TlsMode::Passthrough => {
                        "with mode Passthrough the backend says which versions it speaks"
                    }
                    (MIN_VERSION, "1.2" | "1.3") => continue,
                    (MIN_VERSION, _) => "wants '1.2' or '1.3'",
                    (CLIENT_CERTIFICATE, _) if self.mode == TlsMode::Passthrough => {
                        "with mode Passthrough the backend says what it asks for"
                    }
                    (CLIENT_CERTIFICATE, "required" | "optional") => continue,
                    (CLIENT_CERTIFICATE, _) => "wants 'required' or 'optional'",
                    _ => {
                        "no such option exists; there are 'heddle.dev/tls-min-version' and \
                         'heddle.dev/client-certificate'"
                    }
                };
                at.fault_in(&format!("['{option}']"), fault);
            }
        });
    }
}

impl AllowedRoutes {
    fn check(&self, at: &mut Checker) {
        let RouteNamespaces { from, selector } = &self.namespaces;
        at.within("namespaces", |at| from.check(selector.as_ref(), at));
        at.each("kinds", &self.kinds, |at, kind| {
            let is_route = Kind::parse(&kind.kind).is_some_and(Kind::is_route);
            if kind.group != gateway_group() || !is_route {
                at.fault_in(
                    "kind",
                    "this version knows HTTPRoute, GRPCRoute, TLSRoute, TCPRoute and UDPRoute",
                );
            }
        });
    }
}
