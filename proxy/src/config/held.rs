//! What a node holds: every object it was sent, what state they are, and who says so.

use std::sync::Arc;
use std::time::SystemTime;

use imbl::OrdMap;
use wire::{Envelope, Key, Vector, digest};

use crate::identity::{Certificate, Identity};

/// The objects, by key; states that follow each other share what they have in common.
pub(crate) type Objects = OrdMap<Key, Arc<Envelope>>;

/// A state as control committed it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) objects: Objects,
    pub(crate) vector: Vector,
    /// Of all objects; of none for a node that never took a state.
    pub(crate) digest: [u8; 32],
    pub(crate) proof: Option<Proof>,
}

/// What a node serves: a state, and of those objects in it that cannot be served as they were sent
/// the forms that are served in their place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Served {
    pub(crate) state: Arc<Held>,
    /// Older forms, each of an object of the state.
    pub(crate) good: Objects,
}

impl Served {
    /// The objects, in the forms that are served.
    pub(crate) fn objects(&self) -> Objects {
        self.good.clone().union(self.state.objects.clone())
    }
}

/// That control said so to this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Proof {
    /// Microseconds since 1970.
    pub(crate) issued_at: i64,
    pub(crate) signature: Vec<u8>,
    /// The certificate of the authority that signed.
    pub(crate) signer: Vec<u8>,
}

/// Why a state is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unproven {
    /// The digest is not that of the objects.
    #[error("the objects are not those of its digest")]
    Digest,
    /// Nobody signed.
    #[error("it is not signed")]
    Unsigned,
    /// The one who signed is none who may.
    #[error("it is signed by somebody who is not the authority of this node's cluster")]
    Stranger,
    /// The signature is not of this state for this node.
    #[error("its signature is not of this state for this node")]
    Signature,
}

/// The digest of these objects.
pub(crate) fn digest(objects: &Objects) -> [u8; 32] {
    digest::held(objects.iter().map(|(key, held)| (key, held.generation, &held.digest)))
}

impl Held {
    /// Nothing, as a node begins.
    pub(crate) fn nothing() -> Self {
        Held { digest: digest(&Objects::new()), ..Held::default() }
    }

    /// Checks that control said this to this node at some time: the state is whole, and signed by
    /// the authority of the node's cluster.
    pub(crate) fn check(&self, node: &Identity, now: SystemTime) -> Result<(), Unproven> {
        if digest(&self.objects) != self.digest
            || !self.objects.iter().all(|(key, held)| *key == held.key && held.is_whole())
        {
            return Err(Unproven::Digest);
        }
        self.check_proof(node, now)
    }

    /// The same of a state whose objects are known to be those of its digest.
    pub(crate) fn check_proof(&self, node: &Identity, now: SystemTime) -> Result<(), Unproven> {
        let proof = self.proof.as_ref().ok_or(Unproven::Unsigned)?;
        let signer = authority(&proof.signer, node, now).ok_or(Unproven::Stranger)?;
        let text = digest::statement(&node.node, proof.issued_at, &self.vector, &self.digest);
        if signer.has_signed(&text, &proof.signature) { Ok(()) } else { Err(Unproven::Signature) }
    }
}

/// The authority of the node's own cluster, if these bytes are its certificate.
fn authority(der: &[u8], node: &Identity, now: SystemTime) -> Option<Certificate> {
    let signer = Certificate::read(der).ok()?;
    let roots = node.roots.iter().filter_map(|root| Certificate::read(root).ok());
    let mut roots = roots.filter(|root| signer.is_signed_by(root));
    let is_ours = signer.domain() == Some(&node.domain());
    let fits = signer.is_authority && signer.holds(now) && is_ours && roots.next().is_some();
    fits.then_some(signer)
}
