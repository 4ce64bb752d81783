//! Room for bodies: how much of them is held at once, whoever sends them.
//!
//! A body has its place before its first byte is read: as large as it says that it is, or as it may
//! be at most. Nobody who has a place waits for a larger one, so no two wait for each other; what
//! was not needed is given back when the body is whole, the rest when the request is answered. Who
//! finds no room waits as long as the request may take, and a slow sender has it for no longer.
//!
//! No user has more than a part of the room. Whoever is nobody yet has a room apart, and each
//! address a small part of it, for a shorter time: from outside nobody can take that of the others.
//! This machine's own addresses are one sender with all of it: what stands in front of a server
//! without [`Settings::behind_tls`](super::Settings) is to keep its clients apart itself.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::ask;
use super::operations::{Operation, Who};
use super::problem::Problem;
use crate::authn::{Caller, network};

/// KiB of bodies of those we know, and how much of it one user may have.
const KNOWN: (usize, usize) = (64 << 10, 16 << 10);

/// KiB of bodies of everybody else, who may do no more than sign in, and how much of it one address
/// may have.
const STRANGERS: (usize, usize) = (16 << 10, 512);

/// How long a stranger's body may take.
const SOON: Duration = Duration::from_secs(5);

/// Shares that are kept before those that nobody has any more are let go.
const SHARES: usize = 1_024;

/// The room.
#[derive(Debug)]
pub(super) struct Room {
    known: Space<String>,
    strangers: Space<IpAddr>,
}

/// A room with a permit for each KiB, of which each sender has a share.
#[derive(Debug)]
struct Space<S> {
    all: Arc<Semaphore>,
    share: usize,
    shares: Mutex<HashMap<S, Weak<Semaphore>>>,
}

/// What a body takes, for as long as it is held: of the sender's share, and of all.
#[derive(Debug)]
pub(super) struct Place(Vec<OwnedSemaphorePermit>);

impl Room {
    pub(super) fn new() -> Self {
        Room { known: Space::new(KNOWN), strangers: Space::new(STRANGERS) }
    }

    /// The whole body of a request for `operation`, with the place that it takes. Where the
    /// operation takes none, none is read.
    pub(super) async fn receive(
        &self,
        operation: &Operation,
        caller: Option<&Caller>,
        address: IpAddr,
        body: Body,
    ) -> Result<(Bytes, Place), Problem> {
        if operation.body.is_none() {
            return Ok((Bytes::new(), Place(Vec::new())));
        }
        let needed = needed(&body, operation.most);
        let received = ask::body(body, operation.most);
        let (mut place, body) = match (operation.who, caller) {
            (Who::User | Who::Admin, Some(caller)) => {
                (self.known.place(&caller.id, needed).await?, received.await?)
            }
            (Who::Anybody, _) | (_, None) => {
                let place = match address.to_canonical().is_loopback() {
                    true => self.strangers.shared(needed).await?,
                    false => self.strangers.place(&network(address), needed).await?,
                };
                let late = |_| Problem::unavailable("the body did not come in time");
                (place, tokio::time::timeout(SOON, received).await.map_err(late)??)
            }
        };
        place.shrink(kib(body.len()));
        Ok((body, place))
    }
}

impl<S: Clone + Eq + std::hash::Hash> Space<S> {
    fn new((size, share): (usize, usize)) -> Self {
        Space { all: Arc::new(Semaphore::new(size)), share, shares: Mutex::default() }
    }

    /// So many KiB for a sender, once there is room.
    async fn place(&self, sender: &S, needed: u32) -> Result<Place, Problem> {
        let own = taken(&self.own(sender), needed).await?;
        Ok(Place(vec![own, taken(&self.all, needed).await?]))
    }

    /// The same for many who cannot be told apart: programs of this machine, among them whatever
    /// stands in front of the server.
    async fn shared(&self, needed: u32) -> Result<Place, Problem> {
        Ok(Place(vec![taken(&self.all, needed).await?]))
    }

    fn own(&self, sender: &S) -> Arc<Semaphore> {
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = shares.get(sender).and_then(Weak::upgrade) {
            return share;
        }
        if shares.len() >= SHARES {
            shares.retain(|_, share| share.strong_count() > 0);
        }
        let share = Arc::new(Semaphore::new(self.share));
        shares.insert(sender.clone(), Arc::downgrade(&share));
        share
    }
}

impl Place {
    /// Gives back all but so many KiB.
    fn shrink(&mut self, kib: usize) {
        for permits in &mut self.0 {
            drop(permits.split(permits.num_permits().saturating_sub(kib)));
        }
    }
}

async fn taken(room: &Arc<Semaphore>, kib: u32) -> Result<OwnedSemaphorePermit, Problem> {
    let taken = Arc::clone(room).acquire_many_owned(kib).await;
    taken.map_err(|_| Problem::unavailable("the server stops"))
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
