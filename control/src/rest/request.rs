//! What became of requests: the way of one, and the latest of all.

use axum::response::Response;
use model::nearest;
use policy::Reason;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use store::decision::{Place, Teller};
use wire::{Decision, Key, Side};

use super::answer::{self, Listed};
use super::ask::{self, Ask, Page};
use super::change::flag;
use super::problem::Problem;
use crate::app::user::fault;
use crate::app::{Ended, HiddenHop, Hop, ShownHop};
use crate::moment::rfc3339;

/// The way of a request through the proxies.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct RequestWay {
    /// Its `x-request-id`.
    id: String,
    /// When it began.
    at: String,
    /// What each proxy made of it: behind the one that it follows, else by time.
    hops: Vec<HopShape>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "Hop")]
enum HopShape {
    Shown(Box<ShownShape>),
    Hidden(HiddenShape),
}

/// A hop that you may see.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ShownHop")]
struct ShownShape {
    /// Always `false`.
    hidden: bool,
    /// Microseconds from the beginning of the first hop to that of this one.
    began: u64,
    /// What is to be said of it, in sentences.
    words: Vec<String>,
    node: TellerShape,
    side: SideShape,
    /// Names the hop among all of the node.
    span: String,
    /// The span that it follows, if that is known.
    parent: Option<String>,
    at: String,
    /// Microseconds to its end.
    took: u64,
    /// Microseconds to the head of the backend's answer.
    backend_took: Option<u64>,
    /// What was answered; null if the client left before.
    status: Option<u16>,
    /// Why it ended as it did.
    reason: String,
    method: String,
    host: String,
    /// Without the query.
    path: String,
    /// Who sent it through the mesh.
    peer: Option<String>,
    /// Who is calling.
    caller: Option<String>,
    /// What it led to.
    route: Option<ObjectShape>,
    /// The rule of it.
    rule: Option<String>,
    /// The Service port that it was sent to.
    backend: Option<String>,
    /// The endpoint that was tried last.
    endpoint: Option<String>,
    /// How many endpoints were tried.
    attempts: u32,
    /// The policy whose rule decided, if one did that you may read.
    policy: Option<ObjectShape>,
    /// That rule.
    policy_rule: Option<String>,
    /// The scopes that the proxy ran, of those in which you may read something.
    vector: Vec<RanShape>,
    /// Why the passport that came with it was refused.
    passport: Option<String>,
    /// The cause, where there is more to say.
    detail: Option<String>,
    /// What each policy made of it. One that you may not read says in `by` whose it is, and no more.
    story: Option<Value>,
    /// The smallest change that would allow it, if you may read all policies that were asked.
    change: Option<String>,
}

/// A hop that you may not see.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "HiddenHop")]
struct HiddenShape {
    /// Always `true`.
    hidden: bool,
    /// Microseconds from the beginning of the first hop to that of this one.
    began: u64,
    /// What is to be said of it, in sentences.
    words: Vec<String>,
    /// Microseconds to its end.
    took: u64,
    /// Whose it is.
    scope: String,
}

/// Who decided.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "DecidingNode")]
struct TellerShape {
    name: String,
    cluster: String,
    /// `gateway` or `mesh`.
    kind: String,
}

/// On which side of an application.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "HopSide")]
pub(super) enum SideShape {
    /// Where it entered the installation.
    Edge,
    /// Where it left the proxy of who asks.
    Outbound,
    /// Where it came to the proxy of who is asked.
    Inbound,
}

/// Names an object, perhaps of a kind that this version does not know.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "DecidingObject")]
pub(super) struct ObjectShape {
    kind: String,
    namespace: String,
    name: String,
}

/// A scope that a proxy ran.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "RanScope")]
struct RanShape {
    scope: String,
    revision: i64,
}

/// What one proxy made of one request, in short.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct RequestGlimpse {
    /// Its `x-request-id`.
    id: String,
    at: String,
    node: TellerShape,
    method: String,
    host: String,
    path: String,
    /// What was answered; null if the client left before.
    status: Option<u16>,
    /// Why it ended as it did.
    reason: String,
}

pub(super) async fn list(ask: Ask) -> Result<Response, Problem> {
    let page: Page<Place> = ask.page()?;
    let limit = usize::try_from(page.limit).unwrap_or_default();
    let found = ask.app().request_list(&ask.op()?, ended(&ask)?, page.after, limit).await?;
    let next = found.next.and_then(|next| ask::cursor(&next));
    let items = found.items.into_iter().map(|(by, decision)| glimpse(by, decision)).collect();
    Ok(answer::ok(&Listed { items, next }))
}

pub(super) async fn show(ask: Ask) -> Result<Response, Problem> {
    let id = ask.part("id");
    let way = ask.app().request_show(&ask.op()?, id).await?;
    let hops = way.hops.into_iter().map(hop).collect();
    Ok(answer::ok(&RequestWay { id: id.to_owned(), at: rfc3339(way.at), hops }))
}

/// How those ended that are wanted.
fn ended(ask: &Ask) -> Result<Ended, Problem> {
    let (is_denied, is_failed) = (flag(ask, "denied")?, flag(ask, "failed")?);
    let beside = |field, other| {
        let text = format!("stands beside '{other}'; send one of them");
        Err(Problem::invalid(vec![fault(field, text)]))
    };
    let word = match (is_denied, is_failed, ask.word("reason")) {
        (true, true, _) => return beside("failed", "denied"),
        (true, false, Some(_)) => return beside("denied", "reason"),
        (false, true, Some(_)) => return beside("failed", "reason"),
        (true, false, None) => return Ok(Ended::Denied),
        (false, true, None) => return Ok(Ended::Failed),
        (false, false, None) => return Ok(Ended::Anyhow),
        (false, false, Some(word)) => word,
    };
    let known = || Reason::ALL.iter().copied();
    known().find(|reason| reason.as_str() == word).map(Ended::By).ok_or_else(|| {
        let nearest = nearest(word, known().map(Reason::as_str));
        let fault = fault("reason", format!("'{word}' is no reason why a request ends"));
        Problem::invalid(vec![model::Invalid { nearest, ..fault }])
    })
}

fn glimpse(by: Teller, decision: Decision) -> RequestGlimpse {
    RequestGlimpse {
        id: decision.request,
        at: rfc3339(decision.at),
        node: teller(by),
        method: decision.method,
        host: decision.host,
        path: decision.path,
        status: decision.status,
        reason: decision.reason,
    }
}

fn hop(hop: Hop) -> HopShape {
    match hop {
        Hop::Shown(hop) => HopShape::Shown(Box::new(shown(*hop))),
        Hop::Hidden(HiddenHop { began, took, scope }) => {
            let words = vec![match &scope {
                model::Scope::Platform => "a hop of the platform, which you may not see".to_owned(),
                model::Scope::Workspace(name) => {
                    format!("a hop of workspace {name}, which you may not see")
                }
            }];
            HopShape::Hidden(HiddenShape {
                hidden: true,
                began,
                words,
                took,
                scope: scope.to_string(),
            })
        }
    }
}

fn shown(hop: ShownHop) -> ShownShape {
    let ShownHop { began, by, decision, change, words } = hop;
    let ran = decision.vector.into_iter().map(|(scope, revision)| RanShape { scope, revision });
    ShownShape {
        hidden: false,
        began,
        words,
        node: teller(by),
        side: side(decision.side),
        span: decision.span,
        parent: decision.parent,
        at: rfc3339(decision.at),
        took: decision.took,
        backend_took: decision.backend_took,
        status: decision.status,
        reason: decision.reason,
        method: decision.method,
        host: decision.host,
        path: decision.path,
        peer: decision.peer,
        caller: decision.caller,
        route: decision.route.map(object),
        rule: decision.rule,
        backend: decision.backend,
        endpoint: decision.endpoint,
        attempts: decision.attempts,
        policy: decision.policy.map(object),
        policy_rule: decision.policy_rule,
        vector: ran.collect(),
        passport: decision.passport,
        detail: decision.detail,
        story: decision.story,
        change,
    }
}

fn teller(Teller { cluster, kind, name, .. }: Teller) -> TellerShape {
    TellerShape { name, cluster, kind }
}

pub(super) fn side(side: Side) -> SideShape {
    match side {
        Side::Edge => SideShape::Edge,
        Side::Outbound => SideShape::Outbound,
        Side::Inbound => SideShape::Inbound,
    }
}

pub(super) fn object(Key { kind, namespace, name }: Key) -> ObjectShape {
    ObjectShape { kind, namespace, name }
}

#[cfg(test)]
pub(super) mod tests;
