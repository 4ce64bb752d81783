//! What comes of asking a provider or an issuer, and of those that answer as none should.

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

/// A server on loopback that answers each path once as told, and the rest by 404; its address.
async fn serving(answers: &[(&str, &str)]) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let answers: Vec<_> =
        answers.iter().map(|(path, answer)| ((*path).to_owned(), (*answer).to_owned())).collect();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = vec![0; 1024];
            let read = stream.read(&mut head).await.unwrap();
            let head = String::from_utf8_lossy(&head[..read]).into_owned();
            let path = head.split(' ').nth(1).unwrap_or_default();
            let found = answers.iter().find(|(one, _)| one == path).map(|(_, answer)| &**answer);
            let answer = found.unwrap_or("404 Not Found\r\n\r\n");
            let text =
                format!("HTTP/1.1 {}", answer.replacen("\r\n", "\r\nconnection: close\r\n", 1));
            stream.write_all(text.as_bytes()).await.unwrap();
        }
    });
    address
}

async fn fetch(url: &str, listed: &[&str]) -> Result<String, Error> {
    let listed = listed.iter().map(|net| net.parse().unwrap()).collect();
    let body = Client::new().fetch(&url.parse().unwrap(), &Reach::new(listed)).await?;
    Ok(String::from_utf8(body).unwrap())
}

const HERE: &[&str] = &["127.0.0.0/8"];

#[tokio::test]
async fn what_strangers_name_is_fetched_where_the_platform_lists_it() {
    let address = serving(&[("/keys?x=1", "200 OK\r\n\r\nkeys")]).await;
    let url = format!("http://{address}/keys?x=1");
    assert_eq!(fetch(&url, HERE).await.unwrap(), "keys");
    let named = format!("http://issuer.localhost:{}/keys?x=1", address.port());
    assert_eq!(fetch(&named, HERE).await.unwrap(), "keys");
    for url in [&url, &named] {
        let refused = fetch(url, &["10.0.0.0/8"]).await.unwrap_err();
        assert!(matches!(refused, Error::Closed(_)), "{refused}");
    }
    let gone = fetch(&format!("http://{address}/other"), HERE).await.unwrap_err();
    assert!(matches!(gone, Error::Status(_, StatusCode::NOT_FOUND)), "{gone}");
}

#[tokio::test]
async fn a_redirect_leads_only_where_its_url_would() {
    let other = serving(&[("/keys", "200 OK\r\n\r\nkeys")]).await;
    let found = |to: &str| format!("302 Found\r\nlocation: {to}\r\n\r\n");
    let first = serving(&[
        ("/away", &found(&format!("http://{other}/keys"))),
        ("/near", &found("away")),
        ("/round", &found("/round")),
        ("/inside", &found("http://[::1]:1/keys")),
        ("/clear", &found("http://192.0.2.1/keys")),
        ("/file", &found("file:///etc/passwd")),
        ("/user", &found("http://me:you@127.0.0.1/keys")),
        ("/nowhere", "302 Found\r\n\r\n"),
    ])
    .await;
    let at = async |path: &str| fetch(&format!("http://{first}{path}"), HERE).await;
    for path in ["/away", "/near"] {
        assert_eq!(at(path).await.unwrap(), "keys", "{path}");
    }
    for path in ["/round", "/file", "/user", "/nowhere"] {
        let refused = at(path).await.unwrap_err();
        assert!(matches!(refused, Error::Redirected(_)), "{path}: {refused}");
    }
    let refused = at("/inside").await.unwrap_err();
    assert!(matches!(refused, Error::Closed(_)), "{refused}");
    let refused = at("/clear").await.unwrap_err();
    assert!(matches!(refused, Error::Clear(_)), "{refused}");
}

#[test]
fn a_redirect_is_told_from_where_it_stands() {
    let from = |from: &str, to: &str| {
        let to = HeaderValue::from_str(to).unwrap();
        led(&from.parse().unwrap(), Some(&to)).map(|url| url.to_string())
    };
    let secure = "https://a.example/x/keys?y=1";
    for (to, wanted) in [
        ("https://b.example/keys", "https://b.example/keys"),
        ("//b.example", "https://b.example/"),
        ("/other", "https://a.example/other"),
        ("other?z#part", "https://a.example/x/other?z"),
    ] {
        assert_eq!(from(secure, to).unwrap(), wanted, "{to}");
    }
    for clear in ["http://a.example/keys", "http://127.0.0.1/keys", "ftp://a.example/keys"] {
        assert!(matches!(from(secure, clear), Err(Error::Clear(_))), "{clear}");
    }
    for wrong in
        ["file:///etc/passwd", "https://me@b.example/", "https://", "https://a.example:99999/"]
    {
        assert!(matches!(from(secure, wrong), Err(Error::Redirected(_))), "{wrong}");
    }
    assert!(led(&secure.parse().unwrap(), None).is_err());
    assert_eq!(from("http://127.0.0.1:1/", "https://b.example/").unwrap(), "https://b.example/");
}

#[tokio::test]
async fn one_address_that_is_away_does_not_hide_another() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let (here, gone) = (listener.local_addr().unwrap(), SocketAddr::from(([127, 0, 0, 1], 1)));
    assert_eq!(connected(&[gone, here]).await.unwrap().peer_addr().unwrap(), here);
    assert!(connected(&[gone]).await.is_err() && connected(&[]).await.is_err());
}
