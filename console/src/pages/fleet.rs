//! The fleet: clusters, and in each what runs there and how far it is.

use std::collections::BTreeMap;

use control::app::Live;
use control::{Node, NodeState, Refusal};
use leptos::prelude::*;
use time::OffsetDateTime;

use super::{Asked, Drawn, drawn};
use crate::parts::{Mood, count, empty, head, mood, table, when_micros};

const HEADS: [&str; 7] =
    ["Node", "State", "Kind", "Revision", "Seen", "Certificate ends", "Version"];

pub(crate) async fn ask(asked: Asked) -> Result<Drawn, Refusal> {
    let (app, op) = (&asked.app, &asked.op());
    let nodes = app.node_list(op).await?;
    let mut clusters: BTreeMap<String, Vec<(Node, Live)>> = BTreeMap::new();
    for (node, live) in nodes {
        clusters.entry(node.cluster.clone()).or_default().push((node, live));
    }
    let now = op.now;
    drawn(move || draw(&clusters, now).into_any())
}

fn draw(clusters: &BTreeMap<String, Vec<(Node, Live)>>, now: OffsetDateTime) -> impl IntoView {
    let all = clusters.iter().map(|(name, nodes)| cluster(name, nodes, now)).collect_view();
    let join = view! {
        <p>"A node joins with a token, which an admin makes: "
        <code>"heddle join-token create --cluster NAME"</code></p>
    };
    view! {
        {head("Fleet".to_owned(), "The gateways and proxies that run what was committed.".to_owned())}
        <div id="live">
            {if clusters.is_empty() {
                empty("There is no node that you may see.", join).into_any()
            } else {
                all.into_any()
            }}
        </div>
    }
}

fn cluster(name: &str, nodes: &[(Node, Live)], now: OffsetDateTime) -> impl IntoView {
    let there = nodes.iter().filter(|(_, live)| live.state == NodeState::Connected).count();
    let words = format!("{there} of {} connected", nodes.len());
    let state = if there == nodes.len() { Mood::Good } else { Mood::Bad };
    let rows = nodes.iter().map(|(node, live)| row(node, live, now)).collect_view();
    let (section, label) = (format!("section-{name}"), format!("cluster-{name}"));
    let (heading, labelled) = (label.clone(), label.clone());
    view! {
        <section class="card" id=section aria-labelledby=labelled>
            <h2 id=heading>{name.to_owned()} " " {mood(state, words)}</h2>
            {table(label, &HEADS, rows)}
        </section>
    }
}

fn row(node: &Node, live: &Live, now: OffsetDateTime) -> impl IntoView {
    let ends = node.certificate.as_ref().map(|certificate| when_micros(certificate.expires, now));
    let last = live.vector.iter().map(|held| held.revision).max();
    let troubles = troubles(live).into_iter();
    let troubles = troubles.map(|words| view! { <p class="trouble">{words}</p> }).collect_view();
    view! {
        <tr id=format!("node-{}", node.id)>
            <th scope="row">{node.name.clone()}{troubles}</th>
            <td>{state(live)}</td>
            <td>{node.kind.clone()}</td>
            <td>{last.map_or_else(|| "none".to_owned(), |last| last.to_string())}</td>
            <td>{when_micros(node.last_seen, now)}</td>
            <td>{ends}</td>
            <td>{node.version.clone()}</td>
        </tr>
    }
}

fn state(live: &Live) -> impl IntoView {
    match (live.state, live.behind) {
        (NodeState::Connected, 0) if !live.rejected.is_empty() => {
            mood(Mood::Bad, format!("rejects {}", count(live.rejected.len(), "object")))
        }
        (NodeState::Connected, 0) => mood(Mood::Good, "up to date".to_owned()),
        (NodeState::Connected, behind) => mood(Mood::Poor, format!("{behind} behind")),
        (NodeState::Stale, _) => mood(Mood::Poor, "silent".to_owned()),
        (NodeState::Away, _) => mood(Mood::Bad, "away".to_owned()),
    }
}

/// What is wrong with a node, or beside it.
fn troubles(live: &Live) -> Vec<String> {
    let silent = live.silent.iter().flat_map(|silent| &silent.ports);
    let silent = silent.map(|port| format!("its application does not answer on port {port}"));
    let rejected = live.rejected.iter();
    let rejected = rejected.map(|one| format!("does not run {}: {}", one.key, one.reason));
    silent.chain(rejected).collect()
}
