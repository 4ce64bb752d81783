//! Sessions that ended before their time: whoever kept a copy of one is nobody.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

/// How many are remembered; of more, those that would have ended soonest are forgotten.
const MOST: usize = 100_000;

/// Each by its id, with when it is over in any case.
#[derive(Debug, Default)]
pub(super) struct Ended(RwLock<HashMap<String, i64>>);

impl Ended {
    /// Ends a session that is over at `end`.
    pub(super) fn end(&self, id: String, end: i64, now: i64) {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MOST {
            all.retain(|_, end| *end > now);
        }
        if all.len() >= MOST
            && let Some(soonest) = all.iter().min_by_key(|(_, end)| **end).map(|(id, _)| id.clone())
        {
            all.remove(&soonest);
        }
        all.insert(id, end);
    }

    pub(super) fn has(&self, id: &str) -> bool {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        !all.is_empty() && all.contains_key(id)
    }
}
