//! What every gateway is once it has a table, whoever makes the tables: workers, an admin port,
//! telemetry, and an end.

use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use proxy::admin::{self, Phase, Readiness};
use proxy::telemetry::{self, Sink, Telemetry, Tracing};
use proxy::{ApplyError, Limits, Proxy, Settings};
use serde_json::Value;
use table::Table;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::args::{Admin, Serve};

/// What is left of logs and spans is written within this time at the end.
const FLUSH: Duration = Duration::from_secs(3);

/// Gives the configuration for `/config`.
pub(crate) type Show = Arc<dyn Fn() -> Value + Send + Sync>;

/// A running gateway.
pub(crate) struct Serving {
    pub(crate) proxy: Proxy,
    pub(crate) telemetry: Arc<Telemetry>,
    readiness: Arc<Readiness>,
    admin: Option<admin::Handle>,
    /// Whether a port could not be opened.
    missing: bool,
}

impl Serving {
    /// Starts workers, telemetry and the admin port; nothing is served yet.
    pub(crate) fn start(args: &Serve, show: Show) -> Result<Self> {
        let telemetry = Telemetry::start(&told(args)).context("starting telemetry")?;
        let mut proxy =
            Proxy::start(settings(args), Arc::clone(&telemetry)).context("starting workers")?;
        let readiness = Arc::new(Readiness::default());
        let admin = open_admin(args, &proxy, &telemetry, &readiness, show)?;
        admin.iter().for_each(|admin| proxy.admin_is_at(admin.address()));
        Ok(Serving { proxy, telemetry, readiness, admin, missing: false })
    }

    /// Puts a table in force; the ports that cannot be opened, which are tried again.
    pub(crate) fn apply(&mut self, table: &Arc<Table>, faults: usize) -> Vec<ApplyError> {
        let failed = self.proxy.apply(Arc::clone(table));
        self.missing = !failed.is_empty();
        self.telemetry.table_applied(&table.digest, faults);
        failed
    }

    /// Says to whoever asks that a table serves.
    pub(crate) fn ready(&self) {
        self.readiness.set(Phase::Serving);
    }

    /// Whether a port could not be opened yet.
    pub(crate) fn is_missing(&self) -> bool {
        self.missing
    }

    /// Tries again to open what could not be opened; what still cannot be, if anything was tried.
    pub(crate) fn retry(&mut self) -> Option<Vec<ApplyError>> {
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

    /// Finishes what is under way within `bound`, and ends.
    pub(crate) fn end(self, bound: Duration) -> ExitCode {
        tracing::info!(seconds = bound.as_secs(), "stopping; finishing what is under way");
        self.readiness.set(Phase::Draining);
        self.proxy.drain(bound);
        if !self.telemetry.stop(FLUSH) {
            tracing::warn!("not all logs and spans could be written");
        }
        drop(self.admin);
        ExitCode::SUCCESS
    }
}

/// Says what could not be opened though everything else is served.
pub(crate) fn tell_missing(failed: &[ApplyError]) {
    for failed in failed {
        tracing::error!("{failed}; everything else is served, and this is tried again");
    }
}

/// What we may be told, kept from the moment on that it is listened for.
pub(crate) struct Signals {
    pub(crate) terminate: Signal,
    pub(crate) interrupt: Signal,
    pub(crate) again: Signal,
}

impl Signals {
    /// Listens from now on; within a runtime.
    pub(crate) fn listen() -> Result<Self> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate()).context("listening for SIGTERM")?,
            interrupt: signal(SignalKind::interrupt()).context("listening for SIGINT")?,
            again: signal(SignalKind::hangup()).context("listening for SIGHUP")?,
        })
    }
}

fn open_admin(
    args: &Serve,
    proxy: &Proxy,
    telemetry: &Arc<Telemetry>,
    readiness: &Arc<Readiness>,
    show: Show,
) -> Result<Option<admin::Handle>> {
    let Admin::At(address) = args.admin else { return Ok(None) };
    let in_force = proxy.describe();
    let config = Arc::new(move || {
        let mut whole = show();
        whole["inForce"] = in_force();
        whole
    });
    let state =
        admin::State { telemetry: Arc::clone(telemetry), readiness: Arc::clone(readiness), config };
    let handle = admin::serve(address, state).context("opening the admin port")?;
    tracing::info!(address = %handle.address(), "admin port");
    Ok(Some(handle))
}

fn told(args: &Serve) -> telemetry::Settings {
    let access_log = match args.access_log.as_str() {
        "off" => Sink::Off,
        "-" => Sink::Stderr,
        file => Sink::File(file.into()),
    };
    let tracing = args.otlp.clone().map(|endpoint| Tracing { endpoint, sampling: args.otlp_ratio });
    telemetry::Settings { workers: workers(args), access_log, tracing, ..Default::default() }
}

fn settings(args: &Serve) -> Settings {
    Settings {
        workers: workers(args),
        bind: args.bind,
        trusted: args.trust_forwarded.clone(),
        debug_header: args.debug_header,
        limits: Limits {
            head: args.head_timeout,
            idle: args.idle_timeout,
            write: args.write_timeout,
            backend_head: args.backend_timeout,
            body: args.body_timeout,
            body_bytes: args.max_body,
            ..Limits::default()
        },
    }
}

fn workers(args: &Serve) -> usize {
    let processors = || thread::available_parallelism().map_or(1, usize::from);
    args.workers.map_or_else(processors, usize::from)
}
