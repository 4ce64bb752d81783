//! TLS towards backends: who may answer there, what they are shown, and that nothing reaches them otherwise.

use std::sync::Arc;

use e2e::client::{nothing, request};
use e2e::program::free_port;
use e2e::trust::Authority;
use e2e::{Connection, Gateway, Origin, Reply, Setup, wait, yaml};
use futures::{SinkExt as _, StreamExt as _};
use http::Version;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::Message;

use crate::scene::{HOST, answered, refused};

/// The name that the backend's certificate is for.
const NAME: &str = "orders.internal.test";
/// The same as a workload.
const URI: &str = "spiffe://internal.test/orders";

/// Who signed the certificate, with its name.
fn known(name: &str) -> String {
    format!(
        "{{ caCertificateRefs: [{{ group: '', kind: ConfigMap, name: ca }}], hostname: {name} }}"
    )
}

/// The same, where one of these names counts.
fn named(names: &str) -> String {
    format!(
        "{{ caCertificateRefs: [{{ group: '', kind: ConfigMap, name: ca }}], hostname: {NAME}, \
         subjectAltNames: [{names}] }}"
    )
}

/// A backend that speaks TLS alone, and who signed its certificate.
struct Scene {
    authority: Authority,
    origin: Origin,
    setup: Setup,
}

impl Scene {
    async fn new(protocol: &str) -> Self {
        Self::asking(protocol, None).await
    }

    /// The same, which asks for a certificate that `callers` signed.
    async fn asking(protocol: &str, callers: Option<&Authority>) -> Self {
        let authority = Authority::new();
        let origin = Origin::start_tls("shop", authority.server(&[NAME, URI], callers)).await;
        // One worker, whose connections can be counted.
        let setup = Setup::new()
            .arguments(&["--workers", "1"])
            .with(yaml::service_speaking("shop", protocol, &[origin.address]))
            .with(yaml::path_route("all", "/", "shop"))
            .file("ca.yaml", yaml::bundle("ca", &authority));
        Scene { authority, origin, setup }
    }

    /// Under a policy that says this.
    async fn under(&self, validation: &str) -> Gateway {
        self.setup.clone().file("tls.yaml", yaml::backend_tls("shop", validation)).start().await
    }
}

/// Replaces a file, and waits until it holds.
async fn edit(gateway: &Gateway, name: &str, text: &str) {
    let before = table(gateway).await;
    gateway.write(name, text);
    let is_new = || async { (table(gateway).await != before).then_some(()) };
    wait::until("another table", is_new).await;
}

async fn table(gateway: &Gateway) -> String {
    let config = gateway.admin("/config").await.expect("it answers").json();
    config["inForce"]["table"].as_str().expect("a digest").to_owned()
}

async fn get(gateway: &Gateway) -> Reply {
    gateway.get(HOST, "/").await
}

#[tokio::test]
async fn a_backend_that_proves_its_name_is_asked_by_tls() {
    for protocol in ["http", "https"] {
        let scene = Scene::new(protocol).await;
        let gateway = scene.under(&known(NAME)).await;
        for _ in 0..3 {
            answered(&gateway, &get(&gateway).await, "shop").await;
        }
        let last = scene.origin.last();
        let sealed = last.sealed.clone().expect("it came by TLS");
        assert_eq!((&*sealed.server_name, &*sealed.alpn), (NAME, "http/1.1"));
        assert_eq!((&*last.host, last.header("x-forwarded-proto")), (HOST, "http"));
        assert_eq!(scene.origin.connections(), 1, "the connection serves all");
    }
}

#[tokio::test]
async fn who_does_not_prove_to_be_meant_is_sent_nothing() {
    let scene = Scene::new("http").await;
    for (validation, may) in [
        (known(NAME), true),
        (known("other.internal.test"), false),
        ("{ wellKnownCACertificates: System, hostname: orders.internal.test }".to_owned(), false),
        (named(&format!("{{ type: URI, uri: '{URI}' }}")), true),
        (named("{ type: URI, uri: 'spiffe://internal.test/carts' }"), false),
        (named("{ type: Hostname, hostname: other.internal.test }"), false),
        (
            named(&format!("{{ type: URI, uri: 'x:y' }}, {{ type: Hostname, hostname: {NAME} }}")),
            true,
        ),
    ] {
        let before = scene.origin.count();
        let gateway = scene.under(&validation).await;
        let reply = get(&gateway).await;
        match may {
            true => drop(answered(&gateway, &reply, "shop").await),
            false => {
                let line = refused(&gateway, &reply, 502, "upstream_tls").await;
                assert!(line["detail"].as_str().is_some_and(|why| why.contains("certificate")));
            }
        }
        assert_eq!(scene.origin.count() - before, usize::from(may), "{validation}");
    }
    let other = Setup::new()
        .with(yaml::service("shop", &[scene.origin.address]))
        .with(yaml::path_route("all", "/", "shop"))
        .with(yaml::bundle("ca", &Authority::new()))
        .with(yaml::backend_tls("shop", &known(NAME)));
    let gateway = other.start().await;
    refused(&gateway, &get(&gateway).await, 502, "upstream_tls").await;
}

#[tokio::test]
async fn without_authorities_nobody_is_even_called() {
    let scene = Scene::new("http").await;
    let lost = known(NAME).replace("name: ca ", "name: lost ");
    let gateway = scene.under(&lost).await;
    let line = refused(&gateway, &get(&gateway).await, 500, "backend_tls").await;
    let why = "no certificate of an authority that BackendTLSPolicy shop/shop names can be used";
    assert!(line["detail"].as_str().is_some_and(|told| told.contains(why)), "{line}");
    assert_eq!(scene.origin.connections(), 0);
    edit(&gateway, "tls.yaml", &yaml::backend_tls("shop", &known(NAME))).await;
    answered(&gateway, &get(&gateway).await, "shop").await;
}

#[tokio::test]
async fn a_port_that_says_https_gets_nothing_without_a_policy() {
    let scene = Scene::new("https").await;
    let gateway = scene.setup.clone().start().await;
    refused(&gateway, &get(&gateway).await, 500, "backend_tls").await;
    assert_eq!(scene.origin.connections(), 0);
}

#[tokio::test]
async fn a_policy_that_cannot_be_read_closes_what_it_names() {
    let scene = Scene::new("http").await;
    let gateway = scene.under("{ hostname: 'no host' }").await;
    refused(&gateway, &get(&gateway).await, 500, "backend_tls").await;
    assert_eq!(scene.origin.connections(), 0);
}

#[tokio::test]
async fn another_policy_uses_no_connection_of_the_one_before() {
    let scene = Scene::new("http").await;
    let gateway = scene.under(&known(NAME)).await;
    answered(&gateway, &get(&gateway).await, "shop").await;
    edit(&gateway, "tls.yaml", &yaml::backend_tls("shop", &known("other.internal.test"))).await;
    refused(&gateway, &get(&gateway).await, 502, "upstream_tls").await;
    let uri = named(&format!("{{ type: URI, uri: '{URI}' }}"));
    edit(&gateway, "tls.yaml", &yaml::backend_tls("shop", &uri)).await;
    answered(&gateway, &get(&gateway).await, "shop").await;
    assert_eq!((scene.origin.connections(), scene.origin.count()), (3, 2));
}

#[tokio::test]
async fn a_gateway_shows_its_certificate_to_who_asks_for_it() {
    let callers = Authority::new();
    let scene = Scene::asking("http", Some(&callers)).await;
    let [one, other] = ["edge.test", "edge.test"].map(|name| callers.sign_client(name));
    let setup = scene.setup.clone().file("tls.yaml", yaml::backend_tls("shop", &known(NAME)));
    let showing = setup.clone().showing(Some("own"));
    let gateway = showing.file("own.yaml", yaml::tls_secret("own", &one)).start().await;
    answered(&gateway, &get(&gateway).await, "shop").await;
    let shown = || scene.origin.last().sealed.and_then(|sealed| sealed.shown);
    assert_eq!(shown(), Some(one.der));
    edit(&gateway, "own.yaml", &yaml::tls_secret("own", &other)).await;
    answered(&gateway, &get(&gateway).await, "shop").await;
    assert_eq!(shown(), Some(other.der), "no connection of the old certificate is used");

    let before = (scene.origin.count(), scene.origin.connections());
    drop(gateway);
    let nobody = setup.start().await;
    let reply = get(&nobody).await;
    assert_eq!((reply.status, scene.origin.count()), (502, before.0), "it asks for one");
}

#[tokio::test]
async fn without_the_certificate_that_is_to_be_shown_nobody_is_called() {
    let scene = Scene::new("http").await;
    let plain = Origin::start("plain").await;
    let gateway =
        scene.setup.clone().showing(Some("own")).with(yaml::service("plain", &[plain.address]));
    let gateway = gateway
        .with(yaml::path_route("plain", "/plain", "plain"))
        .with(yaml::backend_tls("shop", &known(NAME)))
        .start()
        .await;
    let line = refused(&gateway, &get(&gateway).await, 500, "backend_tls").await;
    let why =
        "the certificate that Gateway shop/edge is to show cannot be used: no Secret shop/own";
    assert!(line["detail"].as_str().is_some_and(|told| told.contains(why)), "{line}");
    assert_eq!(scene.origin.connections(), 0);
    answered(&gateway, &gateway.get(HOST, "/plain").await, "plain").await;
}

#[tokio::test]
async fn calls_go_over_http2_that_tls_agreed_on() {
    let scene = Scene::new("grpc").await;
    let calls = "spec:\n  parentRefs: [{ name: edge }]\n  \
                 rules: [{ backendRefs: [{ name: shop, port: 80 }] }]";
    let calls = yaml::document("gateway.networking.k8s.io/v1", "GRPCRoute", "calls", calls);
    let setup = scene.setup.clone().with(calls).with(yaml::backend_tls("shop", &known(NAME)));
    let gateway = setup.start().await;
    let mut connection = Connection::h2c(gateway.web()).await.expect("a connection");
    for _ in 0..3 {
        let asked = request("POST", HOST, "/shop.Orders/List");
        let asked = asked.header("content-type", "application/grpc").body(nothing()).unwrap();
        let reply = wait::within("a call", connection.send(asked)).await.expect("an answer");
        assert_eq!((reply.status, reply.origin()), (200, "shop"), "{reply:?}");
    }
    let last = scene.origin.last();
    assert_eq!(last.version, Version::HTTP_2);
    assert_eq!(last.sealed.map(|sealed| sealed.alpn), Some("h2".to_owned()));
    assert_eq!(scene.origin.connections(), 1);
}

#[tokio::test]
async fn a_websocket_goes_through_it() {
    let scene = Scene::new("https").await;
    let gateway = scene.under(&known(NAME)).await;
    let stream = TcpStream::connect(gateway.web()).await.unwrap();
    let opened = tokio_tungstenite::client_async(format!("ws://{HOST}/ws"), stream).await;
    let (mut socket, _) = opened.unwrap();
    for text in ["one", "two"] {
        socket.send(Message::text(text)).await.unwrap();
        let echo = wait::within("an echo", socket.next()).await.unwrap().unwrap();
        assert_eq!(echo, Message::text(text));
    }
    assert!(scene.origin.last().sealed.is_some());
}

#[tokio::test]
async fn a_tunnel_in_the_clear_is_cut_where_only_tls_may_go() {
    let to_shop = yaml::path_route("all", "/", "shop");
    let elsewhere = yaml::join(&[
        yaml::path_route("all", "/", "other"),
        yaml::service("other", &[]),
        yaml::path_route("rest", "/rest", "shop"),
    ]);
    // It makes no difference that its rule leads elsewhere from then on.
    for then in [&to_shop, &elsewhere] {
        let origin = Origin::start("shop").await;
        let gateway = Setup::new()
            .with(yaml::service("shop", &[origin.address]))
            .with(yaml::bundle("ca", &Authority::new()))
            .file("route.yaml", &to_shop)
            .start()
            .await;
        let stream = TcpStream::connect(gateway.web()).await.unwrap();
        let opened = tokio_tungstenite::client_async(format!("ws://{HOST}/ws"), stream).await;
        let (mut socket, _) = opened.unwrap();
        socket.send(Message::text("one")).await.unwrap();
        let echo = wait::within("an echo", socket.next()).await.unwrap().unwrap();
        assert_eq!(echo, Message::text("one"));
        let policy = yaml::backend_tls("shop", &known(NAME));
        edit(&gateway, "route.yaml", &yaml::join(&[policy, then.clone()])).await;
        let end = wait::within("an end", socket.next()).await;
        assert!(!matches!(end, Some(Ok(Message::Text(_)))), "{end:?}");
    }
}

#[tokio::test]
async fn an_endpoint_that_proves_nothing_is_passed_over_for_another() {
    let scene = Scene::new("http").await;
    let stranger = Authority::new();
    let stranger = Origin::start_tls("stranger", stranger.server(&[NAME], None)).await;
    let gateway = scene
        .setup
        .clone()
        .with(yaml::slice("shop-9", "shop", stranger.address))
        .with(yaml::backend_tls("shop", &known(NAME)))
        .start()
        .await;
    for _ in 0..20 {
        answered(&gateway, &get(&gateway).await, "shop").await;
    }
    assert_eq!(stranger.count(), 0);
    assert!(gateway.metric("heddle_backend_connect_failures_total", &[]).await >= 1.0);
}

#[tokio::test]
async fn copies_and_health_checks_go_by_the_same_tls() {
    let callers = Authority::new();
    let scene = Scene::asking("http", Some(&callers)).await;
    let own = callers.sign_client("edge.test");
    let plain = Origin::start("plain").await;
    let route = yaml::route(
        "copied",
        "rules:\n  - matches: [{ path: { value: /copied } }]\n    filters:\n      \
         - type: RequestMirror\n        requestMirror: { backendRef: { name: shop, port: 80 } }\n    \
         backendRefs: [{ name: plain, port: 80 }]",
    );
    let checks = "healthCheck: { type: HTTP, path: /well, interval: 100ms, unhealthyAfter: 1 }";
    let gateway = scene
        .setup
        .clone()
        .showing(Some("own"))
        .with(yaml::tls_secret("own", &own))
        .with(yaml::service("plain", &[plain.address]))
        .with(route)
        .with(yaml::traffic("shop", checks))
        .with(yaml::backend_tls("shop", &known(NAME)))
        .start()
        .await;
    answered(&gateway, &gateway.get(HOST, "/copied").await, "plain").await;
    for target in ["/copied", "/well"] {
        let seen = || scene.origin.seen().into_iter().find(|seen| seen.target == target);
        let seen = wait::until(target, || async { seen() }).await;
        assert_eq!(seen.sealed.and_then(|sealed| sealed.shown), Some(own.der.clone()), "{target}");
    }
    let checked = || scene.origin.seen().iter().filter(|seen| seen.target == "/well").count();
    wait::until_true("more checks", || checked() > 5).await;
    answered(&gateway, &get(&gateway).await, "shop").await;
}

/// A TLSRoute of everything to the Service `shop`.
fn tls_route() -> String {
    let spec = format!(
        "spec:\n  parentRefs: [{{ name: edge, sectionName: bytes }}]\n  hostnames: [{HOST}]\n  \
         rules: [{{ backendRefs: [{{ name: shop, port: 80 }}] }}]"
    );
    yaml::document("gateway.networking.k8s.io/v1", "TLSRoute", "bytes", &spec)
}

/// What is said over TLS to `name` at the listener for connections.
async fn asked_over_tls(gateway: &Gateway, authority: &Authority, name: &str) -> Option<String> {
    let stream = TcpStream::connect(gateway.listener("bytes")).await.ok()?;
    let client = TlsConnector::from(Arc::new(authority.client_showing(None)));
    let mut stream = client.connect(name.to_owned().try_into().ok()?, stream).await.ok()?;
    let asked = format!("GET / HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\n\r\n");
    stream.write_all(asked.as_bytes()).await.ok()?;
    let mut said = String::new();
    wait::within("an answer", stream.read_to_string(&mut said)).await.ok()?;
    Some(said)
}

#[tokio::test]
async fn connections_whose_tls_ends_here_are_encrypted_anew() {
    let own = Authority::new();
    let scene = Scene::new("tcp").await;
    let port = free_port();
    let listener = format!(
        "{{ name: bytes, port: {port}, protocol: TLS, hostname: {HOST}, \
         tls: {{ certificateRefs: [{{ name: cert }}] }} }}"
    );
    let gateway = Setup::bare()
        .listener("bytes", port, listener)
        .with(yaml::tls_secret("cert", &own.sign(HOST)))
        .with(yaml::service_speaking("shop", "tcp", &[scene.origin.address]))
        .with(tls_route())
        .file("ca.yaml", yaml::bundle("ca", &scene.authority))
        .file("tls.yaml", yaml::backend_tls("shop", &known(NAME)))
        .start()
        .await;
    let said = asked_over_tls(&gateway, &own, HOST).await.expect("an answer");
    assert!(said.starts_with("HTTP/1.1 200"), "{said}");
    assert_eq!(scene.origin.last().sealed.map(|sealed| sealed.server_name).as_deref(), Some(NAME));
    for wrong in [known("other.internal.test"), known(NAME).replace("name: ca ", "name: lost ")] {
        edit(&gateway, "tls.yaml", &yaml::backend_tls("shop", &wrong)).await;
        assert_eq!(asked_over_tls(&gateway, &own, HOST).await.unwrap_or_default(), "");
    }
    assert_eq!(scene.origin.count(), 1);
}

#[tokio::test]
async fn connections_that_go_on_as_they_came_have_their_own_tls_alone() {
    let authority = Authority::new();
    let origin = Origin::start_tls("shop", authority.server(&[HOST], None)).await;
    let port = free_port();
    let listener = format!(
        "{{ name: bytes, port: {port}, protocol: TLS, hostname: {HOST}, tls: {{ mode: Passthrough }} }}"
    );
    let gateway = Setup::bare()
        .listener("bytes", port, listener)
        .with(yaml::service_speaking("shop", "tcp", &[origin.address]))
        .with(tls_route())
        .with(yaml::bundle("ca", &Authority::new()))
        .with(yaml::backend_tls("shop", &known(NAME)))
        .start()
        .await;
    let said = asked_over_tls(&gateway, &authority, HOST).await.expect("an answer");
    assert!(said.starts_with("HTTP/1.1 200"), "{said}");
    assert_eq!(origin.last().sealed.map(|sealed| sealed.server_name).as_deref(), Some(HOST));
}

#[tokio::test]
async fn where_connections_go_on_as_they_came_checks_go_by_tls_all_the_same() {
    let authority = Authority::new();
    let origin = Origin::start_tls("shop", authority.server(&[HOST, NAME], None)).await;
    let port = free_port();
    let listener = format!(
        "{{ name: bytes, port: {port}, protocol: TLS, hostname: {HOST}, tls: {{ mode: Passthrough }} }}"
    );
    let checks = "healthCheck: { type: HTTP, path: /well, interval: 100ms, unhealthyAfter: 1 }";
    let gateway = Setup::bare()
        .listener("bytes", port, listener)
        .with(yaml::service_speaking("shop", "tcp", &[origin.address]))
        .with(tls_route())
        .with(yaml::traffic("shop", checks))
        .with(yaml::bundle("ca", &authority))
        .with(yaml::backend_tls("shop", &known(NAME)))
        .start()
        .await;
    let checked = || origin.seen().into_iter().find(|seen| seen.target == "/well");
    let seen = wait::until("a check", || async { checked() }).await;
    assert_eq!(seen.sealed.map(|sealed| sealed.server_name).as_deref(), Some(NAME));
    let said = asked_over_tls(&gateway, &authority, HOST).await.expect("an answer");
    assert!(said.starts_with("HTTP/1.1 200"), "{said}");
}
