//! The start: what is wrong, and what changed last.

use control::app::{AccessState, ApiListing, ApiRow, NodeCounts, NodeListing};
use control::{PastChange, Refusal};
use leptos::prelude::*;
use time::OffsetDateTime;

use super::apis::catalogue;
use super::changes::list;
use super::{Asked, Drawn, drawn};
use crate::parts::{Mood, count, empty, head, mood};

/// Changes that are shown.
const CHANGES: usize = 10;
/// Requests for access that are counted.
const ASKED: usize = 25;
/// Apis that are shown.
const APIS: usize = 10;

pub(crate) async fn ask(asked: Asked) -> Result<Drawn, Refusal> {
    let (app, op) = (&asked.app, &asked.op());
    let health = app.node_list(op, &NodeListing::default()).await?.clusters.into_values().sum();
    let changes = app.change_list(op, None, None, CHANGES).await?;
    let own = ApiListing { own: true, limit: APIS, ..ApiListing::default() };
    let apis = app.api_list(op, own).await?.items;
    let open = app.access_request_list(op, Some(AccessState::Open), None, ASKED).await?;
    let asked = open.items.iter().filter(|one| one.proposal.is_some()).count();
    let now = op.now;
    drawn(move || draw(&health, &apis, &changes.items, asked, now).into_any())
}

fn draw(
    health: &NodeCounts,
    apis: &[ApiRow],
    changes: &[PastChange],
    asked: usize,
    now: OffsetDateTime,
) -> AnyView {
    view! {
        {head("Overview".to_owned(), "What is wrong, and what changed last.".to_owned())}
        <div id="live">
            {(asked > 0).then(|| {
                let words = format!("{} for access for you to decide", count(asked, "request"));
                view! { <p class="saved"><a href="/access">{words}</a></p> }
            })}
            <section class="card" id="health" aria-labelledby="health-title">
                <h2 id="health-title">"Health"</h2>
                <ul class="figures">
                    {figure("nodes that you may see", health.nodes, Mood::Good)}
                    {figure("not connected", health.nodes - health.connected, Mood::Bad)}
                    {figure("behind the last revision", health.behind, Mood::Poor)}
                    {figure("that reject something", health.rejecting, Mood::Bad)}
                    {figure("with an application that does not answer", health.silent, Mood::Bad)}
                </ul>
                <p><a href="/fleet">"See the fleet"</a></p>
            </section>
            <section class="card" id="apis" aria-labelledby="apis-title">
                <h2 id="apis-title">"Your Apis"</h2>
                {if apis.is_empty() {
                    empty("None of your teams owns an Api.", ()).into_any()
                } else {
                    catalogue("apis-title", apis, now).into_any()
                }}
                <p><a href="/apis">"See all Apis"</a></p>
            </section>
            <section class="card" id="changes" aria-labelledby="changes-title">
                <h2 id="changes-title">"Last changes"</h2>
                {if changes.is_empty() {
                    empty("Nothing was changed that you may see.", ()).into_any()
                } else {
                    list(changes, now).into_any()
                }}
                <p><a href="/changes">"See all changes"</a></p>
            </section>
        </div>
    }
    .into_any()
}

/// A count; one that is not to be is good at none.
fn figure(words: &'static str, found: usize, otherwise: Mood) -> AnyView {
    let good = if found == 0 { Mood::Good } else { otherwise };
    view! { <li>{mood(good, found.to_string())} " " {words}</li> }.into_any()
}
