//! What the fleet runs of what was committed, as the store remembers it.

use model::{Key, Scope};
use store::node::Node;
use time::OffsetDateTime;

use super::App;
use super::rollout::NodeState;
use crate::World;
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
        let vector = self.store.node_vector(&node.id).await?;
        let is_behind = |(scope, (revision, _)): &(&Scope, &(i64, i64))| {
            world.scopes.get(scope).is_some_and(|last| last > revision)
        };
        let behind = vector.iter().filter(is_behind).count();
        let held = |(scope, (revision, applied))| Held { scope, revision, applied };
        let vector = vector.into_iter().map(held).collect();
        Ok(Live { state: NodeState::of(node, micros(now)), vector, rejected: Vec::new(), behind })
    }
}
