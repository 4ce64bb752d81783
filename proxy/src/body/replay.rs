//! A client's body that may have to be sent more than once.
//!
//! What was passed on is kept for as long as it is short. Who sends the request again begins with what
//! was kept and goes on with the client; whoever sent it before gets no more of it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::{BodyError, ClientBody, Upload};

/// The most bytes of a body that are kept to be sent again.
pub(crate) const KEPT: usize = 64 << 10;
/// And in how many pieces: each costs something, however short it is.
const PIECES: usize = 1024;

/// A body with what was passed on of it.
#[derive(Debug)]
pub(crate) struct Replay<B = Incoming>(Mutex<Source<B>>);

#[derive(Debug)]
struct Source<B> {
    body: ClientBody<B>,
    kept: Vec<Bytes>,
    trailers: Option<HeaderMap>,
    /// How many bytes those are.
    bytes: usize,
    is_short: bool,
    ended: bool,
    /// Which reader gets it: each one that begins takes it from the one before.
    turn: u32,
    /// Who waits for more of it.
    waits: Option<Waker>,
}

/// One sending of the body.
#[derive(Debug)]
pub(crate) struct Reader<B = Incoming> {
    replay: Arc<Replay<B>>,
    turn: u32,
    /// How many of the kept chunks it has passed on.
    next: usize,
    /// The trailers were passed on, too.
    ended: bool,
}

impl Replay {
    /// Of this body, and the first sending of it.
    pub(crate) fn new(body: ClientBody) -> (Arc<Self>, Upload) {
        let (replay, reader) = Self::of(body);
        (replay, Upload::Replay(Box::new(reader)))
    }

    /// Whether the body is there from its beginning.
    pub(crate) fn is_there(&self) -> bool {
        self.lock().is_short
    }

    /// The body from its beginning; none once too much of it was passed on.
    pub(crate) fn begin(self: &Arc<Self>) -> Option<Upload> {
        self.read().map(|reader| Upload::Replay(Box::new(reader)))
    }
}

impl<B> Replay<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BodyError>,
{
    fn of(body: ClientBody<B>) -> (Arc<Self>, Reader<B>) {
        let replay = Arc::new(Replay(Mutex::new(Source {
            body,
            kept: Vec::new(),
            trailers: None,
            bytes: 0,
            is_short: true,
            ended: false,
            turn: 0,
            waits: None,
        })));
        let reader = Reader { replay: Arc::clone(&replay), turn: 0, next: 0, ended: false };
        (replay, reader)
    }

    fn read(self: &Arc<Self>) -> Option<Reader<B>> {
        let mut source = self.lock();
        if !source.is_short {
            return None;
        }
        source.turn += 1;
        // Who read before waits for nothing any more, and is to know it.
        source.waits.take().into_iter().for_each(Waker::wake);
        let (replay, turn) = (Arc::clone(self), source.turn);
        Some(Reader { replay, turn, next: 0, ended: false })
    }

    /// One request's connections alone take it, one after the other.
    fn lock(&self) -> MutexGuard<'_, Source<B>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B> Source<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BodyError>,
{
    /// The next frame of the client's, kept if it may be.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Poll::Ready(frame) = self.body.poll(cx) else {
            self.waits = Some(cx.waker().clone());
            return Poll::Pending;
        };
        let frame = match frame {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => {
                self.is_short = false;
                return Poll::Ready(Some(Err(error)));
            }
            None => {
                self.ended = true;
                return Poll::Ready(None);
            }
        };
        if let Some(data) = frame.data_ref() {
            self.keep(data);
        }
        if let Some(trailers) = frame.trailers_ref() {
            self.trailers = self.is_short.then(|| trailers.clone());
            self.ended = true;
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn keep(&mut self, data: &Bytes) {
        self.bytes += data.len();
        if self.is_short && self.bytes <= KEPT && self.kept.len() < PIECES {
            if !data.is_empty() {
                self.kept.push(data.clone());
            }
        } else {
            self.is_short = false;
            self.kept = Vec::new();
        }
    }
}

impl<B> Reader<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BodyError>,
{
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut source = self.replay.lock();
        if source.turn != self.turn {
            return Poll::Ready(Some(Err("the request is sent again elsewhere".into())));
        }
        if let Some(data) = source.kept.get(self.next) {
            self.next += 1;
            return Poll::Ready(Some(Ok(Frame::data(data.clone()))));
        }
        if source.ended {
            let trailers = source.trailers.clone().filter(|_| !self.ended);
            self.ended = true;
            return Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))));
        }
        let polled = source.poll(cx);
        self.next = source.kept.len();
        self.ended = source.ended;
        polled
    }

    pub(super) fn is_end_stream(&self) -> bool {
        let source = self.replay.lock();
        let is_over = source.ended || source.body.is_end_stream();
        let is_told = self.ended || source.trailers.is_none();
        is_over && is_told && self.next >= source.kept.len()
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        let source = self.replay.lock();
        let left: usize = source.kept.iter().skip(self.next).map(Bytes::len).sum();
        let (left, of_client) = (left as u64, source.body.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(left + of_client.lower());
        if let Some(upper) = of_client.upper() {
            hint.set_upper(left + upper);
        }
        hint
    }
}

#[cfg(test)]
mod tests;
