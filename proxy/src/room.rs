//! How many connections to a port of a Service may be open, and who waits for one.
//!
//! ```text
//! a new connection ── takes a place ── holds it until it is closed ── the first who waits gets it
//! one that is through with an exchange ── the first of its worker's who waits, or back into the pool
//! ```
//!
//! All workers count together, in a number that is touched where a connection is opened or closed and by
//! no request; where no bound is written, that is all.
//!
//! Who waits stands in the queue before they look for what lies idle, and what comes back lies in its pool
//! before it is asked whether somebody waits: neither misses the other.
//! Who is refused has found all pools empty, and notes it: those after it are refused without a look at them,
//! or at the queue, until something comes back.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use model::traffic::Bounds;

use crate::live::Endpoint;
use crate::pool::{Idle, Pool, Shared};
use members::Members;
use queue::Queue;

pub(crate) use members::{Level, Member};
pub(crate) use wish::{Got, Takes, Wish};

mod members;
mod queue;
mod wish;

/// The number that stands for any number of connections.
const ANY: u32 = u32::MAX;

/// Stands beside the number of those who wait where nothing lies idle, as one found who was refused.
const BARE: usize = 1 << (usize::BITS - 1);

/// The connections to one port of a Service.
#[derive(Debug)]
pub(crate) struct Room {
    /// Those that are open, or being opened.
    open: AtomicU32,
    most: AtomicU32,
    /// How long opening one may take, in milliseconds; 0 where nothing is said.
    opening: AtomicU64,
    /// How many requests may wait.
    pending: AtomicU32,
    /// For how long, in milliseconds.
    patience: AtomicU64,
    /// How many stand in the queue, and [`BARE`].
    waiting: AtomicUsize,
    /// How many of them count against the bound on waiting.
    counted: AtomicU32,
    /// How many were turned away.
    refused: AtomicU64,
    /// Touched only where as many are open as may be.
    queue: Mutex<Queue>,
    /// Whose connections those are, but for endpoints that are gone.
    members: ArcSwap<Members>,
}

impl Default for Room {
    fn default() -> Self {
        Room {
            open: AtomicU32::new(0),
            most: AtomicU32::new(ANY),
            opening: AtomicU64::new(0),
            pending: AtomicU32::new(0),
            patience: AtomicU64::new(0),
            waiting: AtomicUsize::new(0),
            counted: AtomicU32::new(0),
            refused: AtomicU64::new(0),
            queue: Mutex::default(),
            members: ArcSwap::default(),
        }
    }
}

/// A connection's place among those to its service.
#[derive(Debug)]
pub(crate) struct Place(Arc<Room>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, SeqCst);
        self.0.settle();
    }
}

/// What somebody may use who wants a connection.
#[derive(Debug)]
pub(crate) enum Granted {
    /// This one, alone.
    Idle(Idle),
    /// This one, with others.
    Shared(Shared),
    /// A new one.
    Place(Place),
}

/// The counts of a room at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) open: u32,
    /// How many may be open, where that is bounded.
    pub(crate) most: Option<u32>,
    pub(crate) waiting: usize,
    pub(crate) refused: u64,
}

impl Room {
    /// Leads to these endpoints from now on.
    pub(crate) fn know(&self, members: Vec<Member>) {
        self.members.store(Arc::new(Members::new(members)));
    }

    /// Connections may take so long to open from now on; as long as usual where nothing is said.
    pub(crate) fn open_within(&self, told: Option<Duration>) {
        let millis = told.map_or(0, |told| u64::try_from(told.as_millis()).unwrap_or(u64::MAX));
        self.opening.store(millis, Relaxed);
    }

    /// How long one may take to open, where `usual` is what holds if nothing is said.
    pub(crate) fn opening(&self, usual: Duration) -> Duration {
        match self.opening.load(Relaxed) {
            0 => usual,
            millis => Duration::from_millis(millis),
        }
    }

    /// Holds to these bounds from now on. Who waits gets what a higher one lets be, at an endpoint that is not
    /// gone.
    pub(crate) fn set(self: &Arc<Self>, bounds: Option<&Bounds>) {
        let most = bounds.and_then(|bounds| bounds.connections);
        let patience = bounds.map_or(Duration::ZERO, Bounds::pending_timeout);
        if most.is_none() {
            // At first, so that nobody finds the bound of before with nobody let wait.
            self.most.store(ANY, SeqCst);
        }
        self.pending.store(bounds.map_or(0, Bounds::pending), SeqCst);
        let patience = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
        self.patience.store(patience, SeqCst);
        self.lead();
        self.most.store(most.unwrap_or(ANY), SeqCst);
        self.settle();
    }

    /// Leads those who wait for an endpoint that is gone to another; who can go to none is told by the end of
    /// their wait.
    pub(crate) fn lead(&self) {
        if self.is_curious() {
            let mut queue = self.lock();
            queue.is_bare = false;
            queue.lead(|waiter| self.instead_of(&waiter.endpoint, &waiter.tried));
            self.left(&queue);
        }
    }

    /// Where who meant to go to an endpoint that is gone goes in its stead.
    fn instead_of(&self, gone: &Arc<Endpoint>, tried: &[SocketAddr]) -> Option<Arc<Endpoint>> {
        let is_left =
            |one: &Arc<Endpoint>| wish::is_alike(gone, one) && !tried.contains(&one.address);
        let other = self.members.load().instead(gone, |one| is_left(one).then_some(()));
        other.map(|(other, ())| other)
    }

    /// What is open, waits and was turned away.
    pub(crate) fn counts(&self) -> Counts {
        let most = Some(self.most.load(Relaxed)).filter(|most| *most != ANY);
        let (open, waiting) = (self.open.load(Relaxed), self.waiting.load(Relaxed) & !BARE);
        Counts { open, most, waiting, refused: self.refused.load(Relaxed) }
    }

    /// A place for one more, if there is one and nobody waits for it.
    pub(crate) fn place(self: &Arc<Self>) -> Option<Place> {
        if self.is_awaited() { None } else { self.reserve() }
    }

    /// A place for one more in any case: no bound holds for who asks.
    pub(crate) fn one_more(self: &Arc<Self>) -> Place {
        self.open.fetch_add(1, SeqCst);
        Place(Arc::clone(self))
    }

    fn reserve(self: &Arc<Self>) -> Option<Place> {
        let most = self.most.load(SeqCst);
        let more = |open: u32| (open < most).then_some(open + 1);
        self.open.fetch_update(SeqCst, SeqCst, more).ok()?;
        Some(Place(Arc::clone(self)))
    }

    /// Whether somebody waits.
    fn is_awaited(&self) -> bool {
        self.waiting.load(SeqCst) & !BARE > 0
    }

    /// Whether what comes back is to be offered: somebody waits, or is refused as long as nothing does.
    pub(crate) fn is_curious(&self) -> bool {
        self.waiting.load(SeqCst) > 0
    }

    /// Whether who has to wait is refused without a look at the queue or at any pool: as many wait as may, and
    /// there is nothing to close for one more.
    fn is_full(&self) -> bool {
        self.counted.load(SeqCst) >= self.pending.load(SeqCst)
            && self.waiting.load(SeqCst) & BARE > 0
            && self.members.load().unused().is_none()
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the places that are free to those who wait, in turn.
    fn settle(self: &Arc<Self>) {
        if !self.is_awaited() {
            return;
        }
        let mut queue = self.lock();
        let mut unwanted = None;
        while !queue.is_empty() {
            let Some(place) = unwanted.take().or_else(|| self.reserve()) else { break };
            unwanted = queue.give(place);
        }
        self.left(&queue);
        // A place that nobody took is given back, which locks.
        drop(queue);
    }

    /// Tells how many are left in the queue.
    fn left(&self, queue: &Queue) {
        let bare = if queue.is_bare { BARE } else { 0 };
        self.counted.store(queue.counted(), SeqCst);
        self.waiting.store(queue.len() | bare, SeqCst);
    }

    /// Offers to those who wait what came back to a worker from an exchange at an endpoint. It is given back
    /// where nobody waits, and closed where whoever waits wants another.
    pub(crate) fn offer(&self, at: &Arc<Endpoint>, worker: usize, idle: Idle) -> Option<Idle> {
        let mut queue = self.lock();
        let (mut idle, mut unwanted) = (Some(idle), None);
        while let Some(offered) = idle.take() {
            if queue.is_empty() {
                queue.is_bare = false;
                unwanted = Some(offered);
            } else if let Some(waiter) = queue.next_for(at, worker, &offered.opened) {
                idle = waiter.take((Arc::clone(at), Granted::Idle(offered))).and_then(idle_of);
            }
        }
        self.left(&queue);
        unwanted
    }

    /// Tells a worker's of a connection to an endpoint that is shared from now on.
    pub(crate) fn share(&self, at: &Arc<Endpoint>, worker: usize, shared: &Shared) {
        if !self.is_awaited() {
            return;
        }
        let mut queue = self.lock();
        for waiter in queue.all_for(at, worker, &shared.0) {
            // Who is gone needs none.
            drop(waiter.take((Arc::clone(at), Granted::Shared(Arc::clone(shared)))));
        }
        self.left(&queue);
        if queue.needs_place(at, worker) {
            // They wait for this one's place: it closes once those who got it are through.
            at.pools[worker].unshare();
        }
    }

    /// Closes the connection that lies idle for longest, of whichever worker; whether there was one.
    fn close_idle(&self) -> bool {
        let endpoints = self.endpoints();
        let pools = || endpoints.iter().flat_map(|endpoint| &endpoint.pools);
        loop {
            let oldest = pools().filter_map(|pool| Some((pool.oldest()?, pool)));
            let Some((_, pool)) = oldest.min_by_key(|(since, _)| *since) else { return false };
            // Its own worker may have lent it meanwhile.
            if pool.close_oldest() {
                return true;
            }
        }
    }

    /// Closes a shared connection to an endpoint that has no request under way; whether there was one.
    fn close_unused(&self) -> bool {
        let Some(unused) = self.members.load().unused() else { return false };
        let shared = unused.pools.iter().find(|pool| pool.is_shared());
        shared.map(Pool::unshare).is_some()
    }

    /// Sends no more requests over a shared connection of the endpoint that has the fewest under way, which
    /// closes once they are over.
    fn close_shared(&self) {
        let endpoints = self.endpoints();
        let shared = endpoints.iter().filter_map(|endpoint| {
            Some((endpoint, endpoint.pools.iter().find(|pool| pool.is_shared())?))
        });
        if let Some((_, pool)) = shared.min_by_key(|(one, _)| one.load.under_way()) {
            pool.unshare();
        }
    }

    /// Closes what nobody uses over a bound that was lowered.
    pub(crate) fn trim(&self) {
        let over = self.open.load(SeqCst).saturating_sub(self.most.load(SeqCst));
        for _ in 0..over {
            if !self.close_idle() && !self.close_unused() {
                return;
            }
        }
    }

    fn endpoints(&self) -> Vec<Arc<Endpoint>> {
        self.members.load().all().map(|(_, endpoint)| endpoint).collect()
    }
}

/// The connection in what was not taken.
fn idle_of((_, granted): (Arc<Endpoint>, Granted)) -> Option<Idle> {
    match granted {
        Granted::Idle(idle) => Some(idle),
        Granted::Shared(_) | Granted::Place(_) => None,
    }
}

#[cfg(test)]
pub(crate) mod tests;
