//! The last good state on disk: sealed for this node, and signed by control for it.
//!
//! ```text
//! heddle-last-good v1 \n  node id \n  nonce (12)  AES-256-GCM(state as JSON, AAD = node id)  tag
//! ```
//!
//! The key comes from the node's private key, so a copy of the file alone is of no use; the
//! signature keeps whoever has both from serving something that control never said.

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

use super::held::{self, Held, Objects, Proof, Unproven};
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

/// Seals a state for the node with this key.
pub(crate) fn seal(held: &Held, node: &Identity, key: &NodeKey) -> Result<Vec<u8>, Unsealed> {
    let mut sealed = serde_json::to_vec(&Written::of(held)).map_err(|_| Unsealed)?;
    let aad = Aad::from(node.node.as_bytes());
    let nonce = sealing(key)?.seal_in_place_append_tag(aad, &mut sealed).map_err(|_| Unsealed)?;
    let mut file = [MAGIC, node.node.as_bytes(), b"\n"].concat();
    file.extend_from_slice(nonce.as_ref());
    file.extend_from_slice(&sealed);
    Ok(file)
}

/// Opens a state that was sealed for this node, and checks all of it.
///
/// # Errors
/// Why it must not be served.
pub(crate) fn open(
    file: &[u8],
    node: &Identity,
    key: &NodeKey,
    now: SystemTime,
) -> Result<Held, Refusal> {
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
    let opening = sealing(key).map_err(|Unsealed| Refusal::Tampered)?;
    let plain = opening.open_in_place(nonce, Aad::from(node.node.as_bytes()), &mut sealed);
    let plain = plain.map_err(|_| Refusal::Tampered)?;
    let written: Written = serde_json::from_slice(plain)
        .map_err(|_| Refusal::Damaged("another version wrote what is sealed in it"))?;
    let held = written.held().ok_or(Refusal::Damaged("what is sealed in it is odd"))?;
    held.check(node, now).map_err(Refusal::Unproven)?;
    for (scope, &wanted) in &node.vector {
        let found = held.vector.get(scope).copied().unwrap_or_default();
        if found < wanted {
            return Err(Refusal::Older { scope: scope.clone(), found, wanted });
        }
    }
    Ok(held)
}

/// The key that seals, which only the holder of the private key can make.
fn sealing(key: &NodeKey) -> Result<RandomizedNonceKey, Unsealed> {
    let secret = key.der();
    let drawn = Salt::new(HKDF_SHA256, &[]).extract(secret.expose());
    let drawn = drawn.expand(&[USE], &AES_256_GCM).map_err(|_| Unsealed)?;
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

impl Written {
    fn of(held: &Held) -> Self {
        let object = |envelope: &Arc<Envelope>| Object {
            key: words(&envelope.key),
            scope: envelope.scope.clone(),
            generation: envelope.generation,
            body: STANDARD.encode(&envelope.body),
            schema: envelope.schema,
            policy: envelope.policy,
            targets: envelope.targets.iter().map(words).collect(),
        };
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
            objects: held.objects.values().map(object).collect(),
        }
    }

    fn held(self) -> Option<Held> {
        let mut objects = Objects::new();
        for object in self.objects {
            let body: bytes::Bytes = STANDARD.decode(&object.body).ok()?.into();
            let envelope = Envelope {
                key: key(object.key),
                scope: object.scope,
                generation: object.generation,
                digest: [0; 32],
                body,
                schema: object.schema,
                policy: object.policy,
                targets: object.targets.into_iter().map(key).collect(),
            }
            .digested();
            objects.insert(envelope.key.clone(), Arc::new(envelope));
        }
        let scope = |(scope, revision)| Some((Scope::try_from(scope).ok()?, revision));
        let digest = held::digest(&objects);
        let proof = Proof {
            issued_at: self.issued_at,
            signature: STANDARD.decode(&self.signature).ok()?,
            signer: STANDARD.decode(&self.signer).ok()?,
        };
        let is_signed = !proof.signature.is_empty();
        (digest::hex(&digest) == self.digest).then_some(())?;
        Some(Held {
            objects,
            vector: self.vector.into_iter().map(scope).collect::<Option<_>>()?,
            digest,
            proof: is_signed.then_some(proof),
        })
    }
}

#[cfg(test)]
mod tests;
