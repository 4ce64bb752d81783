//! Who begins a flow: whether they may, and where it goes.
//!
//! Both are known before anything is told: anybody may send datagrams, in anybody's name, and of those that lead
//! nowhere few are told of.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::SystemTime;

use http::request::Parts;
use http::{HeaderMap, Method, StatusCode};
use policy::{Facts, Layer, Reason, Scheme, Verdict};
use table::{Found, Rule, Target};
use tokio::net::UdpSocket;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::{Begun, Flow, is_unreachable};
use crate::balance::{self, Draw, Turn};
use crate::exchange::decide_uncounted;
use crate::http::Conn;
use crate::live::{Live, Service, reaches};
use crate::moment;
use crate::record::{Record, Spoken};
use crate::tls::backend::Face;
use crate::worker::Shared;

/// More datagrams do not come to a socket before it is connected.
const EARLY: usize = 64;

/// Who begins a flow, and where.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller<'a> {
    pub(crate) shared: &'a Arc<Shared>,
    pub(crate) tasks: &'a TaskTracker,
    pub(crate) worker: usize,
    /// Where it comes from.
    pub(crate) from: SocketAddr,
    /// The address of ours that it was sent to, where the listener has several, and the listener's port.
    pub(crate) at: (Option<IpAddr>, u16),
}

/// How far it came, for its record.
#[derive(Debug, Default)]
struct Trail {
    backend: Option<Arc<str>>,
    endpoint: Option<SocketAddr>,
    attempts: u32,
    detail: Option<Box<str>>,
}

impl Caller<'_> {
    /// Begins a flow, if it may and somebody is there; one that comes to nothing is told only where it `tells`.
    ///
    /// # Errors
    /// Why it leads nowhere.
    pub(crate) fn begin(
        self,
        live: &Arc<Live>,
        tells: impl FnOnce() -> bool,
    ) -> Result<Begun, Reason> {
        let (method, headers) = (policy::udp(), HeaderMap::new());
        let facts = facts(self.from.ip(), self.at.1, SystemTime::now(), (&method, &headers));
        let (random, mut trail) = (rand::random(), Trail::default());
        let now = balance::nanos(self.shared.epoch, Instant::now());
        let led = lead(live, &facts, (random, now), &mut trail);
        let led = led.and_then(|(rule, service)| match self.is_an_answer(live, rule) {
            true => {
                trail.detail = Some("it comes from where datagrams are answered".into());
                Err(Reason::NoEndpoint)
            }
            false => Ok(service),
        });
        let reached = led.and_then(|service| self.reach(live, service, random, &mut trail));
        if let Err(reason) = &reached
            && !tells()
        {
            return Err(*reason);
        }
        let mut record = self.record(live, &facts, trail);
        let (flow, turn) = reached.inspect_err(|reason| {
            (record.status, record.reason) = (Some(reason.status()), *reason);
        })?;
        (record.status, record.reason) = (Some(StatusCode::OK), Reason::Ok);
        Ok(Begun { flow: Arc::new(flow), record, turn })
    }

    /// Whether it is sent from a port that answers what comes to it, of an endpoint to which the rule leads or of
    /// a listener of this process: each would answer the other for ever. Whoever wants that only has to write
    /// that address. Endpoints of other rules may be whoever others say, so they are no reason.
    fn is_an_answer(self, live: &Live, rule: &Rule) -> bool {
        let is_ours = self.at.0.is_some_and(|own| own.to_canonical() == self.from.ip());
        let is_listening = is_ours && live.table.udp_ports().any(|port| port == self.from.port());
        is_listening || is_own(self.shared, live, self.from) || live.answers_at(self.from, rule)
    }

    /// The record of it, with what decided.
    fn record(self, live: &Arc<Live>, facts: &Facts<'_>, trail: Trail) -> Box<Record> {
        let Caller { shared, tasks, worker, from, at: (_, port) } = self;
        let conn = Arc::new(Conn::new(Arc::clone(shared), worker, from, port, tasks.clone()));
        let mut record = Record::open(&conn, live, &head());
        (record.spoken, record.datagrams) = (Spoken::Udp, Some([0, 0]));
        (record.backend, record.endpoint) = (trail.backend, trail.endpoint);
        (record.attempts, record.detail) = (trail.attempts, trail.detail);
        let Ok(found) = live.table.find(facts) else { return record };
        if let Err(answer) = decide_uncounted(&conn, live, &found, facts, &mut record) {
            record.principal = answer.principal.or(record.principal.take());
            record.decided_by = answer.rule;
            record.detail = answer.detail.or(record.detail.take());
        }
        record
    }

    /// A socket for one of a service's endpoints, of which several are tried.
    fn reach(
        self,
        live: &Live,
        service: &Service,
        random: u64,
        trail: &mut Trail,
    ) -> Result<(Flow, Turn), Reason> {
        let shared = self.shared;
        let key = service.key(&HeaderMap::new(), self.from.ip());
        let mut tried = Vec::new();
        loop {
            let now = Instant::now();
            let at = balance::nanos(shared.epoch, now);
            let is_last = trail.attempts + 1 >= shared.settings.limits.attempts;
            let picked = balance::pick(service, &tried, is_last, Draw { now: at, random, key });
            // Nothing of UDP goes through the proxy of an application.
            let picked = picked.filter(|one| one.way.is_none());
            let endpoint = picked.ok_or(Reason::NoEndpoint)?;
            trail.attempts += 1;
            trail.endpoint = Some(endpoint.address);
            if is_own(shared, live, endpoint.address) {
                trail.detail = Some("its endpoint is a listener of this process".into());
                return Err(Reason::NoEndpoint);
            }
            let mut turn = Turn::at(endpoint, shared.epoch, now);
            match connected(endpoint.address) {
                // Of the addresses of this machine each is reached from itself.
                Ok(socket) if comes_back(&socket, shared, live, endpoint.address) => {
                    turn.blameless();
                    trail.detail = Some("its endpoint is a listener of this process".into());
                    return Err(Reason::NoEndpoint);
                }
                Ok(socket) => {
                    let (shared, endpoint) = (Arc::clone(shared), Arc::clone(endpoint));
                    return Ok((Flow::new(socket, endpoint, shared, self.worker, at), turn));
                }
                Err(error) if is_unreachable(&error) => turn.unreached(&error),
                Err(error) => {
                    // It is this process that has no more sockets, say.
                    turn.blameless();
                    trail.detail = Some(error.to_string().into());
                    return Err(Reason::ConnectFailed);
                }
            }
            live.attached.connect_failed(service.id);
            tried.push(endpoint.address);
            if is_last || tried.len() >= service.endpoints.len() {
                return Err(Reason::ConnectFailed);
            }
        }
    }
}

/// What is known of datagrams.
pub(super) fn facts<'a>(
    source: IpAddr,
    port: u16,
    now: SystemTime,
    (method, headers): (&'a Method, &'a HeaderMap),
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
        certificate: None,
        users: &[],
        sessions: &[],
        revoked: None,
    }
}

/// The head of datagrams, which have none.
fn head() -> Parts {
    let mut asked = http::Request::new(());
    *asked.method_mut() = policy::udp();
    asked.into_parts().0
}

/// The rule that datagrams meet, if it lets them pass.
pub(super) fn may<'l>(live: &'l Live, facts: &Facts<'_>) -> Result<Found<'l>, Reason> {
    let found = live.table.find(facts)?;
    // Datagrams are not counted.
    match found.rule.chain.uncounted(facts, found.prefix) {
        Verdict::Pass(_) => Ok(found),
        Verdict::Answer(answer) => Err(answer.reason),
    }
}

/// The service that a flow goes to.
fn lead<'l>(
    live: &'l Live,
    facts: &Facts<'_>,
    (random, now): (u64, u64),
    trail: &mut Trail,
) -> Result<(&'l Rule, &'l Service), Reason> {
    let found = may(live, facts)?;
    let backend = live.backend(found.rule, None, (random as u32, || now));
    let service = match backend.ok_or(Reason::NoBackend)?.target {
        Target::Service(id) => &live.services[id],
        Target::Broken(reason) => return Err(reason),
    };
    trail.backend = Some(Arc::clone(&service.label));
    match live.face(service, found.listener) {
        Ok(Face::Plain) => Ok((found.rule, service)),
        Ok(Face::Tls(_)) => {
            trail.detail = Some("no TLS can be spoken over UDP".into());
            Err(Reason::BackendTls)
        }
        Err(failure) => {
            trail.detail = Some(failure.to_string().into());
            Err(failure.reason)
        }
    }
}

/// Whether datagrams to an address come back to a listener of this process, and so go round for ever.
fn is_own(shared: &Shared, live: &Live, address: SocketAddr) -> bool {
    let bind = shared.settings.bind;
    live.table.udp_ports().any(|port| reaches(address, SocketAddr::new(bind, port)))
}

/// The same, of a socket that is connected to the address.
fn comes_back(socket: &UdpSocket, shared: &Shared, live: &Live, to: SocketAddr) -> bool {
    let is_here = socket.local_addr().is_ok_and(|own| own.ip() == to.ip());
    let is_everywhere = shared.settings.bind.is_unspecified();
    is_here && is_everywhere && live.table.udp_ports().any(|port| port == to.port())
}

fn connected(to: SocketAddr) -> io::Result<UdpSocket> {
    let any: IpAddr = match to {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = std::net::UdpSocket::bind((any, 0))?;
    socket.set_nonblocking(true)?;
    socket.connect(to)?;
    // What came before it was connected may be anybody's: nothing was asked yet.
    for _ in 0..EARLY {
        if socket.recv(&mut [0]).is_err() {
            break;
        }
    }
    UdpSocket::from_std(socket)
}
