//! A new connection to an endpoint, with a deadline: plain, or through the mesh.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::HeaderMap;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::failure::Failure;
use crate::live::Endpoint;
use crate::mesh::Tunnel;
use crate::settings::Limits;

/// A connection to an application.
#[derive(Debug)]
pub(crate) enum Stream {
    /// Straight to it.
    Plain(TcpStream),
    /// Through its proxy.
    Mesh(Box<Tunnel>),
}

/// Opens a connection of `worker` to an endpoint, in the way that it is reached; its proxy, where it has
/// one, is told `heads`.
pub(crate) async fn to(
    endpoint: &Endpoint,
    worker: usize,
    limits: &Limits,
    heads: HeaderMap,
) -> Result<Stream, Failure> {
    match &endpoint.way {
        None => plain(endpoint.address, limits.connect).await.map(Stream::Plain),
        Some(way) => {
            let tunnel = way.tunnel(endpoint.address, worker, limits, heads).await?;
            Ok(Stream::Mesh(Box::new(tunnel)))
        }
    }
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
        match $stream.get_mut() {
            Stream::Plain(stream) => {
                let $io = Pin::new(stream);
                $call
            }
            Stream::Mesh(tunnel) => {
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
        match self {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Mesh(tunnel) => tunnel.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, io => io.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, io => io.poll_shutdown(cx))
    }
}
