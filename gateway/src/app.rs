//! The gateway's life: whoever makes its tables, files or a server, it is read here in order.

use std::process::ExitCode;

use anyhow::Result;
use tracing_subscriber::EnvFilter;

use crate::args::{Serve, Source};
use crate::{files, joined, print};

/// Serves until told to stop.
pub(crate) fn run(args: &Serve) -> Result<ExitCode> {
    log();
    let Some(source) = args.source(std::env::var("HEDDLE_JOIN_TOKEN").ok()) else {
        let needed = "--config FILE|DIR, or --join TOKEN to follow a server, is needed; see --help";
        print::note(format_args!("heddle-gateway: {needed}"));
        return Ok(ExitCode::from(2));
    };
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .map_err(|_| anyhow::anyhow!("a TLS provider was installed before ours"))?;
    match source {
        Source::Files(path) => files::run(args, &path),
        Source::Server(join) => joined::run(args, &join),
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
