//! The public keys of an issuer, from a JWK Set (RFC 7517).

#[cfg(not(target_arch = "wasm32"))]
use jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;
#[cfg(target_arch = "wasm32")]
use jsonwebtoken::crypto::rust_crypto::DEFAULT_PROVIDER;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use model::Checker;
use model::authn::FETCHED_BYTES;
use serde_json::{Map, Value};

use super::strict;

/// The most keys in a set: a token without `kid` may make us try each.
const MOST_KEYS: usize = 32;

const RSA: &[Algorithm] = &[
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];

/// A public key, and what may be signed by it.
#[derive(Debug, Clone)]
pub struct SigningKey {
    kid: Option<String>,
    algorithms: &'static [Algorithm],
    /// The one algorithm that the key set allows for it, if it names one.
    only: Option<Algorithm>,
    key: DecodingKey,
}

impl SigningKey {
    /// Whether a token that names `kid` and `algorithm` may be signed by it. A token that names
    /// no key may be signed by any whose type fits.
    pub(super) fn fits(&self, kid: Option<&str>, algorithm: Algorithm) -> bool {
        (kid.is_none() || kid == self.kid.as_deref())
            && self.algorithms.contains(&algorithm)
            && self.only.is_none_or(|only| only == algorithm)
    }

    pub(super) fn verifies(&self, algorithm: Algorithm, signed: &[u8], signature: &[u8]) -> bool {
        let verifier = (DEFAULT_PROVIDER.verifier_factory)(&algorithm, &self.key);
        verifier.is_ok_and(|verifier| verifier.verify(signed, &signature.to_vec()).is_ok())
    }
}

/// Reads the keys of `text`. Kinds of key that we do not know are passed over, as RFC 7517 asks;
/// a set that leaves no key is a fault.
pub(super) fn read(text: &str, at: &mut Checker) -> Vec<SigningKey> {
    let set = strict::object(text.as_bytes());
    let Some(Value::Array(items)) = set.as_ref().and_then(|set| set.get("keys")) else {
        at.fault("is no JWK Set: an object with a list 'keys' (RFC 7517), no name twice");
        return Vec::new();
    };
    if items.len() > MOST_KEYS {
        at.fault(format!("holds {} keys; at most {MOST_KEYS} are tried", items.len()));
        return Vec::new();
    }
    let (mut keys, mut faults) = (Vec::new(), false);
    at.each("keys", items, |at, item| match item.as_object().map(read_key) {
        Some(Ok(key)) => keys.extend(key),
        Some(Err(fault)) => {
            faults = true;
            at.fault(fault);
        }
        None => {
            faults = true;
            at.fault("a key is an object");
        }
    });
    if keys.is_empty() && !faults {
        at.fault("holds no key that signs by RS, PS, ES256, ES384 or EdDSA (Ed25519)");
    }
    keys
}

/// What is taken of a key: what tells it, and its public parts.
const MEMBERS: [&str; 10] = ["kty", "kid", "use", "key_ops", "alg", "crv", "n", "e", "x", "y"];

/// The keys that an issuer publishes, as far as something can be verified by them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedKeys {
    /// A JWK Set of these alone, without what else was said of them.
    pub text: String,
    /// Their names; none of a key without one.
    pub ids: Vec<String>,
}

impl PublishedKeys {
    /// Reads what an issuer answered. A key is passed over that nobody verifies by, also one whose private part stands
    /// beside it, or that whoever checks could sign by: the others are the issuer's all the same.
    ///
    /// # Errors
    /// In words, where it is no JWK Set, leaves no key or holds more than are tried.
    pub fn read(answer: &[u8]) -> Result<Self, String> {
        let set = strict::object(answer);
        let Some(Value::Array(items)) = set.as_ref().and_then(|set| set.get("keys")) else {
            return Err(
                "is no JWK Set: an object with a list 'keys' (RFC 7517), no name twice".into()
            );
        };
        let mut kept = Vec::new();
        for item in items.iter().filter_map(Value::as_object) {
            if let Ok(Some(key)) = read_key(item) {
                let members = MEMBERS
                    .iter()
                    .filter_map(|name| Some(((*name).to_owned(), item.get(*name)?.clone())));
                kept.push((key.kid, Value::Object(members.collect())));
            }
        }
        match kept.len() {
            0 => Err("holds no key that signs by RS, PS, ES256, ES384 or EdDSA (Ed25519)".into()),
            1..=MOST_KEYS => {
                // In whatever order they are published, so that nothing is told anew where nothing is new.
                kept.sort_by_cached_key(|(_, key)| key.to_string());
                let (ids, keys): (Vec<_>, Vec<_>) = kept.into_iter().unzip();
                let text = serde_json::json!({ "keys": keys }).to_string();
                // It travels as a text within JSON.
                match Value::from(&*text).to_string().len() {
                    ..=FETCHED_BYTES => {
                        Ok(PublishedKeys { text, ids: ids.into_iter().flatten().collect() })
                    }
                    long => Err(format!("holds keys of {long} bytes, of {FETCHED_BYTES}")),
                }
            }
            many => Err(format!("holds {many} keys; at most {MOST_KEYS} are tried")),
        }
    }
}

/// One key; `None` for a kind or use that is not ours.
fn read_key(jwk: &Map<String, Value>) -> Result<Option<SigningKey>, &'static str> {
    let text = |name: &str| jwk.get(name).and_then(Value::as_str);
    if text("kty") == Some("oct") {
        return Err("symmetric keys (kty 'oct') are refused: whoever checks could sign");
    }
    if jwk.contains_key("d") {
        return Err("holds the private part 'd'; only the issuer may have that, take it out");
    }
    let verifies = |ops: &Vec<Value>| ops.iter().any(|op| op == "verify");
    let other_use = text("use").is_some_and(|word| word != "sig");
    let other_ops = jwk.get("key_ops").and_then(Value::as_array).is_some_and(|ops| !verifies(ops));
    if other_use || other_ops {
        return Ok(None);
    }
    let part = |name: &str| text(name).and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
    let (algorithms, key) = match (text("kty"), text("crv")) {
        (Some("RSA"), _) => (RSA, rsa(part("n"), part("e"))?),
        (Some("EC"), Some("P-256")) => (&[Algorithm::ES256][..], ec(part("x"), part("y"), 32)?),
        (Some("EC"), Some("P-384")) => (&[Algorithm::ES384][..], ec(part("x"), part("y"), 48)?),
        (Some("OKP"), Some("Ed25519")) => (&[Algorithm::EdDSA][..], ed25519(part("x"))?),
        _ => return Ok(None),
    };
    let only = match text("alg") {
        None => None,
        Some(word) => match algorithms.iter().find(|one| format!("{one:?}") == word) {
            Some(only) => Some(*only),
            None => return Ok(None),
        },
    };
    Ok(Some(SigningKey { kid: text("kid").map(str::to_owned), algorithms, only, key }))
}

fn rsa(n: Option<Vec<u8>>, e: Option<Vec<u8>>) -> Result<DecodingKey, &'static str> {
    let (Some(n), Some(e)) = (n, e) else { return Err("'n' or 'e' is missing or no base64url") };
    let n = &n[n.iter().take_while(|byte| **byte == 0).count()..];
    let bits = n.len() * 8 - n.first().map_or(0, |first| first.leading_zeros() as usize);
    if !(2048..=8192).contains(&bits) {
        return Err("an RSA key has 2048 to 8192 bits");
    }
    Ok(DecodingKey::from_rsa_raw_components(n, &e))
}

/// The point uncompressed: 4, then both coordinates.
fn ec(x: Option<Vec<u8>>, y: Option<Vec<u8>>, size: usize) -> Result<DecodingKey, &'static str> {
    let of_size = |part: Option<Vec<u8>>| part.filter(|part| part.len() == size);
    let (Some(x), Some(y)) = (of_size(x), of_size(y)) else {
        return Err("'x' or 'y' is missing, no base64url, or not as long as the curve asks");
    };
    Ok(DecodingKey::from_ec_der(&[&[4][..], &x, &y].concat()))
}

fn ed25519(x: Option<Vec<u8>>) -> Result<DecodingKey, &'static str> {
    let x = x.filter(|x| x.len() == 32);
    let x = x.ok_or("'x' is missing, no base64url, or not 32 bytes long")?;
    Ok(DecodingKey::from_ed_der(&x))
}
