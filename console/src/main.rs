//! `heddle-server`: serves the console over the store, and has the doors by which the store is kept.
//!
//! Without a command it serves until it is told to stop; `backup`, `restore` and `store` do one
//! thing and end. Exit codes: 0 done, 1 refused or failed, 2 wrong usage.

#![forbid(unsafe_code)]

use std::io::IsTerminal as _;
use std::process::ExitCode;

use anyhow::Result;
use control::keep::Location;
use tracing_subscriber::EnvFilter;

use args::{Args, Command, NoPlace, StoreCommand};
use keep::Act;

mod args;
mod keep;
mod nodes;
mod people;
mod serve;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    let args = args::read();
    log_to_stderr();
    let (place, act) = match asked(&args) {
        Ok(asked) => asked,
        Err(error) => {
            eprintln!("heddle-server: {error}");
            return ExitCode::from(2);
        }
    };
    run(&args, &place, act).await.unwrap_or_else(|error| {
        eprintln!("heddle-server: {error:#}");
        ExitCode::FAILURE
    })
}

async fn run(args: &Args, place: &Location, act: Option<Act>) -> Result<ExitCode> {
    match act {
        None => serve::run(&args.serve, place, args.at.folder()).await.map(|()| ExitCode::SUCCESS),
        Some(act) => keep::run(place, &act).await,
    }
}

/// On which place, and what; to serve, if nothing else.
fn asked(args: &Args) -> Result<(Location, Option<Act>), NoPlace> {
    let act = match &args.command {
        None => None,
        Some(Command::Backup { file }) => Some(Act::Backup(file.clone())),
        Some(Command::Restore { file }) => Some(Act::Restore(file.clone())),
        Some(Command::Store(StoreCommand::Copy { to })) => Some(Act::Copy(args.at.target(to)?)),
        Some(Command::Store(StoreCommand::Verify)) => Some(Act::Verify),
    };
    Ok((args.at.place()?, act))
}

fn log_to_stderr() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    // It repeats the parameters of a database's address that it does not know, with their values.
    let address = "sqlx_postgres::options=off".parse().expect("a well-formed directive");
    tracing_subscriber::fmt()
        .with_env_filter(filter.add_directive(address))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
}
