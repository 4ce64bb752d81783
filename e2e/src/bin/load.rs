//! `load`: sends requests at a fixed rate and prints what came of them as one JSON object.
#![forbid(unsafe_code)]

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;

use e2e::load::{Plan, Protocol};

#[derive(Debug, Parser)]
#[command(
    about = "Send GET requests, or calls, at a fixed rate; latency counts from the intended moment"
)]
struct Args {
    /// The address to dial.
    target: SocketAddr,
    #[arg(long, value_enum, default_value_t = Protocol::H1)]
    protocol: Protocol,
    #[arg(long, default_value = "localhost")]
    host: String,
    #[arg(long, default_value = "/")]
    path: String,
    /// The length that every body must have.
    #[arg(long)]
    body: Option<u64>,
    /// The certificate to trust, PEM.
    #[arg(long)]
    ca: Option<PathBuf>,
    #[arg(long, default_value_t = 1)]
    connections: u32,
    /// Requests per second over all connections.
    #[arg(long, default_value_t = 1.0)]
    rate: f64,
    /// Seconds of requests that are not counted.
    #[arg(long, default_value_t = 0.0)]
    warmup: f64,
    /// Seconds of requests that are; at least one request is sent.
    #[arg(long, default_value_t = 0.0)]
    seconds: f64,
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    let plan = Plan {
        target: args.target,
        protocol: args.protocol,
        host: args.host,
        path: args.path,
        body: args.body,
        ca: args.ca,
        connections: args.connections,
        rate: args.rate,
        warmup: Duration::try_from_secs_f64(args.warmup)?,
        duration: Duration::try_from_secs_f64(args.seconds)?,
    };
    let tally = plan.run()?;
    writeln!(std::io::stdout(), "{}", tally.to_json())?;
    Ok(if tally.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
