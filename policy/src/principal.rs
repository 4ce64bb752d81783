//! Who is calling, once proved.

use std::fmt;
use std::sync::Arc;

use model::{Key, Name};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A caller that proved who it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Principal {
    /// As a Consumer.
    Consumer {
        /// Where it lies.
        namespace: Name,
        /// What it is called there.
        name: Name,
    },
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
    /// What the caller is called by those who gave it its credentials; a token says nothing of the kind.
    pub(crate) fn name(&self) -> Option<&str> {
        match self {
            Principal::Consumer { name, .. } => Some(name.as_str()),
            Principal::ApiKey { name } => Some(name),
            Principal::Jwt { .. } => None,
        }
    }
}

/// Somebody of whom another proxy says who they are.
#[derive(Debug, Clone, PartialEq)]
pub struct Believed {
    /// Who.
    pub principal: Arc<Principal>,
    /// The Api whose policy has their credentials; none where that is the workspace's or the platform's,
    /// so that they count for every Api.
    pub api: Option<Name>,
}

/// Somebody who proved who they are, and by which policy.
#[derive(Debug, Clone)]
pub struct Proof {
    /// Who.
    pub principal: Arc<Principal>,
    /// The policy whose credentials they have.
    pub policy: Arc<Key>,
    /// The Api that the policy belongs to, if it belongs to one.
    pub api: Option<Name>,
}

/// A short name for logs: `consumer:shop/acme`, `apikey:clerk`, `jwt:https://issuer#subject`.
impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Principal::Consumer { namespace, name } => write!(f, "consumer:{namespace}/{name}"),
            Principal::ApiKey { name } => write!(f, "apikey:{}", Plain(name)),
            Principal::Jwt { issuer, subject: Some(subject), .. } => {
                write!(f, "jwt:{}#{}", Plain(issuer), Plain(subject))
            }
            Principal::Jwt { issuer, subject: None, .. } => write!(f, "jwt:{}", Plain(issuer)),
        }
    }
}

/// Text that others chose, its control characters escaped: nobody writes lines into our logs.
pub(crate) struct Plain<'a>(pub(crate) &'a str);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|letter| match letter {
            letter if letter.is_control() => write!(f, "{}", letter.escape_default()),
            letter => write!(f, "{letter}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_stays_on_its_line() {
        let subject = Some("ann\nlevel 1 allows".to_owned());
        let caller = Principal::Jwt { issuer: "i".to_owned(), subject, claims: Map::new() };
        assert_eq!(caller.to_string(), "jwt:i#ann\\nlevel 1 allows");
    }
}
