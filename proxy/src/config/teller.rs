//! Takes decisions to the server, and each batch again until it is kept there.

use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, stream};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};
use tonic::{Code, Request, Status, Streaming};
use wire::client::SeeingClient;
use wire::{Decision, Kept, Told};

use super::speaker::Wanted;
use crate::decisions::Decisions;
use crate::identity::again;

/// A decision waits no longer than this, while the server is there.
const PAUSE: Duration = Duration::from_millis(200);
/// A server that takes longer to keep a batch is asked anew.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest wait between two tries.
const TRYING: Duration = Duration::from_secs(10);

/// Takes them for as long as anybody may want anything of it.
pub(super) async fn run(decisions: Arc<Decisions>, wanted: watch::Receiver<Wanted>) {
    let mut batch = Vec::new();
    let (mut failures, mut last) = (0, String::new());
    loop {
        if batch.is_empty() {
            batch = next(&decisions).await;
        }
        let End { why, is_refused, kept } = tell(&decisions, &mut batch, &wanted).await;
        if is_refused {
            // The server will never take it, and others wait behind it.
            tracing::warn!("{} decisions are refused by the server: {why}", batch.len());
            decisions.lose(batch.len());
            batch.clear();
        } else if last != why {
            tracing::info!("decisions are not told: {why}; they wait, and it is tried again");
            last = why;
        }
        // What was kept in between says that the server is there.
        failures = if kept > 0 { 1 } else { failures + 1 };
        sleep(again(failures, TRYING * 10, rand::random())).await;
    }
}

/// What is to be told next.
async fn next(decisions: &Decisions) -> Vec<Decision> {
    loop {
        tokio::select! {
            () = decisions.wake.notified() => {}
            () = sleep(PAUSE) => {}
        }
        let batch = decisions.take();
        if !batch.is_empty() {
            return batch;
        }
    }
}

/// Why a stream of decisions ended.
struct End {
    why: String,
    /// What was told last cannot be taken, also not another time.
    is_refused: bool,
    /// How many batches were kept before.
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

/// Tells this batch and all that come after it on one stream; comes back with why that ended, and
/// leaves what was not kept.
async fn tell(
    decisions: &Decisions,
    batch: &mut Vec<Decision>,
    wanted: &watch::Receiver<Wanted>,
) -> End {
    let (say, mut said) = mpsc::channel(1);
    let frames = stream::poll_fn(move |context| said.poll_recv(context));
    let mut number = 1;
    // The server may wait for our first word before it answers.
    let first = say.send(told(number, batch, decisions)).await;
    let mut answers = match open(wanted, frames).await {
        Ok(answers) if first.is_ok() => answers,
        Ok(_) => return End::away("the server takes nothing any more"),
        Err(end) => return end,
    };
    loop {
        let kept = number - 1;
        match timeout(PATIENCE, answers.message()).await {
            Ok(Ok(Some(Kept { .. }))) => batch.clear(),
            Ok(Ok(None)) => return End::away("the server ended the stream").after(kept),
            Ok(Err(status)) => return End::of(&status).after(kept),
            Err(_) => return End::away("the server does not answer").after(kept),
        }
        *batch = next(decisions).await;
        number += 1;
        if say.send(told(number, batch, decisions)).await.is_err() {
            return End::away("the server takes nothing any more").after(number - 1);
        }
    }
}

/// Opens a stream on a connection of its own.
async fn open(
    wanted: &watch::Receiver<Wanted>,
    frames: impl Stream<Item = Told> + Send + 'static,
) -> Result<Streaming<Kept>, End> {
    let dialer = wanted.borrow().dialer.clone();
    let connection = dialer.dial().await.map_err(|away| End::away(away.to_string()))?;
    let mut client = SeeingClient::new(connection)
        .max_decoding_message_size(wire::FRAME)
        .max_encoding_message_size(wire::FRAME);
    let opened = timeout(PATIENCE, client.tell(Request::new(frames))).await;
    let opened = opened.map_err(|_| End::away("the server does not answer"))?;
    opened.map(tonic::Response::into_inner).map_err(|status| End::of(&status))
}

fn told(number: u64, batch: &[Decision], decisions: &Decisions) -> Told {
    Told { number, decisions: batch.to_vec(), dropped: decisions.dropped() }
}
