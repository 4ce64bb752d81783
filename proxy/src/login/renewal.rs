//! Sessions that are being renewed: once for all requests that bring the same one, and always by what the provider
//! gave last, since it may take a question by what it has replaced for a theft (RFC 9700, section 4.14).

use std::collections::HashMap;
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
pub(super) struct Renewals(Mutex<HashMap<String, (Instant, Arc<Slot>)>>);

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
        let (since, slot) = all.get(id)?;
        (since.elapsed() < TOLD).then(|| Arc::clone(slot))
    }

    /// Where it is told of a session from now on; none where there is no room, and then it is not renewed.
    pub(super) fn slot(&self, id: &str) -> Option<Arc<Slot>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((since, slot)) = all.get(id)
            && since.elapsed() < TOLD
        {
            return Some(Arc::clone(slot));
        }
        if all.len() >= MOST {
            all.retain(|_, (since, _)| since.elapsed() < TOLD);
        }
        if all.len() >= MOST {
            return None;
        }
        let slot = Arc::<Slot>::default();
        all.insert(id.to_owned(), (Instant::now(), Arc::clone(&slot)));
        Some(slot)
    }
}
