//! Takes what was counted of requests to the server: each stretch of time once.
//!
//! A stretch is cut into frames, and each of them is told under its number until it is kept, so what
//! is told again is known by its number.
//! What is counted meanwhile waits in the counters and makes the next stretch, however long.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tonic::Request;
use wire::client::SeeingClient;
use wire::{Counts, Series};

use super::lane::{Frames, Lane, Opening};
use crate::identity::Connection;
use crate::traffic::Traffic;

/// How long a stretch is, while the server is there.
const STRETCH: Duration = Duration::from_secs(1);
/// After so long without a request the server is told that there was none.
const QUIET: Duration = Duration::from_secs(5);

/// Tells counts.
pub(super) struct Counter {
    traffic: Arc<Traffic>,
    start: u64,
    number: u64,
    /// Frames of the last stretch that are not kept yet; never empty ones but the only one.
    left: VecDeque<Vec<Series>>,
    /// When that stretch began, and when it ended.
    began: Instant,
    ended: Instant,
}

impl Counter {
    pub(super) fn new(traffic: Arc<Traffic>) -> Self {
        let now = Instant::now();
        let left = VecDeque::new();
        Counter { traffic, start: rand::random(), number: 1, left, began: now, ended: now }
    }

    /// Waits until there is something to tell, and cuts it into frames.
    async fn stretch(&mut self) {
        let began = self.ended;
        let mut next = began + STRETCH;
        loop {
            sleep_until(next).await;
            let (series, now) = (self.traffic.take(), Instant::now());
            if !series.is_empty() || now >= began + QUIET {
                (self.began, self.ended) = (began, now);
                self.left.extend(series.chunks(wire::SERIES).map(<[_]>::to_vec));
                if self.left.is_empty() {
                    self.left.push_back(Vec::new());
                }
                return;
            }
            next = now + STRETCH;
        }
    }
}

impl Lane for Counter {
    type Frame = Counts;
    const WHAT: &'static str = "counts of requests";

    async fn next(&mut self) -> Counts {
        if self.left.is_empty() {
            self.stretch().await;
        }
        let (start, number) = (self.start, self.number);
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let ago = micros(self.ended.elapsed());
        let lasted = micros(self.ended - self.began);
        let series = self.left.front().cloned().unwrap_or_default();
        Counts { start, number, ago, lasted, series }
    }

    fn kept(&mut self) {
        self.left.pop_front();
        self.number += 1;
    }

    fn lose(&mut self) -> usize {
        let lost = self.left.pop_front().unwrap_or_default();
        self.number += 1;
        let lost = lost.iter().flat_map(|series| series.outcomes).sum::<u64>();
        self.traffic.lose(lost);
        usize::try_from(lost).unwrap_or(usize::MAX)
    }

    fn open(mut client: SeeingClient<Connection>, frames: Frames<Counts>) -> Opening {
        Box::pin(async move { client.count(Request::new(frames)).await })
    }
}
