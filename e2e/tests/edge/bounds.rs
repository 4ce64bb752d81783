//! How many connections to a Service are open at once, and who waits for one.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use e2e::client::{Fault, nothing, request};
use e2e::trust::{Authority, Certificate};
use e2e::{Connection, Gateway, Origin, Reply, Setup, wait, yaml};
use futures::future::join_all;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::scene::{HOST, answered, refused};

const ONE: &[&str] = &["--workers", "1"];
const TWO: &[&str] = &["--workers", "2"];

/// The file that has the Service `shop`.
const SHOP: &str = "shop.yaml";

/// What stands in the policy's file.
fn bounds(text: &str) -> String {
    yaml::traffic("shop", &format!("bounds: {{ {text} }}"))
}

/// So many origins behind the Service `shop`, which speaks so, under these bounds.
async fn behind(
    count: usize,
    protocol: &str,
    text: &str,
    workers: &[&str],
) -> (Vec<Origin>, Gateway) {
    let mut origins = Vec::new();
    for index in 0..count {
        origins.push(Origin::start(&format!("shop-{index}")).await);
    }
    let addresses: Vec<_> = origins.iter().map(|origin| origin.address).collect();
    let setup = Setup::new()
        .file(SHOP, yaml::service_speaking("shop", protocol, &addresses))
        .file("bounds.yaml", bounds(text))
        .with(yaml::path_route("all", "/", "shop"));
    (origins, setup.arguments(workers).start().await)
}

/// A request on a connection of its own that is under way.
fn begun(gateway: &Gateway, path: &'static str) -> JoinHandle<Result<Reply, Fault>> {
    let web = gateway.web();
    tokio::spawn(async move {
        let asked = request("GET", HOST, path).body(nothing())?;
        Connection::h1(web).await?.send(asked).await
    })
}

async fn ended(begun: JoinHandle<Result<Reply, Fault>>) -> Reply {
    wait::within("an answer", begun).await.expect("it ended").expect("an answer")
}

/// What `/config` says of the connections to the Service.
async fn told(gateway: &Gateway) -> Value {
    let config = gateway.admin("/config").await.expect("/config answers").json();
    config["inForce"]["connections"]["shop/shop:80"].clone()
}

async fn until_waiting(gateway: &Gateway, count: u64) {
    wait::until_true_of("requests that wait", async || told(gateway).await["waiting"] == count)
        .await;
}

/// From now on this origin alone is behind the Service `shop`.
async fn moved_to(gateway: &Gateway, origin: &Origin) {
    gateway.write(SHOP, &yaml::service("shop", &[origin.address]));
    wait::until_true_of("the new endpoint", async || {
        let config = gateway.admin("/config").await.expect("/config answers").json();
        let at = &config["inForce"]["services"]["shop/shop:80"][0]["address"];
        *at == origin.address.to_string()
    })
    .await;
}

/// A WebSocket through the gateway.
async fn socket(gateway: &Gateway) -> WebSocketStream<TcpStream> {
    let asked = format!("ws://{HOST}/ws").into_client_request().expect("a request");
    let stream = TcpStream::connect(gateway.web()).await.expect("a connection");
    let opened = tokio_tungstenite::client_async(asked, stream);
    let (socket, _) = wait::within("the handshake", opened).await.expect("a tunnel");
    socket
}

/// Nothing is under way: whatever counts lies idle, and the origins have as many.
async fn until_nothing_leaked(gateway: &Gateway, origins: &[Origin]) {
    wait::until_true_of("as many connections as lie idle", async || {
        let config = gateway.admin("/config").await.expect("/config answers").json();
        let told = &config["inForce"]["connections"]["shop/shop:80"];
        let endpoints = config["inForce"]["services"]["shop/shop:80"].as_array().cloned();
        let idle = endpoints.unwrap_or_default().into_iter();
        let idle: u64 = idle.filter_map(|one| one["idleConnections"].as_u64()).sum();
        let open: usize = origins.iter().map(Origin::open).sum();
        told["waiting"] == 0 && told["open"] == idle && open as u64 == idle
    })
    .await;
}

/// All of 50 callers get an answer to each of their requests.
async fn fifty_callers(gateway: &Gateway) {
    let web = gateway.web();
    let callers = (0..50).map(|_| async move {
        let mut connection = Connection::h1(web).await?;
        for _ in 0..4 {
            let asked = request("GET", HOST, "/delay/5").body(nothing())?;
            let reply = connection.send(asked).await?;
            assert_eq!(reply.status, 200, "{reply:?}");
        }
        Ok::<_, Fault>(())
    });
    for caller in wait::within("fifty callers", join_all(callers)).await {
        caller.expect("each is answered");
    }
}

#[tokio::test]
async fn no_more_connections_are_open_than_a_service_bears() {
    let text = "connections: 4, pendingTimeout: 20s";
    let (origins, gateway) = behind(1, "http", text, ONE).await;
    fifty_callers(&gateway).await;
    assert_eq!(origins[0].count(), 200);
    // Each was handed on as it came back, so that no fifth was opened in the place of another.
    assert_eq!(origins[0].connections(), 4);
    until_nothing_leaked(&gateway, &origins).await;
    let told = told(&gateway).await;
    assert_eq!((&told["open"], &told["most"], &told["refused"]), (&4.into(), &4.into(), &0.into()));
}

/// An origin that closes its connection after each answer; the most that were open at once.
async fn closing() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let (open, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let told = Arc::clone(&most);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (open, most) = (Arc::clone(&open), Arc::clone(&most));
            most.fetch_max(open.fetch_add(1, Relaxed) + 1, Relaxed);
            tokio::spawn(async move {
                let (mut head, mut piece) = (Vec::new(), [0; 1024]);
                while !head.ends_with(b"\r\n\r\n") {
                    match stream.read(&mut piece).await {
                        Ok(length) if length > 0 => head.extend_from_slice(&piece[..length]),
                        Ok(_) | Err(_) => break,
                    }
                }
                let answer = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n";
                let _gone = stream.write_all(answer).await;
                // From its last byte on, who asked may open another.
                open.fetch_sub(1, Relaxed);
                let _gone = stream.write_all(b"ok").await;
            });
        }
    });
    (address, told)
}

#[tokio::test]
async fn connections_that_backends_close_are_no_more_than_others() {
    let (address, most) = closing().await;
    let gateway = Setup::new()
        .with(yaml::service("shop", &[address]))
        .file("bounds.yaml", bounds("connections: 4, pendingTimeout: 20s"))
        .with(yaml::path_route("all", "/", "shop"))
        .arguments(TWO)
        .start()
        .await;
    fifty_callers(&gateway).await;
    assert!((1..=4).contains(&most.load(Relaxed)), "{most:?}");
}

#[tokio::test]
async fn who_is_refused_closes_no_connection_of_others() {
    let (origins, gateway) =
        behind(1, "kubernetes.io/h2c", "connections: 1, pending: 0", TWO).await;
    // Both workers want the one connection, on which a request stays.
    let stays = begun(&gateway, "/gate");
    wait::until_true_of("it to be there", async || origins[0].count() == 1).await;
    let mut statuses = std::collections::BTreeSet::new();
    for _ in 0..64 {
        statuses.insert(gateway.get(HOST, "/").await.status);
    }
    // Who comes to its worker shares it, before and after others were refused.
    assert!(statuses.contains(&200), "{statuses:?}");
    assert_eq!(origins[0].connections(), 1);
    origins[0].open_gate();
    assert_eq!(ended(stays).await.status, 200);
}

#[tokio::test]
async fn workers_and_endpoints_share_the_bound_and_nobody_starves() {
    let text = "connections: 3, pendingTimeout: 20s";
    let (origins, gateway) = behind(2, "http", text, TWO).await;
    fifty_callers(&gateway).await;
    assert!(origins.iter().all(|origin| origin.count() > 0), "each gets its share");
    until_nothing_leaked(&gateway, &origins).await;
    assert_eq!(gateway.metric("heddle_backend_refused_total", &["shop/shop:80"]).await, 0.0);
    let open = gateway.metric("heddle_backend_connections_open", &["shop/shop:80"]).await;
    assert!((1.0..=3.0).contains(&open), "{open}");
}

#[tokio::test]
async fn what_lies_idle_makes_room_for_another_endpoint() {
    let (origins, gateway) = behind(3, "http", "connections: 1, pending: 0", ONE).await;
    let mut used = std::collections::BTreeSet::new();
    for _ in 0..60 {
        let reply = gateway.get(HOST, "/").await;
        assert_eq!(reply.status, 200, "{reply:?}");
        used.insert(reply.origin().to_owned());
    }
    assert_eq!(used.len(), 3, "{used:?}");
    until_nothing_leaked(&gateway, &origins).await;
}

#[tokio::test]
async fn requests_that_share_a_connection_wait_for_none() {
    let (origins, gateway) =
        behind(1, "kubernetes.io/h2c", "connections: 1, pendingTimeout: 20s", ONE).await;
    fifty_callers(&gateway).await;
    assert_eq!(origins[0].connections(), 1);
    assert_eq!(told(&gateway).await["open"], 1);
}

#[tokio::test]
async fn workers_that_share_nothing_take_turns_at_one_connection() {
    let (origins, gateway) =
        behind(1, "kubernetes.io/h2c", "connections: 1, pendingTimeout: 20s", TWO).await;
    fifty_callers(&gateway).await;
    assert_eq!(origins[0].count(), 200);
    assert_eq!(told(&gateway).await["refused"], 0);
}

#[tokio::test]
async fn beyond_those_who_may_wait_a_request_is_refused_at_once() {
    let text = "connections: 1, pending: 1, pendingTimeout: 20s";
    let (origins, gateway) = behind(1, "http", text, ONE).await;
    let held = begun(&gateway, "/gate");
    wait::until_true("one under way", || origins[0].count() == 1).await;
    let waits = begun(&gateway, "/");
    until_waiting(&gateway, 1).await;
    let line = refused(&gateway, &gateway.get(HOST, "/").await, 503, "overloaded").await;
    let why = "proxy: 1 connections may be open to it, and 1 requests wait for one";
    assert_eq!((&line["detail"], &line["attempts"]), (&why.into(), &0.into()), "{line}");
    assert_eq!(gateway.metric("heddle_backend_waiting", &["shop/shop:80"]).await, 1.0);
    assert_eq!(gateway.metric("heddle_backend_refused_total", &["shop/shop:80"]).await, 1.0);
    origins[0].open_gate();
    answered(&gateway, &ended(held).await, "shop-0").await;
    answered(&gateway, &ended(waits).await, "shop-0").await;
    assert_eq!(origins[0].connections(), 1);
    until_nothing_leaked(&gateway, &origins).await;
}

#[tokio::test]
async fn who_waits_too_long_is_refused_and_no_endpoint_is_blamed() {
    let text = "connections: 1, pendingTimeout: 200ms";
    let (origins, gateway) = behind(1, "http", text, ONE).await;
    let held = begun(&gateway, "/gate");
    wait::until_true("one under way", || origins[0].count() == 1).await;
    let began = Instant::now();
    // As many as would have an endpoint rest that failed each.
    for reply in join_all((0..10).map(|_| gateway.get(HOST, "/"))).await {
        let line = refused(&gateway, &reply, 503, "overloaded").await;
        let why = "proxy: 1 connections may be open to it, and none was free within 200 ms";
        assert_eq!(line["detail"], why);
    }
    assert!(began.elapsed() >= Duration::from_millis(200));
    let config = gateway.admin("/config").await.expect("/config answers").json();
    let endpoint = &config["inForce"]["services"]["shop/shop:80"][0];
    assert_eq!((&endpoint["getsRequests"], &endpoint["underWay"]), (&"yes".into(), &1.into()));
    origins[0].open_gate();
    answered(&gateway, &ended(held).await, "shop-0").await;
}

#[tokio::test]
async fn who_goes_away_waits_no_longer() {
    let text = "connections: 1, pending: 1, pendingTimeout: 20s";
    let (origins, gateway) = behind(1, "http", text, ONE).await;
    let held = begun(&gateway, "/gate");
    wait::until_true("one under way", || origins[0].count() == 1).await;
    let waits = begun(&gateway, "/");
    until_waiting(&gateway, 1).await;
    waits.abort();
    until_waiting(&gateway, 0).await;
    let waits = begun(&gateway, "/");
    until_waiting(&gateway, 1).await;
    origins[0].open_gate();
    answered(&gateway, &ended(held).await, "shop-0").await;
    answered(&gateway, &ended(waits).await, "shop-0").await;
    assert_eq!(origins[0].count(), 2);
}

#[tokio::test]
async fn a_higher_bound_wakes_those_who_wait() {
    let (origins, gateway) = behind(1, "http", "connections: 1, pendingTimeout: 20s", ONE).await;
    let held = begun(&gateway, "/gate");
    wait::until_true("one under way", || origins[0].count() == 1).await;
    let waits = begun(&gateway, "/");
    until_waiting(&gateway, 1).await;
    gateway.write("bounds.yaml", &bounds("connections: 2"));
    answered(&gateway, &ended(waits).await, "shop-0").await;
    assert_eq!(told(&gateway).await["most"], 2);
    origins[0].open_gate();
    answered(&gateway, &ended(held).await, "shop-0").await;
    until_nothing_leaked(&gateway, &origins).await;
}

#[tokio::test]
async fn a_connection_that_was_upgraded_counts_until_it_ends() {
    let (origins, gateway) = behind(1, "http", "connections: 1, pending: 0", ONE).await;
    let socket = socket(&gateway).await;
    refused(&gateway, &gateway.get(HOST, "/").await, 503, "overloaded").await;
    drop(socket);
    wait::until_true_of("room", async || gateway.get(HOST, "/").await.status == 200).await;
    until_nothing_leaked(&gateway, &origins).await;
}

#[tokio::test]
async fn an_endpoint_that_is_gone_keeps_the_place_of_its_tunnel_alone() {
    let (origins, gateway) = behind(1, "http", "connections: 2, pending: 0", ONE).await;
    let socket = socket(&gateway).await;
    assert_eq!(gateway.get(HOST, "/").await.status, 200);
    assert_eq!(told(&gateway).await["open"], 2);
    let other = Origin::start("other").await;
    moved_to(&gateway, &other).await;
    // What lay idle is closed, and what is in use lives on.
    wait::until_true("one to be closed", || origins[0].open() == 0).await;
    assert_eq!(told(&gateway).await["open"], 1);
    let held = begun(&gateway, "/gate");
    wait::until_true("one under way", || other.count() == 1).await;
    refused(&gateway, &gateway.get(HOST, "/").await, 503, "overloaded").await;
    drop(socket);
    wait::until_true_of("room", async || gateway.get(HOST, "/").await.status == 200).await;
    other.open_gate();
    answered(&gateway, &ended(held).await, "other").await;
    until_nothing_leaked(&gateway, &[other]).await;
}

#[tokio::test]
async fn who_waits_for_an_endpoint_that_is_gone_goes_to_another() {
    let (origins, gateway) = behind(1, "http", "connections: 1, pendingTimeout: 20s", ONE).await;
    let held = begun(&gateway, "/gate");
    wait::until_true("one under way", || origins[0].count() == 1).await;
    let waits = begun(&gateway, "/");
    until_waiting(&gateway, 1).await;
    let other = Origin::start("other").await;
    moved_to(&gateway, &other).await;
    until_waiting(&gateway, 1).await;
    origins[0].open_gate();
    answered(&gateway, &ended(held).await, "shop-0").await;
    answered(&gateway, &ended(waits).await, "other").await;
    assert_eq!((origins[0].count(), other.count()), (1, 1));
    until_nothing_leaked(&gateway, &[other]).await;
}

#[tokio::test]
async fn who_waits_for_a_service_that_is_gone_is_told() {
    let (origins, gateway) = behind(1, "http", "connections: 1, pendingTimeout: 20s", ONE).await;
    let held = begun(&gateway, "/gate");
    wait::until_true("one under way", || origins[0].count() == 1).await;
    let waits = begun(&gateway, "/");
    until_waiting(&gateway, 1).await;
    gateway.write(SHOP, &yaml::service("shop", &[]));
    let line = refused(&gateway, &ended(waits).await, 503, "no_endpoint").await;
    let why =
        "backend: the endpoint that it waited for is gone, and there is no other where it may go";
    assert_eq!(line["detail"], why);
    origins[0].open_gate();
    answered(&gateway, &ended(held).await, "shop-0").await;
}

#[tokio::test]
async fn a_service_that_comes_back_has_its_bound_once() {
    let (origins, gateway) = behind(1, "http", "connections: 2, pending: 0", ONE).await;
    let shop = yaml::service("shop", &[origins[0].address]);
    let socket = socket(&gateway).await;
    let is_led = async |path: &str| gateway.get(HOST, path).await.status == 200;
    // Two tables without it.
    gateway.write(SHOP, &yaml::service("other", &[origins[0].address]));
    wait::until_true_of("nobody to be led there", async || !is_led("/").await).await;
    gateway.write("other.yaml", &yaml::path_route("other", "/other", "other"));
    wait::until_true_of("another table", async || is_led("/other").await).await;
    gateway.write(SHOP, &shop);
    wait::until_true_of("it to be back", async || is_led("/").await).await;
    assert_eq!(told(&gateway).await["open"], 2, "the socket, and what lies idle");
    let held = begun(&gateway, "/gate");
    wait::until_true("one under way", || origins[0].last().target == "/gate").await;
    refused(&gateway, &gateway.get(HOST, "/").await, 503, "overloaded").await;
    drop(socket);
    wait::until_true_of("room", async || is_led("/").await).await;
    origins[0].open_gate();
    answered(&gateway, &ended(held).await, "shop-0").await;
    until_nothing_leaked(&gateway, &origins).await;
}

/// A gateway with one listener, `bytes`, that carries connections, one at a time, to a backend which says
/// `hello` and then what it hears; what its listener is besides its name and port.
async fn of_bytes(listener: &str, certificate: Option<&Certificate>) -> (Gateway, JoinHandle<()>) {
    let backend = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let address = backend.local_addr().expect("it is bound");
    let backend = tokio::spawn(async move {
        while let Ok((mut stream, _)) = backend.accept().await {
            tokio::spawn(async move {
                stream.write_all(b"hello\n").await?;
                let (mut heard, mut said) = stream.split();
                tokio::io::copy(&mut heard, &mut said).await
            });
        }
    });
    let port = e2e::program::free_port();
    let route = "spec:\n  parentRefs: [{ name: edge }]\n  \
                 rules: [{ backendRefs: [{ name: shop, port: 80 }] }]";
    let setup = Setup::bare()
        .listener("bytes", port, format!("{{ name: bytes, port: {port}, {listener} }}"))
        .with(yaml::service_speaking("shop", "tcp", &[address]))
        .with(bounds("connections: 1, pendingTimeout: 20s"))
        .with(yaml::document("gateway.networking.k8s.io/v1", "TCPRoute", "all", route));
    let secret = certificate.map(|one| yaml::tls_secret("door", one));
    let setup = secret.into_iter().fold(setup, Setup::with);
    (setup.start().await, backend)
}

async fn connect(gateway: &Gateway) -> TcpStream {
    let connecting = TcpStream::connect(gateway.listener("bytes"));
    wait::within("a connection", connecting).await.expect("somebody listens")
}

/// Reads what the backend says first.
async fn greeted(stream: &mut (impl AsyncRead + Unpin)) {
    heard(stream, b"hello\n").await;
}

async fn heard(stream: &mut (impl AsyncRead + Unpin), wanted: &[u8; 6]) {
    let mut word = [0; 6];
    wait::within("its turn", stream.read_exact(&mut word)).await.expect("six bytes");
    assert_eq!(&word, wanted);
}

#[tokio::test]
async fn connections_of_which_nothing_is_read_count_too() {
    let (gateway, backend) = of_bytes("protocol: TCP", None).await;
    let mut first = connect(&gateway).await;
    greeted(&mut first).await;
    let mut second = connect(&gateway).await;
    until_waiting(&gateway, 1).await;
    drop(first);
    greeted(&mut second).await;
    assert_eq!(told(&gateway).await["open"], 1);
    backend.abort();
}

#[tokio::test]
async fn who_closes_a_connection_waits_no_longer() {
    let (gateway, backend) = of_bytes("protocol: TCP", None).await;
    let mut first = connect(&gateway).await;
    greeted(&mut first).await;
    let waits = connect(&gateway).await;
    until_waiting(&gateway, 1).await;
    drop(waits);
    until_waiting(&gateway, 0).await;
    // Who said something may be closing its own half alone, until it breaks off.
    let mut asks = connect(&gateway).await;
    asks.write_all(b"hello?").await.expect("it is open");
    let mut breaks_off = connect(&gateway).await;
    breaks_off.write_all(b"hello?").await.expect("it is open");
    until_waiting(&gateway, 2).await;
    asks.shutdown().await.expect("it is open");
    breaks_off.set_zero_linger().expect("it is open");
    drop(breaks_off);
    until_waiting(&gateway, 1).await;
    drop(first);
    greeted(&mut asks).await;
    heard(&mut asks, b"hello?").await;
    assert_eq!(told(&gateway).await["refused"], 0);
    backend.abort();
}

#[tokio::test]
async fn who_closes_a_connection_by_tls_waits_no_longer() {
    let authority = Authority::new();
    let certificate = authority.sign("shop.test");
    let listener = "protocol: TLS, tls: { certificateRefs: [{ name: door }] }";
    let (gateway, backend) = of_bytes(listener, Some(&certificate)).await;
    let connector = TlsConnector::from(authority.client(&[]));
    let secure = async || {
        let name = HOST.to_owned().try_into().expect("a host");
        let shaken = connector.connect(name, connect(&gateway).await);
        wait::within("the handshake", shaken).await.expect("TLS")
    };
    let mut first = secure().await;
    greeted(&mut first).await;
    let mut waits = secure().await;
    until_waiting(&gateway, 1).await;
    waits.shutdown().await.expect("it is open");
    until_waiting(&gateway, 0).await;
    let mut asks = secure().await;
    asks.write_all(b"hello?").await.expect("it is open");
    until_waiting(&gateway, 1).await;
    drop(first);
    greeted(&mut asks).await;
    heard(&mut asks, b"hello?").await;
    backend.abort();
}
