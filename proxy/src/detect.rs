//! Which version of HTTP comes where nothing was agreed on: the first bytes tell.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

/// With what HTTP/2 begins (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// So many bytes are read at first: most heads are no longer, and hyper takes a larger buffer for one that it
/// gets in pieces.
const FIRST: usize = 2 << 10;

/// A stream of which something was read before.
#[derive(Debug)]
pub(crate) struct Ahead<S> {
    read: BytesMut,
    io: S,
}

/// Reads until it is clear whether it is HTTP/2, as its preface tells, or else HTTP/1.1. What was read is not
/// lost.
///
/// # Errors
/// If the stream cannot be read.
pub(crate) async fn is_http2<S>(mut io: S) -> io::Result<(bool, Ahead<S>)>
where
    S: AsyncRead + Unpin,
{
    let mut read = BytesMut::with_capacity(FIRST);
    loop {
        let is_over = io.read_buf(&mut read).await? == 0;
        let known = read.len().min(PREFACE.len());
        let may_be = read[..known] == PREFACE[..known];
        if may_be && known == PREFACE.len() {
            return Ok((true, Ahead { read, io }));
        }
        if is_over || !may_be {
            return Ok((false, Ahead { read, io }));
        }
    }
}

impl<S> Ahead<S> {
    /// The stream, and what was read of it and nobody took.
    pub(crate) fn into_parts(self) -> (S, Bytes) {
        (self.io, self.read.freeze())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Ahead<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.read.is_empty() {
            return Pin::new(&mut self.io).poll_read(cx, buf);
        }
        let taken = self.read.len().min(buf.remaining());
        buf.put_slice(&self.read[..taken]);
        self.read.advance(taken);
        if self.read.is_empty() {
            self.read = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Ahead<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, data)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, data)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
