//! Who did what, newest first, for platform admins.

use control::Refusal;
use control::app::Record;
use leptos::prelude::*;
use time::OffsetDateTime;

use super::{Asked, Before, Drawn, drawn};
use crate::parts::{Mood, head, mood, table, when_micros};

/// Rows of one page.
const PAGE: usize = 100;

const HEADS: [&str; 7] = ["Row", "When", "Who", "What", "To what", "Outcome", "Revision"];

pub(crate) async fn ask(asked: Asked) -> Result<Drawn, Refusal> {
    let Before { before } = asked.query();
    let op = asked.op();
    let limit = i64::try_from(PAGE).unwrap_or(i64::MAX);
    let rows = asked.app.audit_list(&op, before, limit).await?;
    let now = op.now;
    drawn(move || {
        let last = rows.last().filter(|last| rows.len() == PAGE && last.seq > 1);
        let older = last.map(|last| {
            view! { <p><a href=format!("/audit?before={}", last.seq)>"Older rows"</a></p> }
        });
        let rows = rows.iter().map(|record| row(record, now)).collect_view();
        let lead = "Who did what. Each row carries the hash of the one before: \
                    heddle audit verify walks the chain.";
        view! {
            {head("Audit".to_owned(), lead.to_owned())}
            <div id="live">
                <section class="card" aria-labelledby="audit-title">
                    <h2 id="audit-title">"Rows"</h2>
                    {table("audit-title".to_owned(), &HEADS, rows)}
                    {older}
                </section>
            </div>
        }
        .into_any()
    })
}

fn row(record: &Record, now: OffsetDateTime) -> AnyView {
    let Record { seq, entry, revision, .. } = record;
    let outcome = if entry.outcome == "done" { Mood::Good } else { Mood::Poor };
    let revision = revision.map(|revision| {
        view! { <a href=format!("/changes/{revision}")>{revision}</a> }
    });
    view! {
        <tr id=format!("row-{seq}")>
            <th scope="row">{*seq}</th>
            <td>{when_micros(entry.at, now)}</td>
            <td>{entry.actor.clone()}</td>
            <td>{entry.verb.clone()}</td>
            <td>{entry.object.clone()}</td>
            <td title=entry.detail.clone()>{mood(outcome, entry.outcome.clone())}</td>
            <td>{revision}</td>
        </tr>
    }
    .into_any()
}
