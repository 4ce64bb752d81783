//! The nodes as they are now: who is there, what each runs, what each rejects.
//!
//! ```text
//! streams ── opened, greeted, heard, landed, closed ──> memory ── at most once a second ──> store
//! ```
//!
//! What a node says counts at once; the store follows, in one transaction for all nodes, so that a
//! revision which thousands acknowledge costs a few writes. After a restart the store says what was,
//! until each node says what is.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use store::Store;
use store::node::{Heard, Node, Standing};
use wire::{NodeHeartbeat, Rejection, Resting, Vector, digest::hex};

use crate::clock::Clock;
use crate::moment::micros;
use crate::snapshot::Snapshot;

mod figures;

pub use figures::{Figures, Latency};

/// How long what was said may wait for more before it is written.
const GATHER: Duration = Duration::from_millis(50);
/// Writes follow each other by so long at least.
const PACE: Duration = Duration::from_secs(1);
/// A node that only says that it is there is written anew after so long, in microseconds.
const TOUCH: i64 = 4_000_000;
/// Whoever was silent for so long is not connected, in microseconds.
const LOST: i64 = 30_000_000;
/// How often it is asked who that is.
const ROUND: Duration = Duration::from_secs(30);

/// What a node runs of each scope: the revision, and since when.
#[derive(Debug, Default)]
pub struct Running {
    vector: BTreeMap<store::Scope, (i64, i64)>,
    /// How many of them were newer as of a revision: thousands of nodes with hundreds of scopes each
    /// are compared once for each revision.
    behind: Mutex<Option<(i64, usize)>>,
}

impl Running {
    /// How many scopes are newer as of a revision; `count` counts them.
    pub(crate) fn behind(&self, revision: i64, count: impl FnOnce() -> usize) -> usize {
        let mut behind = self.behind.lock().unwrap_or_else(PoisonError::into_inner);
        match *behind {
            Some((at, counted)) if at == revision => counted,
            Some(_) | None => behind.insert((revision, count())).1,
        }
    }
}

impl From<BTreeMap<store::Scope, (i64, i64)>> for Running {
    fn from(vector: BTreeMap<store::Scope, (i64, i64)>) -> Self {
        Running { vector, behind: Mutex::default() }
    }
}

impl Deref for Running {
    type Target = BTreeMap<store::Scope, (i64, i64)>;

    fn deref(&self) -> &Self::Target {
        &self.vector
    }
}

/// So long a node may be silent before it is shown as stale: two of its words are missing. Whoever looks on
/// is to know within 10 s of the last one, and pages look every few.
const STALE: Duration = Duration::from_secs(7);

/// Whether a node is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeState {
    /// It holds a stream and is heard of.
    Connected,
    /// It holds a stream and has been silent for 7 s.
    Stale,
    /// It holds none.
    Away,
}

impl NodeState {
    /// The state of a node that was heard of at `seen`; times in microseconds since 1970.
    pub(crate) fn of(connected: bool, seen: i64, now: i64) -> Self {
        let silent = now.saturating_sub(seen);
        match connected {
            true if silent < i64::try_from(STALE.as_micros()).unwrap_or(i64::MAX) => {
                NodeState::Connected
            }
            true => NodeState::Stale,
            false => NodeState::Away,
        }
    }

    /// The word for it: `connected`, `stale` or `away`.
    pub const fn as_str(self) -> &'static str {
        match self {
            NodeState::Connected => "connected",
            NodeState::Stale => "stale",
            NodeState::Away => "away",
        }
    }
}

/// A node as it is now.
#[derive(Debug, Clone)]
pub struct NodeNow {
    /// Whether it is there.
    pub state: NodeState,
    /// What it runs.
    pub running: Arc<Running>,
    /// What it does not serve as it was sent.
    pub rejected: Vec<Rejection>,
    /// The ports at which the application beside it does not answer.
    pub silent: BTreeSet<u16>,
    /// The endpoints that get no requests from it.
    pub resting: Arc<[Resting]>,
}

/// Nodes that are being written; still to be written if that ends early, as at the end of a server.
struct Unsure<'f> {
    fleet: &'f Fleet,
    ids: Vec<String>,
}

impl Drop for Unsure<'_> {
    fn drop(&mut self) {
        if !self.ids.is_empty() {
            self.fleet.memory().dirty.extend(std::mem::take(&mut self.ids));
        }
    }
}

/// One stream of a node; a later one of the same node makes it void.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    id: String,
    stream: u64,
}

/// All nodes.
#[derive(Debug)]
pub struct Fleet {
    store: Store,
    clock: Clock,
    memory: Mutex<Memory>,
    /// Wakes whoever writes.
    unwritten: tokio::sync::Notify,
    /// How often more was written than that nodes are still there.
    writes: AtomicU64,
}

#[derive(Debug, Default)]
struct Memory {
    nodes: BTreeMap<String, Live>,
    dirty: BTreeSet<String>,
    streams: u64,
    figures: Figures,
    /// How many decisions each node dropped since it started, as it last said.
    dropped: BTreeMap<String, u64>,
}

/// A node that has a stream, or had one since we started.
#[derive(Debug)]
struct Live {
    node: Node,
    /// None once it ended.
    stream: Option<u64>,
    /// Shared with whoever looks, since thousands are looked at at once.
    running: Arc<Running>,
    rejected: Vec<Rejection>,
    silent: BTreeSet<u16>,
    resting: Arc<[Resting]>,
    /// Under which roots it lives, once its stream said so.
    standing: Option<Standing>,
    written: Written,
}

/// What the store knows of a node.
#[derive(Debug)]
struct Written {
    version: String,
    seen: i64,
    connected: bool,
    running: BTreeMap<store::Scope, (i64, i64)>,
    standing: Option<Standing>,
}

impl Fleet {
    /// Over `store`.
    pub fn new(store: Store, clock: Clock) -> Self {
        let (memory, unwritten) = (Mutex::default(), tokio::sync::Notify::new());
        Fleet { store, clock, memory, unwritten, writes: AtomicU64::new(0) }
    }

    /// What was counted since the start.
    pub fn figures(&self) -> Figures {
        let now = micros(self.clock.now());
        let memory = self.memory();
        let mut figures = memory.figures.clone();
        figures.connected =
            memory.nodes.values().filter(|it| it.is(now) == NodeState::Connected).count();
        figures.stale = memory.nodes.values().filter(|it| it.is(now) == NodeState::Stale).count();
        figures.away = memory.nodes.len() - figures.connected - figures.stale;
        figures
    }

    /// A stream of a node began.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn opened(&self, node: Node) -> Result<Ticket, store::Error> {
        let running = self.store.node_vector(&node.id).await?;
        let now = micros(self.clock.now());
        let mut memory = self.memory();
        memory.streams += 1;
        let stream = memory.streams;
        let id = node.id.clone();
        let written = Written {
            version: node.version.clone(),
            seen: node.last_seen,
            connected: node.connected,
            running: running.clone(),
            standing: None,
        };
        let fresh = || Live {
            node: node.clone(),
            stream: None,
            running: Arc::new(running.into()),
            rejected: Vec::new(),
            silent: BTreeSet::new(),
            resting: Arc::default(),
            standing: None,
            written,
        };
        let live = memory.nodes.entry(id.clone()).or_insert_with(fresh);
        live.stream = Some(stream);
        // One that joined anew says it anew.
        (live.standing, live.written.standing) = (None, node.standing);
        live.node.certificate = node.certificate;
        live.node.last_seen = now;
        self.note(&mut memory, &id);
        Ok(Ticket { id, stream })
    }

    /// A node said what it is and runs.
    pub fn greeted(&self, ticket: &Ticket, version: &str, vector: &Vector) {
        self.change(ticket, |live, now, _| {
            version.clone_into(&mut live.node.version);
            live.runs(vector, now);
        });
    }

    /// A node said anything at all.
    pub fn heard(&self, ticket: &Ticket) {
        let now = micros(self.clock.now());
        let mut memory = self.memory();
        let Some(live) = memory.of(ticket) else { return };
        let was = live.is(now);
        live.node.last_seen = now;
        let (is_news, is_due) = (was != NodeState::Connected, now - live.written.seen >= TOUCH);
        if is_news {
            self.note(&mut memory, &ticket.id);
        } else if is_due {
            memory.dirty.insert(ticket.id.clone());
            self.unwritten.notify_one();
        }
    }

    /// A node runs what it was sent, which took it `flight`.
    pub fn landed(&self, ticket: &Ticket, snapshot: &Snapshot, rejected: Vec<Rejection>) {
        self.change(ticket, |live, now, figures| {
            live.runs(&snapshot.vector, now);
            live.rejected = rejected;
            figures.acks += 1;
            if let Some(committed) = snapshot.committed {
                figures.latency.add(now.saturating_sub(committed));
            }
        });
    }

    /// A node that runs what it was sent rejects these of it now.
    pub fn rejects(&self, ticket: &Ticket, rejected: Vec<Rejection>) {
        self.change(ticket, |live, _, _| live.rejected = rejected);
    }

    /// A node said under which roots it lives.
    pub fn stands(&self, ticket: &Ticket, standing: &wire::Standing) {
        let word = |root: &[u8; 32]| if *root == [0; 32] { String::new() } else { hex(root) };
        let standing = Standing {
            trusts: standing.trusts.iter().map(word).collect(),
            certificate: word(&standing.certificate),
            workload: standing.workload.as_ref().map(word),
            state: standing.state.as_ref().map(word),
        };
        self.change(ticket, |live, _, _| live.standing = Some(standing));
    }

    /// What a node said of what is around it: where the application beside it does not answer, and which
    /// endpoints get no requests from it.
    pub fn beats(&self, ticket: &Ticket, heartbeat: &NodeHeartbeat) {
        let mut memory = self.memory();
        let Some(live) = memory.of(ticket) else { return };
        if live.silent != heartbeat.silent {
            live.silent.clone_from(&heartbeat.silent);
        }
        if *live.resting != *heartbeat.resting {
            live.resting = heartbeat.resting.as_slice().into();
        }
    }

    /// A node refused what it was sent.
    pub fn refused(&self, ticket: &Ticket) {
        self.change(ticket, |_, _, figures| figures.nacks += 1);
    }

    /// A node told of requests: so many decisions were new, and so many it dropped since it started.
    pub(crate) fn told(&self, id: &str, new: u64, dropped: u64) {
        let mut memory = self.memory();
        let before = memory.dropped.insert(id.to_owned(), dropped).unwrap_or_default();
        memory.figures.decisions += new;
        // A node that started anew counts from its beginning.
        memory.figures.dropped += dropped.checked_sub(before).unwrap_or(dropped);
    }

    /// A transaction was given to a stream.
    pub(crate) fn pushed(&self) {
        self.memory().figures.pushes += 1;
    }

    /// So many bytes of bodies were given to a stream.
    pub(crate) fn sent(&self, bytes: usize) {
        self.memory().figures.bytes += bytes as u64;
    }

    /// A stream ended; nothing happens if the node has a later one.
    pub fn closed(&self, ticket: &Ticket) {
        self.change(ticket, |live, _, _| live.stream = None);
    }

    /// A node whose stream is here, as it is now.
    pub fn here(&self, id: &str) -> Option<NodeNow> {
        let now = micros(self.clock.now());
        self.memory().nodes.get(id).filter(|live| live.is_here()).map(Live::now(now))
    }

    /// What a node last said that it does not serve as it was sent; nothing of one that was never
    /// here.
    pub fn rejected(&self, id: &str) -> Vec<Rejection> {
        self.memory().nodes.get(id).map(|live| live.rejected.clone()).unwrap_or_default()
    }

    /// Writes what nodes say until it is aborted; the ids of nodes that are not there any more go
    /// to `gone`.
    pub(crate) async fn keep(self: Arc<Self>, gone: impl Fn(&str) + Send) {
        // At once, since we may have been killed; and again, since another server may be.
        let mut rounds = tokio::time::interval(ROUND);
        rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = rounds.tick() => {
                    self.hush().await;
                    continue;
                }
                () = self.unwritten.notified() => {}
            }
            tokio::time::sleep(GATHER).await;
            for id in self.flush().await {
                gone(&id);
            }
            tokio::time::sleep(PACE).await;
        }
    }

    /// Notes that nobody is connected who was silent for too long.
    async fn hush(&self) {
        let before = micros(self.clock.now()) - LOST;
        if let Err(error) = self.store.node_silent(before).await {
            tracing::warn!(%error, "who is silent could not be noted");
        }
    }

    /// Writes what is not written; the ids of nodes that are not there any more.
    pub async fn flush(&self) -> Vec<String> {
        let batch = self.batch();
        if batch.is_empty() {
            return Vec::new();
        }
        let ids = batch.iter().map(|one| one.id.clone()).collect();
        let mut unsure = Unsure { fleet: self, ids };
        match self.store.node_heard(&batch).await {
            Ok(unknown) => {
                unsure.ids.clear();
                let mut memory = self.memory();
                let is_news =
                    |one: &Heard| memory.nodes.get(&one.id).is_none_or(|it| it.is_news(one));
                if batch.iter().any(is_news) {
                    self.writes.fetch_add(1, Ordering::Release);
                }
                for one in &batch {
                    if let Some(live) = memory.nodes.get_mut(&one.id) {
                        live.wrote(one);
                    }
                }
                for id in &unknown {
                    memory.nodes.remove(id);
                    memory.dropped.remove(id);
                }
                unknown
            }
            Err(error) => {
                tracing::warn!(%error, "what nodes run could not be written; trying again");
                drop(unsure);
                self.unwritten.notify_one();
                Vec::new()
            }
        }
    }

    /// How often more was written than that nodes are still there.
    pub(crate) fn writes(&self) -> u64 {
        self.writes.load(Ordering::Acquire)
    }

    fn batch(&self) -> Vec<Heard> {
        let mut memory = self.memory();
        let dirty = std::mem::take(&mut memory.dirty);
        dirty.iter().filter_map(|id| memory.nodes.get(id)).map(Live::unwritten).collect()
    }

    fn change(&self, ticket: &Ticket, change: impl FnOnce(&mut Live, i64, &mut Figures)) {
        let now = micros(self.clock.now());
        let mut memory = self.memory();
        let memory = &mut *memory;
        let live = memory.nodes.get_mut(&ticket.id).filter(|it| it.stream == Some(ticket.stream));
        let Some(live) = live else { return };
        change(live, now, &mut memory.figures);
        self.note(memory, &ticket.id);
    }

    fn note(&self, memory: &mut Memory, id: &str) {
        memory.dirty.insert(id.to_owned());
        self.unwritten.notify_one();
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory {
    fn of(&mut self, ticket: &Ticket) -> Option<&mut Live> {
        self.nodes.get_mut(&ticket.id).filter(|live| live.stream == Some(ticket.stream))
    }
}

impl Live {
    fn is_here(&self) -> bool {
        self.stream.is_some()
    }

    fn is(&self, now: i64) -> NodeState {
        NodeState::of(self.is_here(), self.node.last_seen, now)
    }

    fn now(now: i64) -> impl Fn(&Live) -> NodeNow {
        move |live| NodeNow {
            state: live.is(now),
            running: Arc::clone(&live.running),
            rejected: live.rejected.clone(),
            silent: live.silent.clone(),
            resting: Arc::clone(&live.resting),
        }
    }

    /// Since when a revision runs stays as long as it does.
    fn runs(&mut self, vector: &Vector, now: i64) {
        let was = std::mem::take(&mut self.running);
        let since = |scope: &store::Scope, revision: i64| match was.get(scope) {
            Some((same, since)) if *same == revision => *since,
            Some(_) | None => now,
        };
        let is = |(scope, revision): (&store::Scope, &i64)| {
            (scope.clone(), (*revision, since(scope, *revision)))
        };
        self.running = Arc::new(vector.iter().map(is).collect::<BTreeMap<_, _>>().into());
    }

    fn unwritten(&self) -> Heard {
        let (is, was) = (&self.running, &self.written.running);
        let moved = is.iter().filter(|(scope, at)| was.get(*scope) != Some(*at));
        let version =
            (self.node.version != self.written.version).then(|| self.node.version.clone());
        Heard {
            id: self.node.id.clone(),
            version,
            seen: self.node.last_seen,
            connected: self.is_here(),
            moved: moved.map(|(scope, (at, since))| (scope.clone(), *at, *since)).collect(),
            standing: self.standing.clone().filter(|is| self.written.standing.as_ref() != Some(is)),
            left: was.keys().filter(|scope| !is.contains_key(*scope)).cloned().collect(),
        }
    }

    /// Whether the store learns more of it than when it was heard of.
    fn is_news(&self, heard: &Heard) -> bool {
        let is_silent = heard.version.is_none() && heard.standing.is_none();
        !is_silent || heard.connected != self.written.connected
    }

    fn wrote(&mut self, heard: &Heard) {
        let written = &mut self.written;
        if let Some(version) = &heard.version {
            written.version.clone_from(version);
        }
        (written.seen, written.connected) = (heard.seen, heard.connected);
        if let Some(standing) = &heard.standing {
            written.standing = Some(standing.clone());
        }
        for scope in &heard.left {
            written.running.remove(scope);
        }
        for (scope, at, since) in &heard.moved {
            written.running.insert(scope.clone(), (*at, *since));
        }
    }
}

#[cfg(test)]
mod tests;
