//! How many connections to a Service are open at once, and who waits for one.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use e2e::client::{Fault, nothing, request};
use e2e::{Connection, Gateway, Origin, Reply, Setup, wait, yaml};
use futures::future::join_all;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::scene::{HOST, answered, refused};

mod bytes;
mod faces;
mod swap;

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
    let mut origins = vec![Origin::start("shop-0").await];
    for index in 1..count {
        origins.push(Origin::start_beside(&origins[0], &format!("shop-{index}")).await);
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

/// So many connections were open at once at the origins together, and never more.
#[track_caller]
fn assert_most(origins: &[Origin], most: usize) {
    assert_eq!(origins[0].most(), most);
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
    assert_most(&origins, 4);
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
    assert_most(&origins, 1);
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
    assert_most(&origins, 3);
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
    assert_most(&origins, 1);
}

#[tokio::test]
async fn requests_that_share_a_connection_wait_for_none() {
    let (origins, gateway) =
        behind(1, "kubernetes.io/h2c", "connections: 1, pendingTimeout: 20s", ONE).await;
    fifty_callers(&gateway).await;
    assert_eq!(origins[0].connections(), 1);
    assert_eq!(told(&gateway).await["open"], 1);
    assert_most(&origins, 1);
}

#[tokio::test]
async fn workers_that_share_nothing_take_turns_at_one_connection() {
    let (origins, gateway) =
        behind(1, "kubernetes.io/h2c", "connections: 1, pendingTimeout: 20s", TWO).await;
    fifty_callers(&gateway).await;
    assert_eq!(origins[0].count(), 200);
    assert_eq!(told(&gateway).await["refused"], 0);
    assert_most(&origins, 1);
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
    assert_most(&origins, 1);
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
    assert_most(&origins, 1);
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
    assert_most(&origins, 1);
}

#[tokio::test]
async fn a_connection_that_was_upgraded_counts_until_it_ends() {
    let (origins, gateway) = behind(1, "http", "connections: 1, pending: 0", ONE).await;
    let socket = socket(&gateway).await;
    refused(&gateway, &gateway.get(HOST, "/").await, 503, "overloaded").await;
    drop(socket);
    wait::until_true_of("room", async || gateway.get(HOST, "/").await.status == 200).await;
    until_nothing_leaked(&gateway, &origins).await;
    assert_most(&origins, 1);
}
