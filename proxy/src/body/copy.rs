//! A copy of a body on its way to a mirror: it has an end only if the body came to its own.
//!
//! The side that copies says so with [`Sender::end`]. Dropped without it, because the client broke
//! off or the mirror lagged behind, the copy ends with an error: a mirror may never take a part for
//! the whole. Trailers are left out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::Frame;
use tokio::sync::mpsc;

use super::BodyError;

/// Where a copy is put in.
#[derive(Debug)]
pub(crate) struct Sender {
    chunks: mpsc::Sender<Bytes>,
    ended: Arc<AtomicBool>,
}

/// Where it comes out.
#[derive(Debug)]
pub(crate) struct Receiver {
    chunks: mpsc::Receiver<Bytes>,
    ended: Arc<AtomicBool>,
}

/// A copy that may lag `lag` chunks behind.
pub(crate) fn channel(lag: usize) -> (Sender, Receiver) {
    let (sender, chunks) = mpsc::channel(lag);
    let ended = Arc::new(AtomicBool::new(false));
    let receiver = Receiver { chunks, ended: Arc::clone(&ended) };
    (Sender { chunks: sender, ended }, receiver)
}

impl Sender {
    /// Whether there was room for `data`; if not, the copy has a gap and must be given up.
    pub(super) fn put(&self, data: &Bytes) -> bool {
        self.chunks.try_send(data.clone()).is_ok()
    }

    /// The body was whole. Beside the channel, since the channel may be full.
    pub(super) fn end(self) {
        self.ended.store(true, Ordering::Release);
    }
}

impl Receiver {
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Poll::Ready(match ready!(self.chunks.poll_recv(cx)) {
            Some(data) => Some(Ok(Frame::data(data))),
            None if self.ended.load(Ordering::Acquire) => None,
            None => Some(Err("the copy of the client's body was cut off".into())),
        })
    }
}
