//! What limits have counted: each process by itself, or all that were told of the same Redis together.
//!
//! Counts of quotas, which hold in parts of the calendar, outlive the process in a file.
//! Counts that are shared are asked for behind those that are not: what a proxy refuses by itself asks nobody.
//! While Redis cannot be asked, each limit does as its `failureMode` says; nobody waits for longer than
//! [`shared::DEADLINE`], and as soon as one request waited so long, none.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};

use policy::limit::{Charge, Count, FailureMode, Limit, Take};
use table::Table;

use own::Own;
use quotas::Quotas;

pub(crate) use quotas::Keeper;
pub use redis::{Redis, RedisError};
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
    /// a file and this was not done before.
    ///
    /// # Errors
    /// If the file cannot be read, its folder not made, or no thread had.
    pub(crate) fn begin(&self) -> io::Result<Option<Keeper>> {
        let Some(file) = self.file.as_ref().filter(|_| self.quotas.get().is_none()) else {
            return Ok(None);
        };
        let quotas = Arc::new(Quotas::at(file)?);
        match self.quotas.set(Arc::clone(&quotas)) {
            Ok(()) => Keeper::start(quotas).map(Some),
            Err(_) => Ok(None),
        }
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
        let is_lost = |limit: &Limit| limit.is_quota() && (asks_nobody || limit.shared().is_none());
        if self.file.is_none()
            && let Some(limit) = find(&self.told.quotas, &is_lost)
        {
            tracing::warn!(%limit, "limits hold in a period and no --state is told: their counts end with this process");
        }
    }

    /// Counts one more in each of `charges`, up to the first that is used up and not only tried; then what was
    /// counted before it is given back. `None` where others have to be asked: then [`Counts::take_shared`] does it.
    pub(crate) fn take(&self, charges: &[Charge], now: impl FnOnce() -> Now) -> Option<Vec<Take>> {
        let asks = self.shared.is_some() && charges.iter().any(is_shared);
        (!asks).then(|| self.take_here(charges, now()))
    }

    /// The same where `worker` asks others for what is shared; those charges stand last.
    pub(crate) async fn take_shared(
        &self,
        charges: &[Charge],
        worker: usize,
        now: Now,
    ) -> Vec<Take> {
        let (here, there) = charges.split_at(charges.partition_point(|charge| !is_shared(charge)));
        let mut takes = self.take_here(here, now);
        if is_refused(here, &takes) {
            return takes;
        }
        let asked = match &self.shared {
            Some(shared) => shared.take(there, worker).await,
            None => None,
        };
        let more = match asked {
            Some(more) => more,
            None => self.take_unasked(there, now),
        };
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
            Some(FailureMode::Open) => Take::OPEN,
            Some(FailureMode::Closed) => Take::CLOSED,
            Some(FailureMode::Local) | None => self.take_one(charge, now),
        });
        if is_refused(charges, &takes) {
            self.give_back(charges, &takes, now);
        }
        takes
    }
}

fn is_shared(charge: &Charge) -> bool {
    charge.limit.shared().is_some()
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
