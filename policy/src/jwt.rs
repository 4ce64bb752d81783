//! JSON Web Tokens (RFC 7519): read strictly, signatures checked, time judged by the facts.
//!
//! Only asymmetric algorithms: whoever can check a symmetric signature could make one.
//! The key is picked by our key set alone; what a token says of keys (`jwk`, `jku`, `x5u`, `x5c`)
//! is never looked at. The library does the arithmetic of signatures, nothing else: its own
//! checks would read a clock.

use model::Checker;
use model::authn::JwtIssuer;
use serde_json::{Map, Value};

use crate::authn::Place;
use crate::principal::Principal;

mod keys;
mod strict;
mod token;

pub use keys::{PublishedKeys, SigningKey};
pub use token::Token;

/// The longest token that is read, in bytes.
pub const LONGEST_TOKEN: usize = 16 * 1024;

/// Why a token is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It stands there more than once.
    #[error("it stands there more than once")]
    Several,
    /// Longer than [`LONGEST_TOKEN`].
    #[error("it is longer than {LONGEST_TOKEN} bytes")]
    Long,
    /// Not three parts of base64url that hold JSON objects without a name twice.
    #[error("its {0} cannot be read")]
    Shape(&'static str),
    /// It has extensions that must be understood (`crit`); we understand none.
    #[error("it has 'crit', of which nothing is understood here")]
    Critical,
    /// `alg` is none of the asymmetric algorithms.
    #[error("its algorithm '{0}' is not accepted")]
    Algorithm(String),
    /// A claim is missing or of the wrong type.
    #[error("its claim '{0}' is missing or of the wrong type")]
    Claim(&'static str),
    /// No level knows its `iss`.
    #[error("nobody here knows its issuer")]
    IssuerUnknown,
    /// The keys of its issuer lie behind a URL, and were not fetched.
    #[error(
        "the keys of its issuer are not known here; a server fetches them for gateways that joined it"
    )]
    KeysAwaited,
    /// The issuer has no key with its `kid`, or none that fits its algorithm.
    #[error("its issuer has no key that fits its 'kid' and algorithm")]
    KeyUnknown,
    /// The signature does not hold.
    #[error("its signature does not hold")]
    Signature,
    /// `exp` is past.
    #[error("it expired at {expiry}, {late} s ago")]
    Expired {
        /// The claim `exp`.
        expiry: i64,
        /// Seconds since then.
        late: i64,
    },
    /// `nbf` is to come.
    #[error("it is not valid before {start}")]
    NotYet {
        /// The claim `nbf`.
        start: i64,
    },
    /// `aud` names none of ours.
    #[error("it is meant for another audience")]
    Audience,
}

/// An issuer, ready to verify.
#[derive(Debug, Clone)]
pub struct Issuer {
    issuer: String,
    audiences: Vec<String>,
    leeway: i64,
    /// None where they are still to be fetched.
    keys: Vec<SigningKey>,
    places: Vec<Place>,
    /// Whether the backend gets its tokens.
    forwards: bool,
}

impl Issuer {
    /// Compiles `from`; every fault is reported to `at`.
    pub(crate) fn compile(from: &JwtIssuer, at: &mut Checker) -> Self {
        let mut keys = Vec::new();
        if let Some(text) = &from.jwks {
            at.within("jwks", |at| keys = keys::read(text, at));
        }
        Issuer {
            issuer: from.issuer.clone(),
            audiences: from.audiences.clone(),
            leeway: i64::from(from.leeway_seconds),
            keys,
            places: Place::all(&from.from, at),
            forwards: from.forward,
        }
    }

    /// Where its tokens may stand.
    pub(crate) fn places(&self) -> &[Place] {
        &self.places
    }

    /// Whether the backend gets them.
    pub(crate) fn forwards(&self) -> bool {
        self.forwards
    }

    /// The claim `iss` that it answers for.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Who the bearer of `token` is: the cheap checks first, the signature last.
    ///
    /// # Errors
    /// [`TokenError`] for the first check that fails.
    pub fn verify(&self, token: &Token<'_>, now: i64) -> Result<Principal, TokenError> {
        let claims = token.claims();
        self.check_time(claims, now)?;
        self.check_audience(claims)?;
        let subject = match claims.get("sub") {
            None => None,
            Some(Value::String(subject)) => Some(subject.clone()),
            Some(_) => return Err(TokenError::Claim("sub")),
        };
        self.check_signature(token)?;
        Ok(Principal::Jwt { issuer: self.issuer.clone(), subject, claims: claims.clone() })
    }

    fn check_time(&self, claims: &Map<String, Value>, now: i64) -> Result<(), TokenError> {
        let expiry = seconds(claims, "exp")?.ok_or(TokenError::Claim("exp"))?;
        if now >= expiry.saturating_add(self.leeway) {
            return Err(TokenError::Expired { expiry, late: now.saturating_sub(expiry) });
        }
        match seconds(claims, "nbf")? {
            Some(start) if now < start.saturating_sub(self.leeway) => {
                Err(TokenError::NotYet { start })
            }
            Some(_) | None => Ok(()),
        }
    }

    fn check_audience(&self, claims: &Map<String, Value>) -> Result<(), TokenError> {
        let is_ours = |value: &Value| match value {
            Value::String(text) => self.audiences.contains(text),
            _ => false,
        };
        match claims.get("aud") {
            Some(one @ Value::String(_)) if is_ours(one) => Ok(()),
            Some(Value::Array(list)) if list.iter().any(is_ours) => Ok(()),
            Some(Value::String(_) | Value::Array(_)) => Err(TokenError::Audience),
            Some(_) | None => Err(TokenError::Claim("aud")),
        }
    }

    fn check_signature(&self, token: &Token<'_>) -> Result<(), TokenError> {
        if self.keys.is_empty() {
            return Err(TokenError::KeysAwaited);
        }
        let fits = |key: &&SigningKey| key.fits(token.kid(), token.algorithm());
        let mut keys = self.keys.iter().filter(fits).peekable();
        keys.peek().ok_or(TokenError::KeyUnknown)?;
        let signed = (token.signed(), token.signature());
        let holds = |key: &SigningKey| key.verifies(token.algorithm(), signed.0, signed.1);
        if keys.any(holds) { Ok(()) } else { Err(TokenError::Signature) }
    }
}

/// A `NumericDate` in whole seconds; fractions are cut off.
fn seconds(claims: &Map<String, Value>, name: &'static str) -> Result<Option<i64>, TokenError> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let whole = value.as_i64().or_else(|| {
        let float = value.as_f64().filter(|float| float.abs() < 1e15)?;
        // Below 2^53, so nothing but the fraction is lost.
        Some(float.floor() as i64)
    });
    whole.map(Some).ok_or(TokenError::Claim(name))
}

#[cfg(test)]
pub(crate) mod tests;
