//! Borders: the workspace of each namespace, its Apis, and what both make of a route's requests.
//!
//! A workspace without a good form denies what no policy speaks of, as one does that says nothing:
//! else whoever cannot read it would take its border away.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::api::{Api, LABEL};
use model::cluster::{Cluster, Reach};
use model::workspace::{DefaultAccess, Workspace};
use model::{Invalid, Key, Kind, Name, Resource, Scope};
use policy::Stage;

use crate::isolate::stray::Stray;
use crate::isolate::{Settled, fault};

/// Whose each namespace is, and which Apis are where.
#[derive(Debug, Default)]
pub(crate) struct Borders {
    /// By namespace; what is in none is the platform's.
    workspaces: BTreeMap<Name, Held>,
    /// The Apis by where they are; of several with one name the first in the order of keys.
    apis: BTreeMap<Scope, BTreeMap<Name, Found>>,
}

/// A namespace in a workspace.
#[derive(Debug, Clone)]
struct Held {
    workspace: Name,
    /// In which clusters that is.
    reach: Arc<Reach>,
    /// Why it denies what no policy speaks of, and what would change that; `None` if it does not.
    denies: Option<Arc<str>>,
}

#[derive(Debug)]
enum Found {
    Good(Key, Arc<Api>),
    /// Refused, without a good form.
    Lost(Key),
}

impl Borders {
    pub(crate) fn new(settled: &Settled) -> Self {
        let mut borders = Borders::default();
        let clusters: Vec<_> = clusters(settled).collect();
        for (key, item) in settled.of_kind(Kind::Workspace) {
            if let Resource::Workspace(workspace) = &item.resource
                && key.namespace == Kind::Workspace.default_namespace()
            {
                borders.hold(workspace, &clusters, denies(workspace));
            }
        }
        for workspace in &settled.unread {
            let name = &workspace.metadata.name;
            let why = format!(
                "workspace '{name}' cannot be read, so it denies what no \
                 AccessPolicy of it speaks of; to mend it, or"
            );
            borders.hold(workspace, &clusters, Some(why.into()));
        }
        borders.find_apis(settled);
        borders
    }

    /// Of two workspaces that name one namespace the first has it.
    fn hold(&mut self, workspace: &Workspace, clusters: &[&Cluster], denies: Option<Arc<str>>) {
        let reach = Arc::new(Reach::new(&workspace.spec.clusters, clusters.iter().copied()));
        let held = Held { workspace: workspace.metadata.name.clone(), reach, denies };
        for namespace in workspace.namespaces() {
            self.workspaces.entry(namespace.clone()).or_insert_with(|| held.clone());
        }
    }

    fn find_apis(&mut self, settled: &Settled) {
        let good = settled.of_kind(Kind::Api).filter_map(|(key, item)| match &item.resource {
            Resource::Api(api) => Some((key, Found::Good(key.clone(), Arc::clone(api)))),
            _ => None,
        });
        let lost = settled.lost.iter().filter(|key| key.kind == Kind::Api);
        for (key, found) in good.chain(lost.map(|key| (key, Found::Lost(key.clone())))) {
            let apis = self.apis.entry(self.scope(&key.namespace)).or_default();
            apis.entry(key.name.clone()).or_insert(found);
        }
    }

    /// Whose a namespace is.
    pub(crate) fn scope(&self, namespace: &Name) -> Scope {
        let held = self.workspaces.get(namespace);
        held.map_or(Scope::Platform, |held| Scope::Workspace(held.workspace.clone()))
    }

    /// The scope of each namespace that is in a workspace.
    pub(crate) fn scopes(&self) -> BTreeMap<Name, Scope> {
        self.workspaces.keys().map(|name| (name.clone(), self.scope(name))).collect()
    }

    /// The workspace of each namespace that is in one.
    pub(crate) fn workspaces(&self) -> BTreeMap<Name, Name> {
        let held = self.workspaces.iter();
        held.map(|(namespace, held)| (namespace.clone(), held.workspace.clone())).collect()
    }

    /// Whether a namespace is in a cluster, as its workspace is; in every one where it is in none.
    pub(crate) fn are_in(&self, namespace: &Name, cluster: &Name) -> bool {
        self.workspaces.get(namespace).is_none_or(|held| held.reach.has(cluster))
    }

    /// Where each namespace is that is not everywhere.
    pub(crate) fn reaches(&self) -> BTreeMap<Name, Arc<Reach>> {
        let held = self.workspaces.iter().filter(|(_, held)| *held.reach != Reach::Everywhere);
        held.map(|(namespace, held)| (namespace.clone(), Arc::clone(&held.reach))).collect()
    }

    /// Whether two namespaces are within one border. What is in no workspace is the platform's.
    pub(crate) fn are_one(&self, one: &Name, other: &Name) -> bool {
        let workspace = |name| self.workspaces.get(name).map(|held| &held.workspace);
        workspace(one) == workspace(other)
    }

    /// Whether a workspace of this name holds any namespace.
    pub(crate) fn is_known(&self, workspace: &Name) -> bool {
        self.workspaces.values().any(|held| held.workspace == *workspace)
    }

    /// Why requests to a route pass by no policy of its own workspace, in words; `None` where they
    /// pass.
    pub(crate) fn denial(&self, route: &Key) -> Option<Arc<str>> {
        let why = self.workspaces.get(&route.namespace)?.denies.as_ref()?;
        Some(format!("{why} an AccessPolicy on {route} that allows it, opens it").into())
    }

    /// Whether the Api of a stray answers nobody. What is wrong with the stray has been told.
    pub(crate) fn is_lifeless(&self, stray: &Stray) -> bool {
        match self.stage(&stray.key, stray.api.as_ref(), &mut Vec::new()) {
            Stage::Unpublished(_) | Stage::Retired { .. } => true,
            Stage::Published | Stage::Deprecated(_) => false,
        }
    }

    /// Where in its life the Api of a route is, by the label that the route carries. Where there is
    /// no such Api it answers nobody, which is a fault; what is the platform's may name any.
    pub(crate) fn stage(
        &self,
        route: &Key,
        label: Option<&String>,
        faults: &mut Vec<Invalid>,
    ) -> Stage {
        let Some(label) = label else { return Stage::Published };
        let scope = self.scope(&route.namespace);
        let name = Name::parse(label).ok();
        let found = name.and_then(|name| self.apis.get(&scope)?.get(&name));
        let lacks = match found {
            Some(Found::Good(key, api)) => return Stage::of(key, api),
            Some(Found::Lost(key)) => format!("{key} is refused, see its own faults"),
            None if scope == Scope::Platform => return Stage::Published,
            None => format!("{} has no Api '{label}'", in_words(&scope)),
        };
        let why = format!("{lacks}; until there is one, the route answers nobody");
        faults.push(fault(route, &format!("metadata.labels['{LABEL}']"), why.clone()));
        Stage::Unpublished(why.into())
    }
}

/// The clusters that say what they are.
fn clusters(settled: &Settled) -> impl Iterator<Item = &Cluster> {
    let read = settled.of_kind(Kind::Cluster).filter_map(|(key, item)| match &item.resource {
        Resource::Cluster(cluster) if key.namespace == key.kind.default_namespace() => {
            Some(&**cluster)
        }
        _ => None,
    });
    read.chain(&settled.unread_clusters)
}

/// Such as `workspace 'shop'`.
pub(crate) fn in_words(scope: &Scope) -> String {
    match scope {
        Scope::Platform => "the platform".to_owned(),
        Scope::Workspace(name) => format!("workspace '{name}'"),
    }
}

/// The beginning of a sentence that says what would open it.
fn denies(workspace: &Workspace) -> Option<Arc<str>> {
    let name = &workspace.metadata.name;
    match workspace.spec.access {
        DefaultAccess::Open => None,
        DefaultAccess::Deny => Some(
            format!(
                "workspace '{name}' denies what no AccessPolicy of it speaks of; 'access: open' \
                 of it, or"
            )
            .into(),
        ),
    }
}
