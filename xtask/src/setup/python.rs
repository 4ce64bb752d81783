//! Programs that come as Python packages, each set in a folder of its own in the cache.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use super::{apt, quiet};
use crate::shell::{cache, run, step};

/// A virtual environment called `name` that holds exactly `packages` (`name==version`) and what
/// they need.
pub(crate) fn pip_venv(name: &str, packages: &[&str]) -> Result<PathBuf> {
    let dir = cache()?.join(format!("venv-{name}"));
    let stamp = dir.join("installed-from");
    let wanted = packages.join("\n");
    let works = quiet(Command::new(dir.join("bin/python")).arg("--version"));
    if works && std::fs::read_to_string(&stamp).is_ok_and(|held| held == wanted) {
        return Ok(dir);
    }
    if !quiet(Command::new("python3").args(["-c", "import ensurepip, venv"])) {
        apt(&["python3", "python3-venv"])?;
    }
    let title = format!("installing {} for Python", packages.join(" "));
    step(&title, Duration::from_secs(30), || fill(&dir, packages))?;
    std::fs::write(&stamp, wanted)?;
    Ok(dir)
}

fn fill(dir: &Path, packages: &[&str]) -> Result<()> {
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(dir))?;
    let mut install = Command::new(dir.join("bin/python"));
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    run(install.args(packages).stdout(std::io::stderr()))
}
