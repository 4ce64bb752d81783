//! Join tokens.

use axum::response::Response;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::join::JoinToken;

use super::answer::{self, Listed};
use super::ask::{self, Ask};
use super::problem::Problem;
use crate::app::NewJoinToken;
use crate::moment::rfc3339;

/// A join token that is to be.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "NewJoinToken")]
pub(super) struct NewJoinTokenShape {
    /// The cluster that nodes join.
    cluster: String,
    /// `gateway` or `mesh`.
    kind: String,
    /// The names of nodes that it is good for, of which `*` may be the end; any if nothing is said.
    pattern: Option<String>,
    /// How many nodes it lets in; one if nothing is said.
    uses: Option<i64>,
    /// How long it lasts: `1h` if nothing is said, `720h` at most.
    expires_in: Option<String>,
}

/// A join token, without its secret.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "JoinToken")]
pub(super) struct JoinTokenShape {
    id: String,
    cluster: String,
    kind: String,
    pattern: String,
    uses_left: i64,
    created: String,
    expires: String,
    revoked: Option<String>,
}

/// A join token that was made.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct CreatedJoinToken {
    #[serde(flatten)]
    shape: JoinTokenShape,
    /// `ID.SECRET.FINGERPRINT`; it is told this once.
    token: String,
}

pub(super) async fn list(ask: Ask) -> Result<Response, Problem> {
    let tokens = ask.app().join_token_list(&ask.op()?).await?;
    Ok(answer::ok(&Listed { items: tokens.into_iter().map(shape).collect(), next: None }))
}

pub(super) async fn create(ask: Ask) -> Result<Response, Problem> {
    let NewJoinTokenShape { cluster, kind, pattern, uses, expires_in } = ask.json()?;
    let lasts = ask::lasting("expiresIn", expires_in.as_deref().unwrap_or("1h"))?;
    let (pattern, uses) = (pattern.unwrap_or_else(|| "*".to_owned()), uses.unwrap_or(1));
    let new = NewJoinToken { cluster, kind, pattern, uses, lasts };
    let (token, words) = ask.app().join_token_create(&ask.op()?, new).await?;
    Ok(answer::created(&CreatedJoinToken { shape: shape(token), token: words }))
}

pub(super) async fn revoke(ask: Ask) -> Result<Response, Problem> {
    ask.app().join_token_revoke(&ask.op()?, ask.part("id")).await?;
    Ok(answer::done())
}

fn shape(token: JoinToken) -> JoinTokenShape {
    JoinTokenShape {
        id: token.id,
        cluster: token.cluster,
        kind: token.kind,
        pattern: token.pattern,
        uses_left: token.uses_left,
        created: rfc3339(token.created),
        expires: rfc3339(token.expires),
        revoked: token.revoked.map(rfc3339),
    }
}
