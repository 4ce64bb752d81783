//! The gateway's life, in order: read, start, serve, look again, drain.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;

use anyhow::{Context as _, Result, bail};
use proxy::telemetry::{self, Telemetry};
use proxy::{Limits, Proxy, Settings, access_log, admin, otlp};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::args::{Admin, Serve};
use crate::load::{Config, Loaded};
use crate::watch::Watch;

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
    let mut config = Config::at(path);
    let loaded = config.load()?;
    report(&loaded);
    if loaded.objects == 0 {
        bail!("{} holds no object that can be served", path.display());
    }
    let telemetry = Telemetry::start(&telemetry(args)).context("starting telemetry")?;
    let mut proxy = Proxy::start(settings(args), Arc::clone(&telemetry)).context("starting")?;
    let admin = open_admin(args, &proxy, &telemetry)?;
    let table = config.table().context("nothing was loaded")?;
    let failed = proxy.apply(Arc::clone(table));
    if let Some(first) = failed.into_iter().next() {
        return Err(first).context("opening the Gateway's listeners");
    }
    telemetry.table_applied(&table.digest, loaded.faults.len());
    if let Some(admin) = &admin {
        admin.state().ready();
    }
    tracing::info!(config = %path.display(), objects = loaded.objects, table = table.digest, "ready");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting the main loop")?;
    runtime.block_on(follow(path, &mut config, &mut proxy, &telemetry))?;
    tracing::info!(seconds = args.drain_timeout.as_secs(), "stopping; finishing what is under way");
    if let Some(admin) = &admin {
        admin.state().drain();
    }
    proxy.drain(args.drain_timeout);
    telemetry.stop();
    Ok(ExitCode::SUCCESS)
}

/// Our own log: to standard error, `RUST_LOG` for more.
fn log() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter(filter).init();
}
