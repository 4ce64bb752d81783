//! What is decided of a request before a byte of it is sent.

use std::borrow::Cow;
use std::mem::take;
use std::sync::Arc;
use std::time::SystemTime;

use http::header::{CONNECTION, CONTENT_LENGTH, HOST};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Method, Version};
use model::path::normalise_with;
use policy::explain::Story;
use policy::limit::{Charge, Take};
use policy::{
    Answer, Ask, Decision, Facts, Layer, LoggedIn, Pass, Proof, Reader, Reason, Said, Verdict,
};
use table::{Backend, Found};
use wire::Side;

use crate::balance;
use crate::counts::Now;
use crate::decisions::discreet;
use crate::http::Conn;
use crate::live::Live;
use crate::login::{self, Browser, Visited};
use crate::passport::Carried;
use crate::record::Record;
use crate::session::Visit;
use crate::{forward, moment, passport};

/// What was decided about a request that may pass.
pub(super) struct Way<'l> {
    pub(super) found: Found<'l>,
    /// The host as the client named it.
    pub(super) host: HeaderValue,
    /// Path and query, the path in normal form.
    pub(super) path: PathAndQuery,
    /// The backend that was drawn.
    pub(super) backend: &'l Backend,
    /// The session that it is of, where the rule keeps some.
    pub(super) session: Option<Box<Visit<'l>>>,
    /// Who proved here that it is they who call.
    pub(super) proofs: Vec<Proof>,
    /// Whose pages may read the answer.
    pub(super) reader: Reader,
    /// What the answer says of limits.
    pub(super) limits: Vec<(HeaderName, HeaderValue)>,
    /// What the browser is to keep of its sessions.
    pub(super) cookies: Vec<HeaderValue>,
}

/// Decides everything that can be decided before a byte is sent.
pub(super) async fn judge<'l>(
    conn: &Conn,
    live: &'l Live,
    parts: &Parts,
    record: &mut Record,
) -> Result<Way<'l>, Answer> {
    way(conn, live, parts, record).await.map_err(|answer| last(parts, answer))
}

// Every request takes this way, and what it returns is large.
#[inline(always)]
async fn way<'l>(
    conn: &Conn,
    live: &'l Live,
    parts: &Parts,
    record: &mut Record,
) -> Result<Way<'l>, Answer> {
    let (named, host) = host_of(parts).ok_or_else(|| Answer::new(Reason::HostInvalid))?;
    record.host = host.as_ref().into();
    let slashes = conn.shared.settings.escaped_slashes;
    let path =
        normalise_with(parts.uri.path(), slashes).map_err(|_| Answer::new(Reason::PathInvalid))?;
    record.path = path.as_ref().into();
    bound(conn, parts)?;
    let users = passport::believed(live, record.side, record.behalf.as_ref());
    let revoked = conn.shared.ground.membership.revoked.now();
    let facts = Facts {
        layer: Layer::Request,
        now: moment::signed(record.began_at),
        source: record.source,
        scheme: conn.scheme,
        port: conn.port,
        host: &host,
        method: &parts.method,
        path: &path,
        query: parts.uri.query(),
        headers: &parts.headers,
        peer: conn.from.as_deref(),
        certificate: conn.certificate(),
        users: &users,
        sessions: &[],
        revoked: revoked.as_deref(),
    };
    meant_here(conn, live, &host)?;
    let found = match conn.is_outbound(live) {
        true => live.table.called(&facts, port_of(named)),
        false => live.table.find(&facts),
    };
    let listener = match &found {
        Ok(found) => Some(found.listener),
        Err(_) => live.table.listener(conn.port, &host).filter(|_| conn.from.is_none()),
    };
    if listener.is_some_and(|listener| !conn.was_asked(listener)) {
        conn.retire();
        let why =
            "the listener asks callers for other certificates than when this connection was opened";
        return Err(Answer { detail: Some(why.into()), ..Answer::new(Reason::Misdirected) });
    }
    let found = found.map_err(Answer::new)?;
    // What is called is a Service's port, and not the one where its callers' proxy listens.
    let facts = Facts { port: found.listener.port, ..facts };
    let pass = decide(conn, live, &found, &facts, named, record).await?;
    let seed = record.seed();
    let visit = |session| {
        let seals = conn.shared.ground.keyring.sessions_at(&found.listener.gateway);
        Visit::new(session, &seals, &parts.headers, record.began_at)
    };
    let session = found.rule.session.as_ref().map(|session| Box::new(visit(session)));
    let kept = session.as_ref().and_then(|session| session.backend(live, found.rule));
    let now = || balance::nanos(conn.shared.epoch, record.began);
    let backend = live.backend(found.rule, kept, (seed as u32, now));
    let answer = |reason| found.rule.chain.answer(reason, &pass.reader);
    let backend = backend.ok_or_else(|| answer(Reason::NoBackend))?;
    if let Some(filters) = &backend.filters
        // Levels, and so limits, stand before the rule alone.
        && let Verdict::Answer(own) = filters.chain.uncounted(&facts, found.prefix)
    {
        return Err(found.rule.chain.noted(own, &pass.reader));
    }
    let whole = whole_path(parts, &path).ok_or_else(|| answer(Reason::PathInvalid))?;
    let host = host_value(parts, named).ok_or_else(|| answer(Reason::HostInvalid))?;
    let Pass { proofs, reader, .. } = pass;
    let aside = record.aside.as_mut();
    let said = aside.map(|aside| (take(&mut aside.limits), take(&mut aside.cookies)));
    let (limits, cookies) = said.unwrap_or_default();
    Ok(Way { found, host, path: whole, backend, session, proofs, reader, limits, cookies })
}

/// What stands before what was found says of a request or a connection to `authority`; the record is told.
// Every request takes this way, and what it returns is large.
#[inline(always)]
pub(crate) async fn decide(
    conn: &Conn,
    live: &Live,
    found: &Found<'_>,
    facts: &Facts<'_>,
    authority: &str,
    record: &mut Record,
) -> Result<Pass, Answer> {
    admit(conn, live, found, record)?;
    let (verdict, sessions) = settle(conn, found, facts, authority, record).await;
    tell(conn, found, &Facts { sessions: &sessions, ..*facts }, verdict, record)
}

/// The same of datagrams, which no limit counts.
pub(crate) fn decide_uncounted(
    conn: &Conn,
    live: &Live,
    found: &Found<'_>,
    facts: &Facts<'_>,
    record: &mut Record,
) -> Result<Pass, Answer> {
    admit(conn, live, found, record)?;
    let verdict = found.rule.chain.uncounted(facts, found.prefix);
    tell(conn, found, facts, verdict, record)
}

/// Refuses another proxy whose workspace is none of its cluster, and whoever comes for somebody who was shut out; the
/// record is told what was found.
#[inline(always)]
fn admit(conn: &Conn, live: &Live, found: &Found<'_>, record: &mut Record) -> Result<(), Answer> {
    record.rule = Some((found.place, Arc::clone(found.rule)));
    if let Some(from) = conn.from.as_deref().filter(|_| conn.is_stranger(live)) {
        let why = "its workspace is not in the cluster that vouches for who sends it".to_owned();
        let change = format!("the workspace has to be in cluster '{}'", from.cluster());
        return Err(kept_out(conn, record, Reason::AccessDenied, (why, change)));
    }
    match &record.behalf {
        None => Ok(()),
        Some(behalf) => not_revoked(conn, live, &Arc::clone(behalf), record),
    }
}

/// Refuses what comes for somebody who was shut out since they proved who they are, also where no rule asks for them:
/// whoever is taken for unknown would pass by every rule that denies them.
fn not_revoked(
    conn: &Conn,
    live: &Live,
    behalf: &Carried,
    record: &mut Record,
) -> Result<(), Answer> {
    let Some(revoked) = conn.shared.ground.membership.revoked.now() else { return Ok(()) };
    let now = moment::signed(SystemTime::now());
    let Some(user) = behalf.revoked(&revoked, &live.table, now) else { return Ok(()) };
    // Whom another workspace knows is nobody's business here.
    let (inbound, outbound) = (&live.table.inbound, &live.table.outbound);
    let own = inbound.as_ref().map(|inbound| &inbound.workload.namespace);
    let own = own.or(outbound.as_ref().map(|outbound| outbound.namespace()));
    let known = own.map(|own| behalf.users_for(&live.table, own)).unwrap_or_default();
    let whom = match known.iter().any(|known| known.principal == user.principal) {
        true => user.principal.to_string(),
        false => "somebody whom another workspace knows".to_owned(),
    };
    let why = format!("it comes for {whom}, who was shut out");
    let change = format!("{whom} would have to be let in again");
    Err(kept_out(conn, record, Reason::CallerRevoked, (why, change)))
}

/// The answer to whom no rule is asked about, and the story of it.
#[cold]
fn kept_out(
    conn: &Conn,
    record: &mut Record,
    reason: Reason,
    (why, change): (String, String),
) -> Answer {
    let answer = Answer::new(reason);
    let told = conn.shared.telemetry.decisions();
    if told.is_some_and(|decisions| decisions.wants_story(record, reason)) {
        let status = Some(answer.status.as_u16());
        record.story = Some(Box::new(Story::of(reason, status, why.clone(), change)));
    }
    Answer { detail: Some(why.into()), ..answer }
}

/// What follows from a verdict, which the record is told.
#[inline(always)]
fn tell(
    conn: &Conn,
    found: &Found<'_>,
    facts: &Facts<'_>,
    verdict: Verdict,
    record: &mut Record,
) -> Result<Pass, Answer> {
    let reason = match &verdict {
        Verdict::Pass(_) => Reason::Ok,
        Verdict::Answer(answer) => answer.reason,
    };
    let told = conn.shared.telemetry.decisions();
    if told.is_some_and(|decisions| decisions.wants_story(record, reason)) {
        record.story = Some(discreet(found.rule.chain.explain_verdict(facts, &verdict)));
    }
    let mut pass = match verdict {
        Verdict::Pass(pass) => pass,
        Verdict::Answer(answer) => return Err(answer),
    };
    record.principal = pass.principal.take().or(record.principal.take());
    record.decided_by = pass.rule.take();
    record.aside = pass.aside.take();
    Ok(pass)
}

/// What a chain makes of a request, with an answer to whatever it asks; and whose sessions it brought.
#[inline(always)]
async fn settle(
    conn: &Conn,
    found: &Found<'_>,
    facts: &Facts<'_>,
    authority: &str,
    record: &Record,
) -> (Verdict, Vec<LoggedIn>) {
    let (chain, prefix) = (&found.rule.chain, found.prefix);
    let mut decision = chain.decide(facts, prefix);
    let mut sessions = Vec::new();
    loop {
        match decision {
            Decision::Done(verdict) => return (verdict, sessions),
            Decision::Ask(pending) => {
                let said = match &pending.ask {
                    Ask::Count(charges) => {
                        let now = || Now {
                            steady: balance::nanos(conn.shared.epoch, record.began),
                            wall: moment::nanos(record.began_at),
                        };
                        let takes = match conn.shared.counts.take(charges, conn.worker, now) {
                            Some(takes) => takes,
                            None => ask(conn, charges.clone(), now()).await,
                        };
                        Said::Counted(takes)
                    }
                    // Browsers log in at the edge, which alone takes their cookies off before an application.
                    Ask::Visit(_) if record.side != Side::Edge => Said::Sessions(Vec::new()),
                    Ask::Begin(_, instead) if record.side != Side::Edge => {
                        Said::Answered(instead.clone())
                    }
                    // Boxed, since few requests have anything to do with logins.
                    Ask::Visit(visit) => {
                        let browser = browser(conn, found, facts, authority);
                        let visited = conn.shared.logins.visit(&browser, visit);
                        match Box::pin(visited).await {
                            Visited::Answered(answer) => Said::Answered(Box::new(answer)),
                            Visited::Sessions(brought) => {
                                sessions = brought.sessions;
                                Said::Sessions(brought.cookies)
                            }
                        }
                    }
                    Ask::Begin(login, instead) => {
                        let browser = browser(conn, found, facts, authority);
                        let answer = login::begin(&browser, login, (**instead).clone());
                        Said::Answered(Box::new(answer))
                    }
                };
                let facts = Facts { sessions: &sessions, ..*facts };
                decision = chain.resume(*pending, &said, &facts, prefix);
            }
        }
    }
}

/// A request as logins look at it.
pub(crate) fn browser<'a>(
    conn: &Conn,
    found: &Found<'_>,
    facts: &'a Facts<'a>,
    authority: &'a str,
) -> Browser<'a> {
    let is_trusted = conn.trusts(conn.peer.ip());
    Browser {
        vault: conn.shared.ground.keyring.logins_at(&found.listener.gateway),
        scheme: forward::scheme_of(conn.scheme, is_trusted, facts.headers),
        authority,
        facts,
    }
}

/// Has others asked for what is shared. Whoever goes meanwhile counts as whoever stays: else requests that are taken
/// back at once would use up local limits, and what Redis refuses them would be forgotten.
async fn ask(conn: &Conn, charges: Vec<Charge>, now: Now) -> Vec<Take> {
    let (shared, worker) = (Arc::clone(&conn.shared), conn.worker);
    let asking = async move { shared.counts.take_shared(&charges, worker, now).await };
    // What is missing counts as used up, should the process be over.
    tokio::spawn(asking).await.unwrap_or_default()
}

/// The host as named and in normal form. Only HTTP/1.0 may leave it out.
pub(crate) fn host_of(parts: &Parts) -> Option<(&str, Cow<'_, str>)> {
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

/// What is refused whatever the table says. Only the application beside a proxy opens connections.
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
    // HTTP/1.1 cuts them off while it parses.
    if parts.version == Version::HTTP_2 && !forward::is_without_margins(&parts.headers) {
        return Err(Answer::new(Reason::BadRequest));
    }
    let length = parts.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let length = length.and_then(|value| value.parse::<u64>().ok()).unwrap_or(0);
    if length > conn.shared.settings.limits.body_bytes {
        return Err(Answer::new(Reason::BodyTooLarge));
    }
    Ok(())
}

/// A refusal, which is the last answer on its connection where what follows there may be meant otherwise than it
/// would be read.
fn last(parts: &Parts, mut answer: Answer) -> Answer {
    let is_odd = parts.method == Method::CONNECT || !forward::is_framed_plainly(&parts.headers);
    if is_odd && parts.version < Version::HTTP_2 {
        answer.headers.push((CONNECTION, HeaderValue::from_static("close")));
    }
    answer
}

/// Path and query alone, the path replaced by its normal form; `None` where that grew too long.
fn whole_path(parts: &Parts, path: &str) -> Option<PathAndQuery> {
    match (parts.uri.path_and_query(), parts.uri.query()) {
        (Some(whole), _) if whole.path() == path => Some(whole.clone()),
        (_, None) => PathAndQuery::try_from(path).ok(),
        (_, Some(query)) => PathAndQuery::try_from(format!("{path}?{query}")).ok(),
    }
}
