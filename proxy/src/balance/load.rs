//! How an endpoint has been doing, shared by all workers.

use std::fmt::Display;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::traffic::Ejection;
use tokio::time::Instant;

use super::asking::Asking;
use super::nanos;
use crate::body::Progress;
use crate::live::{Endpoint, Seat, Service};

/// What an endpoint that could not be reached is taken to cost.
const UNREACHED: Duration = Duration::from_secs(5);
/// What a request is taken to cost at an endpoint that has not answered any.
const UNKNOWN: Duration = Duration::from_secs(1);
/// So many requests in a row without an answer make an endpoint that is mute: since when nobody heard it is
/// what one more is taken to cost.
const UNHEARD: u32 = 3;
/// After so long one request asks whether it is mute still, whose answer is then all that is known of it,
const MUTE: Duration = Duration::from_secs(1);
/// and another one after so long.
const ASKED: Duration = Duration::from_secs(4);
/// For how long an answer that asks for fewer requests has an endpoint get fewer; several such answers add up.
const EASE: Duration = Duration::from_secs(2);
/// They add up to no more than this, by which it gets [`LEAST_SHARE`].
const LONGEST_EASE: Duration = Duration::from_secs(10);
/// How long an endpoint rests that could not be reached; twice as long each further time.
const REST: Duration = Duration::from_secs(1);
/// It rests no longer than so many times the first rest.
const LONGEST_REST: u32 = 4;
/// How fast an estimate forgets: it falls to a third of the distance in this time.
const DECAY: Duration = Duration::from_secs(10);
/// An endpoint that starts slowly gets no smaller share than this.
const LEAST_SHARE: f64 = 0.05;

/// How an endpoint has been doing.
#[derive(Debug, Default)]
pub(crate) struct Load {
    /// Estimate of the time to an answer's head, in nanoseconds.
    ewma: AtomicU64,
    /// When it was last touched, in nanoseconds since the process's epoch.
    touched: AtomicU64,
    /// How long the last answer took by which it did what it is there for, in nanoseconds.
    usual: AtomicU64,
    under_way: AtomicU32,
    /// How many requests began since it was last heard.
    unheard: AtomicU32,
    /// When that was, or the first of these began, in nanoseconds since the process's epoch.
    heard: AtomicU64,
    /// When it last got a request, the same.
    asked: AtomicU64,
    /// How often in a row it had to rest: it could not be reached, or too much failed.
    missed: AtomicU32,
    /// Since when it rests for that, in nanoseconds since the process's epoch.
    rests_since: AtomicU64,
    /// And until when.
    rests_until: AtomicU64,
    /// Whether that is since too much failed there, though it could be reached.
    ejected: AtomicBool,
    /// How many requests failed in a row.
    failed: AtomicU32,
    /// Requests and failures of the time being: [`Window`].
    window: AtomicU64,
    /// It does not answer when it is asked whether it is well.
    ailing: AtomicBool,
    /// Until when it gets fewer requests since it asked for that, in nanoseconds since the process's epoch.
    eased_until: AtomicU64,
    /// What was wrong with it; touched when that changes.
    troubles: Mutex<Troubles>,
    /// Since when it is well, in nanoseconds since the process's epoch; 0 before it was drawn.
    well_since: AtomicU64,
}

/// What was wrong with an endpoint last, in words.
#[derive(Debug, Default)]
struct Troubles {
    /// Why requests had it rest.
    requests: Box<str>,
    /// What a check said.
    checks: Box<str>,
}

/// What one answer, or none, says of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Said {
    /// It does what it is there for.
    Well,
    /// It does that, and asks for fewer requests.
    Burdened,
    /// The request failed there.
    Failed,
    /// It failed, since no answer came in time.
    Silent,
}

impl Said {
    pub(crate) fn is_failure(self) -> bool {
        matches!(self, Said::Failed | Said::Silent)
    }
}

impl Load {
    /// The estimated cost of one more request. An endpoint that has a request and never answered
    /// one is taken to be slow, so that a mute one does not draw everybody; one that falls mute is asked
    /// seldom, whatever it answered before.
    pub(super) fn cost(&self, now: u64) -> f64 {
        let mute = self.mute_for(now);
        if mute >= MUTE.as_nanos() as u64 {
            let asked = now.saturating_sub(self.asked.load(Relaxed));
            if asked >= ASKED.as_nanos() as u64 {
                return 0.0;
            }
        }
        let under_way = self.under_way.load(Relaxed);
        let known = self.ewma.load(Relaxed);
        if known == 0 {
            return f64::from(under_way) * UNKNOWN.as_nanos() as f64;
        }
        let idle = now.saturating_sub(self.touched.load(Relaxed)) as f64;
        let estimate = known as f64 * (-idle / DECAY.as_nanos() as f64).exp();
        (estimate.max(mute as f64) + 1.0) * f64::from(under_way + 1)
    }

    /// For how long nobody heard it, `now`, as far as that says anything.
    fn mute_for(&self, now: u64) -> u64 {
        match self.unheard.load(Relaxed) {
            UNHEARD.. => now.saturating_sub(self.heard.load(Relaxed)),
            _ => 0,
        }
    }

    /// One of those that began is not to be answered, or not yet.
    fn uncounts(&self) {
        // None are left where it was heard meanwhile.
        let _before = self.unheard.fetch_update(Relaxed, Relaxed, |all| all.checked_sub(1));
    }

    /// Another one may ask in the place of the one that did at `asked`, if that was the last.
    fn asks_anew(&self, asked: u64) {
        let due = asked.saturating_sub(ASKED.as_nanos() as u64);
        let _other = self.asked.compare_exchange(asked, due, Relaxed, Relaxed);
    }

    /// How long its answers take, by the last one; [`UNKNOWN`] before it gave one.
    fn usual(&self) -> Duration {
        match self.usual.load(Relaxed) {
            0 => UNKNOWN,
            known => Duration::from_nanos(known),
        }
    }

    /// It is to be heard, of a request that begins `now`.
    pub(crate) fn asks(&self, now: u64) {
        self.asked.store(now, Relaxed);
        if self.unheard.fetch_add(1, Relaxed) == 0 {
            self.heard.store(now, Relaxed);
        }
    }

    /// Learns from an answer that took `took` to a request that `began`, and what it says. Of one that
    /// rests only what began after that counts. Whether it is well again by it.
    pub(crate) fn answered(&self, began: u64, now: u64, took: Duration, said: Said) -> bool {
        if self.rested_since(began) {
            return false;
        }
        let is_well_again = self.reached(began, now, said);
        match said {
            Said::Well => {
                self.usual.store(took.as_nanos() as u64, Relaxed);
                self.took(now, took);
            }
            Said::Failed | Said::Silent => self.took(now, took),
            // That it refuses fast does not make it one that answers fast.
            Said::Burdened => self.took(now, took.max(self.known(now))),
        }
        is_well_again
    }

    /// Learns what an answer says, and nothing of how long it took; whether it was that by which it is well again.
    pub(super) fn reached(&self, began: u64, now: u64, said: Said) -> bool {
        if said != Said::Silent {
            // One that was sent into the silence asked whether it lasts.
            let has_asked = self.mute_for(began) >= MUTE.as_nanos() as u64;
            self.unheard.store(0, Relaxed);
            if has_asked {
                self.forget(said);
            }
        }
        if said == Said::Burdened {
            self.ease(now);
        }
        if said.is_failure() || self.missed.load(Relaxed) == 0 || self.rested_since(began) {
            return false;
        }
        let is_first = self.missed.swap(0, Relaxed) > 0;
        self.failed.store(0, Relaxed);
        self.window.store(0, Relaxed);
        // The first answer after none came says all that is known.
        self.forget(said);
        self.well_since.store(now, Relaxed);
        is_first
    }

    /// Leaves no estimate but what an answer will make of it that said this; one that refused, however fast, leaves
    /// what is usual.
    fn forget(&self, said: Said) {
        let left = if said == Said::Burdened { self.usual().as_nanos() as u64 } else { 0 };
        self.ewma.store(left, Relaxed);
    }

    /// How long an answer is expected to take, `now`: as the last ones did.
    fn known(&self, now: u64) -> Duration {
        let idle = now.saturating_sub(self.touched.load(Relaxed)) as f64;
        let faded = self.estimate().mul_f64((-idle / DECAY.as_nanos() as f64).exp());
        faded.max(self.usual())
    }

    fn ease(&self, now: u64) {
        let longest = now + LONGEST_EASE.as_nanos() as u64;
        let later = |until: u64| Some((until.max(now) + EASE.as_nanos() as u64).min(longest));
        // It always gives a time to put in the place of the one that was there.
        let _before = self.eased_until.fetch_update(Relaxed, Relaxed, later);
    }

    /// How long it gets fewer requests yet, since it asked for that.
    pub(crate) fn eases(&self, now: u64) -> Duration {
        Duration::from_nanos(self.eased_until.load(Relaxed).saturating_sub(now))
    }

    /// Which share of its requests it gets after it asked for fewer.
    pub(super) fn eased(&self, now: u64) -> f64 {
        let left = self.eased_until.load(Relaxed).saturating_sub(now) as f64;
        let part = (left / LONGEST_EASE.as_nanos() as f64).min(1.0);
        1.0 - part * (1.0 - LEAST_SHARE)
    }

    /// Whether it had to rest after a request began.
    pub(crate) fn rested_since(&self, began: u64) -> bool {
        self.missed.load(Relaxed) > 0 && began < self.rests_since.load(Relaxed)
    }

    /// Learns that an answer takes as long as this, or longer.
    fn took(&self, now: u64, took: Duration) {
        let took = took.as_nanos() as f64;
        let idle = now.saturating_sub(self.touched.swap(now, Relaxed)) as f64;
        let before = self.ewma.load(Relaxed) as f64;
        let keep = (-idle / DECAY.as_nanos() as f64).exp();
        let after = if took > before { took } else { before * keep + took * (1.0 - keep) };
        self.ewma.store((after as u64).max(1), Relaxed);
    }

    /// Learns `now` that a request which `began` could not reach it. Of those who find that at once, one
    /// counts; whether it is this one.
    pub(crate) fn unreached(&self, began: u64, now: u64) -> bool {
        if self.rested_since(began) {
            return false;
        }
        self.touched.store(now, Relaxed);
        self.ewma.store(UNREACHED.as_nanos() as u64, Relaxed);
        self.ejected.store(false, Relaxed);
        self.rest(now, REST);
        true
    }

    /// Learns why it is to rest.
    pub(crate) fn ails_of(&self, trouble: impl Display) {
        self.troubles().requests = trouble.to_string().into();
    }

    /// Learns why it does not count as well when it is asked.
    pub(crate) fn fails_checks(&self, why: impl Display) {
        self.troubles().checks = format!("it fails its health checks: {why}").into();
    }

    fn troubles(&self) -> MutexGuard<'_, Troubles> {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why it gets no requests, where it is not well.
    pub(crate) fn trouble(&self) -> Box<str> {
        let troubles = self.troubles();
        if self.is_ailing() { troubles.checks.clone() } else { troubles.requests.clone() }
    }

    /// Too much failed there: it gets no requests for a while, `first` the first time.
    pub(crate) fn eject(&self, now: u64, first: Duration) {
        self.ejected.store(true, Relaxed);
        self.rest(now, first);
    }

    /// It rests on, for whatever it began to.
    pub(crate) fn rest(&self, now: u64, first: Duration) {
        let missed = self.missed.fetch_add(1, Relaxed);
        let rest = first * (1 << missed.min(8)).min(LONGEST_REST);
        self.rests_since.store(now, Relaxed);
        self.rests_until.store(now + rest.as_nanos() as u64, Relaxed);
    }

    /// Whether what an answer says makes it one that is to rest.
    pub(crate) fn fails(&self, said: Said, now: u64, rule: &Ejection) -> bool {
        let has_failed = said.is_failure();
        let in_a_row = match has_failed {
            true => self.failed.fetch_add(1, Relaxed) + 1,
            false => {
                if self.failed.load(Relaxed) > 0 {
                    self.failed.store(0, Relaxed);
                }
                0
            }
        };
        let is_row = rule.consecutive > 0 && in_a_row >= rule.consecutive;
        let is_share = rule.percent.is_some_and(|percent| {
            let window = Window::add(&self.window, now, rule.interval(), has_failed);
            window.requests >= u64::from(rule.minimum_requests)
                && window.failures * 100 >= u64::from(percent) * window.requests
        });
        has_failed && (is_row || is_share)
    }

    /// How many requests failed in a row.
    pub(crate) fn failed_in_a_row(&self) -> u32 {
        self.failed.load(Relaxed)
    }

    /// How long it rests yet.
    pub(crate) fn rests(&self, now: u64) -> Duration {
        match self.missed.load(Relaxed) {
            0 => Duration::ZERO,
            _ => Duration::from_nanos(self.rests_until.load(Relaxed).saturating_sub(now)),
        }
    }

    /// Whether it gets requests like others.
    pub(crate) fn is_well(&self) -> bool {
        self.missed.load(Relaxed) == 0 && !self.is_ailing()
    }

    /// Whether it has to rest, or is tried after that.
    pub(crate) fn is_resting(&self) -> bool {
        self.missed.load(Relaxed) > 0
    }

    /// Whether it rests since too much failed there.
    pub(crate) fn is_ejected(&self) -> bool {
        self.is_resting() && self.ejected.load(Relaxed)
    }

    /// Whether it does not answer when it is asked whether it is well.
    pub(crate) fn is_ailing(&self) -> bool {
        self.ailing.load(Relaxed)
    }

    /// Learns, `now`, whether it answers when it is asked.
    pub(crate) fn checked(&self, is_well: bool, now: u64) {
        if self.ailing.swap(!is_well, Relaxed) && is_well {
            self.well_since.store(now, Relaxed);
        }
    }

    /// Whether it has rested, so that a request may try it.
    pub(crate) fn is_due(&self, now: u64) -> bool {
        self.is_resting() && !self.is_ailing() && now >= self.rests_until.load(Relaxed)
    }

    /// Whether it has rested and this request is the one that tries it. The others wait for as long as
    /// the first rest was.
    pub(super) fn takes_trial(&self, now: u64) -> bool {
        let until = self.rests_until.load(Relaxed);
        let next = now + REST.as_nanos() as u64;
        self.is_due(now) && self.rests_until.compare_exchange(until, next, Relaxed, Relaxed).is_ok()
    }

    /// Which share of its requests it gets, if such a time passes before it gets them all.
    pub(super) fn share(&self, now: u64, slow_start: Duration) -> f64 {
        let fresh = self.well_since.compare_exchange(0, now.max(1), Relaxed, Relaxed);
        let since = fresh.map_or_else(|known| known, |_| now);
        let well = now.saturating_sub(since) as f64;
        (well / slow_start.as_nanos().max(1) as f64).clamp(LEAST_SHARE, 1.0)
    }

    /// Requests under way.
    pub(crate) fn under_way(&self) -> u32 {
        self.under_way.load(Relaxed)
    }

    /// The estimate as it stands.
    pub(crate) fn estimate(&self) -> Duration {
        Duration::from_nanos(self.ewma.load(Relaxed))
    }
}

/// Requests and failures within a length of time, as one number: which such time it is (24 bits), and
/// both counts (20 bits each; they stop when they are full).
#[derive(Debug, Clone, Copy)]
struct Window {
    requests: u64,
    failures: u64,
}

impl Window {
    const FULL: u64 = (1 << 20) - 1;

    /// Adds a request to those of the time being.
    fn add(to: &AtomicU64, now: u64, interval: Duration, has_failed: bool) -> Self {
        let number = (now / (interval.as_nanos().max(1) as u64)) & 0xFF_FFFF;
        let mut last = Window { requests: 0, failures: 0 };
        let add = |packed: u64| {
            let is_now = packed >> 40 == number;
            let before = if is_now { packed } else { number << 40 };
            last.requests = ((before >> 20 & Self::FULL) + 1).min(Self::FULL);
            last.failures = ((before & Self::FULL) + u64::from(has_failed)).min(Self::FULL);
            Some(number << 40 | last.requests << 20 | last.failures)
        };
        // It always gives a number to put in the place of the one that was there.
        let _before = to.fetch_update(Relaxed, Relaxed, add);
        last
    }
}

/// How long a client takes for its body, for which no endpoint answers.
#[derive(Debug)]
pub(crate) enum Sending {
    /// There is none.
    Nothing,
    /// It is told when all of it was there.
    Told(Arc<Progress>),
    /// Nobody tells.
    Untold,
}

/// From when on an endpoint is to be heard of a request.
#[derive(Debug)]
enum Asks {
    /// From its beginning.
    AtOnce,
    /// Once all of its body is there.
    OnceWhole(Arc<Asking>),
    /// Never, or no more.
    Never,
}

/// A request's turn at an endpoint: counted as under way for as long as it is held.
#[derive(Debug)]
pub(crate) struct Turn {
    endpoint: Arc<Endpoint>,
    epoch: Instant,
    began: Instant,
    learnt: bool,
    /// From when on the endpoint is to be heard of it.
    asks: Asks,
    /// What the client still sends meanwhile.
    sending: Sending,
    /// The request's place among all of its service.
    seat: Option<Seat>,
}

impl Turn {
    pub(crate) fn at(endpoint: &Arc<Endpoint>, epoch: Instant, began: Instant) -> Self {
        endpoint.load.under_way.fetch_add(1, Relaxed);
        endpoint.load.asks(nanos(epoch, began));
        Turn {
            endpoint: Arc::clone(endpoint),
            epoch,
            began,
            learnt: false,
            asks: Asks::AtOnce,
            sending: Sending::Nothing,
            seat: None,
        }
    }

    /// Holds a place among the requests of a service to the end.
    pub(crate) fn hold(&mut self, seat: Option<Seat>) {
        self.seat = seat;
    }

    /// The client may still be sending meanwhile: the endpoint is to be heard once all is there.
    pub(crate) fn takes(&mut self, sending: Sending) {
        self.asks = match &sending {
            Sending::Nothing => Asks::AtOnce,
            Sending::Told(progress) if progress.is_whole() => Asks::AtOnce,
            Sending::Told(progress) => {
                let asking = Asking::new(&self.endpoint, self.epoch);
                progress.asks(Some(Arc::clone(&asking)));
                Asks::OnceWhole(asking)
            }
            Sending::Untold => Asks::Never,
        };
        if !matches!(self.asks, Asks::AtOnce) {
            self.endpoint.load.uncounts();
        }
        self.sending = sending;
    }

    /// It is over without an answer. Who waited as long as an answer takes has asked whether the endpoint is
    /// mute, and no one else.
    fn gives_up(&mut self) {
        let load = &self.endpoint.load;
        let began = nanos(self.epoch, self.began);
        let (asked, is_counted) = match &self.asks {
            Asks::AtOnce => (began, true),
            Asks::OnceWhole(asking) => asking.since().map_or((began, false), |since| (since, true)),
            Asks::Never => return,
        };
        let waited = nanos(self.epoch, Instant::now()).saturating_sub(asked);
        if waited >= load.usual().min(MUTE).as_nanos() as u64 {
            return;
        }
        if is_counted {
            load.uncounts();
        }
        load.asks_anew(asked);
    }

    /// Nothing is to be heard of it any more.
    fn asks_no_more(&mut self) {
        if let Sending::Told(progress) = &self.sending {
            progress.asks(None);
        }
        self.asks = Asks::Never;
    }

    /// From here on it is the endpoint that is waited for, and no longer the client.
    pub(crate) fn waits_since(&mut self, whole: Instant) {
        self.began = self.began.max(whole);
    }

    /// The endpoint answered, `now`, and said this.
    pub(crate) fn answered(&mut self, now: Instant, said: Said) {
        let took = now.saturating_duration_since(self.began);
        let (began, now) = (nanos(self.epoch, self.began), nanos(self.epoch, now));
        let is_well_again = self.endpoint.load.answered(began, now, took, said);
        self.learn(is_well_again);
    }

    /// The endpoint answered, `now`, and said this, while it was the client who was waited for.
    pub(crate) fn reached(&mut self, now: Instant, said: Said) {
        let (began, now) = (nanos(self.epoch, self.began), nanos(self.epoch, now));
        let is_well_again = self.endpoint.load.reached(began, now, said);
        self.learn(is_well_again);
    }

    fn learn(&mut self, is_well_again: bool) {
        if is_well_again {
            let Endpoint { service, address, .. } = &*self.endpoint;
            tracing::info!(%service, %address, "an endpoint answers again");
        }
        self.learnt();
    }

    fn learnt(&mut self) {
        self.asks_no_more();
        self.learnt = true;
    }

    /// The endpoint could not be reached, for this reason.
    pub(crate) fn unreached(&mut self, why: impl Display) {
        let (began, now) = (nanos(self.epoch, self.began), nanos(self.epoch, Instant::now()));
        let Endpoint { service, address, load, .. } = &*self.endpoint;
        let was_resting = load.is_resting();
        if load.unreached(began, now) {
            if !was_resting {
                tracing::warn!(%service, %address, %why, "an endpoint cannot be reached");
            }
            load.ails_of(format_args!("it could not be reached: {why}"));
        }
        self.learnt();
    }

    /// What was answered before ends now, and says this at its end.
    pub(crate) fn ended(&self, service: &Service, said: Said) {
        let (began, now) = (nanos(self.epoch, self.began), nanos(self.epoch, Instant::now()));
        if said == Said::Burdened {
            // That it took its time is no sign of it: a stream may.
            self.endpoint.load.answered(began, now, Duration::ZERO, said);
        }
        service.judge(&self.endpoint, said, (began, now));
    }

    /// What went wrong was not the endpoint's doing: nothing is learnt from it.
    pub(crate) fn blameless(&mut self) {
        self.gives_up();
        self.learnt();
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.endpoint.load.under_way.fetch_sub(1, Relaxed);
        if !self.learnt {
            self.gives_up();
            self.asks_no_more();
            let load = &self.endpoint.load;
            // Given up before an answer: it would have taken at least as long as this.
            let since = match &self.sending {
                Sending::Nothing => Some(self.began),
                Sending::Told(progress) => {
                    progress.whole_since().map(|whole| whole.max(self.began))
                }
                Sending::Untold => None,
            };
            let now = Instant::now();
            let waited = since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
            if waited > load.estimate() {
                load.took(nanos(self.epoch, now), waited);
            }
        }
    }
}
