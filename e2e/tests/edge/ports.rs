//! Ports that open, close, or cannot be opened: what an operator is told of them.

use std::net::{SocketAddr, TcpListener};

use e2e::client::{nothing, request};
use e2e::program::free_port;
use e2e::{Connection, Gateway, Setup, wait, yaml};
use serde_json::Value;
use tokio::net::TcpStream;

use crate::scene::{HOST, shop};

const MISSING: &str = "heddle_ports_missing";

/// Puts a listener `second` on `port` beside the others.
fn add_second(gateway: &Gateway, port: u16) -> String {
    let text = std::fs::read_to_string(gateway.file("gateway.yaml")).expect("it is there");
    let line = format!("listeners:\n    - {}\n", yaml::http("second", port));
    gateway.write("gateway.yaml", &text.replacen("listeners:\n", &line, 1));
    text
}

/// Waits until `/config` says whether the listener `name` is open; gives what it says.
async fn until_open(gateway: &Gateway, name: &str, is_open: bool) -> Value {
    wait::until(&format!("listener {name} with open: {is_open}"), || async {
        let config = gateway.admin("/config").await.ok()?.json();
        let listeners = config["inForce"]["listeners"].as_array()?.clone();
        listeners.into_iter().find(|one| one["name"] == name && one["open"] == is_open)
    })
    .await
}

/// The line of the log that holds all of these words.
async fn until_logged(gateway: &Gateway, words: &[&str]) {
    wait::until(&format!("a line with {words:?}"), || {
        let log = gateway.stderr();
        let found = log.lines().any(|line| words.iter().all(|word| line.contains(word)));
        std::future::ready(found.then_some(()))
    })
    .await;
}

#[tokio::test]
async fn a_port_that_cannot_be_opened_is_told_in_log_dump_and_metrics() {
    let gateway = Setup::new().start().await;
    assert_eq!(gateway.metric(MISSING, &[]).await, 0.0);
    let web = until_open(&gateway, "web", true).await;
    assert!(web["notOpen"].is_null(), "{web}");

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    add_second(&gateway, port);
    let place = format!("127.0.0.1:{port} is in use by another process");
    until_logged(&gateway, &["ERROR", "listener 'second' of Gateway shop/edge", &place]).await;
    let second = until_open(&gateway, "second", false).await;
    assert!(second["notOpen"].as_str().is_some_and(|why| why.contains(&place)), "{second}");
    assert_eq!(gateway.metric(MISSING, &[]).await, 1.0);
    until_open(&gateway, "web", true).await;

    drop(taken);
    until_open(&gateway, "second", true).await;
    assert_eq!(gateway.metric(MISSING, &[]).await, 0.0);
}

#[tokio::test]
async fn a_listener_on_the_gateways_own_admin_port_is_told_so() {
    let gateway = Setup::new().start().await;
    add_second(&gateway, gateway.admin.port());
    until_logged(&gateway, &["ERROR", "listener 'second'", "own admin port", "--admin"]).await;
    let second = until_open(&gateway, "second", false).await;
    let why = second["notOpen"].as_str().unwrap_or_default();
    assert!(why.contains("own admin port"), "{second}");
}

#[tokio::test]
async fn a_start_that_fails_for_ports_names_them_all() {
    let taken =
        [TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap()];
    let [a, b] = taken.each_ref().map(|one| one.local_addr().unwrap().port());
    let mut gateway = Setup::bare()
        .listener("a", a, yaml::http("a", a))
        .listener("b", b, yaml::http("b", b))
        .spawn();
    assert_eq!(gateway.exited().await, 1);
    let said = gateway.stderr();
    for name in ["a", "b"] {
        let words = format!("listener '{name}' of Gateway shop/edge");
        assert!(said.contains(&words), "no '{words}' in\n{said}");
    }
}

#[tokio::test]
async fn an_admin_port_in_use_is_told_with_the_flag_that_helps() {
    let other = Setup::new().start().await;
    let admin = other.admin.to_string();
    let folder = other.folder().join("config");
    let ended = e2e::program::run(&["--config", folder.to_str().unwrap(), "--admin", &admin]);
    assert_eq!(ended.code, 1, "{ended:?}");
    for word in [&*admin, "in use", "--admin"] {
        assert!(ended.stderr.contains(word), "no '{word}' in {}", ended.stderr);
    }
}

#[tokio::test]
async fn listeners_that_come_and_go_are_logged() {
    let gateway = Setup::new().start().await;
    let web = gateway.web().to_string();
    let opened = ["INFO", "listener opened", "HTTP", "Gateway shop/edge"];
    until_logged(&gateway, &[&opened[..], &["listener=web", &web]].concat()).await;
    let second = free_port();
    let before = add_second(&gateway, second);
    let second = format!("127.0.0.1:{second}");
    until_logged(&gateway, &[&opened[..], &["listener=second", &second]].concat()).await;
    gateway.write("gateway.yaml", &before);
    let closed = ["INFO", "listener closed", "Gateway shop/edge", "listener=second", &second];
    until_logged(&gateway, &closed).await;
    assert!(!gateway.stderr().lines().any(|line| line.contains("closed") && line.contains(&web)));
}

#[tokio::test]
async fn connections_of_a_listener_that_goes_end_once_they_are_through() {
    let (origin, setup) = shop().await;
    let gateway = setup.start().await;
    let port = free_port();
    let before = add_second(&gateway, port);
    until_open(&gateway, "second", true).await;
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let asked = |path: &str| request("GET", HOST, path).body(nothing()).expect("a request");
    let mut idle = Connection::h1(address).await.unwrap();
    assert_eq!(idle.send(asked("/")).await.unwrap().status, 200);
    let (mut plain, framed) =
        (Connection::h1(address).await.unwrap(), Connection::h2c(address).await.unwrap());
    let over_h2 = framed.begin(asked("/gate"));
    let over_h1 = tokio::spawn(async move { plain.send(asked("/gate")).await });
    wait::until_true("both to arrive", || origin.count() == 3).await;

    gateway.write("gateway.yaml", &before);
    wait::until_true_of("it to be gone", async || TcpStream::connect(address).await.is_err()).await;
    let last = idle.send(asked("/")).await.unwrap();
    assert_eq!((last.status, last.header("connection")), (404, "close"), "{last:?}");
    // What was begun by the listener ends by it.
    origin.open_gate();
    let (over_h1, over_h2) = (over_h1.await.unwrap().unwrap(), over_h2.await.unwrap().unwrap());
    assert_eq!((over_h1.status, over_h1.header("connection")), (200, "close"), "{over_h1:?}");
    assert_eq!(over_h2.status, 200);
    wait::until_true("the connection of HTTP/2 to close", || framed.is_closed()).await;
    assert_eq!(gateway.get(HOST, "/").await.status, 200, "others stay");
}
