//! From resources to a [`Table`], in the order in which one thing needs another.
//!
//! Settle one good form of each object, keep policies whose edit misses its target, draw the borders,
//! compile policies into levels, gather claims, draft the listeners, find each route's parents and
//! rivals, close policies that deny strangers, resolve services, attach routes.
//! A refused route without a good form stays closed where a policy protects it.
//! What did not change since the assembly before is taken over from it: objects with their compiled
//! forms always; the parents of a route and its rules where nothing that they hang on changed, so that
//! an edit of one route, or of the endpoints behind it, costs little more than itself.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::{Invalid, Key, Name, Resource};

use crate::assemble::attach::{Around, Attached, Attacher};
use crate::assemble::borders::Borders;
use crate::assemble::encryptions::Encryptions;
use crate::assemble::namespaces::Namespaces;
use crate::assemble::parents::Parents;
use crate::assemble::policies::Policies;
use crate::assemble::rivals::Rivals;
use crate::assemble::traffic::Traffic;
use crate::claimed::Claimed;
use crate::isolate::{self, Settled};
use crate::service::{Catalog, Guards};
use crate::{Table, inbound, listener, outbound};

pub(crate) mod attach;
pub(crate) mod borders;
mod callers;
pub(crate) mod encryptions;
mod listeners;
mod misled;
mod namespaces;
mod parents;
pub(crate) mod policies;
mod rivals;
mod rules;
mod sets;
pub(crate) mod traffic;
mod unknown;
mod walk;

/// All objects at hand.
#[derive(Debug, Clone, Default)]
pub struct Input {
    /// Those that were read well.
    pub resources: Vec<Resource>,
    /// Those that were not.
    pub refused: Vec<Refused>,
    /// Policies of which only their targets are known.
    pub closed: Vec<Closed>,
    /// Whether this is only what one node is told of: what is not there may be elsewhere, so no
    /// edit is taken for a slip and a Gateway that nobody refused is no fault for its absence.
    pub slice: bool,
    /// Whether every reference across namespaces counts as let: for who is not told of the grants.
    pub lends: bool,
    /// The Workload that whoever asks is the proxy of, if it runs in their cluster.
    pub stands_for: Option<Key>,
    /// The cluster of whoever asks, where there are clusters.
    pub cluster: Option<Name>,
}

/// An object that was not read well.
#[derive(Debug, Clone, Default)]
pub struct Refused {
    /// What it is, where that could be told; without it nobody is affected.
    pub key: Option<Key>,
    /// What was written, where the text parsed at all.
    pub raw: Option<serde_json::Value>,
    /// What is wrong.
    pub faults: Vec<Invalid>,
}

/// A policy that this program knows only by name, and what it protects as whoever sent it says: its
/// targets answer nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// Its name in words, such as `RegoPolicy shop/orders`.
    pub policy: String,
    /// Gateways, ListenerSets, HTTPRoutes, Services, Workspaces and Apis; a Workspace stands for all its routes and
    /// Services, an Api for its routes. Any other kind stands for every Gateway, HTTPRoute and Service
    /// of its namespace.
    pub targets: Vec<Key>,
    /// Why it cannot be read.
    pub fault: Invalid,
}

/// A table, what is wrong with what it was made from, and what the next one may take over.
#[derive(Debug)]
pub struct Assembly {
    /// The table.
    pub table: Arc<Table>,
    /// Every fault, those of refused objects first.
    pub faults: Vec<Invalid>,
    /// Refused objects that keep their last good form.
    pub kept: BTreeSet<Key>,
    /// Refused objects that have none, and are not served at all.
    pub lost: BTreeSet<Key>,
    /// Policies that could not be used, be it at one target alone: what they are attached to there
    /// is closed.
    pub closed: BTreeSet<Key>,
    pub(crate) settled: Settled,
    pub(crate) policies: Policies,
    parents: Parents,
    attached: Attached,
    /// [`Settled::surroundings`].
    surroundings: [u8; 32],
}

/// Makes a table. It never fails as a whole: see [`Assembly::faults`].
pub fn assemble(input: Input, previous: Option<&Assembly>) -> Assembly {
    let mut faults = Vec::new();
    let (own, cluster) = (input.stands_for.clone(), input.cluster.clone());
    let mut settled = isolate::settle(input, previous, &mut faults);
    if !settled.slice {
        misled::keep(&mut settled, previous, &mut faults);
    }
    let borders = Borders::new(&settled);
    let mut policies = Policies::compile(&settled, &borders, previous, &mut faults);
    let claimed = Arc::new(Claimed::new(&settled, &borders, &mut faults));
    let namespaces = Namespaces::new(&settled, &borders);
    let before = previous.map_or(&[][..], |assembly| &assembly.table.listeners);
    let mut listeners = listeners::draft(&settled, (&claimed, &namespaces), before, &mut faults);
    let surroundings = settled.surroundings();
    let alike = previous.filter(|previous| previous.surroundings == surroundings);
    let before = alike.map(|previous| &previous.parents);
    let parents = Parents::find((&settled, &namespaces), &listeners, before, &mut faults);
    let rivals = Rivals::find(&settled, &listeners, (&parents, &claimed), &mut faults);
    let is_mesh = own.is_some();
    let belief = callers::Belief { borders: &borders, is_mesh };
    callers::check(&mut policies, &listeners, &parents, belief, &mut faults);
    let before = previous.map_or(&[][..], |assembly| &assembly.table.services);
    let (policed, cluster) = (&policies, cluster.as_ref());
    let guards = Guards { policies: policed, borders: &borders, is_mesh, cluster };
    let traffic = Traffic::new(&settled, &mut faults);
    let encryptions = Encryptions::new(&settled, &mut faults);
    let mut catalog = Catalog::new(&settled, &guards, (&traffic, &encryptions), before);
    let around =
        Around { settled: &settled, policies: &policies, borders: &borders, claimed: &claimed };
    let alike = alike.filter(|previous| {
        catalog.has_ids_of(&previous.table.services) && policies.are_level_with(&previous.policies)
    });
    let attacher = Attacher::new(around, &catalog, &mut listeners);
    let before = alike.map(|previous| &previous.attached);
    let (mut rules, attached) = attacher.run((&parents, &rivals), before, &mut faults);
    let inbound = own.zip(cluster).and_then(|(own, cluster)| {
        inbound::open((cluster, &own), around, &mut catalog, &mut rules)
    });
    let outbound = inbound.as_ref().and_then(|inbound| {
        outbound::open(&inbound.workload, around, &attached, &catalog, &mut rules)
    });
    let ports = listener::ports(&listeners);
    for listener in &mut listeners {
        listener.routes.sort();
        listener.routes.claimed = (!claimed.is_empty()).then(|| Arc::clone(&claimed));
    }
    let table = Arc::new(Table {
        digest: settled.digest(),
        listeners: listeners.into_iter().map(Arc::new).collect(),
        rules,
        services: catalog.finish(),
        inbound,
        outbound,
        workspaces: borders.workspaces(),
        reaches: borders.reaches(),
        knows_workspaces: settled.knows_workspaces(),
        ports,
    });
    let kept = std::mem::take(&mut settled.kept);
    let (mut closed, lost) = (policies.closed(), settled.lost.clone());
    closed.extend(encryptions.unusable().cloned());
    Assembly {
        table,
        faults,
        kept,
        lost,
        closed,
        settled,
        policies,
        parents,
        attached,
        surroundings,
    }
}
