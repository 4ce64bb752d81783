//! A gateway from files: read, take over, start, serve, look again, hand over, drain.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use proxy::process::handover::Place;
use proxy::process::{Process, Signals, tell_missing};
use tokio::sync::watch;

use crate::args::Serve;
use crate::load::pair::Renewed;
use crate::load::shown::Shown;
use crate::load::warning::Warning;
use crate::load::{Config, Loaded};
use crate::outfit::outfit;
use crate::watch::Watch;

/// The parts of a gateway from files.
struct Files {
    config: Config,
    process: Process,
    /// The resources in force, for `/config`.
    shown: watch::Sender<Arc<Shown>>,
    /// When to look at the configuration again, since something in it waits to be taken.
    again: Option<Duration>,
    /// Why the configuration cannot be read, as it was last told.
    unreadable: Option<String>,
}

/// Serves what the files at `path` say until told to stop.
pub(crate) fn run(args: &Serve, path: &Path) -> Result<ExitCode> {
    let mut config = Config::at(path).ignoring(&args.ignore_kinds).with(&args.tls_secrets);
    let loaded = config.first(thread::sleep)?;
    report(&loaded);
    if loaded.objects == 0 {
        bail!("{} holds no object that can be served", path.display());
    }
    let shown = watch::Sender::new(Arc::new(config.show(None)));
    let show = shown.subscribe();
    let show = Arc::new(move || Arc::clone(&show.borrow()).to_json());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting the main loop")?;
    let place = runtime.block_on(Place::find(args.handover.as_deref()))?;
    // Before anybody is told that we are ready: who hears it may tell us to stop at once.
    let mut signals = runtime.block_on(async { Signals::listen() })?;
    let process =
        Process::start(outfit(args, args.state.as_deref())?, Arc::default(), None, show, place)?;
    let mut files = Files { config, process, shown, again: None, unreadable: None };
    files.begin(&loaded)?;
    if runtime.block_on(files.process.ready(&mut signals.stop, &files.config.stock()))? {
        tracing::info!(config = %path.display(), objects = loaded.objects, "ready");
    }
    let followed = runtime.block_on(files.follow(path, signals));
    files.process.end();
    followed.map(|()| ExitCode::SUCCESS)
}

impl Files {
    /// Puts the first table in force; a port that cannot be opened ends the process.
    fn begin(&mut self, loaded: &Loaded) -> Result<()> {
        let table = self.config.table().context("nothing was loaded")?;
        let failed = self.process.apply(table, loaded.faults.len());
        if !failed.is_empty() {
            let failed: Vec<_> = failed.iter().map(ToString::to_string).collect();
            bail!("opening the Gateways' listeners: {}", failed.join("\n"));
        }
        Ok(())
    }

    /// Looks again whenever the configuration may have changed, until told to stop or until another process
    /// serves.
    async fn follow(&mut self, path: &Path, signals: Signals) -> Result<()> {
        let Signals { mut stop, mut again } = signals;
        let mut watch = Watch::on(path);
        loop {
            tokio::select! {
                biased;
                () = stop.told() => return Ok(()),
                _ = again.recv() => {
                    self.process.reopen_log();
                    self.reload();
                }
                () = watch.changed(self.again) => self.reload(),
                heir = self.process.called() => {
                    let heir = heir?;
                    // It has read what may not have been looked at here.
                    self.reload();
                    let stock = self.config.stock();
                    // Of a state folder there is only what quotas count.
                    let hands_over = self.process.hand_over(heir, &stock, || {});
                    tokio::select! {
                        () = stop.told() => return Ok(()),
                        is_followed = hands_over => if is_followed { return Ok(()) },
                    }
                }
            }
        }
    }

    /// Reads the configuration anew. What cannot be read or opened leaves what is in force.
    fn reload(&mut self) {
        self.process.look_at_tickets();
        let loaded = match self.config.look(Instant::now()) {
            Ok(loaded) => loaded,
            Err(error) => return self.refuse(format!("{error:#}")),
        };
        self.again = loaded.again;
        let was_unreadable = self.unreadable.take().is_some();
        if !loaded.changed {
            if was_unreadable {
                self.show(None);
            }
            self.process.retry();
            return;
        }
        let Some(table) = self.config.table() else { return report(&loaded) };
        let missing = self.process.apply(table, loaded.faults.len());
        // Whoever reads of a fault finds that in force which has it.
        report(&loaded);
        tell_missing(&missing);
        for Renewed { secret, ends } in &loaded.renewed {
            tracing::info!(%secret, %ends, "certificate renewed from its files");
        }
        self.show(None);
    }

    /// Has `/config` show what is in force from now on.
    fn show(&self, unreadable: Option<&str>) {
        self.shown.send_replace(Arc::new(self.config.show(unreadable)));
    }

    /// Tells, once, why the configuration cannot be read.
    fn refuse(&mut self, why: String) {
        self.again = None;
        if self.unreadable.as_ref() != Some(&why) {
            self.process.refused();
            tracing::error!("{why}; what was in force stays in force");
            self.show(Some(&why));
            self.unreadable = Some(why);
        }
    }
}

/// Says all that is wrong, each on a line of its own.
fn report(loaded: &Loaded) {
    for fault in &loaded.faults {
        tracing::error!("{fault}");
    }
    for Warning(warning) in &loaded.warnings {
        tracing::warn!("{warning}");
    }
}
