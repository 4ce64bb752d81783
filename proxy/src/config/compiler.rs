//! From what is held to a table, and to a word on each object that is not served as it was sent.
//!
//! A policy that cannot be read closes what control says it protects; any other object keeps the
//! form that was last served, also over a restart, or is left out where there is none.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use imbl::OrdMap;
use imbl::ordmap::DiffItem;
use model::identity::Peer;
use model::key::platform_namespace;
use model::{Invalid, Kind, Name, Resource};
use table::{Assembly, Closed, Input, Refused, Table, assemble};
use wire::{Envelope, Key, Rejection};

use super::held::{Objects, Served};
use super::reading::{Unreadable, read};

/// What held objects come to.
#[derive(Debug)]
pub(crate) struct Compiled {
    pub(crate) table: Arc<Table>,
    pub(crate) faults: Vec<Invalid>,
    pub(crate) rejected: Vec<Rejection>,
    /// The objects in force.
    pub(crate) resources: OrdMap<model::Key, Resource>,
    /// Those of them that are served in an older form than was sent.
    pub(crate) kept: BTreeSet<model::Key>,
    /// The older forms of these, as they were sent.
    pub(crate) good: Objects,
}

/// Compiles one state after the other, taking over what did not change.
#[derive(Debug, Default)]
pub(crate) struct Compiler {
    seat: Seat,
    /// What was read last.
    held: Objects,
    read: BTreeMap<Key, Reading>,
    /// What could be read of it.
    sound: OrdMap<model::Key, Resource>,
    assembly: Option<Assembly>,
    resources: OrdMap<model::Key, Resource>,
    good: Objects,
}

/// For whom tables are made.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seat {
    /// The cluster of the node.
    pub(crate) cluster: Option<Name>,
    /// The workload that it stands for.
    pub(crate) stands_for: Option<model::Key>,
}

/// An object as it was read.
#[derive(Debug)]
struct Reading {
    envelope: Arc<Envelope>,
    result: Result<Resource, Unreadable>,
}

impl Compiler {
    /// Of a node in this place.
    pub(crate) fn of(seat: Seat) -> Self {
        Compiler { seat, ..Compiler::default() }
    }

    /// The same, to go on from what was served.
    pub(crate) fn after(served: &Served, seat: Seat) -> Self {
        let mut compiler = Compiler::of(seat);
        if !served.good.is_empty() {
            compiler.compile(&served.objects());
        }
        compiler
    }

    /// Makes a table of all that is held.
    pub(crate) fn compile(&mut self, held: &Objects) -> Compiled {
        let before = std::mem::replace(&mut self.held, held.clone());
        self.look(&before);
        let assembly = assemble(self.input(), self.assembly.as_ref());
        let mut resources = self.sound.clone();
        for key in &assembly.kept {
            if let Some(good) = self.resources.get(key) {
                resources.insert(key.clone(), good.clone());
            }
        }
        self.resources = resources;
        // An object was served as it was sent, or already then in an older form.
        let good = |key: &Key| self.good.get(key).or_else(|| before.get(key)).cloned();
        let kept = assembly.kept.iter().map(Key::from);
        self.good = kept.filter_map(|key| Some((key.clone(), good(&key)?))).collect();
        let compiled = Compiled {
            table: Arc::clone(&assembly.table),
            rejected: self.rejected(&assembly),
            faults: assembly.faults.clone(),
            resources: self.resources.clone(),
            kept: assembly.kept.clone(),
            good: self.good.clone(),
        };
        self.assembly = Some(assembly);
        compiled
    }

    /// As whom the node speaks in the mesh, as the last table says.
    pub(crate) fn peer(&self) -> Option<Peer> {
        Some(self.assembly.as_ref()?.table.inbound.as_ref()?.peer.clone())
    }

    /// Reads what was not there before.
    fn look(&mut self, before: &Objects) {
        for change in before.diff(&self.held) {
            let (key, envelope) = match change {
                DiffItem::Add(key, envelope) => (key, Some(envelope)),
                DiffItem::Update { new: (key, envelope), .. } => (key, Some(envelope)),
                DiffItem::Remove(key, _) => (key, None),
            };
            if let Some(Reading { result: Ok(gone), .. }) = self.read.remove(key) {
                self.sound.remove(&gone.key());
            }
            if let Some(envelope) = envelope {
                let reading = Reading { envelope: Arc::clone(envelope), result: read(envelope) };
                self.sound.extend(reading.result.iter().map(|one| (one.key(), one.clone())));
                self.read.insert(key.clone(), reading);
            }
        }
    }

    fn input(&self) -> Input {
        // What others see of the world is none of ours to judge.
        let Seat { cluster, stands_for } = self.seat.clone();
        let mut input = Input { slice: true, cluster, stands_for, ..Input::default() };
        for (key, Reading { envelope, result }) in &self.read {
            match result {
                Ok(resource) => input.resources.push(resource.clone()),
                Err(unreadable) if envelope.policy => input.closed.push(Closed {
                    policy: key.to_string(),
                    targets: targets(envelope),
                    fault: unreadable.faults[0].clone(),
                }),
                Err(unreadable) => input.refused.push(Refused {
                    key: key.known(),
                    raw: unreadable.raw.clone(),
                    faults: unreadable.faults.clone(),
                }),
            }
        }
        input
    }

    /// What is not served as it was sent: what could not be read, and what turned out to be of no
    /// use beside the others.
    fn rejected(&self, assembly: &Assembly) -> Vec<Rejection> {
        let mut rejected = Vec::new();
        for Reading { envelope, result } in self.read.values() {
            let faults = match result {
                Err(unreadable) => unreadable.faults.clone(),
                Ok(resource) => {
                    let key = resource.key();
                    let felt = [&assembly.kept, &assembly.lost, &assembly.closed];
                    let is_felt = felt.iter().any(|felt| felt.contains(&key));
                    let own = |fault: &&Invalid| is_felt && fault.key.as_ref() == Some(&key);
                    assembly.faults.iter().filter(own).cloned().collect()
                }
            };
            let told = envelope.targets.iter().take(wire::CLOSED).cloned();
            let closed: Vec<_> = if envelope.policy { told.collect() } else { Vec::new() };
            rejected.extend(faults.into_iter().map(|fault| Rejection {
                key: envelope.key.clone(),
                generation: envelope.generation,
                path: fault.path,
                reason: fault.reason,
                closed: closed.clone(),
            }));
        }
        rejected.truncate(wire::REJECTIONS);
        rejected
    }
}

/// What control says a policy protects, in keys of ours. Of what we do not know we close the whole
/// namespace, for which any kind without a meaning of its own stands.
fn targets(envelope: &Envelope) -> Vec<model::Key> {
    let name = |word: &str| Name::parse(word).ok();
    let of = |key: &Key| {
        let namespace = name(&key.namespace).or_else(|| name(&envelope.key.namespace));
        let namespace = namespace.unwrap_or_else(platform_namespace);
        let whole = || model::Key::new(Kind::ConfigMap, namespace.clone(), namespace.clone());
        key.known().unwrap_or_else(whole)
    };
    envelope.targets.iter().map(of).collect()
}

#[cfg(test)]
mod tests;
