//! gRPC calls: how they are led, how long they may take, and what they are told by us.

use bytes::Bytes;
use e2e::client::{Payload, nothing, request};
use e2e::{Connection, Gateway, Origin, Reply, Setup, wait, yaml};
use futures::{SinkExt as _, StreamExt as _, stream};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Version};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use serde_json::Value;

use crate::scene::{HOST, closed};

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// A GRPCRoute of everything with these rules.
fn grpc_route(rules: &str) -> String {
    let spec = format!("spec:\n  parentRefs: [{{ name: edge }}]\n  rules: {rules}");
    yaml::document("gateway.networking.k8s.io/v1", "GRPCRoute", "calls", &spec)
}

/// Everything goes to the origin, which does not say what it speaks.
async fn called() -> (Origin, Setup) {
    let origin = Origin::start("books").await;
    let service = yaml::document("v1", "Service", "books", "spec: { ports: [{ port: 80 }] }");
    let setup = Setup::new()
        .with(service)
        .with(yaml::slice("books-0", "books", origin.address))
        .with(grpc_route("[{ name: all, backendRefs: [{ name: books, port: 80 }] }]"));
    (origin, setup)
}

fn call(path: &str) -> http::request::Builder {
    request("POST", HOST, path).header("content-type", "application/grpc")
}

async fn send(gateway: &Gateway, request: Request<Payload>) -> Reply {
    let mut connection = Connection::h2c(gateway.web()).await.expect("a connection");
    wait::within("a call", connection.send(request)).await.expect("an answer")
}

/// The gateway itself answered with a status of gRPC's, and its log agrees.
async fn refused(gateway: &Gateway, reply: &Reply, code: (&str, &str), reason: &str) {
    assert_eq!((reply.status, reply.origin()), (200, ""), "{reply:?}");
    assert_eq!(reply.header("content-type"), "application/grpc");
    let said = (reply.header("grpc-status"), reply.header("grpc-message"));
    assert_eq!((said, reply.text().as_str()), ((code.0, reason), ""));
    let line = gateway.logged(reply).await;
    assert_eq!((&line["grpc_status"], &line["reason"]), (&code.1.into(), &reason.into()), "{line}");
}

#[tokio::test]
async fn an_endpoint_that_breaks_calls_off_or_answers_none_rests() {
    for path in ["/status/503", "/half"] {
        let origins = [Origin::start("books-0").await, Origin::start("books-1").await];
        let addresses = [origins[0].address, origins[1].address];
        let gateway = Setup::new()
            .with(yaml::service_speaking("books", "grpc", &addresses))
            .with(grpc_route("[{ name: all, backendRefs: [{ name: books, port: 80 }] }]"))
            .start()
            .await;
        let gets_requests = async || {
            let config = gateway.admin("/config").await.expect("/config answers").json();
            let endpoints = &config["inForce"]["services"]["shop/books:80"];
            let endpoints = endpoints.as_array().expect("its endpoints").iter();
            endpoints.map(|one| one["getsRequests"].to_string()).collect::<Vec<_>>()
        };
        for _ in 0..20 {
            let mut connection = Connection::h2c(gateway.web()).await.expect("a connection");
            let asked = call(path).body(nothing()).expect("a request");
            let _broken = wait::within("a call", connection.send(asked)).await;
        }
        let told = gets_requests().await;
        let rest = told.iter().filter(|one| one.contains("no: 5 requests in a row failed there"));
        assert_eq!(rest.count(), 1, "{path}: no more than half of them: {told:?}");
    }
}

#[tokio::test]
async fn what_we_refuse_is_told_in_words_of_grpc() {
    let policy = yaml::policy(
        "closed",
        "targetRefs: [{ kind: GRPCRoute, name: calls, sectionName: guarded }]\n\
         rules: [{ name: nobody, action: Deny, when: {} }]",
    );
    let gateway = Setup::new()
        .with(yaml::service_speaking("dead", "grpc", &[closed()]))
        .with(yaml::service_speaking("empty", "grpc", &[]))
        .with(grpc_route(
            "[{ name: guarded, matches: [{ method: { service: shop.Guarded } }], \
               backendRefs: [{ name: dead, port: 80 }] }, \
             { matches: [{ method: { service: shop.Dead } }], \
               backendRefs: [{ name: dead, port: 80 }] }, \
             { matches: [{ method: { service: shop.Empty } }], \
               backendRefs: [{ name: empty, port: 80 }] }]",
        ))
        .with(policy)
        .start()
        .await;
    for (path, code, reason) in [
        ("/shop.Guarded/Get", ("7", "PERMISSION_DENIED"), "access_denied"),
        ("/shop.Dead/Get", ("14", "UNAVAILABLE"), "connect_failed"),
        ("/shop.Empty/Get", ("14", "UNAVAILABLE"), "no_endpoint"),
        ("/shop.Other/Get", ("12", "UNIMPLEMENTED"), "no_route"),
    ] {
        let reply = send(&gateway, call(path).body(nothing()).unwrap()).await;
        refused(&gateway, &reply, code, reason).await;
    }
    // Whoever does not speak gRPC is told as everybody is.
    let plain = request("POST", HOST, "/shop.Guarded/Get").body(nothing()).unwrap();
    let reply = send(&gateway, plain).await;
    crate::scene::refused(&gateway, &reply, 403, "access_denied").await;
    let told = gateway.metric("heddle_grpc_requests_total", &["grpc_status=\"UNAVAILABLE\""]);
    assert!((told.await - 2.0).abs() < f64::EPSILON);
}

#[tokio::test]
async fn a_call_goes_over_http2_and_may_be_silent_for_as_long_as_it_likes() {
    let (origin, setup) = called().await;
    let setup = setup.arguments(&["--backend-timeout", "300ms", "--body-timeout", "300ms"]);
    let gateway = setup.start().await;
    let connection = Connection::h2c(gateway.web()).await.unwrap();
    let waiting = connection.begin(call("/gate").body(nothing()).unwrap());
    let (mut feed, rest) = futures::channel::mpsc::channel::<Bytes>(1);
    let body: Payload = BodyExt::boxed(StreamBody::new(rest.map(|data| Ok(Frame::data(data)))));
    let sending = connection.begin(call("/sink").body(body).unwrap());
    wait::until_true("both calls to arrive", || origin.count() == 2).await;
    assert_eq!(origin.last().version, Version::HTTP_2);
    // What is no call is held to both bounds meanwhile, twice over.
    for _ in 0..2 {
        let late = send(&gateway, request("GET", HOST, "/gate").body(nothing()).unwrap()).await;
        assert_eq!(late.status, 504, "{late:?}");
    }
    assert!(!waiting.is_finished() && !sending.is_finished());
    feed.send(Bytes::from_static(b"words")).await.unwrap();
    drop(feed);
    let sent = wait::within("the sending call", sending).await.unwrap().unwrap();
    assert_eq!((sent.status, sent.text().as_str()), (200, "5"));
    origin.open_gate();
    let waited = wait::within("the waiting call", waiting).await.unwrap().unwrap();
    assert_eq!(waited.status, 200);
}

#[tokio::test]
async fn a_call_ends_when_its_callers_time_is_over() {
    let (_origin, setup) = called().await;
    let gateway = setup.start().await;
    let asked = call("/gate").header("grpc-timeout", "100m").body(nothing()).unwrap();
    let reply = send(&gateway, asked).await;
    refused(&gateway, &reply, ("4", "DEADLINE_EXCEEDED"), "request_timeout").await;
}

#[tokio::test]
async fn what_a_call_says_at_its_end_counts_for_its_endpoint() {
    let (_origin, setup) = called().await;
    let policy = "ejection: { consecutive: 3, maxPercent: 100, rest: 60s }";
    let gateway = setup.with(yaml::traffic("books", policy)).start().await;
    let ended = async |status: &'static str| {
        let last = HeaderMap::from_iter([(GRPC_STATUS, HeaderValue::from_static(status))]);
        let frames = [Frame::data(Bytes::from_static(b"words")), Frame::trailers(last)];
        let body: Payload = BodyExt::boxed(StreamBody::new(stream::iter(frames.map(Ok))));
        let reply = send(&gateway, call("/echo").body(body).unwrap()).await;
        let code = reply.trailers.as_ref().and_then(|trailers| trailers.get(GRPC_STATUS));
        assert_eq!(code.map(HeaderValue::as_bytes), Some(status.as_bytes()), "{reply:?}");
        let config = gateway.admin("/config").await.expect("/config answers").json();
        config["inForce"]["services"]["shop/books:80"][0].clone()
    };
    let said = |told: &Value| told["getsRequests"].as_str().unwrap_or_default().to_owned();
    // RESOURCE_EXHAUSTED asks for fewer calls.
    let told = ended("8").await;
    assert!(told["getsFewerMillis"].as_u64() > Some(0), "{told}");
    // Of UNAVAILABLE, INTERNAL and UNKNOWN two in a row are not too many; its caller's deadline is no failure.
    for status in ["14", "13", "0", "2", "14", "4", "13", "2"] {
        assert_eq!(said(&ended(status).await), "yes");
    }
    let told = said(&ended("14").await);
    assert!(told.contains("3 requests in a row failed there"), "{told}");
}
