//! h2spec: what RFC 9113 (7540) and RFC 7541 demand of whoever takes connections.

use e2e::program::{ended, free_port};
use e2e::trust::Authority;
use e2e::{Origin, Setup, yaml};

use crate::peer;

/// Every group of cases.
const GROUPS: [&str; 3] = ["generic", "http2", "hpack"];

/// How many cases these are, so that a run of none is no success.
const CASES: usize = 146;

/// Runs it with `arguments` and demands that every case passes, but for one that fails so.
fn hold(port: u16, arguments: &[&str], but: Option<[&str; 2]>) {
    let mut run = peer("h2spec");
    run.args(GROUPS).args(["--host", "127.0.0.1", "--port", &port.to_string(), "--strict"]);
    // One case wants an answer that fills a window.
    run.args(["--path", "/big/1000"]);
    let ended = ended(run.args(arguments));
    let failed = usize::from(but.is_some());
    let wanted = format!("{CASES} tests, {} passed, 0 skipped, {failed} failed", CASES - failed);
    let said = ended.stdout.trim_end().lines().last().unwrap_or_default();
    let is_known = but.is_none_or(|[case, why]| fails_alone(&ended.stdout, case, why));
    assert!(said == wanted && is_known, "{said}\n{}", of_interest(&ended.stdout));
}

/// Whether no case fails but this one, for this reason. h2spec names each that fails where it stands, and once
/// more at the end.
fn fails_alone(stdout: &str, case: &str, why: &str) -> bool {
    let mut failed = stdout.lines().filter(|line| line.trim_start().starts_with('×')).peekable();
    failed.peek().is_some() && failed.all(|line| line.contains(case)) && stdout.contains(why)
}

#[test]
fn another_case_that_fails_is_not_taken_for_the_known_one() {
    let (case, why) = ("2: Sends invalid", "looked like");
    assert!(fails_alone("  ✔ 1: a\n  × 2: Sends invalid preface\n    looked like HTTP", case, why));
    assert!(!fails_alone(
        "  × 1: a\n  ✔ 2: Sends invalid preface\n    looked like HTTP",
        case,
        why
    ));
    assert!(!fails_alone("  × 1: a\n  × 2: Sends invalid preface\n  looked like HTTP", case, why));
    assert!(!fails_alone("  × 2: Sends invalid preface\n    timeout", case, why));
    assert!(!fails_alone("  ✔ 2: Sends invalid preface\n    looked like HTTP", case, why));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_listener_speaks_http2_as_h2spec_demands() {
    let origin = Origin::start("shop").await;
    let gateway = Setup::new()
        .with(yaml::service("shop", &[origin.address]))
        .with(yaml::path_route("all", "/", "shop"))
        .start()
        .await;
    let port = gateway.web().port();
    // The port speaks HTTP/1.1 as well: what is neither is told so in HTTP/1.1 before it is closed, and
    // h2spec wants no answer.
    let but = ["2: Sends invalid connection preface", "looked like an HTTP/1.1 header"];
    tokio::task::spawn_blocking(move || hold(port, &[], Some(but))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn so_does_one_with_tls() {
    let origin = Origin::start("shop").await;
    let (port, certificate) = (free_port(), Authority::new().sign("shop.test"));
    // It shows no server name, since it is told an address.
    let listener = yaml::https("web", port, "any", "own").replace("hostname: 'any', ", "");
    let _gateway = Setup::bare()
        .listener("web", port, listener)
        .with(yaml::tls_secret("own", &certificate))
        .with(yaml::service("shop", &[origin.address]))
        .with(yaml::path_route("all", "/", "shop"))
        .start()
        .await;
    tokio::task::spawn_blocking(move || hold(port, &["--tls", "--insecure"], None)).await.unwrap();
}

/// The cases that did not pass, with what was wanted of each.
fn of_interest(said: &str) -> String {
    let lines = said.lines().filter(|line| !line.contains('\u{2714}') && !line.trim().is_empty());
    lines.collect::<Vec<_>>().join("\n")
}
