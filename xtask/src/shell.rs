//! Running other programs: one way to start, to name a failure, to show that work goes on.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// How a task's last line begins where the task failed.
pub(crate) const FAILED: &str = "error: ";

/// The workspace's root folder: of the clone that cargo runs us from, which need not be the one
/// that we were built in where two clones share a target folder.
pub(crate) fn root() -> PathBuf {
    let built_in = || PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(built_in, PathBuf::from)
        .parent()
        .expect("xtask lies in the workspace's root")
        .to_path_buf()
}

/// The folder, outside the clone, where tools and builds that outlive a clone are kept:
/// `$XDG_CACHE_HOME/heddle` or `$HOME/.cache/heddle`.
pub(crate) fn cache() -> Result<PathBuf> {
    let base = match std::env::var_os("XDG_CACHE_HOME") {
        Some(dir) => PathBuf::from(dir),
        None => PathBuf::from(std::env::var_os("HOME").context("HOME is not set")?).join(".cache"),
    };
    let dir = base.join("heddle");
    std::fs::create_dir_all(&dir).with_context(|| format!("creating {}", dir.display()))?;
    Ok(dir)
}

/// Cargo, as the one that started this program.
pub(crate) fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// The folder that cargo builds into.
pub(crate) fn target() -> Result<PathBuf> {
    let mut ask = cargo();
    ask.current_dir(root()).args(["metadata", "--no-deps", "--format-version", "1"]);
    let said: serde_json::Value = serde_json::from_str(&output(&mut ask)?)?;
    let dir = said["target_directory"].as_str().context("cargo metadata names no target folder")?;
    Ok(PathBuf::from(dir))
}

/// Runs `command` to its end with its output shown; an exit code other than 0 is an error that
/// names the program and its arguments.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let shown = format!("{command:?}");
    let status = command.status().with_context(|| format!("starting {shown}"))?;
    if !status.success() {
        bail!("{shown} ended with {status}");
    }
    Ok(())
}

/// Runs a task of ours, as a person would, like [`run`]; an error ends with the one that the task told.
pub(crate) fn run_task(command: &mut Command) -> Result<()> {
    let shown = format!("{command:?}");
    let child = command.stderr(Stdio::piped()).spawn();
    let mut child = child.with_context(|| format!("starting {shown}"))?;
    let said = BufReader::new(child.stderr.take().context("no stderr")?);
    let mut told = String::new();
    for line in said.split(b'\n') {
        let line = String::from_utf8_lossy(&line?).into_owned();
        eprintln!("{line}");
        if let Some(error) = line.strip_prefix(FAILED) {
            told = format!(": {error}");
        }
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("{shown} ended with {status}{told}");
    }
    Ok(())
}

/// Runs `command` to its end like [`run`], or asks it, and all that it started, to end as soon as
/// there is a word to stop; whether it came to its own end.
pub(crate) fn run_until(command: &mut Command, stop: &mpsc::Receiver<()>) -> Result<bool> {
    let shown = format!("{command:?}");
    // A group of its own, so that a signal reaches compilers too and comes from us alone.
    let child = command.process_group(0).spawn();
    let mut child = child.with_context(|| format!("starting {shown}"))?;
    while stop.recv_timeout(Duration::from_millis(50)).is_err() {
        match child.try_wait()? {
            Some(status) if status.success() => return Ok(true),
            Some(status) => bail!("{shown} ended with {status}"),
            None => {}
        }
    }
    signal(&format!("-{}", child.id())).with_context(|| format!("stopping {shown}"))?;
    child.wait()?;
    Ok(false)
}

/// Asks a process to end.
pub(crate) fn terminate(child: &Child) -> Result<()> {
    signal(&child.id().to_string())
}

/// By the system's own program: a signal needs no unsafe code of ours.
fn signal(whom: &str) -> Result<()> {
    run(Command::new("kill").args(["-TERM", "--", whom]))
}

/// Runs `command` and returns what it printed to stdout.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let shown = format!("{command:?}");
    let out =
        command.stderr(Stdio::inherit()).output().with_context(|| format!("starting {shown}"))?;
    if !out.status.success() {
        bail!("{shown} ended with {}", out.status);
    }
    String::from_utf8(out.stdout).with_context(|| format!("{shown} printed no UTF-8"))
}

/// Runs `work` under a title, printing a line when it begins, every ten seconds while it lasts,
/// and when it ends. `expected` is the usual length on a cold machine: it gives "remaining".
pub(crate) fn step<T>(
    title: &str,
    expected: Duration,
    work: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let began = Instant::now();
    eprintln!("==> {title} (about {} s when cold)", expected.as_secs());
    let (done, waiting) = std::sync::mpsc::channel::<()>();
    let beat = {
        let title = title.to_owned();
        std::thread::spawn(move || {
            while waiting.recv_timeout(Duration::from_secs(8))
                == Err(std::sync::mpsc::RecvTimeoutError::Timeout)
            {
                let elapsed = began.elapsed();
                let left = expected.saturating_sub(elapsed);
                eprintln!(
                    "    {title}: {} s elapsed, about {} s left",
                    elapsed.as_secs(),
                    left.as_secs()
                );
            }
        })
    };
    let result = work();
    drop(done);
    beat.join().expect("the progress thread does not panic");
    match &result {
        Ok(_) => eprintln!("    {title}: over after {:.1} s", began.elapsed().as_secs_f32()),
        Err(_) => eprintln!("    {title}: FAILED after {:.1} s", began.elapsed().as_secs_f32()),
    }
    result
}

/// A word as a shell takes it for one.
pub(crate) fn quoted(word: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-+@:".contains(letter);
    if word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_runs_until_there_is_a_word_to_stop() {
        let (say, stop) = mpsc::channel();
        assert!(run_until(&mut Command::new("true"), &stop).unwrap());
        let failed = run_until(&mut Command::new("false"), &stop).unwrap_err();
        assert!(failed.to_string().contains("false"), "{failed}");
        say.send(()).unwrap();
        let began = Instant::now();
        assert!(!run_until(Command::new("sleep").arg("60"), &stop).unwrap());
        assert!(began.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn what_a_task_failed_of_is_told_on() {
        let mut failing = Command::new("sh");
        failing.args(["-c", "echo 'error: no disk: it is full' >&2; echo more >&2; exit 3"]);
        let failed = run_task(&mut failing).unwrap_err().to_string();
        assert!(failed.ends_with("exit status: 3: no disk: it is full"), "{failed}");
        assert!(run_task(Command::new("sh").args(["-c", "echo well >&2"])).is_ok());
    }

    #[test]
    fn a_word_with_blanks_stays_one() {
        assert_eq!(quoted("/opt/heddle"), "/opt/heddle");
        assert_eq!(quoted("/my tools/it's"), r"'/my tools/it'\''s'");
    }
}
