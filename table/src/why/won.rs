//! The rule that won: where it sends a request, and what it changes on the way.

use std::time::Duration;

use model::Hostname;
use model::route::{GatewayDuration, SessionType};
use policy::{Facts, Reason, explain};
use serde::Serialize;

use super::in_words;
use crate::route::Entry;
use crate::{Backend, Carrier, Listener, Mirror, Retry, Rule, Service, Session, Table, Target};

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
    /// When it is sent again; none where the rule says nothing of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryStory>,
    /// By what requests are known that go to one endpoint; none where nothing is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionStory>,
}

/// A backend in a story.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendStory {
    /// `namespace/name:port`, or what is wrong.
    pub to: String,
    /// Its share.
    pub weight: u32,
    /// Whether it gets requests only in the place of another that takes none.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub fallback: bool,
    /// How many endpoints are ready; none where nobody looked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<usize>,
    /// How what goes to it is encrypted, or why nothing goes to it; none where it goes in the clear.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<String>,
    /// Where its requests are redirected, in its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redirect: Option<String>,
    /// What would be changed for it alone.
    #[serde(flatten)]
    pub changes: explain::Changes,
    /// Where copies of its requests would go.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mirrors: Vec<MirrorStory>,
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
    /// How what goes to it is encrypted, or why nothing goes to it; none where it goes in the clear.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<String>,
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

/// When and how often a request is sent again.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RetryStory {
    /// How often.
    pub attempts: u32,
    /// The statuses of answers that are not passed on.
    pub codes: Vec<u16>,
    /// The least time before, such as `25ms`, twice as long each further time.
    pub backoff: String,
}

/// By what a rule knows the requests that go to one and the same endpoint.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionStory {
    /// `Cookie` or `Header`.
    #[serde(rename = "type")]
    pub kind: SessionType,
    /// Its name.
    pub name: String,
    /// The paths to which browsers send the cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// How long a session lasts, such as `1h`; none where there is no bound.
    pub absolute_timeout: Option<String>,
    /// How long it lasts without a request.
    pub idle_timeout: Option<String>,
}

pub(super) fn won(
    (table, listener): (&Table, &Listener),
    entry: &Entry,
    rule: &Rule,
    facts: &Facts<'_>,
) -> Won {
    let prefix = entry.of.prefix();
    let to = Ways { table, listener };
    let backends = rule.backends.iter().map(|one| to.backend(one, facts, prefix));
    Won {
        route: entry.of.rank.route.to_string(),
        rule: rule.label.to_string(),
        host: entry.of.best_host(facts.host).flatten().map(Hostname::to_string),
        matched: in_words(&entry.of, facts.layer),
        backends: backends.collect(),
        changes: rule.chain.explain_changes(facts, prefix),
        mirrors: to.mirrors(&rule.mirrors),
        timeouts: timeouts(rule),
        retry: rule.retry.as_deref().map(retry),
        session: rule.session.as_deref().map(session),
    }
}

/// The ways from a listener to Services.
#[derive(Clone, Copy)]
struct Ways<'t> {
    table: &'t Table,
    listener: &'t Listener,
}

impl Ways<'_> {
    fn backend(self, of: &Backend, facts: &Facts<'_>, prefix: Option<&str>) -> BackendStory {
        let Reached { to, endpoints, tls } = self.reached(of.target);
        let (weight, endpoints) = (of.weight, Some(endpoints));
        let fallback = match of.target {
            Target::Service(id) => self.table.services.get(id).is_some_and(|one| one.is_fallback()),
            Target::Broken(_) => false,
        };
        let mut story =
            BackendStory { to, weight, fallback, endpoints, tls, ..BackendStory::default() };
        if let Some(filters) = &of.filters {
            story.redirect = filters.chain.explain_redirect(facts, prefix);
            story.changes = filters.chain.explain_changes(facts, prefix);
            story.mirrors = self.mirrors(&filters.mirrors);
        }
        story
    }

    fn mirrors(self, all: &[Mirror]) -> Vec<MirrorStory> {
        let mirrors = all.iter().map(|&Mirror { target, numerator, denominator }| {
            let Reached { to, endpoints, tls } = self.reached(target);
            MirrorStory { to, numerator, denominator, endpoints: Some(endpoints), tls }
        });
        mirrors.collect()
    }

    fn reached(self, target: Target) -> Reached {
        let service = match target {
            Target::Service(id) => self.table.services.get(id).ok_or(Reason::BackendMissing),
            Target::Broken(reason) => Err(reason),
        };
        match service {
            Ok(service) => Reached {
                to: service.label.to_string(),
                endpoints: service.endpoints.len(),
                tls: self.tls(service),
            },
            Err(broken) => Reached { to: broken.to_string(), ..Reached::default() },
        }
    }

    /// How it is encrypted, or why nothing goes there.
    fn tls(self, service: &Service) -> Option<String> {
        match service.onward(self.listener) {
            Ok(onward) => onward.map(|onward| onward.to_string()),
            Err(why) => {
                let reason = Reason::BackendTls;
                let status = reason.status().as_u16();
                Some(format!("{why}: answered {status} {reason}"))
            }
        }
    }
}

/// What a target is called, or what is wrong with it; how many endpoints it has; and how it is encrypted.
#[derive(Default)]
struct Reached {
    to: String,
    endpoints: usize,
    tls: Option<String>,
}

fn retry(retry: &Retry) -> RetryStory {
    RetryStory {
        attempts: retry.attempts,
        codes: retry.codes.to_vec(),
        backoff: GatewayDuration::from(retry.backoff).into(),
    }
}

fn session(session: &Session) -> SessionStory {
    let bound = |bound: Option<Duration>| bound.map(|bound| GatewayDuration::from(bound).into());
    let (kind, path) = match &session.carrier {
        Carrier::Cookie { path, .. } => (SessionType::Cookie, Some(path.to_string())),
        Carrier::Header(_) => (SessionType::Header, None),
    };
    SessionStory {
        kind,
        name: session.name.to_string(),
        path,
        absolute_timeout: bound(session.absolute),
        idle_timeout: bound(session.idle),
    }
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
