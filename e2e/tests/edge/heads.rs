//! Heads on their way: every line counts, and what is judged is what is sent.

use e2e::client::{bytes, nothing, request};
use e2e::raw::ask;
use e2e::{Connection, Scripted, Setup, wait, yaml};

use crate::scene::{HOST, answered, open_shop, shop};

/// All lines of the header `name` as one.
fn joined(headers: &http::HeaderMap, name: &str) -> String {
    let lines = headers.get_all(name).iter().map(|line| line.to_str().expect("text"));
    lines.collect::<Vec<_>>().join(", ")
}

#[tokio::test]
async fn a_path_that_grows_beyond_what_can_be_sent_is_refused() {
    let (origin, setup) = shop().await;
    let longer = yaml::route(
        "longer",
        &format!(
            "rules:\n  - matches: [{{ path: {{ value: /old }} }}]\n    \
             filters: [{{ type: URLRewrite, urlRewrite: {{ path: {{ type: ReplacePrefixMatch, \
             replacePrefixMatch: /{} }} }} }}]\n    backendRefs: [{{ name: shop, port: 80 }}]",
            "n".repeat(1000)
        ),
    );
    let gateway = setup.with(longer).start().await;
    // In normal form a quote takes three bytes; the rewrite adds a thousand.
    for path in [
        format!("/{}", "\"".repeat(22_000)),
        format!("/{}?q=1", "\"".repeat(22_000)),
        format!("/{}?q={}", "\"".repeat(21_000), "q".repeat(4_000)),
        format!("/old/{}", "a".repeat(65_000)),
    ] {
        let start = &path[..10];
        let text = format!("GET {path} HTTP/1.1\r\nhost: {HOST}\r\n\r\n");
        let status = ask(gateway.web(), text).await.status;
        let sent = origin.seen().pop().map(|seen| seen.target);
        assert!(matches!(status, 400 | 414 | 431), "{start}: {status}, sent as {sent:.40?}");
        let mut connection = Connection::h2c(gateway.web()).await.unwrap();
        let reply = connection.send(request("GET", HOST, &path).body(nothing()).unwrap()).await;
        assert!(matches!(reply.unwrap().status, 400 | 414 | 431), "{start} over HTTP/2");
    }
    assert_eq!(origin.count(), 0);
    // What just fits arrives as it was judged.
    let text = format!("GET /{} HTTP/1.1\r\nhost: {HOST}\r\n\r\n", "\"".repeat(21_800));
    assert_eq!(ask(gateway.web(), text).await.status, 200);
    assert!(origin.last().target == format!("/{}", "%22".repeat(21_800)), "another path arrived");
}

#[tokio::test]
async fn the_consoles_cookie_goes_to_no_backend() {
    let (origin, setup) = shop().await;
    let gateway = setup.start().await;
    for (sent, wanted) in [
        ("a=1; heddle-session=secret; b=2", "a=1; b=2"),
        ("__Host-heddle-session=secret", ""),
        ("a=1;b=\"2\"", "a=1;b=\"2\""),
    ] {
        assert_eq!(gateway.get_with(HOST, "/", &[("cookie", sent)]).await.status, 200);
        assert_eq!(joined(&origin.last().headers, "cookie"), wanted);
    }
    // HTTP/2 parts a line.
    let asked = request("GET", HOST, "/").header("cookie", "a=1");
    let asked = asked.header("cookie", "heddle-session=secret").header("cookie", "b=2");
    let mut connection = Connection::h2c(gateway.web()).await.unwrap();
    assert_eq!(connection.send(asked.body(nothing()).unwrap()).await.unwrap().status, 200);
    assert_eq!(joined(&origin.last().headers, "cookie"), "a=1; b=2");
}

#[tokio::test]
async fn every_line_of_x_forwarded_for_counts() {
    let (origin, setup) = shop().await;
    let gateway = setup.arguments(&["--trust-forwarded", "127.0.0.0/8"]).start().await;
    for (lines, source) in [
        // The first is what a stranger claims, the second what the trusted proxy saw.
        (["10.0.0.1", "198.51.100.7"], "198.51.100.7"),
        (["10.0.0.1, 198.51.100.7", "127.0.0.2"], "198.51.100.7"),
        (["198.51.100.7", "127.0.0.3, 127.0.0.2"], "198.51.100.7"),
    ] {
        let headers = lines.map(|line| ("x-forwarded-for", line));
        let reply = gateway.get_with(HOST, "/", &headers).await;
        let line = answered(&gateway, &reply, "shop").await;
        assert_eq!(line["source"], source, "{lines:?}");
        let told = joined(&origin.last().headers, "x-forwarded-for");
        assert_eq!(told, format!("{}, {}, 127.0.0.1", lines[0], lines[1]));
    }
}

#[tokio::test]
async fn no_line_of_a_strangers_x_forwarded_for_goes_through() {
    let (origin, gateway) = open_shop().await;
    let headers = ["203.0.113.9", "198.51.100.7"].map(|line| ("x-forwarded-for", line));
    let reply = gateway.get_with(HOST, "/", &headers).await;
    assert_eq!(answered(&gateway, &reply, "shop").await["source"], "127.0.0.1");
    assert_eq!(joined(&origin.last().headers, "x-forwarded-for"), "127.0.0.1");
}

#[tokio::test]
async fn every_connection_line_names_what_ends_here() {
    let (origin, gateway) = open_shop().await;
    let headers = [
        ("connection", "x-one"),
        ("x-one", "1"),
        ("connection", "X-Two, x-three"),
        ("x-two", "2"),
        ("x-three", "3"),
        ("connection", "x-four"),
        ("x-four", "4"),
        ("x-end-to-end", "kept"),
    ];
    let reply = gateway.get_with(HOST, "/hop", &headers).await;
    answered(&gateway, &reply, "shop").await;
    let seen = origin.last();
    assert_eq!((seen.header("x-end-to-end"), reply.header("x-end-to-end")), ("kept", "kept"));
    for name in ["x-one", "x-two", "x-three", "x-four"] {
        assert_eq!(seen.header(name), "", "{name} on the way up");
    }
    // Named by the origin's first and second line.
    for name in ["x-mine", "x-second"] {
        assert_eq!(reply.header(name), "", "{name} on the way down");
    }
}

#[tokio::test]
async fn answers_of_ours_to_head_have_no_body() {
    let (_origin, setup) = shop().await;
    let gateway = setup
        .with(yaml::service("empty", &[]))
        .with(yaml::path_route("missing", "/missing", "nowhere"))
        .with(yaml::path_route("empty", "/empty", "empty"))
        .with(yaml::route(
            "moved",
            "rules: [{ matches: [{ path: { value: /moved } }], filters: [\
             { type: RequestRedirect, requestRedirect: { hostname: new.test } }] }]",
        ))
        .with(yaml::policy(
            "closed",
            "targetRefs: [{ kind: HTTPRoute, name: all }]\n\
             rules:\n  - { name: anyone }\n  \
             - { name: not-here, action: Deny, when: { paths: [{ value: /closed }] } }",
        ))
        .start()
        .await;
    let mut replies = Vec::new();
    for h2 in [false, true] {
        let mut connection = if h2 {
            Connection::h2c(gateway.web()).await.unwrap()
        } else {
            Connection::h1(gateway.web()).await.unwrap()
        };
        for (path, status) in [
            ("/missing", 500),
            ("/empty", 503),
            ("/moved", 302),
            ("/closed", 403),
            ("/a%00b", 400),
            ("/", 200),
        ] {
            let asked = request("HEAD", HOST, path).body(nothing()).unwrap();
            let sent = wait::within(path, connection.send(asked)).await;
            let reply = sent.unwrap_or_else(|error| panic!("HEAD {path}, HTTP/2 {h2}: {error}"));
            assert_eq!((reply.status, reply.body.len()), (status, 0), "HEAD {path}, HTTP/2 {h2}");
            replies.push(reply);
        }
        // The connection is in step and serves on.
        let asked = request("GET", HOST, "/closed").body(nothing()).unwrap();
        let reply = connection.send(asked).await.unwrap();
        assert_eq!((reply.status, reply.json()["reason"].as_str()), (403, Some("access_denied")));
    }
    for reply in replies {
        let line = gateway.logged(&reply).await;
        assert_eq!((&line["status"], &line["bytes_out"]), (&reply.status.into(), &0.into()));
    }
}

#[tokio::test]
async fn a_length_told_twice_reaches_the_backend_once() {
    let answer = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok";
    let backend = Scripted::start(answer).await;
    let gateway = Setup::new()
        .with(yaml::service("shop", &[backend.address]))
        .with(yaml::path_route("all", "/", "shop"))
        .start()
        .await;
    let asked = request("POST", HOST, "/two").header("content-length", "5");
    let asked = asked.header("content-length", "5").body(bytes("words")).unwrap();
    let mut connection = Connection::h2c(gateway.web()).await.unwrap();
    let sent = wait::within("an answer", connection.send(asked)).await;
    assert_eq!(sent.expect("an answer").status, 200);
    let head = format!("POST /two HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: 5\r\n");
    let status = ask(gateway.web(), format!("{head}content-length: 5\r\n\r\nwords")).await.status;
    assert_eq!(status, 200);
    for talk in backend.heard() {
        let text = String::from_utf8_lossy(&talk.bytes);
        assert_eq!(talk.lines("content-length"), 1, "{text}");
        assert!(text.ends_with("\r\n\r\nwords"), "{text}");
    }
    // One that is told once is served.
    let asked = request("POST", HOST, "/one").header("content-length", "5").body(bytes("words"));
    assert_eq!(gateway.send(asked.unwrap()).await.status, 200);
}
