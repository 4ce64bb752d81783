//! Instructions that a program spends in the functions of given names, counted by callgrind.
//!
//! Wall time on a shared machine says nothing about a change of 2 %; instructions do. A program
//! that takes a number of requests as its last argument is run twice, and the difference is the
//! cost of the requests between: start, warm-up and end cancel out.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::{setup, shell};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Counts functions whose name contains this; may be given several times.
    #[arg(long, required = true)]
    symbol: Vec<String>,
    /// The number given to the run whose cost is taken away.
    #[arg(long, default_value_t = 1_000)]
    warmup: u64,
    /// How many more the other run does.
    #[arg(long, default_value_t = 10_000)]
    count: u64,
    /// The program and its arguments; the number comes last.
    #[arg(required = true, trailing_var_arg = true)]
    command: Vec<OsString>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    setup::apt(&["valgrind"])?;
    let (program, rest) = args.command.split_first().context("no program")?;
    let own: Vec<_> = args.symbol.iter().map(String::as_str).collect();
    let count = |number: u64| {
        let mut all = rest.to_vec();
        all.push(number.to_string().into());
        instructions(Path::new(program), &all, &own)
    };
    let spent = count(args.warmup + args.count)?.saturating_sub(count(args.warmup)?);
    let each = spent as f64 / args.count as f64;
    writeln!(std::io::stdout(), "{spent} instructions, {each:.1} each")?;
    Ok(())
}

/// Runs the program under callgrind; returns the instructions executed in functions whose name
/// contains one of `own`, without what those call.
pub(crate) fn instructions(program: &Path, arguments: &[OsString], own: &[&str]) -> Result<u64> {
    let file = Profile::new();
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--quiet", "--compress-strings=no", "--compress-pos=no"]);
    let mut out = OsString::from("--callgrind-out-file=");
    out.push(&file.0);
    valgrind.arg(out).arg(program).args(arguments).stdout(Stdio::null());
    shell::run(&mut valgrind)?;
    let text = std::fs::read(&file.0).context("reading what callgrind wrote")?;
    let text = String::from_utf8_lossy(&text);
    let costs = self_costs(&text);
    let ours = |name: &str| own.iter().any(|part| name.contains(part));
    Ok(costs.iter().filter(|(name, _)| ours(name)).map(|(_, cost)| cost).sum())
}

/// The file that callgrind writes, removed when this is dropped.
struct Profile(PathBuf);

impl Profile {
    fn new() -> Self {
        let name = format!("heddle-callgrind-{}.out", std::process::id());
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for Profile {
    fn drop(&mut self) {
        // It is missing if valgrind never came to write it.
        let _missing = std::fs::remove_file(&self.0);
    }
}

/// Cost by function. `fn=` names the function of the lines that follow, each a position and a
/// cost; the line after `calls=` is what a callee cost, which counts for the callee.
fn self_costs(profile: &str) -> HashMap<&str, u64> {
    let mut costs = HashMap::new();
    let (mut function, mut called) = (None, false);
    for line in profile.lines() {
        if let Some(name) = line.strip_prefix("fn=") {
            function = Some(name);
        } else if line.starts_with("calls=") {
            called = true;
        } else if let (Some(name), Some(cost)) = (function, cost(line))
            && !std::mem::take(&mut called)
        {
            *costs.entry(name).or_default() += cost;
        }
    }
    costs
}

/// The cost on a line that begins with a position; none on lines that say something else.
fn cost(line: &str) -> Option<u64> {
    let mut words = line.split(' ');
    words.next()?.parse::<u64>().ok()?;
    words.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_callee_costs_is_not_the_callers() {
        let profile = "positions: line\nevents: Ir\n\nfl=a.rs\nfn=proxy::route\n10 5\n\
                       cfn=hyper::parse\ncalls=1 20\n11 900\n12 7\n\n\
                       fn=hyper::parse\n20 900\nfi=b.rs\n3 1\n\nfn=proxy::route\n0 2\n\
                       totals: 915\n";
        let costs = self_costs(profile);
        assert_eq!(costs["proxy::route"], 14);
        assert_eq!(costs["hyper::parse"], 901);
        assert_eq!(costs.values().sum::<u64>(), 915);
    }
}
