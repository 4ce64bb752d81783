//! JSON Web Tokens of a test: an issuer with an Ed25519 key, and what it signs.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{KeyPair, PKCS_ED25519, SigningKey as _};
use serde_json::{Value, json};

/// Somebody who signs tokens.
#[derive(Debug)]
pub struct Issuer {
    /// The claim `iss`.
    pub name: String,
    key: KeyPair,
}

impl Issuer {
    /// An issuer called `name`, with a new key.
    pub fn new(name: &str) -> Self {
        let key = KeyPair::generate_for(&PKCS_ED25519).expect("a key");
        Issuer { name: name.to_owned(), key }
    }

    /// Its public key as a JWK Set.
    pub fn jwks(&self) -> String {
        let point = URL_SAFE_NO_PAD.encode(self.key.public_key_raw());
        let key =
            json!({ "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "kid": "k1", "x": point });
        json!({ "keys": [key] }).to_string()
    }

    /// A token for `subject` and the audience `audience`, good for `seconds` (past ones if
    /// negative).
    pub fn token(&self, subject: &str, audience: &str, seconds: i64) -> String {
        let claims = json!({
            "iss": self.name,
            "sub": subject,
            "aud": audience,
            "exp": now() + seconds,
            "roles": ["reader"],
        });
        self.sign(&json!({ "alg": "EdDSA", "kid": "k1", "typ": "JWT" }), &claims)
    }

    /// A token of these claims under this header, whatever they say.
    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        let text = format!("{}.{}", encode(header), encode(claims));
        let signature = self.key.sign(text.as_bytes()).expect("Ed25519 signs everything");
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// One part of a token.
pub fn encode(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// Seconds since 1970.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is past 1970");
    i64::try_from(since.as_secs()).expect("it is long before the end of time")
}
