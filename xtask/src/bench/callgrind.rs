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
fn instructions(program: &Path, arguments: &[OsString], own: &[&str]) -> Result<u64> {
    let threads = profile(program, arguments)?;
    let ours = |place: &Place| own.iter().any(|part| place.function.contains(part));
    let costs = threads.iter().flatten().filter(|(place, _)| ours(place));
    Ok(costs.map(|(_, cost)| cost).sum())
}

/// Where an instruction stands.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    /// The source file of its line; also of a line whose function was inlined into another.
    pub(crate) file: String,
    /// The function that it was compiled into.
    pub(crate) function: String,
}

/// Instructions executed, by place.
pub(crate) type Costs = HashMap<Place, u64>;

/// Runs the program under callgrind; returns what each of its threads executed, in the order in
/// which they were started.
pub(crate) fn profile(program: &Path, arguments: &[OsString]) -> Result<Vec<Costs>> {
    let folder = Folder::new()?;
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--quiet", "--separate-threads=yes"]);
    valgrind.args(["--compress-strings=no", "--compress-pos=no"]);
    let mut out = OsString::from("--callgrind-out-file=");
    out.push(folder.0.join("out"));
    valgrind.arg(out).arg(program).args(arguments).stdout(Stdio::null());
    shell::run(&mut valgrind)?;
    folder.threads()?.iter().map(|file| read(file)).collect()
}

fn read(file: &Path) -> Result<Costs> {
    let text = std::fs::read(file).context("reading what callgrind wrote")?;
    Ok(self_costs(&String::from_utf8_lossy(&text)))
}

/// The folder that callgrind writes into, removed when this is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self> {
        let folder =
            Self(std::env::temp_dir().join(format!("heddle-callgrind-{}", std::process::id())));
        std::fs::create_dir_all(&folder.0)
            .with_context(|| format!("creating {}", folder.0.display()))?;
        Ok(folder)
    }

    /// `out-01`, `out-02` and so on; the file `out` tells nothing that these do not.
    fn threads(&self) -> Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(&self.0)? {
            let entry = entry?;
            if entry.file_name().to_str().is_some_and(|name| name.starts_with("out-")) {
                files.push(entry.path());
            }
        }
        files.sort();
        Ok(files)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left lies in the folder for temporary files, where nobody is surprised by it.
        let _left = std::fs::remove_dir_all(&self.0);
    }
}

/// Cost by place. `fn=` names the function and `fl=`, `fi=` or `fe=` the file of the lines that
/// follow, each a position and a cost; the line after `calls=` is what a callee cost, which counts
/// for the callee.
fn self_costs(profile: &str) -> Costs {
    let mut costs: HashMap<(&str, &str), u64> = HashMap::new();
    let (mut file, mut function, mut called) = ("", None, false);
    for line in profile.lines() {
        if let Some(name) = line.strip_prefix("fn=") {
            function = Some(name);
        } else if let Some(name) = ["fl=", "fi=", "fe="].iter().find_map(|x| line.strip_prefix(x)) {
            file = name;
        } else if line.starts_with("calls=") {
            called = true;
        } else if let (Some(function), Some(cost)) = (function, cost(line))
            && !std::mem::take(&mut called)
        {
            *costs.entry((file, function)).or_default() += cost;
        }
    }
    let owned =
        |(file, function): (&str, &str)| Place { file: file.into(), function: function.into() };
    costs.into_iter().map(|(place, cost)| (owned(place), cost)).collect()
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
        let cost = |file: &str, function: &str| {
            costs[&Place { file: file.into(), function: function.into() }]
        };
        assert_eq!(cost("a.rs", "proxy::route"), 12);
        assert_eq!(cost("a.rs", "hyper::parse"), 900);
        assert_eq!(cost("b.rs", "hyper::parse"), 1);
        assert_eq!(cost("b.rs", "proxy::route"), 2);
        assert_eq!(costs.values().sum::<u64>(), 915);
    }
}
