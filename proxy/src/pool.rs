//! Connections to one endpoint, kept by one worker.
//!
//! HTTP/1.1 connections are lent to one exchange at a time; one HTTP/2 connection is shared.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use model::service::AppProtocol;
use policy::Reason;
use tokio::time::Instant;

use crate::body::Upload;
use crate::connect::{self, Hop, Preface};
use crate::failure::Failure;
use crate::gather::Gather;
use crate::live::Endpoint;
use crate::settings::Limits;
use crate::tls::backend::Remembered;

/// The most bytes that one HTTP/1.1 connection buffers of its backend's answers, so also the bound
/// on an answer's head. A larger buffer saves system calls; hyper fits it to what comes.
const READ: usize = 128 << 10;
type Shared = http2::SendRequest<Upload>;

/// The connections of one worker to one endpoint.
#[derive(Debug)]
pub(crate) struct Pool {
    /// The one that came back last is lent first, so that those over what is needed grow old.
    /// Only the pool's worker lends and returns: for its lock no request waits.
    idle: Mutex<Vec<Idle>>,
    /// How many those are, for whoever looks from another thread.
    count: AtomicUsize,
    capacity: usize,
    /// One for each of those as whom it is reached, of whom there is seldom more than one.
    shared: ArcSwap<Vec<Arc<(Opened, Shared)>>>,
    opening: tokio::sync::Mutex<()>,
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
    fn is(&self, other: &Opened) -> bool {
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

#[derive(Debug)]
struct Idle {
    sender: http1::SendRequest<Upload>,
    opened: Opened,
    since: Instant,
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
    /// Back into the pool; closed instead where the pool is full.
    pub(crate) fn end(self) {
        let (sender, opened, since) = (self.sender, self.opened, Instant::now());
        let idle = Idle { sender, opened, since };
        self.endpoint.pools[self.worker].put(idle);
    }
}

impl<'a> Hop<'a> {
    fn pool(&self) -> &'a Pool {
        &self.endpoint.pools[self.worker]
    }

    /// As whom a connection is opened now.
    fn opened(&self) -> Opened {
        match &self.endpoint.way {
            Some(way) => Opened::Mesh(way.number()),
            None => Opened::Straight(self.face.remembered()),
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
            capacity,
            shared: ArcSwap::default(),
            opening: tokio::sync::Mutex::new(()),
        }
    }

    /// The shared connection, if it was opened so and is not closed.
    fn usable(&self, opened: &Opened) -> Option<Arc<(Opened, Shared)>> {
        let all = self.shared.load();
        all.iter().find(|one| one.0.is(opened) && !one.1.is_closed()).cloned()
    }

    /// Shares a connection from now on, in the place of those that nobody will use.
    fn share(&self, new: &Arc<(Opened, Shared)>) {
        let all = self.shared.load();
        let is_kept = |one: &&Arc<(Opened, Shared)>| {
            !one.1.is_closed() && !one.0.is(&new.0) && !one.0.is_past(&new.0)
        };
        let kept = all.iter().filter(is_kept).chain([new]).cloned();
        self.shared.store(Arc::new(kept.collect()));
    }

    /// Uses no connection that is open any more: what they lead to is not there.
    pub(crate) fn clear(&self) {
        self.shared.store(Arc::default());
        self.lock().clear();
        self.count.store(0, Relaxed);
    }

    /// How many connections lie idle.
    pub(crate) fn idle(&self) -> usize {
        self.count.load(Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A full pool closes the connection.
    fn put(&self, idle: Idle) {
        let mut kept = self.lock();
        if kept.len() < self.capacity {
            kept.push(idle);
        }
        self.count.store(kept.len(), Relaxed);
    }

    /// Closes what lay idle for longer than `age`, or is opened as somebody who is over.
    pub(crate) fn sweep(&self, age: Duration) {
        let all = self.shared.load();
        if all.iter().any(|one| one.0.is_over()) {
            let kept = all.iter().filter(|one| !one.0.is_over()).cloned();
            self.shared.store(Arc::new(kept.collect()));
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
    fn take(
        &self,
        opened: &Opened,
        now: Instant,
        age: Duration,
    ) -> Option<http1::SendRequest<Upload>> {
        let mut kept = self.lock();
        // The others are still finishing their last exchange.
        let is_meant = |idle: &Idle| idle.opened.is(opened) || idle.opened.is_past(opened);
        while let Some(last) = kept.iter().rposition(|idle| is_meant(idle) && !idle.is_busy()) {
            let idle = kept.remove(last);
            self.count.store(kept.len(), Relaxed);
            let is_young = now.saturating_duration_since(idle.since) <= age;
            if idle.sender.is_ready() && idle.opened.is(opened) && is_young {
                return Some(idle.sender);
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

/// Sends what is in `slot` to an endpoint on a connection of the worker's and waits for the answer's
/// head; it is `now`. A failure that leaves the request in the slot had sent nothing.
pub(crate) async fn send(
    hop: Hop<'_>,
    limits: &Limits,
    now: Instant,
    slot: &mut Slot,
) -> Result<Answered, Failure> {
    match hop.endpoint.protocol {
        AppProtocol::Http1 => send_http1(hop, limits, now, slot).await,
        AppProtocol::H2c => send_http2(hop, limits, slot).await,
        AppProtocol::Tcp | AppProtocol::Udp => Err(Failure::proxy(Reason::BackendProtocol)),
    }
}

/// Makes sure that the worker has a connection to the endpoint for who comes next, `now`.
pub(crate) async fn reach(hop: Hop<'_>, limits: &Limits, now: Instant) -> Result<(), Failure> {
    let pool = hop.pool();
    let opened = hop.opened();
    match hop.endpoint.protocol {
        AppProtocol::Http1 => {
            let sender = match pool.take(&opened, now, limits.backend_idle) {
                Some(sender) => sender,
                None => open_http1(hop, limits).await?,
            };
            pool.put(Idle { sender, opened, since: Instant::now() });
        }
        AppProtocol::H2c if pool.usable(&opened).is_some() => {}
        AppProtocol::H2c => drop(open_http2(hop, limits).await?),
        AppProtocol::Tcp | AppProtocol::Udp => return Err(Failure::proxy(Reason::BackendProtocol)),
    }
    Ok(())
}

async fn send_http1(
    hop: Hop<'_>,
    limits: &Limits,
    now: Instant,
    slot: &mut Slot,
) -> Result<Answered, Failure> {
    // The proxy at the other end closes what idles for as long as we would keep it: we are sooner.
    let Hop { endpoint, worker, .. } = hop;
    let age = if endpoint.way.is_some() { limits.backend_idle / 2 } else { limits.backend_idle };
    loop {
        let opened = hop.opened();
        let (mut sender, reused) = match hop.pool().take(&opened, now, age) {
            Some(sender) => (sender, true),
            None => (open_http1(hop, limits).await?, false),
        };
        let request = slot.take().expect("whoever sends puts a request in");
        match sender.try_send_request(request).await {
            Ok(response) => {
                let lease = Lease { sender, opened, endpoint: Arc::clone(endpoint), worker };
                return Ok(Answered { response, lease: Some(lease) });
            }
            Err(unsent) => not_sent(unsent, reused, slot)?,
        }
    }
}

async fn open_http1(hop: Hop<'_>, limits: &Limits) -> Result<http1::SendRequest<Upload>, Failure> {
    let stream = connect::to(hop, limits, Preface::default()).await?;
    let (sender, connection) = http1::Builder::new()
        .max_headers(limits.headers)
        .max_buf_size(READ)
        .handshake(TokioIo::new(Gather(stream)))
        .await
        .map_err(Failure::unreached)?;
    // Ends when its sender is dropped, at the latest with the worker's runtime.
    tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "connection to a backend ended");
        }
    });
    Ok(sender)
}

async fn send_http2(hop: Hop<'_>, limits: &Limits, slot: &mut Slot) -> Result<Answered, Failure> {
    loop {
        let held = hop.pool().usable(&hop.opened());
        let (shared, reused) = match held {
            Some(shared) => (shared, true),
            None => {
                let opening = open_http2(hop, limits);
                let opened = tokio::time::timeout(limits.connect, opening).await;
                // Too late also for those who waited for another's attempt.
                opened.map_err(Failure::unreached)??
            }
        };
        let request = slot.take().expect("whoever sends puts a request in");
        match Shared::clone(&shared.1).try_send_request(request).await {
            Ok(response) => return Ok(Answered { response, lease: None }),
            Err(unsent) => not_sent(unsent, reused, slot)?,
        }
    }
}

/// Opens the shared connection; of several who want it at once, one opens it.
async fn open_http2(
    hop: Hop<'_>,
    limits: &Limits,
) -> Result<(Arc<(Opened, Shared)>, bool), Failure> {
    let pool = hop.pool();
    let _alone = pool.opening.lock().await;
    let opened = hop.opened();
    if let Some(shared) = pool.usable(&opened) {
        return Ok((shared, true));
    }
    let stream = connect::to(hop, limits, Preface::default()).await?;
    let list = u32::try_from(limits.head_bytes).unwrap_or(u32::MAX);
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_header_list_size(list)
        .adaptive_window(true)
        .keep_alive_interval(limits.backend_idle)
        .keep_alive_timeout(limits.connect)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(Failure::unreached)?;
    // Ends when its senders are dropped, at the latest with the worker's runtime.
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "connection to a backend ended");
        }
    });
    let shared = Arc::new((opened, sender));
    pool.share(&shared);
    Ok((shared, false))
}

/// Puts a request that came back into `slot`, which tells that nothing was written. That is no
/// failure where the connection is `reused`: the backend had closed it meanwhile.
fn not_sent(
    mut unsent: TrySendError<Request<Upload>>,
    reused: bool,
    slot: &mut Slot,
) -> Result<(), Failure> {
    *slot = unsent.take_message();
    let error = unsent.into_error();
    if slot.is_some() {
        return if reused { Ok(()) } else { Err(Failure::unreached(error)) };
    }
    let is_parse = error.is_parse();
    let reason = if is_parse { Reason::UpstreamProtocol } else { Reason::UpstreamReset };
    Err(Failure::backend(reason).because(error))
}

#[cfg(test)]
pub(crate) mod tests;
