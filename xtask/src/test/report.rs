//! What ran and how it ended: counts, names of what failed, reasons of what was skipped.

use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::shell;

/// The sum so far; it prints as the line that scripts read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) skipped: usize,
}

impl Counts {
    /// What came after `before`.
    pub(super) fn since(self, before: Self) -> Self {
        Self {
            passed: self.passed - before.passed,
            failed: self.failed - before.failed,
            skipped: self.skipped - before.skipped,
        }
    }

    fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

/// Collects results over all suites.
#[derive(Debug)]
pub(crate) struct Report {
    counts: Counts,
    /// Each with the first line of why.
    failures: Vec<String>,
    skips: Vec<String>,
    profile: String,
    /// A skip is a failure.
    strict: bool,
}

impl Report {
    pub(super) fn new(profile: String, strict: bool) -> Self {
        let counts = Counts::default();
        Self { counts, failures: Vec::new(), skips: Vec::new(), profile, strict }
    }

    /// The build profile of tests and programs under test.
    pub(crate) fn profile(&self) -> &str {
        &self.profile
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    pub(super) fn failed(&self) -> bool {
        self.counts.failed > 0
    }

    /// Counts one check: `work` passes or fails as a whole, and whoever goes on needs its value.
    pub(crate) fn check<T>(
        &mut self,
        title: &str,
        expected: Duration,
        work: impl FnOnce() -> Result<T>,
    ) -> Option<T> {
        match shell::step(title, expected, work) {
            Ok(value) => {
                self.counts.passed += 1;
                Some(value)
            }
            Err(error) => {
                self.fail(title, &format!("{error:#}"));
                None
            }
        }
    }

    /// Counts what `cargo test` tells of its tests; a run that tells of none but fails, such as
    /// one that does not build, is one failure.
    pub(crate) fn tests(&mut self, title: &str, expected: Duration, command: &mut Command) {
        let ran = match shell::step(title, expected, || stream(command, &mut std::io::stdout())) {
            Ok(ran) => ran,
            Err(error) => return self.fail(title, &format!("{error:#}")),
        };
        let Counts { passed, failed, skipped } = ran.counts;
        self.failures.extend(ran.failures.iter().map(|name| format!("{title}: {name}")));
        self.count(title, passed, failed, skipped);
        if !ran.well && failed == 0 {
            self.fail(title, "cargo test failed without naming a test; see its output above");
        }
    }

    /// Counts tests that somebody else ran.
    pub(crate) fn count(&mut self, title: &str, passed: usize, failed: usize, skipped: usize) {
        self.counts.add(Counts { passed, failed, skipped: 0 });
        if failed > 0 {
            self.failures.push(format!("{title}: {failed} test(s), see their output above"));
        }
        if skipped > 0 && self.strict {
            self.counts.failed += skipped;
            self.failures.push(format!("{title}: {skipped} test(s) skipped, and CI may skip none"));
        } else if skipped > 0 {
            self.counts.skipped += skipped;
            self.skips.push(format!("{title}: {skipped} test(s) say so, see their output above"));
        }
    }

    /// Notes what cannot run here and why.
    pub(crate) fn skip(&mut self, title: &str, reason: &str) {
        if self.strict {
            return self
                .fail(title, &format!("cannot run here, and CI may skip nothing: {reason}"));
        }
        eprintln!("==> {title}: skipped: {reason}");
        self.counts.skipped += 1;
        self.skips.push(format!("{title}: {reason}"));
    }

    pub(super) fn fail(&mut self, title: &str, reason: &str) {
        eprintln!("    {title}: {reason}");
        self.counts.failed += 1;
        let first = reason.lines().next().unwrap_or_default();
        self.failures.push(format!("{title}: {first}"));
    }

    /// Names all that failed or was skipped, so that nobody has to search the output for it.
    pub(super) fn print_details(&self) {
        for (word, list) in [("skipped", &self.skips), ("failed", &self.failures)] {
            for one in list {
                eprintln!("{word}: {one}");
            }
        }
    }
}

/// What one `cargo test` told.
#[derive(Debug, Default)]
pub(crate) struct Ran {
    pub(crate) counts: Counts,
    pub(super) failures: Vec<String>,
    /// It ended with success.
    pub(crate) well: bool,
}

impl Ran {
    /// Learns from one line of output.
    pub(super) fn hear(&mut self, line: &str) {
        if let Some(rest) = line.strip_prefix("test result: ") {
            self.counts.add(parse_result(rest));
        } else if let Some(name) =
            line.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ... FAILED"))
        {
            self.failures.push(name.to_owned());
        }
    }
}

/// `ok. 9 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.02s`.
fn parse_result(rest: &str) -> Counts {
    let of = |word: &str| {
        let part = rest.split([';', '.']).map(str::trim).find_map(|part| part.strip_suffix(word));
        part.and_then(|number| number.trim().parse().ok()).unwrap_or(0)
    };
    Counts { passed: of(" passed"), failed: of(" failed"), skipped: of(" ignored") }
}

/// Runs `command`, passing its output on line by line while it comes.
pub(crate) fn stream(command: &mut Command, shown_on: &mut impl Write) -> Result<Ran> {
    let shown = format!("{command:?}");
    let mut child =
        command.stdout(Stdio::piped()).spawn().with_context(|| format!("starting {shown}"))?;
    let stdout = child.stdout.take().expect("stdout was just asked to be a pipe");
    let mut ran = Ran::default();
    for line in BufReader::new(stdout).split(b'\n') {
        let line = line.with_context(|| format!("reading what {shown} prints"))?;
        let line = String::from_utf8_lossy(&line);
        ran.hear(&line);
        writeln!(shown_on, "{line}")?;
    }
    ran.well = child.wait().with_context(|| format!("waiting for {shown}"))?.success();
    Ok(ran)
}
