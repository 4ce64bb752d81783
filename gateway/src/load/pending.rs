//! Changes that were seen and must prove themselves before they count.
//!
//! A file may be read while it is being written.
//! So a change counts once it was the same in every look for [`STILL`]; and where objects come or go
//! by it, or lines, for [`GRACE`], because a writer that stalls at the border of two documents
//! leaves a text that reads well and protects less: a policy gone, a route without its own.
//!
//! Changes that were made together are taken together: one that is ready waits for those that are
//! not, though no longer than [`PATIENCE`].
//! And a policy that goes from one file while another, changed with it, cannot be read may have
//! moved there: it stays until that one can be read.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use model::{Document, Key, Kind};

use super::file::{File, keys};
use super::foreign::Foreign;
use super::reading::{Reading, Seen};
use super::{GRACE, PATIENCE, STILL};

/// The changes that wait.
#[derive(Debug, Default)]
pub(super) struct Pending {
    changes: BTreeMap<PathBuf, Change>,
}

/// How a file differs from what was last taken from it.
#[derive(Debug)]
pub(super) struct Change {
    /// `None` if the file is gone.
    pub(super) seen: Option<Seen>,
    /// What it says, once that was looked at.
    pub(super) read: Option<Vec<Document>>,
    pub(super) since: Instant,
    needs: Duration,
    /// The policies that go by it.
    lost: BTreeSet<Key>,
    /// It will not be taken.
    is_broken: bool,
    /// What it takes away may stand in a file that cannot be read.
    is_held: bool,
}

impl Pending {
    /// Nothing can be seen any more: what waited begins anew.
    pub(super) fn clear(&mut self) {
        self.changes.clear();
    }

    /// Notes how the files differ from `held`.
    pub(super) fn note(
        &mut self,
        reading: Reading,
        held: &BTreeMap<PathBuf, File>,
        foreign: &Foreign,
        now: Instant,
    ) {
        let gone: Vec<_> = held.keys().filter(|path| !reading.contains_key(*path)).collect();
        let gone = gone.into_iter().map(|path| (path.clone(), None));
        let there = reading.into_iter().map(|(path, seen)| (path, Some(seen)));
        let mut before = std::mem::take(&mut self.changes);
        for (path, seen) in there.chain(gone) {
            let file = held.get(&path);
            if file.zip(seen.as_ref()).is_some_and(|(file, seen)| file.is(seen)) {
                continue;
            }
            let mut change = match before.remove(&path) {
                Some(change) if change.seen == seen => change,
                before => Change {
                    is_held: before.is_some_and(|before| before.is_held),
                    ..Change::new(seen, &path, file, now)
                },
            };
            if change.is_ready(now) {
                change.weigh(&path, file, foreign);
            }
            self.changes.insert(path, change);
        }
    }

    /// Takes out what counts by now.
    pub(super) fn ready(
        &mut self,
        held: &BTreeMap<PathBuf, File>,
        now: Instant,
    ) -> BTreeMap<PathBuf, Change> {
        self.hold(held, now);
        let mut waiting = self.changes.values().filter(|change| !change.waits_for_others(now));
        let all = waiting.all(|change| change.is_ready(now));
        let patience = if all { Duration::ZERO } else { PATIENCE };
        let counts = |change: &Change| {
            !change.is_held && change.is_ready(now) && now.duration_since(change.since) >= patience
        };
        let changes = std::mem::take(&mut self.changes);
        let (ready, rest) = changes.into_iter().partition(|(_, change)| counts(change));
        self.changes = rest;
        ready
    }

    /// Holds the changes by which policies go that may have moved into a file that cannot be read.
    fn hold(&mut self, files: &BTreeMap<PathBuf, File>, now: Instant) {
        let all = self.changes.iter().filter(|(_, change)| change.is_ready(now));
        let held =
            all.filter_map(|(path, change)| Some((path, self.torn_with(path, change, files)?)));
        let held: BTreeMap<_, _> = held.map(|(path, torn)| (path.clone(), torn.clone())).collect();
        for (path, change) in self.changes.iter_mut().filter(|(_, change)| change.is_ready(now)) {
            let was_held = std::mem::replace(&mut change.is_held, held.contains_key(path));
            if let Some(torn) = held.get(path).filter(|_| !was_held) {
                let lost: Vec<_> = change.lost.iter().map(ToString::to_string).collect();
                let (path, lost, torn) = (path.display(), lost.join(", "), torn.display());
                tracing::warn!(
                    "{path} no longer holds {lost}, and {torn}, which changed with it, cannot be \
                     read: the first stays in force as it was until the second is mended"
                );
            }
        }
    }

    /// The file that cannot be read and may hold a policy that goes by `change`.
    fn torn_with<'p>(
        &'p self,
        path: &Path,
        change: &Change,
        files: &'p BTreeMap<PathBuf, File>,
    ) -> Option<&'p PathBuf> {
        if change.lost.iter().all(|key| self.stands_elsewhere(key, path, files)) {
            return None;
        }
        let unchanged = files.iter().filter(|(path, _)| !self.changes.contains_key(*path));
        let broken = unchanged.filter_map(|(path, file)| Some((path, file.broken_since?)));
        let breaking = self.changes.iter().filter(|(_, change)| !change.is_readable());
        let torn = broken.chain(breaking.map(|(path, change)| (path, change.since)));
        let mut torn = torn.filter(|(other, _)| *other != path);
        let together = |since| change.is_held || apart(change.since, since) <= PATIENCE;
        torn.find(|(_, since)| together(*since)).map(|(path, _)| path)
    }

    /// Whether a file other than `path` holds the object.
    fn stands_elsewhere(&self, key: &Key, path: &Path, files: &BTreeMap<PathBuf, File>) -> bool {
        let changed = self.changes.iter().filter(|(_, change)| change.is_readable());
        let changed = changed.filter_map(|(path, change)| Some((path, change.read.as_ref()?)));
        let unchanged = files.iter().filter(|(path, _)| !self.changes.contains_key(*path));
        let all = changed.chain(unchanged.map(|(path, file)| (path, &file.good)));
        all.filter(|(other, _)| *other != path).any(|(_, held)| keys(held).contains(key))
    }

    /// When to look again, if something waits for time.
    pub(super) fn wait(&self, now: Instant) -> Option<Duration> {
        let waiting = self.changes.values().filter(|change| !change.waits_for_others(now));
        let waits = waiting.map(|change| {
            let needs = if change.is_ready(now) { PATIENCE } else { change.needs };
            needs.saturating_sub(now.duration_since(change.since))
        });
        waits.min()
    }
}

impl Change {
    fn new(seen: Option<Seen>, path: &Path, file: Option<&File>, now: Instant) -> Self {
        let needs = if seen.is_some() { STILL } else { GRACE };
        let mut lost = BTreeSet::new();
        if seen.is_none()
            && let Some(file) = file.filter(|file| !file.good.is_empty())
        {
            tracing::warn!("{} is gone; what it held goes if it stays away", path.display());
            lost = policies(keys(&file.good));
        }
        let is_broken = matches!(seen, Some(Seen::Unreadable(_)));
        Change { seen, read: None, since: now, needs, lost, is_broken, is_held: false }
    }

    fn is_ready(&self, now: Instant) -> bool {
        now.duration_since(self.since) >= self.needs
    }

    /// Its own time is over, and it is held.
    fn waits_for_others(&self, now: Instant) -> bool {
        self.is_held && self.is_ready(now)
    }

    /// Whether it is known what stands there now; of a text that goes on changing it is not.
    fn is_readable(&self) -> bool {
        !self.is_broken && (self.seen.is_none() || self.read.is_some())
    }

    /// Looks, once, at what a text that lies still would do, and lengthens the wait if need be.
    fn weigh(&mut self, path: &Path, file: Option<&File>, foreign: &Foreign) {
        let (Some(Seen::Text(text)), None) = (&self.seen, &self.read) else { return };
        let none = File::default();
        let file = file.unwrap_or(&none);
        let read = self.read.insert(foreign.read(text));
        if !file.faults(text, read).is_empty() {
            // It takes nothing away and may be told at once.
            self.is_broken = true;
            return;
        }
        let (before, after) = (keys(&file.good), keys(read));
        let lost: BTreeSet<_> = before.difference(&after).copied().collect();
        self.lost = policies(lost.iter().copied());
        if !lost.is_empty() {
            let lost: Vec<_> = lost.into_iter().map(ToString::to_string).collect();
            let (path, lost) = (path.display(), lost.join(", "));
            tracing::warn!("{path} no longer holds {lost}, which goes if the file stays so");
        }
        let is_cut = text.len() < file.text.len() && file.text.starts_with(text.as_str());
        if before != after || is_cut || lines(text) < lines(&file.text) {
            self.needs = GRACE;
        }
    }
}

/// Those of some objects that protect others.
fn policies<'k>(keys: impl IntoIterator<Item = &'k Key>) -> BTreeSet<Key> {
    keys.into_iter().filter(|key| key.kind == Kind::AccessPolicy).cloned().collect()
}

/// The time between two moments.
fn apart(one: Instant, other: Instant) -> Duration {
    one.duration_since(other).max(other.duration_since(one))
}

fn lines(text: &str) -> usize {
    text.bytes().filter(|byte| *byte == b'\n').count()
}
