//! The suite `console`: the browser's half is built within its size, served, and used in a browser.

use std::time::Duration;

use super::{Report, build};
use crate::{shell, wasm};

pub(super) fn run(report: &mut Report) {
    let title = "browser tests";
    let built = build::everything(report);
    let minutes = |n: u64| Duration::from_secs(60 * n);
    let site = report.check("console for the browser", minutes(2), || wasm::build(wasm::PROFILE));
    let (Some(()), Some(site)) = (built, site) else {
        return report.fail(title, "there is nothing to open in a browser");
    };
    let ran = shell::step(title, minutes(1), || {
        let server = build::program(report.profile(), "heddle-server")?;
        wasm::browser_tests(&server, &site, &wasm::shots())
    });
    match ran {
        Ok((passed, failed, skipped)) => report.count(title, passed, failed, skipped),
        Err(error) => report.fail(title, &format!("{error:#}")),
    }
    let profile = report.profile().to_owned();
    report.check("benchmark of the console, one smoke round", Duration::from_secs(30), || {
        let mut smoke = build::cargo(["xtask", "bench", "console", "--smoke", "--built"]);
        shell::run_task(smoke.args(["--profile", &profile]))
    });
}
