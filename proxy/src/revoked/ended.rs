//! What is over before its time: sessions that logged out, so that whoever kept a copy is nobody, and trips that came
//! back, each of which does so once.

use std::collections::{BTreeSet, HashMap};
use std::sync::{PoisonError, RwLock};

/// How many are remembered; of more, those that would have ended soonest are forgotten.
const MOST: usize = 100_000;

/// Each by its id, until it is over in any case.
#[derive(Debug, Default)]
pub(crate) struct Ended(RwLock<Known>);

#[derive(Debug, Default)]
struct Known {
    ends: HashMap<String, i64>,
    /// The same, the soonest first.
    order: BTreeSet<(i64, String)>,
}

impl Ended {
    /// Ends what is over at `end`; whether it had not been ended before.
    pub(crate) fn end(&self, id: String, end: i64, now: i64) -> bool {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.ends.contains_key(&id) {
            return false;
        }
        while let Some((first, _)) = known.order.first()
            && (*first <= now || known.order.len() >= MOST)
            && let Some((_, id)) = known.order.pop_first()
        {
            known.ends.remove(&id);
        }
        known.order.insert((end, id.clone()));
        known.ends.insert(id, end);
        true
    }

    /// All that are remembered, each with when it is over in any case.
    pub(crate) fn all(&self) -> Vec<(String, i64)> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.ends.iter().map(|(id, end)| (id.clone(), *end)).collect()
    }

    pub(crate) fn has(&self, id: &str) -> bool {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        !known.ends.is_empty() && known.ends.contains_key(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ended_is_remembered_until_it_is_over_and_of_too_many_the_last() {
        let ended = Ended::default();
        assert!(ended.end("a".to_owned(), 10, 0) && !ended.end("a".to_owned(), 10, 0));
        assert!(ended.has("a") && !ended.has("b"));
        assert!(ended.end("b".to_owned(), 20, 10));
        assert!(!ended.has("a") && ended.has("b"));
        for at in 0..MOST {
            ended.end(format!("c{at}"), 100, 10);
        }
        assert!(!ended.has("b") && ended.has("c0"));
        assert_eq!(ended.0.read().unwrap().ends.len(), MOST);
    }
}
