//! The secrets by which gateways seal sessions, of TLS and of rules: another one each day.
//!
//! ```text
//! made: told, and opens ── a day ──> seals ── a day ──> opens ── a day ──> deleted
//! ```
//!
//! One is told a day before it seals, so that whatever a gateway seals by it, each other one opens. What
//! is stored is of the whole installation; a node is told only what is drawn of it for each Gateway that
//! it serves, by which nothing of another Gateway or cluster opens ([`drawn`]).

use std::sync::Arc;

use model::secret::SecretBytes;
use store::Store;
use store::session_secret::{SessionSecret, SessionSecretError, Step};
use time::Duration;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::moment::micros;

mod drawn;

#[cfg(test)]
mod tests;

pub(crate) use drawn::Ring;
pub use drawn::Served;

/// How long one seals, and how long it opens before that and after.
const DAY: Duration = Duration::hours(24);
/// One that somebody asked for is told for so long before it seals: every server sees it within a second.
const AHEAD: Duration = Duration::seconds(5);
/// How often it is looked whether there are others.
const LOOK: std::time::Duration = std::time::Duration::from_secs(1);

/// Why secrets are not to be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The store failed.
    #[error("the store of secrets of sessions failed")]
    Store(#[from] store::Error),
    /// One cannot be sealed or opened.
    #[error("a secret of sessions cannot be used")]
    Secret(#[from] SessionSecretError),
    /// The system gave no randomness.
    #[error("the system gave no randomness")]
    Chance,
}

/// What becomes of those of before when somebody asks for another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Others {
    /// They open for a day.
    Open,
    /// Nothing opens that they sealed.
    Forgotten,
}

/// What is to be done about the secrets that there are.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Due {
    /// The ids of those that are deleted.
    pub(crate) gone: Vec<String>,
    /// Since when those seal that are made.
    pub(crate) begins: Vec<i64>,
}

impl Due {
    /// What time asks for; `held` are in the order in which they seal.
    pub(crate) fn at(held: &[SessionSecret], now: i64) -> Self {
        let day = micros_of(DAY);
        // By a clock that was ahead one was made that would end all change until then.
        let real = held.partition_point(|one| one.begins <= now.saturating_add(2 * day));
        let (held, ahead) = held.split_at(real);
        // The next one may have begun while nobody told so; the one behind it was made by who did.
        let is_over = |three: &&[SessionSecret]| {
            three[1].begins.saturating_add(day) <= now && three[2].begins <= now
        };
        let over = held.windows(3).filter(is_over).map(|three| &three[0]);
        let gone = over.chain(ahead).map(|one| one.id.clone()).collect();
        let begins = match held.last() {
            // Nobody knows any, so that there is nothing to wait for.
            None => vec![now, now + day],
            Some(last) if last.begins <= now => vec![now + day],
            Some(_) => Vec::new(),
        };
        Due { gone, begins }
    }

    /// What somebody asks for: another one at once. Those of before open on for a day, unless they are to be
    /// forgotten, as when they may be known to somebody.
    pub(crate) fn by_hand(held: &[SessionSecret], now: i64, others: Others) -> Self {
        let is_gone = |one: &&SessionSecret| match others {
            Others::Open => one.begins > now,
            Others::Forgotten => true,
        };
        let begins = match others {
            Others::Open => now + micros_of(AHEAD),
            Others::Forgotten => now,
        };
        let gone = held.iter().filter(is_gone).map(|one| one.id.clone()).collect();
        Due { gone, begins: vec![begins] }
    }

    fn is_none(&self) -> bool {
        self.gone.is_empty() && self.begins.is_empty()
    }

    /// The secrets that are to be made.
    pub(crate) fn made(&self) -> Result<Vec<(SessionSecret, SecretBytes)>, Error> {
        let made = |begins: &i64| {
            let mut bytes = [0; wire::SECRET];
            aws_lc_rs::rand::fill(&mut bytes).map_err(|_| Error::Chance)?;
            let id = uuid::Uuid::now_v7().simple().to_string();
            Ok((SessionSecret { id, begins: *begins }, SecretBytes::new(bytes)))
        };
        self.begins.iter().map(made).collect()
    }
}

/// In the order in which they are used: the one that seals now, those that are to come, and those of before,
/// the newest first. The oldest are left out where there are more than a node takes.
fn ordered(held: &[SessionSecret], now: i64) -> Vec<&SessionSecret> {
    let (begun, coming): (Vec<_>, Vec<_>) = held.iter().partition(|one| one.begins <= now);
    let mut begun = begun.into_iter().rev();
    let seals = begun.next();
    seals.into_iter().chain(coming).chain(begun).take(wire::SECRETS).collect()
}

fn micros_of(time: Duration) -> i64 {
    i64::try_from(time.whole_microseconds()).unwrap_or(i64::MAX)
}

/// Has secrets follow each other, and knows those of now.
#[derive(Debug)]
pub(crate) struct Keeper {
    store: Store,
    clock: Clock,
    ring: watch::Sender<Option<Arc<Ring>>>,
}

impl Keeper {
    pub(crate) fn new(store: Store, clock: Clock) -> Self {
        let (ring, _) = watch::channel(None);
        Keeper { store, clock, ring }
    }

    /// The secrets of now; none before they were looked at first.
    pub(crate) fn ring(&self) -> watch::Receiver<Option<Arc<Ring>>> {
        self.ring.subscribe()
    }

    /// Looks at them until `leaving` says true, which breaks off no look.
    pub(crate) async fn follow(&self, mut leaving: watch::Receiver<bool>) {
        let mut told = String::new();
        loop {
            match self.look().await {
                Ok(()) => told.clear(),
                Err(error) => {
                    let why = error.to_string();
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    if told != why {
                        tracing::warn!(cause, "{why}; gateways go on with those of before");
                        told = why;
                    }
                }
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                _ = leaving.wait_for(|leaves| *leaves) => return,
            }
        }
    }

    /// Does what is due, and takes what there is then.
    pub(crate) async fn look(&self) -> Result<(), Error> {
        let now = micros(self.clock.now());
        let mut held = self.store.session_secret_list().await?;
        let due = Due::at(&held, now);
        if !due.is_none() {
            let step = Step { seen: &held, gone: &due.gone, new: &due.made()? };
            // If another server was quicker, it has done the same.
            self.store.session_secret_step(&step, None).await?;
            held = self.store.session_secret_list().await?;
        }
        self.take(&ordered(&held, now)).await
    }

    /// Takes these, of which it opens those that it does not have.
    async fn take(&self, ordered: &[&SessionSecret]) -> Result<(), Error> {
        let before = self.ring.borrow().clone();
        let mut opened = Vec::new();
        for one in ordered {
            let known = before.as_ref().and_then(|ring| ring.secret(&one.id)).cloned();
            let secret = match known {
                Some(known) => Ok(Some(known)),
                None => self.store.session_secret(&one.id).await.map_err(Error::from),
            };
            opened.push((one.id.clone(), secret));
        }
        self.hold(opened)
    }

    /// Has those that were opened, unless they are as they were. One that cannot be is left out, or those that
    /// are gone would open meanwhile; one that is gone by now is left out, too.
    ///
    /// # Errors
    /// The last of why one cannot be opened.
    fn hold(&self, opened: Vec<(String, Result<Option<SecretBytes>, Error>)>) -> Result<(), Error> {
        let (mut secrets, mut failed) = (Vec::new(), Ok(()));
        for (id, secret) in opened {
            match secret {
                Ok(secret) => secrets.extend(secret.map(|secret| (id, secret))),
                Err(error) => failed = Err(error),
            }
        }
        let ring = Ring::new(secrets);
        let is_new =
            |held: &Option<Arc<Ring>>| held.as_ref().is_none_or(|held| !held.ids().eq(ring.ids()));
        if is_new(&self.ring.borrow()) {
            self.ring.send_replace(Some(Arc::new(ring)));
        }
        failed
    }
}
