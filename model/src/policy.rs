//! AccessPolicy (`heddle.dev/v1alpha1`): who may do what on the traffic it is attached to.
//!
//! ```yaml
//! apiVersion: heddle.dev/v1alpha1
//! kind: AccessPolicy
//! metadata: { name: orders, namespace: shop }
//! spec:
//!   targetRefs:
//!     - { kind: HTTPRoute, name: orders }
//!   rules:
//!     - name: anyone-reads
//!       when: { methods: [GET], paths: [{ value: /orders }] }
//!     - name: clerks-write
//!       when: { methods: [POST], callers: [{ apiKey: clerk }] }
//!     - name: not-from-the-lab
//!       action: Deny
//!       when: { sources: [10.9.0.0/16] }
//! ```
//!
//! On one target the allow rules of all its policies are alternatives; a target with none is open.
//! The targets that a request passes (Gateway, listener, HTTPRoute, rule) must *each* let it pass,
//! and a deny rule that matches anywhere denies.

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::expression::Expressions;
use crate::gateway::gateway_group;
use crate::header::why_not_judged;
use crate::invalid::Checker;
use crate::route::{HeaderMatch, Method, PathMatch, ValueMatchType};
use crate::{Hostname, Kind, Meta, Name};

/// Rules on the traffic of its targets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AccessPolicy {
    /// Who it is.
    pub metadata: Meta,
    /// What is wanted.
    pub spec: AccessPolicySpec,
}

/// `spec` of an AccessPolicy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AccessPolicySpec {
    /// What it is attached to, in its own namespace.
    #[schemars(length(min = 1, max = 16))]
    pub target_refs: Vec<PolicyTargetRef>,
    /// The rules.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10_000))]
    pub rules: Vec<AccessRule>,
}

/// A Gateway or ListenerSet (`sectionName`: a listener), a route of any kind (`sectionName`: a rule's
/// name), or a Service.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicyTargetRef {
    /// `gateway.networking.k8s.io` where none is written; of a Service nothing, or the empty group.
    #[serde(default = "gateway_group")]
    pub group: String,
    /// What kind of object.
    pub kind: TargetKind,
    /// Its name, in the policy's own namespace.
    pub name: Name,
    /// A part of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub section_name: Option<Name>,
}

/// The word of `targetRefs[].kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum TargetKind {
    /// Everything that comes in through a Gateway, or through one listener of it.
    Gateway,
    /// Everything that comes in through the listeners of a ListenerSet, or through one of them.
    ListenerSet,
    /// One route, or one rule of it.
    #[serde(rename = "HTTPRoute")]
    HttpRoute,
    /// The same of a route for gRPC.
    #[serde(rename = "GRPCRoute")]
    GrpcRoute,
    /// The same of a route for connections, by their server name.
    #[serde(rename = "TLSRoute")]
    TlsRoute,
    /// The same of a route for all connections of a listener.
    #[serde(rename = "TCPRoute")]
    TcpRoute,
    /// The same of a route for all datagrams of a listener.
    #[serde(rename = "UDPRoute")]
    UdpRoute,
    /// Everything that comes through the mesh to a workload behind a Service.
    Service,
}

impl TargetKind {
    /// The kind of object that is meant.
    pub const fn kind(self) -> Kind {
        match self {
            TargetKind::Gateway => Kind::Gateway,
            TargetKind::ListenerSet => Kind::ListenerSet,
            TargetKind::HttpRoute => Kind::HttpRoute,
            TargetKind::GrpcRoute => Kind::GrpcRoute,
            TargetKind::TlsRoute => Kind::TlsRoute,
            TargetKind::TcpRoute => Kind::TcpRoute,
            TargetKind::UdpRoute => Kind::UdpRoute,
            TargetKind::Service => Kind::Service,
        }
    }
}

/// An object of the same namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LocalRef {
    /// Its name.
    pub name: Name,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AccessRule {
    /// Its name within the policy, shown by explain and in logs.
    pub name: Name,
    /// `Allow` where none is written.
    #[serde(default)]
    pub action: Action,
    /// Which requests; every request where nothing is written.
    #[serde(default)]
    pub when: Conditions,
}

/// What a rule that matches does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Action {
    /// Lets the request pass this target.
    #[default]
    Allow,
    /// Denies it, whatever else allows.
    Deny,
    /// Says in log and explain that it matched what may pass, and changes nothing: a rule that is to deny one
    /// day, while its author learns whom it would hit.
    Audit,
}

/// All lists that are written must each have an entry that holds. An empty list is a fault: read
/// as *not written* it would silently widen an allow rule.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Conditions {
    /// Methods.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 9))]
    pub methods: Vec<Method>,
    /// Paths, compared as in an HTTPRoute.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 1000))]
    pub paths: Vec<PathMatch>,
    /// Hosts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 1000))]
    pub hosts: Vec<Hostname>,
    /// Headers: here *all* must hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 16))]
    pub headers: Vec<HeaderMatch>,
    /// Addresses that callers come from, as CIDR or a single address.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 10_000))]
    pub sources: Vec<Source>,
    /// Callers that proved who they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 1000))]
    pub callers: Vec<CallerMatch>,
    /// Who sends it through the mesh. At the edge nobody does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 1000))]
    pub workloads: Vec<WorkloadMatch>,
    /// Times at which it is asked: a request when it begins; a tunnel, a carried connection or a flow again
    /// whenever its table changes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 16))]
    pub times: Vec<TimeMatch>,
}

/// What one rule or limit of a policy asks of requests.
#[derive(Debug, Clone, Copy)]
pub struct When<'p> {
    /// Where it stands: the list, and its place there.
    pub list: &'static str,
    /// Counted from 0.
    pub index: usize,
    /// What it asks.
    pub conditions: &'p Conditions,
    /// Whether what it does not mean is let pass where what it means would not be.
    pub keeps_out: bool,
}

impl When<'_> {
    /// Its place in its object, such as `spec.rules[0].when`.
    pub fn path(&self) -> String {
        format!("spec.{}[{}].when", self.list, self.index)
    }
}

/// A length of time: from, until, or between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TimeMatch {
    /// When it begins, to the second (RFC 3339); before all times where nothing is written.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "time::serde::rfc3339::option"
    )]
    #[schemars(with = "Option<String>", length(max = 64), extend("format" = "date-time"))]
    pub from: Option<OffsetDateTime>,
    /// When it is over, to the second (RFC 3339); never where nothing is written.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "time::serde::rfc3339::option"
    )]
    #[schemars(with = "Option<String>", length(max = 64), extend("format" = "date-time"))]
    pub until: Option<OffsetDateTime>,
}

/// A range of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Source(pub IpNet);

impl TryFrom<String> for Source {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let net = text.parse::<IpNet>();
        net.or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from))
            .map(|net| Source(net.trunc()))
            .map_err(|_| format!("'{text}' is no address and no CIDR range such as 10.0.0.0/8"))
    }
}

impl From<Source> for String {
    fn from(source: Source) -> String {
        source.0.to_string()
    }
}

impl JsonSchema for Source {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Source".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "an address, or a CIDR range such as 10.0.0.0/8",
            "type": "string",
            "format": "address-range",
            "maxLength": 64,
            "pattern": r"^[0-9a-fA-F:.]+(/[0-9]{1,3})?$",
        })
    }
}

/// Who is at the other end in the mesh, as its certificate says: workloads of a cluster, or gateways.
/// What is written must all hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WorkloadMatch {
    /// The cluster that vouches for it; any in which its workspace is where none is written. The same
    /// name in a cluster where the workspace is not is somebody else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<Name>,
    /// Its namespace; the policy's own where none is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Name>,
    /// Its service account; any of the namespace where none is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account: Option<Name>,
    /// The name of a gateway, in the place of a workload's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<Name>,
}

/// A caller: a Consumer, the name of an API key, or what a token says. What is written must all hold; nothing
/// written means any caller that proved who it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CallerMatch {
    /// Where another proxy says who is calling: the Api whose policy knows them. The policy's own Api where
    /// none is written. Whom a policy without an Api, or one of the platform, knows counts in any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<Name>,
    /// A Consumer, whatever proved it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumer: Option<ConsumerMatch>,
    /// The name of the API key, of those that stand in a Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key: Option<String>,
    /// The token's issuer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// The token's subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Claims of the token: equal to a text, number or truth value, or a list that holds it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub claims: Vec<ClaimMatch>,
}

/// Which Consumer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConsumerMatch {
    /// Its name.
    pub name: Name,
    /// Its namespace; the policy's own where none is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Name>,
}

/// A claim that must be there with a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClaimMatch {
    /// The claim's name; dots step into objects (`realm.roles`).
    #[schemars(length(min = 1, max = 256))]
    pub name: String,
    /// The value as text.
    pub value: String,
}

impl AccessPolicy {
    /// Reports what the schema cannot say.
    pub fn check(&self, at: &mut Checker) {
        let spec = &self.spec;
        at.within("spec", |at| {
            at.each("targetRefs", &spec.target_refs, |at, target| target.check(at));
            let mut names = std::collections::BTreeSet::new();
            let mut expressions = Expressions::default();
            at.each("rules", &spec.rules, |at, rule| {
                if !names.insert(&rule.name) {
                    at.fault_in("name", format!("a rule '{}' stands above", rule.name));
                }
                at.within("when", |at| rule.when.check(at, &mut expressions));
            });
        });
    }
}

impl PolicyTargetRef {
    pub(crate) fn check(&self, at: &mut Checker) {
        let is_core = self.group.is_empty() && self.kind == TargetKind::Service;
        if self.group != gateway_group() && !is_core {
            let text = "a policy attaches to gateway.networking.k8s.io, and to Services of the \
                        empty group";
            at.fault_in("group", text);
        }
        if self.kind == TargetKind::Service && self.section_name.is_some() {
            at.fault_in("sectionName", "a Service is a target as a whole");
        }
    }
}

impl Conditions {
    pub(crate) fn check(&self, at: &mut Checker, expressions: &mut Expressions) {
        at.each("paths", &self.paths, |at, path| path.check(at, expressions));
        at.each("headers", &self.headers, |at, header| {
            crate::route::check_header_name(at, &header.name);
            if let Some(why) = why_not_judged(&header.name) {
                at.fault_in("name", format!("'{}' cannot be asked for: {why}", header.name));
            }
            if header.kind == ValueMatchType::RegularExpression {
                expressions.check(at, "value", &header.value);
            }
        });
        at.each("workloads", &self.workloads, |at, one| {
            if one.gateway.is_some() && (one.namespace.is_some() || one.service_account.is_some()) {
                at.fault_in("gateway", "a gateway has neither namespace nor service account");
            }
        });
        at.each("times", &self.times, |at, time| time.check(at));
    }
}

impl TimeMatch {
    pub(crate) fn check(&self, at: &mut Checker) {
        match (self.from, self.until) {
            (None, None) => at.fault("says no time; write 'from', 'until' or both"),
            (from, until) if [from, until].iter().flatten().any(|at| at.nanosecond() > 0) => {
                at.fault("is compared by the second: write no fractions of one");
            }
            (Some(from), Some(until)) if from >= until => {
                at.fault_in("until", "is no later than 'from', so that no time is meant");
            }
            (Some(_), Some(_) | None) | (None, Some(_)) => {}
        }
    }
}
