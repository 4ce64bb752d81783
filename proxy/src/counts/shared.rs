//! What all proxies count together that were told of the same Redis.
//!
//! ```text
//! a request's charges --one script--> Redis: all of them counted at once, or none
//! ```
//!
//! - Each worker has a connection of its own, which takes the questions of all its requests as they come. A task
//!   beside it looks once a second whether Redis counts, and opens another connection when it does not.
//! - A question that fails or takes longer than [`DEADLINE`] ends the connection for all: until there is another one
//!   nobody waits.
//! - Time is Redis' own, so that proxies whose clocks differ count alike.
//! - What is used up is remembered until there can be room again, for a second at most: whoever asks for it on and on
//!   costs Redis little, and whoever takes a count away there pardons a caller.
//! - A key is a digest of the count's name: what callers send is not read off there. It goes by itself once it says
//!   no more than none would.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use aws_lc_rs::digest::{SHA256, digest};
use policy::limit::{Charge, Period, Rate, Take};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Script};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio::time::{sleep, timeout};

use super::redis::Redis;

/// How long a request waits for what proxies have counted together.
pub(crate) const DEADLINE: Duration = Duration::from_millis(100);

/// How long a connection may take to open.
const CONNECT: Duration = Duration::from_secs(2);

/// How often it is looked whether Redis counts, and how long at most until it is tried again where it did not.
const LOOK: Duration = Duration::from_secs(1);

/// How long at least until it is tried again.
const AGAIN: Duration = Duration::from_millis(50);

/// Questions that a connection takes at once; the next one waits.
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
    /// Whether the log says that somebody cannot ask.
    is_told: AtomicBool,
}

/// The way of one worker to Redis.
#[derive(Default)]
struct Line {
    /// There while Redis counts.
    open: ArcSwapOption<MultiplexedConnection>,
    /// Says that it is open no more.
    lost: Notify,
    /// Why it is not.
    why: ArcSwapOption<String>,
    /// Questions that were answered.
    answered: AtomicU64,
    /// Those that could not be asked, or were not answered in time.
    unreached: AtomicU64,
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
    #[error("no answer within {} ms", .0.as_millis())]
    Late(Duration),
    #[error("its answer is none that its script gives")]
    Odd,
}

impl Shared {
    /// Nothing is opened before the workers [follow](Shared::follow).
    pub(crate) fn new(redis: Redis, workers: usize) -> Self {
        Shared {
            redis,
            script: Script::new(include_str!("shared/take.lua")),
            lines: (0..workers).map(|_| Line::default()).collect(),
            used_up: UsedUp::default(),
            is_told: AtomicBool::new(false),
        }
    }

    /// Counts one more in each of `charges`, which are shared, up to the first that is used up and not only tried;
    /// then in none. `None` where Redis cannot be asked.
    pub(super) async fn take(&self, charges: &[Charge], worker: usize) -> Option<Vec<Take>> {
        let line = &self.lines[worker];
        let open = line.open.load_full();
        let Some(open) = open else {
            line.unreached.fetch_add(1, Relaxed);
            return None;
        };
        let now = Instant::now();
        let is_used_up = |charge: &Charge| match charge.limit.is_dry_run() {
            true => None,
            false => self.used_up.take(charge, now),
        };
        if let Some((index, take)) =
            charges.iter().map(is_used_up).enumerate().find_map(|(i, t)| Some((i, t?)))
        {
            // Of those before it nothing is told: none of them counts it.
            return Some(vec![Take::OPEN; index].into_iter().chain([take]).collect());
        }
        match timeout(DEADLINE, self.ask(&open, charges))
            .await
            .unwrap_or(Err(Unasked::Late(DEADLINE)))
        {
            Ok(takes) => {
                line.answered.fetch_add(1, Relaxed);
                for (charge, take) in charges.iter().zip(&takes) {
                    if !take.granted {
                        self.used_up.remember(charge, now + take.wait.min(LOOK));
                    }
                }
                Some(takes)
            }
            Err(error) => {
                line.unreached.fetch_add(1, Relaxed);
                line.lose(&open, &error);
                None
            }
        }
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
            match self.open().await {
                Ok(open) => {
                    // What it counted may be gone with it.
                    self.used_up.forget();
                    let open = Arc::new(open);
                    line.open.store(Some(Arc::clone(&open)));
                    line.why.store(None);
                    self.tell();
                    wait = AGAIN;
                    self.watch(line, &open).await;
                }
                Err(error) => line.why.store(Some(Arc::new(error.to_string()))),
            }
            self.tell();
            sleep(wait).await;
            wait = (wait * 2).min(LOOK);
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
            .set_connection_timeout(Some(CONNECT))
            // Whoever asks waits no longer than they say.
            .set_response_timeout(None)
            .set_pipeline_buffer_size(QUEUE);
        let opening = async {
            let client = self.redis.client();
            let mut open = client.get_multiplexed_async_connection_with_config(&config).await?;
            self.script.load_async(&mut open).await?;
            Ok::<_, redis::RedisError>(open)
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
        let answer = timeout(DEADLINE, asking).await.map_err(|_| Unasked::Late(DEADLINE))??;
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

    /// Says in the log once that somebody cannot ask, and once that all can again.
    fn tell(&self) {
        let Standing { address, connections, workers, why, .. } = self.standing();
        match (connections == workers, why) {
            (true, _) if self.is_told.swap(false, Relaxed) => {
                tracing::info!(redis = address, "Redis counts again what limits share");
            }
            (false, Some(why)) if !self.is_told.swap(true, Relaxed) => {
                tracing::warn!(
                    redis = address,
                    %why,
                    "Redis does not count: limits that share their counts do as their failureMode says"
                );
            }
            (true | false, _) => {}
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.standing().fmt(f)
    }
}

impl Line {
    /// `open` is of no more use; one that came after it is.
    fn lose(&self, open: &Arc<MultiplexedConnection>, error: &Unasked) {
        let was = self.open.compare_and_swap(open, None);
        if was.as_ref().is_some_and(|was| Arc::ptr_eq(was, open)) {
            self.why.store(Some(Arc::new(error.to_string())));
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

/// What the script answers, said as what comes of counting here.
fn read(answer: &[String], charges: &[Charge]) -> Option<Vec<Take>> {
    let (seconds, micros) =
        (answer.first()?.parse::<u64>().ok()?, answer.get(1)?.parse::<u64>().ok()?);
    let takes = charges.iter().zip(answer.get(2..)?).map(|(charge, told)| {
        let (granted, was) = told.split_once(' ')?;
        let rate = charge.limit.rate();
        let micros = match rate {
            Rate::Window { .. } => micros - micros % 1_000,
            Rate::Bucket { .. } | Rate::Period { .. } => micros,
        };
        let now = seconds * 1_000_000_000 + micros * 1_000;
        let take = rate.take(state(rate, was), now).take;
        // It is Redis that counts.
        Some(Take { granted: granted == "1", ..take })
    });
    takes.collect()
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
    /// A tag of 32 bits above the time, in units of 16 ms, until which there is no room.
    places: Box<[AtomicU64]>,
}

/// Milliseconds that one unit of time has: of 32 bits they last for two years.
const UNIT: u64 = 16;

impl Default for UsedUp {
    fn default() -> Self {
        let places = std::iter::repeat_with(AtomicU64::default).take(USED_UP).collect();
        UsedUp { hasher: RandomState::new(), epoch: Instant::now(), places }
    }
}

impl UsedUp {
    /// What comes of a count that is known to be used up `now`.
    fn take(&self, charge: &Charge, now: Instant) -> Option<Take> {
        let (place, tag) = self.place(charge);
        let kept = place.load(Relaxed);
        let until = (kept & u64::from(u32::MAX)) * UNIT;
        let wait =
            until.checked_sub(self.millis(now)).filter(|wait| *wait > 0 && kept >> 32 == tag)?;
        Some(Take::used_up(Duration::from_millis(wait)))
    }

    fn remember(&self, charge: &Charge, until: Instant) {
        let (place, tag) = self.place(charge);
        // Rounded down: nobody is refused for whom there is room.
        let until = (self.millis(until) / UNIT).min(u64::from(u32::MAX));
        place.store(tag << 32 | until, Relaxed);
    }

    fn forget(&self) {
        self.places.iter().for_each(|place| place.store(0, Relaxed));
    }

    /// Where a count is, and by what it is known there. One whose limit grants more or less is another.
    fn place(&self, Charge { limit, name }: &Charge) -> (&AtomicU64, u64) {
        let hash = self.hasher.hash_one((name, words(limit.rate())));
        (&self.places[hash as usize % USED_UP], hash >> 32)
    }

    fn millis(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.epoch).as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests;
