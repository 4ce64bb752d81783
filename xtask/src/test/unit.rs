//! The suite `unit`: what needs no process but the compiler's and the tests' own.

use std::time::Duration;

use super::Report;
use super::build::{self, TestNames, cargo};
use crate::{setup, shell};

const SECONDS: fn(u64) -> Duration = Duration::from_secs;

/// The crates that the console's browser half shares with the proxies.
const FOR_THE_BROWSER: [&str; 3] = ["model", "policy", "table"];

pub(super) fn run(report: &mut Report, quick: bool) {
    report.check("format", SECONDS(5), || shell::run(&mut cargo(["fmt", "--all", "--check"])));
    // As processes of their own: what they print and how they end is what a person sees.
    report.check("tidy", SECONDS(10), || shell::run_task(&mut cargo(["xtask", "tidy"])));
    report.check("clippy", SECONDS(240), || {
        let denied = ["--workspace", "--all-targets", "--", "-D", "warnings"];
        shell::run(cargo(["clippy"]).args(denied))
    });
    if !quick {
        report.check("docs", SECONDS(120), || {
            let mut doc = cargo(["doc", "--workspace", "--no-deps", "--quiet"]);
            shell::run(doc.env("RUSTDOCFLAGS", "-D rustdoc::broken_intra_doc_links"))
        });
        report.check("generated files", SECONDS(10), || {
            shell::run_task(&mut cargo(["xtask", "codegen", "--check"]))
        });
        browser_target(report);
    }
    tests(report, quick);
}

fn browser_target(report: &mut Report) {
    let title = "model, policy and table for the browser";
    if let Err(error) = setup::wasm_target() {
        return report.skip(title, &format!("{error:#}"));
    }
    report.check(title, SECONDS(60), || {
        let mut check = cargo(["check", "--target", "wasm32-unknown-unknown"]);
        for name in FOR_THE_BROWSER {
            check.args(["-p", name]);
        }
        shell::run(&mut check)
    });
}

fn tests(report: &mut Report, quick: bool) {
    let title = "unit tests";
    // The proxies' own tests count by one.
    if let Err(error) = setup::redis() {
        return report.fail(title, &format!("{error:#}"));
    }
    let names = match TestNames::load() {
        Ok(names) => names.plain,
        Err(error) => return report.fail(title, &format!("{error:#}")),
    };
    let mut tests = build::test(report.profile());
    tests.args(["--lib", "--bins"]);
    for name in &names {
        tests.args(["--test", name]);
    }
    report.tests(title, SECONDS(300), &mut tests);
    if !quick {
        let mut examples = build::test(report.profile());
        report.tests("examples in docs", SECONDS(30), examples.arg("--doc"));
    }
}
