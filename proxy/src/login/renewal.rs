//! Sessions that are being renewed: once for all requests that bring the same one, and always by what the provider
//! gave last, since it may take a question by what it has replaced for a theft (RFC 9700, section 4.14).

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::provider::Failed;
use super::session::Session;

/// How long what came of one is told to who brings the session of before.
const TOLD: Duration = Duration::from_secs(600);
/// How many are told of.
const MOST: usize = 10_000;
/// How long a provider is not asked again that said no.
const REFUSED: Duration = Duration::from_secs(60);
/// The same of one that could not be asked.
const UNREACHED: Duration = Duration::from_secs(5);

/// By the session's id.
#[derive(Debug, Default)]
pub(super) struct Renewals(Mutex<Slots>);

#[derive(Debug, Default)]
struct Slots {
    slots: HashMap<String, Arc<Slot>>,
    /// Since when there is each, the oldest first.
    order: VecDeque<(Instant, String)>,
}

/// Of one session; held while the provider is asked.
pub(super) type Slot = tokio::sync::Mutex<Renewal>;

/// What came of asking.
#[derive(Debug, Default)]
pub(super) struct Renewal {
    session: Option<Session>,
    /// Until when the provider is not asked again.
    rests: Option<Instant>,
}

impl Renewal {
    /// The newer one of what is known and what was brought.
    pub(super) fn newest(&self, brought: Session) -> Session {
        let known = self.session.as_ref().filter(|known| known.is_newer(&brought));
        known.cloned().unwrap_or(brought)
    }

    /// Whether the provider may be asked.
    pub(super) fn may_ask(&self) -> bool {
        self.rests.is_none_or(|until| until <= Instant::now())
    }

    pub(super) fn keep(&mut self, renewed: Session) {
        (self.session, self.rests) = (Some(renewed), None);
    }

    pub(super) fn fail(&mut self, why: &Failed) {
        let rest = match why {
            Failed::Refused(_) => REFUSED,
            Failed::Unreached(_) => UNREACHED,
        };
        self.rests = Some(Instant::now() + rest);
    }

    /// What was renewed last, if anything was.
    pub(super) fn known(&self) -> Option<Session> {
        self.session.clone()
    }
}

impl Renewals {
    /// Where it is told of a session that was asked for lately.
    pub(super) fn known(&self, id: &str) -> Option<Arc<Slot>> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.slots.get(id).cloned()
    }

    /// Where it is told of a session from now on.
    pub(super) fn slot(&self, id: &str) -> Arc<Slot> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Of too many the oldest are forgotten: who still brings what was replaced is asked for by that.
        while let Some((since, _)) = all.order.front()
            && (since.elapsed() >= TOLD || all.order.len() >= MOST)
            && let Some((_, id)) = all.order.pop_front()
        {
            all.slots.remove(&id);
        }
        if let Some(slot) = all.slots.get(id) {
            return Arc::clone(slot);
        }
        let slot = Arc::<Slot>::default();
        all.order.push_back((Instant::now(), id.to_owned()));
        all.slots.insert(id.to_owned(), Arc::clone(&slot));
        slot
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_was_renewed_is_told_for_a_while_and_of_too_many_the_last() {
        let renewals = Renewals::default();
        let first = renewals.slot("a");
        assert!(Arc::ptr_eq(&first, &renewals.slot("a")));
        assert!(renewals.known("a").is_some() && renewals.known("b").is_none());
        tokio::time::advance(TOLD).await;
        let second = renewals.slot("b");
        assert!(renewals.known("a").is_none());
        for at in 0..MOST - 1 {
            renewals.slot(&format!("c{at}"));
        }
        assert!(Arc::ptr_eq(&second, &renewals.known("b").unwrap()));
        renewals.slot("d");
        assert!(renewals.known("b").is_none() && renewals.known("c0").is_some());
        assert_eq!(renewals.0.lock().unwrap().slots.len(), MOST);
    }

    #[tokio::test(start_paused = true)]
    async fn a_provider_that_cannot_be_asked_is_asked_again_sooner_than_one_that_says_no() {
        let mut renewal = Renewal::default();
        renewal.fail(&Failed::Unreached(String::new()));
        assert!(!renewal.may_ask());
        tokio::time::advance(UNREACHED).await;
        assert!(renewal.may_ask());
        renewal.fail(&Failed::Refused(String::new()));
        tokio::time::advance(UNREACHED).await;
        assert!(!renewal.may_ask());
    }
}
