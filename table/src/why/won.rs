//! The rule that won: where it sends a request, and what it changes on the way.

use std::time::Duration;

use model::Hostname;
use model::route::GatewayDuration;
use policy::{Facts, Reason, explain};
use serde::Serialize;

use super::in_words;
use crate::route::Entry;
use crate::{Mirror, Rule, Table, Target};

/// The rule that won.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Won {
    /// `namespace/name` of the route.
    pub route: String,
    /// The rule's label.
    pub rule: String,
    /// The route's host name that fits; none where the route names none.
    pub host: Option<String>,
    /// The match.
    pub matched: String,
    /// Where the request would go, with shares.
    pub backends: Vec<BackendStory>,
    /// What would be changed on the way, if policies let it pass.
    #[serde(flatten)]
    pub changes: explain::Changes,
    /// Where copies would go.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mirrors: Vec<MirrorStory>,
    /// How long it may take; none where the rule leaves that to the proxy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeouts: Option<TimeoutStory>,
}

/// A backend in a story.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendStory {
    /// `namespace/name:port`, or what is wrong.
    pub to: String,
    /// Its share.
    pub weight: u32,
    /// How many endpoints are ready; none where nobody looked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<usize>,
}

/// A mirror in a story.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MirrorStory {
    /// `namespace/name:port`, or what is wrong.
    pub to: String,
    /// Of `denominator` requests, how many are copied.
    pub numerator: u32,
    /// See `numerator`.
    pub denominator: u32,
    /// How many endpoints are ready; none where nobody looked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<usize>,
}

/// The bounds of a rule that writes one of them, such as `1m30s`; none where there is no bound.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TimeoutStory {
    /// From the request's head to the whole answer.
    pub request: Option<String>,
    /// For each try at a backend.
    pub backend_request: Option<String>,
}

pub(super) fn won(table: &Table, entry: &Entry, rule: &Rule, facts: &Facts<'_>) -> Won {
    let backends = rule.backends.iter().map(|backend| {
        let (to, endpoints) = reached(table, backend.target);
        BackendStory { to, weight: backend.weight, endpoints: Some(endpoints) }
    });
    let mirrors = rule.mirrors.iter().map(|&Mirror { target, numerator, denominator }| {
        let (to, endpoints) = reached(table, target);
        MirrorStory { to, numerator, denominator, endpoints: Some(endpoints) }
    });
    Won {
        route: entry.of.rank.route.to_string(),
        rule: rule.label.to_string(),
        host: entry.of.best_host(facts.host).flatten().map(Hostname::to_string),
        matched: in_words(&entry.of, facts.layer),
        backends: backends.collect(),
        changes: rule.chain.explain_changes(facts, entry.of.prefix()),
        mirrors: mirrors.collect(),
        timeouts: timeouts(rule),
    }
}

/// The name of a target, or what is wrong with it, and how many endpoints it has.
fn reached(table: &Table, target: Target) -> (String, usize) {
    let broken = match target {
        Target::Service(id) => match table.services.get(id) {
            Some(service) => return (service.label.to_string(), service.endpoints.len()),
            None => Reason::BackendMissing,
        },
        Target::Broken(reason) => reason,
    };
    (broken.as_str().to_owned(), 0)
}

fn timeouts(rule: &Rule) -> Option<TimeoutStory> {
    if rule.request_timeout.is_none() && rule.backend_timeout.is_none() {
        return None;
    }
    let bound = |bound: Option<Duration>| {
        let bound = bound.filter(|bound| *bound != Rule::UNBOUNDED)?;
        Some(String::from(GatewayDuration::from(bound)))
    };
    let (request, backend_request) = (bound(rule.request_timeout), bound(rule.backend_timeout));
    Some(TimeoutStory { request, backend_request })
}
