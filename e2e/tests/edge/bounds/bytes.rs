//! Bounds on connections of which no request is read: who waits for one, and who leaves.

use std::net::Ipv4Addr;

use e2e::origin::Meter;
use e2e::trust::{Authority, Certificate};
use e2e::{Gateway, Setup, wait, yaml};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;

use super::{bounds, told, until_waiting};
use crate::scene::HOST;

/// A gateway with one listener, `bytes`, that carries connections, one at a time, to a backend which says
/// `hello` and then what it hears; what its listener is besides its name and port.
async fn of_bytes(listener: &str, certificate: Option<&Certificate>) -> (Gateway, Meter) {
    let backend = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let address = backend.local_addr().expect("it is bound");
    let meter = Meter::default();
    let counted = meter.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = backend.accept().await {
            let open = counted.begin();
            counted.note().await;
            tokio::spawn(async move {
                let _open = open;
                stream.write_all(b"hello\n").await?;
                let (mut heard, mut said) = stream.split();
                tokio::io::copy(&mut heard, &mut said).await
            });
        }
    });
    let port = e2e::program::free_port();
    let route = "spec:\n  parentRefs: [{ name: edge }]\n  \
                 rules: [{ backendRefs: [{ name: shop, port: 80 }] }]";
    let setup = Setup::bare()
        .listener("bytes", port, format!("{{ name: bytes, port: {port}, {listener} }}"))
        .with(yaml::service_speaking("shop", "tcp", &[address]))
        .with(bounds("connections: 1, pendingTimeout: 60s"))
        .with(yaml::document("gateway.networking.k8s.io/v1", "TCPRoute", "all", route));
    let secret = certificate.map(|one| yaml::tls_secret("door", one));
    let setup = secret.into_iter().fold(setup, Setup::with);
    (setup.start().await, meter)
}

async fn connect(gateway: &Gateway) -> TcpStream {
    let connecting = TcpStream::connect(gateway.listener("bytes"));
    wait::within("a connection", connecting).await.expect("somebody listens")
}

/// Reads what the backend says first.
async fn greeted(stream: &mut (impl AsyncRead + Unpin)) {
    heard(stream, b"hello\n").await;
}

async fn heard(stream: &mut (impl AsyncRead + Unpin), wanted: &[u8; 6]) {
    let mut word = [0; 6];
    wait::within("its turn", stream.read_exact(&mut word)).await.expect("six bytes");
    assert_eq!(&word, wanted);
}

#[tokio::test]
async fn connections_of_which_nothing_is_read_count_too() {
    let (gateway, meter) = of_bytes("protocol: TCP", None).await;
    let mut first = connect(&gateway).await;
    greeted(&mut first).await;
    let mut second = connect(&gateway).await;
    until_waiting(&gateway, 1).await;
    drop(first);
    greeted(&mut second).await;
    assert_eq!(told(&gateway).await["open"], 1);
    assert_eq!(meter.most(), 1);
}

#[tokio::test]
async fn who_closes_a_connection_waits_no_longer() {
    let (gateway, meter) = of_bytes("protocol: TCP", None).await;
    let mut first = connect(&gateway).await;
    greeted(&mut first).await;
    let waits = connect(&gateway).await;
    until_waiting(&gateway, 1).await;
    drop(waits);
    until_waiting(&gateway, 0).await;
    // Who said something may be closing its own half alone, until it breaks off.
    let mut asks = connect(&gateway).await;
    asks.write_all(b"hello?").await.expect("it is open");
    let mut breaks_off = connect(&gateway).await;
    breaks_off.write_all(b"hello?").await.expect("it is open");
    until_waiting(&gateway, 2).await;
    asks.shutdown().await.expect("it is open");
    breaks_off.set_zero_linger().expect("it is open");
    drop(breaks_off);
    until_waiting(&gateway, 1).await;
    drop(first);
    greeted(&mut asks).await;
    heard(&mut asks, b"hello?").await;
    assert_eq!(told(&gateway).await["refused"], 0);
    assert_eq!(meter.most(), 1);
}

#[tokio::test]
async fn who_closes_a_connection_by_tls_waits_no_longer() {
    let authority = Authority::new();
    let certificate = authority.sign("shop.test");
    let listener = "protocol: TLS, tls: { certificateRefs: [{ name: door }] }";
    let (gateway, meter) = of_bytes(listener, Some(&certificate)).await;
    let connector = TlsConnector::from(authority.client(&[]));
    let secure = async || {
        let name = HOST.to_owned().try_into().expect("a host");
        let shaken = connector.connect(name, connect(&gateway).await);
        wait::within("the handshake", shaken).await.expect("TLS")
    };
    let mut first = secure().await;
    greeted(&mut first).await;
    let mut waits = secure().await;
    until_waiting(&gateway, 1).await;
    waits.shutdown().await.expect("it is open");
    until_waiting(&gateway, 0).await;
    let mut asks = secure().await;
    asks.write_all(b"hello?").await.expect("it is open");
    until_waiting(&gateway, 1).await;
    drop(first);
    greeted(&mut asks).await;
    heard(&mut asks, b"hello?").await;
    assert_eq!(meter.most(), 1);
}
