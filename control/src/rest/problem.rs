//! What went wrong, as RFC 9457 has it: one form for every refusal, all faults in it.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use model::access::Denied;
use model::role::Verb;
use model::{Invalid, Key, Kind, Name};
use schemars::JsonSchema;
use serde::Serialize;

use super::BASE;
use crate::app::FIELD;
use crate::{Conflict, Holder, Overlap, Refusal};

/// Where the sorts of problem are named.
const TYPES: &str = "https://heddle.dev/problems/";

/// An answer that is none; in a box, since it is handed up through everything.
#[derive(Debug)]
pub(super) struct Problem(Box<Told>);

#[derive(Debug)]
struct Told {
    status: StatusCode,
    sort: &'static str,
    title: &'static str,
    detail: String,
    faults: Vec<FaultShape>,
    conflicts: Vec<ConflictShape>,
    claims: Vec<ClaimShape>,
    access: Vec<AccessShape>,
    retry_after: Option<u64>,
}

/// What is sent of it.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Problem")]
pub(super) struct ProblemShape {
    /// Which sort of problem: `https://heddle.dev/problems/` and a word.
    r#type: String,
    /// The sort in words.
    title: String,
    /// The status of the answer.
    status: u16,
    /// All of it in words, one problem a line.
    detail: String,
    /// The request, as the server's log names it.
    request_id: String,
    /// Everything that is wrong with what was sent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    faults: Vec<FaultShape>,
    /// The objects that are not as the change expects them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    conflicts: Vec<ConflictShape>,
    /// What others hold of what was asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    claims: Vec<ClaimShape>,
    /// What you may ask for instead.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    access: Vec<AccessShape>,
}

/// A request for access that would help: all but `path` is its body.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AccessRemedy")]
struct AccessShape {
    /// Where to POST it.
    path: String,
    verb: Verb,
    kind: Kind,
    namespace: Name,
    name: Name,
    /// The first field that may not be changed; null where it is not about one.
    field: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Fault")]
struct FaultShape {
    /// Kind, namespace and name, where it is about an object.
    object: Option<String>,
    /// Where in it.
    path: String,
    /// The line of the body that was sent.
    line: Option<usize>,
    /// What is wrong, and what would be right.
    reason: String,
    /// The known word nearest to the one written.
    nearest: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Conflict")]
struct ConflictShape {
    object: String,
    /// The generation that was expected; none for an object that was not to be there.
    expected: Option<i64>,
    /// The generation that it has; none if it is not there.
    found: Option<i64>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ClaimConflict")]
struct ClaimShape {
    object: String,
    /// The host and path that it asks for, or what else in words.
    path: String,
    reason: String,
    /// Who holds it: `platform`, `workspace/NAME`, or `api/NAME` of the same workspace.
    holder: String,
    /// By what, where who asks may see it.
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    /// Whom to ask.
    ask: Vec<String>,
}

impl Problem {
    fn new(status: StatusCode, sort: &'static str, title: &'static str, detail: String) -> Self {
        Problem(Box::new(Told {
            status,
            sort,
            title,
            detail,
            faults: Vec::new(),
            conflicts: Vec::new(),
            claims: Vec::new(),
            access: Vec::new(),
            retry_after: None,
        }))
    }

    fn faults(mut self, faults: Vec<FaultShape>) -> Self {
        self.0.faults = faults;
        self
    }

    fn retry_after(mut self, seconds: u64) -> Self {
        self.0.retry_after = Some(seconds);
        self
    }

    /// What was sent cannot be read at all.
    pub(super) fn malformed(detail: impl Into<String>) -> Self {
        let title = "The request is not well-formed";
        Problem::new(StatusCode::BAD_REQUEST, "malformed", title, detail.into())
    }

    /// What was sent can be read and says something wrong.
    pub(super) fn invalid(faults: Vec<Invalid>) -> Self {
        Refusal::Invalid(faults).into()
    }

    /// A body that is larger than `most` bytes.
    pub(super) fn too_large(most: usize) -> Self {
        let detail = format!("the body may have {most} bytes");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "The body is too large", detail)
    }

    /// It may be known, and not be done.
    pub(super) fn forbidden(detail: impl Into<String>) -> Self {
        let title = "This may not be done by you";
        Problem::new(StatusCode::FORBIDDEN, "forbidden", title, detail.into())
    }

    /// The store does not answer.
    pub(super) fn unavailable(detail: &str) -> Self {
        let (status, title) = (StatusCode::SERVICE_UNAVAILABLE, "The store does not answer");
        Problem::new(status, "unavailable", title, detail.to_owned()).retry_after(2)
    }

    /// No operation has this path, or this method.
    pub(super) fn nothing(status: StatusCode) -> Self {
        let detail = Refusal::nothing().to_string();
        Problem::new(status, "not-found", "There is none", detail)
    }

    /// The same, where what was expected stood in the request's own `If-Match` or `If-None-Match`.
    pub(super) fn of_precondition(mut self) -> Self {
        if self.0.sort == "conflict" {
            self.0.status = StatusCode::PRECONDITION_FAILED;
        }
        self
    }

    /// The answer to the request of this id.
    pub(super) fn status(&self) -> StatusCode {
        self.0.status
    }

    pub(super) fn response(self, request_id: &str) -> Response {
        let told = *self.0;
        let shape = ProblemShape {
            r#type: format!("{TYPES}{}", told.sort),
            title: told.title.to_owned(),
            status: told.status.as_u16(),
            detail: told.detail,
            request_id: request_id.to_owned(),
            faults: told.faults,
            conflicts: told.conflicts,
            claims: told.claims,
            access: told.access,
        };
        let text = serde_json::to_vec(&shape).unwrap_or_default();
        let mut response = Response::new(Body::from(text));
        *response.status_mut() = told.status;
        let headers = response.headers_mut();
        let sort = HeaderValue::from_static("application/problem+json");
        headers.insert(header::CONTENT_TYPE, sort);
        if told.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = told.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Problem::from(&refusal)
    }
}

impl From<&Refusal> for Problem {
    fn from(refusal: &Refusal) -> Self {
        let detail = refusal.to_string();
        let plain = |status, sort, title| Problem::new(status, sort, title, detail.clone());
        match refusal {
            Refusal::Invalid(faults) => {
                let title = "What was sent is wrong";
                let faults = faults.iter().cloned().map(FaultShape::of).collect();
                plain(StatusCode::UNPROCESSABLE_ENTITY, "invalid", title).faults(faults)
            }
            Refusal::Denied(denied) => of_denied(denied, detail),
            Refusal::Claimed(overlaps) => {
                let mut problem = plain(StatusCode::CONFLICT, "claimed", "Others hold this");
                problem.0.claims = overlaps.iter().cloned().map(ClaimShape::of).collect();
                problem
            }
            Refusal::Conflict(conflicts) => {
                let title = "Somebody was quicker";
                let mut problem = plain(StatusCode::CONFLICT, "conflict", title);
                problem.0.conflicts = conflicts.iter().cloned().map(ConflictShape::of).collect();
                problem
            }
            Refusal::NoRevision(_) | Refusal::None(_) => {
                plain(StatusCode::NOT_FOUND, "not-found", "There is none")
            }
            Refusal::Partly(_) | Refusal::Forbidden(_) => Problem::forbidden(detail),
            Refusal::Busy => {
                let title = "Others change the same";
                plain(StatusCode::CONFLICT, "busy", title).retry_after(1)
            }
            Refusal::Decided(_) => plain(StatusCode::CONFLICT, "decided", "It is decided already"),
            Refusal::Rotation(_) => {
                plain(StatusCode::CONFLICT, "rotation", "The root cannot be rotated so")
            }
            Refusal::KeyReused(_) => {
                let title = "This idempotency key was another request's";
                plain(StatusCode::UNPROCESSABLE_ENTITY, "idempotency-mismatch", title)
            }
            Refusal::Unauthenticated | Refusal::WrongPassword => {
                plain(StatusCode::UNAUTHORIZED, "unauthenticated", "Nobody we know asks")
            }
            Refusal::TooManyAttempts(seconds) => {
                let (status, title) = (StatusCode::TOO_MANY_REQUESTS, "Too many tries");
                plain(status, "too-many-attempts", title).retry_after(*seconds)
            }
            Refusal::NoRoot => Problem::unavailable(&detail),
            Refusal::Store(error) => {
                tracing::error!(error = %chain(&**error), "the store failed");
                Problem::unavailable(&detail)
            }
        }
    }
}

/// One that may not be known of hides what may: who asks may not know how the two differ.
fn of_denied(denied: &[(Key, Denied)], detail: String) -> Problem {
    let hidden = denied.iter().any(|(_, why)| *why == Denied::Hidden);
    let fault = |(key, why): &(Key, Denied)| FaultShape {
        object: Some(key.to_string()),
        path: String::new(),
        line: None,
        reason: why.to_string(),
        nearest: None,
    };
    let faults = denied.iter().map(fault).collect();
    if hidden {
        let (status, title) = (StatusCode::NOT_FOUND, "There is none");
        return Problem::new(status, "not-found", title, detail).faults(faults);
    }
    let mut problem = Problem::forbidden(detail).faults(faults);
    problem.0.access = denied.iter().filter_map(AccessShape::of).collect();
    problem
}

/// An error with all its causes, for the log.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

impl AccessShape {
    /// What is to be asked for; nothing for what is the platform's, which no request gives.
    fn of((key, denied): &(Key, Denied)) -> Option<Self> {
        let Denied::Forbidden { verb, fields } = denied else { return None };
        let field = fields.first().cloned();
        let is_askable = key.namespace != Kind::Team.default_namespace()
            && field.as_ref().is_none_or(|field| field.len() <= FIELD);
        let Key { kind, namespace, name } = key.clone();
        let path = format!("{BASE}/access-requests");
        is_askable.then_some(AccessShape { path, verb: *verb, kind, namespace, name, field })
    }
}

impl FaultShape {
    fn of(invalid: Invalid) -> Self {
        let Invalid { key, path, line, reason, nearest } = invalid;
        FaultShape { object: key.map(|key| key.to_string()), path, line, reason, nearest }
    }
}

impl ConflictShape {
    fn of(conflict: Conflict) -> Self {
        let Conflict { key, expected, found } = conflict;
        ConflictShape { object: key.to_string(), expected, found }
    }
}

impl ClaimShape {
    fn of(overlap: Overlap) -> Self {
        ClaimShape {
            reason: overlap.to_string(),
            object: overlap.key.to_string(),
            path: overlap.wanted,
            holder: match &overlap.holder {
                Holder::Scope(scope) => scope.to_string(),
                Holder::Api(name) => format!("api/{name}"),
            },
            by: overlap.by.map(|(by, _)| by.to_string()),
            ask: overlap.ask,
        }
    }
}
