//! The gRPC project's own client and server, with the gateway between.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Stdio};

use e2e::program::{ended, free_port};
use e2e::trust::Authority;
use e2e::{Gateway, Setup, wait, yaml};
use tokio::net::TcpStream;

use crate::peer;

/// Every case that these two hold with nothing between: not those that want an account at a cloud, nor
/// `pick_first_unary`, `orca_per_rpc` and `orca_oob`, for which this server has no name and no loads.
const CASES: [&str; 16] = [
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
];

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

/// Runs every case with `arguments` against a port and demands that each passes.
async fn hold(port: u16, arguments: &[&str]) {
    let mut failed = Vec::new();
    for case in CASES {
        let mut run = peer("interop-client");
        run.args(["--server_host=127.0.0.1", &format!("--server_port={port}")]);
        run.arg(format!("--test_case={case}")).args(arguments);
        if case.ends_with("soak") {
            run.args(["--soak_iterations=20", "--soak_overall_timeout_seconds=30"]);
        }
        let ended = tokio::task::spawn_blocking(move || ended(&mut run)).await.expect("it ends");
        // It ends with 0 only when the case holds; what it says of the case, it says last.
        if ended.code != 0 {
            failed.push(format!("{case}: {}", ended.stderr.trim()));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// The statuses of calls that the gateway counted.
async fn counted(gateway: &Gateway) -> Vec<(String, u64)> {
    let text = gateway.admin("/metrics").await.expect("counts").text();
    let lines = text.lines().filter(|line| line.starts_with("heddle_grpc_requests_total{"));
    let counts = lines.filter_map(|line| {
        let (labels, count) = line.rsplit_once(' ')?;
        let status = labels.split_once("grpc_status=\"")?.1.split_once('"')?.0;
        Some((status.to_owned(), count.parse().ok()?))
    });
    counts.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_case_holds_through_a_plain_listener_and_is_counted() {
    let server = Server::start().await;
    let gateway = server.led(Setup::new()).start().await;
    hold(gateway.web().port(), &["--use_tls=false"]).await;
    let counted = counted(&gateway).await;
    let of = |wanted: &str| {
        counted.iter().filter(|(status, _)| status == wanted).map(|(_, count)| count).sum::<u64>()
    };
    // What the cases provoke: a code of their choice three times, and what does not exist twice.
    let wanted = (48, 3, 2);
    assert_eq!((of("OK"), of("UNKNOWN"), of("UNIMPLEMENTED")), wanted, "{counted:?}");
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
    hold(port, &["--use_tls=true", "--use_test_ca=true", &root, host]).await;
}
