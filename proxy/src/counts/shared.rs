//! What all proxies count together that were told of the same Redis.
//!
//! ```text
//! a request's charges --one script--> Redis: all of them counted at once, or none
//! ```
//!
//! - Each worker has a connection of its own, which takes the questions of all its requests as they come. A task
//!   beside it looks once a second whether Redis counts, and opens another connection when it does not.
//! - A question that fails or takes too long ends the connection for all of its worker: until there is another one
//!   nobody asks.
//! - Time is Redis' own, so that proxies whose clocks differ count alike.
//! - What is used up is remembered until there can be room again, for a second at most: whoever asks for it on and on
//!   costs Redis little, and whoever takes a count away there pardons a caller.
//! - A key is a digest of the count's name: what callers send is not read off there. It goes by itself once it says
//!   no more than none would.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use aws_lc_rs::digest::{SHA256, digest};
use policy::limit::{Charge, Period, Rate, Take};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Script};
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;
use tokio::time::{sleep, timeout};

use super::is_refused;
use super::redis::{Redis, RedisError};

/// How long a connection may take to open.
const CONNECT: Duration = Duration::from_secs(2);

/// How often it is looked whether Redis counts, and how long at most until it is tried again where it did not.
const LOOK: Duration = Duration::from_secs(1);

/// How long at least until it is tried again.
const AGAIN: Duration = Duration::from_millis(50);

/// Questions that a connection takes at once; beyond that nobody asks.
const QUEUE: usize = 1024;

/// With what keys begin.
const PREFIX: &str = "heddle:limit:";

/// How many counts are remembered as used up.
const USED_UP: usize = 1 << 12;

/// What proxies count together, as one process sees it.
pub(crate) struct Shared {
    redis: Redis,
    script: Script,
    lines: Box<[Line]>,
    used_up: UsedUp,
    /// What the log said last: that all can ask, or why one cannot.
    told: Mutex<Option<Result<(), Arc<String>>>>,
}

/// The way of one worker to Redis.
struct Line {
    /// For questions that are asked.
    room: Semaphore,
    /// There while Redis counts.
    open: ArcSwapOption<MultiplexedConnection>,
    /// Whether it was tried once to open it.
    tried: AtomicBool,
    /// Says that it is open no more.
    lost: Notify,
    /// Why it is not.
    why: ArcSwapOption<String>,
    /// Questions that were answered.
    answered: AtomicU64,
    /// Those that could not be asked, or were not answered in time.
    unreached: AtomicU64,
}

/// What is known without asking.
#[derive(Debug)]
pub(super) enum Known {
    /// That Redis has to be asked.
    Nothing,
    /// That one is used up.
    UsedUp(Vec<Take>),
    /// That Redis cannot be asked.
    Unreached,
}

/// How it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Host and port.
    pub(crate) address: String,
    /// How many workers can ask.
    pub(crate) connections: usize,
    /// How many there are.
    pub(crate) workers: usize,
    /// Why one of them cannot.
    pub(crate) why: Option<Arc<String>>,
    /// Questions that were answered.
    pub(crate) answered: u64,
    /// Those that were not.
    pub(crate) unreached: u64,
}

/// Why Redis counts nothing.
#[derive(Debug, thiserror::Error)]
enum Unasked {
    #[error(transparent)]
    Redis(#[from] redis::RedisError),
    #[error(transparent)]
    Told(#[from] RedisError),
    #[error("no answer within {} ms", .0.as_millis())]
    Late(Duration),
    #[error("its answer is none that its script gives")]
    Odd,
}

impl Unasked {
    /// What is wrong, on one line, and what may help.
    fn words(&self) -> String {
        let said = self.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        match said.contains("invalid peer certificate") {
            true => format!("{said}: --redis-ca says who vouches for it"),
            false => said,
        }
    }
}

impl Shared {
    /// Nothing is opened before the workers [follow](Shared::follow).
    pub(crate) fn new(redis: Redis, workers: usize) -> Self {
        Shared {
            redis,
            script: Script::new(include_str!("shared/take.lua")),
            lines: (0..workers).map(|_| Line::new()).collect(),
            used_up: UsedUp::default(),
            told: Mutex::new(None),
        }
    }

    /// What is known without asking of one more in each of `charges`, which are shared.
    pub(super) fn known(&self, charges: &[Charge], worker: usize) -> Known {
        if self.lines[worker].open.load().is_none() {
            return Known::Unreached;
        }
        let now = Instant::now();
        let is_used_up = |charge: &Charge| match charge.limit.is_dry_run() {
            true => None,
            false => self.used_up.take(charge, now),
        };
        let mut all = charges.iter().map(is_used_up).enumerate();
        match all.find_map(|(index, take)| Some((index, take?))) {
            // None of those before it counts it.
            Some((index, take)) => {
                Known::UsedUp(std::iter::repeat_n(Take::UNTOLD, index).chain([take]).collect())
            }
            None => Known::Nothing,
        }
    }

    /// Notes that a request of `worker` could not be counted together with others.
    pub(super) fn unreached(&self, worker: usize) {
        self.lines[worker].unreached.fetch_add(1, Relaxed);
    }

    /// Counts one more in each of `charges`, which are shared, up to the first that is used up and not only tried;
    /// then in none. `None` where Redis cannot be asked.
    pub(super) async fn take(&self, charges: &[Charge], worker: usize) -> Option<Vec<Take>> {
        let (line, now) = (&self.lines[worker], Instant::now());
        // Of more than so many the last would wait in vain.
        let room = line.room.try_acquire().ok();
        let asked = match line.open.load_full().filter(|_| room.is_some()) {
            Some(open) => {
                let late = Unasked::Late(self.redis.deadline);
                let asking = timeout(self.redis.deadline, self.ask(&open, charges));
                asking.await.unwrap_or(Err(late)).inspect_err(|error| line.lose(&open, error)).ok()
            }
            None => None,
        };
        let Some(takes) = asked else {
            self.unreached(worker);
            return None;
        };
        line.answered.fetch_add(1, Relaxed);
        for (charge, take) in charges.iter().zip(&takes).filter(|(_, take)| !take.granted) {
            self.used_up.remember(charge, now, take.wait);
        }
        Some(takes)
    }

    async fn ask(
        &self,
        open: &MultiplexedConnection,
        charges: &[Charge],
    ) -> Result<Vec<Take>, Unasked> {
        let mut asked = self.script.prepare_invoke();
        for Charge { limit, name } in charges {
            let (how, much, long) = words(limit.rate());
            let tried = u8::from(limit.is_dry_run());
            asked.key(key(name)).arg(how).arg(much).arg(long).arg(tried);
        }
        let answer: Vec<String> = asked.invoke_async(&mut open.clone()).await?;
        read(&answer, charges).ok_or(Unasked::Odd)
    }

    /// Keeps a worker's connection open, for as long as the worker runs.
    pub(crate) async fn follow(&self, worker: usize) {
        let line = &self.lines[worker];
        let mut wait = AGAIN;
        loop {
            let opened = self.open().await.map(Arc::new);
            match &opened {
                Ok(open) => {
                    // What it counted may be gone with it.
                    self.used_up.forget();
                    line.open.store(Some(Arc::clone(open)));
                    line.why.store(None);
                }
                Err(error) => line.why.store(Some(Arc::new(error.words()))),
            }
            self.tell();
            line.tried.store(true, Release);
            if let Ok(open) = opened {
                let began = Instant::now();
                self.watch(line, &open).await;
                // One that is lost at once is no reason to try again at once.
                if began.elapsed() > LOOK {
                    wait = AGAIN;
                }
                self.tell();
            }
            sleep(wait).await;
            wait = (wait * 2).min(LOOK);
        }
    }

    /// Waits until each worker has tried to open a connection, and for as long at most as that may take. Blocks.
    pub(super) fn wait_tried(&self) {
        let until = std::time::Instant::now() + CONNECT;
        let is_tried = |line: &Line| line.tried.load(Acquire);
        while !self.lines.iter().all(is_tried) && std::time::Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Looks at a connection until it is lost.
    async fn watch(&self, line: &Line, open: &Arc<MultiplexedConnection>) {
        loop {
            tokio::select! {
                () = line.lost.notified() => {}
                () = sleep(LOOK) => {
                    if let Err(error) = self.probe(open).await {
                        line.lose(open, &error);
                    }
                }
            }
            let is_open = line.open.load().as_ref().is_some_and(|now| Arc::ptr_eq(now, open));
            if !is_open {
                return;
            }
        }
    }

    /// A connection at which Redis counts.
    async fn open(&self) -> Result<MultiplexedConnection, Unasked> {
        let config = AsyncConnectionConfig::new()
            // Bounded as a whole, here and by whoever asks.
            .set_connection_timeout(None)
            .set_response_timeout(None)
            .set_pipeline_buffer_size(QUEUE);
        let opening = async {
            let mut open =
                self.redis.client()?.get_multiplexed_async_connection_with_config(&config).await?;
            self.script.load_async(&mut open).await?;
            Ok::<_, Unasked>(open)
        };
        let open = timeout(CONNECT, opening).await.map_err(|_| Unasked::Late(CONNECT))??;
        self.probe(&open).await?;
        Ok(open)
    }

    /// Whether Redis counts: one that is full, or follows another and is not to be written to, does not.
    async fn probe(&self, open: &MultiplexedConnection) -> Result<(), Unasked> {
        let mut asked = self.script.prepare_invoke();
        let (how, much, long) = words(Rate::Bucket { interval: 1, burst: 1 });
        asked.key(format!("{PREFIX}probe")).arg(how).arg(much).arg(long).arg(0);
        let mut open = open.clone();
        let asking = asked.invoke_async::<Vec<String>>(&mut open);
        let bound = self.redis.deadline;
        let answer = timeout(bound, asking).await.map_err(|_| Unasked::Late(bound))??;
        match answer.len() {
            3 => Ok(()),
            _ => Err(Unasked::Odd),
        }
    }

    /// How it stands now.
    pub(crate) fn standing(&self) -> Standing {
        let open = |line: &&Line| line.open.load().is_some();
        Standing {
            address: self.redis.to_string(),
            connections: self.lines.iter().filter(open).count(),
            workers: self.lines.len(),
            why: self.lines.iter().find_map(|line| line.why.load_full()),
            answered: self.lines.iter().map(|line| line.answered.load(Relaxed)).sum(),
            unreached: self.lines.iter().map(|line| line.unreached.load(Relaxed)).sum(),
        }
    }

    /// Says in the log that somebody cannot ask, once for each reason, and once that all can again.
    fn tell(&self) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let Standing { address, connections, workers, why, .. } = self.standing();
        let news = match why {
            _ if connections == workers => Ok(()),
            Some(why) => Err(why),
            // Somebody has not tried yet.
            None => return,
        };
        match &news {
            _ if told.as_ref() == Some(&news) => return,
            Ok(()) => tracing::info!(redis = address, "Redis counts what limits share"),
            Err(why) => tracing::warn!(
                redis = address,
                %why,
                "Redis does not count: limits that share their counts do as their failureMode says"
            ),
        }
        *told = Some(news);
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.standing().fmt(f)
    }
}

impl Line {
    fn new() -> Self {
        Line {
            room: Semaphore::new(QUEUE),
            open: ArcSwapOption::empty(),
            tried: AtomicBool::new(false),
            lost: Notify::new(),
            why: ArcSwapOption::empty(),
            answered: AtomicU64::new(0),
            unreached: AtomicU64::new(0),
        }
    }

    /// `open` is of no more use; one that came after it is.
    fn lose(&self, open: &Arc<MultiplexedConnection>, error: &Unasked) {
        let was = self.open.compare_and_swap(open, None);
        if was.as_ref().is_some_and(|was| Arc::ptr_eq(was, open)) {
            self.why.store(Some(Arc::new(error.words())));
            self.lost.notify_one();
        }
    }
}

/// The name of a count, in a form of which nobody reads off what callers sent.
fn key(name: &[u8]) -> String {
    let digest = digest(&SHA256, name);
    let (half, _) = digest.as_ref().split_at(16);
    half.iter().fold(PREFIX.to_owned(), |key, byte| format!("{key}{byte:02x}"))
}

/// How the script counts, how much and over how long.
fn words(rate: Rate) -> (&'static str, u64, u64) {
    match rate {
        // Whole seconds.
        Rate::Window { most, window } => ("window", most, window / 1_000),
        Rate::Bucket { interval, burst } => ("bucket", interval.saturating_mul(burst), interval),
        Rate::Period { most, period: Period::Day } => ("period", most, 1),
        Rate::Period { most, period: Period::Month } => ("period", most, 2),
    }
}

/// What the script answers, said as what comes of counting here; `None` of what it never says.
fn read(answer: &[String], charges: &[Charge]) -> Option<Vec<Take>> {
    let [seconds, micros, told @ ..] = answer else { return None };
    let (seconds, micros) = (seconds.parse::<u64>().ok()?, micros.parse::<u64>().ok()?);
    let takes = charges.iter().zip(told).map(|(charge, told)| {
        let (granted, was) = told.split_once(' ')?;
        let rate = charge.limit.rate();
        let micros = match rate {
            Rate::Window { .. } => micros - micros % 1_000,
            Rate::Bucket { .. } | Rate::Period { .. } => micros,
        };
        let now = seconds.checked_mul(1_000_000_000)?.checked_add(micros.checked_mul(1_000)?)?;
        let take = rate.take(state(rate, was), now).take;
        // It is Redis that counts.
        Some(Take { granted: granted == "1", ..take })
    });
    let takes: Vec<_> = takes.collect::<Option<_>>()?;
    let is_whole = takes.len() == charges.len() || is_refused(charges, &takes);
    (is_whole && takes.len() == told.len()).then_some(takes)
}

/// The state that a value in Redis says; of none, and of one that nobody wrote, that of a count into which nothing
/// came.
fn state(rate: Rate, was: &str) -> u64 {
    let mut numbers = was.split(' ').map(|word| word.parse::<u64>().ok());
    let mut next = || numbers.next().flatten();
    let state = match rate {
        Rate::Window { .. } => next()
            .zip(next())
            .zip(next())
            .map(|((number, last), this)| Rate::in_window(number, last, this)),
        Rate::Bucket { .. } => next()
            .zip(next())
            .map(|(seconds, nanos)| seconds.saturating_mul(1_000_000_000).saturating_add(nanos)),
        Rate::Period { .. } => {
            next().zip(next()).map(|(number, count)| Rate::in_period(number, count))
        }
    };
    state.unwrap_or(0)
}

/// Counts that are used up, and until when: the last ones of those that fall to one place.
struct UsedUp {
    hasher: RandomState,
    epoch: Instant,
    places: Box<[Place]>,
}

/// Each a tag of 32 bits above a time in units of 16 ms. Whoever reads them while they are written sees two tags, or
/// the time of the same count before.
#[derive(Default)]
struct Place {
    /// Until when nobody asks.
    known: AtomicU64,
    /// When there is room again.
    room: AtomicU64,
}

/// Milliseconds that one unit of time has: of 32 bits they last for two years.
const UNIT: u64 = 16;

impl Default for UsedUp {
    fn default() -> Self {
        let places = std::iter::repeat_with(Place::default).take(USED_UP).collect();
        UsedUp { hasher: RandomState::new(), epoch: Instant::now(), places }
    }
}

impl UsedUp {
    /// What comes of a count that is known to be used up `now`.
    fn take(&self, charge: &Charge, now: Instant) -> Option<Take> {
        let (place, tag) = self.place(charge);
        let left = |time: &AtomicU64| {
            let kept = time.load(Relaxed);
            let until = (kept & u64::from(u32::MAX)) * UNIT;
            until.checked_sub(self.millis(now)).filter(|left| *left > 0 && kept >> 32 == tag)
        };
        left(&place.known)?;
        // Its end was rounded down, and there is no room before.
        left(&place.room).map(|left| Take::used_up(Duration::from_millis(left + UNIT)))
    }

    /// One that was used up `now` and has room again after `wait`.
    fn remember(&self, charge: &Charge, now: Instant, wait: Duration) {
        let (place, tag) = self.place(charge);
        // Rounded down: nobody is refused for whom there is room.
        let until = |wait| tag << 32 | (self.millis(now + wait) / UNIT).min(u64::from(u32::MAX));
        place.room.store(until(wait), Relaxed);
        place.known.store(until(wait.min(LOOK)), Relaxed);
    }

    fn forget(&self) {
        self.places.iter().for_each(|place| place.known.store(0, Relaxed));
    }

    /// Where a count is, and by what it is known there. One whose limit grants more or less is another.
    fn place(&self, Charge { limit, name }: &Charge) -> (&Place, u64) {
        let hash = self.hasher.hash_one((name, words(limit.rate())));
        (&self.places[hash as usize % USED_UP], hash >> 32)
    }

    fn millis(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.epoch).as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests;
