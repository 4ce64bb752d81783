//! Takes decisions to the server, and each batch again until it is kept there.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tonic::Request;
use wire::client::SeeingClient;
use wire::{Decision, Told};

use super::lane::{Frames, Lane, Opening};
use crate::decisions::Decisions;
use crate::identity::Connection;

/// A decision waits no longer than this, while the server is there.
const PAUSE: Duration = Duration::from_millis(200);

/// Tells decisions.
pub(super) struct Teller {
    decisions: Arc<Decisions>,
    /// What is not kept yet.
    batch: Vec<Decision>,
    number: u64,
}

impl Teller {
    pub(super) fn new(decisions: Arc<Decisions>) -> Self {
        Teller { decisions, batch: Vec::new(), number: 0 }
    }
}

impl Lane for Teller {
    type Frame = Told;
    const WHAT: &'static str = "decisions";

    async fn next(&mut self) -> Told {
        while self.batch.is_empty() {
            tokio::select! {
                () = self.decisions.wake.notified() => {}
                () = sleep(PAUSE) => {}
            }
            self.batch = self.decisions.take();
        }
        self.number += 1;
        let dropped = self.decisions.dropped();
        Told { number: self.number, decisions: self.batch.clone(), dropped }
    }

    fn kept(&mut self) {
        self.batch.clear();
    }

    fn lose(&mut self) -> usize {
        let lost = std::mem::take(&mut self.batch).len();
        self.decisions.lose(lost);
        lost
    }

    fn open(mut client: SeeingClient<Connection>, frames: Frames<Told>) -> Opening {
        Box::pin(async move { client.tell(Request::new(frames)).await })
    }
}
