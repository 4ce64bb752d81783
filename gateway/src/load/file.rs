//! One file: what it holds in force, and what stands there now if that is not fit to be taken.

use std::collections::BTreeSet;
use std::time::Instant;

use model::{Document, Invalid, Key, Kind};

use super::foreign::Foreign;
use super::reading::Seen;

/// What a file gives to the configuration.
#[derive(Debug, Default)]
pub(super) struct File {
    /// What `good` was read from.
    pub(super) text: String,
    pub(super) good: Vec<Document>,
    /// Why the file as it is now is not taken, while `good` is an older reading or none.
    pub(super) broken: Vec<Invalid>,
    /// Since when that is so, however often it was edited meanwhile.
    pub(super) broken_since: Option<Instant>,
    /// What was not taken.
    refused: Option<Seen>,
}

impl File {
    /// A file at the start: whatever of it can be read counts, since nothing is in force yet.
    pub(super) fn first(seen: Seen, foreign: &Foreign) -> Self {
        match seen {
            Seen::Text(text) => File { good: foreign.read(&text), text, ..File::default() },
            unreadable @ Seen::Unreadable(_) => {
                let mut file = File::default();
                file.take(unreadable, None, foreign);
                file
            }
        }
    }

    /// One document of a file, as if it were alone there.
    pub(super) fn of(document: Document) -> Self {
        File { good: vec![document], ..File::default() }
    }

    /// Whether `seen` is what was last taken or refused.
    pub(super) fn is(&self, seen: &Seen) -> bool {
        match (&self.refused, seen) {
            (Some(refused), seen) => refused == seen,
            (None, Seen::Text(text)) => self.text == *text,
            (None, Seen::Unreadable(_)) => false,
        }
    }

    /// Puts `seen` in place of what was there, unless it is no whole file. `read` is what its text
    /// says, if that was found out already.
    pub(super) fn take(&mut self, seen: Seen, read: Option<Vec<Document>>, foreign: &Foreign) {
        self.broken = match &seen {
            Seen::Unreadable(why) => vec![whole(why)],
            Seen::Text(text) => {
                let read = read.unwrap_or_else(|| foreign.read(text));
                let broken = self.faults(text, &read);
                if broken.is_empty() {
                    self.good = read;
                }
                broken
            }
        };
        let instead = if self.good.is_empty() {
            " (nothing of this file is in force)"
        } else {
            " (what the file held before stays in force)"
        };
        self.broken.iter_mut().for_each(|fault| fault.reason.push_str(instead));
        match seen {
            Seen::Text(text) if self.broken.is_empty() => (self.text, self.refused) = (text, None),
            refused => self.refused = Some(refused),
        }
    }

    /// Why a new text cannot be taken as a whole.
    pub(super) fn faults(&self, text: &str, read: &[Document]) -> Vec<Invalid> {
        let lost = !keys(&self.good).is_subset(&keys(read));
        let torn = read.iter().filter(|document| match document.key {
            Some(_) => document.is_torn(),
            None => lost || hides_a_border(document),
        });
        let mut faults: Vec<_> =
            torn.filter_map(|document| document.result.clone().err()).flatten().collect();
        if text.trim().is_empty() && !self.good.is_empty() {
            faults.push(whole("the file is empty"));
        }
        faults
    }
}

/// The objects that some documents mean.
pub(super) fn keys(documents: &[Document]) -> BTreeSet<&Key> {
    documents.iter().filter_map(|document| document.key.as_ref()).collect()
}

/// Whether a document may be a policy that nobody can tell whom it protects: it does not parse, it
/// does not say what it is, or it is of our own group, or called as our policies are, and nothing
/// that we know.
pub(super) fn hides_a_border(document: &Document) -> bool {
    let Some(raw) = &document.raw else { return document.result.is_err() };
    let word = |field: &str| raw.get(field).and_then(|value| value.as_str());
    let (Some(version), Some(kind)) = (word("apiVersion"), word("kind")) else { return true };
    document.key.is_none() && (is_ours(version) || Kind::parse(kind).is_some_and(Kind::is_guard))
}

/// Our own group.
pub(super) const OURS: &str = "heddle.dev";

/// Whether an `apiVersion` is of our own group.
pub(super) fn is_ours(version: &str) -> bool {
    version.starts_with(OURS)
}

/// A fault of a file as a whole.
pub(super) fn whole(reason: &str) -> Invalid {
    Invalid { key: None, path: String::new(), line: None, reason: reason.to_owned(), nearest: None }
}
