//! The request function: judge, forward, answer.
//!
//! One table is taken per request and held to its end.
//! First everything is decided ([`judge`]), then it is done ([`forward`]); each line's value is
//! what the next one uses.

use std::mem::take;
use std::sync::Arc;
use std::time::Duration;

use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::request::Parts;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version,
};
use hyper::body::{Body as _, Incoming};
use hyper::upgrade::OnUpgrade;
use model::service::AppProtocol;
use model::traffic::Timeouts;
use policy::rewrite::TargetTooLong;
use policy::{Answer, Reason};
use table::{Rule, Target};
use tokio::time::Instant;
use wire::Side;

use crate::attempts::Attempts;
use crate::balance::Turn;
use crate::body::replay::Replay;
use crate::body::{ClientBody, Progress, Upload};
use crate::failure::{Failure, Retry};
use crate::forward::{self, Length, Origin};
use crate::grpc::{self, Code};
use crate::http::Conn;
use crate::live::{Live, Service};
use crate::pool::Answered;
use crate::record::{REQUEST_ID, Record};
use crate::reply::{Reply, Stream, problem};
use crate::retry::{self, Again};
use crate::session::Seat;
use crate::{compress, dial, login, mirror, passport, tunnel};
use judge::{Way, judge};

mod judge;

pub(crate) use judge::{browser, decide, decide_uncounted, host_of, meant_here, port_of};

const DEBUG: HeaderName = HeaderName::from_static("heddle-debug");
pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Headers that [`outgoing`] adds.
const ADDED: usize = 8;

/// Answers one request; whatever happens, there is an answer and a record.
pub(crate) async fn exchange(conn: Arc<Conn>, mut request: Request<Incoming>) -> Response<Reply> {
    let live = conn.shared.live.load_full();
    let asked = asked_upgrade(&mut request);
    let (mut parts, body) = request.into_parts();
    let version = parts.version;
    conn.begins(!body.is_end_stream());
    if version == Version::HTTP_2 {
        forward::join_cookies(&mut parts.headers);
    }
    let mut record = Record::open(&conn, &live, &parts);
    let request_id = record.request_id.clone();
    let mut response = if parts.method == Method::CONNECT && record.side == Side::Outbound {
        // Boxed, since no request is to carry the room that it takes.
        Box::pin(dial::outbound(&conn, &live, &parts, asked, record)).await
    } else {
        passport::admit(&conn, &live, &mut parts.headers, &mut record);
        match judge(&conn, &live, &parts, &mut record).await {
            Ok(way) => {
                passport::enter(&conn, &live, &mut record);
                forward(&conn, &live, way, parts, body, asked, record).await
            }
            Err(answer) => refuse(answer, record),
        }
    };
    response.headers_mut().insert(REQUEST_ID, request_id);
    let named = response.body().record().and_then(|record| debug(&conn, record));
    named.map(|value| response.headers_mut().insert(DEBUG, value));
    conn.part(version, &mut response);
    response
}

/// What `heddle-debug` says, if it is to be said: table, route and backend.
fn debug(conn: &Conn, record: &Record) -> Option<HeaderValue> {
    if !conn.shared.settings.debug_header {
        return None;
    }
    let route = record.rule.as_ref().map_or("-", |(_, rule)| &*rule.label);
    let backend = record.backend.as_deref().unwrap_or("-");
    let table = record.table.digest();
    HeaderValue::try_from(format!("table={table} route={route} backend={backend}")).ok()
}

/// The client's side of an upgrade that it asks for, or of a connection that it opens.
fn asked_upgrade(request: &mut Request<Incoming>) -> Option<OnUpgrade> {
    let asks = match request.version() {
        // The header is an error there (RFC 9113, section 8.2.2), and never comes to here.
        Version::HTTP_2 => request.method() == Method::CONNECT,
        _ => {
            request.method() == Method::CONNECT
                || request.headers().contains_key(http::header::UPGRADE)
        }
    };
    asks.then(|| hyper::upgrade::on(request))
}

/// An answer of ours, as policy or table decided it.
pub(crate) fn refuse(answer: Answer, mut record: Box<Record>) -> Response<Reply> {
    record.principal = answer.principal.or(record.principal.take());
    record.decided_by = answer.rule;
    record.detail = answer.detail;
    record.aside = answer.aside.or(record.aside.take());
    let aside = record.aside.as_mut();
    let said = aside.map(|aside| (take(&mut aside.limits), take(&mut aside.cookies)));
    let (limits, cookies) = said.unwrap_or_default();
    let is_told = record.side == Side::Inbound && answer.reason == Reason::RateLimited;
    let mut response = problem(record, answer.status, answer.reason);
    if is_told {
        response.headers_mut().insert(forward::LIMITED, HeaderValue::from_static("1"));
    }
    for (name, value) in answer.headers.into_iter().chain(limits) {
        response.headers_mut().append(name, value);
    }
    login::keep(&cookies, response.headers_mut());
    response
}

/// How long each part of an exchange with a backend may take, and how much may come.
struct Pace {
    /// Longest silence of the caller inside its body.
    upload: Duration,
    /// The most bytes of it.
    longest: u64,
    /// Of each try, until the head of the answer.
    head: Duration,
    /// Longest silence of the backend inside its answer.
    answer: Duration,
    /// When the whole must be over.
    deadline: Option<Instant>,
}

impl Pace {
    /// By rule and settings. Over HTTP/2 on both sides a gRPC call takes as long as its caller says,
    /// since a stream may well be silent for hours: that there is somebody at either end, pings say. It is
    /// never held as a whole, so it may be of any length.
    fn new(conn: &Conn, service: &Service, rule: &Rule, head: &Parts, record: &Record) -> Self {
        let limits = &conn.shared.settings.limits;
        let deadline = rule.request_timeout.map(|bound| record.began + bound);
        let mut pace = Pace {
            upload: limits.body,
            longest: limits.body_bytes,
            head: rule.backend_timeout.unwrap_or(limits.backend_head),
            answer: service
                .timeouts()
                .and_then(Timeouts::stream_idle)
                .unwrap_or(limits.stream_idle),
            deadline,
        };
        if record.call.is_some() && service.protocol == AppProtocol::H2c {
            pace.upload = Rule::UNBOUNDED;
            pace.longest = u64::MAX;
            pace.head = rule.backend_timeout.unwrap_or(Rule::UNBOUNDED);
            pace.answer = Rule::UNBOUNDED;
            let wanted = grpc::timeout(&head.headers).map(|wanted| record.began + wanted);
            pace.deadline = [deadline, wanted].into_iter().flatten().min();
        }
        pace
    }
}

/// Sends the request where it was decided to go, and makes the answer out of what comes back.
async fn forward(
    conn: &Arc<Conn>,
    live: &Arc<Live>,
    way: Way<'_>,
    mut head: Parts,
    body: Incoming,
    asked: Option<OnUpgrade>,
    mut record: Box<Record>,
) -> Response<Reply> {
    let rule = way.found.rule;
    let service = match way.backend.target {
        Target::Service(id) => &live.services[id],
        Target::Broken(reason) => return finish(&way, fail(record, &Failure::proxy(reason))),
    };
    record.backend = Some(Arc::clone(&service.label));
    let face = match live.face(service, way.found.listener) {
        Ok(face) => face,
        Err(failure) => return finish(&way, fail(record, &failure)),
    };
    let upgrade = asked.and_then(|asked| Some((asked, forward::wanted_upgrade(&head)?)));
    // What is judged again is what came.
    let asked =
        upgrade.map(|(asked, word)| (asked, word, tunnel::Asked::new(&head, &record, &face)));
    rule.chain.tell_ahead(record.told(), &mut head.headers);
    let key = service.key(&head.headers, record.source);
    let smaller = compress::Asked::of(service, &head, &record);
    if outgoing(conn, &way, &mut head, &record).is_err() {
        return finish(&way, fail(record, &Failure::client(Reason::PathInvalid)));
    }
    if let Some((_, word, _)) = &asked {
        head.headers.insert(http::header::CONNECTION, HeaderValue::from_static("upgrade"));
        head.headers.insert(http::header::UPGRADE, word.clone());
    }
    let pace = Pace::new(conn, service, rule, &head, &record);
    let Uploading { upload, progress, replay } =
        upload(conn, live, &way, &head, body, (&pace, record.seed()));
    let again = rule.retry.as_ref();
    let again = again.map(|retry| Again::new(retry, &head.method, &head.headers, replay));
    let deadline = pace.deadline;
    let mut tries = Attempts {
        conn,
        service,
        face: &face,
        bound: pace.head,
        is_usual: rule.backend_timeout.is_none(),
        deadline,
        progress: progress.as_ref(),
        passport: passport::onward(conn, live, service, &way.proofs, &record),
        again,
        key,
        stays_at: way.session.as_ref().and_then(|session| session.endpoint(service)),
        is_call: record.call.is_some(),
    };
    let mut slot = Some(Request::from_parts(head, upload));
    let sent = tries.run(&mut slot, &mut record).await;
    if let Some(progress) = &progress {
        record.bytes_in = progress.bytes();
    }
    let (backend, keeps) = (way.backend, way.session.is_some());
    let seat = |record: &Record| {
        let endpoint = record.endpoint.filter(|_| keeps)?;
        Some(Seat::new(rule, backend, service, endpoint))
    };
    let (mut answered, turn) = match sent {
        Ok(sent) => sent,
        Err(failure) => return finish(&way, fail(record, &failure)),
    };
    if record.side == Side::Inbound {
        answered.response.headers_mut().remove(forward::UNREACHED);
        answered.response.headers_mut().remove(forward::LIMITED);
    }
    if let Err(why) = framed(answered.response.headers_mut()) {
        let failure = Failure::backend(Reason::UpstreamProtocol).because(why);
        return finish(&way, fail(record, &failure));
    }
    if answered.response.status() != StatusCode::SWITCHING_PROTOCOLS {
        let seat = seat(&record);
        let response = stream(answered, (turn, service), progress, &pace, record);
        let response = finish(&way, response);
        let response = match smaller {
            Some(smaller) => smaller.answer(response, &conn.shared.encoders),
            None => response,
        };
        return keep(conn, &way, seat, response);
    }
    match asked {
        Some((client, word, again)) if forward::switches_to(&answered.response, &word) => {
            let (seat, named) = (seat(&record), debug(conn, &record));
            let response =
                tunnel::start(conn, (again, pace.answer), client, answered, turn, record);
            let mut response = keep(conn, &way, seat, finish(&way, response));
            named.map(|value| response.headers_mut().insert(DEBUG, value));
            response
        }
        Some(_) | None => {
            let failure = Failure::backend(Reason::UpstreamProtocol);
            let failure = failure.because("it switched to a protocol that nobody asked for");
            finish(&way, fail(record, &failure))
        }
    }
}

/// Has an answer say by what its caller comes back to where it was answered.
fn keep(
    conn: &Conn,
    way: &Way<'_>,
    seat: Option<Seat>,
    mut response: Response<Reply>,
) -> Response<Reply> {
    if let Some((session, seat)) = way.session.as_ref().zip(seat) {
        let seals = conn.shared.ground.keyring.sessions_at(&way.found.listener.gateway);
        session.mark(&seals, seat, conn.scheme, &mut response);
    }
    response
}

/// Takes off what carries sessions, of the console and of rules: browsers send cookies to more than the
/// rule that gave them.
fn strip_sessions(conn: &Conn, way: &Way<'_>, headers: &mut HeaderMap) {
    let keyring = &conn.shared.ground.keyring;
    let session = way.session.as_ref();
    let is_its = |name: &[u8]| session.is_some_and(|session| session.is_cookie(name));
    forward::strip_session(headers, |name, value| is_its(name) || keyring.is_token(value));
    session.into_iter().for_each(|session| session.strip(headers));
}

/// Makes of the client's head the one that goes to the backend.
fn outgoing(
    conn: &Conn,
    way: &Way<'_>,
    head: &mut Parts,
    record: &Record,
) -> Result<(), TargetTooLong> {
    let trusted = conn.trusts(conn.peer.ip());
    if head.version == Version::HTTP_2 {
        one_length(&mut head.headers);
    }
    forward::strip_hop_by_hop(&mut head.headers);
    if record.side == Side::Edge {
        strip_sessions(conn, way, &mut head.headers);
    }
    let (peer, port, host) = (&conn.peer_text, &conn.port_text, &way.host);
    // Room for what is added here, at once.
    head.headers.reserve(ADDED);
    let client = conn.client.as_deref().map(|client| &client.told);
    Origin { peer, trusted, scheme: conn.scheme, port, host, client }.write(&mut head.headers);
    head.headers.insert(HOST, way.host.clone());
    head.uri = Uri::from(way.path.clone());
    head.version = Version::HTTP_11;
    way.found.rule.chain.alter_request(head, record.told(), way.found.prefix)?;
    if let Some(filters) = &way.backend.filters {
        filters.chain.alter_request(head, &[], way.found.prefix)?;
    }
    if record.side == Side::Inbound {
        forward::strip_other_traces(&mut head.headers);
    }
    head.headers.insert(TRACEPARENT, record.trace.header_value());
    head.headers.insert(REQUEST_ID, record.request_id.clone());
    Ok(())
}

/// Has an answer say once how long it is, if it can be told how it is framed.
fn framed(headers: &mut HeaderMap) -> Result<(), &'static str> {
    if !forward::is_framed_plainly(headers) {
        return Err("its answer has a transfer coding other than chunked");
    }
    match forward::length(headers) {
        Length::Plain => {}
        Length::Repeated => one_length(headers),
        Length::Odd => return Err("its answer has several lengths, or one that is none"),
    }
    Ok(())
}

/// Of several equal lengths, which HTTP/2 lets pass, one goes on.
fn one_length(headers: &mut HeaderMap) {
    if headers.get_all(CONTENT_LENGTH).iter().nth(1).is_some()
        && let Some(length) = headers.get(CONTENT_LENGTH).cloned()
    {
        headers.insert(CONTENT_LENGTH, length);
    }
}

/// A body on its way to a backend.
struct Uploading {
    upload: Upload,
    /// How far it is, where there is one.
    progress: Option<Arc<Progress>>,
    /// From where it comes again, where it may have to be sent more than once.
    replay: Option<Arc<Replay>>,
}

/// The body that goes to the backend, and to the mirrors.
fn upload(
    conn: &Arc<Conn>,
    live: &Arc<Live>,
    way: &Way<'_>,
    head: &Parts,
    body: Incoming,
    (pace, seed): (&Pace, u64),
) -> Uploading {
    let is_empty = body.is_end_stream();
    let rule = way.found.rule;
    let own = way.backend.filters.as_ref().map_or(&[][..], |filters| &filters.mirrors);
    let mirrors = rule.mirrors.iter().chain(own);
    let from = mirror::From { conn, live, listener: way.found.listener };
    let copies = mirror::start(from, mirrors, head, is_empty, seed);
    if is_empty {
        return Uploading { upload: Upload::Empty, progress: None, replay: None };
    }
    let (body, progress) = ClientBody::new(body, pace.longest, pace.upload, copies);
    let body = body.on(conn).telling(rule.chain.told());
    let progress = Some(progress);
    if rule.retry.is_some() && retry::is_safe(&head.method, &head.headers) {
        let (replay, upload) = Replay::new(body);
        return Uploading { upload, progress, replay: Some(replay) };
    }
    Uploading { upload: Upload::Client(Box::new(body)), progress, replay: None }
}

/// Our answer to a failure.
pub(crate) fn fail(mut record: Box<Record>, failure: &Failure) -> Response<Reply> {
    if failure.source.is_some() {
        record.detail = Some(failure.to_string().into());
    }
    let is_unreached = record.side == Side::Inbound && failure.retry == Retry::Elsewhere;
    let mut response = problem(record, failure.reason.status(), failure.reason);
    if is_unreached {
        response.headers_mut().insert(forward::UNREACHED, HeaderValue::from_static("1"));
    }
    response
}

/// The backend's answer, its body as it comes.
fn stream(
    answered: Answered,
    (turn, service): (Turn, &Arc<Service>),
    upload: Option<Arc<Progress>>,
    pace: &Pace,
    mut record: Box<Record>,
) -> Response<Reply> {
    let (mut head, body) = answered.response.into_parts();
    if head.headers.contains_key(TRANSFER_ENCODING) {
        // The chunks say where the body ends (RFC 9112, section 6.3).
        head.headers.remove(CONTENT_LENGTH);
    }
    forward::strip_hop_by_hop(&mut head.headers);
    head.version = Version::HTTP_11;
    head.extensions = http::Extensions::new();
    record.status = Some(head.status);
    record.reason = Reason::Ok;
    if let Some(call) = &mut record.call {
        call.code = Code::of(&head.headers);
    }
    let (lease, turn) = (answered.lease, Some(turn));
    let (deadline, silence) = (pace.deadline, pace.answer);
    let goes_on = record.call.is_some() && !grpc::is_told(head.status, &head.headers);
    let judge = goes_on.then(|| Arc::clone(service));
    let timer = None;
    let mut stream = Stream { body, record, lease, turn, judge, deadline, silence, timer, upload };
    if stream.body.is_end_stream() {
        stream.end();
    }
    Response::from_parts(head, Reply::Backend(Box::new(stream)))
}

/// What the backend's filters and then the rule do to every answer of theirs, and what it says of limits and sessions.
fn finish(way: &Way<'_>, mut response: Response<Reply>) -> Response<Reply> {
    for (name, value) in &way.limits {
        // A backend's own limits are told beside ours, as items of the same lists; forms that are none would spoil
        // ours.
        let of_backend = response.headers().get_all(name).iter();
        match of_backend.into_iter().all(|value| value.as_bytes().starts_with(b"\"")) {
            true => drop(response.headers_mut().append(name, value.clone())),
            false => drop(response.headers_mut().insert(name, value.clone())),
        }
    }
    let mut response = altered(way, response);
    login::strip(response.headers_mut());
    login::keep(&way.cookies, response.headers_mut());
    response
}

/// What the filters make of an answer.
fn altered(way: &Way<'_>, response: Response<Reply>) -> Response<Reply> {
    let rule = &way.found.rule.chain;
    let own = way.backend.filters.as_ref().map(|filters| &filters.chain);
    let own = own.filter(|own| own.changes_response());
    if own.is_none() && !rule.changes_response() {
        return response;
    }
    let (mut head, body) = response.into_parts();
    own.into_iter().for_each(|own| own.alter_response(&mut head, &way.reader));
    rule.alter_response(&mut head, &way.reader);
    Response::from_parts(head, body)
}
