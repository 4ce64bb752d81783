//! Signing in by a login provider: OpenID Connect's authorization code flow with PKCE.
//!
//! ```text
//! browser            server                              provider
//!    ├─ wants in ───────> state, cookie, digests kept
//!    <─ redirect ────────┤
//!    ├─ signs in ───────────────────────────────────────────>
//!    <─ redirect: code, state ───────────────────────────────┤
//!    ├─ code, state, cookie ──> kept? once, in time, same browser
//!    │                    ├─ code, verifier, client's secret ──>
//!    │                    <─ ID token ─────────────────────────┤
//!    │                    signature, issuer, audience, end, nonce
//!    <─ session ──────────┤
//! ```
//!
//! Here is what a provider is asked and what of its answer is believed; who somebody is by that, and
//! what begins for them, the use cases in [`crate::app`] say.
//! Verifier and nonce are drawn from the cookie, so that what is kept lets nobody in.

pub(crate) mod provider;
pub(crate) mod token;

#[cfg(test)]
pub(crate) mod fake;

use model::Name;
pub use model::login::LoginProvider;

use crate::Refusal;

/// Why somebody did not come in by a provider; in words for them.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// There is no such provider, or not any more.
    #[error("there is no login provider '{0}'; choose another way to sign in")]
    NoProvider(String),
    /// The provider does not answer, or not as one does.
    #[error(
        "{title} does not answer as it should; try again in a minute, and tell {contact} if \
             it stays so"
    )]
    Away {
        /// What people call the provider.
        title: String,
        /// Whom to tell.
        contact: String,
        /// What went wrong.
        #[source]
        source: provider::Error,
    },
    /// The provider sent them back without a code.
    #[error("{title} did not let you in ({word}); try again, or ask there")]
    Declined {
        /// What people call the provider.
        title: String,
        /// The provider's word for it.
        word: String,
    },
    /// No login of this browser is open that this answers.
    #[error(
        "this try to sign in is over: it was used already, took more than ten minutes, or began in \
         another browser or another tab; begin again"
    )]
    Over,
    /// What the provider said of them cannot be believed.
    #[error("what {title} said cannot be believed: {why}; tell {contact}")]
    Unbelieved {
        /// What people call the provider.
        title: String,
        /// What does not hold.
        why: token::Wrong,
        /// Whom to tell.
        contact: String,
    },
    /// The provider says nothing from which a name could be made.
    #[error(
        "{title} says nothing in '{claim}' from which a name could be made; ask {contact} to choose \
         another claim for LoginProvider '{provider}'"
    )]
    NoName {
        /// What people call the provider.
        title: String,
        /// The provider.
        provider: Name,
        /// Where the name was looked for.
        claim: String,
        /// Whom to ask.
        contact: String,
    },
    /// The name is somebody else's.
    #[error(
        "the name '{name}' is somebody else's here, so you were not let in under it; ask {contact} \
         to change your name at {title}, or the prefix of LoginProvider '{provider}'"
    )]
    Taken {
        /// The name.
        name: Name,
        /// What people call the provider.
        title: String,
        /// The provider.
        provider: Name,
        /// Whom to ask.
        contact: String,
    },
    /// The user was shut out.
    #[error("the user '{name}' is shut out of this server; ask {contact}")]
    Disabled {
        /// Who.
        name: String,
        /// Whom to ask.
        contact: String,
    },
    /// Somebody tries too often.
    #[error("too many tries to sign in; wait {0} seconds")]
    TooMany(u64),
    /// The server itself could not.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl Failure {
    /// In one word or two, for the audit.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Failure::NoProvider(_) => "no provider",
            Failure::Away { .. } => "provider away",
            Failure::Declined { .. } => "declined there",
            Failure::Over => "over",
            Failure::Unbelieved { .. } => "not believed",
            Failure::NoName { .. } => "no name",
            Failure::Taken { .. } => "name taken",
            Failure::Disabled { .. } => "shut out",
            Failure::TooMany(_) => "too many tries",
            Failure::Refused(_) => "failed",
        }
    }
}

impl From<store::Error> for Failure {
    fn from(error: store::Error) -> Self {
        Failure::Refused(error.into())
    }
}

impl From<crate::authn::secret::NoChance> for Failure {
    fn from(error: crate::authn::secret::NoChance) -> Self {
        Failure::Refused(error.into())
    }
}
