//! What moves is waited for, what stands still is not.

use std::time::{Duration, Instant};

use bytes::Bytes;
use e2e::client::{Payload, bytes, nothing, request};
use e2e::raw::Raw;
use e2e::{Connection, Origin, Scripted, Setup, wait, yaml};
use futures::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::interval;

use crate::scene::{HOST, answered, refused, shop};

const MIB: usize = 1 << 20;

#[tokio::test]
async fn an_endpoint_that_hangs_draws_no_traffic() {
    for protocol in ["http", "kubernetes.io/h2c"] {
        let (origin, mute) = (Origin::start("well").await, Scripted::start("").await);
        let addresses = [origin.address, mute.address];
        let gateway = Setup::new()
            .with(yaml::service_speaking("both", protocol, &addresses))
            .with(yaml::route(
                "all",
                "rules: [{ timeouts: { backendRequest: 300ms }, \
                 backendRefs: [{ name: both, port: 80 }] }]",
            ))
            .start()
            .await;
        let mut late = 0;
        for _ in 0..40 {
            let reply = gateway.get(HOST, "/").await;
            assert!(matches!(reply.status, 200 | 504), "{reply:?}");
            late += usize::from(reply.status == 504);
        }
        assert!(late <= 4, "{protocol}: {late} of 40 were sent to the endpoint that hangs");
        assert_eq!(origin.count() + late, 40);
    }
}

#[tokio::test]
async fn a_caller_that_stops_reading_holds_no_backend() {
    const MANY: usize = 256 * MIB;
    let (origin, setup) = shop().await;
    let gateway = setup.arguments(&["--write-timeout", "1s"]).start().await;
    let mut raw = Raw::connect(gateway.web()).await;
    let began = Instant::now();
    raw.write(format!("GET /big/{MANY} HTTP/1.1\r\nhost: {HOST}\r\n\r\n")).await;
    let head = raw.head().await;
    assert_eq!((head.status, origin.open()), (200, 1), "{}", head.text);
    let line = gateway.logged_as(head.header("x-request-id")).await;
    let took = began.elapsed();
    assert!(took > Duration::from_millis(900) && took < Duration::from_secs(10), "{took:?}");
    assert_eq!(line["status"], 200, "{line}");
    assert_ne!(line["reason"], "ok", "{line}");
    wait::until_true("the backend's connection to close", || origin.open() == 0).await;
    // The caller, too: it gets what had left already, and an end.
    let rest = raw.rest().await.len();
    assert!(rest < MANY, "{rest} bytes");
    assert_eq!(gateway.get(HOST, "/").await.status, 200);
}

#[tokio::test]
async fn a_stream_whose_window_stays_shut_holds_no_backend() {
    let (origin, setup) = shop().await;
    let gateway = setup.arguments(&["--write-timeout", "1s"]).start().await;
    let mut connection = Connection::h2c(gateway.web()).await.unwrap();
    let asked = request("GET", HOST, &format!("/big/{}", 256 * MIB)).body(nothing()).unwrap();
    let began = Instant::now();
    // A body that nobody reads opens no window.
    let held = connection.open(asked).await.unwrap();
    assert_eq!((held.status().as_u16(), origin.open()), (200, 1));
    let line = gateway.logged_as(held.headers()["x-request-id"].to_str().unwrap()).await;
    let took = began.elapsed();
    assert!(took > Duration::from_millis(900) && took < Duration::from_secs(10), "{took:?}");
    assert_eq!((&line["status"], &line["reason"]), (&200.into(), &"client_gone".into()), "{line}");
    wait::until_true("the backend's connection to close", || origin.open() == 0).await;
    assert!(held.into_body().collect().await.is_err(), "a part passed for the whole");
    // The connection's other streams go on.
    let other = connection.send(request("GET", HOST, "/").body(nothing()).unwrap()).await.unwrap();
    assert_eq!(other.status, 200);
}

#[tokio::test]
async fn an_answer_of_ours_that_is_not_taken_is_given_up() {
    let gateway = Setup::new().arguments(&["--write-timeout", "1s"]).start().await;
    let stream = TcpStream::connect(gateway.web()).await.unwrap();
    let (mut sender, connection) = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(0)
        .handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let asked = request("GET", "nobody.test", "/").body(nothing()).unwrap();
    let answer = sender.send_request(asked).await.unwrap();
    assert_eq!(answer.status(), 404);
    // Told only once the stream is over.
    let line = gateway.logged_as(answer.headers()["x-request-id"].to_str().unwrap()).await;
    assert_eq!(line["status"], 404, "{line}");
    assert!(answer.into_body().collect().await.is_err(), "a body came through a shut window");
}

#[tokio::test]
async fn a_stream_whose_window_opens_slowly_gets_all() {
    const MANY: usize = 24 * MIB;
    let (_origin, setup) = shop().await;
    let gateway = setup.arguments(&["--write-timeout", "1s"]).start().await;
    let mut connection = Connection::h2c(gateway.web()).await.unwrap();
    let asked = request("GET", HOST, &format!("/big/{MANY}")).body(nothing()).unwrap();
    let answer = connection.open(asked).await.unwrap();
    let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
    let (mut body, mut read, mut rest) = (answer.into_body(), 0, MIB);
    let (mut pace, began) = (interval(Duration::from_millis(100)), Instant::now());
    while let Some(frame) = body.frame().await {
        let length = frame.unwrap().data_ref().map_or(0, Bytes::len);
        read += length;
        if length >= rest {
            pace.tick().await;
            rest = MIB;
        } else {
            rest -= length;
        }
    }
    assert_eq!(read, MANY);
    assert!(began.elapsed() > Duration::from_secs(2), "not slow: {:?}", began.elapsed());
    assert_eq!(gateway.logged_as(&id).await["reason"], "ok");
}

#[tokio::test]
async fn a_caller_that_reads_slowly_gets_all() {
    const MANY: usize = 60 * MIB;
    let (_origin, setup) = shop().await;
    let gateway = setup.arguments(&["--write-timeout", "1s"]).start().await;
    let mut raw = Raw::connect(gateway.web()).await;
    raw.write(format!("GET /big/{MANY} HTTP/1.0\r\nhost: {HOST}\r\n\r\n")).await;
    let head = raw.head().await;
    let (mut pace, began) = (interval(Duration::from_millis(50)), Instant::now());
    for _ in 0..MANY / MIB {
        pace.tick().await;
        raw.exactly(MIB).await;
    }
    assert_eq!(raw.rest().await.len(), 0);
    assert!(began.elapsed() > Duration::from_secs(2), "not slow: {:?}", began.elapsed());
    assert_eq!(gateway.logged_as(head.header("x-request-id")).await["reason"], "ok");
}

/// `count` pieces, one every `pause`.
fn steady(count: usize, pause: Duration) -> Payload {
    let pieces = stream::unfold((0, interval(pause)), move |(sent, mut pace)| async move {
        pace.tick().await;
        let piece = Ok(Frame::data(Bytes::from_static(b"piece")));
        (sent < count).then_some((piece, (sent + 1, pace)))
    });
    BodyExt::boxed(StreamBody::new(pieces))
}

/// The header `x-upstream` chooses what is spoken to the origin, which has one second.
async fn hurried() -> (Origin, e2e::Gateway) {
    let (origin, setup) = shop().await;
    let gateway = setup
        .with(yaml::service_speaking("modern", "kubernetes.io/h2c", &[origin.address]))
        .with(yaml::route(
            "modern",
            "rules: [{ matches: [{ headers: [{ name: x-upstream, value: h2 }] }], \
             backendRefs: [{ name: modern, port: 80 }] }]",
        ))
        .arguments(&["--backend-timeout", "1s"])
        .start()
        .await;
    (origin, gateway)
}

#[tokio::test]
async fn an_upload_that_moves_is_waited_for() {
    let (_origin, gateway) = hurried().await;
    let web = gateway.web();
    let began = Instant::now();
    let upload = |h2: bool, upstream: &'static str| {
        tokio::spawn(async move {
            let connected = if h2 { Connection::h2c(web).await } else { Connection::h1(web).await };
            let body = steady(25, Duration::from_millis(100));
            let asked = request("POST", HOST, "/sink").header("x-upstream", upstream).body(body);
            connected.unwrap().send(asked.unwrap()).await
        })
    };
    for upload in [upload(false, "h1"), upload(false, "h2"), upload(true, "h1"), upload(true, "h2")]
    {
        let reply = wait::within("an upload", upload).await.unwrap().unwrap();
        let line = answered(&gateway, &reply, "shop").await;
        assert_eq!((reply.text().as_str(), &line["bytes_in"]), ("125", &125.into()));
    }
    assert!(began.elapsed() > Duration::from_secs(2), "not slow: {:?}", began.elapsed());
}

#[tokio::test]
async fn the_backends_time_begins_with_the_end_of_the_body() {
    let (_origin, gateway) = hurried().await;
    let connection = Connection::h2c(gateway.web()).await.unwrap();
    let mut running = Vec::new();
    // Whenever in the course of a second the body ends, six tenths of one are not too long.
    for (upstream, pieces) in [("h1", 16), ("h2", 16), ("h1", 19), ("h2", 19), ("h1", 34)] {
        let body = steady(pieces, Duration::from_millis(50));
        let asked = request("POST", HOST, "/sink/600").header("x-upstream", upstream).body(body);
        running.push((pieces, connection.begin(asked.unwrap())));
    }
    for (pieces, one) in running {
        let reply = wait::within("an answer", one).await.unwrap().unwrap();
        assert_eq!(reply.status, 200, "after {pieces} pieces: {}", reply.text());
        assert_eq!(reply.text(), (5 * pieces).to_string());
    }
}

#[tokio::test]
async fn once_the_body_is_whole_the_backend_has_its_time_and_no_more() {
    let (origin, gateway) = hurried().await;
    let connection = Connection::h2c(gateway.web()).await.unwrap();
    let mut running = Vec::new();
    let began = Instant::now();
    for upstream in ["h1", "h2"] {
        for body in [nothing(), bytes("whole"), steady(3, Duration::from_millis(50))] {
            let asked = request("POST", HOST, "/gate").header("x-upstream", upstream).body(body);
            running.push(connection.begin(asked.unwrap()));
        }
    }
    for one in running {
        let reply = wait::within("an answer", one).await.unwrap().unwrap();
        let took = began.elapsed();
        refused(&gateway, &reply, 504, "backend_timeout").await;
        assert!(took > Duration::from_millis(900) && took < Duration::from_secs(8), "{took:?}");
    }
    assert_eq!(origin.count(), 6);
}

#[tokio::test]
async fn a_backend_that_does_not_read_an_upload_does_not_hold_it() {
    let mute = Scripted::held("").await;
    let gateway = Setup::new()
        .with(yaml::service("mute", &[mute.address]))
        .with(yaml::path_route("all", "/", "mute"))
        .arguments(&["--backend-timeout", "1s", "--body-timeout", "2s", "--write-timeout", "2s"])
        .start()
        .await;
    let asked = request("POST", HOST, "/").body(bytes(vec![0; 64 * MIB])).unwrap();
    let reply = gateway.send(asked).await;
    assert_eq!((reply.status / 100, reply.origin()), (5, ""), "{reply:?}");
}

#[tokio::test]
async fn an_answer_that_falls_silent_for_longer_than_its_service_may_is_broken_off() {
    let half = Scripted::start("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf").await;
    let gateway = Setup::new()
        .with(yaml::service("shop", &[half.address]))
        .with(yaml::traffic("shop", "timeouts: { streamIdle: 1s }"))
        .with(yaml::path_route("all", "/", "shop"))
        .start()
        .await;
    let mut raw = Raw::connect(gateway.web()).await;
    raw.write(format!("GET / HTTP/1.1\r\nhost: {HOST}\r\n\r\n")).await;
    let head = raw.head().await;
    assert_eq!(head.status, 200, "{}", head.text);
    assert_eq!(raw.rest().await, b"half");
    let line = gateway.logged_as(head.header("x-request-id")).await;
    assert_eq!(line["reason"], "backend_timeout", "{line}");
    wait::until_true("the backend's connection to close", || half.heard()[0].ended).await;
}

#[tokio::test]
async fn a_service_says_how_long_connecting_to_it_may_take() {
    // Whoever listens, and takes nobody: beyond those who wait to be taken the system answers none.
    let full = TcpSocket::new_v4().unwrap();
    full.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let full = full.listen(1).unwrap();
    let address = full.local_addr().unwrap();
    let filling: Vec<_> = (0..8).map(|_| tokio::spawn(TcpStream::connect(address))).collect();
    wait::until_true("two that wait", || {
        filling.iter().filter(|connecting| connecting.is_finished()).count() >= 2
    })
    .await;
    let gateway = Setup::new()
        .with(yaml::service("shop", &[address]))
        .with(yaml::traffic("shop", "timeouts: { connect: 300ms }"))
        .with(yaml::path_route("all", "/", "shop"))
        .start()
        .await;
    let line = refused(&gateway, &gateway.get(HOST, "/").await, 503, "connect_failed").await;
    let detail = line["detail"].as_str().unwrap_or_default();
    assert!(detail.contains("no connection within 300 ms"), "{line}");
}
