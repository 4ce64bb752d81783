//! One request's tries at the endpoints of a service, each within its bounds.

use std::sync::Arc;
use std::time::Duration;

use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderValue, Request, Uri, Version};
use hyper::body::Body as _;
use model::service::AppProtocol;
use policy::Reason;
use tokio::time::Instant;

use crate::balance::{self, Turn};
use crate::body::{Progress, Upload};
use crate::failure::{Failure, Retry, Side};
use crate::forward::UNREACHED;
use crate::http::Conn;
use crate::live::{Endpoint, Service};
use crate::passport::PASSPORT;
use crate::pool::{self, Answered, Slot};
use crate::record::Record;

/// One request's tries at a service's endpoints.
pub(crate) struct Attempts<'a> {
    pub(crate) conn: &'a Conn,
    pub(crate) service: &'a Service,
    /// Of each try, until the head.
    pub(crate) bound: Duration,
    /// The bound is the proxy's own, and runs from the end of the upload.
    pub(crate) is_usual: bool,
    /// Of all tries together.
    pub(crate) deadline: Option<Instant>,
    /// How far the client's body is.
    pub(crate) progress: Option<&'a Progress>,
    /// On whose behalf, for other proxies.
    pub(crate) passport: Option<HeaderValue>,
}

impl Attempts<'_> {
    /// Tries endpoints until one answers, the failure says that no other may be tried, or the
    /// bound on tries or time is reached. The first try begins with the exchange.
    pub(crate) async fn run(
        &self,
        request: Request<Upload>,
        record: &mut Record,
    ) -> Result<(Answered, Turn), Failure> {
        let (conn, service) = (self.conn, self.service);
        let mut slot = Some(request);
        let mut tried = Vec::new();
        let mut now = record.began;
        loop {
            let at = balance::nanos(conn.shared.epoch, now);
            let random = record.seed().rotate_left(29).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            let is_last = record.attempts + 1 >= conn.shared.settings.limits.attempts;
            let Some(endpoint) = balance::pick(service, &tried, is_last, at, random) else {
                return Err(Failure::backend(Reason::NoEndpoint));
            };
            let mut turn = Turn::at(endpoint, conn.shared.epoch, now);
            record.attempts += 1;
            record.endpoint = Some(endpoint.address);
            slot.iter_mut().for_each(|request| {
                self.show_passport(endpoint, request);
                address(endpoint, request);
            });
            let spare = match endpoint.way {
                Some(_) => self.spare(slot.as_ref()),
                None => None,
            };
            let mut sent = self.once(endpoint, now, &mut slot).await;
            if sent.as_ref().is_ok_and(|answered| is_unreached(endpoint, answered)) {
                // Nothing of the same kind is to be tried.
                endpoint.pools[conn.worker].clear();
                slot = spare.map(|spare| *spare);
                sent = Err(Failure::unreached("its proxy cannot reach the application"));
            }
            // What the client took for its body is no time of the endpoint's.
            let whole = self.progress.map_or(Some(now), Progress::whole_since);
            if let Some(whole) = whole {
                turn.waits_since(whole);
            }
            let failure = match sent {
                Ok(answered) => {
                    let answered_at = Instant::now();
                    record.backend_time = Some(answered_at - now);
                    match whole {
                        Some(_) => turn.answered(answered_at),
                        None => turn.blameless(),
                    }
                    return Ok((answered, turn));
                }
                Err(failure) => blame(failure, self.progress),
            };
            match (failure.side, failure.retry) {
                (Side::Client | Side::Proxy, _) => turn.blameless(),
                (Side::Backend, Retry::Elsewhere) => {
                    turn.unreached();
                    record.table.connect_failed(service.id);
                }
                // Time that ran out is learnt as waited for, all else as the answer it is.
                (Side::Backend, Retry::Never) => {}
            }
            let spent = record.attempts >= conn.shared.settings.limits.attempts
                || tried.len() + 1 >= service.endpoints.len();
            if failure.retry != Retry::Elsewhere || spent || slot.is_none() {
                return Err(failure);
            }
            tried.push(endpoint.address);
            now = Instant::now();
        }
    }

    /// What is sent again where a proxy says that its application was not reached: a request without
    /// a body, if there is another endpoint.
    fn spare(&self, request: Option<&Request<Upload>>) -> Option<Box<Request<Upload>>> {
        let request = request.filter(|request| matches!(request.body(), Upload::Empty))?;
        if self.service.endpoints.len() < 2 {
            return None;
        }
        let mut spare = Box::new(Request::new(Upload::Empty));
        spare.method_mut().clone_from(request.method());
        spare.uri_mut().clone_from(request.uri());
        spare.headers_mut().clone_from(request.headers());
        *spare.version_mut() = request.version();
        Some(spare)
    }

    /// Shows the passport to a proxy, and to nobody else.
    fn show_passport(&self, endpoint: &Endpoint, request: &mut Request<Upload>) {
        let Some(passport) = &self.passport else { return };
        match endpoint.way {
            Some(_) => request.headers_mut().insert(PASSPORT, passport.clone()),
            None => request.headers_mut().remove(PASSPORT),
        };
    }

    /// One try, within its bound.
    async fn once(
        &self,
        endpoint: &Arc<Endpoint>,
        now: Instant,
        slot: &mut Slot,
    ) -> Result<Answered, Failure> {
        let limits = &self.conn.shared.settings.limits;
        let within = |until: Instant| self.deadline.map_or(until, |deadline| deadline.min(until));
        let mut until = within(now + self.bound);
        let mut sent = self.progress.map_or(0, Progress::bytes);
        let sending = pool::send(endpoint, self.conn.worker, limits, now, slot);
        let mut sending = std::pin::pin!(sending);
        let mut alarm = self.conn.shared.alarms[self.conn.worker].at(until);
        loop {
            tokio::select! {
                biased;
                sent = sending.as_mut() => return sent,
                () = &mut alarm => {}
            }
            let later = self.extended(until, &mut sent).map(within).filter(|later| *later > until);
            let Some(later) = later else {
                return Err(late(self.deadline, until, self.bound));
            };
            until = later;
            alarm.move_to(until);
        }
    }

    /// The usual bound runs from the end of the upload; until then the upload must go on.
    fn extended(&self, until: Instant, sent: &mut u64) -> Option<Instant> {
        let progress = self.progress.filter(|_| self.is_usual)?;
        if let Some(since) = progress.whole_since() {
            return Some(since + self.bound);
        }
        let before = std::mem::replace(sent, progress.bytes());
        (*sent > before).then(|| until + self.bound)
    }
}

/// Whether a proxy says that the request did not reach its application.
fn is_unreached(endpoint: &Endpoint, answered: &Answered) -> bool {
    endpoint.way.is_some() && answered.response.headers().contains_key(UNREACHED)
}

/// Which of the two bounds ran out.
fn late(deadline: Option<Instant>, until: Instant, bound: Duration) -> Failure {
    if deadline == Some(until) {
        Failure::backend(Reason::RequestTimeout).because("the request's time is over")
    } else {
        let text = format!("no answer within {} ms", bound.as_millis());
        Failure::backend(Reason::BackendTimeout).because(text)
    }
}

/// Gives the request the form that the endpoint's protocol wants.
pub(crate) fn address(endpoint: &Endpoint, request: &mut Request<Upload>) {
    match endpoint.protocol {
        AppProtocol::Http1 => {
            let upload = request.body();
            // hyper drops a body of unknown length from methods that seldom have one, unless told.
            if !upload.is_end_stream()
                && upload.size_hint().exact().is_none()
                && !request.headers().contains_key(CONTENT_LENGTH)
            {
                let chunked = HeaderValue::from_static("chunked");
                request.headers_mut().insert(TRANSFER_ENCODING, chunked);
            }
        }
        AppProtocol::H2c => address_http2(endpoint, request),
        // None is sent there.
        AppProtocol::Tcp => {}
    }
}

fn address_http2(endpoint: &Endpoint, request: &mut Request<Upload>) {
    *request.version_mut() = Version::HTTP_2;
    let headers = request.headers_mut();
    headers.remove(TRANSFER_ENCODING);
    headers.remove(http::header::CONNECTION);
    headers.remove(http::header::UPGRADE);
    let host = headers.remove(HOST).filter(|host| !host.is_empty());
    // A second try finds it where the first one put it.
    let uri = request.uri();
    let host = host.or_else(|| HeaderValue::try_from(uri.authority()?.as_str()).ok());
    // Only an HTTP/1.0 client may have named none.
    let host = host.or_else(|| HeaderValue::try_from(endpoint.address.to_string()).ok());
    if let Some(host) = host
        && let Some(path) = uri.path_and_query().cloned()
        && let Ok(uri) =
            Uri::builder().scheme("http").authority(host.as_bytes()).path_and_query(path).build()
    {
        *request.uri_mut() = uri;
    }
}

/// A failure of the upload is the client's, not the backend's.
fn blame(failure: Failure, progress: Option<&Progress>) -> Failure {
    match progress {
        Some(progress) if progress.was_large() => Failure::client(Reason::BodyTooLarge),
        Some(progress) if progress.was_slow() => Failure::client(Reason::ClientTimeout),
        Some(progress) if progress.was_malformed() => Failure::client(Reason::BadRequest),
        Some(progress) if progress.broke_off() => Failure::client(Reason::ClientGone),
        Some(_) | None => failure,
    }
}
