//! What is kept of one exchange, and told once it is over: log line, metrics, span.
//!
//! A record is made when a request's head is there and travels with the exchange, at last inside
//! the response body.
//! It is told when it is dropped, so nothing that happens to an exchange (an answer, a reset, a
//! client that left) can go untold.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::header::USER_AGENT;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, StatusCode, Version};
use model::Key;
use model::identity::Peer;
use policy::explain::Story;
use policy::{Aside, Principal, Reason, RuleRef};
use table::Rule;
use tokio::time::Instant;
use wire::Side;

use crate::forward;
use crate::grpc::Call;
use crate::http::{Busy, Conn};
use crate::live::Live;
use crate::passport::{Carried, Refused, Stay};
use crate::telemetry::{Attached, Caller, Telemetry};
use crate::tls::client::Client;
use crate::trace::{TraceContext, request_id, unique};

/// One exchange: the facts that log, metrics and span need.
#[derive(Debug)]
pub(crate) struct Record {
    /// The connection has a request for as long as this lives.
    pub(crate) busy: Option<Busy>,
    /// Where it is told.
    pub(crate) telemetry: Arc<Telemetry>,
    /// The metric handles of the table that decided.
    pub(crate) table: Arc<Attached>,
    /// The worker that serves it: which shard counts it.
    pub(crate) worker: usize,
    /// When the head was there.
    pub(crate) began: Instant,
    /// The same by the calendar.
    pub(crate) began_at: SystemTime,
    /// In the response, the log and the span. Made here unless a trusted caller sent one.
    pub(crate) request_id: HeaderValue,
    /// The trace this exchange opens (or, for trusted callers, continues).
    pub(crate) trace: TraceContext,
    pub(crate) source: IpAddr,
    pub(crate) method: Method,
    pub(crate) spoken: Spoken,
    /// The gRPC call that it is, if it is one.
    pub(crate) call: Option<Call>,
    /// As sent, in normal form where it has one.
    pub(crate) host: Box<str>,
    /// Without the query, which may hold secrets.
    pub(crate) path: Box<str>,
    pub(crate) user_agent: Option<HeaderValue>,
    /// The listener's port.
    pub(crate) port: u16,
    pub(crate) side: Side,
    /// The rule that was chosen, behind its place in the table.
    pub(crate) rule: Option<(usize, Arc<Rule>)>,
    /// What was meant, where it did not come to a rule.
    pub(crate) meant: Option<Box<Key>>,
    /// The service port it was sent to.
    pub(crate) backend: Option<Arc<str>>,
    /// The endpoint that was tried last.
    pub(crate) endpoint: Option<SocketAddr>,
    /// How many endpoints were tried.
    pub(crate) attempts: u32,
    /// The certificate that its client proved to be its own.
    pub(crate) client: Option<Arc<Client>>,
    /// Who sends it through the mesh.
    pub(crate) from: Option<Arc<Peer>>,
    /// On whose behalf, as another proxy says.
    pub(crate) behalf: Option<Arc<Carried>>,
    /// Why what came as a passport is none.
    pub(crate) refused: Option<Box<Refused>>,
    /// It is under way for its application.
    pub(crate) _stay: Option<Stay>,
    /// Who is calling, if proved.
    pub(crate) principal: Option<Arc<Principal>>,
    /// The policy rule that decided, if one did.
    pub(crate) decided_by: Option<RuleRef>,
    /// Rules that audit it, and what the backend is told of its caller, where there is any of that.
    pub(crate) aside: Option<Box<Aside>>,
    /// What each policy made of it, if that is to be told.
    pub(crate) story: Option<Box<Story>>,
    /// What became of it.
    pub(crate) reason: Reason,
    /// The cause behind a failure, for the log only.
    pub(crate) detail: Option<Box<str>>,
    /// The status that was answered; `None` while no answer was given (the client left before).
    pub(crate) status: Option<StatusCode>,
    /// Body bytes from the client.
    pub(crate) bytes_in: u64,
    /// Body bytes to the client.
    pub(crate) bytes_out: u64,
    /// Datagrams from the client and to it, where it is a flow of them.
    pub(crate) datagrams: Option<[u64; 2]>,
    /// From the head to the backend's head.
    pub(crate) backend_time: Option<Duration>,
    /// It is one of many alike, of which another is told.
    pub(crate) is_untold: bool,
}

/// What a caller speaks, as far as it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spoken {
    Http(Version),
    /// Bytes of whatever meaning.
    Tcp,
    /// Datagrams.
    Udp,
}

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// A longer id of a trusted caller is replaced by one of ours.
const REQUEST_ID_BYTES: usize = 128;

impl Record {
    /// By what the backend is told who is calling.
    pub(crate) fn told(&self) -> &[(HeaderName, HeaderValue)] {
        self.aside.as_ref().map_or(&[], |aside| &aside.told)
    }

    /// Opens the record of a request whose head is there.
    pub(crate) fn open(conn: &Arc<Conn>, live: &Live, parts: &Parts) -> Box<Self> {
        let telemetry = &conn.shared.telemetry;
        let peer = conn.peer.ip();
        let trusted = conn.goes_on(live);
        let began_at = SystemTime::now();
        let caller = if trusted { Caller::Trusted } else { Caller::Stranger };
        let trace = telemetry.trace(&parts.headers, caller);
        let sent = parts.headers.get(REQUEST_ID).filter(|id| trusted && is_short(id));
        Box::new(Record {
            busy: Some(Busy::on(conn)),
            telemetry: Arc::clone(telemetry),
            table: Arc::clone(&live.attached),
            worker: conn.worker,
            began: Instant::now(),
            began_at,
            request_id: sent.cloned().map_or_else(|| request_id(began_at), unique),
            trace,
            source: match conn.shared.settings.trusted_hops {
                0 => forward::source(peer, &parts.headers, |address| conn.trusts(address)),
                hops => forward::source_behind(peer, &parts.headers, hops),
            },
            method: parts.method.clone(),
            spoken: Spoken::Http(parts.version),
            call: Call::of(parts),
            host: Box::default(),
            path: Box::default(),
            user_agent: parts.headers.get(USER_AGENT).cloned(),
            port: conn.port,
            side: conn.side(live),
            rule: None,
            meant: None,
            backend: None,
            endpoint: None,
            attempts: 0,
            client: conn.client.clone(),
            from: conn.from.clone(),
            behalf: None,
            refused: None,
            _stay: None,
            principal: None,
            decided_by: None,
            aside: None,
            story: None,
            reason: Reason::ClientGone,
            detail: None,
            status: None,
            bytes_in: 0,
            bytes_out: 0,
            datagrams: None,
            backend_time: None,
            is_untold: false,
        })
    }

    /// How it ended as an HTTP status: of a call as its own status says it, as far as it has one.
    pub(crate) fn ended_as(&self) -> Option<u16> {
        let code = self.call.and_then(|call| call.code);
        code.map(|code| code.as_http()).or(self.status.map(|status| status.as_u16()))
    }

    /// 64 random bits that belong to this exchange: what is drawn for it is drawn from these.
    pub(crate) fn seed(&self) -> u64 {
        u64::from_le_bytes(self.trace.span_id)
    }
}

/// The most bytes that are told of a text from outside.
pub(crate) const LONGEST: usize = 1 << 10;

/// As much of a text as is told, whole characters.
pub(crate) fn bounded(text: &str) -> String {
    text[..text.floor_char_boundary(LONGEST)].to_owned()
}

fn is_short(id: &HeaderValue) -> bool {
    id.len() <= REQUEST_ID_BYTES && id.to_str().is_ok()
}

impl Drop for Record {
    fn drop(&mut self) {
        let is_broken_off = self.busy.as_ref().is_some_and(Busy::is_broken_off);
        if self.reason == Reason::ClientGone && is_broken_off {
            self.reason = Reason::Drained;
        }
        let telemetry = Arc::clone(&self.telemetry);
        telemetry.tell(self);
    }
}
