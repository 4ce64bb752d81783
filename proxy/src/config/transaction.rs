//! A transaction on its way: a copy of what is held, changed step by step, and believed as a whole.

use std::sync::Arc;
use std::time::SystemTime;

use wire::{Begin, Commit, Envelope, Key};

use super::held::{self, Held, Objects, Proof};
use crate::identity::Identity;

/// So many objects a node holds at most.
const OBJECTS: usize = 1_000_000;

/// What was said of the next state so far.
#[derive(Debug)]
pub(crate) struct Incoming {
    begin: Begin,
    objects: Objects,
    bytes: usize,
    /// Why it will be refused, whatever follows.
    refused: Option<String>,
}

impl Incoming {
    /// Begins with what is held, or with nothing if all is sent anew.
    pub(crate) fn begin(begin: Begin, held: &Held) -> Self {
        let objects = if begin.resync { Objects::new() } else { held.objects.clone() };
        Incoming { begin, objects, bytes: 0, refused: None }
    }

    /// Whether everything is sent anew.
    pub(crate) fn is_whole(&self) -> bool {
        self.begin.resync
    }

    pub(crate) fn put(&mut self, envelopes: Vec<Envelope>) {
        for envelope in envelopes {
            self.bytes += envelope.body.len();
            if !envelope.is_whole() {
                self.refuse(format!("the body of {} is not that of its digest", envelope.key));
            } else if self.bytes > wire::STATE_BYTES || self.objects.len() >= OBJECTS {
                return self.refuse("it is larger than a node takes".to_owned());
            } else {
                self.objects.insert(envelope.key.clone(), Arc::new(envelope));
            }
        }
    }

    pub(crate) fn drop(&mut self, keys: &[Key]) {
        keys.iter().for_each(|key| drop(self.objects.remove(key)));
    }

    /// The state that is committed.
    ///
    /// # Errors
    /// Why the whole transaction is refused.
    pub(crate) fn commit(
        self,
        commit: Commit,
        node: &Identity,
        now: SystemTime,
    ) -> Result<Held, String> {
        if let Some(why) = self.refused {
            return Err(why);
        }
        if commit.nonce != self.begin.nonce {
            let (end, begin) = (commit.nonce, self.begin.nonce);
            return Err(format!("it began as {begin} and ended as {end}"));
        }
        let found = held::digest(&self.objects);
        if found != commit.digest {
            let (found, wanted) = (wire::digest::hex(&found), wire::digest::hex(&commit.digest));
            return Err(format!("the objects held would be {found}, not {wanted}"));
        }
        let Commit { digest, issued_at, signature, signer, .. } = commit;
        let proof = Some(Proof { issued_at, signature, signer });
        let state = Held { objects: self.objects, vector: self.begin.vector, digest, proof };
        // Each object was looked at when it came, and the digest just now.
        state.check_proof(node, now).map_err(|error| error.to_string())?;
        Ok(state)
    }

    fn refuse(&mut self, why: String) {
        self.refused.get_or_insert(why);
    }
}
