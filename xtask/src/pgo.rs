//! `cargo xtask pgo`: the gateway, built by a profile of its own work (profile-guided optimisation).
//!
//! A first build counts how often each branch is taken while it serves; a second one puts what is taken
//! often into one place and inlines there. Counts are for functions as this compiler sees them in this tree,
//! so they are taken anew each time.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::bench::training::{self, Programs};
use crate::test::build;
use crate::{setup, shell};

/// What is built by the counts, with a function that no other program has, and that has counted if this one was
/// heard: package, program, and a part of the function's symbol.
const GUIDED: [(&str, &str, &str); 2] =
    [("gateway", "heddle-gateway", "14heddle_gateway4main"), ("e2e", "bare", "4bare7forward")];
/// What the work is done with.
const BESIDE: [(&str, &str); 2] = [("e2e", "exchanges"), ("e2e", "callee")];
/// Separates the words of `CARGO_ENCODED_RUSTFLAGS`.
const BETWEEN: &str = "\u{1f}";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The build profile; another than the default is for trying out.
    #[arg(long, default_value = "release")]
    profile: String,
    /// How long each kind of work is done while branches are counted.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=60))]
    seconds: u64,
    /// Builds by what was counted before: the same tree, compiler and counts make the same program.
    #[arg(long, conflicts_with = "seconds")]
    counts: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let workshop = Workshop::open(&args.profile)?;
    let counts = match &args.counts {
        Some(file) => {
            std::path::absolute(file).with_context(|| format!("finding {}", file.display()))?
        }
        None => workshop.count(args.seconds)?,
    };
    ensure!(counts.is_file(), "there is no {}", counts.display());
    let guided = workshop.build_by(&counts)?;
    let [gateway, bare] = GUIDED.map(|(_, program, _)| guided.join(program));
    training::try_out(&gateway, &bare)?;
    for (_, name, _) in GUIDED {
        replace(&guided.join(name), &workshop.dir.join(name))?;
    }
    if args.counts.is_none() {
        workshop.forget_counts_but(&counts)?;
    }
    let mut out = io::stdout().lock();
    writeln!(out, "{}", workshop.dir.join("heddle-gateway").display())?;
    writeln!(out, "by the counts in {}", counts.display())?;
    Ok(())
}

/// Where a program lies once it is built by counts with that profile.
pub(crate) fn program(profile: &str, name: &str) -> Result<PathBuf> {
    Ok(folder(profile)?.join(name))
}

/// Whether a program is built by counts.
pub(crate) fn has(name: &str) -> bool {
    GUIDED.iter().any(|(_, program, _)| *program == name)
}

/// Where all of a profile lies: what was counted beside what was built by it.
fn folder(profile: &str) -> Result<PathBuf> {
    Ok(shell::target()?.join("pgo").join(build::folder(profile)))
}

/// Where both builds are made.
struct Workshop<'a> {
    dir: PathBuf,
    profile: &'a str,
    /// Named to cargo, so that what runs while it builds gets none of the flags.
    host: String,
}

impl<'a> Workshop<'a> {
    fn open(profile: &'a str) -> Result<Self> {
        let dir = folder(profile)?;
        std::fs::create_dir_all(&dir).with_context(|| format!("creating {}", dir.display()))?;
        let said = shell::output(Command::new("rustc").arg("-vV"))?;
        let host = said.lines().find_map(|line| line.strip_prefix("host: "));
        let host = host.context("rustc does not say what it runs on")?.to_owned();
        Ok(Self { dir, profile, host })
    }

    /// Where a build leaves its programs.
    fn programs(&self, name: &str) -> PathBuf {
        self.dir.join(name).join(&self.host).join(build::folder(self.profile))
    }

    /// Builds what counts, has it work, and returns what was counted.
    fn count(&self, seconds: u64) -> Result<PathBuf> {
        let profdata = setup::llvm_profdata()?;
        let raw = self.dir.join("counts");
        if raw.exists() {
            std::fs::remove_dir_all(&raw)?;
        }
        let counting = shell::step("building what counts", Duration::from_secs(420), || {
            let all = GUIDED.iter().map(|(package, program, _)| (*package, *program));
            // By the same profile: another would give functions other names, and no count would find its own.
            self.build("counting", &[flag("-Cprofile-generate=", &raw)], all.chain(BESIDE))
        })?;
        let programs = Programs {
            gateway: counting.join("heddle-gateway"),
            bare: counting.join("bare"),
            exchanges: counting.join("exchanges"),
            callee: counting.join("callee"),
        };
        shell::step("counting", Duration::from_secs(20 * seconds), || {
            training::train(&programs, seconds)
        })?;
        let counts = merged(&profdata, &self.dir, &raw)?;
        for (_, program, function) in GUIDED {
            ensure!(was_heard(&profdata, &counts, function)?, "{program} left no counts");
        }
        Ok(counts)
    }

    /// Builds what is guided; returns where it lies.
    fn build_by(&self, counts: &Path) -> Result<PathBuf> {
        shell::step("building by the counts", Duration::from_secs(300), || {
            // What nobody did meanwhile is not rare for everybody: it is not made small at the cost of time.
            let flags = [flag("-Cprofile-use=", counts), "-Cllvm-args=-pgso=false".into()];
            let all = GUIDED.iter().map(|(package, program, _)| (*package, *program));
            self.build("guided", &flags, all)
        })
    }

    /// Removes what was counted before.
    fn forget_counts_but(&self, counts: &Path) -> Result<()> {
        for entry in std::fs::read_dir(&self.dir)? {
            let file = entry?.path();
            if file != counts && file.extension().is_some_and(|end| end == "profdata") {
                std::fs::remove_file(&file)?;
            }
        }
        Ok(())
    }

    /// Builds programs with flags of the compiler, in a folder of their own; returns where they lie.
    fn build<'p>(
        &self,
        name: &str,
        flags: &[OsString],
        programs: impl Iterator<Item = (&'p str, &'p str)>,
    ) -> Result<PathBuf> {
        let dir = self.dir.join(name);
        let mut cargo = build::cargo(["build", "--quiet", "--profile", self.profile]);
        cargo.args(["--target", &self.host]).arg("--target-dir").arg(&dir);
        for (package, program) in programs {
            cargo.args(["-p", package, "--bin", program]);
        }
        cargo.env("CARGO_ENCODED_RUSTFLAGS", with_those_of_the_caller(flags));
        shell::run(&mut cargo)?;
        Ok(self.programs(name))
    }
}

fn flag(name: &str, path: &Path) -> OsString {
    let mut flag = OsString::from(name);
    flag.push(path);
    flag
}

/// Puts a file where another may be: beside it first, since one that runs cannot be written over.
fn replace(from: &Path, to: &Path) -> Result<()> {
    let beside = to.with_extension("new");
    std::fs::copy(from, &beside).with_context(|| format!("copying {}", from.display()))?;
    std::fs::rename(&beside, to).with_context(|| format!("putting {} there", to.display()))
}

/// Flags after those that cargo was told by the environment; its files are not looked at.
fn with_those_of_the_caller(flags: &[OsString]) -> OsString {
    let told = std::env::var("CARGO_ENCODED_RUSTFLAGS").ok();
    let plain = || std::env::var("RUSTFLAGS").unwrap_or_default();
    let told = told.unwrap_or_else(|| plain().split_whitespace().collect::<Vec<_>>().join(BETWEEN));
    let told = (!told.is_empty()).then(|| OsString::from(told));
    let all: Vec<_> = told.iter().chain(flags).map(OsString::as_os_str).collect();
    all.join(BETWEEN.as_ref())
}

/// What all programs counted, in a file named after what is in it: the compiler's flags name the file,
/// so cargo builds anew where the counts are others, and else does not.
fn merged(profdata: &Path, dir: &Path, raw: &Path) -> Result<PathBuf> {
    let merged = dir.join("merged.profdata");
    let mut merge = Command::new(profdata);
    shell::run(merge.args(["merge", "-o"]).arg(&merged).arg(raw))?;
    let digest = setup::digest(&std::fs::read(&merged)?);
    let named = dir.join(format!("{digest}.profdata"));
    std::fs::rename(&merged, &named)?;
    Ok(named)
}

/// Whether a function whose symbol contains `part` was called while it counted.
fn was_heard(profdata: &Path, counts: &Path, part: &str) -> Result<bool> {
    let mut show = Command::new(profdata);
    let said = shell::output(show.args(["show", "--counts", "--function", part]).arg(counts))?;
    Ok(counted(&said))
}

/// Reads lines of `Block counts: [0, 7]`.
fn counted(said: &str) -> bool {
    let counts = said.lines().filter_map(|line| line.trim().strip_prefix("Block counts: ["));
    let counts = counts.flat_map(|list| list.trim_end_matches(']').split(", "));
    counts.filter_map(|count| count.parse::<u64>().ok()).any(|count| count > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_that_was_never_called_was_not_heard() {
        let never = "Counters:\n  _ZN14heddle_gateway4main17h0E:\n    Hash: 0x1\n    Counters: 2\n    \
            Block counts: [0, 0]\nFunctions shown: 1\nMaximum function count: 912\n";
        assert!(!counted(never));
        assert!(counted(&never.replace("[0, 0]", "[0, 7]")));
        assert!(!counted("Functions shown: 0\n"));
    }

    #[test]
    fn what_is_guided_is_known_by_name() {
        assert!(has("heddle-gateway") && has("bare"));
        assert!(!has("load") && !has("heddle-mesh"));
    }
}
