//! `hub`: the server of a benchmark's mesh; prints how proxies join it as one JSON object, and runs
//! until it is ended.
#![forbid(unsafe_code)]

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Parser;
use e2e::fleet::{Fleet, Kind, Plan};
use serde_json::json;

#[derive(Debug, Parser)]
#[command(about = "Run a server that proxies of a mesh may join")]
struct Args {
    /// What it is told of, YAML.
    #[arg(long)]
    objects: PathBuf,
    /// How many proxies may join.
    #[arg(long, default_value_t = 2)]
    proxies: u32,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let args = Args::parse();
    let objects = std::fs::read_to_string(&args.objects)
        .with_context(|| format!("reading {}", args.objects.display()))?;
    let fleet = Fleet::start(Plan::default()).await;
    fleet.change(&objects).await;
    let token = fleet.join_token_of(Kind::Mesh, "local", args.proxies).await;
    let told = json!({ "nodes": fleet.nodes.to_string(), "token": token });
    writeln!(std::io::stdout(), "{told}")?;
    std::future::pending().await
}
