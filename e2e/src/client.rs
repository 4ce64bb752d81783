//! Callers: one connection of HTTP/1.1, of HTTP/2 with prior knowledge, or of either over TLS.

use std::error::Error;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use http::header::HOST;
use http::{HeaderMap, HeaderValue, Request, Response, Uri, Version};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

use crate::trust::Authority;
use goodbye::{Goodbye, Watched};

mod goodbye;

/// A body that a test sends.
pub type Payload = BoxBody<Bytes, Box<dyn Error + Send + Sync>>;

/// Why a request brought no answer.
pub type Fault = Box<dyn Error + Send + Sync>;

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The version of HTTP.
    pub version: Version,
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// What followed it.
    pub trailers: Option<HeaderMap>,
}

impl Reply {
    /// The value of the header `name`; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; null where it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The origin that answered; empty where the gateway did.
    pub fn origin(&self) -> &str {
        self.header("x-origin")
    }

    /// Reads `response` to its end.
    ///
    /// # Errors
    /// Where the body breaks off.
    pub async fn read(response: Response<Incoming>) -> Result<Self, Fault> {
        let (head, body) = response.into_parts();
        let collected = body.collect().await?;
        Ok(Reply {
            version: head.version,
            status: head.status.as_u16(),
            headers: head.headers,
            trailers: collected.trailers().cloned(),
            body: collected.to_bytes(),
        })
    }
}

/// A request for `http://HOST/PATH`, to be completed.
pub fn request(method: &str, host: &str, path: &str) -> http::request::Builder {
    Request::builder().method(method).uri(format!("http://{host}{path}"))
}

/// A body of these bytes.
pub fn bytes(body: impl Into<Bytes>) -> Payload {
    Full::new(body.into()).map_err(|never| match never {}).boxed()
}

/// A body of pieces that come one by one, whose length nobody is told.
pub fn streamed(pieces: impl Stream<Item = Bytes> + Send + Sync + 'static) -> Payload {
    BodyExt::boxed(StreamBody::new(pieces.map(|piece| Ok(Frame::data(piece)))))
}

/// No body.
pub fn nothing() -> Payload {
    bytes(Bytes::new())
}

/// A connection to the gateway; closed when this is dropped.
pub struct Connection {
    sender: Sender,
    task: JoinHandle<()>,
    goodbye: Goodbye,
    /// The certificate that was shown, over TLS.
    pub certificate: Option<CertificateDer<'static>>,
    /// What was agreed on by ALPN.
    pub alpn: Option<String>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("alpn", &self.alpn).finish_non_exhaustive()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

enum Sender {
    H1(http1::SendRequest<Payload>),
    H2(http2::SendRequest<Payload>),
}

impl Connection {
    /// HTTP/1.1.
    ///
    /// # Errors
    /// Where nobody listens.
    pub async fn h1(address: SocketAddr) -> Result<Self, Fault> {
        Self::speak_h1(connect(address).await?).await
    }

    /// HTTP/1.1 from an address of this machine.
    ///
    /// # Errors
    /// Where nobody listens, or the address is none of this machine.
    pub async fn h1_from(source: Ipv4Addr, address: SocketAddr) -> Result<Self, Fault> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((source, 0).into())?;
        Self::speak_h1(socket.connect(address).await?).await
    }

    /// HTTP/2 with prior knowledge.
    ///
    /// # Errors
    /// Where nobody listens, or not so.
    pub async fn h2c(address: SocketAddr) -> Result<Self, Fault> {
        Self::speak_h2(connect(address).await?).await
    }

    /// TLS for `host`, offering `alpn`; HTTP/2 where the gateway chose it.
    ///
    /// # Errors
    /// Where nobody listens or the certificate is not good for `host`.
    pub async fn tls(
        address: SocketAddr,
        host: &str,
        authority: &Authority,
        alpn: &[&str],
    ) -> Result<Self, Fault> {
        Self::tls_as(address, host, authority.client(alpn)).await
    }

    /// TLS for `host` as `client` does it.
    ///
    /// # Errors
    /// As [`Connection::tls`].
    pub async fn tls_as(
        address: SocketAddr,
        host: &str,
        client: Arc<ClientConfig>,
    ) -> Result<Self, Fault> {
        let connector = TlsConnector::from(client);
        let name = ServerName::try_from(host.to_owned())?;
        let stream = connect(address).await?;
        // Boxed, since a TLS stream is large.
        let stream = Box::pin(connector.connect(name, stream)).await?;
        let session = stream.get_ref().1;
        let shown = session.peer_certificates().and_then(|chain| chain.first());
        let certificate = shown.map(|first| first.clone().into_owned());
        let agreed = session.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned());
        let connection = if agreed.as_deref() == Some("h2") {
            Self::speak_h2(stream).await?
        } else {
            Self::speak_h1(stream).await?
        };
        Ok(connection.shown(certificate, agreed))
    }

    fn shown(mut self, certificate: Option<CertificateDer<'static>>, alpn: Option<String>) -> Self {
        self.certificate = certificate;
        self.alpn = alpn;
        self
    }

    async fn speak_h1<S>(stream: S) -> Result<Self, Fault>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (sender, driver) = http1::handshake(TokioIo::new(stream)).await?;
        let task = tokio::spawn(async move {
            let _seen_by_sender = driver.with_upgrades().await;
        });
        Ok(Self::of(Sender::H1(sender), task, Goodbye::default()))
    }

    async fn speak_h2<S>(stream: S) -> Result<Self, Fault>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let goodbye = Goodbye::default();
        let io = TokioIo::new(Watched::new(stream, goodbye.clone()));
        let (sender, driver) = http2::handshake(TokioExecutor::new(), io).await?;
        let task = tokio::spawn(async move {
            let _seen_by_sender = driver.await;
        });
        Ok(Self::of(Sender::H2(sender), task, goodbye))
    }

    fn of(sender: Sender, task: JoinHandle<()>, goodbye: Goodbye) -> Self {
        Connection { sender, task, goodbye, certificate: None, alpn: None }
    }

    /// Sends `request` and reads the whole answer.
    ///
    /// # Errors
    /// Where the connection breaks.
    pub async fn send(&mut self, request: Request<Payload>) -> Result<Reply, Fault> {
        Reply::read(self.open(request).await?).await
    }

    /// Sends `request`; the answer's body is yet to be read.
    ///
    /// # Errors
    /// Where the connection breaks.
    pub async fn open(&mut self, request: Request<Payload>) -> Result<Response<Incoming>, Fault> {
        match &mut self.sender {
            Sender::H1(sender) => {
                sender.ready().await?;
                Ok(sender.send_request(origin_form(request)?).await?)
            }
            Sender::H2(sender) => {
                sender.ready().await?;
                Ok(sender.send_request(request).await?)
            }
        }
    }

    /// Sends `request` on HTTP/2 without waiting for other streams of the connection.
    ///
    /// # Panics
    /// Over HTTP/1.1, which has no streams.
    pub fn begin(&self, request: Request<Payload>) -> JoinHandle<Result<Reply, Fault>> {
        let Sender::H2(sender) = &self.sender else { panic!("HTTP/1.1 has no streams") };
        let mut sender = sender.clone();
        tokio::spawn(async move {
            sender.ready().await?;
            Reply::read(sender.send_request(request).await?).await
        })
    }

    /// Waits until another request may be sent; `false` where the other side has closed.
    pub async fn ready(&mut self) -> bool {
        match &mut self.sender {
            Sender::H1(sender) => sender.ready().await.is_ok(),
            Sender::H2(sender) => sender.ready().await.is_ok(),
        }
    }

    /// Whether the other side has closed it.
    pub fn is_closed(&self) -> bool {
        match &self.sender {
            Sender::H1(sender) => sender.is_closed(),
            Sender::H2(sender) => sender.is_closed(),
        }
    }

    /// Whether the other side has said by GOAWAY that it goes, without an error.
    pub fn was_said_goodbye(&self) -> bool {
        self.goodbye.was_said()
    }

    /// Whether nothing was done about a request that ended so, and the other side has said it: by GOAWAY
    /// without an error, which came before it was sent or names an earlier stream as its last, or by refusing
    /// its stream (RFC 9113, sections 6.8 and 8.7). Such a request is to be sent again on another connection.
    pub fn is_unheard(&self, error: &Fault) -> bool {
        let Some(error) = error.downcast_ref::<hyper::Error>() else { return false };
        match error.source().and_then(|source| source.downcast_ref::<h2::Error>()) {
            // Only what GOAWAY leaves out ends by it: h2 lets the other streams go on.
            Some(told) if told.is_remote() && told.is_go_away() => {
                told.reason() == Some(h2::Reason::NO_ERROR)
            }
            Some(told) if told.is_remote() && told.is_reset() => {
                told.reason() == Some(h2::Reason::REFUSED_STREAM)
            }
            Some(_) => false,
            // Not sent, hyper says, and not why: the connection may have broken, too.
            None => (error.is_canceled() || error.is_closed()) && self.goodbye.was_said(),
        }
    }
}

async fn connect(address: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// HTTP/1.1 names the host in a header and the path alone on the request line.
fn origin_form(mut request: Request<Payload>) -> Result<Request<Payload>, Fault> {
    if let Some(authority) = request.uri().authority() {
        let host = HeaderValue::from_str(authority.as_str())?;
        request.headers_mut().entry(HOST).or_insert(host);
    }
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = Uri::try_from(path)?;
    Ok(request)
}

#[cfg(test)]
mod tests;
