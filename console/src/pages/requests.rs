//! What became of requests: the latest that were denied or failed, and the way to one by its id.

use control::Refusal;
use control::app::{Decision, Ended, Teller};
use leptos::prelude::*;
use serde::Deserialize;
use time::OffsetDateTime;

use super::{Asked, Drawn, drawn};
use crate::parts::{Mood, empty, head, mood, table, when_micros};

/// Requests of one page.
const PAGE: usize = 50;

const HEADS: [&str; 6] = ["Request", "Answer", "Reason", "By", "When", "Id"];

#[derive(Debug, Default, Deserialize)]
struct Wanted {
    /// The id of one.
    #[serde(default)]
    id: String,
    /// `failed` or `all`; only those that were denied where nothing is said.
    #[serde(default)]
    show: String,
    /// Only those before this place: a time in microseconds, and a span.
    #[serde(default)]
    before: String,
}

pub(crate) async fn ask(asked: Asked) -> Result<Drawn, Refusal> {
    let Wanted { id, show, before } = asked.query();
    let id = id.trim();
    if !id.is_empty() {
        return Ok(Drawn::Elsewhere(place(id)));
    }
    let ended = match show.as_str() {
        "all" => Ended::Anyhow,
        "failed" => Ended::Failed,
        _ => Ended::Denied,
    };
    let op = asked.op();
    let before =
        before.split_once('-').and_then(|(at, span)| Some((at.parse().ok()?, span.into())));
    let page = asked.app.request_list(&op, ended, before, PAGE).await?;
    let now = op.now;
    drawn(move || {
        let rows = page.items.iter().map(|(by, decision)| row(by, decision, now)).collect_view();
        let nothing = match (ended, &page.next) {
            (_, Some(_)) => "None of the last thousand may be seen by you.",
            (Ended::Denied, None) => "No request was denied of which you may see it.",
            (Ended::Failed, None) => "No request failed of which you may see it.",
            (Ended::Anyhow | Ended::By(_), None) => {
                "No request has come of which you may see what became."
            }
        };
        let tab = |word: Ended, to: &'static str, words: &'static str| {
            view! { <a href=to aria-current=(ended == word).then_some("true")>{words}</a> }
        };
        let show = match ended {
            Ended::Anyhow => "show=all&",
            Ended::Failed => "show=failed&",
            Ended::Denied | Ended::By(_) => "",
        };
        let older = page.next.as_ref().map(|(at, span)| {
            view! { <p><a href=format!("/requests?{show}before={at}-{span}")>"Older ones"</a></p> }
        });
        view! {
            {head("Requests".to_owned(), "What became of them, and why.".to_owned())}
            <form class="filter" method="get" action="/requests">
                <label for="id">"Explain the request with this x-request-id"</label>
                <input id="id" name="id" spellcheck="false" autocapitalize="none" required />
                <button>"Explain"</button>
            </form>
            <nav class="tabs" aria-label="Which requests">
                {tab(Ended::Denied, "/requests", "Denied")}
                {tab(Ended::Failed, "/requests?show=failed", "No backend answered")}
                {tab(Ended::Anyhow, "/requests?show=all", "All that are kept")}
            </nav>
            <p class="faint">"Whatever was denied or failed is kept for a while, of all else a share: as much as "
            <code>"--decision-ratio"</code>" of each node says."</p>
            <div id="live">
                <section class="card" aria-labelledby="requests-title">
                    <h2 id="requests-title">"The latest"</h2>
                    {if page.items.is_empty() {
                        empty(nothing, ()).into_any()
                    } else {
                        table("requests-title".to_owned(), &HEADS, rows).into_any()
                    }}
                    {older}
                </section>
            </div>
        }
        .into_any()
    })
}

fn row(by: &Teller, decision: &Decision, now: OffsetDateTime) -> AnyView {
    let Decision { method, host, path, request, span, .. } = decision;
    view! {
        <tr id=format!("hop-{}-{span}", by.id)>
            <th scope="row">{format!("{method} {host}{path}")}</th>
            <td>{answer(decision.status)}</td>
            <td>{decision.reason.clone()}</td>
            <td>{format!("{} of {}", by.name, by.cluster)}</td>
            <td>{when_micros(decision.at, now)}</td>
            <td><a href=place(request)>{request.clone()}</a></td>
        </tr>
    }
    .into_any()
}

/// Where the way of a request is shown.
fn place(id: &str) -> String {
    let id: String = form_urlencoded::byte_serialize(id.as_bytes()).collect();
    format!("/requests/{}", id.replace('+', "%20"))
}

/// The status of an answer; none where the client left before.
pub(super) fn answer(status: Option<u16>) -> impl IntoView {
    match status {
        Some(status @ ..400) => mood(Mood::Good, status.to_string()),
        Some(status @ 400..500) => mood(Mood::Poor, status.to_string()),
        Some(status) => mood(Mood::Bad, status.to_string()),
        None => mood(Mood::Poor, "none".to_owned()),
    }
}
