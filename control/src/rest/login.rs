//! The login providers by which anybody may sign in.

use axum::response::Response;
use model::Name;
use schemars::JsonSchema;
use serde::Serialize;

use super::answer::{self, Listed};
use super::ask::Ask;
use super::problem::Problem;
use crate::app::ProviderInUse;

/// A login provider, as far as everybody knows it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "LoginProviderOffer")]
pub(super) struct Offer {
    /// Its name: browsers sign in at `/sign-in/NAME`.
    name: String,
    /// What people call it.
    title: String,
}

/// A login provider, as platform admins see it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "LoginProviderInUse")]
pub(super) struct InUse {
    name: Name,
    issuer: String,
    /// How many users came by it, ever.
    users: i64,
}

pub(super) async fn in_use(ask: Ask) -> Result<Response, Problem> {
    let all = ask.app().login_provider_use(&ask.op()?).await?.into_iter();
    let items = all.map(|ProviderInUse { name, issuer, users }| InUse { name, issuer, users });
    Ok(answer::ok(&Listed { items: items.collect(), next: None }))
}

pub(super) async fn whom(ask: Ask) -> Result<Response, Problem> {
    let items = ask.app().whom_to_ask(ask.caller()?).await?;
    Ok(answer::ok(&Listed { items, next: None }))
}

pub(super) async fn list(ask: Ask) -> Result<Response, Problem> {
    let all = ask.app().login_provider_list().await?;
    let items = all
        .iter()
        .map(|one| Offer { name: one.metadata.name.to_string(), title: one.title().to_owned() });
    Ok(answer::ok(&Listed { items: items.collect(), next: None }))
}
