//! `bench console`: how long the lists of a full console take at the server, and how soon its pages
//! are seen in a slow browser.
//!
//! Both have a bound, and what is over it is named in the error that ends the run: the figures are
//! those of this machine, but people wait on such machines too.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::setup::{self, Postgres};
use crate::test::build;
use crate::{shell, wasm};

/// How long a list may take at the server, by the 99th percentile, in microseconds.
const LIST: f64 = 50_000.0;
/// How long the first content of a page may take at a slowed CPU, by the median, in milliseconds.
const PAINT: f64 = 1_000.0;
/// Loads of each page.
const LOADS: u32 = 10;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Small enough for CI: shows that all works, and holds nothing to its bound.
    #[arg(long)]
    smoke: bool,
    /// Measures the server alone, without a browser.
    #[arg(long)]
    no_browser: bool,
    /// Over PostgreSQL, which is started for it, in the place of SQLite.
    #[arg(long)]
    postgres: bool,
    /// The build profile of our programs; figures of another than the default mean nothing.
    #[arg(long, default_value = "release")]
    profile: String,
    /// Takes programs and site as they lie there.
    #[arg(long)]
    built: bool,
    /// Where to write the results as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
    /// What else `fullness` is told, such as `--nodes 500`.
    #[arg(last = true)]
    more: Vec<String>,
}

/// What stands in the place of a company, for a smoke round.
const SMALL: [(&str, u32); 11] = [
    ("routes", 80),
    ("services", 20),
    ("apis", 20),
    ("workspaces", 10),
    ("teams", 5),
    ("users", 5),
    ("clusters", 5),
    ("nodes", 20),
    ("changes", 5),
    ("asks", 6),
    ("rounds", 2),
];

pub(crate) fn run(args: &Args) -> Result<()> {
    if !args.built {
        let mut build = shell::cargo();
        build.args(["build", "--locked", "--profile", &args.profile]);
        build.args(["-p", "gateway", "-p", "console", "-p", "e2e", "--bins"]);
        shell::run(&mut build)?;
    }
    let site = match (args.no_browser, args.built) {
        (true, _) => None,
        (false, true) => Some(shell::target()?.join("site")),
        (false, false) => Some(wasm::build(wasm::PROFILE)?),
    };
    let postgres = args.postgres.then(Postgres::start).transpose()?;
    let told = measure(args, site.as_deref(), postgres.as_ref())?;
    let nodes = &told["nodes"];
    if told["nodes_current"] != *nodes || told["nodes_broken"] != 0 {
        let (current, broken) = (&told["nodes_current"], &told["nodes_broken"]);
        bail!(
            "of {nodes} nodes {current} came to the last change, and {broken} lost their streams"
        );
    }
    print(&told)?;
    if let Some(file) = &args.json {
        std::fs::write(file, format!("{:#}\n", json!(samples(&told))))
            .with_context(|| format!("writing {}", file.display()))?;
    }
    match over(&told) {
        over if over.is_empty() || args.smoke => Ok(()),
        over => bail!("over the bound:\n{over}"),
    }
}

fn measure(args: &Args, site: Option<&Path>, postgres: Option<&Postgres>) -> Result<Value> {
    let mut measure = Command::new(build::program(&args.profile, "fullness")?);
    if args.smoke {
        for (name, number) in SMALL {
            measure.arg(format!("--{name}")).arg(number.to_string());
        }
    }
    if let Some(postgres) = postgres {
        measure.arg("--database").arg(postgres.url());
    }
    measure.args(&args.more);
    if let Some(site) = site {
        let dir = wasm::browser_dir();
        setup::npm_ci(&dir)?;
        let loads = if args.smoke { 1 } else { LOADS };
        measure.arg("--site").arg(site).arg("--").arg(setup::node()?).arg(dir.join("paint.mjs"));
        measure.arg(loads.to_string()).env("HEDDLE_CHROMIUM", setup::chromium()?);
    }
    eprintln!("==> a full installation, and whoever looks at it");
    serde_json::from_str(&shell::output(&mut measure)?).context("reading what was measured")
}

/// What is over its bound, a line each.
fn over(told: &Value) -> String {
    let mut over = String::new();
    for query in list(told, "queries") {
        if query["p99_us"].as_f64().is_some_and(|p99| p99 > LIST) {
            let _ = writeln!(over, "{}: p99 {} ms", name(query), millis(&query["p99_us"]));
        }
    }
    for paint in list(told, "paints") {
        if paint["median_ms"].as_f64().is_none_or(|median| median > PAINT) {
            let _ = writeln!(over, "{}: first paint {} ms", name(paint), paint["median_ms"]);
        }
    }
    over
}

fn list<'t>(told: &'t Value, of: &str) -> impl Iterator<Item = &'t Value> {
    told[of].as_array().into_iter().flatten()
}

fn name(one: &Value) -> String {
    let word = |name: &str| one[name].as_str().unwrap_or_default();
    match word("who") {
        "" | "admin" => word("name").to_owned(),
        who => format!("{} as a {who}", word("name")),
    }
}

/// Microseconds as they are read.
fn millis(micros: &Value) -> String {
    micros.as_f64().map_or("n/a".to_owned(), |micros| format!("{:.1}", micros / 1e3))
}

/// In the form that all benchmarks share.
fn samples(told: &Value) -> Vec<Value> {
    let queries = list(told, "queries").map(|query| (format!("list {}", name(query)), query));
    let paints = list(told, "paints").map(|paint| (format!("paint {}", name(paint)), paint));
    let sample = |(case, one): (String, &Value)| {
        let mut sample = one.clone();
        (sample["case"], sample["subject"]) = (json!(case), json!("heddle"));
        sample
    };
    queries.chain(paints).map(sample).collect()
}

fn print(told: &Value) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "| list | p50 ms | p99 ms | max ms | KiB |\n|---|---|---|---|---|")?;
    for query in list(told, "queries").filter(|query| query["bytes"].is_u64()) {
        let [p50, p99, max] = ["p50_us", "p99_us", "max_us"].map(|field| millis(&query[field]));
        let kib = query["bytes"].as_f64().unwrap_or_default() / 1024.0;
        writeln!(out, "| `{}` | {p50} | {p99} | {max} | {kib:.0} |", name(query))?;
    }
    writeln!(out, "\n| page | first paint: median ms | max ms |\n|---|---|---|")?;
    for paint in list(told, "paints") {
        let [median, max] = ["median_ms", "max_ms"].map(|field| paint[field].as_f64());
        let [median, max] = [median, max].map(|ms| ms.unwrap_or(f64::NAN));
        writeln!(out, "| `{}` | {median:.0} | {max:.0} |", name(paint))?;
    }
    Ok(())
}
