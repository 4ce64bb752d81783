//! Sessions of rules: what a caller brings back leads it to where it was.

use std::collections::BTreeSet;

use e2e::client::{nothing, request};
use e2e::trust::Authority;
use e2e::{Connection, Gateway, Ill, Origin, Reply, Setup, wait, yaml};

use crate::scene::HOST;

/// Secrets that gateways share.
const KEYS: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n";
const OTHER_KEYS: &str = "Hx4dHBsaGRgXFhUUExIREA8ODQwLCgkIBwYFBAMCAQA=\n";

/// So many origins, named by their number behind `name`.
async fn origins(name: &str, count: usize) -> Vec<Origin> {
    let mut origins = Vec::new();
    for index in 0..count {
        origins.push(Origin::start(&format!("{name}-{index}")).await);
    }
    origins
}

/// A Service with these endpoints, of which each gets its turn: who does not stay is somewhere else next time.
fn service(name: &str, origins: &[Origin]) -> String {
    let addresses: Vec<_> = origins.iter().map(|origin| origin.address).collect();
    let traffic = yaml::traffic(name, "balance: { algorithm: RoundRobin }");
    yaml::join(&[yaml::service(name, &addresses), traffic])
}

/// Which of its origins one is.
fn number(origin: &str) -> usize {
    let number = origin.rsplit_once('-').and_then(|(_, number)| number.parse().ok());
    number.expect("a name with a number")
}

/// A route whose one rule keeps sessions so, and has this besides.
fn route(session: &str, rest: &str) -> String {
    yaml::route("all", &format!("rules: [{{ name: all, sessionPersistence: {session}, {rest} }}]"))
}

/// The same for everything, to the Service `shop`.
fn plain(session: &str) -> String {
    route(session, "backendRefs: [{ name: shop, port: 80 }]")
}

/// Four origins behind a rule that keeps sessions so.
async fn four(session: &str) -> (Vec<Origin>, Gateway) {
    let origins = origins("shop", 4).await;
    let setup = Setup::new().with(service("shop", &origins)).with(plain(session));
    (origins, setup.start().await)
}

/// What a browser would send of the cookies that an answer sets; nothing where it sets none.
fn given(reply: &Reply) -> Option<String> {
    let set = reply.header("set-cookie");
    set.split_once(';').map(|(pair, _)| pair.to_owned())
}

/// Begins a session, and gives the origin and the cookie.
async fn begin(gateway: &Gateway) -> (String, String) {
    let reply = gateway.get(HOST, "/").await;
    assert_eq!(reply.status, 200, "{reply:?}");
    (reply.origin().to_owned(), given(&reply).expect("a cookie"))
}

/// The origin that a caller with a cookie is led to, and what it is given.
async fn led(gateway: &Gateway, cookie: &str) -> (String, Option<String>) {
    let reply = gateway.get_with(HOST, "/", &[("cookie", cookie)]).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    (reply.origin().to_owned(), given(&reply))
}

#[tokio::test]
async fn a_caller_stays_at_its_endpoint_by_a_cookie_that_tells_nothing() {
    let (origins, gateway) = four("{ sessionName: cart }").await;
    let mut used = BTreeSet::new();
    for _ in 0..20 {
        let (origin, cookie) = begin(&gateway).await;
        for _ in 0..5 {
            let (at, set) = led(&gateway, &format!("theme=dark; {cookie}; lang=de")).await;
            assert_eq!((&at, set), (&origin, None));
        }
        used.insert(origin);
    }
    assert_eq!(used.len(), 4, "{used:?}");
    let reply = gateway.get(HOST, "/").await;
    let set = reply.header("set-cookie");
    let (pair, rest) = set.split_once(';').expect("attributes");
    let token = pair.strip_prefix("cart=").expect("its name");
    assert_eq!(rest, " Path=/; HttpOnly; SameSite=Lax");
    let port = |origin: &Origin| origin.address.port().to_string();
    assert!(origins.iter().all(|origin| !token.contains(&port(origin))), "{token}");
    for origin in &origins {
        for seen in origin.seen().iter().filter(|seen| seen.headers.contains_key("cookie")) {
            assert_eq!(
                seen.headers["cookie"], "theme=dark; lang=de",
                "others go on, ours does not"
            );
        }
    }
}

#[tokio::test]
async fn what_is_no_good_token_is_as_none() {
    let (_origins, gateway) = four("{ sessionName: cart }").await;
    let (_, cookie) = begin(&gateway).await;
    let large = format!("cart={}", "A".repeat(4000));
    let changed = format!("{}{}", &cookie[..cookie.len() - 4], "AAAA");
    for bad in ["cart=", "cart=127.0.0.1:80", &large, &changed, &cookie[..cookie.len() - 1]] {
        let (_, set) = led(&gateway, bad).await;
        assert!(set.is_some_and(|set| set != cookie), "{bad}");
    }
}

#[tokio::test]
async fn a_token_of_one_rule_is_none_to_another_and_goes_to_no_backend() {
    let origins = origins("shop", 4).await;
    let backends = "backendRefs: [{ name: shop, port: 80 }]";
    let text = format!(
        "rules: [\
         {{ sessionPersistence: {{ sessionName: a }}, {backends} }}, \
         {{ matches: [{{ path: {{ value: /cart }} }}], \
            sessionPersistence: {{ sessionName: a }}, {backends} }}, \
         {{ matches: [{{ path: {{ value: /plain }} }}], {backends} }}]"
    );
    let setup = Setup::new().with(service("shop", &origins)).with(yaml::route("all", &text));
    let gateway = setup.start().await;
    let (_, cookie) = begin(&gateway).await;
    let reply = gateway.get_with(HOST, "/cart/1", &[("cookie", &cookie)]).await;
    assert!(reply.header("set-cookie").contains("; Path=/cart; "), "{reply:?}");
    let plain = gateway.get_with(HOST, "/plain", &[("cookie", &cookie)]).await;
    assert_eq!((plain.status, plain.header("set-cookie")), (200, ""));
    assert!(origins.iter().all(|one| one.seen().iter().all(|s| !s.headers.contains_key("cookie"))));
}

#[tokio::test]
async fn two_gateways_with_the_same_secrets_lead_to_the_same_endpoint() {
    let origins = origins("shop", 4).await;
    let start = async |keys: &str| {
        let folder = tempfile::TempDir::new().expect("a folder");
        let file = folder.path().join("keys");
        std::fs::write(&file, keys).expect("a folder to write to");
        let setup = Setup::new().with(service("shop", &origins)).with(plain("{ idleTimeout: 1h }"));
        let setup = setup.arguments(&["--ticket-keys", &file.to_string_lossy()]);
        (setup.start().await, folder)
    };
    let ((one, _keep), (other, _too)) = (start(KEYS).await, start(KEYS).await);
    let (newer, _as_well) = start(&format!("{OTHER_KEYS}{KEYS}")).await;
    let (stranger, _also) = start(OTHER_KEYS).await;
    for _ in 0..10 {
        let (origin, cookie) = begin(&one).await;
        assert_eq!(led(&other, &cookie).await, (origin.clone(), None));
        let (at, set) = led(&newer, &cookie).await;
        assert_eq!(at, origin);
        let renewed = set.expect("one by the newer secret");
        assert_eq!(led(&stranger, &renewed).await, (origin, None));
        assert!(led(&stranger, &cookie).await.1.is_some(), "it cannot open the first");
    }
}

#[tokio::test]
async fn who_loses_its_endpoint_is_led_to_another_and_stays_there() {
    let mut origins = origins("shop", 4).await;
    let setup = Setup::new().file("shop.yaml", service("shop", &origins));
    let gateway = setup.with(plain("{ sessionName: cart }")).start().await;
    let (origin, cookie) = begin(&gateway).await;
    // It answers until the gateway knows that it is no endpoint any more.
    let _gone = origins.remove(number(&origin));
    gateway.write("shop.yaml", &service("shop", &origins));
    let (at, moved) = wait::until("another endpoint", || async {
        let (at, set) = led(&gateway, &cookie).await;
        set.map(|set| (at, set))
    })
    .await;
    assert_ne!(at, origin);
    for _ in 0..20 {
        assert_eq!(led(&gateway, &moved).await, (at.clone(), None));
    }
}

#[tokio::test]
async fn a_request_that_is_tried_elsewhere_takes_its_session_there() {
    let origins = origins("shop", 2).await;
    let rest = "retry: { codes: [503], attempts: 1, backoff: 1ms }, \
                backendRefs: [{ name: shop, port: 80 }]";
    let setup = Setup::new().with(service("shop", &origins));
    let gateway = setup.with(route("{ sessionName: cart }", rest)).start().await;
    let (origin, cookie) = begin(&gateway).await;
    origins[number(&origin)].ail(Ill::Answers(503), 1);
    let (at, set) = led(&gateway, &cookie).await;
    assert_ne!(at, origin);
    let moved = set.expect("a new cookie");
    assert_eq!(led(&gateway, &moved).await, (at, None));
    assert_eq!(led(&gateway, &cookie).await, (origin, None), "who has the old one is well there");
}

#[tokio::test]
async fn an_endpoint_that_rests_keeps_no_session() {
    let origins = origins("shop", 2).await;
    let spec = "healthCheck: { type: HTTP, path: /well, interval: 100ms, timeout: 100ms, \
                unhealthyAfter: 2 }";
    let addresses = [origins[0].address, origins[1].address];
    let setup = Setup::new()
        .with(yaml::service("shop", &addresses))
        .with(yaml::traffic("shop", spec))
        .with(plain("{ sessionName: cart }"));
    let gateway = setup.start().await;
    let (origin, cookie) = begin(&gateway).await;
    origins[number(&origin)].ail(Ill::Answers(500), usize::MAX);
    gateway.until_said("an endpoint is not well").await;
    let (at, set) = led(&gateway, &cookie).await;
    assert!(at != origin && set.is_some(), "{at} {set:?}");
}

#[tokio::test]
async fn a_session_keeps_its_backend_until_that_has_no_weight() {
    let (blue, green) = (origins("blue", 2).await, origins("green", 2).await);
    let weights = |blue: u32, green: u32| {
        let refs = format!(
            "backendRefs: [{{ name: blue, port: 80, weight: {blue} }}, \
             {{ name: green, port: 80, weight: {green} }}]"
        );
        route("{ sessionName: cart }", &refs)
    };
    let setup = Setup::new().with(service("blue", &blue)).with(service("green", &green));
    let gateway = setup.file("route.yaml", weights(1, 0)).start().await;
    let (origin, cookie) = begin(&gateway).await;
    gateway.write("route.yaml", &weights(1, 1000));
    wait::until_true_of("the new weights", async || begin(&gateway).await.0.starts_with("green-"))
        .await;
    for _ in 0..50 {
        assert_eq!(led(&gateway, &cookie).await, (origin.clone(), None));
    }
    gateway.write("route.yaml", &weights(0, 1));
    wait::until_true_of("another backend", async || {
        led(&gateway, &cookie).await.0.starts_with("green-")
    })
    .await;
    assert!(led(&gateway, &cookie).await.1.is_some(), "and a new cookie");
}

#[tokio::test]
async fn a_backend_of_which_nobody_is_well_keeps_no_session_where_another_serves() {
    let (blue, green) = (origins("blue", 1).await, origins("green", 1).await);
    let check = "healthCheck: { type: HTTP, path: /well, interval: 100ms, timeout: 100ms, \
                 unhealthyAfter: 2 }";
    let to = |blue: u32, green: u32| {
        let refs = format!(
            "backendRefs: [{{ name: blue, port: 80, weight: {blue} }}, \
             {{ name: green, port: 80, weight: {green} }}]"
        );
        route("{ sessionName: cart }", &refs)
    };
    let setup = Setup::new()
        .with(yaml::service("blue", &[blue[0].address]))
        .with(yaml::traffic("blue", check))
        .with(service("green", &green));
    let gateway = setup.file("route.yaml", to(1, 0)).start().await;
    let (origin, cookie) = begin(&gateway).await;
    assert_eq!(origin, "blue-0");
    blue[0].ail(Ill::Answers(500), usize::MAX);
    gateway.until_said("an endpoint is not well").await;
    // Nobody serves elsewhere: it stays.
    let reply = gateway.get_with(HOST, "/", &[("cookie", &cookie)]).await;
    assert_eq!((reply.status, given(&reply)), (500, None));
    gateway.write("route.yaml", &to(1, 100_000));
    wait::until_true_of("another backend", async || {
        let reply = gateway.get_with(HOST, "/", &[("cookie", &cookie)]).await;
        reply.origin() == "green-0" && given(&reply).is_some()
    })
    .await;
}

#[tokio::test]
async fn a_header_carries_a_session_as_well() {
    let (origins, gateway) = four("{ sessionName: X-Cart, type: Header }").await;
    let first = gateway.get(HOST, "/").await;
    let token = first.header("x-cart").to_owned();
    assert!(!token.is_empty() && first.header("set-cookie").is_empty(), "{first:?}");
    for _ in 0..50 {
        let reply = gateway.get_with(HOST, "/", &[("x-cart", &token)]).await;
        assert_eq!((reply.origin(), reply.header("x-cart")), (first.origin(), ""));
    }
    assert!(origins.iter().all(|one| one.seen().iter().all(|s| !s.headers.contains_key("x-cart"))));
}

#[tokio::test]
async fn a_session_that_was_idle_too_long_is_over_and_one_in_use_goes_on() {
    let (_origins, gateway) = four("{ sessionName: cart, idleTimeout: 5s }").await;
    let (origin, old) = begin(&gateway).await;
    let (mut cookie, mut renewals) = (old.clone(), 0);
    wait::until_true_of("the end of what was not renewed", async || {
        let (at, set) = led(&gateway, &cookie).await;
        assert_eq!(at, origin, "in use all the time");
        if let Some(newer) = set {
            (cookie, renewals) = (newer, renewals + 1);
        }
        // What was given first is 5 s old at some time, and then begins another session.
        renewals >= 9
    })
    .await;
    assert!(led(&gateway, &old).await.1.is_some(), "5 s without a request");
    assert_eq!(led(&gateway, &cookie).await.0, origin);
}

#[tokio::test]
async fn a_session_ends_when_its_time_is_over_though_it_is_in_use() {
    let session = "{ absoluteTimeout: 5s, cookieConfig: { lifetimeType: Permanent } }";
    let (_origins, gateway) = four(session).await;
    let reply = gateway.get(HOST, "/").await;
    let set = reply.header("set-cookie").to_owned();
    assert!(set.starts_with("heddle-stay-") && set.contains("; Max-Age=5; "), "{set}");
    let cookie = given(&reply).expect("a cookie");
    assert_eq!(led(&gateway, &cookie).await, (reply.origin().to_owned(), None));
    wait::until_true_of("its end", async || led(&gateway, &cookie).await.1.is_some()).await;
}

#[tokio::test]
async fn over_tls_the_cookie_is_for_tls_alone() {
    let (origins, authority) = (origins("shop", 2).await, Authority::new());
    let port = e2e::program::free_port();
    let setup = Setup::bare()
        .listener("tls", port, yaml::https("tls", port, HOST, "cert"))
        .with(yaml::tls_secret("cert", &authority.sign(HOST)))
        .with(service("shop", &origins))
        .with(plain("{ sessionName: cart }"));
    let gateway = setup.start().await;
    let client = authority.client(&["h2"]);
    let connection = Connection::tls_as(gateway.listener("tls"), HOST, client).await;
    let mut connection = connection.expect("a connection");
    let asked = request("GET", HOST, "/").body(nothing()).expect("a request");
    let reply = connection.send(asked).await.expect("an answer");
    let set = reply.header("set-cookie");
    assert!(set.ends_with("; Path=/; HttpOnly; Secure; SameSite=Lax"), "{set}");
    let cookie = given(&reply).expect("a cookie");
    for _ in 0..20 {
        // HTTP/2 may part cookies into lines.
        let asked = request("GET", HOST, "/").header("cookie", "a=1").header("cookie", &cookie);
        let next = connection.send(asked.body(nothing()).expect("a request")).await;
        assert_eq!(next.expect("an answer").origin(), reply.origin());
    }
}

#[tokio::test]
async fn calls_of_grpc_stay_at_their_endpoint() {
    let origins = origins("books", 4).await;
    let addresses: Vec<_> = origins.iter().map(|origin| origin.address).collect();
    let rules = "[{ sessionPersistence: { sessionName: seat, type: Header }, \
                 backendRefs: [{ name: books, port: 80 }] }]";
    let spec = format!("spec:\n  parentRefs: [{{ name: edge }}]\n  rules: {rules}");
    let route = yaml::document("gateway.networking.k8s.io/v1", "GRPCRoute", "calls", &spec);
    let setup = Setup::new()
        .with(yaml::service_speaking("books", "grpc", &addresses))
        .with(yaml::traffic("books", "balance: { algorithm: RoundRobin }"))
        .with(route);
    let gateway = setup.start().await;
    let mut connection = Connection::h2c(gateway.web()).await.expect("a connection");
    let mut call = async |token: &str| {
        let asked = request("POST", HOST, "/shop.Books/Get");
        let mut asked = asked.header("content-type", "application/grpc");
        if !token.is_empty() {
            asked = asked.header("seat", token);
        }
        connection.send(asked.body(nothing()).expect("a request")).await.expect("an answer")
    };
    let first = call("").await;
    let token = first.header("seat").to_owned();
    assert!(!token.is_empty(), "{first:?}");
    for _ in 0..30 {
        let reply = call(&token).await;
        assert_eq!((reply.origin(), reply.header("seat")), (first.origin(), ""));
    }
}
