//! What stands at one target of policies: the ways to prove who is calling there, and the rules.

use std::sync::Arc;

use model::{Invalid, Key};

use crate::access::CompiledPolicy;
use crate::authn::CompiledAuthn;
use crate::limit::CompiledLimits;

/// The policies of one target.
#[derive(Debug, Clone)]
pub enum Level {
    /// All of them could be read.
    Open(Policies),
    /// One could not be read, so nothing passes.
    Closed {
        /// The policy that could not be read.
        key: Key,
    },
    /// One stands here that this program knows only by name, so nothing passes.
    Unknown {
        /// Its name, in words.
        policy: Arc<str>,
    },
}

/// Those that could all be read.
#[derive(Debug, Clone, Default)]
pub struct Policies {
    /// How callers prove who they are.
    pub authn: Vec<Arc<CompiledAuthn>>,
    /// Who may do what.
    pub access: Vec<Arc<CompiledPolicy>>,
    /// How much of it.
    pub limits: Vec<Arc<CompiledLimits>>,
}

impl Level {
    /// Its AccessPolicies; none where it is closed.
    pub fn access(&self) -> &[Arc<CompiledPolicy>] {
        self.open().map_or(&[], |policies| &policies.access)
    }

    /// Its AuthnPolicies; none where it is closed.
    pub fn authn(&self) -> &[Arc<CompiledAuthn>] {
        self.open().map_or(&[], |policies| &policies.authn)
    }

    /// Its RateLimitPolicies; none where it is closed.
    pub fn limits(&self) -> &[Arc<CompiledLimits>] {
        self.open().map_or(&[], |policies| &policies.limits)
    }

    fn open(&self) -> Option<&Policies> {
        match self {
            Level::Open(policies) => Some(policies),
            Level::Closed { .. } | Level::Unknown { .. } => None,
        }
    }

    /// Whether it consists of the very same policies, or is closed for the same one.
    pub fn is_same(&self, other: &Level) -> bool {
        match (self, other) {
            (Level::Open(ours), Level::Open(theirs)) => {
                are_same(&ours.authn, &theirs.authn)
                    && are_same(&ours.access, &theirs.access)
                    && are_same(&ours.limits, &theirs.limits)
            }
            (Level::Closed { key: one }, Level::Closed { key: other }) => one == other,
            (Level::Unknown { policy: one }, Level::Unknown { policy: other }) => one == other,
            (Level::Open(_) | Level::Closed { .. } | Level::Unknown { .. }, _) => false,
        }
    }

    /// Whether it says who may do what, which those do not that ask who is calling, or only audit.
    pub fn speaks(&self) -> bool {
        self.is_closed() || self.access().iter().any(|policy| policy.decides())
    }

    /// Whether a policy of it could not be read.
    pub fn is_closed(&self) -> bool {
        self.open().is_none()
    }
}

fn are_same<T>(ours: &[Arc<T>], theirs: &[Arc<T>]) -> bool {
    ours.len() == theirs.len()
        && ours.iter().zip(theirs).all(|(one, other)| Arc::ptr_eq(one, other))
}

/// The faults of a policy, each with its key.
pub(crate) fn invalid(key: &Key, faults: Vec<(String, String)>) -> Vec<Invalid> {
    let fault = |(path, reason)| Invalid {
        key: Some(key.clone()),
        path,
        line: None,
        reason,
        nearest: None,
    };
    faults.into_iter().map(fault).collect()
}
