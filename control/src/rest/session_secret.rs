//! The secrets by which gateways seal sessions, which are never told here.

use axum::response::Response;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answer;
use super::ask::Ask;
use super::problem::Problem;
use crate::moment::rfc3339;
use crate::session_secret::Others;

/// How to have another secret.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(rename = "SessionSecretRotation")]
pub(super) struct RotationShape {
    /// Whether nothing opens any more that those of before sealed, as when they may be known to somebody.
    forget: bool,
}

/// A secret that was made.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "SessionSecret")]
pub(super) struct SecretShape {
    /// Since when gateways seal sessions by what is drawn of it.
    begins: String,
}

pub(super) async fn rotate(ask: Ask) -> Result<Response, Problem> {
    let RotationShape { forget } = ask.json_or_default()?;
    let others = if forget { Others::Forgotten } else { Others::Open };
    let begins = ask.app().session_secret_rotate(&ask.op()?, others).await?;
    Ok(answer::created(&SecretShape { begins: rfc3339(begins) }))
}
