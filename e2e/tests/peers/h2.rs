//! h2spec: what RFC 9113 (7540) and RFC 7541 demand of whoever takes connections.

use e2e::program::{ended, free_port};
use e2e::trust::Authority;
use e2e::{Origin, Setup, yaml};

use crate::peer;

/// Every group of cases.
const GROUPS: [&str; 3] = ["generic", "http2", "hpack"];

/// How many cases these are, so that a run of none is no success.
const CASES: usize = 146;

/// Runs it with `arguments` and demands that every case passes.
fn hold(port: u16, arguments: &[&str]) {
    let mut run = peer("h2spec");
    run.args(GROUPS).args(["--host", "127.0.0.1", "--port", &port.to_string(), "--strict"]);
    let ended = ended(run.args(arguments));
    let wanted = format!("{CASES} tests, {CASES} passed, 0 skipped, 0 failed");
    let said = ended.stdout.lines().last().unwrap_or_default();
    assert_eq!((ended.code, said), (0, &*wanted), "{}\n{}", ended.stdout, ended.stderr);
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
    tokio::task::spawn_blocking(move || hold(port, &[])).await.unwrap();
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
    tokio::task::spawn_blocking(move || hold(port, &["--tls", "--insecure"])).await.unwrap();
}
