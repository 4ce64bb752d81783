//! What comes of asking a provider, and of providers that answer as none should.

use std::error::Error as _;
use std::net::Ipv4Addr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

/// Somebody who answers the first that comes with this, whatever they ask.
async fn answering(answer: Vec<u8>) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("http://{}/x?y=1", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = vec![0; 1024];
        let read = stream.read(&mut head).await.unwrap();
        assert!(head[..read].starts_with(b"GET /x?y=1 HTTP/1.1\r\n"));
        // Who has read enough goes away.
        let _ = stream.write_all(&answer).await;
    });
    url
}

async fn ask(url: &str) -> Result<Response<Vec<u8>>, Error> {
    Client::new().call(Request::get(url).body(Vec::new()).unwrap()).await
}

#[tokio::test]
async fn an_answer_is_whole_also_where_the_connection_ends_with_it() {
    let text = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nall of it".to_vec();
    let answer = ask(&answering(text).await).await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.body().as_slice()), (200, &b"all of it"[..]));
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_leads_nowhere() {
    let text = b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n";
    let answer = ask(&answering(text.to_vec()).await).await.unwrap();
    assert_eq!(answer.status().as_u16(), 302);
}

#[tokio::test]
async fn more_than_fits_is_not_read() {
    let mut text = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n".to_vec();
    text.resize(text.len() + MOST + 1, b'x');
    let error = ask(&answering(text).await).await.unwrap_err();
    assert!(matches!(error, Error::Read(..)), "{error}: {:?}", error.source());
}

#[tokio::test]
async fn nobody_is_asked_in_the_clear_but_on_this_machine() {
    for url in ["http://192.0.2.1/", "http://id.example.com/", "ftp://127.0.0.1/"] {
        let error = ask(url).await.unwrap_err();
        assert!(matches!(error, Error::Clear(_)), "{url}: {error}");
    }
}

#[tokio::test]
async fn who_does_not_speak_tls_is_not_asked() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    });
    let error = ask(&format!("https://{address}/")).await.unwrap_err();
    assert!(matches!(error, Error::Connect(..)), "{error}");
}

#[tokio::test(start_paused = true)]
async fn who_does_not_answer_is_not_waited_for() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let error = ask(&format!("http://{}/", listener.local_addr().unwrap())).await.unwrap_err();
    assert!(matches!(error, Error::Late(_)), "{error}");
}
