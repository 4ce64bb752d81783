//! One request's tries at the endpoints of a service, each within its bounds.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderValue, Request, Uri, Version};
use hyper::body::Body as _;
use model::service::AppProtocol;
use policy::Reason;
use tokio::time::Instant;

use crate::balance::{self, Draw, Said, Sending, Turn};
use crate::body::{Progress, Upload};
use crate::connect::Hop;
use crate::failure::{Failure, Retry, Side};
use crate::forward::{LIMITED, UNREACHED};
use crate::grpc;
use crate::http::Conn;
use crate::live::{Endpoint, Service};
use crate::passport::PASSPORT;
use crate::pool::{self, Answered, Slot};
use crate::record::Record;
use crate::retry::Again;
use crate::room::{Got, Granted, Takes, Wish};
use crate::tls::backend::Face;

/// One request's tries at a service's endpoints.
pub(crate) struct Attempts<'a> {
    pub(crate) conn: &'a Conn,
    pub(crate) service: &'a Service,
    /// As whom it is reached.
    pub(crate) face: &'a Face,
    /// Of each try, until the head.
    pub(crate) bound: Duration,
    /// The bound is the proxy's own, and runs from the end of the upload.
    pub(crate) is_usual: bool,
    /// Of all tries together.
    pub(crate) deadline: Option<Instant>,
    /// How far the client's body is.
    pub(crate) progress: Option<&'a Arc<Progress>>,
    /// Whether it is a call of gRPC.
    pub(crate) is_call: bool,
    /// On whose behalf, for other proxies.
    pub(crate) passport: Option<HeaderValue>,
    /// Whether it is sent again once it was sent.
    pub(crate) again: Option<Again<'a>>,
    /// What of it decides which endpoint it goes to, where something does.
    pub(crate) key: Option<u64>,
    /// The endpoint at which its session is.
    pub(crate) stays_at: Option<SocketAddr>,
}

/// What comes after a try.
enum Next {
    /// What came of it.
    Nothing,
    /// Another endpoint, at once: nothing was sent.
    Elsewhere,
    /// The same request anew, after a while.
    Anew(Box<Request<Upload>>, Duration),
}

impl<'a> Attempts<'a> {
    /// Tries endpoints with the request in `slot` until one gives an answer that may be passed on, nothing more
    /// may be tried, or the bound on tries or time is reached. The first try begins with the exchange.
    pub(crate) async fn run(
        &mut self,
        slot: &mut Slot,
        record: &mut Record,
    ) -> Result<(Answered, Turn), Failure> {
        let (conn, service) = (self.conn, self.service);
        let mut tried = Vec::new();
        let mut now = record.began;
        let seat = service.seat()?;
        let is_bounded = service.is_bounded();
        let most = conn.shared.settings.limits.attempts;
        let most = self.again.as_ref().map_or(most, |again| most.max(again.most()));
        if self.again.is_some() {
            service.retries.lend();
        }
        loop {
            let at = balance::nanos(conn.shared.epoch, now);
            let draw = Draw { now: at, random: random(record), key: self.key };
            let is_last = record.attempts + 1 >= most;
            let kept = self.kept(&tried);
            let picked = kept.or_else(|| balance::pick(service, &tried, is_last, draw));
            let Some(picked) = picked else {
                return Err(Failure::backend(Reason::NoEndpoint));
            };
            let (mut meant, mut granted) = (None, None);
            if is_bounded {
                let got = Box::pin(self.granted(picked, &tried, now)).await?;
                (meant, granted) = (Some(got.0), Some(Box::new(got.1)));
                now = Instant::now();
            }
            let endpoint = meant.as_ref().unwrap_or(picked);
            let mut turn = Turn::at(endpoint, conn.shared.epoch, now);
            if let Some(progress) = self.progress {
                turn.takes(Sending::Told(Arc::clone(progress)));
            }
            record.attempts += 1;
            record.endpoint = Some(endpoint.address);
            slot.iter_mut().for_each(|request| {
                self.show_passport(endpoint, request);
                address(endpoint, request);
            });
            let spare = self.spare(endpoint, slot.as_ref());
            let sent = self.once(endpoint, now, slot, granted).await;
            if matches!(&sent, Err(failure) if failure.retry == Retry::Anew) {
                // That was no try.
                turn.blameless();
                record.attempts -= 1;
                now = Instant::now();
                continue;
            }
            let mut sent = self.reached(endpoint, sent);
            if sent.as_mut().is_ok_and(|answered| is_limited(endpoint, answered)) {
                // Another one's proxy would only count it anew.
                record.backend_time = Some(now.elapsed());
                turn.blameless();
                turn.hold(seat);
                return sent.map(|answered| (answered, turn));
            }
            let outcome = self.learn(sent, endpoint, &mut turn, now, record);
            match self.next(&outcome, endpoint, spare, slot, &mut tried, record) {
                Next::Nothing => {
                    turn.hold(seat);
                    return outcome.map(|answered| (answered, turn));
                }
                Next::Elsewhere => now = Instant::now(),
                Next::Anew(request, wait) => {
                    let is_whole = self.progress.is_none_or(|progress| progress.is_whole());
                    outcome.into_iter().filter(|_| is_whole).for_each(let_go);
                    drop(turn);
                    *slot = Some(*request);
                    now = Instant::now() + wait;
                    conn.shared.alarms[conn.worker].at(now).await;
                }
            }
        }
    }

    /// The endpoint of the request's session, which is tried first.
    fn kept(&self, tried: &[SocketAddr]) -> Option<&'a Arc<Endpoint>> {
        balance::kept(self.service, self.stays_at.filter(|_| tried.is_empty())?)
    }

    /// A connection where the service bears only so many: to the endpoint that was picked, or, where one has to
    /// be waited for and nothing binds the request to that endpoint, to another.
    async fn granted(
        &self,
        picked: &Arc<Endpoint>,
        tried: &[SocketAddr],
        now: Instant,
    ) -> Result<Got, Failure> {
        let is_bound = self.key.is_some() || self.stays_at.is_some();
        let takes = if is_bound { Takes::Here } else { Takes::Anywhere };
        let hop = Hop { endpoint: picked, worker: self.conn.worker, face: self.face };
        let limits = &self.conn.shared.settings.limits;
        Wish { hop, takes, tried }.granted(limits, now, self.deadline).await
    }

    /// A proxy that says that its application was not reached is a failure to reach it.
    fn reached(
        &self,
        endpoint: &Endpoint,
        sent: Result<Answered, Failure>,
    ) -> Result<Answered, Failure> {
        if !sent.as_ref().is_ok_and(|answered| is_unreached(endpoint, answered)) {
            return sent;
        }
        // Nothing of the same kind is to be tried.
        endpoint.pools[self.conn.worker].clear();
        Err(Failure::unreached("its proxy cannot reach the application"))
    }

    /// Learns what came of a try that began at `began`.
    fn learn(
        &self,
        sent: Result<Answered, Failure>,
        endpoint: &Endpoint,
        turn: &mut Turn,
        began: Instant,
        record: &mut Record,
    ) -> Result<Answered, Failure> {
        let at = |instant| balance::nanos(self.conn.shared.epoch, instant);
        // What the client took for its body is no time of the endpoint's.
        let whole = self.progress.map_or(Some(began), |progress| progress.whole_since());
        if let Some(whole) = whole {
            turn.waits_since(whole);
        }
        let failure = match sent {
            Ok(answered) => {
                let answered_at = Instant::now();
                record.backend_time = Some(answered_at - began);
                let said = self.service.said(&answered.response, self.is_call);
                match whole {
                    Some(_) => turn.answered(answered_at, said),
                    None => turn.reached(answered_at, said),
                }
                // Of a call that goes on its end says what is to be thought of the endpoint.
                let answer = &answered.response;
                if !self.is_call || grpc::is_told(answer.status(), answer.headers()) {
                    self.service.judge(endpoint, said, (at(began), at(answered_at)));
                }
                return Ok(answered);
            }
            Err(failure) => blame(failure, self.progress.map(|progress| &**progress)),
        };
        match (failure.side, failure.retry) {
            (Side::Client | Side::Proxy, _) => turn.blameless(),
            (Side::Backend, Retry::Elsewhere) => {
                turn.unreached(&failure);
                record.table.connect_failed(self.service.id);
            }
            // Time that ran out is learnt as waited for, all else as the answer it is.
            (Side::Backend, Retry::Anew | Retry::Never) => {
                let said = match failure.reason {
                    Reason::BackendTimeout => whole.map(|_| Said::Silent),
                    // The caller's own time is over: that says nothing of the endpoint.
                    Reason::RequestTimeout => None,
                    _ => Some(Said::Failed),
                };
                if let Some(said) = said {
                    self.service.judge(endpoint, said, (at(began), at(Instant::now())));
                }
            }
        }
        Err(failure)
    }

    /// What comes after a try at `endpoint`. What was not sent is in `slot`, or, where a proxy said that it
    /// was not, in `spare`.
    fn next(
        &mut self,
        outcome: &Result<Answered, Failure>,
        endpoint: &Endpoint,
        spare: Option<Box<Request<()>>>,
        slot: &mut Slot,
        tried: &mut Vec<SocketAddr>,
        record: &Record,
    ) -> Next {
        if outcome.is_ok() && self.again.is_none() {
            return Next::Nothing;
        }
        let limits = &self.conn.shared.settings.limits;
        let is_unsent = matches!(outcome, Err(failure) if failure.retry == Retry::Elsewhere);
        let is_another = tried.len() + 1 < self.service.endpoints.len();
        tried.push(endpoint.address);
        if is_unsent && is_another && record.attempts < limits.attempts {
            if slot.is_none() && self.progress.is_none() {
                *slot = spare.as_ref().map(|head| (**head).clone().map(|()| Upload::Empty));
            }
            if slot.is_some() {
                return Next::Elsewhere;
            }
        }
        self.anew(outcome, spare, slot, record).map_or(Next::Nothing, |(request, wait)| {
            if !is_another {
                tried.clear();
            }
            Next::Anew(Box::new(request), wait)
        })
    }

    /// The request for another time, and how long to wait before; none where the rule, the request's own time
    /// or the budget leaves none.
    fn anew(
        &mut self,
        outcome: &Result<Answered, Failure>,
        spare: Option<Box<Request<()>>>,
        slot: &mut Slot,
        record: &Record,
    ) -> Option<(Request<Upload>, Duration)> {
        // A client that still sends its body keeps every further try waiting, too.
        let is_held_up = self.progress.is_some_and(|progress| !progress.is_whole());
        if is_held_up && matches!(outcome, Err(failure) if failure.reason == Reason::BackendTimeout)
        {
            return None;
        }
        let again = self.again.as_mut().filter(|again| again.is_wanted(outcome))?;
        let wait = again.wait(random(record).rotate_left(17));
        let now = Instant::now();
        if self.deadline.is_some_and(|deadline| now + wait >= deadline) {
            return None;
        }
        // What was not sent goes as it is; what was needs its head, and its body from the beginning.
        let is_there = spare.is_some() && again.has_body(self.progress.is_some());
        if slot.is_none() && !is_there {
            return None;
        }
        let shared = &self.conn.shared;
        if !self.service.retries.take(balance::nanos(shared.epoch, now)) {
            shared.telemetry.retry_left_out();
            return None;
        }
        again.count();
        let request = match slot.take() {
            Some(unsent) => unsent,
            None => again.anew(*spare?)?,
        };
        record.table.retried(self.service.id);
        Some((request, wait))
    }

    /// The head of a request, by which it could be sent again: one that a rule lets be, or one without a
    /// body, where a proxy may say that its application was not reached and there is another endpoint.
    fn spare(
        &self,
        endpoint: &Endpoint,
        request: Option<&Request<Upload>>,
    ) -> Option<Box<Request<()>>> {
        if self.again.is_none() && endpoint.way.is_none() {
            return None;
        }
        let may_be_again = self.again.as_ref().is_some_and(Again::is_left);
        let may_be_unreached = endpoint.way.is_some() && self.service.endpoints.len() > 1;
        let is_empty = |request: &&Request<Upload>| matches!(request.body(), Upload::Empty);
        let request =
            request.filter(|request| may_be_again || (may_be_unreached && is_empty(request)))?;
        let mut spare = Box::new(Request::new(()));
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
        granted: Option<Box<Granted>>,
    ) -> Result<Answered, Failure> {
        let limits = &self.conn.shared.settings.limits;
        let within = |until: Instant| self.deadline.map_or(until, |deadline| deadline.min(until));
        let mut until = within(now + self.bound);
        let mut sent = self.progress.map_or(0, |progress| progress.bytes());
        let hop = Hop { endpoint, worker: self.conn.worker, face: self.face };
        let sending = pool::send(hop, limits, now, slot, granted);
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

/// What is drawn for the next try.
fn random(record: &Record) -> u64 {
    let seed = record.seed().rotate_left(29 + 7 * record.attempts);
    seed.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// An answer that nobody gets: where it has no body, its connection serves another request.
fn let_go(answered: Answered) {
    if let Some(lease) = answered.lease.filter(|_| answered.response.body().is_end_stream()) {
        lease.end();
    }
}

/// Whether a proxy says that the request did not reach its application.
fn is_unreached(endpoint: &Endpoint, answered: &Answered) -> bool {
    endpoint.way.is_some() && answered.response.headers().contains_key(UNREACHED)
}

/// Whether a proxy says that it was a limit that refused the request; nobody else is told so.
pub(crate) fn is_limited(endpoint: &Endpoint, answered: &mut Answered) -> bool {
    endpoint.way.is_some() && answered.response.headers_mut().remove(LIMITED).is_some()
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
        AppProtocol::Tcp | AppProtocol::Udp => {}
    }
}

fn address_http2(endpoint: &Endpoint, request: &mut Request<Upload>) {
    *request.version_mut() = Version::HTTP_2;
    let scheme = if endpoint.is_tls() { "https" } else { "http" };
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
            Uri::builder().scheme(scheme).authority(host.as_bytes()).path_and_query(path).build()
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
