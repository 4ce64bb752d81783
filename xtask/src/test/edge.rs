//! The suite `edge`: the gateway as a stranger meets it, over real processes and sockets.

use std::time::Duration;

use super::Report;
use super::unit::cargo;
use crate::shell;

/// The programs that the tests start.
const PROGRAMS: [&str; 2] = ["gateway", "bookshop"];

pub(super) fn run(report: &mut Report) {
    let profile = report.profile().to_owned();
    let built = report.check("build gateway and bookshop", Duration::from_secs(240), || {
        let mut build = cargo(["build", "--profile", &profile]);
        for name in PROGRAMS {
            build.args(["-p", name]);
        }
        shell::run(&mut build)
    });
    if built.is_none() {
        // The tests would meet no program, or an old one.
        return report.fail("edge tests", "the programs they start did not build");
    }
    let mut tests = cargo(["test", "-p", "e2e", "--no-fail-fast", "--profile", &profile]);
    report.tests("edge tests", Duration::from_secs(180), &mut tests);
}
