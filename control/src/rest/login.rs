//! The login providers by which anybody may sign in.

use axum::response::Response;
use schemars::JsonSchema;
use serde::Serialize;

use super::answer::{self, Listed};
use super::ask::Ask;
use super::problem::Problem;

/// A login provider, as far as everybody knows it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "LoginProviderOffer")]
pub(super) struct Offer {
    /// Its name: browsers sign in at `/sign-in/NAME`.
    name: String,
    /// What people call it.
    title: String,
}

pub(super) async fn list(ask: Ask) -> Result<Response, Problem> {
    let all = ask.app().login_provider_list().await?;
    let items = all
        .iter()
        .map(|one| Offer { name: one.metadata.name.to_string(), title: one.title().to_owned() });
    Ok(answer::ok(&Listed { items: items.collect(), next: None }))
}
