//! Uploads that break off: nobody takes them for whole, and the blame falls where it belongs.

use bytes::Bytes;
use e2e::client::{Payload, nothing, request};
use e2e::raw::Raw;
use e2e::scripted::Talk;
use e2e::{Connection, Gateway, Origin, Scripted, Setup, wait, yaml};
use futures::{StreamExt as _, stream};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::scene::{HOST, answered};

const CHUNKED: &str = "transfer-encoding: chunked\r\n\r\n6\r\na half\r\n";

/// Begins an upload that never comes to its end, by `framing`.
async fn begin(gateway: &Gateway, framing: &str) -> Raw {
    let mut raw = Raw::connect(gateway.web()).await;
    raw.write(format!("POST /sink HTTP/1.1\r\nhost: {HOST}\r\n{framing}")).await;
    raw
}

/// The first line of the log, once it is there.
async fn first_line(gateway: &Gateway) -> Value {
    let line = wait::until("a log line", || {
        let line = gateway.access_log().lines().next().map(str::to_owned);
        std::future::ready(line)
    });
    serde_json::from_str(&line.await).expect("a log line is JSON")
}

/// Two endpoints, of which nothing is known yet.
async fn two() -> ([Origin; 2], Gateway) {
    let origins = [Origin::start("one").await, Origin::start("two").await];
    let gateway = Setup::new()
        .with(yaml::service("both", &[origins[0].address, origins[1].address]))
        .with(yaml::path_route("all", "/", "both"))
        .start()
        .await;
    (origins, gateway)
}

/// The endpoint that got the first request is no worse than the other one, which got none.
async fn not_shunned(origins: &[Origin; 2], gateway: &Gateway) {
    let blamed = origins.iter().position(|origin| origin.count() == 1).expect("one got it");
    let connection = Connection::h2c(gateway.web()).await.expect("a connection");
    let gate = |_| request("GET", HOST, "/gate").body(nothing()).expect("a request");
    let running: Vec<_> = (0..20).map(gate).map(|asked| connection.begin(asked)).collect();
    let all = || origins.iter().map(Origin::count).sum::<usize>();
    wait::until_true("20 to arrive", || all() == 21).await;
    let share = origins[blamed].count() - 1;
    assert!(share >= 5, "{share} of 20 went where an upload had broken off");
    for origin in origins {
        origin.open_gate();
    }
    for one in running {
        let reply = wait::within("a request", one).await.expect("no panic");
        assert_eq!(reply.expect("an answer").status, 200);
    }
}

#[tokio::test]
async fn a_caller_that_breaks_its_upload_off_is_to_blame() {
    for framing in ["content-length: 100000\r\n\r\na half", CHUNKED] {
        let (origins, gateway) = two().await;
        let raw = begin(&gateway, framing).await;
        wait::until_true("the head", || origins.iter().any(|o| o.count() == 1)).await;
        drop(raw);
        let line = first_line(&gateway).await;
        assert_eq!(line["reason"], "client_gone", "{framing:?}: {line}");
        not_shunned(&origins, &gateway).await;
    }
}

#[tokio::test]
async fn a_caller_that_ends_too_soon_and_still_reads_gets_400() {
    let (_origins, gateway) = two().await;
    let mut stream = TcpStream::connect(gateway.web()).await.unwrap();
    let head = format!("POST /sink HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: 100\r\n\r\nabc");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.contains("\"status\":400,\"reason\":\"client_gone\""), "{answer}");
}

#[tokio::test]
async fn a_stream_that_is_reset_in_its_upload_is_the_callers_doing() {
    let (origins, gateway) = two().await;
    let connection = Connection::h2c(gateway.web()).await.unwrap();
    let half = stream::iter([Ok(Frame::data(Bytes::from_static(b"a half")))]);
    let body: Payload = BodyExt::boxed(StreamBody::new(half.chain(stream::pending())));
    let running = connection.begin(request("POST", HOST, "/sink").body(body).unwrap());
    wait::until_true("the head", || origins.iter().any(|o| o.count() == 1)).await;
    running.abort();
    let line = first_line(&gateway).await;
    assert_eq!(line["reason"], "client_gone", "{line}");
    not_shunned(&origins, &gateway).await;
}

/// Everything goes to `shop`, a copy to the Service `mirror`.
fn mirrored(origin: &Origin, mirror: String) -> Setup {
    Setup::new().with(yaml::service("shop", &[origin.address])).with(mirror).with(yaml::route(
        "all",
        "rules: [{ filters: [{ type: RequestMirror, requestMirror: { \
         backendRef: { name: mirror, port: 80 } } }], backendRefs: [{ name: shop, port: 80 }] }]",
    ))
}

#[tokio::test]
async fn a_mirror_learns_that_an_upload_broke_off() {
    for protocol in ["http", "kubernetes.io/h2c"] {
        let (origin, mirror) = (Origin::start("shop").await, Origin::start("mirror").await);
        let service = yaml::service_speaking("mirror", protocol, &[mirror.address]);
        let gateway = mirrored(&origin, service).start().await;
        for framing in ["content-length: 100000\r\n\r\na half", CHUNKED] {
            let (before, copies) = (origin.count(), mirror.count());
            let raw = begin(&gateway, framing).await;
            let arrived = || origin.count() > before && mirror.count() > copies;
            wait::until_true("request and copy", arrived).await;
            drop(raw);
        }
        wait::until_true("the ends", || origin.taken().len() == 2 && mirror.taken().len() == 2)
            .await;
        assert!(origin.taken().iter().all(|taken| !taken.whole), "{:?}", origin.taken());
        assert!(mirror.taken().iter().all(|taken| !taken.whole), "{protocol} {:?}", mirror.taken());
    }
}

#[tokio::test]
async fn a_mirror_gets_the_whole_of_a_whole_upload() {
    for protocol in ["http", "kubernetes.io/h2c"] {
        let (origin, mirror) = (Origin::start("shop").await, Origin::start("mirror").await);
        let service = yaml::service_speaking("mirror", protocol, &[mirror.address]);
        let gateway = mirrored(&origin, service).start().await;
        for size in [1, 1000, 60_000] {
            let frames = [vec![1; size], vec![2; size]].map(|data| Ok(Frame::data(data.into())));
            let body: Payload = BodyExt::boxed(StreamBody::new(stream::iter(frames)));
            let reply = gateway.send(request("POST", HOST, "/sink").body(body).unwrap()).await;
            assert_eq!(reply.text(), (2 * size).to_string());
        }
        wait::until_true("three copies", || mirror.taken().len() == 3).await;
        let mut taken = mirror.taken();
        taken.sort_by_key(|taken| taken.length);
        assert_eq!(taken, origin.taken(), "{protocol}");
    }
}

#[tokio::test]
async fn a_mirror_that_lags_does_not_take_its_part_for_the_whole() {
    const MANY: usize = 48 << 20;
    let origin = Origin::start("shop").await;
    let mirror = Scripted::held("").await;
    let gateway = mirrored(&origin, yaml::service("mirror", &[mirror.address])).start().await;
    let chunk = Bytes::from(vec![0; 64 << 10]);
    let frames = (0..MANY >> 16).map(move |_| Ok(Frame::data(chunk.clone())));
    let body: Payload = BodyExt::boxed(StreamBody::new(stream::iter(frames)));
    let reply = gateway.send(request("POST", HOST, "/sink").body(body).unwrap()).await;
    answered(&gateway, &reply, "shop").await;
    assert_eq!(reply.text(), MANY.to_string());
    mirror.read_on();
    let is_whole = |talk: &Talk| talk.bytes.ends_with(b"\r\n0\r\n\r\n");
    wait::until_true("the copy's end", || {
        mirror.heard().iter().any(|talk| talk.ended || is_whole(talk))
    })
    .await;
    let talk = mirror.heard().remove(0);
    assert!(talk.bytes.len() < MANY, "it did not lag: {} bytes", talk.bytes.len());
    assert!(!is_whole(&talk), "{} of {MANY} bytes came as the whole", talk.bytes.len());
}
