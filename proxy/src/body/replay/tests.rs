//! A body that is sent again begins anew, as long as it is short.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use super::*;

/// A client's body of these frames.
struct Script(VecDeque<Frame<Bytes>>);

impl Body for Script {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Poll::Ready(self.get_mut().0.pop_front().map(Ok))
    }
}

fn of(frames: impl IntoIterator<Item = Frame<Bytes>>) -> (Arc<Replay<Script>>, Reader<Script>) {
    let script = Script(frames.into_iter().collect());
    let (body, _) = ClientBody::new(script, u64::MAX, Duration::from_secs(60), Vec::new());
    Replay::of(body)
}

fn chunk(byte: u8, length: usize) -> Frame<Bytes> {
    Frame::data(vec![byte; length].into())
}

/// The next chunk of a reader, `None` at the end.
async fn next(reader: &mut Reader<Script>) -> Option<Result<Frame<Bytes>, BodyError>> {
    poll_fn(|cx| reader.poll(cx)).await
}

/// All bytes to the end, and whether trailers came.
async fn whole(reader: &mut Reader<Script>) -> (Vec<u8>, bool) {
    let (mut bytes, mut trailers) = (Vec::new(), false);
    while let Some(frame) = next(reader).await {
        let frame = frame.unwrap();
        bytes.extend(frame.data_ref().into_iter().flatten());
        trailers |= frame.is_trailers();
    }
    (bytes, trailers)
}

#[tokio::test]
async fn each_reader_gets_the_whole_body_wherever_the_one_before_stopped() {
    let trailers = || Frame::trailers(HeaderMap::new());
    let (replay, mut first) = of([chunk(1, 3), chunk(2, 4), trailers()]);
    next(&mut first).await.unwrap().unwrap();
    let expected = [vec![1; 3], vec![2; 4]].concat();
    for _ in 0..3 {
        let mut again = replay.read().unwrap();
        assert_eq!(whole(&mut again).await, (expected.clone(), true));
        assert!(again.is_end_stream());
        assert!(next(&mut again).await.is_none(), "an end is an end");
    }
}

#[tokio::test]
async fn a_reader_that_was_followed_gets_no_more_and_takes_nothing() {
    let (replay, mut first) = of([chunk(1, 3), chunk(2, 4)]);
    next(&mut first).await.unwrap().unwrap();
    let mut again = replay.read().unwrap();
    assert!(next(&mut first).await.unwrap().is_err());
    assert_eq!(whole(&mut again).await.0.len(), 7);
}

#[tokio::test]
async fn what_is_over_the_bound_goes_on_once_and_not_again() {
    let (replay, mut first) = of([chunk(1, KEPT), chunk(2, 1), chunk(3, 5)]);
    next(&mut first).await.unwrap().unwrap();
    assert_eq!(first.size_hint().lower(), 0);
    assert!(replay.read().is_some(), "just within the bound");
    let (replay, mut first) = of([chunk(1, KEPT), chunk(2, 1), chunk(3, 5)]);
    assert_eq!(whole(&mut first).await.0.len(), KEPT + 6);
    assert!(replay.read().is_none());
}

#[tokio::test]
async fn how_much_is_left_counts_what_was_kept() {
    let (replay, mut first) = of([chunk(1, 30), chunk(2, 12)]);
    whole(&mut first).await;
    let mut again = replay.read().unwrap();
    assert_eq!(again.size_hint().lower(), 42);
    assert!(!again.is_end_stream());
    next(&mut again).await.unwrap().unwrap();
    assert_eq!(again.size_hint().lower(), 12);
}

#[tokio::test]
async fn pieces_without_end_are_not_kept_however_short_they_are() {
    let (replay, mut first) = of((0..3 * PIECES).map(|_| chunk(0, 0)).chain([chunk(1, 2)]));
    assert_eq!(whole(&mut first).await.0.len(), 2);
    assert_eq!(replay.lock().kept.len(), 1, "what is empty is nothing");
    let (replay, mut first) = of((0..2 * PIECES).map(|_| chunk(7, 1)));
    assert_eq!(whole(&mut first).await.0.len(), 2 * PIECES);
    assert!(replay.read().is_none() && replay.lock().kept.is_empty());
}
