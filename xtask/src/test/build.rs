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

/// Those of them that want a database server, too.
const KEEPING: &str = "server";

/// Those of them that run on each of the two databases.
const CONTROL: &str = "control";

/// Those of them that start databases of their own, by programs that the suite lends.
const FLEET: &str = "fleet";

/// Those of them that start proxies of the mesh.
const MESH: &str = "mesh";

/// Those of them that let programs of others loose on ours, which the suite builds.
const PEERS: &str = "peers";

/// The crate whose tests want a database server, but for those in the file [`EMBEDDED`].
const ON_DATABASES: &str = "store";

/// What its suite is called on the database that needs no server.
const EMBEDDED: &str = "sqlite";

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
pub(crate) fn program(profile: &str, name: &str) -> Result<PathBuf> {
    Ok(shell::target()?.join(folder(profile)).join(name))
}

/// The folder of a profile: cargo keeps `dev` in one of another name.
pub(crate) fn folder(profile: &str) -> &str {
    if profile == "dev" { "debug" } else { profile }
}

/// `cargo test` over the whole workspace; what it runs is for the caller to add.
pub(crate) fn test(profile: &str) -> Command {
    let mut command = cargo(["test", "--workspace", "--no-fail-fast"]);
    command.args(["--profile", profile]);
    command
}

/// The cargo that runs us, at the workspace's root.
pub(crate) fn cargo<const N: usize>(args: [&str; N]) -> Command {
    let mut command = shell::cargo();
    command.args(args).current_dir(shell::root());
    command
}

/// Names of integration tests, by what they need.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct TestNames {
    /// They start our programs.
    pub(super) black_box: Vec<String>,
    /// They start our programs, and these want a database server.
    pub(super) keeping: Vec<String>,
    /// They start our programs, on each database in turn.
    pub(super) control: Vec<String>,
    /// They start our programs, and databases of their own.
    pub(super) fleet: Vec<String>,
    /// They start our programs, proxies of the mesh among them.
    pub(super) mesh: Vec<String>,
    /// They start our programs, and those of others.
    pub(super) peers: Vec<String>,
    /// They run the store's suite, one on each database.
    pub(super) databases: Vec<String>,
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
                names.add(package["name"].as_str().unwrap_or_default(), name);
            }
        }
        Ok(names)
    }

    fn add(&mut self, package: &str, name: String) {
        match package {
            BLACK_BOX if name == KEEPING => self.keeping.push(name),
            BLACK_BOX if name == CONTROL => self.control.push(name),
            BLACK_BOX if name == FLEET => self.fleet.push(name),
            BLACK_BOX if name == MESH => self.mesh.push(name),
            BLACK_BOX if name == PEERS => self.peers.push(name),
            BLACK_BOX => self.black_box.push(name),
            ON_DATABASES => {
                // On the embedded one it is quick and needs nothing: part of the inner loop, too.
                if name == EMBEDDED {
                    self.plain.push(name.clone());
                }
                self.databases.push(name);
            }
            _ => self.plain.push(name),
        }
    }
}
