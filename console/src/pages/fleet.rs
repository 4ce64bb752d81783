//! The fleet: clusters, and in each what runs there and how far it is.

use std::collections::BTreeMap;

use control::app::{Live, NewJoinToken, NodeCounts, NodeListing, NodePage};
use control::{Node, NodeState, Refusal};
use leptos::prelude::*;
use serde::Deserialize;
use time::OffsetDateTime;

use super::{Asked, Drawn, drawn};
use crate::edit::wrong;
use crate::form::{Done, Form, Line, Sent};
use crate::islands::copy::Copy;
use crate::parts::{Mood, count, empty, escaped, head, mood, search, select, table, when_micros};

/// Nodes of one page.
const PAGE: usize = 50;

/// A year: more than a token may last.
const MINUTES: i64 = 366 * 24 * 60;

const HEADS: [&str; 7] =
    ["Node", "State", "Kind", "Revision", "Seen", "Certificate ends", "Version"];

#[derive(Debug, Clone, Default, Deserialize)]
struct Wanted {
    #[serde(default)]
    search: String,
    /// `unwell`; all where nothing is said.
    #[serde(default)]
    show: String,
    /// The last of the page before, as CLUSTER/KIND/NAME.
    #[serde(default)]
    after: String,
}

impl Wanted {
    fn listing(&self) -> NodeListing {
        let mut after = self.after.splitn(3, '/').map(str::to_owned);
        let mut part = || after.next();
        NodeListing {
            text: Some(self.search.trim().to_owned()).filter(|text| !text.is_empty()),
            unwell: self.show == "unwell",
            after: part().and_then(|cluster| Some((cluster, part()?, part()?))),
            limit: PAGE,
        }
    }

    fn is_filtered(&self) -> bool {
        !(self.search.is_empty() && self.show.is_empty() && self.after.is_empty())
    }
}

pub(crate) async fn ask(asked: Asked) -> Result<Drawn, Refusal> {
    let op = asked.op();
    let page = asked.app.node_list(&op, &asked.query::<Wanted>().listing()).await?;
    let now = op.now;
    drawn(move || draw(&asked, &page, None, now).into_any())
}

fn draw(asked: &Asked, page: &NodePage, told: Option<AnyView>, now: OffsetDateTime) -> AnyView {
    let wanted: Wanted = asked.query();
    let mut shown = BTreeMap::<&str, Vec<&(Node, Live)>>::new();
    for one in &page.items {
        shown.entry(&one.0.cluster).or_default().push(one);
    }
    let counts = |name: &str| page.clusters.get(name).copied().unwrap_or_default();
    let all = shown.iter().map(|(name, nodes)| cluster(name, &counts(name), nodes, now));
    let all = all.collect_view();
    let known: Vec<_> = page.clusters.keys().cloned().collect();
    let join = asked.visit.is_admin.then(|| join_form(asked, &known, &free(page)));
    let more = page.next.as_ref().map(|(cluster, kind, name)| {
        let Wanted { search, show, .. } = &wanted;
        let (search, show) = (escaped(search), escaped(show));
        let after = escaped(&format!("{cluster}/{kind}/{name}"));
        let to = format!("/fleet?search={search}&show={show}&after={after}");
        view! { <p><a href=to>"More nodes"</a></p> }
    });
    let nothing = match wanted.is_filtered() {
        true => "No node that you may see is like this.",
        false => "There is no node that you may see.",
    };
    let whole = wanted.is_filtered().then(|| view! { <p><a href="/fleet">"Show all"</a></p> });
    view! {
        {head("Fleet".to_owned(), "The gateways and proxies that run what was committed.".to_owned())}
        {told}
        {(wanted.is_filtered() || page.next.is_some()).then(|| filter(&wanted))}
        <div id="live">
            {summary(&page.clusters)}
            {if page.items.is_empty() {
                empty(nothing, whole).into_any()
            } else {
                all.into_any()
            }}
            {more}
            {join}
        </div>
    }
    .into_any()
}

fn filter(wanted: &Wanted) -> AnyView {
    let which = [("", "All nodes"), ("unwell", "Away, behind or with trouble")];
    let which = which.map(|(word, shown)| (word.to_owned(), shown.to_owned()));
    let more = select("show", "Which nodes", &which, &wanted.show);
    search("/fleet", &wanted.search, "Name or cluster", more)
}

/// All nodes in a line, where a page may not have them all.
fn summary(clusters: &BTreeMap<String, NodeCounts>) -> Option<AnyView> {
    let sum: NodeCounts = clusters.values().copied().sum();
    (sum.nodes > PAGE).then(|| {
        let all = format!("{} in {}", count(sum.nodes, "node"), count(clusters.len(), "cluster"));
        let state = if sum.connected == sum.nodes { Mood::Good } else { Mood::Bad };
        let connected = mood(state, format!("{} connected", sum.connected));
        view! { <p id="all">{all} ", " {connected}</p> }.into_any()
    })
}

/// A name that no gateway of the page has.
fn free(page: &NodePage) -> String {
    let is_taken = |name: &str| page.items.iter().any(|(node, _)| node.name == name);
    let names = std::iter::once("edge".to_owned()).chain((2..).map(|nth| format!("edge-{nth}")));
    names.into_iter().find(|name| !is_taken(name)).unwrap_or_default()
}

fn join_form(asked: &Asked, known: &[String], free: &str) -> AnyView {
    let form = Form::new(asked, "/fleet/join".to_owned());
    let kinds = [("gateway", "a gateway"), ("mesh", "a proxy beside an application")];
    let kinds = kinds.map(|(word, shown)| (word.to_owned(), shown.to_owned()));
    let line = |field, label, path, is, hint| {
        let required = true;
        Line { field, label, path, is, hint, required, ..Line::default() }
    };
    let first = known.first().map_or("", String::as_str);
    let cluster = line("cluster", "Cluster", "cluster", first, Some("a new name makes a new one"));
    let name = line(
        "pattern",
        "Its name",
        "pattern",
        free,
        Some("its own, of a proxy, NAMESPACE.WORKLOAD; '*' at the end stands for anything"),
    );
    let uses = line("uses", "Nodes that it lets in", "uses", "1", None);
    let lasts = line("minutes", "Minutes that it lasts", "expiresIn", "60", None);
    let known = known.iter().map(|one| view! { <option value=one.clone()></option> });
    let fields = view! {
        {form.text(Line { list: Some("clusters-known"), ..cluster })}
        <datalist id="clusters-known">{known.collect_view()}</datalist>
        {form.choice(line("kind", "What joins", "kind", "gateway", None), &kinds)}
        {form.text(name)}
        {form.text(uses)}
        {form.text(lasts)}
        <button>"Make a token, and show the command"</button>
    };
    view! {
        <section class="card" id="join" aria-labelledby="join-title">
            <h2 id="join-title">"Let a node in"</h2>
            {form.draw(None, fields)}
        </section>
    }
    .into_any()
}

/// Makes a token, and shows once the command by which a node joins with it.
pub(crate) async fn join(sent: Sent) -> Result<Done, Refusal> {
    let (fields, op) = (&sent.fields, sent.asked.op());
    let number = |field: &str| fields.get(field).trim().parse::<i64>();
    let minutes = number("minutes").map(|minutes| minutes.clamp(0, MINUTES));
    let (Ok(uses), Ok(minutes)) = (number("uses"), minutes) else {
        let is_wrong = |field: &&(&str, &str)| number(field.0).is_err();
        let wrongs = [("uses", "uses"), ("minutes", "expiresIn")];
        let wrongs = wrongs.iter().filter(is_wrong);
        let words = || "wants a whole number".to_owned();
        return Err(wrong(wrongs.map(|(_, path)| ((*path).to_owned(), words()))));
    };
    let new = NewJoinToken {
        cluster: fields.get("cluster").trim().to_owned(),
        kind: fields.get("kind").to_owned(),
        pattern: fields.get("pattern").trim().to_owned(),
        uses,
        lasts: time::Duration::minutes(minutes),
    };
    let (cluster, kind, pattern) = (new.cluster.clone(), new.kind.clone(), new.pattern.clone());
    let (token, secret) = sent.asked.app.join_token_create(&op, new).await?;
    let who = match (kind.as_str(), pattern.split_once('.')) {
        ("mesh", Some((namespace, workload))) if !pattern.ends_with('*') => {
            format!("heddle-mesh --workload {namespace}/{workload}")
        }
        ("mesh", _) => "heddle-mesh --workload NAMESPACE/NAME".to_owned(),
        _ if pattern.ends_with('*') => "heddle-gateway --name NAME".to_owned(),
        _ => format!("heddle-gateway --name {pattern}"),
    };
    let server = &sent.asked.nodes;
    let command =
        format!("HEDDLE_JOIN_TOKEN={secret} {who} --server {server} --state node-{cluster}");
    let page = sent.asked.app.node_list(&op, &Wanted::default().listing()).await?;
    let (asked, now, ends) = (sent.asked, op.now, token.expires);
    Ok(Done::Told(Box::new(move || {
        let told = view! {
            <section class="card saved" aria-labelledby="token-title">
                <h2 id="token-title" tabindex="-1">"The token is told this once"</h2>
                <p>"Where the node is to run, with this server in reach as " {asked.nodes.clone()} ":"</p>
                <Copy text=command.clone() />
                <p class="faint">"It is good until it was used, or it ends " {when_micros(ends, now)} "."</p>
            </section>
        };
        draw(&asked, &page, Some(told.into_any()), now).into_any()
    })))
}

fn cluster(
    name: &str,
    counts: &NodeCounts,
    nodes: &[&(Node, Live)],
    now: OffsetDateTime,
) -> AnyView {
    let words = format!("{} of {} connected", counts.connected, counts.nodes);
    let state = if counts.connected == counts.nodes { Mood::Good } else { Mood::Bad };
    let trouble =
        |words: &str, of: usize| (of > 0).then(|| mood(Mood::Bad, format!("{of} {words}")));
    let troubles = view! {
        " " {trouble("beside an application that does not answer", counts.silent)}
        " " {trouble("that reject something", counts.rejecting)}
    };
    let rows = nodes.iter().map(|(node, live)| row(node, live, now)).collect_view();
    let (section, label) = (format!("cluster:{name}"), format!("cluster:{name}:title"));
    let (heading, labelled) = (label.clone(), label.clone());
    view! {
        <section class="card" id=section aria-labelledby=labelled>
            <h2 id=heading>{name.to_owned()} " " {mood(state, words)} {troubles}</h2>
            {table(label, &HEADS, rows)}
        </section>
    }
    .into_any()
}

fn row(node: &Node, live: &Live, now: OffsetDateTime) -> AnyView {
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
    .into_any()
}

fn state(live: &Live) -> impl IntoView {
    match (live.state, live.behind) {
        (NodeState::Connected, 0) if !live.rejected.is_empty() => {
            mood(Mood::Bad, format!("rejects {}", count(live.rejected.len(), "object")))
        }
        (NodeState::Connected, 0)
            if live.silent.as_ref().is_some_and(|one| !one.ports.is_empty()) =>
        {
            mood(Mood::Bad, "application silent".to_owned())
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
