//! Takes to the server which browsers logged out here, and each again until it is kept there.

use std::sync::Arc;

use tonic::Request;
use wire::client::SeeingClient;
use wire::{ENDED, EndedSession, LoggedOut};

use super::lane::{Frames, Lane, Opening};
use crate::identity::Connection;
use crate::revoked::Revoked;

/// Tells of browsers that logged out.
pub(super) struct Leaver {
    revoked: Arc<Revoked>,
    /// What is not kept yet.
    batch: Vec<EndedSession>,
    number: u64,
}

impl Leaver {
    pub(super) fn new(revoked: Arc<Revoked>) -> Self {
        // What comes from now on waits, also before there is a stream.
        let batch = revoked.take(ENDED);
        Leaver { revoked, batch, number: 0 }
    }
}

impl Lane for Leaver {
    type Frame = LoggedOut;
    const WHAT: &'static str = "browsers that logged out";

    async fn next(&mut self) -> LoggedOut {
        while self.batch.is_empty() {
            self.batch = self.revoked.take(ENDED);
            if self.batch.is_empty() {
                self.revoked.wake.notified().await;
            }
        }
        self.number += 1;
        LoggedOut { number: self.number, sessions: self.batch.clone() }
    }

    fn kept(&mut self) {
        self.batch.clear();
    }

    fn lose(&mut self) -> usize {
        std::mem::take(&mut self.batch).len()
    }

    fn open(mut client: SeeingClient<Connection>, frames: Frames<LoggedOut>) -> Opening {
        Box::pin(async move { client.end(Request::new(frames)).await })
    }
}
