//! Keys of issuers that the server fetches.

use axum::response::Response;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answer::{self, Listed};
use super::ask::{self, Ask, Page};
use super::problem::Problem;
use crate::app::KeySetNow;
use crate::moment::rfc3339;

/// Keys of an issuer, and whether they are to be had.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "KeySet")]
pub(super) struct KeySetShape {
    /// Where they are fetched.
    url: String,
    /// The AuthnPolicies that name it and that you may read.
    policies: Vec<String>,
    /// Whether gateways have keys of it: not before they were fetched first, nor a day after they were last.
    holds: bool,
    /// What the last keys are called (`kid`).
    key_ids: Vec<String>,
    /// When those were fetched.
    fetched: Option<String>,
    /// When somebody last went for them.
    tried: Option<String>,
    /// When somebody goes next.
    next: Option<String>,
    /// How often they were sought in vain since they were fetched last.
    failures: i64,
    /// Why, the last time.
    fault: Option<String>,
}

pub(super) async fn list(ask: Ask) -> Result<Response, Problem> {
    let page: Page<String> = ask.page()?;
    let limit = usize::try_from(page.limit).unwrap_or_default();
    let found = ask.app().key_set_list(&ask.op()?, page.after.as_deref(), limit).await?;
    let next = found.next.as_ref().and_then(ask::cursor);
    let items = found.items.into_iter().map(shape).collect();
    Ok(answer::ok(&Listed::<KeySetShape> { items, next }))
}

/// Which keys are to be fetched.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "KeySetFetch")]
pub(super) struct FetchShape {
    /// Where they lie.
    url: String,
}

/// Whether they are.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "KeySetFetched")]
pub(super) struct FetchedShape {
    /// Whether they are fetched at once because of this: not where they were tried within 10 s, or are about to be.
    due: bool,
    /// What is known of them until then.
    key_set: KeySetShape,
}

pub(super) async fn fetch(ask: Ask) -> Result<Response, Problem> {
    let FetchShape { url } = ask.json()?;
    let (due, now) = ask.app().key_set_fetch(&ask.op()?, &url).await?;
    Ok(answer::ok(&FetchedShape { due, key_set: shape(now) }))
}

fn shape(one: KeySetNow) -> KeySetShape {
    let known = one.known.as_ref();
    KeySetShape {
        policies: one
            .policies
            .iter()
            .map(|key| format!("{}/{}", key.namespace, key.name))
            .collect(),
        holds: one.holds,
        key_ids: one.ids,
        fetched: known.and_then(|row| row.fetched).map(rfc3339),
        tried: known.map(|row| row.tried).filter(|tried| *tried > 0).map(rfc3339),
        next: one.next.map(rfc3339),
        failures: known.map_or(0, |row| row.failures),
        fault: known.and_then(|row| row.fault.clone()),
        url: one.url,
    }
}
