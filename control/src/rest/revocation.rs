//! Who is shut out before their credentials end.

use axum::response::Response;
use model::Name;
use model::revocation::Whom;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answer::{self, Listed};
use super::ask::{self, Ask};
use super::problem::Problem;
use crate::Refusal;
use crate::app::{NewRevocation, RevocationNow};
use crate::moment::rfc3339;

/// Somebody who is to be shut out: one of `user`, `consumer` and `apiKey` is given.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "NewRevocation")]
pub(super) struct NewRevocationShape {
    /// Of whom an issuer of tokens says this; for platform admins.
    user: Option<UserShape>,
    /// A Consumer; for who may change it.
    consumer: Option<NamedShape>,
    /// Who has an API key by this name of a policy in this namespace; for who may change such a policy.
    api_key: Option<NamedShape>,
    /// Whether only what the user proved so far does not count any more, so that they may sign in anew.
    #[serde(default)]
    signs_out: bool,
    /// For how long, like `24h`; until it is lifted if nothing is said.
    lasts: Option<String>,
    /// Why, for who reads the list and the audit.
    #[serde(default)]
    note: String,
}

/// A user, as tokens name them.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "RevokedUser")]
pub(super) struct UserShape {
    /// The claim `iss`, to the letter.
    issuer: String,
    /// The claim `sub`, to the letter.
    subject: String,
}

/// What lies in a namespace.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "RevokedName")]
pub(super) struct NamedShape {
    /// The namespace.
    namespace: Name,
    /// The name there.
    name: String,
}

/// Somebody who is shut out.
#[derive(Debug, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Revocation")]
pub(super) struct RevocationShape {
    id: String,
    /// Of whom an issuer of tokens says this.
    user: Option<UserShape>,
    /// A Consumer.
    consumer: Option<NamedShape>,
    /// Who has an API key by this name.
    api_key: Option<NamedShape>,
    /// A gateway or proxy that was forgotten, by its id.
    node: Option<String>,
    /// Since when.
    at: String,
    /// Who did it.
    by: String,
    /// Why.
    note: String,
    /// Whether only what was proved before counts no more.
    signs_out: bool,
    /// When it is over by itself, if it ever is.
    ends: Option<String>,
}

pub(super) async fn list(ask: Ask) -> Result<Response, Problem> {
    let all = ask.app().revocation_list(&ask.op()?).await?;
    Ok(answer::ok(&Listed { items: all.into_iter().map(shape).collect(), next: None }))
}

pub(super) async fn create(ask: Ask) -> Result<Response, Problem> {
    let NewRevocationShape { user, consumer, api_key, signs_out, lasts, note } = ask.json()?;
    let whom = match (user, consumer, api_key) {
        (Some(UserShape { issuer, subject }), None, None) => Whom::User { issuer, subject },
        (None, Some(NamedShape { namespace, name }), None) => {
            let name = Name::parse(&name).map_err(|error| wrong("consumer.name", &error))?;
            Whom::Consumer { namespace, name }
        }
        (None, None, Some(NamedShape { namespace, name })) => Whom::ApiKey { namespace, name },
        (_, _, _) => return Err(wrong("", &"one of user, consumer and apiKey is given")),
    };
    let lasts = lasts.map(|lasts| ask::lasting("lasts", &lasts)).transpose()?;
    let new = NewRevocation { whom, signs_out, lasts, note };
    let made = ask.app().revocation_create(&ask.op()?, new).await?;
    Ok(answer::created(&shape(made)))
}

pub(super) async fn lift(ask: Ask) -> Result<Response, Problem> {
    ask.app().revocation_lift(&ask.op()?, ask.part("id")).await?;
    Ok(answer::done())
}

fn wrong(path: &str, why: &dyn std::fmt::Display) -> Problem {
    Refusal::Invalid(vec![crate::app::user::fault(path, why.to_string())]).into()
}

fn shape(one: RevocationNow) -> RevocationShape {
    let RevocationNow { whom, row } = one;
    let mut shape = RevocationShape {
        id: row.id,
        at: rfc3339(row.at),
        by: row.actor,
        note: row.note,
        signs_out: row.proved_before.is_some(),
        ends: row.ends.map(rfc3339),
        ..RevocationShape::default()
    };
    match whom {
        Whom::User { issuer, subject } => shape.user = Some(UserShape { issuer, subject }),
        Whom::Consumer { namespace, name } => {
            shape.consumer = Some(NamedShape { namespace, name: name.to_string() });
        }
        Whom::ApiKey { namespace, name } => shape.api_key = Some(NamedShape { namespace, name }),
        Whom::Node { id } => shape.node = Some(id),
    }
    shape
}
