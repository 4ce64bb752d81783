//! Nodes.

use axum::response::Response;
use schemars::JsonSchema;
use serde::Serialize;
use store::node::Node;

use super::answer::{self, Listed};
use super::ask::{self, Ask, Page};
use super::change::flag;
use super::problem::Problem;
use crate::app::{Held, Live, NodeListing, NodePlace, Rejected};
use crate::fleet::NodeState;
use crate::moment::rfc3339;

/// Something that runs what was committed.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Node")]
pub(super) struct NodeShape {
    id: String,
    name: String,
    cluster: String,
    /// `gateway` or `mesh`.
    kind: String,
    /// The software that it runs.
    version: String,
    state: NodeStateShape,
    first_seen: String,
    last_seen: String,
    certificate_expires: Option<String>,
    /// What it runs, of the scopes in which you may read something.
    vector: Vec<HeldShape>,
    /// The objects of these that it does not run as they were committed.
    rejected: Vec<RejectedShape>,
    /// The ports at which the application beside it does not answer, if you may read something of
    /// its workspace; told by the server that holds its stream.
    silent_ports: Vec<u16>,
    /// How many scopes are newer here than there.
    behind: usize,
}

/// Whether a node is there.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "NodeState")]
pub(super) enum NodeStateShape {
    /// It holds a connection and speaks.
    Connected,
    /// It holds a connection and is silent.
    Stale,
    /// It holds none.
    Away,
}

/// A scope that a node runs.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "HeldScope")]
pub(super) struct HeldShape {
    scope: String,
    revision: i64,
    /// Since when.
    applied: String,
}

/// An object that a node does not run as it was committed.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "RejectedObject")]
pub(super) struct RejectedShape {
    object: String,
    path: String,
    reason: String,
}

pub(super) async fn list(ask: Ask) -> Result<Response, Problem> {
    let page: Page<NodePlace> = ask.page()?;
    let listing = NodeListing {
        text: ask.word("search").map(str::to_owned),
        unwell: flag(&ask, "unwell")?,
        after: page.after,
        limit: usize::try_from(page.limit).unwrap_or_default(),
    };
    let found = ask.app().node_list(&ask.op()?, &listing).await?;
    let next = found.next.as_ref().and_then(ask::cursor);
    let items = found.items.into_iter().map(|(node, live)| shape(node, live)).collect();
    Ok(answer::ok(&Listed { items, next }))
}

pub(super) async fn show(ask: Ask) -> Result<Response, Problem> {
    let (node, live) = ask.app().node_show(&ask.op()?, ask.part("id")).await?;
    Ok(answer::ok(&shape(node, live)))
}

pub(super) async fn forget(ask: Ask) -> Result<Response, Problem> {
    ask.app().node_forget(&ask.op()?, ask.part("id")).await?;
    Ok(answer::done())
}

fn shape(node: Node, live: Live) -> NodeShape {
    NodeShape {
        id: node.id,
        name: node.name,
        cluster: node.cluster,
        kind: node.kind,
        version: node.version,
        state: state(live.state),
        first_seen: rfc3339(node.first_seen),
        last_seen: rfc3339(node.last_seen),
        certificate_expires: node.certificate.map(|one| rfc3339(one.expires)),
        vector: held(live.vector),
        rejected: live.rejected.into_iter().map(rejected).collect(),
        silent_ports: live.silent.map(|silent| silent.ports).unwrap_or_default(),
        behind: live.behind,
    }
}

pub(super) fn state(state: NodeState) -> NodeStateShape {
    match state {
        NodeState::Connected => NodeStateShape::Connected,
        NodeState::Stale => NodeStateShape::Stale,
        NodeState::Away => NodeStateShape::Away,
    }
}

/// Many scopes of a node came at once, so each time is written once for all in a row that have it.
fn held(vector: Vec<Held>) -> Vec<HeldShape> {
    let mut last: Option<(i64, String)> = None;
    let shape = |Held { scope, revision, applied }: Held| {
        let when = match last.take() {
            Some((at, when)) if at == applied => when,
            Some(_) | None => rfc3339(applied),
        };
        last = Some((applied, when.clone()));
        HeldShape { scope: scope.to_string(), revision, applied: when }
    };
    vector.into_iter().map(shape).collect()
}

pub(super) fn rejected(one: Rejected) -> RejectedShape {
    RejectedShape { object: one.key.to_string(), path: one.path, reason: one.reason }
}
