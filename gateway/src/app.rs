//! The gateway's life: whoever makes its tables, files or a server, it is read here in order.

use std::process::ExitCode;

use anyhow::Result;
use proxy::process::words;

use crate::args::{Serve, Source};
use crate::{files, joined, print};

/// Serves until told to stop.
pub(crate) fn run(args: &Serve) -> Result<ExitCode> {
    words::log();
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
