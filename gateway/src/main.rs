//! `heddle-gateway`: the edge, from files or joined to a server.
//!
//! Three doors: serve (no command), `check` (all faults of a configuration) and `explain` (which
//! route and rule a request meets, and why not the others).
//! Exit codes: 0 done, 1 refused or failed, 2 wrong usage.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;

mod app;
mod args;
mod check;
mod explain;
mod files;
mod joined;
mod load;
mod outfit;
mod print;
mod watch;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let args = args::Args::parse();
    let done = match args.command {
        None => app::run(&args.serve),
        Some(args::Command::Check(check)) => check::run(&check),
        Some(args::Command::Explain(explain)) => explain::run(&explain),
    };
    done.unwrap_or_else(|error| {
        // The chain of causes on one line; a backtrace would tell a user nothing.
        print::note(format_args!("heddle-gateway: {error:#}"));
        ExitCode::from(1)
    })
}
