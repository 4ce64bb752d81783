//! HTTPS: versions by ALPN, certificates by the name that a caller asks for.

use e2e::client::{nothing, request};
use e2e::program::free_port;
use e2e::trust::Authority;
use e2e::{Connection, Gateway, Origin, Setup, wait, yaml};
use http::Version;
use rustls::crypto::aws_lc_rs;
use rustls::version::{TLS12, TLS13};

use crate::scene::answered;

const PORT: &str = "secure";

/// Two hosts with a certificate each, and a wildcard, on one port.
async fn secure() -> (Origin, Authority, [e2e::trust::Certificate; 3], Gateway) {
    let (origin, authority) = (Origin::start("shop").await, Authority::new());
    let hosts = ["shop.test", "blog.test", "*.wild.test"];
    let certificates = hosts.map(|host| authority.sign(host));
    let (port, mut setup) = (free_port(), Setup::bare());
    for (index, (host, certificate)) in hosts.iter().zip(&certificates).enumerate() {
        let secret = format!("cert-{index}");
        let listener = yaml::https(&format!("tls-{index}"), port, host, &secret);
        setup = setup.listener(PORT, port, listener).with(yaml::tls_secret(&secret, certificate));
    }
    let setup = setup
        .with(yaml::service("shop", &[origin.address]))
        .with(yaml::path_route("all", "/", "shop"));
    (origin, authority, certificates, setup.start().await)
}

#[tokio::test]
async fn alpn_chooses_the_version() {
    let (_origin, authority, _, gateway) = secure().await;
    let address = gateway.listener(PORT);
    for (offered, agreed, version) in [
        (&["h2", "http/1.1"][..], Some("h2"), Version::HTTP_2),
        (&["http/1.1"][..], Some("http/1.1"), Version::HTTP_11),
        (&[][..], None, Version::HTTP_11),
    ] {
        let connected = Connection::tls(address, "shop.test", &authority, offered).await;
        let mut connection = connected.unwrap();
        assert_eq!(connection.alpn.as_deref(), agreed);
        for path in ["/one", "/two"] {
            let asked = request("GET", "shop.test", path).body(nothing());
            let reply = connection.send(asked.unwrap()).await.unwrap();
            answered(&gateway, &reply, "shop").await;
            assert_eq!(reply.version, version);
        }
    }
}

#[tokio::test]
async fn the_origin_learns_that_it_was_https() {
    let (origin, authority, _, gateway) = secure().await;
    let connected = Connection::tls(gateway.listener(PORT), "shop.test", &authority, &["h2"]).await;
    let asked = request("GET", "shop.test", "/").header("x-forwarded-proto", "http");
    connected.unwrap().send(asked.body(nothing()).unwrap()).await.unwrap();
    assert_eq!(origin.last().header("x-forwarded-proto"), "https");
}

#[tokio::test]
async fn the_name_asked_for_chooses_the_certificate() {
    let (_origin, authority, certificates, gateway) = secure().await;
    for (host, wanted) in [("shop.test", 0), ("blog.test", 1), ("a.wild.test", 2)] {
        let connected = Connection::tls(gateway.listener(PORT), host, &authority, &["h2"]).await;
        let mut connection = connected.unwrap();
        assert_eq!(connection.certificate.as_ref(), Some(&certificates[wanted].der), "{host}");
        let reply = connection.send(request("GET", host, "/").body(nothing()).unwrap()).await;
        answered(&gateway, &reply.unwrap(), "shop").await;
    }
}

/// RFC 8446, section 4.4.2.2: the certificate is one whose key signs as the client can check.
#[tokio::test]
async fn what_a_client_can_check_chooses_among_the_certificates_of_a_listener() {
    let (origin, authority) = (Origin::start("shop").await, Authority::new());
    let (ecdsa, rsa) = (authority.sign("shop.test"), authority.sign_rsa("shop.test"));
    let port = free_port();
    let listener = format!(
        "{{ name: both, port: {port}, protocol: HTTPS, hostname: shop.test, \
         tls: {{ certificateRefs: [{{ name: ecdsa }}, {{ name: rsa }}] }} }}"
    );
    let setup = Setup::bare().listener(PORT, port, listener);
    let setup = setup
        .with(yaml::tls_secret("ecdsa", &ecdsa))
        .with(yaml::tls_secret("rsa", &rsa))
        .with(yaml::service("shop", &[origin.address]))
        .with(yaml::path_route("all", "/", "shop"));
    let gateway = setup.start().await;

    let named = |name: &str, wanted: &str| name.split('_').any(|part| part == wanted);
    for (kind, wanted) in [("ECDSA", &ecdsa), ("RSA", &rsa)] {
        // What it can check it says by signatures, and until TLS 1.2 also by suites.
        let mut suites = aws_lc_rs::default_provider();
        suites.cipher_suites.retain(|suite| named(&format!("{:?}", suite.suite()), kind));
        let mut signatures = aws_lc_rs::default_provider();
        let known = signatures.signature_verification_algorithms.mapping.iter();
        let of_kind = known.filter(|(scheme, _)| named(&format!("{scheme:?}"), kind));
        signatures.signature_verification_algorithms.mapping =
            of_kind.copied().collect::<Vec<_>>().leak();
        for (provider, version) in
            [(suites, &TLS12), (signatures.clone(), &TLS12), (signatures, &TLS13)]
        {
            let client = authority.client_able(provider, &[version], None);
            let client = Connection::tls_as(gateway.listener(PORT), "shop.test", client.into());
            let mut connection = client.await.unwrap();
            assert_eq!(connection.certificate.as_ref(), Some(&wanted.der), "{kind}, {version:?}");
            let asked = request("GET", "shop.test", "/").body(nothing()).unwrap();
            answered(&gateway, &connection.send(asked).await.unwrap(), "shop").await;
        }
    }
    let either = Connection::tls(gateway.listener(PORT), "shop.test", &authority, &[]).await;
    assert_eq!(either.unwrap().certificate, Some(ecdsa.der), "the first that fits");
}

#[tokio::test]
async fn a_name_without_a_certificate_gets_no_handshake() {
    let (_origin, authority, _, gateway) = secure().await;
    for host in ["nobody.test", "wild.test", "a.shop.test"] {
        Connection::tls(gateway.listener(PORT), host, &authority, &["h2"]).await.unwrap_err();
    }
    let connected = Connection::tls(gateway.listener(PORT), "shop.test", &authority, &["h2"]).await;
    connected.unwrap();
}

#[tokio::test]
async fn a_host_that_the_handshake_did_not_name_is_not_served_there() {
    let (origin, authority, _, gateway) = secure().await;
    let connected = Connection::tls(gateway.listener(PORT), "shop.test", &authority, &["h2"]).await;
    let asked = request("GET", "blog.test", "/").body(nothing()).unwrap();
    let reply = connected.unwrap().send(asked).await.unwrap();
    // A browser may reuse a connection for another host: it is told to open one (RFC 9110, 15.5.20).
    assert_eq!((reply.status, origin.count()), (421, 0), "{reply:?}");
}

#[tokio::test]
async fn plain_http_on_an_https_port_is_not_served() {
    let (origin, _, _, gateway) = secure().await;
    let mut raw = e2e::raw::Raw::connect(gateway.listener(PORT)).await;
    raw.write("GET / HTTP/1.1\r\nhost: shop.test\r\n\r\n").await;
    let said = raw.rest().await;
    assert!(!said.starts_with(b"HTTP/1.1 2"), "{}", String::from_utf8_lossy(&said));
    assert_eq!(origin.count(), 0);
}

#[tokio::test]
async fn a_handshake_that_does_not_come_is_not_waited_for() {
    let (_origin, _, _, gateway) = secure().await;
    let mut raw = e2e::raw::Raw::connect(gateway.listener(PORT)).await;
    // Documented as 10 s.
    assert!(raw.closes_within(std::time::Duration::from_secs(18)).await, "left open");
}

#[tokio::test]
async fn metrics_say_when_certificates_end() {
    let (_origin, _, _, gateway) = secure().await;
    let ends = gateway
        .metric("heddle_listener_certificate_expiry_timestamp_seconds", &["secret=\"shop/cert-1\""])
        .await;
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
    let days = (ends - now) / 86_400.0;
    assert!(days > 29.0 && days < 31.0, "{days} days: the authority signs for 30");
}

#[tokio::test]
async fn post_quantum_key_exchange_is_preferred() {
    let (_origin, authority, _, gateway) = secure().await;
    let connector = tokio_rustls::TlsConnector::from(authority.client(&["h2"]));
    let stream = tokio::net::TcpStream::connect(gateway.listener(PORT)).await.unwrap();
    let connected = connector.connect("shop.test".try_into().unwrap(), stream);
    let stream = wait::within("the handshake", connected).await.unwrap();
    let group = stream.get_ref().1.negotiated_key_exchange_group().unwrap();
    assert_eq!(group.name(), rustls::NamedGroup::X25519MLKEM768);
}

#[tokio::test]
async fn secrets_of_tickets_that_are_of_no_use_stop_the_start_and_change_nothing_later() {
    let (origin, authority) = (Origin::start("shop").await, Authority::new());
    let folder = tempfile::TempDir::new().unwrap();
    let keys = folder.path().join("keys");
    let named = keys.to_str().unwrap().to_owned();
    let port = free_port();
    let setup = Setup::bare()
        .listener(PORT, port, yaml::https("tls", port, "shop.test", "cert"))
        .with(yaml::tls_secret("cert", &authority.sign("shop.test")))
        .with(yaml::service("shop", &[origin.address]))
        .with(yaml::path_route("all", "/", "shop"))
        .arguments(&["--ticket-keys", &named]);
    for (text, why) in
        [("", "holds no key"), ("short\n", "line 1 is no key: wants 32 to 256 bytes in base64")]
    {
        std::fs::write(&keys, text).unwrap();
        let mut refused = setup.clone().spawn();
        assert_eq!(refused.exited().await, 1);
        let wanted = format!("--ticket-keys {named}: {why}");
        assert!(refused.stderr().contains(&wanted), "{}", refused.stderr());
    }

    std::fs::write(&keys, "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWYwMTIzNDU2Nzg5YWJjZGVm")
        .unwrap();
    let gateway = setup.start().await;
    let client = std::sync::Arc::new(authority.client_showing(None));
    let kind = async || {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::clone(&client));
        let stream = tokio::net::TcpStream::connect(gateway.listener(PORT)).await.unwrap();
        let mut stream = connector.connect("shop.test".try_into().unwrap(), stream).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: shop.test\r\n\r\n").await.unwrap();
        stream.read_u8().await.unwrap();
        stream.get_ref().1.handshake_kind().unwrap()
    };
    assert_ne!(kind().await, rustls::HandshakeKind::Resumed);
    std::fs::write(&keys, "").unwrap();
    wait::until_true("the complaint", || {
        gateway.stderr().contains("holds no key") && gateway.stderr().contains("seal on")
    })
    .await;
    assert_eq!(kind().await, rustls::HandshakeKind::Resumed);
}

#[tokio::test]
async fn certificates_are_taken_from_files_and_anew_when_those_change() {
    let (origin, authority) = (Origin::start("shop").await, Authority::new());
    let folder = tempfile::TempDir::new().unwrap();
    let [chain, key] = ["chain.pem", "key.pem"].map(|name| folder.path().join(name));
    let port = free_port();
    let named = format!("shop/cert={},{}", chain.display(), key.display());
    let setup = Setup::bare()
        .listener(PORT, port, yaml::https("tls", port, "shop.test", "cert"))
        .with(yaml::service("shop", &[origin.address]))
        .with(yaml::path_route("all", "/", "shop"))
        .arguments(&["--tls-secret", &named]);
    let mut refused = setup.clone().spawn();
    assert_eq!(refused.exited().await, 1);
    let wanted = format!("--tls-secret shop/cert: {} cannot be read", chain.display());
    assert!(refused.stderr().contains(&wanted), "{}", refused.stderr());

    let [first, second] = [(); 2].map(|()| authority.sign("shop.test"));
    std::fs::write(&chain, &first.chain).unwrap();
    std::fs::write(&key, &second.key).unwrap();
    let unfit = format!("{} does not belong to the first certificate of", key.display());
    let mut refused = setup.clone().spawn();
    assert_eq!(refused.exited().await, 1);
    assert!(refused.stderr().contains(&unfit), "{}", refused.stderr());

    std::fs::write(&key, &first.key).unwrap();
    let gateway = setup.start().await;
    let shown = async || {
        let address = gateway.listener(PORT);
        let connection = Connection::tls(address, "shop.test", &authority, &["h2"]).await.unwrap();
        connection.certificate.clone().unwrap()
    };
    assert_eq!(shown().await, first.der);
    // The certificate alone is no pair with the key of before, and changes nothing.
    std::fs::write(&chain, &second.chain).unwrap();
    wait::until_true("the fault", || gateway.stderr().contains(&unfit)).await;
    assert_eq!(shown().await, first.der);
    std::fs::write(&key, &second.key).unwrap();
    let is_new = async || Box::pin(shown()).await == second.der;
    wait::until_true_of("the new one", is_new).await;
    wait::until_true("word of it", || gateway.stderr().contains("certificate renewed")).await;
    std::fs::remove_file(&key).unwrap();
    wait::until_true("the other fault", || gateway.stderr().contains("key.pem cannot be read"))
        .await;
    assert_eq!(shown().await, second.der);
}

/// A Gateway of `namespace` whose one listener, HTTPS, has no certificate that exists.
fn refused_in(namespace: &str, port: u16) -> String {
    let listener = yaml::https("tls", port, "other.test", "nowhere");
    yaml::gateway(&[listener]).replace("namespace: shop", &format!("namespace: {namespace}"))
}

#[tokio::test]
async fn a_listener_that_is_refused_takes_no_port_from_another() {
    let origin = Origin::start("shop").await;
    // Looked at before the good one, and after it; there at the start, or come by an edit.
    for (namespace, at_start) in [("alpha", true), ("zulu", true), ("alpha", false)] {
        let port = free_port();
        let mut setup = Setup::bare()
            .listener("web", port, yaml::http("web", port))
            .with(yaml::service("shop", &[origin.address]))
            .with(yaml::path_route("all", "/", "shop"));
        if at_start {
            setup = setup.file("other.yaml", refused_in(namespace, port));
        }
        let gateway = setup.start().await;
        gateway.write("other.yaml", &refused_in(namespace, port));
        let named = format!("{namespace}/edge");
        wait::until("the listener to be refused", || async {
            let config = gateway.admin("/config").await.ok()?.json();
            let listeners = config["inForce"]["listeners"].as_array()?;
            let there = listeners.iter().any(|one| {
                one["gateway"].as_str().is_some_and(|name| name.ends_with(&named))
                    && one["refused"].is_string()
            });
            there.then_some(())
        })
        .await;
        let sent =
            gateway.try_send(request("GET", "shop.test", "/").body(nothing()).unwrap()).await;
        let reply = sent.unwrap_or_else(|error| panic!("{namespace} {at_start}: {error}"));
        answered(&gateway, &reply, "shop").await;
    }
}

#[tokio::test]
async fn a_connection_is_served_by_listeners_of_its_own_scheme() {
    let (origin, authority, port) = (Origin::start("shop").await, Authority::new(), free_port());
    let certificate = authority.sign("shop.test");
    let with = |listener| {
        Setup::bare()
            .listener("web", port, listener)
            .with(yaml::tls_secret("cert", &certificate))
            .with(yaml::service("shop", &[origin.address]))
            .with(yaml::path_route("all", "/", "shop"))
    };
    let get = || request("GET", "shop.test", "/").body(nothing()).unwrap();
    let gateway = with(yaml::http("web", port)).start().await;
    let web = gateway.web();
    let tls = || Connection::tls(web, "shop.test", &authority, &["h2", "http/1.1"]);

    let plain = [Connection::h1(web).await.unwrap(), Connection::h2c(web).await.unwrap()];
    let plain = served_then(plain, &origin).await;
    let https = with(yaml::https("web", port, "shop.test", "cert")).text();
    gateway.write("gateway.yaml", &https);
    let connected = || Box::pin(async { tls().await.ok()?.send(get()).await.ok() });
    wait::until("HTTPS", connected).await;
    not_served(plain, &origin).await;

    let old = authority.client(&["http/1.1"]);
    let old = Connection::tls_as(web, "shop.test", old).await.unwrap();
    let secure = served_then([tls().await.unwrap(), old], &origin).await;
    gateway.write("gateway.yaml", &with(yaml::http("web", port)).text());
    wait::until("HTTP", || async { Connection::h1(web).await.ok()?.send(get()).await.ok() }).await;
    not_served(secure, &origin).await;
}

/// The same connections, once each has been served.
async fn served_then(mut connections: [Connection; 2], origin: &Origin) -> [Connection; 2] {
    let before = origin.count();
    for connection in &mut connections {
        let asked = request("GET", "shop.test", "/").body(nothing()).expect("a request");
        assert_eq!(connection.send(asked).await.expect("an answer").status, 200);
    }
    assert_eq!(origin.count(), before + 2);
    connections
}

/// Closed, or refused.
async fn not_served(connections: [Connection; 2], origin: &Origin) {
    let before = origin.count();
    for mut connection in connections {
        let asked = request("GET", "shop.test", "/").body(nothing()).expect("a request");
        if let Ok(reply) = wait::within("an end", connection.send(asked)).await {
            assert!(matches!(reply.status, 404 | 421), "{connection:?}: {reply:?}");
        }
    }
    assert_eq!(origin.count(), before, "served by a listener of another scheme");
}

#[tokio::test]
async fn a_handshake_without_a_name_is_good_for_no_named_listener() {
    let (origin, authority, port) = (Origin::start("shop").await, Authority::new(), free_port());
    let (any, named) = (authority.sign("any.test"), authority.sign("shop.test"));
    let nameless =
        yaml::https("any", port, "any.test", "any").replace("hostname: 'any.test', ", "");
    assert!(!nameless.contains("hostname"), "{nameless}");
    let gateway = Setup::bare()
        .listener(PORT, port, nameless)
        .listener(PORT, port, yaml::https("named", port, "shop.test", "named"))
        .with(yaml::tls_secret("any", &any))
        .with(yaml::tls_secret("named", &named))
        .with(yaml::service("shop", &[origin.address]))
        .with(yaml::path_route("all", "/", "shop"))
        .start()
        .await;
    for alpn in ["h2", "http/1.1"] {
        let mut client = rustls::ClientConfig::clone(&authority.client(&[alpn]));
        client.enable_sni = false;
        let address = gateway.listener(PORT);
        let connected = Connection::tls_as(address, "any.test", client.into()).await;
        let mut connection = connected.unwrap();
        assert_eq!(connection.certificate.as_ref(), Some(&any.der));
        let before = origin.count();
        let asked = request("GET", "shop.test", "/").body(nothing()).unwrap();
        let reply = connection.send(asked).await.unwrap();
        assert_eq!((reply.status, origin.count()), (421, before), "{alpn}: {reply:?}");
        let line = gateway.logged(&reply).await;
        assert_eq!(line["reason"], "misdirected", "{line}");
        // Hosts of the listener whose certificate was shown are served.
        let asked = request("GET", "else.test", "/").body(nothing()).unwrap();
        answered(&gateway, &connection.send(asked).await.unwrap(), "shop").await;
    }
}
