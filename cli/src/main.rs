//! `heddle`: the command line, a client of the server's REST API.
//!
//! ```text
//! args ──> app ──> command/* ──> client ──> server
//!                      │            └── problem: what was refused, with file and line
//!                      └── show: tables for people, JSON and YAML for programs
//! ```
//!
//! Results go to standard output, all else to standard error.
//! Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 not reachable.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser as _;

mod app;
mod args;
mod client;
mod command;
mod failure;
mod kept;
mod kind;
mod manifest;
mod problem;
mod show;
mod terminal;

fn main() -> ExitCode {
    let args = args::Args::parse();
    let output = args.command.output();
    match app::run(args) {
        Ok(done) => done.code(),
        Err(failure) => {
            show::failure(output, &failure);
            failure.code()
        }
    }
}
