//! How far a revision has come: which nodes run it.

use std::sync::Arc;
use std::time::Duration;

use model::{Key, Scope};
use store::node::Node;
use time::OffsetDateTime;
use tokio::time::Instant;

use super::fleet::{Rejected, rejection};
use super::node::Reader;
use super::past::time;
use super::{App, Op, rights};
use crate::fleet::{NodeNow, NodeState};
use crate::refusal::Refusal;

/// A node that was silent for so long is not waited for, in microseconds.
const GONE: i64 = 600 * 1_000_000;

/// How often nodes are looked at while somebody waits.
const LOOK: Duration = Duration::from_millis(100);

/// The longest wait.
const LONGEST: Duration = Duration::from_secs(120);

/// How far a revision has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rollout {
    /// Which.
    pub revision: i64,
    /// When it was committed.
    pub accepted: OffsetDateTime,
    /// Whether every node runs it that was heard of in the last ten minutes.
    pub complete: bool,
    /// Each node that who asks may see.
    pub nodes: Vec<Rolled>,
}

/// How far one node has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rolled {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its cluster.
    pub cluster: String,
    /// What it is.
    pub kind: String,
    /// Whether it is there.
    pub state: NodeState,
    /// When it applied the revision, or a later one; none if it has not.
    pub applied: Option<OffsetDateTime>,
    /// What it does not serve as it was committed, of what may be read.
    pub rejected: Vec<Rejected>,
}

/// What a node runs of one scope.
#[derive(Debug)]
pub(super) struct Runs {
    /// The revision, and since when, in microseconds since 1970; none if it runs nothing of it.
    pub(super) at: Option<(i64, i64)>,
    /// What it does not run as it was committed, of any scope.
    pub(super) rejected: Vec<Key>,
}

impl App {
    /// How far a revision has come; answers when it has come everywhere or `wait` (two minutes at
    /// most) is over.
    ///
    /// # Errors
    /// [`Refusal::NoRevision`], also where nothing of it may be seen.
    pub async fn change_receipt(
        &self,
        op: &Op,
        revision: i64,
        wait: Duration,
    ) -> Result<Rollout, Refusal> {
        self.change_show(op, revision).await?;
        let found = self.store.revisions(None, Some(revision.saturating_add(1)), 1).await?;
        let found = found.into_iter().next().ok_or(Refusal::NoRevision(revision))?;
        let scopes: Vec<_> = found.scopes.iter().map(|(scope, _)| scope).collect();
        let begun = Instant::now();
        loop {
            let passed = i64::try_from(begun.elapsed().as_micros()).unwrap_or(i64::MAX);
            let now = i64::try_from(op.now.unix_timestamp_nanos() / 1000).unwrap_or(i64::MAX);
            let now = now.saturating_add(passed);
            let all = self.nodes().await?;
            let (mut complete, mut nodes) = self.rolled(op, revision, &scopes, now, &all).await?;
            if complete {
                // A copy may lack who joined at another server.
                let all = self.nodes_now().await?;
                (complete, nodes) = self.rolled(op, revision, &scopes, now, &all).await?;
            }
            if complete || begun.elapsed() + LOOK > wait.min(LONGEST) {
                return Ok(Rollout { revision, accepted: time(found.at), complete, nodes });
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// What every node runs of a scope, without those that nobody waits for.
    pub(super) async fn runs(&self, scope: &Scope, now: i64) -> Result<Vec<Runs>, Refusal> {
        let mut all = Vec::new();
        for node in self.nodes().await?.iter() {
            let NodeNow { state, running, rejected, .. } = self.now(node, now).await?;
            if state == NodeState::Away && now.saturating_sub(node.last_seen) >= GONE {
                continue;
            }
            let rejected = rejected.iter().filter_map(|one| one.key.known()).collect();
            all.push(Runs { at: running.get(scope).copied(), rejected });
        }
        Ok(all)
    }

    async fn rolled(
        &self,
        op: &Op,
        revision: i64,
        scopes: &[&Scope],
        now: i64,
        all: &[Arc<Node>],
    ) -> Result<(bool, Vec<Rolled>), Refusal> {
        let world = self.world().await?;
        let mut reader = Reader::new(rights(op, &world));
        let (mut complete, mut nodes) = (true, Vec::new());
        for node in all {
            let seen = self.now(node, now).await?;
            let is_seen = reader.sees(&world, node, &seen);
            let NodeNow { state, running, rejected, .. } = seen;
            let applied = scopes.iter().map(|scope| match running.get(scope) {
                Some((at, when)) if *at >= revision => Some(*when),
                Some(_) | None => None,
            });
            // As a whole when the last scope was.
            let applied = applied.collect::<Option<Vec<_>>>().map(|all| all.into_iter().max());
            let applied = applied.flatten();
            let is_awaited = state != NodeState::Away || now.saturating_sub(node.last_seen) < GONE;
            complete &= applied.is_some() || !is_awaited;
            if !is_seen {
                continue;
            }
            let rejected = rejected.iter().filter_map(|one| rejection(&world, one));
            let rejected = rejected.filter(|one| reader.reads_object(&world, &one.key)).collect();
            let Node { id, name, cluster, kind, .. } = Node::clone(node);
            let applied = applied.map(time);
            nodes.push(Rolled { id, name, cluster, kind, state, applied, rejected });
        }
        Ok((complete, nodes))
    }
}
