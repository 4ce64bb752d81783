//! TrafficPolicy (`heddle.dev/v1alpha1`): how requests are spread over the endpoints of a Service, and
//! which of them get none for a while.
//!
//! What it says holds for whoever sends to the Service: gateways, and the proxies of its callers.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::invalid::Checker;
use crate::policy::{PolicyTargetRef, TargetKind};
use crate::route::GatewayDuration;
use crate::{Key, Meta};

pub use bounds::Bounds;
pub use compression::{Coding, Compression};
pub use timeouts::Timeouts;

mod bounds;
mod compression;
mod timeouts;

/// How requests are spread over the endpoints of Services.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrafficPolicy {
    /// Who it is.
    pub metadata: Meta,
    /// What is wanted.
    pub spec: TrafficPolicySpec,
}

/// `spec` of a TrafficPolicy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TrafficPolicySpec {
    /// The Services that it holds for, in its own namespace, with all their ports.
    #[schemars(length(min = 1, max = 16))]
    pub target_refs: Vec<PolicyTargetRef>,
    /// Which endpoint gets a request.
    #[serde(default)]
    pub balance: Balance,
    /// Which endpoints get none for a while, since requests to them failed.
    #[serde(default)]
    pub ejection: Ejection,
    /// Which endpoints get none, since they do not answer when they are asked for that; none are
    /// asked where nothing is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check: Option<HealthCheck>,
    /// What is not sent, so that the Service is not overwhelmed.
    #[serde(default)]
    pub bounds: Bounds,
    /// How long it may take to reach it, and how long what goes to it may be silent.
    #[serde(default)]
    pub timeouts: Timeouts,
    /// Where a rule leads to others as well, it gets requests only in the place of one of those that has no
    /// endpoint which takes any.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fallback: bool,
    /// Which answers a gateway compresses; none where nothing is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression: Option<Compression>,
    /// The version of the PROXY protocol by which connections that a TLSRoute or TCPRoute leads say where
    /// they came from; none where nothing is written. Requests of many callers share connections, so
    /// those say nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy_protocol: Option<ProxyProtocol>,
}

/// A version of the PROXY protocol (HAProxy's specification, 2020-03-05).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ProxyProtocol {
    /// A line of text.
    V1,
    /// A header in binary.
    V2,
}

/// Which endpoint gets a request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Balance {
    /// `PeakEwma` where none is written.
    #[serde(default)]
    pub algorithm: Algorithm,
    /// What of a request decides; with `RingHash` alone, which needs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash_on: Option<HashOn>,
    /// How long an endpoint that is new, or well again, gets fewer requests than others: more and more
    /// until then. None where nothing is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slow_start: Option<GatewayDuration>,
    /// Where fewer than so many of a hundred endpoints are well, those that failed get requests like the
    /// others, so that the few are not overwhelmed; never where nothing is written.
    #[serde(default)]
    #[schemars(range(min = 0, max = 100))]
    pub panic_percent: u8,
    /// Whether endpoints in the proxy's own zone come first; what the Service's `trafficDistribution` says
    /// where nothing is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zones: Option<Zones>,
}

/// The word of `balance.zones`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Zones {
    /// Endpoints in the proxy's own zone get all requests as long as enough of them are well.
    Prefer,
    /// All zones are alike.
    Ignore,
}

/// The word of `balance.algorithm`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Algorithm {
    /// Of two drawn at random the one whose recent answer time times its requests under way is lower
    /// (Finagle's "Peak EWMA").
    #[default]
    PeakEwma,
    /// Of two drawn at random the one that has fewer requests under way.
    LeastRequest,
    /// One after the other.
    RoundRobin,
    /// Any.
    Random,
    /// The same one for the same `hashOn`, as long as it is there and well (consistent hashing).
    RingHash,
}

/// What of a request decides which endpoint it goes to; exactly one is written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HashOn {
    /// The value of this header, as it came; several lines count as one joined by `,`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub header: Option<String>,
    /// The value of this cookie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub cookie: Option<String>,
    /// The caller's address; written as `true`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<bool>,
}

/// When an endpoint gets no requests for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ejection {
    /// After so many failures in a row; 5 where none is written, 0 for never.
    #[serde(default = "five")]
    #[schemars(range(min = 0, max = 1000))]
    pub consecutive: u32,
    /// Or where so many of a hundred requests failed within `interval`; never where none is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub percent: Option<u8>,
    /// With fewer requests within `interval` than these, `percent` says nothing.
    #[serde(default = "twenty")]
    #[schemars(range(min = 1, max = 100_000))]
    pub minimum_requests: u32,
    /// How long failures are counted; `10s` where none is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<GatewayDuration>,
    /// The statuses of answers that are failures; 500, 502, 503 and 504 where none is written. A call of
    /// gRPC counts by the status that says the same as its code (`google.rpc.Code`), but for
    /// DEADLINE_EXCEEDED, since callers set deadlines. Breaking off, and taking longer than one try may,
    /// are failures in any case.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub codes: Vec<u16>,
    /// How long it gets none, at first; twice as long each further time, four times as long at most. `1s`
    /// where none is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rest: Option<GatewayDuration>,
    /// No more than so many of a hundred endpoints are without requests for that, and never the last one
    /// that is well where it is less than 100; 50 where none is written.
    #[serde(default = "fifty")]
    #[schemars(range(min = 0, max = 100))]
    pub max_percent: u8,
}

const fn five() -> u32 {
    5
}

const fn twenty() -> u32 {
    20
}

const fn fifty() -> u8 {
    50
}

impl Default for Ejection {
    fn default() -> Self {
        Self::USUAL
    }
}

/// How endpoints are asked whether they are well. One whose proxy takes requests for it is not asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HealthCheck {
    /// What is asked.
    #[serde(rename = "type")]
    pub kind: HealthCheckType,
    /// The path and query of a check by HTTP; `/` where none is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub path: Option<String>,
    /// The host of a check by HTTP; the endpoint's address where none is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<crate::Hostname>,
    /// The statuses by which an endpoint is well; 200 to 299 where none is written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub codes: Vec<u16>,
    /// The service of a check by gRPC (`grpc.health.v1`); the whole server where none is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub service: Option<String>,
    /// The port that is asked; the one that requests go to where none is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<u16>,
    /// From one check to the next, a tenth more or less; `5s` where none is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<GatewayDuration>,
    /// How long an answer may take; `1s` where none is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<GatewayDuration>,
    /// After so many good answers in a row an endpoint is well again; 1 where none is written.
    #[serde(default = "once")]
    #[schemars(range(min = 1, max = 100))]
    pub healthy_after: u32,
    /// After so many bad ones it is not; 3 where none is written.
    #[serde(default = "thrice")]
    #[schemars(range(min = 1, max = 100))]
    pub unhealthy_after: u32,
}

fn once() -> u32 {
    1
}

fn thrice() -> u32 {
    3
}

/// The word of `healthCheck.type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum HealthCheckType {
    /// `GET` by the protocol that the Service's port speaks.
    Http,
    /// A connection that can be opened.
    Tcp,
    /// `grpc.health.v1.Health/Check` over HTTP/2.
    Grpc,
}

impl TrafficPolicy {
    /// The Services that it holds for.
    pub fn targets(&self) -> impl Iterator<Item = Key> {
        let own = &self.metadata.namespace;
        let targets = self.spec.target_refs.iter();
        targets.map(|target| Key::new(target.kind.kind(), own.clone(), target.name.clone()))
    }

    /// Reports what the schema cannot say.
    pub fn check(&self, at: &mut Checker) {
        let spec = &self.spec;
        at.within("spec", |at| {
            at.each("targetRefs", &spec.target_refs, |at, target| {
                target.check(at);
                if target.kind != TargetKind::Service {
                    at.fault_in("kind", "a TrafficPolicy holds for Services alone");
                }
            });
            at.within("balance", |at| spec.balance.check(at));
            at.within("ejection", |at| spec.ejection.check(at));
            at.within("bounds", |at| spec.bounds.check(at));
            at.within("timeouts", |at| spec.timeouts.check(at));
            if let Some(check) = &spec.health_check {
                at.within("healthCheck", |at| check.check(at));
            }
            if let Some(compression) = &spec.compression {
                at.within("compression", |at| compression.check(at));
            }
        });
    }
}

impl Balance {
    fn check(&self, at: &mut Checker) {
        match (self.algorithm, &self.hash_on) {
            (Algorithm::RingHash, None) => {
                at.fault("RingHash needs 'hashOn', which says what of a request decides");
            }
            (Algorithm::RingHash, Some(on)) => at.within("hashOn", |at| on.check(at)),
            (_, Some(_)) => at.fault_in("hashOn", "belongs to RingHash alone"),
            (_, None) => {}
        }
        if self.algorithm == Algorithm::RingHash && self.zones == Some(Zones::Prefer) {
            at.fault_in(
                "zones",
                "is of no use beside RingHash, which goes by 'hashOn' in all zones",
            );
        }
        check_positive(at, "slowStart", self.slow_start);
    }
}

impl HashOn {
    fn check(&self, at: &mut Checker) {
        let written = [self.header.is_some(), self.cookie.is_some(), self.source.is_some()];
        if written.iter().filter(|written| **written).count() != 1 {
            at.fault("exactly one of 'header', 'cookie' and 'source' is needed");
        }
        if let Some(header) = &self.header
            && http::HeaderName::from_bytes(header.as_bytes()).is_err()
        {
            at.fault_in("header", format!("'{header}' is no header name (RFC 9110, section 5.1)"));
        }
        if let Some(cookie) = &self.cookie
            && http::HeaderName::from_bytes(cookie.as_bytes()).is_err()
        {
            at.fault_in("cookie", format!("'{cookie}' is no cookie name (RFC 6265, section 4.1)"));
        }
        if self.source == Some(false) {
            at.fault_in("source", "is 'true' or not written");
        }
    }
}

impl Ejection {
    /// What holds where nothing is written.
    pub const USUAL: Self = Ejection {
        consecutive: five(),
        percent: None,
        minimum_requests: twenty(),
        interval: None,
        codes: Vec::new(),
        rest: None,
        max_percent: fifty(),
    };

    /// How long failures are counted.
    pub fn interval(&self) -> Duration {
        self.interval.map_or(Duration::from_secs(10), Duration::from)
    }

    /// How long an endpoint gets no requests at first.
    pub fn rest(&self) -> Duration {
        self.rest.map_or(Duration::from_secs(1), Duration::from)
    }

    /// Whether an answer of this status is a failure.
    pub fn is_failure(&self, status: u16) -> bool {
        match self.codes.as_slice() {
            [] => matches!(status, 500 | 502..=504),
            codes => codes.contains(&status),
        }
    }

    fn check(&self, at: &mut Checker) {
        check_positive(at, "interval", self.interval);
        check_positive(at, "rest", self.rest);
        at.each("codes", &self.codes, |at, code| {
            if !(400..600).contains(code) {
                at.fault(format!("{code} is no status of a failure; write one of 400 to 599"));
            }
        });
    }
}

impl HealthCheck {
    /// From one check to the next.
    pub fn interval(&self) -> Duration {
        self.interval.map_or(Duration::from_secs(5), Duration::from)
    }

    /// How long an answer may take.
    pub fn timeout(&self) -> Duration {
        self.timeout.map_or(Duration::from_secs(1).min(self.interval()), Duration::from)
    }

    /// Whether an endpoint that answers with this status is well.
    pub fn is_well(&self, status: u16) -> bool {
        match self.codes.as_slice() {
            [] => matches!(status, 200..=299),
            codes => codes.contains(&status),
        }
    }

    fn check(&self, at: &mut Checker) {
        let is_http = self.kind == HealthCheckType::Http;
        for (field, is_written) in [
            ("path", self.path.is_some()),
            ("host", self.host.is_some()),
            ("codes", !self.codes.is_empty()),
        ] {
            if is_written && !is_http {
                at.fault_in(field, "belongs to checks by HTTP alone");
            }
        }
        if self.service.is_some() && self.kind != HealthCheckType::Grpc {
            at.fault_in("service", "belongs to checks by gRPC alone");
        }
        if let Some(path) = &self.path
            && (!path.starts_with('/') || http::uri::PathAndQuery::try_from(path.as_str()).is_err())
        {
            at.fault_in("path", format!("'{path}' is no path; it begins with '/'"));
        }
        if self.host.as_ref().is_some_and(|host| host.suffix().is_some()) {
            at.fault_in("host", "is one host, not a wildcard");
        }
        at.each("codes", &self.codes, |at, code| {
            if !(100..600).contains(code) {
                at.fault(format!("{code} is no status"));
            }
        });
        for (field, written) in [("interval", self.interval), ("timeout", self.timeout)] {
            check_positive(at, field, written);
        }
        if self.timeout() > self.interval() {
            at.fault_in("timeout", "may not be longer than 'interval'");
        }
    }
}

fn check_positive(at: &mut Checker, field: &str, written: Option<GatewayDuration>) {
    if written.is_some_and(|time| Duration::from(time) < Duration::from_millis(100)) {
        at.fault_in(field, "is 100ms at least");
    }
}
