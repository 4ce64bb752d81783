//! `callee ADDRESS`: who answers calls of gRPC in the benchmarks, over HTTP/2 without TLS.
//!
//! A method `Stream` is answered with 32 messages of 1,024 bytes, each in a frame of its own, any other one
//! with 12 bytes; the call is read to its end before.
#![forbid(unsafe_code)]

use std::convert::Infallible;
use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use bytes::{BufMut as _, Bytes, BytesMut};
use clap::Parser;
use futures::stream;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Body, Frame, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SMALL: &[u8] = b"hello world\n";
/// How many messages a stream has, and the bytes of each.
const STREAMED: (usize, usize) = (32, 1024);

#[derive(Debug, Parser)]
#[command(about = "Answer calls of gRPC, all alike")]
struct Args {
    /// Where they come in.
    listen: SocketAddr,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let args = Args::parse();
    let listener = TcpListener::bind(args.listen).await;
    let listener = listener.with_context(|| format!("listening on {}", args.listen))?;
    let answers = Answers { one: message(SMALL), many: message(&[b'x'; STREAMED.1]) };
    loop {
        let (stream, _peer) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let answers = answers.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| answers.clone().answer(request));
            // A caller that goes away in the middle is no news.
            let _ended = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

/// A message as it is sent: not compressed, its length, and itself.
fn message(text: &[u8]) -> Bytes {
    let mut message = BytesMut::new();
    message.put_u8(0);
    message.put_u32(text.len() as u32);
    message.put_slice(text);
    message.freeze()
}

/// The messages that calls are answered with.
#[derive(Clone)]
struct Answers {
    one: Bytes,
    many: Bytes,
}

impl Answers {
    async fn answer(
        self,
        call: Request<Incoming>,
    ) -> Result<Response<impl Body<Data = Bytes, Error = Infallible>>, hyper::Error> {
        let is_stream = call.uri().path().ends_with("/Stream");
        call.into_body().collect().await?;
        let messages = match is_stream {
            true => vec![self.many; STREAMED.0],
            false => vec![self.one],
        };
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        let frames = messages.into_iter().map(Frame::data).chain([Frame::trailers(trailers)]);
        let mut answer = Response::new(StreamBody::new(stream::iter(frames.map(Ok))));
        let grpc = HeaderValue::from_static("application/grpc");
        answer.headers_mut().insert(CONTENT_TYPE, grpc);
        Ok(answer)
    }
}
