//! Who is shut out before their credentials end, and which browsers logged out, as nodes are told it.
//!
//! ```text
//! a person ── REST ──> revocations ──┐
//! a gateway ── End ──> ended_sessions ┴─ one number moves ──> Keeper ──> each stream, ahead of all else
//! ```
//!
//! Who is shut out is few, and told whole each time. Sessions are many, and each is told once on a stream.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::revocation::{Revocation, Whom};
use store::Store;
use tokio::sync::watch;
use wire::EndedSession;

use crate::clock::Clock;
use crate::moment::micros;

#[cfg(test)]
mod tests;

/// How often those go that are over, and how long after a failure it is looked again at most.
const ROUND: Duration = Duration::from_secs(60);
/// How long after a failure the store is asked again.
const AGAIN: Duration = Duration::from_secs(1);
/// Nodes take no more who are shut out.
const MOST: usize = 100_000;
/// Microseconds in a second.
pub(crate) const SECOND: i64 = 1_000_000;

/// Knows what nodes are told.
#[derive(Debug)]
pub(crate) struct Keeper {
    store: Store,
    clock: Clock,
    log: Mutex<Log>,
    /// The number of the last change that is known; none before the first look.
    news: watch::Sender<Option<i64>>,
}

#[derive(Debug, Default)]
struct Log {
    out: Arc<[Revocation]>,
    /// By cluster, in the order of the numbers.
    ended: BTreeMap<String, Vec<(i64, EndedSession)>>,
    /// Up to which number they are known.
    number: i64,
    /// At which number of the store it was looked last.
    looked: Option<i64>,
}

impl Keeper {
    pub(crate) fn new(store: Store, clock: Clock) -> Self {
        let (news, _) = watch::channel(None);
        Keeper { store, clock, log: Mutex::default(), news }
    }

    /// Wakes with each change.
    pub(crate) fn news(&self) -> watch::Receiver<Option<i64>> {
        self.news.subscribe()
    }

    /// Everybody who is shut out.
    pub(crate) fn out(&self) -> Arc<[Revocation]> {
        Arc::clone(&self.log().out)
    }

    /// The sessions that ended in a cluster behind a number, and up to which that is.
    pub(crate) fn ended(&self, cluster: &str, since: i64) -> (Vec<EndedSession>, i64) {
        let log = self.log();
        let all = log.ended.get(cluster).map_or(&[][..], Vec::as_slice);
        let behind = all.partition_point(|(number, _)| *number <= since);
        (all[behind..].iter().map(|(_, one)| one.clone()).collect(), log.number)
    }

    /// Follows changes until `leaving` says true, which breaks off no look.
    pub(crate) async fn follow(&self, mut leaving: watch::Receiver<bool>) {
        let mut changes = self.store.revocations();
        let mut told = String::new();
        loop {
            changes.mark_unchanged();
            let pause = match self.take().await {
                Ok(()) => {
                    told.clear();
                    ROUND
                }
                Err(error) => {
                    let why = error.to_string();
                    if told != why {
                        tracing::error!("nodes are not told who is shut out: {why}; trying again");
                        told = why;
                    }
                    AGAIN
                }
            };
            tokio::select! {
                Ok(()) = changes.changed() => {}
                () = tokio::time::sleep(pause) => {}
                _ = leaving.wait_for(|leaves| *leaves) => return,
            }
        }
    }

    /// Takes what there is now, unless that is known.
    ///
    /// # Errors
    /// [`store::Error`] if the database fails.
    pub(crate) async fn catch_up(&self) -> Result<(), store::Error> {
        let last = self.store.revocation_number().await?;
        if self.log().looked.is_some_and(|looked| looked >= last) {
            return Ok(());
        }
        self.take().await
    }

    /// Takes what there is now, and forgets what is over.
    ///
    /// # Errors
    /// [`store::Error`] if the database fails.
    pub(crate) async fn take(&self) -> Result<(), store::Error> {
        let since = self.log().number;
        let looked = self.store.revocation_number().await?;
        let now = micros(self.clock.now()).div_euclid(SECOND);
        let rows = self.store.revocation_list().await?;
        let mut out: Vec<_> = rows.iter().filter_map(read).filter(|one| one.holds(now)).collect();
        // A node that is told of more takes none of it.
        out.sort_by_key(|one| matches!(one.whom, Whom::Node { .. }));
        if out.len() > MOST {
            tracing::error!("{} are shut out; nodes are told of the first {MOST}", out.len());
            out.truncate(MOST);
        }
        let ended = self.store.ended_session_list(since).await?;
        let mut log = self.log();
        // Somebody else may have been further meanwhile.
        if log.looked.is_some_and(|other| other > looked) {
            return Ok(());
        }
        log.looked = Some(looked);
        let known = log.number;
        for (number, one) in ended.into_iter().filter(|(number, _)| *number > known) {
            let session = EndedSession { id: one.session, until: one.ends.div_euclid(SECOND) };
            log.ended.entry(one.cluster).or_default().push((number, session));
        }
        for all in log.ended.values_mut() {
            all.retain(|(_, one)| one.until > now);
        }
        let last = log.ended.values().filter_map(|all| Some(all.last()?.0)).max();
        let number = log.number.max(last.unwrap_or_default());
        let is_news = number > log.number || *log.out != *out || self.news.borrow().is_none();
        log.number = number;
        if *log.out != *out {
            log.out = out.into();
        }
        drop(log);
        if is_news {
            self.news.send_replace(Some(number));
        }
        Ok(())
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// As nodes are told it; none where another version wrote it in words that this one does not know.
pub(crate) fn read(row: &store::revocation::Revocation) -> Option<Revocation> {
    let whom = match serde_json::from_str(&row.whom) {
        Ok(whom) => whom,
        Err(error) => {
            tracing::error!(
                id = row.id,
                "a revocation cannot be read, and shuts nobody out: {error}"
            );
            return None;
        }
    };
    // Whoever is shut out is so to the end of the second.
    let until = row.ends.map(|ends| ends.div_euclid(SECOND) + 1);
    let before = row.proved_before.map(|before| before.div_euclid(SECOND));
    Some(Revocation { whom, before, until })
}
