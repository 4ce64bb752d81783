//! Users.

use axum::response::Response;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::user::User;

use super::answer::{self, Listed};
use super::ask::{Ask, Page};
use super::problem::Problem;
use crate::app::NewPassword;
use crate::moment::rfc3339;

/// A user that is to be.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewUser {
    /// What they sign in with.
    name: String,
    /// Their password, 12 to 256 bytes; one is made where there is none.
    password: Option<String>,
}

/// A password that is to be another.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewPassword")]
pub(super) struct NewPasswordShape {
    /// The new one, 12 to 256 bytes.
    password: String,
    /// The one before; wanted from users who are no platform admins.
    current: Option<String>,
}

/// Somebody who signs in here.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "User")]
pub(super) struct UserShape {
    id: String,
    /// What they sign in with.
    name: String,
    /// May not sign in any more.
    disabled: bool,
    created: String,
    updated: String,
}

/// A user that was made.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct CreatedUser {
    #[serde(flatten)]
    user: UserShape,
    /// The password that was made; it is told this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(default)]
    password: Option<String>,
}

pub(super) async fn list(ask: Ask) -> Result<Response, Problem> {
    let page: Page<String> = ask.page()?;
    let after = page.after.as_deref().unwrap_or_default();
    let text = ask.word("search").unwrap_or_default();
    let users = ask.app().user_list(&ask.op()?, text, after, page.limit).await?;
    let next = page.next(users.len(), users.last().map(|user| user.name.clone()));
    Ok(answer::ok(&Listed { items: users.into_iter().map(shape).collect(), next }))
}

pub(super) async fn create(ask: Ask) -> Result<Response, Problem> {
    let NewUser { name, password } = ask.json()?;
    let (user, password) = ask.app().user_create(&ask.op()?, &name, password).await?;
    Ok(answer::created(&CreatedUser { user: shape(user), password }))
}

pub(super) async fn password(ask: Ask) -> Result<Response, Problem> {
    let NewPasswordShape { password, current } = ask.json()?;
    let user = ask.part("name").to_owned();
    let change = NewPassword { user, password, current, address: ask.address };
    ask.app().user_password(ask.caller()?, &ask.op()?, change).await?;
    Ok(answer::done())
}

pub(super) async fn disable(ask: Ask) -> Result<Response, Problem> {
    ask.app().user_disable(&ask.op()?, ask.part("name")).await?;
    Ok(answer::done())
}

fn shape(user: User) -> UserShape {
    UserShape {
        id: user.id,
        name: user.name,
        disabled: user.disabled,
        created: rfc3339(user.created),
        updated: rfc3339(user.updated),
    }
}
