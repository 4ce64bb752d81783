//! What one class of nodes may see of a world, as the wire carries it.
//!
//! ```text
//! World ── Catalogue: each object encoded once a generation ─┬─ Snapshot of east's gateways
//!          (an unchanged object is the same bytes again)      └─ Snapshot of west's gateways
//! Snapshot r12, Snapshot r13 ── Difference: what to put, what to drop
//! ```
//!
//! All nodes of a class share a snapshot and the differences between two of them, so what a
//! revision costs grows with the classes and not with the nodes; and it grows with what changed,
//! unless that decides what a class sees of other objects. Nothing here waits or asks the time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use imbl::OrdMap;
use imbl::ordmap::DiffItem;
use model::{Key, Kind, Name, Resource};
use wire::{Envelope, Held, Lane, Vector, digest};

use crate::World;
use crate::ca::NodeKind;

mod aside;
mod catalogue;
mod sight;

pub use crate::session_secret::Served;
pub use catalogue::Catalogue;
pub(crate) use sight::CLUSTER;

/// Nodes that see the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Class {
    /// Their cluster.
    pub cluster: Name,
    /// What they are.
    pub kind: NodeKind,
}

/// What a class sees as of one revision.
#[derive(Debug)]
pub struct Snapshot {
    /// Which one; no other of this program has the number.
    pub number: u64,
    /// The last revision that is in it.
    pub revision: i64,
    /// When that revision was committed, microseconds since 1970; none if that is not known.
    pub committed: Option<i64>,
    /// Every scope with the revision that last changed it.
    pub vector: Vector,
    /// The Gateways among the objects that we can read.
    pub gateways: Vec<Served>,
    /// [`digest::held`] of the objects.
    pub digest: [u8; 32],
    /// The objects; snapshots of a class share what they have in common.
    pub objects: Objects,
}

/// Objects as the wire carries them, by key.
pub type Objects = OrdMap<wire::Key, Arc<Envelope>>;

/// What brings a node from one state to another.
#[derive(Debug, Default)]
pub struct Difference {
    /// Objects that are new to it or changed.
    pub puts: Vec<Arc<Envelope>>,
    /// Objects that it is to forget.
    pub drops: Vec<wire::Key>,
}

impl Snapshot {
    /// What brings a node that holds nothing here.
    pub fn whole(&self) -> Difference {
        Difference { puts: self.objects.values().cloned().collect(), drops: Vec::new() }
    }

    /// What brings a node here that runs `from`.
    pub fn since(&self, from: &Snapshot) -> Difference {
        let mut difference = Difference::default();
        for change in from.objects.diff(&self.objects) {
            match change {
                DiffItem::Add(_, new) => difference.puts.push(Arc::clone(new)),
                DiffItem::Update { old: (_, old), new: (_, new) } => {
                    let is_same = old.generation == new.generation && old.digest == new.digest;
                    if !is_same || old.scope != new.scope {
                        difference.puts.push(Arc::clone(new));
                    }
                }
                DiffItem::Remove(key, _) => difference.drops.push(key.clone()),
            }
        }
        difference
    }

    /// What brings a node here that said it holds `held`, in the order of keys. Both sides are in
    /// that order, so one walk finds all.
    pub fn since_held(&self, held: &[Held]) -> Difference {
        let mut difference = Difference::default();
        let (mut held, mut wanted) = (held.iter().peekable(), self.objects.iter().peekable());
        loop {
            match (held.peek(), wanted.peek()) {
                (Some(old), Some((key, _))) if old.key < **key => {
                    difference.drops.push(old.key.clone());
                    held.next();
                }
                (Some(old), Some((key, new))) if old.key == **key => {
                    if old.generation != new.generation || old.digest != new.digest {
                        difference.puts.push(Arc::clone(new));
                    }
                    held.next();
                    wanted.next();
                }
                (_, Some((_, new))) => {
                    difference.puts.push(Arc::clone(new));
                    wanted.next();
                }
                (Some(old), None) => {
                    difference.drops.push(old.key.clone());
                    held.next();
                }
                (None, None) => return difference,
            }
        }
    }
}

impl Difference {
    /// The queue that it goes by: endpoints alone are less urgent than what is said of traffic.
    pub fn lane(&self) -> Lane {
        let slice = Kind::EndpointSlice.as_str();
        let mut keys = self.puts.iter().map(|put| &put.key).chain(&self.drops).peekable();
        if keys.peek().is_some() && keys.all(|key| key.kind == slice) {
            Lane::Endpoint
        } else {
            Lane::Config
        }
    }
}

fn digest_of(objects: &Objects) -> [u8; 32] {
    digest::held(objects.iter().map(|(key, one)| (key, one.generation, &one.digest)))
}

#[cfg(test)]
mod tests;
