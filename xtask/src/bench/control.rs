//! `bench control`: from a commit's reply to the first request that obeys it, and what the server
//! costs with many nodes attached.
//!
//! No peer stands beside it: none of them says when a change is acknowledged in a way that could be
//! compared. So these are figures of this machine, and no claim.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::shell;
use crate::test::build;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Routes in all.
    #[arg(long, default_value_t = 5_000)]
    routes: u32,
    /// Workspaces that share them.
    #[arg(long, default_value_t = 200)]
    workspaces: u32,
    /// Changes that are measured in each case.
    #[arg(long, default_value_t = 200)]
    changes: u32,
    /// Simulated nodes beside the gateway, a case each.
    #[arg(long, value_delimiter = ',', default_values_t = [0, 100, 2_000])]
    nodes: Vec<u32>,
    /// Small enough for CI: shows that all works, measures nothing.
    #[arg(long)]
    smoke: bool,
    /// The build profile of our programs; figures of another than the default mean nothing.
    #[arg(long, default_value = "release")]
    profile: String,
    /// Where to write the results as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let mut build = shell::cargo();
    build.args(["build", "--locked", "--profile", &args.profile]);
    build.args(["-p", "gateway", "-p", "console", "-p", "e2e", "--bins"]);
    shell::run(&mut build)?;
    let (routes, workspaces, changes, nodes) = if args.smoke {
        (40, 4, 5, vec![0, 10])
    } else {
        (args.routes, args.workspaces, args.changes, args.nodes.clone())
    };
    let mut told = Vec::new();
    for nodes in nodes {
        let mut measure = Command::new(build::program(&args.profile, "propagation")?);
        for (name, number) in
            [("routes", routes), ("workspaces", workspaces), ("changes", changes), ("nodes", nodes)]
        {
            measure.arg(format!("--{name}")).arg(number.to_string());
        }
        eprintln!("==> {routes} routes in {workspaces} workspaces, {nodes} more nodes");
        let case = shell::output(&mut measure)?;
        let case: Value = serde_json::from_str(&case).context("reading what was measured")?;
        if case["nodes_current"] != nodes {
            bail!("of {nodes} nodes {} came to the last change", case["nodes_current"]);
        }
        told.push(case);
    }
    print(&told)?;
    if let Some(file) = &args.json {
        let samples: Vec<_> = told.iter().map(sample).collect();
        std::fs::write(file, format!("{:#}\n", Value::Array(samples)))
            .with_context(|| format!("writing {}", file.display()))?;
    }
    Ok(())
}

/// In the form that all benchmarks share, with what only this one has behind it.
fn sample(case: &Value) -> Value {
    let mut sample = case.clone();
    sample["case"] = json!(format!("propagation-{}-{}", case["routes"], case["nodes"]));
    sample["subject"] = json!("heddle");
    sample["rss_anon_kib"] = case["server_rss_anon_kib"].clone();
    sample
}

fn print(told: &[Value]) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{:>6} {:>6} {:>20} {:>20} {:>10} {:>10} {:>10} {:>10}",
        "routes",
        "nodes",
        "commit p50/p99 ms",
        "obeyed p50/p99 ms",
        "CPU ms",
        "idle core",
        "server MiB",
        "gateway MiB"
    )?;
    for case in told {
        let number = |name: &str| case[name].as_f64().unwrap_or(f64::NAN);
        let pair = |one: &str, other: &str| {
            format!("{:.1} / {:.1}", number(one) / 1e3, number(other) / 1e3)
        };
        writeln!(
            out,
            "{:>6} {:>6} {:>20} {:>20} {:>10.1} {:>10.3} {:>10.1} {:>10.1}",
            case["routes"],
            case["nodes"],
            pair("commit_p50_us", "commit_p99_us"),
            pair("p50_us", "p99_us"),
            number("server_cpu_per_change_ms"),
            number("server_cores_idle"),
            number("server_rss_anon_kib") / 1024.0,
            number("gateway_rss_anon_kib") / 1024.0,
        )?;
    }
    Ok(())
}
