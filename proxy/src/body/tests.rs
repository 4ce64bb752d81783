//! Bodies without sockets: what a script says comes from the client, and what a mirror then sees.

use std::collections::VecDeque;
use std::convert::Infallible;

use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn as client;
use hyper::server::conn::{http1, http2};
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncWriteExt as _, duplex};
use tokio::sync::mpsc;

use super::*;

const LONG: Duration = Duration::from_secs(60);

/// A client's body that does as written.
#[derive(Debug, Default)]
struct Script {
    frames: VecDeque<Result<Frame<Bytes>, &'static str>>,
    /// The length that was announced, less what came.
    length: Option<u64>,
    /// Silent after its frames, for ever.
    falls_silent: bool,
}

impl Script {
    fn new(chunks: &[&'static str]) -> Self {
        let frames =
            chunks.iter().map(|chunk| Ok(Frame::data(Bytes::from_static(chunk.as_bytes()))));
        Script { frames: frames.collect(), ..Script::default() }
    }

    fn then(mut self, frame: Result<Frame<Bytes>, &'static str>) -> Self {
        self.frames.push_back(frame);
        self
    }
}

impl Body for Script {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let script = self.get_mut();
        let Some(frame) = script.frames.pop_front() else {
            return if script.falls_silent { Poll::Pending } else { Poll::Ready(None) };
        };
        if let (Some(length), Ok(Some(data))) =
            (&mut script.length, frame.as_ref().map(Frame::data_ref))
        {
            *length -= data.len() as u64;
        }
        Poll::Ready(Some(frame.map_err(Into::into)))
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// Reads as a backend does: to the first of end and error, or as long as `frames` says.
async fn read(body: &mut ClientBody<Script>, frames: usize) -> Result<(), BodyError> {
    for _ in 0..frames {
        match std::future::poll_fn(|cx| body.poll(cx)).await {
            Some(frame) => drop(frame?),
            None => return Ok(()),
        }
    }
    Ok(())
}

/// What a mirror is sent: the bytes, or that they are not all.
async fn seen(copy: copy::Receiver) -> Result<Bytes, BodyError> {
    Ok(Upload::Copy(copy).collect().await?.to_bytes())
}

/// One client's body with one copy, read to its end.
async fn run(script: Script, limit: u64, silence: Duration) -> (Arc<Progress>, copy::Receiver) {
    let (sender, receiver) = copy::channel(4);
    let (mut body, progress) = ClientBody::new(script, limit, silence, vec![sender]);
    let outcome = read(&mut body, usize::MAX).await;
    assert_eq!(outcome.is_ok(), progress.is_whole());
    (progress, receiver)
}

#[tokio::test]
async fn a_whole_body_has_a_whole_copy() {
    let (progress, copy) = run(Script::new(&["ab", "cd"]), 4, LONG).await;
    assert!(progress.is_whole() && !progress.broke_off());
    assert_eq!(progress.bytes(), 4);
    assert_eq!(seen(copy).await.unwrap(), "abcd");
}

#[tokio::test]
async fn a_client_that_breaks_off_is_known_and_its_copy_is_cut() {
    let (progress, copy) = run(Script::new(&["ab"]).then(Err("reset")), 9, LONG).await;
    assert!(progress.broke_off() && !progress.is_whole());
    assert!(!progress.was_slow() && !progress.was_large());
    seen(copy).await.unwrap_err();
}

#[tokio::test]
async fn an_end_before_the_length_that_was_announced_is_none() {
    let script = Script { length: Some(5), ..Script::new(&["ab"]) };
    let (progress, copy) = run(script, 9, LONG).await;
    assert!(progress.broke_off() && !progress.is_whole());
    seen(copy).await.unwrap_err();
}

#[tokio::test]
async fn a_body_over_a_bound_cuts_its_copy_and_is_not_the_clients_breaking_off() {
    let (progress, copy) = run(Script::new(&["ab", "cd"]), 3, LONG).await;
    assert!(progress.was_large() && !progress.broke_off());
    seen(copy).await.unwrap_err();
    let silent = Script { falls_silent: true, ..Script::new(&["ab"]) };
    let (progress, copy) = run(silent, 9, Duration::from_millis(1)).await;
    assert!(progress.was_slow() && !progress.broke_off());
    seen(copy).await.unwrap_err();
}

#[tokio::test]
async fn a_body_that_the_backend_leaves_unread_cuts_its_copy() {
    let (sender, receiver) = copy::channel(4);
    let script = Script::new(&["ab", "cd"]);
    let (mut body, progress) = ClientBody::new(script, 9, LONG, vec![sender]);
    read(&mut body, 1).await.unwrap();
    drop(body);
    assert!(!progress.is_whole() && !progress.broke_off());
    seen(receiver).await.unwrap_err();
}

#[tokio::test]
async fn the_end_is_seen_where_nobody_asks_for_another_frame() {
    let trailers = Frame::trailers(HeaderMap::new());
    for (script, frames) in [
        (Script { length: Some(4), falls_silent: true, ..Script::new(&["ab", "cd"]) }, 2),
        (Script { falls_silent: true, ..Script::new(&["ab", "cd"]).then(Ok(trailers)) }, 3),
    ] {
        let (sender, receiver) = copy::channel(4);
        let (mut body, progress) = ClientBody::new(script, 9, LONG, vec![sender]);
        read(&mut body, frames).await.unwrap();
        drop(body);
        assert!(progress.is_whole());
        assert_eq!(seen(receiver).await.unwrap(), "abcd");
    }
}

#[tokio::test]
async fn a_copy_that_lags_behind_is_cut_and_neither_the_body_nor_another_copy_is() {
    let (slow, lagging) = copy::channel(1);
    let (fast, keeping_up) = copy::channel(2);
    let script = Script::new(&["ab", "cd"]);
    let (mut body, progress) = ClientBody::new(script, 9, LONG, vec![slow, fast]);
    read(&mut body, usize::MAX).await.unwrap();
    assert!(progress.is_whole());
    seen(lagging).await.unwrap_err();
    // Full to the brim at its end, and whole all the same.
    assert_eq!(seen(keeping_up).await.unwrap(), "abcd");
}

type Never = Result<Response<Empty<Bytes>>, Infallible>;

/// A service that hands bodies over and never answers.
fn taker(
    to: mpsc::UnboundedSender<Incoming>,
) -> impl Service<
    Request<Incoming>,
    Response = Response<Empty<Bytes>>,
    Error = Infallible,
    Future = std::future::Pending<Never>,
> {
    service_fn(move |request: Request<Incoming>| {
        to.send(request.into_body()).unwrap();
        std::future::pending::<Never>()
    })
}

async fn first(mut bodies: mpsc::UnboundedReceiver<Incoming>) -> Incoming {
    bodies.recv().await.unwrap()
}

/// The outcome of `reading`, while a wire is driven that may well end sooner.
async fn beside<T>(wire: impl Future, reading: impl Future<Output = T>) -> T {
    let wire = async {
        drop(wire.await);
        std::future::pending::<Infallible>().await
    };
    let bounded = tokio::time::timeout(Duration::from_secs(10), reading);
    tokio::select! {
        never = wire => match never {},
        outcome = bounded => outcome.unwrap(),
    }
}

/// What comes of the body of a request that hyper reads off a wire, where `wire` comes and then
/// the client is gone.
async fn off_the_wire(wire: &[u8]) -> (Arc<Progress>, copy::Receiver) {
    let (mut client, server) = duplex(4096);
    client.write_all(wire).await.unwrap();
    drop(client);
    let (hand_over, bodies) = mpsc::unbounded_channel();
    let serving = http1::Builder::new().serve_connection(TokioIo::new(server), taker(hand_over));
    let reading = async {
        let (sender, receiver) = copy::channel(4);
        let body = first(bodies).await;
        let (body, progress) = ClientBody::new(body, 99, LONG, vec![sender]);
        let outcome = Upload::Client(Box::new(body)).collect().await;
        assert_eq!(outcome.is_ok(), progress.is_whole());
        (progress, receiver)
    };
    beside(serving, reading).await
}

#[tokio::test]
async fn a_wire_that_is_cut_in_a_body_is_a_client_that_broke_off() {
    let head = "POST / HTTP/1.1\r\nhost: a\r\n";
    for (rest, whole) in [
        ("content-length: 4\r\n\r\nabcd", true),
        ("content-length: 4\r\n\r\nab", false),
        ("transfer-encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n", true),
        ("transfer-encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\nx: y\r\n\r\n", true),
        ("transfer-encoding: chunked\r\n\r\n4\r\nabcd\r\n", false),
        ("transfer-encoding: chunked\r\n\r\n4\r\nab", false),
    ] {
        let (progress, copy) = off_the_wire(format!("{head}{rest}").as_bytes()).await;
        assert_eq!((progress.is_whole(), progress.broke_off()), (whole, !whole), "{rest:?}");
        assert_eq!(seen(copy).await.is_ok(), whole, "{rest:?}");
    }
}

/// What a backend's server makes of a copy that comes over HTTP/1.1 (`false`: HTTP/2), and to which
/// `then` happens when its first chunk has come.
async fn at_a_backend(
    copy: copy::Receiver,
    over_http1: bool,
    then: impl FnOnce(),
) -> Result<Bytes, hyper::Error> {
    let (near, far) = duplex(4096);
    let (hand_over, bodies) = mpsc::unbounded_channel();
    let request = Request::post("http://a/").body(Upload::Copy(copy)).unwrap();
    let (near, far, cores) = (TokioIo::new(near), TokioIo::new(far), TokioExecutor::new());
    let reading = async {
        let mut body = first(bodies).await;
        let chunk = body.frame().await.unwrap()?.into_data().unwrap();
        then();
        Ok([chunk, body.collect().await?.to_bytes()].concat().into())
    };
    if over_http1 {
        let (mut sender, wire) = client::http1::handshake(near).await.unwrap();
        let serving = http1::Builder::new().serve_connection(far, taker(hand_over));
        let talking = async { tokio::join!(sender.send_request(request), wire, serving) };
        beside(talking, reading).await
    } else {
        let (mut sender, wire) = client::http2::handshake(cores.clone(), near).await.unwrap();
        let serving = http2::Builder::new(cores).serve_connection(far, taker(hand_over));
        let talking = async { tokio::join!(sender.send_request(request), wire, serving) };
        beside(talking, reading).await
    }
}

#[tokio::test]
async fn a_backend_never_takes_a_copy_that_was_cut_for_a_whole_one() {
    for over_http1 in [true, false] {
        let (sender, copy) = copy::channel(4);
        assert!(sender.put(&Bytes::from_static(b"ab")));
        let whole = at_a_backend(copy, over_http1, || {
            assert!(sender.put(&Bytes::from_static(b"cd")));
            sender.end();
        });
        assert_eq!(whole.await.unwrap(), "abcd");
        let (sender, copy) = copy::channel(4);
        assert!(sender.put(&Bytes::from_static(b"ab")));
        at_a_backend(copy, over_http1, || drop(sender)).await.unwrap_err();
    }
}
