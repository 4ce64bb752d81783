//! What the fleet runs of what was committed, as the store remembers it.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::workload::Workload;
use model::{Key, Name, Scope};
use store::node::Node;
use wire::Rejection;

use super::App;
use crate::World;
use crate::fleet::{NodeNow, NodeState, Running};
use crate::refusal::Refusal;

/// A scope that a node runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Which.
    pub scope: Scope,
    /// At which revision.
    pub revision: i64,
    /// Since when, in microseconds since 1970.
    pub applied: i64,
}

/// An object that a node does not run as it was committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// Where it belongs.
    pub scope: Scope,
    /// Which.
    pub key: Key,
    /// Where in it.
    pub path: String,
    /// Why.
    pub reason: String,
}

/// An application that does not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Silent {
    /// Whose it is.
    pub scope: Scope,
    /// The ports.
    pub ports: Vec<u16>,
}

/// What a node runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    /// Whether it is there.
    pub state: NodeState,
    /// The scopes that it runs.
    pub vector: Vec<Held>,
    /// What it does not run as it was committed.
    pub rejected: Vec<Rejected>,
    /// Where the application beside it does not answer, if there is one that does not.
    pub silent: Option<Silent>,
    /// How many of its scopes are newer here than there.
    pub behind: usize,
}

impl App {
    /// How a node is: as its stream says, or else as the store remembers.
    pub(super) async fn now(&self, node: &Node, now: i64) -> Result<NodeNow, Refusal> {
        let fleet = self.fleet.get();
        if let Some(here) = fleet.and_then(|fleet| fleet.here(&node.id)) {
            return Ok(here);
        }
        let rejected = fleet.map(|fleet| fleet.rejected(&node.id)).unwrap_or_default();
        let state = NodeState::of(node.connected, node.last_seen, now);
        let running = Arc::new(self.store.node_vector(&node.id).await?.into());
        let (silent, resting) = (BTreeSet::new(), Arc::default());
        Ok(NodeNow { state, running, rejected, silent, resting })
    }
}

/// What a node runs.
pub(super) fn live(world: &World, node: &Node, now: NodeNow) -> Live {
    let NodeNow { state, running, rejected, silent: ports, resting: _ } = now;
    let behind = behind(world, &running);
    let held = |(scope, (revision, applied)): (&Scope, &(i64, i64))| Held {
        scope: scope.clone(),
        revision: *revision,
        applied: *applied,
    };
    let vector = running.iter().map(held).collect();
    let rejected = rejected.iter().filter_map(|one| rejection(world, one)).collect();
    Live { state, vector, rejected, silent: silent(world, node, &ports), behind }
}

/// How many of the scopes that a node runs are newer here.
pub(super) fn behind(world: &World, running: &Running) -> usize {
    running.behind(world.revision, || count_behind(world, running))
}

fn count_behind(world: &World, running: &Running) -> usize {
    // Scopes are never taken away, so a node that runs as many as there are runs these. Of thousands
    // of nodes that saves the comparison of hundreds of names each.
    if running.len() == world.scopes.len() {
        let pairs = running.values().zip(world.scopes.values());
        return pairs.filter(|((revision, _), last)| *last > revision).count();
    }
    let is_behind = |(scope, (revision, _)): &(&Scope, &(i64, i64))| {
        world.scopes.get(scope).is_some_and(|last| last > revision)
    };
    running.iter().filter(is_behind).count()
}

/// Where the application beside a node does not answer, if there is one that does not.
pub(super) fn silent(world: &World, node: &Node, ports: &BTreeSet<u16>) -> Option<Silent> {
    if ports.is_empty() {
        return None;
    }
    let workload = Workload::of_node(&Name::parse(&node.name).ok()?)?;
    let scope = world.directory.scope(&workload.namespace);
    Some(Silent { scope, ports: ports.iter().copied().collect() })
}

/// What a node said of an object that we know the kind of.
pub(super) fn rejection(world: &World, one: &Rejection) -> Option<Rejected> {
    let key = one.key.known()?;
    let scope = world.directory.scope(&key.namespace);
    let (path, reason) = (one.path.clone(), one.reason.clone());
    Some(Rejected { scope, key, path, reason })
}
