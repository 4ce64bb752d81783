//! The suite `edge`: the gateway as a stranger meets it, over real processes and sockets.

use std::time::Duration;

use super::build::{self, TestNames};
use super::{Report, budget};

pub(super) fn run(report: &mut Report) {
    tests(report);
    budget::check(report);
}

fn tests(report: &mut Report) {
    let title = "edge tests";
    if build::everything(report).is_none() {
        // The tests would meet no program, or an old one.
        return report.fail(title, "the programs they start did not build");
    }
    let names = match TestNames::load() {
        Ok(names) => names.black_box,
        Err(error) => return report.fail(title, &format!("{error:#}")),
    };
    if names.is_empty() {
        return report.skip(title, "e2e has no tests yet");
    }
    let mut tests = build::test(report.profile());
    for name in &names {
        tests.args(["--test", name]);
    }
    report.tests(title, Duration::from_secs(180), &mut tests);
}
