//! A change: what it did to each object, how far it has come, and taking it back.

use std::time::Duration;

use control::{NodeState, PastChange, PastObject, Refusal, Rolled, Rollout};
use leptos::prelude::*;
use model::difference::differences;
use serde_json::Value;
use time::OffsetDateTime;

use super::changes::micros;
use super::{Asked, Drawn, drawn};
use crate::parts::{Mood, empty, head, mood, table, when};

const HEADS: [&str; 4] = ["Node", "Cluster", "State", "Applied"];

pub(crate) async fn ask(asked: Asked) -> Result<Drawn, Refusal> {
    let none = || Refusal::None(format!("revision {}", asked.part));
    let revision = asked.part.parse().ok().filter(|revision| *revision > 0).ok_or_else(none)?;
    let op = asked.op();
    let (change, objects) = asked.app.change_show(&op, revision).await?;
    let rollout = asked.app.change_receipt(&op, revision, Duration::ZERO).await?;
    let (csrf, now) = (asked.visit.csrf().to_owned(), op.now);
    drawn(move || {
        view! {
            {head(format!("Revision {revision}"), said(&change))}
            <p>{change.actor.clone()} ", " {when(micros(&change), now)}</p>
            {objects.iter().map(object).collect_view()}
            <div id="live">{receipt(&rollout, now)}</div>
            {revert(revision, &csrf)}
        }
        .into_any()
    })
}

fn said(change: &PastChange) -> String {
    match (change.message.as_str(), change.reverts) {
        ("", Some(reverts)) => format!("Takes back revision {reverts}."),
        ("", None) => "Nobody said why.".to_owned(),
        (message, _) => message.to_owned(),
    }
}

/// Field by field, what was and what is.
fn object(object: &PastObject) -> impl IntoView {
    let name = object.key.to_string();
    let nothing = Value::Null;
    let (before, after) = (object.before.as_ref(), object.after.as_ref());
    let deed = match (before, after) {
        (None, Some(_)) => "is new",
        (Some(_), None) => "was taken away",
        (Some(_) | None, Some(_) | None) => "was changed",
    };
    let found = differences(before.unwrap_or(&nothing), after.unwrap_or(&nothing));
    let is_counted = |path: &str| {
        !path.starts_with("metadata.generation") && !path.starts_with("metadata.creationTimestamp")
    };
    let found = found.iter().filter(|difference| is_counted(&difference.path));
    let lines = found.flat_map(|difference| {
        let gone = difference.leaves_before().into_iter().map(|leaf| line("gone", "−", leaf));
        let come = difference.leaves_after().into_iter().map(|leaf| line("come", "+", leaf));
        gone.chain(come).collect::<Vec<_>>()
    });
    let label = name.clone();
    view! {
        <section class="card" aria-label=label>
            <h2>{name} " " <span class="faint">{deed}</span></h2>
            <ul class="diff">{lines.collect_view()}</ul>
        </section>
    }
}

fn line(class: &'static str, sign: &'static str, (path, value): (String, String)) -> impl IntoView {
    view! {
        <li class=class>
            <span class="sign">{sign}</span> <code>{path}</code> ": " <code>{value}</code>
        </li>
    }
}

fn receipt(rollout: &Rollout, now: OffsetDateTime) -> impl IntoView {
    let all = match rollout.complete {
        true => mood(Mood::Good, "everywhere".to_owned()),
        false => mood(Mood::Poor, "under way".to_owned()),
    };
    let rows = rollout.nodes.iter().map(|node| row(node, now)).collect_view();
    view! {
        <section class="card" id="receipt" aria-labelledby="receipt-title">
            <h2 id="receipt-title">"How far it has come " {all}</h2>
            {if rollout.nodes.is_empty() {
                empty("No node that you may see runs what it changed.", ()).into_any()
            } else {
                table("receipt-title".to_owned(), &HEADS, rows).into_any()
            }}
        </section>
    }
}

fn row(node: &Rolled, now: OffsetDateTime) -> impl IntoView {
    let state = match (node.rejected.is_empty(), node.state, node.applied) {
        (false, _, _) => mood(Mood::Bad, "does not run all of it".to_owned()),
        (true, _, Some(_)) => mood(Mood::Good, "runs it".to_owned()),
        (true, NodeState::Connected, None) => mood(Mood::Poor, "not yet".to_owned()),
        (true, NodeState::Stale | NodeState::Away, None) => mood(Mood::Bad, "away".to_owned()),
    };
    let rejected = node.rejected.iter();
    let rejected = rejected
        .map(|one| view! { <p class="trouble">{format!("{}: {}", one.key, one.reason)}</p> })
        .collect_view();
    let applied = node
        .applied
        .map(|at| when(i64::try_from(at.unix_timestamp_nanos() / 1000).unwrap_or(i64::MAX), now));
    view! {
        <tr id=format!("node-{}", node.id)>
            <th scope="row">{node.name.clone()}{rejected}</th>
            <td>{node.cluster.clone()}</td>
            <td>{state}</td>
            <td>{applied}</td>
        </tr>
    }
}

fn revert(revision: i64, csrf: &str) -> impl IntoView {
    view! {
        <section class="card" aria-labelledby="revert-title">
            <h2 id="revert-title">"Take it back"</h2>
            <form class="fields" method="post" action=format!("/changes/{revision}/revert")>
                <input type="hidden" name="csrf" value=csrf.to_owned() />
                <label for="message">"Why"</label>
                <input id="message" name="message" maxlength="500" />
                <button>"Take back revision " {revision}</button>
            </form>
        </section>
    }
}
