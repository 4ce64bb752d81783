//! GRPCRoute (`gateway.networking.k8s.io/v1`): which calls of gRPC, what is done, where they go.
//!
//! A call is a request for `/SERVICE/METHOD`, so a GRPCRoute says what an HTTPRoute could say too, in
//! words of its own; [`GrpcRoute::as_http`] is that HTTPRoute.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    FilterType, HeaderMatch, HeaderModifier, HttpBackendRef, HttpFilter, HttpMatch, HttpRoute,
    HttpRouteSpec, HttpRule, ParentRef, PathMatch, PathMatchType, RequestMirror,
    SessionPersistence, one, service_kind,
};
use crate::expression::Expressions;
use crate::invalid::Checker;
use crate::{Hostname, Meta, Name};

/// Rules for gRPC calls that come in through the listeners it attaches to, or that applications send
/// to the Services it attaches to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "GRPCRoute")]
pub struct GrpcRoute {
    /// Who it is.
    pub metadata: Meta,
    /// What is wanted.
    pub spec: GrpcRouteSpec,
}

/// `spec` of a GRPCRoute.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GrpcRouteSpec {
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
    /// What to do with which call; one rule for everything where none is written.
    #[serde(default = "default_rules")]
    #[schemars(length(min = 1, max = 16))]
    pub rules: Vec<GrpcRule>,
}

fn default_rules() -> Vec<GrpcRule> {
    vec![GrpcRule::default()]
}

/// One rule: any of `matches`, then `filters`, then one of `backendRefs`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GrpcRule {
    /// Its name within the route; policies attach to it as `sectionName`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// Any of these; every call where none is written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub matches: Vec<GrpcMatch>,
    /// What is done to call and answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub filters: Vec<GrpcFilter>,
    /// Where calls go, by weight, over HTTP/2; answered UNKNOWN where there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub backend_refs: Vec<GrpcBackendRef>,
    /// Which calls go to one and the same endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_persistence: Option<SessionPersistence>,
}

/// A backend of a rule, with its share.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GrpcBackendRef {
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
    /// What is done to calls that go to this backend alone, after what the rule does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub filters: Vec<GrpcFilter>,
}

/// All of what is written here must hold.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GrpcMatch {
    /// Which method of which service; any where none is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<GrpcMethodMatch>,
    /// Metadata, each name once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub headers: Vec<HeaderMatch>,
}

/// Which method of which service; at least one of the two is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GrpcMethodMatch {
    /// `Exact` where none is written.
    #[serde(rename = "type", default)]
    pub kind: GrpcMethodMatchType,
    /// The service with its package, such as `shop.v1.Orders`; any where none is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub service: Option<String>,
    /// The method, such as `Get`; any where none is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub method: Option<String>,
}

/// How service and method are compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "GRPCMethodMatchType")]
pub enum GrpcMethodMatchType {
    /// Letter by letter.
    #[default]
    Exact,
    /// A regular expression (the `regex` crate's syntax, linear time) over the whole of each.
    RegularExpression,
}

/// One thing done to a call or its answer. Which field is set must agree with `type`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GrpcFilter {
    /// Which of the fields below is meant.
    #[serde(rename = "type")]
    pub kind: GrpcFilterType,
    /// Changes the metadata of the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_header_modifier: Option<HeaderModifier>,
    /// Changes the metadata that the answer begins with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_header_modifier: Option<HeaderModifier>,
    /// Sends a copy elsewhere; its answer is dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_mirror: Option<RequestMirror>,
    /// A filter of somebody's own kind. Not enforced yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extension_ref: Option<serde_json::Value>,
}

/// The word of `filters[].type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub enum GrpcFilterType {
    RequestHeaderModifier,
    ResponseHeaderModifier,
    RequestMirror,
    ExtensionRef,
}

impl GrpcRoute {
    /// The HTTPRoute that means the same: each method the path by which it is called.
    pub fn as_http(&self) -> HttpRoute {
        self.as_http_by(GrpcMethodMatch::path)
    }

    /// The same, with paths of the caller's.
    fn as_http_by(&self, path: impl Fn(&GrpcMethodMatch) -> PathMatch) -> HttpRoute {
        let spec = &self.spec;
        let one = |one: &GrpcMatch| HttpMatch {
            path: one.method.as_ref().map(&path).unwrap_or_default(),
            headers: one.headers.clone(),
            ..HttpMatch::default()
        };
        let rule = |rule: &GrpcRule| HttpRule {
            name: rule.name.clone(),
            matches: rule.matches.iter().map(one).collect(),
            filters: rule.filters.iter().map(GrpcFilter::as_http).collect(),
            backend_refs: rule.backend_refs.iter().map(GrpcBackendRef::as_http).collect(),
            session_persistence: rule.session_persistence.clone(),
            ..HttpRule::default()
        };
        HttpRoute {
            metadata: self.metadata.clone(),
            spec: HttpRouteSpec {
                parent_refs: spec.parent_refs.clone(),
                use_default_gateways: spec.use_default_gateways.clone(),
                hostnames: spec.hostnames.clone(),
                rules: spec.rules.iter().map(rule).collect(),
            },
        }
    }

    /// Reports what the schema cannot say.
    pub fn check(&self, at: &mut Checker) {
        // What it shares with an HTTPRoute is checked as one; a fault in a path would name a field
        // that is not there, so paths are left out.
        self.as_http_by(|_| PathMatch::default()).check(at);
        let mut expressions = Expressions::default();
        at.within("spec", |at| {
            at.each("rules", &self.spec.rules, |at, rule| {
                at.each("matches", &rule.matches, |at, one| {
                    if let Some(method) = &one.method {
                        at.within("method", |at| method.check(at, &mut expressions));
                    }
                });
            });
        });
    }
}

impl GrpcBackendRef {
    fn as_http(&self) -> HttpBackendRef {
        HttpBackendRef {
            group: self.group.clone(),
            kind: self.kind.clone(),
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            port: self.port,
            weight: self.weight,
            filters: self.filters.iter().map(GrpcFilter::as_http).collect(),
        }
    }
}

impl GrpcMethodMatch {
    /// The path of the calls that are meant (gRPC over HTTP/2, `Path`).
    fn path(&self) -> PathMatch {
        let (kind, value) = match (self.kind, &self.service, &self.method) {
            (GrpcMethodMatchType::Exact, Some(service), Some(method)) => {
                (PathMatchType::Exact, format!("/{service}/{method}"))
            }
            (GrpcMethodMatchType::Exact, Some(service), None) => {
                (PathMatchType::PathPrefix, format!("/{service}"))
            }
            (kind, service, method) => {
                let part = |part: &Option<String>| match (kind, part) {
                    (_, None) => "[^/]+".to_owned(),
                    (GrpcMethodMatchType::Exact, Some(text)) => regex_syntax::escape(text),
                    (GrpcMethodMatchType::RegularExpression, Some(text)) => format!("(?:{text})"),
                };
                let path = format!("/{}/{}", part(service), part(method));
                (PathMatchType::RegularExpression, path)
            }
        };
        PathMatch { kind, value }
    }

    fn check(&self, at: &mut Checker, expressions: &mut Expressions) {
        if self.service.is_none() && self.method.is_none() {
            at.fault(
                "at least one of 'service' and 'method' is needed; leave out 'method' for any",
            );
        }
        let parts = [("service", &self.service, true), ("method", &self.method, false)];
        for (field, text, is_dotted) in parts {
            let Some(text) = text else { continue };
            match self.kind {
                GrpcMethodMatchType::RegularExpression => expressions.check(at, field, text),
                GrpcMethodMatchType::Exact if is_name(text, is_dotted) => {}
                GrpcMethodMatchType::Exact => at.fault_in(
                    field,
                    format!(
                        "'{text}' is no name of a {field}: letters, digits and '_'{}, no digit first",
                        if is_dotted { " in parts joined by '.'" } else { "" }
                    ),
                ),
            }
        }
    }
}

/// Whether it is an identifier of protocol buffers, or several joined by dots.
fn is_name(text: &str, is_dotted: bool) -> bool {
    let is_part = |part: &str| {
        let mut letters = part.bytes();
        letters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
            && letters.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    match is_dotted {
        true => text.strip_prefix('.').unwrap_or(text).split('.').all(is_part),
        false => is_part(text),
    }
}

impl GrpcFilter {
    fn as_http(&self) -> HttpFilter {
        HttpFilter {
            kind: match self.kind {
                GrpcFilterType::RequestHeaderModifier => FilterType::RequestHeaderModifier,
                GrpcFilterType::ResponseHeaderModifier => FilterType::ResponseHeaderModifier,
                GrpcFilterType::RequestMirror => FilterType::RequestMirror,
                GrpcFilterType::ExtensionRef => FilterType::ExtensionRef,
            },
            request_header_modifier: self.request_header_modifier.clone(),
            response_header_modifier: self.response_header_modifier.clone(),
            request_mirror: self.request_mirror.clone(),
            request_redirect: None,
            url_rewrite: None,
            cors: None,
            external_auth: None,
            extension_ref: self.extension_ref.clone(),
        }
    }
}
