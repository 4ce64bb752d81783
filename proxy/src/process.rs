//! What every process around a proxy is: workers, an admin port, telemetry, signals, and an end;
//! and the loop of one that is joined to a server.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use table::Table;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::admin::{self, Phase, Readiness};
use crate::config::{self, Joined, Ready, Update};
use crate::decisions::Decisions;
use crate::settings::Settings;
use crate::telemetry::{self, Telemetry};
use crate::traffic::Traffic;
use crate::{ApplyError, Membership, Proxy};

use tickets::Tickets;

mod files;
pub mod small;
pub mod tickets;
pub mod words;

/// What is left of logs and spans is written within this time at the end.
const FLUSH: Duration = Duration::from_secs(3);
/// How often it is tried to open ports that could not be opened.
const AGAIN: Duration = Duration::from_secs(5);

/// Gives the configuration for `/config`.
pub type Show = Arc<dyn Fn() -> Value + Send + Sync>;

/// How a process runs.
#[derive(Debug, Clone)]
pub struct Outfit {
    /// Its workers.
    pub settings: Settings,
    /// What it tells of its requests.
    pub telemetry: telemetry::Settings,
    /// Where its admin port is, if it has one.
    pub admin: Option<SocketAddr>,
    /// The file of the secrets by which it shares TLS sessions with others; none where it does not.
    pub ticket_keys: Option<PathBuf>,
    /// How long requests under way have at the end.
    pub drain: Duration,
    /// The share of requests that pass of which a server is told why: 0.0 to 1.0.
    pub decision_ratio: f64,
}

/// Why a process cannot run.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// Telemetry does not start.
    #[error("starting telemetry")]
    Telemetry(#[source] telemetry::Error),
    /// A worker does not start.
    #[error("starting workers")]
    Workers(#[source] io::Error),
    /// The secrets of tickets cannot be used.
    #[error(transparent)]
    Tickets(#[from] tickets::Error),
    /// The admin port does not open.
    #[error("opening the admin port")]
    Admin(#[source] io::Error),
    /// The main loop does not start.
    #[error("starting the main loop")]
    Loop(#[source] io::Error),
    /// A signal cannot be listened for.
    #[error("listening for {0}")]
    Signal(&'static str, #[source] io::Error),
    /// The node cannot follow its server.
    #[error(transparent)]
    Node(#[from] config::Error),
}

/// A running process.
#[derive(Debug)]
pub struct Process {
    proxy: Proxy,
    telemetry: Arc<Telemetry>,
    readiness: Arc<Readiness>,
    admin: Option<admin::Handle>,
    drain: Duration,
    /// Whether a port could not be opened.
    missing: bool,
    membership: Arc<Membership>,
    tickets: Tickets,
    /// Whether it is the proxy beside an application, which lets nobody in before it has a
    /// certificate.
    is_beside: bool,
}

impl Process {
    /// Starts workers, telemetry and the admin port; nothing is served yet.
    ///
    /// # Errors
    /// If one of them does not start.
    pub fn start(
        mut outfit: Outfit,
        membership: Arc<Membership>,
        show: Show,
    ) -> Result<Self, ProcessError> {
        let files = files::raise();
        let most = &mut outfit.settings.limits.connections;
        // One file for the client of each, and one for a backend.
        *most = most.or(files.map(|files| (files / 2).max(1)));
        let telemetry = Telemetry::start(&outfit.telemetry).map_err(ProcessError::Telemetry)?;
        let tickets = Tickets::begin(outfit.ticket_keys)?;
        let (shared, keyring) = (Arc::clone(&membership), tickets.keyring());
        let proxy = Proxy::start(outfit.settings, Arc::clone(&telemetry), shared, keyring);
        let mut proxy = proxy.map_err(ProcessError::Workers)?;
        let readiness = Arc::new(Readiness::default());
        let admin = outfit.admin.map(|at| open_admin(at, &proxy, &telemetry, &readiness, show));
        let admin = admin.transpose().map_err(ProcessError::Admin)?;
        admin.iter().for_each(|admin| proxy.admin_is_at(admin.address()));
        let (drain, missing, is_beside) = (outfit.drain, false, false);
        Ok(Process {
            proxy,
            telemetry,
            readiness,
            admin,
            drain,
            missing,
            membership,
            tickets,
            is_beside,
        })
    }

    /// Puts a table in force; the ports that cannot be opened, which are tried again.
    pub fn apply(&mut self, table: &Arc<Table>, faults: usize) -> Vec<ApplyError> {
        let failed = self.proxy.apply(Arc::clone(table));
        self.missing = !failed.is_empty();
        self.is_beside = table.inbound.is_some();
        self.telemetry.table_applied(&table.digest, faults);
        failed
    }

    /// Says to whoever asks that a table serves.
    pub fn ready(&self) {
        self.readiness.set(Phase::Serving);
    }

    /// Notes that what is to be served cannot be read.
    pub fn refused(&self) {
        self.telemetry.table_refused();
    }

    /// Opens the access log anew, as after it was moved away.
    pub fn reopen_log(&self) {
        self.telemetry.reopen_log();
    }

    /// Looks whether there are other secrets for tickets.
    pub fn look_at_tickets(&mut self) {
        self.tickets.look();
    }

    /// Tries again to open what could not be opened; what still cannot be, if anything was tried.
    pub fn retry(&mut self) -> Option<Vec<ApplyError>> {
        if !self.missing {
            return None;
        }
        let failed = self.proxy.open_missing();
        self.missing = !failed.is_empty();
        if !self.missing {
            tracing::info!("every port is open now");
        }
        Some(failed)
    }

    /// Finishes what is under way within the bound, and ends.
    pub fn end(self) {
        tracing::info!(seconds = self.drain.as_secs(), "stopping; finishing what is under way");
        self.readiness.set(Phase::Draining);
        self.proxy.drain(self.drain);
        if !self.telemetry.stop(FLUSH) {
            tracing::warn!("not all logs and spans could be written");
        }
        drop(self.admin);
    }
}

/// Says what could not be opened though everything else is served.
pub fn tell_missing(failed: &[ApplyError]) {
    for failed in failed {
        tracing::error!("{failed}; everything else is served, and this is tried again");
    }
}

/// What we may be told, kept from the moment on that it is listened for.
#[derive(Debug)]
pub struct Signals {
    /// To end.
    pub terminate: Signal,
    /// To end, by a person.
    pub interrupt: Signal,
    /// To look again.
    pub again: Signal,
}

impl Signals {
    /// Listens from now on; within a runtime.
    ///
    /// # Errors
    /// If the system does not let us.
    pub fn listen() -> Result<Self, ProcessError> {
        let of = |kind, name| signal(kind).map_err(|error| ProcessError::Signal(name, error));
        Ok(Signals {
            terminate: of(SignalKind::terminate(), "SIGTERM")?,
            interrupt: of(SignalKind::interrupt(), "SIGINT")?,
            again: of(SignalKind::hangup(), "SIGHUP")?,
        })
    }
}

fn open_admin(
    address: SocketAddr,
    proxy: &Proxy,
    telemetry: &Arc<Telemetry>,
    readiness: &Arc<Readiness>,
    show: Show,
) -> io::Result<admin::Handle> {
    let in_force = proxy.describe();
    let config = Arc::new(move || {
        let mut whole = show();
        whole["inForce"] = in_force();
        whole
    });
    let state =
        admin::State { telemetry: Arc::clone(telemetry), readiness: Arc::clone(readiness), config };
    let handle = admin::serve(address, state)?;
    tracing::info!(address = %handle.address(), "admin port");
    Ok(handle)
}

/// Joins a server and serves what it says until told to stop.
///
/// # Errors
/// If it cannot start, or turns out to be one that may not join.
pub fn follow(outfit: Outfit, node: config::Settings) -> Result<(), ProcessError> {
    let membership = Arc::<Membership>::default();
    let decisions = Decisions::new(outfit.settings.workers, outfit.decision_ratio);
    let decisions = Arc::new(decisions);
    let traffic = Arc::new(Traffic::new(outfit.settings.workers));
    let (told, counted) = (Arc::clone(&decisions), Arc::clone(&traffic));
    let joined = Joined::start(node, Arc::clone(&membership), told, counted)?;
    let show = joined.status();
    let mut process = Process::start(outfit, membership, Arc::new(move || show.show()))?;
    process.telemetry.joined(joined.status(), decisions, traffic);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(ProcessError::Loop)?;
    let signals = runtime.block_on(async { Signals::listen() })?;
    let mut following = Following { joined, applied: false, serves: false };
    let followed = runtime.block_on(following.follow(&mut process, signals));
    // What is in force is kept before the drain, which may take long.
    following.joined.stop();
    process.end();
    followed
}

/// A process that follows a server.
struct Following {
    joined: Joined,
    /// Whether a table is in force.
    applied: bool,
    /// Whether it was said that it serves.
    serves: bool,
}

impl Following {
    /// Puts in force what comes, until told to stop or until it cannot join.
    async fn follow(
        &mut self,
        process: &mut Process,
        signals: Signals,
    ) -> Result<(), ProcessError> {
        let Signals { mut terminate, mut interrupt, mut again } = signals;
        let mut retry = tokio::time::interval(AGAIN);
        let mut news = process.membership.news();
        let mut follows = true;
        loop {
            tokio::select! {
                _ = terminate.recv() => return Ok(()),
                _ = interrupt.recv() => return Ok(()),
                _ = again.recv() => {
                    process.reopen_log();
                    process.look_at_tickets();
                }
                _ = retry.tick() => {
                    process.look_at_tickets();
                    if let Some(failed) = process.retry() {
                        self.joined.unopened(&failed);
                    }
                    self.tell_ready(process);
                }
                _ = news.changed() => self.tell_ready(process),
                update = self.joined.next(), if follows => match update {
                    Some(Update::Table(ready)) => self.take(process, ready),
                    Some(Update::Failed(error)) => return Err(error.into()),
                    None => {
                        tracing::error!("following the server broke off; what is in force is served on");
                        follows = false;
                    }
                },
            }
        }
    }

    /// Puts a table in force.
    fn take(&mut self, process: &mut Process, ready: Ready) {
        for fault in &ready.faults {
            tracing::error!("{fault}");
        }
        let failed = process.apply(&ready.table, ready.faults.len());
        tell_missing(&failed);
        self.joined.unopened(&failed);
        ready.applied();
        self.applied = true;
        self.tell_ready(process);
    }

    /// Says once that it serves: when a table is in force and every port of it is open.
    fn tell_ready(&mut self, process: &Process) {
        let speaks = !process.is_beside || process.membership.now().is_some();
        if self.applied && !self.serves && !process.missing && speaks {
            self.serves = true;
            process.ready();
            tracing::info!("ready");
        }
    }
}
