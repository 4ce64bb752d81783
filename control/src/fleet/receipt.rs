//! How far a revision has come.

use store::Revision;

use super::{Fleet, NodeNow, Running, State};
use crate::moment::micros;

/// A node that was heard of within this time is waited for, in microseconds.
const AWAITED: i64 = 600_000_000;

/// How far a revision has come.
#[derive(Debug, Clone)]
pub struct Receipt {
    /// Which.
    pub revision: i64,
    /// When it was committed, microseconds since 1970.
    pub accepted: i64,
    /// Whether no node lacks it that was heard of within ten minutes.
    pub complete: bool,
    /// Each node.
    pub nodes: Vec<Progress>,
}

/// How far a revision has come at one node.
#[derive(Debug, Clone)]
pub struct Progress {
    /// The node.
    pub node: NodeNow,
    /// Since when it runs the revision, microseconds since 1970; none if it does not.
    pub applied: Option<i64>,
}

impl Fleet {
    /// How far a revision has come by now; none if there is no such revision.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn receipt(&self, revision: i64) -> Result<Option<Receipt>, store::Error> {
        let found = self.store.revisions(None, Some(revision.saturating_add(1)), 1).await?;
        let Some(found) = found.into_iter().find(|found| found.revision == revision) else {
            return Ok(None);
        };
        let now = micros(self.clock.now());
        let nodes = self.nodes().await?.into_iter();
        let nodes: Vec<_> = nodes.map(|node| progress(&found, node)).collect();
        let is_awaited = |node: &NodeNow| match node.state {
            State::Connected | State::Stale => true,
            State::Away => now.saturating_sub(node.node.last_seen) < AWAITED,
        };
        let complete = nodes.iter().all(|one| one.applied.is_some() || !is_awaited(&one.node));
        Ok(Some(Receipt { revision, accepted: found.at, complete, nodes }))
    }
}

fn progress(revision: &Revision, node: NodeNow) -> Progress {
    let applied = applied(revision, &node.running);
    Progress { node, applied }
}

/// A revision is applied as a whole when the last of its scopes is.
fn applied(revision: &Revision, running: &Running) -> Option<i64> {
    let since = revision.scopes.iter().map(|(scope, _)| match running.get(scope) {
        Some((at, since)) if *at >= revision.revision => Some(*since),
        Some(_) | None => None,
    });
    since.collect::<Option<Vec<_>>>()?.into_iter().max()
}
