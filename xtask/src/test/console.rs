//! The suite `console`: the browser's half is built, served and used in a browser.

use super::Report;

pub(super) fn run(report: &mut Report) {
    report.skip("console", "its build is not wired yet");
}
