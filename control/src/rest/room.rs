//! Room for bodies: how much of them is held at once, whoever sends them.
//!
//! A body has its place before its first byte is read: as large as it says that it is, or as it may
//! be at most. Nobody who has a place waits for a larger one, so no two wait for each other; what
//! was not needed is given back when the body is whole, the rest when the request is answered. Who
//! finds no room waits as long as the request may take, and a slow sender has it for no longer.
//!
//! Whoever is nobody yet has a room apart: from outside nobody can take that of the others.

use std::sync::Arc;

use axum::body::{Body, HttpBody as _};
use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::ask;
use super::operations::{Operation, Who};
use super::problem::Problem;

/// KiB of bodies of those we know.
const KNOWN: usize = 64 << 10;

/// KiB of bodies of everybody else, who may do no more than sign in.
const STRANGERS: usize = 16 << 10;

/// The room, a permit for each KiB.
#[derive(Debug)]
pub(super) struct Room {
    known: Arc<Semaphore>,
    strangers: Arc<Semaphore>,
}

impl Room {
    pub(super) fn new() -> Self {
        let [known, strangers] = [KNOWN, STRANGERS].map(|size| Arc::new(Semaphore::new(size)));
        Room { known, strangers }
    }

    /// The whole body of a request for `operation`, with the place that it takes for as long as it
    /// is held.
    pub(super) async fn receive(
        &self,
        operation: &Operation,
        body: Body,
    ) -> Result<(Bytes, OwnedSemaphorePermit), Problem> {
        let room = match operation.who {
            Who::Anybody => &self.strangers,
            Who::User | Who::Admin => &self.known,
        };
        let place = Arc::clone(room).acquire_many_owned(needed(&body, operation.most)).await;
        let mut place = place.map_err(|_| Problem::unavailable("the server stops"))?;
        let body = ask::body(body, operation.most).await?;
        drop(place.split(place.num_permits().saturating_sub(kib(body.len()))));
        Ok((body, place))
    }
}

/// KiB that a body takes at most.
fn needed(body: &Body, most: usize) -> u32 {
    let said = body.size_hint().upper().and_then(|bytes| usize::try_from(bytes).ok());
    let most = kib(said.unwrap_or(most).min(most));
    u32::try_from(most).unwrap_or(u32::MAX)
}

fn kib(bytes: usize) -> usize {
    bytes.div_ceil(1024)
}

#[cfg(test)]
mod tests;
