//! Who is calling, once proved.

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};

/// A caller that proved who it is.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Principal {
    /// By a key that only it and the gateway hold.
    ApiKey {
        /// The name that goes with the key.
        name: String,
    },
    /// By a token that an issuer signed.
    Jwt {
        /// The claim `iss`.
        issuer: String,
        /// The claim `sub`.
        subject: Option<String>,
        /// All claims.
        claims: Map<String, Value>,
    },
}

impl Principal {
    /// A short name for logs: `apikey:clerk`, `jwt:https://issuer#subject`.
    pub fn label(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Principal::ApiKey { name } => write!(f, "apikey:{name}"),
            Principal::Jwt { issuer, subject: Some(subject), .. } => {
                write!(f, "jwt:{issuer}#{subject}")
            }
            Principal::Jwt { issuer, subject: None, .. } => write!(f, "jwt:{issuer}"),
        }
    }
}
