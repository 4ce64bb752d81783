//! Connections that are carried as bytes: who opens one is judged, and nothing that goes through is
//! read.
//!
//! ```text
//! outbound: the application ── CONNECT orders:5432, or a port that leads there
//!             ── an endpoint, through its proxy ── bytes
//! edge:     a client of a listener for TCP or TLS ── may it, by address and server name
//!             ── an endpoint, through its proxy where it has one ── bytes
//! inbound:  another proxy ── CONNECT ── may who sends it, by what a connection tells ── the application
//! ```
//!
//! A connection is one exchange: it has one record, told when it is over.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use model::traffic::Timeouts;
use policy::explain::Story;
use policy::{Answer, Facts, Layer, Reader, Reason, Verdict};
use table::{Found, Target};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::server::TlsStream;
use wire::Side;

use crate::address;
use crate::balance::{self, Draw, Said, Turn};
use crate::carry::{Buffered, End, Ends, Heeds};
use crate::connect::{self, Hop, Io, Preface, Stream};
use crate::detect::Ahead;
use crate::exchange::{TRACEPARENT, decide, host_of, port_of, refuse};
use crate::failure::{Failure, Retry};
use crate::forward::FORWARDED_FOR;
use crate::gather::Gather;
use crate::hello::{self, Alert, Hello, Tap};
use crate::http::Conn;
use crate::live::{Endpoint, Live, Service};
use crate::record::{REQUEST_ID, Record, Spoken};
use crate::reply::{Reply, problem};
use crate::room::{Granted, Place, Takes, Wish};
use crate::settings::Limits;
use crate::steady::Steady;
use crate::telemetry::Outcome;
use crate::tls::backend::Face;
use crate::{moment, proxy_protocol};
use caller::Caller;

mod caller;

/// What hyper has of a plain connection.
type Plain = TokioIo<Steady<Gather<Ahead<TcpStream>>>>;

/// Says of a tunnel that it is a connection's: else what comes through it is requests.
const CARRIES: HeaderName = HeaderName::from_static("heddle-carries");

/// The most that is read at once: a whole frame of the mesh.
const PIECE: usize = 64 << 10;

/// A connection, kept so that a new table can be asked about it.
#[derive(Debug)]
struct Asked {
    /// The Service as the application called it; nothing where another proxy opened it.
    host: Box<str>,
    port: Option<u16>,
    headers: HeaderMap,
    /// Where it comes from.
    source: IpAddr,
    /// Whether what is carried was under TLS that ended here.
    is_deciphered: bool,
    conn: Arc<Conn>,
}

/// One that was opened, to where.
pub(crate) struct Opened {
    asked: Asked,
    face: Face,
    backend: Stream,
    /// The longest silence of both sides.
    silence: Duration,
    turn: Turn,
    record: Box<Record>,
}

/// Answers a CONNECT of the application beside this proxy.
pub(crate) async fn outbound(
    conn: &Arc<Conn>,
    live: &Arc<Live>,
    parts: &Parts,
    client: Option<OnUpgrade>,
    mut record: Box<Record>,
) -> Response<Reply> {
    let host = host_of(parts).ok_or(Reason::HostInvalid);
    let host = host.and_then(|(named, host)| {
        // It is what a CONNECT names (RFC 9110, section 9.3.6).
        let port = port_of(named).ok_or(Reason::BadRequest)?;
        Ok((host, port))
    });
    let (host, port) = match host {
        Ok(named) => named,
        Err(reason) => return refuse(Answer::new(reason), record),
    };
    let asked = Asked::new(conn, &record, &host, Some(port));
    record.host = format!("{host}:{port}").into();
    let opened = match asked.open(live, record, Caller::Asker).await {
        Ok(opened) => opened,
        Err(Unopened { status, reason, record }) => {
            let told = record.reason;
            let mut response = problem(record, status, reason);
            if let Reply::Ours { record, .. } = response.body_mut() {
                record.reason = told;
            }
            return response;
        }
    };
    if let Some(client) = client {
        conn.tasks.spawn(opened.carry_on(client));
    }
    Response::new(Reply::Switched)
}

/// Carries a connection of the application to the Service that its port leads to. One that is not opened
/// is closed: nothing can be said to who speaks something else.
pub(crate) async fn forwarded(
    conn: Arc<Conn>,
    host: &str,
    port: u16,
    stream: TcpStream,
) -> Outcome {
    let opened = {
        let live = conn.shared.live.load_full();
        let mut record = record(&conn, &live);
        record.host = format!("{host}:{port}").into();
        let asked = Asked::new(&conn, &record, host, Some(port));
        asked.open(&live, record, Caller::Socket(&stream)).await
    };
    let Ok(opened) = opened else { return Outcome::Cut };
    opened.carried(Buffered::socket(stream, PIECE), Bytes::new()).await
}

/// Carries a connection that came in through a Gateway's listener for TCP.
pub(crate) async fn entered(conn: Arc<Conn>, stream: TcpStream) -> Outcome {
    match at_edge(&conn, false, Caller::Socket(&stream)).await {
        Ok(opened) => opened.carried(Buffered::socket(stream, PIECE), Bytes::new()).await,
        Err(_) => {
            // Who cannot be told why is told at least that it was no end in order.
            drop(stream.set_zero_linger());
            Outcome::Cut
        }
    }
}

/// The same of one through a listener for TLS that goes on to the backend as it came.
pub(crate) async fn handed_on(conn: Arc<Conn>, hello: Hello) -> Outcome {
    let (ahead, stream) = hello.hand_on();
    match at_edge(&conn, false, Caller::Socket(&stream)).await {
        Ok(opened) => opened.carried(Buffered::socket(stream, PIECE), ahead).await,
        Err(reason) => {
            hello::alert(stream, of(reason)).await;
            Outcome::Cut
        }
    }
}

/// The same of one whose TLS ended here.
pub(crate) async fn deciphered(conn: Arc<Conn>, mut stream: TlsStream<Tap>) -> Outcome {
    let mut ahead = BytesMut::new();
    match at_edge(&conn, true, Caller::Sealed(&mut stream, &mut ahead)).await {
        Ok(opened) => opened.carried(Buffered::new(stream, PIECE), ahead.freeze()).await,
        Err(_) => {
            stream.get_ref().0.break_off();
            Outcome::Cut
        }
    }
}

/// Opens what a connection through a Gateway leads to, by the server name that it asked for; where that
/// may not or cannot be, why.
async fn at_edge(
    conn: &Arc<Conn>,
    is_deciphered: bool,
    caller: Caller<'_>,
) -> Result<Opened, Reason> {
    let live = conn.shared.live.load_full();
    let mut record = record(conn, &live);
    let host = conn.server_name.as_deref().unwrap_or_default();
    record.host = host.into();
    let asked = Asked { is_deciphered, ..Asked::new(conn, &record, host, None) };
    asked.open(&live, record, caller).await.map_err(|unopened| unopened.reason)
}

/// How TLS tells why.
fn of(reason: Reason) -> Alert {
    match reason {
        Reason::NoListener | Reason::NoRoute => Alert::UnrecognisedName,
        reason if reason.is_denial() => Alert::AccessDenied,
        _ => Alert::InternalError,
    }
}

/// The record of a connection for which nobody sent a head.
fn record(conn: &Arc<Conn>, live: &Live) -> Box<Record> {
    let mut asked = http::Request::new(());
    *asked.method_mut() = Method::CONNECT;
    let mut record = Record::open(conn, live, &asked.into_parts().0);
    record.spoken = Spoken::Tcp;
    record
}

/// What a CONNECT of another proxy opens to a port of the application that takes bytes; the status of
/// its refusal, also of one that may open nothing here, which is told.
pub(crate) async fn inbound(
    conn: Arc<Conn>,
    live: &Arc<Live>,
    parts: &Parts,
) -> Result<Opened, StatusCode> {
    let record = Record::open(&conn, live, parts);
    let asked = Asked::new(&conn, &record, "", None);
    let opened = asked.open(live, record, Caller::Asker).await;
    opened.map_err(|unopened| match unopened.reason {
        // Whatever it is for, who asks is not let in, and is to ask nobody else.
        reason if reason.is_denial() && !reason.is_limit() => StatusCode::FORBIDDEN,
        _ => unopened.status,
    })
}

/// Whether a CONNECT of another proxy is for a connection.
pub(crate) fn is_meant(parts: &Parts) -> bool {
    parts.headers.contains_key(CARRIES)
}

/// Tells of somebody who was not let in, since they proved to be nobody: they were led to nothing, and
/// there is no request. Of many in a second only some are told of.
pub(crate) fn unproved(conn: &Arc<Conn>, reason: Reason, why: &str) {
    let told = conn.shared.telemetry.decisions();
    if told.is_some_and(|decisions| !decisions.wants_nobody(conn.worker, SystemTime::now())) {
        return tracing::debug!(peer = %conn.peer, why, "not let in from the mesh");
    }
    let live = conn.shared.live.load();
    let mut record = record(conn, &live);
    let change = "a certificate that this installation signed for a workload or a gateway";
    record.side = Side::Inbound;
    record.reason = reason;
    let inbound = live.table.inbound.as_ref();
    record.meant = inbound.map(|inbound| Box::new(inbound.workload.clone()));
    record.detail = Some(why.into());
    record.story = Some(Box::new(Story::of(reason, None, why.to_owned(), change.to_owned())));
    tracing::info!(peer = %conn.peer, request = ?record.request_id, why, "not let in from the mesh");
}

/// One that was not opened, and what is said of that; its record says the same, unless it was who is
/// behind it that refused it, and tells so.
struct Unopened {
    status: StatusCode,
    reason: Reason,
    record: Box<Record>,
}

impl Unopened {
    fn refused(answer: Answer, mut record: Box<Record>) -> Self {
        let Answer { status, reason, .. } = answer;
        record.principal = answer.principal.or(record.principal.take());
        record.aside = answer.aside.or(record.aside.take());
        (record.decided_by, record.detail) = (answer.rule, answer.detail);
        (record.status, record.reason) = (Some(status), reason);
        Unopened { status, reason, record }
    }

    fn failed(failure: &Failure, mut record: Box<Record>) -> Self {
        let (status, reason) = (failure.reason.status(), failure.reason);
        record.detail = failure.source.is_some().then(|| failure.to_string().into());
        record.status = Some(status);
        record.reason = if reason.is_denial() { Reason::Ok } else { reason };
        Unopened { status, reason, record }
    }
}

impl Asked {
    fn new(conn: &Arc<Conn>, record: &Record, host: &str, port: Option<u16>) -> Self {
        let (headers, conn) = (HeaderMap::new(), Arc::clone(conn));
        let (host, source) = (host.into(), record.source);
        Asked { host, port, headers, source, is_deciphered: false, conn }
    }

    fn facts(&self, record: Option<&Record>) -> Facts<'_> {
        Facts {
            layer: Layer::Connection,
            now: moment::signed(record.map_or_else(SystemTime::now, |record| record.began_at)),
            source: self.source,
            scheme: self.conn.scheme,
            port: self.conn.port,
            host: &self.host,
            method: &Method::CONNECT,
            path: "",
            query: None,
            headers: &self.headers,
            peer: self.conn.from.as_deref(),
            certificate: None,
            users: &[],
            sessions: &[],
            revoked: None,
        }
    }

    /// What it leads to.
    fn found<'l>(&self, live: &'l Live, facts: &Facts<'_>) -> Result<Found<'l>, Reason> {
        let found = match self.conn.is_outbound(live) {
            true => live.table.called(facts, self.port),
            false => live.table.find(facts),
        }?;
        // A listener that has begun to end TLS, or does so no more, leads elsewhere than to what was meant.
        if found.listener.ends_tls() != self.is_deciphered {
            return Err(Reason::NoListener);
        }
        // And one that asks clients for something else than it did does not know this one.
        match self.conn.was_asked(found.listener) {
            true => Ok(found),
            false => Err(Reason::Misdirected),
        }
    }

    /// Whether `live` would let it be opened to the same backend, were that asked now.
    fn passes(&self, live: &Live, face: &Face, backend: Option<&Arc<str>>) -> bool {
        let facts = self.facts(None);
        let is_bytes =
            self.conn.from.is_none() || live.table.takes(self.conn.port) == Some(Layer::Connection);
        is_bytes
            && !self.conn.is_stranger(live)
            && self.found(live, &facts).is_ok_and(|found| {
                let facts = Facts { port: found.listener.port, ..facts };
                let verdict = found.rule.chain.uncounted(&facts, found.prefix);
                live.leaves(&found, face, backend) && matches!(verdict, Verdict::Pass(_))
            })
    }

    /// Opens it, if it may be, for a caller who may go while they wait.
    async fn open(
        self,
        live: &Arc<Live>,
        mut record: Box<Record>,
        caller: Caller<'_>,
    ) -> Result<Opened, Unopened> {
        let (service, face) = match self.judge(live, &mut record).await {
            Ok(to) => to,
            Err(answer) => return Err(Unopened::refused(answer, record)),
        };
        match reach(&self.conn, (service, &face), caller, &mut record).await {
            Ok((backend, turn)) => {
                let usual = self.conn.shared.settings.limits.connection_idle;
                let told = service.timeouts().and_then(Timeouts::connection_idle);
                let (face, silence) = (face.bare(), told.unwrap_or(usual));
                Ok(Opened { asked: self, face, backend, silence, turn, record })
            }
            Err(failure) => Err(Unopened::failed(&failure, record)),
        }
    }

    /// Where it may go.
    async fn judge<'l>(
        &self,
        live: &'l Live,
        record: &mut Record,
    ) -> Result<(&'l Service, Face), Answer> {
        let facts = self.facts(Some(record));
        let found = self.found(live, &facts).map_err(Answer::new)?;
        // What is called is a Service's port, and not the one where its callers' proxy listens.
        let facts = Facts { port: found.listener.port, ..facts };
        decide(&self.conn, live, &found, &facts, "", record).await?;
        let answer = |reason| found.rule.chain.answer(reason, &Reader::default());
        let now = || balance::nanos(self.conn.shared.epoch, record.began);
        let backend = live.backend(found.rule, None, (record.seed() as u32, now));
        match backend.ok_or_else(|| answer(Reason::NoBackend))?.target {
            Target::Service(id) => {
                let service = &live.services[id];
                let face = live.face(service, found.listener).map_err(|failure| {
                    record.backend = Some(Arc::clone(&service.label));
                    Answer { detail: Some(failure.to_string().into()), ..answer(failure.reason) }
                })?;
                Ok((service, face))
            }
            Target::Broken(reason) => Err(answer(reason)),
        }
    }
}

/// Opens a connection to one of a service's endpoints, of which several are tried where they cannot be
/// reached.
async fn reach(
    conn: &Conn,
    (service, face): (&Service, &Face),
    mut caller: Caller<'_>,
    record: &mut Record,
) -> Result<(Stream, Turn), Failure> {
    record.backend = Some(Arc::clone(&service.label));
    let limits = &conn.shared.settings.limits;
    let mut tried = Vec::new();
    let mut now = record.began;
    loop {
        let (at, random) = (balance::nanos(conn.shared.epoch, now), record.seed());
        let is_last = record.attempts + 1 >= limits.attempts;
        let draw = Draw { now: at, random, key: service.key(&HeaderMap::new(), record.source) };
        let Some(picked) = balance::pick(service, &tried, is_last, draw) else {
            return Err(Failure::backend(Reason::NoEndpoint));
        };
        let hop = Hop { endpoint: picked, worker: conn.worker, face };
        let (mut meant, mut place) = (None, None);
        if service.is_bounded() {
            let wish = Wish { hop, takes: Takes::Room, tried: &tried };
            let got = waited(wish, &mut caller, (limits, now)).await?;
            (meant, place) = (Some(got.0), Some(got.1));
        }
        let place = place.unwrap_or_else(|| picked.room.one_more());
        let endpoint = meant.as_ref().unwrap_or(picked);
        let hop = Hop { endpoint, ..hop };
        now = Instant::now();
        let mut turn = Turn::at(endpoint, conn.shared.epoch, now);
        record.attempts += 1;
        record.endpoint = Some(endpoint.address);
        let bytes = introduction(conn, service, record);
        let preface = Preface { heads: heads(record), bytes };
        let failure = match connect::to(hop, limits, preface, place).await {
            Ok(stream) => {
                let opened = Instant::now();
                record.backend_time = Some(opened - now);
                turn.answered(opened, Said::Well);
                return Ok((stream, turn));
            }
            Err(failure) => failure,
        };
        if failure.retry != Retry::Elsewhere {
            turn.blameless();
            return Err(failure);
        }
        turn.unreached(&failure);
        record.table.connect_failed(service.id);
        tried.push(endpoint.address);
        if is_last || tried.len() >= service.endpoints.len() {
            return Err(failure);
        }
        now = Instant::now();
    }
}

/// The place that a connection takes, for which its caller waits where a service bears only so many, and to
/// which endpoint: the one that was picked may be gone by its turn.
async fn waited(
    wish: Wish<'_>,
    caller: &mut Caller<'_>,
    (limits, now): (&Limits, Instant),
) -> Result<(Arc<Endpoint>, Place), Failure> {
    let got = tokio::select! {
        biased;
        got = wish.granted(limits, now, None) => got?,
        () = caller.gone() => return Err(Failure::client(Reason::ClientGone)),
    };
    match got {
        (endpoint, Granted::Place(place)) => Ok((endpoint, place)),
        // None was asked for.
        (_, Granted::Idle(_) | Granted::Shared(_)) => Err(Failure::proxy(Reason::Overloaded)),
    }
}

/// What tells the backend where a connection came from, where it wants that. What goes through the mesh says
/// it there.
fn introduction(conn: &Conn, service: &Service, record: &Record) -> Vec<u8> {
    let wanted = service.traffic.as_ref().and_then(|policy| policy.spec.proxy_protocol);
    let Some(version) = wanted else { return Vec::new() };
    let from = SocketAddr::new(record.source, conn.peer.port());
    proxy_protocol::header_of(version, from, conn.taken_at())
}

/// By what the proxy at the other end knows that it is a connection, joins its record with this one, and
/// judges where it comes from.
fn heads(record: &Record) -> HeaderMap {
    let mut heads = HeaderMap::with_capacity(4);
    heads.insert(CARRIES, HeaderValue::from_static("bytes"));
    if record.side == Side::Edge {
        let mut source = Vec::new();
        address::write_ip(record.source, &mut source);
        let source = HeaderValue::try_from(source).expect("an address is visible ASCII");
        heads.insert(FORWARDED_FOR, source);
    }
    heads.insert(TRACEPARENT, record.trace.header_value());
    heads.insert(REQUEST_ID, record.request_id.clone());
    heads
}

impl Opened {
    /// Carries what comes once the client was told that it is open.
    async fn carry_on(mut self, client: OnUpgrade) {
        self.record.status = Some(StatusCode::OK);
        let limits = &self.asked.conn.shared.settings.limits;
        let upgraded = match tokio::time::timeout(limits.head, client).await {
            Ok(Ok(upgraded)) => upgraded,
            Ok(Err(error)) => return self.record.detail = Some(error.to_string().into()),
            Err(_) => return self.record.reason = Reason::ClientTimeout,
        };
        // Nothing but bytes is written from here on, so the socket is used as it is.
        match upgraded.downcast::<Plain>() {
            Ok(parts) => {
                let (stream, left) = parts.io.into_inner().into_inner().0.into_parts();
                // hyper has what came first.
                let ahead = [parts.read_buf, left].concat().into();
                self.carry(Buffered::socket(stream, PIECE), ahead).await;
            }
            Err(upgraded) => {
                let client = Buffered::new(TokioIo::<Upgraded>::new(upgraded), PIECE);
                self.carry(client, Bytes::new()).await;
            }
        }
    }

    /// The same as a whole connection.
    async fn carried(self, client: impl End, ahead: Bytes) -> Outcome {
        self.carry(client, ahead).await;
        Outcome::Done
    }

    /// Carries what `client` sends, behind what it sent `ahead`, and what comes back.
    pub(crate) async fn carry(self, client: impl End, ahead: Bytes) {
        let Opened { asked, face, backend, silence, turn: _turn, mut record } = self;
        (record.status, record.reason) = (Some(StatusCode::OK), Reason::Ok);
        let conn = &asked.conn;
        let to = record.backend.clone();
        let passes = |live: &Live| asked.passes(live, &face, to.as_ref());
        // It has its place to the end.
        let Stream { io, place: _place } = backend;
        match io {
            Io::Plain(backend) => {
                Ends::new(client, Buffered::socket(backend, PIECE))
                    .ahead(ahead)
                    .carry(conn, record, silence, (passes, Heeds::Table))
                    .await;
            }
            Io::Tls(backend) => {
                Ends::new(client, Buffered::encrypted(*backend, PIECE))
                    .ahead(ahead)
                    .carry(conn, record, silence, (passes, Heeds::Table))
                    .await;
            }
            Io::Mesh(backend) => {
                Ends::new(client, *backend)
                    .ahead(ahead)
                    .carry(conn, record, silence, (passes, Heeds::Table))
                    .await;
            }
        }
    }
}
