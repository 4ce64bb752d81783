//! What a commit is asked to do, and what came of it.

use std::collections::{BTreeMap, BTreeSet};

use model::secret::SecretBytes;
use serde::{Deserialize, Serialize};

use crate::seal::SealError;
use crate::{Entry, Error, Key, Reference, Scope};

/// One change, all of it or nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Commit {
    /// When, in microseconds since 1970.
    pub at: i64,
    /// Who.
    pub actor: String,
    /// The request that asked for it.
    pub request_id: String,
    /// Why, in the actor's words.
    pub message: String,
    /// The revision that this one takes back.
    pub reverts: Option<i64>,
    /// Each scope that was read to decide this, and the revision it was read at; 0 before its
    /// first.
    pub bases: Vec<(Scope, i64)>,
    /// Users of whom one must be there and let in, if any are named: who may do everything once
    /// this is done.
    pub keepers: BTreeSet<String>,
    /// What changes, each key once.
    pub writes: Vec<Write>,
    /// The access request that it grants, if it grants one: which is open until then, or nothing is
    /// written.
    pub settles: Option<String>,
    /// What the audit says besides that this commit was made.
    pub audit: Vec<Entry>,
    /// The second commit of this actor with the same key changes nothing and has the first's
    /// answer.
    pub once: Option<Once>,
}

/// A request that may be sent twice and is done once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Once {
    /// The key that the actor gave it.
    pub key: String,
    /// The digest of all that it asks for: under one key there is one request.
    pub digest: String,
}

/// One resource's change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// It is to be like this.
    Put(Box<Put>),
    /// It is to be gone.
    Delete(Delete),
}

impl Write {
    pub(crate) fn key(&self) -> &Key {
        match self {
            Write::Put(put) => &put.key,
            Write::Delete(delete) => &delete.key,
        }
    }

    pub(crate) fn expected(&self) -> Option<Expected> {
        match self {
            Write::Put(put) => put.expected,
            Write::Delete(delete) => delete.expected,
        }
    }
}

/// What must be there for a write to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Nothing.
    Absent,
    /// This generation.
    Generation(i64),
}

/// A resource as it is to be.
///
/// One whose body, scope, owner team and source are as they were is not changed, and gets no
/// generation: its labels, references, claims and grants follow from its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Put {
    /// Its name.
    pub key: Key,
    /// What must be there before; anything may, if none.
    pub expected: Option<Expected>,
    /// Canonical JSON, with digests in place of secret values.
    pub body: String,
    /// Where it belongs.
    pub scope: Scope,
    /// Who owns it; empty for nobody.
    pub owner_team: String,
    /// Where it comes from: a user, a cluster, a repository.
    pub source: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// What it names.
    pub references: Vec<Reference>,
    /// What it claims for its workspace.
    pub claims: Vec<Claim>,
    /// The roles that it gives.
    pub grants: Vec<Grant>,
    /// The values that its body shows as digests, sealed when written.
    pub secret: Option<SecretBytes>,
}

/// A resource that is to be gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delete {
    /// Its name.
    pub key: Key,
    /// What must be there before; anything may, if none.
    pub expected: Option<Expected>,
}

/// A role that somebody holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// A user or a group.
    pub subject: String,
    /// The name of the role.
    pub role: String,
    /// Where it holds.
    pub scope: Scope,
}

/// What a workspace holds for itself alone. Equal claims exclude each other here; that a wildcard
/// or a prefix covers another's is for the caller to see.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Claim {
    /// What sort of thing.
    pub sort: Sort,
    /// The host name, the service's name, or the port.
    pub host: String,
    /// A path prefix below a host, else empty.
    pub path: String,
    /// Who claims it.
    pub workspace: String,
}

/// What can be claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sort {
    /// A host name, or a path prefix below one.
    Host,
    /// The name of a service.
    Service,
    /// A port.
    Port,
}

impl Sort {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Sort::Host => "host",
            Sort::Service => "service",
            Sort::Port => "port",
        }
    }
}

/// What came of a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Committed {
    /// Its revision; the last one there was, if nothing changed.
    pub revision: i64,
    /// The generation of each resource that was put, changed or not.
    pub generations: Vec<(Key, i64)>,
    /// The resources that changed, each with its generation; none for one that is gone.
    pub changed: Vec<(Key, Option<i64>)>,
    /// Whether this is the answer to an earlier request of the same key, and nothing was done now.
    #[serde(skip)]
    pub replayed: bool,
}

/// A scope that is no longer where it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// Which.
    pub scope: Scope,
    /// Where it was read.
    pub expected: i64,
    /// Where it is.
    pub found: i64,
}

/// A resource that is not as a write expects it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stale {
    /// Which.
    pub key: Key,
    /// What the write expects.
    pub expected: Expected,
    /// Its generation; none if it is not there.
    pub found: Option<i64>,
}

/// A claim that somebody else holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// What was claimed.
    pub claim: Claim,
    /// The workspace that holds it.
    pub holder: String,
    /// The resource by which it does.
    pub by: Key,
}

/// Why nothing was written. Of its sort, each names all there are.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// Others changed what this commit was decided from: read again and decide again.
    #[error("{} of the scopes that were read have moved since", .0.len())]
    Moved(Vec<Moved>),
    /// Others changed what this commit writes.
    #[error("{} of the resources are not as expected", .0.len())]
    Stale(Vec<Stale>),
    /// Others hold what this commit claims.
    #[error("{} of the claims are taken", .0.len())]
    Claimed(Vec<Taken>),
    /// None of the keepers is there and let in.
    #[error("none of those who are to stay may sign in")]
    NobodyLeft,
    /// Somebody decided the access request that this commit grants.
    #[error("the access request {0} is not open any more")]
    Settled(String),
    /// It says two things of one resource.
    #[error("{0} is written twice in one commit")]
    Twice(Key),
    /// The actor gave another request the same key before.
    #[error("the key '{0}' was given to another request before")]
    KeyReused(String),
    /// A secret could not be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The database failed. On a server the commit may have happened nevertheless: with an
    /// idempotency key it can be sent again.
    #[error(transparent)]
    Database(#[from] Error),
}
