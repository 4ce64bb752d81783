//! API keys: who holds which, found by digest.
//!
//! Only SHA-256 digests are kept, so no dump shows a key, and how long a look-up takes says
//! nothing of how near a guess was.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use model::authn::{ApiKeySource, AuthnPolicy};
use model::consumer::Consumer;
use model::secret::Secret;
use model::{Checker, Invalid, Name};
use sha2::{Digest as _, Sha256};

use crate::authn::{Declared, Place};
use crate::consumer::{Holder, Holders, Taken};
use crate::principal::Principal;
use crate::span::{Lies, Moment, Span};

/// The shortest key, in bytes: shorter ones can be guessed.
pub const SHORTEST_KEY: usize = 16;

/// Why a key, or a certificate of a Consumer, that was shown is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Nobody has it, or not who says so.
    #[error("nobody has this key")]
    Unknown,
    /// It stands there more than once.
    #[error("it stands there more than once")]
    Several,
    /// What stands behind `Basic` is none (RFC 7617).
    #[error("it is no user and password in base64")]
    Shape,
    /// More than one Consumer has it.
    #[error("more than one Consumer has it")]
    Shared,
    /// It does not hold yet.
    #[error("it holds from {} on", Moment(*from))]
    Early {
        /// From when on, seconds since 1970.
        from: i64,
    },
    /// It holds no longer.
    #[error("it held until {}", Moment(*until))]
    Late {
        /// Until when it did, seconds since 1970.
        until: i64,
    },
}

/// A key as it was shown.
#[derive(Debug)]
pub(crate) struct Shown {
    digest: [u8; 32],
    /// Whose it is, where that has to be said.
    user: Option<Vec<u8>>,
}

impl Shown {
    /// What stands at a place.
    ///
    /// # Errors
    /// [`KeyError::Shape`] where it is none that could stand there, [`KeyError::Unknown`] where it is so short that
    /// it is nobody's, whatever digest is written.
    pub(crate) fn read(place: &Place, text: &[u8]) -> Result<Self, KeyError> {
        if !matches!(place, Place::Basic(_)) {
            return Shown::of(text, None);
        }
        let pair = STANDARD.decode(text).map_err(|_| KeyError::Shape)?;
        let colon = pair.iter().position(|byte| *byte == b':').ok_or(KeyError::Shape)?;
        Shown::of(&pair[colon + 1..], Some(pair[..colon].to_owned()))
    }

    fn of(key: &[u8], user: Option<Vec<u8>>) -> Result<Self, KeyError> {
        match key.len() < SHORTEST_KEY {
            true => Err(KeyError::Unknown),
            false => Ok(Shown { digest: digest(key), user }),
        }
    }
}

/// The keys of one method.
pub struct ApiKeys {
    places: Vec<Place>,
    /// The Secret that they stand in; none where Consumers have them.
    secret: Option<Name>,
    holders: Holders<[u8; 32]>,
}

impl fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKeys")
            .field("places", &self.places)
            .field("callers", self.names())
            .finish()
    }
}

impl ApiKeys {
    /// Compiles `source`, of a policy; every fault is reported to `at`. What is wrong with a Consumer is its own
    /// fault, and told among `doubts`.
    pub(crate) fn compile(
        source: &ApiKeySource,
        policy: &AuthnPolicy,
        declared: &dyn Declared,
        doubts: &mut Vec<Invalid>,
        at: &mut Checker,
    ) -> Self {
        let places = Place::all(&source.from, at);
        let secret = source.secret_ref.as_ref().map(|secret| secret.name.clone());
        let holders = match (&source.consumers, &secret) {
            (Some(wanted), _) => {
                let taken = Taken::new(policy, wanted, declared);
                Holders::of(&taken, keys_of, doubts)
            }
            (None, Some(secret)) => read(secret, declared, at),
            (None, None) => Holders::new(),
        };
        ApiKeys { places, secret, holders }
    }

    /// Where the key may stand.
    pub(crate) fn places(&self) -> &[Place] {
        &self.places
    }

    /// The Secret that they stand in; none where Consumers have them.
    pub(crate) fn secret(&self) -> Option<&Name> {
        self.secret.as_ref()
    }

    /// The names of those who have a key: entries of the Secret, or Consumers.
    pub(crate) fn names(&self) -> &BTreeSet<Box<str>> {
        self.holders.names()
    }

    /// Who shows a key.
    ///
    /// # Errors
    /// Why it proves nobody `now`, in seconds since 1970.
    pub(crate) fn find(&self, shown: &Shown, now: i64) -> Result<&Arc<Principal>, KeyError> {
        let (principal, span) = match self.holders.get(&shown.digest) {
            None | Some(Holder::Other(_)) => return Err(KeyError::Unknown),
            Some(Holder::Several) => return Err(KeyError::Shared),
            Some(Holder::One(principal, span)) => (principal, span),
        };
        let is_theirs =
            |user: &Vec<u8>| principal.name().is_some_and(|name| name.as_bytes() == user);
        if !shown.user.as_ref().is_none_or(is_theirs) {
            return Err(KeyError::Unknown);
        }
        match span.lies(now) {
            Lies::Within => Ok(principal),
            Lies::Before(from) => Err(KeyError::Early { from }),
            Lies::Behind(until) => Err(KeyError::Late { until }),
        }
    }
}

/// The keys of a Consumer.
fn keys_of(consumer: &Consumer) -> Vec<(String, [u8; 32], Span)> {
    let keys = consumer.spec.keys.iter().enumerate();
    let keys = keys.map(|(at, key)| {
        (format!("spec.keys[{at}].sha256"), key.sha256.0, Span::compile(&key.time()))
    });
    keys.collect()
}

/// The keys in a Secret.
fn read(secret: &Name, declared: &dyn Declared, at: &mut Checker) -> Holders<[u8; 32]> {
    let mut holders = Holders::new();
    let found = declared.secret(secret);
    if found.is_none() {
        let text = format!("no Secret '{secret}' in this namespace that can be used");
        at.fault_in("secretRef", text);
    }
    let entries = found.as_deref().map(Secret::values).unwrap_or_default();
    at.within("secretRef", |at| {
        for (name, value) in entries {
            holders.name(name);
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
            if let Err(other) = holders.give(digest(key), caller) {
                at.fault(format!(
                    "'{name}' has the same key as {other}; each caller needs its own"
                ));
            }
        }
    });
    holders
}

/// Secrets made from files end in a newline that nobody means.
fn without_line_end(key: &[u8]) -> &[u8] {
    let key = key.strip_suffix(b"\n").unwrap_or(key);
    key.strip_suffix(b"\r").unwrap_or(key)
}

/// The digest by which a key is known.
fn digest(key: &[u8]) -> [u8; 32] {
    Sha256::digest(key).into()
}

#[cfg(test)]
mod tests;
