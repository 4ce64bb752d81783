//! Why a change was not made.

use model::access::Denied;
use model::{Invalid, Key};

use crate::authn::password;
use crate::authn::secret::NoChance;
use crate::claims::Overlap;
use crate::rotation::Refused;

/// Why a change was not made; each names all there are of its sort. Nothing was written, unless
/// the store failed on its way to a server.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// What was written is wrong, by itself or beside what is there.
    #[error("{}", list(.0))]
    Invalid(Vec<Invalid>),
    /// It may not be done by who asks.
    #[error("{}", denials(.0))]
    Denied(Vec<(Key, Denied)>),
    /// Another workspace holds it.
    #[error("{}", list(.0))]
    Claimed(Vec<Overlap>),
    /// Somebody else was quicker.
    #[error("{}", list(.0))]
    Conflict(Vec<Conflict>),
    /// There is no such revision, or nothing in it that who asks may see.
    #[error("there is no revision {0}")]
    NoRevision(i64),
    /// A revision that changed what who asks may not see.
    #[error(
        "revision {0} also changed what you may not see; ask somebody who may see all of it to take \
         it back"
    )]
    Partly(i64),
    /// Others change the same scopes so often that there was no moment to decide in.
    #[error("others keep changing what this change was checked against; try again")]
    Busy,
    /// Nobody whom we know asks.
    #[error("sign in, or send a token that is good")]
    Unauthenticated,
    /// No user has this name and this password.
    #[error("the user or the password is wrong")]
    WrongPassword,
    /// Somebody tries to sign in too often.
    #[error("too many tries to sign in; wait {0} seconds")]
    TooManyAttempts(u64),
    /// There is none, or none that who asks may know of.
    #[error("there is no {0}")]
    None(String),
    /// Who asks may know of it, and not do it; in words.
    #[error("{0}")]
    Forbidden(String),
    /// Somebody decided before; says who and what.
    #[error("{0}")]
    Decided(String),
    /// The root cannot go on to the next, or not yet.
    #[error(transparent)]
    Rotation(Refused),
    /// No root certificate is there by which a node could know us.
    #[error("there is no root certificate yet; start the server's port for nodes")]
    NoRoot,
    /// The key of a request that is made once was given to another request before.
    #[error(
        "the idempotency key '{0}' came with another request before; give each request its own"
    )]
    KeyReused(String),
    /// The store failed, in words that say the remedy where there is one.
    #[error("the store failed{}", remedy(&**.0))]
    Store(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What a person does about a store that failed; nothing where only the log helps.
fn remedy(error: &(dyn std::error::Error + 'static)) -> String {
    let database = match error.downcast_ref::<store::CommitError>() {
        Some(store::CommitError::Database(error)) => Some(error),
        Some(_) => None,
        None => error.downcast_ref::<store::Error>(),
    };
    database.map(|error| format!(": {error}")).unwrap_or_default()
}

/// An object that is not as the change expects it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{key} was edited from generation {}, and has {} now; read it again and decide anew",
    generation(*.expected),
    generation(*.found)
)]
pub struct Conflict {
    /// Which.
    pub key: Key,
    /// The generation that it was edited from; none if it was not there.
    pub expected: Option<i64>,
    /// The one it has; none if it is not there.
    pub found: Option<i64>,
}

fn generation(generation: Option<i64>) -> String {
    generation.map_or_else(|| "none".to_owned(), |generation| generation.to_string())
}

fn list<T: ToString>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn denials(denied: &[(Key, Denied)]) -> String {
    denied.iter().map(|(key, why)| format!("{key}: {why}")).collect::<Vec<_>>().join("\n")
}

impl Refusal {
    /// For whoever may not know that there is such an operation.
    pub(crate) fn nothing() -> Self {
        Refusal::None("such operation, or it is not for you".to_owned())
    }

    /// What is said of an object that is not there, and of one that may not be read.
    pub(crate) fn hidden(key: &Key) -> Self {
        Refusal::Denied(vec![(key.clone(), Denied::Hidden)])
    }
}

impl From<NoChance> for Refusal {
    fn from(error: NoChance) -> Self {
        Refusal::Store(Box::new(error))
    }
}

impl From<password::Error> for Refusal {
    fn from(error: password::Error) -> Self {
        match error {
            password::Error::Busy => Refusal::TooManyAttempts(1),
            password::Error::NoChance(_) | password::Error::Hash => Refusal::Store(Box::new(error)),
        }
    }
}

impl From<store::CommitError> for Refusal {
    fn from(error: store::CommitError) -> Self {
        match error {
            store::CommitError::KeyReused(key) => Refusal::KeyReused(key),
            store::CommitError::Settled(id) => {
                Refusal::Decided(format!("the access request {id} is decided already"))
            }
            other => Refusal::Store(Box::new(other)),
        }
    }
}

impl From<store::Error> for Refusal {
    fn from(error: store::Error) -> Self {
        Refusal::Store(Box::new(error))
    }
}
