//! Who waits for a connection, the one who came first at the front.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::wish::{Got, Takes, may_go};
use super::{Granted, Place};
use crate::connect::Hop;
use crate::live::Endpoint;
use crate::pool::{Opened, Shared};
use crate::tls::backend::Face;

/// A worker's own get what comes back to it before others who came sooner, but not by more than this: to
/// serve another worker it has to be closed, and another one opened.
const FAIR: Duration = Duration::from_millis(20);

/// All who wait, by the number that each drew.
#[derive(Debug, Default)]
pub(super) struct Queue {
    drawn: u64,
    /// How many of them count against the bound on waiting.
    counted: u32,
    waiting: BTreeMap<u64, Waiter>,
    /// How many of each worker's wait to go to each endpoint, by its address in memory.
    going: HashMap<(usize, usize), usize>,
    /// Nothing lies idle in any pool, and who has just been refused wants to know when something does.
    pub(super) is_bare: bool,
}

/// One who waits.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) worker: usize,
    /// Where they want to go.
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) face: Face,
    pub(super) takes: Takes,
    /// Where they have been.
    pub(super) tried: Vec<SocketAddr>,
    pub(super) since: Instant,
    pub(super) is_counted: bool,
    pub(super) sender: oneshot::Sender<Got>,
}

impl Waiter {
    /// Takes what it was given; comes back where nobody is there any more.
    pub(super) fn take(self, got: Got) -> Option<Got> {
        self.sender.send(got).err()
    }

    /// What it would share with others at another endpoint.
    fn shared(&self, other: &Arc<Endpoint>) -> Option<Shared> {
        let hop = Hop { endpoint: other, worker: self.worker, face: &self.face };
        match self.takes {
            Takes::Room => None,
            Takes::Here | Takes::Anywhere => other.pools[self.worker].usable(&hop.opened()),
        }
    }

    /// Whether it takes a connection to `at` that was opened so.
    fn takes(&self, at: &Arc<Endpoint>, opened: &Opened) -> bool {
        let is_its = Arc::ptr_eq(&self.endpoint, at);
        let goes_there = match self.takes {
            Takes::Room => false,
            Takes::Here => is_its,
            Takes::Anywhere => is_its || may_go(&self.endpoint, at, &self.tried),
        };
        let hop = Hop { endpoint: at, worker: self.worker, face: &self.face };
        goes_there && opened.is(&hop.opened())
    }

    /// Whether it takes one that is shared: at another endpoint only where none to its own is on its way.
    fn takes_shared(&self, at: &Arc<Endpoint>, opened: &Opened) -> bool {
        self.takes(at, opened) && (Arc::ptr_eq(&self.endpoint, at) || !self.is_opening())
    }

    /// Whether somebody opens what it could share.
    fn is_opening(&self) -> bool {
        let hop = Hop { endpoint: &self.endpoint, worker: self.worker, face: &self.face };
        hop.is_opening()
    }

    /// Whether it takes one for itself alone: at another endpoint only where that has no more than its own, so
    /// that each gets its share, one that is new too.
    fn takes_alone(&self, at: &Arc<Endpoint>, opened: &Opened) -> bool {
        let is_even = || at.load.under_way() <= self.endpoint.load.under_way();
        self.takes(at, opened) && (Arc::ptr_eq(&self.endpoint, at) || is_even())
    }
}

impl Queue {
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether somebody of a worker's waits to go to an endpoint.
    pub(super) fn has(&self, worker: usize, endpoint: &Arc<Endpoint>) -> bool {
        self.going.contains_key(&(worker, Arc::as_ptr(endpoint).addr()))
    }

    /// How many count against the bound on waiting.
    pub(super) fn counted(&self) -> u32 {
        self.counted
    }

    fn goes(&mut self, worker: usize, endpoint: &Arc<Endpoint>) {
        *self.going.entry((worker, Arc::as_ptr(endpoint).addr())).or_default() += 1;
    }

    fn goes_no_more(&mut self, worker: usize, endpoint: &Arc<Endpoint>) {
        if let Entry::Occupied(mut going) = self.going.entry((worker, Arc::as_ptr(endpoint).addr()))
        {
            *going.get_mut() -= 1;
            if *going.get() == 0 {
                going.remove();
            }
        }
    }

    /// The number of who comes last now.
    pub(super) fn enter(&mut self, waiter: Waiter) -> u64 {
        self.drawn += 1;
        self.goes(waiter.worker, &waiter.endpoint);
        self.waiting.insert(self.drawn, waiter);
        self.drawn
    }

    /// Whether who has this number may go on waiting, where so many may; who was given something may.
    pub(super) fn count(&mut self, number: u64, most: u32) -> bool {
        let Some(waiter) = self.waiting.get_mut(&number) else { return true };
        let has_room = self.counted < most;
        if has_room {
            waiter.is_counted = true;
            self.counted += 1;
        }
        has_room
    }

    /// Waits no longer.
    pub(super) fn remove(&mut self, number: u64) -> Option<Waiter> {
        let gone = self.waiting.remove(&number)?;
        self.goes_no_more(gone.worker, &gone.endpoint);
        if gone.is_counted {
            self.counted -= 1;
        }
        Some(gone)
    }

    /// Leads those who wait for an endpoint that is gone to where `instead` says, at their place in the queue.
    /// Who is led nowhere waits no longer.
    pub(super) fn lead(&mut self, instead: impl Fn(&Waiter) -> Option<Arc<Endpoint>>) {
        let gone = self.waiting.iter().filter(|(_, one)| one.endpoint.is_gone());
        let gone: Vec<_> = gone.map(|(number, one)| (*number, instead(one))).collect();
        for (number, other) in gone {
            let Some(waiter) = self.waiting.get_mut(&number) else { continue };
            match other.map(|other| (waiter.shared(&other), other)) {
                None => drop(self.remove(number)),
                Some((None, other)) => {
                    let (worker, before) = (waiter.worker, Arc::clone(&waiter.endpoint));
                    waiter.endpoint = Arc::clone(&other);
                    self.goes_no_more(worker, &before);
                    self.goes(worker, &other);
                }
                Some((Some(shared), other)) => {
                    let waiter = self.remove(number);
                    // Who is gone needs none.
                    drop(waiter.map(|one| one.take((other, Granted::Shared(shared)))));
                }
            }
        }
    }

    /// Gives a place to the first; comes back where they are gone.
    pub(super) fn give(&mut self, place: Place) -> Option<Place> {
        let Some(first) = self.waiting.keys().next().copied().and_then(|one| self.remove(one))
        else {
            return Some(place);
        };
        let endpoint = Arc::clone(&first.endpoint);
        match first.take((endpoint, Granted::Place(place)))? {
            (_, Granted::Place(place)) => Some(place),
            (_, Granted::Idle(_) | Granted::Shared(_)) => None,
        }
    }

    /// The worker's first who takes such a connection; none where it would rather be another worker's turn.
    pub(super) fn next_for(
        &mut self,
        at: &Arc<Endpoint>,
        worker: usize,
        opened: &Opened,
    ) -> Option<Waiter> {
        let longest = self.waiting.values().next()?.since;
        let is_meant = |one: &Waiter| one.worker == worker && one.takes_alone(at, opened);
        let mut own = self.waiting.iter().filter(|(_, one)| is_meant(one));
        let (number, own) = own.next()?;
        let (number, is_fair) = (*number, own.since <= longest + FAIR);
        if is_fair { self.remove(number) } else { None }
    }

    /// Whether somebody needs a place for whom nothing was opened, but for what the worker has opened there.
    pub(super) fn needs_place(&self, at: &Arc<Endpoint>, worker: usize) -> bool {
        let had = |one: &Waiter| one.worker == worker && Arc::ptr_eq(&one.endpoint, at);
        self.waiting.values().any(|one| had(one) || !one.is_opening())
    }

    /// All of the worker's who take such a connection, which they share.
    pub(super) fn all_for(
        &mut self,
        at: &Arc<Endpoint>,
        worker: usize,
        opened: &Opened,
    ) -> Vec<Waiter> {
        let is_meant = |one: &Waiter| one.worker == worker && one.takes_shared(at, opened);
        let meant = self.waiting.iter().filter(|(_, one)| is_meant(one));
        let numbers: Vec<_> = meant.map(|(number, _)| *number).collect();
        numbers.into_iter().filter_map(|number| self.remove(number)).collect()
    }
}
