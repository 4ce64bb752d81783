//! `cargo xtask test`: everything that CI runs, in order of cheapness, with one sum at the end.
//!
//! A suite is a list of checks and of test runs; a failing one is noted and the rest goes on. The
//! last line on stdout is always `N passed, N failed, N skipped`. What cannot run here is skipped
//! with its reason, and with `CI=true` that is a failure: CI proves everything or says what not.

use std::io::Write;

use anyhow::Result;
use clap::ValueEnum;

pub(crate) mod budget;
pub(crate) mod build;
mod console;
mod control;
mod edge;
mod mesh;
mod report;
mod store;
mod unit;

#[cfg(test)]
mod tests;

pub(crate) use report::{Report, stream};

/// What `cargo xtask test` may be told.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The inner loop: format, tidy, clippy and unit tests, nothing that installs or starts.
    #[arg(long, conflicts_with = "only")]
    quick: bool,
    /// One suite alone.
    #[arg(long, value_name = "SUITE")]
    only: Option<Suite>,
    /// The build profile of tests and of the programs they start.
    #[arg(long, default_value = "dev")]
    profile: String,
}

/// A part of the whole that is worth running by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Suite {
    /// Format, tidy, clippy, docs, generated files, the browser's target, tests of every crate.
    Unit,
    /// The store's conformance suite on SQLite and on a PostgreSQL server of its own, and the
    /// server's doors to it.
    Store,
    /// Black-box tests of the control plane over REST, on SQLite and on PostgreSQL.
    Control,
    /// Black-box tests of the gateway over real processes, and what a request costs.
    Edge,
    /// Black-box tests of proxies beside applications.
    Mesh,
    /// The console's browser half, built and used in a browser.
    Console,
}

/// Runs what was asked for and ends the process with 1 if anything failed.
pub(crate) fn run(args: &Args) -> Result<()> {
    let mut report =
        Report::new(args.profile.clone(), std::env::var("CI").as_deref() == Ok("true"));
    for suite in suites(args) {
        let name = suite.to_possible_value().map_or_else(String::new, |v| v.get_name().to_owned());
        eprintln!("==== suite {name}");
        let before = report.counts();
        match suite {
            Suite::Unit => unit::run(&mut report, args.quick),
            Suite::Store => store::run(&mut report),
            Suite::Control => control::run(&mut report),
            Suite::Edge => edge::run(&mut report),
            Suite::Mesh => mesh::run(&mut report),
            Suite::Console => console::run(&mut report),
        }
        eprintln!("==== suite {name}: {}", report.counts().since(before));
    }
    report.print_details();
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", report.counts())?;
    out.flush()?;
    if report.failed() {
        // Not an error to print: the line above stays the last one, for scripts that read it.
        std::process::exit(1);
    }
    Ok(())
}

fn suites(args: &Args) -> Vec<Suite> {
    match (args.only, args.quick) {
        (Some(suite), _) => vec![suite],
        (None, true) => vec![Suite::Unit],
        (None, false) => Suite::value_variants().to_vec(),
    }
}
