//! What a task writes goes out once it has run, all of it, in its order, and what fails is told.

use std::convert::Infallible;
use std::{iter, vec};

use bytes::Bytes;
use futures::task::noop_waker;
use futures::{FutureExt as _, stream};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Incoming;
use hyper::client::conn::http2 as client;
use hyper::server::conn::http2 as server;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::AsyncWriteExt as _;

use super::*;

/// Takes so many bytes as it has room for, and notes them by the writes in which they came.
#[derive(Debug)]
struct Peer {
    room: usize,
    took: Vec<usize>,
    got: Vec<u8>,
    is_shut: bool,
    is_gone: bool,
}

impl Peer {
    fn with_room(room: usize) -> Self {
        Peer { room, took: Vec::new(), got: Vec::new(), is_shut: false, is_gone: false }
    }
}

impl AsyncWrite for Peer {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(data)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        data: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.is_gone {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if self.room == 0 {
            return Poll::Pending;
        }
        let before = self.got.len();
        let room = self.room;
        self.got.extend(data.iter().flat_map(|piece| piece.iter()).take(room));
        let taken = self.got.len() - before;
        self.room -= taken;
        self.took.push(taken);
        Poll::Ready(Ok(taken))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.is_shut = true;
        Poll::Ready(Ok(()))
    }
}

/// Runs once, as a task of a connection.
fn run<T>(cork: &Cork<Peer>, task: impl FnOnce(Pin<&mut Cork<Peer>>, &mut Context<'_>) -> T) -> T {
    let (waker, mut io) = (noop_waker(), cork.clone());
    cork.run(&mut Context::from_waker(&waker), |cx| task(Pin::new(&mut io), cx))
}

/// Writes all of it, as `h2` does: each piece with a flush behind it.
fn say(cork: &Cork<Peer>, pieces: &[&[u8]]) {
    run(cork, |mut io, cx| {
        for piece in pieces {
            let written = io.as_mut().poll_write(cx, piece).map(Result::unwrap);
            assert_eq!(written, Poll::Ready(piece.len()));
            assert!(matches!(io.as_mut().poll_flush(cx), Poll::Ready(Ok(()))));
        }
    });
}

#[test]
fn a_task_is_sent_for_once() {
    let cork = Cork::new(Peer::with_room(usize::MAX));
    say(&cork, &[b"one ", b"two ", b"three"]);
    assert_eq!(cork.held().io.took, [13]);
    run(&cork, |_, _| ());
    say(&cork, &[b" four"]);
    let held = cork.held();
    assert_eq!((&*held.io.took, &*held.io.got), (&[13, 5][..], &b"one two three four"[..]));
    assert_eq!(held.written.capacity(), 0, "an idle connection holds nothing");
}

#[test]
fn what_is_large_goes_by_itself_and_in_its_place() {
    let cork = Cork::new(Peer::with_room(usize::MAX));
    let large = vec![b'x'; LARGE];
    say(&cork, &[b"before", &large, b"after"]);
    let held = cork.held();
    assert_eq!(held.io.took, [6, LARGE, 5]);
    assert_eq!(held.io.got, [b"before", &*large, b"after"].concat());
}

#[test]
fn no_more_than_the_bound_is_held() {
    let cork = Cork::new(Peer::with_room(0));
    let piece = [b'x'; LARGE - 1];
    let taken = run(&cork, |mut io, cx| {
        (0..).take_while(|_| io.as_mut().poll_write(cx, &piece).is_ready()).count()
    });
    assert_eq!(taken, MOST / piece.len());
    assert_eq!(cork.held().written.len(), taken * piece.len());
}

#[test]
fn what_the_stream_has_no_room_for_goes_when_it_has() {
    let cork = Cork::new(Peer::with_room(5));
    say(&cork, &[b"one ", b"two "]);
    assert_eq!(cork.held().io.got, b"one t");
    cork.held().io.room = usize::MAX;
    // A task that wrote nothing does not take over the wait of one that did.
    run(&cork, |_, _| ());
    assert_eq!(cork.held().io.got, b"one t");
    say(&cork, &[b"three"]);
    assert_eq!(cork.held().io.got, b"one two three");
}

#[test]
fn what_fails_is_told_to_what_comes_next() {
    let cork = Cork::new(Peer { is_gone: true, ..Peer::with_room(0) });
    say(&cork, &[b"one"]);
    let next = run(&cork, |io, cx| io.poll_flush(cx).map_err(|error| error.kind()));
    assert_eq!(next, Poll::Ready(Err(io::ErrorKind::BrokenPipe)));
}

#[test]
fn all_is_sent_before_the_end() {
    let cork = Cork::new(Peer::with_room(2));
    let mut ending = cork.clone();
    let end = async {
        ending.write_all(b"bye").await?;
        ending.shutdown().await
    };
    let mut end = pin!(end);
    assert!(end.as_mut().now_or_never().is_none());
    assert!(!cork.held().io.is_shut, "something is not sent");
    cork.held().io.room = usize::MAX;
    assert!(matches!(end.now_or_never(), Some(Ok(()))));
    let held = cork.held();
    assert_eq!((held.io.is_shut, &*held.io.got), (true, &b"bye"[..]));
}

/// Counts what a stream is written.
#[derive(Debug)]
struct Counted<S> {
    io: S,
    writes: usize,
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, data);
        self.writes += usize::from(written.is_ready());
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

type Pieces = stream::Iter<vec::IntoIter<Result<Frame<Bytes>, Infallible>>>;

/// A body of so many frames, all there, each too long for `h2` to copy.
fn pieces(count: usize) -> StreamBody<Pieces> {
    let frame = || Ok(Frame::data(Bytes::from_static(&[b'x'; 300])));
    StreamBody::new(stream::iter(iter::repeat_with(frame).take(count).collect::<Vec<_>>()))
}

#[tokio::test]
async fn many_frames_of_a_connection_go_in_few_writes() {
    let (here, there) = tokio::io::duplex(1 << 20);
    let corks = [here, there].map(|io| Cork::new(Counted { io, writes: 0 }));
    let [near, far] = corks.clone();
    let serving = async move {
        let io = TokioIo::new(far.clone());
        let answer = service_fn(async |request: Request<Incoming>| {
            let sent = request.into_body().collect().await?.to_bytes();
            assert_eq!(sent.len(), 32 * 300);
            Ok::<_, hyper::Error>(Response::new(pieces(32)))
        });
        let server = server::Builder::new(TokioExecutor::new());
        let connection = pin!(server.serve_connection(io, answer));
        Corked { connection, cork: far }.await
    };
    let calling = async move {
        let io = TokioIo::new(near.clone());
        let client = client::Builder::new(Corks(near));
        let (mut sender, connection) = client.handshake(io).await?;
        let call = async move {
            let request = Request::post("http://there/").body(pieces(32)).unwrap();
            let answer = sender.send_request(request).await?;
            answer.into_body().collect().await
        };
        let (answered, ended) = tokio::join!(call, connection);
        ended.and(answered)
    };
    let (served, answered) = tokio::join!(serving, calling);
    served.unwrap();
    assert_eq!(answered.unwrap().to_bytes().len(), 32 * 300);
    for cork in corks {
        // One for each way that anything takes: settings, windows, the message, the farewell.
        let writes = cork.held().io.writes;
        assert!(writes < 16, "{writes} writes for 32 frames");
    }
}
