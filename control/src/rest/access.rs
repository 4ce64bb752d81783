//! What somebody may do.

use axum::response::Response;
use model::{Key, Kind, Name, role::Verb};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answer;
use super::ask::Ask;
use super::problem::Problem;
use crate::app::Review;

/// What is asked about rights.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewReview {
    /// What is to be done.
    verb: Verb,
    kind: Kind,
    namespace: Name,
    name: Name,
    /// The field that an update is to change.
    field: Option<String>,
    /// The Api that the object is to belong to, if it is not there yet, or is to move; an object that
    /// is there is looked up.
    api: Option<Name>,
    /// Who is to do it, if it is not you; for platform admins.
    r#as: Option<Name>,
}

/// Whether something may be done, and why.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Reviewed")]
pub(super) struct ReviewAnswer {
    allowed: bool,
    /// Why, in words.
    reason: String,
    /// The Grants that allow it, and the Apis whose owner may.
    by: Vec<String>,
}

pub(super) async fn review(ask: Ask) -> Result<Response, Problem> {
    let NewReview { verb, kind, namespace, name, field, api, r#as: user } = ask.json()?;
    let review = Review { verb, key: Key::new(kind, namespace, name), field, api, user };
    let found = ask.app().access_review(&ask.op()?, &review).await?;
    let by = found.by.iter().map(ToString::to_string).collect();
    Ok(answer::ok(&ReviewAnswer { allowed: found.allowed, reason: found.reason, by }))
}
