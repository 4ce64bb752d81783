//! The suite `mesh`: proxies beside applications, with the server and the gateways that lead to them.

use std::time::Duration;

use super::Report;
use super::build::{self, TestNames};

pub(super) fn run(report: &mut Report) {
    let title = "mesh tests";
    if build::everything(report).is_none() {
        return report.fail(title, "the programs they start did not build");
    }
    let names = match TestNames::load() {
        Ok(names) => names.mesh,
        Err(error) => return report.fail(title, &format!("{error:#}")),
    };
    let mut tests = build::test(report.profile());
    for name in &names {
        tests.args(["--test", name]);
    }
    report.tests(title, Duration::from_secs(60), &mut tests);
}
