//! Nodes as people see them: who they are, and what each runs of what one may read.

use model::access::Rights;
use model::{Kind, Scope};
use store::node::Node;
use time::OffsetDateTime;

use super::fleet::Live;
use super::{App, Op, rights};
use crate::fleet::NodeNow;
use crate::moment::micros;
use crate::refusal::Refusal;

impl App {
    /// The nodes by cluster, kind and name: all for whoever may read something of the platform, and
    /// those that run a scope in which they may read something for everybody else.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub async fn node_list(&self, op: &Op) -> Result<Vec<(Node, Live)>, Refusal> {
        let world = self.world().await?;
        let rights = rights(op, &world);
        let mut nodes = Vec::new();
        for node in self.store.node_list().await? {
            let live = self.live(&world, &node, op.now).await?;
            nodes.extend(seen(live, &rights).map(|live| (node, live)));
        }
        Ok(nodes)
    }

    /// Words that differ when something became of a node: it came, went, or runs or rejects
    /// something else, or its application does not answer.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub async fn node_pulse(&self, now: OffsetDateTime) -> Result<String, Refusal> {
        let mut pulse = String::new();
        for node in self.store.node_list().await? {
            let NodeNow { state, running, rejected, silent } = self.now(&node, micros(now)).await?;
            let last = running.values().map(|(_, applied)| *applied).max().unwrap_or_default();
            let state = state.as_str();
            pulse.push_str(&format!("{} {state} {last} {rejected:?} {silent:?}\n", node.id));
        }
        Ok(store::digest(pulse.as_bytes()))
    }

    /// The node of this id, if it is one of [those that one sees](Self::node_list).
    ///
    /// # Errors
    /// [`Refusal::None`].
    pub async fn node_show(&self, op: &Op, id: &str) -> Result<(Node, Live), Refusal> {
        let none = || Refusal::None("such node".to_owned());
        let node = self.store.node(id).await?.ok_or_else(none)?;
        let world = self.world().await?;
        let live = self.live(&world, &node, op.now).await?;
        let live = seen(live, &rights(op, &world)).ok_or_else(none)?;
        Ok((node, live))
    }

    /// Forgets a node, for a platform admin. One that still runs may join again by a join token.
    ///
    /// # Errors
    /// [`Refusal::None`].
    pub async fn node_forget(&self, op: &Op, id: &str) -> Result<(), Refusal> {
        let none = || Refusal::None("such node".to_owned());
        self.admin(op, Refusal::nothing).await?;
        let node = self.store.node(id).await?.ok_or_else(none)?;
        let detail = format!("{} {} {}", node.cluster, node.kind, node.name);
        let said = op.said("forget", &format!("node {id}"), detail);
        if self.store.node_forget(id, &said).await? { Ok(()) } else { Err(none()) }
    }
}

/// What a node runs without the scopes in which nothing may be read; `None` if nothing is left of
/// it for whoever may read nothing of the platform.
fn seen(mut live: Live, rights: &Rights) -> Option<Live> {
    live.vector.retain(|held| reads_any(rights, &held.scope));
    live.rejected.retain(|one| reads_any(rights, &one.scope));
    live.silent = live.silent.filter(|one| reads_any(rights, &one.scope));
    (!live.vector.is_empty() || reads_any(rights, &Scope::Platform)).then_some(live)
}

/// Whether anything may be read in a scope.
pub(crate) fn reads_any(rights: &Rights, scope: &Scope) -> bool {
    Kind::ALL.iter().any(|kind| rights.reads(*kind, scope))
}
