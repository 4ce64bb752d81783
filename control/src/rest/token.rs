//! Tokens of users.

use axum::response::Response;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::token::Token;

use super::answer::{self, Listed};
use super::ask::{self, Ask};
use super::problem::Problem;
use crate::app::NewToken;
use crate::authn::Narrowed;
use crate::moment::rfc3339;

/// A token that is to be.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "NewToken")]
pub(super) struct NewTokenShape {
    /// What its user calls it.
    name: String,
    /// How long it lasts: `720h` if nothing is said, `8760h` at most.
    expires_in: Option<String>,
    /// Where it may be used, `platform` or `workspace/NAME`; everywhere if nothing is said.
    scope: Option<String>,
    /// The built-in role that bounds it; all that its user may do if nothing is said.
    role: Option<String>,
}

/// A token, without itself.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Token")]
pub(super) struct TokenShape {
    id: String,
    name: String,
    scope: Option<String>,
    role: Option<String>,
    created: String,
    expires: Option<String>,
    revoked: Option<String>,
    /// When it was last used, to the minute.
    seen: Option<String>,
}

/// A token that was made.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct CreatedToken {
    #[serde(flatten)]
    shape: TokenShape,
    /// The token; it is told this once.
    token: String,
}

pub(super) async fn list(ask: Ask) -> Result<Response, Problem> {
    let tokens = ask.app().token_list(ask.caller()?).await?;
    Ok(answer::ok(&Listed { items: tokens.into_iter().map(shape).collect(), next: None }))
}

pub(super) async fn create(ask: Ask) -> Result<Response, Problem> {
    let NewTokenShape { name, expires_in, scope, role } = ask.json()?;
    let lasts = ask::lasting("expiresIn", expires_in.as_deref().unwrap_or("720h"))?;
    let new = NewToken { name, lasts, scope, role };
    let (token, secret) = ask.app().token_create(ask.caller()?, &ask.op()?, new).await?;
    Ok(answer::created(&CreatedToken { shape: shape(token), token: secret }))
}

pub(super) async fn revoke(ask: Ask) -> Result<Response, Problem> {
    ask.app().token_revoke(ask.caller()?, &ask.op()?, ask.part("id")).await?;
    Ok(answer::done())
}

fn shape(token: Token) -> TokenShape {
    let narrowed: Narrowed = serde_json::from_str(&token.scopes).unwrap_or_default();
    TokenShape {
        id: token.id,
        name: token.name,
        scope: narrowed.scope.map(|scope| scope.to_string()),
        role: narrowed.role.map(|role| role.to_string()),
        created: rfc3339(token.created),
        expires: token.expires.map(rfc3339),
        revoked: token.revoked.map(rfc3339),
        seen: token.seen.map(rfc3339),
    }
}
