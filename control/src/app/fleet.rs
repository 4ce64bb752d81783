//! What the fleet runs of what was committed, as the store remembers it.

use model::{Key, Scope};
use store::node::Node;
use time::OffsetDateTime;
use wire::Rejection;

use super::App;
use crate::World;
use crate::fleet::{NodeState, Running};
use crate::moment::micros;
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

/// What a node runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    /// Whether it is there.
    pub state: NodeState,
    /// The scopes that it runs.
    pub vector: Vec<Held>,
    /// What it does not run as it was committed.
    pub rejected: Vec<Rejected>,
    /// How many of its scopes are newer here than there.
    pub behind: usize,
}

impl App {
    /// What a node runs.
    pub(super) async fn live(
        &self,
        world: &World,
        node: &Node,
        now: OffsetDateTime,
    ) -> Result<Live, Refusal> {
        let (state, vector, rejected) = self.now(node, micros(now)).await?;
        let is_behind = |(scope, (revision, _)): &(&Scope, &(i64, i64))| {
            world.scopes.get(scope).is_some_and(|last| last > revision)
        };
        let behind = vector.iter().filter(is_behind).count();
        let held = |(scope, (revision, applied))| Held { scope, revision, applied };
        let vector = vector.into_iter().map(held).collect();
        let rejected = rejected.iter().filter_map(|one| rejection(world, one)).collect();
        Ok(Live { state, vector, rejected, behind })
    }

    /// Whether a node is there, what it runs, and what it does not serve as it was sent: as its
    /// stream says, or else as the store remembers.
    pub(super) async fn now(
        &self,
        node: &Node,
        now: i64,
    ) -> Result<(NodeState, Running, Vec<Rejection>), Refusal> {
        let fleet = self.fleet.get();
        if let Some(here) = fleet.and_then(|fleet| fleet.here(&node.id)) {
            return Ok((here.state, here.running, here.rejected));
        }
        let rejected = fleet.map(|fleet| fleet.rejected(&node.id)).unwrap_or_default();
        let state = NodeState::of(node.connected, node.last_seen, now);
        Ok((state, self.store.node_vector(&node.id).await?, rejected))
    }
}

/// What a node said of an object that we know the kind of.
pub(super) fn rejection(world: &World, one: &Rejection) -> Option<Rejected> {
    let key = one.key.known()?;
    let scope = world.directory.scope(&key.namespace);
    let (path, reason) = (one.path.clone(), one.reason.clone());
    Some(Rejected { scope, key, path, reason })
}
