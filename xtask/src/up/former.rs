//! What a demo that was killed left running.
//!
//! Whoever holds the lock of `.heddle` is the only demo there, so programs that an `up.json` of
//! before names are nobody's.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::Value;

/// Stops the processes that `summary` names, as far as they still run, within `bound`.
pub(super) fn stop(summary: &Path, bound: Duration) -> Result<()> {
    let Ok(text) = std::fs::read_to_string(summary) else { return Ok(()) };
    let summary: Value = serde_json::from_str(&text).unwrap_or_default();
    let left: Vec<_> = summary["processes"].as_array().into_iter().flatten().collect();
    let left: Vec<_> = left.into_iter().filter(|process| runs(process)).collect();
    if left.is_empty() {
        return Ok(());
    }
    eprintln!("==> stopping {} programs of a demo that was killed", left.len());
    for process in &left {
        // One that is gone by now is what is wanted.
        let pid = process["pid"].to_string();
        drop(Command::new("kill").args(["-TERM", &pid]).status());
    }
    let began = Instant::now();
    while let Some(process) = left.iter().find(|process| runs(process)) {
        if began.elapsed() > bound {
            bail!(
                "{} of the former demo does not stop; run: kill -9 {}",
                process["name"],
                process["pid"]
            );
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Whether the process is there and still runs the program that it was started as.
fn runs(process: &Value) -> bool {
    let (Some(pid), Some(program)) = (process["pid"].as_u64(), process["program"].as_str()) else {
        return false;
    };
    let runs = std::fs::read_link(format!("/proc/{pid}/exe"));
    // A program that was built anew meanwhile is shown as deleted.
    runs.is_ok_and(|runs| runs.to_string_lossy().trim_end_matches(" (deleted)") == program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_is_stopped_and_nothing_else() {
        let mut left = Command::new("sleep").arg("60").spawn().unwrap();
        let mut other = Command::new("sleep").arg("60").spawn().unwrap();
        let program = std::fs::read_link(format!("/proc/{}/exe", left.id())).unwrap();
        let processes = serde_json::json!({ "processes": [
            { "name": "left", "pid": left.id(), "program": program },
            { "name": "other", "pid": other.id(), "program": "/another/program" },
            { "name": "gone", "pid": u32::MAX, "program": program },
        ]});
        let folder = tempfile::tempdir().unwrap();
        let summary = folder.path().join("up.json");
        std::fs::write(&summary, processes.to_string()).unwrap();
        // A child that ended is there until somebody asks for it.
        let reaper = std::thread::spawn(move || left.wait().unwrap());
        stop(&summary, Duration::from_secs(20)).unwrap();
        assert!(!reaper.join().unwrap().success());
        assert!(other.try_wait().unwrap().is_none(), "it runs on");
        other.kill().unwrap();
        other.wait().unwrap();
        assert!(stop(&folder.path().join("nowhere.json"), Duration::ZERO).is_ok());
    }
}
