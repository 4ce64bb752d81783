//! A way by which something is told to the server: one frame after the other, each again until it is
//! kept there.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::Stream;
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};
use tonic::{Code, Response, Status, Streaming};
use wire::Kept;
use wire::client::SeeingClient;

use super::speaker::Wanted;
use crate::identity::{Connection, again};

/// A server that takes longer to keep a frame is asked anew.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest wait between two tries.
const TRYING: Duration = Duration::from_secs(10);

/// The frames of a stream, as it asks for them.
pub(super) struct Frames<T>(mpsc::Receiver<T>);

impl<T> Stream for Frames<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        self.0.poll_recv(context)
    }
}

/// The answers of a stream, once it is open.
pub(super) type Opening =
    Pin<Box<dyn Future<Output = Result<Response<Streaming<Kept>>, Status>> + Send>>;

/// What is told.
pub(super) trait Lane: Send {
    /// What travels.
    type Frame: Send + 'static;
    /// What that is, for people.
    const WHAT: &'static str;

    /// The frame that is not kept yet, or the next one once there is one.
    fn next(&mut self) -> impl Future<Output = Self::Frame> + Send;

    /// The last one is kept.
    fn kept(&mut self);

    /// The last one will never be taken; how much is lost by that.
    fn lose(&mut self) -> usize;

    /// Opens the stream.
    fn open(client: SeeingClient<Connection>, frames: Frames<Self::Frame>) -> Opening;
}

/// Tells for as long as anybody may want anything of it.
pub(super) async fn run<L: Lane>(mut lane: L, wanted: watch::Receiver<Wanted>) {
    let (mut failures, mut last) = (0, String::new());
    loop {
        let End { why, is_refused, kept } = tell(&mut lane, &wanted).await;
        if is_refused {
            // The server will never take it, and others wait behind it.
            let lost = lane.lose();
            tracing::warn!("{lost} {} are refused by the server: {why}", L::WHAT);
        } else if last != why {
            tracing::info!("{} are not told: {why}; they wait, and it is tried again", L::WHAT);
            last = why;
        }
        // What was kept in between says that the server is there.
        failures = if kept > 0 { 1 } else { failures + 1 };
        sleep(again(failures, TRYING * 10, rand::random())).await;
    }
}

/// Why a stream ended.
struct End {
    why: String,
    /// What was told last cannot be taken, also not another time.
    is_refused: bool,
    /// How many frames were kept before.
    kept: u64,
}

impl End {
    fn away(why: impl Into<String>) -> Self {
        End { why: why.into(), is_refused: false, kept: 0 }
    }

    fn after(self, kept: u64) -> Self {
        End { kept, ..self }
    }

    fn of(status: &Status) -> Self {
        End {
            why: status.message().to_owned(),
            is_refused: matches!(status.code(), Code::InvalidArgument | Code::OutOfRange),
            kept: 0,
        }
    }
}

/// Tells all that comes on one stream; comes back with why that ended.
async fn tell<L: Lane>(lane: &mut L, wanted: &watch::Receiver<Wanted>) -> End {
    let (say, said) = mpsc::channel(1);
    // The server may wait for our first word before it answers.
    let first = say.send(lane.next().await).await;
    let mut answers = match open::<L>(wanted, Frames(said)).await {
        Ok(answers) if first.is_ok() => answers,
        Ok(_) => return End::away("the server takes nothing any more"),
        Err(end) => return end,
    };
    let mut kept = 0;
    loop {
        match timeout(PATIENCE, answers.message()).await {
            Ok(Ok(Some(Kept { .. }))) => lane.kept(),
            Ok(Ok(None)) => return End::away("the server ended the stream").after(kept),
            Ok(Err(status)) => return End::of(&status).after(kept),
            Err(_) => return End::away("the server does not answer").after(kept),
        }
        kept += 1;
        if say.send(lane.next().await).await.is_err() {
            return End::away("the server takes nothing any more").after(kept);
        }
    }
}

/// Opens a stream on a connection of its own.
async fn open<L: Lane>(
    wanted: &watch::Receiver<Wanted>,
    frames: Frames<L::Frame>,
) -> Result<Streaming<Kept>, End> {
    let dialer = wanted.borrow().dialer.clone();
    let connection = dialer.dial().await.map_err(|away| End::away(away.to_string()))?;
    let client = SeeingClient::new(connection)
        .max_decoding_message_size(wire::FRAME)
        .max_encoding_message_size(wire::FRAME);
    let opened = timeout(PATIENCE, L::open(client, frames)).await;
    let opened = opened.map_err(|_| End::away("the server does not answer"))?;
    opened.map(Response::into_inner).map_err(|status| End::of(&status))
}
