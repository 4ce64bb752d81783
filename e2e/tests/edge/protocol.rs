//! HTTP/1.1 and HTTP/2 on both sides, bodies of any size, tunnels.

use bytes::Bytes;
use e2e::client::{Payload, bytes, nothing, request};
use e2e::raw::Raw;
use e2e::{Connection, Origin, Reply, Scripted, Setup, wait, yaml};
use futures::{SinkExt as _, StreamExt as _, stream};
use http::{HeaderMap, HeaderValue, Version};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::scene::{HOST, answered, open_shop, shop};

const MANY: usize = 10 << 20;

/// `/h2` goes to the origin over HTTP/2, everything else over HTTP/1.1.
async fn both_upstreams() -> (Origin, e2e::Gateway) {
    let (origin, setup) = shop().await;
    let gateway = setup
        .with(yaml::service_speaking("modern", "kubernetes.io/h2c", &[origin.address]))
        .with(yaml::route(
            "modern",
            "rules: [{ matches: [{ headers: [{ name: x-upstream, value: h2 }] }], \
             backendRefs: [{ name: modern, port: 80 }] }]",
        ))
        .start()
        .await;
    (origin, gateway)
}

/// `count` chunks of zeros, then these trailers.
fn chunks(count: usize, size: usize, trailers: Option<HeaderMap>) -> Payload {
    let chunk = Bytes::from(vec![0; size]);
    let data = (0..count).map(move |_| Ok(Frame::data(chunk.clone())));
    let end = trailers.into_iter().map(|map| Ok(Frame::trailers(map)));
    BodyExt::boxed(StreamBody::new(stream::iter(data.chain(end))))
}

#[tokio::test]
async fn a_connection_serves_many_requests_on_both_sides() {
    let (origin, gateway) = open_shop().await;
    let mut connection = Connection::h1(gateway.web()).await.unwrap();
    for index in 0..50 {
        let asked = request("GET", HOST, &format!("/{index}")).body(nothing());
        let reply = connection.send(asked.unwrap()).await.unwrap();
        assert_eq!((reply.status, reply.version), (200, Version::HTTP_11));
    }
    assert_eq!(origin.count(), 50);
    assert!(origin.connections() <= 3, "{} connections for 50 requests", origin.connections());
}

#[tokio::test]
async fn every_pair_of_protocols_works() {
    let (origin, gateway) = both_upstreams().await;
    for (upstream, version) in [("h1", Version::HTTP_11), ("h2", Version::HTTP_2)] {
        let h1 = Connection::h1(gateway.web()).await.unwrap();
        let h2 = Connection::h2c(gateway.web()).await.unwrap();
        for (mut connection, spoken, word) in
            [(h1, Version::HTTP_11, "HTTP/1.1"), (h2, Version::HTTP_2, "HTTP/2")]
        {
            let asked = request("POST", HOST, "/echo?q=1").header("x-upstream", upstream);
            let sent = connection.send(asked.body(bytes("words")).unwrap()).await;
            let reply = sent.unwrap();
            let line = answered(&gateway, &reply, "shop").await;
            assert_eq!((reply.version, reply.text().as_str()), (spoken, "words"));
            let seen = origin.last();
            assert_eq!((seen.version, seen.target.as_str()), (version, "/echo?q=1"));
            assert_eq!(seen.host, HOST);
            assert_eq!((&line["bytes_in"], &line["bytes_out"]), (&5.into(), &5.into()), "{line}");
            assert!(line["protocol"].as_str().is_some_and(|p| p.starts_with(word)), "{line}");
        }
    }
}

#[tokio::test]
async fn streams_of_one_connection_do_not_wait_for_each_other() {
    for upstream in ["h1", "h2"] {
        let (origin, gateway) = both_upstreams().await;
        let connection = Connection::h2c(gateway.web()).await.unwrap();
        let ask = |path: &str| {
            let builder = request("GET", HOST, path).header("x-upstream", upstream);
            connection.begin(builder.body(nothing()).unwrap())
        };
        let slow = ask("/gate");
        wait::until_true("the slow one to arrive", || origin.count() == 1).await;
        let quick = wait::within("the quick one", ask("/quick")).await.unwrap();
        assert_eq!((quick.unwrap().status, slow.is_finished()), (200, false));
        origin.open_gate();
        let slow = wait::within("the slow one", slow).await.unwrap();
        assert_eq!(slow.unwrap().status, 200);
    }
}

#[tokio::test]
async fn large_bodies_pass_both_ways() {
    let (_origin, gateway) = both_upstreams().await;
    for upstream in ["h1", "h2"] {
        for mut connection in [
            Connection::h1(gateway.web()).await.unwrap(),
            Connection::h2c(gateway.web()).await.unwrap(),
        ] {
            let up = request("POST", HOST, "/sink").header("x-upstream", upstream);
            let body = chunks(MANY >> 16, 1 << 16, None);
            let sent = connection.send(up.body(body).unwrap());
            let reply = wait::within("a large request", sent).await.unwrap();
            assert_eq!(reply.text(), MANY.to_string(), "{connection:?} to {upstream}");
            let line = answered(&gateway, &reply, "shop").await;
            assert_eq!(line["bytes_in"], MANY);

            let down = request("GET", HOST, &format!("/big/{MANY}")).header("x-upstream", upstream);
            let sent = connection.send(down.body(nothing()).unwrap());
            let reply = wait::within("a large answer", sent).await.unwrap();
            assert_eq!(reply.body.len(), MANY, "{connection:?} from {upstream}");
            let line = answered(&gateway, &reply, "shop").await;
            assert_eq!(line["bytes_out"], MANY);
        }
    }
}

#[tokio::test]
async fn bodies_are_streamed_not_collected() {
    let (_origin, gateway) = both_upstreams().await;
    for upstream in ["h1", "h2"] {
        let (mut feed, rest) = futures::channel::mpsc::channel::<Bytes>(1);
        let frames = rest.map(|data| Ok(Frame::data(data)));
        let body: Payload = BodyExt::boxed(StreamBody::new(frames));
        let asked = request("POST", HOST, "/echo").header("x-upstream", upstream).body(body);
        let mut connection = Connection::h2c(gateway.web()).await.unwrap();
        feed.send(Bytes::from_static(b"one")).await.unwrap();
        let opened = wait::within("the head", connection.open(asked.unwrap())).await;
        let mut body = opened.unwrap().into_body();
        // Each piece comes back while the next has not been written.
        for piece in ["one", "two", "three"] {
            if piece != "one" {
                feed.send(Bytes::from_static(piece.as_bytes())).await.unwrap();
            }
            let mut read = Vec::new();
            while read.len() < piece.len() {
                let frame = wait::within("a piece", body.frame()).await.unwrap().unwrap();
                read.extend_from_slice(&frame.into_data().unwrap());
            }
            assert_eq!(read, piece.as_bytes());
        }
        drop(feed);
        while let Some(frame) = wait::within("the end", body.frame()).await {
            assert_eq!(frame.unwrap().into_data().unwrap(), "");
        }
    }
}

#[tokio::test]
async fn trailers_pass_both_ways() {
    let (_origin, gateway) = both_upstreams().await;
    let mut connection = Connection::h2c(gateway.web()).await.unwrap();
    for upstream in ["h1", "h2"] {
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", HeaderValue::from_static("42"));
        let asked = request("POST", HOST, "/sink")
            .header("x-upstream", upstream)
            .header("te", "trailers")
            .header("trailer", "x-sum");
        let reply = connection.send(asked.body(chunks(1, 8, Some(trailers))).unwrap()).await;
        if upstream == "h2" {
            assert_eq!(reply.unwrap().text(), "8 x-sum=42");
        } else {
            assert!(reply.unwrap().text().starts_with('8'), "HTTP/1.1 may drop them");
        }
    }
    let asked = request("GET", HOST, "/trailers").header("x-upstream", "h2");
    let reply = connection.send(asked.body(nothing()).unwrap()).await.unwrap();
    assert_eq!(reply.text(), "before the end");
    assert_eq!(reply.trailers.expect("trailers")["x-end"], "reached");
}

#[tokio::test]
async fn trailers_that_frame_lead_or_prove_stay_behind() {
    const ODD: [&str; 8] = [
        "authorization",
        "client-cert",
        "cookie",
        "heddle-passport",
        "host",
        "x-forwarded-for",
        "x-real-ip",
        "x-request-id",
    ];
    let (_origin, gateway) = both_upstreams().await;
    for mut connection in [
        Connection::h1(gateway.web()).await.unwrap(),
        Connection::h2c(gateway.web()).await.unwrap(),
    ] {
        let mut trailers = HeaderMap::new();
        for name in ODD {
            trailers.insert(name, HeaderValue::from_static("1"));
        }
        trailers.insert("x-sum", HeaderValue::from_static("42"));
        let asked = request("POST", HOST, "/sink")
            .header("x-upstream", "h2")
            .header("te", "trailers")
            .header("trailer", [&ODD[..], &["x-sum"]].concat().join(", "));
        let reply = connection.send(asked.body(chunks(1, 8, Some(trailers))).unwrap()).await;
        assert_eq!(reply.unwrap().text(), "8 x-sum=42");
    }
}

#[tokio::test]
async fn an_answer_with_trailers_is_whole_whatever_is_spoken() {
    const CHUNKS: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n\
                          3\r\nabc\r\n0\r\nx-end: reached\r\n\r\n";
    let origin = Scripted::start(CHUNKS).await;
    let gateway = Setup::new()
        .with(yaml::service("late", &[origin.address]))
        .with(yaml::path_route("all", "/", "late"))
        .start()
        .await;
    let web = gateway.web();
    for mut connection in [Connection::h1(web).await.unwrap(), Connection::h2c(web).await.unwrap()]
    {
        for _ in 0..2 {
            let asked = request("GET", HOST, "/").body(nothing()).unwrap();
            let reply = connection.send(asked).await.unwrap();
            assert_eq!(reply.text(), "abc");
            let line = gateway.logged_as(reply.header("x-request-id")).await;
            assert_eq!(line["reason"], "ok", "{line}");
        }
    }
}

#[tokio::test]
async fn cookies_in_parts_are_one_line_for_whoever_reads_them() {
    let (origin, setup) = shop().await;
    let canary = yaml::route(
        "canary",
        "rules: [{ matches: [{ headers: [{ name: cookie, type: RegularExpression, \
         value: '(.*; )?canary=1(;.*)?' }] }], \
         filters: [{ type: ResponseHeaderModifier, responseHeaderModifier: \
         { set: [{ name: x-canary, value: sings }] } }], \
         backendRefs: [{ name: shop, port: 80 }] }]",
    );
    let gateway = setup.with(canary).start().await;
    let mut connection = Connection::h2c(gateway.web()).await.unwrap();
    let asked = request("GET", HOST, "/").header("cookie", "a=1").header("cookie", "canary=1");
    let reply = connection.send(asked.body(nothing()).unwrap()).await.unwrap();
    assert_eq!((reply.status, reply.header("x-canary")), (200, "sings"));
    let seen = origin.last();
    let lines: Vec<_> = seen.headers.get_all("cookie").iter().collect();
    assert_eq!(lines, ["a=1; canary=1"]);
}

#[tokio::test]
async fn head_has_no_body_and_the_length_of_one() {
    let (origin, gateway) = both_upstreams().await;
    for upstream in ["h1", "h2"] {
        let mut raw = Raw::connect(gateway.web()).await;
        let head =
            format!("HEAD /big/100 HTTP/1.1\r\nhost: {HOST}\r\nx-upstream: {upstream}\r\n\r\n");
        raw.write(&head).await;
        assert_eq!(raw.head().await.status, 200);
        // Were there a body, the next answer would not begin here.
        raw.write(format!("GET /next HTTP/1.1\r\nhost: {HOST}\r\n\r\n")).await;
        let next = raw.head().await;
        assert_eq!(next.status, 200, "{}", next.text);
    }
    assert_eq!(origin.seen()[0].method, "HEAD");
}

#[tokio::test]
async fn answers_without_a_body_leave_the_connection_in_step() {
    let (_origin, gateway) = both_upstreams().await;
    for upstream in ["h1", "h2"] {
        let mut raw = Raw::connect(gateway.web()).await;
        for status in [204, 304, 204] {
            let head = format!("GET /status/{status} HTTP/1.1\r\nhost: {HOST}\r\n");
            raw.write(format!("{head}x-upstream: {upstream}\r\n\r\n")).await;
            let answer = raw.head().await;
            assert_eq!(answer.status, status, "{upstream}: {}", answer.text);
        }
    }
}

#[tokio::test]
async fn requests_in_one_write_are_answered_in_their_order() {
    let (_origin, gateway) = open_shop().await;
    let mut raw = Raw::connect(gateway.web()).await;
    let statuses = [201, 404, 202, 500, 203];
    let ask = |status: &u16| format!("GET /status/{status} HTTP/1.1\r\nhost: {HOST}\r\n\r\n");
    raw.write(statuses.iter().map(ask).collect::<String>()).await;
    for status in statuses {
        assert_eq!(raw.head().await.status, status);
        assert_eq!(raw.exactly(4).await, b"shop");
    }
}

#[tokio::test]
async fn a_caller_that_asks_first_is_told_to_continue() {
    let (origin, gateway) = open_shop().await;
    let mut raw = Raw::connect(gateway.web()).await;
    let head = "POST /sink HTTP/1.1\r\nhost: shop.test\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n";
    raw.write(head).await;
    assert_eq!(raw.head().await.status, 100);
    raw.write("words").await;
    let answer = raw.head().await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(raw.exactly(1).await, b"5");
    assert_eq!(origin.count(), 1);
}

#[tokio::test]
async fn chunked_bodies_are_framed_anew() {
    let (_origin, gateway) = open_shop().await;
    let mut raw = Raw::connect(gateway.web()).await;
    let head = "POST /sink HTTP/1.1\r\nhost: shop.test\r\ntransfer-encoding: chunked\r\n\r\n";
    raw.write(format!("{head}5;ext=1\r\nwords\r\n3\r\nand\r\n0\r\n\r\n")).await;
    let answer = raw.head().await;
    assert_eq!((answer.status, answer.header("content-length")), (200, "1"), "{}", answer.text);
    assert_eq!(raw.exactly(1).await, b"8");
}

#[tokio::test]
async fn http_1_0_is_answered_and_closed() {
    let (_origin, gateway) = open_shop().await;
    let mut raw = Raw::connect(gateway.web()).await;
    raw.write("GET /old HTTP/1.0\r\nhost: shop.test\r\n\r\n").await;
    let answer = raw.head().await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(raw.rest().await, b"shop");
}

#[tokio::test]
async fn websockets_are_tunnelled_both_ways() {
    let (origin, gateway) = open_shop().await;
    let mut asked = format!("ws://{HOST}/ws?room=1").into_client_request().unwrap();
    asked.headers_mut().insert("x-mine", HeaderValue::from_static("1"));
    let stream = TcpStream::connect(gateway.web()).await.unwrap();
    let opened = tokio_tungstenite::client_async(asked, stream);
    let (mut socket, response) = wait::within("the handshake", opened).await.unwrap();
    assert_eq!(response.status(), 101);
    let debug = response.headers()["heddle-debug"].to_str().unwrap();
    assert!(debug.ends_with(" route=shop/all/0 backend=shop/shop:80"), "{debug}");
    let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
    let seen = origin.last();
    assert_eq!((seen.target.as_str(), seen.header("x-mine")), ("/ws?room=1", "1"));
    assert_eq!(seen.header("upgrade").to_ascii_lowercase(), "websocket");
    for message in [Message::text("hello"), Message::binary(vec![7; 200_000]), Message::text("bye")]
    {
        socket.send(message.clone()).await.unwrap();
        let back = wait::within("the echo", socket.next()).await.unwrap().unwrap();
        assert!(back == message, "an echo differs");
    }
    socket.close(None).await.unwrap();
    while wait::within("the close", socket.next()).await.is_some() {}
    drop(socket);
    let line = gateway.logged_as(&id).await;
    assert_eq!(line["status"], 101, "{line}");
    assert!(line["bytes_in"].as_u64() > Some(200_000), "{line}");
    assert!(line["bytes_out"].as_u64() > Some(200_000), "{line}");
}

#[tokio::test]
async fn a_websocket_ends_when_the_origin_ends() {
    let (_origin, gateway) = open_shop().await;
    let asked = format!("ws://{HOST}/ws").into_client_request().unwrap();
    let stream = TcpStream::connect(gateway.web()).await.unwrap();
    let (mut socket, _) = tokio_tungstenite::client_async(asked, stream).await.unwrap();
    socket.send(Message::text("hello")).await.unwrap();
    assert!(socket.next().await.unwrap().is_ok());
    socket.send(Message::text("hang up")).await.unwrap();
    while let Some(Ok(_)) = wait::within("the end", socket.next()).await {}
}

#[tokio::test]
async fn an_upgrade_that_the_origin_refuses_is_a_plain_answer() {
    let (_origin, gateway) = open_shop().await;
    let headers = [("connection", "upgrade"), ("upgrade", "websocket")];
    let reply: Reply = gateway.get_with(HOST, "/ws", &headers).await;
    assert_eq!((reply.status, reply.text().as_str()), (426, "no websocket"));
}

#[tokio::test]
async fn a_setup_without_listeners_is_ready_and_silent() {
    let gateway = Setup::bare().with(yaml::service("shop", &[])).spawn();
    // A Gateway without listeners is invalid; the program runs on and waits for a better one.
    wait::until("the admin address", || async { gateway.admin("/healthz").await.ok() }).await;
    assert!(gateway.stderr().contains("listeners"), "{}", gateway.stderr());
}
