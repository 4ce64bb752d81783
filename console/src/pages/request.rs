//! The way of a request through the proxies, and what decided at each.

use control::Refusal;
use control::app::{HiddenHop, Hop, ShownHop};
use leptos::prelude::*;

use super::requests::answer;
use super::{Asked, Drawn, drawn, object};
use crate::parts::{head, when_micros};

pub(crate) async fn ask(asked: Asked) -> Result<Drawn, Refusal> {
    let op = asked.op();
    let way = asked.app.request_show(&op, asked.part(0)).await?;
    let (id, now) = (asked.part(0).to_owned(), op.now);
    drawn(move || {
        let hops = way.hops.iter().map(hop).collect_view();
        view! {
            {head("The way of a request".to_owned(), id.clone())}
            <p>"It began " {when_micros(way.at, now)} "."</p>
            <div id="live">
                <ol class="hops">{hops}</ol>
            </div>
        }
        .into_any()
    })
}

fn hop(hop: &Hop) -> AnyView {
    match hop {
        Hop::Shown(hop) => shown(hop).into_any(),
        Hop::Hidden(HiddenHop { began, took, scope }) => view! {
            <li class="card">
                <p>{format!("A hop of {scope}, which you may not see")}</p>
                <p class="faint">{timed(*began, *took)}</p>
            </li>
        }
        .into_any(),
    }
    .into_any()
}

fn shown(hop: &ShownHop) -> AnyView {
    let ShownHop { began, by, decision, words, .. } = hop;
    let (first, rest) =
        words.split_first().map_or(("", [].as_slice()), |(first, rest)| (first, rest));
    let rest = rest.iter().map(|words| view! { <p>{words.clone()}</p> }).collect_view();
    let asked = format!("{} {}{}", decision.method, decision.host, decision.path);
    let route = decision.route.as_ref().map(|route| match route.known() {
        Some(key) => view! { <a href=object::place(&key)>{key.to_string()}</a> }.into_any(),
        None => route.to_string().into_any(),
    });
    let ran = decision.vector.iter().map(|(scope, revision)| format!("{scope} at {revision}"));
    let ran = ran.collect::<Vec<_>>().join(", ");
    let facts = [
        ("Route", route),
        ("Sent by", decision.peer.clone().map(|peer| peer.into_any())),
        ("On behalf of", decision.caller.clone().map(|caller| caller.into_any())),
        ("Ran", Some(ran).filter(|ran| !ran.is_empty()).map(|ran| ran.into_any())),
    ];
    let facts = facts
        .into_iter()
        .filter_map(|(name, value)| value.map(|value| view! { <dt>{name}</dt><dd>{value}</dd> }))
        .collect_view();
    view! {
        <li class="card" id=format!("hop-{}-{}", by.id, decision.span)>
            <p class="decided">{answer(decision.status)} " " {first.to_owned()}</p>
            {rest}
            <p class="faint">{timed(*began, decision.took)} ": " <code>{asked}</code></p>
            <dl class="facts">{facts}</dl>
        </li>
    }
    .into_any()
}

/// Both in microseconds.
fn timed(began: u64, took: u64) -> String {
    format!("after {}, for {}", span(began), span(took))
}

fn span(micros: u64) -> String {
    match micros {
        0..1_000 => format!("{micros} us"),
        1_000..1_000_000 => format!("{}.{} ms", micros / 1_000, micros % 1_000 / 100),
        _ => format!("{}.{} s", micros / 1_000_000, micros % 1_000_000 / 100_000),
    }
}
