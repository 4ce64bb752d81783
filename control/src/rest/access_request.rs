//! Requests for access: made, listed, granted, refused and withdrawn.

use axum::http::StatusCode;
use axum::response::Response;
use model::role::{RoleRule, Verb};
use model::{Key, Kind, Name, nearest};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answer::{self, Listed};
use super::ask::{self, Ask, Page};
use super::change;
use super::problem::Problem;
use crate::app::user::fault;
use crate::app::{AccessRequest, AccessState, NewAccessRequest};
use crate::moment::{micros, rfc3339};

/// What somebody asks to be allowed.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewAccessRequest")]
pub(super) struct NewAccessRequestShape {
    /// What is to be done.
    verb: Verb,
    kind: Kind,
    namespace: Name,
    name: Name,
    /// The field that an update is to change; the update of anything, if nothing is said.
    field: Option<String>,
    /// Why: at most 500 bytes.
    message: Option<String>,
}

/// A request for access, as far as you may see it.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "AccessRequest")]
pub(super) struct AccessRequestShape {
    id: String,
    /// Who asks.
    user: Name,
    /// Whether that is you.
    own: bool,
    /// What is to be done.
    verb: Verb,
    kind: Kind,
    namespace: Name,
    name: Name,
    scope: String,
    /// The field that is to be changed, if it is about one.
    field: Option<String>,
    message: String,
    created: String,
    state: AccessStateShape,
    /// Who decided; null while it is open.
    decision: Option<DecisionShape>,
    /// The Grant that would give it, while it is open and you may make that.
    proposal: Option<ProposalShape>,
    /// Who may decide: told to who asks, while it is open.
    ask: Vec<String>,
}

/// What came of a request.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "AccessState")]
enum AccessStateShape {
    Open,
    Granted,
    Refused,
    Withdrawn,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AccessDecision")]
struct DecisionShape {
    at: String,
    by: String,
    /// Why, in their words.
    answer: String,
    /// The revision that gives what was asked for.
    revision: Option<i64>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AccessProposal")]
struct ProposalShape {
    /// The name of the Grant, in the namespace of the object.
    grant: Name,
    /// The role that it gives, where just what is asked for cannot be said by rules.
    role: Option<Name>,
    /// What it gives.
    rules: Vec<RoleRule>,
    /// The Api for whose objects alone it gives that; all of the workspace, if there is none.
    apis: Vec<Name>,
}

/// How a request is granted.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewAccessGrant {
    /// The role that is given instead of what is proposed.
    role: Option<Name>,
    /// The Apis for whose objects alone it is to be given, as the proposal says: refused where they
    /// became others.
    apis: Option<Vec<Name>>,
    /// Why; kept with the change.
    message: Option<String>,
}

/// Why a request is refused.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewAccessRefusal {
    /// Told to who asked: at most 500 bytes.
    message: Option<String>,
}

pub(super) async fn create(ask: Ask) -> Result<Response, Problem> {
    let NewAccessRequestShape { verb, kind, namespace, name, field, message } = ask.json()?;
    let (key, message) = (Key::new(kind, namespace, name), message.unwrap_or_default());
    let new = NewAccessRequest { verb, key, field, message };
    let asked = ask.app().access_request_create(&ask.op()?, new).await?;
    let status = if asked.is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok(answer::json(status, &shape(asked.request)))
}

pub(super) async fn list(ask: Ask) -> Result<Response, Problem> {
    let page: Page<(i64, String)> = ask.page()?;
    let state = ask.word("state").map(state).transpose()?;
    let limit = usize::try_from(page.limit).unwrap_or_default();
    let found = ask.app().access_request_list(&ask.op()?, state, page.after, limit).await?;
    let next = found.next.and_then(|next| ask::cursor(&next));
    Ok(answer::ok(&Listed { items: found.items.into_iter().map(shape).collect(), next }))
}

pub(super) async fn grant(ask: Ask) -> Result<Response, Problem> {
    let NewAccessGrant { role, apis, message } = ask.json_or_default()?;
    let op = change::op(&ask, message.unwrap_or_default())?;
    let done =
        ask.app().access_request_grant(&op, ask.part("id"), role.as_ref(), apis.as_deref()).await?;
    Ok(change::answer(&done))
}

pub(super) async fn refuse(ask: Ask) -> Result<Response, Problem> {
    let NewAccessRefusal { message } = ask.json_or_default()?;
    let op = ask.op_because(message.unwrap_or_default())?;
    ask.app().access_request_refuse(&op, ask.part("id")).await?;
    Ok(answer::done())
}

pub(super) async fn withdraw(ask: Ask) -> Result<Response, Problem> {
    ask.app().access_request_withdraw(&ask.op()?, ask.part("id")).await?;
    Ok(answer::done())
}

fn state(word: &str) -> Result<AccessState, Problem> {
    let found = AccessState::ALL.into_iter().find(|state| state.as_str() == word);
    found.ok_or_else(|| {
        let known = AccessState::ALL.map(AccessState::as_str);
        let text = format!("'{word}' is none of {}", known.join(", "));
        let nearest = nearest(word, known.into_iter());
        Problem::invalid(vec![model::Invalid { nearest, ..fault("state", text) }])
    })
}

fn shape(request: AccessRequest) -> AccessRequestShape {
    let Key { kind, namespace, name } = request.key;
    AccessRequestShape {
        id: request.id,
        user: request.user,
        own: request.is_own,
        verb: request.verb,
        kind,
        namespace,
        name,
        scope: request.scope.to_string(),
        field: request.field,
        message: request.message,
        created: rfc3339(micros(request.created)),
        state: match request.state {
            AccessState::Open => AccessStateShape::Open,
            AccessState::Granted => AccessStateShape::Granted,
            AccessState::Refused => AccessStateShape::Refused,
            AccessState::Withdrawn => AccessStateShape::Withdrawn,
        },
        decision: request.decision.map(|decision| DecisionShape {
            at: rfc3339(micros(decision.at)),
            by: decision.by,
            answer: decision.answer,
            revision: decision.revision,
        }),
        proposal: request.proposal.map(|proposal| ProposalShape {
            grant: proposal.grant.name,
            role: proposal.role,
            rules: proposal.rules.to_vec(),
            apis: proposal.apis,
        }),
        ask: request.ask,
    }
}
