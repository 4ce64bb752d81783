//! What must hold of all objects together once a change is made.

use model::access::Rights;
use model::api::LABEL;
use model::role::Grant;
use model::{Invalid, Key, Kind, Name, Resource, Scope};

use super::{Draft, api_of, fault};
use crate::body::Body;
use crate::bounds;
use crate::refusal::Refusal;
use crate::world::Object;

impl Draft<'_> {
    /// References among people and borders, rights that are given on, and bounds.
    pub(super) fn whole(&self, rights: &Rights) -> Result<(), Refusal> {
        let mut faults = Vec::new();
        for (key, edit) in self.edits() {
            match edit.after() {
                Some(resource) => {
                    self.put(key, resource, rights, &mut faults);
                    let body = Body::of(resource, time::OffsetDateTime::UNIX_EPOCH);
                    faults.extend(bounds::object(key, body.shown.len()));
                }
                None => faults.extend(self.gone(key)),
            }
        }
        faults.extend(self.sizes());
        if faults.is_empty() { Ok(()) } else { Err(Refusal::Invalid(faults)) }
    }

    fn put(&self, key: &Key, resource: &Resource, rights: &Rights, faults: &mut Vec<Invalid>) {
        let scope = self.directory.scope(&key.namespace);
        match resource {
            Resource::Workspace(workspace) => {
                for namespace in workspace.namespaces() {
                    let holder = self.directory.scope(namespace);
                    if holder != Scope::Workspace(key.name.clone()) {
                        let text = format!("the namespace '{namespace}' is in {holder}");
                        faults.push(fault(key, "spec.namespaces", text));
                    }
                }
            }
            Resource::Api(api) => {
                faults.extend(self.no_team(key, "spec.owner", &api.spec.owner));
                let first = self.directory.api(&scope, &key.name);
                if first.is_some_and(|first| first.metadata.namespace != key.namespace) {
                    let text = format!("{scope} has an Api of this name in another namespace");
                    faults.push(fault(key, "metadata.name", text));
                }
            }
            Resource::Grant(grant) => self.grant(key, grant, &scope, rights, faults),
            Resource::Role(role) => {
                if let Err(lacks) = rights.may_grant(&scope, &[], &role.spec.rules) {
                    faults.push(fault(key, "spec.rules", not_held(&lacks)));
                }
            }
            Resource::Gateway(_)
            | Resource::HttpRoute(_)
            | Resource::Service(_)
            | Resource::EndpointSlice(_)
            | Resource::Secret(_)
            | Resource::ConfigMap(_)
            | Resource::AccessPolicy(_)
            | Resource::Claim(_)
            | Resource::Team(_) => {}
        }
        if resource.meta().labels.contains_key(LABEL) && !matches!(resource, Resource::Api(_)) {
            let api = api_of(resource);
            let is_there =
                api.as_ref().is_some_and(|api| self.directory.api(&scope, api).is_some());
            if !is_there {
                let text = format!("{scope} has no Api '{}'", resource.meta().labels[LABEL]);
                faults.push(fault(key, &format!("metadata.labels['{LABEL}']"), text));
            }
        }
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
        match self.directory.role(&key.namespace, &grant.spec.role) {
            None => {
                let text = format!("there is no role '{}' here", grant.spec.role);
                faults.push(fault(key, "spec.role", text));
            }
            Some(rules) => {
                if let Err(lacks) = rights.may_grant(scope, &grant.spec.apis, &rules) {
                    faults.push(fault(key, "spec.role", not_held(&lacks)));
                }
            }
        }
    }

    fn no_team(&self, key: &Key, path: &str, team: &Name) -> Option<Invalid> {
        let text = || format!("there is no Team '{team}'");
        self.directory.team(team).is_none().then(|| fault(key, path, text()))
    }

    /// Who still names what is to be gone.
    fn gone(&self, key: &Key) -> Option<Invalid> {
        let Object { resource, .. } = self.world.objects.get(key)?;
        let names = |other: &Resource| match (resource, other) {
            (Resource::Team(team), Resource::Api(api)) => api.spec.owner == team.metadata.name,
            (Resource::Team(team), Resource::Grant(grant)) => {
                grant.spec.subjects.iter().any(|one| one.team.as_ref() == Some(&team.metadata.name))
            }
            (Resource::Role(role), Resource::Grant(grant)) => {
                let meta = &grant.metadata;
                grant.spec.role == role.metadata.name
                    && self.directory.role(&meta.namespace, &grant.spec.role).is_none()
            }
            (Resource::Api(api), other) => {
                let scope = self.world.directory.scope(&key.namespace);
                !matches!(other, Resource::Api(_))
                    && api_of(other).as_ref() == Some(&api.metadata.name)
                    && self.directory.scope(&other.meta().namespace) == scope
            }
            (Resource::Workspace(workspace), other) => {
                workspace.namespaces().any(|namespace| *namespace == other.meta().namespace)
            }
            _ => false,
        };
        let other = self.after.values().copied().find(|other| names(other))?;
        Some(fault(key, "", format!("{} still needs it; take that away first", other.key())))
    }

    fn sizes(&self) -> Vec<Invalid> {
        let is_new = |key: &&Key| !self.world.objects.contains_key(*key);
        let added = self.edits().filter(|(_, edit)| edit.after().is_some()).map(|(key, _)| key);
        let added: Vec<_> =
            added.filter(is_new).map(|key| (key, self.directory.scope(&key.namespace))).collect();
        let after = self.after.keys().map(|key| (key, self.directory.scope(&key.namespace)));
        bounds::scopes(after, &added)
    }
}

fn not_held(lacks: &str) -> String {
    format!("gives {lacks}, which you do not hold here yourself")
}
