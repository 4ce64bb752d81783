//! A token, read but not yet believed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde_json::{Map, Value};

use super::{LONGEST_TOKEN, TokenError, strict};

/// The parts of a compact JWS (RFC 7515, section 7.1). Nothing in it is proved.
pub struct Token<'a> {
    signed: &'a [u8],
    signature: Vec<u8>,
    algorithm: Algorithm,
    kid: Option<String>,
    issuer: String,
    claims: Map<String, Value>,
}

/// Shows nothing that could be replayed.
impl std::fmt::Debug for Token<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token")
            .field("algorithm", &self.algorithm)
            .field("kid", &self.kid)
            .field("issuer", &self.issuer)
            .finish_non_exhaustive()
    }
}

impl<'a> Token<'a> {
    /// Reads `text`: three parts, strict base64url and JSON, no `crit`, an asymmetric `alg`, and
    /// an `iss`.
    ///
    /// # Errors
    /// [`TokenError`] for what cannot be read.
    pub fn parse(text: &'a [u8]) -> Result<Self, TokenError> {
        if text.len() > LONGEST_TOKEN {
            return Err(TokenError::Long);
        }
        let mut parts = text.split(|byte| *byte == b'.');
        let (Some(header), Some(claims), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(TokenError::Shape("three parts"));
        };
        let signed = &text[..header.len() + 1 + claims.len()];
        let header = object(header).ok_or(TokenError::Shape("header"))?;
        let algorithm = algorithm(&header)?;
        let claims = object(claims).ok_or(TokenError::Shape("claims"))?;
        let issuer = text_of(&claims, "iss").map_err(|()| TokenError::Claim("iss"))?;
        Ok(Token {
            signed,
            signature: decode(signature).ok_or(TokenError::Shape("signature"))?,
            algorithm,
            kid: text_of(&header, "kid").map_err(|()| TokenError::Shape("kid"))?,
            issuer: issuer.ok_or(TokenError::Claim("iss"))?,
            claims,
        })
    }

    /// What the signature is over.
    pub fn signed(&self) -> &[u8] {
        self.signed
    }

    /// The signature.
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// The algorithm it says it is signed by.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The key it says it is signed by.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The issuer it says it is from.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// What it says.
    pub fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }
}

fn decode(part: &[u8]) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(part).ok()
}

fn object(part: &[u8]) -> Option<Map<String, Value>> {
    strict::object(&decode(part)?)
}

fn text_of(object: &Map<String, Value>, name: &str) -> Result<Option<String>, ()> {
    match object.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(()),
    }
}

fn algorithm(header: &Map<String, Value>) -> Result<Algorithm, TokenError> {
    if header.contains_key("crit") {
        return Err(TokenError::Critical);
    }
    let word = text_of(header, "alg").ok().flatten().ok_or(TokenError::Shape("algorithm"))?;
    match word.as_str() {
        "RS256" => Ok(Algorithm::RS256),
        "RS384" => Ok(Algorithm::RS384),
        "RS512" => Ok(Algorithm::RS512),
        "PS256" => Ok(Algorithm::PS256),
        "PS384" => Ok(Algorithm::PS384),
        "PS512" => Ok(Algorithm::PS512),
        "ES256" => Ok(Algorithm::ES256),
        "ES384" => Ok(Algorithm::ES384),
        "EdDSA" => Ok(Algorithm::EdDSA),
        _ => Err(TokenError::Algorithm(word.chars().take(32).collect())),
    }
}
