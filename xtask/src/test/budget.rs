//! What a request costs in instructions, held to a budget that is checked in.
//!
//! `exchanges` (a program of `e2e`) sends a number of requests through a proxy in its own process.
//! It runs under callgrind with 1,000 and with 11,000; the difference is what 10,000 cost:
//!
//! - **own**: instructions of source lines in our data-plane crates, whatever function the
//!   compiler inlined them into. The same code counts the same everywhere.
//! - **worker**: everything the worker's thread executed outside the kernel: what we make hyper,
//!   tokio, the standard library and libc do.
//!
//! Other libraries, another compiler or libc cost something else for no fault of ours: the budget
//! says which it was made with, and allows more where they differ.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use super::{Report, build};
use crate::bench::callgrind::{self, Costs, Place};
use crate::{setup, shell};

#[cfg(test)]
mod tests;

/// The profile of the root Cargo.toml that is made for this.
pub(super) const PROFILE: &str = "count";
const WARMUP: u64 = 1_000;
const COUNT: u64 = 10_000;
/// What runs in the data plane and is ours.
const OWN: [&str; 4] = ["model", "policy", "table", "proxy"];
/// What more than the budget passes, in percent.
const SLACK: f64 = 2.0;
/// The same where the budget was made with other things than ours.
const WIDE_SLACK: f64 = 10.0;
const RENEW: &str = "cargo xtask bench budget --renew";

/// What `cargo xtask bench budget` may be told.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Makes what is measured the new budget.
    #[arg(long)]
    renew: bool,
    /// Measures with so many routes beside 100, instead, and fails where a request costs over 10 % more.
    #[arg(long, conflicts_with = "renew", value_parser = clap::value_parser!(u64).range(101..))]
    routes: Option<u64>,
}

/// Prints what a request costs and where, and compares or renews the budget.
pub(crate) fn run(args: &Args) -> Result<()> {
    setup::apt(&["valgrind"])?;
    if let Some(routes) = args.routes {
        return grow(routes as usize);
    }
    let spent = shell::step("instructions of a request", Duration::from_secs(180), measure)?;
    let mut out = std::io::stdout().lock();
    let functions = spent.by(|place| &place.function);
    let files = spent.by(|place| own(&place.file).unwrap_or_default());
    for (title, costs) in [("function", functions), ("file", files)] {
        writeln!(out, "own instructions a request, by {title}:")?;
        for (name, cost) in costs.iter().take(10) {
            writeln!(out, "{cost:8.1}  {name}")?;
        }
    }
    let found = Budget { key: Key::load()?, figures: spent.figures() };
    if args.renew {
        std::fs::write(file(), found.to_text()).context("writing the budget")?;
        writeln!(out, "{}: the budget from now on", found.figures)?;
        return Ok(());
    }
    writeln!(out, "{}", Budget::load()?.judge(&found)?)?;
    Ok(())
}

/// What more routes cost, in percent, may be no more than this.
const GROWTH: f64 = 10.0;

/// Prints what a request costs with 100 routes and with so many, and compares the two.
fn grow(routes: usize) -> Result<()> {
    let (few, many) = (measure()?.figures(), measure_of(routes)?.figures());
    let more = |few: f64, many: f64| 100.0 * (many / few - 1.0);
    let (own, worker) = (more(few.own, many.own), more(few.worker, many.worker));
    let mut out = std::io::stdout().lock();
    writeln!(out, "with 100 routes: {few}")?;
    writeln!(out, "with {routes}: {many}, which is {own:+.1} % and {worker:+.1} %")?;
    ensure!(worker <= GROWTH, "a request may cost {GROWTH} % more, not {worker:.1} %");
    Ok(())
}

/// Counts as one check of `cargo xtask test`.
pub(super) fn check(report: &mut Report) {
    let title = "instructions of a request";
    if let Err(error) = setup::apt(&["valgrind"]) {
        return report.skip(title, &format!("{error:#}"));
    }
    report.check(title, Duration::from_secs(180), || {
        let found = Budget { key: Key::load()?, figures: measure()?.figures() };
        eprintln!("    {}", Budget::load()?.judge(&found)?);
        Ok(())
    });
}

/// What a request costs.
#[derive(Debug, Default)]
struct Spent {
    /// Lines of ours on all threads.
    own: HashMap<Place, f64>,
    /// The worker's thread.
    worker: f64,
}

/// What a request costs where there are 100 routes.
fn measure() -> Result<Spent> {
    measure_of(100)
}

/// The same of so many routes, spread over hosts where they are more.
fn measure_of(routes: usize) -> Result<Spent> {
    let mut cargo = build::cargo(["build", "--quiet", "--profile", PROFILE]);
    shell::run(cargo.args(["-p", "e2e", "--bin", "exchanges"]))?;
    let program = build::program(PROFILE, "exchanges")?;
    let count = |number: u64| {
        let arguments = ["--routes".to_owned(), routes.to_string(), number.to_string()];
        callgrind::profile(&program, &arguments.map(OsString::from))
    };
    Spent::between(&count(WARMUP)?, &count(WARMUP + COUNT)?)
}

/// The file's path inside the workspace, where it is one of ours. The way to the workspace does
/// not count: clones share a build folder, and what is built may name the other one.
fn own(file: &str) -> Option<&str> {
    let found = OWN.iter().find_map(|name| file.find(&format!("/{name}/src/")));
    found.map(|at| &file[at + 1..])
}

impl Spent {
    /// What the second run did more than the first, for each request.
    fn between(few: &[Costs], many: &[Costs]) -> Result<Self> {
        ensure!(few.len() == many.len(), "the two runs had different threads");
        let mut spent = Self::default();
        for (few, many) in few.iter().zip(many) {
            let mut thread = 0.0;
            for (place, cost) in many {
                let before = few.get(place).copied().unwrap_or_default();
                let each = (*cost as f64 - before as f64) / COUNT as f64;
                thread += each;
                if own(&place.file).is_some() {
                    *spent.own.entry(place.clone()).or_default() += each;
                }
            }
            // Caller and origin do next to nothing: the worker is the thread with the most to do.
            spent.worker = spent.worker.max(thread);
        }
        ensure!(
            !spent.own.is_empty(),
            "no line of ours was seen: does {PROFILE} keep line tables?"
        );
        Ok(spent)
    }

    fn figures(&self) -> Figures {
        Figures { own: self.own.values().sum(), worker: self.worker }
    }

    /// Own cost summed by a part of its place, the dearest first.
    fn by(&self, part: fn(&Place) -> &str) -> Vec<(&str, f64)> {
        let mut sums: HashMap<&str, f64> = HashMap::new();
        for (place, cost) in &self.own {
            *sums.entry(part(place)).or_default() += cost;
        }
        let mut sums: Vec<_> = sums.into_iter().collect();
        sums.sort_by(|(_, one), (_, other)| other.total_cmp(one));
        sums
    }
}

/// Instructions a request.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Figures {
    own: f64,
    worker: f64,
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.1} own, {:.1} on the worker's thread", self.own, self.worker)
    }
}

/// What figures can be compared by.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Key {
    /// The digest of Cargo.lock.
    lock: String,
    /// What `rustc -V` says.
    rustc: String,
    /// What `getconf GNU_LIBC_VERSION` says: the program is linked to the machine's own.
    libc: String,
}

impl Key {
    fn load() -> Result<Self> {
        let lock = std::fs::read(shell::root().join("Cargo.lock")).context("reading Cargo.lock")?;
        let said = |program: &str, argument: &str| {
            Ok::<_, anyhow::Error>(
                shell::output(Command::new(program).arg(argument))?.trim().to_owned(),
            )
        };
        let (rustc, libc) = (said("rustc", "-V")?, said("getconf", "GNU_LIBC_VERSION")?);
        Ok(Self { lock: setup::digest(&lock), rustc, libc })
    }
}

/// Figures and what they were measured with.
#[derive(Debug, Clone, PartialEq)]
struct Budget {
    key: Key,
    figures: Figures,
}

fn file() -> PathBuf {
    shell::root().join("xtask/budget.json")
}

impl Budget {
    fn load() -> Result<Self> {
        let text = std::fs::read_to_string(file())
            .with_context(|| format!("there is no budget; make one with `{RENEW}`"))?;
        Self::parse(&text).context("xtask/budget.json is not as it was written")
    }

    fn parse(text: &str) -> Result<Self> {
        let said: Value = serde_json::from_str(text)?;
        let text = |name: &str| said[name].as_str().map(str::to_owned).context("a text is missing");
        let number = |name: &str| said[name].as_f64().context("a figure is missing");
        let key = Key { lock: text("cargoLock")?, rustc: text("rustc")?, libc: text("libc")? };
        Ok(Self { key, figures: Figures { own: number("own")?, worker: number("worker")? } })
    }

    /// As it is checked in: rounded, so that a new one differs only where something changed.
    fn to_text(&self) -> String {
        let said = json!({
            "cargoLock": self.key.lock,
            "rustc": self.key.rustc,
            "libc": self.key.libc,
            "own": self.figures.own.round(),
            "worker": self.figures.worker.round(),
        });
        format!("{said:#}\n")
    }

    /// Whether what was found is within this budget; says so, or what to do.
    fn judge(&self, found: &Self) -> Result<String> {
        let same = self.key == found.key;
        let slack = if same { SLACK } else { WIDE_SLACK };
        let (budget, spent) = (self.figures, found.figures);
        let mut said = spent.to_string();
        for (what, budget, spent) in [
            ("of our own lines", budget.own, spent.own),
            ("on the worker's thread", budget.worker, spent.worker),
        ] {
            let more = 100.0 * (spent / budget - 1.0);
            if more > slack {
                bail!(
                    "a request costs {spent:.1} instructions {what}, {more:.1} % above the budget \
                     of {budget} ({slack} % allowed): make it cheaper, or accept it with \
                     `{RENEW}` and say why in the commit"
                );
            }
            if same && -more > slack {
                said +=
                    &format!("; {:.1} % below the budget {what}: hold it with `{RENEW}`", -more);
            }
        }
        if !same {
            said += &format!(
                "; the budget is of another Cargo.lock, compiler or libc and lets pass {slack} %: \
                 renew it with `{RENEW}`"
            );
        }
        Ok(said)
    }
}
