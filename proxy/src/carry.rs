//! Bytes both ways, until both sides have ended, silence, drain, or a table that forbids it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use policy::Reason;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional_with_sizes};

use crate::http::Conn;
use crate::live::Live;
use crate::record::Record;

/// The two ends between which bytes are carried.
pub(crate) struct Ends<A, B> {
    client: Counted<A>,
    backend: Counted<B>,
    /// So many bytes of each side wait at most.
    piece: usize,
}

impl<A, B> Ends<A, B>
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    /// Of which each is read in pieces of up to so many bytes.
    pub(crate) fn new(client: A, backend: B, piece: usize) -> Self {
        Ends { client: Counted::new(client), backend: Counted::new(backend), piece }
    }

    /// The same, where the client sent these bytes before.
    pub(crate) fn ahead(mut self, sent: Bytes) -> Self {
        self.client.ahead = sent;
        self
    }

    /// Carries bytes until both sides have ended, neither sent any for `idle`, the sender's certificate
    /// ends, or a table comes into force by which it does not pass; why it ended goes into the record.
    pub(crate) async fn carry(
        self,
        conn: &Conn,
        record: Box<Record>,
        idle: Duration,
        passes: impl Fn(&Live) -> bool,
    ) {
        // Writes the counts into the record also where the worker ends first.
        let mut told = Told { record, ends: self };
        let (reason, detail) = told.carry(conn, idle, passes).await;
        (told.record.reason, told.record.detail) = (reason, detail);
    }
}

/// Both ends, and the record that gets their counts at last.
struct Told<A, B> {
    record: Box<Record>,
    ends: Ends<A, B>,
}

impl<A, B> Told<A, B>
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    /// Why it ended.
    async fn carry(
        &mut self,
        conn: &Conn,
        idle: Duration,
        passes: impl Fn(&Live) -> bool,
    ) -> (Reason, Option<Box<str>>) {
        let Ends { client, backend, piece } = &mut self.ends;
        let read = (Arc::clone(&client.read), Arc::clone(&backend.read));
        let total = || read.0.load(Relaxed) + read.1.load(Relaxed);
        let copied = tokio::select! {
            copied = copy_bidirectional_with_sizes(client, backend, *piece, *piece) => copied,
            () = forbidden(conn, passes) => {
                return (Reason::AccessDenied, Some("cut: a new table forbids it".into()));
            }
            () = conn.outlived(Duration::ZERO) => {
                return (Reason::AccessDenied, Some("cut: its sender's certificate has ended".into()));
            }
            () = silent(idle, total) => {
                return (Reason::Ok, Some("closed after silence".into()));
            }
        };
        let Err(error) = copied else { return (Reason::Ok, None) };
        let reason = if backend.failed { Reason::UpstreamReset } else { Reason::ClientGone };
        (reason, Some(error.to_string().into()))
    }
}

impl<A, B> Drop for Told<A, B> {
    fn drop(&mut self) {
        self.record.bytes_in = self.ends.client.read.load(Relaxed);
        self.record.bytes_out = self.ends.backend.read.load(Relaxed);
    }
}

/// Ends when a table comes into force by which it does not pass.
async fn forbidden(conn: &Conn, passes: impl Fn(&Live) -> bool) {
    let mut changes = conn.shared.changes.subscribe();
    loop {
        if !passes(&conn.shared.live.load()) {
            return;
        }
        if changes.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

/// Ends when `total` stood still for `bound`.
async fn silent(bound: Duration, total: impl Fn() -> u64) {
    let mut before = total();
    loop {
        tokio::time::sleep(bound).await;
        let now = total();
        if now == before {
            return;
        }
        before = now;
    }
}

/// An end that counts what is read from it and knows whether it broke.
struct Counted<S> {
    io: S,
    /// What was read from it before.
    ahead: Bytes,
    read: Arc<AtomicU64>,
    failed: bool,
}

impl<S> Counted<S> {
    fn new(io: S) -> Self {
        Counted { io, ahead: Bytes::new(), read: Arc::default(), failed: false }
    }

    fn seen<T>(&mut self, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        self.failed |= matches!(polled, Poll::Ready(Err(_)));
        polled
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = if self.ahead.has_remaining() {
            let some = self.ahead.len().min(buf.remaining());
            buf.put_slice(&self.ahead.split_to(some));
            Poll::Ready(Ok(()))
        } else {
            Pin::new(&mut self.io).poll_read(cx, buf)
        };
        self.read.fetch_add((buf.filled().len() - before) as u64, Relaxed);
        self.seen(polled)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write(cx, data);
        self.seen(polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.io).poll_flush(cx);
        self.seen(polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
