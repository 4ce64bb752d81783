//! By what sessions are sealed, on disk: so that a gateway that starts anew opens what it sealed before, and
//! what other gateways sealed meanwhile, from its first connection on.
//!
//! ```text
//! heddle-session-secrets v1 \n  nonce (12)  AES-256-GCM(secrets as JSON, AAD = node id)  tag
//! ```
//!
//! The key comes from the node's private key, as that of `last-good` does. What is there is used for a day:
//! after that the server has others, and these are of the past.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::aead::{Aad, NONCE_LEN, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::secret::SecretBytes;
use serde::{Deserialize, Serialize};
use wire::{GatewaySessions, Key, SECRET};

use super::last_good::sealing;
use super::member::Ground;
use crate::identity::{Identity, NodeKey};

const MAGIC: &[u8] = b"heddle-session-secrets v1\n";
const USE: &[u8] = b"heddle session-secrets v1";
/// So long after they were told they are of use.
const LASTS: Duration = Duration::from_secs(24 * 60 * 60);

/// Seals sessions by what the server told from now on, and keeps it.
pub(super) fn share(sessions: &[GatewaySessions], node: &Identity, ground: &Ground) {
    if let Err(error) = ground.told.take(sessions) {
        return tracing::error!("what the server told of sessions is of no use: {error}");
    }
    let sealed = seal(sessions, node, &ground.key, SystemTime::now());
    let kept = sealed.map(|sealed| ground.folder.keep_sessions(&sealed));
    match kept {
        Some(Ok(())) => {
            return tracing::debug!(gateways = sessions.len(), "secrets of sessions taken");
        }
        Some(Err(error)) => tracing::error!("{error}; secrets of sessions are in memory alone"),
        None => tracing::error!("secrets of sessions cannot be sealed; they are in memory alone"),
    }
    drop_kept(ground);
}

/// Removes what is on disk: it may have been forgotten.
fn drop_kept(ground: &Ground) {
    if let Err(error) = ground.folder.drop_sessions() {
        tracing::error!("{error}; secrets of sessions of before stay there");
    }
}

/// Seals sessions by what was told last, if that is not long ago. Without it the server tells it soon.
pub(super) fn kept(node: &Identity, ground: &Ground) {
    let sealed = match ground.folder.sessions() {
        Ok(Some(sealed)) => sealed,
        Ok(None) => return,
        Err(error) => return tracing::warn!("{error}; the server tells secrets of sessions anew"),
    };
    let opened = open(&sealed, node, &ground.key, SystemTime::now());
    let taken = opened.map(|sessions| ground.told.take(&sessions));
    if !matches!(taken, Some(Ok(()))) {
        tracing::info!("secrets of sessions on disk are too old, or not of this node");
        drop_kept(ground);
    }
}

/// What is sealed.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    /// When they were told, in seconds since 1970.
    at: u64,
    gateways: Vec<One>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct One {
    kind: String,
    namespace: String,
    name: String,
    secrets: Vec<String>,
}

fn seconds(now: SystemTime) -> u64 {
    now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn seal(
    sessions: &[GatewaySessions],
    node: &Identity,
    key: &NodeKey,
    now: SystemTime,
) -> Option<Vec<u8>> {
    let one = |one: &GatewaySessions| {
        let Key { kind, namespace, name } = one.gateway.clone();
        let secrets = one.secrets.iter().map(|secret| STANDARD.encode(secret.expose()));
        One { kind, namespace, name, secrets: secrets.collect() }
    };
    let written = Written { at: seconds(now), gateways: sessions.iter().map(one).collect() };
    let mut sealed = serde_json::to_vec(&written).ok()?;
    let aad = Aad::from(node.node.as_bytes());
    let nonce = sealing(key, USE).ok()?.seal_in_place_append_tag(aad, &mut sealed).ok()?;
    Some([MAGIC, nonce.as_ref(), &sealed].concat())
}

/// None if it is not of this node, was changed, or is too old.
fn open(
    file: &[u8],
    node: &Identity,
    key: &NodeKey,
    now: SystemTime,
) -> Option<Vec<GatewaySessions>> {
    let (nonce, sealed) = file.strip_prefix(MAGIC)?.split_first_chunk::<NONCE_LEN>()?;
    let (nonce, mut sealed) = (Nonce::from(nonce), sealed.to_vec());
    let aad = Aad::from(node.node.as_bytes());
    let plain = sealing(key, USE).ok()?.open_in_place(nonce, aad, &mut sealed).ok()?;
    let written: Written = serde_json::from_slice(plain).ok()?;
    if seconds(now).saturating_sub(written.at) >= LASTS.as_secs() {
        return None;
    }
    let one = |One { kind, namespace, name, secrets }: One| {
        let secret = |text: &String| STANDARD.decode(text).ok().filter(|it| it.len() == SECRET);
        let secrets = secrets.iter().map(|text| secret(text).map(SecretBytes::new));
        let secrets = secrets.collect::<Option<_>>()?;
        Some(GatewaySessions { gateway: Key { kind, namespace, name }, secrets })
    };
    written.gateways.into_iter().map(one).collect()
}

#[cfg(test)]
mod tests;
