//! Whether a request that was sent is sent again.
//!
//! A rule says which answers it would rather not have, and how often; besides those, a backend that broke
//! off or took too long for one try is asked again.
//! That is done only where it cannot do a thing twice: for methods that mean the same when repeated
//! (RFC 9110, section 9.2.2), for requests whose caller says by an `Idempotency-Key` that they may be, and
//! for what was never sent.
//! And only as far as a service can bear it: retries have a budget, so that they do not fell one that is
//! weak already.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use http::{HeaderMap, HeaderName, Method, Request, StatusCode};
use policy::Reason;
use table::Retry;

use crate::body::Upload;
use crate::body::replay::Replay;
use crate::failure::Retry::Elsewhere;
use crate::failure::{Failure, Side};
use crate::pool::Answered;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// What a request lends to the budget of its service: a fifth of a retry.
const LENT: i64 = 200;
/// What a retry takes from it.
const TAKEN: i64 = 1000;
/// What comes to it besides, each second: ten retries.
const EACH_SECOND: u64 = 10_000;
/// It holds no more than this: a hundred retries.
const FULL: i64 = 100_000;
/// A request waits no longer than this before it is sent again, but for what its rule says.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// What a rule says of retries, for one request.
#[derive(Debug)]
pub(crate) struct Again<'a> {
    rule: &'a Retry,
    /// Whether doing it twice is as good as once.
    is_safe: bool,
    /// How often it was sent again.
    count: u32,
    /// Its body, where it has one.
    body: Option<Arc<Replay>>,
}

impl<'a> Again<'a> {
    pub(crate) fn new(
        rule: &'a Retry,
        method: &Method,
        headers: &HeaderMap,
        body: Option<Arc<Replay>>,
    ) -> Self {
        let is_safe = is_safe(method, headers);
        Again { rule, is_safe, count: 0, body }
    }

    /// Whether there may be another time.
    pub(crate) fn is_left(&self) -> bool {
        self.count < self.rule.attempts
    }

    /// Whether what came of a try asks for another one.
    pub(crate) fn is_wanted(&self, outcome: &Result<Answered, Failure>) -> bool {
        let is_wanted = match outcome {
            Ok(answered) => self.is_safe && self.is_refused(answered.response.status()),
            Err(failure) if failure.side != Side::Backend => false,
            Err(failure) if failure.retry == Elsewhere => true,
            Err(failure) => self.is_safe && is_broken_off(failure.reason),
        };
        is_wanted && self.is_left()
    }

    fn is_refused(&self, status: StatusCode) -> bool {
        self.rule.codes.binary_search(&status.as_u16()).is_ok()
    }

    /// How long to wait before the next time: the back-off, twice as long each time, and up to half as
    /// much again by chance.
    pub(crate) fn wait(&self, random: u64) -> Duration {
        let longest = LONGEST_WAIT.max(self.rule.backoff);
        let least = self.rule.backoff.saturating_mul(1 << self.count.min(16)).min(longest);
        least + least.mul_f64(f64::from(random as u32) / f64::from(u32::MAX) / 2.0)
    }

    /// How often the request may be sent in all.
    pub(crate) fn most(&self) -> u32 {
        self.rule.attempts + 1
    }

    /// It is sent once more.
    pub(crate) fn count(&mut self) {
        self.count += 1;
    }

    /// Whether its body is there from the beginning, of a request that has one.
    pub(crate) fn has_body(&self, has_one: bool) -> bool {
        match &self.body {
            Some(body) => body.is_there(),
            None => !has_one,
        }
    }

    /// The request anew, made of its head; none where its body is not there any more.
    pub(crate) fn anew(&self, head: Request<()>) -> Option<Request<Upload>> {
        let body = match &self.body {
            Some(body) => body.begin()?,
            None => Upload::Empty,
        };
        Some(head.map(|()| body))
    }
}

/// Whether the backend broke off or took too long for one try. Where the time of the whole request is over,
/// or what is there makes no sense to us, another try is of no use.
fn is_broken_off(reason: Reason) -> bool {
    matches!(reason, Reason::UpstreamReset | Reason::BackendTimeout)
}

/// Whether a request may be done twice.
pub(crate) fn is_safe(method: &Method, headers: &HeaderMap) -> bool {
    method.is_idempotent() || headers.contains_key(IDEMPOTENCY_KEY)
}

/// How many retries a service bears: for each five requests that rules with retries send to it one, and
/// ten a second besides. In thousandths of a retry.
#[derive(Debug)]
pub(crate) struct Budget {
    left: AtomicI64,
    /// Up to when, in nanoseconds since the process's epoch, it was filled.
    filled: AtomicU64,
}

impl Default for Budget {
    fn default() -> Self {
        Budget { left: AtomicI64::new(FULL), filled: AtomicU64::new(0) }
    }
}

impl Budget {
    /// A request is sent for the first time.
    pub(crate) fn lend(&self) {
        self.add(LENT);
    }

    /// Whether a request may be sent again, `now`.
    pub(crate) fn take(&self, now: u64) -> bool {
        let before = self.filled.load(Relaxed);
        let each = 1_000_000_000 / EACH_SECOND;
        let gained = now.saturating_sub(before) / each;
        let filled = before + gained * each;
        // Of several who see it at once, one fills it.
        if gained > 0 && self.filled.compare_exchange(before, filled, Relaxed, Relaxed).is_ok() {
            self.add(i64::try_from(gained).unwrap_or(FULL));
        }
        let take = |left: i64| (left >= TAKEN).then_some(left - TAKEN);
        self.left.fetch_update(Relaxed, Relaxed, take).is_ok()
    }

    fn add(&self, more: i64) {
        let add = |left: i64| (left < FULL).then(|| left.saturating_add(more).min(FULL));
        // A full one stays so.
        let _ = self.left.fetch_update(Relaxed, Relaxed, add);
    }
}

#[cfg(test)]
mod tests;
