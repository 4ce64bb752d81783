//! The suite `mesh`: proxies beside applications, with the server and the gateways that lead to them.

use std::time::Duration;

use super::Report;
use super::build::{self, TestNames};
use crate::shell;

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
    // One round shows that every pair works and sends strangers away, at a rate that programs take
    // which were not optimised.
    let profile = report.profile().to_owned();
    report.check("benchmark of the mesh, one smoke round", Duration::from_secs(60), || {
        let mut smoke = build::cargo(["xtask", "bench", "mesh", "--smoke", "--rate", "100"]);
        shell::run(smoke.args(["--built", "--profile", &profile]))
    });
}
