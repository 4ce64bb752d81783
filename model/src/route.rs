//! HTTPRoute, GRPCRoute, TLSRoute, TCPRoute and UDPRoute (`gateway.networking.k8s.io/v1`): which requests,
//! connections or datagrams, what is done, where they go.
//!
//! Every field of the specification is read.
//! One that this version does not enforce is a fault that says so, so that nobody relies on it.
//! A route attaches to Gateways and says what becomes of what comes in, or to Services and says where
//! goes what applications send to them (GAMMA, GEP-1426).

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::gateway::gateway_group;
use crate::{Hostname, Key, Kind, Meta, Name};

pub(crate) use check::{check_header_name, check_path};

mod check;
mod cors;
mod duration;
mod grpc;
mod retry;
mod session;
mod stream;

#[cfg(test)]
mod tests;

pub use cors::{Cors, CorsMethod, Host, Origin, OriginError};
pub use duration::GatewayDuration;
pub use grpc::{
    GrpcBackendRef, GrpcFilter, GrpcFilterType, GrpcMatch, GrpcMethodMatch, GrpcMethodMatchType,
    GrpcRoute, GrpcRouteSpec, GrpcRule,
};
pub use retry::Retry;
pub use session::{CookieConfig, CookieLifetime, SessionPersistence, SessionType};
pub use stream::{
    StreamBackendRef, StreamRule, TcpRoute, TcpRouteSpec, TlsRoute, TlsRouteSpec, UdpRoute,
    UdpRouteSpec,
};

/// Rules for requests that come in through the listeners it attaches to, or that applications send to
/// the Services it attaches to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "HTTPRoute")]
pub struct HttpRoute {
    /// Who it is.
    pub metadata: Meta,
    /// What is wanted.
    pub spec: HttpRouteSpec,
}

/// `spec` of an HTTPRoute.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpRouteSpec {
    /// The Gateways (or single listeners) that it attaches to, or the Services (or single ports).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub parent_refs: Vec<ParentRef>,
    /// Attach to default Gateways. Not enforced yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub use_default_gateways: Option<serde_json::Value>,
    /// The hosts it serves, intersected with the listener's; the listener's where none is written.
    /// Without effect where it attaches to Services.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub hostnames: Vec<Hostname>,
    /// What to do with which request; one rule for everything where none is written.
    #[serde(default = "default_rules")]
    #[schemars(length(min = 1, max = 16))]
    pub rules: Vec<HttpRule>,
}

fn default_rules() -> Vec<HttpRule> {
    vec![HttpRule::default()]
}

impl HttpRoute {
    /// Whether it attaches to Services, and not to Gateways: a check refuses one that does both.
    pub fn is_of_services(&self) -> bool {
        self.spec.parent_refs.iter().any(ParentRef::is_service)
    }

    /// The Services that its backends and mirrors name.
    pub fn services(&self) -> Vec<Key> {
        let own = &self.metadata.namespace;
        let of_rule = |rule: &HttpRule| -> Vec<_> {
            let mirrors = rule.mirrors().map(|(_, mirror)| mirror.backend_ref.clone());
            rule.backend_refs.iter().map(HttpBackendRef::target).chain(mirrors).collect()
        };
        let named = self.spec.rules.iter().flat_map(of_rule);
        let services = named.filter(|to| to.group.is_empty() && to.kind == Kind::Service.as_str());
        let key = |to: BackendRef| {
            Key::new(Kind::Service, to.namespace.unwrap_or_else(|| own.clone()), to.name)
        };
        services.map(key).collect()
    }
}

/// The parent that a route attaches to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ParentRef {
    /// `gateway.networking.k8s.io` where none is written; of a Service the empty group.
    #[serde(default = "gateway_group")]
    pub group: String,
    /// `Gateway` where none is written; or `ListenerSet`, or `Service`.
    #[serde(default = "gateway_kind")]
    pub kind: String,
    /// The route's own namespace where none is written; a Service is always of that one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Name>,
    /// The name of the Gateway, ListenerSet or Service.
    pub name: Name,
    /// One listener by name; all that fit where none is written. A Service has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub section_name: Option<Name>,
    /// Listeners on this port only; of a Service, this port of it only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<u16>,
}

fn gateway_kind() -> String {
    "Gateway".to_owned()
}

impl ParentRef {
    /// Whether it means a Service.
    pub fn is_service(&self) -> bool {
        self.group.is_empty() && self.kind == "Service"
    }

    /// Whether it means a Gateway.
    pub fn is_gateway(&self) -> bool {
        self.group == gateway_group() && self.kind == Kind::Gateway.as_str()
    }

    /// Whether it means a ListenerSet.
    pub fn is_set(&self) -> bool {
        self.group == gateway_group() && self.kind == Kind::ListenerSet.as_str()
    }

    /// What it means in a route of the namespace `own`: a Gateway, a ListenerSet or a Service, since a
    /// check refuses any other kind.
    pub fn key(&self, own: &Name) -> Key {
        let kind = match (self.is_service(), self.is_set()) {
            (true, _) => Kind::Service,
            (false, true) => Kind::ListenerSet,
            (false, false) => Kind::Gateway,
        };
        Key::new(kind, self.namespace.as_ref().unwrap_or(own).clone(), self.name.clone())
    }
}

/// One rule: any of `matches`, then `filters`, then one of `backendRefs`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpRule {
    /// Its name within the route; policies attach to it as `sectionName`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// Any of these; every request where none is written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub matches: Vec<HttpMatch>,
    /// What is done to request and response.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub filters: Vec<HttpFilter>,
    /// Where requests go, by weight; answered 500 where there is none and no redirect.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub backend_refs: Vec<HttpBackendRef>,
    /// Bounds on time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeouts: Option<Timeouts>,
    /// Retries. A request of which nothing was sent is tried at another endpoint in any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// Which requests go to one and the same endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_persistence: Option<SessionPersistence>,
}

/// All of what is written here must hold.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpMatch {
    /// Prefix `/` where none is written.
    #[serde(default)]
    pub path: PathMatch,
    /// Headers, each name once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub headers: Vec<HeaderMatch>,
    /// Query parameters, each name once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub query_params: Vec<QueryMatch>,
    /// The method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<Method>,
}

/// How a path is compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PathMatch {
    /// `PathPrefix` where none is written.
    #[serde(rename = "type", default)]
    pub kind: PathMatchType,
    /// `/` where none is written.
    #[serde(default = "root_path")]
    #[schemars(length(max = 1024))]
    pub value: String,
}

fn root_path() -> String {
    "/".to_owned()
}

impl Default for PathMatch {
    fn default() -> Self {
        PathMatch { kind: PathMatchType::PathPrefix, value: root_path() }
    }
}

/// The word of `path.type`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum PathMatchType {
    /// The whole path, letter by letter.
    Exact,
    /// Whole path elements from the beginning: `/a` means `/a`, `/a/`, `/a/b`, not `/ab`.
    #[default]
    PathPrefix,
    /// A regular expression (the `regex` crate's syntax, linear time) over the whole path.
    RegularExpression,
}

/// How a value is compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ValueMatchType {
    /// Letter by letter.
    #[default]
    Exact,
    /// A regular expression over the whole value.
    RegularExpression,
}

/// A header that must be there with a value. Several header lines count as one joined by `,`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HeaderMatch {
    /// `Exact` where none is written.
    #[serde(rename = "type", default)]
    pub kind: ValueMatchType,
    /// The header's name, any letter case.
    #[schemars(length(min = 1, max = 256))]
    pub name: String,
    /// The value.
    #[schemars(length(min = 1, max = 4096))]
    pub value: String,
}

/// A query parameter that must be there with a value; of several, the first counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct QueryMatch {
    /// `Exact` where none is written.
    #[serde(rename = "type", default)]
    pub kind: ValueMatchType,
    /// The parameter's name, letter by letter.
    #[schemars(length(min = 1, max = 256))]
    pub name: String,
    /// The value.
    #[schemars(length(min = 1, max = 1024))]
    pub value: String,
}

/// An HTTP method that a match may name (Gateway API, `HTTPMethod`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs)]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Delete,
    Connect,
    Options,
    Trace,
    Patch,
}

impl Method {
    /// The method as it stands on the request line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
            Method::Connect => "CONNECT",
            Method::Options => "OPTIONS",
            Method::Trace => "TRACE",
            Method::Patch => "PATCH",
        }
    }
}

/// One thing done to a request or response. Which field is set must agree with `type`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpFilter {
    /// Which of the fields below is meant.
    #[serde(rename = "type")]
    pub kind: FilterType,
    /// Changes request headers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_header_modifier: Option<HeaderModifier>,
    /// Changes response headers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_header_modifier: Option<HeaderModifier>,
    /// Sends a copy elsewhere; its answer is dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_mirror: Option<RequestMirror>,
    /// Answers with a redirect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_redirect: Option<RequestRedirect>,
    /// Changes host or path on the way to the backend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url_rewrite: Option<UrlRewrite>,
    /// Says which pages of other origins may read answers, and answers preflights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cors: Option<Cors>,
    /// Authorisation by another service. Not enforced yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_auth: Option<serde_json::Value>,
    /// A filter of somebody's own kind. Not enforced yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extension_ref: Option<serde_json::Value>,
}

/// The word of `filters[].type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub enum FilterType {
    RequestHeaderModifier,
    ResponseHeaderModifier,
    RequestMirror,
    RequestRedirect,
    #[serde(rename = "URLRewrite")]
    UrlRewrite,
    #[serde(rename = "CORS")]
    Cors,
    ExternalAuth,
    ExtensionRef,
}

/// Header changes, in the order set, add, remove.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HeaderModifier {
    /// Replaces what is there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub set: Vec<Header>,
    /// Adds to what is there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub add: Vec<Header>,
    /// Takes away, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub remove: Vec<String>,
}

/// A header's name and value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Header {
    /// The name, any letter case.
    #[schemars(length(min = 1, max = 256))]
    pub name: String,
    /// The value, visible ASCII and spaces.
    #[schemars(length(min = 1, max = 4096))]
    pub value: String,
}

/// Where a copy of the request goes, and of how many requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RequestMirror {
    /// The Service that gets the copy.
    pub backend_ref: BackendRef,
    /// Of a hundred requests, how many; all where neither is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub percent: Option<u8>,
    /// The same as a fraction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fraction: Option<Fraction>,
}

/// `numerator` of `denominator`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fraction {
    /// How many.
    pub numerator: u32,
    /// Of how many; 100 where none is written.
    #[serde(default = "hundred")]
    #[schemars(range(min = 1))]
    pub denominator: u32,
}

fn hundred() -> u32 {
    100
}

/// A redirect; what is not written stays as the request had it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RequestRedirect {
    /// `http` or `https`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheme: Option<RedirectScheme>,
    /// The host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<Hostname>,
    /// The path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathModifier>,
    /// The port; where none is written: none if the scheme is named (its well-known port), else
    /// the listener's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<u16>,
    /// 301, 302 (the default), 303, 307 or 308.
    #[serde(default = "found")]
    pub status_code: u16,
}

fn found() -> u16 {
    302
}

/// The scheme of a redirect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum RedirectScheme {
    Http,
    Https,
}

/// A new path. Which field is set must agree with `type`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PathModifier {
    /// Which of the fields below is meant.
    #[serde(rename = "type")]
    pub kind: PathModifierType,
    /// Replaces the whole path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub replace_full_path: Option<String>,
    /// Replaces the matched prefix; needs a `PathPrefix` match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub replace_prefix_match: Option<String>,
}

/// The word of `path.type` in a redirect or rewrite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub enum PathModifierType {
    ReplaceFullPath,
    ReplacePrefixMatch,
}

/// A change of host or path on the way to the backend.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UrlRewrite {
    /// The new `Host`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<Hostname>,
    /// The new path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathModifier>,
}

/// A reference to a backend's port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BackendRef {
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
}

fn service_kind() -> String {
    "Service".to_owned()
}

/// A backend of a rule, with its share.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpBackendRef {
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
    /// What is done to requests that go to this backend alone, after what the rule does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub filters: Vec<HttpFilter>,
}

fn one() -> u32 {
    1
}

impl HttpRule {
    /// Who gets copies of its requests, by the rule's filters and by those of its backends, each with its
    /// path within the rule.
    pub fn mirrors(&self) -> impl Iterator<Item = (String, &RequestMirror)> {
        let own = mirrors(&self.filters);
        let backends = self.backend_refs.iter().enumerate();
        own.chain(backends.flat_map(|(at, backend)| {
            let mirrors = mirrors(&backend.filters);
            mirrors.map(move |(path, mirror)| (format!("backendRefs[{at}].{path}"), mirror))
        }))
    }
}

fn mirrors(filters: &[HttpFilter]) -> impl Iterator<Item = (String, &RequestMirror)> {
    let filters = filters.iter().enumerate();
    filters.filter_map(|(at, filter)| {
        Some((format!("filters[{at}].requestMirror"), filter.request_mirror.as_ref()?))
    })
}

impl HttpBackendRef {
    /// The reference without share and filters.
    pub fn target(&self) -> BackendRef {
        BackendRef {
            group: self.group.clone(),
            kind: self.kind.clone(),
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            port: self.port,
        }
    }
}

/// Bounds on time; `0s` means none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Timeouts {
    /// From the request's head to the whole answer, over all tries; answered 504.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<GatewayDuration>,
    /// For each try at a backend, until the answer's head; answered 504.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend_request: Option<GatewayDuration>,
}

impl Timeouts {
    /// `request` as a bound; `None` where unset or zero.
    pub fn request_bound(&self) -> Option<Duration> {
        self.request.map(Duration::from).filter(|bound| !bound.is_zero())
    }

    /// `backendRequest` as a bound; `None` where unset or zero.
    pub fn backend_bound(&self) -> Option<Duration> {
        self.backend_request.map(Duration::from).filter(|bound| !bound.is_zero())
    }
}
