//! What an object is found by beside its own name: what it names, claims and grants.
//!
//! All of it follows from the object and the borders that it stands in; the store keeps it in
//! tables of their own.

use std::collections::BTreeSet;

use model::access::builtin;
use model::api::LABEL;
use model::claim::Claim;
use model::role::Grant;
use model::route::HttpRoute;
use model::service::SERVICE_NAME_LABEL;
use model::workload::Workload;
use model::{Key, Kind, Name, Resource, Scope};
use store::Reference;
use store::commit::{self, Sort};

use crate::draft::api_of;
use crate::world::World;

/// What `resource` names in `world`, each by the place at which it does.
pub(crate) fn references(resource: &Resource, world: &World) -> Vec<Reference> {
    let namespace = &resource.meta().namespace;
    let mut names = match resource {
        Resource::HttpRoute(route) => of_route(route),
        Resource::GrpcRoute(route) => of_route(&route.as_http()),
        Resource::TlsRoute(route) => of_route(&route.as_http()),
        Resource::TcpRoute(route) => of_route(&route.as_http()),
        Resource::UdpRoute(route) => of_route(&route.as_http()),
        Resource::Gateway(_) => certificates(resource),
        Resource::ListenerSet(set) => {
            let to = set.gateway();
            let parent = of("spec.parentRef", to.kind, &to.namespace, &to.name);
            [vec![parent], certificates(resource)].concat()
        }
        Resource::AuthnPolicy(_) | Resource::AccessPolicy(_) | Resource::RateLimitPolicy(_) => {
            of_guard(resource)
        }
        Resource::Grant(grant) => of_grant(grant, world),
        Resource::EndpointSlice(slice) => {
            let place = format!("metadata.labels['{SERVICE_NAME_LABEL}']");
            let service = slice.service();
            service.iter().map(|name| of(&place, Kind::Service, namespace, name)).collect()
        }
        Resource::Api(api) => {
            let teams = Kind::Team.default_namespace();
            vec![of("spec.owner", Kind::Team, &teams, &api.spec.owner)]
        }
        Resource::Workload(workload) => of_workload(workload),
        Resource::ReferenceGrant(grant) => {
            let named = grant
                .named()
                .map(|(index, to)| of(&format!("spec.to[{index}]"), to.kind, namespace, &to.name));
            named.collect()
        }
        Resource::TrafficPolicy(policy) => {
            let targets = policy.targets().enumerate();
            let named = targets.map(|(index, to)| {
                of(&format!("spec.targetRefs[{index}]"), to.kind, &to.namespace, &to.name)
            });
            named.collect()
        }
        Resource::BackendTlsPolicy(policy) => {
            let targets = policy.targets().enumerate();
            let targets = targets.map(|(index, to)| (format!("spec.targetRefs[{index}]"), to));
            let held = policy
                .authorities()
                .enumerate()
                .map(|(index, to)| (format!("spec.validation.caCertificateRefs[{index}]"), to));
            let named = targets.chain(held);
            named.map(|(path, to)| of(&path, to.kind, &to.namespace, &to.name)).collect()
        }
        Resource::Namespace(_)
        | Resource::Service(_)
        | Resource::Secret(_)
        | Resource::ConfigMap(_)
        | Resource::Consumer(_)
        | Resource::Claim(_)
        | Resource::Workspace(_)
        | Resource::Cluster(_)
        | Resource::Team(_)
        | Resource::Role(_) => Vec::new(),
        Resource::LoginProvider(provider) => {
            let secret = provider.spec.client_secret_ref.as_ref();
            let place = "spec.clientSecretRef";
            secret.iter().map(|one| of(place, Kind::Secret, namespace, &one.name)).collect()
        }
    };
    let is_api = matches!(resource, Resource::Api(_));
    let api = api_of(resource).filter(|_| !is_api);
    let place = format!("metadata.labels['{LABEL}']");
    names
        .extend(api.and_then(|api| of_api(&place, &api, &world.directory.scope(namespace), world)));
    names
}

/// What an object claims for its workspace.
pub(crate) fn claims(resource: &Resource, world: &World) -> Vec<commit::Claim> {
    let Resource::Claim(claim) = resource else { return Vec::new() };
    let workspace = world.directory.scope(&claim.metadata.namespace).to_string();
    let hosts = Claim::grounds(claim).filter_map(|ground| {
        let (host, path) = (ground.host?.to_string(), ground.path.into_owned());
        Some(commit::Claim { sort: Sort::Host, host, path, workspace: workspace.clone() })
    });
    hosts.collect()
}

/// The roles that an object gives, each to `user:NAME` or `team:NAME`.
pub(crate) fn grants(resource: &Resource, world: &World) -> Vec<commit::Grant> {
    let Resource::Grant(grant) = resource else { return Vec::new() };
    let scope = world.directory.scope(&grant.metadata.namespace);
    let subjects = grant.spec.subjects.iter().filter_map(|subject| {
        let user = subject.user.as_ref().map(|user| format!("user:{user}"));
        user.or_else(|| Some(format!("team:{}", subject.team.as_ref()?)))
    });
    // Whoever stands in it twice is given it once.
    let subjects: BTreeSet<_> = subjects.collect();
    // What it says by rules of its own has no name.
    let role = grant.spec.role.as_ref().map(ToString::to_string).unwrap_or_default();
    let given = |subject| commit::Grant { subject, role: role.clone(), scope: scope.clone() };
    subjects.into_iter().map(given).collect()
}

fn of(path: &str, kind: Kind, namespace: &Name, name: &Name) -> Reference {
    named(path, kind.as_str(), namespace, name)
}

fn named(path: &str, kind: &str, namespace: &Name, name: &Name) -> Reference {
    let [path, kind, namespace, name] =
        [path, kind, namespace.as_str(), name.as_str()].map(str::to_owned);
    Reference { path, kind, namespace, name }
}

fn of_route(route: &HttpRoute) -> Vec<Reference> {
    let own = &route.metadata.namespace;
    let mut names = Vec::new();
    for (index, parent) in route.spec.parent_refs.iter().enumerate() {
        let namespace = parent.namespace.as_ref().unwrap_or(own);
        names.push(named(
            &format!("spec.parentRefs[{index}]"),
            &parent.kind,
            namespace,
            &parent.name,
        ));
    }
    for (rule, written) in route.spec.rules.iter().enumerate() {
        for (index, to) in written.backend_refs.iter().enumerate() {
            let path = format!("spec.rules[{rule}].backendRefs[{index}]");
            names.push(named(&path, &to.kind, to.namespace.as_ref().unwrap_or(own), &to.name));
        }
        for (path, mirror) in written.mirrors() {
            let to = &mirror.backend_ref;
            let path = format!("spec.rules[{rule}].{path}.backendRef");
            names.push(named(&path, &to.kind, to.namespace.as_ref().unwrap_or(own), &to.name));
        }
    }
    names
}

fn of_workload(workload: &Workload) -> Vec<Reference> {
    let own = &workload.metadata.namespace;
    let upstreams = workload.spec.mesh.iter().flat_map(|mesh| &mesh.upstreams).enumerate();
    let named = upstreams.map(|(index, to)| {
        let path = format!("spec.mesh.upstreams[{index}]");
        of(&path, Kind::Service, to.namespace.as_ref().unwrap_or(own), &to.name)
    });
    named.collect()
}

fn certificates(resource: &Resource) -> Vec<Reference> {
    at(resource.certificates()).collect()
}

/// Objects, each behind the place at which it is named.
fn at(all: Vec<(String, Key)>) -> impl Iterator<Item = Reference> {
    all.into_iter().map(|(path, key)| of(&path, key.kind, &key.namespace, &key.name))
}

fn of_guard(guard: &Resource) -> Vec<Reference> {
    let own = &guard.meta().namespace;
    let targets = guard.guarded().into_iter().flatten().enumerate().map(|(index, target)| {
        of(&format!("spec.targetRefs[{index}]"), target.kind.kind(), own, &target.name)
    });
    targets.chain(at(guard.credentials())).collect()
}

fn of_grant(grant: &Grant, world: &World) -> Vec<Reference> {
    let (own, platform) = (&grant.metadata.namespace, Kind::Team.default_namespace());
    let mut names = Vec::new();
    for (index, subject) in grant.spec.subjects.iter().enumerate() {
        let Some(team) = &subject.team else { continue };
        names.push(of(&format!("spec.subjects[{index}].team"), Kind::Team, &platform, team));
    }
    if let Some(role) = grant.spec.role.as_ref().filter(|role| builtin::role(role).is_none()) {
        let is_own = world.known(&Key::new(Kind::Role, own.clone(), role.clone())).is_some();
        names.push(of("spec.role", Kind::Role, if is_own { own } else { &platform }, role));
    }
    let scope = world.directory.scope(own);
    let apis = grant.spec.apis.iter().enumerate();
    names.extend(
        apis.filter_map(|(index, api)| of_api(&format!("spec.apis[{index}]"), api, &scope, world)),
    );
    names
}

/// The Api of this name in a scope, whatever namespace it lies in.
fn of_api(path: &str, api: &Name, scope: &Scope, world: &World) -> Option<Reference> {
    let found = world.directory.api(scope, api)?;
    Some(of(path, Kind::Api, &found.metadata.namespace, api))
}
