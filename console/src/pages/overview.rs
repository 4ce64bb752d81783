//! The start: what is wrong, and what changed last.

use control::{App, NodeState, Op, PastChange};
use leptos::prelude::*;
use time::OffsetDateTime;

use super::{Drawn, drawn};
use crate::parts::{Mood, empty, head, mood, when};

/// Changes that are shown.
const CHANGES: usize = 10;

#[derive(Debug, Default)]
struct Health {
    nodes: usize,
    away: usize,
    behind: usize,
    silent: usize,
}

pub(crate) async fn ask(app: &App, op: &Op) -> Drawn {
    let mut health = Health::default();
    for (_, live) in app.node_list(op).await? {
        health.nodes += 1;
        health.away += usize::from(live.state != NodeState::Connected);
        health.behind += usize::from(live.behind > 0);
        health.silent += usize::from(live.silent.is_some());
    }
    let changes = app.change_list(op, None, None, CHANGES).await?;
    let now = op.now;
    drawn(move || draw(&health, &changes.items, now).into_any())
}

fn draw(health: &Health, changes: &[PastChange], now: OffsetDateTime) -> impl IntoView {
    let rows = changes.iter().map(|change| row(change, now)).collect_view();
    view! {
        {head("Overview", "What is wrong, and what changed last.")}
        <div id="live">
            <section class="card" id="health" aria-labelledby="health-title">
                <h2 id="health-title">"Health"</h2>
                <ul class="figures">
                    {figure("nodes that you may see", health.nodes, Mood::Good)}
                    {figure("not connected", health.away, Mood::Bad)}
                    {figure("behind the last revision", health.behind, Mood::Poor)}
                    {figure("with an application that does not answer", health.silent, Mood::Bad)}
                </ul>
                <p><a href="/fleet">"See the fleet"</a></p>
            </section>
            <section class="card" id="changes" aria-labelledby="changes-title">
                <h2 id="changes-title">"Last changes"</h2>
                {if changes.is_empty() {
                    empty("Nothing was changed that you may see.", ()).into_any()
                } else {
                    view! { <ol class="changes">{rows}</ol> }.into_any()
                }}
            </section>
        </div>
    }
}

/// A count; one that is not to be is good at none.
fn figure(words: &'static str, count: usize, otherwise: Mood) -> impl IntoView {
    let good = if count == 0 { Mood::Good } else { otherwise };
    view! { <li>{mood(good, count.to_string())} " " {words}</li> }
}

fn row(change: &PastChange, now: OffsetDateTime) -> impl IntoView {
    let micros = i64::try_from(change.at.unix_timestamp_nanos() / 1000).unwrap_or(i64::MAX);
    let objects = change.objects.len();
    let objects = format!("{objects} {}", if objects == 1 { "object" } else { "objects" });
    let scopes: Vec<_> = change.scopes.iter().map(ToString::to_string).collect();
    view! {
        <li id=format!("change-{}", change.revision)>
            <strong>{format!("Revision {}", change.revision)}</strong>
            " by " {change.actor.clone()} ", " {when(micros, now)} ": "
            {objects} " in " {scopes.join(", ")}
            {change.reverts.map(|reverts| format!("; takes back revision {reverts}"))}
            {(!change.message.is_empty()).then(|| view! { <q>{change.message.clone()}</q> })}
        </li>
    }
}
