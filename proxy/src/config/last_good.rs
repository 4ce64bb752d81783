//! The last good state on disk: sealed for this node, and signed by control for it.
//!
//! ```text
//! heddle-last-good v1 \n  node id \n  nonce (12)  AES-256-GCM(state as JSON, AAD = node id)  tag
//! ```
//!
//! The key comes from the node's private key, so a copy of the file alone is of no use; the
//! signature keeps whoever has both from serving a state that control never said. The older forms
//! beside it, of objects that this version cannot serve as they were sent, rest on the seal alone.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::Scope;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;
use wire::{Envelope, Key, digest};

use super::held::{self, Held, Objects, Proof, Served, Unproven};
use crate::identity::{Identity, NodeKey};

const MAGIC: &[u8] = b"heddle-last-good v1\n";
const USE: &[u8] = b"heddle last-good v1";

/// Why the state on disk is not served; each says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// It is not a state that we wrote.
    #[error("it is damaged ({0}); remove it, or wait for the server")]
    Damaged(&'static str),
    /// Another node wrote it.
    #[error(
        "it belongs to another node ({0}): give each node its own --state, or wait for the server"
    )]
    Foreign(String),
    /// It was changed, or sealed by another key.
    #[error(
        "it was changed, or sealed with another key than key.pem; remove it, or wait for the server"
    )]
    Tampered,
    /// Control never said so.
    #[error("{0}: control never said so to this node; remove it, or wait for the server")]
    Unproven(Unproven),
    /// The node took a newer state since.
    #[error(
        "it is older than what this node served last ({scope} at {found}, not {wanted}), as of a \
         restored backup; wait for the server"
    )]
    Older {
        /// The scope that is older.
        scope: Scope,
        /// Its revision in the file; 0 if it is not there.
        found: i64,
        /// The revision that was served.
        wanted: i64,
    },
}

/// Cannot be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the state cannot be sealed")]
pub(crate) struct Unsealed;

/// Seals what is served for the node with this key.
pub(crate) fn seal(served: &Served, node: &Identity, key: &NodeKey) -> Result<Vec<u8>, Unsealed> {
    let mut sealed = serde_json::to_vec(&Written::of(served)).map_err(|_| Unsealed)?;
    let aad = Aad::from(node.node.as_bytes());
    let nonce =
        sealing(key, USE)?.seal_in_place_append_tag(aad, &mut sealed).map_err(|_| Unsealed)?;
    let mut file = [MAGIC, node.node.as_bytes(), b"\n"].concat();
    file.extend_from_slice(nonce.as_ref());
    file.extend_from_slice(&sealed);
    Ok(file)
}

/// Opens what was sealed for this node, and checks all of the state.
///
/// # Errors
/// Why it must not be served.
pub(crate) fn open(
    file: &[u8],
    node: &Identity,
    key: &NodeKey,
    now: SystemTime,
) -> Result<Served, Refusal> {
    let rest = file.strip_prefix(MAGIC).ok_or(Refusal::Damaged("its first line is another"))?;
    let end = rest.iter().position(|byte| *byte == b'\n');
    let (owner, rest) = rest.split_at(end.ok_or(Refusal::Damaged("it names no node"))?);
    if owner != node.node.as_bytes() {
        let owner = String::from_utf8_lossy(owner).chars().take(64).collect();
        return Err(Refusal::Foreign(owner));
    }
    let (nonce, sealed) =
        rest[1..].split_first_chunk::<NONCE_LEN>().ok_or(Refusal::Damaged("it is cut off"))?;
    let (nonce, mut sealed) = (Nonce::from(nonce), sealed.to_vec());
    let opening = sealing(key, USE).map_err(|Unsealed| Refusal::Tampered)?;
    let plain = opening.open_in_place(nonce, Aad::from(node.node.as_bytes()), &mut sealed);
    let plain = plain.map_err(|_| Refusal::Tampered)?;
    let written: Written = serde_json::from_slice(plain)
        .map_err(|_| Refusal::Damaged("another version wrote what is sealed in it"))?;
    let served = written.served().ok_or(Refusal::Damaged("what is sealed in it is odd"))?;
    served.state.check(node, now).map_err(Refusal::Unproven)?;
    for (scope, &wanted) in &node.vector {
        let found = served.state.vector.get(scope).copied().unwrap_or_default();
        if found < wanted {
            return Err(Refusal::Older { scope: scope.clone(), found, wanted });
        }
    }
    Ok(served)
}

/// The key that seals for some use, which only the holder of the private key can make.
pub(super) fn sealing(key: &NodeKey, usage: &[u8]) -> Result<RandomizedNonceKey, Unsealed> {
    let secret = key.der();
    let drawn = Salt::new(HKDF_SHA256, &[]).extract(secret.expose());
    let usage = [usage];
    let drawn = drawn.expand(&usage, &AES_256_GCM).map_err(|_| Unsealed)?;
    let mut bytes = [0; 32];
    drawn.fill(&mut bytes).map_err(|_| Unsealed)?;
    RandomizedNonceKey::new(&AES_256_GCM, &bytes).map_err(|_| Unsealed)
}

/// What is sealed.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Written {
    vector: BTreeMap<String, i64>,
    issued_at: i64,
    signature: String,
    signer: String,
    digest: String,
    objects: Vec<Object>,
    /// [`Served::good`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    good: Vec<Object>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Object {
    key: [String; 3],
    scope: String,
    generation: i64,
    body: String,
    schema: u32,
    policy: bool,
    targets: Vec<[String; 3]>,
}

fn words(key: &Key) -> [String; 3] {
    [key.kind.clone(), key.namespace.clone(), key.name.clone()]
}

fn key([kind, namespace, name]: [String; 3]) -> Key {
    Key { kind, namespace, name }
}

impl From<&Arc<Envelope>> for Object {
    fn from(envelope: &Arc<Envelope>) -> Self {
        Object {
            key: words(&envelope.key),
            scope: envelope.scope.clone(),
            generation: envelope.generation,
            body: STANDARD.encode(&envelope.body),
            schema: envelope.schema,
            policy: envelope.policy,
            targets: envelope.targets.iter().map(words).collect(),
        }
    }
}

impl Object {
    fn envelope(self) -> Option<Envelope> {
        let envelope = Envelope {
            key: key(self.key),
            scope: self.scope,
            generation: self.generation,
            digest: [0; 32],
            body: STANDARD.decode(&self.body).ok()?.into(),
            schema: self.schema,
            policy: self.policy,
            targets: self.targets.into_iter().map(key).collect(),
        };
        Some(envelope.digested())
    }
}

/// The objects by key, if each is well written.
fn objects(written: Vec<Object>) -> Option<Objects> {
    let envelopes = written.into_iter().map(Object::envelope);
    envelopes.map(|one| one.map(|one| (one.key.clone(), Arc::new(one)))).collect()
}

impl Written {
    fn of(served: &Served) -> Self {
        let held = &served.state;
        let proof = held.proof.as_ref();
        let text = |of: fn(&Proof) -> &Vec<u8>| {
            proof.map(|proof| STANDARD.encode(of(proof))).unwrap_or_default()
        };
        let vector = held.vector.iter();
        Written {
            vector: vector.map(|(scope, revision)| (scope.to_string(), *revision)).collect(),
            issued_at: proof.map_or(0, |proof| proof.issued_at),
            signature: text(|proof| &proof.signature),
            signer: text(|proof| &proof.signer),
            digest: digest::hex(&held.digest),
            objects: held.objects.values().map(Object::from).collect(),
            good: served.good.values().map(Object::from).collect(),
        }
    }

    fn served(self) -> Option<Served> {
        let (objects, good) = (objects(self.objects)?, objects(self.good)?);
        let scope = |(scope, revision)| Some((Scope::try_from(scope).ok()?, revision));
        let digest = held::digest(&objects);
        let proof = Proof {
            issued_at: self.issued_at,
            signature: STANDARD.decode(&self.signature).ok()?,
            signer: STANDARD.decode(&self.signer).ok()?,
        };
        let is_signed = !proof.signature.is_empty();
        (digest::hex(&digest) == self.digest).then_some(())?;
        good.keys().all(|key| objects.contains_key(key)).then_some(())?;
        let state = Held {
            objects,
            vector: self.vector.into_iter().map(scope).collect::<Option<_>>()?,
            digest,
            proof: is_signed.then_some(proof),
        };
        Some(Served { state: Arc::new(state), good })
    }
}

#[cfg(test)]
mod tests;
