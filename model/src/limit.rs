//! RateLimitPolicy (`heddle.dev/v1alpha1`): how many requests may come through what it is attached to.
//!
//! ```yaml
//! apiVersion: heddle.dev/v1alpha1
//! kind: RateLimitPolicy
//! metadata: { name: orders, namespace: shop }
//! spec:
//!   targetRefs:
//!     - { kind: HTTPRoute, name: orders }
//!   limits:
//!     - name: each-address
//!       by: [{ type: Address }]
//!       requests: 100
//!       window: 1m
//!     - name: writes
//!       when: { methods: [POST] }
//!       by: [{ type: Caller }]
//!       requests: 5
//!       window: 1s
//!       algorithm: TokenBucket
//!       burst: 20
//! ```
//!
//! A limit with a `period` is a quota: so many in a day or a month of the calendar.
//! Each limit that means a request counts it, once, however many targets of the policy the request passes; it
//! goes on only if none of them is used up. Each proxy counts by itself, or all of them together.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::expression::Expressions;
use crate::header::why_not_judged;
use crate::invalid::Checker;
use crate::policy::{Conditions, PolicyTargetRef, TargetKind};
use crate::route::GatewayDuration;
use crate::{Meta, Name};

/// The longest window, 24 hours.
pub const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Limits on the traffic of its targets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RateLimitPolicy {
    /// Who it is.
    pub metadata: Meta,
    /// What is wanted.
    pub spec: RateLimitPolicySpec,
}

/// `spec` of a RateLimitPolicy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RateLimitPolicySpec {
    /// What it is attached to, in its own namespace: anything but UDPRoutes, since datagrams are not counted. Of
    /// what nobody reads as requests, each connection counts as one.
    #[schemars(length(min = 1, max = 16))]
    pub target_refs: Vec<PolicyTargetRef>,
    /// The limits.
    #[schemars(length(min = 1, max = 64))]
    pub limits: Vec<RateLimit>,
}

/// One limit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RateLimit {
    /// Its name within the policy: in answers, explain and logs.
    pub name: Name,
    /// Which requests, in the words of an AccessPolicy's rule; every request where nothing is written.
    #[serde(default)]
    pub when: Conditions,
    /// By what they are counted apart; all together where nothing is written. Requests that lack one of these
    /// have one count in common.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 4))]
    pub by: Vec<CountedBy>,
    /// How many may come in one window or period: up to 1,000,000, of a period up to 1,000,000,000.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub requests: u32,
    /// How long a window is: whole seconds, from 1 s to 24 h. Written unless `period` is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<GatewayDuration>,
    /// In the place of a window, for quotas: a day or a month of the calendar, by UTC. What was counted survives
    /// restarts of a proxy that has a state folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<Period>,
    /// `SlidingWindow` where none is written.
    #[serde(default)]
    pub algorithm: Algorithm,
    /// The most that may come at once where a token bucket counts; `requests` where none is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub burst: Option<u32>,
    /// Who counts: `Local` where none is written.
    #[serde(default, skip_serializing_if = "Scope::is_local")]
    pub scope: Scope,
    /// What becomes of a request that cannot be counted together with the other proxies' where `scope` is
    /// `Shared`: `Local` where none is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_mode: Option<FailureMode>,
    /// Lets pass what it would refuse, and says so in the log; `false` where none is written.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

/// Who counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Scope {
    /// Each proxy by itself.
    #[default]
    Local,
    /// All proxies that were told of the same Redis, together. One that was told of none counts by itself.
    Shared,
}

/// What becomes of a request while nobody can be asked what the proxies have counted together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FailureMode {
    /// The proxy counts by itself.
    #[default]
    Local,
    /// It passes, and counts nowhere.
    Open,
    /// It is refused, 503.
    Closed,
}

impl Scope {
    /// Whether each proxy counts by itself.
    pub const fn is_local(&self) -> bool {
        matches!(self, Scope::Local)
    }
}

/// A part of the calendar, by UTC, in which a quota holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Period {
    /// From midnight to midnight.
    Day,
    /// From the first of a month to the first of the next.
    Month,
}

/// The longest that a bucket takes to fill, 100 days: more than anybody waits, and as much as is counted exactly.
const FILLS: u64 = 100 * 24 * 60 * 60;

/// The most that may come in a window.
const MOST: u32 = 1_000_000;

/// How a limit counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Algorithm {
    /// No more than `requests` in the window that ends now, those of the last whole window taken as spread
    /// evenly over it.
    #[default]
    SlidingWindow,
    /// A bucket of `burst` tokens, into which `requests` new ones drop evenly in each window: a request takes
    /// one. It is the generic cell rate algorithm (ITU-T I.371).
    TokenBucket,
}

/// One thing by which requests are counted apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CountedBy {
    /// What.
    #[serde(rename = "type")]
    pub kind: CountedByType,
    /// Which header or claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub name: Option<String>,
    /// How many leading bits of an IPv4 address count as one caller; 32 where none is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 32))]
    pub ipv4_prefix_length: Option<u8>,
    /// The same of IPv6; 64 where none is written, all of which anybody has who has one address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 128))]
    pub ipv6_prefix_length: Option<u8>,
}

/// What requests may be counted by.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum CountedByType {
    /// The caller's address. A limit that counts by it, and neither counts by nor asks in `when` for callers,
    /// claims or headers, is asked before credentials are looked at, so that it bounds guesses, too.
    Address,
    /// Who is calling: a Consumer, the name of an API key, issuer and subject of a token. Only whom the policy's
    /// own target, or a broader one, knows.
    Caller,
    /// A claim of the caller's token, by `name`, with dots into objects.
    Claim,
    /// A header, by `name`: of several lines all. Callers choose what they send.
    Header,
    /// Who sends it through the mesh.
    Workload,
    /// The host.
    Host,
    /// The method.
    Method,
    /// The path without its query.
    Path,
}

impl CountedByType {
    /// Whether `name` has to say which.
    pub const fn is_named(self) -> bool {
        match self {
            CountedByType::Claim | CountedByType::Header => true,
            CountedByType::Address
            | CountedByType::Caller
            | CountedByType::Workload
            | CountedByType::Host
            | CountedByType::Method
            | CountedByType::Path => false,
        }
    }
}

impl RateLimitPolicy {
    /// Reports what the schema cannot say.
    pub fn check(&self, at: &mut Checker) {
        let spec = &self.spec;
        at.within("spec", |at| {
            at.each("targetRefs", &spec.target_refs, |at, target| {
                target.check(at);
                if target.kind == TargetKind::UdpRoute {
                    at.fault_in(
                        "kind",
                        "datagrams are not counted, so no limit is attached to a UDPRoute",
                    );
                }
            });
            let mut names = BTreeSet::new();
            let mut expressions = Expressions::default();
            at.each("limits", &spec.limits, |at, limit| {
                if !names.insert(&limit.name) {
                    at.fault_in("name", format!("a limit '{}' stands above", limit.name));
                }
                at.within("when", |at| limit.when.check(at, &mut expressions));
                limit.check(at);
            });
        });
    }
}

impl RateLimit {
    fn check(&self, at: &mut Checker) {
        match (self.window.map(Duration::from), self.period) {
            (None, None) => {
                at.fault_in(
                    "window",
                    "has to say in how long, or 'period' in what of the calendar",
                );
            }
            (Some(_), Some(_)) => {
                at.fault_in("period", "stands in the place of 'window': write one of the two");
            }
            (Some(window), None) if window < Duration::from_secs(1) => {
                at.fault_in("window", "is 1s at least");
            }
            (Some(window), None) if window > LONGEST => {
                at.fault_in("window", "is 24h at most; for longer write a 'period'");
            }
            (Some(window), None) if window.subsec_nanos() > 0 => {
                at.fault_in("window", "is told by the second: write no fractions of one");
            }
            (Some(_), None) if self.requests > MOST => {
                at.fault_in(
                    "requests",
                    format!("is {MOST} at most in a window; of a 'period' more"),
                );
            }
            (Some(_), None) => {}
            (None, Some(_)) if self.algorithm != Algorithm::default() => {
                at.fault_in("algorithm", "is of a window; a period is counted from its beginning");
            }
            (None, Some(_)) => {}
        }
        if self.burst.is_some() && self.algorithm != Algorithm::TokenBucket {
            at.fault_in("burst", "is of a TokenBucket; all others let 'requests' come at once");
        }
        if self.failure_mode.is_some() && self.scope.is_local() {
            at.fault_in(
                "failureMode",
                "is of a limit whose scope is Shared; a Local one needs nobody else",
            );
        }
        let burst = u64::from(self.burst.unwrap_or(self.requests));
        let window = self.window.map(Duration::from).unwrap_or_default().as_secs();
        let requests = u64::from(self.requests).max(1);
        if self.algorithm == Algorithm::TokenBucket && burst * window / requests > FILLS {
            at.fault_in("burst", "takes more than 100 days to fill: write less, or a 'period'");
        }
        let mut before = Vec::new();
        at.each("by", &self.by, |at, one| {
            one.check(at);
            if before.contains(&one) {
                at.fault("stands above");
            }
            before.push(one);
        });
    }
}

/// As explain, logs and console tell it: `100 requests in 60 s by address, shared by proxies`.
impl fmt::Display for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let many = if self.requests == 1 { "" } else { "s" };
        write!(f, "{} request{many} ", self.requests)?;
        match (self.period, self.window.map(Duration::from)) {
            (Some(Period::Day), _) => f.write_str("a day")?,
            (Some(Period::Month), _) => f.write_str("a month")?,
            (None, window) => write!(f, "in {} s", window.unwrap_or_default().as_secs())?,
        }
        if let Some(burst) = self.burst {
            let end = if self.by.is_empty() { "" } else { "," };
            write!(f, ", {burst} at once{end}")?;
        }
        for (index, by) in self.by.iter().enumerate() {
            f.write_str(if index == 0 { " by " } else { " and " })?;
            by.fmt(f)?;
        }
        f.write_str(match (self.scope, self.failure_mode.unwrap_or_default()) {
            (Scope::Local, _) => "",
            (Scope::Shared, FailureMode::Local) => ", shared by proxies",
            (Scope::Shared, FailureMode::Open) => ", shared by proxies and failing open",
            (Scope::Shared, FailureMode::Closed) => ", shared by proxies and failing closed",
        })
    }
}

/// What is counted by, of no value that a caller sent: `address`, `header x-tenant`.
impl fmt::Display for CountedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            CountedByType::Address => "address",
            CountedByType::Caller => "caller",
            CountedByType::Claim => "claim",
            CountedByType::Header => "header",
            CountedByType::Workload => "workload",
            CountedByType::Host => "host",
            CountedByType::Method => "method",
            CountedByType::Path => "path",
        })?;
        self.name.iter().try_for_each(|name| write!(f, " {name}"))
    }
}

impl CountedBy {
    fn check(&self, at: &mut Checker) {
        match (self.kind.is_named(), &self.name) {
            (true, None) => {
                at.fault_in("name", format!("has to say which: a {:?} has a name", self.kind))
            }
            (false, Some(_)) => at.fault_in("name", "is of a Header or a Claim"),
            (true, Some(_)) | (false, None) => {}
        }
        if let (CountedByType::Header, Some(name)) = (self.kind, &self.name) {
            crate::route::check_header_name(at, name);
            if let Some(why) = why_not_judged(name) {
                // What else a rule could ask for is no advice here.
                let why = why.split(';').next().unwrap_or(why);
                at.fault_in("name", format!("'{name}' cannot be counted by: {why}"));
            }
        }
        let lengths = [
            ("ipv4PrefixLength", self.ipv4_prefix_length),
            ("ipv6PrefixLength", self.ipv6_prefix_length),
        ];
        for (field, length) in lengths {
            if length.is_some() && self.kind != CountedByType::Address {
                at.fault_in(field, "is of an Address");
            }
        }
    }
}
