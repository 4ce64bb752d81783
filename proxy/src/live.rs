//! A table in force: the table with what needs a running process attached to it.
//!
//! Endpoints that two tables share keep their connections and what was learnt of them; a swap
//! costs a request nothing, since each holds the `Arc` it began with.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Response, StatusCode};
use model::Key;
use model::service::AppProtocol;
use model::traffic::{Algorithm, Balance, Ejection, Timeouts, TrafficPolicy};
use policy::Reason;
use table::{Encryption, Found, Listener, Presented, Rule, Table, Target, Through};
use tokio::sync::Semaphore;

use crate::balance::{Load, Said, Spread, ring};
use crate::failure::Failure;
use crate::grpc::Code;
use crate::mesh::{Membership, Way};
use crate::pool::Pool;
use crate::retry::Budget;
use crate::room::Room;
use crate::session::Mark;
use crate::telemetry::{Attached, Telemetry};
use crate::tls::backend::{Backend, Face, Shown};
use crate::tls::tickets::Keyring;
use crate::tls::{self, Tls};
use port::{Port, Ports};
use rooms::Rooms;

mod port;
mod rooms;

/// Mirrored requests under way to one service; beyond it copies are left out. Fewer than in the
/// whole process, so that one mirror that hangs does not starve the others.
const MIRRORS: usize = 128;

/// When endpoints rest where nothing is said of it.
static USUAL: Ejection = Ejection::USUAL;

/// A table in force.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) table: Arc<Table>,
    /// By port, for those with TLS.
    pub(crate) tls: HashMap<u16, Arc<Tls>>,
    /// By `table::Service::id`.
    pub(crate) services: Vec<Arc<Service>>,
    /// Whether a service gets requests only in the place of others.
    has_fallbacks: bool,
    /// The labels of services to which nothing goes in the clear.
    sealed: HashSet<Arc<str>>,
    /// What Gateways show to backends, by Gateway.
    shown: HashMap<Key, Arc<Shown>>,
    /// Metric handles.
    pub(crate) attached: Arc<Attached>,
    /// Endpoints of UDP: what comes from one is an answer, and begins nothing.
    answering: HashSet<SocketAddr>,
    /// What bounds connections, to be found again by the next table.
    rooms: Rooms,
}

/// A service's endpoints in force.
#[derive(Debug)]
pub(crate) struct Service {
    /// `table::Service::id`.
    pub(crate) id: usize,
    pub(crate) label: Arc<str>,
    /// What stands for it in sessions.
    pub(crate) mark: Mark,
    /// What is spoken behind it.
    pub(crate) protocol: AppProtocol,
    /// How it is sent there.
    pub(crate) wire: Wire,
    /// The near ones first, and of them those of the own zone.
    pub(crate) endpoints: Vec<Arc<Endpoint>>,
    /// How many of them are near.
    pub(crate) near: usize,
    /// How many are in the own zone, where that is preferred.
    pub(crate) own: usize,
    /// Whether some of them are reached through a proxy.
    pub(crate) is_meshed: bool,
    /// Room for copies under way to its port.
    pub(crate) mirrors: Arc<Semaphore>,
    /// How many retries its port bears.
    pub(crate) retries: Arc<Budget>,
    /// How its requests are spread.
    pub(crate) spread: Spread,
    /// What is said of that, where something is.
    pub(crate) traffic: Option<Arc<TrafficPolicy>>,
    /// The requests under way to its port.
    pub(crate) under_way: Arc<AtomicU32>,
    /// Its connections, with those of whatever else is spoken behind its port.
    pub(crate) room: Arc<Room>,
}

/// How what is sent to an endpoint is encrypted.
#[derive(Debug, Clone)]
pub(crate) enum Wire {
    /// It is not.
    Clear,
    /// By TLS.
    Tls(Arc<Backend>),
    /// It should be, and cannot: nothing is sent.
    Closed,
}

/// A request's place among those of a service.
#[derive(Debug)]
pub(crate) struct Seat(Arc<AtomicU32>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// An endpoint in force.
#[derive(Debug)]
pub(crate) struct Endpoint {
    /// The label of its service.
    pub(crate) service: Arc<str>,
    pub(crate) address: SocketAddr,
    pub(crate) protocol: AppProtocol,
    /// Through which proxy it is reached; straight where there is none.
    pub(crate) way: Option<Way>,
    /// How what is sent there straight is encrypted.
    pub(crate) wire: Wire,
    /// `table::Endpoint::is_far`.
    pub(crate) is_far: bool,
    /// How it has been doing, whatever is spoken behind its port.
    pub(crate) load: Arc<Load>,
    /// The connections of its service.
    pub(crate) room: Arc<Room>,
    /// One for each worker: a connection never leaves the worker that opened it.
    pub(crate) pools: Box<[Pool]>,
    /// No table has it any more: only what is in use there lives on.
    pub(crate) gone: AtomicBool,
}

/// What all tables of a process share.
#[derive(Debug)]
pub(crate) struct Ground {
    pub(crate) workers: usize,
    /// Idle HTTP/1.1 connections kept by each worker to each endpoint.
    pub(crate) pool: usize,
    /// The zone that this process is in.
    pub(crate) zone: Option<Arc<str>>,
    /// What seals sessions, of TLS and of rules.
    pub(crate) keyring: Arc<Keyring>,
    /// As whom we speak in the mesh.
    pub(crate) membership: Arc<Membership>,
    /// Where this process's own admin port is, which nobody is led to.
    pub(crate) admin: OnceLock<SocketAddr>,
}

impl Ground {
    /// Whether an endpoint is to be preferred, since it is in this process's zone.
    fn is_own(&self, endpoint: &table::Endpoint) -> bool {
        !endpoint.is_far && self.zone.as_ref().is_some_and(|zone| endpoint.zones.contains(zone))
    }

    /// Whether an endpoint is this process's own admin port.
    fn is_admin(&self, endpoint: &table::Endpoint) -> bool {
        self.admin.get().is_some_and(|admin| reaches(endpoint.address, *admin))
    }
}

/// Whether an address is where this process listens at `own`: of every address those that are surely its
/// own machine's.
pub(crate) fn reaches(address: SocketAddr, own: SocketAddr) -> bool {
    let (ip, at) = (address.ip().to_canonical(), own.ip().to_canonical());
    let is_here = ip == at || (at.is_unspecified() && (ip.is_loopback() || ip.is_unspecified()));
    address.port() == own.port() && is_here
}

impl Live {
    /// Nothing in force: every request is answered `NoListener`.
    pub(crate) fn empty(ground: &Ground, telemetry: &Telemetry) -> Self {
        Self::attach(Arc::new(Table::default()), None, ground, telemetry)
    }

    /// Attaches `table`, taking over endpoints from `before`.
    pub(crate) fn attach(
        table: Arc<Table>,
        before: Option<&Live>,
        ground: &Ground,
        telemetry: &Telemetry,
    ) -> Self {
        let (mut ports, mut rooms) = (Ports::of(before), Rooms::of(before));
        let services = table.services.iter().map(|service| {
            let port = ports.of_service(service, None);
            let attached = Service::attach(service, port, ground, rooms.of_service(service));
            port.learn(&attached, service);
            attached
        });
        let services: Vec<_> = services.collect();
        let tls = tls::by_port(&table, &ground.keyring);
        telemetry.certificates(tls.values().flat_map(|tls| &tls.shown_until));
        let attached = telemetry.attach(&table);
        services.iter().for_each(|service| attached.counts(service));
        let live = Live {
            answering: answering(&services),
            has_fallbacks: table.services.iter().any(|service| service.is_fallback()),
            sealed: sealed(&services),
            shown: shown(&table, before),
            tls,
            services,
            attached,
            rooms,
            table,
        };
        // The last of all: until the swap requests go to endpoints that are gone.
        rooms::swap(before, &live.services);
        live
    }

    /// Whether an endpoint of datagrams to which the rule leads is at an address.
    pub(crate) fn answers_at(&self, address: SocketAddr, rule: &Rule) -> bool {
        let leads_there = |backend: &table::Backend| match backend.target {
            Target::Service(id) => {
                let endpoints = &self.services[id].endpoints;
                endpoints.iter().any(|endpoint| canonical(endpoint.address) == address)
            }
            Target::Broken(_) => false,
        };
        self.answering.contains(&address) && rule.backends.iter().any(leads_there)
    }

    /// The backend of a rule to which a request goes that began at `now`: the one that it `kept`, or that
    /// `random` falls on. In the place of one of which no endpoint takes requests a fallback gets it, if there
    /// is one that does.
    pub(crate) fn backend<'r>(
        &self,
        rule: &'r Rule,
        kept: Option<&'r table::Backend>,
        (random, now): (u32, impl FnOnce() -> u64),
    ) -> Option<&'r table::Backend> {
        let backends = &rule.backends;
        let usual = || kept.or_else(|| backends.drawn(random));
        if !self.has_fallbacks {
            return usual();
        }
        let is_fallback = |one: &table::Backend| {
            self.service(one).is_some_and(|service| self.table.services[service.id].is_fallback())
        };
        if !backends.iter().any(is_fallback) {
            return usual();
        }
        let now = now();
        // What is broken answers for its share all the same.
        let takes = |one: &table::Backend| self.service(one).is_none_or(|one| one.takes(now));
        let first = kept.or_else(|| backends.drawn_of(random, |one| !is_fallback(one)));
        first.filter(|one| takes(one)).or_else(|| {
            let instead =
                backends.drawn_of(random.rotate_left(16), |one| is_fallback(one) && takes(one));
            instead.or(first).or_else(usual)
        })
    }

    /// The ids of the services that a rule has get requests, or copies of them.
    pub(crate) fn led_to(&self) -> HashSet<usize> {
        let id = |target: Target| match target {
            Target::Service(id) => Some(id),
            Target::Broken(_) => None,
        };
        let of_rule = |rule: &Rule| {
            let drawn = rule.backends.iter().filter(|backend| backend.weight > 0);
            let own = drawn.flat_map(|backend| {
                let copies = backend.filters.iter().flat_map(|filters| &filters.mirrors);
                copies.map(|mirror| mirror.target).chain([backend.target])
            });
            let copies = rule.mirrors.iter().map(|mirror| mirror.target);
            own.chain(copies).filter_map(id).collect::<Vec<_>>()
        };
        self.table.rules.iter().flat_map(|rule| of_rule(rule)).collect()
    }

    fn service(&self, backend: &table::Backend) -> Option<&Arc<Service>> {
        match backend.target {
            Target::Service(id) => self.services.get(id),
            Target::Broken(_) => None,
        }
    }

    /// As whom what came through `listener` goes on to a service, or why it does not.
    pub(crate) fn face(&self, service: &Service, listener: &Listener) -> Result<Face, Failure> {
        let closed = |why: &str| Failure::proxy(Reason::BackendTls).because(why);
        let of = self.table.services.get(service.id).ok_or_else(|| closed("it is not there"))?;
        let Some(onward) = of.onward(listener).map_err(closed)? else { return Ok(Face::Plain) };
        if let Wire::Clear | Wire::Closed = service.wire {
            return Err(closed("no TLS can be spoken as its policy wants it"));
        }
        let Some(shown) = onward.shown else { return Ok(Face::Tls(None)) };
        match self.shown.get(&listener.gateway) {
            Some(one) => Ok(Face::Tls(Some(Arc::clone(one)))),
            None => Err(closed(&format!("{} cannot be shown", shown.secret))),
        }
    }

    /// As whom a service is asked whether it is well: as the first listener that leads there.
    pub(crate) fn usual_face(&self, service: &Service) -> Result<Face, Failure> {
        if let Wire::Clear = service.wire {
            return Ok(Face::Plain);
        }
        let leads_there = |rule: &&Arc<Rule>| {
            let copies = rule.mirrors.iter().map(|mirror| mirror.target);
            let mut targets = rule.backends.iter().map(|one| one.target).chain(copies);
            targets.any(|target| target == Target::Service(service.id))
        };
        // What goes on as it came has TLS of its own, and a check has none.
        let listeners = self.table.listeners.iter().filter(|one| one.is_serving());
        let mut ending = listeners.filter(|one| !one.is_passthrough);
        let leads = ending.find(|one| self.table.led(one).any(|rule| leads_there(&rule)));
        match (leads, &service.wire) {
            (Some(listener), _) => self.face(service, listener),
            (None, Wire::Tls(_)) => Ok(Face::Tls(None)),
            (None, Wire::Clear | Wire::Closed) => {
                Err(Failure::proxy(Reason::BackendTls).because("nothing is sent there"))
            }
        }
    }

    /// Whether a rule lets what goes to `backend`, as `face`, go on: it leads there yet, or nowhere that it may
    /// not. One that leads elsewhere now takes nobody off; but what goes in the clear where only TLS may go
    /// now, ends.
    pub(crate) fn leaves(
        &self,
        found: &Found<'_>,
        face: &Face,
        backend: Option<&Arc<str>>,
    ) -> bool {
        let is_sealed = |label| self.sealed.contains(label) && !found.listener.is_passthrough;
        if matches!(face, Face::Plain) && backend.is_some_and(is_sealed) {
            return false;
        }
        let mut targets = found.rule.backends.iter().map(|one| one.target);
        let leads_there = |target: Target| match target {
            Target::Service(id) => Some(&self.services[id].label) == backend,
            Target::Broken(_) => false,
        };
        let is_forbidden = |target| target == Target::Broken(Reason::BackendNotAllowed);
        targets.clone().any(leads_there) || !targets.any(is_forbidden)
    }

    /// Closes a worker's connections to endpoints that lay idle for longer than `age`.
    pub(crate) fn sweep(&self, worker: usize, age: Duration) {
        let endpoints = self.services.iter().flat_map(|service| &service.endpoints);
        endpoints.for_each(|endpoint| endpoint.pools[worker].sweep(age));
        // One of them does it for all.
        if worker == 0 {
            self.services.iter().for_each(|service| service.room.trim());
        }
    }
}

impl Service {
    fn attach(
        service: &table::Service,
        port: &Port<'_>,
        ground: &Ground,
        room: Arc<Room>,
    ) -> Arc<Self> {
        let before = port.known(service.protocol);
        let wire = Wire::new(service, before.map(|before| &before.wire));
        // What was opened in another way is not used any more.
        let alike = before.filter(|before| before.wire.is(&wire));
        let known = alike.map_or(&[][..], |before| &before.endpoints);
        let known: HashMap<_, _> = known.iter().map(|one| (one.place(), one)).collect();
        let kept = |endpoint: &table::Endpoint| {
            let through = endpoint.through.as_deref();
            let place = (endpoint.address, through, endpoint.is_far, service.protocol);
            known.get(&place).copied().cloned()
        };
        let loads = port.loads(service);
        let load = |endpoint: &table::Endpoint| {
            let place = (endpoint.address, endpoint.through.as_deref(), endpoint.is_far);
            loads.get(&place).copied().cloned().unwrap_or_default()
        };
        let (own, others): (Vec<_>, Vec<_>) =
            service.endpoints.iter().partition(|endpoint| ground.is_admin(endpoint));
        if let Some(own) = own.first() {
            let (service, address) = (&service.label, own.address);
            tracing::warn!(%service, %address, "an endpoint is this process's admin port: left out");
        }
        let usual = Balance::default();
        let balance = service.traffic.as_ref().map_or(&usual, |policy| &policy.spec.balance);
        // A hash decides for all zones alike.
        let is_own =
            |one: &table::Endpoint| balance.algorithm != Algorithm::RingHash && ground.is_own(one);
        let endpoints = others.into_iter().map(|endpoint| {
            let place = (endpoint.is_far, !is_own(endpoint));
            let attached = kept(endpoint).unwrap_or_else(|| {
                let spoken = (service.protocol, wire.clone());
                let shared = (load(endpoint), Arc::clone(&room));
                Endpoint::new(endpoint, &service.label, spoken, ground, shared)
            });
            (place, attached)
        });
        let mut endpoints: Vec<_> = endpoints.collect();
        endpoints.sort_by_key(|(place, _)| *place);
        let near = endpoints.partition_point(|((is_far, _), _)| !is_far);
        let own = endpoints.partition_point(|(place, _)| *place == (false, false));
        let endpoints: Vec<_> = endpoints.into_iter().map(|(_, endpoint)| endpoint).collect();
        let addresses = endpoints[..near].iter().map(|endpoint| endpoint.address);
        Arc::new(Service {
            id: service.id,
            label: Arc::clone(&service.label),
            mark: Mark::of(&service.label),
            protocol: service.protocol,
            wire,
            near,
            own,
            is_meshed: endpoints.iter().any(|endpoint| endpoint.way.is_some()),
            mirrors: Arc::clone(&port.mirrors),
            retries: Arc::clone(&port.retries),
            spread: Spread::new(balance, addresses, before.map(|before| &before.spread)),
            traffic: service.traffic.clone(),
            under_way: Arc::clone(&port.under_way),
            room,
            endpoints,
        })
    }

    /// Whether an endpoint of it gets requests like others, or is to be tried.
    fn takes(&self, now: u64) -> bool {
        let takes = |one: &Arc<Endpoint>| one.load.is_well() || one.load.is_due(now);
        self.endpoints.iter().any(takes)
    }

    /// A place for one more request; an error where it takes no more.
    pub(crate) fn seat(&self) -> Result<Option<Seat>, Failure> {
        let bounds = self.traffic.as_ref().map(|policy| &policy.spec.bounds);
        let Some(most) = bounds.and_then(|bounds| bounds.requests) else { return Ok(None) };
        let seat = Seat(Arc::clone(&self.under_way));
        if self.under_way.fetch_add(1, Relaxed) >= most {
            let text = format!("{most} requests are under way to it");
            return Err(Failure::proxy(Reason::Overloaded).because(text));
        }
        Ok(Some(seat))
    }

    /// Whether only so many connections to it may be open.
    pub(crate) fn is_bounded(&self) -> bool {
        self.traffic.as_ref().is_some_and(|policy| policy.spec.bounds.connections.is_some())
    }

    /// What of a request decides where it goes; none where nothing does, or it has nothing of the kind.
    pub(crate) fn key(&self, headers: &HeaderMap, source: IpAddr) -> Option<u64> {
        let on = self.traffic.as_ref()?.spec.balance.hash_on.as_ref()?;
        if let Some(name) = &on.header {
            let lines = headers.get_all(name).iter().map(HeaderValue::as_bytes);
            let lines: Vec<_> = lines.collect();
            return (!lines.is_empty()).then(|| ring::hash(&lines.join(&b","[..])));
        }
        if let Some(name) = &on.cookie {
            return cookie(headers, name).map(|value| ring::hash(value.as_bytes()));
        }
        Some(ring::hash(source.to_string().as_bytes()))
    }

    /// How long it may take to reach it and be silent, where something is said of that.
    pub(crate) fn timeouts(&self) -> Option<&Timeouts> {
        self.traffic.as_ref().map(|policy| &policy.spec.timeouts)
    }

    /// When an endpoint of it is to rest.
    pub(crate) fn ejection(&self) -> &Ejection {
        self.traffic.as_ref().map_or(&USUAL, |policy| &policy.spec.ejection)
    }

    /// What an answer, to a call or not, says of the endpoint that gave it.
    pub(crate) fn said<B>(&self, answer: &Response<B>, is_call: bool) -> Said {
        let status = answer.status();
        let of_call = if is_call { Code::of(answer.headers()) } else { None };
        if status == StatusCode::TOO_MANY_REQUESTS {
            Said::Burdened
        } else if self.ejection().is_failure(status.as_u16()) {
            Said::Failed
        } else {
            of_call.map_or(Said::Well, |code| code.says(self.ejection()))
        }
    }

    /// Learns what an endpoint said, `now`, to a request that `began`: where too much fails there, it gets
    /// no requests for a while. What began before it came to that says nothing more.
    pub(crate) fn judge(&self, endpoint: &Endpoint, said: Said, (began, now): (u64, u64)) {
        let rule = self.ejection();
        if endpoint.load.rested_since(began) {
            return;
        }
        let is_resting = endpoint.load.is_resting();
        // A trial after a rest says by itself whether it has to rest on.
        let is_judged = rule.consecutive > 0 || rule.percent.is_some();
        let has_failed_again = is_judged && is_resting && said.is_failure();
        // No request would come to it for long, and nobody learn that it answers again.
        let is_silent = is_judged && said == Said::Silent && self.spread.goes_by_time();
        if !endpoint.load.fails(said, now, rule) && !has_failed_again && !is_silent {
            return;
        }
        match (self.can_spare(endpoint), is_resting) {
            (true, _) => endpoint.load.eject(now, rule.rest()),
            // It goes on as it was: ejected, or not to be reached.
            (false, true) => endpoint.load.rest(now, rule.rest()),
            (false, false) => return,
        }
        let in_a_row = endpoint.load.failed_in_a_row();
        let why = match rule.percent {
            _ if is_resting => "it was tried, and failed again".to_owned(),
            _ if is_silent => "it gave no answer in time".to_owned(),
            Some(percent) if rule.consecutive == 0 || in_a_row < rule.consecutive => {
                format!("{percent} % of its requests failed, or more")
            }
            Some(_) | None => format!("{in_a_row} requests in a row failed there"),
        };
        if !is_resting {
            let (service, address) = (&self.label, endpoint.address);
            tracing::warn!(%service, %address, %why, "an endpoint rests");
        }
        endpoint.load.ails_of(why);
    }

    /// Whether an endpoint at which too much fails may rest: not too many do, and it is not the last that is
    /// well, unless all may rest.
    fn can_spare(&self, endpoint: &Endpoint) -> bool {
        let most = usize::from(self.ejection().max_percent);
        let ejected = self.endpoints.iter().filter(|one| one.load.is_ejected()).count();
        let mut others = self.endpoints.iter().filter(|one| !std::ptr::eq(&***one, endpoint));
        (ejected + 1) * 100 <= self.endpoints.len() * most
            && (most == 100 || others.any(|one| one.load.is_well()))
    }

    /// How many requests in a row failed at an endpoint that gets more all the same, where these are too many.
    pub(crate) fn bears_with(&self, endpoint: &Endpoint) -> Option<u32> {
        let (most, failed) = (self.ejection().consecutive, endpoint.load.failed_in_a_row());
        (most > 0 && failed >= most && endpoint.load.is_well()).then_some(failed)
    }
}

impl Wire {
    /// As the table says; the very one of `before` where it is the same.
    fn new(service: &table::Service, before: Option<&Wire>) -> Self {
        let of = match &service.encryption {
            Encryption::None => return Wire::Clear,
            Encryption::Closed(_) => return Wire::Closed,
            Encryption::Tls(of) => of,
        };
        if let Some(Wire::Tls(same)) = before
            && same.is(of, service.protocol)
        {
            return Wire::Tls(Arc::clone(same));
        }
        match Backend::new(of, service.protocol) {
            Ok(backend) => Wire::Tls(Arc::new(backend)),
            Err(error) => {
                // Such a ConfigMap is refused before a table is assembled.
                tracing::error!(policy = %of.policy, %error, "its backends are closed");
                Wire::Closed
            }
        }
    }

    /// Whether what was opened by it may be used by the other.
    pub(crate) fn is(&self, other: &Wire) -> bool {
        match (self, other) {
            (Wire::Clear, Wire::Clear) | (Wire::Closed, Wire::Closed) => true,
            (Wire::Tls(one), Wire::Tls(other)) => Arc::ptr_eq(one, other),
            (Wire::Clear | Wire::Closed | Wire::Tls(_), _) => false,
        }
    }
}

fn canonical(at: SocketAddr) -> SocketAddr {
    SocketAddr::new(at.ip().to_canonical(), at.port())
}

/// Where datagrams are answered: at every endpoint of UDP.
fn answering(services: &[Arc<Service>]) -> HashSet<SocketAddr> {
    let of_udp = services.iter().filter(|service| service.protocol == AppProtocol::Udp);
    let endpoints = of_udp.flat_map(|service| &service.endpoints);
    endpoints.map(|endpoint| canonical(endpoint.address)).collect()
}

fn sealed(services: &[Arc<Service>]) -> HashSet<Arc<str>> {
    // Datagrams, which have no TLS, go nowhere then, and a port of TCP may have the same label.
    let of_tcp = services.iter().filter(|service| service.protocol != AppProtocol::Udp);
    let sealed = of_tcp.filter(|service| !matches!(service.wire, Wire::Clear));
    sealed.map(|service| Arc::clone(&service.label)).collect()
}

/// What Gateways show to backends; the very ones of `before` where they are the same.
fn shown(table: &Table, before: Option<&Live>) -> HashMap<Key, Arc<Shown>> {
    let mut all = HashMap::new();
    for listener in &table.listeners {
        let Presented::Certificate(of) = &listener.presented else { continue };
        if all.contains_key(&listener.gateway) {
            continue;
        }
        let known = before.iter().flat_map(|live| live.shown.values()).chain(all.values());
        let same = known.into_iter().find(|one| *one.of == **of).cloned();
        if let Some(one) = same.or_else(|| Shown::new(of).map(Arc::new)) {
            all.insert(listener.gateway.clone(), one);
        }
    }
    all
}

/// The value of a cookie.
fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let lines = headers.get_all(http::header::COOKIE).iter();
    let pairs = lines.flat_map(|line| line.to_str().unwrap_or_default().split(';'));
    let mut pairs = pairs.filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
}

impl Endpoint {
    pub(crate) fn new(
        from: &table::Endpoint,
        service: &Arc<str>,
        (protocol, wire): (AppProtocol, Wire),
        ground: &Ground,
        (load, room): (Arc<Load>, Arc<Room>),
    ) -> Arc<Self> {
        let pools = (0..ground.workers).map(|_| Pool::new(ground.pool)).collect();
        let through = from.through.as_ref();
        let way = through
            .map(|through| Way::new(Arc::clone(through), &ground.membership, ground.workers));
        let table::Endpoint { address, is_far, .. } = *from;
        let (service, gone) = (Arc::clone(service), AtomicBool::new(false));
        Arc::new(Endpoint {
            service,
            address,
            protocol,
            way,
            wire,
            is_far,
            load,
            room,
            pools,
            gone,
        })
    }

    /// The table that comes into force has it no more: it keeps no connection that nobody uses.
    pub(crate) fn leave(&self) {
        // At first, so that what is opened meanwhile is not shared behind our back.
        self.gone.store(true, SeqCst);
        self.pools.iter().for_each(Pool::close);
    }

    /// Whether no table has it any more.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone.load(SeqCst)
    }

    /// Whether TLS ends there that begins here.
    pub(crate) fn is_tls(&self) -> bool {
        self.way.is_none() && matches!(self.wire, Wire::Tls(_))
    }

    /// What makes it another endpoint.
    fn place(&self) -> (SocketAddr, Option<&Through>, bool, AppProtocol) {
        let through = self.way.as_ref().map(|way| &*way.through);
        (self.address, through, self.is_far, self.protocol)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_surely_here_is_this_process() {
        for (address, own, wanted) in [
            ("127.0.0.1:9901", "127.0.0.1:9901", true),
            ("127.0.0.1:9902", "127.0.0.1:9901", false),
            ("127.0.0.2:9901", "127.0.0.1:9901", false),
            ("127.0.0.2:9901", "0.0.0.0:9901", true),
            ("[::1]:9901", "[::]:9901", true),
            ("10.0.0.7:9901", "0.0.0.0:9901", false),
            ("10.0.0.7:9901", "10.0.0.7:9901", true),
        ] {
            let (address, own) = (address.parse().unwrap(), own.parse().unwrap());
            assert_eq!(reaches(address, own), wanted, "{address} {own}");
        }
    }
}
