//! API keys: who holds which, found by digest.
//!
//! Only SHA-256 digests are kept, so no dump shows a key, and how long a look-up takes says
//! nothing of how near a guess was.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use http::HeaderValue;
use model::authn::ApiKeySource;
use model::secret::Secret;
use model::{Checker, Name};
use sha2::{Digest as _, Sha256};

use crate::authn::Place;
use crate::principal::Principal;

/// The shortest key, in bytes: shorter ones can be guessed.
pub const SHORTEST_KEY: usize = 16;

/// A key's SHA-256.
pub(crate) type KeyDigest = [u8; 32];

/// Why a key that was shown is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Nobody has it.
    #[error("nobody has this key")]
    Unknown,
    /// It stands there more than once.
    #[error("it stands there more than once")]
    Several,
}

/// The keys of one method.
pub struct ApiKeys {
    places: Vec<Place>,
    secret: Name,
    callers: BTreeMap<KeyDigest, Arc<Principal>>,
    names: BTreeSet<Box<str>>,
}

impl fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let callers: Vec<_> = self.callers.values().collect();
        f.debug_struct("ApiKeys").field("places", &self.places).field("callers", &callers).finish()
    }
}

impl ApiKeys {
    /// Compiles `source`; every fault is reported to `at`.
    pub(crate) fn compile(
        source: &ApiKeySource,
        secret: &dyn Fn(&Name) -> Option<Arc<Secret>>,
        at: &mut Checker,
    ) -> Self {
        let places = Place::all(&source.from, at);
        let name = &source.secret_ref.name;
        let found = secret(name);
        if found.is_none() {
            at.fault_in(
                "secretRef",
                format!("no Secret '{name}' in this namespace that can be used"),
            );
        }
        let (callers, names) = (BTreeMap::new(), BTreeSet::new());
        let mut keys = ApiKeys { places, secret: name.clone(), callers, names };
        at.within("secretRef", |at| keys.read(found.as_deref(), at));
        keys
    }

    fn read(&mut self, secret: Option<&Secret>, at: &mut Checker) {
        let entries = secret.map(Secret::values).unwrap_or_default();
        for (name, value) in entries {
            self.names.insert(name.into());
            let key = without_line_end(value.expose());
            if key.len() < SHORTEST_KEY {
                at.fault(format!("the key of '{name}' is shorter than {SHORTEST_KEY} bytes"));
                continue;
            }
            if key.trim_ascii() != key || HeaderValue::from_bytes(key).is_err() {
                at.fault(format!("the key of '{name}' has bytes that no header can carry"));
                continue;
            }
            let caller = Arc::new(Principal::ApiKey { name: name.to_owned() });
            if let Some(other) = self.callers.insert(digest(key), caller) {
                at.fault(format!(
                    "'{name}' has the same key as {other}; each caller needs its own"
                ));
            }
        }
    }

    /// Where the key may stand.
    pub(crate) fn places(&self) -> &[Place] {
        &self.places
    }

    /// The Secret that they stand in.
    pub(crate) fn secret(&self) -> &Name {
        &self.secret
    }

    /// The names of those who have a key.
    pub(crate) fn names(&self) -> &BTreeSet<Box<str>> {
        &self.names
    }

    /// Who has the key with this digest.
    pub(crate) fn find(&self, digest: &KeyDigest) -> Option<&Arc<Principal>> {
        self.callers.get(digest)
    }
}

/// Secrets made from files end in a newline that nobody means.
fn without_line_end(key: &[u8]) -> &[u8] {
    let key = key.strip_suffix(b"\n").unwrap_or(key);
    key.strip_suffix(b"\r").unwrap_or(key)
}

/// The digest by which a key is known.
pub(crate) fn digest(key: &[u8]) -> KeyDigest {
    Sha256::digest(key).into()
}

#[cfg(test)]
mod tests;
