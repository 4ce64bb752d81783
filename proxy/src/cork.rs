//! What an HTTP/2 connection writes each time it runs goes out in one piece.
//!
//! `h2` hands over each frame of data by itself, whatever waits behind it: a system call for each short message
//! of a stream, over TLS a record, and a packet. Here they wait until the connection has nothing more to say for
//! now, which is when its task has run.

use std::io::{self, IoSlice};
use std::mem;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use hyper::rt::Executor;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// So many bytes do not wait for more.
const MOST: usize = 32 << 10;
/// A write of so many bytes is not copied, and goes out by itself.
const LARGE: usize = 8 << 10;

/// A stream of which the writes wait until the task that made them [has run](Corked).
#[derive(Debug)]
pub(crate) struct Cork<S>(Arc<Mutex<Held<S>>>);

impl<S> Clone for Cork<S> {
    fn clone(&self) -> Self {
        Cork(Arc::clone(&self.0))
    }
}

#[derive(Debug)]
struct Held<S> {
    io: S,
    /// What was written and is not sent from `sent` on; empty where all is.
    written: Vec<u8>,
    sent: usize,
    /// Something was written or waited for since the last time that all was sent for.
    is_due: bool,
    /// Why the stream takes nothing any more, until that was told.
    broken: Option<io::Error>,
}

impl<S> Cork<S> {
    pub(crate) fn new(io: S) -> Self {
        let (written, sent) = (Vec::new(), 0);
        Cork(Arc::new(Mutex::new(Held { io, written, sent, is_due: false, broken: None })))
    }

    fn held(&self) -> MutexGuard<'_, Held<S>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: AsyncWrite + Unpin> Cork<S> {
    /// Runs a connection to its end, and sends what it writes.
    pub(crate) async fn sending<C: Future>(self, connection: C) -> C::Output {
        Corked { connection: pin!(connection), cork: self }.await
    }

    /// Runs a task that may have written, and then sends that.
    fn run<T>(&self, cx: &mut Context<'_>, task: impl FnOnce(&mut Context<'_>) -> T) -> T {
        let said = task(cx);
        self.held().uncork(cx);
        said
    }
}

impl<S: AsyncWrite + Unpin> Held<S> {
    /// Sends what was written, as far as the stream takes it; it wakes the task when it takes more, and when it
    /// takes nothing any more, which the task is told by what it does next.
    fn uncork(&mut self, cx: &mut Context<'_>) {
        // Of another task whoever wrote is woken.
        if !mem::take(&mut self.is_due) {
            return;
        }
        if let Poll::Ready(Err(error)) = self.flush(cx) {
            self.broken = Some(error);
            cx.waker().wake_by_ref();
        }
    }

    fn flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.send(cx))?;
        Pin::new(&mut self.io).poll_flush(cx)
    }

    /// Hands to the stream all that was written.
    fn send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let rest @ [_, ..] = &self.written[self.sent..] {
            match ready!(Pin::new(&mut self.io).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                more => self.sent += more,
            }
        }
        // A connection that is idle keeps no room for what it may write.
        (self.written, self.sent) = (Vec::new(), 0);
        Poll::Ready(Ok(()))
    }

    /// Whether the stream failed at what it was to have taken already.
    fn told(&mut self) -> io::Result<()> {
        self.is_due = true;
        self.broken.take().map_or(Ok(()), Err)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Cork<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(data)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut held = self.held();
        held.told()?;
        let length = data.iter().map(|piece| piece.len()).sum::<usize>();
        let is_large = length >= LARGE;
        if is_large || held.written.len() + length > MOST {
            ready!(held.send(cx))?;
        }
        if is_large {
            return Pin::new(&mut held.io).poll_write_vectored(cx, data);
        }
        data.iter().for_each(|piece| held.written.extend_from_slice(piece));
        Poll::Ready(Ok(length))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.held().told())
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut held = self.held();
        held.told()?;
        ready!(held.send(cx))?;
        Pin::new(&mut held.io).poll_shutdown(cx)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Cork<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.held().io).poll_read(cx, buf)
    }
}

/// A connection over a [`Cork`], sent for whenever it has run.
#[derive(Debug)]
pub(crate) struct Corked<'c, C, S> {
    pub(crate) connection: Pin<&'c mut C>,
    pub(crate) cork: Cork<S>,
}

impl<C, S> Corked<'_, C, S> {
    pub(crate) fn connection(self: Pin<&mut Self>) -> Pin<&mut C> {
        self.get_mut().connection.as_mut()
    }
}

impl<C: Future, S: AsyncWrite + Unpin> Future for Corked<'_, C, S> {
    type Output = C::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<C::Output> {
        let this = &mut *self;
        this.cork.run(cx, |cx| this.connection.as_mut().poll(cx))
    }
}

/// Runs a connection that hyper hands to an executor, and the streams on it. Those hand their frames to `h2`'s
/// queues, and nobody but the connection writes, when it runs.
#[derive(Debug)]
pub(crate) struct Corks<S>(pub(crate) Cork<S>);

impl<S> Clone for Corks<S> {
    fn clone(&self) -> Self {
        Corks(self.0.clone())
    }
}

impl<F, S> Executor<F> for Corks<S>
where
    F: Future<Output = ()> + Send + 'static,
    S: AsyncWrite + Unpin + Send + 'static,
{
    fn execute(&self, task: F) {
        tokio::spawn(self.0.clone().sending(task));
    }
}

#[cfg(test)]
mod tests;
