//! One client connection: which HTTP is spoken on it, its bounds, its end.

use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use http::header::CONNECTION;
use http::{HeaderValue, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use model::identity::Peer;
use policy::{Layer, Scheme};
use table::{ClientValidation, Listener};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wire::Side;

use crate::address;
use crate::alarm::Alarms;
use crate::cork::{Cork, Corked};
use crate::detect::{self, Ahead};
use crate::exchange::exchange;
use crate::gather::Gather;
use crate::live::Live;
use crate::mesh::left;
use crate::phase::GRACE;
use crate::rarely::Rarely;
use crate::reply::Reply;
use crate::seats::Seat;
use crate::settings::Limits;
use crate::steady::{Steady, Streams};
use crate::telemetry::Outcome;
use crate::tls::client::Client;
use crate::worker::Shared;

/// A client connection and what holds for all its requests.
#[derive(Debug)]
pub(crate) struct Conn {
    pub(crate) shared: Arc<Shared>,
    pub(crate) worker: usize,
    pub(crate) peer: SocketAddr,
    /// The peer's address as backends are told it.
    pub(crate) peer_text: HeaderValue,
    /// The listener's port.
    pub(crate) port: u16,
    /// The same as backends are told it.
    pub(crate) port_text: HeaderValue,
    pub(crate) scheme: Scheme,
    /// The server name of the handshake, in lower case; empty where it had none, and `None`
    /// without TLS.
    pub(crate) server_name: Option<Box<str>>,
    /// Where the socket is that took it.
    bound: Option<IpAddr>,
    /// Who sends it through the mesh; nobody where it came any other way.
    pub(crate) from: Option<Arc<Peer>>,
    /// What was asked of the client in its handshake.
    pub(crate) asked: Option<Arc<ClientValidation>>,
    /// What it proved then.
    pub(crate) client: Option<Arc<Client>>,
    /// When the certificate ends of who sends it.
    until: Option<SystemTime>,
    /// Says that nobody listens any more where it was taken.
    closed: Option<CancellationToken>,
    /// Says that it is good for no more requests.
    over: Notify,
    /// Counts it, where that is bounded, until it and its tunnel are over.
    _seat: Seat,
    /// What must end before its worker does.
    pub(crate) tasks: TaskTracker,
    /// Requests begun, in the upper half, and under way, in the lower.
    requests: AtomicU64,
    /// Whether something came since the last answer.
    heard: AtomicBool,
    /// Whether the body of the newest request was not read to its end; of HTTP/1.1 alone, which has one at a time.
    unread: AtomicBool,
    /// Whether others than its server read what comes, since it carries bytes.
    carries: AtomicBool,
    /// Whether its end was said, and no more than that of its client is waited for.
    is_ending: AtomicBool,
    /// Whether it is of HTTP/2, as far as is known.
    is_http2: AtomicBool,
}

const BEGUN: u64 = 1 << 32;

impl Conn {
    /// Where it was taken: the socket's address, as far as that is one, with the listener's port.
    pub(crate) fn taken_at(&self) -> SocketAddr {
        let any = match self.peer.ip() {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        SocketAddr::new(self.bound.unwrap_or(any), self.port)
    }

    pub(crate) fn new(
        shared: Arc<Shared>,
        worker: usize,
        peer: SocketAddr,
        port: u16,
        tasks: TaskTracker,
    ) -> Self {
        let (scheme, server_name, requests) = (Scheme::Http, None, AtomicU64::new(0));
        let peer_text = told(peer);
        let port_text = HeaderValue::from(port);
        Conn {
            shared,
            worker,
            peer,
            peer_text,
            port,
            port_text,
            scheme,
            server_name,
            bound: None,
            closed: None,
            from: None,
            asked: None,
            client: None,
            until: None,
            over: Notify::new(),
            _seat: Seat::default(),
            tasks,
            requests,
            heard: AtomicBool::new(false),
            unread: AtomicBool::new(false),
            carries: AtomicBool::new(false),
            is_ending: AtomicBool::new(false),
            is_http2: AtomicBool::new(false),
        }
    }

    /// The same, taken by a socket at an address, until that is `closed`.
    pub(crate) fn at(self, bound: IpAddr, closed: &CancellationToken) -> Self {
        Conn { bound: Some(bound), closed: Some(closed.clone()), ..self }
    }

    /// The same, come from elsewhere than from who opened it.
    pub(crate) fn come_from(self, peer: SocketAddr) -> Self {
        Conn { peer, peer_text: told(peer), ..self }
    }

    /// The same, counted.
    pub(crate) fn seated(self, seat: Seat) -> Self {
        Conn { _seat: seat, ..self }
    }

    /// The same, come through the mesh from somebody, until their certificate ends.
    pub(crate) fn of(self, from: Arc<Peer>, until: SystemTime) -> Self {
        Conn { from: Some(from), until: Some(until), ..self }
    }

    /// The same, of a client of whom something was asked, and what it proved.
    pub(crate) fn asked(self, asked: &Arc<ClientValidation>, client: Option<Arc<Client>>) -> Self {
        let until = client.as_ref().map(|client| client.until);
        Conn { asked: Some(Arc::clone(asked)), client, until, ..self }
    }

    /// What policies know of the certificate that its client proved to have.
    pub(crate) fn certificate(&self) -> Option<&policy::Certificate> {
        self.client.as_ref().map(|client| &client.facts)
    }

    /// Whether its client was asked what a listener asks now; one that was not cannot have proved it.
    pub(crate) fn was_asked(&self, listener: &Listener) -> bool {
        match (&self.asked, &listener.client_validation) {
            (None, None) => true,
            (Some(then), Some(now)) => Arc::ptr_eq(then, now),
            (None, Some(_)) | (Some(_), None) => false,
        }
    }

    /// Something came.
    pub(crate) fn hears(&self) {
        self.heard.store(true, Relaxed);
    }

    /// A request came, with a body or without; what the one before left of its own is over by that.
    pub(crate) fn begins(&self, has_body: bool) {
        self.unread.store(has_body, Relaxed);
    }

    /// The body was read to its end.
    pub(crate) fn body_ends(&self) {
        self.unread.store(false, Relaxed);
    }

    /// Whether its client is likely to be sending what nobody reads any more: a body, or what is no request;
    /// over HTTP/2 anything, until it has read that its streams are no longer taken.
    pub(crate) fn may_send_more(&self) -> bool {
        self.is_http2() || self.unread.load(Relaxed) || self.heard.load(Relaxed)
    }

    /// It carries bytes from now on, which may go on coming when the other direction has ended.
    pub(crate) fn carry(&self) {
        self.carries.store(!self.is_http2(), Relaxed);
    }

    pub(crate) fn carries(&self) -> bool {
        self.carries.load(Relaxed)
    }

    /// Its end is said; for how long its client may go on sending.
    pub(crate) fn end(&self) -> Duration {
        self.is_ending.store(true, Relaxed);
        self.rest()
    }

    /// For how long a client may go on sending on a connection whose end is said.
    fn rest(&self) -> Duration {
        let most = self.shared.settings.limits.head;
        self.grace().map_or(most, |grace| grace.min(most))
    }

    /// Whether the next request has begun to come, and not all of its head is there; of HTTP/1.1 alone.
    fn is_within_head(&self) -> bool {
        let is_idle = self.requests.load(Relaxed).is_multiple_of(BEGUN);
        is_idle && self.heard.load(Relaxed) && !self.is_http2.load(Relaxed)
    }

    /// Whether HTTP/2 is spoken on it, which is known once there was a request.
    pub(crate) fn is_http2(&self) -> bool {
        self.is_http2.load(Relaxed)
    }

    /// Has it end once what is under way is over.
    pub(crate) fn retire(&self) {
        self.over.notify_one();
    }

    /// Waits until nobody listens any more where it was taken.
    async fn left(&self) {
        match &self.closed {
            Some(closed) => closed.cancelled().await,
            None => std::future::pending().await,
        }
    }

    /// Whether it is to end, with the process or its listener; and then how long it is kept without a request
    /// for one more.
    fn grace(&self) -> Option<Duration> {
        let is_left = self.closed.as_ref().is_some_and(CancellationToken::is_cancelled);
        self.shared.phase.grace().or(is_left.then_some(GRACE))
    }

    /// Says in an answer of HTTP/1.1 that no other will come, if it is to end.
    pub(crate) fn part(&self, version: Version, answer: &mut Response<Reply>) {
        let is_over = version < Version::HTTP_2 && self.grace().is_some();
        if is_over && answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
    }

    /// Waits until the certificate of the sender has ended, and so long beyond; for ever where there
    /// is none.
    pub(crate) async fn outlived(&self, beyond: Duration) {
        match self.until {
            Some(until) => tokio::time::sleep(left(until) + beyond).await,
            None => std::future::pending().await,
        }
    }

    /// The listener of a Gateway that it comes in through, by the server name of its handshake.
    pub(crate) fn listener(&self) -> Option<Arc<Listener>> {
        let name = self.server_name.as_deref().unwrap_or_default();
        self.shared.live.load().table.listener(self.port, name).cloned()
    }

    /// What comes on it, where it is plain.
    pub(crate) fn layer(&self) -> Layer {
        self.listener().map_or(Layer::Request, |listener| listener.layer())
    }

    /// Whether the application beside this proxy sends on it.
    pub(crate) fn is_outbound(&self, live: &Live) -> bool {
        // A socket that was for others under another table is not the application's.
        let at = self.bound.map(|bound| SocketAddr::new(bound, self.port));
        let outbound = live.table.outbound.as_ref();
        outbound.zip(at).is_some_and(|(outbound, at)| outbound.is_at(at))
    }

    /// The Service and the port of it that it leads to, where its socket leads to one.
    pub(crate) fn upstream(&self) -> Option<(Box<str>, u16)> {
        let live = self.shared.live.load();
        let (host, port) = live.table.outbound.as_ref()?.upstream(self.port)?;
        self.is_outbound(&live).then(|| (host.into(), port))
    }

    /// Whether who sends it is in no cluster of their workspace.
    pub(crate) fn is_stranger(&self, live: &Live) -> bool {
        self.from.as_ref().is_some_and(|from| !live.table.is_at_home(from))
    }

    /// On which side of an application it is.
    pub(crate) fn side(&self, live: &Live) -> Side {
        match (&self.from, self.is_outbound(live)) {
            (Some(_), _) => Side::Inbound,
            (None, true) => Side::Outbound,
            (None, false) => Side::Edge,
        }
    }

    /// Whether an address is believed about where a request came from: who is trusted, and gateways
    /// of the mesh.
    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        let is_gateway = matches!(self.from.as_deref(), Some(Peer::Gateway { .. }));
        (is_gateway && address == self.peer.ip()) || self.shared.settings.trusts(address)
    }

    /// Whether its trace and its request's id go on: of who is trusted, of other proxies, and of the
    /// application beside this one.
    pub(crate) fn goes_on(&self, live: &Live) -> bool {
        self.from.is_some() || self.shared.settings.trusts(self.peer.ip()) || self.is_outbound(live)
    }
}

/// An address as backends are told it.
fn told(peer: SocketAddr) -> HeaderValue {
    let mut text = Vec::new();
    address::write_ip(peer.ip(), &mut text);
    HeaderValue::try_from(text).expect("an address is visible ASCII")
}

/// A request on its way, or its answer; also over when the client takes it back.
#[derive(Debug)]
pub(crate) struct Busy(Arc<Conn>);

impl Busy {
    pub(crate) fn on(conn: &Arc<Conn>) -> Self {
        conn.requests.fetch_add(BEGUN + 1, Relaxed);
        Busy(Arc::clone(conn))
    }

    /// Whether it ends now since the process does.
    pub(crate) fn is_broken_off(&self) -> bool {
        self.0.shared.phase.is_over()
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.heard.store(false, Relaxed);
        self.0.requests.fetch_sub(1, Relaxed);
    }
}

/// What was agreed on in the TLS handshake, if there was one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spoken {
    /// Nothing: the first bytes tell.
    Detect,
    /// `http/1.1`.
    Http1,
    /// `h2`.
    Http2,
}

/// hyper's server side with our bounds.
pub(crate) struct Servers {
    http1: http1::Builder,
    http2: http2::Builder<Streams>,
}

/// An exchange under way.
type Answering = Pin<Box<dyn Future<Output = Result<Response<Reply>, Infallible>> + Send>>;
/// When a connection has to end, and how it will have ended.
type Parting<'c> = Rarely<Pin<Box<dyn Future<Output = Outcome> + Send + 'c>>>;

impl Servers {
    pub(crate) fn new(limits: &Limits) -> Self {
        let mut http1 = http1::Builder::new();
        http1
            .timer(Alarms::default())
            // For hyper a head begins with the answer before it; [`idle`] knows better.
            .header_read_timeout(limits.idle.max(limits.head))
            .max_headers(limits.headers)
            .max_buf_size(limits.head_bytes.max(8192));
        let mut http2 = http2::Builder::new(Streams::new(limits.write));
        http2
            .timer(TokioTimer::new())
            .max_concurrent_streams(limits.streams)
            .max_header_list_size(u32::try_from(limits.head_bytes).unwrap_or(u32::MAX))
            .max_pending_accept_reset_streams(limits.pending_resets)
            .max_local_error_reset_streams(limits.local_resets)
            .keep_alive_interval(limits.idle)
            .keep_alive_timeout(limits.head);
        Servers { http1, http2 }
    }

    /// Serves the requests of one connection until it ends, idles too long, or the process drains.
    pub(crate) async fn serve<S>(&self, conn: Arc<Conn>, stream: S, spoken: Spoken) -> Outcome
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut parting = parting(&conn);
        match spoken {
            Spoken::Detect => match detected(&conn, stream, &mut parting).await {
                Ok((true, stream)) => self.http2(&conn, stream, parting).await,
                Ok((false, stream)) => self.http1(&conn, stream, parting).await,
                Err(outcome) => outcome,
            },
            Spoken::Http1 => self.http1(&conn, stream, parting).await,
            Spoken::Http2 => self.http2(&conn, stream, parting).await,
        }
    }

    async fn http1<S>(&self, conn: &Arc<Conn>, stream: S, parting: Parting<'_>) -> Outcome
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let io = TokioIo::new(Steady::new(Gather(stream), conn));
        let serving = self.http1.serve_connection(io, service(conn)).with_upgrades();
        drive(conn, pin!(serving), parting, |serving| serving.graceful_shutdown()).await
    }

    async fn http2<S>(&self, conn: &Arc<Conn>, stream: S, parting: Parting<'_>) -> Outcome
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        conn.is_http2.store(true, Relaxed);
        let cork = Cork::new(Steady::new(stream, conn));
        let io = TokioIo::new(cork.clone());
        let connection = pin!(self.http2.serve_connection(io, service(conn)));
        let serving = pin!(Corked { connection, cork });
        drive(conn, serving, parting, |serving| serving.connection().graceful_shutdown()).await
    }
}

/// What answers the requests of a connection.
fn service(
    conn: &Arc<Conn>,
) -> impl Service<Request<Incoming>, Response = Response<Reply>, Error = Infallible, Future = Answering>
+ use<> {
    let conn = Arc::clone(conn);
    // Boxed, since an exchange takes a few KiB, and hyper and tokio move what runs one several times.
    service_fn(move |request| {
        let conn = Arc::clone(&conn);
        Box::pin(async move { Ok(exchange(conn, request).await) }) as Answering
    })
}

/// Whether HTTP/2 is spoken on a connection, unless that has to end before it is clear. At the end of the
/// process a first request may be on its way as any other may.
async fn detected<S>(
    conn: &Conn,
    stream: S,
    parting: &mut Parting<'_>,
) -> Result<(bool, Ahead<S>), Outcome>
where
    S: AsyncRead + Unpin,
{
    let broken = |error: io::Error| ended(conn, Err(error.into()), Outcome::Done);
    let mut reading = pin!(detect::is_http2(stream));
    let closing = tokio::select! {
        biased;
        read = reading.as_mut() => return read.map_err(broken),
        closing = &mut *parting => closing,
    };
    *parting = Rarely::new(Box::pin(std::future::ready(closing)));
    let Some(grace) = conn.grace() else { return Err(closing) };
    tokio::select! {
        biased;
        read = reading => read.map_err(broken),
        () = quiet(conn, grace) => Err(closing),
        () = conn.outlived(Duration::ZERO) => Err(closing),
    }
}

/// Runs a connection to its end. One that is told to end has the bound on heads for it, unless requests are
/// still under way. `end` tells it: HTTP/2 loses nothing by that, and over HTTP/1.1 a request may be on its
/// way, so that at the end of the process one that is idle is told after a while, and any other in its answer.
async fn drive<C, E>(
    conn: &Conn,
    mut serving: Pin<&mut C>,
    parting: Parting<'_>,
    end: impl FnOnce(Pin<&mut C>),
) -> Outcome
where
    C: Future<Output = Result<(), E>>,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    let closing = tokio::select! {
        biased;
        result = serving.as_mut() => return ended(conn, result.map_err(Into::into), Outcome::Done),
        closing = parting => closing,
    };
    let is_http1 = !conn.is_http2.load(Relaxed);
    let is_first = is_http1 && conn.requests.load(Relaxed) == 0;
    if conn.is_ending.load(Relaxed) {
        // Nothing but its client's end is waited for.
        return tokio::select! {
            biased;
            result = serving.as_mut() => ended(conn, result.map_err(Into::into), closing),
            () = tokio::time::sleep(conn.rest()) => closing,
        };
    }
    if closing == Outcome::TimedOut && (is_first || conn.is_within_head()) {
        // The head took too long: there is nothing to wait for.
        return closing;
    }
    if let Some(grace) = conn.grace().filter(|_| is_http1) {
        tokio::select! {
            biased;
            result = serving.as_mut() => return ended(conn, result.map_err(Into::into), closing),
            () = quiet(conn, grace) => {}
            () = conn.outlived(Duration::ZERO) => {}
        }
    }
    end(serving.as_mut());
    let bound = conn.shared.settings.limits.head;
    tokio::select! {
        result = serving.as_mut() => ended(conn, result.map_err(Into::into), closing),
        () = quiet(conn, bound) => closing,
        () = conn.outlived(bound) => closing,
    }
}

fn parting(conn: &Conn) -> Parting<'_> {
    Rarely::new(Box::pin(async {
        tokio::select! {
            biased;
            () = conn.shared.phase.draining() => Outcome::Cut,
            () = conn.left() => Outcome::Cut,
            () = idle(conn) => Outcome::TimedOut,
            () = conn.outlived(Duration::ZERO) => Outcome::TimedOut,
            () = conn.over.notified() => Outcome::Cut,
        }
    }))
}

/// Ends when no request came at all within the bound on heads, which hyper keeps only once it
/// knows what is spoken; later, when a head takes longer than that, or there was no request for the bound on
/// idleness. It looks now and then, so that each of these may take twice as long.
async fn idle(conn: &Conn) {
    let limits = &conn.shared.settings.limits;
    tokio::time::sleep(limits.head).await;
    let mut before = conn.requests.load(Relaxed);
    if before == 0 {
        return;
    }
    let each = limits.head.min(limits.idle);
    let (mut silent, mut within_head) = (Duration::ZERO, None);
    loop {
        tokio::time::sleep(each).await;
        let now = conn.requests.load(Relaxed);
        let is_idle = now == before && now.is_multiple_of(BEGUN);
        silent = if is_idle { silent + each } else { Duration::ZERO };
        // That of the time before, if it is the same.
        within_head = match (conn.is_within_head(), within_head.filter(|_| now == before)) {
            (true, Some(long)) => Some(long + each),
            (true, None) => Some(Duration::ZERO),
            (false, _) => None,
        };
        if silent >= limits.idle || within_head.is_some_and(|long| long >= limits.head) {
            return;
        }
        before = now;
    }
}

/// Ends when there was no request for `bound`.
async fn quiet(conn: &Conn, bound: Duration) {
    let mut before = conn.requests.load(Relaxed);
    loop {
        tokio::time::sleep(bound).await;
        let now = conn.requests.load(Relaxed);
        if now == before && now.is_multiple_of(BEGUN) {
            return;
        }
        before = now;
    }
}

/// How a connection ended: `usual`, unless hyper gave it up.
fn ended(conn: &Conn, result: Result<(), Box<dyn Error + Send + Sync>>, usual: Outcome) -> Outcome {
    let Err(error) = result else { return usual };
    tracing::debug!(peer = %conn.peer, error = &*error as &(dyn Error + 'static), "connection ended");
    match error.downcast_ref::<hyper::Error>() {
        Some(error) if error.is_parse() => Outcome::ParseFailed,
        Some(error) if error.is_timeout() => Outcome::TimedOut,
        Some(_) | None => Outcome::Reset,
    }
}
