//! Bodies on their way: from the client to a backend, counted and bounded.

use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep};

/// What ends a body before its end.
pub(crate) type BodyError = Box<dyn Error + Send + Sync>;

/// The body of a request to a backend.
#[derive(Debug)]
pub(crate) enum Upload {
    /// None.
    Empty,
    /// The client's, as it comes.
    Client(Box<ClientBody>),
    /// A mirror's copy.
    Copy(mpsc::Receiver<Bytes>),
}

/// What is known of an upload while it runs.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    bytes: AtomicU64,
    whole: AtomicBool,
    slow: AtomicBool,
    large: AtomicBool,
}

impl Progress {
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    /// The whole body was handed over: the connection may serve another request.
    pub(crate) fn is_whole(&self) -> bool {
        self.whole.load(Relaxed)
    }

    /// The client fell silent for longer than the bound.
    pub(crate) fn was_slow(&self) -> bool {
        self.slow.load(Relaxed)
    }

    /// The client sent more than the bound.
    pub(crate) fn was_large(&self) -> bool {
        self.large.load(Relaxed)
    }
}

/// A client's body with its bounds.
#[derive(Debug)]
pub(crate) struct ClientBody {
    body: Incoming,
    progress: Arc<Progress>,
    left: u64,
    silence: Duration,
    timer: Pin<Box<Sleep>>,
    mirrors: Vec<mpsc::Sender<Bytes>>,
}

impl ClientBody {
    /// `limit` bytes at most, never silent for longer than `silence`; `mirrors` get copies.
    pub(crate) fn new(
        body: Incoming,
        limit: u64,
        silence: Duration,
        mirrors: Vec<mpsc::Sender<Bytes>>,
    ) -> (Self, Arc<Progress>) {
        let progress = Arc::new(Progress::default());
        let timer = Box::pin(tokio::time::sleep(silence));
        let shared = Arc::clone(&progress);
        (ClientBody { body, progress, left: limit, silence, timer, mirrors }, shared)
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else {
            ready!(self.timer.as_mut().poll(cx));
            self.progress.slow.store(true, Relaxed);
            return Poll::Ready(Some(Err("the client's body fell silent".into())));
        };
        self.timer.as_mut().reset(Instant::now() + self.silence);
        Poll::Ready(match frame {
            None => {
                self.progress.whole.store(true, Relaxed);
                None
            }
            Some(Err(error)) => Some(Err(error.into())),
            Some(Ok(frame)) => Some(self.count(frame)),
        })
    }

    fn count(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, BodyError> {
        if let Some(data) = frame.data_ref() {
            let len = data.len() as u64;
            self.progress.bytes.fetch_add(len, Relaxed);
            self.left = self.left.checked_sub(len).ok_or_else(|| {
                self.progress.large.store(true, Relaxed);
                "the client's body is over the bound"
            })?;
            // A mirror that cannot keep up is given up: it may never delay the request.
            self.mirrors.retain(|mirror| mirror.try_send(data.clone()).is_ok());
        }
        if self.body.is_end_stream() {
            self.progress.whole.store(true, Relaxed);
        }
        Ok(frame)
    }
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
            Upload::Copy(copy) => copy.poll_recv(cx).map(|data| data.map(|d| Ok(Frame::data(d)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Upload::Empty => true,
            Upload::Client(body) => body.body.is_end_stream(),
            Upload::Copy(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Upload::Empty => SizeHint::with_exact(0),
            Upload::Client(body) => body.body.size_hint(),
            Upload::Copy(_) => SizeHint::default(),
        }
    }
}
