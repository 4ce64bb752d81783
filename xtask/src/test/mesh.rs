//! The suite `mesh`: proxies beside applications, with the server and the gateways that lead to them.

use std::time::Duration;

use super::Report;
use super::build::{self, TestNames};
use crate::{setup, shell};

/// What a loss costs is told by a load that goes on steadily, which two cores that also do something else
/// do not keep up with.
const ALONE: &str = "loss::";

pub(super) fn run(report: &mut Report) {
    let title = "mesh tests";
    if build::everything(report).is_none() {
        return report.fail(title, "the programs they start did not build");
    }
    let names = match setup::redis().and_then(|()| TestNames::load()) {
        Ok(names) => names.mesh,
        Err(error) => return report.fail(title, &format!("{error:#}")),
    };
    let profile = report.profile().to_owned();
    let tests = |chosen: [&str; 2]| {
        let mut tests = build::test(&profile);
        for name in &names {
            tests.args(["--test", name]);
        }
        tests.arg("--").args(chosen);
        tests
    };
    report.tests(title, Duration::from_secs(60), &mut tests(["--skip", ALONE]));
    let title = "mesh tests that want the machine for themselves";
    report.tests(title, Duration::from_secs(30), &mut tests([ALONE, "--test-threads=1"]));
    // One round shows that every pair works and sends strangers away, at a rate that programs take
    // which were not optimised.
    report.check("benchmark of the mesh, one smoke round", Duration::from_secs(60), || {
        let mut smoke = build::cargo(["xtask", "bench", "mesh", "--smoke", "--rate", "100"]);
        shell::run_task(smoke.args(["--built", "--profile", &profile]))
    });
}
