//! Changes that were seen and must prove themselves before they count.
//!
//! A file may be read while it is being written.
//! So a change counts once it was the same in every look for [`STILL`]; and where objects come or go
//! by it, or lines, for [`GRACE`], because a writer that stalls at the border of two documents
//! leaves a text that reads well and protects less: a policy gone, a route without its own.
//!
//! Changes that were made together are taken together: one that is ready waits for those that are
//! not, though no longer than [`PATIENCE`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use model::Document;

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
                _ => Change::new(seen, &path, file, now),
            };
            if change.is_ready(now) {
                change.weigh(&path, file, foreign);
            }
            self.changes.insert(path, change);
        }
    }

    /// Takes out what counts by now.
    pub(super) fn ready(&mut self, now: Instant) -> BTreeMap<PathBuf, Change> {
        let all = self.changes.values().all(|change| change.is_ready(now));
        let patience = if all { Duration::ZERO } else { PATIENCE };
        let counts =
            |change: &Change| change.is_ready(now) && now.duration_since(change.since) >= patience;
        let changes = std::mem::take(&mut self.changes);
        let (ready, rest) = changes.into_iter().partition(|(_, change)| counts(change));
        self.changes = rest;
        ready
    }

    /// The files that are not as they were last taken.
    pub(super) fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        self.changes.keys()
    }

    /// What was last taken from files where something stands now that will not be taken.
    pub(super) fn torn<'f>(
        &'f self,
        held: &'f BTreeMap<PathBuf, File>,
        foreign: &'f Foreign,
    ) -> impl Iterator<Item = &'f File> {
        self.changes.iter().filter_map(move |(path, change)| {
            let file = held.get(path)?;
            let is_torn = match change.seen.as_ref()? {
                Seen::Unreadable(_) => true,
                Seen::Text(text) => !file.faults(text, &foreign.read(text)).is_empty(),
            };
            is_torn.then_some(file)
        })
    }

    /// When to look again, if something waits.
    pub(super) fn wait(&self, now: Instant) -> Option<Duration> {
        let waits = self.changes.values().map(|change| {
            let needs = if change.is_ready(now) { PATIENCE } else { change.needs };
            needs.saturating_sub(now.duration_since(change.since))
        });
        waits.min()
    }
}

impl Change {
    fn new(seen: Option<Seen>, path: &Path, file: Option<&File>, now: Instant) -> Self {
        let needs = if seen.is_some() { STILL } else { GRACE };
        if seen.is_none() && file.is_some_and(|file| !file.good.is_empty()) {
            tracing::warn!("{} is gone; what it held goes if it stays away", path.display());
        }
        Change { seen, read: None, since: now, needs }
    }

    fn is_ready(&self, now: Instant) -> bool {
        now.duration_since(self.since) >= self.needs
    }

    /// Looks, once, at what a text that lies still would do, and lengthens the wait if need be.
    fn weigh(&mut self, path: &Path, file: Option<&File>, foreign: &Foreign) {
        let (Some(Seen::Text(text)), None) = (&self.seen, &self.read) else { return };
        let none = File::default();
        let file = file.unwrap_or(&none);
        let read = self.read.insert(foreign.read(text));
        if !file.faults(text, read).is_empty() {
            // It will not be taken, so it takes nothing away and may be told at once.
            return;
        }
        let (before, after) = (keys(&file.good), keys(read));
        let lost: Vec<_> = before.difference(&after).map(ToString::to_string).collect();
        if !lost.is_empty() {
            let (path, lost) = (path.display(), lost.join(", "));
            tracing::warn!("{path} no longer holds {lost}, which goes if the file stays so");
        }
        let is_cut = text.len() < file.text.len() && file.text.starts_with(text.as_str());
        if before != after || is_cut || lines(text) < lines(&file.text) {
            self.needs = GRACE;
        }
    }
}

fn lines(text: &str) -> usize {
    text.bytes().filter(|byte| *byte == b'\n').count()
}
