//! The gRPC project's own client and server, with the gateway between.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Stdio};

use e2e::program::{ended, free_port};
use e2e::trust::Authority;
use e2e::{Gateway, Setup, wait, yaml};
use tokio::net::TcpStream;

use crate::peer;

/// Every case that these two hold with nothing between: not those that want an account at a cloud, nor
/// `pick_first_unary`, which fails even then, since this server tells no name of its own. The last one makes as
/// many calls as the loads take to arrive, all others make the same each time.
const CASES: [&str; 18] = [
    "empty_unary",
    "large_unary",
    "client_streaming",
    "server_streaming",
    "ping_pong",
    "empty_stream",
    "timeout_on_sleeping_server",
    "cancel_after_begin",
    "cancel_after_first_response",
    "status_code_and_message",
    "special_status_message",
    "custom_metadata",
    "unimplemented_method",
    "unimplemented_service",
    "rpc_soak",
    "channel_soak",
    "orca_per_rpc",
    "orca_oob",
];

/// What has a client look at the loads that a server reports, in trailers and on a stream of their own.
const LOADS: &str = r#"--service_config_json={"loadBalancingConfig": [{"test_backend_metrics_load_balancer": {}}]}"#;

/// The peers' server, killed with the value.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    async fn start() -> Self {
        let port = free_port();
        let mut command = peer("interop-server");
        let command = command.arg(format!("--port={port}")).stdin(Stdio::null());
        let child = command.stderr(Stdio::null()).spawn().expect("the peers' server starts");
        let server = Server { child, address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)) };
        let connects = || async move { TcpStream::connect(server.address).await.ok() };
        wait::until("the peers' server to listen", connects).await;
        server
    }

    /// What leads everything to it, by a GRPCRoute; its Service does not say what it speaks.
    fn led(&self, setup: Setup) -> Setup {
        let service = yaml::document("v1", "Service", "peer", "spec: { ports: [{ port: 80 }] }");
        let spec = "spec:\n  parentRefs: [{ name: edge }]\n  \
                    rules: [{ name: all, backendRefs: [{ name: peer, port: 80 }] }]";
        setup.with(service).with(yaml::slice("peer-0", "peer", self.address)).with(yaml::document(
            "gateway.networking.k8s.io/v1",
            "GRPCRoute",
            "peer",
            spec,
        ))
    }
}

/// Runs these cases with `arguments` against a port and demands that each passes.
async fn hold(cases: &[&str], port: u16, arguments: &[&str]) {
    let mut failed = Vec::new();
    for case in cases {
        let mut run = peer("interop-client");
        run.args(["--server_host=127.0.0.1", &format!("--server_port={port}")]);
        run.arg(format!("--test_case={case}")).args(arguments);
        if case.ends_with("soak") {
            run.args(["--soak_iterations=20", "--soak_overall_timeout_seconds=30"]);
        }
        if case.starts_with("orca") {
            run.arg(LOADS);
        }
        let ended = tokio::task::spawn_blocking(move || ended(&mut run)).await.expect("it ends");
        // It ends with 0 only when the case holds; what it says of the case, it says last.
        if ended.code != 0 {
            failed.push(format!("{case}: {}", ended.stderr.trim()));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// How many calls the gateway counted, by their statuses.
async fn counted(gateway: &Gateway) -> BTreeMap<String, u64> {
    let text = gateway.admin("/metrics").await.expect("counts").text();
    let lines = text.lines().filter(|line| line.starts_with("heddle_grpc_requests_total{"));
    let mut counts = BTreeMap::new();
    for line in lines {
        let (labels, count) = line.rsplit_once(' ').expect("a count");
        let status = labels.split_once("grpc_status=\"").expect("a status").1;
        let status = status.split_once('"').expect("its end").0.to_owned();
        *counts.entry(status).or_default() += count.parse::<u64>().expect("a number");
    }
    counts
}

#[tokio::test(flavor = "multi_thread")]
async fn every_case_holds_through_a_plain_listener_and_is_counted() {
    let server = Server::start().await;
    let gateway = server.led(Setup::new()).start().await;
    let port = gateway.web().port();
    let (waits, steady) = CASES.split_last().expect("there are some");
    hold(steady, port, &["--use_tls=false"]).await;
    let before = counted(&gateway).await;
    let of =
        |counts: &BTreeMap<String, u64>, status: &str| counts.get(status).copied().unwrap_or(0);
    // What the cases provoke: a code of their choice three times, and what does not exist twice.
    for (status, wanted) in [("OK", 49), ("UNKNOWN", 3), ("UNIMPLEMENTED", 2)] {
        assert_eq!(of(&before, status), wanted, "{status}: {before:?}");
    }
    hold(&[*waits], port, &["--use_tls=false"]).await;
    // Two loads, of which each is asked for once at least; two streams, which it leaves without an end.
    wait::until_true_of("the calls to be counted", async || {
        let after = counted(&gateway).await;
        let more = |status| of(&after, status) - of(&before, status);
        more("OK") >= 2 && more("none") == 2
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_case_holds_over_tls() {
    let server = Server::start().await;
    let (authority, port) = (Authority::new(), free_port());
    let certificate = authority.sign("shop.test");
    let setup = Setup::bare()
        .listener("web", port, yaml::https("web", port, "shop.test", "own"))
        .with(yaml::tls_secret("own", &certificate));
    let _gateway = server.led(setup).start().await;
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root.pem");
    std::fs::write(&root, authority.pem()).unwrap();
    let root = format!("--ca_file={}", root.display());
    let host = "--server_host_override=shop.test";
    hold(&CASES, port, &["--use_tls=true", "--use_test_ca=true", &root, host]).await;
}
