//! Bodies on their way: from the client to a backend, counted and bounded.

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use policy::Told;
use tokio::time::{Instant, Sleep};

use crate::balance::Asking;
use crate::forward;
use crate::http::Conn;

pub(crate) mod copy;
pub(crate) mod replay;

/// What ends a body before its end.
pub(crate) type BodyError = Box<dyn Error + Send + Sync>;

/// The body of a request to a backend.
#[derive(Debug)]
pub(crate) enum Upload {
    /// None.
    Empty,
    /// The client's, as it comes.
    Client(Box<ClientBody>),
    /// The client's, which may be sent again.
    Replay(Box<replay::Reader>),
    /// A mirror's copy.
    Copy(copy::Receiver),
}

/// What is known of an upload while it runs.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    bytes: AtomicU64,
    whole: OnceLock<Instant>,
    /// Of what an endpoint is to be heard once it is whole.
    asking: ArcSwapOption<Asking>,
    slow: AtomicBool,
    large: AtomicBool,
    malformed: AtomicBool,
    failed: AtomicBool,
}

impl Progress {
    /// Of a body that was whole at that time.
    #[cfg(test)]
    pub(crate) fn whole_at(at: Instant) -> Self {
        Progress { whole: OnceLock::from(at), ..Progress::default() }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    /// The whole body was handed over: the connection may serve another request.
    pub(crate) fn is_whole(&self) -> bool {
        self.whole.get().is_some()
    }

    /// When that was.
    pub(crate) fn whole_since(&self) -> Option<Instant> {
        self.whole.get().copied()
    }

    /// Of this an endpoint is to be heard once all is there, or of nothing.
    pub(crate) fn asks(&self, asking: Option<Arc<Asking>>) {
        self.asking.store(asking);
    }

    /// All of it is there.
    pub(crate) fn ends(&self) {
        let now = Instant::now();
        // The first end counts; there is no other.
        if self.whole.set(now).is_ok()
            && let Some(asking) = self.asking.load_full()
        {
            asking.begins(now);
        }
    }

    /// What ended it before its end was the client's doing.
    pub(crate) fn is_blamed(&self) -> bool {
        self.was_large() || self.was_slow() || self.was_malformed() || self.broke_off()
    }

    /// The client fell silent for longer than the bound.
    pub(crate) fn was_slow(&self) -> bool {
        self.slow.load(Relaxed)
    }

    /// The client sent more than the bound.
    pub(crate) fn was_large(&self) -> bool {
        self.large.load(Relaxed)
    }

    /// The client's framing means nothing.
    pub(crate) fn was_malformed(&self) -> bool {
        self.malformed.load(Relaxed)
    }

    /// The client broke off before its body's end.
    pub(crate) fn broke_off(&self) -> bool {
        self.failed.load(Relaxed)
    }
}

/// A client's body with its bounds.
#[derive(Debug)]
pub(crate) struct ClientBody<B = Incoming> {
    body: B,
    progress: Arc<Progress>,
    left: u64,
    silence: Duration,
    /// Made when the client is first waited for.
    timer: Option<Pin<Box<Sleep>>>,
    /// The timer runs only while the client is waited for, not while the backend is.
    waiting: bool,
    copies: Vec<copy::Sender>,
    /// On what it comes, until all of it has.
    conn: Option<Arc<Conn>>,
    /// What its trailers may not say.
    told: Option<Arc<Told>>,
}

impl<B> ClientBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BodyError>,
{
    /// Come on this connection, which is told when all of it was read. Trailers, if it has some, end one of
    /// HTTP/1.1: hyper takes a line that ends with a line feed alone for the last of them, and what stands behind
    /// it for others, be it another request.
    pub(crate) fn on(self, conn: &Arc<Conn>) -> Self {
        ClientBody { conn: Some(Arc::clone(conn)), ..self }
    }

    /// To a backend that is told by these headers who is calling, which its trailers may not say.
    pub(crate) fn telling(self, told: Option<&Arc<Told>>) -> Self {
        ClientBody { told: told.map(Arc::clone), ..self }
    }

    /// `limit` bytes at most, never silent for longer than `silence`; mirrors get `copies`.
    pub(crate) fn new(
        body: B,
        limit: u64,
        silence: Duration,
        copies: Vec<copy::Sender>,
    ) -> (Self, Arc<Progress>) {
        let progress = Arc::new(Progress::default());
        let shared = Arc::clone(&progress);
        let body = ClientBody {
            body,
            progress,
            left: limit,
            silence,
            timer: None,
            waiting: false,
            copies,
            conn: None,
            told: None,
        };
        (body, shared)
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let next = match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(next) => next,
            Poll::Pending => return self.wait(cx).map(|error| Some(Err(error))),
        };
        self.waiting = false;
        Poll::Ready(match next {
            Some(Ok(frame)) => Some(self.pass(frame)),
            Some(Err(error)) => {
                let error = error.into();
                let why: fn(&Progress) -> &AtomicBool = if is_malformed(&*error) {
                    |progress| &progress.malformed
                } else {
                    |progress| &progress.failed
                };
                Some(Err(self.cut(why, error)))
            }
            // hyper takes a reset without an error code for an end.
            None if self.body.size_hint().exact().is_some_and(|missing| missing > 0) => {
                let error = "the client's body is shorter than it said";
                Some(Err(self.cut(|progress| &progress.failed, error)))
            }
            None => {
                self.end();
                None
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }

    /// The client is silent: ready once that is for too long.
    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<BodyError> {
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(self.silence)));
        if !self.waiting {
            self.waiting = true;
            timer.as_mut().reset(Instant::now() + self.silence);
        }
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(self.cut(|progress| &progress.slow, "the client's body fell silent"))
    }

    fn pass(&mut self, mut frame: Frame<Bytes>) -> Result<Frame<Bytes>, BodyError> {
        if let Some(trailers) = frame.trailers_mut() {
            forward::strip_trailers(trailers);
            self.told.iter().for_each(|told| told.strip(trailers));
            if let Some(conn) = self.conn.as_ref().filter(|conn| !conn.is_http2()) {
                conn.retire();
            }
        }
        if let Some(data) = frame.data_ref() {
            let len = data.len() as u64;
            self.progress.bytes.fetch_add(len, Relaxed);
            let Some(left) = self.left.checked_sub(len) else {
                let error = "the client's body is over the bound";
                return Err(self.cut(|progress| &progress.large, error));
            };
            self.left = left;
            // A mirror that cannot keep up is given up: it may never delay the request.
            self.copies.retain(|copy| copy.put(data));
        }
        // Who knows that this was the last frame does not ask for another.
        if self.body.is_end_stream()
            || self.body.size_hint().exact() == Some(0)
            || frame.is_trailers()
        {
            self.end();
        }
        Ok(frame)
    }

    fn end(&mut self) {
        self.progress.ends();
        if let Some(conn) = self.conn.take() {
            conn.body_ends();
        }
        self.copies.drain(..).for_each(copy::Sender::end);
    }

    /// Why there is no whole body, for whoever asks later; the copies are cut too.
    fn cut(
        &mut self,
        why: impl FnOnce(&Progress) -> &AtomicBool,
        error: impl Into<BodyError>,
    ) -> BodyError {
        why(&self.progress).store(true, Relaxed);
        self.copies.clear();
        error.into()
    }
}

/// Whether hyper could not make sense of what the client sent, unlike a client that left.
fn is_malformed(error: &(dyn Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| (*error).source())
        .filter_map(|error| error.downcast_ref::<io::Error>())
        .any(|error| {
            matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData)
        })
}

impl Body for Upload {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Upload::Empty => Poll::Ready(None),
            Upload::Client(body) => body.poll(cx),
            Upload::Replay(body) => body.poll(cx),
            Upload::Copy(copy) => copy.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Upload::Empty => true,
            Upload::Client(body) => body.is_end_stream(),
            Upload::Replay(body) => body.is_end_stream(),
            Upload::Copy(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Upload::Empty => SizeHint::with_exact(0),
            Upload::Client(body) => body.size_hint(),
            Upload::Replay(body) => body.size_hint(),
            Upload::Copy(_) => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests;
