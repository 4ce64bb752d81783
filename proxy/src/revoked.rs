//! Who is shut out before their credentials end, as the server told it, and which browsers logged out: here, and at
//! other gateways.
//!
//! ```text
//! server ── Revoked, Ended ──> config thread ──> here ──> each request, passport and handshake
//! browser ── logs out ──> here ── End ──> server ──> other gateways
//! ```
//!
//! A process that has no server knows of those alone that logged out at it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use arc_swap::ArcSwapOption;
use model::revocation::Revocation;
use policy::Revoked as Out;
use tokio::sync::{Notify, watch};
use wire::EndedSession;

use crate::moment;

pub(crate) use ended::Ended;

mod ended;

/// So many that logged out here wait to be told; of more, the oldest are told to nobody.
const WAITING: usize = 100_000;

/// Whom a process lets in no more.
#[derive(Debug, Default)]
pub(crate) struct Revoked {
    /// Nobody is shut out where there is none.
    out: ArcSwapOption<Out>,
    /// Sessions that are over.
    pub(crate) sessions: Ended,
    /// Those of them that the server is to be told of, where there is one.
    waiting: Mutex<Waiting>,
    /// There are some.
    pub(crate) wake: Notify,
    /// Says "look again" when somebody else is shut out.
    news: watch::Sender<()>,
    /// The same when a browser logged out.
    logouts: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Waiting {
    /// Whether anybody takes them.
    is_told: bool,
    sessions: VecDeque<EndedSession>,
}

impl Revoked {
    /// Shuts these out from now on, and nobody else.
    pub(crate) fn shut_out(&self, told: &[Revocation]) {
        let out = (!told.is_empty()).then(|| Arc::new(Out::new(told)));
        self.out.store(out);
        self.news.send_replace(());
    }

    /// Who is shut out; none where nobody is.
    pub(crate) fn now(&self) -> Option<Arc<Out>> {
        self.out.load_full()
    }

    /// Whether a node is, by the id in its certificate.
    pub(crate) fn has_node(&self, id: Option<&str>, now: SystemTime) -> bool {
        let out = self.out.load();
        let Some(out) = out.as_ref() else { return false };
        id.is_some_and(|id| out.has_node(id, moment::signed(now)))
    }

    /// A browser logged out here.
    pub(crate) fn log_out(&self, session: String, until: i64, now: i64) {
        if !self.sessions.end(session.clone(), until, now) {
            return;
        }
        self.logouts.send_replace(());
        let mut waiting = self.waiting();
        if waiting.is_told {
            if waiting.sessions.len() >= WAITING {
                waiting.sessions.pop_front();
            }
            waiting.sessions.push_back(EndedSession { id: session, until });
            drop(waiting);
            self.wake.notify_one();
        }
    }

    /// Browsers logged out elsewhere.
    pub(crate) fn logged_out(&self, told: &[EndedSession], now: i64) {
        let ended = told.iter().filter(|one| self.sessions.end(one.id.clone(), one.until, now));
        if ended.count() > 0 {
            self.logouts.send_replace(());
        }
    }

    /// Has the server be told of these, too: it may not have heard of them from the process before.
    pub(crate) fn tell_again(&self, ended: Vec<EndedSession>) {
        let mut waiting = self.waiting();
        waiting.is_told = true;
        waiting.sessions.extend(ended);
    }

    /// Those that logged out here and wait to be told, at most so many; from now on they wait.
    pub(crate) fn take(&self, most: usize) -> Vec<EndedSession> {
        let mut waiting = self.waiting();
        waiting.is_told = true;
        let many = waiting.sessions.len().min(most);
        waiting.sessions.drain(..many).collect()
    }

    /// Wakes when somebody else is shut out.
    pub(crate) fn news(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }

    /// Wakes when a browser logged out.
    pub(crate) fn logouts(&self) -> watch::Receiver<()> {
        self.logouts.subscribe()
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
