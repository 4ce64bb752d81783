//! Namespaces as selectors of Gateways and ListenerSets look at them.
//!
//! A namespace whose object has no good form is picked by nothing but its name: that a label is not there
//! cannot be told either.
//! What a selector asks for is its owner's to know. So who attaches from another workspace is told nothing of it,
//! and of one of the platform's, which is there for many, by which label it judges, and not what it wants of others.

use std::collections::BTreeMap;

use model::gateway::Unmet;
use model::namespace::{Labelled, Namespace};
use model::{Kind, Name, Resource, Scope};

use crate::assemble::borders::Borders;
use crate::isolate::Settled;

/// The labels of all namespaces.
pub(crate) struct Namespaces<'a> {
    /// Those that somebody wrote; none of what has no good form.
    written: BTreeMap<&'a Name, Option<&'a Namespace>>,
    borders: &'a Borders,
}

impl<'a> Namespaces<'a> {
    pub(super) fn new(settled: &'a Settled, borders: &'a Borders) -> Self {
        let lost = settled.lost.iter().filter(|key| key.kind == Kind::Namespace);
        let mut written: BTreeMap<_, _> = lost.map(|key| (&key.name, None)).collect();
        written.extend(settled.of_kind(Kind::Namespace).filter_map(|(key, item)| {
            match &item.resource {
                Resource::Namespace(object) => Some((&key.name, Some(&**object))),
                _ => None,
            }
        }));
        Namespaces { written, borders }
    }

    /// A namespace with its labels.
    pub(super) fn get<'n>(&self, name: &'n Name) -> Labelled<'n>
    where
        'a: 'n,
    {
        match self.written.get(name) {
            None => Labelled::bare(name),
            Some(None) => Labelled::untold(name),
            Some(Some(object)) => Labelled::by(object),
        }
    }

    /// As much of what a selector in the namespace `of` asks for as may be told to who writes in `own`.
    pub(super) fn told<'u>(&self, unmet: Unmet<'u>, of: &Name, own: &Name) -> Option<Unmet<'u>> {
        match self.borders.scope(of) {
            _ if self.borders.are_one(of, own) => Some(unmet),
            Scope::Platform => Some(unmet.veiled()),
            Scope::Workspace(_) => None,
        }
    }
}
