//! One object on its way: what the protocol must know of it, around a body that only the model reads.

use bytes::Bytes;

use crate::{Key, digest};

/// The newest schema of bodies that this program writes and reads.
pub const SCHEMA: u32 = 1;

/// One object.
#[derive(Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Which.
    pub key: Key,
    /// Whose: `platform` or `workspace/NAME`.
    pub scope: String,
    /// Its generation.
    pub generation: i64,
    /// [`digest::object`] of schema, policy, targets and body.
    pub digest: [u8; 32],
    /// Canonical JSON, values of secrets included.
    pub body: Bytes,
    /// The oldest schema by which the body can be read.
    pub schema: u32,
    /// Whether it is a policy: a node that cannot read it closes `targets`.
    pub policy: bool,
    /// What a policy is attached to, as control understands it.
    pub targets: Vec<Key>,
}

impl Envelope {
    /// Whether body, schema, policy and targets are those that were digested.
    pub fn is_whole(&self) -> bool {
        self.found() == self.digest
    }

    /// The same with the digest that it should have.
    #[must_use]
    pub fn digested(mut self) -> Self {
        self.digest = self.found();
        self
    }

    fn found(&self) -> [u8; 32] {
        digest::object(self.schema, self.policy, &self.targets, &self.body)
    }
}

impl std::fmt::Debug for Envelope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The body may hold the values of a Secret.
        f.debug_struct("Envelope")
            .field("key", &self.key)
            .field("scope", &self.scope)
            .field("generation", &self.generation)
            .field("bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}
