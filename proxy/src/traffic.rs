//! Who asks for what, how it ends and how long it takes, counted for the server: by side, rule,
//! backend and caller.
//!
//! ```text
//! attach:   table -> Seen { place of a rule -> its series, found so far }
//! request:  Seen[rule] -> the series of this backend and caller -> shards[worker] += 1
//! a second: config thread takes what was counted, and leaves nothing
//! ```
//!
//! The first request of a kind under a table takes the lock of the registry; every later one walks
//! the few series of its rule, and neither locks nor allocates.
//! What is counted while the server is away stays here until it is taken: there are only so many
//! series, and whoever comes when they are full counts among the `others`.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use model::identity::Peer;
use policy::{Principal, Reason};
use table::{Rule, Table};
use wire::{Caller, OUTCOMES, Outcome, Side};

use crate::record::Record;

mod series;

use series::Series;

/// A process has so many series, and the `others` of each side besides.
const SERIES: usize = 2_000;
/// Callers and backends of one rule that are told apart.
const OF_A_RULE: usize = 64;

/// All that is counted in a process.
#[derive(Debug)]
pub(crate) struct Traffic {
    workers: usize,
    /// Taken when a kind of requests is new to a table, and once a second.
    series: Mutex<HashMap<Label, Arc<Series>>>,
    /// Requests that were counted among the others.
    folded: AtomicU64,
    /// Requests that the server would not take.
    lost: AtomicU64,
}

/// What tells series apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Label {
    side: Side,
    rule: Option<(model::Key, Arc<str>)>,
    backend: Option<Arc<str>>,
    caller: Option<Caller>,
}

/// The series that the requests of one table were found to belong to.
#[derive(Debug)]
pub(crate) struct Seen {
    traffic: Arc<Traffic>,
    /// Who asks when the application beside us does.
    own: Option<Arc<Peer>>,
    /// By the place of the rule; the last is for what no rule was found for.
    rules: Box<[Link]>,
}

/// A chain that only grows.
type Link = OnceLock<Box<Entry>>;

#[derive(Debug)]
struct Entry {
    side: Side,
    backend: Option<Arc<str>>,
    who: Who,
    series: Arc<Series>,
    next: Link,
}

/// Who asks, as a request knows it.
#[derive(Debug, Clone)]
enum Who {
    Nobody,
    Peer(Arc<Peer>),
    Proved(Arc<Principal>),
    Others,
}

impl Traffic {
    pub(crate) fn new(workers: usize) -> Self {
        let (folded, lost) = (AtomicU64::new(0), AtomicU64::new(0));
        Traffic { workers, series: Mutex::default(), folded, lost }
    }

    /// For the requests of a table.
    pub(crate) fn attach(self: &Arc<Self>, table: &Table) -> Seen {
        let own = table.inbound.as_ref().map(|inbound| Arc::new(inbound.peer.clone()));
        let rules = (0..=table.rules.len()).map(|_| Link::new()).collect();
        Seen { traffic: Arc::clone(self), own, rules }
    }

    /// What was counted since it was last taken; series that no table leads to any more are let go.
    pub(crate) fn take(&self) -> Vec<wire::Series> {
        let mut taken = Vec::new();
        self.registry().retain(|label, series| {
            // Before its counts, so that nobody counts what is then dropped.
            let is_held = Arc::strong_count(series) > 1;
            match series.take() {
                Some((outcomes, latency)) => {
                    if label.caller == Some(Caller::Others) {
                        self.folded.fetch_add(outcomes.iter().sum(), Relaxed);
                    }
                    taken.push(label.told(outcomes, latency));
                    true
                }
                None => is_held,
            }
        });
        taken
    }

    /// How many requests were told among the others for want of room.
    pub(crate) fn folded(&self) -> u64 {
        self.folded.load(Relaxed)
    }

    /// So many requests will never be told.
    pub(crate) fn lose(&self, count: u64) {
        self.lost.fetch_add(count, Relaxed);
    }

    /// How many requests will never be told.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Relaxed)
    }

    /// The series of a label, or of its side's others where there is no room for it.
    fn series(&self, label: Label) -> Arc<Series> {
        let mut all = self.registry();
        let has_room = all.len() < SERIES || all.contains_key(&label);
        let label = if has_room { label } else { Label::others(label.side) };
        let made = || Arc::new(Series::new(self.workers));
        Arc::clone(all.entry(label).or_insert_with(made))
    }

    fn registry(&self) -> MutexGuard<'_, HashMap<Label, Arc<Series>>> {
        // Whatever panicked held counts only; they are as good as before.
        self.series.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Label {
    fn others(side: Side) -> Self {
        Label { side, rule: None, backend: None, caller: Some(Caller::Others) }
    }

    fn told(&self, outcomes: [u64; OUTCOMES], latency: wire::Sketch) -> wire::Series {
        wire::Series {
            side: self.side,
            route: self.rule.as_ref().map(|(route, _)| wire::Key::from(route)),
            rule: self.rule.as_ref().map(|(_, rule)| rule.to_string()),
            backend: self.backend.as_deref().map(str::to_owned),
            caller: self.caller.clone(),
            outcomes,
            latency,
        }
    }
}

impl Seen {
    /// Counts an exchange of this table.
    pub(crate) fn count(&self, record: &Record, took: Duration) {
        let nowhere = self.rules.len() - 1;
        let place = record.rule.as_ref().map_or(nowhere, |(place, _)| *place);
        let Some(first) = self.rules.get(place) else { return };
        let own = self.own.as_ref().filter(|_| record.side == Side::Outbound);
        let asks = Asks {
            side: record.side,
            backend: record.backend.as_ref(),
            peer: record.from.as_ref().or(own),
            principal: record.principal.as_ref(),
        };
        let outcome = outcome(record.reason, record.ended_as());
        let took = record.backend.as_ref().map(|_| took);
        let rule = record.rule.as_ref().map(|(_, rule)| &**rule);
        let series = asks.found(first).unwrap_or_else(|| self.first(first, &asks, rule));
        series.count(record.worker, outcome, took);
    }

    /// The series of the first request of its kind.
    #[cold]
    fn first<'s>(&'s self, mut at: &'s Link, asks: &Asks<'_>, rule: Option<&Rule>) -> &'s Series {
        let mut who = asks.who();
        for length in 0.. {
            if length == OF_A_RULE {
                who = Who::Others;
            }
            let entry = at.get_or_init(|| {
                let label = Label {
                    side: asks.side,
                    rule: rule.map(|rule| (rule.route.clone(), Arc::clone(&rule.label))),
                    backend: asks.backend.cloned(),
                    caller: who.caller(),
                };
                let series = self.traffic.series(label);
                let (side, backend) = (asks.side, asks.backend.cloned());
                Box::new(Entry { side, backend, who: who.clone(), series, next: Link::new() })
            });
            // Another worker may have put its own here.
            let is_others = matches!((&entry.who, &who), (Who::Others, Who::Others));
            if asks.is_at(entry) || (is_others && asks.goes_with(entry)) {
                return &entry.series;
            }
            at = &entry.next;
        }
        unreachable!("a chain has an end")
    }
}

/// What of a request says in which series it counts.
struct Asks<'r> {
    side: Side,
    backend: Option<&'r Arc<str>>,
    peer: Option<&'r Arc<Peer>>,
    principal: Option<&'r Arc<Principal>>,
}

impl Asks<'_> {
    /// The series that is known for it; beyond so many, that of its others.
    fn found<'s>(&self, mut at: &'s Link) -> Option<&'s Series> {
        let mut length = 0;
        while let Some(entry) = at.get() {
            if self.is_at(entry) || (length >= OF_A_RULE && self.goes_with(entry)) {
                return Some(&entry.series);
            }
            at = &entry.next;
            length += 1;
        }
        None
    }

    fn is_at(&self, entry: &Entry) -> bool {
        self.goes_with(entry)
            && match (&entry.who, self.peer, self.principal) {
                (Who::Nobody, None, None) => true,
                (Who::Peer(known), Some(peer), _) => Arc::ptr_eq(known, peer) || known == peer,
                (Who::Proved(known), None, Some(other)) => {
                    Arc::ptr_eq(known, other) || is_alike(known, other)
                }
                (Who::Nobody | Who::Peer(_) | Who::Proved(_) | Who::Others, _, _) => false,
            }
    }

    fn goes_with(&self, entry: &Entry) -> bool {
        let is_same = match (&entry.backend, self.backend) {
            (None, None) => true,
            // Within a table each has one name.
            (Some(one), Some(other)) => Arc::ptr_eq(one, other) || one == other,
            (None, Some(_)) | (Some(_), None) => false,
        };
        is_same && entry.side == self.side
    }

    fn who(&self) -> Who {
        match (self.peer, self.principal) {
            (Some(peer), _) => Who::Peer(Arc::clone(peer)),
            (None, Some(principal)) => Who::Proved(Arc::clone(principal)),
            (None, None) => Who::Nobody,
        }
    }
}

impl Who {
    fn caller(&self) -> Option<Caller> {
        match self {
            Who::Nobody => None,
            Who::Peer(peer) => Some(Caller::Peer(Peer::clone(peer))),
            Who::Proved(principal) => Some(match &**principal {
                Principal::Consumer { namespace, name } => {
                    Caller::Consumer { namespace: namespace.clone(), name: name.clone() }
                }
                Principal::ApiKey { name } => Caller::ApiKey(name.clone()),
                Principal::Jwt { issuer, .. } => Caller::Issuer(issuer.clone()),
            }),
            Who::Others => Some(Caller::Others),
        }
    }
}

/// Whether two count as one: of a token counts who signed it, and not whom it is about.
fn is_alike(one: &Principal, other: &Principal) -> bool {
    match (one, other) {
        (Principal::Consumer { .. }, Principal::Consumer { .. }) => one == other,
        (Principal::ApiKey { name }, Principal::ApiKey { name: other }) => name == other,
        (Principal::Jwt { issuer, .. }, Principal::Jwt { issuer: other, .. }) => issuer == other,
        (Principal::Consumer { .. } | Principal::ApiKey { .. } | Principal::Jwt { .. }, _) => false,
    }
}

/// What a request's end means.
fn outcome(reason: Reason, status: Option<u16>) -> Outcome {
    use Reason::{ClientGone, Ok, Preflight, Redirected};
    match (reason, status) {
        (ClientGone, _) | (Ok | Redirected | Preflight, None) => Outcome::Gone,
        (Ok | Redirected | Preflight, Some(500..)) => Outcome::BackendError,
        (Ok | Redirected | Preflight, Some(400..)) => Outcome::ClientError,
        (Ok | Redirected | Preflight, Some(_)) => Outcome::Ok,
        (reason, _) if reason.is_denial() => Outcome::Denied,
        (reason, _) if reason.status().is_server_error() => Outcome::Failed,
        _ => Outcome::ClientError,
    }
}

#[cfg(test)]
mod tests;
