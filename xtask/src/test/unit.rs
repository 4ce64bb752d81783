//! The suite `unit`: what needs no process but the compiler's and the tests' own.

use std::process::Command;
use std::time::Duration;

use super::Report;
use crate::shell;

const SECONDS: fn(u64) -> Duration = Duration::from_secs;

/// The crates that the console's browser half shares with the proxies.
const FOR_THE_BROWSER: [&str; 3] = ["model", "policy", "table"];

pub(super) fn run(report: &mut Report, quick: bool) {
    report.check("format", SECONDS(5), || shell::run(&mut cargo(["fmt", "--all", "--check"])));
    report.check("tidy", SECONDS(10), || shell::run(&mut task("tidy")));
    report.check("clippy", SECONDS(240), || {
        let denied = ["--workspace", "--all-targets", "--", "-D", "warnings"];
        shell::run(cargo(["clippy"]).args(denied))
    });
    if !quick {
        report.check("docs", SECONDS(60), || {
            let mut doc = cargo(["doc", "--workspace", "--no-deps", "--quiet"]);
            shell::run(doc.env("RUSTDOCFLAGS", "-D rustdoc::broken_intra_doc_links"))
        });
        report.check("generated files", SECONDS(10), || shell::run(task("codegen").arg("--check")));
        browser_target(report);
    }
    let mut tests = cargo(["test", "--workspace", "--exclude", "e2e", "--no-fail-fast"]);
    tests.args(["--profile", report.profile()]);
    report.tests("unit tests", SECONDS(300), &mut tests);
}

fn browser_target(report: &mut Report) {
    report.check("model, policy and table for the browser", SECONDS(60), || {
        let mut check = cargo(["check", "--target", "wasm32-unknown-unknown"]);
        for name in FOR_THE_BROWSER {
            check.args(["-p", name]);
        }
        shell::run(&mut check)
    });
}

/// The cargo that runs us, at the workspace's root.
pub(super) fn cargo<const N: usize>(args: [&str; N]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args).current_dir(shell::root());
    command
}

/// Another task, as a process of its own: what it prints and how it ends is what a person sees.
fn task(name: &str) -> Command {
    cargo(["xtask", name])
}
