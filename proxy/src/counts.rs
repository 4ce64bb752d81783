//! What limits have counted: each process by itself, or all that were told of the same Redis together.
//!
//! Counts that are shared are asked for behind those that are not: what a proxy refuses by itself asks nobody.
//! While Redis cannot be asked, each limit does as its `failureMode` says; nobody waits for longer than
//! [`shared::DEADLINE`], and as soon as one request waited so long, none.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use policy::limit::{Charge, FailureMode, Take};
use table::Table;

use own::Own;

pub use redis::{Redis, RedisError};
pub(crate) use shared::{Shared, Standing};

#[cfg(test)]
mod fixture;
mod own;
mod redis;
mod shared;

/// What limits have counted.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    own: Own,
    shared: Option<Arc<Shared>>,
    /// Whether the log says that limits count here that are to be shared.
    is_told: AtomicBool,
}

impl Counts {
    /// Of a process of so many workers, which shares them by `redis`, if it was told of one.
    pub(crate) fn new(redis: Option<&Redis>, workers: usize) -> Self {
        let shared = redis.map(|redis| Arc::new(Shared::new(redis.clone(), workers)));
        Counts { shared, ..Counts::default() }
    }

    /// What is shared with others, where something is.
    pub(crate) fn shared(&self) -> Option<&Arc<Shared>> {
        self.shared.as_ref()
    }

    /// Says in the log, once, that limits of a table are to share their counts, where there is nobody to share with.
    pub(crate) fn look_at(&self, table: &Table) {
        if self.shared.is_some() || self.is_told.load(Relaxed) {
            return;
        }
        let mut limits = table.rules.iter().flat_map(|rule| rule.chain.limits());
        if let Some(limit) = limits.find(|limit| limit.shared().is_some()) {
            self.is_told.store(true, Relaxed);
            let limit = limit.reference();
            tracing::warn!(%limit, "limits are Shared and no --redis is told: this process counts by itself");
        }
    }

    /// Counts one more in each of `charges` at `now`, nanoseconds since the epoch of the process, up to the first
    /// that is used up and not only tried; then what was counted before it is given back. `None` where others have
    /// to be asked: then [`Counts::take_shared`] does it.
    pub(crate) fn take(&self, charges: &[Charge], now: u64) -> Option<Vec<Take>> {
        let asks = self.shared.is_some() && charges.iter().any(is_shared);
        (!asks).then(|| self.own.take(charges, now))
    }

    /// The same where `worker` asks others for what is shared; those charges stand last.
    pub(crate) async fn take_shared(
        &self,
        charges: &[Charge],
        worker: usize,
        now: u64,
    ) -> Vec<Take> {
        let (here, there) = charges.split_at(charges.partition_point(|charge| !is_shared(charge)));
        let mut takes = self.own.take(here, now);
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
            self.own.give_all_back(here, &takes, now);
        }
        takes.extend(more);
        takes
    }

    /// What comes of charges that are shared while nobody can be asked.
    fn take_unasked(&self, charges: &[Charge], now: u64) -> Vec<Take> {
        let takes = up_to_refusal(charges, |charge| match charge.limit.shared() {
            Some(FailureMode::Open) => Take::OPEN,
            Some(FailureMode::Closed) => Take::CLOSED,
            Some(FailureMode::Local) | None => self.own.take_one(charge, now),
        });
        if is_refused(charges, &takes) {
            self.own.give_all_back(charges, &takes, now);
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
