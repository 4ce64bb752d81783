//! One who wants a connection where only so many may be open: what they get at once, and what they wait for.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use model::service::AppProtocol;
use policy::Reason;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::queue::Waiter;
use super::{Granted, Room};
use crate::connect::Hop;
use crate::failure::Failure;
use crate::live::Endpoint;
use crate::pool::Idle;
use crate::settings::Limits;

/// What somebody may use, and at which endpoint.
pub(crate) type Got = (Arc<Endpoint>, Granted);

/// One who wants a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wish<'a> {
    pub(crate) hop: Hop<'a>,
    pub(crate) takes: Takes,
    /// Where they have been, and do not want to go again.
    pub(crate) tried: &'a [SocketAddr],
}

/// With what they are content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Takes {
    /// With a new one of their own, and no other.
    Room,
    /// Also with one that is there, to their endpoint.
    Here,
    /// Also with one to another endpoint, where they have to wait.
    Anywhere,
}

/// Whether who meant to go to one endpoint may as well go to the other.
pub(super) fn may_go(meant: &Endpoint, other: &Endpoint, tried: &[SocketAddr]) -> bool {
    is_alike(meant, other)
        && other.is_far == meant.is_far
        && other.load.is_well()
        && !tried.contains(&other.address)
}

/// Whether the other endpoint is there, and is sent to in the same way: a newer table may have others.
pub(super) fn is_alike(meant: &Endpoint, other: &Endpoint) -> bool {
    other.protocol == meant.protocol && other.wire.is(&meant.wire) && !other.is_gone()
}

impl Wish<'_> {
    fn room(&self) -> &Arc<Room> {
        &self.hop.endpoint.room
    }

    fn here(&self, granted: Granted) -> Got {
        (Arc::clone(self.hop.endpoint), granted)
    }

    /// What is there without waiting, `now`.
    pub(crate) fn at_once(&self, limits: &Limits, now: Instant) -> Option<Got> {
        let ready = match self.takes {
            Takes::Room => None,
            Takes::Here | Takes::Anywhere => self.hop.ready(limits, now),
        };
        let granted = ready.or_else(|| self.room().place().map(Granted::Place));
        granted.map(|granted| self.here(granted)).or_else(|| self.elsewhere())
    }

    /// A shared connection to another endpoint: it is worth more than a new one for which others would have
    /// to be closed.
    fn elsewhere(&self) -> Option<Got> {
        let Hop { endpoint, worker, face } = self.hop;
        if self.takes != Takes::Anywhere || endpoint.protocol != AppProtocol::H2c {
            return None;
        }
        let shared = |other: &Arc<Endpoint>| {
            let hop = Hop { endpoint: other, worker, face };
            let is_meant = may_go(endpoint, other, self.tried);
            other.pools[worker].usable(&hop.opened()).filter(|_| is_meant)
        };
        let (other, shared) = self.room().members.load().instead(endpoint, shared)?;
        Some((other, Granted::Shared(shared)))
    }

    /// Waits for a connection as long as the bounds of its service let one, and no longer than to the
    /// `deadline`.
    pub(crate) async fn granted(
        self,
        limits: &Limits,
        now: Instant,
        deadline: Option<Instant>,
    ) -> Result<Got, Failure> {
        let began = Instant::now();
        let patience = Duration::from_millis(self.room().patience.load(Relaxed));
        let until = deadline.map_or(began + patience, |at| at.min(began + patience));
        let (mut other, mut has_waited) = (None, false);
        loop {
            let meant = other.as_ref().unwrap_or(self.hop.endpoint);
            if meant.is_gone() {
                match self.room().instead_of(meant, self.tried) {
                    None if has_waited => return Err(gone()),
                    // It may be reached yet by who began before that.
                    None => {}
                    instead => other = instead,
                }
            }
            has_waited = true;
            let endpoint = other.as_ref().unwrap_or(self.hop.endpoint);
            let wish = Wish { hop: Hop { endpoint, ..self.hop }, ..self };
            if let Some(got) = wish.at_once(limits, now) {
                return Ok(got);
            }
            if self.room().is_full() {
                return Err(self.refused(full(self.room())));
            }
            let got = match timeout_at(until, wish.waited(began)).await {
                Ok(given) => given?,
                Err(_) => None,
            };
            match got {
                Some(got) => return Ok(got),
                // What was given had closed: the place that it had is another's by now, so this one waits on.
                // Or the endpoint is gone.
                None if Instant::now() < until => {}
                None if deadline == Some(until) => {
                    let over = Failure::backend(Reason::RequestTimeout);
                    return Err(over.because("the request's time is over"));
                }
                None => return Err(self.refused(late(self.room(), patience))),
            }
        }
    }

    /// Stands in the queue until it is given something, since it `began`; nothing where that had closed, or
    /// the endpoint is gone.
    async fn waited(self, began: Instant) -> Result<Option<Got>, Failure> {
        let room = self.room();
        let mut waiting = Waiting::begin(&self, began);
        if let Some(got) = waiting.given() {
            return Ok(readied(got).await);
        }
        if self.hop.endpoint.is_gone() {
            // It may have come too late to be led elsewhere.
            return Ok(None);
        }
        if let Some(idle) = self.claim() {
            // It is in no queue any more: what came meanwhile is the next one's.
            drop(waiting);
            return Ok(readied(self.here(Granted::Idle(idle))).await);
        }
        // Where another opens what it will share there is nothing to close for it; it counts as one who waits.
        let is_opening = self.hop.is_opening();
        let is_closed = !is_opening && (room.close_idle() || room.close_unused());
        if !is_closed {
            // Whoever skipped that look learnt nothing of it.
            if !waiting.is_let(!is_opening) {
                return Err(self.refused(full(room)));
            }
            // None that is refused takes a connection from those who use it.
            if waiting.is_first && !is_opening {
                room.close_shared();
            }
        }
        match (&mut waiting.given).await {
            Ok(got) => Ok(readied(got).await),
            Err(_) => Ok(None),
        }
    }

    /// One of the worker's own to the endpoint that is finishing its last exchange.
    fn claim(&self) -> Option<Idle> {
        match self.takes {
            Takes::Room => None,
            Takes::Here | Takes::Anywhere => {
                self.hop.endpoint.pools[self.hop.worker].claim(&self.hop.opened())
            }
        }
    }

    fn refused(&self, why: String) -> Failure {
        self.room().refused.fetch_add(1, Relaxed);
        Failure::proxy(Reason::Overloaded).because(why)
    }
}

/// What was given, once it is ready; nothing where it closed meanwhile.
async fn readied((endpoint, granted): Got) -> Option<Got> {
    let Granted::Idle(mut idle) = granted else { return Some((endpoint, granted)) };
    idle.sender.ready().await.ok().map(|()| (endpoint, Granted::Idle(idle)))
}

fn gone() -> Failure {
    let why = "the endpoint that it waited for is gone, and there is no other where it may go";
    Failure::backend(Reason::NoEndpoint).because(why)
}

fn full(room: &Room) -> String {
    let (most, pending) = (room.most.load(Relaxed), room.pending.load(Relaxed));
    format!("{most} connections may be open to it, and {pending} requests wait for one")
}

fn late(room: &Room, patience: Duration) -> String {
    let most = room.most.load(Relaxed);
    let patience = patience.as_millis();
    format!("{most} connections may be open to it, and none was free within {patience} ms")
}

/// A place in the queue, which is left with it.
struct Waiting<'r> {
    room: &'r Arc<Room>,
    number: u64,
    /// Nobody else of its worker's waits for the same endpoint.
    is_first: bool,
    given: oneshot::Receiver<Got>,
}

impl<'r> Waiting<'r> {
    fn begin(wish: &'r Wish<'_>, since: Instant) -> Self {
        let Hop { endpoint, worker, face } = wish.hop;
        let (sender, given) = oneshot::channel();
        let waiter = Waiter {
            worker,
            endpoint: Arc::clone(endpoint),
            face: face.clone(),
            takes: wish.takes,
            tried: wish.tried.to_vec(),
            since,
            is_counted: false,
            sender,
        };
        let room = wish.room();
        let (number, is_first) = {
            let mut queue = room.lock();
            let is_first = !queue.has(worker, endpoint);
            let number = queue.enter(waiter);
            room.left(&queue);
            (number, is_first)
        };
        // What was closed before it was in the queue told nobody.
        room.settle();
        Waiting { room, number, is_first, given }
    }

    /// What it was given.
    fn given(&mut self) -> Option<Got> {
        self.given.try_recv().ok()
    }

    /// Whether it may go on waiting, with as many as do. Others need not look at the pools where it may not and
    /// `has_looked`: it stood in the queue, so nothing was put there meanwhile.
    fn is_let(&self, has_looked: bool) -> bool {
        let mut queue = self.room.lock();
        let is_let = queue.count(self.number, self.room.pending.load(Relaxed));
        queue.is_bare |= has_looked && !is_let;
        self.room.left(&queue);
        is_let
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut queue = self.room.lock();
        let gone = queue.remove(self.number);
        self.room.left(&queue);
        drop(queue);
        drop(gone);
    }
}
