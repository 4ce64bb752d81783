//! Takes decisions to the server, and each batch again until it is kept there.

use std::sync::Arc;
use std::time::Duration;

use futures::stream;
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};
use tonic::Request;
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
    let (mut failures, mut told) = (0, String::new());
    loop {
        if batch.is_empty() {
            batch = next(&decisions).await;
        }
        match tell(&decisions, &mut batch, &wanted).await {
            Ok(never) => match never {},
            Err(why) => {
                if told != why {
                    tracing::info!(
                        "decisions are not told: {why}; they are kept, and it is tried again"
                    );
                    told = why;
                }
            }
        }
        // What was told in between says that the server is there.
        failures = if batch.is_empty() { 1 } else { failures + 1 };
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

/// Tells this batch and all that come after it on one stream; comes back with why that ended, and
/// with what was not kept.
async fn tell(
    decisions: &Decisions,
    batch: &mut Vec<Decision>,
    wanted: &watch::Receiver<Wanted>,
) -> Result<std::convert::Infallible, String> {
    let dialer = wanted.borrow().dialer.clone();
    let connection = dialer.dial().await.map_err(|away| away.to_string())?;
    let mut client = SeeingClient::new(connection)
        .max_decoding_message_size(wire::FRAME)
        .max_encoding_message_size(wire::FRAME);
    let (say, mut said) = mpsc::channel(1);
    let frames = stream::poll_fn(move |context| said.poll_recv(context));
    let mut number = 0;
    let mut sends = async |batch: &[Decision]| {
        number += 1;
        let told = Told { number, decisions: batch.to_vec(), dropped: decisions.dropped() };
        say.send(told).await.map_err(|_| "the server takes nothing any more".to_owned())
    };
    // The server may wait for our first word before it answers.
    sends(batch).await?;
    let opened = timeout(PATIENCE, client.tell(Request::new(frames))).await;
    let opened = opened.map_err(|_| "the server does not answer".to_owned())?;
    let mut answers = opened.map_err(|status| status.message().to_owned())?.into_inner();
    loop {
        let kept = timeout(PATIENCE, answers.message()).await;
        let kept = kept.map_err(|_| "the server does not answer".to_owned())?;
        match kept.map_err(|status| status.message().to_owned())? {
            Some(Kept { .. }) => batch.clear(),
            None => return Err("the server ended the stream".to_owned()),
        }
        *batch = next(decisions).await;
        sends(batch).await?;
    }
}
