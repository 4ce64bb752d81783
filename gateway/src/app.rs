//! The gateway's life, in order: read, start, serve, look again, drain.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use proxy::admin::{self, Phase, Readiness};
use proxy::telemetry::{self, Sink, Telemetry, Tracing};
use proxy::{Limits, Proxy, Settings};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;

use crate::args::{Admin, Serve};
use crate::load::{Config, Loaded};
use crate::watch::Watch;

/// What is left of logs and spans is written within this time at the end.
const FLUSH: Duration = Duration::from_secs(3);

/// The parts of a running gateway.
struct App {
    config: Config,
    proxy: Proxy,
    telemetry: Arc<Telemetry>,
    /// The resources in force, for `/config`.
    shown: watch::Sender<serde_json::Value>,
    /// Whether a port could not be opened.
    missing: bool,
    /// When to look at the configuration again, since something in it waits to be taken.
    again: Option<Duration>,
    /// Why the configuration cannot be read, as it was last told.
    unreadable: Option<String>,
}

/// Serves until told to stop.
pub(crate) fn run(args: &Serve) -> Result<ExitCode> {
    log();
    let Some(path) = &args.config else {
        eprintln!("heddle-gateway: --config FILE|DIR is needed; see --help");
        return Ok(ExitCode::from(2));
    };
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .map_err(|_| anyhow::anyhow!("a TLS provider was installed before ours"))?;
    let mut config = Config::at(path).ignoring(&args.ignore_kinds);
    let loaded = config.first(thread::sleep)?;
    report(&loaded);
    if loaded.objects == 0 {
        bail!("{} holds no object that can be served", path.display());
    }
    let telemetry = Telemetry::start(&telemetry(args)).context("starting telemetry")?;
    let mut proxy =
        Proxy::start(settings(args), Arc::clone(&telemetry)).context("starting workers")?;
    let shown = watch::Sender::new(config.show(None));
    let readiness = Arc::new(Readiness::default());
    let admin = open_admin(args, &proxy, &telemetry, &readiness, shown.subscribe())?;
    admin.iter().for_each(|admin| proxy.admin_is_at(admin.address()));
    let mut app =
        App { config, proxy, telemetry, shown, missing: false, again: None, unreadable: None };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting the main loop")?;
    // Before anybody is told that we are ready: who hears it may tell us to stop at once.
    let signals = runtime.block_on(async { Signals::listen() })?;
    app.begin(&loaded)?;
    readiness.set(Phase::Serving);
    tracing::info!(config = %path.display(), objects = loaded.objects, "ready");
    runtime.block_on(app.follow(path, signals))?;
    tracing::info!(seconds = args.drain_timeout.as_secs(), "stopping; finishing what is under way");
    readiness.set(Phase::Draining);
    app.proxy.drain(args.drain_timeout);
    if !app.telemetry.stop(FLUSH) {
        tracing::warn!("not all logs and spans could be written");
    }
    drop(admin);
    Ok(ExitCode::SUCCESS)
}

/// What we may be told, kept from the moment on that it is listened for.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    again: Signal,
}

impl Signals {
    fn listen() -> Result<Self> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate()).context("listening for SIGTERM")?,
            interrupt: signal(SignalKind::interrupt()).context("listening for SIGINT")?,
            again: signal(SignalKind::hangup()).context("listening for SIGHUP")?,
        })
    }
}

impl App {
    /// Puts the first table in force; a port that cannot be opened ends the process.
    fn begin(&mut self, loaded: &Loaded) -> Result<()> {
        let table = self.config.table().context("nothing was loaded")?;
        let failed = self.proxy.apply(Arc::clone(table));
        if !failed.is_empty() {
            let failed: Vec<_> = failed.iter().map(ToString::to_string).collect();
            bail!("opening the Gateways' listeners: {}", failed.join("\n"));
        }
        self.telemetry.table_applied(&table.digest, loaded.faults.len());
        Ok(())
    }

    /// Looks again whenever the configuration may have changed, until told to stop.
    async fn follow(&mut self, path: &Path, signals: Signals) -> Result<()> {
        let Signals { mut terminate, mut interrupt, mut again } = signals;
        let mut watch = Watch::on(path);
        loop {
            tokio::select! {
                _ = terminate.recv() => return Ok(()),
                _ = interrupt.recv() => return Ok(()),
                _ = again.recv() => {
                    self.telemetry.reopen_log();
                    self.reload();
                }
                () = watch.changed(self.again) => self.reload(),
            }
        }
    }

    /// Reads the configuration anew. What cannot be read or opened leaves what is in force.
    fn reload(&mut self) {
        let loaded = match self.config.look(Instant::now()) {
            Ok(loaded) => loaded,
            Err(error) => return self.refuse(format!("{error:#}")),
        };
        self.again = loaded.again;
        let was_unreadable = self.unreadable.take().is_some();
        if !loaded.changed {
            if was_unreadable {
                self.shown.send_replace(self.config.show(None));
            }
            return self.retry();
        }
        report(&loaded);
        let Some(table) = self.config.table() else { return };
        let failed = self.proxy.apply(Arc::clone(table));
        for failed in &failed {
            tracing::error!("{failed}; everything else is served, and this is tried again");
        }
        self.missing = !failed.is_empty();
        self.telemetry.table_applied(&table.digest, loaded.faults.len());
        self.shown.send_replace(self.config.show(None));
    }

    /// Tells, once, why the configuration cannot be read.
    fn refuse(&mut self, why: String) {
        self.again = None;
        if self.unreadable.as_ref() != Some(&why) {
            self.telemetry.table_refused();
            tracing::error!("{why}; what was in force stays in force");
            self.shown.send_replace(self.config.show(Some(&why)));
            self.unreadable = Some(why);
        }
    }

    /// Tries again to open what could not be opened.
    fn retry(&mut self) {
        if self.missing {
            self.missing = !self.proxy.open_missing().is_empty();
            if !self.missing {
                tracing::info!("every port is open now");
            }
        }
    }
}

/// Our own log: to standard error, `RUST_LOG` for more.
fn log() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let ansi = std::io::IsTerminal::is_terminal(&std::io::stderr());
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(ansi)
        .with_env_filter(filter)
        .init();
}

/// Says all that is wrong, each on a line of its own.
fn report(loaded: &Loaded) {
    for fault in &loaded.faults {
        tracing::error!("{fault}");
    }
}

fn open_admin(
    args: &Serve,
    proxy: &Proxy,
    telemetry: &Arc<Telemetry>,
    readiness: &Arc<Readiness>,
    shown: watch::Receiver<serde_json::Value>,
) -> Result<Option<admin::Handle>> {
    let Admin::At(address) = args.admin else { return Ok(None) };
    let in_force = proxy.describe();
    let config = Arc::new(move || {
        let mut whole = shown.borrow().clone();
        whole["inForce"] = in_force();
        whole
    });
    let state =
        admin::State { telemetry: Arc::clone(telemetry), readiness: Arc::clone(readiness), config };
    let handle = admin::serve(address, state).context("opening the admin port")?;
    tracing::info!(address = %handle.address(), "admin port");
    Ok(Some(handle))
}

fn telemetry(args: &Serve) -> telemetry::Settings {
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
