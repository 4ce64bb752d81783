//! Answers that are compressed on their way to the caller.

use std::io::{self, Read as _};

use bytes::Bytes;
use e2e::client::{bytes, request};
use e2e::{Connection, Gateway, Origin, Reply, Setup, wait, yaml};
use futures::channel::mpsc;
use futures::{SinkExt as _, StreamExt as _};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;

use crate::scene::HOST;

const PAGE: &str = "a page of a book that says the same again and again; ";

/// Everything goes to the Service `shop`, whose TrafficPolicy says this.
async fn under(policy: &str) -> (Origin, Gateway) {
    let origin = Origin::start("shop").await;
    let setup = Setup::new()
        .with(yaml::service("shop", &[origin.address]))
        .with(yaml::traffic("shop", policy))
        .with(yaml::path_route("all", "/", "shop"));
    (origin, setup.start().await)
}

/// A request whose answer is its own body, of this type.
async fn echo(gateway: &Gateway, method: &str, headers: &[(&str, &str)], body: &str) -> Reply {
    let mut asked = request(method, HOST, "/echo");
    for (name, value) in headers {
        asked = asked.header(*name, *value);
    }
    let asked = asked.body(bytes(body.to_owned())).expect("a well-formed request");
    let mut connection = Connection::h1(gateway.web()).await.expect("a connection");
    connection.send(asked).await.expect("an answer")
}

fn decode(coding: &str, data: &[u8]) -> io::Result<String> {
    let mut text = String::new();
    let mut source: Box<dyn io::Read + '_> = match coding {
        "gzip" => Box::new(flate2::read::GzDecoder::new(data)),
        "br" => Box::new(brotli::Decompressor::new(data, 4096)),
        "zstd" => Box::new(zstd::stream::read::Decoder::new(data)?),
        _ => Box::new(data),
    };
    source.read_to_string(&mut text)?;
    Ok(text)
}

#[tokio::test]
async fn a_caller_gets_the_coding_that_it_takes_and_the_whole_body() {
    let (_origin, gateway) = under("compression: {}").await;
    let page = PAGE.repeat(2000);
    for (accepted, coding) in [
        ("gzip", "gzip"),
        ("br", "br"),
        ("zstd", "zstd"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip;q=1, br;q=0.2", "gzip"),
        ("deflate", ""),
        ("identity", ""),
    ] {
        let headers = [("content-type", "text/html"), ("accept-encoding", accepted)];
        let reply = echo(&gateway, "POST", &headers, &page).await;
        assert_eq!(reply.header("content-encoding"), coding, "{accepted}");
        assert_eq!(decode(coding, &reply.body).expect("a whole body"), page, "{accepted}");
        assert_eq!(reply.header("vary"), "accept-encoding", "{accepted}");
        let is_small = reply.body.len() * 20 < page.len();
        assert_eq!(is_small, !coding.is_empty(), "{accepted}: {} bytes", reply.body.len());
        let line = gateway.logged(&reply).await;
        assert_eq!(line["bytes_out"], reply.body.len(), "what was sent counts: {line}");
    }
}

#[tokio::test]
async fn what_the_policy_leaves_out_goes_as_it_is() {
    let policy = "compression: { algorithms: [gzip], types: [application/json], minBytes: 500 }";
    let (_origin, gateway) = under(policy).await;
    let page = PAGE.repeat(20);
    let all = "gzip, br, zstd";
    for (media, body, coding) in [
        ("application/json; charset=utf-8", &page[..], "gzip"),
        ("application/json", &page[..499], ""),
        ("text/html", &page[..], ""),
    ] {
        let headers = [("content-type", media), ("accept-encoding", all)];
        let reply = echo(&gateway, "POST", &headers, body).await;
        assert_eq!(reply.header("content-encoding"), coding, "{media} {}", body.len());
        assert_eq!(decode(coding, &reply.body).expect("a whole body"), body);
        assert_eq!(reply.header("vary").is_empty(), coding.is_empty(), "{reply:?}");
    }
    // Answers of ours have no Service.
    let lost = gateway.get_with("nobody.test", "/", &[("accept-encoding", all)]).await;
    assert_eq!((lost.header("content-encoding"), lost.header("vary")), ("", ""));
}

#[tokio::test]
async fn without_a_policy_nothing_is_compressed() {
    let (_origin, gateway) = under("balance: {}").await;
    let headers = [("content-type", "text/html"), ("accept-encoding", "gzip")];
    let page = PAGE.repeat(100);
    let reply = echo(&gateway, "POST", &headers, &page).await;
    assert_eq!((reply.header("content-encoding"), reply.header("vary")), ("", ""));
    assert_eq!(reply.text(), page);
}

#[tokio::test]
async fn what_came_is_passed_on_before_the_rest_comes() {
    let (_origin, gateway) = under("compression: { types: [text/event-stream] }").await;
    for coding in ["gzip", "br", "zstd"] {
        let (mut sent, frames) = mpsc::channel(1);
        let asked = request("POST", HOST, "/echo")
            .header("content-type", "text/event-stream")
            .header("accept-encoding", coding)
            .body(BodyExt::boxed(StreamBody::new(frames)))
            .expect("a well-formed request");
        let mut connection = Connection::h2c(gateway.web()).await.expect("a connection");
        let mut piece = async |text: String| {
            let frame = Ok(Frame::data(Bytes::from(text)));
            sent.send(frame).await.expect("the body is still read");
        };
        piece("data: 0\n\n".to_owned()).await;
        let answer = wait::within("an answer", connection.open(asked)).await.expect("an answer");
        assert_eq!(answer.headers()["content-encoding"], coding);
        let (mut body, mut got) = (answer.into_body().into_data_stream(), Vec::new());
        for index in 0..5 {
            let event = format!("data: {index}\n\n");
            // Each comes while the next is not yet sent.
            while !readable(coding, &got).ends_with(&event) {
                let data = wait::within("an event", body.next()).await.expect("no end yet");
                got.extend_from_slice(&data.expect("a frame of the body"));
            }
            piece(format!("data: {}\n\n", index + 1)).await;
        }
    }
}

/// What can be read of a body that has not ended.
fn readable(coding: &str, data: &[u8]) -> String {
    let mut text = Vec::new();
    let source: Option<Box<dyn io::Read + '_>> = match coding {
        "gzip" => Some(Box::new(flate2::read::GzDecoder::new(data))),
        "br" => Some(Box::new(brotli::Decompressor::new(data, 4096))),
        _ => zstd::stream::read::Decoder::new(data).ok().map(|read| Box::new(read) as _),
    };
    let Some(mut source) = source else { return String::new() };
    let mut piece = [0; 64];
    while let Ok(count @ 1..) = source.read(&mut piece) {
        text.extend_from_slice(&piece[..count]);
    }
    String::from_utf8_lossy(&text).into_owned()
}

#[tokio::test]
async fn a_body_that_breaks_off_ends_as_no_whole_one() {
    let (_origin, gateway) = under("compression: {}").await;
    let page = PAGE.repeat(100);
    let (mut sent, frames) = mpsc::channel(1);
    let asked = request("POST", HOST, "/echo")
        .header("content-type", "text/plain")
        .header("accept-encoding", "gzip")
        .body(BodyExt::boxed(StreamBody::new(frames)))
        .expect("a well-formed request");
    sent.send(Ok(Frame::data(Bytes::from(page)))).await.expect("the body is still read");
    let mut connection = Connection::h2c(gateway.web()).await.expect("a connection");
    let answer = wait::within("an answer", connection.open(asked)).await.expect("an answer");
    assert_eq!(answer.headers()["content-encoding"], "gzip");
    sent.send(Err("broken off on purpose".into())).await.expect("the body is still read");
    let whole = wait::within("the end", answer.into_body().collect()).await;
    assert!(whole.is_err(), "it ended as if it were whole");
}

#[tokio::test]
async fn head_is_told_what_get_would_be() {
    let (_origin, gateway) = under("compression: { minBytes: 0 }").await;
    for (accepted, coding) in [("gzip", "gzip"), ("identity", "")] {
        let headers = [("content-type", "text/plain"), ("accept-encoding", accepted)];
        let head = echo(&gateway, "HEAD", &headers, "").await;
        assert_eq!((head.status, head.header("content-encoding")), (200, coding));
        assert_eq!(head.header("vary"), "accept-encoding");
    }
}

#[tokio::test]
async fn what_a_rule_changes_of_an_answer_counts_before() {
    let origin = Origin::start("shop").await;
    let route = yaml::route(
        "all",
        "rules:\n  - filters:\n      - type: ResponseHeaderModifier\n        responseHeaderModifier:\n          \
         set: [{ name: content-type, value: text/html }, { name: vary, value: origin }]\n    \
         backendRefs: [{ name: shop, port: 80 }]",
    );
    let gateway = Setup::new()
        .with(yaml::service("shop", &[origin.address]))
        .with(yaml::traffic("shop", "compression: {}"))
        .with(route)
        .start()
        .await;
    let reply = gateway.get_with(HOST, "/big/9000", &[("accept-encoding", "gzip")]).await;
    assert_eq!(reply.header("content-encoding"), "gzip");
    assert_eq!(decode("gzip", &reply.body).expect("a whole body"), "x".repeat(9000));
    let lines: Vec<_> = reply.headers.get_all("vary").iter().collect();
    assert_eq!(lines, ["origin", "accept-encoding"]);
}
