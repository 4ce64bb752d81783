//! `cargo xtask bench`: Heddle beside its peers, in the same run, by the method of
//! `docs/benchmarks.md`.

use anyhow::Result;

use crate::test::budget;

mod bed;
pub(crate) mod callgrind;
mod case;
mod console;
mod contest;
mod control;
mod drive;
mod edge;
mod mesh;
mod ours;
mod pair;
mod process;
mod proxy;
mod report;
mod spread;
mod stages;
mod subject;
pub(crate) mod training;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Debug, clap::Subcommand)]
enum Bench {
    /// Requests per CPU-second, latency and memory of an edge proxy.
    Edge(edge::Args),
    /// The same of a pair of them, with mutual TLS between, beside two Envoys and a bare pair.
    Mesh(mesh::Args),
    /// From a change to the first request that obeys it, and the server's cost with many nodes.
    Control(control::Args),
    /// How long the lists of a full console take, and how soon its pages are seen.
    Console(console::Args),
    /// Where the time of a request goes at the edge, stage by stage, beside the bare forwarder.
    Stages(stages::Args),
    /// Instructions that a program spends in the functions of given names.
    Callgrind(callgrind::Args),
    /// What a request costs in instructions, beside the budget that is checked in.
    Budget(budget::Args),
}

pub(crate) fn run(args: &Args) -> Result<()> {
    match &args.bench {
        Bench::Edge(args) => edge::run(args),
        Bench::Mesh(args) => mesh::run(args),
        Bench::Control(args) => control::run(args),
        Bench::Console(args) => console::run(args),
        Bench::Stages(args) => stages::run(args),
        Bench::Callgrind(args) => callgrind::run(args),
        Bench::Budget(args) => budget::run(args),
    }
}
