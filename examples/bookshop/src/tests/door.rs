//! Sockets that stay open, and how a service closes.

use futures::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::echo::LARGEST_MESSAGE;

use super::*;

async fn socket(catalog: &Running) -> WebSocketStream<TcpStream> {
    let stream = TcpStream::connect(catalog.address).await.unwrap();
    let url = format!("ws://{}/ws", catalog.address);
    let (socket, reply) = timeout(PATIENCE, client_async(url, stream)).await.unwrap().unwrap();
    assert_eq!(reply.headers()["x-served-by"], "catalog-v2");
    socket
}

async fn heard(socket: &mut WebSocketStream<TcpStream>) -> Option<Message> {
    timeout(PATIENCE, socket.next()).await.unwrap().and_then(Result::ok)
}

#[tokio::test]
async fn a_websocket_says_back_what_it_is_told() {
    let catalog = Running::catalog().await;
    let mut socket = socket(&catalog).await;
    for message in [Message::text("warp"), Message::binary(vec![0; LARGEST_MESSAGE])] {
        socket.send(message.clone()).await.unwrap();
        assert_eq!(heard(&mut socket).await, Some(message));
    }
    socket.close(None).await.unwrap();
    assert!(matches!(heard(&mut socket).await, Some(Message::Close(_))));
    assert_eq!(catalog.get("/stats").await.json()["by_path"]["/ws"], 1);
}

#[tokio::test]
async fn a_message_beyond_the_bound_ends_the_websocket() {
    let catalog = Running::catalog().await;
    let mut socket = socket(&catalog).await;
    socket.send(Message::binary(vec![0; LARGEST_MESSAGE + 1])).await.unwrap();
    assert!(!matches!(heard(&mut socket).await, Some(Message::Binary(_))));
}

#[tokio::test]
async fn a_plain_request_at_the_websocket_is_told_to_upgrade() {
    let catalog = Running::catalog().await;
    let answer = catalog.get("/ws").await;
    assert_eq!(answer.status, StatusCode::UPGRADE_REQUIRED);
    assert_eq!(answer.headers["sec-websocket-version"], "13");
}

#[tokio::test]
async fn closing_finishes_what_is_under_way_and_says_goodbye() {
    let catalog = Running::catalog().await;
    let address = catalog.address;
    let mut socket = socket(&catalog).await;
    let url = catalog.url("/slow?ms=300");
    let slow = tokio::spawn(async move {
        let request = Request::get(url).body(Full::default()).unwrap();
        exchange(Client::builder(TokioExecutor::new()), request).await
    });
    timeout(PATIENCE, async {
        while catalog.get("/stats").await.json()["by_path"]["/slow"] != 1 {}
    })
    .await
    .unwrap();

    catalog.close().await;
    assert_eq!(slow.await.unwrap().json()["waited_ms"], 300);
    let Some(Message::Close(Some(goodbye))) = heard(&mut socket).await else {
        panic!("the socket was cut without a word");
    };
    assert_eq!(goodbye.code, CloseCode::Away);
    assert!(TcpStream::connect(address).await.is_err());
}
