//! What the proxies' compiler says of some scopes, without the rest of the installation.
//!
//! Nothing is felt outside its own namespace but what a Gateway offers (its listeners and those of its
//! ListenerSets, the certificates that they name and the policies on them), what a workspace claims, the
//! labels of its namespaces, and what a ReferenceGrant lets others refer to. So the faults of a scope's objects are the same whether all
//! objects are assembled or only these: the scope's own, every Gateway and ListenerSet with what stands
//! on it, every claim and grant, the labels of every namespace, and what the scope's routes and listeners name
//! elsewhere. The cost of a change is that of the scopes that it touches, not that of the installation.

use std::collections::BTreeSet;

use model::policy::TargetKind;
use model::{Key, Kind, Name, Resource, Scope};
use table::Assembly;

use super::{World, first_name, is_traffic};

impl World {
    /// What comes of these scopes; what did not change since `previous` is taken over from it.
    pub(crate) fn view(&self, scopes: &BTreeSet<Scope>, previous: Option<&Assembly>) -> Assembly {
        let mut resources = Vec::new();
        let (mut seen, mut around) = (BTreeSet::new(), BTreeSet::new());
        for ((namespace, kind), _) in self.taken.iter().filter(|((_, kind), _)| is_traffic(*kind)) {
            if scopes.contains(&self.directory.scope(namespace)) {
                resources.extend(self.within(namespace, *kind).cloned());
                seen.insert(namespace);
            }
        }
        let outside = |key: &Key| !seen.contains(&key.namespace);
        around.extend(resources.iter().flat_map(held));
        const AROUND: [Kind; 7] = [
            Kind::Gateway,
            Kind::ListenerSet,
            Kind::ReferenceGrant,
            Kind::Namespace,
            Kind::Claim,
            Kind::Workspace,
            Kind::Cluster,
        ];
        for kind in AROUND.into_iter().chain(Kind::GUARDS) {
            for (_, object) in self.of_kind(kind).filter(|(key, _)| outside(key)) {
                if may_be_felt(&object.resource) {
                    around.extend(held(&object.resource));
                    resources.push(object.resource.clone());
                }
            }
        }
        let around = around.iter().filter(|key| outside(key));
        let around = around.filter_map(|key| self.objects.get(key));
        resources.extend(around.map(|object| object.resource.clone()));
        table::assemble(self.input(resources), previous)
    }

    /// The objects of a kind in a namespace.
    fn within(&self, namespace: &Name, kind: Kind) -> impl Iterator<Item = &Resource> {
        let first = Key::new(kind, namespace.clone(), first_name());
        let all = self.objects.range(first..);
        let own = all.take_while(move |(key, _)| key.kind == kind && key.namespace == *namespace);
        own.map(|(_, object)| &object.resource)
    }
}

/// Whether an object of another scope may be felt: a Gateway or ListenerSet, a policy on one, grants of references,
/// labels of namespaces, claims and borders.
fn may_be_felt(resource: &Resource) -> bool {
    let is_gateway = |kind| matches!(kind, TargetKind::Gateway | TargetKind::ListenerSet);
    match resource {
        Resource::Gateway(_)
        | Resource::ListenerSet(_)
        | Resource::ReferenceGrant(_)
        | Resource::Namespace(_)
        | Resource::Claim(_)
        | Resource::Workspace(_)
        | Resource::Cluster(_) => true,
        other => other.guarded().into_iter().flatten().any(|target| is_gateway(target.kind)),
    }
}

/// The Secrets and ConfigMaps that listeners or a policy name, and the Services that a route does.
fn held(resource: &Resource) -> Vec<Key> {
    match resource {
        Resource::Gateway(_) | Resource::ListenerSet(_) => {
            resource.certificates().into_iter().map(|(_, key)| key).collect()
        }
        Resource::BackendTlsPolicy(policy) => policy.authorities().collect(),
        guard if guard.kind().is_guard() => {
            guard.credentials().into_iter().map(|(_, key)| key).collect()
        }
        other => other.as_route().map(|route| route.services()).unwrap_or_default(),
    }
}
