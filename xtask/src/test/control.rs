//! The suite `control`: the control plane as its callers meet it, on each database in turn, and the
//! fleet that it feeds.

use std::process::Command;
use std::time::Duration;

use super::Report;
use super::build::{self, TestNames};
use crate::setup::Postgres;

const PLAIN: &str = "the control plane on SQLite";
const SERVED: &str = "the control plane on PostgreSQL";
const FLEET: &str = "a server and the gateways that joined it";

pub(super) fn run(report: &mut Report) {
    let names = match TestNames::load() {
        Ok(names) => names,
        Err(error) => return report.fail(PLAIN, &format!("{error:#}")),
    };
    if build::everything(report).is_none() {
        return report.fail(PLAIN, "the program did not build");
    }
    let mut plain = tests(report.profile(), &names.control);
    // What the caller's own shell lends would be lent twice.
    plain.env_remove(Postgres::VARIABLE);
    report.tests(PLAIN, Duration::from_secs(60), &mut plain);
    let server = match Postgres::start() {
        Ok(server) => server,
        Err(error) => {
            report.skip(FLEET, "its tests start databases, too");
            return report.skip(SERVED, &format!("{error:#}"));
        }
    };
    for (title, names) in [(SERVED, &names.control), (FLEET, &names.fleet)] {
        let mut tests = tests(report.profile(), names);
        match server.lend(&mut tests) {
            Ok(()) => report.tests(title, Duration::from_secs(90), &mut tests),
            Err(error) => report.fail(title, &format!("{error:#}")),
        }
    }
}

fn tests(profile: &str, names: &[String]) -> Command {
    let mut tests = build::test(profile);
    for name in names {
        tests.args(["--test", name]);
    }
    tests
}
