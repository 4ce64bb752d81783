//! Pages of other origins: what they may send, and which answers they may read.

use e2e::client::{nothing, request};
use e2e::{Gateway, Ill, Origin, Reply, Setup, yaml};

use crate::scene::{HOST, answered, closed, refused, shop};

const PAGE: &str = "https://pages.test";
const EVIL: &str = "https://evil.test";
const KEY: &str = "the-clerks-own-marker-key";

/// A rule named after its path, with the CORS filter `cors` and whatever else it has.
fn rule(path: &str, cors: &str, rest: &str) -> String {
    let name = path.trim_start_matches('/');
    let filter = format!("{{ type: CORS, cors: {cors} }}");
    yaml::route(
        name,
        &format!(
            "rules:\n  - name: main\n    matches: [{{ path: {{ value: {path} }} }}]\n    \
             filters: [{filter}]\n    {rest}"
        ),
    )
}

const TO_SHOP: &str = "backendRefs: [{ name: shop, port: 80 }]";

/// `/cart` is for one origin with its users' credentials, `/open` for everybody without.
async fn pages() -> (Origin, Setup) {
    let (origin, setup) = shop().await;
    let cart = "{ allowOrigins: ['https://pages.test', 'https://*.pages.test:8443'], \
                allowCredentials: true, allowMethods: [GET, PUT], allowHeaders: [x-cart], \
                exposeHeaders: [x-origin, x-request-id], maxAge: 600 }";
    let open = "{ allowOrigins: ['*'], allowMethods: ['*'], allowHeaders: ['*'] }";
    let setup = setup.with(rule("/cart", cart, TO_SHOP)).with(rule("/open", open, TO_SHOP));
    (origin, setup)
}

async fn send(gateway: &Gateway, (method, path): (&str, &str), headers: &[(&str, &str)]) -> Reply {
    let mut asked = request(method, HOST, path);
    for (name, value) in headers {
        asked = asked.header(*name, *value);
    }
    gateway.send(asked.body(nothing()).expect("a well-formed request")).await
}

/// What a browser asks before a page of `origin` sends a PUT with the header `x-cart`.
async fn preflight(gateway: &Gateway, path: &str, origin: &str) -> Reply {
    let headers = [
        ("origin", origin),
        ("access-control-request-method", "PUT"),
        ("access-control-request-headers", "x-cart"),
    ];
    send(gateway, ("OPTIONS", path), &headers).await
}

/// The headers of CORS in an answer, without what all of them begin with, in the order of the alphabet.
fn told(reply: &Reply) -> Vec<(&str, &str)> {
    let names = reply.headers.keys().filter_map(|name| {
        let short = name.as_str().strip_prefix("access-control-")?;
        Some((short, reply.header(name.as_str())))
    });
    let mut told: Vec<_> = names.collect();
    told.sort_unstable();
    told
}

fn varies_by(reply: &Reply) -> String {
    let lines = reply.headers.get_all("vary").iter();
    lines.filter_map(|line| line.to_str().ok()).collect::<Vec<_>>().join(", ")
}

/// The gateway answered a preflight, and the log agrees.
async fn told_ahead(gateway: &Gateway, reply: &Reply) {
    assert_eq!((reply.status, reply.origin(), reply.body.len()), (204, "", 0), "{reply:?}");
    assert_eq!((reply.header("content-length"), reply.header("content-type")), ("", ""));
    let line = gateway.logged(reply).await;
    assert_eq!((&line["status"], &line["reason"]), (&204.into(), &"preflight".into()), "{line}");
}

#[tokio::test]
async fn a_preflight_is_answered_here_and_asks_no_backend() {
    let (origin, setup) = pages().await;
    let gateway = setup.start().await;
    let known = |origin| {
        [
            ("allow-credentials", "true"),
            ("allow-headers", "x-cart"),
            ("allow-methods", "GET, PUT"),
            ("allow-origin", origin),
            ("expose-headers", "x-origin, x-request-id"),
            ("max-age", "600"),
        ]
    };
    let everybody =
        [("allow-headers", "*"), ("allow-methods", "*"), ("allow-origin", "*"), ("max-age", "5")];
    let below = "https://a.pages.test:8443";
    for (path, from, wanted) in [
        ("/cart", PAGE, &known(PAGE)[..]),
        ("/cart/7", below, &known(below)[..]),
        ("/cart", EVIL, &[]),
        ("/cart", "http://pages.test", &[]),
        ("/cart", "null", &[]),
        ("/open", EVIL, &everybody[..]),
    ] {
        let reply = preflight(&gateway, path, from).await;
        told_ahead(&gateway, &reply).await;
        assert_eq!(told(&reply), wanted, "{path} for {from}");
        assert!(varies_by(&reply).contains("access-control-request-method"), "{reply:?}");
    }
    assert_eq!(origin.count(), 0);
    // Without a method that is asked for it is any other request.
    let reply = send(&gateway, ("OPTIONS", "/cart"), &[("origin", PAGE)]).await;
    answered(&gateway, &reply, "shop").await;
    // Nor is there a preflight where no filter is.
    answered(&gateway, &preflight(&gateway, "/plain", PAGE).await, "shop").await;
    assert_eq!(origin.count(), 2);
}

#[tokio::test]
async fn an_answer_says_to_whose_pages_it_may_be_shown() {
    let (origin, setup) = pages().await;
    let gateway = setup.start().await;
    let known = [
        ("allow-credentials", "true"),
        ("allow-origin", PAGE),
        ("expose-headers", "x-origin, x-request-id"),
    ];
    for (path, from, wanted, vary) in [
        ("/cart", Some(PAGE), &known[..], "origin"),
        ("/cart", Some(EVIL), &[], "origin"),
        ("/cart", None, &[], "origin"),
        ("/open", Some(EVIL), &[("allow-origin", "*")], ""),
        ("/open", None, &[("allow-origin", "*")], ""),
        ("/plain", Some(PAGE), &[], ""),
    ] {
        let headers: Vec<_> = from.map(|from| ("origin", from)).into_iter().collect();
        let reply = send(&gateway, ("GET", path), &headers).await;
        answered(&gateway, &reply, "shop").await;
        assert_eq!((told(&reply), varies_by(&reply).as_str()), (wanted.to_vec(), vary), "{path}");
        assert_eq!(origin.last().header("origin"), from.unwrap_or_default());
    }
}

#[tokio::test]
async fn what_a_backend_says_of_its_readers_is_replaced() {
    let (origin, setup) = pages().await;
    let theirs = e2e::Scripted::start(
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\nvary: accept\r\nx-origin: wide\r\n\
         access-control-allow-origin: *\r\naccess-control-allow-methods: DELETE\r\n\r\n",
    )
    .await;
    let cors = "{ allowOrigins: ['https://pages.test'] }";
    let gateway = setup
        .with(yaml::service("wide", &[theirs.address]))
        .with(rule("/wide", cors, "backendRefs: [{ name: wide, port: 80 }]"))
        .start()
        .await;
    for (from, wanted) in [(PAGE, &[("allow-origin", PAGE)][..]), (EVIL, &[])] {
        let reply = send(&gateway, ("GET", "/wide"), &[("origin", from)]).await;
        assert_eq!((reply.status, reply.origin()), (200, "wide"), "{reply:?}");
        assert_eq!(told(&reply), wanted);
        assert_eq!(varies_by(&reply), "accept, origin");
    }
    assert_eq!(origin.count(), 0);
}

#[tokio::test]
async fn pages_read_why_a_request_was_refused_or_failed() {
    let (origin, setup) = pages().await;
    let cors = "{ allowOrigins: ['https://pages.test'] }";
    let denied = yaml::policy(
        "nobody",
        "targetRefs: [{ kind: HTTPRoute, name: denied }]\n\
         rules: [{ name: nobody, action: Deny, when: {} }]",
    );
    let clerks = yaml::policy(
        "clerks",
        "targetRefs: [{ kind: HTTPRoute, name: clerks }]\n\
         rules: [{ name: clerks, when: { callers: [{ apiKey: clerk }] } }]",
    );
    let gateway = setup
        .with(yaml::service("dead", &[closed()]))
        .with(yaml::secret("keys", &[("clerk", KEY)]))
        .with(rule("/denied", cors, TO_SHOP))
        .with(rule("/clerks", cors, TO_SHOP))
        .with(rule("/dead", cors, "backendRefs: [{ name: dead, port: 80 }]"))
        .with(rule("/none", cors, "timeouts: { request: 10s }"))
        .with(rule("/gone", cors, "backendRefs: [{ name: gone, port: 80 }]"))
        .with(denied)
        .with(yaml::keys("clerks", "HTTPRoute, name: clerks", "keys"))
        .with(clerks)
        .start()
        .await;
    for (path, status, reason) in [
        ("/denied", 403, "access_denied"),
        ("/clerks", 401, "credential_missing"),
        ("/dead", 503, "connect_failed"),
        ("/none", 500, "no_backend"),
        ("/gone", 500, "backend_missing"),
    ] {
        for (from, wanted) in [(PAGE, &[("allow-origin", PAGE)][..]), (EVIL, &[])] {
            let reply = send(&gateway, ("PUT", path), &[("origin", from)]).await;
            refused(&gateway, &reply, status, reason).await;
            assert_eq!((told(&reply), varies_by(&reply).as_str()), (wanted.to_vec(), "origin"));
        }
        // Whoever is refused may still ask what a page could send.
        let reply = preflight(&gateway, path, PAGE).await;
        told_ahead(&gateway, &reply).await;
        assert_eq!(told(&reply), [("allow-origin", PAGE), ("max-age", "5")]);
    }
    assert_eq!(origin.count(), 0);
    let reply = send(&gateway, ("PUT", "/clerks"), &[("origin", PAGE), ("x-api-key", KEY)]).await;
    answered(&gateway, &reply, "shop").await;
    assert_eq!(told(&reply), [("allow-origin", PAGE)]);
}

#[tokio::test]
async fn answers_after_a_retry_an_upgrade_and_a_backends_redirect_can_be_read() {
    let (origin, setup) = pages().await;
    let cors = "{ allowOrigins: ['https://pages.test'] }";
    let again = format!("retry: {{ codes: [503], attempts: 1, backoff: 1ms }}\n    {TO_SHOP}");
    let moved = "backendRefs: [{ name: shop, port: 80, filters: [\
                 { type: RequestRedirect, requestRedirect: { scheme: https } }] }]";
    let gateway = setup
        .with(rule("/again", cors, &again))
        .with(rule("/ws", cors, TO_SHOP))
        .with(rule("/moved", cors, moved))
        .start()
        .await;
    let upgrade = [
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    for (path, ills, headers, status, tries) in [
        ("/again", 1, &[][..], 200, 2),
        ("/again", 2, &[], 503, 2),
        ("/ws", 0, &upgrade, 101, 1),
        ("/ws", 0, &[], 426, 1),
        ("/moved", 0, &[], 302, 0),
    ] {
        for (from, wanted) in [(PAGE, &[("allow-origin", PAGE)][..]), (EVIL, &[])] {
            origin.ail(Ill::Answers(503), ills);
            let before = origin.count();
            let headers = [headers, &[("origin", from)]].concat();
            let reply = send(&gateway, ("GET", path), &headers).await;
            assert_eq!((reply.status, origin.count() - before), (status, tries), "{path} {ills}");
            assert_eq!((told(&reply), varies_by(&reply).as_str()), (wanted.to_vec(), "origin"));
        }
    }
}
