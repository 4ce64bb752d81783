//! Who is shut out before their credentials end.

use serde::{Deserialize, Serialize};

use crate::Name;

/// One who is shut out. Times are in seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Revocation {
    /// Who.
    pub whom: Whom,
    /// Only what they proved before this does not count any more, so that they may sign in anew; whatever they show
    /// where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<i64>,
    /// When it is over by itself; not until somebody lifts it where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<i64>,
}

/// Who is meant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Whom {
    /// Of whom an issuer of tokens says this.
    User {
        /// The claim `iss`, to the letter.
        issuer: String,
        /// The claim `sub`, to the letter.
        subject: String,
    },
    /// A Consumer.
    Consumer {
        /// Where it lies.
        namespace: Name,
        /// What it is called there.
        name: Name,
    },
    /// Who has an API key of a policy.
    ApiKey {
        /// Where the policy lies.
        namespace: Name,
        /// The name that goes with the key.
        name: String,
    },
    /// A gateway, or the proxy beside an application.
    Node {
        /// Its id, as its certificate says it.
        id: String,
    },
}

impl Revocation {
    /// Whether it is in force at `now`.
    pub fn holds(&self, now: i64) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}
