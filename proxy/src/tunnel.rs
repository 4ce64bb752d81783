//! Upgraded connections (WebSocket): bytes both ways for as long as the request that opened it would
//! pass.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::header::COOKIE;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use model::cookie;
use policy::{Facts, Layer, Reason, Verdict};
use table::Found;
use wire::Side;

use crate::balance::Turn;
use crate::carry::{Buffered, Ends, Heeds};
use crate::exchange::{browser, meant_here, port_of};
use crate::forward;
use crate::http::Conn;
use crate::live::Live;
use crate::moment;
use crate::passport::{self, Carried};
use crate::pool::Answered;
use crate::record::Record;
use crate::reply::Reply;
use crate::tls::backend::Face;

/// What is read at once: of many tunnels most are idle, and what there is, is short.
const PIECE: usize = 8 << 10;

/// The request that opened a tunnel, kept so that a new table can be asked about it.
#[derive(Debug)]
pub(crate) struct Asked {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    host: Box<str>,
    /// The port beside the host, where there was one.
    port: Option<u16>,
    path: Box<str>,
    source: IpAddr,
    side: Side,
    behalf: Option<Arc<Carried>>,
    /// As whom it went to the backend.
    face: Face,
}

impl Asked {
    pub(crate) fn new(parts: &Parts, record: &Record, face: &Face) -> Self {
        Asked {
            method: parts.method.clone(),
            uri: parts.uri.clone(),
            headers: parts.headers.clone(),
            host: record.host.clone(),
            port: forward::one_host(parts).and_then(port_of),
            path: record.path.clone(),
            source: record.source,
            side: record.side,
            behalf: record.behalf.clone(),
            face: face.bare(),
        }
    }

    /// Whether `live` would let the request pass to the same backend, were it made now.
    fn passes(&self, conn: &Conn, live: &Live, backend: Option<&Arc<str>>) -> bool {
        let now = moment::signed(SystemTime::now());
        let revoked = conn.shared.ground.membership.revoked.now();
        if let (Some(behalf), Some(revoked)) = (&self.behalf, &revoked)
            && behalf.revoked(revoked, &live.table, now).is_some()
        {
            return false;
        }
        let users = passport::believed(live, self.side, self.behalf.as_ref());
        let facts = Facts {
            layer: Layer::Request,
            now,
            source: self.source,
            scheme: conn.scheme,
            port: conn.port,
            host: &self.host,
            method: &self.method,
            path: &self.path,
            query: self.uri.query(),
            headers: &self.headers,
            peer: conn.from.as_deref(),
            certificate: conn.certificate(),
            users: &users,
            sessions: &[],
            revoked: revoked.as_deref(),
        };
        let found = match conn.is_outbound(live) {
            true => live.table.called(&facts, self.port),
            false => live.table.find(&facts),
        };
        !conn.is_stranger(live)
            && meant_here(conn, live, &self.host).is_ok()
            && found.is_ok_and(|found| {
                conn.was_asked(found.listener)
                    && live.leaves(&found, &self.face, backend)
                    && self.is_let_pass(conn, &found, &facts)
            })
    }
}

impl Asked {
    /// What beside a new table may end it.
    fn heeds(&self) -> Heeds {
        let cookies = self.headers.get_all(COOKIE).iter();
        let mut cookies = cookies.flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
        let is_session = |cookie: &[u8]| cookie::is_of_login(cookie.trim_ascii_start());
        match cookies.any(is_session) {
            true => Heeds::Logouts,
            false => Heeds::Revocations,
        }
    }

    /// Whether a chain lets it pass, with the sessions that it brought where they hold yet.
    fn is_let_pass(&self, conn: &Conn, found: &Found<'_>, facts: &Facts<'_>) -> bool {
        let chain = &found.rule.chain;
        let browser = browser(conn, found, facts, &self.host);
        let sessions = conn.shared.logins.known(&browser, chain.logins());
        let facts = Facts { sessions: &sessions, ..*facts };
        matches!(chain.uncounted(&facts, found.prefix), Verdict::Pass(_))
    }
}

/// Answers 101 and carries bytes between the two from then on, until both are silent for so long.
pub(crate) fn start(
    conn: &Arc<Conn>,
    (asked, silence): (Asked, Duration),
    client: OnUpgrade,
    mut answered: Answered,
    turn: Turn,
    mut record: Box<Record>,
) -> Response<Reply> {
    let backend = hyper::upgrade::on(&mut answered.response);
    let (mut head, _) = answered.response.into_parts();
    let word = head.headers.get(http::header::UPGRADE).cloned();
    forward::strip_hop_by_hop(&mut head.headers);
    head.headers.insert(http::header::CONNECTION, HeaderValue::from_static("upgrade"));
    if let Some(word) = word {
        head.headers.insert(http::header::UPGRADE, word);
    }
    record.status = Some(StatusCode::SWITCHING_PROTOCOLS);
    record.reason = Reason::Ok;
    conn.carry();
    let tunnel = Tunnel { conn: Arc::clone(conn), asked, silence, record, _turn: turn };
    // Ends by itself, by either side, silence or a new table; a worker that drains waits for it.
    conn.tasks.spawn(tunnel.run(client, backend));
    let mut response = Response::new(Reply::Switched);
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *response.headers_mut() = head.headers;
    response
}

/// A tunnel in use.
struct Tunnel {
    conn: Arc<Conn>,
    asked: Asked,
    silence: Duration,
    record: Box<Record>,
    _turn: Turn,
}

impl Tunnel {
    async fn run(mut self, client: OnUpgrade, backend: OnUpgrade) {
        let limits = &self.conn.shared.settings.limits;
        let upgraded = async { tokio::try_join!(client, backend) };
        let (client, backend) = match tokio::time::timeout(limits.head, upgraded).await {
            Ok(Ok(both)) => both,
            Ok(Err(error)) => {
                self.record.reason = Reason::ClientGone;
                return self.record.detail = Some(error.to_string().into());
            }
            Err(_) => {
                self.record.reason = Reason::ClientTimeout;
                self.record.detail = Some("the upgrade was not finished in time".into());
                return;
            }
        };
        let end = |upgraded| Buffered::new(TokioIo::new(upgraded), PIECE);
        let (conn, asked) = (&*self.conn, &self.asked);
        let ends = Ends::new(end(client), end(backend));
        let to = self.record.backend.clone();
        let passes = |live: &Live| asked.passes(conn, live, to.as_ref());
        ends.carry(conn, self.record, self.silence, (passes, asked.heeds())).await;
    }
}
