//! Keeps what is in force on disk, beside the loop and at most once a second, and gives it back at
//! the next start.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::{Instant, sleep_until, timeout_at};

use super::held::Served;
use super::last_good;
use super::life::{Doing, done};
use super::member::Ground;
use crate::identity::Identity;

/// A state is kept at most so often.
const EVERY: Duration = Duration::from_secs(1);
/// One that could not be kept is tried again after this long, if no other came meanwhile.
const AGAIN: Duration = Duration::from_secs(10);
/// At the end a state that is being kept is waited for so long.
const LAST: Duration = Duration::from_secs(3);

/// What is served, and whether it is on disk now.
type Kept = (Served, Result<(), String>);

/// Keeps the last good state.
pub(super) struct Keeper {
    ground: Ground,
    /// What is in force and not on disk yet.
    unkept: Option<Served>,
    keeping: Option<Doing<Kept>>,
    /// When the next one may be kept.
    next: Instant,
    /// The certificate of the authority that signed what is on disk.
    signer: Option<Vec<u8>>,
}

impl Keeper {
    pub(super) fn new(ground: Ground) -> Self {
        Keeper { ground, unkept: None, keeping: None, next: Instant::now(), signer: None }
    }

    /// The certificate of the authority that signed what is on disk, if anything is there that may be
    /// served.
    pub(super) fn signer(&self) -> Option<&[u8]> {
        self.signer.as_deref()
    }

    /// What was kept, if this node may serve it; else it is told why not.
    pub(super) fn kept(&mut self, node: &Identity) -> Option<Served> {
        let folder = &self.ground.folder;
        let file = folder.path().join("last-good");
        let file = file.display();
        let refused = match folder.last_good() {
            Ok(None) => return None,
            Ok(Some(sealed)) => {
                match last_good::open(&sealed, node, &self.ground.key, SystemTime::now()) {
                    Ok(served) => {
                        let objects = served.state.objects.len();
                        tracing::info!(objects, "serving what {file} holds");
                        self.signer = signer(&served);
                        return Some(served);
                    }
                    Err(refusal) => refusal.to_string(),
                }
            }
            Err(error) => full(&error),
        };
        tracing::error!("{file} is not served: {refused}");
        let told = format!("last-good was not served: {refused}");
        self.ground.status.change(|standing| standing.disk = Some(told));
        None
    }

    /// This is in force now.
    pub(super) fn note(&mut self, served: Served) {
        self.unkept = Some(served);
    }

    /// Ends each time that a state was kept, or could not be, with who the node is since: one that
    /// remembers what was kept, so that no older one is served from disk. Nothing is lost if it is
    /// broken off.
    pub(super) async fn turn(&mut self, node: &Arc<Identity>) -> Arc<Identity> {
        loop {
            if self.keeping.is_some() {
                let (served, kept) = done(&mut self.keeping).await;
                return self.remember(served, kept, node);
            } else if self.unkept.is_some() {
                sleep_until(self.next).await;
                self.begin(node);
            } else {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Begins to seal and write what is in force.
    fn begin(&mut self, node: &Arc<Identity>) {
        let Some(served) = self.unkept.take() else { return };
        let (ground, node) = (self.ground.clone(), Arc::clone(node));
        self.next = Instant::now() + EVERY;
        self.keeping = Some(Box::pin(async move {
            let sealing = served.clone();
            let kept = tokio::task::spawn_blocking(move || {
                let sealed = last_good::seal(&sealing, &node, &ground.key);
                let sealed = sealed.map_err(|error| full(&error))?;
                ground.folder.keep_last_good(&sealed).map_err(|error| full(&error))
            });
            (served, kept.await.unwrap_or_else(|_| Err("keeping the state broke off".to_owned())))
        }));
    }

    fn remember(
        &mut self,
        served: Served,
        kept: Result<(), String>,
        node: &Arc<Identity>,
    ) -> Arc<Identity> {
        let kept = kept.and_then(|()| {
            let node = Identity { vector: served.state.vector.clone(), ..Identity::clone(node) };
            self.ground.folder.keep_identity(&node).map_err(|error| full(&error))?;
            self.signer = signer(&served);
            Ok(Arc::new(node))
        });
        self.ground.status.change(|standing| standing.disk = kept.as_ref().err().cloned());
        kept.unwrap_or_else(|why| {
            tracing::error!("{why}; the state is served on from memory");
            self.unkept.get_or_insert(served);
            self.next = Instant::now() + AGAIN;
            Arc::clone(node)
        })
    }

    /// Keeps what was not kept yet, when nothing else is to be done any more.
    pub(super) async fn end(&mut self, node: Arc<Identity>) {
        let until = Instant::now() + LAST;
        let mut node = node;
        if self.keeping.is_some() {
            node = timeout_at(until, self.turn(&node)).await.unwrap_or(node);
        }
        if self.unkept.is_some() {
            self.next = Instant::now();
            // It was told already if it cannot be kept.
            let _ = timeout_at(until, self.turn(&node)).await;
        }
    }
}

fn signer(served: &Served) -> Option<Vec<u8>> {
    served.state.proof.as_ref().map(|proof| proof.signer.clone())
}

/// An error with its causes, on one line.
fn full(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(&format!(": {next}"));
        cause = next.source();
    }
    text
}
