//! Who is shut out and which browsers logged out, on disk: so that a process that starts anew while the server is
//! away lets nobody in who was out before.
//!
//! ```text
//! heddle-revoked v1 \n  nonce (12)  AES-256-GCM(both as JSON, AAD = node id)  tag
//! ```
//!
//! The key comes from the node's private key, as that of `last-good` does.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_lc_rs::aead::{Aad, NONCE_LEN, Nonce};
use model::revocation::Revocation;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::time::sleep;
use wire::EndedSession;

use super::last_good::sealing;
use super::member::Ground;
use crate::identity::{Identity, NodeKey};
use crate::moment;

const MAGIC: &[u8] = b"heddle-revoked v1\n";
const USE: &[u8] = b"heddle revoked v1";
/// What changes is written after so long: many may log out at once.
const PAUSE: Duration = Duration::from_secs(1);

/// What was told last.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    out: Vec<Revocation>,
    /// Ids of sessions, each with when it is over in any case.
    ended: Vec<(String, i64)>,
}

/// Puts in force what the server tells, and has it kept.
#[derive(Debug)]
pub(super) struct Kept {
    ground: Ground,
    out: Vec<Revocation>,
    /// Something is to be written.
    due: Arc<Notify>,
}

impl Kept {
    /// Puts in force what was kept. Without it the server tells it soon.
    pub(super) fn begin(ground: Ground, node: &Identity) -> Self {
        let due = Arc::<Notify>::default();
        let mut kept = Kept { ground, out: Vec::new(), due };
        let sealed = match kept.ground.folder.revoked() {
            Ok(Some(sealed)) => sealed,
            Ok(None) => return kept,
            Err(error) => {
                tracing::warn!(
                    "{error}; until the server is heard, nobody is known to be shut out"
                );
                return kept;
            }
        };
        match open(&sealed, node, &kept.ground.key) {
            Some(Written { out, ended }) => {
                let ended: Vec<_> =
                    ended.into_iter().map(|(id, until)| EndedSession { id, until }).collect();
                kept.ground.membership.revoked.shut_out(&out);
                kept.ground.membership.revoked.logged_out(&ended, now());
                kept.ground.membership.revoked.tell_again(ended);
                kept.out = out;
            }
            None => {
                tracing::warn!("who was shut out cannot be read on disk, or was of another node")
            }
        }
        kept
    }

    /// Shuts these out from now on, and nobody else.
    pub(super) fn shut_out(&mut self, out: Vec<Revocation>) {
        if out != self.out {
            tracing::info!(many = out.len(), "others are shut out");
            self.ground.membership.revoked.shut_out(&out);
            self.out = out;
            self.due.notify_one();
        }
    }

    /// These browsers logged out.
    pub(super) fn log_out(&self, told: &[EndedSession]) {
        self.ground.membership.revoked.logged_out(told, now());
    }

    /// Waits until something is to be written, and for others that come with it.
    pub(super) fn is_due(&self) -> impl Future<Output = ()> + Send + use<> {
        let (due, mut logouts) = (Arc::clone(&self.due), self.ground.membership.revoked.logouts());
        async move {
            tokio::select! {
                () = due.notified() => {}
                // Those that logged out here, too, whom the server may not hear of yet.
                Ok(()) = logouts.changed() => {}
            }
            sleep(PAUSE).await;
        }
    }

    /// Writes it.
    pub(super) fn write(&self, node: &Identity) {
        let (now, ended) = (now(), self.ground.membership.revoked.sessions.all());
        let ended = ended.into_iter().filter(|(_, until)| *until > now).collect();
        let written = Written { out: self.out.clone(), ended };
        match seal(&written, node, &self.ground.key) {
            None => {
                tracing::error!("who is shut out cannot be sealed, and is known in memory alone")
            }
            Some(sealed) => {
                if let Err(error) = self.ground.folder.keep_revoked(&sealed) {
                    tracing::error!("{error}; who is shut out is known in memory alone");
                }
            }
        }
    }
}

fn now() -> i64 {
    moment::signed(SystemTime::now())
}

fn seal(written: &Written, node: &Identity, key: &NodeKey) -> Option<Vec<u8>> {
    let mut sealed = serde_json::to_vec(written).ok()?;
    let aad = Aad::from(node.node.as_bytes());
    let nonce = sealing(key, USE).ok()?.seal_in_place_append_tag(aad, &mut sealed).ok()?;
    Some([MAGIC, nonce.as_ref(), &sealed].concat())
}

/// None if it is not of this node, or was changed.
fn open(file: &[u8], node: &Identity, key: &NodeKey) -> Option<Written> {
    let (nonce, sealed) = file.strip_prefix(MAGIC)?.split_first_chunk::<NONCE_LEN>()?;
    let (nonce, mut sealed) = (Nonce::from(nonce), sealed.to_vec());
    let aad = Aad::from(node.node.as_bytes());
    let plain = sealing(key, USE).ok()?.open_in_place(nonce, aad, &mut sealed).ok()?;
    serde_json::from_slice(plain).ok()
}
