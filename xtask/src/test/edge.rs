//! The suite `edge`: the gateway as a stranger meets it, over real processes and sockets.

use std::process::Command;
use std::time::Duration;

use super::build::{self, TestNames};
use super::{Report, budget};
use crate::{setup, shell};

/// Knows what Mozilla asks of TLS.
const SSLYZE: &str = "sslyze==6.3.1";

pub(super) fn run(report: &mut Report) {
    if let Some(names) = tests(report) {
        peers(report, &names);
    }
    budget::check(report);
    // One round shows that every subject does every case without a failed request. The budget's
    // profile, which is built by now, spares CI the minutes that a release takes to link.
    report.check("benchmark, one smoke round", Duration::from_secs(240), || {
        let smoke = ["xtask", "bench", "edge", "--smoke", "--profile", budget::PROFILE];
        shell::run_task(&mut build::cargo(smoke))
    });
    // How much faster it is, a release alone can tell: this shows that it is built and answers.
    report.check("a gateway guided by a profile", Duration::from_secs(400), || {
        let pgo = ["xtask", "pgo", "--profile", "dev", "--seconds", "1"];
        shell::run_task(&mut build::cargo(pgo))
    });
}

fn tests(report: &mut Report) -> Option<TestNames> {
    let title = "edge tests";
    if build::everything(report).is_none() {
        // The tests would meet no program, or an old one.
        report.fail(title, "the programs they start did not build");
        return None;
    }
    let names = match setup::redis().and_then(|()| TestNames::load()) {
        Ok(names) => names,
        Err(error) => {
            report.fail(title, &format!("{error:#}"));
            return None;
        }
    };
    let mut tests = named(report, &names.black_box);
    report.tests(title, Duration::from_secs(180), &mut tests);
    Some(names)
}

/// Programs of others: that know what HTTP/2, gRPC and TLS are, and that stand before gateways.
fn peers(report: &mut Report, names: &TestNames) {
    let title = "conformance tests of others";
    let built = setup::apt(&["haproxy", "nginx-light", "nodejs", "openssl"]).and_then(|()| {
        let sslyze = setup::pip_venv("sslyze", &[SSLYZE])?.join("bin/sslyze");
        Ok((setup::go_tools(&shell::root().join("e2e/peers"))?, sslyze))
    });
    match built {
        Ok((folder, sslyze)) => {
            let mut tests = named(report, &names.peers);
            let tests = tests.env("HEDDLE_PEERS", folder).env("HEDDLE_SSLYZE", sslyze);
            report.tests(title, Duration::from_secs(60), tests);
        }
        Err(error) => report.skip(title, &format!("{error:#}")),
    }
}

fn named(report: &Report, names: &[String]) -> Command {
    let mut tests = build::test(report.profile());
    for name in names {
        tests.args(["--test", name]);
    }
    tests
}
