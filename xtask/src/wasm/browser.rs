//! Running the browser tests and counting them.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::browser_dir;
use crate::{setup, shell};

/// Clicks through the console in a headless browser, with pictures of it in a folder; returns (passed,
/// failed, skipped).
pub(crate) fn browser_tests(
    server: &Path,
    site: &Path,
    pictures: &Path,
) -> Result<(usize, usize, usize)> {
    let dir = browser_dir();
    let chromium = setup::chromium()?;
    setup::npm_ci(&dir)?;
    let out = Command::new(setup::node()?)
        .current_dir(&dir)
        .args(["--test", "--test-reporter=spec", "--test-reporter-destination=stderr"])
        .args(["--test-reporter=tap", "--test-reporter-destination=stdout"])
        .env("HEDDLE_SERVER", server)
        .env("HEDDLE_SITE", site)
        .env("HEDDLE_CHROMIUM", chromium)
        .env("HEDDLE_PICTURES", pictures)
        .stderr(Stdio::inherit())
        .output()
        .context("starting node")?;
    let tap = String::from_utf8_lossy(&out.stdout);
    counts(&tap).with_context(|| format!("node --test ended with {} and no counts", out.status))
}

/// Makes pictures of the console of the demo that `up_json` tells of.
pub(crate) fn pictures(up_json: &Path) -> Result<()> {
    ensure!(up_json.is_file(), "no demo runs from this folder; start it: cargo xtask up");
    let dir = browser_dir();
    let chromium = setup::chromium()?;
    setup::npm_ci(&dir)?;
    let mut node = Command::new(setup::node()?);
    node.current_dir(&dir).arg("pictures.mjs").arg(up_json).arg("shots");
    shell::run(node.env("HEDDLE_CHROMIUM", chromium))
}

/// The counts in the last lines of the Test Anything Protocol.
fn counts(tap: &str) -> Option<(usize, usize, usize)> {
    let count = |name: &str| -> Option<usize> {
        let lines = tap.lines().rev();
        lines.filter_map(|line| line.strip_prefix(name)).find_map(|count| count.parse().ok())
    };
    let failed = count("# fail ")? + count("# cancelled ")?;
    Some((count("# pass ")?, failed, count("# skipped ")? + count("# todo ")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_from_the_end_and_cancelled_tests_have_failed() {
        let tap = "ok 1 - # pass 9\n1..4\n# tests 7\n# suites 0\n# pass 3\n# fail 1\n\
                   # cancelled 1\n# skipped 2\n# todo 0\n# duration_ms 12.5\n";
        assert_eq!(counts(tap), Some((3, 2, 2)));
        assert_eq!(counts("node: bad option"), None);
    }
}
