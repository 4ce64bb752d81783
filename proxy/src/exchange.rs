//! The request function: judge, forward, answer.
//!
//! One table is taken per request and held to its end.
//! First everything is decided ([`judge`]), then it is done ([`forward`]); each line's value is
//! what the next one uses.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::SystemTime;

use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version,
};
use hyper::body::{Body as _, Incoming};
use hyper::upgrade::OnUpgrade;
use policy::rewrite::TargetTooLong;
use policy::{Answer, Facts, Proof, Reason, Verdict};
use table::{Found, Rule, Target};
use tokio::time::Instant;
use wire::Side;

use crate::attempts::Attempts;
use crate::balance::Turn;
use crate::body::{ClientBody, Progress, Upload};
use crate::decisions::discreet;
use crate::failure::{Failure, Retry};
use crate::forward::{self, Origin};
use crate::http::Conn;
use crate::live::Live;
use crate::pool::Answered;
use crate::record::Record;
use crate::reply::{Reply, Stream, problem};
use crate::{mirror, passport, tunnel};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const DEBUG: HeaderName = HeaderName::from_static("heddle-debug");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Headers that [`outgoing`] adds.
const ADDED: usize = 7;

/// Answers one request; whatever happens, there is an answer and a record.
pub(crate) async fn exchange(conn: Arc<Conn>, mut request: Request<Incoming>) -> Response<Reply> {
    let live = conn.shared.live.load_full();
    let asked = asked_upgrade(&mut request);
    let (mut parts, body) = request.into_parts();
    if parts.version == Version::HTTP_2 {
        forward::join_cookies(&mut parts.headers);
    }
    let mut record = Record::open(&conn, &live, &parts);
    passport::admit(&conn, &live, &mut parts.headers, &mut record);
    let request_id = record.request_id.clone();
    let mut response = match judge(&conn, &live, &parts, &mut record) {
        Ok(way) => {
            passport::enter(&conn, &live, &mut record);
            forward(&conn, &live, way, parts, body, asked, record).await
        }
        Err(answer) => refuse(answer, record),
    };
    response.headers_mut().insert(REQUEST_ID, request_id);
    if conn.shared.settings.debug_header {
        let value = response.body().record().and_then(debug);
        value.map(|value| response.headers_mut().insert(DEBUG, value));
    }
    response
}

/// What `heddle-debug` says: table, route and backend.
fn debug(record: &Record) -> Option<HeaderValue> {
    let route = record.rule.as_ref().map_or("-", |(_, rule)| &*rule.label);
    let backend = record.backend.as_deref().unwrap_or("-");
    let table = record.table.digest();
    HeaderValue::try_from(format!("table={table} route={route} backend={backend}")).ok()
}

/// The client's side of an upgrade that it asks for.
fn asked_upgrade(request: &mut Request<Incoming>) -> Option<OnUpgrade> {
    let asks = request.headers().contains_key(http::header::UPGRADE);
    asks.then(|| hyper::upgrade::on(request))
}

/// What was decided about a request that may pass.
struct Way<'l> {
    found: Found<'l>,
    /// The host as the client named it.
    host: HeaderValue,
    /// Path and query, the path in normal form.
    path: PathAndQuery,
    target: &'l Target,
    /// Who proved here that it is they who call.
    proofs: Vec<Proof>,
}

/// Decides everything that can be decided before a byte is sent.
fn judge<'l>(
    conn: &Conn,
    live: &'l Live,
    parts: &Parts,
    record: &mut Record,
) -> Result<Way<'l>, Answer> {
    let (named, host) = host_of(parts).ok_or_else(|| Answer::new(Reason::HostInvalid))?;
    record.host = host.as_ref().into();
    let path =
        model::path::normalise(parts.uri.path()).map_err(|_| Answer::new(Reason::PathInvalid))?;
    record.path = path.as_ref().into();
    bound(conn, parts)?;
    let users = passport::believed(live, record.side, record.behalf.as_ref());
    let facts = Facts {
        now: unix_seconds(record.began_at),
        source: record.source,
        scheme: conn.scheme,
        port: conn.port,
        host: &host,
        method: &parts.method,
        path: &path,
        query: parts.uri.query(),
        headers: &parts.headers,
        peer: conn.from.as_deref(),
        is_stranger: conn.is_stranger(live),
        users: &users,
    };
    meant_here(conn, live, &host)?;
    let found = match conn.is_outbound(live) {
        true => live.table.called(&facts, port_of(named)),
        false => live.table.find(&facts),
    };
    let found = found.map_err(Answer::new)?;
    // What is called is a Service's port, and not the one where its callers' proxy listens.
    let facts = Facts { port: found.listener.port, ..facts };
    record.rule = Some((found.place, Arc::clone(found.rule)));
    let verdict = found.rule.chain.decide(&facts, found.prefix);
    let reason = match &verdict {
        Verdict::Pass(_) => Reason::Ok,
        Verdict::Answer(answer) => answer.reason,
    };
    let told = conn.shared.telemetry.decisions();
    if told.is_some_and(|decisions| decisions.wants_story(record, reason)) {
        record.story = Some(discreet(found.rule.chain.explain(&facts, found.prefix)));
    }
    let pass = match verdict {
        Verdict::Pass(pass) => pass,
        Verdict::Answer(answer) => return Err(answer),
    };
    record.principal = pass.principal.or(record.principal.take());
    record.decided_by = pass.rule;
    let seed = record.seed();
    let target = found.rule.backends.target(seed as u32);
    let answer = |reason| found.rule.chain.answer(reason);
    let target = target.ok_or_else(|| answer(Reason::NoBackend))?;
    let whole = whole_path(parts, &path).ok_or_else(|| answer(Reason::PathInvalid))?;
    let host = host_value(parts, named).ok_or_else(|| answer(Reason::HostInvalid))?;
    Ok(Way { found, host, path: whole, target, proofs: pass.proofs })
}

/// The host as named and in normal form. Only HTTP/1.0 may leave it out.
fn host_of(parts: &Parts) -> Option<(&str, Cow<'_, str>)> {
    match forward::one_host(parts) {
        Some(named) => Some((named, policy::host::normalise(named).ok()?)),
        None if parts.version == Version::HTTP_10 && !parts.headers.contains_key(HOST) => {
            Some(("", Cow::Borrowed("")))
        }
        None => None,
    }
}

/// The port that a host names, if it names one.
pub(crate) fn port_of(named: &str) -> Option<u16> {
    let behind = named.rsplit_once(']').map_or(named, |(_, behind)| behind);
    behind.rsplit_once(':')?.1.parse().ok()
}

/// Refuses a host that belongs to another listener than the one whose certificate the handshake
/// showed: that listener may ask for more (RFC 9110, section 15.5.20).
pub(crate) fn meant_here(conn: &Conn, live: &Live, host: &str) -> Result<(), Answer> {
    let Some(shown) = conn.server_name.as_deref().filter(|shown| *shown != host) else {
        return Ok(());
    };
    match (live.table.listener(conn.port, shown), live.table.listener(conn.port, host)) {
        (Some(shown), Some(meant)) if Arc::ptr_eq(shown, meant) => Ok(()),
        (_, None) => Err(Answer::new(Reason::NoListener)),
        (_, Some(_)) => Err(Answer::new(Reason::Misdirected)),
    }
}

/// The host as a header: the one that came, where it came as one.
fn host_value(parts: &Parts, named: &str) -> Option<HeaderValue> {
    match parts.headers.get(HOST) {
        Some(host) => Some(host.clone()),
        None => HeaderValue::from_str(named).ok(),
    }
}

/// What is refused whatever the table says.
fn bound(conn: &Conn, parts: &Parts) -> Result<(), Answer> {
    if parts.method == Method::CONNECT {
        return Err(Answer::new(Reason::BadRequest));
    }
    // HTTP/2 has no bound on the number of headers in hyper; HTTP/1.1 has one while it parses.
    if parts.headers.len() > conn.shared.settings.limits.headers {
        return Err(Answer::new(Reason::HeadersTooLarge));
    }
    if !forward::is_framed_plainly(&parts.headers) {
        return Err(Answer::new(Reason::BadRequest));
    }
    let length = parts.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let length = length.and_then(|value| value.parse::<u64>().ok()).unwrap_or(0);
    if length > conn.shared.settings.limits.body_bytes {
        return Err(Answer::new(Reason::BodyTooLarge));
    }
    Ok(())
}

/// `at` in seconds since 1970.
pub(crate) fn unix_seconds(at: SystemTime) -> i64 {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// An answer of ours, as policy or table decided it.
fn refuse(answer: Answer, mut record: Box<Record>) -> Response<Reply> {
    record.principal = answer.principal.or(record.principal.take());
    record.decided_by = answer.rule;
    record.detail = answer.detail;
    let mut response = problem(record, answer.status, answer.reason);
    for (name, value) in answer.headers {
        response.headers_mut().append(name, value);
    }
    response
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
    let service = match way.target {
        Target::Service(id) => &live.services[*id],
        Target::Broken(reason) => return finish(rule, fail(record, &Failure::proxy(*reason))),
    };
    record.backend = Some(Arc::clone(&service.label));
    let upgrade = asked.and_then(|asked| Some((asked, forward::wanted_upgrade(&head)?)));
    let asked = upgrade.map(|(asked, word)| {
        let again = tunnel::Asked::new(&head, &record);
        (asked, word, again)
    });
    if outgoing(conn, &way, &mut head, &record).is_err() {
        return finish(rule, fail(record, &Failure::client(Reason::PathInvalid)));
    }
    if let Some((_, word, _)) = &asked {
        head.headers.insert(http::header::CONNECTION, HeaderValue::from_static("upgrade"));
        head.headers.insert(http::header::UPGRADE, word.clone());
    }
    let (upload, progress) = upload(conn, live, rule, &head, body, record.seed());
    let deadline = rule.request_timeout.map(|bound| record.began + bound);
    let tries = Attempts {
        conn,
        service,
        bound: rule.backend_timeout.unwrap_or(conn.shared.settings.limits.backend_head),
        is_usual: rule.backend_timeout.is_none(),
        deadline,
        progress: progress.as_deref(),
        passport: passport::onward(conn, live, service, &way.proofs, &record),
    };
    let sent = tries.run(Request::from_parts(head, upload), &mut record).await;
    if let Some(progress) = &progress {
        record.bytes_in = progress.bytes();
    }
    let (answered, turn) = match sent {
        Ok(sent) => sent,
        Err(failure) => return finish(rule, fail(record, &failure)),
    };
    if !forward::is_framed_plainly(answered.response.headers()) {
        let failure = Failure::backend(Reason::UpstreamProtocol);
        let failure = failure.because("its answer has a transfer coding other than chunked");
        return finish(rule, fail(record, &failure));
    }
    if answered.response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return finish(rule, stream(conn, answered, turn, progress, deadline, record));
    }
    let response = match asked {
        Some((client, word, again)) if forward::switches_to(&answered.response, &word) => {
            tunnel::start(conn, again, client, answered, turn, record)
        }
        Some(_) | None => {
            let failure = Failure::backend(Reason::UpstreamProtocol);
            fail(record, &failure.because("it switched to a protocol that nobody asked for"))
        }
    };
    finish(rule, response)
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
    let (peer, port, host) = (&conn.peer_text, &conn.port_text, &way.host);
    // Room for what is added here, at once.
    head.headers.reserve(ADDED);
    Origin { peer, trusted, scheme: conn.scheme, port, host }.write(&mut head.headers);
    head.headers.insert(HOST, way.host.clone());
    head.uri = Uri::from(way.path.clone());
    head.version = Version::HTTP_11;
    way.found.rule.chain.alter_request(head, way.found.prefix)?;
    if record.side == Side::Inbound {
        forward::strip_other_traces(&mut head.headers);
    }
    head.headers.insert(TRACEPARENT, record.trace.header_value());
    head.headers.insert(REQUEST_ID, record.request_id.clone());
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

/// Path and query alone, the path replaced by its normal form; `None` where that grew too long.
fn whole_path(parts: &Parts, path: &str) -> Option<PathAndQuery> {
    match (parts.uri.path_and_query(), parts.uri.query()) {
        (Some(whole), _) if whole.path() == path => Some(whole.clone()),
        (_, None) => PathAndQuery::try_from(path).ok(),
        (_, Some(query)) => PathAndQuery::try_from(format!("{path}?{query}")).ok(),
    }
}

/// The body that goes to the backend, and to the rule's mirrors.
fn upload(
    conn: &Arc<Conn>,
    live: &Arc<Live>,
    rule: &Rule,
    head: &Parts,
    body: Incoming,
    seed: u64,
) -> (Upload, Option<Arc<Progress>>) {
    let is_empty = body.is_end_stream();
    let copies = mirror::start(conn, live, rule, head, is_empty, seed);
    if is_empty {
        return (Upload::Empty, None);
    }
    let limits = &conn.shared.settings.limits;
    let (body, progress) = ClientBody::new(body, limits.body_bytes, limits.body, copies);
    (Upload::Client(Box::new(body)), Some(progress))
}

/// Our answer to a failure.
fn fail(mut record: Box<Record>, failure: &Failure) -> Response<Reply> {
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
    conn: &Conn,
    answered: Answered,
    turn: Turn,
    upload: Option<Arc<Progress>>,
    deadline: Option<Instant>,
    mut record: Box<Record>,
) -> Response<Reply> {
    let (mut head, body) = answered.response.into_parts();
    if head.headers.contains_key(TRANSFER_ENCODING) {
        // The chunks say where the body ends (RFC 9112, section 6.3).
        head.headers.remove(CONTENT_LENGTH);
    }
    forward::strip_hop_by_hop(&mut head.headers);
    if record.side == Side::Inbound {
        head.headers.remove(forward::UNREACHED);
    }
    head.version = Version::HTTP_11;
    head.extensions = http::Extensions::new();
    record.status = Some(head.status);
    record.reason = Reason::Ok;
    let (lease, turn) = (answered.lease, Some(turn));
    let silence = conn.shared.settings.limits.backend_silence;
    let mut stream = Stream { body, record, lease, turn, deadline, silence, timer: None, upload };
    if stream.body.is_end_stream() {
        stream.end();
    }
    Response::from_parts(head, Reply::Backend(Box::new(stream)))
}

/// What the rule does to every answer of its own.
fn finish(rule: &Rule, response: Response<Reply>) -> Response<Reply> {
    if !rule.chain.changes_response() {
        return response;
    }
    let (mut head, body) = response.into_parts();
    rule.chain.alter_response(&mut head);
    Response::from_parts(head, body)
}
