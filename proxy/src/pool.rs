//! Connections to one endpoint, kept by one worker.
//!
//! HTTP/1.1 connections are lent to one exchange at a time; one HTTP/2 connection is shared.
//! Once no table has the endpoint any more nothing is kept: what is in use is closed when it is through.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use model::service::AppProtocol;
use tokio::time::Instant;

use crate::body::Upload;
use crate::connect::Hop;
use crate::live::Endpoint;
use crate::room::{Granted, Room};
use crate::settings::Limits;
use crate::tls::backend::Remembered;

pub(crate) use send::{reach, send};

mod send;

/// A connection that requests share, and as whom it was opened.
pub(crate) type Shared = Arc<(Opened, http2::SendRequest<Upload>)>;

/// The connections of one worker to one endpoint.
#[derive(Debug)]
pub(crate) struct Pool {
    /// The one that came back last is lent first, so that those over what is needed grow old.
    /// Only the pool's worker lends and returns: for its lock no request waits, but where its service
    /// bears no more connections.
    idle: Mutex<Vec<Idle>>,
    /// How many those are, for whoever looks from another thread.
    count: AtomicUsize,
    /// How many are kept; none once the endpoint is gone.
    capacity: AtomicUsize,
    /// One for each of those as whom it is reached, of whom there is seldom more than one.
    shared: ArcSwap<Vec<Shared>>,
    opening: tokio::sync::Mutex<()>,
    /// Whether somebody holds that, for whoever looks from another thread.
    is_opening: AtomicBool,
}

/// Held by who opens what others will share.
#[derive(Debug)]
struct Alone<'p> {
    pool: &'p Pool,
    _alone: tokio::sync::MutexGuard<'p, ()>,
}

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        self.pool.is_opening.store(false, SeqCst);
    }
}

/// As whom a connection was opened.
#[derive(Debug, Clone)]
pub(crate) enum Opened {
    /// Through the mesh, by these credentials.
    Mesh(Option<u64>),
    /// Straight, and what was shown there.
    Straight(Remembered),
}

impl Opened {
    /// Whether it is the same.
    pub(crate) fn is(&self, other: &Opened) -> bool {
        match (self, other) {
            (Opened::Mesh(one), Opened::Mesh(other)) => one == other,
            (Opened::Straight(None), Opened::Straight(None)) => true,
            (Opened::Straight(Some(one)), Opened::Straight(Some(other))) => one.ptr_eq(other),
            (Opened::Mesh(_) | Opened::Straight(_), _) => false,
        }
    }

    /// Whether nobody is so any more: the certificate is no Gateway's now.
    fn is_over(&self) -> bool {
        matches!(self, Opened::Straight(Some(shown)) if shown.strong_count() == 0)
    }

    /// The same, as is known to who is so `now`: in the mesh there is one at a time.
    fn is_past(&self, now: &Opened) -> bool {
        self.is_over() || (matches!(self, Opened::Mesh(_)) && !self.is(now))
    }
}

/// An HTTP/1.1 connection that nobody uses.
#[derive(Debug)]
pub(crate) struct Idle {
    pub(crate) sender: http1::SendRequest<Upload>,
    pub(crate) opened: Opened,
    pub(crate) since: Instant,
}

/// A lent HTTP/1.1 connection: give it back with [`Lease::end`] once request and response are
/// through, or drop it to close it.
#[derive(Debug)]
pub(crate) struct Lease {
    sender: http1::SendRequest<Upload>,
    opened: Opened,
    endpoint: Arc<Endpoint>,
    worker: usize,
}

impl Lease {
    /// Back into the pool, or to who waits for it; closed instead where the pool is full.
    pub(crate) fn end(self) {
        let (sender, opened, since) = (self.sender, self.opened, Instant::now());
        put(&self.endpoint, self.worker, Idle { sender, opened, since });
    }
}

/// Puts a connection into its pool.
fn put(endpoint: &Arc<Endpoint>, worker: usize, idle: Idle) {
    if endpoint.pools[worker].put(idle, &endpoint.room) {
        hand_over(endpoint, worker);
    }
}

/// Gives what came back last to who waits for it, or closes it for who waits for another.
#[cold]
fn hand_over(endpoint: &Arc<Endpoint>, worker: usize) {
    let pool = &endpoint.pools[worker];
    // Another worker may have closed it for its own ones.
    while let Some(idle) = pool.last() {
        let Some(unwanted) = endpoint.room.offer(endpoint, worker, idle) else { return };
        if !pool.put(unwanted, &endpoint.room) {
            return;
        }
    }
}

impl<'a> Hop<'a> {
    fn pool(&self) -> &'a Pool {
        &self.endpoint.pools[self.worker]
    }

    /// As whom a connection is opened now.
    pub(crate) fn opened(&self) -> Opened {
        match &self.endpoint.way {
            Some(way) => Opened::Mesh(way.number()),
            None => Opened::Straight(self.face.remembered()),
        }
    }

    /// A connection that is there and ready for one more request, `now`.
    pub(crate) fn ready(&self, limits: &Limits, now: Instant) -> Option<Granted> {
        let (pool, opened) = (self.pool(), self.opened());
        match self.endpoint.protocol {
            AppProtocol::Http1 => pool.take(&opened, now, self.age(limits)).map(Granted::Idle),
            AppProtocol::H2c => pool.usable(&opened).map(Granted::Shared),
            AppProtocol::Tcp | AppProtocol::Udp => None,
        }
    }

    /// Whether one that requests will share is being opened.
    pub(crate) fn is_opening(&self) -> bool {
        self.pool().is_opening.load(SeqCst)
    }

    /// How long a connection may have lain idle that is used again. The proxy at the other end closes what
    /// idles for as long as we would keep it: we are sooner.
    fn age(&self, limits: &Limits) -> Duration {
        match self.endpoint.way {
            Some(_) => limits.backend_idle / 2,
            None => limits.backend_idle,
        }
    }
}

/// A response's head and body, with the connection it came on if that is ours alone.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) response: Response<Incoming>,
    pub(crate) lease: Option<Lease>,
}

/// A request that is to be sent: taken out when it is, and put back if nothing of it was written.
/// By reference, since it is large and many hands pass it on.
pub(crate) type Slot = Option<Request<Upload>>;

impl Pool {
    pub(crate) fn new(capacity: usize) -> Self {
        Pool {
            idle: Mutex::default(),
            count: AtomicUsize::new(0),
            capacity: AtomicUsize::new(capacity),
            shared: ArcSwap::default(),
            opening: tokio::sync::Mutex::new(()),
            is_opening: AtomicBool::new(false),
        }
    }

    /// Waits until nobody else opens a connection that requests will share.
    async fn alone(&self) -> Alone<'_> {
        let alone = self.opening.lock().await;
        self.is_opening.store(true, SeqCst);
        Alone { pool: self, _alone: alone }
    }

    /// The shared connection, if it was opened so and is not closed.
    pub(crate) fn usable(&self, opened: &Opened) -> Option<Shared> {
        let all = self.shared.load();
        all.iter().find(|one| one.0.is(opened) && !one.1.is_closed()).cloned()
    }

    /// Shares a connection from now on, in the place of those that nobody will use.
    pub(crate) fn share(&self, new: &Shared) {
        let is_kept =
            |one: &&Shared| !one.1.is_closed() && !one.0.is(&new.0) && !one.0.is_past(&new.0);
        // Others may be taken out of use meanwhile, by whoever wants their places.
        self.shared.rcu(|all| all.iter().filter(is_kept).chain([new]).cloned().collect::<Vec<_>>());
    }

    /// Uses no connection that is open any more: what they lead to is not there.
    pub(crate) fn clear(&self) {
        self.shared.store(Arc::default());
        self.lock().clear();
        self.count.store(0, Relaxed);
    }

    /// Keeps none from now on, since nobody is to come for one: each is closed as it comes back.
    pub(crate) fn close(&self) {
        self.capacity.store(0, Relaxed);
        self.clear();
    }

    /// How many connections lie idle.
    pub(crate) fn idle(&self) -> usize {
        self.count.load(Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether somebody is to be offered a connection. A full pool closes this one.
    fn put(&self, idle: Idle, room: &Room) -> bool {
        let mut kept = self.lock();
        if kept.len() < self.capacity.load(Relaxed) && !idle.sender.is_closed() {
            kept.push(idle);
        }
        self.count.store(kept.len(), Relaxed);
        // Under the lock: who waits looks into the pool after they began to.
        room.is_curious()
    }

    /// The one that came back last.
    fn last(&self) -> Option<Idle> {
        let mut kept = self.lock();
        let last = kept.pop();
        self.count.store(kept.len(), Relaxed);
        last
    }

    /// One that was opened so, though it may still be finishing its last exchange.
    pub(crate) fn claim(&self, opened: &Opened) -> Option<Idle> {
        let mut kept = self.lock();
        let is_meant = |idle: &Idle| idle.opened.is(opened) && !idle.sender.is_closed();
        let last = kept.iter().rposition(is_meant)?;
        let idle = kept.remove(last);
        self.count.store(kept.len(), Relaxed);
        Some(idle)
    }

    /// Since when the one lies idle that does so for longest.
    pub(crate) fn oldest(&self) -> Option<Instant> {
        self.lock().iter().filter(|idle| !idle.sender.is_closed()).map(|idle| idle.since).min()
    }

    /// Closes the one that lies idle for longest; whether there was one.
    pub(crate) fn close_oldest(&self) -> bool {
        let mut kept = self.lock();
        kept.retain(|idle| !idle.sender.is_closed());
        let oldest = (0..kept.len()).min_by_key(|at| kept[*at].since);
        let closed = oldest.map(|at| kept.remove(at));
        self.count.store(kept.len(), Relaxed);
        closed.is_some()
    }

    /// Whether there is a connection that requests share.
    pub(crate) fn is_shared(&self) -> bool {
        self.shared.load().iter().any(|one| !one.1.is_closed())
    }

    /// Sends no more requests over those that are shared: they close once what is under way is over.
    pub(crate) fn unshare(&self) {
        self.shared.store(Arc::default());
    }

    /// Closes what lay idle for longer than `age`, or is opened as somebody who is over.
    pub(crate) fn sweep(&self, age: Duration) {
        if self.shared.load().iter().any(|one| one.0.is_over()) {
            let is_kept = |one: &&Shared| !one.0.is_over();
            self.shared.rcu(|all| all.iter().filter(is_kept).cloned().collect::<Vec<_>>());
        }
        let mut kept = self.lock();
        kept.retain(|idle| {
            !idle.sender.is_closed() && idle.since.elapsed() <= age && !idle.opened.is_over()
        });
        if kept.is_empty() {
            *kept = Vec::new();
        }
        self.count.store(kept.len(), Relaxed);
    }

    /// An idle connection that is ready, was opened so and, `now`, is not older than `age`.
    fn take(&self, opened: &Opened, now: Instant, age: Duration) -> Option<Idle> {
        let mut kept = self.lock();
        // The others are still finishing their last exchange.
        let is_meant = |idle: &Idle| idle.opened.is(opened) || idle.opened.is_past(opened);
        while let Some(last) = kept.iter().rposition(|idle| is_meant(idle) && !idle.is_busy()) {
            let idle = kept.remove(last);
            self.count.store(kept.len(), Relaxed);
            let is_young = now.saturating_duration_since(idle.since) <= age;
            if idle.sender.is_ready() && idle.opened.is(opened) && is_young {
                return Some(idle);
            }
        }
        None
    }
}

impl Idle {
    /// Neither ready for a request nor closed.
    fn is_busy(&self) -> bool {
        !self.sender.is_ready() && !self.sender.is_closed()
    }
}

#[cfg(test)]
pub(crate) mod tests;
