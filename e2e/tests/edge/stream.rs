//! Connections of which no request is read: by port, by server name, ended here or at the backend.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use e2e::client::{nothing, request};
use e2e::program::free_port;
use e2e::trust::{Authority, Certificate};
use e2e::{Connection, Gateway, Origin, Scripted, Setup, wait, yaml};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::scene::{answered, assert_share, closed};

const PORT: &str = "bytes";

/// A backend that says its name first, then whatever it is told, and `bye` once nothing more comes.
async fn talk(name: &str, mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let mut said = [0; 4096];
    if stream.write_all(format!("{name}\n").as_bytes()).await.is_err() {
        return;
    }
    loop {
        match stream.read(&mut said).await {
            Ok(0) => break,
            Ok(some) if stream.write_all(&said[..some]).await.is_ok() => {}
            Ok(_) | Err(_) => return,
        }
    }
    let _gone = stream.write_all(b"bye").await;
    let _gone = stream.shutdown().await;
}

/// Where such a backend is, in plain TCP.
async fn plain(name: &'static str) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(talk(name, stream));
        }
    });
    address
}

/// The same behind TLS of its own.
async fn sealed(name: &'static str, certificate: &Certificate) -> SocketAddr {
    let key = PrivateKeyDer::from_pem_slice(certificate.key.as_bytes()).expect("a key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has the default versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der.clone()], key)
        .expect("a certificate and its key");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    talk(name, stream).await;
                }
            });
        }
    });
    address
}

/// A TCPRoute of everything to these backends.
fn tcp_route(name: &str, backends: &str) -> String {
    let spec = format!(
        "spec:\n  parentRefs: [{{ name: edge }}]\n  rules: [{{ backendRefs: {backends} }}]"
    );
    yaml::document("gateway.networking.k8s.io/v1", "TCPRoute", name, &spec)
}

/// A TLSRoute of a server name to the Service of the route's own name.
fn tls_route(name: &str, host: &str) -> String {
    let spec = format!(
        "spec:\n  parentRefs: [{{ name: edge }}]\n  hostnames: ['{host}']\n  \
         rules: [{{ backendRefs: [{{ name: {name}, port: 80 }}] }}]"
    );
    yaml::document("gateway.networking.k8s.io/v1", "TLSRoute", name, &spec)
}

fn service(name: &str, addresses: &[SocketAddr]) -> String {
    yaml::service_speaking(name, "tcp", addresses)
}

/// A gateway on whose port for TCP this is served.
async fn with_tcp(documents: &[String]) -> Gateway {
    let port = free_port();
    let listener = format!("{{ name: bytes, port: {port}, protocol: TCP }}");
    let setup = Setup::bare().listener(PORT, port, listener);
    documents.iter().fold(setup, |setup, one| setup.with(one)).start().await
}

/// What is said to `words` when nothing more is sent.
async fn said(stream: impl AsyncRead + AsyncWrite + Unpin, words: &str) -> String {
    String::from_utf8(bytes_said(stream, words).await).expect("the backend speaks text")
}

/// The same where it may be no text.
async fn bytes_said(mut stream: impl AsyncRead + AsyncWrite + Unpin, words: &str) -> Vec<u8> {
    let mut heard = Vec::new();
    wait::within("the backend to answer", async {
        stream.write_all(words.as_bytes()).await.expect("it is open");
        stream.shutdown().await.expect("it is open");
        stream.read_to_end(&mut heard).await.expect("an end in order");
    })
    .await;
    heard
}

async fn connect(gateway: &Gateway) -> TcpStream {
    let connecting = TcpStream::connect(gateway.listener(PORT));
    wait::within("a connection", connecting).await.expect("somebody listens")
}

type Secure = tokio_rustls::client::TlsStream<TcpStream>;

async fn connect_tls(
    gateway: &Gateway,
    authority: &Authority,
    host: &str,
    alpn: &[&str],
) -> std::io::Result<Secure> {
    let connector = TlsConnector::from(authority.client(alpn));
    let name = host.to_owned().try_into().expect("a host");
    let stream = connect(gateway).await;
    wait::within("the handshake", connector.connect(name, stream)).await
}

/// The access log's line of the first connection to `host`.
async fn logged(gateway: &Gateway, host: &str) -> Value {
    wait::until(&format!("a log line of {host:?}"), || {
        let log = gateway.access_log();
        let mut lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        std::future::ready(lines.find(|line| line["host"] == host && line["method"] == "CONNECT"))
    })
    .await
}

#[tokio::test]
async fn a_backend_that_wants_it_is_told_by_a_proxy_header_who_connects() {
    for (version, begins) in
        [("V1", "PROXY TCP4 127.0.0.1 127.0.0.1 "), ("V2", "\r\n\r\n\0\r\nQUIT\n")]
    {
        let address = plain("told").await;
        let gateway = with_tcp(&[
            service("told", &[address]),
            yaml::traffic("told", &format!("proxyProtocol: {version}")),
            tcp_route("all", "[{ name: told, port: 80 }]"),
        ])
        .await;
        let stream = TcpStream::connect(gateway.listener(PORT)).await.expect("a connection");
        let own = stream.local_addr().expect("it is connected");
        let heard = bytes_said(stream, "hello").await;
        let heard = heard.strip_prefix(b"told\n").expect("the backend's name");
        let (from, to) = (own.port(), gateway.listener(PORT).port());
        let header = match version {
            "V1" => format!("{begins}{from} {to}\r\n").into_bytes(),
            _ => {
                let addresses = [127, 0, 0, 1, 127, 0, 0, 1];
                let ports = [from.to_be_bytes(), to.to_be_bytes()].concat();
                [begins.as_bytes(), b"\x21\x11\0\x0c", &addresses, &ports].concat()
            }
        };
        assert_eq!(heard, [&header[..], b"hellobye"].concat(), "{version}");
    }
}

#[tokio::test]
async fn tcp_is_carried_both_ways_to_its_end() {
    let books = plain("books").await;
    let gateway =
        with_tcp(&[service("books", &[books]), tcp_route("books", "[{ name: books, port: 80 }]")])
            .await;
    assert_eq!(said(connect(&gateway).await, "hello").await, "books\nhellobye");
    let line = logged(&gateway, "").await;
    let told = ["protocol", "reason", "route", "backend"];
    let told = told.map(|field| line[field].as_str().unwrap_or_default());
    assert_eq!(told, ["TCP", "ok", "shop/books/0", "shop/books:80"], "{line}");
    assert_eq!((&line["bytes_in"], &line["bytes_out"]), (&5.into(), &14.into()), "{line}");
    assert_eq!(line["endpoint"], books.to_string(), "{line}");
}

#[tokio::test]
async fn an_endpoint_that_does_not_answer_is_passed_over() {
    let books = plain("books").await;
    let gateway = with_tcp(&[
        service("books", &[closed(), books]),
        tcp_route("books", "[{ name: books, port: 80 }]"),
    ])
    .await;
    for _ in 0..10 {
        assert_eq!(said(connect(&gateway).await, "").await, "books\nbye");
    }
}

#[tokio::test]
async fn the_share_of_a_backend_that_is_not_there_is_reset() {
    let (books, films) = (plain("books").await, plain("films").await);
    let gateway = with_tcp(&[
        service("books", &[books]),
        service("films", &[films]),
        tcp_route(
            "all",
            "[{ name: books, port: 80, weight: 5 }, { name: films, port: 80, weight: 3 }, \
              { name: nobody, port: 80, weight: 2 }]",
        ),
    ])
    .await;
    let mut heard = [0; 3];
    for _ in 0..400 {
        let mut name = [0; 6];
        // Who is reset at once may see that before the connection itself.
        let reading = wait::within("a name or an end", async {
            TcpStream::connect(gateway.listener(PORT)).await?.read_exact(&mut name).await
        });
        match (reading.await.map_err(|error| error.kind()), &name) {
            (Ok(_), b"books\n") => heard[0] += 1,
            (Ok(_), b"films\n") => heard[1] += 1,
            (Err(std::io::ErrorKind::ConnectionReset), _) => heard[2] += 1,
            other => panic!("neither a backend nor a reset: {other:?}"),
        }
    }
    for (count, share) in heard.into_iter().zip([0.5, 0.3, 0.2]) {
        assert_share(count, 400, share);
    }
}

#[tokio::test]
async fn one_port_ends_some_tls_and_hands_on_other() {
    let authority = Authority::new();
    let [shop, db, mail] =
        ["shop.test", "db.test", "mail.raw.test"].map(|host| authority.sign(host));
    let origin = Origin::start("shop").await;
    let (rows, letters) = (plain("rows").await, sealed("letters", &mail).await);
    let (port, mut setup) = (free_port(), Setup::bare());
    for (name, protocol, host, tls) in [
        ("shop", "HTTPS", "shop.test", "{ certificateRefs: [{ name: shop }] }"),
        ("db", "TLS", "db.test", "{ certificateRefs: [{ name: db }] }"),
        ("raw", "TLS", "*.raw.test", "{ mode: Passthrough }"),
    ] {
        let listener = format!(
            "{{ name: {name}, port: {port}, protocol: {protocol}, hostname: '{host}', tls: {tls} }}"
        );
        setup = setup.listener(PORT, port, listener);
    }
    let gateway = setup
        .with(yaml::tls_secret("shop", &shop))
        .with(yaml::tls_secret("db", &db))
        .with(yaml::service("shop", &[origin.address]))
        .with(service("rows", &[rows]))
        .with(service("letters", &[letters]))
        .with(yaml::path_route("shop", "/", "shop"))
        .with(tls_route("rows", "db.test"))
        .with(tls_route("letters", "mail.raw.test"))
        .start()
        .await;
    let web = gateway.listener(PORT);
    for alpn in [&["h2"][..], &["http/1.1"], &[]] {
        let mut connection = Connection::tls(web, "shop.test", &authority, alpn).await.unwrap();
        let asked = request("GET", "shop.test", "/").body(nothing()).unwrap();
        let reply = connection.send(asked).await.unwrap();
        answered(&gateway, &reply, "shop").await;
        // What others have on the port is not for whoever shook hands for this.
        for host in ["db.test", "mail.raw.test"] {
            let asked = request("GET", host, "/").body(nothing()).unwrap();
            assert_eq!(connection.send(asked).await.unwrap().status, 421, "{host}");
        }
    }
    let stream = connect_tls(&gateway, &authority, "db.test", &["postgresql"]).await.unwrap();
    let session = stream.get_ref().1;
    assert_eq!(session.peer_certificates().unwrap()[0], db.der);
    // Nobody here knows what the backend speaks.
    assert_eq!(session.alpn_protocol(), None);
    assert_eq!(said(stream, "select").await, "rows\nselectbye");
    let stream = connect_tls(&gateway, &authority, "mail.raw.test", &[]).await.unwrap();
    assert_eq!(stream.get_ref().1.peer_certificates().unwrap()[0], mail.der, "the backend's own");
    assert_eq!(said(stream, "helo").await, "letters\nhelobye");
    let line = logged(&gateway, "mail.raw.test").await;
    assert_eq!(
        (&line["reason"], &line["route"]),
        (&"ok".into(), &"shop/letters/0".into()),
        "{line}"
    );
    for (host, alert) in [("other.raw.test", "UnrecognisedName"), ("nobody.test", "alert")] {
        let refused = connect_tls(&gateway, &authority, host, &[]).await.unwrap_err().to_string();
        assert!(refused.to_lowercase().contains(&alert.to_lowercase()), "{host}: {refused}");
    }
    assert_eq!(logged(&gateway, "other.raw.test").await["reason"], "no_route");
}

#[tokio::test]
async fn first_words_that_come_in_pieces_are_put_together() {
    let authority = Authority::new();
    let mail = authority.sign("mail.test");
    let letters = sealed("letters", &mail).await;
    let gateway =
        handing_on(&[service("letters", &[letters]), tls_route("letters", "mail.test")]).await;
    // Whatever sends them a byte at a time, here a relay, or a network.
    let relay = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let (at, to) = (relay.local_addr().unwrap(), gateway.listener(PORT));
    tokio::spawn(async move {
        let (client, server) =
            (relay.accept().await.unwrap().0, TcpStream::connect(to).await.unwrap());
        server.set_nodelay(true).unwrap();
        let ((mut from, mut back), (mut answers, mut server)) =
            (client.into_split(), server.into_split());
        tokio::spawn(async move { tokio::io::copy(&mut answers, &mut back).await });
        let mut byte = [0];
        while from.read_exact(&mut byte).await.is_ok() && server.write_all(&byte).await.is_ok() {
            tokio::task::yield_now().await;
        }
    });
    let connector = TlsConnector::from(authority.client(&[]));
    let stream = TcpStream::connect(at).await.unwrap();
    let connecting = connector.connect("mail.test".try_into().unwrap(), stream);
    let stream = wait::within("the handshake", connecting).await.unwrap();
    assert_eq!(said(stream, "helo").await, "letters\nhelobye");
}

/// A gateway that hands on all TLS of its port, and serves this.
async fn handing_on(documents: &[String]) -> Gateway {
    let port = free_port();
    let listener =
        format!("{{ name: bytes, port: {port}, protocol: TLS, tls: {{ mode: Passthrough }} }}");
    let setup = Setup::bare().listener(PORT, port, listener);
    documents.iter().fold(setup, |setup, one| setup.with(one)).start().await
}

#[tokio::test]
async fn what_is_no_tls_is_not_handed_on() {
    let letters = plain("letters").await;
    let gateway =
        handing_on(&[service("letters", &[letters]), tls_route("letters", "mail.test")]).await;
    for words in ["GET / HTTP/1.1\r\nhost: mail.test\r\n\r\n", "SSH-2.0-nobody\r\n"] {
        let mut raw = e2e::raw::Raw::connect(gateway.listener(PORT)).await;
        raw.write(words).await;
        let heard = raw.rest().await;
        // A fatal alert, and not a word of the backend.
        assert_eq!(heard.first(), Some(&21), "{}", String::from_utf8_lossy(&heard));
    }
    let mut silent = e2e::raw::Raw::connect(gateway.listener(PORT)).await;
    // Documented as 10 s.
    assert!(silent.closes_within(Duration::from_secs(18)).await, "left open");
}

#[tokio::test]
async fn a_policy_says_who_may_connect_and_cuts_who_may_no_more() {
    let authority = Authority::new();
    let mail = authority.sign("*.mail.test");
    let letters = sealed("letters", &mail).await;
    let policy = |hosts: &str| {
        yaml::policy(
            "letters",
            &format!(
                "targetRefs: [{{ kind: TLSRoute, name: letters }}]\n\
                 rules: [{{ name: here, when: {{ sources: ['127.0.0.0/8'], hosts: [{hosts}] }} }}]"
            ),
        )
    };
    let port = free_port();
    let listener =
        format!("{{ name: bytes, port: {port}, protocol: TLS, tls: {{ mode: Passthrough }} }}");
    let gateway = Setup::bare()
        .listener(PORT, port, listener)
        .with(service("letters", &[letters]))
        .with(tls_route("letters", "*.mail.test"))
        .file("policy.yaml", policy("in.mail.test"))
        .start()
        .await;
    let refused =
        connect_tls(&gateway, &authority, "out.mail.test", &[]).await.unwrap_err().to_string();
    assert!(refused.contains("AccessDenied"), "{refused}");
    assert_eq!(logged(&gateway, "out.mail.test").await["reason"], "access_denied");
    let mut open = connect_tls(&gateway, &authority, "in.mail.test", &[]).await.unwrap();
    let mut name = [0; 8];
    open.read_exact(&mut name).await.unwrap();
    gateway.write("policy.yaml", &policy("out.mail.test"));
    let cut = wait::within("a new policy to cut it", open.read(&mut name)).await;
    assert!(matches!(&cut, Ok(0) | Err(_)), "{cut:?}");
    assert_eq!(logged(&gateway, "in.mail.test").await["reason"], "access_denied");
    let stream = connect_tls(&gateway, &authority, "out.mail.test", &[]).await.unwrap();
    assert_eq!(said(stream, "").await, "letters\nbye");
}

#[tokio::test]
async fn a_condition_that_only_a_request_could_meet_lets_nobody_in() {
    let books = plain("books").await;
    let gateway = with_tcp(&[
        service("books", &[books]),
        tcp_route("books", "[{ name: books, port: 80 }]"),
        yaml::policy(
            "books",
            "targetRefs: [{ kind: TCPRoute, name: books }]\n\
             rules: [{ name: gets, when: { methods: [GET] } }, \
                     { name: named, when: { hosts: ['*.test'] } }]",
        ),
    ])
    .await;
    let end = wait::within("an end", async {
        TcpStream::connect(gateway.listener(PORT)).await?.read(&mut [0; 8]).await
    });
    assert_eq!(end.await.map_err(|error| error.kind()), Err(std::io::ErrorKind::ConnectionReset));
    assert_eq!(logged(&gateway, "").await["reason"], "access_denied");
}

#[tokio::test]
async fn of_two_routes_the_older_has_the_port() {
    let (books, films) = (plain("books").await, plain("films").await);
    let aged = |name: &str, second: u8| {
        let stamp = format!("namespace: shop, creationTimestamp: '2026-01-01T00:00:0{second}Z'");
        tcp_route(name, &format!("[{{ name: {name}, port: 80 }}]"))
            .replace("namespace: shop", &stamp)
    };
    let gateway = with_tcp(&[
        service("books", &[books]),
        service("films", &[films]),
        aged("books", 2),
        aged("films", 1),
    ])
    .await;
    assert_eq!(said(connect(&gateway).await, "").await, "films\nbye");
}

#[tokio::test]
async fn a_listener_that_begins_to_end_tls_lets_go_of_what_it_handed_on() {
    let authority = Authority::new();
    let mail = authority.sign("mail.test");
    let letters = sealed("letters", &mail).await;
    let port = free_port();
    let setup = |tls: &str| {
        let listener = format!("{{ name: bytes, port: {port}, protocol: TLS, tls: {tls} }}");
        Setup::bare()
            .listener(PORT, port, listener)
            .with(service("letters", &[letters]))
            .with(tls_route("letters", "mail.test"))
            .with(yaml::tls_secret("mail", &mail))
    };
    let gateway = setup("{ mode: Passthrough }").start().await;
    let mut open = connect_tls(&gateway, &authority, "mail.test", &[]).await.unwrap();
    let mut name = [0; 8];
    open.read_exact(&mut name).await.unwrap();
    gateway.write("gateway.yaml", &setup("{ certificateRefs: [{ name: mail }] }").text());
    let cut = wait::within("the new listener to cut it", open.read(&mut name)).await;
    assert!(matches!(&cut, Ok(0) | Err(_)), "{cut:?}");
}

#[tokio::test]
async fn a_server_name_is_compared_as_a_host_is() {
    let authority = Authority::new();
    let mail = authority.sign("mail.test");
    let letters = sealed("letters", &mail).await;
    let gateway =
        handing_on(&[service("letters", &[letters]), tls_route("letters", "mail.test")]).await;
    // As openssl writes it: a client of ours would put it in order.
    let ask = async |name: &str| {
        let mut command = std::process::Command::new("openssl");
        command.args(["s_client", "-brief", "-connect", &gateway.listener(PORT).to_string()]);
        command.args(["-servername", name]).stdin(std::process::Stdio::null());
        let asking = tokio::task::spawn_blocking(move || command.output());
        let ended = wait::within("openssl to end", asking).await.unwrap().expect("openssl starts");
        String::from_utf8_lossy(&ended.stderr).into_owned()
    };
    for name in ["mail.test", "MAIL.Test", "mail.test."] {
        let said = ask(name).await;
        assert!(said.contains("CONNECTION ESTABLISHED"), "{name}: {said}");
    }
    let said = ask("mail.test.example").await;
    assert!(said.to_lowercase().contains("unrecognized name"), "{said}");
}

#[tokio::test]
async fn who_names_no_host_is_denied_by_a_rule_that_denies_hosts() {
    let authority = Authority::new();
    let db = authority.sign("db.test");
    let rows = plain("rows").await;
    let port = free_port();
    let listener = format!(
        "{{ name: bytes, port: {port}, protocol: TLS, tls: {{ certificateRefs: [{{ name: db }}] }} }}"
    );
    let gateway = Setup::bare()
        .listener(PORT, port, listener)
        .with(yaml::tls_secret("db", &db))
        .with(service("rows", &[rows]))
        .with(tcp_route("rows", "[{ name: rows, port: 80 }]"))
        .with(yaml::policy(
            "rows",
            "targetRefs: [{ kind: TCPRoute, name: rows }]\n\
             rules: [{ name: db, action: Deny, when: { hosts: [db.test] } }]",
        ))
        .start()
        .await;
    let connector = TlsConnector::from(e2e::trust::credulous(None));
    for (name, wanted) in [("db.test", false), ("127.0.0.1", false), ("other.test", true)] {
        let name = rustls::pki_types::ServerName::try_from(name).unwrap();
        let stream = connect(&gateway).await;
        let mut stream = wait::within("the handshake", connector.connect(name.clone(), stream))
            .await
            .expect("the certificate is shown to everybody");
        let mut said = [0; 5];
        let heard = wait::within("words or an end", stream.read_exact(&mut said)).await;
        assert_eq!(heard.is_ok(), wanted, "{name:?}: {heard:?}");
    }
}

#[tokio::test]
async fn a_connection_that_falls_silent_for_longer_than_its_service_may_is_closed() {
    let origin = plain("origin").await;
    let gateway = with_tcp(&[
        service("origin", &[origin]),
        yaml::traffic("origin", "timeouts: { connectionIdle: 1s }"),
        tcp_route("bytes", "[{ name: origin, port: 80 }]"),
    ])
    .await;
    let mut stream = connect(&gateway).await;
    stream.write_all(b"words").await.unwrap();
    let mut heard = Vec::new();
    // That the end is a reset or none is the system's affair.
    let _end = wait::within("the end", stream.read_to_end(&mut heard)).await;
    let line = logged(&gateway, "").await;
    assert_eq!(line["detail"], "closed after silence", "{line}");
}

#[tokio::test]
async fn a_backend_that_wants_a_proxy_header_gets_one_from_health_checks_too() {
    for (version, begins) in
        [("V1", &b"PROXY UNKNOWN\r\n"[..]), ("V2", b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0")]
    {
        let asked = Scripted::start("").await;
        let check = "healthCheck: { type: TCP, interval: 100ms }";
        let _gateway = with_tcp(&[
            service("asked", &[asked.address]),
            yaml::traffic("asked", &format!("proxyProtocol: {version}\n{check}")),
            tcp_route("all", "[{ name: asked, port: 80 }]"),
        ])
        .await;
        wait::until_true("a check", || asked.heard().first().is_some_and(|one| one.ended)).await;
        assert_eq!(asked.heard()[0].bytes, begins, "{version}");
    }
}
