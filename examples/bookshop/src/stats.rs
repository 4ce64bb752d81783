//! What a service has received: a total, and a count by path for the first paths it saw.
//!
//! Paths come from strangers, so both their number and their length are bounded; the rest is
//! counted together under `other`.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

/// How many paths are counted by name.
pub(crate) const MOST_PATHS: usize = 64;

/// The longest path that is counted by name.
pub(crate) const LONGEST_PATH: usize = 128;

/// The name of everything that is not counted by its own.
pub(crate) const OTHER: &str = "other";

/// Counts that many requests raise at once.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    counts: Mutex<Counts>,
}

/// The counts at one moment.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Counts {
    pub(crate) requests: u64,
    pub(crate) by_path: BTreeMap<String, u64>,
}

impl Stats {
    /// Counts one request.
    pub(crate) fn count(&self, path: &str) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.requests += 1;
        if let Some(count) = counts.by_path.get_mut(path) {
            *count += 1;
            return;
        }
        // Every key but `other` begins with a slash, so the two never meet.
        let named = counts.by_path.len() - usize::from(counts.by_path.contains_key(OTHER));
        let fits = named < MOST_PATHS && path.len() <= LONGEST_PATH && path.starts_with('/');
        *counts.by_path.entry(if fits { path } else { OTHER }.to_owned()).or_default() += 1;
    }

    /// A copy of the counts as they are.
    pub(crate) fn counts(&self) -> Counts {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
