//! Answers on their way to the client, each carrying the record of its exchange to the end.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Method, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use policy::Reason;
use tokio::time::{Instant, Sleep};

use crate::balance::{Said, Turn};
use crate::body::BodyError;
use crate::compress::Compressed;
use crate::grpc::{self, Code};
use crate::live::Service;
use crate::pool::Lease;
use crate::record::Record;
use crate::steady;

/// The body of an answer.
#[derive(Debug)]
pub(crate) enum Reply {
    /// Ours: a few bytes, or none.
    Ours { body: Option<Bytes>, record: Box<Record> },
    /// None: the connection was switched to a tunnel, which has the record.
    Switched,
    /// A backend's, as it comes.
    Backend(Box<Stream>),
    /// A backend's, compressed here.
    Compressed(Box<Compressed>),
}

/// A backend's body and what is held until it has ended.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) body: Incoming,
    pub(crate) record: Box<Record>,
    /// Given back when the body is through; `None` where the connection cannot be used again.
    pub(crate) lease: Option<Lease>,
    /// The endpoint's turn, over with the body.
    pub(crate) turn: Option<Turn>,
    /// Who is told what a call says at its end, where its head said nothing.
    pub(crate) judge: Option<Arc<Service>>,
    /// When the whole exchange must be over.
    pub(crate) deadline: Option<Instant>,
    /// Longest silence of the backend.
    pub(crate) silence: Duration,
    /// Runs while the backend is waited for.
    pub(crate) timer: Option<Pin<Box<Sleep>>>,
    /// How far the client's body is.
    pub(crate) upload: Option<Arc<crate::body::Progress>>,
}

impl Reply {
    /// The record of the exchange, while it travels with the answer.
    pub(crate) fn record(&self) -> Option<&Record> {
        match self {
            Reply::Ours { record, .. } => Some(record),
            Reply::Backend(stream) => Some(&stream.record),
            Reply::Compressed(body) => Some(&body.stream.record),
            Reply::Switched => None,
        }
    }
}

impl Stream {
    /// Whether nothing more comes.
    pub(crate) fn is_end(&self) -> bool {
        self.body.is_end_stream()
    }

    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        steady::asked();
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else {
            return self.wait(cx);
        };
        self.timer = None;
        Poll::Ready(match frame {
            None => {
                self.end();
                None
            }
            Some(Ok(frame)) => {
                steady::gave();
                self.record.bytes_out += frame.data_ref().map_or(0, |data| data.len() as u64);
                if let (Some(call), Some(trailers)) = (&mut self.record.call, frame.trailers_ref())
                {
                    call.code = Code::of(trailers).or(call.code);
                }
                // Nobody asks for what could follow trailers.
                if self.body.is_end_stream() || frame.is_trailers() {
                    self.end();
                }
                Some(Ok(frame))
            }
            Some(Err(error)) => {
                self.record.reason = Reason::UpstreamReset;
                self.record.detail = Some(error.to_string().into());
                self.lease = None;
                let is_callers = self.upload.as_ref().is_some_and(|upload| upload.is_blamed());
                if let (Some(service), Some(turn)) = (self.judge.take(), &self.turn)
                    && !is_callers
                {
                    turn.ended(&service, Said::Failed);
                }
                Some(Err(error.into()))
            }
        })
    }

    /// The backend is silent: for how long may it be?
    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let (silence, deadline) = (self.silence, self.deadline);
        let timer = self.timer.get_or_insert_with(|| {
            let silent = Instant::now() + silence;
            Box::pin(tokio::time::sleep_until(deadline.map_or(silent, |at| at.min(silent))))
        });
        ready!(timer.as_mut().poll(cx));
        let over = deadline.is_some_and(|at| at <= Instant::now());
        let (reason, text) = if over {
            (Reason::RequestTimeout, "the request's time is over")
        } else {
            (Reason::BackendTimeout, "the backend fell silent")
        };
        self.record.reason = reason;
        self.record.detail = Some(text.into());
        self.lease = None;
        Poll::Ready(Some(Err(text.into())))
    }

    /// The whole body went through: the connection may serve another request, unless the client's
    /// body is still on it.
    pub(crate) fn end(&mut self) {
        let code = self.record.call.as_ref().and_then(|call| call.code);
        if let (Some(service), Some(turn)) = (self.judge.take(), &self.turn) {
            turn.ended(&service, code.map_or(Said::Well, |code| code.says(service.ejection())));
        }
        self.turn = None;
        let whole = self.upload.as_ref().is_none_or(|upload| upload.is_whole());
        if let Some(lease) = self.lease.take()
            && whole
        {
            lease.end();
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Some(upload) = &self.upload {
            self.record.bytes_in = upload.bytes();
        }
        // Dropped before its end: the client left.
        if self.turn.is_some() && !self.body.is_end_stream() && self.record.reason == Reason::Ok {
            self.record.reason = Reason::ClientGone;
        }
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Reply::Ours { body, .. } => {
                let data = body.take();
                if data.is_some() {
                    steady::gave()
                } else {
                    steady::asked()
                }
                Poll::Ready(data.map(|data| Ok(Frame::data(data))))
            }
            Reply::Backend(stream) => stream.poll(cx),
            Reply::Compressed(body) => body.poll(cx),
            Reply::Switched => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Reply::Ours { body, .. } => body.is_none(),
            Reply::Backend(stream) => stream.is_end(),
            Reply::Compressed(body) => body.is_end(),
            Reply::Switched => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Reply::Ours { body, .. } => {
                SizeHint::with_exact(body.as_ref().map_or(0, |data| data.len() as u64))
            }
            Reply::Backend(stream) => stream.body.size_hint(),
            Reply::Compressed(_) => SizeHint::default(),
            Reply::Switched => SizeHint::with_exact(0),
        }
    }
}

/// An answer of ours: an RFC 9457 problem with the closed word for what happened and the
/// request's id, never with what a policy says; to a gRPC call its status with that word.
pub(crate) fn problem(
    mut record: Box<Record>,
    status: StatusCode,
    reason: Reason,
) -> Response<Reply> {
    record.status = Some(status);
    record.reason = reason;
    // A client that is taken to be gone may still read; its 499 is a word of logs alone.
    let status = if reason == Reason::ClientGone { StatusCode::BAD_REQUEST } else { status };
    // A redirect, or what a browser asks before a page may call: gRPC has no words for either.
    let is_bare = status.is_redirection() || status == StatusCode::NO_CONTENT;
    if record.call.is_some() && !is_bare {
        return call_answered(record, reason);
    }
    let body = (!is_bare).then(|| {
        let id = record.request_id.to_str().unwrap_or_default();
        Bytes::from(format!(
            "{{\"status\":{},\"reason\":\"{}\",\"request_id\":\"{id}\"}}\n",
            status.as_u16(),
            reason.as_str(),
        ))
    });
    let length = body.as_ref().map_or(0, |data| data.len() as u64);
    // hyper takes the body off over HTTP/1.1 alone.
    let body = body.filter(|_| record.method != Method::HEAD);
    record.bytes_out = if body.is_some() { length } else { 0 };
    let mut response = Response::new(Reply::Ours { body, record });
    *response.status_mut() = status;
    let headers = response.headers_mut();
    // A 204 has no length to tell of (RFC 9110, section 8.6).
    if status != StatusCode::NO_CONTENT {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    if length > 0 {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    }
    response
}

/// The same to a gRPC call, which reads no other status than its own.
fn call_answered(mut record: Box<Record>, reason: Reason) -> Response<Reply> {
    let mut headers = http::HeaderMap::new();
    let code = Some(grpc::answer(&mut headers, reason));
    record.call = Some(grpc::Call { code });
    record.status = Some(StatusCode::OK);
    record.bytes_out = 0;
    let mut response = Response::new(Reply::Ours { body: None, record });
    *response.headers_mut() = headers;
    response
}
