//! Starting a program again that ended: `up again` asks, by a file, and the demo does it.
//!
//! So the demo knows all that runs of it, and stops it in the end.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// Asks the demo that keeps its files in `data` for a program, and waits until it is ready.
pub(super) fn ask(data: &Path, name: &str, bound: Duration) -> Result<()> {
    may_start(&summary(data)?, name)?;
    let file = file(data, name);
    let folder = data.join(FOLDER);
    fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    fs::write(&file, "").with_context(|| format!("writing {}", file.display()))?;
    let began = Instant::now();
    // It goes away once the program is ready.
    while file.exists() {
        if began.elapsed() > bound {
            bail!("{name} did not start within {} s; the demo tells why", bound.as_secs());
        }
        std::thread::sleep(PAUSE);
    }
    if is_gone(&summary(data)?, name) {
        bail!("{name} did not start; the demo tells why");
    }
    Ok(())
}

/// What the demo says of itself.
fn summary(data: &Path) -> Result<Value> {
    let Ok(text) = fs::read_to_string(data.join("up.json")) else {
        bail!("no demo runs from this folder; start it: cargo xtask up");
    };
    serde_json::from_str(&text).context("reading up.json")
}

fn is_gone(summary: &Value, name: &str) -> bool {
    let mut processes = summary["processes"].as_array().into_iter().flatten();
    processes.any(|process| process["name"] == name && process["pid"].is_null())
}

/// Whether a program is there by this name, and ended.
fn may_start(summary: &Value, name: &str) -> Result<()> {
    let processes = || summary["processes"].as_array().into_iter().flatten();
    let Some(process) = processes().find(|process| process["name"] == name) else {
        let ended = processes().filter(|process| process["pid"].is_null());
        let ended: Vec<_> = ended.filter_map(|process| process["name"].as_str()).collect();
        match ended.is_empty() {
            true => bail!("the demo has no program '{name}', and all that it has run"),
            false => bail!("the demo has no program '{name}'; these ended: {}", ended.join(", ")),
        }
    };
    if !process["pid"].is_null() {
        bail!("{name} runs, as process {}", process["pid"]);
    }
    Ok(())
}

/// The programs that are asked for.
pub(super) fn asked(data: &Path) -> Vec<String> {
    let files = fs::read_dir(data.join(FOLDER)).into_iter().flatten().flatten();
    files.filter_map(|file| file.file_name().into_string().ok()).collect()
}

/// Says that one was started, or that there is nothing to start.
pub(super) fn done(data: &Path, name: &str) -> Result<()> {
    let file = file(data, name);
    match fs::remove_file(&file) {
        // Whoever asked took it back.
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed.with_context(|| format!("removing {}", file.display())),
    }
}

const FOLDER: &str = "again";

fn file(data: &Path, name: &str) -> PathBuf {
    data.join(FOLDER).join(name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_ended_is_started_again() {
        let summary = json!({ "processes": [
            { "name": "orders-east", "pid": 7 },
            { "name": "catalog-v1-east", "pid": null },
        ]});
        let refused = |name| may_start(&summary, name).unwrap_err().to_string();
        assert_eq!(refused("orders-east"), "orders-east runs, as process 7");
        assert_eq!(
            refused("nosuch"),
            "the demo has no program 'nosuch'; these ended: catalog-v1-east"
        );
        assert!(may_start(&summary, "catalog-v1-east").is_ok());
    }

    #[test]
    fn what_is_asked_for_is_asked_until_it_is_done() {
        let data = tempfile::tempdir().unwrap();
        assert!(asked(data.path()).is_empty());
        fs::create_dir(data.path().join(FOLDER)).unwrap();
        fs::write(file(data.path(), "server"), "").unwrap();
        assert_eq!(asked(data.path()), ["server"]);
        done(data.path(), "server").unwrap();
        assert!(asked(data.path()).is_empty());
    }
}
