//! The roles that are always there.

use std::sync::{Arc, LazyLock};

use super::{Asked, allow};
use crate::role::{RoleRule, Verb};
use crate::{Kind, Name};

/// Kinds that say what becomes of traffic.
const TRAFFIC: [Kind; 17] = [
    Kind::Gateway,
    Kind::ListenerSet,
    Kind::HttpRoute,
    Kind::GrpcRoute,
    Kind::TlsRoute,
    Kind::TcpRoute,
    Kind::UdpRoute,
    Kind::Service,
    Kind::EndpointSlice,
    Kind::Secret,
    Kind::ConfigMap,
    Kind::Consumer,
    Kind::AuthnPolicy,
    Kind::AccessPolicy,
    Kind::RateLimitPolicy,
    Kind::TrafficPolicy,
    Kind::BackendTlsPolicy,
];

/// Kinds that say who may do what inside a workspace, or with what is in it; a Workload says who speaks
/// as whom.
const BORDERS: [Kind; 6] =
    [Kind::Api, Kind::Claim, Kind::Grant, Kind::ReferenceGrant, Kind::Role, Kind::Workload];

/// The names of the roles that are built in, and what they are for.
pub const ROLES: [(&str, &str); 4] = [
    ("viewer", "reads everything"),
    ("editor", "reads everything, and changes what becomes of traffic"),
    ("owner", "edits, and says who may do what: Apis, Claims, Grants, ReferenceGrants and Roles"),
    ("admin", "does everything"),
];

/// The rules of the built-in role of this name.
pub fn role(name: &Name) -> Option<Arc<[RoleRule]>> {
    let place = ROLES.iter().position(|(role, _)| *role == name.as_str())?;
    Some(Arc::clone(&RULES[place]))
}

/// The least of the roles for a workspace that allows this: viewer, editor or owner. What only the
/// role admin allows is not one workspace's to give.
pub fn least(asked: &Asked<'_>) -> Option<Name> {
    let all = ROLES.iter().map(|(role, _)| *role).filter(|role| *role != "admin");
    let mut all = all.filter_map(|role| Name::parse(role).ok());
    all.find(|name| role(name).is_some_and(|rules| allow(&rules, asked)))
}

/// What the team that owns an Api may do with what belongs to it.
pub fn ownership() -> Arc<[RoleRule]> {
    Arc::clone(&OWNERSHIP)
}

/// In the order of [`ROLES`]. Made once per process; nothing can be seen of the sharing.
static RULES: LazyLock<[Arc<[RoleRule]>; 4]> = LazyLock::new(|| {
    let read = rule(&[], &[Verb::Read]);
    let edit = rule(&TRAFFIC, &[Verb::Create, Verb::Update, Verb::Delete]);
    let lead = rule(&[Kind::Workload], &[Verb::Use]);
    let own = rule(&BORDERS, &[Verb::Create, Verb::Update, Verb::Delete, Verb::Transfer]);
    [
        [read.clone()].into(),
        [read.clone(), edit.clone(), lead.clone()].into(),
        [read, edit, lead, own].into(),
        [rule(&[], &Verb::ALL)].into(),
    ]
});

static OWNERSHIP: LazyLock<Arc<[RoleRule]>> = LazyLock::new(|| {
    // A Gateway is the door of many, and so is what adds listeners to it: they belong to no Api.
    let edit = rule(&TRAFFIC[2..], &[Verb::Read, Verb::Create, Verb::Update, Verb::Delete]);
    let lead = rule(&[Kind::Workload], &[Verb::Read, Verb::Use]);
    // What one has, one may give on: by a Grant that belongs to the Api.
    let give = rule(&[Kind::Grant], &[Verb::Read, Verb::Create, Verb::Update, Verb::Delete]);
    [edit, lead, give, rule(&[Kind::Api], &[Verb::Read, Verb::Update])].into()
});

fn rule(kinds: &[Kind], verbs: &[Verb]) -> RoleRule {
    RoleRule { kinds: kinds.to_vec(), verbs: verbs.to_vec(), fields: Vec::new() }
}
