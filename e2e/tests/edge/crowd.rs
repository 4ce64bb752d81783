//! More connections than there may be.

use std::net::{Ipv4Addr, SocketAddr};

use e2e::client::{nothing, request};
use e2e::{Connection, Gateway, wait};
use futures::{SinkExt as _, StreamExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::scene::{HOST, shop};

/// A connection from 127.0.0.`last` on which a request was answered; nothing where it was refused.
async fn served(gateway: &Gateway, last: u8) -> Option<Connection> {
    let source = Ipv4Addr::new(127, 0, 0, last);
    let mut connection = Connection::h1_from(source, gateway.web()).await.ok()?;
    let asked = request("GET", HOST, "/").body(nothing()).ok()?;
    let reply = Box::pin(connection.send(asked)).await.ok()?;
    (reply.status == 200).then_some(connection)
}

/// Waits until so many were refused, which is counted once a connection is over.
async fn until_refused(gateway: &Gateway, least: u32) {
    let name = "heddle_connections_closed_total{outcome=\"refused\"} ";
    wait::until("the refused to be counted", || async {
        let metrics = gateway.admin("/metrics").await.ok()?.text();
        let count = metrics.lines().find_map(|line| line.strip_prefix(name))?;
        (count.parse::<u32>().ok()? >= least).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_address_has_no_more_connections_than_it_may() {
    let (_origin, setup) = shop().await;
    let gateway = setup.arguments(&["--max-connections-per-ip", "2"]).start().await;
    let (first, _second) = (served(&gateway, 1).await.unwrap(), served(&gateway, 1).await.unwrap());
    assert!(served(&gateway, 1).await.is_none());
    until_refused(&gateway, 1).await;
    gateway.until_said("bound=\"--max-connections-per-ip\"").await;
    let _other = served(&gateway, 2).await.unwrap();
    drop(first);
    wait::until("room", || async { Box::pin(served(&gateway, 1)).await }).await;
}

#[tokio::test]
async fn all_together_have_no_more_than_there_may_be() {
    let (_origin, setup) = shop().await;
    let gateway = setup.arguments(&["--max-connections", "3"]).start().await;
    let mut open = Vec::new();
    for last in 1..=3 {
        open.push(served(&gateway, last).await.unwrap());
    }
    assert!(served(&gateway, 4).await.is_none());
    until_refused(&gateway, 1).await;
    open.pop();
    wait::until("room", || async { Box::pin(served(&gateway, 4)).await }).await;
}

#[tokio::test]
async fn a_tunnel_counts_until_it_is_over() {
    let (_origin, setup) = shop().await;
    let gateway = setup.arguments(&["--max-connections-per-ip", "1"]).start().await;
    let asked = format!("ws://{HOST}/ws").into_client_request().unwrap();
    let stream = TcpStream::connect(gateway.web()).await.unwrap();
    let opened = Box::pin(tokio_tungstenite::client_async(asked, stream));
    let (mut socket, _) = wait::within("the handshake", opened).await.unwrap();
    socket.send(Message::text("one")).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("one"));
    assert!(served(&gateway, 1).await.is_none());
    drop(socket);
    wait::until("room", || async { Box::pin(served(&gateway, 1)).await }).await;
}

#[tokio::test]
async fn behind_a_balancer_who_it_names_is_counted() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let (_origin, setup) = shop().await;
    let bounds = ["--proxy-protocol", "127.0.0.0/8", "--max-connections-per-ip", "1"];
    let gateway = setup.arguments(&bounds).start().await;
    let ask = async |last: u8| {
        let socket = TcpSocket::new_v4().unwrap();
        let mut stream =
            socket.connect(SocketAddr::from(([127, 0, 0, 1], gateway.web().port()))).await.unwrap();
        let header = format!("PROXY TCP4 192.0.2.{last} 127.0.0.1 1 2\r\n");
        let asked = format!("{header}GET / HTTP/1.1\r\nhost: {HOST}\r\n\r\n");
        stream.write_all(asked.as_bytes()).await.unwrap();
        let mut said = [0; 12];
        let is_answered = stream.read_exact(&mut said).await.is_ok() && &said == b"HTTP/1.1 200";
        is_answered.then_some(stream)
    };
    let _first = ask(1).await.unwrap();
    assert!(ask(1).await.is_none());
    ask(2).await.unwrap();
}

#[tokio::test]
async fn a_crowd_leaves_files_for_backends() {
    const FILES: u32 = 200;
    let (_origin, setup) = shop().await;
    let gateway = setup.with_files(FILES).start().await;
    // As many as there are files for, and more; nothing is said on them.
    let mut silent = Vec::new();
    for _ in 0..FILES * 3 / 2 {
        silent.extend(TcpStream::connect(gateway.web()).await.ok());
    }
    until_refused(&gateway, FILES).await;
    // Seven of sixteen files are for clients, as many for backends, and each client is still served.
    let mut answered = 0;
    for stream in &mut silent {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let asked = format!("GET / HTTP/1.1\r\nhost: {HOST}\r\n\r\n");
        let mut said = [0; 12];
        let _reset = stream.write_all(asked.as_bytes()).await;
        let is_answered = stream.read_exact(&mut said).await.is_ok() && &said == b"HTTP/1.1 200";
        answered += u32::from(is_answered);
    }
    assert_eq!(answered, FILES * 7 / 16);
}
