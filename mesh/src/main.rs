//! `heddle-mesh`: the proxy beside an application, by which it speaks and is spoken to in the mesh.
//!
//! It joins a server as the node of its workload, speaks as that workload, takes connections of other
//! proxies (HBONE over mutual TLS) and asks the policies of the Services over it before it lets a
//! request through.
//! Exit codes: 0 done, 1 refused or failed, 2 wrong usage.

#![forbid(unsafe_code)]

use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use proxy::process::{self, words};

mod args;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let args = args::Args::parse();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The chain of causes on one line; nobody hears it where standard error is gone.
            drop(writeln!(io::stderr(), "heddle-mesh: {error:#}"));
            ExitCode::from(1)
        }
    }
}

fn run(args: &args::Args) -> Result<()> {
    words::log();
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .map_err(|_| anyhow::anyhow!("a TLS provider was installed before ours"))?;
    Ok(process::follow(args.outfit()?, args.node()?)?)
}
