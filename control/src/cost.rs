//! What an object asks of every machine that it goes to.

use std::ops::{AddAssign, SubAssign};

use model::Resource;
use model::authn::FETCHED_BYTES;
use model::claim::Claim;
use model::expression::Expression;
use model::policy::Conditions;
use model::route::{
    GrpcMatch, GrpcMethodMatch, GrpcMethodMatchType, HeaderMatch, HttpMatch, PathMatch,
    PathMatchType, ValueMatchType,
};

use crate::body::compared;

/// What the store adds to an object's text.
const STAMP: usize = 64;

/// What an expression takes beside its automaton: its engines, and what one worker remembers of a
/// first value (docs/adr/020-bounds-of-a-workspace.md has the figures).
const ENGINE: usize = 12 << 10;

/// What an object takes, or several together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Cost {
    pub(crate) objects: usize,
    /// As it is stored and sent, secret values included.
    pub(crate) bytes: usize,
    /// Bytes of its regular expressions, once compiled.
    pub(crate) expressions: usize,
    /// Matches of routes, and rules of policies.
    pub(crate) rules: usize,
    pub(crate) listeners: usize,
    /// Addresses of endpoints, and Workloads.
    pub(crate) endpoints: usize,
    /// Hosts, or paths of such, that Claims hold.
    pub(crate) grounds: usize,
}

impl Cost {
    /// Of one object.
    pub(crate) fn of(resource: &Resource) -> Self {
        let bytes = compared(resource).to_string().len() + STAMP;
        let cost = Cost { objects: 1, bytes, ..Cost::default() };
        match resource {
            Resource::Gateway(_) | Resource::ListenerSet(_) => {
                Cost { listeners: resource.listeners().len(), ..cost }
            }
            Resource::GrpcRoute(route) => {
                let matches = || route.spec.rules.iter().flat_map(|rule| &rule.matches);
                let rules = route.spec.rules.iter().map(|rule| rule.matches.len().max(1)).sum();
                Cost { rules, expressions: matches().flat_map(of_call).map(size).sum(), ..cost }
            }
            Resource::HttpRoute(route) => {
                let matches = || route.spec.rules.iter().flat_map(|rule| &rule.matches);
                let rules = route.spec.rules.iter().map(|rule| rule.matches.len().max(1)).sum();
                Cost { rules, expressions: matches().flat_map(of_match).map(size).sum(), ..cost }
            }
            Resource::AccessPolicy(_) | Resource::RateLimitPolicy(_) => {
                let expressions = resource.whens().flat_map(|when| of_conditions(when.conditions));
                let expressions = expressions.map(size).sum();
                Cost { rules: resource.whens().count(), expressions, ..cost }
            }
            Resource::EndpointSlice(slice) => {
                let endpoints = slice.endpoints.iter().map(|one| one.addresses.len()).sum();
                Cost { endpoints, ..cost }
            }
            // One for each host, by which a table has an entry.
            Resource::TlsRoute(route) => Cost { rules: route.spec.hostnames.len().max(1), ..cost },
            Resource::TcpRoute(_) => Cost { rules: 1, ..cost },
            Resource::UdpRoute(_) => Cost { rules: 1, ..cost },
            Resource::Claim(claim) => Cost { grounds: Claim::grounds(claim).count(), ..cost },
            Resource::Workload(_) => Cost { endpoints: 1, ..cost },
            Resource::Secret(secret) => {
                let values = secret.values().into_values().map(|value| value.expose().len());
                // They travel in base64.
                Cost { bytes: bytes + values.sum::<usize>().div_ceil(3) * 4, ..cost }
            }
            // Nodes are told keys in the place of each.
            Resource::AuthnPolicy(policy) => {
                Cost { bytes: bytes + policy.key_urls().count() * FETCHED_BYTES, ..cost }
            }
            Resource::Consumer(_)
            | Resource::ReferenceGrant(_)
            | Resource::Namespace(_)
            | Resource::TrafficPolicy(_)
            | Resource::BackendTlsPolicy(_)
            | Resource::Service(_)
            | Resource::ConfigMap(_)
            | Resource::Api(_)
            | Resource::Workspace(_)
            | Resource::Cluster(_)
            | Resource::Team(_)
            | Resource::Role(_)
            | Resource::Grant(_)
            | Resource::LoginProvider(_) => cost,
        }
    }
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        self.objects += other.objects;
        self.bytes += other.bytes;
        self.expressions += other.expressions;
        self.rules += other.rules;
        self.listeners += other.listeners;
        self.endpoints += other.endpoints;
        self.grounds += other.grounds;
    }
}

impl SubAssign for Cost {
    fn sub_assign(&mut self, other: Self) {
        self.objects -= other.objects;
        self.bytes -= other.bytes;
        self.expressions -= other.expressions;
        self.rules -= other.rules;
        self.listeners -= other.listeners;
        self.endpoints -= other.endpoints;
        self.grounds -= other.grounds;
    }
}

/// Once for each place where it stands, as a table keeps it.
fn size(source: &str) -> usize {
    // What is none takes nothing: no object with one is accepted.
    Expression::compile(source).map_or(0, |expression| ENGINE + expression.size())
}

fn of_match(one: &HttpMatch) -> impl Iterator<Item = &str> {
    let is_expression = |kind| matches!(kind, ValueMatchType::RegularExpression);
    let queries = one.query_params.iter().filter(move |query| is_expression(query.kind));
    of_path(&one.path).chain(of_headers(&one.headers)).chain(queries.map(|query| &*query.value))
}

/// Those of service and method apart, as a table compiles them.
fn of_call(one: &GrpcMatch) -> impl Iterator<Item = &str> {
    let is_expression =
        |method: &&GrpcMethodMatch| method.kind == GrpcMethodMatchType::RegularExpression;
    let method = one.method.iter().filter(is_expression);
    let parts = method.flat_map(|method| method.service.iter().chain(&method.method));
    parts.map(String::as_str).chain(of_headers(&one.headers))
}

fn of_conditions(when: &Conditions) -> impl Iterator<Item = &str> {
    when.paths.iter().flat_map(of_path).chain(of_headers(&when.headers))
}

fn of_path(path: &PathMatch) -> impl Iterator<Item = &str> {
    let is_expression = matches!(path.kind, PathMatchType::RegularExpression);
    is_expression.then_some(&*path.value).into_iter()
}

fn of_headers(headers: &[HeaderMatch]) -> impl Iterator<Item = &str> {
    let is_expression = |kind| matches!(kind, ValueMatchType::RegularExpression);
    headers.iter().filter(move |header| is_expression(header.kind)).map(|header| &*header.value)
}

#[cfg(test)]
mod tests {
    use model::Kind;
    use serde_json::{Value, json};

    use super::*;

    fn expressions(kind: Kind, one: &Value) -> usize {
        let spec = json!({ "rules": [{ "matches": [one] }] });
        let metadata = json!({ "namespace": "shop", "name": "r" });
        let route = json!({ "metadata": metadata, "spec": spec });
        Cost::of(&Resource::from_json(kind, route).unwrap()).expressions
    }

    #[test]
    fn expressions_of_a_call_cost_what_they_take_however_they_are_written() {
        let expression = "RegularExpression";
        let http = |value: &str| {
            let path = json!({ "type": expression, "value": value });
            expressions(Kind::HttpRoute, &json!({ "path": path }))
        };
        let call = |service: &str, method: &str| {
            let one = json!({ "type": expression, "service": service, "method": method });
            expressions(Kind::GrpcRoute, &json!({ "method": one }))
        };
        // One that ends in a comment would swallow whatever it were put together with.
        let odd = "(?x)[a-z]{1,200}#";
        assert_eq!(call(odd, "Get|List"), http(odd) + http("Get|List"));
        assert!(call(odd, "Get") > 2 * ENGINE);
        let exact = json!({ "method": { "service": "shop.Books", "method": "Get" } });
        assert_eq!(expressions(Kind::GrpcRoute, &exact), 0);
    }
}
