//! A stream of HTTP/2 as bytes both ways, and whether the other side of a connection is still there.
//!
//! hyper carries such streams, too, but hands each write to a task of its own and copies it once more.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use h2::{Ping, PingPong, Reason, RecvStream, SendStream};
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::carry::End;

/// The most that one write takes: what is kept of it until it is sent is bounded so, beside the window.
const WRITE: usize = super::FRAME as usize;

/// By which a tunnel says behind its last byte that what it carries was broken off.
const BROKEN_OFF: HeaderName = HeaderName::from_static("heddle-broken-off");

/// The two directions of a tunnel. Dropped before its end was written, it is reset.
#[derive(Debug)]
pub(crate) struct Tunnel {
    to: SendStream<Bytes>,
    from: RecvStream,
    /// What came and was not read yet.
    held: Bytes,
    is_ended: bool,
}

impl Tunnel {
    pub(super) fn new(to: SendStream<Bytes>, from: RecvStream) -> Self {
        Tunnel { to, from, held: Bytes::new(), is_ended: false }
    }

    /// What comes next; it counts as read, so that the other side may send more.
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        loop {
            match ready!(self.from.poll_data(cx)) {
                Some(Ok(data)) if data.is_empty() => {}
                Some(Ok(data)) => {
                    // It fails for what was never received, and this was.
                    let _released = self.from.flow_control().release_capacity(data.len());
                    return Poll::Ready(Ok(Some(data)));
                }
                Some(Err(error)) => return Poll::Ready(Err(broken(error))),
                None => break,
            }
        }
        // Behind the last byte it says whether that was meant to be the last.
        match ready!(self.from.poll_trailers(cx)).map_err(broken)? {
            Some(trailers) if trailers.contains_key(BROKEN_OFF) => Poll::Ready(Err(given_up())),
            Some(_) | None => Poll::Ready(Ok(None)),
        }
    }

    /// How many of `wanted` bytes may be sent now.
    fn poll_room(&mut self, cx: &mut Context<'_>, wanted: usize) -> Poll<io::Result<usize>> {
        self.to.reserve_capacity(wanted);
        loop {
            match self.to.capacity() {
                0 => match ready!(self.to.poll_capacity(cx)) {
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Poll::Ready(Err(broken(error))),
                    None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
                },
                room => return Poll::Ready(Ok(room.min(wanted))),
            }
        }
    }
}

impl AsyncRead for Tunnel {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.held.is_empty() {
            let Some(data) = ready!(Tunnel::poll_data(&mut self, cx))? else {
                return Poll::Ready(Ok(()));
            };
            self.held = data;
        }
        let some = self.held.len().min(into.remaining());
        into.put_slice(&self.held[..some]);
        self.held.advance(some);
        Poll::Ready(Ok(()))
    }
}

impl End for Tunnel {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        self.poll_data(cx)
    }

    fn poll_take(&mut self, cx: &mut Context<'_>, piece: &mut Bytes) -> Poll<io::Result<()>> {
        let room = ready!(self.poll_room(cx, piece.len()))?;
        Poll::Ready(self.to.send_data(piece.split_to(room), false).map_err(broken))
    }

    /// In order: a reset of HTTP/2 would overtake what was sent before.
    fn abort(&mut self) {
        if !std::mem::replace(&mut self.is_ended, true) {
            let trailers = HeaderMap::from_iter([(BROKEN_OFF, HeaderValue::from_static("1"))]);
            // Of a stream that has ended otherwise the other side knows.
            let _known = self.to.send_trailers(trailers);
        }
    }

    /// What is in order waits where the other side does not read.
    fn reset(&mut self) {
        self.to.send_reset(Reason::CANCEL);
    }

    fn poll_aborted(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match ready!(self.poll_data(cx)) {
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => return Poll::Ready(()),
            }
        }
    }

    /// The connection sends by itself.
    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_end(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !std::mem::replace(&mut self.is_ended, true) {
            self.to.send_data(Bytes::new(), true).map_err(broken)?;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tunnel {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(data)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let whole = data.iter().map(|piece| piece.len()).sum::<usize>().min(WRITE);
        if whole == 0 {
            return Poll::Ready(Ok(0));
        }
        let room = ready!(self.poll_room(cx, whole))?;
        let mut frame = BytesMut::with_capacity(room);
        for piece in data {
            let some = piece.len().min(room - frame.len());
            frame.extend_from_slice(&piece[..some]);
        }
        self.to.send_data(frame.freeze(), false).map_err(broken)?;
        Poll::Ready(Ok(room))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        End::poll_flush(&mut *self, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_end(cx)
    }
}

fn given_up() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, "the other side broke off")
}

fn broken(error: h2::Error) -> io::Error {
    match error.reason() {
        Some(Reason::NO_ERROR | Reason::CANCEL) => given_up(),
        _ if error.is_io() => error.into_io().unwrap_or(io::ErrorKind::BrokenPipe.into()),
        _ => io::Error::other(error),
    }
}

/// Ends when the other side did not answer for `patience`; it is asked each `every`.
pub(super) async fn gone(mut pings: PingPong, every: Duration, patience: Duration) {
    loop {
        tokio::time::sleep(every).await;
        match tokio::time::timeout(patience, pings.ping(Ping::opaque())).await {
            Ok(Ok(_)) => {}
            // The connection has ended, which it tells itself.
            Ok(Err(_)) => return std::future::pending().await,
            Err(_) => return,
        }
    }
}
