//! What must hold of all objects together once a change is made.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::access::{Rights, builtin};
use model::api::LABEL;
use model::claim::Claim;
use model::login::{CLIENT_SECRET, LoginProvider};
use model::role::{Grant, Verb};
use model::team::Team;
use model::workspace::Workspace;
use model::{Invalid, Key, Kind, Name, Resource, Scope};

use super::beyond::ruled;
use super::{Draft, api_of, fault, place};
use crate::app::user;
use crate::authn::{is_platform_admin, platform_admins};
use crate::body;
use crate::bounds;
use crate::refusal::Refusal;
use crate::world::Unreadable;

impl Draft {
    /// References among people and borders, rights that are given on, and bounds.
    pub(super) fn whole(&self, rights: &Rights) -> Result<(), Refusal> {
        let mut faults = Vec::new();
        for (key, edit) in self.edits() {
            match edit.after() {
                Some(resource) => {
                    self.put(key, resource, rights, &mut faults);
                    faults.extend(self.astray(key, resource, rights));
                    let object = self.after.objects.get(key);
                    faults.extend(object.and_then(|object| bounds::object(key, object)));
                }
                None => faults.extend(self.gone(key, rights)),
            }
        }
        faults.extend(self.sizes());
        faults.extend(self.shares(rights));
        let left = self.left();
        faults.extend(left.filter(BTreeSet::is_empty).map(|_| self.nobody_left()));
        if faults.is_empty() { Ok(()) } else { Err(Refusal::Invalid(faults)) }
    }

    /// Who may do everything once the change is made, where it takes that from somebody: one of
    /// them must be a user who may sign in, since nobody else could let anybody in again. Users are
    /// no objects, so whether one is, the store says.
    pub(crate) fn left(&self) -> Option<BTreeSet<&Name>> {
        self.edits().find(|(key, _)| gives_rights(key.kind))?;
        let after = platform_admins(&self.after.directory);
        (!platform_admins(&self.world.directory).is_subset(&after)).then_some(after)
    }

    /// What is wrong where nobody is left.
    pub(crate) fn nobody_left(&self) -> Invalid {
        let key = self.edits().map(|(key, _)| key).find(|key| gives_rights(key.kind));
        let reason = "would leave nobody who may sign in and do everything; grant the role admin in \
                      the platform to another user first";
        Invalid { key: key.cloned(), ..user::fault("", reason) }
    }

    fn put(&self, key: &Key, resource: &Resource, rights: &Rights, faults: &mut Vec<Invalid>) {
        let scope = self.after.directory.scope(&key.namespace);
        match resource {
            Resource::Workspace(workspace) => self.workspace(key, workspace, faults),
            Resource::Team(team) => self.team(key, team, rights, faults),
            Resource::Api(api) => {
                faults.extend(self.no_team(key, "spec.owner", &api.spec.owner));
                let is_namesake = |namespace: &Name| {
                    *namespace != key.namespace && self.after.directory.scope(namespace) == scope
                };
                let apis = self.after.of_kind(Kind::Api).map(|(other, _)| other);
                let mut others = apis.filter(|other| other.name == key.name);
                let asides = self.world.unreadable.values();
                let mut asides = asides.filter(|one| one.api().as_ref() == Some(&key.name));
                if others.any(|other| is_namesake(&other.namespace))
                    || asides.any(|one| one.key.kind == Kind::Api.as_str() && one.scope == scope)
                {
                    let text = format!("{scope} has an Api of this name in another namespace");
                    faults.push(fault(key, "metadata.name", text));
                }
                let before = self.world.objects.get(key).map(|object| &object.resource);
                let kept =
                    matches!(before, Some(Resource::Api(old)) if old.spec.owner == api.spec.owner);
                let apis = [key.name.clone()];
                let given = rights.may_grant(&scope, &apis, &builtin::ownership());
                if let Err(lacks) = given
                    && !kept
                {
                    faults.push(fault(key, "spec.owner", not_held(&lacks)));
                }
            }
            Resource::Grant(grant) => self.grant(key, grant, &scope, rights, faults),
            Resource::Role(role) => {
                if let Err(lacks) = rights.may_grant(&scope, &[], &role.spec.rules) {
                    faults.push(fault(key, "spec.rules", not_held(&lacks)));
                }
            }
            Resource::Gateway(_)
            | Resource::ListenerSet(_)
            | Resource::HttpRoute(_)
            | Resource::GrpcRoute(_)
            | Resource::TlsRoute(_)
            | Resource::TcpRoute(_)
            | Resource::UdpRoute(_)
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
            | Resource::AuthnPolicy(_)
            | Resource::Cluster(_) => {}
            Resource::AccessPolicy(_) | Resource::RateLimitPolicy(_) => {
                for (path, api) in apis_called(resource) {
                    if self.after.directory.api(&scope, api).is_none() {
                        faults.push(fault(key, &path, format!("{scope} has no Api '{api}'")));
                    }
                }
            }
            Resource::LoginProvider(provider) => self.provider(key, provider, rights, faults),
            Resource::Claim(claim) => self.claim(key, claim, faults),
        }
        faults.extend(place::misplaced(&self.after, key, resource));
        if resource.meta().labels.contains_key(LABEL) && !matches!(resource, Resource::Api(_)) {
            let api = api_of(resource);
            let is_there =
                api.as_ref().is_some_and(|api| self.after.directory.api(&scope, api).is_some());
            if !is_there {
                let text = format!("{scope} has no Api '{}'", resource.meta().labels[LABEL]);
                faults.push(fault(key, &format!("metadata.labels['{LABEL}']"), text));
            }
        }
    }

    /// What a workspace holds it holds by one Claim: so it is still held, or not, when one goes.
    fn claim(&self, key: &Key, claim: &Arc<Claim>, faults: &mut Vec<Invalid>) {
        let scope = self.after.directory.scope(&key.namespace);
        let near = self.after.grounds.near(&Resource::Claim(Arc::clone(claim)));
        let own =
            |other: &&Key| *other != key && self.after.directory.scope(&other.namespace) == scope;
        for other in near.iter().filter(own) {
            let Some(Resource::Claim(held)) = self.after.known(other) else { continue };
            let twice = Claim::grounds(claim).find(|one| Claim::grounds(held).any(|g| g == *one));
            if let Some(twice) = twice {
                let text = format!("'{twice}' is held by {other} already");
                faults.push(fault(key, "spec.hosts", text));
            }
        }
    }

    /// A namespace is in one workspace, and moves neither in nor out with what is in it.
    fn workspace(&self, key: &Key, workspace: &Workspace, faults: &mut Vec<Invalid>) {
        let asides = self.world.unreadable.values().filter_map(|one| one.stand_in.as_ref());
        let all = self.after.of_kind(Kind::Workspace).map(|(_, object)| &object.resource);
        let others = all.chain(asides).filter_map(|other| match other {
            Resource::Workspace(other) if other.metadata.name != key.name => Some(other),
            _ => None,
        });
        for other in others {
            let twice = workspace.namespaces().find(|one| other.namespaces().any(|n| n == *one));
            if let Some(twice) = twice {
                let text =
                    format!("the namespace '{twice}' is in workspace/{}", other.metadata.name);
                faults.push(fault(key, "spec.namespaces", text));
            }
        }
        let before = match self.world.objects.get(key).map(|object| &object.resource) {
            Some(Resource::Workspace(before)) => before.namespaces().collect(),
            _ => BTreeSet::new(),
        };
        let after: BTreeSet<_> = workspace.namespaces().collect();
        let moved: BTreeSet<_> = before.symmetric_difference(&after).copied().collect();
        for namespace in &moved {
            if let Some(inside) = self.world.inhabitant(namespace) {
                let text = format!(
                    "the namespace '{namespace}' holds objects, such as {inside}; it moves empty"
                );
                faults.push(fault(key, "spec.namespaces", text));
            }
        }
        // It may have more namespaces than can be told.
        let mut borders = self.world.unreadable.values();
        let border = borders.find(|one| one.key.kind == Kind::Workspace.as_str());
        let added = moved.iter().find(|namespace| after.contains(**namespace));
        if let (Some(border), Some(added)) = (border, added) {
            let text = format!(
                "whether the namespace '{added}' is in {border} cannot be told, since this version \
                 of heddle-server cannot read that"
            );
            faults.push(fault(key, "spec.namespaces", text));
        }
    }

    /// Whoever lets somebody into a team gives them all that it holds.
    fn team(&self, key: &Key, team: &Team, rights: &Rights, faults: &mut Vec<Invalid>) {
        let before = match self.world.objects.get(key).map(|object| &object.resource) {
            Some(Resource::Team(before)) => Some(&before.spec),
            _ => None,
        };
        let lets_in = team
            .spec
            .members
            .iter()
            .any(|one| before.is_none_or(|b| !b.members.contains(one)))
            || team.spec.groups.iter().any(|one| before.is_none_or(|b| !b.groups.contains(one)));
        let held = self.after.directory.of_team(&key.name).into_iter().filter(|_| lets_in);
        faults.extend(held.filter_map(|(scope, apis, rules)| {
            let lacks = rights.may_grant(&scope, &apis, &rules).err()?;
            Some(fault(key, "spec", not_held(&lacks)))
        }));
    }

    fn grant(
        &self,
        key: &Key,
        grant: &Grant,
        scope: &Scope,
        rights: &Rights,
        faults: &mut Vec<Invalid>,
    ) {
        for (index, subject) in grant.spec.subjects.iter().enumerate() {
            let path = format!("spec.subjects[{index}].team");
            faults.extend(subject.team.iter().filter_map(|team| self.no_team(key, &path, team)));
        }
        if *scope == Scope::Platform && key.namespace != Kind::Team.default_namespace() {
            let text = format!("the namespace '{}' is in no workspace", key.namespace);
            faults.push(fault(key, "metadata.namespace", text));
            return;
        }
        for (index, api) in grant.spec.apis.iter().enumerate() {
            if self.after.directory.api(scope, api).is_none() {
                let text = format!("{scope} has no Api '{api}'");
                faults.push(fault(key, &format!("spec.apis[{index}]"), text));
            }
        }
        let path = if grant.spec.role.is_some() { "spec.role" } else { "spec.rules" };
        // Whoever extends a Role gives that to all who have it, and should know who does.
        let own = grant.spec.role.as_ref().filter(|role| builtin::role(role).is_none());
        let is_hidden = own.is_some_and(|role| {
            let role = Key::new(Kind::Role, key.namespace.clone(), role.clone());
            self.after.objects.contains_key(&role) && self.may(rights, Verb::Read, &role).is_err()
        });
        match self.after.directory.given(grant).filter(|_| !is_hidden) {
            None => {
                let role = grant.spec.role.as_ref().map(ToString::to_string).unwrap_or_default();
                faults.push(fault(key, path, format!("there is no role '{role}' here")));
            }
            Some(rules) => {
                if let Err(lacks) = rights.may_grant(scope, &grant.spec.apis, &rules) {
                    faults.push(fault(key, path, not_held(&lacks)));
                }
            }
        }
    }

    /// Who says who people are, and which groups they are in, gives all that anybody has.
    fn provider(
        &self,
        key: &Key,
        provider: &LoginProvider,
        rights: &Rights,
        faults: &mut Vec<Invalid>,
    ) {
        if !is_platform_admin(rights) {
            let text =
                "says who people are, so only who may do everything on the platform writes it";
            faults.push(fault(key, "spec", text.to_owned()));
        }
        let others = self.after.of_kind(Kind::LoginProvider).map(|(_, object)| &object.resource);
        let twin = others.filter(|other| other.meta().name != key.name).find(
            |other| matches!(other, Resource::LoginProvider(other) if other.prefix() == provider.prefix()),
        );
        if let Some(twin) = twin {
            let text = format!("names of users of {} begin so, too; choose another", twin.key());
            faults.push(fault(key, "spec.prefix", text));
        }
        let Some(secret) = &provider.spec.client_secret_ref else { return };
        let named = Key::new(Kind::Secret, key.namespace.clone(), secret.name.clone());
        let wrong = match self.after.objects.get(&named).map(|object| &object.resource) {
            Some(Resource::Secret(secret)) if secret.value(CLIENT_SECRET).is_some() => return,
            Some(_) => format!("{named} holds no '{CLIENT_SECRET}'"),
            None => format!("there is no {named}"),
        };
        faults.push(fault(key, "spec.clientSecretRef", wrong));
    }

    fn no_team(&self, key: &Key, path: &str, team: &Name) -> Option<Invalid> {
        let text = || format!("there is no Team '{team}'");
        self.after.directory.team(team).is_none().then(|| fault(key, path, text()))
    }

    /// What would stay with an Api though it rules over what is another's, or none's: its owner would keep
    /// a hold on that which nobody sees who has it.
    fn astray(&self, key: &Key, resource: &Resource, rights: &Rights) -> Vec<Invalid> {
        let (path, api) = (format!("metadata.labels['{LABEL}']"), api_of(resource));
        let mut faults = Vec::new();
        let of = |other: &Resource| match api_of(other) {
            Some(api) => format!("which belongs to Api '{api}'"),
            None => "which belongs to no Api".to_owned(),
        };
        if let Some(api) = &api {
            if matches!(resource, Resource::ReferenceGrant(_)) {
                let text = "a ReferenceGrant opens what its namespace has to others, and belongs to no \
                            Api; take the label away";
                faults.push(fault(key, &path, text));
            }
            if let Resource::Grant(grant) = resource
                && grant.spec.apis != [api.clone()]
            {
                let text = format!(
                    "a Grant of Api '{api}' gives on that one alone: write spec.apis: [{api}], or one \
                     Grant for each Api, with its label"
                );
                faults.push(fault(key, &path, text));
            }
            for target in ruled(resource) {
                let Some(target) = self.after.objects.get(&target) else { continue };
                let target = &target.resource;
                if api_of(target).as_ref() != Some(api) {
                    let (called, of) = (self.called(rights, &target.key()), of(target));
                    let text = format!("it rules over {called}, {of}: give it the same label");
                    faults.push(fault(key, &path, text));
                }
            }
        }
        let before = self.world.objects.get(key).map(|object| api_of(&object.resource));
        if before.is_none_or(|before| before == api) {
            return faults;
        }
        let others = [Kind::TrafficPolicy, Kind::BackendTlsPolicy, Kind::EndpointSlice];
        let kinds = Kind::ROUTES.into_iter().chain(Kind::GUARDS).chain(others);
        let rulers = kinds.flat_map(|kind| self.after.of_kind(kind));
        let left = rulers.map(|(_, object)| &object.resource).filter(|ruler| {
            let own = api_of(ruler);
            own.is_some() && own != api && ruled(ruler).contains(key)
        });
        faults.extend(left.map(|ruler| {
            let (called, of) = (self.called(rights, &ruler.key()), of(ruler));
            let text = format!("{called}, {of}, rules over it: give that the same label, too");
            fault(key, &path, text)
        }));
        faults
    }

    /// Who still names what is to be gone.
    fn gone(&self, key: &Key, rights: &Rights) -> Option<Invalid> {
        let resource = &self.world.objects.get(key)?.resource;
        let names = match resource {
            Resource::Team(_) => &[Kind::Api, Kind::Grant][..],
            Resource::Role(_) => &[Kind::Grant],
            // Whoever makes a Service of that name later would have its endpoints.
            Resource::Service(_) => &[Kind::EndpointSlice],
            Resource::Api(_) | Resource::Workspace(_) => &Kind::ALL,
            // That routes miss what they need, the table tells.
            _ => return None,
        };
        let all = names.iter().flat_map(|kind| self.after.of_kind(*kind));
        let mut all = all.map(|(_, object)| &object.resource);
        let by = all.find(|other| self.names(other, key, resource));
        let by = by.map(|other| self.called(rights, &other.key()));
        let aside = || {
            let may_name = |one: &&Unreadable| match resource {
                Resource::Workspace(workspace) => {
                    one.scope == Scope::Workspace(workspace.metadata.name.clone())
                }
                _ => one.may_name(&key.name),
            };
            let one = self.world.unreadable.values().find(may_name)?;
            Some(
                body::key(&one.key)
                    .map_or_else(|| one.to_string(), |key| self.called(rights, &key)),
            )
        };
        let by = by.or_else(aside)?;
        Some(fault(key, "", format!("{by} still needs it; take that away first")))
    }

    /// Whether `other` names `resource`, which is to be gone.
    fn names(&self, other: &Resource, key: &Key, resource: &Resource) -> bool {
        match (resource, other) {
            (Resource::Team(team), Resource::Api(api)) => api.spec.owner == team.metadata.name,
            (Resource::Team(team), Resource::Grant(grant)) => {
                grant.spec.subjects.iter().any(|one| one.team.as_ref() == Some(&team.metadata.name))
            }
            (Resource::Role(role), Resource::Grant(grant)) => {
                // Also where another role of that name would take its place: with other rules.
                let (namespace, own) = (&grant.metadata.namespace, &role.metadata.namespace);
                let hiding = Key::new(Kind::Role, namespace.clone(), role.metadata.name.clone());
                let is_platforms =
                    *own == Kind::Team.default_namespace() && self.after.known(&hiding).is_none();
                grant.spec.role.as_ref() == Some(&role.metadata.name)
                    && (namespace == own || is_platforms)
            }
            (Resource::Service(service), Resource::EndpointSlice(slice)) => {
                slice.metadata.namespace == service.metadata.namespace
                    && slice.service().as_ref() == Some(&service.metadata.name)
            }
            (Resource::Api(api), policy)
                if apis_called(policy).any(|(_, name)| *name == api.metadata.name) =>
            {
                let scope = self.world.directory.scope(&key.namespace);
                self.after.directory.scope(&policy.meta().namespace) == scope
            }
            // One of that name that is made later would be another's.
            (Resource::Api(api), Resource::Grant(grant))
                if grant.spec.apis.contains(&api.metadata.name) =>
            {
                let scope = self.world.directory.scope(&key.namespace);
                self.after.directory.scope(&grant.metadata.namespace) == scope
            }
            (Resource::Api(api), other) => {
                let scope = self.world.directory.scope(&key.namespace);
                !matches!(other, Resource::Api(_))
                    && api_of(other).as_ref() == Some(&api.metadata.name)
                    && self.after.directory.scope(&other.meta().namespace) == scope
            }
            (Resource::Workspace(workspace), other) => {
                workspace.namespaces().any(|namespace| *namespace == other.meta().namespace)
            }
            _ => false,
        }
    }

    /// What the Apis of a team take, whose workspace who asks may not edit as a whole.
    fn shares(&self, rights: &Rights) -> Vec<Invalid> {
        let (mut seen, mut faults) = (BTreeSet::new(), Vec::new());
        for (key, edit) in self.edits() {
            let Some(api) = edit.after().and_then(api_of) else { continue };
            let scope = self.after.directory.scope(&key.namespace);
            let is_wide = rights.is_all(Verb::Create, key.kind, &scope);
            let api = self.after.directory.api(&scope, &api).filter(|_| !is_wide);
            let Some(team) = api.map(|api| api.spec.owner.clone()) else { continue };
            if seen.insert((scope, team.clone())) {
                faults.extend(bounds::share(&self.world, &self.after, key, &team));
            }
        }
        faults
    }

    fn sizes(&self) -> Vec<Invalid> {
        let edited: Vec<_> = self.edits().map(|(key, _)| key).collect();
        bounds::together(&self.world, &self.after, &edited)
    }
}

/// The Apis whose users a policy names, each by its place.
fn apis_called(policy: &Resource) -> impl Iterator<Item = (String, &Name)> {
    policy.whens().flat_map(|when| {
        let callers = when.conditions.callers.iter().enumerate();
        callers.filter_map(move |(at, caller)| {
            Some((format!("{}.callers[{at}].api", when.path()), caller.api.as_ref()?))
        })
    })
}

/// Whether objects of a kind decide on who may do everything.
const fn gives_rights(kind: Kind) -> bool {
    match kind {
        Kind::Team | Kind::Role | Kind::Grant => true,
        Kind::Gateway
        | Kind::ListenerSet
        | Kind::HttpRoute
        | Kind::GrpcRoute
        | Kind::TlsRoute
        | Kind::TcpRoute
        | Kind::UdpRoute
        | Kind::ReferenceGrant
        | Kind::Namespace
        | Kind::Service
        | Kind::EndpointSlice
        | Kind::Workload
        | Kind::Secret
        | Kind::ConfigMap
        | Kind::Consumer
        | Kind::AuthnPolicy
        | Kind::AccessPolicy
        | Kind::RateLimitPolicy
        | Kind::TrafficPolicy
        | Kind::BackendTlsPolicy
        | Kind::Api
        | Kind::Claim
        | Kind::Workspace
        | Kind::Cluster
        | Kind::LoginProvider => false,
    }
}

fn not_held(lacks: &str) -> String {
    format!("gives {lacks}, which you do not hold here yourself")
}
