//! The shop in one process: every service on a port of its own, every byte over a real socket.

mod chain;
mod door;
mod limits;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clap::Parser;
use http_body_util::{BodyExt, Full};
use hyper::{HeaderMap, Method, Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::args::Args;
use crate::server::serve;
use crate::shop::Shop;

/// The longest that any step of a test may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A service that runs until it is stopped or dropped.
struct Running {
    address: SocketAddr,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

impl Running {
    async fn start(flags: &str) -> Self {
        let args = Args::try_parse_from(["bookshop"].into_iter().chain(flags.split(' '))).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let shop = Arc::new(Shop::new(&args, stop.clone()));
        let serving = tokio::spawn(serve(listener, shop, stop.clone()));
        Self { address, stop, serving }
    }

    async fn catalog() -> Self {
        Self::start("--service catalog --version v2 --cluster east").await
    }

    async fn orders(catalog: SocketAddr) -> Self {
        Self::start(&format!("--service orders --cluster east --catalog http://{catalog}")).await
    }

    async fn storefront(orders: SocketAddr) -> Self {
        Self::start(&format!("--service storefront --cluster west --orders http://{orders}")).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], "").await
    }

    async fn order(&self, order: &str) -> Answer {
        self.send(Method::POST, "/orders", &[], order).await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(self.url(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::from(body.to_owned()))).unwrap();
        exchange(Client::builder(TokioExecutor::new()), request).await
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Asks it to stop and waits until it has.
    async fn close(self) {
        self.stop.cancel();
        timeout(PATIENCE, self.serving).await.unwrap().unwrap();
    }
}

/// What came back for one request.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

async fn exchange(
    client: hyper_util::client::legacy::Builder,
    request: Request<Full<Bytes>>,
) -> Answer {
    let client: Client<_, Full<Bytes>> = client.build_http();
    let reply = timeout(PATIENCE, client.request(request)).await.unwrap().unwrap();
    let (head, body) = reply.into_parts();
    let body = timeout(PATIENCE, body.collect()).await.unwrap().unwrap().to_bytes();
    Answer { status: head.status, headers: head.headers, body }
}

/// An upstream of the test's own: shows each request head, gives a canned answer.
struct Fake {
    address: SocketAddr,
    heads: mpsc::UnboundedReceiver<String>,
}

impl Fake {
    /// One that answers each request with these bytes, or holds its tongue if there are none.
    async fn start(answer: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, heads) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                if seen.send(String::from_utf8(head).unwrap()).is_err() {
                    return;
                }
                // The caller may leave early when the answer is too large for it.
                let _ = stream.write_all(&answer).await;
                if answer.is_empty() {
                    let _ = stream.read_u8().await;
                }
            }
        });
        Self { address, heads }
    }

    async fn answering(status: &str, body: &str) -> Self {
        let length = body.len();
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close");
        Self::start(format!("{head}\r\n\r\n{body}").into_bytes()).await
    }

    async fn head(&mut self) -> String {
        timeout(PATIENCE, self.heads.recv()).await.unwrap().unwrap()
    }
}

/// An address where nobody listens.
async fn nowhere() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}
