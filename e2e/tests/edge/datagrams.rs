//! Datagrams of UDP: by port, to one endpoint for as long as a caller goes on, and never more than came.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use e2e::program::free_port;
use e2e::{Gateway, Origin, Setup, wait, yaml};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::time::timeout;

use crate::scene::{assert_share, closed};

const PORT: &str = "names";
/// The longest datagram over IPv4.
const LONGEST: usize = 65_507;

/// A backend that answers each datagram with its name, the port that it came from, and what it says.
async fn named(name: &'static str) -> SocketAddr {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let address = socket.local_addr().expect("it is bound");
    tokio::spawn(async move {
        let mut said = vec![0; LONGEST];
        while let Ok((length, from)) = socket.recv_from(&mut said).await {
            let begin = format!("{name} {} ", from.port());
            let answer = [begin.as_bytes(), &said[..length]].concat();
            let _gone = socket.send_to(&answer, from).await;
        }
    });
    address
}

/// A UDPRoute of everything that comes to the Gateway's port for names.
fn udp_route(name: &str, backends: &str) -> String {
    let spec = format!(
        "spec:\n  parentRefs: [{{ name: edge, sectionName: names }}]\n  \
         rules: [{{ backendRefs: {backends} }}]"
    );
    yaml::document("gateway.networking.k8s.io/v1", "UDPRoute", name, &spec)
}

/// A Service with port 53 of UDP at these addresses.
fn service(name: &str, addresses: &[SocketAddr]) -> String {
    let ports = "spec:\n  ports: [{ name: dns, port: 53, protocol: UDP }]";
    let mut documents = vec![yaml::document("v1", "Service", name, ports)];
    for (index, address) in addresses.iter().enumerate() {
        let slice = yaml::slice(&format!("{name}-{index}"), name, *address);
        documents.push(slice.replace("ports: [{ port", "ports: [{ name: dns, protocol: UDP, port"));
    }
    yaml::join(&documents)
}

/// A Gateway with a port for datagrams, and this besides.
fn with_udp(documents: &[String]) -> Setup {
    let port = free_port();
    let listener = format!("{{ name: names, port: {port}, protocol: UDP }}");
    let setup = Setup::bare().listener(PORT, port, listener).arguments(&["--workers", "2"]);
    documents.iter().fold(setup, |setup, one| setup.with(one))
}

/// The same, which leads to one backend.
async fn to_books() -> Setup {
    let books = named("books").await;
    with_udp(&[service("books", &[books]), udp_route("all", "[{ name: books, port: 53 }]")])
}

/// A caller at 127.0.0.`last`, who takes answers from the listener alone.
async fn caller_at(gateway: &Gateway, last: u8) -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::new(127, 0, 0, last), 0)).await.expect("a free port");
    socket.connect(gateway.listener(PORT)).await.expect("the gateway's port");
    socket
}

async fn caller(gateway: &Gateway) -> UdpSocket {
    caller_at(gateway, 1).await
}

/// What is answered to a datagram.
async fn asked(caller: &UdpSocket, words: &str) -> String {
    let mut heard = vec![0; LONGEST + 64];
    let length = wait::within("an answer", async {
        caller.send(words.as_bytes()).await.expect("it is sent");
        caller.recv(&mut heard).await.expect("an answer")
    });
    let length = length.await;
    String::from_utf8(heard[..length].to_vec()).expect("the backend speaks text")
}

/// The same where a datagram may be lost: it is sent again.
async fn asked_again(caller: &UdpSocket, words: &str) -> String {
    wait::until("an answer at last", || async {
        // Who is told that nobody listens asks again, too.
        caller.send(words.as_bytes()).await.ok()?;
        let mut heard = vec![0; 4096];
        let answer = timeout(Duration::from_millis(200), caller.recv(&mut heard)).await;
        let length = answer.ok()?.ok()?;
        String::from_utf8(heard[..length].to_vec()).ok()
    })
    .await
}

/// The name of a backend and the port that it was asked from.
fn parts(answer: &str) -> (String, u16) {
    let mut words = answer.split(' ');
    let name = words.next().unwrap_or_default().to_owned();
    (name, words.next().and_then(|word| word.parse().ok()).unwrap_or_default())
}

async fn until_dropped(gateway: &Gateway, why: &str, least: f64) {
    let label = format!("reason=\"{why}\"");
    wait::until_true_of(&format!("{least} datagrams to be dropped: {why}"), async || {
        gateway.metric("heddle_udp_dropped_total", &[&label]).await >= least
    })
    .await;
}

/// The access log's first line of a flow with this reason.
async fn logged(gateway: &Gateway, reason: &str) -> Value {
    wait::until(&format!("a log line of a flow: {reason}"), || {
        let log = gateway.access_log();
        let mut lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        std::future::ready(lines.find(|line| line["protocol"] == "UDP" && line["reason"] == reason))
    })
    .await
}

#[tokio::test]
async fn no_limit_counts_datagrams_nor_do_they_use_one_up() {
    let (origin, web) = (Origin::start("shop").await, free_port());
    let limit = "targetRefs: [{ kind: Gateway, name: edge }]\n\
                 limits: [{ name: all, requests: 1, window: 1h }]";
    let gateway = to_books()
        .await
        .listener("web", web, yaml::http("web", web))
        .with(yaml::service("shop", &[origin.address]))
        .with(yaml::path_route("web", "/", "shop"))
        .with(yaml::limits("fair", limit))
        .arguments(&["--udp-idle", "1s"])
        .start()
        .await;
    for _ in 0..3 {
        assert!(asked(&caller(&gateway).await, "hello").await.starts_with("books "));
    }
    assert_eq!(logged(&gateway, "ok").await["rule"], Value::Null);
    for wanted in [200, 429] {
        assert_eq!(gateway.get("shop.test", "/").await.status, wanted);
    }
}

#[tokio::test]
async fn datagrams_go_both_ways_and_are_told_of_once_a_flow_is_over() {
    let gateway = to_books().await.arguments(&["--udp-idle", "1s"]).start().await;
    let caller = caller(&gateway).await;
    let (first, second) = (asked(&caller, "hello").await, asked(&caller, "").await);
    assert_eq!(parts(&first), parts(&second));
    assert!(first.starts_with("books ") && first.ends_with(" hello"), "{first}");
    let line = logged(&gateway, "ok").await;
    let told = ["method", "route", "backend", "detail"].map(|field| line[field].as_str());
    let wanted = ["UDP", "shop/all/0", "shop/books:53", "closed after silence"].map(Some);
    assert_eq!(told, wanted, "{line}");
    let count = |field: &str| line[field].as_u64();
    let back = (first.len() + second.len()) as u64;
    let counts = ["bytes_in", "bytes_out", "datagrams_in", "datagrams_out"].map(count);
    assert_eq!(counts, [Some(5), Some(back), Some(2), Some(2)], "{line}");
    for (name, label, wanted) in [
        ("heddle_udp_flows_total", "", 1.0),
        ("heddle_udp_flows_open", "", 0.0),
        ("heddle_udp_datagrams_total", "to_backend", 2.0),
        ("heddle_udp_datagrams_total", "to_caller", 2.0),
        ("heddle_udp_bytes_total", "to_backend", 5.0),
        ("heddle_udp_bytes_total", "to_caller", back as f64),
        ("heddle_udp_dropped_total", "", 0.0),
    ] {
        assert_eq!(gateway.metric(name, &[label]).await, wanted, "{name} {label}");
    }
    // What comes later is another flow.
    assert_ne!(parts(&asked(&caller, "again").await).1, parts(&first).1);
}

#[tokio::test]
async fn the_longest_datagram_goes_to_the_backend() {
    let gateway = to_books().await.start().await;
    let caller = caller(&gateway).await;
    caller.send(&vec![b'x'; LONGEST]).await.unwrap();
    let name = "heddle_udp_bytes_total";
    wait::until_true_of("it to be sent on", async || {
        gateway.metric(name, &["to_backend"]).await == LONGEST as f64
    })
    .await;
    let words = "y".repeat(60_000);
    assert!(asked(&caller, &words).await.ends_with(&words));
}

#[tokio::test]
async fn callers_are_spread_by_weight_and_each_keeps_its_endpoint() {
    let (books, films) = (named("books").await, named("films").await);
    let gateway = with_udp(&[
        service("books", &[books]),
        service("films", &[films]),
        udp_route("all", "[{ name: books, port: 53, weight: 3 }, { name: films, port: 53 }]"),
    ])
    .start()
    .await;
    let mut counts = [0; 2];
    for _ in 0..200 {
        let caller = caller(&gateway).await;
        let first = parts(&asked(&caller, "a").await);
        for words in ["b", "c"] {
            assert_eq!(parts(&asked(&caller, words).await), first);
        }
        counts[usize::from(first.0 == "films")] += 1;
    }
    assert_share(counts[0], 200, 0.75);
}

#[tokio::test]
async fn datagrams_and_connections_have_one_number() {
    let books = named("books").await;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let bytes = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _gone = stream.write_all(b"by tcp").await;
        }
    });
    let port = free_port();
    let of = |name: &str, protocol: &str| {
        format!("{{ name: {name}, port: {port}, protocol: {protocol} }}")
    };
    let tcp = "spec:\n  parentRefs: [{ name: edge, sectionName: bytes }]\n  \
               rules: [{ backendRefs: [{ name: bytes, port: 80 }] }]";
    let gateway = Setup::bare()
        .listener(PORT, port, of("names", "UDP"))
        .listener("bytes", port, of("bytes", "TCP"))
        .with(service("books", &[books]))
        .with(udp_route("all", "[{ name: books, port: 53 }]"))
        .with(yaml::service_speaking("bytes", "tcp", &[bytes]))
        .with(yaml::document("gateway.networking.k8s.io/v1", "TCPRoute", "bytes", tcp))
        .start()
        .await;
    assert!(asked(&caller(&gateway).await, "x").await.starts_with("books "));
    let mut heard = String::new();
    let mut stream = TcpStream::connect(gateway.listener("bytes")).await.unwrap();
    wait::within("its bytes", stream.read_to_string(&mut heard)).await.unwrap();
    assert_eq!(heard, "by tcp");
    let config = gateway.admin("/config").await.unwrap().json();
    let listeners = config["inForce"]["listeners"].as_array().unwrap();
    let open = listeners.iter().map(|one| (one["protocol"].as_str(), one["open"].as_bool()));
    let open: Vec<_> = open.collect();
    assert_eq!(open, [(Some("UDP"), Some(true)), (Some("TCP"), Some(true))]);
}

#[tokio::test]
async fn a_route_that_leads_elsewhere_takes_its_callers_there() {
    let (books, films) = (named("books").await, named("films").await);
    let both = [service("books", &[books]), service("films", &[films])];
    let setup = with_udp(&both);
    let port = setup.text();
    let text = |to: &str| {
        yaml::join(&[port.clone(), udp_route("all", &format!("[{{ name: {to}, port: 53 }}]"))])
    };
    let gateway = setup.with(udp_route("all", "[{ name: books, port: 53 }]")).start().await;
    let caller = caller(&gateway).await;
    assert!(asked(&caller, "a").await.starts_with("books "));
    gateway.write("gateway.yaml", &text("films"));
    wait::until_true_of("the other backend", async || {
        asked_again(&caller, "b").await.starts_with("films ")
    })
    .await;
    let line = logged(&gateway, "ok").await;
    assert_eq!(line["detail"], "a new table leads it elsewhere", "{line}");
}

#[tokio::test]
async fn a_flow_whose_endpoint_is_gone_goes_on_at_another() {
    let (one, other) = (named("one").await, named("other").await);
    let setup = with_udp(&[udp_route("all", "[{ name: books, port: 53 }]")]);
    let text = |at: &[SocketAddr]| yaml::join(&[setup.text(), service("books", at)]);
    let both = text(&[one, other]);
    let (alone, left) = (text(&[other]), text(&[one]));
    let gateway = setup.with(service("books", &[one, other])).start().await;
    let caller = caller(&gateway).await;
    let (name, _) = parts(&asked(&caller, "a").await);
    let (text, wanted) = if name == "one" { (alone, "other") } else { (left, "one") };
    assert!(both.len() > text.len());
    gateway.write("gateway.yaml", &text);
    wait::until_true_of("the other endpoint", async || {
        parts(&asked_again(&caller, "b").await).0 == wanted
    })
    .await;
    assert_eq!(logged(&gateway, "ok").await["detail"], "its endpoint is gone");
}

#[tokio::test]
async fn an_endpoint_that_refuses_datagrams_rests() {
    let books = named("books").await;
    let gateway = with_udp(&[
        service("books", &[closed(), books]),
        udp_route("all", "[{ name: books, port: 53 }]"),
    ])
    .start()
    .await;
    for _ in 0..10 {
        assert!(asked_again(&caller(&gateway).await, "a").await.starts_with("books "));
    }
    let line = logged(&gateway, "upstream_reset").await;
    assert_eq!(line["datagrams_out"], 0, "{line}");
    let config = gateway.admin("/config").await.unwrap().text();
    assert!(config.contains("could not be reached"), "{config}");
}

#[tokio::test]
async fn there_are_no_more_flows_than_there_may_be() {
    let setup = to_books().await.arguments(&["--max-udp-flows", "1"]);
    let gateway = setup.arguments(&["--udp-idle", "2s"]).start().await;
    // One for each of the two workers: which one a caller has is the kernel's choice.
    let mut callers = Vec::new();
    for _ in 0..32 {
        let caller = caller(&gateway).await;
        caller.send(b"a").await.unwrap();
        callers.push(caller);
    }
    until_dropped(&gateway, "too_many_flows", 30.0).await;
    assert_eq!(gateway.metric("heddle_udp_flows_total", &[]).await, 2.0);
    // Once they are over there is room.
    let new = caller(&gateway).await;
    assert!(asked_again(&new, "b").await.starts_with("books "));
}

#[tokio::test]
async fn an_address_has_no_more_flows_than_it_may() {
    let setup = to_books().await.arguments(&["--max-connections-per-ip", "2"]);
    let gateway = setup.start().await;
    let (first, second) = (caller_at(&gateway, 2).await, caller_at(&gateway, 2).await);
    asked(&first, "a").await;
    asked(&second, "a").await;
    caller_at(&gateway, 2).await.send(b"a").await.unwrap();
    until_dropped(&gateway, "too_many_flows_of_address", 1.0).await;
    asked(&caller_at(&gateway, 3).await, "a").await;
    asked(&first, "b").await;
}

#[tokio::test]
async fn a_listener_without_a_route_answers_nothing() {
    let gateway = with_udp(&[]).start().await;
    let caller = caller(&gateway).await;
    for _ in 0..20 {
        caller.send(b"a").await.unwrap();
    }
    until_dropped(&gateway, "no_route", 20.0).await;
    assert_eq!(gateway.metric("heddle_udp_flows_total", &[]).await, 0.0);
    logged(&gateway, "no_route").await;
    // Nobody fills the log by sending.
    let lines = gateway.access_log().lines().count();
    assert!(lines < 10, "{lines} lines");
}

#[tokio::test]
async fn a_backend_without_endpoints_answers_nothing() {
    let gateway =
        with_udp(&[service("books", &[]), udp_route("all", "[{ name: books, port: 53 }]")]);
    let gateway = gateway.start().await;
    let caller = caller(&gateway).await;
    for _ in 0..20 {
        caller.send(b"a").await.unwrap();
    }
    until_dropped(&gateway, "no_backend", 20.0).await;
    let line = logged(&gateway, "no_endpoint").await;
    let told = ["route", "backend"].map(|field| line[field].as_str());
    assert_eq!(told, [Some("shop/all/0"), Some("shop/books:53")], "{line}");
    assert!(gateway.access_log().lines().count() < 10);
}

#[tokio::test]
async fn at_every_address_answers_come_from_the_one_that_was_asked() {
    let gateway = to_books().await.arguments(&["--bind", "0.0.0.0"]).start().await;
    let port = gateway.listener(PORT).port();
    for last in [1, 2, 3] {
        let caller = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        caller.connect((Ipv4Addr::new(127, 0, 0, last), port)).await.unwrap();
        assert!(asked(&caller, "a").await.starts_with("books "), "127.0.0.{last}");
    }
}

#[tokio::test]
async fn a_policy_holds_for_datagrams_as_for_connections() {
    let policy = |rules: &str| {
        yaml::policy("near", &format!("targetRefs: [{{ kind: UDPRoute, name: all }}]\n{rules}"))
    };
    let by_source = "rules: [{ name: one, when: { sources: [127.0.0.2/32] } }]";
    let setup = to_books().await;
    let base = setup.text();
    let gateway = setup.with(policy(by_source)).start().await;
    let (near, far) = (caller_at(&gateway, 2).await, caller_at(&gateway, 3).await);
    asked(&near, "a").await;
    far.send(b"a").await.unwrap();
    until_dropped(&gateway, "denied", 1.0).await;
    let line = logged(&gateway, "access_denied").await;
    assert_eq!(
        (&line["source"], &line["datagrams_in"]),
        (&"127.0.0.3".into(), &0.into()),
        "{line}"
    );
    // What only a request could meet lets nobody in, and cuts who was.
    let by_method = "rules: [{ name: gets, when: { methods: [GET] } }]";
    gateway.write("gateway.yaml", &yaml::join(&[base, policy(by_method)]));
    wait::until("the flow to be cut", || {
        let log = gateway.access_log();
        std::future::ready(log.contains("cut: a new table forbids it").then_some(()))
    })
    .await;
    near.send(b"b").await.unwrap();
    until_dropped(&gateway, "denied", 2.0).await;
}

#[tokio::test]
async fn nothing_goes_in_the_clear_where_only_tls_may_go() {
    let validation = "{ hostname: books.test, wellKnownCACertificates: System }";
    let setup = to_books().await.with(yaml::backend_tls("books", validation));
    let gateway = setup.start().await;
    caller(&gateway).await.send(b"a").await.unwrap();
    until_dropped(&gateway, "no_backend", 1.0).await;
    logged(&gateway, "backend_tls").await;
}

#[tokio::test]
async fn what_leads_back_to_its_own_port_is_dropped() {
    let port = free_port();
    let own = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let gateway = Setup::bare()
        .listener(PORT, port, format!("{{ name: names, port: {port}, protocol: UDP }}"))
        .with(service("books", &[own]))
        .with(udp_route("all", "[{ name: books, port: 53 }]"))
        .start()
        .await;
    caller(&gateway).await.send(b"a").await.unwrap();
    until_dropped(&gateway, "no_backend", 1.0).await;
    assert_eq!(gateway.metric("heddle_udp_flows_total", &[]).await, 0.0);
}

/// An address of this machine beside loopback.
async fn own_address() -> IpAddr {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await.expect("a free port");
    // Nothing is sent: the kernel says from where it would be.
    socket.connect("198.51.100.1:9").await.expect("a way out, and so an address beside loopback");
    socket.local_addr().expect("it is connected").ip()
}

#[tokio::test]
async fn at_every_address_what_leads_back_is_dropped_by_whichever() {
    let port = free_port();
    let own = SocketAddr::from((own_address().await, port));
    let gateway = Setup::bare()
        .listener(PORT, port, format!("{{ name: names, port: {port}, protocol: UDP }}"))
        .with(service("books", &[own]))
        .with(udp_route("all", "[{ name: books, port: 53 }]"))
        .arguments(&["--bind", "0.0.0.0"])
        .start()
        .await;
    caller(&gateway).await.send(b"a").await.unwrap();
    until_dropped(&gateway, "no_backend", 1.0).await;
    assert_eq!(gateway.metric("heddle_udp_flows_total", &[]).await, 0.0);
}

#[tokio::test]
async fn who_answers_datagrams_is_not_answered_for_ever() {
    // Two backends, each of which answers whatever comes to it.
    let [books, music] = [echo().await, echo().await];
    let addresses = [&books, &music].map(|one| one.local_addr().unwrap());
    let gateway =
        with_udp(&[service("books", &addresses), udp_route("all", "[{ name: books, port: 53 }]")])
            .start()
            .await;
    asked(&caller(&gateway).await, "a").await;
    for one in [&books, &music] {
        one.send_to(b"b", gateway.listener(PORT)).await.unwrap();
    }
    until_dropped(&gateway, "no_backend", 2.0).await;
    let carried = gateway.metric("heddle_udp_datagrams_total", &[]).await;
    assert_eq!(carried, 2.0, "there and back once");
}

#[tokio::test]
async fn nobody_keeps_callers_from_others_by_calling_them_endpoints() {
    let books = named("books").await;
    let caller = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    // Another team's route leads to whoever calls this one.
    let meant = service("music", &[caller.local_addr().unwrap()]);
    let gateway = with_udp(&[
        service("books", &[books]),
        udp_route("all", "[{ name: books, port: 53 }]"),
        meant,
        udp_route("other", "[{ name: music, port: 53 }]"),
    ])
    .start()
    .await;
    caller.connect(gateway.listener(PORT)).await.unwrap();
    let answer = asked(&caller, "a").await;
    assert!(answer.starts_with("books ") && answer.ends_with(" a"), "{answer}");
}

/// A socket by which whatever comes is sent back.
async fn echo() -> Arc<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let socket = Arc::new(socket);
    let answering = Arc::clone(&socket);
    tokio::spawn(async move {
        let mut said = vec![0; LONGEST];
        while let Ok((length, from)) = answering.recv_from(&mut said).await {
            let _gone = answering.send_to(&said[..length], from).await;
        }
    });
    socket
}

#[tokio::test]
async fn a_refusal_is_heard_though_nobody_asks_again() {
    let books = named("books").await;
    // The same endpoint for a caller's address, as long as it is well.
    let policy = "targetRefs: [{ kind: Service, name: books }]\n\
                  balance: { algorithm: RingHash, hashOn: { source: true } }";
    let gateway = with_udp(&[
        service("books", &[closed(), books]),
        udp_route("all", "[{ name: books, port: 53 }]"),
        yaml::traffic("spread", policy),
    ])
    .start()
    .await;
    // Each asks once and from a port of its own, as who looks up names does.
    for last in 1..=32 {
        caller_at(&gateway, last).await.send(b"a").await.unwrap();
    }
    wait::until_true_of("the endpoint that refuses to rest", async || {
        let config = gateway.admin("/config").await.unwrap().text();
        config.contains("could not be reached")
    })
    .await;
    let refused = gateway.access_log();
    let refused = refused.lines().filter(|line| line.contains("upstream_reset")).count();
    assert!(refused <= 4, "{refused} lines of what led nowhere");
}

#[tokio::test]
async fn a_port_that_another_has_is_told_with_its_listener() {
    let port = free_port();
    let _another = UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).await.unwrap();
    let listener = format!("{{ name: names, port: {port}, protocol: UDP }}");
    let mut gateway = Setup::bare().listener(PORT, port, listener).spawn();
    assert_ne!(gateway.exited().await, 0);
    let wanted =
        format!("port {port} of UDP is not open for listener 'names' of Gateway shop/edge");
    assert!(gateway.stderr().contains(&wanted), "{}", gateway.stderr());
}

#[tokio::test]
async fn at_the_end_flows_go_on_and_none_begins() {
    let mut gateway = to_books().await.arguments(&["--drain-timeout", "10s"]).start().await;
    let caller = caller(&gateway).await;
    let first = parts(&asked(&caller, "a").await);
    let new = caller_at(&gateway, 2).await;
    gateway.terminate();
    new.send(b"a").await.unwrap();
    wait::until("/readyz to say draining", || async {
        gateway.admin("/readyz").await.ok().filter(|reply| reply.status == 503)
    })
    .await;
    assert_eq!(parts(&asked(&caller, "b").await), first);
    caller_at(&gateway, 3).await.send(b"a").await.unwrap();
    until_dropped(&gateway, "draining", 1.0).await;
    assert_eq!(parts(&asked(&caller, "c").await), first);
    assert_eq!(gateway.exited().await, 0);
    assert!(gateway.access_log().contains("\"method\":\"UDP\""));
}

#[tokio::test]
async fn a_process_that_follows_takes_the_datagrams() {
    let mut first = to_books().await.replaceable().start().await;
    let caller = caller(&first).await;
    asked(&caller, "a").await;
    let second = first.next(&["--workers", "3"]);
    // None is lost while one follows the other.
    let mut count = 0;
    while first.try_exit().is_none() {
        assert!(asked(&caller, "b").await.starts_with("books "));
        count += 1;
    }
    assert!(count > 0);
    assert_eq!(first.exited().await, 0);
    asked(&caller, "c").await;
    assert!(second.metric("heddle_udp_datagrams_total", &["to_backend"]).await >= 1.0);
    for gateway in [&first, &second] {
        assert!(!gateway.stderr().contains("ERROR"), "{}", gateway.stderr());
    }
}
