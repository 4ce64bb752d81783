//! What the control plane says this node shall serve: joined once, followed for ever.
//!
//! ```text
//! identity ──> link ──frames──> session ──state──> compiler ──table──> the main loop applies it
//!                 <──Ack, Nack──      │                                      │
//!                                     └──────────── last_good <── in force ──┘
//! ```
//!
//! All of it runs on a thread of its own, away from the workers; a state is acknowledged once its
//! table is in force. When the server is away, what is in force is served on.
//!
//! Architecture Invariant: nothing is served that control did not sign for this node, and no policy
//! that cannot be read is passed over: what it protects is closed.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use model::Invalid;
use table::Table;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use wire::Resting;

use crate::decisions::Decisions;
use crate::identity::{EnrollError, Folder, FolderError, Identity, JoinToken, KeyError, NodeKey};
use crate::tls::tickets::Told;
use crate::traffic::Traffic;
use crate::{ApplyError, Membership};
use member::Ground;

mod application;
mod compiler;
mod counter;
pub(crate) mod held;
mod keeper;
mod lane;
mod last_good;
mod leaver;
mod life;
mod link;
mod member;
mod reading;
mod revoked;
mod secrets;
mod session;
mod speaker;
mod status;
mod teller;
mod transaction;
mod unopened;

pub use status::Status;

pub(crate) use status::Counts;

/// At the end, what cannot be broken off is waited for so long.
const LINGER: Duration = Duration::from_secs(1);

/// Where a node gets what it serves.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The server, `HOST:PORT`.
    pub server: String,
    /// The folder that keeps who the node is.
    pub folder: PathBuf,
    /// Lets the node in, if it is not in yet.
    pub token: Option<JoinToken>,
    /// `gateway` or `mesh`.
    pub kind: String,
    /// The name by which it joins.
    pub name: String,
    /// The node's software.
    pub version: String,
}

/// A word that is no address of a server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("--server wants HOST:PORT such as heddle.example:7081, not '{0}'")]
pub struct NoServer(String);

/// The address of a server as a command line gives it.
///
/// # Errors
/// [`NoServer`] if it names no port, or no host.
pub fn server(word: &str) -> Result<String, NoServer> {
    let has_port = word
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    if has_port { Ok(word.to_owned()) } else { Err(NoServer(word.to_owned())) }
}

/// Why a node cannot be joined.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder is of no use.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// There is no key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// It never joined and has no token.
    #[error(
        "{} holds no identity: make a token on the server with `heddle join-token create` and give \
         it with --join",
        .0.display()
    )]
    NoIdentity(PathBuf),
    /// What is kept does not fit together.
    #[error(
        "{} holds an identity of no use ({why}): restore it, or remove the folder and join anew",
        folder.display()
    )]
    Unfit {
        /// The folder.
        folder: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The server does not let it in.
    #[error("cannot join")]
    Enroll(#[from] EnrollError),
    /// There is no thread for it.
    #[error("starting the thread that follows the server")]
    Thread(#[source] io::Error),
}

/// What the main loop is told.
#[derive(Debug)]
pub enum Update {
    /// A table to put in force.
    Table(Ready),
    /// The node cannot join.
    Failed(Error),
}

/// A table to put in force.
#[derive(Debug)]
pub struct Ready {
    /// The table.
    pub table: Arc<Table>,
    /// What is wrong with what it was made from.
    pub faults: Vec<Invalid>,
    applied: oneshot::Sender<()>,
}

impl Ready {
    /// Says that it is in force, so that the server learns of it.
    pub fn applied(self) {
        // If nobody listens, the node is ending.
        let _ = self.applied.send(());
    }
}

/// What a node shares with the process that it is of.
#[derive(Debug)]
pub(crate) struct Parts {
    /// Where it shows what it may speak by in the mesh.
    pub(crate) membership: Arc<Membership>,
    /// What it takes to the server.
    pub(crate) decisions: Arc<Decisions>,
    /// The same, counted.
    pub(crate) traffic: Arc<Traffic>,
    /// Where it shows how it stands.
    pub(crate) status: Arc<Status>,
    /// Where it puts by what sessions are sealed.
    pub(crate) told: Arc<Told>,
}

/// A node that follows a server until it is dropped; what is in force is on disk then, and the folder is let go.
#[derive(Debug)]
pub struct Joined {
    updates: mpsc::Receiver<Update>,
    unopened: watch::Sender<Vec<ApplyError>>,
    resting: watch::Sender<Vec<Resting>>,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Joined {
    /// Opens the folder and begins to follow.
    ///
    /// # Errors
    /// If the folder cannot be used, or the node neither has an identity nor a token.
    pub(crate) fn start(settings: Settings, parts: Parts) -> Result<Self, Error> {
        let Parts { membership, decisions, traffic, status, told } = parts;
        let folder = Folder::open(&settings.folder)?;
        let (key, identity) = opened(&folder, &settings)?;
        status.change(|standing| standing.server = settings.server.as_str().into());
        // One at a time: a state is answered before the next is taken.
        let (tell, updates) = mpsc::channel(1);
        let stop = CancellationToken::new();
        let (unopened, ports) = watch::channel(Vec::new());
        let (resting, rests) = watch::channel(Vec::new());
        let ground = Ground {
            settings: Arc::new(settings),
            folder: Arc::new(folder),
            key: Arc::new(key),
            status,
            updates: tell,
            unopened: ports,
            resting: rests,
            membership,
            decisions,
            traffic,
            told,
            stop: stop.clone(),
            due: Arc::default(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(Error::Thread)?;
        let thread = thread::Builder::new()
            .name("config".to_owned())
            .spawn(move || {
                runtime.block_on(life::run(ground, identity));
                // A look-up of a name may hang for long.
                runtime.shutdown_timeout(LINGER);
            })
            .map_err(Error::Thread)?;
        Ok(Joined { updates, unopened, resting, stop, thread: Some(thread) })
    }

    /// The next thing to do; `None` if nothing more will come.
    pub async fn next(&mut self) -> Option<Update> {
        self.updates.recv().await
    }

    /// Takes note of which ports of the table in force are not open, so that the server learns of
    /// it; before [`Ready::applied`] for a new table.
    pub fn unopened(&self, failed: &[ApplyError]) {
        self.unopened.send_if_modified(|last| {
            let is_news = last != failed;
            *last = failed.to_vec();
            is_news
        });
    }

    /// Takes note of which endpoints get no requests, so that the server learns of it with the next heartbeat.
    pub fn resting(&self, endpoints: Vec<Resting>) {
        self.resting.send_if_modified(|last| {
            let is_news = *last != endpoints;
            *last = endpoints;
            is_news
        });
    }
}

impl Drop for Joined {
    fn drop(&mut self) {
        self.stop.cancel();
        self.updates.close();
        while self.updates.try_recv().is_ok() {}
        if let Some(thread) = self.thread.take() {
            // A panic there was already told by the panic hook.
            let _ = thread.join();
        }
    }
}

/// The key, made if there is none, and who the node is, if it has joined.
fn opened(folder: &Folder, settings: &Settings) -> Result<(NodeKey, Option<Identity>), Error> {
    let (key, identity) = (folder.key()?, folder.identity()?);
    let unfit = |why: String| Error::Unfit { folder: folder.path().to_owned(), why };
    match (key, identity) {
        (Some(key), Some(identity)) => {
            identity.check(key.public()).map_err(|error| unfit(error.to_string()))?;
            if settings.token.is_some() {
                let node = identity.uri();
                tracing::info!(node, "joined already; the token is not needed and not used");
            }
            Ok((key, Some(identity)))
        }
        (None, Some(_)) => Err(unfit("key.pem is gone".to_owned())),
        (_, None) if settings.token.is_none() => Err(Error::NoIdentity(folder.path().to_owned())),
        (Some(key), None) => Ok((key, None)),
        (None, None) => {
            let key = NodeKey::make()?;
            folder.keep_key(&key)?;
            Ok((key, None))
        }
    }
}
