//! What of a stranger's words goes no further, and what the gateway adds.

use e2e::client::{nothing, request};
use e2e::raw::{Raw, ask};
use e2e::{Connection, yaml};

use crate::scene::{HOST, answered, open_shop, shop};

#[tokio::test]
async fn hop_by_hop_headers_end_here_both_ways() {
    let (origin, gateway) = open_shop().await;
    let headers = [
        ("connection", "close, x-mine"),
        ("x-mine", "of this connection"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("proxy-authorization", "Basic dXNlcjpwYXNz"),
        ("te", "gzip"),
        ("upgrade", "h2c"),
        ("http2-settings", "AAMAAABkAARAAAAAAAIAAAAA"),
        ("x-end-to-end", "kept"),
    ];
    let reply = gateway.get_with(HOST, "/hop", &headers).await;
    answered(&gateway, &reply, "shop").await;
    let seen = origin.last();
    for (name, value) in headers {
        let wanted = if name == "x-end-to-end" { value } else { "" };
        assert_eq!(seen.header(name), wanted, "{name} on the way up");
    }
    for name in ["x-mine", "keep-alive", "proxy-connection", "upgrade"] {
        assert_eq!(reply.header(name), "", "{name} on the way down");
    }
    assert!(!reply.header("connection").contains("x-mine"));
    assert_eq!(reply.header("x-end-to-end"), "kept");
}

#[tokio::test]
async fn an_upgrade_to_h2c_is_ignored() {
    let (origin, gateway) = open_shop().await;
    let answer = ask(
        gateway.web(),
        "GET / HTTP/1.1\r\nhost: shop.test\r\nconnection: Upgrade, HTTP2-Settings\r\n\
         upgrade: h2c\r\nhttp2-settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n",
    )
    .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let seen = origin.last();
    assert_eq!((seen.header("upgrade"), seen.header("http2-settings")), ("", ""));
}

#[tokio::test]
async fn what_strangers_say_of_themselves_is_replaced() {
    let (origin, gateway) = open_shop().await;
    let parent = "00-11111111111111111111111111111111-2222222222222222-01";
    let headers = [
        ("x-forwarded-for", "203.0.113.9"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-port", "443"),
        ("x-real-ip", "203.0.113.9"),
        ("forwarded", "for=203.0.113.9"),
        ("x-request-id", "mine-42"),
        ("traceparent", parent),
        ("tracestate", "evil=1"),
    ];
    let reply = gateway.get_with(HOST, "/", &headers).await;
    let line = answered(&gateway, &reply, "shop").await;
    let seen = origin.last();
    assert_eq!(seen.header("x-forwarded-for"), "127.0.0.1");
    assert_eq!(seen.header("x-forwarded-proto"), "http");
    for (name, value) in headers {
        assert_ne!(seen.header(name), value, "{name} of a stranger went through");
    }
    assert_ne!(reply.header("x-request-id"), "mine-42");
    assert_eq!(seen.header("x-request-id"), reply.header("x-request-id"));
    assert_eq!(line["source"], "127.0.0.1");
    // A trace of its own, the same in the log.
    let trace = seen.header("traceparent").split('-').nth(1).unwrap_or_default();
    assert_eq!(trace.len(), 32, "{}", seen.header("traceparent"));
    assert_eq!(line["trace_id"], trace);
    assert!(!seen.header("traceparent").contains(&"1".repeat(32)));
}

#[tokio::test]
async fn what_a_trusted_proxy_says_is_kept() {
    let (origin, setup) = shop().await;
    let gateway = setup.arguments(&["--trust-forwarded", "127.0.0.0/8"]).start().await;
    let trace = "11111111111111111111111111111111";
    let parent = format!("00-{trace}-2222222222222222-01");
    let headers = [
        ("x-forwarded-for", "203.0.113.9"),
        ("x-request-id", "mine-42"),
        ("traceparent", parent.as_str()),
    ];
    let reply = gateway.get_with(HOST, "/", &headers).await;
    let line = answered(&gateway, &reply, "shop").await;
    let seen = origin.last();
    assert_eq!(seen.header("x-forwarded-for"), "203.0.113.9, 127.0.0.1");
    assert_eq!((reply.header("x-request-id"), seen.header("x-request-id")), ("mine-42", "mine-42"));
    assert!(seen.header("traceparent").contains(trace), "{}", seen.header("traceparent"));
    assert_eq!((&line["source"], &line["trace_id"]), (&"203.0.113.9".into(), &trace.into()));
}

#[tokio::test]
async fn trust_ends_at_the_first_hop_that_is_not_trusted() {
    let (origin, setup) = shop().await;
    let gateway = setup.arguments(&["--trust-forwarded", "127.0.0.0/8"]).start().await;
    // A stranger (198.51.100.7) wrote the first; the trusted proxy added the stranger.
    let headers = [("x-forwarded-for", "10.0.0.1, 198.51.100.7")];
    let reply = gateway.get_with(HOST, "/", &headers).await;
    let line = answered(&gateway, &reply, "shop").await;
    assert_eq!(line["source"], "198.51.100.7", "{line}");
    assert!(origin.last().header("x-forwarded-for").ends_with("198.51.100.7, 127.0.0.1"));
}

#[tokio::test]
async fn the_debug_header_is_off_by_default() {
    let (_origin, setup) = shop().await;
    let gateway = setup.without_debug_header().start().await;
    let reply = gateway.get_with(HOST, "/", &[("heddle-debug", "1")]).await;
    assert_eq!((reply.status, reply.header("heddle-debug")), (200, ""));
}

#[tokio::test]
async fn every_answer_has_a_request_id_of_its_own() {
    let (_origin, gateway) = open_shop().await;
    let mut ids = std::collections::BTreeSet::new();
    let mut connection = Connection::h2c(gateway.web()).await.unwrap();
    for path in ["/", "/status/404", "/status/500", "/reset", "/status/204", "/a%00b"] {
        let reply = connection.send(request("GET", HOST, path).body(nothing()).unwrap()).await;
        let reply = reply.unwrap();
        let line = gateway.logged(&reply).await;
        assert_eq!(line["status"], reply.status, "{path}");
        ids.insert(reply.header("x-request-id").to_owned());
    }
    assert_eq!(ids.len(), 6);
}

#[tokio::test]
async fn heads_that_are_too_large_are_431() {
    let (origin, gateway) = open_shop().await;
    let many: String = (0..200).map(|index| format!("x-{index}: 1\r\n")).collect();
    let large = format!("x-large: {}\r\n", "a".repeat(100_000));
    for headers in [many, large] {
        let text = format!("GET / HTTP/1.1\r\nhost: {HOST}\r\n{headers}\r\n");
        let answer = ask(gateway.web(), &text).await;
        assert_eq!(answer.status, 431, "{}", answer.text);
    }
    let path = "a".repeat(100_000);
    let answer = ask(gateway.web(), format!("GET /{path} HTTP/1.1\r\nhost: {HOST}\r\n\r\n")).await;
    assert!(matches!(answer.status, 414 | 431), "{}", answer.text);
    assert_eq!(origin.count(), 0);
    assert_eq!(gateway.get(HOST, "/").await.status, 200);
}

#[tokio::test]
async fn http_2_heads_that_are_too_large_are_refused() {
    let (origin, gateway) = open_shop().await;
    let mut many = request("GET", HOST, "/");
    for index in 0..200 {
        many = many.header(format!("x-{index}"), "1");
    }
    let large = request("GET", HOST, "/").header("x-large", "a".repeat(100_000));
    for asked in [many, large] {
        let mut connection = Connection::h2c(gateway.web()).await.unwrap();
        // Refused by an answer, or by a reset of the stream.
        if let Ok(reply) = connection.send(asked.body(nothing()).unwrap()).await {
            assert_eq!(reply.status, 431, "{reply:?}");
        }
    }
    assert_eq!(origin.count(), 0);
    assert_eq!(gateway.get(HOST, "/").await.status, 200);
}

#[tokio::test]
async fn a_head_that_does_not_come_is_not_waited_for() {
    let (_origin, setup) = shop().await;
    let gateway = setup.arguments(&["--head-timeout", "1s"]).start().await;
    let mut slow = Raw::connect(gateway.web()).await;
    let mut silent = Raw::connect(gateway.web()).await;
    slow.write("GET / HTTP/1.1\r\nhost: shop.test\r\nx-slow: ").await;
    for (what, connection) in [("half a head", &mut slow), ("nothing", &mut silent)] {
        let closed = connection.closes_within(std::time::Duration::from_secs(10)).await;
        assert!(closed, "a caller that sent {what} is still connected after 10 s");
    }
    assert_eq!(gateway.get(HOST, "/").await.status, 200);
}

#[tokio::test]
async fn who_was_answered_may_wait_for_longer_than_a_head_may_take() {
    let (_origin, setup) = shop().await;
    let gateway = setup.arguments(&["--head-timeout", "1s", "--idle-timeout", "1h"]).start().await;
    let whole = format!("GET / HTTP/1.1\r\nhost: {HOST}\r\n\r\n");
    let (mut waiting, mut slow) =
        (Raw::connect(gateway.web()).await, Raw::connect(gateway.web()).await);
    for connection in [&mut waiting, &mut slow] {
        connection.write(&whole).await;
        assert_eq!(connection.head().await.status, 200);
    }
    slow.write("GET / HTTP/1.1\r\nhost: ").await;
    let closed = slow.closes_within(std::time::Duration::from_secs(10)).await;
    assert!(closed, "a caller that sent half a head is still connected after 10 s");
    waiting.write(&whole).await;
    assert_eq!(waiting.head().await.status, 200);
}

#[tokio::test]
async fn a_body_that_is_too_large_is_413() {
    let (_origin, setup) = shop().await;
    let gateway = setup.arguments(&["--max-body", "1000"]).start().await;
    let post = |framing: &str| format!("POST /sink HTTP/1.1\r\nhost: {HOST}\r\n{framing}\r\n\r\n");
    let chunked = format!("{}\r\n", post("transfer-encoding: chunked").trim_end());
    let announced = post("content-length: 1001");
    let streamed = format!("{chunked}\r\n3e9\r\n{}\r\n0\r\n\r\n", "a".repeat(1001));
    for text in [announced, streamed] {
        let answer = ask(gateway.web(), &text).await;
        assert_eq!(answer.status, 413, "{}", answer.text);
        let line = gateway.logged_as(answer.header("x-request-id")).await;
        assert_eq!((&line["status"], &line["reason"]), (&413.into(), &"body_too_large".into()));
    }
    let whole = format!("{}{}", post("content-length: 1000"), "a".repeat(1000));
    assert_eq!(ask(gateway.web(), whole).await.status, 200);
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let (_origin, setup) = shop().await;
    let gateway = setup.arguments(&["--body-timeout", "1s"]).start().await;
    let mut raw = Raw::connect(gateway.web()).await;
    raw.write(format!("POST /sink HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: 9\r\n\r\nhalf"))
        .await;
    let answer = raw.head().await;
    assert_eq!(answer.status, 408, "{}", answer.text);
    let line = gateway.logged_as(answer.header("x-request-id")).await;
    assert_eq!(
        (&line["status"], &line["reason"]),
        (&408.into(), &"client_timeout".into()),
        "{line}"
    );
    assert!(raw.closes_within(std::time::Duration::from_secs(10)).await, "left open");
}

#[tokio::test]
async fn a_connection_without_requests_is_closed() {
    let (_origin, setup) = shop().await;
    let gateway = setup.arguments(&["--idle-timeout", "1s", "--head-timeout", "1s"]).start().await;
    for h2 in [false, true] {
        let mut connection = if h2 {
            Connection::h2c(gateway.web()).await.unwrap()
        } else {
            Connection::h1(gateway.web()).await.unwrap()
        };
        let sent = connection.send(request("GET", HOST, "/").body(nothing()).unwrap()).await;
        assert_eq!(sent.unwrap().status, 200);
        let what = format!("the connection to be closed (HTTP/2: {h2})");
        e2e::wait::until_true(&what, || connection.is_closed()).await;
    }
}

#[tokio::test]
async fn a_silent_connection_does_not_stop_others() {
    let (_origin, gateway) = open_shop().await;
    let mut silent = Vec::new();
    for _ in 0..200 {
        silent.push(Raw::connect(gateway.web()).await);
    }
    for _ in 0..20 {
        assert_eq!(gateway.get(HOST, "/").await.status, 200);
    }
}

#[tokio::test]
async fn the_servers_own_words_are_kept_and_ours_are_few() {
    let (_origin, setup) = shop().await;
    let gateway = setup.without_debug_header().with(yaml::service("other", &[])).start().await;
    let reply = gateway.get(HOST, "/").await;
    let known = ["x-origin", "x-request-id", "content-length", "date"];
    for name in reply.headers.keys() {
        assert!(known.contains(&name.as_str()), "the answer also carries {name}");
    }
}

#[tokio::test]
async fn so_many_hops_away_is_the_caller_and_who_comes_past_them_is_themselves() {
    let (origin, setup) = shop().await;
    let near = "targetRefs: [{ kind: Gateway, name: edge }]\n\
                rules: [{ name: near, when: { sources: [192.0.2.7/32] } }]";
    let setup = setup.with(yaml::policy("near", near));
    let gateway = setup.arguments(&["--trusted-hops", "2"]).start().await;
    for (sent, status) in [
        ("192.0.2.7, 10.0.0.1", 200),
        ("198.51.100.1, 192.0.2.7, 10.0.0.1", 200),
        ("192.0.2.7, 198.51.100.1, 10.0.0.1", 403),
        ("192.0.2.7", 403),
    ] {
        let reply = gateway.get_with(HOST, "/", &[("x-forwarded-for", sent)]).await;
        assert_eq!(reply.status, status, "{sent}");
    }
    assert_eq!(gateway.get(HOST, "/").await.status, 403);
    let told = origin.last().header("x-forwarded-for").to_owned();
    assert_eq!(told, "198.51.100.1, 192.0.2.7, 10.0.0.1, 127.0.0.1");
}
