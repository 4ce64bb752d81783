//! Sessions that are being renewed: once for all requests that bring the same one, since a provider may take a
//! second question by what it has replaced for a theft (RFC 9700, section 4.14).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::session::Session;

/// How long what came of one is told to who brings the session of before.
const TOLD: Duration = Duration::from_secs(60);
/// How many are told of.
const MOST: usize = 10_000;

/// By the session's id.
#[derive(Debug, Default)]
pub(super) struct Renewals(Mutex<HashMap<String, (Instant, Arc<Slot>)>>);

/// Of one session; held while the provider is asked.
pub(super) type Slot = tokio::sync::Mutex<Renewal>;

/// What came of the last one, by what it was asked with.
#[derive(Debug, Default)]
pub(super) struct Renewal(Option<(Option<String>, Option<Session>)>);

impl Renewal {
    /// What came of it, where it was the same that was asked with.
    pub(super) fn of(&self, old: &Session) -> Option<Option<Session>> {
        let (asked, came) = self.0.as_ref()?;
        (*asked == old.refresh).then(|| came.clone())
    }

    pub(super) fn keep(&mut self, old: &Session, came: Option<Session>) {
        self.0 = Some((old.refresh.clone(), came));
    }
}

impl Renewals {
    /// Where it is told of a session; none where there is no room, and then it is not renewed.
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
