//! HTTPS: versions by ALPN, certificates by the name that a caller asks for.

use e2e::client::{nothing, request};
use e2e::program::free_port;
use e2e::trust::Authority;
use e2e::{Connection, Gateway, Origin, Setup, wait, yaml};
use http::Version;

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
async fn post_quantum_key_exchange_is_preferred() {
    let (_origin, authority, _, gateway) = secure().await;
    let connector = tokio_rustls::TlsConnector::from(authority.client(&["h2"]));
    let stream = tokio::net::TcpStream::connect(gateway.listener(PORT)).await.unwrap();
    let connected = connector.connect("shop.test".try_into().unwrap(), stream);
    let stream = wait::within("the handshake", connected).await.unwrap();
    let group = stream.get_ref().1.negotiated_key_exchange_group().unwrap();
    assert_eq!(group.name(), rustls::NamedGroup::X25519MLKEM768);
}
