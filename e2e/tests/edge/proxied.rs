//! Connections that begin with a PROXY header: where they came from, and what becomes of others.

use std::net::Ipv4Addr;
use std::time::Duration;

use e2e::program::free_port;
use e2e::raw::Raw;
use e2e::trust::Authority;
use e2e::{Gateway, Origin, Setup, wait, yaml};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::scene::{HOST, shop};

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const LINE: &str = "PROXY TCP4 192.0.2.7 198.51.100.1 51514 80\r\n";

/// A header of version 2 with these addresses.
fn version_2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = (rest.len() as u16).to_be_bytes();
    [SIGNATURE, &[command, family], &length, rest].concat()
}

fn v4(from: [u8; 4]) -> Vec<u8> {
    let rest = [&from[..], &[198, 51, 100, 1], &[0xc9, 0x3a, 0, 80]].concat();
    version_2(0x21, 0x11, &rest)
}

fn asked() -> Vec<u8> {
    format!("GET / HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\n\r\n").into_bytes()
}

/// A shop behind balancers at these addresses.
async fn behind(balancers: &str) -> (Origin, Gateway) {
    let (origin, setup) = shop().await;
    (origin, setup.arguments(&["--proxy-protocol", balancers]).start().await)
}

/// What is said to these bytes.
async fn said(gateway: &Gateway, bytes: &[u8]) -> String {
    let mut raw = Raw::connect(gateway.web()).await;
    raw.write(bytes).await;
    String::from_utf8_lossy(&raw.rest().await).into_owned()
}

#[tokio::test]
async fn the_caller_is_who_the_header_says() {
    let (origin, gateway) = behind("127.0.0.0/8").await;
    let six = "PROXY TCP6 2001:db8::7 2001:db8::1 51514 80\r\n";
    let v6 = [[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7], [0; 16]].concat();
    let v6 = version_2(0x21, 0x21, &[&v6[..], &[0, 1, 0, 80]].concat());
    for (header, wanted) in [
        (LINE.as_bytes().to_vec(), "192.0.2.7"),
        (six.as_bytes().to_vec(), "2001:db8::7"),
        (v4([192, 0, 2, 8]), "192.0.2.8"),
        (v6, "2001:db8::7"),
        (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1"),
        (version_2(0x20, 0, &[]), "127.0.0.1"),
    ] {
        let said = said(&gateway, &[header, asked()].concat()).await;
        assert!(said.starts_with("HTTP/1.1 200"), "{wanted}: {said}");
        assert_eq!(origin.last().header("x-forwarded-for"), wanted);
    }
    let log = wait::until("the log", || async {
        let log = gateway.access_log();
        (log.lines().count() >= 6).then_some(log)
    });
    assert!(log.await.contains("\"source\":\"192.0.2.8\""));
}

#[tokio::test]
async fn a_header_may_come_in_any_pieces() {
    let (origin, gateway) = behind("127.0.0.1/32").await;
    for header in [LINE.as_bytes().to_vec(), v4([192, 0, 2, 7])] {
        let mut stream = TcpStream::connect(gateway.web()).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let whole = [header, asked()].concat();
        for byte in &whole[..60] {
            stream.write_all(&[*byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        stream.write_all(&whole[60..]).await.unwrap();
        let mut said = String::new();
        wait::within("the answer", stream.read_to_string(&mut said)).await.unwrap();
        assert!(said.starts_with("HTTP/1.1 200"), "{said}");
        assert_eq!(origin.last().header("x-forwarded-for"), "192.0.2.7");
    }
}

#[tokio::test]
async fn without_a_whole_header_nothing_is_served() {
    let (origin, gateway) = behind("127.0.0.0/8").await;
    let long = format!("PROXY UNKNOWN {}", "x".repeat(200));
    let huge = [SIGNATURE, &[0x21, 0x11, 0xff, 0xff], &[0; 1000]].concat();
    for header in [
        &b""[..],
        b"PROXY TCP4 192.0.2.7 198.51.100.1 51514\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 51514 80\n",
        b"\r\n\r\n\0\r\nQUIX\n\x21\x11\0\x0c0123456789ab",
        long.as_bytes(),
        &huge,
    ] {
        let said = said(&gateway, &[header, &asked()].concat()).await;
        assert_eq!(said, "", "{}", String::from_utf8_lossy(header));
    }
    assert_eq!(origin.count(), 0);
    // One that does not go on is not waited for: documented as 10 s.
    let mut raw = Raw::connect(gateway.web()).await;
    raw.write("PROXY TCP4 192.0.2.7").await;
    assert!(raw.closes_within(Duration::from_secs(18)).await, "left open");
}

#[tokio::test]
async fn who_is_no_balancer_says_nothing_of_itself() {
    let (origin, gateway) = behind("127.0.0.9/32").await;
    let with_header = said(&gateway, &[LINE.as_bytes(), &asked()].concat()).await;
    assert!(with_header.starts_with("HTTP/1.1 400"), "{with_header}");
    assert!(said(&gateway, &v4([192, 0, 2, 7])).await.starts_with("HTTP/1.1 400"));
    assert_eq!(origin.count(), 0);
    assert!(said(&gateway, &asked()).await.starts_with("HTTP/1.1 200"));
    assert_eq!(origin.last().header("x-forwarded-for"), "127.0.0.1");
}

#[tokio::test]
async fn what_follows_may_be_tls_or_bytes_and_policies_go_by_the_header() {
    let authority = Authority::new();
    let (origin, [tls, tcp]) = (Origin::start("shop").await, [free_port(), free_port()]);
    let route = yaml::document(
        "gateway.networking.k8s.io/v1",
        "TCPRoute",
        "bytes",
        "spec:\n  parentRefs: [{ name: edge, sectionName: tcp }]\n  \
         rules: [{ backendRefs: [{ name: bytes, port: 80 }] }]",
    );
    let near = "targetRefs: [{ kind: Gateway, name: edge }]\n\
                rules: [{ name: near, when: { sources: [192.0.2.7/32] } }]";
    let _gateway = Setup::bare()
        .listener("tls", tls, yaml::https("tls", tls, HOST, "cert"))
        .listener("tcp", tcp, format!("{{ name: tcp, port: {tcp}, protocol: TCP }}"))
        .with(yaml::tls_secret("cert", &authority.sign(HOST)))
        .with(yaml::service("shop", &[origin.address]))
        .with(yaml::service_speaking("bytes", "tcp", &[origin.address]))
        .with(yaml::path_route("all", "/", "shop"))
        .with(route)
        .with(yaml::policy("near", near))
        .arguments(&["--proxy-protocol", "127.0.0.0/8"])
        .start()
        .await;
    for (last, status) in [(7, Some("200")), (8, None)] {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, tcp)).await.unwrap();
        stream.write_all(&[v4([192, 0, 2, last]), asked()].concat()).await.unwrap();
        let mut said = Vec::new();
        // Who may not is reset.
        let _reset = wait::within("the end", stream.read_to_end(&mut said)).await;
        let said = String::from_utf8_lossy(&said).into_owned();
        assert_eq!(said.get(9..12), status, "{said}");

        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, tls)).await.unwrap();
        stream.write_all(&v4([192, 0, 2, last])).await.unwrap();
        let connector = tokio_rustls::TlsConnector::from(authority.client(&["http/1.1"]));
        let mut stream = connector.connect(HOST.try_into().unwrap(), stream).await.unwrap();
        stream.write_all(&asked()).await.unwrap();
        let mut said = String::new();
        wait::within("the answer", stream.read_to_string(&mut said)).await.unwrap();
        assert_eq!(said.get(9..12), Some(status.unwrap_or("403")), "{said}");
    }
}
