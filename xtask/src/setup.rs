//! Installing what the other tasks need: each function is quick when all is there, says what it
//! does when it is not, and names the exact command where it may not do it itself.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Once;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};

use crate::shell::{output, run, step};

mod go;
mod node;
mod postgres;
mod python;

pub(crate) use go::go_tools;
pub(crate) use node::{node, npm_ci};
pub(crate) use postgres::Postgres;
pub(crate) use python::pip_venv;

/// How long rustup may take to fetch what is missing.
const RUSTUP_LIMIT: Duration = Duration::from_secs(60);

/// Sees to it that these Debian or Ubuntu packages are installed.
pub(crate) fn apt(packages: &[&str]) -> Result<()> {
    let missing = missing(packages);
    if missing.is_empty() {
        return Ok(());
    }
    let wanted = missing.join(" ");
    if !on_path("apt-get") {
        bail!("not on Debian or Ubuntu: install what these packages hold yourself: {wanted}");
    }
    let Some(as_root) = as_root() else {
        bail!("packages are missing; run: sudo apt-get install -y {wanted}");
    };
    step(&format!("installing {wanted}"), Duration::from_secs(60), || {
        static LISTS: Once = Once::new();
        let mut fresh = Ok(());
        LISTS.call_once(|| fresh = run(apt_get(&as_root).args(["-q", "update"])));
        fresh?;
        let install = ["-q", "install", "-y", "--no-install-recommends"];
        run(apt_get(&as_root).args(install).args(&missing))
    })
}

/// Those of `packages` that dpkg does not hold as installed.
fn missing<'a>(packages: &[&'a str]) -> Vec<&'a str> {
    let shown = Command::new("dpkg-query")
        .args(["-W", "-f=${Package} ${db:Status-Status}\n"])
        .args(packages)
        .stderr(Stdio::null())
        .output();
    let shown = shown.map(|out| String::from_utf8_lossy(&out.stdout).into_owned());
    let shown = shown.unwrap_or_default();
    let installed = |name: &str| shown.lines().any(|line| line == format!("{name} installed"));
    packages.iter().copied().filter(|name| !installed(name)).collect()
}

/// What to write before a command for root to run it; none where we may not.
fn as_root() -> Option<Vec<&'static str>> {
    let user = output(Command::new("id").arg("-u")).ok()?;
    if user.trim() == "0" {
        return Some(Vec::new());
    }
    quiet(Command::new("sudo").args(["-n", "true"])).then(|| vec!["sudo", "-n"])
}

fn apt_get(as_root: &[&str]) -> Command {
    let words = [as_root, &["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]].concat();
    let mut command = Command::new(words[0]);
    // Results go to stdout; the noise of an installation is none.
    command.args(&words[1..]).stdout(std::io::stderr());
    command
}

/// Sees to it that the active toolchain compiles for the browser: its own target, or the one that
/// rustup adds within a minute.
pub(crate) fn wasm_target() -> Result<()> {
    if has_wasm_target()? {
        return Ok(());
    }
    step("rustup target add wasm32-unknown-unknown", Duration::from_secs(10), || {
        let mut add = Command::new("rustup");
        add.args(["target", "add", "wasm32-unknown-unknown"]);
        run_within(&mut add, RUSTUP_LIMIT)
    })?;
    if !has_wasm_target()? {
        bail!("rustup added wasm32-unknown-unknown to another toolchain than the active one");
    }
    Ok(())
}

fn has_wasm_target() -> Result<bool> {
    let mut ask = Command::new("rustc");
    ask.args(["--print", "target-libdir", "--target", "wasm32-unknown-unknown"]);
    Ok(Path::new(output(&mut ask)?.trim()).is_dir())
}

/// LLVM's program for profiles, of the active toolchain's own version: no other reads what it writes.
pub(crate) fn llvm_profdata() -> Result<PathBuf> {
    let ask = |what: &[&str]| output(Command::new("rustc").args(what));
    let lib = ask(&["--print", "target-libdir"])?;
    let bin = Path::new(lib.trim()).with_file_name("bin");
    let program = bin.join("llvm-profdata");
    if program.is_file() {
        return Ok(program);
    }
    step("rustup component add llvm-tools", Duration::from_secs(20), || {
        let mut add = Command::new("rustup");
        run_within(add.args(["component", "add", "llvm-tools"]), RUSTUP_LIMIT)
    })?;
    ensure!(program.is_file(), "rustup added llvm-tools to another toolchain than the active one");
    Ok(program)
}

/// Runs `command`, and ends it when it takes longer than `limit`.
fn run_within(command: &mut Command, limit: Duration) -> Result<()> {
    let shown = format!("{command:?}");
    let mut child = command.spawn().with_context(|| format!("starting {shown}"))?;
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return if status.success() { Ok(()) } else { bail!("{shown} ended with {status}") };
        }
        if began.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            bail!("{shown} was not through after {} s", limit.as_secs());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Sees to it that a Redis can be started, which tests do themselves.
pub(crate) fn redis() -> Result<()> {
    match on_path("redis-server") {
        true => Ok(()),
        false => apt(&["redis-server"]),
    }
}

/// The browser that tests drive.
pub(crate) fn chromium() -> Result<PathBuf> {
    const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];
    if let Some(found) = NAMES.iter().find_map(|name| find(name)) {
        return Ok(found);
    }
    apt(&["chromium"])?;
    find("chromium").context("the package chromium brought no program of that name")
}

/// The program of this name on the PATH.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file())
}

fn on_path(program: &str) -> bool {
    find(program).is_some()
}

/// Whether `command` runs and succeeds; what it prints is dropped.
fn quiet(command: &mut Command) -> bool {
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// A short name for these bytes, for stamps that say what a folder was made from.
pub(crate) fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
