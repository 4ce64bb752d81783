//! `cargo xtask tidy`: what must hold of the workspace as a whole, checked in a few seconds.
//!
//! Each rule is a pure function over a [`Workspace`]: the crates as `cargo metadata` tells them,
//! what `cargo tree` resolves, and the text of every file that git knows. So each rule has a test
//! in which it fires, over a small made-up workspace. All faults are printed at once, each as
//! `file or crate: what is wrong: what would be right`.

use std::fmt;
use std::io::Write;
use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::shell;

mod crates;
mod fields;
mod layers;
mod licences;
mod sources;
mod texts;
mod tree;
mod workspace;

#[cfg(test)]
mod tests;

use workspace::Workspace;

/// What `cargo xtask tidy` may be told.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Another workspace to look at; the tests of tidy itself use it.
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Only name the rules.
    #[arg(long)]
    list: bool,
}

/// Runs every rule and prints every fault; one fault is enough to fail.
pub(crate) fn run(args: &Args) -> Result<()> {
    let mut out = std::io::stdout().lock();
    if args.list {
        for rule in RULES {
            writeln!(out, "{}", rule.name)?;
        }
        return Ok(());
    }
    let root = args.root.clone().unwrap_or_else(shell::root);
    let faults = check(&Workspace::load(&root)?);
    for fault in &faults {
        writeln!(out, "{fault}")?;
    }
    if !faults.is_empty() {
        bail!("tidy found {} fault(s), listed above", faults.len());
    }
    writeln!(out, "tidy: {} rules hold", RULES.len())?;
    Ok(())
}

/// One thing that is not as the rules say.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Fault {
    /// The file or crate.
    place: String,
    wrong: String,
    right: String,
}

impl Fault {
    fn new(place: impl Into<String>, wrong: impl Into<String>, right: impl Into<String>) -> Self {
        Self { place: place.into(), wrong: wrong.into(), right: right.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.place, self.wrong, self.right)
    }
}

struct Rule {
    name: &'static str,
    check: fn(&Workspace) -> Vec<Fault>,
}

const RULES: &[Rule] = &[
    Rule { name: "who may import whom", check: layers::edges },
    Rule { name: "one owner for each heavy library", check: layers::owners },
    Rule { name: "what is never linked", check: tree::never_linked },
    Rule { name: "licences", check: licences::allowed },
    Rule { name: "pure crates stay pure", check: sources::pure },
    Rule { name: "no mod.rs", check: sources::no_mod_rs },
    Rule { name: "module docs", check: sources::module_docs },
    Rule { name: "no ignored tests", check: sources::no_ignored_tests },
    Rule { name: "no rooms without a name", check: sources::named_modules },
    Rule { name: "no crates without a name", check: crates::named },
    Rule { name: "no unsafe code", check: crates::forbid_unsafe },
    Rule { name: "workspace lints", check: crates::workspace_lints },
    Rule { name: "versions in one place", check: crates::versions_in_root },
    Rule { name: "every crate on the map", check: crates::on_the_map },
    Rule { name: "links lead somewhere", check: texts::links },
    Rule { name: "tests that are named are there", check: fields::named },
    Rule { name: "every field has its test", check: fields::held },
    Rule { name: "no machine in the text", check: texts::machine_paths },
    Rule { name: "no registry but the public ones", check: texts::registries },
];

fn check(workspace: &Workspace) -> Vec<Fault> {
    RULES.iter().flat_map(|rule| (rule.check)(workspace)).collect()
}
