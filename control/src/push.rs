//! Bringing every node to the last revision, by one stream each.
//!
//! ```text
//! store ── a commit ──> App::world ──> Catalogue ──> news ──> each stream: Session decides,
//!                                                             Outbox cuts frames, fleet is told
//! ```
//!
//! A stream is one task, which ends with its connection, with a later stream of the same node, with
//! the certificate that it was opened by, and with the server. Frames wait in a queue of a few; a
//! node that reads slowly holds up nobody but itself.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use store::Store;
use tokio::sync::{OnceCell, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tonic::{Request, Response, Status, Streaming};
use wire::{ControlFrame, NodeFrame, SessionSecrets};

use crate::App;
use crate::ca::{Ca, Proven};
use crate::clock::Clock;
use crate::fleet::Fleet;
use crate::identity::{failed, known, proven};
use crate::key_set;
use crate::refusal::Refusal;
use crate::revocation;
use crate::session_secret::{Keeper, Ring};
use crate::snapshot::{Catalogue, Class, Served, Snapshot};
use outward::Reach;

mod outbox;
pub mod session;
mod stream;

pub use stream::Frames;

use stream::Stream;

/// Frames that wait in a stream's queue.
const QUEUE: usize = 4;
/// How long after a failure the store is asked again.
const AGAIN: Duration = Duration::from_secs(1);
/// How long streams have at the end to say why they end.
const FAREWELL: Duration = Duration::from_secs(5);

/// Brings nodes up to date.
#[derive(Debug)]
pub struct Push {
    app: Arc<App>,
    store: Store,
    ca: Arc<Ca>,
    fleet: Arc<Fleet>,
    clock: Clock,
    catalogue: Mutex<Catalogue>,
    /// The revision that the catalogue is at.
    news: watch::Sender<i64>,
    streams: Mutex<Streams>,
    secrets: Keeper,
    revocations: revocation::Keeper,
    keys: Arc<key_set::Keeper>,
    /// Whether those of the store are known.
    has_keys: OnceCell<()>,
    /// What classes were last told of sessions.
    told: Mutex<BTreeMap<Class, Told>>,
}

/// What a class was told of sessions, and of what that was drawn.
#[derive(Debug)]
struct Told {
    ring: Arc<Ring>,
    gateways: Vec<Served>,
    sessions: Arc<SessionSecrets>,
}

/// The streams that are open.
#[derive(Debug, Default)]
struct Streams {
    /// By the id of the node; dropping one ends its stream.
    open: BTreeMap<String, (u64, oneshot::Sender<Status>)>,
    opened: u64,
    tasks: JoinSet<()>,
    is_over: bool,
}

impl Push {
    /// Over an app and its store; keys of issuers are fetched as far as `reach` leads.
    pub fn new(app: Arc<App>, ca: Arc<Ca>, fleet: Arc<Fleet>, clock: Clock, reach: Reach) -> Self {
        let (news, _) = watch::channel(-1);
        let (catalogue, streams) = (Mutex::default(), Mutex::default());
        let store = app.store().clone();
        let secrets = Keeper::new(store.clone(), clock.clone());
        let revocations = revocation::Keeper::new(store.clone(), clock.clone());
        let keys = Arc::new(key_set::Keeper::new(Arc::clone(&app), clock.clone(), reach));
        let (has_keys, told) = (OnceCell::new(), Mutex::default());
        Push {
            app,
            store,
            ca,
            fleet,
            clock,
            catalogue,
            news,
            streams,
            secrets,
            revocations,
            keys,
            has_keys,
            told,
        }
    }

    /// Follows commits until it is aborted.
    pub(crate) async fn follow(self: Arc<Self>) {
        let mut commits = self.store.changes();
        loop {
            commits.mark_unchanged();
            if let Err(refusal) = self.catch_up().await {
                let cause = std::error::Error::source(&refusal).map(ToString::to_string);
                tracing::warn!(%refusal, cause, "the last revision could not be read for nodes");
                tokio::time::sleep(AGAIN).await;
                continue;
            }
            if commits.changed().await.is_err() {
                return;
            }
        }
    }

    /// Reads the last revision, unless that is known.
    async fn catch_up(&self) -> Result<(), Refusal> {
        let world = self.app.world().await?;
        if *self.news.borrow() >= world.revision {
            return Ok(());
        }
        let before = Some(world.revision.saturating_add(1));
        let last = self.store.revisions(None, before, 1).await?;
        let committed = last.first().filter(|last| last.revision == world.revision);
        let committed = committed.map(|last| last.at);
        let mut catalogue = self.catalogue();
        // Somebody else may have been further meanwhile.
        if *self.news.borrow() < world.revision {
            catalogue.advance(&world, committed);
            self.news.send_replace(world.revision);
        }
        Ok(())
    }

    /// Has secrets of sessions follow each other until `leaving` says true.
    pub(crate) async fn keep_secrets(self: Arc<Self>, leaving: watch::Receiver<bool>) {
        self.secrets.follow(leaving).await;
    }

    /// Has nodes told who is shut out until `leaving` says true.
    pub(crate) async fn keep_revocations(self: Arc<Self>, leaving: watch::Receiver<bool>) {
        self.revocations.follow(leaving).await;
    }

    /// Has keys of issuers fetched until `leaving` says true, and nodes told of others at once.
    pub(crate) async fn keep_keys(self: Arc<Self>, leaving: watch::Receiver<bool>) {
        let mut known = self.keys.known();
        let telling = async {
            while known.changed().await.is_ok() {
                self.learn();
            }
        };
        tokio::select! {
            () = Arc::clone(&self.keys).follow(leaving) => {}
            () = telling => {}
        }
    }

    /// Has nodes told of the keys of issuers that are known now.
    fn learn(&self) {
        let mut catalogue = self.catalogue();
        // Looked at under the lock, so that older ones never follow newer ones.
        let keys = Arc::clone(&self.keys.known().borrow());
        // Before the first revision was read nobody has a target that could be another one now.
        if catalogue.learn(keys) && *self.news.borrow() >= 0 {
            self.news.send_replace(catalogue.revision());
        }
    }

    /// Knows the keys of issuers that the store has, so that no node is told to believe nobody meanwhile.
    async fn know_keys(&self) -> Result<(), Refusal> {
        let first = async || {
            self.keys.take().await?;
            self.learn();
            Ok(())
        };
        self.has_keys.get_or_try_init(first).await.copied()
    }

    /// Wakes when other secrets seal.
    fn ring(&self) -> watch::Receiver<Option<Arc<Ring>>> {
        self.secrets.ring()
    }

    /// By what nodes of a class seal sessions of the Gateways in a snapshot; none if we do not know yet.
    fn sessions(&self, class: &Class, snapshot: &Snapshot) -> Option<Arc<SessionSecrets>> {
        let ring = self.ring().borrow().clone()?;
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let is_same =
            |told: &&Told| Arc::ptr_eq(&told.ring, &ring) && told.gateways == snapshot.gateways;
        if let Some(same) = told.get(class).filter(is_same) {
            return Some(Arc::clone(&same.sessions));
        }
        let (gateways, sessions) = (snapshot.gateways.clone(), ring.of(class, &snapshot.gateways)?);
        let now = Told { ring, gateways, sessions: Arc::clone(&sessions) };
        told.insert(class.clone(), now);
        Some(sessions)
    }

    /// What a class is to run, once the first revision was read.
    fn target(&self, class: &Class) -> Arc<Snapshot> {
        self.catalogue().snapshot(class)
    }

    fn catalogue(&self) -> MutexGuard<'_, Catalogue> {
        self.catalogue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn streams(&self) -> MutexGuard<'_, Streams> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the stream of a node, if it has one.
    pub(crate) fn forget(&self, id: &str) {
        if let Some((_, stream)) = self.streams().open.remove(id) {
            let words = "this node was forgotten; let it join again with a new join token";
            let _ = stream.send(Status::unauthenticated(words));
        }
    }

    /// Ends all streams, and lets no more begin.
    pub(crate) async fn stop(&self) {
        let mut tasks = {
            let mut streams = self.streams();
            streams.is_over = true;
            for (_, (_, stream)) in std::mem::take(&mut streams.open) {
                let _ = stream.send(Status::unavailable("the control plane stops; come again"));
            }
            std::mem::take(&mut streams.tasks)
        };
        let ended = async { while tasks.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(FAREWELL, ended).await;
        tasks.shutdown().await;
    }

    /// Notes a stream; its number, and what ends it. The one that the node had before ends.
    fn admit(&self, id: &str) -> (u64, oneshot::Receiver<Status>) {
        let (end, ended) = oneshot::channel();
        let mut streams = self.streams();
        streams.opened += 1;
        let number = streams.opened;
        if let Some((_, before)) = streams.open.insert(id.to_owned(), (number, end)) {
            let _ = before.send(Status::aborted("this node opened another stream"));
        }
        (number, ended)
    }

    fn dismiss(&self, id: &str, number: u64) {
        let mut streams = self.streams();
        if streams.open.get(id).is_some_and(|(open, _)| *open == number) {
            streams.open.remove(id);
        }
    }

    async fn open(
        self: &Arc<Self>,
        proven: Proven,
        frames: Streaming<NodeFrame>,
    ) -> Result<Frames, Status> {
        let node = known(&self.store, &proven).await?;
        self.know_keys().await.map_err(failed)?;
        // Nobody is told that nobody is shut out since we have not looked yet.
        self.revocations.catch_up().await.map_err(|error| failed(Refusal::from(error)))?;
        // A node that comes from another server may know more than we have heard of.
        self.catch_up().await.map_err(failed)?;
        let news = self.news.subscribe();
        let class = Class { cluster: proven.node.cluster.clone(), kind: proven.node.kind };
        let ticket = self.fleet.opened(node).await.map_err(failed)?;
        let (number, ended) = self.admit(&proven.id);
        let (to_node, from_us) = mpsc::channel(QUEUE);
        let push = Arc::clone(self);
        let mut streams = self.streams();
        if streams.is_over {
            self.fleet.closed(&ticket);
            return Err(Status::unavailable("the control plane stops; come again"));
        }
        let run = async move {
            let stream = Stream::new(&push, class, &proven, ticket, to_node);
            stream.run(news, frames, ended).await;
            push.dismiss(&proven.id, number);
        };
        while streams.tasks.try_join_next().is_some() {}
        streams.tasks.spawn(run);
        Ok(Frames::new(from_us))
    }
}

/// The service.
#[derive(Debug, Clone)]
pub struct Configs(pub Arc<Push>);

#[tonic::async_trait]
impl wire::server::Config for Configs {
    type StreamStream = Frames;

    async fn stream(
        &self,
        request: Request<Streaming<NodeFrame>>,
    ) -> Result<Response<Frames>, Status> {
        let proven = proven(&request)?;
        self.0.open(proven, request.into_inner()).await.map(Response::new)
    }
}

/// What a stream's queue holds.
pub(crate) type Sent = Result<ControlFrame, Status>;
