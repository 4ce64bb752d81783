//! Keys of issuers that AuthnPolicies name by URL: fetched here, kept in the store, and told to nodes in the place of
//! the URL.
//!
//! ```text
//! named ── at once, then each 5 min ──> fetched ──> kept ──> told
//!                └─ in vain: after 20 s, 40 s ... 5 min; those of before stay for a day
//! ```
//!
//! All servers over one store take turns, and tell what is in it: so a server that begins has keys before it asked
//! anybody, and no two gateways believe different ones for long.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use model::{Kind, Resource, Scope};
use policy::jwt::PublishedKeys;
use store::key_set::KeySet;
use tokio::sync::{Mutex, watch};
use tokio::task::{self, JoinSet};

use crate::clock::Clock;
use crate::moment::micros;
use crate::refusal::Refusal;
use crate::{App, World};
use outward::{Client, Reach};

/// How often it is looked whether something is due.
const LOOK: Duration = Duration::from_secs(1);
/// How often keys are fetched: an issuer publishes a new one for longer before it signs by it.
const EVERY: Duration = Duration::from_secs(5 * 60);
/// How long after they were sought in vain they are sought again, doubled each time up to [`EVERY`]; longer than one
/// try takes.
const AGAIN: Duration = Duration::from_secs(20);
/// How long they hold after they were fetched last: what an issuer took back must not be believed for as long as
/// somebody keeps us from hearing of it. Also how long what nothing names is remembered.
const LASTS: Duration = Duration::from_secs(24 * 3600);
/// What is noted further ahead than this was noted by a clock that was wrong.
const AHEAD: Duration = Duration::from_secs(3600);
/// How many are remembered that nothing names any more, for who takes a change back.
const LEFT: usize = 64;
/// How many are fetched at once.
const AT_ONCE: usize = 32;
/// How many of them for one workspace: slow answers to one owner hold up no other.
const OF_ONE: usize = 4;

/// Keys that hold, by the URL where they lie; each with when it was fetched.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Known(BTreeMap<String, (i64, Arc<str>)>);

impl Known {
    /// The text of a JWK Set, if there is one that holds.
    pub fn keys(&self, url: &str) -> Option<&str> {
        self.0.get(url).map(|(_, keys)| &**keys)
    }

    /// With one of them.
    #[cfg(test)]
    pub(crate) fn one(url: &str, keys: &str) -> Self {
        Known(BTreeMap::from([(url.to_owned(), (0, keys.into()))]))
    }
}

/// Whether keys that were fetched then are still believed.
fn lasts(fetched: i64, now: i64) -> bool {
    now < fetched.saturating_add(micros_of(LASTS)) && fetched <= ahead(now)
}

/// Whether there are keys that are still believed.
pub(crate) fn holds(row: &KeySet, now: i64) -> bool {
    row.fetched.is_some_and(|fetched| lasts(fetched, now))
}

/// When keys are sought next.
pub(crate) fn next(row: &KeySet) -> i64 {
    let pause = match u32::try_from(row.failures) {
        Ok(0) if row.fetched == Some(row.tried) => EVERY,
        // Somebody is at it, or went away meanwhile.
        Ok(0) => AGAIN,
        Ok(times) => AGAIN.saturating_mul(1 << (times - 1).min(8)).min(EVERY),
        Err(_) => EVERY,
    };
    row.tried.saturating_add(micros_of(pause))
}

/// Whether it is time to seek them.
fn is_due(row: &KeySet, now: i64) -> bool {
    next(row) <= now || row.tried > ahead(now)
}

/// The last time that is believed to be noted by a clock that is right.
pub(crate) fn ahead(now: i64) -> i64 {
    now.saturating_add(micros_of(AHEAD))
}

/// Those rows that are to be forgotten: which nothing names, and that are a day old or not among the newest of these.
fn over(
    held: &[KeySet],
    is_named: impl Fn(&str) -> bool,
    now: i64,
) -> impl Iterator<Item = &KeySet> {
    let mut left: Vec<_> = held.iter().filter(|row| !is_named(&row.url)).collect();
    left.sort_by_key(|row| std::cmp::Reverse(row.tried));
    let old = now.saturating_sub(micros_of(LASTS));
    left.into_iter()
        .enumerate()
        .filter(move |(at, row)| *at >= LEFT || row.tried < old)
        .map(|(_, row)| row)
}

fn micros_of(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

/// Where the AuthnPolicies of a world have keys fetched, and for whom.
fn named(world: &World) -> BTreeMap<String, BTreeSet<Scope>> {
    let mut named = BTreeMap::<_, BTreeSet<_>>::new();
    for (key, object) in world.of_kind(Kind::AuthnPolicy) {
        let Resource::AuthnPolicy(policy) = &object.resource else { continue };
        for (_, url) in policy.key_urls() {
            let scope = world.directory.scope(&key.namespace);
            named.entry(url.to_owned()).or_default().insert(scope);
        }
    }
    named
}

/// Has keys fetched, and knows those of now.
#[derive(Debug)]
pub(crate) struct Keeper {
    app: Arc<App>,
    clock: Clock,
    client: Client,
    reach: Reach,
    known: watch::Sender<Arc<Known>>,
    taking: Mutex<()>,
}

/// What is being fetched.
#[derive(Debug, Default)]
struct Fetching {
    tasks: JoinSet<()>,
    /// By which task and for whom, by URL.
    under_way: BTreeMap<String, (task::Id, Scope)>,
}

impl Fetching {
    /// Forgets those that have ended.
    fn settle(&mut self) {
        while let Some(ended) = self.tasks.try_join_next_with_id() {
            let id = ended.map_or_else(|error| error.id(), |(id, ())| id);
            self.under_way.retain(|_, (task, _)| *task != id);
        }
    }

    /// Whether one more may begin for this workspace.
    fn has_room(&self, scope: &Scope) -> bool {
        let of_one = self.under_way.values().filter(|(_, one)| one == scope).count();
        self.under_way.len() < AT_ONCE && of_one < OF_ONE
    }
}

impl Keeper {
    pub(crate) fn new(app: Arc<App>, clock: Clock, reach: Reach) -> Self {
        let (known, _) = watch::channel(Arc::default());
        let (client, taking) = (Client::new(), Mutex::default());
        Keeper { app, clock, client, reach, known, taking }
    }

    /// The keys of now.
    pub(crate) fn known(&self) -> watch::Receiver<Arc<Known>> {
        self.known.subscribe()
    }

    /// Fetches what is due until `leaving` says true; what is being written then is written.
    pub(crate) async fn follow(self: Arc<Self>, mut leaving: watch::Receiver<bool>) {
        let mut fetching = Fetching::default();
        let mut told = String::new();
        loop {
            match self.look(&mut fetching, &leaving).await {
                Ok(()) => told.clear(),
                Err(error) => {
                    self.expire();
                    let why = error.to_string();
                    if told != why {
                        let cause = std::error::Error::source(&error).map(ToString::to_string);
                        tracing::warn!(
                            cause,
                            "{why}; gateways go on with the keys of issuers of before"
                        );
                        told = why;
                    }
                }
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                _ = leaving.wait_for(|leaves| *leaves) => break,
            }
        }
        while fetching.tasks.join_next().await.is_some() {}
    }

    /// Takes what there is, and begins to fetch what is due.
    async fn look(
        self: &Arc<Self>,
        fetching: &mut Fetching,
        leaving: &watch::Receiver<bool>,
    ) -> Result<(), Refusal> {
        fetching.settle();
        let held = self.take().await?;
        // Later than the list, so that nothing in it is of a policy that is not known yet.
        let (world, now) = (self.app.world().await?, micros(self.clock.now()));
        let named = named(&world);
        let rows: BTreeMap<_, _> = held.iter().map(|row| (row.url.as_str(), row)).collect();
        let row = |url: &str| rows.get(url).copied();
        let due = |url: &str| row(url).is_none_or(|row| is_due(row, now));
        let mut due: Vec<_> = named.iter().filter(|(url, _)| due(url)).collect();
        // Who waits longest comes first, and before them who never had a turn.
        due.sort_by_key(|(url, _)| row(url).map_or(i64::MIN, next));
        let mut failed = Ok(());
        for (url, scopes) in due {
            if *leaving.borrow() {
                return Ok(());
            }
            if fetching.under_way.contains_key(url) {
                continue;
            }
            let Some(scope) = scopes.iter().find(|scope| fetching.has_room(scope)) else {
                continue;
            };
            let (before, fault) = row(url).map(|row| (row.tried, row.fault.clone())).unzip();
            match self.app.store().key_set_turn(url, before, now).await {
                Ok(true) => {
                    let turn = Turn { url: url.clone(), at: now, fault: fault.flatten() };
                    let task = Arc::clone(self).fetch(turn, leaving.clone());
                    let task = fetching.tasks.spawn(task).id();
                    fetching.under_way.insert(url.clone(), (task, scope.clone()));
                }
                Ok(false) => {}
                // The others are to be had all the same.
                Err(error) => failed = Err(error.into()),
            }
        }
        for row in over(&held, |url| named.contains_key(url), now).take(AT_ONCE) {
            if *leaving.borrow() {
                return Ok(());
            }
            self.app.store().key_set_forget(&row.url, row.tried).await?;
        }
        failed
    }

    /// Takes what holds; what is known already is not read again.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub(crate) async fn take(&self) -> Result<Vec<KeySet>, Refusal> {
        // One at a time, so that who read first does not have the last word.
        let _one = self.taking.lock().await;
        let held = self.app.store().key_set_list().await?;
        let now = micros(self.clock.now());
        let before = Arc::clone(&self.known.borrow());
        let mut known = BTreeMap::new();
        for row in held.iter().filter(|row| holds(row, now)) {
            let Some(fetched) = row.fetched else { continue };
            let same = before.0.get(&row.url).filter(|(since, _)| *since == fetched);
            let keys = match same {
                Some((_, keys)) => Some(Arc::clone(keys)),
                None => self.app.store().key_set_keys(&row.url).await?.map(Arc::from),
            };
            known.extend(keys.map(|keys| (row.url.clone(), (fetched, keys))));
        }
        self.hold(&before, known);
        Ok(held)
    }

    /// Lets go what holds no more, where nobody can be asked what there is.
    fn expire(&self) {
        let (before, now) = (Arc::clone(&self.known.borrow()), micros(self.clock.now()));
        let lasting = before.0.iter().filter(|(_, (fetched, _))| lasts(*fetched, now));
        let known = lasting.map(|(url, keys)| (url.clone(), keys.clone())).collect();
        self.hold(&before, known);
    }

    fn hold(&self, before: &Known, known: BTreeMap<String, (i64, Arc<str>)>) {
        if before.0 != known {
            self.known.send_replace(Arc::new(Known(known)));
        }
    }

    /// Fetches one set and keeps it, or why it is not to be had.
    async fn fetch(self: Arc<Self>, turn: Turn, mut leaving: watch::Receiver<bool>) {
        let Turn { url, at, fault: before } = turn;
        let fetched = tokio::select! {
            fetched = self.read(&url) => fetched,
            _ = leaving.wait_for(|leaves| *leaves) => return,
        };
        let store = self.app.store();
        let kept = match fetched {
            Ok(keys) => {
                if before.is_some() {
                    tracing::info!("keys of an issuer are to be had again at {url}");
                }
                store.key_set_keep(&url, &keys.text, at).await
            }
            Err(Fault { told, cause }) => {
                if before.as_ref() != Some(&told) {
                    tracing::warn!(cause, "keys of an issuer are not to be had: {told}");
                }
                store.key_set_fail(&url, &told, at).await
            }
        };
        if let Err(error) = kept {
            tracing::warn!(%error, "keys of an issuer could not be kept; they are fetched again");
        }
    }

    /// What is published there.
    async fn read(&self, url: &str) -> Result<PublishedKeys, Fault> {
        let told = |told| Fault { told, cause: None };
        let uri: Uri = url.parse().map_err(|_| told(format!("'{url}' is no URL")))?;
        let answer = self.client.fetch(&uri, &self.reach).await;
        let answer = answer.map_err(|error| Fault {
            told: error.to_string(),
            cause: std::error::Error::source(&error).map(ToString::to_string),
        })?;
        PublishedKeys::read(&answer).map_err(|wrong| told(format!("what lies at {url} {wrong}")))
    }
}

/// One try to fetch a set.
#[derive(Debug)]
struct Turn {
    url: String,
    /// When it began, by which it is known in the store.
    at: i64,
    /// What was wrong the last time.
    fault: Option<String>,
}

/// Why keys are not to be had.
#[derive(Debug)]
struct Fault {
    /// For who may read the policies.
    told: String,
    /// For the log alone: it may tell of a network that they do not see.
    cause: Option<String>,
}

#[cfg(test)]
mod tests;
