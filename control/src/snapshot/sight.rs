//! Which objects nodes of a class see, and what an object names.

use model::authn::AuthnPolicy;
use model::namespace::Labelled;
use model::reference::ReferenceGrant;

use super::aside::Aside;
use super::{BTreeMap, BTreeSet, Class, Key, Kind, Name, Resource};
use crate::ca::NodeKind;

/// The label that gives a Gateway to one cluster alone.
pub(crate) const CLUSTER: &str = "heddle.dev/cluster";

/// On what it hangs whether an object is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sight {
    /// On nothing.
    Always,
    /// On what it is attached to.
    Hangs,
    /// On more than that, or others hang on it.
    Decides,
}

/// How objects of a kind are seen.
pub(super) const fn of(kind: Kind) -> Sight {
    match kind {
        Kind::Gateway
        | Kind::ListenerSet
        | Kind::ReferenceGrant
        | Kind::Namespace
        | Kind::BackendTlsPolicy
        | Kind::AuthnPolicy
        | Kind::AccessPolicy
        | Kind::RateLimitPolicy
        | Kind::Consumer
        | Kind::Secret
        | Kind::ConfigMap => Sight::Decides,
        Kind::HttpRoute | Kind::GrpcRoute | Kind::TlsRoute | Kind::TcpRoute | Kind::UdpRoute => {
            Sight::Hangs
        }
        Kind::Service
        | Kind::TrafficPolicy
        | Kind::EndpointSlice
        | Kind::Workload
        | Kind::Api
        | Kind::Claim
        | Kind::Workspace
        | Kind::Cluster
        | Kind::Team
        | Kind::Role
        | Kind::Grant
        | Kind::LoginProvider => Sight::Always,
    }
}

/// Whether a Gateway with these labels is there for nodes of a class.
pub(super) fn is_of(class: &Class, cluster: Option<&str>) -> bool {
    cluster.is_none_or(|cluster| cluster == class.cluster.as_str())
}

/// The keys of what `class` sees among `resources`, beside `aside`, which it sees in any case.
pub(super) fn seen<'r>(
    class: &Class,
    resources: &(impl Iterator<Item = (&'r Key, &'r Resource)> + Clone),
    aside: impl Iterator<Item = &'r Aside> + Clone,
) -> BTreeSet<&'r Key> {
    let mut seen: BTreeSet<_> = aside.clone().filter_map(|one| one.key.as_ref()).collect();
    for (key, resource) in resources.clone() {
        let is_seen = match of(key.kind) {
            Sight::Always => true,
            // What is attached to others comes after them.
            Sight::Hangs => false,
            // What it opens is judged at each node, too, and how a Service is reached matters to all.
            Sight::Decides if matches!(key.kind, Kind::ReferenceGrant | Kind::BackendTlsPolicy) => {
                true
            }
            // By labels of namespaces gateways judge who attaches; nobody attaches to others.
            Sight::Decides if key.kind == Kind::Namespace => class.kind == NodeKind::Gateway,
            Sight::Decides => {
                key.kind == Kind::Gateway && class.kind == NodeKind::Gateway && {
                    is_of(class, resource.meta().labels.get(CLUSTER).map(String::as_str))
                }
            }
        };
        if is_seen {
            seen.insert(key);
        }
    }
    let of_gateways = resources.clone().filter(|(key, _)| key.kind == Kind::Gateway);
    let gateways: BTreeMap<&Key, &Resource> = of_gateways.collect();
    let read = resources.clone().filter_map(|(_, resource)| labelled(resource));
    let namespaces = read.chain(aside.filter_map(Aside::labelled));
    let namespaces: BTreeMap<&Name, Labelled<'_>> =
        namespaces.map(|one| (one.name(), one)).collect();
    // Each step looks at what the ones before it let through.
    let kinds = [Kind::ListenerSet].into_iter().chain(Kind::ROUTES).chain(Kind::GUARDS);
    for kind in kinds {
        for (key, resource) in resources.clone().filter(|(key, _)| key.kind == kind) {
            let own = &key.namespace;
            let namespace = namespaces.get(own).copied().unwrap_or_else(|| Labelled::bare(own));
            let sees = |to: &Key| {
                seen.contains(to) && takes(gateways.get(to).copied(), resource, namespace)
            };
            if hangs(class, resource, sees) {
                seen.insert(key);
            }
        }
    }
    // Nothing is proved by a credential at a proxy of the mesh, so no key goes there; but by which authorities
    // backends are known, it has to know.
    let shows = |kind| class.kind == NodeKind::Gateway || kind == Kind::BackendTlsPolicy;
    let grants = Grants::new(resources.clone());
    let named: BTreeSet<Key> = resources
        .clone()
        .filter(|(key, _)| shows(key.kind) && seen.contains(key))
        .flat_map(|(key, resource)| {
            // Those of other namespaces are nobody's to use, and to be told of, without a grant there.
            held(resource).into_iter().filter(|to| grants.permit(key, to))
        })
        .collect();
    let takers = resources.clone().filter(|(key, _)| shows(key.kind) && seen.contains(key));
    let takers = Takers::new(takers.map(|(_, resource)| resource));
    let held =
        resources.clone().filter(|(key, resource)| named.contains(*key) || takers.take(resource));
    seen.extend(held.map(|(key, _)| key));
    seen
}

/// The policies that take Consumers, by namespace.
struct Takers<'r>(BTreeMap<&'r Name, Vec<&'r AuthnPolicy>>);

impl<'r> Takers<'r> {
    fn new(seen: impl Iterator<Item = &'r Resource>) -> Self {
        let mut takers = BTreeMap::<_, Vec<_>>::new();
        for resource in seen {
            if let Resource::AuthnPolicy(policy) = resource
                && policy.takes_consumers()
            {
                takers.entry(&policy.metadata.namespace).or_default().push(&**policy);
            }
        }
        Takers(takers)
    }

    fn take(&self, resource: &Resource) -> bool {
        let Resource::Consumer(consumer) = resource else { return false };
        let mut takers = self.0.get(&consumer.metadata.namespace).into_iter().flatten();
        takers.any(|policy| policy.takes(consumer))
    }
}

/// Whether a ListenerSet, route or policy is seen for what it is attached to. A gateway leads to the endpoints of a
/// Service, so it is not told of the routes that lead its callers elsewhere; each proxy of the mesh is.
pub(super) fn hangs(class: &Class, resource: &Resource, sees: impl Fn(&Key) -> bool) -> bool {
    let is_route = resource.kind().is_route();
    attached(resource).iter().any(|to| match is_route && to.kind == Kind::Service {
        true => class.kind == NodeKind::Mesh,
        false => sees(to),
    })
}

/// Whether an object takes what is attached to it: a Gateway does not take ListenerSets of namespaces that it
/// does not let.
pub(super) fn takes(to: Option<&Resource>, resource: &Resource, namespace: Labelled<'_>) -> bool {
    match (to, resource) {
        (Some(Resource::Gateway(gateway)), Resource::ListenerSet(_)) => gateway.lets(namespace),
        (_, Resource::ListenerSet(_)) => false,
        (_, _) => true,
    }
}

/// The namespace whose labels an object has, if it is such.
pub(super) fn labelled(resource: &Resource) -> Option<Labelled<'_>> {
    match resource {
        Resource::Namespace(object) => Some(Labelled::by(object)),
        _ => None,
    }
}

/// What a ListenerSet, route or policy is attached to.
pub(super) fn attached(resource: &Resource) -> Vec<Key> {
    match resource {
        Resource::HttpRoute(_)
        | Resource::GrpcRoute(_)
        | Resource::TlsRoute(_)
        | Resource::TcpRoute(_)
        | Resource::UdpRoute(_) => {
            let own = &resource.meta().namespace;
            resource.parent_refs().iter().map(|parent| parent.key(own)).collect()
        }
        Resource::AuthnPolicy(_) | Resource::AccessPolicy(_) | Resource::RateLimitPolicy(_) => {
            let own = &resource.meta().namespace;
            let targets = resource.guarded().into_iter().flatten();
            targets.map(|target| named(target.kind.kind(), own, &target.name)).collect()
        }
        Resource::ListenerSet(set) => vec![set.gateway()],
        Resource::Gateway(_)
        | Resource::ReferenceGrant(_)
        | Resource::Namespace(_)
        | Resource::TrafficPolicy(_)
        | Resource::BackendTlsPolicy(_)
        | Resource::Service(_)
        | Resource::EndpointSlice(_)
        | Resource::Workload(_)
        | Resource::Secret(_)
        | Resource::ConfigMap(_)
        | Resource::Consumer(_)
        | Resource::Api(_)
        | Resource::Claim(_)
        | Resource::Workspace(_)
        | Resource::Cluster(_)
        | Resource::Team(_)
        | Resource::Role(_)
        | Resource::Grant(_)
        | Resource::LoginProvider(_) => Vec::new(),
    }
}

/// The grants of references, by their namespace.
struct Grants<'r>(BTreeMap<&'r Name, Vec<&'r ReferenceGrant>>);

impl<'r> Grants<'r> {
    fn new(resources: impl Iterator<Item = (&'r Key, &'r Resource)>) -> Self {
        let mut grants = BTreeMap::<_, Vec<_>>::new();
        for (key, resource) in resources {
            if let Resource::ReferenceGrant(grant) = resource {
                grants.entry(&key.namespace).or_default().push(&**grant);
            }
        }
        Grants(grants)
    }

    /// Whether `from` may refer to `to`.
    fn permit(&self, from: &Key, to: &Key) -> bool {
        let grants = || self.0.get(&to.namespace).into_iter().flatten();
        from.namespace == to.namespace || grants().any(|grant| grant.permits(from, to))
    }
}

/// The Secrets and ConfigMaps that an object names.
fn held(resource: &Resource) -> Vec<Key> {
    match resource {
        Resource::Gateway(_) | Resource::ListenerSet(_) => {
            resource.certificates().into_iter().map(|(_, key)| key).collect()
        }
        Resource::AuthnPolicy(policy) => policy.credentials().map(|(_, key)| key).collect(),
        Resource::BackendTlsPolicy(policy) => policy.authorities().collect(),
        Resource::HttpRoute(_)
        | Resource::GrpcRoute(_)
        | Resource::TlsRoute(_)
        | Resource::TcpRoute(_)
        | Resource::UdpRoute(_)
        | Resource::ReferenceGrant(_)
        | Resource::Namespace(_)
        | Resource::AccessPolicy(_)
        | Resource::RateLimitPolicy(_)
        | Resource::TrafficPolicy(_)
        | Resource::Service(_)
        | Resource::EndpointSlice(_)
        | Resource::Workload(_)
        | Resource::Secret(_)
        | Resource::ConfigMap(_)
        | Resource::Consumer(_)
        | Resource::Api(_)
        | Resource::Claim(_)
        | Resource::Workspace(_)
        | Resource::Cluster(_)
        | Resource::Team(_)
        | Resource::Role(_)
        | Resource::Grant(_)
        | Resource::LoginProvider(_) => Vec::new(),
    }
}

fn named(kind: Kind, namespace: &Name, name: &Name) -> Key {
    Key::new(kind, namespace.clone(), name.clone())
}
