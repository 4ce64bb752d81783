//! Our own programs: built for a run, or taken as they lie there.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::test::build;
use crate::{pgo, shell};

#[derive(Clone, Debug, clap::Args)]
pub(super) struct Ours {
    /// The build profile of our own programs; figures of another than the default mean nothing.
    #[arg(long, default_value = "release")]
    profile: String,
    /// Takes them as the last build of that profile left them.
    #[arg(long)]
    built: bool,
    /// Takes those that `cargo xtask pgo` builds as it left them.
    #[arg(long)]
    pgo: bool,
}

impl Ours {
    /// The file of a program of the workspace.
    pub(super) fn program(&self, package: &str, name: &str) -> Result<PathBuf> {
        if self.pgo && pgo::has(name) {
            let file = pgo::program(&self.profile, name)?;
            ensure!(file.is_file(), "{name} is not there: `cargo xtask pgo` builds it");
            return Ok(file);
        }
        if self.built {
            let file = build::program(&self.profile, name)?;
            ensure!(file.is_file(), "{name} is not built: there is no {}", file.display());
            return Ok(file);
        }
        self.build(package, name).with_context(|| format!("{name} does not build"))
    }

    fn build(&self, package: &str, name: &str) -> Result<PathBuf> {
        let mut cargo = shell::cargo();
        cargo.current_dir(shell::root()).args(["build", "--profile", &self.profile, "--quiet"]);
        cargo.args(["-p", package, "--bin", name, "--message-format", "json-render-diagnostics"]);
        let out = shell::output(&mut cargo)?;
        let messages = out.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let mut ours = messages.filter(|message| message["target"]["name"] == name);
        let file = ours.find_map(|message| message["executable"].as_str().map(PathBuf::from));
        file.with_context(|| format!("cargo did not say where it put {name}"))
    }
}
