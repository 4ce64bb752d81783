//! Everything that rights come from, indexed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Actor, Asked, Denied, Held, Permit, Rights, builtin};
use crate::api::Api;
use crate::cluster::Reach;
use crate::key::platform_namespace;
use crate::role::{Grant, Role, RoleRule, Verb};
use crate::team::Team;
use crate::{Key, Kind, Name, Resource, Scope};

/// Workspaces, Teams, Roles, Grants and Apis as they stand at one moment.
#[derive(Debug, Clone, Default)]
pub struct Directory {
    /// The workspace of each namespace that is in one.
    workspaces: BTreeMap<Name, Name>,
    /// Where each workspace is that is not everywhere.
    reaches: BTreeMap<Name, Reach>,
    teams: BTreeMap<Name, Arc<Team>>,
    roles: BTreeMap<(Name, Name), Arc<Role>>,
    grants: Vec<Arc<Grant>>,
    apis: Vec<Arc<Api>>,
}

impl Directory {
    /// Indexes what matters of `resources`. Of two workspaces that name one namespace the first in
    /// the order of names has it.
    pub fn new<'r>(resources: impl IntoIterator<Item = &'r Resource>) -> Self {
        let mut directory = Directory::default();
        let (mut workspaces, mut clusters) = (BTreeMap::new(), Vec::new());
        for resource in resources {
            match resource {
                Resource::Workspace(one) => drop(workspaces.insert(&one.metadata.name, one)),
                Resource::Cluster(one) => clusters.push(&**one),
                Resource::Team(one) => {
                    directory.teams.insert(one.metadata.name.clone(), Arc::clone(one));
                }
                Resource::Role(one) => {
                    let meta = &one.metadata;
                    let key = (meta.namespace.clone(), meta.name.clone());
                    directory.roles.insert(key, Arc::clone(one));
                }
                Resource::Grant(one) => directory.grants.push(Arc::clone(one)),
                Resource::Api(one) => directory.apis.push(Arc::clone(one)),
                Resource::Gateway(_)
                | Resource::ListenerSet(_)
                | Resource::HttpRoute(_)
                | Resource::GrpcRoute(_)
                | Resource::TlsRoute(_)
                | Resource::TcpRoute(_)
                | Resource::UdpRoute(_)
                | Resource::ReferenceGrant(_)
                | Resource::Namespace(_)
                | Resource::Service(_)
                | Resource::EndpointSlice(_)
                | Resource::Workload(_)
                | Resource::Secret(_)
                | Resource::ConfigMap(_)
                | Resource::Consumer(_)
                | Resource::AuthnPolicy(_)
                | Resource::AccessPolicy(_)
                | Resource::RateLimitPolicy(_)
                | Resource::TrafficPolicy(_)
                | Resource::BackendTlsPolicy(_)
                | Resource::Claim(_)
                | Resource::LoginProvider(_) => {}
            }
        }
        for (name, workspace) in workspaces {
            let reach = Reach::new(&workspace.spec.clusters, clusters.iter().copied());
            if reach != Reach::Everywhere {
                directory.reaches.insert(name.clone(), reach);
            }
            for namespace in workspace.namespaces() {
                directory.workspaces.entry(namespace.clone()).or_insert_with(|| name.clone());
            }
        }
        directory
    }

    /// Every workspace that holds a namespace; one that holds several comes as often.
    pub fn workspaces(&self) -> impl Iterator<Item = &Name> {
        self.workspaces.values()
    }

    /// In which clusters a namespace is, by its workspace; everywhere where it is in none.
    pub fn reach(&self, namespace: &Name) -> &Reach {
        let workspace = self.workspaces.get(namespace);
        workspace.and_then(|name| self.reaches.get(name)).unwrap_or(&Reach::Everywhere)
    }

    /// Whether workspaces are in the same clusters as in `other`, and hold the same namespaces.
    pub fn is_placed_as(&self, other: &Directory) -> bool {
        self.reaches == other.reaches && self.workspaces == other.workspaces
    }

    /// The scope of what lies in `namespace`.
    pub fn scope(&self, namespace: &Name) -> Scope {
        let workspace = self.workspaces.get(namespace);
        workspace.map_or(Scope::Platform, |name| Scope::Workspace(name.clone()))
    }

    /// Whether what lies in the namespace of this name belongs to `scope`.
    pub fn is_in(&self, namespace: &str, scope: &Scope) -> bool {
        match (self.workspaces.get(namespace), scope) {
            (Some(name), Scope::Workspace(own)) => name == own,
            (None, Scope::Platform) => true,
            (Some(_), Scope::Platform) | (None, Scope::Workspace(_)) => false,
        }
    }

    /// The teams that `actor` is in.
    pub fn teams(&self, actor: &Actor) -> BTreeSet<&Name> {
        let is_in = |team: &Team| {
            let by_group = team.spec.groups.iter().any(|group| {
                actor.groups.iter().any(|(by, name)| *by == group.provider && *name == group.name)
            });
            by_group || team.spec.members.contains(&actor.user)
        };
        self.teams.iter().filter(|(_, team)| is_in(team)).map(|(name, _)| name).collect()
    }

    /// Whom to ask about what belongs to `scope`: the teams and users that own it.
    pub fn owners(&self, scope: &Scope) -> Vec<String> {
        let given = self.grants.iter().filter(|grant| {
            grant.spec.role.as_ref().is_some_and(|role| role.as_str() == "owner")
                && self.is_in(grant.metadata.namespace.as_str(), scope)
        });
        subjects(given)
    }

    /// Whom to ask for the Grant `key` of `rules` on `apis` (all if there are none): the teams that own
    /// one of them, and the teams and users of its workspace, who may make it by what one Api or grant
    /// there gives them.
    pub fn givers(&self, key: &Key, apis: &[Name], rules: &[RoleRule]) -> Vec<String> {
        let scope = self.scope(&key.namespace);
        let gives = |grant: &&Arc<Grant>| {
            let held = self.held(grant).filter(|held| held.scope.as_ref() == Some(&scope));
            let rights = Rights { held: held.into_iter().collect(), limit: None };
            rights.gives(key, &scope, apis, rules)
        };
        let owned = apis.iter().filter_map(|api| self.api(&scope, api)).filter(|api| {
            let rights = Rights { held: vec![self.owned(api)], limit: None };
            rights.gives(key, &scope, apis, rules)
        });
        let mut words: Vec<_> = owned.map(|api| format!("team '{}'", api.spec.owner)).collect();
        let others = subjects(self.grants.iter().filter(gives));
        words.extend(others.into_iter().filter(|one| !words.contains(one)).collect::<Vec<_>>());
        words
    }

    /// What everybody in a team holds because of it: where, on which Apis (all if there are none),
    /// and which rules.
    pub fn of_team(&self, team: &Name) -> Vec<(Scope, Vec<Name>, Arc<[RoleRule]>)> {
        let names = |grant: &&Arc<Grant>| {
            grant.spec.subjects.iter().any(|one| one.team.as_ref() == Some(team))
        };
        let given = self.grants.iter().filter(names).filter_map(|grant| {
            let namespace = &grant.metadata.namespace;
            Some((self.scope(namespace), grant.spec.apis.clone(), self.given(grant)?))
        });
        let owned = self.apis.iter().filter(|api| api.spec.owner == *team).map(|api| {
            let scope = self.scope(&api.metadata.namespace);
            (scope, vec![api.metadata.name.clone()], builtin::ownership())
        });
        given.chain(owned).collect()
    }

    /// The users who hold all of `rules` everywhere, by grants of the platform to them or to teams
    /// that name them; who is in a team by a group, only the group's provider knows.
    pub fn everywhere(&self, rules: &[RoleRule]) -> BTreeSet<&Name> {
        let given = self.grants.iter().filter_map(|grant| Some((grant, self.held(grant)?)));
        let wide: Vec<_> = given.filter(|(_, held)| held.scope.is_none()).collect();
        let mut users = BTreeMap::<&Name, BTreeSet<usize>>::new();
        for (index, (grant, _)) in wide.iter().enumerate() {
            for user in self.named(grant) {
                users.entry(user).or_default().insert(index);
            }
        }
        let holds = |grants: &BTreeSet<usize>| {
            let held = grants.iter().map(|index| wide[*index].1.clone()).collect();
            Rights { held, limit: None }.may_grant(&Scope::Platform, &[], rules).is_ok()
        };
        // Many have the same grants, a large team's members above all.
        let mut known = BTreeMap::new();
        let holders = users
            .into_iter()
            .filter(|(_, grants)| *known.entry(grants.clone()).or_insert_with(|| holds(grants)));
        holders.map(|(user, _)| user).collect()
    }

    /// The users whom a grant names, or a team that it names.
    fn named<'g>(&'g self, grant: &'g Grant) -> impl Iterator<Item = &'g Name> {
        grant.spec.subjects.iter().flat_map(|subject| {
            let team = subject.team.as_ref().and_then(|team| self.teams.get(team));
            subject.user.iter().chain(team.into_iter().flat_map(|team| &team.spec.members))
        })
    }

    /// The Team of this name.
    pub fn team(&self, name: &Name) -> Option<&Arc<Team>> {
        self.teams.get(name)
    }

    /// The Api of this name in a scope, whatever namespace it lies in.
    pub fn api(&self, scope: &Scope, name: &Name) -> Option<&Arc<Api>> {
        self.apis.iter().find(|api| {
            api.metadata.name == *name && self.is_in(api.metadata.namespace.as_str(), scope)
        })
    }

    /// What `actor` may do.
    pub fn rights(&self, actor: &Actor) -> Rights {
        let teams = self.teams(actor);
        let given = self.grants.iter().filter(|grant| is_for(grant, actor, &teams));
        let given = given.filter_map(|grant| self.held(grant));
        let owned = self.apis.iter().filter(|api| teams.contains(&api.spec.owner));
        let owned = owned.map(|api| self.owned(api));
        Rights { held: given.chain(owned).collect(), limit: None }
    }

    /// Proof that this may be done, or why not. What says the labels of a namespace is the platform's, and may be
    /// read by whoever reads in the workspace that has the namespace.
    ///
    /// # Errors
    /// [`Denied::Hidden`] where the object may not be read, [`Denied::Forbidden`] else.
    pub fn permit(&self, rights: &Rights, asked: &Asked<'_>) -> Result<Permit, Denied> {
        match rights.permit(asked) {
            Err(Denied::Hidden) if asked.key.kind == Kind::Namespace => {
                let scope = &self.scope(&asked.key.name);
                let read =
                    rights.permit(&Asked { verb: Verb::Read, scope, changed: &[], ..*asked })?;
                let (verb, fields) = (asked.verb, asked.changed.to_vec());
                if verb == Verb::Read { Ok(read) } else { Err(Denied::Forbidden { verb, fields }) }
            }
            decided => decided,
        }
    }

    /// The Grants, and the Apis that are owned, each of which allows this by itself as far as it goes.
    pub fn by<'r>(&self, rights: &'r Rights, asked: &Asked<'_>) -> Vec<&'r Key> {
        let mut by = rights.by(asked);
        if asked.key.kind == Kind::Namespace && asked.verb == Verb::Read {
            let there = rights.by(&Asked { scope: &self.scope(&asked.key.name), ..*asked });
            by.extend(there.into_iter().filter(|one| !by.contains(one)).collect::<Vec<_>>());
        }
        by
    }

    /// The rules of the role that a grant in `namespace` calls `name`: the namespace's own before
    /// the platform's; a role that is built in goes before both, since no other may have its name.
    pub fn role(&self, namespace: &Name, name: &Name) -> Option<Arc<[RoleRule]>> {
        let of = |namespace: &Name| {
            let role = self.roles.get(&(namespace.clone(), name.clone()))?;
            Some(Arc::from(role.spec.rules.as_slice()))
        };
        builtin::role(name).or_else(|| of(namespace)).or_else(|| of(&platform_namespace()))
    }

    /// What a grant gives; none where its role is not there.
    pub fn given(&self, grant: &Grant) -> Option<Arc<[RoleRule]>> {
        match &grant.spec.role {
            Some(role) => self.role(&grant.metadata.namespace, role),
            None => Some(grant.spec.rules.as_slice().into()),
        }
    }

    /// A grant whose role is not there gives nothing, nor does one in a namespace of no workspace:
    /// what lies there is the platform's, which only the platform's own namespace gives away.
    fn held(&self, grant: &Grant) -> Option<Held> {
        let namespace = &grant.metadata.namespace;
        let scope = match self.scope(namespace) {
            Scope::Platform if *namespace == platform_namespace() => None,
            Scope::Platform => return None,
            scope @ Scope::Workspace(_) => Some(scope),
        };
        let apis = &grant.spec.apis;
        let apis = (!apis.is_empty()).then(|| apis.iter().cloned().collect());
        let by = Some(Key::new(Kind::Grant, namespace.clone(), grant.metadata.name.clone()));
        Some(Held { by, scope, apis, rules: self.given(grant)? })
    }

    fn owned(&self, api: &Api) -> Held {
        let apis = Some([api.metadata.name.clone()].into());
        let scope = Some(self.scope(&api.metadata.namespace));
        let by =
            Some(Key::new(Kind::Api, api.metadata.namespace.clone(), api.metadata.name.clone()));
        Held { by, scope, apis, rules: builtin::ownership() }
    }
}

/// Whom grants are for, in words.
fn subjects<'g>(grants: impl Iterator<Item = &'g Arc<Grant>>) -> Vec<String> {
    let words = grants.flat_map(|grant| &grant.spec.subjects).filter_map(|subject| {
        let team = subject.team.as_ref().map(|team| format!("team '{team}'"));
        team.or_else(|| Some(format!("user '{}'", subject.user.as_ref()?)))
    });
    words.collect::<BTreeSet<_>>().into_iter().collect()
}

fn is_for(grant: &Grant, actor: &Actor, teams: &BTreeSet<&Name>) -> bool {
    grant.spec.subjects.iter().any(|subject| {
        subject.user.as_ref() == Some(&actor.user)
            || subject.team.as_ref().is_some_and(|team| teams.contains(team))
    })
}
