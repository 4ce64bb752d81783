//! The suite `store`: one conformance suite, run on each database that the store speaks to.

use std::time::Duration;

use super::Report;
use super::build::{self, TestNames};
use crate::setup::Postgres;

pub(super) fn run(report: &mut Report) {
    let title = "store on both databases";
    let names = match TestNames::load() {
        Ok(names) => names.databases,
        Err(error) => return report.fail(title, &format!("{error:#}")),
    };
    let server = match Postgres::start() {
        Ok(server) => server,
        Err(error) => return report.skip(title, &format!("{error:#}")),
    };
    let mut tests = build::test(report.profile());
    for name in &names {
        tests.args(["--test", name]);
    }
    tests.env(Postgres::VARIABLE, server.url());
    report.tests(title, Duration::from_secs(120), &mut tests);
}
