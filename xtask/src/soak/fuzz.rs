//! `cargo xtask soak fuzz`: each target of the crate `fuzz` under libFuzzer, one after the other.
//!
//! Everything that a target runs is compiled anew with counters, by flags that a stable compiler takes,
//! into a folder of its own. What libFuzzer finds worth keeping stays there and is where the next run
//! begins; the seeds in the clone are never written.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::shell;

/// What makes LLVM count edges and tell libFuzzer of comparisons. It hands out sections that are joined
/// by their names, which more than one unit of code would part.
const COUNTED: [&str; 6] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=1",
];

/// The profile of the root manifest: some optimisation, and all checks.
const PROFILE: &str = "fuzz";

/// Runs each target so many minutes, or `only` one; fails at the first input on which a target does not
/// agree with its oracle.
pub(super) fn run(minutes: u64, only: Option<&str>, seed: u64) -> Result<()> {
    let folder = shell::cache()?.join("fuzz");
    let targets: Vec<_> =
        targets()?.into_iter().filter(|name| only.is_none_or(|only| name == only)).collect();
    if targets.is_empty() {
        bail!("there is no such target; fuzz/seeds has a folder for each");
    }
    let program = shell::step("build of the fuzzers", Duration::from_secs(400), || build(&folder))?;
    // libFuzzer takes 32 bits of it, and 0 for none.
    let seed = seed as u32 | 1;
    eprintln!("soak fuzz: {minutes} minutes for each of {}; seed {seed}", targets.join(", "));
    for name in &targets {
        let fuzzer = Fuzzer { program: &program, folder: &folder, name };
        let expected = Duration::from_secs(minutes * 60);
        let outcome = shell::step(name, expected, || fuzzer.run(expected.as_secs(), seed))?;
        say(name, &outcome)?;
    }
    Ok(())
}

/// The targets, each of which has a folder of seeds; a test of the crate sees to that.
fn targets() -> Result<Vec<String>> {
    let folder = shell::root().join("fuzz/seeds");
    let entries = fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))?;
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut names: Vec<_> = names.collect::<Result<_>>()?;
    names.sort();
    Ok(names)
}

fn build(folder: &Path) -> Result<PathBuf> {
    let host = host()?;
    let mut cargo = shell::cargo();
    cargo.current_dir(shell::root()).args(["build", "-p", "fuzz", "--bin", "fuzz"]);
    cargo.args(["--features", "libfuzzer", "--profile", PROFILE]);
    // With a target named, programs that run while building are not counted, and so link.
    cargo.args(["--target", &host]).arg("--target-dir").arg(folder);
    shell::run(
        cargo.env_remove("RUSTFLAGS").env("CARGO_ENCODED_RUSTFLAGS", COUNTED.join("\u{1f}")),
    )?;
    Ok(folder.join(host).join(PROFILE).join("fuzz"))
}

/// The machine for which the compiler compiles by itself.
fn host() -> Result<String> {
    let about = shell::output(Command::new("rustc").arg("-vV"))?;
    let host = about.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc -vV names no host")?.to_owned())
}

/// One target.
#[derive(Debug)]
struct Fuzzer<'a> {
    program: &'a Path,
    folder: &'a Path,
    name: &'a str,
}

impl Fuzzer<'_> {
    fn run(&self, seconds: u64, seed: u32) -> Result<Outcome> {
        let corpus = self.folder.join("corpus").join(self.name);
        let crashes = self.folder.join("crashes");
        for folder in [&corpus, &crashes] {
            fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
        }
        let log = self.folder.join(format!("{}.log", self.name));
        let into = File::create(&log).with_context(|| format!("creating {}", log.display()))?;
        let mut command = Command::new(self.program);
        command.env("HEDDLE_FUZZ", self.name).env("RUST_BACKTRACE", "0");
        command.arg(corpus).arg(shell::root().join("fuzz/seeds").join(self.name));
        command.args(["-print_final_stats=1", "-timeout=10", "-rss_limit_mb=2048"]);
        command.arg(format!("-max_total_time={seconds}")).arg(format!("-seed={seed}"));
        command.arg(format!("-artifact_prefix={}/{}-", crashes.display(), self.name));
        let status = command.stderr(into).status();
        let status = status.with_context(|| format!("starting {}", self.program.display()))?;
        let told = fs::read(&log).with_context(|| format!("reading {}", log.display()))?;
        let told = String::from_utf8_lossy(&told);
        if !status.success() {
            bail!("{}", self.broken(&told, &log));
        }
        outcome(&told).with_context(|| format!("{} says not what was covered", log.display()))
    }

    /// What somebody must know to see it again.
    fn broken(&self, told: &str, log: &Path) -> String {
        let (name, program) = (self.name, shell::quoted(&self.program.display().to_string()));
        match input(told) {
            Some(input) => format!(
                "{name} fails on {input} (see {}); the same again: HEDDLE_FUZZ={name} {program} {}",
                log.display(),
                shell::quoted(input)
            ),
            None => format!("{name} ended badly and wrote no input; see {}", log.display()),
        }
    }
}

/// Where libFuzzer wrote what made the target fail.
fn input(told: &str) -> Option<&str> {
    told.lines().find_map(|line| line.split_once("Test unit written to ").map(|(_, path)| path))
}

/// What came of one run.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    executions: u64,
    per_second: u64,
    before: Covered,
    after: Covered,
}

/// What is covered: `cov:` counts edges, `ft:` also how often each was taken, and what was compared.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Covered {
    edges: u64,
    features: u64,
    /// How many inputs are kept, and their size.
    corpus: String,
}

/// Reads it off what libFuzzer prints.
fn outcome(told: &str) -> Option<Outcome> {
    let mut lines = told.lines().filter_map(covered);
    let before = lines.next()?;
    let after = lines.next_back().unwrap_or_else(|| before.clone());
    let stat = |name: &str| {
        let line = told.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|number| number.trim().parse().ok())
    };
    Some(Outcome {
        executions: stat("stat::number_of_executed_units:")?,
        per_second: stat("stat::average_exec_per_sec:")?,
        before,
        after,
    })
}

/// `#1024 NEW cov: 317 ft: 1542 corp: 497/57Kb ...`
fn covered(line: &str) -> Option<Covered> {
    let mut words = line.strip_prefix('#')?.split_ascii_whitespace();
    let mut after = |name: &str| words.find(|word| *word == name).and_then(|_| words.next());
    Some(Covered {
        edges: after("cov:")?.parse().ok()?,
        features: after("ft:")?.parse().ok()?,
        corpus: after("corp:")?.to_owned(),
    })
}

fn say(name: &str, outcome: &Outcome) -> Result<()> {
    use std::io::Write as _;
    let Outcome { executions, per_second, before, after } = outcome;
    writeln!(
        std::io::stdout(),
        "{name:<14}{executions} executions, {per_second}/s; cov {} -> {}, ft {} -> {}, corpus {}",
        before.edges,
        after.edges,
        before.features,
        after.features,
        after.corpus
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_libfuzzer_prints_is_read() {
        let told = "INFO: seed corpus: files: 8\n\
            #9\tINITED cov: 200 ft: 295 corp: 8/385b exec/s: 0 rss: 36Mb\n\
            \tNEW_FUNC[1/2]: 0x1\n\
            #1024\tNEW    cov: 317 ft: 1542 corp: 497/57Kb lim: 4096 exec/s: 0 rss: 37Mb L: 3/9\n\
            #2048\tDONE   cov: 318 ft: 1600 corp: 500/58Kb lim: 4096 exec/s: 9 rss: 37Mb\n\
            ###### End of recommended dictionary. ######\n\
            stat::number_of_executed_units: 2048\n\
            stat::average_exec_per_sec:     9314\n";
        let covered =
            |edges, features, corpus: &str| Covered { edges, features, corpus: corpus.to_owned() };
        let wanted = Outcome {
            executions: 2048,
            per_second: 9314,
            before: covered(200, 295, "8/385b"),
            after: covered(318, 1600, "500/58Kb"),
        };
        assert_eq!(outcome(told), Some(wanted));
        assert_eq!(outcome("it never began"), None);
        let crashed =
            "artifact_prefix='/c/path-'; Test unit written to /c/path-crash-1\nBase64: YQ==";
        assert_eq!(input(crashed), Some("/c/path-crash-1"));
        assert_eq!(input(told), None);
    }
}
