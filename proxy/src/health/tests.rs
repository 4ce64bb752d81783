//! What a check asks, and what an answer means, without a table.

use std::convert::Infallible;

use http::HeaderMap;
use http_body::Frame;
use http_body_util::StreamBody;
use hyper::server::conn::{http1 as serve1, http2 as serve2};
use hyper::service::service_fn;
use serde_json::json;
use tokio::net::TcpListener;

use super::*;
use crate::live::Wire;

fn check(written: serde_json::Value) -> HealthCheck {
    serde_json::from_value(written).unwrap()
}

fn endpoint(address: SocketAddr, protocol: AppProtocol) -> Arc<Endpoint> {
    let endpoint = table::Endpoint::plain(address);
    let ground = crate::pool::tests::ground();
    let service = "shop/cart:80".into();
    Endpoint::new(&endpoint, &service, (protocol, Wire::Clear), &ground, Default::default())
}

fn at(endpoint: &Endpoint) -> At<'_> {
    At { address: endpoint.address, endpoint, face: &Face::Plain, first: &[] }
}

/// A server that answers every request with `status`, and the path it saw last.
async fn http1_server(status: u16) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = service_fn(move |request: Request<Incoming>| async move {
                let is_meant =
                    request.uri() == "/live?deep=1" && request.headers()[HOST] == "in.test";
                let status = if is_meant { status } else { 418 };
                let answer = Response::builder().status(status).body(Full::<Bytes>::default());
                Ok::<_, Infallible>(answer.unwrap())
            });
            tokio::spawn(serve1::Builder::new().serve_connection(TokioIo::new(stream), answer));
        }
    });
    address
}

#[tokio::test]
async fn a_check_by_http_goes_by_the_status() {
    let written = json!({ "type": "HTTP", "path": "/live?deep=1", "host": "in.test" });
    for (status, codes, is_well) in [
        (200, json!([]), true),
        (204, json!([]), true),
        (302, json!([]), false),
        (503, json!([]), false),
        (302, json!([302]), true),
        (200, json!([302]), false),
    ] {
        let mut written = written.clone();
        if codes != json!([]) {
            written["codes"] = codes.clone();
        }
        let address = http1_server(status).await;
        let endpoint = endpoint(address, AppProtocol::Http1);
        let asked = once(at(&endpoint), &check(written)).await;
        assert_eq!(asked.is_ok(), is_well, "{status} {codes}: {asked:?}");
    }
}

/// A server of `grpc.health.v1` that says `status` of the service `shop`, and ends with `code`.
async fn grpc_server(says: u8, code: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = service_fn(move |request: Request<Incoming>| async move {
                assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
                let asked = request.into_body().collect().await.unwrap().to_bytes();
                assert_eq!(&asked[..], b"\0\0\0\0\x06\x0a\x04shop");
                let mut trailers = HeaderMap::new();
                trailers.insert("grpc-status", HeaderValue::from_static(code));
                let data = Bytes::copy_from_slice(&[0, 0, 0, 0, 2, 8, says]);
                let frames =
                    [Ok::<_, Infallible>(Frame::data(data)), Ok(Frame::trailers(trailers))];
                Ok::<_, Infallible>(Response::new(StreamBody::new(futures::stream::iter(frames))))
            });
            let serving = serve2::Builder::new(TokioExecutor::new());
            tokio::spawn(serving.serve_connection(TokioIo::new(stream), answer));
        }
    });
    address
}

#[tokio::test]
async fn a_check_by_grpc_goes_by_what_the_server_says_of_the_service() {
    let check = check(json!({ "type": "GRPC", "service": "shop" }));
    for (says, code, is_well) in [(1, "0", true), (2, "0", false), (3, "0", false), (1, "5", false)]
    {
        let endpoint = endpoint(grpc_server(says, code).await, AppProtocol::H2c);
        let asked = once(at(&endpoint), &check).await;
        assert_eq!(asked.is_ok(), is_well, "{says} {code}: {asked:?}");
    }
}

#[test]
fn a_long_name_of_a_service_is_framed_as_protobuf_frames_it() {
    let asked = question(&"s".repeat(300));
    assert_eq!(&asked[..8], [0, 0, 0, 1, 47, 0x0A, 0xAC, 0x02]);
    assert_eq!(asked.len(), 8 + 300);
    assert_eq!(&question("")[..], [0; 5]);
}

#[test]
fn checks_do_not_all_come_at_once() {
    let interval = Duration::from_secs(10);
    for chance in (0..1000).map(|n: u64| ring::hash(&n.to_be_bytes())) {
        let next = next(interval, chance);
        assert!((Duration::from_secs(9)..=Duration::from_secs(11)).contains(&next), "{next:?}");
    }
}

#[test]
fn an_endpoint_is_well_or_not_after_so_many_answers_in_a_row() {
    let check = check(json!({ "type": "TCP", "healthyAfter": 2, "unhealthyAfter": 4 }));
    let (mut row, mut is_ailing) = (Row::default(), false);
    let mut thought = String::new();
    for letter in "---+----+-++-".chars() {
        let is_well = letter == '+';
        if row.turns(is_well, is_ailing, &check) {
            is_ailing = !is_well;
        }
        thought.push(if is_ailing { '-' } else { '+' });
    }
    assert_eq!(thought, "+++++++----++");
}

#[tokio::test(start_paused = true)]
async fn an_answer_may_take_as_long_as_the_check_says() {
    let check = check(json!({ "type": "TCP", "timeout": "3s" }));
    for (millis, is_well) in [(2_900, true), (3_100, false)] {
        let answer = async {
            tokio::time::sleep(Duration::from_millis(millis)).await;
            Ok(())
        };
        assert_eq!(in_time(&check, answer).await.is_ok(), is_well, "{millis}");
    }
}

#[tokio::test]
async fn the_port_that_a_check_names_is_asked_as_often_as_it_says() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let check = check(json!({ "type": "TCP", "port": port, "interval": "100ms",
        "unhealthyAfter": 1 }));
    let endpoint = Arc::new(Endpoint {
        service: "shop/cart:80".into(),
        way: None,
        is_far: false,
        // Requests would go to a port at which nobody is.
        address: SocketAddr::from(([127, 0, 0, 1], 1)),
        protocol: AppProtocol::Http1,
        wire: Wire::Clear,
        load: Arc::default(),
        room: Arc::default(),
        pools: Box::default(),
        gone: Default::default(),
    });
    let asked = asks(Instant::now(), Arc::clone(&endpoint), check, (Face::Plain, Vec::new()));
    let asking = tokio::spawn(asked);
    let thrice = async {
        for _ in 0..3 {
            listener.accept().await.unwrap();
        }
    };
    // Where nothing is written the second would come after five seconds.
    tokio::time::timeout(Duration::from_secs(4), thrice).await.expect("it is asked thrice");
    asking.abort();
    assert!(!endpoint.load.is_ailing(), "nothing but a connection is wanted");
}
