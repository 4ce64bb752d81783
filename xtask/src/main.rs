//! `cargo xtask`: everything a person or CI does with the workspace, one module a task.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod bench;
mod codegen;
mod fields;
mod pgo;
mod setup;
mod shell;
mod soak;
mod test;
mod tidy;
mod up;
mod wasm;

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "Build, run, test and measure Heddle")]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Set up, build and start the whole demo; Ctrl-C stops it.
    Up(up::Args),
    /// Install what the tests need and run everything that CI runs.
    Test(test::Args),
    /// Measure Heddle beside its peers, in the same run.
    Bench(bench::Args),
    /// Build the gateway guided by a profile of its own work (PGO): the build for production. Flags of the
    /// compiler are taken from RUSTFLAGS alone, and not from cargo's files.
    Pgo(pgo::Args),
    /// Run one of the long checks at full count.
    Soak(soak::Args),
    /// Build the browser's half of the console and check its size.
    Wasm(wasm::Args),
    /// Check layers, file layout and what must never be imported.
    Tidy(tidy::Args),
    /// Generate what is generated and checked in (JSON Schema, the page of fields); `--check` only compares.
    Codegen(codegen::Args),
}

fn main() -> ExitCode {
    let done = match Args::parse().task {
        Task::Up(args) => up::run(&args),
        Task::Test(args) => test::run(&args),
        Task::Bench(args) => bench::run(&args),
        Task::Pgo(args) => pgo::run(&args),
        Task::Soak(args) => soak::run(&args),
        Task::Wasm(args) => wasm::run(&args),
        Task::Tidy(args) => tidy::run(&args),
        Task::Codegen(args) => codegen::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The chain of causes on one line; a backtrace would tell nobody more.
            eprintln!("{}{error:#}", shell::FAILED);
            ExitCode::from(1)
        }
    }
}
