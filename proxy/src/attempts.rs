//! One request's tries at the endpoints of a service, each within its bounds.

use std::sync::Arc;
use std::time::Duration;

use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderValue, Request, Uri, Version};
use hyper::body::Body as _;
use model::service::AppProtocol;
use policy::Reason;
use tokio::time::Instant;

use crate::balance::{self, Turn};
use crate::body::{Progress, Upload};
use crate::failure::{Failure, Retry, Side};
use crate::http::Conn;
use crate::live::{Endpoint, Service};
use crate::pool::{self, Answered};
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
}

impl Attempts<'_> {
    /// Tries endpoints until one answers, the failure says that no other may be tried, or the
    /// bound on tries or time is reached.
    pub(crate) async fn run(
        &self,
        mut head: Parts,
        mut upload: Upload,
        record: &mut Record,
    ) -> Result<(Answered, Turn), Failure> {
        let (conn, service) = (self.conn, self.service);
        let mut tried = Vec::new();
        loop {
            let now = Instant::now();
            let at = balance::nanos(conn.shared.epoch, now);
            let random = record.seed().rotate_left(29).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            let Some(endpoint) = balance::pick(service, &tried, at, random) else {
                return Err(Failure::backend(Reason::NoEndpoint));
            };
            let mut turn = Turn::at(endpoint, conn.shared.epoch, now);
            record.attempts += 1;
            record.endpoint = Some(endpoint.address);
            let request = addressed(endpoint, head, upload);
            let sent = self.once(endpoint, now, request).await;
            // What the client took for its body is no time of the endpoint's.
            let whole = self.progress.map_or(Some(now), Progress::whole_since);
            if let Some(whole) = whole {
                turn.waits_since(whole);
            }
            let (failure, unsent) = match sent {
                Ok(answered) => {
                    record.backend_time = Some(now.elapsed());
                    match whole {
                        Some(_) => turn.answered(),
                        None => turn.blameless(),
                    }
                    return Ok((answered, turn));
                }
                Err(unsent) => unsent,
            };
            let failure = blame(failure, self.progress);
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
            let (Retry::Elsewhere, false, Some(unsent)) = (failure.retry, spent, unsent) else {
                return Err(failure);
            };
            tried.push(endpoint.address);
            (head, upload) = unsent.into_parts();
        }
    }

    /// One try, within its bound.
    async fn once(
        &self,
        endpoint: &Arc<Endpoint>,
        now: Instant,
        request: Request<Upload>,
    ) -> Result<Answered, pool::Unsent> {
        let limits = &self.conn.shared.settings.limits;
        let within = |until: Instant| self.deadline.map_or(until, |deadline| deadline.min(until));
        let mut until = within(now + self.bound);
        let mut sent = self.progress.map_or(0, Progress::bytes);
        let mut sending = std::pin::pin!(pool::send(endpoint, self.conn.worker, limits, request));
        loop {
            if let Ok(sent) = tokio::time::timeout_at(until, sending.as_mut()).await {
                return sent;
            }
            let later = self.extended(until, &mut sent).map(within).filter(|later| *later > until);
            let Some(later) = later else {
                return Err((late(self.deadline, until, self.bound), None));
            };
            until = later;
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

/// Which of the two bounds ran out.
fn late(deadline: Option<Instant>, until: Instant, bound: Duration) -> Failure {
    if deadline == Some(until) {
        Failure::backend(Reason::RequestTimeout).because("the request's time is over")
    } else {
        let text = format!("no answer within {} ms", bound.as_millis());
        Failure::backend(Reason::BackendTimeout).because(text)
    }
}

/// The request in the form that the endpoint's protocol wants.
pub(crate) fn addressed(endpoint: &Endpoint, mut head: Parts, upload: Upload) -> Request<Upload> {
    match endpoint.protocol {
        AppProtocol::Http1 => {
            // hyper drops a body of unknown length from methods that seldom have one, unless told.
            if !upload.is_end_stream()
                && upload.size_hint().exact().is_none()
                && !head.headers.contains_key(CONTENT_LENGTH)
            {
                head.headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
            }
        }
        AppProtocol::H2c => {
            head.version = Version::HTTP_2;
            head.headers.remove(TRANSFER_ENCODING);
            head.headers.remove(http::header::CONNECTION);
            head.headers.remove(http::header::UPGRADE);
            let host = head.headers.remove(HOST).filter(|host| !host.is_empty());
            // A second try finds it where the first one put it.
            let host = host.or_else(|| HeaderValue::try_from(head.uri.authority()?.as_str()).ok());
            // Only an HTTP/1.0 client may have named none.
            let host = host.or_else(|| HeaderValue::try_from(endpoint.address.to_string()).ok());
            if let Some(host) = host
                && let Some(path) = head.uri.path_and_query().cloned()
                && let Ok(uri) = Uri::builder()
                    .scheme("http")
                    .authority(host.as_bytes())
                    .path_and_query(path)
                    .build()
            {
                head.uri = uri;
            }
        }
    }
    Request::from_parts(head, upload)
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
