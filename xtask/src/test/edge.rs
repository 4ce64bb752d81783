//! The suite `edge`: the gateway as a stranger meets it, over real processes and sockets.

use std::time::Duration;

use super::build::{self, TestNames};
use super::{Report, budget};
use crate::shell;

pub(super) fn run(report: &mut Report) {
    tests(report);
    budget::check(report);
    // One round shows that every subject does every case without a failed request. The budget's
    // profile, which is built by now, spares CI the minutes that a release takes to link.
    report.check("benchmark, one smoke round", Duration::from_secs(240), || {
        let smoke = ["xtask", "bench", "edge", "--smoke", "--profile", budget::PROFILE];
        shell::run(&mut build::cargo(smoke))
    });
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
