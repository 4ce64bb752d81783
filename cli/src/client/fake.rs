//! A server for tests, which does as it is told: answers, cuts, hangs.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::{Address, Client};

/// What a server does with one connection once it has read the request.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    Say(String),
    Cut,
    Hang,
}

pub(crate) fn say(status: &str, sort: &str, more: &str, body: &str) -> Act {
    let length = body.len();
    Act::Say(format!(
        "HTTP/1.1 {status}\r\ncontent-type: {sort}\r\ncontent-length: {length}\r\n{more}\r\n{body}"
    ))
}

pub(crate) fn good(body: &str) -> Act {
    say("200 OK", "application/json", "", body)
}

pub(crate) fn problem(status: &str, sort: &str, more: &str) -> Act {
    let body =
        json!({ "type": format!("https://heddle.dev/problems/{sort}"), "detail": "one\ntwo" });
    say(status, "application/problem+json", more, &body.to_string())
}

/// A server that does each of some acts once, and gives the requests that it read.
#[derive(Debug)]
pub(crate) struct Fake {
    pub(crate) address: Address,
    pub(crate) requests: JoinHandle<Vec<String>>,
}

impl Fake {
    pub(crate) async fn new(acts: &[Act]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let acts = acts.to_vec();
        let requests = tokio::spawn(async move {
            let mut requests = Vec::new();
            let mut held = Vec::new();
            for act in acts {
                let (mut stream, _) = listener.accept().await.unwrap();
                requests.push(request(&mut stream).await);
                match act {
                    Act::Say(text) => stream.write_all(text.as_bytes()).await.unwrap(),
                    Act::Cut => {}
                    Act::Hang => held.push(stream),
                }
            }
            if held.is_empty() { requests } else { std::future::pending().await }
        });
        Fake {
            address: Address::parse(&format!("http://fake.localhost:{port}")).unwrap(),
            requests,
        }
    }

    pub(crate) fn client(&self) -> Client {
        let client = Client::new(self.address.clone(), None, Duration::from_secs(20)).unwrap();
        client.with_token("hdl_x").unwrap()
    }
}

/// The whole of a request.
async fn request(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    loop {
        let mut bytes = [0; 4096];
        let read = stream.read(&mut bytes).await.unwrap();
        text.extend(&bytes[..read]);
        let so_far = String::from_utf8_lossy(&text).into_owned();
        let Some((head, body)) = so_far.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if read == 0 || body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
            return so_far;
        }
    }
}
