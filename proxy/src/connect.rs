//! A new connection to an endpoint, with a deadline: plain, by TLS, or through the mesh.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::HeaderMap;
use policy::Reason;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::client::TlsStream;

use crate::failure::Failure;
use crate::live::{Endpoint, Wire};
use crate::mesh::Tunnel;
use crate::room::Place;
use crate::settings::Limits;
use crate::tls::backend::Face;

/// A connection to an application.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) io: Io,
    /// Its place among those of its service, until it is closed; of a health check there is none.
    pub(crate) place: Option<Place>,
}

/// How it goes there.
#[derive(Debug)]
pub(crate) enum Io {
    /// Straight to it.
    Plain(TcpStream),
    /// The same by TLS, which ends there.
    Tls(Box<TlsStream<TcpStream>>),
    /// Through its proxy.
    Mesh(Box<Tunnel>),
}

/// To which endpoint something goes, from which worker, and as whom.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hop<'a> {
    pub(crate) endpoint: &'a Arc<Endpoint>,
    pub(crate) worker: usize,
    pub(crate) face: &'a Face,
}

/// What comes before all else on a new connection.
#[derive(Debug, Default)]
pub(crate) struct Preface {
    /// What the proxy of an application is told.
    pub(crate) heads: HeaderMap,
    /// What an application is sent that has none, also before TLS begins.
    pub(crate) bytes: Vec<u8>,
}

/// Opens a connection in the way that the endpoint is reached, within the bound on connecting. It has this
/// place until it is closed.
pub(crate) async fn to(
    hop: Hop<'_>,
    limits: &Limits,
    preface: Preface,
    place: Place,
) -> Result<Stream, Failure> {
    let Hop { endpoint, worker, face } = hop;
    let bound = endpoint.room.opening(limits.connect);
    let io = match &endpoint.way {
        Some(way) => {
            let tunnel = way.tunnel(endpoint.address, worker, (limits, bound), preface.heads);
            let tunnel = tunnel.await?;
            Io::Mesh(Box::new(tunnel))
        }
        None => {
            let to = (endpoint.address, &endpoint.wire);
            straight(to, face, bound, &preface.bytes).await?
        }
    };
    Ok(Stream { io, place: Some(place) })
}

/// The same at another port of an endpoint, within `bound`; it is sent these bytes `first`.
pub(crate) async fn at(
    address: SocketAddr,
    endpoint: &Endpoint,
    face: &Face,
    bound: Duration,
    first: &[u8],
) -> Result<Stream, Failure> {
    let io = straight((address, &endpoint.wire), face, bound, first).await?;
    Ok(Stream { io, place: None })
}

async fn straight(
    (address, wire): (SocketAddr, &Wire),
    face: &Face,
    bound: Duration,
    first: &[u8],
) -> Result<Io, Failure> {
    let tls = match (wire, face) {
        (Wire::Clear | Wire::Tls(_) | Wire::Closed, Face::Plain) => None,
        (Wire::Tls(tls), Face::Tls(shown)) => Some((tls, shown.as_ref())),
        // What wants TLS is not sent where nobody can say how.
        (Wire::Clear | Wire::Closed, Face::Tls(_)) => {
            return Err(Failure::proxy(Reason::BackendTls));
        }
    };
    let until = Instant::now() + bound;
    let mut stream = plain(address, bound).await?;
    if !first.is_empty() {
        let told = tokio::time::timeout_at(until, stream.write_all(first)).await;
        told.map_err(Failure::unreached)?.map_err(Failure::unreached)?;
    }
    let Some((tls, shown)) = tls else { return Ok(Io::Plain(stream)) };
    let proved = tokio::time::timeout_at(until, tls.handshake(stream, shown)).await;
    let stream = proved.map_err(Failure::unproved)?.map_err(Failure::unproved)?;
    Ok(Io::Tls(Box::new(stream)))
}

/// Opens a plain TCP connection to `address` within `bound`.
pub(crate) async fn plain(address: SocketAddr, bound: Duration) -> Result<TcpStream, Failure> {
    let stream = match tokio::time::timeout(bound, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(Failure::unreached(error)),
        Err(_) => {
            let late = format!("no connection within {} ms", bound.as_millis());
            return Err(Failure::unreached(io::Error::new(io::ErrorKind::TimedOut, late)));
        }
    };
    // Without it small requests wait for the peer's delayed acknowledgement.
    stream.set_nodelay(true).map_err(Failure::unreached)?;
    Ok(stream)
}

/// Hands a call on to whichever it is.
macro_rules! either {
    ($stream:expr, $io:ident => $call:expr) => {
        match &mut $stream.get_mut().io {
            Io::Plain(stream) => {
                let $io = Pin::new(stream);
                $call
            }
            Io::Tls(stream) => {
                let $io = Pin::new(&mut **stream);
                $call
            }
            Io::Mesh(tunnel) => {
                let $io = Pin::new(&mut **tunnel);
                $call
            }
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        either!(self, io => io.poll_read(cx, into))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        either!(self, io => io.poll_write(cx, data))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self, io => io.poll_write_vectored(cx, data))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.io {
            Io::Plain(stream) => stream.is_write_vectored(),
            Io::Tls(stream) => stream.is_write_vectored(),
            Io::Mesh(tunnel) => tunnel.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, io => io.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, io => io.poll_shutdown(cx))
    }
}
