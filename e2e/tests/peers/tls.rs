//! sslyze: whether listeners with TLS hold what Mozilla asks of servers.

use std::process::Command;

use e2e::program::{ended, free_port};
use e2e::trust::Authority;
use e2e::{Origin, Setup, yaml};

/// Runs it against a listener with these options, and demands that it holds the configuration of this name.
async fn hold(options: &str, wanted: &'static str) {
    let origin = Origin::start("shop").await;
    let (port, authority) = (free_port(), Authority::new());
    let certificate = authority.sign("shop.test");
    let folder = tempfile::TempDir::new().expect("a folder");
    let roots = folder.path().join("roots.pem");
    std::fs::write(&roots, authority.pem()).expect("a folder to write to");
    // Some of its connections name no server.
    let listener = yaml::https("web", port, "any", "own").replace("hostname: 'any', ", "");
    let listener = listener.replace("tls: {", &format!("tls: {{ options: {{ {options} }},"));
    let gateway = Setup::bare()
        .listener("web", port, listener)
        .with(yaml::tls_secret("own", &certificate))
        .with(yaml::service("shop", &[origin.address]))
        .with(yaml::path_route("all", "/", "shop"))
        .start()
        .await;
    let address = gateway.listener("web").to_string();
    let Some(program) = std::env::var_os("HEDDLE_SSLYZE") else {
        panic!("HEDDLE_SSLYZE names no program: run `cargo xtask test --only edge`");
    };
    let ran = tokio::task::spawn_blocking(move || {
        let mut run = Command::new(program);
        run.args(["--sni=shop.test", "--certinfo_ca_file"]).arg(roots);
        ended(run.args([format!("--mozilla_config={wanted}"), address]))
    });
    let ran = ran.await.expect("it runs");
    let is_held = ran.code == 0 && ran.stdout.contains("OK - Compliant");
    assert!(is_held, "{wanted}: {}\n{}", ran.stdout, ran.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_holds_the_intermediate_configuration() {
    hold("", "intermediate").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_tls_1_3_alone_holds_the_modern_configuration() {
    hold("heddle.dev/tls-min-version: '1.3'", "modern").await;
}
