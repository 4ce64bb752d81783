//! Requests that mean two things, and callers that cost more than they give.

use std::time::Duration;

use e2e::client::{nothing, request};
use e2e::raw::{Raw, ask};
use e2e::{Connection, Gateway, Origin, Setup, yaml};

use crate::scene::{HOST, open_shop, shop};

/// `/admin` is denied by policy to everybody; `/` is open.
async fn guarded() -> (Origin, Gateway) {
    guarded_with(&[]).await
}

async fn guarded_with(arguments: &[&str]) -> (Origin, Gateway) {
    let (origin, setup) = shop().await;
    let policy = yaml::policy(
        "no-admin",
        "
        targetRefs: [{ kind: Gateway, name: edge }]
        rules:
          - { name: anyone }
          - { name: not-admin, action: Deny, when: { paths: [{ value: /admin }] } }",
    );
    (origin, setup.arguments(arguments).with(policy).start().await)
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: {HOST}\r\n\r\n")
}

#[tokio::test]
async fn no_spelling_of_a_path_walks_around_a_policy() {
    let (origin, gateway) = guarded().await;
    for path in [
        "/admin",
        "/admin/",
        "/admin/x?q=1",
        "//admin",
        "///admin//x",
        "/./admin",
        "/a/../admin",
        "/a/b/../../admin",
        "/a/%2e%2e/admin",
        "/a/%2E./admin",
        "/%61dmin",
        "/%61%64%6d%69%6e/x",
        "/a/..//admin",
        "http://shop.test/admin",
        "http://shop.test//a/../admin",
    ] {
        let answer = ask(gateway.web(), get(path)).await;
        assert_eq!(answer.status, 403, "{path}: {}", answer.text);
    }
    assert_eq!(origin.count(), 0);
    // Others are other resources, and the backend sees the form that was judged.
    for (path, target) in [
        ("/administrator", "/administrator"),
        ("/a/../b", "/b"),
        ("/Admin", "/Admin"),
        ("/a//b/./c", "/a/b/c"),
        ("/%7euser", "/~user"),
        ("/a%2fb", "/a%2Fb"),
    ] {
        let answer = ask(gateway.web(), get(path)).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        assert_eq!(origin.last().target, target, "{path}");
    }
}

#[tokio::test]
async fn paths_without_a_meaning_are_400() {
    let (origin, gateway) = guarded().await;
    for path in [
        "/../admin",
        "/a/../../admin",
        "/%2e%2e/admin",
        "/a%",
        "/a%2",
        "/a%zz",
        "/a%00b",
        "/a\\..\\admin",
        "/%5cadmin",
        "/a%0d%0ax: y",
    ] {
        let answer = ask(gateway.web(), get(path)).await;
        assert_eq!(answer.status, 400, "{path}: {}", answer.text);
    }
    assert_eq!(origin.count(), 0);
}

#[tokio::test]
async fn an_escaped_slash_is_what_the_gateway_is_told() {
    let (origin, gateway) = guarded_with(&["--escaped-slashes", "decode"]).await;
    for path in ["/admin%2Fx", "/a%2f..%2fadmin", "/%2fadmin"] {
        assert_eq!(ask(gateway.web(), get(path)).await.status, 403, "{path}");
    }
    assert_eq!(ask(gateway.web(), get("/a%2f..%2f..%2fadmin")).await.status, 400);
    assert_eq!(origin.count(), 0);
    assert_eq!(ask(gateway.web(), get("/a%2fb%252fc")).await.status, 200);
    assert_eq!(origin.last().target, "/a/b%252fc");

    let (origin, gateway) = guarded_with(&["--escaped-slashes", "refuse"]).await;
    for path in ["/a%2fb", "/a%2Fb/..", "/admin%2fx"] {
        assert_eq!(ask(gateway.web(), get(path)).await.status, 400, "{path}");
    }
    assert_eq!(origin.count(), 0);
    assert_eq!(ask(gateway.web(), get("/a/b")).await.status, 200);
}

#[tokio::test]
async fn the_route_is_chosen_by_the_same_form() {
    let (shop, admin) = (Origin::start("shop").await, Origin::start("admin").await);
    let gateway = Setup::new()
        .with(yaml::service("shop", &[shop.address]))
        .with(yaml::service("admin", &[admin.address]))
        .with(yaml::path_route("all", "/", "shop"))
        .with(yaml::path_route("admin", "/admin", "admin"))
        .start()
        .await;
    for path in ["/admin", "//admin", "/%61dmin", "/x/../admin"] {
        let answer = ask(gateway.web(), get(path)).await;
        assert_eq!(answer.header("x-origin"), "admin", "{path}: {}", answer.text);
    }
}

#[tokio::test]
async fn hosts_that_mean_nothing_or_two_things_are_400() {
    let (origin, gateway) = open_shop().await;
    for head in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: \r\n\r\n",
        "GET / HTTP/1.1\r\nhost: shop.test\r\nhost: evil.test\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: shop.test\r\nhost: shop.test\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: shop test\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: user@shop.test\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: shop.test:port\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: shop.test/x\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: shop.test,evil.test\r\n\r\n",
        "GET http://evil.test/ HTTP/1.1\r\nhost: shop.test\r\n\r\n",
        "GET http://shop.test/ HTTP/1.1\r\n\r\n",
    ] {
        let answer = ask(gateway.web(), head).await;
        assert_eq!(answer.status, 400, "{head:?}: {}", answer.text);
    }
    assert_eq!(origin.count(), 0);
    for host in ["shop.test:8080", "SHOP.test", "shop.test."] {
        let answer = ask(gateway.web(), format!("GET / HTTP/1.1\r\nhost: {host}\r\n\r\n")).await;
        assert_eq!(answer.status, 200, "{host}: {}", answer.text);
    }
}

#[tokio::test]
async fn a_body_whose_end_can_be_read_in_two_ways_is_400_and_closes() {
    let (origin, gateway) = open_shop().await;
    let smuggled = "GET /admin HTTP/1.1\r\nhost: shop.test\r\n\r\n";
    let mut wrong = Vec::new();
    for framing in [
        "content-length: 5\r\ncontent-length: 6",
        "content-length: 5, 6",
        "content-length: +5",
        "content-length: -1",
        "content-length: 0x5",
        "transfer-encoding: chunked, identity",
        "transfer-encoding: xchunked",
        "transfer-encoding: chunked\r\ntransfer-encoding: identity",
        "transfer-encoding : chunked",
    ] {
        let mut raw = Raw::connect(gateway.web()).await;
        let head = format!("POST / HTTP/1.1\r\nhost: {HOST}\r\n{framing}\r\n\r\n");
        raw.write(format!("{head}0\r\n\r\n{smuggled}")).await;
        let answer = raw.head().await;
        let closed = raw.closes_within(Duration::from_secs(5)).await;
        if answer.status != 400 || !closed {
            wrong.push((framing, answer.status, closed));
        }
    }
    assert!(wrong.is_empty(), "(framing, status, closed): {wrong:#?}");
    assert_eq!(origin.count(), 0, "{:?}", origin.seen());
}

#[tokio::test]
async fn a_body_framed_twice_goes_by_its_chunks_and_reaches_the_backend_framed_once() {
    let (origin, gateway) = open_shop().await;
    for framing in [
        "content-length: 5\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\r\ncontent-length: 5",
    ] {
        let mut raw = Raw::connect(gateway.web()).await;
        let end = "connection: close";
        let head = format!("POST /echo HTTP/1.1\r\nhost: {HOST}\r\n{framing}\r\n{end}\r\n\r\n");
        raw.write(format!("{head}3\r\nabc\r\n0\r\n\r\n")).await;
        assert_eq!(raw.head().await.status, 200, "{framing}");
        let body = String::from_utf8(raw.rest().await).unwrap();
        assert_eq!(body, "3\r\nabc\r\n0\r\n\r\n", "{framing}");
    }
    for seen in origin.seen() {
        assert!(!seen.headers.contains_key("content-length"), "{seen:?}");
        assert_eq!(seen.headers["transfer-encoding"], "chunked");
    }
    assert_eq!(origin.count(), 2);
}

/// What a front that takes a line feed alone for the end of a line sends on as two requests is one here.
#[tokio::test]
async fn behind_trailers_that_may_hide_a_request_nothing_is_answered() {
    let (origin, gateway) = open_shop().await;
    let hidden = format!("GET /hidden HTTP/1.1\r\nhost: {HOST}\r\n\r\n");
    for (trailers, is_answered) in
        [("\n", false), ("x: y\n\n", false), ("\nx y z ()(: ", false), ("x: y\r\n\r\n", true)]
    {
        let mut raw = Raw::connect(gateway.web()).await;
        let head =
            format!("POST /sink HTTP/1.1\r\nhost: {HOST}\r\ntransfer-encoding: chunked\r\n\r\n");
        raw.write(format!("{head}3\r\nabc\r\n0\r\n{trailers}{hidden}{hidden}")).await;
        let answer = raw.head().await;
        let closes = answer.header("connection") == "close";
        assert!(matches!((answer.status, closes), (200 | 400, true)), "{trailers:?}: {answer:?}");
        let rest = String::from_utf8(raw.rest().await).unwrap();
        assert!(!rest.contains("HTTP/1.1"), "{trailers:?}: {rest}");
        assert!(!is_answered || answer.status == 200, "{trailers:?}");
    }
    assert!(origin.seen().iter().all(|seen| seen.target == "/sink"), "{:?}", origin.seen());
}

#[tokio::test]
async fn a_coding_that_would_be_lost_on_the_way_is_400() {
    let (origin, gateway) = open_shop().await;
    for framing in ["gzip, chunked", "chunked, chunked", "gzip\r\ntransfer-encoding: chunked"] {
        let head = format!("POST / HTTP/1.1\r\nhost: {HOST}\r\ntransfer-encoding: {framing}");
        let answer = ask(gateway.web(), format!("{head}\r\n\r\n0\r\n\r\n")).await;
        assert_eq!(answer.status, 400, "{framing}: {}", answer.text);
    }
    assert_eq!(origin.count(), 0);
}

#[tokio::test]
async fn chunks_that_mean_nothing_are_400_and_close() {
    let (_origin, gateway) = open_shop().await;
    for chunks in ["zz\r\n", "3\r\nabcXX\r\n", "FFFFFFFFFFFFFFFFF\r\n"] {
        let mut raw = Raw::connect(gateway.web()).await;
        let head = format!("POST /sink HTTP/1.1\r\nhost: {HOST}\r\ntransfer-encoding: chunked");
        raw.write(format!("{head}\r\n\r\n{chunks}")).await;
        let answer = raw.head().await;
        assert_eq!(answer.status, 400, "{chunks:?}: {}", answer.text);
        let line = gateway.logged_as(answer.header("x-request-id")).await;
        assert_eq!((&line["status"], &line["reason"]), (&400.into(), &"bad_request".into()));
        assert!(raw.closes_within(Duration::from_secs(5)).await, "{chunks:?}: left open");
    }
}

#[tokio::test]
async fn nonsense_is_refused_and_the_next_caller_served() {
    let (origin, gateway) = open_shop().await;
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"\0\0\0\0\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\nhost: shop.test\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: shop.test\r\nx\x01y: 1\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: shop.test\r\nx: a\0b\r\n\r\n",
        b"G\xc3\xa4T / HTTP/1.1\r\nhost: shop.test\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nnot a frame at all, not at all",
    ] {
        let mut raw = Raw::connect(gateway.web()).await;
        raw.write(bytes).await;
        assert!(raw.closes_within(Duration::from_secs(25)).await, "{bytes:?}: left open");
    }
    assert_eq!(origin.count(), 0);
    assert_eq!(gateway.get(HOST, "/").await.status, 200);
}

#[tokio::test]
async fn connect_makes_no_open_proxy() {
    let (origin, gateway) = open_shop().await;
    let target = origin.address;
    let answer = ask(gateway.web(), format!("CONNECT {target} HTTP/1.1\r\nhost: {target}\r\n\r\n"));
    let answer = answer.await;
    assert!((400..600).contains(&answer.status), "{}", answer.text);
    assert_eq!(origin.count(), 0);
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short frame").to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn preface() -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, &[]));
    bytes
}

/// `GET /` of `shop.test`, by the static table of HPACK.
fn head() -> Vec<u8> {
    let mut block = vec![0x82, 0x86, 0x84, 0x41, 9];
    block.extend_from_slice(b"shop.test");
    block
}

/// The kinds of the frames in `bytes`.
fn kinds(mut bytes: &[u8]) -> Vec<u8> {
    let mut kinds = Vec::new();
    while let Some((head, rest)) = bytes.split_at_checked(9) {
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        kinds.push(head[3]);
        bytes = rest.get(length..).unwrap_or_default();
    }
    kinds
}

/// Reads one frame; its kind.
async fn next(raw: &mut Raw) -> u8 {
    let head = raw.exactly(9).await;
    raw.exactly(usize::from(head[1]) << 8 | usize::from(head[2])).await;
    head[3]
}

/// A header that no table of HPACK knows.
fn literal(name: &str, value: &str) -> Vec<u8> {
    let mut bytes = vec![0x00];
    for text in [name, value] {
        bytes.push(u8::try_from(text.len()).expect("a short text"));
        bytes.extend_from_slice(text.as_bytes());
    }
    bytes
}

#[tokio::test]
async fn http_2_heads_with_headers_of_http_1_are_refused() {
    let (origin, gateway) = open_shop().await;
    for (name, value) in [
        ("transfer-encoding", "chunked"),
        ("connection", "close"),
        ("upgrade", "websocket"),
        ("X-Upper", "1"),
        ("x-line", "a\r\nx-smuggled: 1"),
        (":path", "/second"),
        ("x y", "1"),
    ] {
        let mut raw = Raw::connect(gateway.web()).await;
        let mut bytes = preface();
        let block = [head(), literal(name, value)].concat();
        bytes.extend(frame(HEADERS, END_STREAM | END_HEADERS, 1, &block));
        raw.write(&bytes).await;
        let kind = loop {
            let kind = next(&mut raw).await;
            if matches!(kind, HEADERS | RST_STREAM | GOAWAY) {
                break kind;
            }
        };
        // Refused by an answer of the gateway's own, or as malformed.
        assert_eq!(origin.count(), 0, "{name} went through; frame {kind}");
    }
    assert_eq!(gateway.get(HOST, "/").await.status, 200);
}

#[tokio::test]
async fn a_host_beside_the_authority_cannot_mean_another() {
    let (origin, setup) = shop().await;
    let gateway = setup
        .with(yaml::service_speaking("modern", "kubernetes.io/h2c", &[origin.address]))
        .with(yaml::path_route("modern", "/h2", "modern"))
        .start()
        .await;
    for path in ["/h1", "/h2"] {
        let mut connection = Connection::h2c(gateway.web()).await.unwrap();
        let asked = request("GET", HOST, path).header("host", "evil.test").body(nothing());
        let reply = connection.send(asked.unwrap()).await.unwrap();
        if reply.status == 200 {
            let seen = origin.last();
            let named: Vec<_> = seen.headers.get_all("host").iter().collect();
            assert_eq!(seen.host, HOST, "{path}");
            assert!(named.iter().all(|host| *host == HOST), "{path}: {named:?}");
        } else {
            assert_eq!(reply.status, 400, "{path}");
        }
    }
}

#[tokio::test]
async fn streams_opened_to_be_reset_cost_the_connection() {
    let (origin, gateway) = open_shop().await;
    let mut raw = Raw::connect(gateway.web()).await;
    let mut bytes = preface();
    for index in 0..20_000 {
        let stream = index * 2 + 1;
        bytes.extend(frame(HEADERS, END_STREAM | END_HEADERS, stream, &head()));
        bytes.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
    }
    raw.write(&bytes).await;
    // The gateway says good-bye and closes, long before it has served them all.
    let said = kinds(&raw.rest().await);
    assert!(said.contains(&GOAWAY) || said.is_empty(), "{said:?}");
    assert!(origin.count() < 2_000, "the origin saw {} of 20,000 resets", origin.count());
    assert_eq!(gateway.get(HOST, "/").await.status, 200);
}

#[tokio::test]
async fn streams_that_make_us_reset_them_cost_the_connection() {
    let (origin, gateway) = open_shop().await;
    for (resets, are_too_many) in [(256_u32, false), (257, true)] {
        let mut raw = Raw::connect(gateway.web()).await;
        let mut bytes = preface();
        for stream in (0..resets).map(|index| index * 2 + 1) {
            // Each is malformed by a second path (CVE-2025-8671 has the server do the resetting).
            let block = [head(), literal(":path", "/second")].concat();
            bytes.extend(frame(HEADERS, END_STREAM | END_HEADERS, stream, &block));
        }
        // A good one behind them is answered as long as they were not too many.
        let last = 2 * resets + 1;
        bytes.extend(frame(HEADERS, END_STREAM | END_HEADERS, last, &head()));
        raw.write(&bytes).await;
        if are_too_many {
            let said = kinds(&raw.rest().await);
            assert!(said.contains(&GOAWAY) || said.is_empty(), "{said:?}");
            continue;
        }
        while next(&mut raw).await != HEADERS {}
    }
    assert_eq!(origin.count(), 1, "what is malformed went through");
}

#[tokio::test]
async fn a_head_without_end_costs_the_connection() {
    let (origin, gateway) = open_shop().await;
    let mut raw = Raw::connect(gateway.web()).await;
    let mut bytes = preface();
    bytes.extend(frame(HEADERS, END_STREAM, 1, &head()));
    // A header's name of 16 MB begins, and never ends.
    bytes.extend(frame(CONTINUATION, 0, 1, &[0x00, 0x7f, 0x81, 0xff, 0xff, 0x07]));
    for _ in 0..1_000 {
        bytes.extend(frame(CONTINUATION, 0, 1, &vec![b'a'; 16_000]));
    }
    raw.write(&bytes).await;
    let said = kinds(&raw.rest().await);
    assert!(said.contains(&GOAWAY) || said.is_empty(), "{said:?}");
    assert_eq!(origin.count(), 0);
    assert_eq!(gateway.get(HOST, "/").await.status, 200);
}

#[tokio::test]
async fn more_streams_than_allowed_are_refused() {
    let (origin, gateway) = open_shop().await;
    let mut raw = Raw::connect(gateway.web()).await;
    let mut bytes = preface();
    let mut gate = head();
    // `:path: /gate` as a literal instead of the indexed `/`.
    gate[2] = 0x04;
    gate.splice(3..3, [5, b'/', b'g', b'a', b't', b'e']);
    for index in 0..200 {
        bytes.extend(frame(HEADERS, END_STREAM | END_HEADERS, index * 2 + 1, &gate));
    }
    raw.write(&bytes).await;
    e2e::wait::until_true("the allowed ones to arrive", || origin.count() >= 128).await;
    assert_eq!(gateway.get(HOST, "/").await.status, 200);
    assert_eq!(origin.count(), 128 + 1, "streams at once, and one more caller");
    origin.open_gate();
}
