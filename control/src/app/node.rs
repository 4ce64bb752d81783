//! Nodes as people see them: who they are, and what each runs of what one may read.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use model::access::{Asked, Rights};
use model::revocation::Whom;
use model::role::Verb;
use model::workload::Workload;
use model::{Key, Kind, Name, Scope};
use store::node::Node;
use time::{Duration, OffsetDateTime};

use super::fleet::{Live, behind, live, rejection, silent};
use super::revocation::NewRevocation;
use super::{App, Op, rights};
use crate::World;
use crate::ca::NodeKind;
use crate::draft::api_of;
use crate::fleet::{NodeNow, NodeState};
use crate::moment::micros;
use crate::refusal::Refusal;

/// No certificate of a node lasts longer than that of an authority.
const LONGEST: Duration = Duration::days(366);
/// Clocks of nodes may be behind so far.
const SKEW: Duration = Duration::hours(1);
/// Nodes of one page at most: each tells the revision of every scope.
const NODES: usize = 200;

/// Which nodes a list shows: all that is given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeListing {
    /// Whose name or cluster has this in it, whatever the case of its letters.
    pub text: Option<String>,
    /// That are not there, are behind, or have trouble.
    pub unwell: bool,
    /// Those behind this place: a cluster, a kind and a name.
    pub after: Option<NodePlace>,
    /// At most so many, and no more than 200.
    pub limit: usize,
}

/// Where a node stands among all: by cluster, kind and name.
pub type NodePlace = (String, String, String);

/// A part of the nodes that one may see, beside the counts of all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodePage {
    /// What is in it, by cluster, kind and name.
    pub items: Vec<(Node, Live)>,
    /// What to ask for what follows; none at the end.
    pub next: Option<NodePlace>,
    /// All nodes that may be seen, by cluster, shown here or not.
    pub clusters: BTreeMap<String, NodeCounts>,
}

/// How nodes do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NodeCounts {
    /// All of them.
    pub nodes: usize,
    /// Those that are connected.
    pub connected: usize,
    /// Those that are there and do not run something at its last revision.
    pub behind: usize,
    /// Those with an application that does not answer.
    pub silent: usize,
    /// Those that do not run something as it was committed.
    pub rejecting: usize,
}

impl App {
    /// The nodes by cluster, kind and name: all for whoever may read something of the platform, and
    /// those that run a scope in which they may read something for everybody else.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub async fn node_list(&self, op: &Op, listing: &NodeListing) -> Result<NodePage, Refusal> {
        let world = self.world().await?;
        let mut reader = Reader::new(rights(op, &world));
        let (mut page, mut items) = (NodePage::default(), Vec::new());
        let limit = listing.limit.min(NODES);
        for (node, now) in self.nodes_seen(&mut reader, op.now).await? {
            let health = Health::of(&world, &mut reader, &node, &now);
            page.clusters.entry(node.cluster.clone()).or_default().add(&health);
            if listing.shows(&node, &health) && items.len() <= limit {
                items.push((Arc::clone(&node), now));
            }
        }
        if items.len() > limit {
            items.truncate(limit);
            page.next = items.last().map(|(node, _)| place(node));
        }
        let shown = items.into_iter().map(|(node, now)| {
            let live = seen(&world, live(&world, &node, now), &mut reader);
            (Node::clone(&node), live)
        });
        page.items = shown.collect();
        Ok(page)
    }

    /// The nodes that a reader may see, by cluster, kind and name.
    pub(super) async fn nodes_seen(
        &self,
        reader: &mut Reader,
        now: OffsetDateTime,
    ) -> Result<Vec<(Arc<Node>, NodeNow)>, Refusal> {
        let (world, mut nodes) = (self.world().await?, Vec::new());
        for node in self.nodes().await?.iter() {
            let now = self.now(node, micros(now)).await?;
            if reader.sees(&world, node, &now) {
                nodes.push((Arc::clone(node), now));
            }
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
        for node in self.nodes().await?.iter() {
            let now = self.now(node, micros(now)).await?;
            // Endpoints that rest come and go by the second.
            let NodeNow { state, running, rejected, silent, resting: _ } = now;
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
        let now = self.now(&node, micros(op.now)).await?;
        let mut reader = Reader::new(rights(op, &world));
        if !reader.sees(&world, &node, &now) {
            return Err(none());
        }
        let live = seen(&world, live(&world, &node, now), &mut reader);
        Ok((node, live))
    }

    /// Forgets a node, for a platform admin: no other node speaks with it any more. One that still runs may join
    /// again by a join token.
    ///
    /// # Errors
    /// [`Refusal::None`].
    pub async fn node_forget(&self, op: &Op, id: &str) -> Result<(), Refusal> {
        let none = || Refusal::None("such node".to_owned());
        self.admin(op, Refusal::nothing).await?;
        let node = self.store.node(id).await?.ok_or_else(none)?;
        let detail = format!("{} {} {}", node.cluster, node.kind, node.name);
        let said = op.said("forget", &format!("node {id}"), detail);
        // Whatever it was given ends by then.
        let out = NewRevocation {
            whom: Whom::Node { id: id.to_owned() },
            signs_out: false,
            lasts: Some(self.certified.get().map_or(LONGEST, |lasts| *lasts + SKEW)),
            note: said.detail.clone(),
        };
        let was_there = self.store.node_forget(id, &out.row(op), &said).await?;
        self.node_changed();
        if was_there { Ok(()) } else { Err(none()) }
    }
}

/// Who looks at nodes, with what was found out of scopes: a fleet has few of them and names each
/// often.
pub(super) struct Reader {
    rights: Rights,
    reads: HashMap<Scope, bool>,
}

impl Reader {
    pub(super) fn new(rights: Rights) -> Self {
        Reader { rights, reads: HashMap::new() }
    }

    /// Whether anything may be read in a scope.
    pub(super) fn reads(&mut self, scope: &Scope) -> bool {
        if let Some(reads) = self.reads.get(scope) {
            return *reads;
        }
        let reads = reads_any(&self.rights, scope);
        self.reads.insert(scope.clone(), reads);
        reads
    }

    /// Whether a node runs something of which something may be read. A proxy beside an application
    /// has its Workload's name, and is for whoever may read that. Whoever may read something of the
    /// platform sees all.
    pub(super) fn sees(&mut self, world: &World, node: &Node, now: &NodeNow) -> bool {
        let name = Name::parse(&node.name).ok().filter(|_| node.kind == NodeKind::Mesh.as_str());
        let is_open = |reader: &Self| match name.and_then(|name| Workload::of_node(&name)) {
            Some(workload) => reader.reads_object(world, &workload),
            None => true,
        };
        self.reads(&Scope::Platform)
            || is_open(self) && now.running.keys().any(|scope| self.reads(scope))
    }

    /// Whether an object may be read; one that is not there, as if it belonged to no Api.
    pub(super) fn reads_object(&self, world: &World, key: &Key) -> bool {
        let (scope, api) =
            (world.directory.scope(&key.namespace), world.known(key).and_then(api_of));
        let (verb, scope, api) = (Verb::Read, &scope, api.as_ref());
        let asked = Asked { verb, key, scope, api, changed: &[] };
        world.directory.permit(&self.rights, &asked).is_ok()
    }
}

/// How one node does.
struct Health {
    is_connected: bool,
    is_behind: bool,
    is_silent: bool,
    is_rejecting: bool,
}

impl Health {
    fn of(world: &World, reader: &mut Reader, node: &Node, now: &NodeNow) -> Self {
        let mut rejected = now.rejected.iter().filter_map(|one| rejection(world, one));
        let silent = silent(world, node, &now.silent);
        Health {
            is_connected: now.state == NodeState::Connected,
            is_behind: now.state != NodeState::Away && behind(world, &now.running) > 0,
            is_rejecting: rejected.any(|one| reader.reads_object(world, &one.key)),
            is_silent: silent.is_some_and(|silent| reader.reads(&silent.scope)),
        }
    }

    fn is_well(&self) -> bool {
        self.is_connected && !self.is_behind && !self.is_silent && !self.is_rejecting
    }
}

impl NodeCounts {
    fn add(&mut self, health: &Health) {
        self.nodes += 1;
        self.connected += usize::from(health.is_connected);
        self.behind += usize::from(health.is_behind);
        self.silent += usize::from(health.is_silent);
        self.rejecting += usize::from(health.is_rejecting);
    }
}

impl std::iter::Sum for NodeCounts {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(NodeCounts::default(), |sum, one| NodeCounts {
            nodes: sum.nodes + one.nodes,
            connected: sum.connected + one.connected,
            behind: sum.behind + one.behind,
            silent: sum.silent + one.silent,
            rejecting: sum.rejecting + one.rejecting,
        })
    }
}

impl NodeListing {
    fn shows(&self, node: &Node, health: &Health) -> bool {
        let has = |text: &String| {
            let text = text.to_lowercase();
            [&node.name, &node.cluster].into_iter().any(|said| said.to_lowercase().contains(&text))
        };
        let is_behind = |(cluster, kind, name): &NodePlace| rank(node) > [cluster, kind, name];
        self.after.as_ref().is_none_or(is_behind)
            && (!self.unwell || !health.is_well())
            && self.text.as_ref().is_none_or(has)
    }
}

/// By what nodes are in order.
pub(super) fn rank(node: &Node) -> [&String; 3] {
    [&node.cluster, &node.kind, &node.name]
}

fn place(node: &Node) -> NodePlace {
    (node.cluster.clone(), node.kind.clone(), node.name.clone())
}

/// What a node runs and says, without the scopes in which nothing may be read, and of the objects that
/// may be.
pub(super) fn seen(world: &World, mut live: Live, reader: &mut Reader) -> Live {
    live.vector.retain(|held| reader.reads(&held.scope));
    live.rejected.retain(|one| reader.reads_object(world, &one.key));
    live.silent = live.silent.filter(|one| reader.reads(&one.scope));
    live
}

/// Whether anything may be read in a scope.
pub(crate) fn reads_any(rights: &Rights, scope: &Scope) -> bool {
    Kind::ALL.iter().any(|kind| rights.reads(*kind, scope))
}
