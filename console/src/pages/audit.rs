//! Who did what, newest first, for platform admins.

use control::Refusal;
use control::app::{AuditListing, Record};
use leptos::prelude::*;
use serde::Deserialize;
use time::OffsetDateTime;

use super::{Asked, Drawn, drawn};
use crate::parts::{Mood, empty, escaped, head, mood, search, select, table, when_micros};

/// Rows of one page.
const PAGE: i64 = 100;

const HEADS: [&str; 7] = ["Row", "When", "Who", "What", "To what", "Outcome", "Revision"];

#[derive(Debug, Clone, Default, Deserialize)]
struct Wanted {
    #[serde(default)]
    search: String,
    /// `undone`; all where nothing is said.
    #[serde(default)]
    show: String,
    #[serde(default)]
    before: Option<i64>,
}

pub(crate) async fn ask(asked: Asked) -> Result<Drawn, Refusal> {
    let wanted: Wanted = asked.query();
    let op = asked.op();
    let listing = AuditListing {
        text: wanted.search.trim().to_owned(),
        undone: wanted.show == "undone",
        before: wanted.before,
        limit: PAGE,
    };
    let (rows, next) = asked.app.audit_list(&op, &listing).await?;
    let now = op.now;
    drawn(move || {
        let Wanted { search: text, show, .. } = &wanted;
        let older = next.map(|next| {
            let (text, show) = (escaped(text), escaped(show));
            let to = format!("/audit?search={text}&show={show}&before={next}");
            view! { <p><a href=to>"Older rows"</a></p> }
        });
        let which = [("", "Whatever came of it"), ("undone", "What was not done")];
        let which = which.map(|(word, shown)| (word.to_owned(), shown.to_owned()));
        let more = select("show", "What came of it", &which, show);
        let filter = search("/audit", text, "Who, what, to what or why", more);
        let nothing = match (next, wanted.before) {
            (Some(_), _) => "None of these ten thousand rows is like this.",
            (None, Some(_)) => "No older row is like this.",
            (None, None) => "No row is like this.",
        };
        let all = view! { <p><a href="/audit">"Show all"</a></p> };
        let is_none = rows.is_empty();
        let rows = rows.iter().map(|record| row(record, now)).collect_view();
        let lead = "Who did what. Each row carries the hash of the one before: \
                    heddle audit verify walks the chain.";
        view! {
            {head("Audit".to_owned(), lead.to_owned())}
            {filter}
            <div id="live">
                <section class="card" aria-labelledby="audit-title">
                    <h2 id="audit-title">"Rows"</h2>
                    {if is_none {
                        empty(nothing, all).into_any()
                    } else {
                        table("audit-title".to_owned(), &HEADS, rows).into_any()
                    }}
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
