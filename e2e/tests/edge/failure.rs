//! What callers get when something behind the gateway is missing, slow or broken.

use std::sync::Arc;
use std::time::{Duration, Instant};

use e2e::client::{bytes, nothing, request};
use e2e::program::free_port;
use e2e::trust::Authority;
use e2e::{Connection, Gateway, Origin, Scripted, Setup, wait, yaml};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;

use crate::scene::{HOST, answered, closed, open_shop, refused, shop};

#[tokio::test]
async fn backends_that_cannot_be_used_are_told_apart() {
    let (origin, setup) = shop().await;
    let foreign =
        yaml::service("foreign", &[origin.address]).replace("namespace: shop", "namespace: other");
    let gateway = setup
        .with(yaml::service("empty", &[]))
        .with(yaml::service("closed", &[closed()]))
        .with(foreign)
        .with(yaml::path_route("missing", "/missing", "nowhere"))
        .with(yaml::path_route("empty", "/empty", "empty"))
        .with(yaml::path_route("closed", "/closed", "closed"))
        .with(yaml::path_route("wrong-port", "/wrong-port", "shop").replace("port: 80", "port: 81"))
        .with(yaml::route(
            "foreign",
            "rules: [{ matches: [{ path: { value: /foreign } }], \
             backendRefs: [{ name: foreign, namespace: other, port: 80 }] }]",
        ))
        .with(yaml::route("none", "rules: [{ matches: [{ path: { value: /none } }] }]"))
        .with(yaml::route(
            "no-share",
            "rules: [{ matches: [{ path: { value: /no-share } }], \
             backendRefs: [{ name: shop, port: 80, weight: 0 }] }]",
        ))
        .start()
        .await;
    for (path, status, reason) in [
        ("/missing", 500, "backend_missing"),
        ("/wrong-port", 500, "backend_missing"),
        ("/foreign", 500, "backend_not_allowed"),
        ("/none", 500, "no_backend"),
        ("/no-share", 500, "no_backend"),
        ("/empty", 503, "no_endpoint"),
        ("/closed", 503, "connect_failed"),
    ] {
        let reply = gateway.get(HOST, path).await;
        let line = refused(&gateway, &reply, status, reason).await;
        assert_eq!(line["path"], path);
    }
    assert_eq!(origin.count(), 0);
}

#[tokio::test]
async fn a_missing_backend_fails_its_share_only() {
    let (origin, setup) = shop().await;
    let route = yaml::route(
        "half",
        "rules: [{ matches: [{ path: { value: /share } }], \
         backendRefs: [{ name: shop, port: 80 }, { name: nowhere, port: 80 }] }]",
    );
    let gateway = setup.with(route).start().await;
    let mut failed = 0;
    for _ in 0..400 {
        let reply = gateway.get(HOST, "/share").await;
        assert!(matches!(reply.status, 200 | 500), "{reply:?}");
        failed += usize::from(reply.status == 500);
    }
    crate::scene::assert_share(failed, 400, 0.5);
    assert_eq!(origin.count() + failed, 400);
}

#[tokio::test]
async fn a_dead_endpoint_is_stepped_over() {
    let origin = Origin::start("alive").await;
    let gateway = Setup::new()
        .with(yaml::service("both", &[closed(), origin.address]))
        .with(yaml::path_route("all", "/", "both"))
        .start()
        .await;
    let (mut retried, mut replies) = (0, Vec::new());
    for _ in 0..40 {
        let asked = request("POST", HOST, "/").body(bytes("not lost"));
        replies.push(gateway.send(asked.unwrap()).await);
    }
    for (index, reply) in replies.into_iter().enumerate() {
        let line = answered(&gateway, &reply, "alive").await;
        assert_eq!(line["endpoint"], origin.address.to_string());
        assert!(line["attempts"].as_u64().is_some_and(|n| (1..=3).contains(&n)), "{index}: {line}");
        retried += usize::from(line["attempts"] == 2);
    }
    assert!(retried > 0, "the dead endpoint was never tried first in 40 requests");
    assert_eq!(origin.count(), 40);
}

#[tokio::test]
async fn a_second_try_names_the_same_host() {
    for protocol in ["http", "kubernetes.io/h2c"] {
        let origin = Origin::start("alive").await;
        let gateway = Setup::new()
            .with(yaml::service_speaking("both", protocol, &[closed(), origin.address]))
            .with(yaml::path_route("all", "/", "both"))
            .start()
            .await;
        let mut retried = 0;
        for _ in 0..40 {
            let reply = gateway.get(HOST, "/").await;
            let line = answered(&gateway, &reply, "alive").await;
            retried += usize::from(line["attempts"] == 2);
            assert_eq!(origin.last().host, HOST, "{protocol}: {line}");
        }
        assert!(retried > 0, "{protocol}: the dead endpoint was never tried first in 40 requests");
    }
}

#[tokio::test]
async fn an_answer_that_tells_its_length_twice_tells_it_once_or_is_a_502() {
    for (answer, wanted) in [
        (
            "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 3\r\ncontent-length: 5\r\n\r\n",
            None,
        ),
        ("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 3, 5\r\n\r\n", None),
        ("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: -1\r\n\r\n", None),
        (
            "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\ncontent-length: 5\r\n\r\n",
            Some("5"),
        ),
    ] {
        let gateway = behind(answer).await;
        for mut connection in [
            Connection::h1(gateway.1.web()).await.unwrap(),
            Connection::h2c(gateway.1.web()).await.unwrap(),
        ] {
            let asked = request("HEAD", HOST, "/").body(nothing()).unwrap();
            let reply = connection.send(asked).await.unwrap();
            match wanted {
                Some(length) => {
                    assert_eq!((reply.status, reply.header("content-length")), (200, length));
                }
                None => {
                    assert_eq!(reply.status, 502, "{answer}");
                    let line = gateway.1.logged(&reply).await;
                    assert_eq!(line["reason"], "upstream_protocol", "{line}");
                }
            }
        }
    }
}

#[tokio::test]
async fn an_answer_framed_in_two_ways_goes_by_its_chunks() {
    const BOTH: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\
                        connection: close\r\n\r\na\r\n0123456789\r\n0\r\n\r\n";
    let gateway = behind(BOTH).await;
    for mut connection in [
        Connection::h1(gateway.1.web()).await.unwrap(),
        Connection::h2c(gateway.1.web()).await.unwrap(),
    ] {
        let asked = request("GET", HOST, "/").body(nothing()).unwrap();
        let reply = connection.send(asked).await.unwrap();
        assert_eq!((reply.header("content-length"), reply.text().as_str()), ("", "0123456789"));
    }
}

#[tokio::test]
async fn an_answer_in_a_coding_that_would_be_lost_is_a_502() {
    const CODED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\
                         connection: close\r\n\r\na\r\n0123456789\r\n0\r\n\r\n";
    let (_origin, gateway) = behind(CODED).await;
    refused(&gateway, &gateway.get(HOST, "/").await, 502, "upstream_protocol").await;
}

/// A gateway before a backend that always answers so.
async fn behind(answer: &'static str) -> (Scripted, Gateway) {
    let origin = Scripted::start(answer).await;
    let setup = Setup::new()
        .with(yaml::service("odd", &[origin.address]))
        .with(yaml::path_route("all", "/", "odd"));
    (origin, setup.start().await)
}

#[tokio::test]
async fn timeouts_are_kept() {
    let (origin, setup) = shop().await;
    let timed = |name: &str, timeouts: &str| {
        yaml::route(
            name,
            &format!(
                "rules:\n  - matches: [{{ headers: [{{ name: x-case, value: {name} }}] }}]\n    \
                 timeouts: {{ {timeouts} }}\n    backendRefs: [{{ name: shop, port: 80 }}]"
            ),
        )
    };
    let gateway = setup
        .with(timed("whole", "request: 300ms"))
        .with(timed("each", "request: 20s, backendRequest: 300ms"))
        .with(timed("never", "request: 0s"))
        .start()
        .await;
    for (case, reason) in [("whole", "request_timeout"), ("each", "backend_timeout")] {
        let began = Instant::now();
        let reply = gateway.get_with(HOST, "/delay/15000", &[("x-case", case)]).await;
        refused(&gateway, &reply, 504, reason).await;
        let took = began.elapsed();
        assert!(took >= Duration::from_millis(290) && took < Duration::from_secs(10), "{took:?}");
    }
    for case in ["whole", "each", "never"] {
        let reply = gateway.get_with(HOST, "/delay/1", &[("x-case", case)]).await;
        answered(&gateway, &reply, "shop").await;
    }
    assert_eq!(origin.count(), 5);
}

#[tokio::test]
async fn an_origin_that_breaks_off_is_a_502_or_a_broken_answer() {
    let (_origin, gateway) = open_shop().await;
    let reply = gateway.get(HOST, "/reset").await;
    refused(&gateway, &reply, 502, "upstream_reset").await;
    // The head is sent before anyone can know: the caller must see that the body is not whole.
    let mut connection = Connection::h1(gateway.web()).await.unwrap();
    let opened = connection.open(request("GET", HOST, "/half").body(nothing()).unwrap()).await;
    let response = opened.unwrap();
    assert_eq!(response.status(), 200);
    let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
    e2e::Reply::read(response).await.unwrap_err();
    let line = gateway.logged_as(&id).await;
    assert_eq!(
        (&line["status"], &line["reason"]),
        (&200.into(), &"upstream_reset".into()),
        "{line}"
    );
    // Others are not concerned.
    assert_eq!(gateway.get(HOST, "/").await.status, 200);
}

#[tokio::test]
async fn an_http_2_origin_that_breaks_off_is_a_502() {
    let origin = Origin::start("shop").await;
    let gateway = Setup::new()
        .with(yaml::service_speaking("shop", "kubernetes.io/h2c", &[origin.address]))
        .with(yaml::path_route("all", "/", "shop"))
        .start()
        .await;
    for _ in 0..3 {
        let reply = gateway.get(HOST, "/reset").await;
        refused(&gateway, &reply, 502, "upstream_reset").await;
        let reply = gateway.get(HOST, "/").await;
        answered(&gateway, &reply, "shop").await;
    }
}

/// Answers one request on each connection as if more were welcome, and closes.
async fn close_after_each(listener: TcpListener) {
    while let Ok((mut stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            let mut buffer = [0; 4096];
            if matches!(stream.read(&mut buffer).await, Ok(length) if length > 0) {
                let answer = "HTTP/1.1 200 OK\r\nx-origin: hasty\r\ncontent-length: 2\r\n\r\nok";
                stream.write_all(answer.as_bytes()).await.ok();
            }
        });
    }
}

#[tokio::test]
async fn an_origin_that_closes_kept_connections_loses_no_request() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let hasty = tokio::spawn(close_after_each(listener));
    let gateway = Setup::new()
        .with(yaml::service("hasty", &[address]))
        .with(yaml::path_route("all", "/", "hasty"))
        .start()
        .await;
    let mut connection = Connection::h1(gateway.web()).await.unwrap();
    for index in 0..200 {
        let asked = request("GET", HOST, &format!("/{index}")).body(nothing());
        let reply = connection.send(asked.unwrap()).await.unwrap();
        assert_eq!((reply.status, reply.origin()), (200, "hasty"), "{index}: {}", reply.text());
    }
    hasty.abort();
}

/// Answers 413 to a head and reads on until the caller has written all, as a polite server does.
/// It serves one request on a connection and says so.
async fn answer_early(listener: TcpListener) {
    while let Ok((mut stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            let mut buffer = vec![0; 64 << 10];
            if matches!(stream.read(&mut buffer).await, Ok(length) if length > 0) {
                let answer = "HTTP/1.1 413 No\r\nx-origin: early\r\ncontent-length: 2\r\n\
                              connection: close\r\n\r\nno";
                stream.write_all(answer.as_bytes()).await.ok();
                while matches!(stream.read(&mut buffer).await, Ok(length) if length > 0) {}
            }
        });
    }
}

#[tokio::test]
async fn an_answer_that_comes_before_the_body_was_read_comes_through() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let early = tokio::spawn(answer_early(listener));
    let gateway = Setup::new()
        .with(yaml::service("early", &[address]))
        .with(yaml::path_route("all", "/", "early"))
        .start()
        .await;
    for h2 in [false, true] {
        let mut connection = if h2 {
            Connection::h2c(gateway.web()).await.unwrap()
        } else {
            Connection::h1(gateway.web()).await.unwrap()
        };
        let asked = request("POST", HOST, "/").body(bytes(vec![0; 4 << 20]));
        let sent = connection.send(asked.unwrap());
        let what = format!("the early answer (HTTP/2: {h2})");
        let reply = wait::within(&what, sent).await.unwrap();
        assert_eq!((reply.status, reply.origin()), (413, "early"), "over HTTP/2: {h2}");
    }
    early.abort();
}

/// What is read once all was written.
async fn said_after(mut stream: impl AsyncRead + AsyncWrite + Unpin, all: &[u8]) -> Vec<u8> {
    let exchange = async {
        stream.write_all(all).await.expect("all of it is taken");
        let mut said = Vec::new();
        stream.read_to_end(&mut said).await.expect("the answer is there, and its end");
        said
    };
    wait::within("an answer to who reads late", exchange).await
}

#[tokio::test]
async fn who_reads_once_all_is_written_finds_what_was_answered_before() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let early = tokio::spawn(answer_early(listener));
    let (authority, port) = (Authority::new(), free_port());
    let gateway = Setup::new()
        .listener("secure", port, yaml::https("tls", port, HOST, "cert"))
        .with(yaml::tls_secret("cert", &authority.sign(HOST)))
        .with(yaml::service("early", &[address]))
        .with(yaml::path_route("early", "/early", "early"))
        .start()
        .await;
    let large = "x".repeat(8 << 20);
    let post = |path: &str| {
        let length = large.len();
        let lines = format!("host: {HOST}\r\nconnection: close\r\ncontent-length: {length}");
        format!("POST {path} HTTP/1.1\r\n{lines}\r\n\r\n{large}")
    };
    // A frame of data that is no stream's, and what ends the connection for it.
    let framed = [
        &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0"[..],
        large.as_bytes(),
    ]
    .concat();
    let goaway = b"\x07\0\0\0\0\0\0\0\0\0\0\0\0\x01";
    for (all, wanted) in [
        (post("/nowhere").into_bytes(), &b"HTTP/1.1 404 "[..]),
        (post("/early").into_bytes(), b"HTTP/1.1 413 "),
        (
            format!("GET / HTTP/1.1\r\nhost: {HOST}\r\nx: {large}\r\n\r\n").into_bytes(),
            b"HTTP/1.1 431 ",
        ),
        (format!("no request {large}\r\n\r\n").into_bytes(), b"HTTP/1.1 400 "),
        (framed, goaway),
    ] {
        let says = |said: &[u8]| said.windows(wanted.len()).any(|part| part == wanted);
        let plain = TcpStream::connect(gateway.web()).await.unwrap();
        let said = said_after(plain, &all).await;
        assert!(says(&said), "{}: {}", wanted.escape_ascii(), said.escape_ascii());
        let mut client = authority.client_showing(None);
        if wanted == goaway {
            client.alpn_protocols = vec![b"h2".to_vec()];
        }
        let tls = TlsConnector::from(Arc::new(client));
        let secure = TcpStream::connect(gateway.listener("secure")).await.unwrap();
        let secure = tls.connect(HOST.try_into().unwrap(), secure).await.unwrap();
        let said = said_after(secure, &all).await;
        assert!(says(&said), "{} by TLS: {}", wanted.escape_ascii(), said.escape_ascii());
    }
    early.abort();
}

#[tokio::test]
async fn who_has_sent_all_is_not_waited_for() {
    let (_origin, gateway) = open_shop().await;
    let asked = |path: &str, lines: &str| {
        format!("POST {path} HTTP/1.1\r\nhost: {HOST}\r\n{lines}content-length: 3\r\n\r\nabc")
    };
    let [last, close] =
        [asked("/", "connection: close\r\n"), asked("/sink", "connection: close\r\n")];
    // What nobody wanted of the first one's body is of no more account at the second.
    let two = asked("/%zz", "") + &last;
    for (all, status) in [(last, "200"), (close, "200"), (two, "400")] {
        let mut stream = TcpStream::connect(gateway.web()).await.unwrap();
        stream.write_all(all.as_bytes()).await.unwrap();
        let mut said = Vec::new();
        wait::within("the answer", stream.read_to_end(&mut said)).await.unwrap();
        let said = String::from_utf8_lossy(&said);
        assert!(said.starts_with(&format!("HTTP/1.1 {status} ")), "{said}");
        assert!(said.contains("HTTP/1.1 200 "), "{said}");
        // Who still read it would take this, and what comes then, for longer than is waited for here.
        let is_gone = async || stream.write_all(b"x").await.is_err();
        wait::until_true_of("the connection to be gone", is_gone).await;
    }
}

#[tokio::test]
async fn an_origin_that_speaks_no_http_is_a_502() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let babbler = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut buffer = [0; 1024];
            if matches!(stream.read(&mut buffer).await, Ok(length) if length > 0) {
                stream.write_all(b"220 mail.test at your service\r\n\r\n").await.ok();
            }
        }
    });
    let gateway = Setup::new()
        .with(yaml::service("mail", &[address]))
        .with(yaml::path_route("all", "/", "mail"))
        .start()
        .await;
    let reply = gateway.get(HOST, "/").await;
    refused(&gateway, &reply, 502, "upstream_protocol").await;
    babbler.abort();
}

#[tokio::test]
async fn a_caller_that_leaves_is_logged_so() {
    let (origin, gateway) = open_shop().await;
    let mut connection = Connection::h1(gateway.web()).await.unwrap();
    let sent = request("GET", HOST, "/gate").body(nothing()).unwrap();
    let waiting = tokio::spawn(async move { connection.send(sent).await.is_ok() });
    e2e::wait::until_true("the request to arrive", || origin.count() == 1).await;
    waiting.abort();
    let logged = e2e::wait::until("a log line", || {
        let line = gateway.access_log().lines().next().map(str::to_owned);
        std::future::ready(line)
    });
    let line: serde_json::Value = serde_json::from_str(&logged.await).unwrap();
    assert_eq!(
        (&line["reason"], &line["path"]),
        (&"client_gone".into(), &"/gate".into()),
        "{line}"
    );
}
