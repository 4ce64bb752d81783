//! One build for all suites.
//!
//! Cargo joins the features of the packages that a command selects, so each other selection builds
//! most of the tree anew. Everything here selects the whole workspace with its tests, and chooses
//! what to run by the names of test targets.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::Report;
use crate::shell;

/// The crate whose tests start our programs.
const BLACK_BOX: &str = "e2e";

/// Builds all programs and tests, counted as one check; none if that fails.
pub(super) fn everything(report: &mut Report) -> Option<()> {
    let profile = report.profile().to_owned();
    report.check("build", Duration::from_secs(300), || programs(&profile))
}

/// Builds all programs, as the tests' own build has them.
pub(crate) fn programs(profile: &str) -> Result<()> {
    let mut build = cargo(["build", "--workspace", "--bins", "--tests"]);
    shell::run(build.args(["--profile", profile]))
}

/// Where [`programs`] leaves a program.
pub(super) fn program(profile: &str, name: &str) -> Result<PathBuf> {
    // Cargo keeps the profile `dev` in a folder of another name.
    let folder = if profile == "dev" { "debug" } else { profile };
    Ok(shell::target()?.join(folder).join(name))
}

/// `cargo test` over the whole workspace; what it runs is for the caller to add.
pub(crate) fn test(profile: &str) -> Command {
    let mut command = cargo(["test", "--workspace", "--no-fail-fast"]);
    command.args(["--profile", profile]);
    command
}

/// The cargo that runs us, at the workspace's root.
pub(super) fn cargo<const N: usize>(args: [&str; N]) -> Command {
    let mut command = shell::cargo();
    command.args(args).current_dir(shell::root());
    command
}

/// Names of integration tests, by what they need.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct TestNames {
    /// They start our programs.
    pub(super) black_box: Vec<String>,
    /// They need nothing but themselves.
    pub(super) plain: Vec<String>,
}

impl TestNames {
    /// Asks cargo.
    pub(super) fn load() -> Result<Self> {
        let metadata =
            shell::output(&mut cargo(["metadata", "--no-deps", "--format-version", "1"]))?;
        Self::parse(&serde_json::from_str(&metadata).context("reading cargo metadata")?)
    }

    pub(super) fn parse(metadata: &Value) -> Result<Self> {
        let mut names = Self::default();
        for package in metadata["packages"].as_array().context("metadata has no packages")? {
            let targets = package["targets"].as_array().into_iter().flatten();
            for target in targets.filter(|target| target["kind"][0] == "test") {
                let name = target["name"].as_str().context("a target has no name")?.to_owned();
                let black_box = package["name"] == BLACK_BOX;
                if black_box { &mut names.black_box } else { &mut names.plain }.push(name);
            }
        }
        Ok(names)
    }
}
