//! Callers that rules and limits name: somebody must be able to be each of them.
//!
//! A name that no credential proves is a fault. In an allow rule it lets nobody in, and the policy
//! stays in force, so that a key which is taken away shuts out its holder alone. In a deny rule it
//! would let pass whom it was meant to keep out, and a limit whom it was meant to bound, so the policy closes its
//! targets; the form of before is no way out, since it holds keys that are gone.
//!
//! It closes them only where nobody but its own namespace says who can be whom. Where a Gateway of
//! another namespace counts too, that namespace could close them by taking back a key or going
//! away, and nobody may hurt but himself: there the fault is told, and that is all.
//!
//! At a Service users are known by passport: whoever a policy of the workspace or of the platform
//! knows can be named. Proxies of the mesh are not told of those, and do not ask.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::{Invalid, Kind, Name};
use policy::{Level, access};

use crate::assemble::borders::Borders;
use crate::assemble::parents::{Abroad, Parents};
use crate::assemble::policies::Policies;
use crate::isolate::closing::Place;
use crate::listener::Listener;

/// Finds callers whom nobody can be, and closes the policies that deny one.
pub(crate) fn check(
    policies: &mut Policies,
    listeners: &[Listener],
    parents: &Parents,
    belief: Belief<'_>,
    faults: &mut Vec<Invalid>,
) {
    let scope = Scope::new(policies, listeners, parents, belief);
    let mut unreliable = Vec::new();
    for (key, source, places) in policies.sound() {
        let mut whens = source.whens();
        // Without any target it is told for that, and nobody can tell what would count.
        if places.is_empty() || whens.all(|when| when.conditions.callers.is_empty()) {
            continue;
        }
        let Some(levels) = scope.levels(places) else { continue };
        let strangers = access::strangers(source, &levels);
        faults.extend(strangers.faults);
        if strangers.kept_out && scope.is_own(&key.namespace, places, &levels) {
            unreliable.push(key.clone());
        }
    }
    // Only now: what one policy offers to others does not hang on the order in which they close.
    unreliable.iter().for_each(|key| policies.close(key));
}

/// On what it hangs whose passports are believed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Belief<'a> {
    pub(crate) borders: &'a Borders,
    /// Whether this is a proxy of the mesh, which is not told who proves what at the edge.
    pub(crate) is_mesh: bool,
}

/// Which levels' credentials count where.
struct Scope<'a> {
    belief: Belief<'a>,
    policies: &'a Policies,
    /// The levels of each listener: its Gateway's, its ListenerSet's and its own.
    inward: Vec<Vec<&'a Arc<Level>>>,
    parents: &'a Parents,
}

impl<'a> Scope<'a> {
    fn new(
        policies: &'a Policies,
        listeners: &'a [Listener],
        parents: &'a Parents,
        belief: Belief<'a>,
    ) -> Self {
        let levels = |listener: &'a Listener| policies.inward(listener).map(|(_, level)| level);
        let inward = listeners.iter().map(|one| levels(one).collect()).collect();
        Scope { belief, policies, inward, parents }
    }

    /// The levels whose credentials count at one of `places`, each once; `None` where a Gateway is
    /// named that has no good form, since what it offers cannot be told.
    ///
    /// Listeners that do not serve count too: what befalls another team's Gateway must not close
    /// what is reached through one's own.
    fn levels(&self, places: &'a BTreeSet<Place>) -> Option<Vec<Arc<Level>>> {
        let mut all: Vec<&Arc<Level>> = Vec::new();
        for Place { object, section } in places {
            if object.kind == Kind::Service {
                all.extend(self.believed(&object.namespace)?);
                continue;
            }
            all.extend(self.policies.level(object, None));
            all.extend(
                section.as_ref().and_then(|_| self.policies.level(object, section.as_ref())),
            );
            if self.parents.are_partial(object) {
                return None;
            }
            let gateway = self.parents.gateway(object);
            all.extend(gateway.and_then(|gateway| self.policies.level(gateway, None)));
            let parents = self.parents.of(object).iter().flat_map(|&at| &self.inward[at]);
            all.extend(parents);
        }
        let mut seen = BTreeSet::new();
        all.retain(|level| seen.insert(Arc::as_ptr(level)));
        Some(all.into_iter().cloned().collect())
    }

    /// The levels whose credentials count at Services of a namespace: those of its workspace and of
    /// the platform; `None` where that cannot be told.
    fn believed(&self, namespace: &'a Name) -> Option<impl Iterator<Item = &'a Arc<Level>>> {
        let Belief { borders, is_mesh } = self.belief;
        let counts = move |other: &Name| {
            borders.are_one(namespace, other) || borders.scope(other) == model::Scope::Platform
        };
        (!is_mesh).then(|| self.policies.levels_of(counts))
    }

    /// Whether credentials of `namespace` are all that can count at `places`.
    fn is_own(&self, namespace: &Name, places: &BTreeSet<Place>, levels: &[Arc<Level>]) -> bool {
        if places.iter().any(|place| place.object.kind == Kind::Service) {
            return false;
        }
        let abroad = places.iter().map(|place| self.parents.abroad(&place.object)).max();
        match abroad.unwrap_or_default() {
            Abroad::Nowhere => true,
            // Where nothing is offered at all, the others may have offered it a moment ago.
            Abroad::Attached => {
                let authn = levels.iter().flat_map(|level| level.authn());
                let sources = authn.map(|policy| &policy.key().namespace);
                sources.collect::<BTreeSet<_>>() == BTreeSet::from([namespace])
            }
            Abroad::Untold => false,
        }
    }
}
