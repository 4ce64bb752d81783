//! The nodes as the store last said.
//!
//! Thousands of rows are not read for every look of everybody: who asks within a second of who asked
//! before gets the same copy, unless this server changed something of them since. What nodes run, and
//! whether they are there, is not part of it: that [their streams say](super::fleet).

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use store::node::Node;
use tokio::time::Instant;

use super::App;
use super::node::rank;
use crate::refusal::Refusal;

/// What other servers wrote is seen after so long.
pub(super) const OLDEST: Duration = Duration::from_secs(1);

/// The last copy.
#[derive(Debug, Default)]
pub(super) struct Roster {
    last: RwLock<Option<Copy>>,
    /// Held by who reads, so that it is read once for all who ask.
    reading: tokio::sync::Mutex<()>,
    /// How often this server changed something, besides what its streams say.
    changes: AtomicU64,
}

#[derive(Debug)]
struct Copy {
    nodes: Arc<[Arc<Node>]>,
    /// When it was read, and what was changed by then.
    at: Instant,
    changes: u64,
}

impl App {
    /// All nodes by cluster, kind and name, as they were a second ago or later.
    pub(super) async fn nodes(&self) -> Result<Arc<[Arc<Node>]>, Refusal> {
        match self.copied() {
            Some(nodes) => Ok(nodes),
            None => self.nodes_now().await,
        }
    }

    /// The same as they are now, whatever servers they are at.
    pub(super) async fn nodes_now(&self) -> Result<Arc<[Arc<Node>]>, Refusal> {
        let asked = Instant::now();
        let _one = self.roster.reading.lock().await;
        // What was read since is as good as what would be read now: however many ask while nodes
        // come and go, two reads follow each other for them at most.
        if let Some(copy) = self.last().as_ref().filter(|copy| copy.at >= asked) {
            return Ok(Arc::clone(&copy.nodes));
        }
        let (at, changes) = (Instant::now(), self.changes());
        let mut nodes = self.store.node_list().await?;
        // Databases order letters each in their own way, and places are compared here.
        nodes.sort_by(|one, other| rank(one).cmp(&rank(other)));
        let nodes: Arc<[_]> = nodes.into_iter().map(Arc::new).collect();
        let copy = Copy { nodes: Arc::clone(&nodes), at, changes };
        *self.roster.last.write().unwrap_or_else(PoisonError::into_inner) = Some(copy);
        Ok(nodes)
    }

    /// The next who asks reads them anew: this server changed one.
    pub(crate) fn node_changed(&self) {
        self.roster.changes.fetch_add(1, Ordering::Release);
    }

    fn copied(&self) -> Option<Arc<[Arc<Node>]>> {
        let is_good = |copy: &&Copy| copy.at.elapsed() < OLDEST && copy.changes == self.changes();
        self.last().as_ref().filter(is_good).map(|copy| Arc::clone(&copy.nodes))
    }

    fn last(&self) -> RwLockReadGuard<'_, Option<Copy>> {
        self.roster.last.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn changes(&self) -> u64 {
        let streams = self.fleet.get().map_or(0, |fleet| fleet.writes());
        self.roster.changes.load(Ordering::Acquire).wrapping_add(streams)
    }
}
