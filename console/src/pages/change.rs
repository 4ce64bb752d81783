//! A change: what it did to each object, how far it has come, and taking it back.

use std::collections::BTreeMap;
use std::time::Duration;

use control::app::Review;
use control::{Deed, NodeState, PastChange, PastObject, Refusal, Rolled, Rollout};
use leptos::prelude::*;
use model::difference::{Difference, differences};
use model::role::Verb;
use serde_json::Value;
use time::OffsetDateTime;

use super::{Asked, Drawn, drawn};
use crate::form::{Done, Form, Line, Sent};
use crate::parts::{Mood, count, empty, head, head_from, mood, table, when};

/// What every change of an object changes.
pub(super) const COUNTED: [&str; 2] = ["metadata.generation", "metadata.creationTimestamp"];

const HEADS: [&str; 4] = ["Node", "Cluster", "State", "Applied"];

/// Lines of an object that are shown.
const LINES: usize = 200;
/// Objects that are shown.
const OBJECTS: usize = 50;
/// Nodes that are shown.
const NODES: usize = 50;
/// Later changes that are told.
const LATER: usize = 10;

pub(crate) async fn ask(asked: Asked) -> Result<Drawn, Refusal> {
    let (revision, op) = (revision(asked.part(0))?, asked.op());
    let (change, objects) = asked.app.change_show(&op, revision).await?;
    let rollout = asked.app.change_receipt(&op, revision, Duration::ZERO).await?;
    let may_take_back = may_take_back(&asked, &objects).await?;
    let now = op.now;
    drawn(move || {
        let form = || Form::new(&asked, format!("/changes/{revision}/revert"));
        let from = format!("/changes/{revision}/receipt");
        let more = objects.len().saturating_sub(OBJECTS);
        let more = (more > 0).then(|| {
            let words =
                format!("It changed {} that this page does not show.", count(more, "more object"));
            view! { <p class="faint">{words}</p> }
        });
        view! {
            {head_from(format!("Change {revision}"), said(&change), from)}
            <p>{change.actor.clone()} ", " {when(change.at, now)}</p>
            {objects.iter().take(OBJECTS).map(object).collect_view()}
            {more}
            <div id="live">{receipt(&rollout, now)}</div>
            {match overtaken(&objects) {
                Some(told) => Some(told),
                None => may_take_back.then(|| take_back(revision, form())),
            }}
        }
        .into_any()
    })
}

/// How far it has come, by itself: all of a change that goes on changing.
pub(crate) async fn ask_receipt(asked: Asked) -> Result<Drawn, Refusal> {
    let (revision, op) = (revision(asked.part(0))?, asked.op());
    let rollout = asked.app.change_receipt(&op, revision, Duration::ZERO).await?;
    drawn(move || {
        view! {
            {head(format!("Receipt of revision {revision}"), "How far it has come.".to_owned())}
            <div id="live">{receipt(&rollout, op.now)}</div>
        }
        .into_any()
    })
}

/// The revision that a path names. What is no number, no revision has.
pub(crate) fn revision(part: &str) -> Result<i64, Refusal> {
    let none = || Refusal::None(format!("revision {part}"));
    part.parse().ok().filter(|revision| *revision > 0).ok_or_else(none)
}

fn said(change: &PastChange) -> String {
    match (change.message.as_str(), change.reverts) {
        ("", Some(reverts)) => format!("Takes back revision {reverts}."),
        ("", None) => "Nobody said why.".to_owned(),
        (message, _) => message.to_owned(),
    }
}

/// Field by field, what was and what is.
fn object(object: &PastObject) -> AnyView {
    let (name, to) = (object.key.to_string(), super::object::place(&object.key));
    let nothing = Value::Null;
    let before = object.before.as_ref().unwrap_or(&nothing);
    let after = object.after.as_ref().unwrap_or(&nothing);
    let deed = match (object.deed, before.is_null(), object.generation) {
        (Deed::Put, true, 1) => "is new",
        (Deed::Put, true, _) => "is there again, or you may not see how it was",
        (Deed::Put, false, _) => "was changed",
        (Deed::Delete, ..) => "was taken away",
    };
    view! {
        <section class="card">
            <h2><a href=to>{name}</a> " " <span class="faint">{deed}</span></h2>
            {lines(&differences(before, after))}
        </section>
    }
    .into_any()
}

/// What differs, line by line, without what every change changes.
pub(super) fn lines(found: &[Difference<'_>]) -> AnyView {
    let lines = found.iter().flat_map(|difference| {
        let gone = difference.leaves_before().into_iter().map(|leaf| ("gone", "−", leaf));
        let come = difference.leaves_after().into_iter().map(|leaf| ("come", "+", leaf));
        gone.chain(come).collect::<Vec<_>>()
    });
    let lines: Vec<_> = lines.filter(|(.., (path, _))| !COUNTED.contains(&path.as_str())).collect();
    let more = lines.len().saturating_sub(LINES);
    let more = (more > 0).then(|| view! { <p>{format!("and {}", count(more, "more line"))}</p> });
    let lines = lines.into_iter().take(LINES);
    let lines = lines.map(|(class, sign, leaf)| line(class, sign, leaf)).collect_view();
    view! {
        <ul class="diff">{lines}</ul>
        {more}
    }
    .into_any()
}

fn line(class: &'static str, sign: &'static str, (path, value): (String, String)) -> AnyView {
    view! {
        <li class=class>
            <span class="sign">{sign}</span> <code>{path}</code> ": " <code>{value}</code>
        </li>
    }
    .into_any()
}

fn receipt(rollout: &Rollout, now: OffsetDateTime) -> AnyView {
    let is_whole = rollout.nodes.iter().all(|node| node.rejected.is_empty());
    let all = match (rollout.complete, is_whole) {
        (true, true) => mood(Mood::Good, "everywhere".to_owned()),
        (true, false) => mood(Mood::Bad, "everywhere, and not all of it is run".to_owned()),
        (false, _) => mood(Mood::Poor, "under way".to_owned()),
    };
    // Those first that somebody has to look after.
    let mut nodes: Vec<_> = rollout.nodes.iter().collect();
    nodes.sort_by_key(|node| (node.rejected.is_empty(), node.applied.is_some()));
    let running = nodes.iter().filter(|node| node.applied.is_some()).count();
    let more = (nodes.len() > NODES).then(|| {
        let words =
            format!("{running} of {} run it; {NODES} are shown.", count(nodes.len(), "node"));
        view! { <p class="faint">{words}</p> }
    });
    let rows = nodes.into_iter().take(NODES).map(|node| row(node, now)).collect_view();
    view! {
        <section class="card" id="receipt" aria-labelledby="receipt-title">
            <h2 id="receipt-title">"How far it has come " {all}</h2>
            {if rollout.nodes.is_empty() {
                empty("No node that you may see runs what it changed.", ()).into_any()
            } else {
                table("receipt-title".to_owned(), &HEADS, rows).into_any()
            }}
            {more}
        </section>
    }
    .into_any()
}

fn row(node: &Rolled, now: OffsetDateTime) -> AnyView {
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
    let applied = node.applied.map(|at| when(at, now));
    view! {
        <tr id=format!("node-{}", node.id)>
            <th scope="row">{node.name.clone()}{rejected}</th>
            <td>{node.cluster.clone()}</td>
            <td>{state}</td>
            <td>{applied}</td>
        </tr>
    }
    .into_any()
}

/// Whether who asks may make every object again what it was before.
async fn may_take_back(asked: &Asked, objects: &[PastObject]) -> Result<bool, Refusal> {
    for PastObject { key, before, after, fields, .. } in objects {
        let (verb, fields) = match (before, after) {
            (Some(_), Some(_)) => (Verb::Update, fields.iter().cloned().map(Some).collect()),
            (None, _) => (Verb::Delete, vec![None]),
            (Some(_), None) => (Verb::Create, vec![None]),
        };
        for field in fields {
            let review = Review { verb, key: key.clone(), field, api: None, user: None };
            if !asked.app.access_review(&asked.op(), &review).await?.allowed {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// That it cannot be taken back as long as later changes of the same objects stand.
fn overtaken(objects: &[PastObject]) -> Option<AnyView> {
    let later: BTreeMap<_, _> =
        objects.iter().filter_map(|one| Some((one.later?, one.key.to_string()))).collect();
    let rows = later.iter().rev().take(LATER).map(|(later, name)| {
        let to = format!("/changes/{later}");
        view! { <li><a href=to>{format!("Revision {later}")}</a> {format!(" changed {name} since.")}</li> }
    });
    let told = view! {
        <section class="card" id="later" aria-labelledby="later-title">
            <h2 id="later-title">"Taking it back"</h2>
            <p>"It stands no more as it was made. What came later is taken back first:"</p>
            <ul>{rows.collect_view()}</ul>
        </section>
    };
    (!later.is_empty()).then(|| told.into_any())
}

fn take_back(revision: i64, form: Form) -> AnyView {
    let line = Line { field: "message", label: "Why", path: "message", ..Line::default() };
    let fields = view! {
        {form.text(line)}
        <button>"Take back revision " {revision}</button>
    };
    view! {
        <section class="card" aria-labelledby="revert-title">
            <h2 id="revert-title">"Take it back"</h2>
            {form.draw(None, fields)}
        </section>
    }
    .into_any()
}

/// Takes it back.
pub(crate) async fn revert(sent: Sent) -> Result<Done, Refusal> {
    let revision = revision(sent.asked.part(0))?;
    let op = sent.asked.visit.op(sent.fields.get("message").to_owned())?;
    let receipt = sent.asked.app.change_revert(&op, revision).await?;
    Ok(Done::To(format!("/changes/{}", receipt.revision)))
}
