//! What every process around a proxy is: workers, an admin port, telemetry, signals, and an end;
//! the loop of one that is joined to a server, and how one follows another.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use serde_json::Value;
use table::Table;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;

use crate::admin::{self, Phase, Readiness};
use crate::config;
use crate::settings::Settings;
use crate::telemetry::{self, Telemetry};
use crate::tls::tickets::Told;
use crate::{ApplyError, Membership, Proxy};

use handover::{Given, Place};
use tickets::Tickets;

mod files;
mod following;
pub mod handover;
pub mod small;
mod succession;
pub mod tickets;
pub mod words;

pub use following::follow;

/// What is left of logs and spans is written within this time at the end.
const FLUSH: Duration = Duration::from_secs(3);

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
    /// Where the process before is found, and the one after finds this one; none where nobody follows.
    pub handover: Option<PathBuf>,
    /// The file of the secrets by which it shares TLS sessions with others; none where it does not.
    pub ticket_keys: Option<PathBuf>,
    /// How long it takes connections on once it is told to end, so that who leads callers to it learns of that.
    pub notice: Duration,
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
    /// It cannot take the place of the process before it.
    #[error(transparent)]
    Place(#[from] handover::Error),
    /// Sockets of the process before are of no use.
    #[error("taking over its sockets")]
    Given(#[source] io::Error),
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
    place: Place,
    /// Whether it takes connections, if anything is open.
    accepts: bool,
    /// Whether a table is in force.
    applied: bool,
    notice: Duration,
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
    /// Starts workers, telemetry and the admin port, with what the process before gave; nothing is served yet.
    /// Sessions are sealed by what is `told`, where a server is followed.
    ///
    /// # Errors
    /// If one of them does not start.
    pub fn start(
        mut outfit: Outfit,
        membership: Arc<Membership>,
        told: Option<Arc<Told>>,
        show: Show,
        (place, given): (Place, Option<Given>),
    ) -> Result<Self, ProcessError> {
        let files = files::raise();
        let Settings { limits, workers, .. } = &mut outfit.settings;
        // One for each flow of datagrams, which takes a port of the machine's, too: half of those are for others.
        let flows = files.map(|files| files / 8);
        let ports = files::local_ports().map(|ports| ports / 2);
        let of_all = flows.into_iter().chain(ports).min().unwrap_or(usize::MAX);
        limits.flows = limits.flows.min((of_all / (*workers).max(1)).max(1));
        // Of the rest one for the client of each connection, and one for a backend.
        let rest = files.zip(flows).map(|(files, flows)| ((files - flows) / 2).max(1));
        limits.connections = limits.connections.or(rest);
        let telemetry = Telemetry::start(&outfit.telemetry).map_err(ProcessError::Telemetry)?;
        let tickets = Tickets::begin(outfit.ticket_keys, told)?;
        let (shared, keyring) = (Arc::clone(&membership), tickets.keyring());
        let proxy = Proxy::start(outfit.settings, Arc::clone(&telemetry), shared, keyring);
        let mut proxy = proxy.map_err(ProcessError::Workers)?;
        let readiness = Arc::new(Readiness::default());
        if outfit.handover.is_some() {
            proxy.lend();
        }
        let accepts = given.is_none();
        if accepts {
            proxy.count_on();
        }
        let admins = given.map(|Given { traffic, admin }| {
            proxy.are_given(traffic).map_err(ProcessError::Given)?;
            Ok::<_, ProcessError>(admin)
        });
        let admins = admins.transpose()?.unwrap_or_default();
        let state = |proxy| admin_state(proxy, &telemetry, &readiness, show);
        let admin = outfit.admin.map(|at| open_admin(at, admins, state(&proxy)));
        let admin = admin.transpose().map_err(ProcessError::Admin)?;
        admin.iter().for_each(|admin| proxy.admin_is_at(admin.address()));
        let (notice, drain) = (outfit.notice, outfit.drain);
        let (missing, is_beside) = (false, false);
        Ok(Process {
            proxy,
            telemetry,
            readiness,
            admin,
            place,
            accepts,
            applied: false,
            notice,
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
        self.applied = true;
        self.stand_in();
        failed
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

    /// The endpoints that get no requests.
    pub(crate) fn resting(&self) -> Vec<wire::Resting> {
        self.proxy.resting()
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
    pub stop: Stop,
    /// To look again.
    pub again: Signal,
}

/// Being told to end, which is not forgotten.
#[derive(Debug)]
pub struct Stop {
    terminate: Signal,
    /// By a person.
    interrupt: Signal,
    /// When it is to end, once it was told.
    at: Option<Instant>,
    /// Who is shown that it will, and for how long before it does.
    notice: Option<(Arc<Readiness>, Duration)>,
}

impl Signals {
    /// Listens from now on; within a runtime.
    ///
    /// # Errors
    /// If the system does not let us.
    pub fn listen() -> Result<Self, ProcessError> {
        let of = |kind, name| signal(kind).map_err(|error| ProcessError::Signal(name, error));
        let terminate = of(SignalKind::terminate(), "SIGTERM")?;
        let interrupt = of(SignalKind::interrupt(), "SIGINT")?;
        let again = of(SignalKind::hangup(), "SIGHUP")?;
        Ok(Signals { stop: Stop { terminate, interrupt, at: None, notice: None }, again })
    }
}

impl Stop {
    /// Ends when this process is to end: it was told to, and who asks whether it is ready was shown so for as
    /// long as it wanted, or it was told twice. At once if that was before.
    pub async fn told(&mut self) {
        let at = match self.at {
            Some(at) => at,
            None => {
                self.signal().await;
                let at = Instant::now() + self.give_notice();
                *self.at.insert(at)
            }
        };
        if at > Instant::now() {
            tokio::select! {
                () = tokio::time::sleep_until(at) => {}
                () = self.signal() => self.at = Some(Instant::now()),
            }
        }
    }

    async fn signal(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Shows that this process will end; gives for how long it still takes connections.
    fn give_notice(&self) -> Duration {
        let Some((readiness, notice)) = &self.notice else { return Duration::ZERO };
        readiness.set(Phase::Draining);
        if !notice.is_zero() {
            let seconds = notice.as_secs();
            tracing::info!(seconds, "told to stop; taking connections until it is known");
        }
        *notice
    }

    /// Whether this process was told to end.
    async fn was_told(&mut self) -> bool {
        // What came since the main loop last waited is seen when it waits again.
        tokio::task::yield_now().await;
        self.told().now_or_never().is_some()
    }
}

/// Opens the admin port, at the socket of the process before if that was there.
fn open_admin(
    address: SocketAddr,
    given: Vec<TcpListener>,
    state: admin::State,
) -> io::Result<admin::Handle> {
    let is_here = |socket: &TcpListener| socket.local_addr().is_ok_and(|at| at == address);
    let handle = match given.into_iter().find(is_here) {
        Some(given) => admin::serve_given(given, state)?,
        None => admin::serve(address, state)?,
    };
    tracing::info!(address = %handle.address(), "admin port");
    Ok(handle)
}

fn admin_state(
    proxy: &Proxy,
    telemetry: &Arc<Telemetry>,
    readiness: &Arc<Readiness>,
    show: Show,
) -> admin::State {
    let in_force = proxy.describe();
    let config = Arc::new(move || {
        let mut whole = show();
        whole["inForce"] = in_force();
        whole
    });
    admin::State { telemetry: Arc::clone(telemetry), readiness: Arc::clone(readiness), config }
}
