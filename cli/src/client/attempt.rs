//! One attempt: a connection of its own, the request, the whole answer.

use std::future::pending;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use super::{Address, Answer, Trust};

/// Longest wait for a connection, the handshake of TLS included.
const CONNECT: Duration = Duration::from_secs(10);
/// A longer answer is not read.
const BYTES: usize = 64 << 20;

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Missed {
    /// The server has not got the request.
    Unsent(String),
    /// It may have.
    Cut(String),
}

/// Sends `request` to `address` and waits for the whole answer.
pub(super) async fn attempt(
    address: &Address,
    trust: Option<&Trust>,
    request: Request<Full<Bytes>>,
) -> Result<Answer, Missed> {
    let unsent = |error: io::Error| Missed::Unsent(format!("cannot reach {address}: {error}"));
    let late = || io::Error::new(io::ErrorKind::TimedOut, "no connection within 10 s");
    let connect = async {
        let stream = address.dial().await?;
        drop(stream.set_nodelay(true));
        match trust {
            Some(trust) => trust.shake(address.host(), stream).await.map(Box::new).map(Stream::Tls),
            None => Ok(Stream::Plain(stream)),
        }
    };
    let connected = timeout(CONNECT, connect).await.unwrap_or_else(|_| Err(late()));
    match connected.map_err(unsent)? {
        Stream::Plain(stream) => exchange(address, stream, request).await,
        Stream::Tls(stream) => exchange(address, stream, request).await,
    }
}

enum Stream {
    Plain(tokio::net::TcpStream),
    Tls(Box<tokio_rustls::client::TlsStream<tokio::net::TcpStream>>),
}

async fn exchange<S>(
    address: &Address,
    stream: S,
    request: Request<Full<Bytes>>,
) -> Result<Answer, Missed>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let cut = |error: &dyn std::fmt::Display| {
        Missed::Cut(format!("the connection to {address} broke: {error}"))
    };
    let handshake = http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| cut(&error))?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(|error| cut(&error))?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, BYTES).collect().await.map_err(|error| cut(&error))?;
        Ok(Answer::new(head, body.to_bytes()))
    };
    // What has arrived is still read when the connection has ended.
    let driver = async {
        drop(connection.await);
        pending().await
    };
    tokio::select! {
        answer = exchange => answer,
        never = driver => never,
    }
}
