//! The end: running requests finish, new ones go elsewhere, and it does end.

use std::time::{Duration, Instant};

use e2e::client::{nothing, request};
use e2e::raw::Raw;
use e2e::{Connection, Setup, wait, yaml};
use http::Version;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::scene::{HOST, open_shop, shop};

#[tokio::test]
async fn sigterm_lets_running_requests_finish() {
    let (origin, mut gateway) = open_shop().await;
    let mut h1 = Connection::h1(gateway.web()).await.unwrap();
    let h2 = Connection::h2c(gateway.web()).await.unwrap();
    let mut idle = Connection::h1(gateway.web()).await.unwrap();
    let gate = || request("GET", HOST, "/gate").body(nothing()).unwrap();
    assert_eq!(
        idle.send(request("GET", HOST, "/").body(nothing()).unwrap()).await.unwrap().status,
        200
    );
    let over_h2 = h2.begin(gate());
    let over_h1 = tokio::spawn(async move { h1.send(gate()).await });
    wait::until_true("both to arrive", || origin.count() == 3).await;

    gateway.terminate();
    let reply = wait::until("/readyz to say draining", || async {
        gateway.admin("/readyz").await.ok().filter(|reply| reply.status == 503)
    })
    .await;
    assert!(reply.text().contains("drain"), "{}", reply.text());
    let web = gateway.web();
    wait::until("new callers to be refused", || async {
        TcpStream::connect(web).await.is_err().then_some(())
    })
    .await;
    wait::until_true("the idle connection to close", || idle.is_closed()).await;
    assert!(gateway.try_exit().is_none(), "it ended under running requests");

    origin.open_gate();
    for running in [over_h1, over_h2] {
        let reply = wait::within("a running request", running).await.unwrap().unwrap();
        assert_eq!((reply.status, reply.origin()), (200, "shop"));
        let is_last = reply.header("connection") == "close";
        assert_eq!(is_last, reply.version == Version::HTTP_11, "{reply:?}");
    }
    assert_eq!(gateway.exited().await, 0);
    let log = gateway.access_log();
    assert_eq!(log.matches("\"/gate\"").count(), 2, "{log}");
}

#[tokio::test]
async fn before_the_end_balancers_have_the_time_that_they_were_given() {
    let (_origin, setup) = shop().await;
    let mut gateway = setup.arguments(&["--drain-delay", "1h"]).start().await;
    gateway.terminate();
    wait::until("/readyz to say draining", || async {
        gateway.admin("/readyz").await.ok().filter(|reply| reply.status == 503)
    })
    .await;
    // Each of these is a connection of its own, and what changes meanwhile is followed.
    assert_eq!(gateway.get(HOST, "/").await.status, 200);
    gateway.write("none.yaml", &yaml::path_route("none", "/none", "nobody"));
    wait::until_true_of("another table", async || gateway.get(HOST, "/none").await.status == 500)
        .await;
    assert!(gateway.try_exit().is_none(), "{}", gateway.stderr());
    gateway.terminate();
    assert_eq!(gateway.exited().await, 0);
}

#[tokio::test]
async fn whom_the_kernel_let_in_before_the_end_is_served() {
    let (_origin, setup) = shop().await;
    let mut gateway = setup.arguments(&["--workers", "1"]).start().await;
    gateway.halt();
    let mut waiting = Vec::new();
    for _ in 0..400 {
        waiting.push(Raw::connect(gateway.web()).await);
    }
    gateway.terminate();
    gateway.resume();
    for (number, caller) in waiting.iter_mut().enumerate() {
        caller.write(format!("GET / HTTP/1.1\r\nhost: {HOST}\r\n\r\n")).await;
        let answer = caller.head().await;
        assert_eq!(answer.status, 200, "caller {number}: {}", answer.text);
    }
    assert_eq!(gateway.exited().await, 0);
}

#[tokio::test]
async fn a_gateway_without_callers_ends_at_once() {
    let (_origin, mut gateway) = open_shop().await;
    assert_eq!(gateway.get(HOST, "/").await.status, 200);
    let began = Instant::now();
    gateway.terminate();
    assert_eq!(gateway.exited().await, 0);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test]
async fn who_sends_on_behind_their_last_answer_is_not_waited_for_at_the_end() {
    let routes = yaml::path_route("some", "/some", "shop");
    let mut gateway = Setup::new().with(yaml::service("shop", &[])).with(routes).start().await;
    let mut sends = Raw::connect(gateway.web()).await;
    let head = format!("POST /nowhere HTTP/1.1\r\nhost: {HOST}\r\n");
    sends.write(format!("{head}content-length: 100000\r\n\r\nx")).await;
    let answer = sends.head().await;
    assert_eq!(answer.status, 404);
    sends.exactly(answer.header("content-length").parse().expect("a length")).await;
    let began = Instant::now();
    gateway.terminate();
    let trickle = tokio::spawn(async move {
        let mut stream = sends.into_stream();
        while stream.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    assert_eq!(gateway.exited().await, 0);
    let took = began.elapsed();
    assert!(took < Duration::from_secs(9), "5 s, and not the 30 s of a drain: {took:?}");
    assert!(!gateway.stderr().contains("drain is over"), "{}", gateway.stderr());
    wait::within("the end of who sends on", trickle).await.unwrap();
}

#[tokio::test]
async fn the_drain_timeout_is_kept() {
    let (origin, setup) = shop().await;
    let mut gateway = setup.arguments(&["--drain-timeout", "1s"]).start().await;
    let web = gateway.web();
    let endless = tokio::spawn(async move {
        let mut connection = Connection::h1(web).await?;
        connection.send(request("GET", HOST, "/gate").body(nothing())?).await
    });
    wait::until_true("the request to arrive", || origin.count() == 1).await;
    let began = Instant::now();
    gateway.terminate();
    assert_eq!(gateway.exited().await, 0);
    let took = began.elapsed();
    assert!(took > Duration::from_millis(900) && took < Duration::from_secs(8), "{took:?}");
    wait::within("the cut request", endless).await.unwrap().unwrap_err();
    // What was cut is told, and not laid at the client's door.
    let log = gateway.access_log();
    let line: serde_json::Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
    assert_eq!((&line["path"], &line["reason"]), (&"/gate".into(), &"drained".into()), "{log}");
}
