//! How many connections are open, and the most that ever were at once.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Counts connections, of several backends together where each has a clone.
#[derive(Debug, Clone, Default)]
pub struct Meter(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    open: AtomicUsize,
    most: AtomicUsize,
}

/// A connection that is open for as long as this is held.
#[derive(Debug)]
pub struct Open(Meter);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.0.open.fetch_sub(1, SeqCst);
    }
}

impl Meter {
    /// How many are open now.
    pub fn open(&self) -> usize {
        self.0.open.load(SeqCst)
    }

    /// The most that were at once.
    pub fn most(&self) -> usize {
        self.0.most.load(SeqCst)
    }

    /// One that was just taken.
    pub fn begin(&self) -> Open {
        self.0.open.fetch_add(1, SeqCst);
        Open(self.clone())
    }

    /// Learns that those which are open are so at once. Who was to close one before it opened this had done so,
    /// but whoever holds it here may not have heard: they do while this waits, in a runtime of one thread.
    pub async fn note(&self) {
        for _ in 0..4 {
            tokio::task::yield_now().await;
        }
        self.0.most.fetch_max(self.open(), SeqCst);
    }
}

/// A connection that is counted until it is closed, whoever it is handed on to.
#[derive(Debug)]
pub(super) struct Counted<S> {
    pub(super) stream: S,
    /// At its origin, and with those beside that.
    pub(super) _open: [Open; 2],
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
