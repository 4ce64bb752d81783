//! A client that must keep taking what it is sent, of which it is noted that it began to say something, and
//! which is waited for at the end if it says more than anybody reads.
//!
//! A client that stops reading would otherwise hold its request, and the backend's connection, for
//! as long as it likes: over HTTP/1.1 by a full socket ([`Steady`]), over HTTP/2 also by a window
//! that it does not open again ([`Streams`]).

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::rt::Executor;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use crate::http::Conn;
use crate::linger::{self, Linger};

/// Fails writes that made no progress for a bound, and tells the connection what is heard.
#[derive(Debug)]
pub(crate) struct Steady<S> {
    io: S,
    conn: Arc<Conn>,
    /// Runs while a write waits for the client.
    timer: Option<Pin<Box<Sleep>>>,
    /// There once nothing more is written, and the client may not be through.
    linger: Option<Linger>,
}

impl<S> Steady<S> {
    pub(crate) fn new(io: S, conn: &Arc<Conn>) -> Self {
        Steady { io, conn: Arc::clone(conn), timer: None, linger: None }
    }

    /// What is written to.
    pub(crate) fn into_inner(self) -> S {
        self.io
    }

    /// Passes on what a write said, unless it has been waiting for too long.
    fn judge<T>(&mut self, cx: &mut Context<'_>, said: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if said.is_ready() {
            self.timer = None;
            return said;
        }
        let bound = self.conn.shared.settings.limits.write;
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(bound)));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Steady<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.conn.hears();
        }
        read
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Steady<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let said = Pin::new(&mut self.io).poll_write(cx, data);
        self.judge(cx, said)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let said = Pin::new(&mut self.io).poll_write_vectored(cx, data);
        self.judge(cx, said)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let said = Pin::new(&mut self.io).poll_flush(cx);
        self.judge(cx, said)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.linger.is_none() {
            let said = Pin::new(&mut self.io).poll_shutdown(cx);
            ready!(self.judge(cx, said))?;
            let waits = !self.conn.carries()
                && (self.conn.may_send_more() || linger::is_more(&mut self.io, cx));
            if !waits {
                return Poll::Ready(Ok(()));
            }
            self.linger = Some(Linger::new(self.conn.end()));
        }
        let Steady { io, linger, .. } = &mut *self;
        linger.as_mut().map_or(Poll::Ready(()), |linger| linger.poll(io, cx)).map(Ok)
    }
}

tokio::task_local! {
    /// How far the answer of the HTTP/2 stream that runs is.
    static ANSWER: Answer;
}

/// hyper asks a body for the next frame only once the client had room for the last, so a body that
/// is not asked again after it gave one waits for the client.
#[derive(Debug, Default)]
struct Answer {
    /// Frames given.
    given: Cell<u64>,
    /// None was asked for since.
    waits: Cell<bool>,
}

/// The body of an answer is asked for a frame.
pub(crate) fn asked() {
    // Outside a stream there is no window to wait for.
    let _no_stream = ANSWER.try_with(|answer| answer.waits.set(false));
}

/// The body of an answer gave one.
pub(crate) fn gave() {
    let _no_stream = ANSWER.try_with(|answer| {
        answer.given.set(answer.given.get() + 1);
        answer.waits.set(true);
    });
}

/// Runs the streams of HTTP/2 connections; resets those whose client took nothing for a bound.
#[derive(Debug, Clone)]
pub(crate) struct Streams {
    bound: Duration,
}

impl Streams {
    pub(crate) fn new(bound: Duration) -> Self {
        Streams { bound }
    }
}

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        tokio::spawn(ANSWER.scope(Answer::default(), within(stream, self.bound)));
    }
}

/// Runs `stream` to its end, or until it has waited for its client for `bound`.
async fn within<F: Future<Output = ()>>(stream: F, bound: Duration) {
    let mut stream = pin!(stream);
    let mut waiting: Option<(u64, Pin<Box<Sleep>>)> = None;
    poll_fn(|cx| {
        if stream.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let given = ANSWER.with(|answer| answer.waits.get().then(|| answer.given.get()));
        let Some(given) = given else {
            waiting = None;
            return Poll::Pending;
        };
        let (since, timer) =
            waiting.get_or_insert_with(|| (given, Box::pin(tokio::time::sleep(bound))));
        if *since != given {
            *since = given;
            timer.as_mut().reset(Instant::now() + bound);
        }
        timer.as_mut().poll(cx)
    })
    .await;
}
