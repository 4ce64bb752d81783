//! The process's data plane: workers, each a thread with a runtime, sockets and connections of
//! its own, and the table that is in force for all of them.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use arc_swap::ArcSwap;
use policy::{Layer, Scheme};
use serde_json::Value;
use table::Table;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wire::Resting;

use crate::alarm::Alarms;
use crate::bind::Inlet;
use crate::counts::{Counts, Keeper};
use crate::flows::{self, Taking};
use crate::health;
use crate::http::{Conn, Servers, Spoken};
use crate::live::{Ground, Live};
use crate::login::Logins;
use crate::mesh::{self, Membership};
use crate::passport::Passports;
use crate::phase::{End, Phase};
use crate::ports::{ApplyError, Ports, States};
use crate::proxy_protocol::Said;
use crate::seats::Seats;
use crate::settings::Settings;
use crate::telemetry::{Outcome, Telemetry};
use crate::tls::client::Known;
use crate::tls::tickets::Keyring;
use crate::tls::{self, Ending, Fate, Tls};
use crate::{balance, bind, describe, dial, hello, proxy_protocol, resting};
use outward::Reach;

/// How long a listener waits after a failed accept.
const AGAIN: Duration = Duration::from_millis(20);
/// How often idle connections to backends are looked through.
const SWEEP: Duration = Duration::from_secs(10);
/// Mirrored requests under way in the whole process; beyond it copies are left out.
const MIRRORS: usize = 1024;

/// Answers that are compressed at once; beyond it they go as they are. Each takes about 1 MiB at most.
const ENCODERS: usize = 1024;

/// The data plane of one process.
#[derive(Debug)]
pub struct Proxy {
    shared: Arc<Shared>,
    workers: Vec<Worker>,
    ports: Ports,
    /// Keeps what quotas count.
    keeper: Option<Keeper>,
}

/// What all workers and connections share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) telemetry: Arc<Telemetry>,
    pub(crate) live: ArcSwap<Live>,
    /// Which ports are open, for `/config`.
    pub(crate) ports: ArcSwap<States>,
    pub(crate) ground: Ground,
    /// Says "look again" when a table comes into force.
    pub(crate) changes: watch::Sender<()>,
    pub(crate) phase: Phase,
    pub(crate) mirrors: Arc<Semaphore>,
    /// Room for answers that are being compressed.
    pub(crate) encoders: Arc<Semaphore>,
    pub(crate) passports: Passports,
    /// For the bounds on attempts, by worker.
    pub(crate) alarms: Box<[Alarms]>,
    /// The connections through listeners.
    pub(crate) seats: Arc<Seats>,
    /// The flows of datagrams, by address.
    pub(crate) flow_seats: Arc<Seats>,
    /// What limits count.
    pub(crate) counts: Counts,
    /// Browsers that log in.
    pub(crate) logins: Arc<Logins>,
    /// What `balance` and `counts` count time from.
    pub(crate) epoch: Instant,
}

/// A worker's thread and the way to tell it what to do.
#[derive(Debug)]
struct Worker {
    orders: mpsc::UnboundedSender<Order>,
    thread: thread::JoinHandle<()>,
}

/// What a worker is told.
#[derive(Debug)]
enum Order {
    /// Take what comes to this socket until the token is cancelled.
    Listen { at: SocketAddr, socket: Inlet, closed: CancellationToken },
    /// Finish what is under way within the bound, then end.
    Drain(Duration),
}

impl Proxy {
    /// Starts the workers, which speak in the mesh by `membership` and seal sessions, of TLS and of rules, by
    /// `keyring`; nothing is served until a table is applied.
    ///
    /// # Errors
    /// If a thread or a runtime cannot be had.
    pub fn start(
        settings: Settings,
        telemetry: Arc<Telemetry>,
        membership: Arc<Membership>,
        keyring: Arc<Keyring>,
    ) -> io::Result<Self> {
        let ground = Ground {
            workers: settings.workers,
            pool: settings.limits.backend_pool,
            zone: settings.zone.as_deref().map(Arc::from),
            keyring,
            membership,
            admin: OnceLock::new(),
        };
        let live = Live::empty(&ground, &telemetry);
        let revoked = Arc::clone(&ground.membership.revoked);
        let logins = Arc::new(Logins::new(Reach::new(settings.fetch_from.clone()), revoked));
        let counts =
            Counts::new(settings.redis.as_ref(), settings.workers, settings.quotas.as_deref());
        counts.shared().into_iter().for_each(|shared| telemetry.shares(shared));
        let passports = Passports::new(settings.workers);
        let alarms = (0..settings.workers).map(|_| Alarms::default()).collect();
        let shared = Arc::new(Shared {
            settings,
            telemetry,
            live: ArcSwap::from_pointee(live),
            ports: ArcSwap::default(),
            ground,
            changes: watch::channel(()).0,
            phase: Phase::default(),
            mirrors: Arc::new(Semaphore::new(MIRRORS)),
            encoders: Arc::new(Semaphore::new(ENCODERS)),
            passports,
            alarms,
            seats: Arc::default(),
            flow_seats: Arc::default(),
            counts,
            logins,
            epoch: Instant::now(),
        });
        let workers = (0..shared.settings.workers)
            .map(|id| Worker::start(id, Arc::clone(&shared)))
            .collect::<io::Result<_>>()?;
        shared.counts.wait_tried();
        let ports = Ports::new(shared.settings.bind, shared.settings.workers);
        Ok(Proxy { shared, workers, ports, keeper: None })
    }

    /// Goes on with what quotas had counted: before the first connection is taken, and once the process before takes
    /// none any more.
    pub(crate) fn count_on(&mut self) {
        self.keeper = self.keeper.take().or_else(|| self.shared.counts.begin());
    }

    /// What keeps the counts of quotas, if something does.
    pub(crate) fn keeper(&self) -> Option<&Keeper> {
        self.keeper.as_ref()
    }

    /// Takes note of where this process's own admin port is, so that a listener that wants the
    /// same is told so.
    pub fn admin_is_at(&mut self, address: SocketAddr) {
        self.ports.admin_is_at(address);
        // The first one stays, and there is no other.
        let _first = self.shared.ground.admin.set(address);
    }

    /// Keeps copies of the sockets, so that another process can take them over.
    pub(crate) fn lend(&mut self) {
        self.ports.lend();
    }

    /// Uses sockets of the process before, and takes no connection before [`Proxy::accept`]; before a table is
    /// applied.
    ///
    /// # Errors
    /// If one of them is at no address.
    pub(crate) fn are_given(&mut self, sockets: Vec<Inlet>) -> io::Result<()> {
        self.shared.phase.accept(false);
        self.ports.are_given(sockets)
    }

    /// Takes connections: the process before takes them no more. What it had open and no table wanted is closed.
    pub(crate) fn accept(&mut self) {
        self.ports.accept();
        self.shared.phase.accept(true);
    }

    /// All sockets of open ports, where another process may take them over.
    pub(crate) fn sockets(&self) -> impl Iterator<Item = &Inlet> {
        self.ports.sockets()
    }

    /// Puts `table` in force: swaps, opens its new ports, closes ports that are gone. Requests
    /// that are under way end by the table they began with.
    ///
    /// A port that cannot be opened is reported and left out; everything else is served.
    pub fn apply(&mut self, table: Arc<Table>) -> Vec<ApplyError> {
        self.shared.counts.look_at(&table);
        let live = Live::attach(
            table,
            Some(&self.shared.live.load()),
            &self.shared.ground,
            &self.shared.telemetry,
        );
        self.shared.live.store(Arc::new(live));
        self.shared.changes.send_replace(());
        self.open_missing()
    }

    /// Opens the ports of the table in force that are not open, which another process may have
    /// freed meanwhile; what still cannot be opened is reported.
    pub fn open_missing(&mut self) -> Vec<ApplyError> {
        let live = self.shared.live.load();
        let failed = self.ports.follow(&live.table, |at, sockets, closed| {
            // The process before may have had more workers: each socket needs somebody who accepts.
            for (worker, socket) in self.workers.iter().cycle().zip(sockets) {
                let order = Order::Listen { at, socket, closed: closed.clone() };
                // A worker that ended takes no orders; its thread's fate is seen by `drain`.
                drop(worker.orders.send(order));
            }
        });
        self.shared.ports.store(Arc::new(self.ports.states(&failed)));
        self.shared.telemetry.ports_missing(failed.len());
        failed
    }

    /// Tells what is in force, for `/config`; callable from any thread.
    pub fn describe(&self) -> impl Fn() -> Value + Send + Sync + 'static {
        let shared = Arc::clone(&self.shared);
        move || {
            let speaks = shared.ground.membership.now().map(|now| now.peer.to_string());
            let now = balance::nanos(shared.epoch, Instant::now());
            let mut told = describe::live(&shared.live.load(), &shared.ports.load(), now);
            told["speaksAs"] = speaks.into();
            told["quotas"] = describe::quotas(shared.counts.keeping());
            told["redis"] = describe::redis(shared.counts.shared().map(|counts| counts.standing()));
            told
        }
    }

    /// The endpoints that get no requests, or only one by which they are tried.
    pub(crate) fn resting(&self) -> Vec<Resting> {
        resting::of(&self.shared.live.load())
    }

    /// Takes no new connections, finishes what is under way within `bound`, and ends.
    pub fn drain(self, bound: Duration) {
        self.finish(End { bound, is_followed: false });
    }

    /// The same where another process has the sockets, and takes the connections that wait at them.
    pub(crate) fn leave(self, bound: Duration) {
        self.finish(End { bound, is_followed: true });
    }

    fn finish(mut self, end: End) {
        let bound = end.bound;
        for worker in &self.workers {
            drop(worker.orders.send(Order::Drain(bound)));
        }
        // Before the ports close, since whether somebody follows says what becomes of those who wait there.
        self.shared.phase.end(end);
        self.ports.close();
        self.shared.ports.store(Arc::default());
        for worker in self.workers {
            if worker.thread.join().is_err() {
                tracing::error!("a worker had panicked");
            }
        }
    }
}

impl Worker {
    fn start(id: usize, shared: Arc<Shared>) -> io::Result<Self> {
        let (orders, receiver) = mpsc::unbounded_channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = thread::Builder::new().name(format!("worker-{id}")).spawn(move || {
            runtime.block_on(run(id, shared, receiver));
            // Whoever looks for a name by now is not waited for.
            runtime.shutdown_background();
        })?;
        Ok(Worker { orders, thread })
    }
}

/// Follows orders until told to drain; then waits for the connections, but not for ever.
async fn run(id: usize, shared: Arc<Shared>, mut orders: mpsc::UnboundedReceiver<Order>) {
    let (tasks, flows) = (TaskTracker::new(), flows::Count::default());
    if id == 0 {
        // Ends with the worker's runtime.
        tokio::spawn(health::follow(Arc::clone(&shared)));
    }
    if let Some(counts) = shared.counts.shared().map(Arc::clone) {
        tokio::spawn(async move { counts.follow(id).await });
    }
    let mut sweep = tokio::time::interval(SWEEP);
    loop {
        let order = tokio::select! {
            order = orders.recv() => order,
            _ = sweep.tick() => {
                shared.live.load().sweep(id, shared.settings.limits.backend_idle);
                continue;
            }
        };
        let Some(order) = order else { return };
        match order {
            Order::Listen { at, socket: Inlet::Udp(socket), closed } => {
                let taking = Taking::new(id, at, &shared, &tasks, &flows);
                tasks.spawn(async move {
                    if let Err(error) = taking.run(socket, closed).await {
                        tracing::error!(%at, %error, "cannot take datagrams");
                    }
                });
            }
            Order::Listen { at, socket: Inlet::Tcp(socket), closed } => {
                let accepting = Accepting::new(id, at, &shared, &tasks);
                tasks.spawn(async move {
                    if let Err(error) = accepting.run(socket, closed).await {
                        tracing::error!(%at, %error, "cannot accept connections");
                    }
                });
            }
            Order::Drain(bound) => {
                tasks.close();
                if tokio::time::timeout(bound, tasks.wait()).await.is_err() {
                    tracing::warn!(
                        worker = id,
                        left = tasks.len(),
                        "drain is over; closing the rest"
                    );
                    shared.phase.break_off();
                }
                return;
            }
        }
    }
}

/// Accepts the connections of one port on one worker.
struct Accepting {
    worker: usize,
    at: SocketAddr,
    shared: Arc<Shared>,
    tasks: TaskTracker,
    servers: Arc<Servers>,
}

impl Accepting {
    fn new(worker: usize, at: SocketAddr, shared: &Arc<Shared>, tasks: &TaskTracker) -> Self {
        Accepting {
            worker,
            at,
            shared: Arc::clone(shared),
            tasks: tasks.clone(),
            servers: Arc::new(Servers::new(&shared.settings.limits)),
        }
    }

    /// Accepts until `closed`, and then what the kernel had already accepted for us.
    async fn run(self, socket: TcpListener, closed: CancellationToken) -> io::Result<()> {
        tokio::select! {
            () = self.shared.phase.accepting() => {}
            () = closed.cancelled() => return Ok(()),
        }
        bind::listen(&socket)?;
        let socket = tokio::net::TcpListener::from_std(socket)?;
        loop {
            let accepted = tokio::select! {
                accepted = socket.accept() => accepted,
                () = closed.cancelled() => break,
            };
            match accepted {
                Ok((stream, peer)) => self.serve(stream, peer, &closed),
                // Out of descriptors or a client that left: neither ends the listener.
                Err(error) => {
                    tracing::warn!(at = %self.at, %error, "accept failed");
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
        if !self.shared.phase.is_followed() {
            self.take_what_waits(&socket.into_std()?, &closed)?;
        }
        Ok(())
    }

    /// Serves whom the kernel has accepted already. Asked without tokio, which lets a task have so much at once
    /// and no more, and then says that there is nothing.
    fn take_what_waits(&self, socket: &TcpListener, closed: &CancellationToken) -> io::Result<()> {
        for _ in 0..bind::BACKLOG {
            match socket.accept() {
                Ok((stream, peer)) => {
                    stream.set_nonblocking(true)?;
                    self.serve(TcpStream::from_std(stream)?, peer, closed);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // Of one that left before it was taken.
                Err(error) => tracing::debug!(at = %self.at, %error, "accept failed"),
            }
        }
        Ok(())
    }

    fn serve(&self, stream: TcpStream, peer: SocketAddr, closed: &CancellationToken) {
        let (shared, tasks) = (Arc::clone(&self.shared), self.tasks.clone());
        let conn = Conn::new(shared, self.worker, canonical(peer), self.at.port(), tasks);
        let conn = conn.at(self.at.ip(), closed);
        self.tasks.spawn(connection(conn, stream, Arc::clone(&self.servers)));
    }
}

/// An IPv4 caller on an IPv6 socket is the IPv4 caller.
pub(crate) fn canonical(peer: SocketAddr) -> SocketAddr {
    SocketAddr::new(peer.ip().to_canonical(), peer.port())
}

/// One connection from its first byte to its end, counted.
async fn connection(conn: Conn, stream: TcpStream, servers: Arc<Servers>) {
    let (telemetry, worker) = (Arc::clone(&conn.shared.telemetry), conn.worker);
    telemetry.connection_opened(worker);
    let outcome = carry(conn, stream, servers).await;
    match outcome {
        Outcome::HandshakeFailed => telemetry.handshake_failed(worker),
        Outcome::ParseFailed => telemetry.parse_failed(worker),
        Outcome::Done | Outcome::Reset | Outcome::TimedOut | Outcome::Cut | Outcome::Refused => {}
    }
    telemetry.connection_closed(worker, outcome);
}

/// The handshake where the port has TLS or is the mesh's, then HTTP, or whatever it is that nobody reads.
// Each way is boxed: they take up to 10 KiB, and a connection lives in one alone.
async fn carry(mut conn: Conn, mut stream: TcpStream, servers: Arc<Servers>) -> Outcome {
    if stream.set_nodelay(true).is_err() {
        return Outcome::Reset;
    }
    if conn.shared.live.load().table.inbound.as_ref().is_some_and(|mesh| mesh.is_at(conn.port)) {
        return Box::pin(mesh::serve(conn, stream, &servers)).await;
    }
    if let Some((host, port)) = conn.upstream() {
        return Box::pin(dial::forwarded(Arc::new(conn), &host, port, stream)).await;
    }
    let shared = Arc::clone(&conn.shared);
    let limits = &shared.settings.limits;
    let Some(mut seat) = shared.seats.take(limits) else {
        return refused(&conn, &stream, "--max-connections");
    };
    if shared.settings.is_proxied(conn.peer.ip()) {
        match Box::pin(in_time(&conn, proxy_protocol::read(&mut stream))).await {
            Some(Said::From(from)) => conn = conn.come_from(from),
            Some(Said::Own) => {}
            // The balancer looked whether anybody is here.
            Some(Said::Nothing) => return Outcome::Done,
            None => return Outcome::ParseFailed,
        }
    }
    if !seat.is_for(limits, conn.peer.ip()) {
        return refused(&conn, &stream, "--max-connections-per-ip");
    }
    conn = conn.seated(seat);
    let Some(tls) = conn.shared.live.load().tls.get(&conn.port).cloned() else {
        return match conn.layer() {
            Layer::Request => Box::pin(servers.serve(Arc::new(conn), stream, Spoken::Detect)).await,
            Layer::Connection | Layer::Datagrams => {
                Box::pin(dial::entered(Arc::new(conn), stream)).await
            }
        };
    };
    conn.scheme = Scheme::Https;
    let Some(ending) = &tls.only else {
        return Box::pin(sorted(conn, &tls, stream, &servers)).await;
    };
    let handshake = TlsAcceptor::from(Arc::clone(&ending.config)).accept(stream);
    match Box::pin(in_time(&conn, handshake)).await {
        Some(stream) => Box::pin(serve_tls(conn, stream, ending, &servers)).await,
        None => Outcome::HandshakeFailed,
    }
}

/// The end of a connection for which there is no room under a bound.
fn refused(conn: &Conn, stream: &TcpStream, bound: &str) -> Outcome {
    let last = conn.peer;
    tracing::debug!(peer = %last, bound, "refused: as many connections are open as may be");
    if let Some(refused) = conn.shared.seats.refused(Instant::now()) {
        tracing::warn!(refused, %last, bound, "connections are refused: as many are open as may be");
    }
    // What cannot be set any more has ended itself.
    drop(stream.set_zero_linger());
    Outcome::Refused
}

/// On a port where not all TLS ends here alike: what becomes of a connection its server name says.
async fn sorted(mut conn: Conn, tls: &Tls, stream: TcpStream, servers: &Servers) -> Outcome {
    let Some(hello) = in_time(&conn, hello::read(stream)).await else {
        return Outcome::HandshakeFailed;
    };
    conn.server_name = Some(hello.server_name.clone());
    let ending = match tls.fate(&hello.server_name) {
        Fate::HandedOn => return dial::handed_on(Arc::new(conn), hello).await,
        Fate::Ends(ending) => ending,
    };
    let handshake = hello.end_here().into_stream(Arc::clone(&ending.config));
    let Some(stream) = in_time(&conn, handshake).await else {
        return Outcome::HandshakeFailed;
    };
    match ending.layer {
        Layer::Request => serve_tls(conn, stream, &ending, servers).await,
        Layer::Connection | Layer::Datagrams => match known(conn, &stream, &ending) {
            Some(conn) => dial::deciphered(Arc::new(conn), stream).await,
            None => Outcome::HandshakeFailed,
        },
    }
}

/// A connection and what its client proved in the handshake; none where that is not enough.
fn known<S>(conn: Conn, stream: &TlsStream<S>, ending: &Ending) -> Option<Conn> {
    let Some(asks) = &ending.asks else { return Some(conn) };
    match asks.known(stream.get_ref().1) {
        Known::Proved(client) => Some(conn.asked(&asks.of, Some(client))),
        Known::Nobody => Some(conn.asked(&asks.of, None)),
        Known::Unproved => {
            tracing::debug!(peer = %conn.peer, "the client's certificate proves nothing");
            None
        }
    }
}

/// What comes of a step before the first request, if it succeeds within its bound.
async fn in_time<T>(conn: &Conn, step: impl Future<Output = io::Result<T>>) -> Option<T> {
    match tokio::time::timeout(conn.shared.settings.limits.handshake, step).await {
        Ok(Ok(done)) => return Some(done),
        Ok(Err(error)) => tracing::debug!(peer = %conn.peer, %error, "handshake failed"),
        Err(_) => tracing::debug!(peer = %conn.peer, "handshake took too long"),
    }
    None
}

/// HTTP behind a handshake.
async fn serve_tls<S>(
    conn: Conn,
    stream: TlsStream<S>,
    ending: &Ending,
    servers: &Servers,
) -> Outcome
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Some(mut conn) = known(conn, &stream, ending) else {
        return Outcome::HandshakeFailed;
    };
    let session = stream.get_ref().1;
    conn.server_name = Some(tls::server_name(session.server_name()));
    let spoken = match session.alpn_protocol() {
        Some(b"h2") => Spoken::Http2,
        Some(_) | None => Spoken::Http1,
    };
    servers.serve(Arc::new(conn), stream, spoken).await
}
