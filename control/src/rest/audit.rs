//! The audit.

use axum::response::Response;
use schemars::JsonSchema;
use serde::Serialize;
use store::Record;

use super::answer::{self, Listed};
use super::ask::{self, Ask, Page};
use super::change::flag;
use super::problem::Problem;
use crate::app::AuditListing;
use crate::moment::rfc3339;

/// Who did what.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct AuditRow {
    /// Its place in the chain, from 1.
    seq: i64,
    at: String,
    actor: String,
    verb: String,
    object: String,
    outcome: String,
    /// The revision that it made.
    revision: Option<i64>,
    detail: String,
}

/// What a walk over the whole chain found.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct AuditChain {
    /// Whether every row is as it was written.
    intact: bool,
    /// How many rows there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    rows: Option<i64>,
    /// The first row where it shows that one is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<i64>,
    /// What differs there.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

pub(super) async fn list(ask: Ask) -> Result<Response, Problem> {
    let page: Page<i64> = ask.page()?;
    let listing = AuditListing {
        text: ask.word("search").unwrap_or_default().to_owned(),
        undone: flag(&ask, "undone")?,
        before: page.after,
        limit: page.limit,
    };
    let (rows, next) = ask.app().audit_list(&ask.op()?, &listing).await?;
    let next = next.as_ref().and_then(ask::cursor);
    Ok(answer::ok(&Listed { items: rows.into_iter().map(shape).collect(), next }))
}

pub(super) async fn verify(ask: Ask) -> Result<Response, Problem> {
    let found = match ask.app().audit_verify(&ask.op()?).await? {
        Ok(whole) => {
            let rows = Some(whole.head.seq);
            AuditChain { intact: true, rows, seq: None, reason: None }
        }
        Err(fault) => {
            let (seq, reason) = (Some(fault.seq), Some(fault.to_string()));
            AuditChain { intact: false, rows: None, seq, reason }
        }
    };
    Ok(answer::ok(&found))
}

fn shape(row: Record) -> AuditRow {
    AuditRow {
        seq: row.seq,
        at: rfc3339(row.entry.at),
        actor: row.entry.actor,
        verb: row.entry.verb,
        object: row.entry.object,
        outcome: row.entry.outcome,
        revision: row.revision,
        detail: row.entry.detail,
    }
}
