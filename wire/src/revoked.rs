//! Who is shut out before their credentials end, and which browsers logged out.

use model::Name;
use model::revocation::{Revocation, Whom};

use crate::frame::Malformed;
use crate::proto::config::revocation::Whom as Said;
use crate::proto::{config, seeing};
use crate::{ENDED, REVOKED, WORD};

/// Who is shut out; of several parts the last one says so.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Revoked {
    /// [`REVOKED`](crate::REVOKED) at most in a frame.
    pub revocations: Vec<Revocation>,
    /// Whether another part follows.
    pub more: bool,
}

/// Browsers that logged out, beside those that were told before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ended {
    /// [`ENDED`](crate::ENDED) at most in a frame.
    pub sessions: Vec<EndedSession>,
}

/// Browsers that logged out at a node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoggedOut {
    /// Counts up on one stream.
    pub number: u64,
    /// [`ENDED`](crate::ENDED) at most.
    pub sessions: Vec<EndedSession>,
}

/// A session of a browser that is over before its time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct EndedSession {
    /// What the gateway that began it calls it.
    pub id: String,
    /// When it would have been over in any case, in seconds since 1970.
    pub until: i64,
}

impl From<Revoked> for config::Revoked {
    fn from(revoked: Revoked) -> Self {
        let revocations = revoked.revocations.into_iter().map(Into::into).collect();
        config::Revoked { revocations, more: revoked.more }
    }
}

impl TryFrom<config::Revoked> for Revoked {
    type Error = Malformed;

    fn try_from(revoked: config::Revoked) -> Result<Self, Malformed> {
        let config::Revoked { revocations, more } = revoked;
        if revocations.len() > REVOKED {
            return Err(Malformed::Many(revocations.len()));
        }
        let revocations = revocations.into_iter().map(read).collect::<Result<_, _>>()?;
        Ok(Revoked { revocations, more })
    }
}

impl From<Revocation> for config::Revocation {
    fn from(one: Revocation) -> Self {
        let Revocation { whom, before, until } = one;
        let named = |namespace: Name, name: &dyn ToString| config::Named {
            namespace: namespace.to_string(),
            name: name.to_string(),
        };
        let whom = match whom {
            Whom::User { issuer, subject } => Said::User(config::User { issuer, subject }),
            Whom::Consumer { namespace, name } => Said::Consumer(named(namespace, &name)),
            Whom::ApiKey { namespace, name } => Said::ApiKey(named(namespace, &name)),
            Whom::Node { id } => Said::Node(id),
        };
        config::Revocation { whom: Some(whom), before, until }
    }
}

/// Nobody is passed over of whom this version does not know who they are: then the whole frame is refused.
fn read(one: config::Revocation) -> Result<Revocation, Malformed> {
    let config::Revocation { whom, before, until } = one;
    let name = |word: &str| Name::parse(word).map_err(|error| Malformed::Name(error.to_string()));
    let whom = match whom.ok_or(Malformed::Missing("whom"))? {
        Said::User(config::User { issuer, subject }) => Whom::User { issuer, subject },
        Said::Consumer(config::Named { namespace, name: of }) => {
            Whom::Consumer { namespace: name(&namespace)?, name: name(&of)? }
        }
        Said::ApiKey(config::Named { namespace, name: of }) => {
            Whom::ApiKey { namespace: name(&namespace)?, name: of }
        }
        Said::Node(id) => Whom::Node { id },
    };
    Ok(Revocation { whom, before, until })
}

impl From<Ended> for config::Ended {
    fn from(ended: Ended) -> Self {
        let one = |EndedSession { id, until }| config::EndedSession { id, until };
        config::Ended { sessions: ended.sessions.into_iter().map(one).collect() }
    }
}

impl TryFrom<config::Ended> for Ended {
    type Error = Malformed;

    fn try_from(ended: config::Ended) -> Result<Self, Malformed> {
        let sessions = ended.sessions.into_iter();
        Ok(Ended { sessions: all(sessions.map(|one| (one.id, one.until)))? })
    }
}

impl From<LoggedOut> for seeing::LoggedOut {
    fn from(told: LoggedOut) -> Self {
        let one = |EndedSession { id, until }| seeing::Session { id, until };
        let sessions = told.sessions.into_iter().map(one).collect();
        seeing::LoggedOut { number: told.number, sessions }
    }
}

impl TryFrom<seeing::LoggedOut> for LoggedOut {
    type Error = Malformed;

    fn try_from(told: seeing::LoggedOut) -> Result<Self, Malformed> {
        let sessions = told.sessions.into_iter();
        let sessions = all(sessions.map(|one| (one.id, one.until)))?;
        Ok(LoggedOut { number: told.number, sessions })
    }
}

fn all(
    sessions: impl ExactSizeIterator<Item = (String, i64)>,
) -> Result<Vec<EndedSession>, Malformed> {
    if sessions.len() > ENDED {
        return Err(Malformed::Many(sessions.len()));
    }
    let one = |(id, until): (String, i64)| match id.len() {
        0 => Err(Malformed::Missing("id")),
        1..=WORD => Ok(EndedSession { id, until }),
        long => Err(Malformed::Long(long)),
    };
    sessions.map(one).collect()
}
