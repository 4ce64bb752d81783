//! What limits have counted: each process by itself, or all that were told of the same Redis together.
//!
//! Counts of quotas, which hold in parts of the calendar, outlive the process in a file.
//! Counts that are shared are asked for behind those that are not: what a proxy refuses by itself asks nobody.
//! While Redis cannot be asked, each limit does as its `failureMode` says.
//! A question that was asked is brought to its end, whether its request waits for it or not.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};

use policy::limit::{Charge, Count, FailureMode, Limit, Take};
use table::Table;

use own::Own;
use quotas::Quotas;

pub(crate) use quotas::{Keeper, Keeping};
pub use redis::{Redis, RedisError};
use shared::Known;
pub(crate) use shared::{Shared, Standing};

#[cfg(test)]
mod fixture;
mod own;
mod quotas;
mod redis;
mod shared;

/// What limits have counted.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    own: Own,
    /// Begun when the process takes connections.
    quotas: OnceLock<Arc<Quotas>>,
    /// Where those are kept.
    file: Option<PathBuf>,
    shared: Option<Arc<Shared>>,
    /// What the log said already that may not be as it was meant.
    told: Told,
}

/// Whether the log says that limits are counted here that are to be shared, and quotas that are not kept.
#[derive(Debug, Default)]
struct Told {
    shared: AtomicBool,
    quotas: AtomicBool,
}

/// A moment, in nanoseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    /// Since the epoch of the process.
    pub(crate) steady: u64,
    /// Since 1970.
    pub(crate) wall: u64,
}

impl Counts {
    /// Of a process of so many workers, which shares them by `redis`, if it was told of one, and keeps quotas in
    /// `file`, if it has one.
    pub(crate) fn new(redis: Option<&Redis>, workers: usize, file: Option<&Path>) -> Self {
        let shared = redis.map(|redis| Arc::new(Shared::new(redis.clone(), workers)));
        Counts { shared, file: file.map(Path::to_owned), ..Counts::default() }
    }

    /// Goes on with what quotas had counted, before anything counts here; what keeps them from then on, if there is
    /// a file and this was not done before. Where that fails the log says why, and they are counted and not kept:
    /// nobody is refused for it.
    pub(crate) fn begin(&self) -> Option<Keeper> {
        let file = self.file.as_ref().filter(|_| self.quotas.get().is_none())?;
        let (quotas, keeper) = match Quotas::at(file) {
            Ok((quotas, keeper)) => (quotas, Some(keeper)),
            Err(error) => {
                let why = quotas::words(&error);
                tracing::error!(why, "what quotas count is not kept, and they begin anew");
                (Arc::new(Quotas::not_kept(why)), None)
            }
        };
        // Nothing counts yet, so nobody was before.
        let _first = self.quotas.set(quotas);
        keeper
    }

    /// How it stands with what quotas count, where there is a file for it.
    pub(crate) fn keeping(&self) -> Option<Keeping> {
        let why = self.quotas.get().and_then(|quotas| quotas.why());
        self.file.clone().map(|file| Keeping { file, why })
    }

    /// What is shared with others, where something is.
    pub(crate) fn shared(&self) -> Option<&Arc<Shared>> {
        self.shared.as_ref()
    }

    /// Says in the log, once each, that limits of a table are to share their counts, where there is nobody to share
    /// with, and that quotas end with the process.
    pub(crate) fn look_at(&self, table: &Table) {
        let find = |told: &AtomicBool, is_meant: &dyn Fn(&Limit) -> bool| {
            let mut limits = table.rules.iter().flat_map(|rule| rule.chain.limits());
            let limit =
                if told.load(Relaxed) { None } else { limits.find(|limit| is_meant(limit)) };
            limit.map(|limit| {
                told.store(true, Relaxed);
                limit.reference()
            })
        };
        let asks_nobody = self.shared.is_none();
        let is_shared = |limit: &Limit| asks_nobody && limit.shared().is_some();
        if let Some(limit) = find(&self.told.shared, &is_shared) {
            tracing::warn!(%limit, "limits are Shared and no --redis is told: this process counts by itself");
        }
        // Also of what is counted here only while nobody can be asked.
        let counts_here = |limit: &Limit| {
            asks_nobody || limit.shared().is_none_or(|mode| mode == FailureMode::Local)
        };
        let is_lost = |limit: &Limit| limit.is_quota() && counts_here(limit);
        if self.file.is_none()
            && let Some(limit) = find(&self.told.quotas, &is_lost)
        {
            tracing::warn!(%limit, "limits hold in a period and no --state is told: what is counted of them here ends with this process");
        }
    }

    /// Waits until every worker has tried to ask others, if there are any. Blocks.
    pub(crate) fn wait_tried(&self) {
        self.shared.iter().for_each(|shared| shared.wait_tried());
    }

    /// Counts one more in each of `charges` for a request of `worker`, up to the first that is used up and not only
    /// tried; then what was counted before it is given back. `None` where others have to be asked: then
    /// [`Counts::take_shared`] does it.
    pub(crate) fn take(
        &self,
        charges: &[Charge],
        worker: usize,
        now: impl FnOnce() -> Now,
    ) -> Option<Vec<Take>> {
        let (here, there) = split(charges);
        let Some(shared) = self.shared.as_ref().filter(|_| !there.is_empty()) else {
            return Some(self.take_here(charges, now()));
        };
        let asked = match shared.known(there, worker) {
            Known::Nothing => return None,
            Known::UsedUp(takes) => Some(takes),
            Known::Unreached => None,
        };
        let now = now();
        let takes = self.take_here(here, now);
        if asked.is_none() && !is_refused(here, &takes) {
            shared.unreached(worker);
        }
        Some(self.with(here, takes, there, asked, now))
    }

    /// The same where others are asked for what is shared.
    pub(crate) async fn take_shared(
        &self,
        charges: &[Charge],
        worker: usize,
        now: Now,
    ) -> Vec<Take> {
        let (here, there) = split(charges);
        let takes = self.take_here(here, now);
        if is_refused(here, &takes) {
            return takes;
        }
        let asked = match &self.shared {
            Some(shared) => shared.take(there, worker).await,
            None => None,
        };
        self.with(here, takes, there, asked, now)
    }

    /// What came of charges here, with what comes of those `there`, of which others said what they were asked.
    fn with(
        &self,
        here: &[Charge],
        mut takes: Vec<Take>,
        there: &[Charge],
        asked: Option<Vec<Take>>,
        now: Now,
    ) -> Vec<Take> {
        if is_refused(here, &takes) {
            return takes;
        }
        let more = asked.unwrap_or_else(|| self.take_unasked(there, now));
        if is_refused(there, &more) {
            self.give_back(here, &takes, now);
        }
        takes.extend(more);
        takes
    }

    fn take_here(&self, charges: &[Charge], now: Now) -> Vec<Take> {
        let takes = up_to_refusal(charges, |charge| self.take_one(charge, now));
        if is_refused(charges, &takes) {
            self.give_back(charges, &takes, now);
        }
        takes
    }

    fn take_one(&self, charge: &Charge, now: Now) -> Take {
        match charge.limit.is_quota() {
            true => self.quotas().own.take(charge, now.wall),
            false => self.own.take(charge, now.steady),
        }
    }

    /// Gives back whatever of `charges` came to count here.
    fn give_back(&self, charges: &[Charge], takes: &[Take], now: Now) {
        let counted = |take: &Take| take.granted && take.count == Count::Kept;
        for (charge, _) in charges.iter().zip(takes).filter(|(_, take)| counted(take)) {
            match charge.limit.is_quota() {
                true => self.quotas().own.give_back(charge, now.wall),
                false => self.own.give_back(charge, now.steady),
            }
        }
    }

    fn quotas(&self) -> &Quotas {
        self.quotas.get_or_init(Arc::default)
    }

    /// What comes of charges that are shared while nobody can be asked.
    fn take_unasked(&self, charges: &[Charge], now: Now) -> Vec<Take> {
        let takes = up_to_refusal(charges, |charge| match charge.limit.shared() {
            Some(FailureMode::Open) => Take::UNTOLD,
            Some(FailureMode::Closed) => Take::CLOSED,
            Some(FailureMode::Local) | None => self.take_one(charge, now),
        });
        if is_refused(charges, &takes) {
            self.give_back(charges, &takes, now);
        }
        takes
    }
}

/// Those that are counted here, and those that are shared, which stand behind them.
fn split(charges: &[Charge]) -> (&[Charge], &[Charge]) {
    charges.split_at(charges.partition_point(|charge| charge.limit.shared().is_none()))
}

/// What comes of each of `charges` up to the first that is used up and not only tried.
fn up_to_refusal(charges: &[Charge], mut take: impl FnMut(&Charge) -> Take) -> Vec<Take> {
    let mut takes = Vec::with_capacity(charges.len());
    for charge in charges {
        let taken = take(charge);
        takes.push(taken);
        if !taken.granted && !charge.limit.is_dry_run() {
            break;
        }
    }
    takes
}

/// Whether one of `charges` is used up and not only tried.
fn is_refused(charges: &[Charge], takes: &[Take]) -> bool {
    let mut all = charges.iter().zip(takes);
    all.any(|(charge, take)| !take.granted && !charge.limit.is_dry_run())
}

#[cfg(test)]
mod tests;
