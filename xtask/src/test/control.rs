//! The suite `control`: the control plane as its callers meet it, on each database in turn.

use std::time::Duration;

use super::build::{self, TestNames};
use super::{Report, store};
use crate::setup::Postgres;

pub(super) fn run(report: &mut Report) {
    let (plain, served) = ("the control plane on SQLite", "the control plane on PostgreSQL");
    let names = match TestNames::load() {
        Ok(names) => names.control,
        Err(error) => return report.fail(plain, &format!("{error:#}")),
    };
    if build::everything(report).is_none() {
        return report.fail(plain, "the program did not build");
    }
    let tests = |profile: &str| {
        let mut tests = build::test(profile);
        for name in &names {
            tests.args(["--test", name]);
        }
        tests
    };
    let mut command = tests(report.profile());
    // What the caller's own shell lends would be lent twice.
    command.env_remove(Postgres::VARIABLE);
    report.tests(plain, Duration::from_secs(180), &mut command);
    let server = match Postgres::start() {
        Ok(server) => server,
        Err(error) => return report.skip(served, &format!("{error:#}")),
    };
    let mut command = tests(report.profile());
    match store::lend(&server, &mut command) {
        Ok(()) => report.tests(served, Duration::from_secs(180), &mut command),
        Err(error) => report.fail(served, &format!("{error:#}")),
    }
}
