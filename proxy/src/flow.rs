//! One flow: whoever begins it is judged, an endpoint is picked for it, and what that answers goes back.
//!
//! A flow is one exchange: it has one record, told when it is over.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use http::request::Parts;
use http::{HeaderMap, StatusCode};
use policy::{Answer, Facts, Layer, Reader, Reason, Scheme, Verdict};
use socket2::SockRef;
use table::Target;
use tokio::net::UdpSocket;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::balance::{self, Draw, Said, Turn};
use crate::datagram::{Ends, LONGEST, Socket};
use crate::exchange::decide;
use crate::http::Conn;
use crate::live::{Endpoint, Live, Service, reaches};
use crate::metrics::flows::{Dropped, Way};
use crate::moment;
use crate::record::Record;
use crate::tls::backend::Face;
use crate::worker::Shared;

/// Answers that are read of one flow before others have their turn.
const TURN: usize = 16;

/// A flow, as whoever reads the listener's socket sees it.
#[derive(Debug)]
pub(crate) struct Flow {
    /// Connected to its endpoint.
    socket: UdpSocket,
    endpoint: Arc<Endpoint>,
    shared: Arc<Shared>,
    worker: usize,
    /// Datagrams and bytes, in the order of [`Way::ALL`].
    counts: [[AtomicU64; 2]; Way::ALL.len()],
    /// When a datagram went last, in nanoseconds since the process's epoch.
    touched: AtomicU64,
    is_over: AtomicBool,
    /// Says that its endpoint takes nothing.
    refused: Notify,
}

/// Who begins a flow, and where.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller<'a> {
    pub(crate) shared: &'a Arc<Shared>,
    pub(crate) worker: usize,
    /// Where it comes from.
    pub(crate) from: SocketAddr,
    /// The listener's port.
    pub(crate) port: u16,
}

/// A flow that was begun, and what is told of it.
#[derive(Debug)]
pub(crate) struct Begun {
    pub(crate) flow: Arc<Flow>,
    record: Box<Record>,
    turn: Turn,
}

/// What a flow has for as long as it lasts.
pub(crate) struct Carrying<H> {
    begun: Begun,
    socket: Arc<Socket>,
    ends: Ends,
    /// Is dropped with it.
    _held: H,
}

impl Caller<'_> {
    /// Why nothing that it sends goes anywhere, as far as rules say that.
    pub(crate) fn refusal(self, live: &Live) -> Option<Reason> {
        let (method, headers) = (policy::udp(), HeaderMap::new());
        let facts = facts(self.from.ip(), self.port, SystemTime::now(), (&method, &headers));
        may(live, &facts).err()
    }

    /// Begins a flow, if it may; its record is told either way.
    pub(crate) fn begin(self, live: &Arc<Live>, conn: Conn) -> Result<Begun, Reason> {
        let conn = Arc::new(conn);
        let mut record = Record::open(&conn, live, &head());
        // None is known yet, which is told as none.
        record.datagrams = Some([0, 0]);
        let (method, headers) = (policy::udp(), HeaderMap::new());
        let facts = facts(record.source, self.port, record.began_at, (&method, &headers));
        let judged = judge(&conn, live, &facts, &mut record);
        let reached = match judged {
            Ok(service) => self.reach(live, service, &mut record),
            Err(answer) => {
                let reason = answer.reason;
                note(answer, &mut record);
                return Err(reason);
            }
        };
        let (flow, turn) = reached.inspect_err(|reason| {
            record.reason = *reason;
            record.status = Some(reason.status());
        })?;
        (record.status, record.reason) = (Some(StatusCode::OK), Reason::Ok);
        Ok(Begun { flow: Arc::new(flow), record, turn })
    }

    /// A socket for one of a service's endpoints, of which several are tried.
    fn reach(
        self,
        live: &Live,
        service: &Service,
        record: &mut Record,
    ) -> Result<(Flow, Turn), Reason> {
        let shared = self.shared;
        let mut tried = Vec::new();
        loop {
            let now = Instant::now();
            let at = balance::nanos(shared.epoch, now);
            let key = service.key(&HeaderMap::new(), record.source);
            let draw = Draw { now: at, random: record.seed(), key };
            let is_last = record.attempts + 1 >= shared.settings.limits.attempts;
            let picked = balance::pick(service, &tried, is_last, draw);
            // Nothing of UDP goes through the proxy of an application.
            let Some(endpoint) = picked.filter(|one| one.way.is_none()) else {
                return Err(Reason::NoEndpoint);
            };
            record.attempts += 1;
            record.endpoint = Some(endpoint.address);
            if is_own(shared, live, endpoint.address) {
                record.detail = Some("its endpoint is a listener of this process".into());
                return Err(Reason::NoEndpoint);
            }
            let mut turn = Turn::at(endpoint, shared.epoch, now);
            match connected(endpoint.address) {
                Ok(socket) => {
                    let (shared, endpoint) = (Arc::clone(shared), Arc::clone(endpoint));
                    return Ok((Flow::new(socket, endpoint, shared, self.worker, at), turn));
                }
                Err(error) if is_unreachable(&error) => turn.unreached(),
                Err(error) => {
                    // It is this process that has no more sockets, say.
                    turn.blameless();
                    record.detail = Some(error.to_string().into());
                    return Err(Reason::ConnectFailed);
                }
            }
            record.table.connect_failed(service.id);
            tried.push(endpoint.address);
            if is_last || tried.len() >= service.endpoints.len() {
                return Err(Reason::ConnectFailed);
            }
        }
    }
}

/// What is known of datagrams.
fn facts<'a>(
    source: IpAddr,
    port: u16,
    now: SystemTime,
    (method, headers): (&'a http::Method, &'a HeaderMap),
) -> Facts<'a> {
    Facts {
        layer: Layer::Datagrams,
        now: moment::signed(now),
        source,
        scheme: Scheme::Http,
        port,
        host: "",
        method,
        path: "",
        query: None,
        headers,
        peer: None,
        users: &[],
    }
}

/// The head of datagrams, which have none.
fn head() -> Parts {
    let mut asked = http::Request::new(());
    *asked.method_mut() = policy::udp();
    asked.into_parts().0
}

/// The rule that datagrams meet, if it lets them pass.
fn may<'l>(live: &'l Live, facts: &Facts<'_>) -> Result<table::Found<'l>, Reason> {
    let found = live.table.find(facts)?;
    match found.rule.chain.decide(facts, found.prefix) {
        Verdict::Pass(_) => Ok(found),
        Verdict::Answer(answer) => Err(answer.reason),
    }
}

/// Where a flow may go; what is decided is told in its record.
fn judge<'l>(
    conn: &Conn,
    live: &'l Live,
    facts: &Facts<'_>,
    record: &mut Record,
) -> Result<&'l Service, Answer> {
    let found = live.table.find(facts).map_err(Answer::new)?;
    decide(conn, live, &found, facts, record)?;
    let answer = |reason| found.rule.chain.answer(reason, &Reader::default());
    let target = found.rule.backends.target(record.seed() as u32);
    let service = match target.ok_or_else(|| answer(Reason::NoBackend))? {
        Target::Service(id) => &live.services[*id],
        Target::Broken(reason) => return Err(answer(*reason)),
    };
    record.backend = Some(Arc::clone(&service.label));
    match live.face(service, found.listener) {
        Ok(Face::Plain) => Ok(service),
        Ok(Face::Tls(_)) => {
            let detail = Some("no TLS can be spoken over UDP".into());
            Err(Answer { detail, ..answer(Reason::BackendTls) })
        }
        Err(failure) => {
            let detail = Some(failure.to_string().into());
            Err(Answer { detail, ..answer(failure.reason) })
        }
    }
}

fn note(answer: Answer, record: &mut Record) {
    let Answer { status, reason, .. } = answer;
    record.principal = answer.principal.or(record.principal.take());
    (record.decided_by, record.detail) = (answer.rule, answer.detail);
    (record.status, record.reason) = (Some(status), reason);
}

/// Whether datagrams to an address come back to a listener of this process, and so go round for ever.
fn is_own(shared: &Shared, live: &Live, address: SocketAddr) -> bool {
    let bind = shared.settings.bind;
    live.table.udp_ports().any(|port| reaches(address, SocketAddr::new(bind, port)))
}

fn connected(to: SocketAddr) -> io::Result<UdpSocket> {
    let any: IpAddr = match to {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = std::net::UdpSocket::bind((any, 0))?;
    socket.set_nonblocking(true)?;
    socket.connect(to)?;
    UdpSocket::from_std(socket)
}

/// Whether an error says that nobody is there.
fn is_unreachable(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
    )
}

impl Flow {
    fn new(
        socket: UdpSocket,
        endpoint: Arc<Endpoint>,
        shared: Arc<Shared>,
        worker: usize,
        now: u64,
    ) -> Self {
        Flow {
            socket,
            endpoint,
            shared,
            worker,
            counts: Default::default(),
            touched: AtomicU64::new(now),
            is_over: AtomicBool::new(false),
            refused: Notify::new(),
        }
    }

    /// Whether it takes no more.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Relaxed)
    }

    /// Sends a datagram to its endpoint; whether it went there. Where it turns out that nobody takes any, the
    /// flow is over.
    ///
    /// # Errors
    /// If the system does not send it.
    pub(crate) fn send(&self, datagram: &[u8]) -> io::Result<()> {
        // Not by way of what is known of the socket: nothing is before its first datagram.
        match SockRef::from(&self.socket).send(datagram) {
            Ok(_) => {
                self.count(Way::There, datagram.len());
                Ok(())
            }
            Err(error) => {
                if is_unreachable(&error) {
                    self.fail();
                    self.refused.notify_one();
                }
                Err(error)
            }
        }
    }

    /// Learns that its endpoint takes nothing: it rests, like one that cannot be connected to.
    fn fail(&self) {
        if !self.is_over.swap(true, Relaxed) {
            let now = self.now();
            self.endpoint.load.unreached(self.touched.load(Relaxed), now);
        }
    }

    fn count(&self, way: Way, bytes: usize) {
        let [datagrams, sum] = &self.counts[way as usize];
        datagrams.fetch_add(1, Relaxed);
        sum.fetch_add(bytes as u64, Relaxed);
        self.touched.store(self.now(), Relaxed);
        self.shared.telemetry.flows(self.worker).carried(way, bytes);
    }

    fn now(&self) -> u64 {
        balance::nanos(self.shared.epoch, Instant::now())
    }

    /// Ends when no datagram went for the bound on silence; at the end of the process that is a short one.
    async fn silent(&self) {
        let (idle, phase) = (self.shared.settings.limits.flow_idle, &self.shared.phase);
        loop {
            let grace = phase.grace();
            let bound = grace.map_or(idle, |grace| grace.min(idle));
            let since = self.now().saturating_sub(self.touched.load(Relaxed));
            let left = bound.saturating_sub(Duration::from_nanos(since));
            if left.is_zero() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(left) => {}
                () = phase.draining(), if grace.is_none() => {}
            }
        }
    }

    /// Why it ends by a table, if it does: by that its datagrams are to go elsewhere now, or nowhere.
    fn ends_by(&self, live: &Live, record: &Record) -> Option<(Reason, &'static str)> {
        let (method, headers) = (policy::udp(), HeaderMap::new());
        let facts = facts(record.source, record.port, SystemTime::now(), (&method, &headers));
        let found = match may(live, &facts) {
            Ok(found) => found,
            Err(reason) if reason.is_denial() => {
                return Some((Reason::AccessDenied, "cut: a new table forbids it"));
            }
            Err(_) => return Some((Reason::Ok, "a new table leads it nowhere")),
        };
        let mut targets = found.rule.backends.iter().filter(|backend| backend.weight > 0);
        let service = targets.find_map(|backend| match backend.target {
            Target::Service(id) => {
                Some(&live.services[id]).filter(|one| Some(&one.label) == record.backend.as_ref())
            }
            Target::Broken(_) => None,
        });
        let Some(service) = service else {
            return Some((Reason::Ok, "a new table leads it elsewhere"));
        };
        if !matches!(live.face(service, found.listener), Ok(Face::Plain)) {
            return Some((Reason::AccessDenied, "cut: nothing goes in the clear any more"));
        }
        let is_here =
            |one: &Arc<Endpoint>| one.address == self.endpoint.address && one.way.is_none();
        (!service.endpoints.iter().any(is_here)).then_some((Reason::Ok, "its endpoint is gone"))
    }

    /// Ends when a table comes into force by which it does.
    async fn moved(&self, record: &Record) -> (Reason, &'static str) {
        let mut changes = self.shared.changes.subscribe();
        loop {
            if let Some(why) = self.ends_by(&self.shared.live.load(), record) {
                return why;
            }
            if changes.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    /// Sends back what its endpoint answers, until that fails.
    async fn answers(&self, socket: &Socket, ends: Ends, turn: &mut Turn) -> io::Error {
        let mut is_first = true;
        loop {
            if let Err(error) = self.socket.readable().await {
                return error;
            }
            // Of many flows most are idle: none has room of its own for what may come.
            let mut room = Vec::with_capacity(LONGEST + 1);
            for _ in 0..TURN {
                room.clear();
                match self.socket.try_recv_buf(&mut room) {
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => return error,
                }
                if std::mem::take(&mut is_first) {
                    turn.answered(Instant::now(), Said::Well);
                }
                match socket.answer(ends, &room).await {
                    Ok(()) => self.count(Way::Back, room.len()),
                    Err(error) => {
                        tracing::debug!(caller = %ends.caller, %error, "an answer was not sent");
                        self.shared.telemetry.flows(self.worker).dropped(Dropped::Unsent);
                    }
                }
            }
        }
    }
}

impl Begun {
    /// Carries answers to its caller until the flow is over; what is `held` is dropped then.
    pub(crate) fn carry<H>(self, socket: &Arc<Socket>, ends: Ends, held: H) -> Carrying<H> {
        self.flow.shared.telemetry.flows(self.flow.worker).begun();
        Carrying { begun: self, socket: Arc::clone(socket), ends, _held: held }
    }
}

impl<H> Carrying<H> {
    /// Ends with the flow.
    pub(crate) async fn run(mut self) {
        let Begun { flow, record, turn, .. } = &mut self.begun;
        let mut has_failed = false;
        let (reason, detail) = tokio::select! {
            error = flow.answers(&self.socket, self.ends, turn) => {
                has_failed = is_unreachable(&error);
                (Reason::UpstreamReset, error.to_string())
            }
            () = flow.refused.notified() => {
                has_failed = true;
                (Reason::UpstreamReset, "its endpoint takes nothing".to_owned())
            }
            (reason, why) = flow.moved(record) => (reason, why.to_owned()),
            () = flow.silent() => (Reason::Ok, "closed after silence".to_owned()),
        };
        (record.reason, record.detail) = (reason, Some(detail.into()));
        if reason.is_denial() {
            // The rule that let it in is not what ended it.
            record.decided_by = None;
        }
        match has_failed {
            true => {
                flow.fail();
                turn.blameless();
            }
            // Where nobody ever answers, that nobody refused it says that somebody is there.
            false => turn.reached(Instant::now(), Said::Well),
        }
    }
}

/// What it carried is told also where the worker ends first.
impl<H> Drop for Carrying<H> {
    fn drop(&mut self) {
        let Begun { flow, record, .. } = &mut self.begun;
        flow.is_over.store(true, Relaxed);
        let [[into, bytes_in], [back, bytes_out]] =
            flow.counts.each_ref().map(|way| way.each_ref().map(|count| count.load(Relaxed)));
        (record.bytes_in, record.bytes_out) = (bytes_in, bytes_out);
        record.datagrams = Some([into, back]);
        flow.shared.telemetry.flows(flow.worker).over();
    }
}
