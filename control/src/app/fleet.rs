//! What the fleet runs of what was committed, as the store remembers it.

use model::{Key, Scope};
use store::node::Node;
use time::{Duration, OffsetDateTime};

use super::node::reads_any;
use super::{App, Op, rights};
use crate::World;
use crate::moment::{micros, time};
use crate::refusal::Refusal;

/// How long a connected node may be silent.
const SILENT: Duration = Duration::seconds(10);
/// How long a node that went away counts as one that lacks a change.
const MISSED: Duration = Duration::minutes(10);

/// Whether a node is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It holds a connection and speaks.
    Connected,
    /// It holds a connection and is silent.
    Stale,
    /// It holds none.
    Away,
}

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
    pub state: State,
    /// The scopes that it runs.
    pub vector: Vec<Held>,
    /// What it does not run as it was committed.
    pub rejected: Vec<Rejected>,
    /// How many of its scopes are newer here than there.
    pub behind: usize,
}

/// How far a revision came.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Which.
    pub revision: i64,
    /// When it was committed, in microseconds since 1970.
    pub accepted: i64,
    /// Whether no node lacks it that is there, or went away a moment ago.
    pub complete: bool,
    /// The nodes that run a scope of it.
    pub nodes: Vec<Delivered>,
}

/// What a node made of a revision.
#[derive(Debug, Clone)]
pub struct Delivered {
    /// Which.
    pub node: Node,
    /// Whether it is there.
    pub state: State,
    /// Since when it runs all of it that it runs, in microseconds since 1970.
    pub applied: Option<i64>,
    /// What it does not run as it was committed.
    pub rejected: Vec<Rejected>,
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
        Ok(Live { state: state(node, now), vector, rejected: Vec::new(), behind })
    }

    /// How far a revision came.
    ///
    /// # Errors
    /// [`Refusal::NoRevision`] where who asks may see nothing of it.
    pub async fn change_receipt(&self, op: &Op, revision: i64) -> Result<Delivery, Refusal> {
        let none = Refusal::NoRevision(revision);
        let Some(before) = revision.checked_add(1).filter(|_| revision > 0) else {
            return Err(none);
        };
        let found = self.store.revisions(None, Some(before), 1).await?.into_iter().next();
        let Some(found) = found.filter(|one| one.revision == revision) else { return Err(none) };
        let world = self.world().await?;
        let rights = rights(op, &world);
        let scopes: Vec<_> = found.scopes.into_iter().map(|(scope, _)| scope).collect();
        if !scopes.iter().any(|scope| reads_any(&rights, scope)) {
            return Err(none);
        }
        let mut nodes = Vec::new();
        for node in self.store.node_list().await? {
            let live = self.live(&world, &node, op.now).await?;
            nodes.extend(delivered(node, live, &scopes, revision));
        }
        let counts = |one: &&Delivered| match one.state {
            State::Connected | State::Stale => true,
            State::Away => op.now - time(one.node.last_seen) < MISSED,
        };
        let complete = nodes.iter().filter(counts).all(|one| one.applied.is_some());
        Ok(Delivery { revision, accepted: found.at, complete, nodes })
    }
}

/// What a node made of a revision of these scopes, if it runs one of them.
fn delivered(node: Node, live: Live, scopes: &[Scope], revision: i64) -> Option<Delivered> {
    let held: Vec<_> = live.vector.iter().filter(|held| scopes.contains(&held.scope)).collect();
    let last = held.iter().map(|held| held.applied).max()?;
    let applied = held.iter().all(|held| held.revision >= revision).then_some(last);
    let rejected = live.rejected.into_iter().filter(|one| scopes.contains(&one.scope)).collect();
    Some(Delivered { node, state: live.state, applied, rejected })
}

fn state(node: &Node, now: OffsetDateTime) -> State {
    match (node.connected, micros(now) - node.last_seen < micros_of(SILENT)) {
        (true, true) => State::Connected,
        (true, false) => State::Stale,
        (false, _) => State::Away,
    }
}

fn micros_of(duration: Duration) -> i64 {
    i64::try_from(duration.whole_microseconds()).unwrap_or(i64::MAX)
}
