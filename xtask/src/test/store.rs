//! The suite `store`: one conformance suite, run on each database that the store speaks to, and the
//! server's doors to it.

use std::time::Duration;

use super::Report;
use super::build::{self, TestNames};
use crate::setup::Postgres;

pub(super) fn run(report: &mut Report) {
    let (conformance, doors) = ("store on both databases", "the server's doors to the store");
    let names = match TestNames::load() {
        Ok(names) => names,
        Err(error) => return report.fail(conformance, &format!("{error:#}")),
    };
    let server = match Postgres::start() {
        Ok(server) => server,
        Err(error) => {
            report.skip(doors, "they want a database server, too");
            return report.skip(conformance, &format!("{error:#}"));
        }
    };
    tests(report, conformance, &names.databases, &server);
    if build::everything(report).is_none() {
        return report.fail(doors, "the program did not build");
    }
    tests(report, doors, &names.keeping, &server);
}

fn tests(report: &mut Report, title: &str, names: &[String], server: &Postgres) {
    let mut tests = build::test(report.profile());
    for name in names {
        tests.args(["--test", name]);
    }
    match server.lend(&mut tests) {
        Ok(()) => report.tests(title, Duration::from_secs(120), &mut tests),
        Err(error) => report.fail(title, &format!("{error:#}")),
    }
}
