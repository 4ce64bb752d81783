//! What this program cannot read: written by a newer one, or broken.
//!
//! Nobody changes it from here, and it takes nothing away from whom it protects: a role that cannot
//! be read gives nothing and still hides the platform's of its name, a workspace keeps its
//! namespaces, a claim keeps its hosts. As much of it as that needs stands in for it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use model::api::LABEL;
use model::claim::{Claim, ClaimSpec, HostClaim};
use model::cluster::{self, Cluster, ClusterSpec};
use model::role::{Role, RoleSpec};
use model::workspace::{Workspace, WorkspaceSpec};
use model::{Hostname, Invalid, Key, Kind, Meta, Name, Resource, Scope};
use serde_json::Value;
use store::Snapshot;
use table::Refused;

use super::is_traffic;
use crate::body;

/// An object that this program cannot read.
#[derive(Debug, Clone, PartialEq)]
pub struct Unreadable {
    /// Which.
    pub key: store::Key,
    /// Where it belongs.
    pub scope: Scope,
    /// Its generation.
    pub generation: i64,
    /// Why it cannot be read, in words.
    pub reason: String,
    /// All it says, secret values as digests.
    pub(crate) body: Arc<str>,
    /// What counts in its place among borders and claims.
    pub(crate) stand_in: Option<Resource>,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let store::Key { kind, namespace, name, .. } = &self.key;
        write!(f, "{kind} {namespace}/{name}")
    }
}

impl Unreadable {
    /// What it says, if it is JSON at all.
    pub(crate) fn raw(&self) -> Option<Value> {
        serde_json::from_str(&self.body).ok()
    }

    /// The Api that it says it belongs to, or is.
    pub(crate) fn api(&self) -> Option<Name> {
        let name = match Kind::parse(&self.key.kind) {
            Some(Kind::Api) => return Name::parse(&self.key.name).ok(),
            Some(_) | None => self.raw()?["metadata"]["labels"][LABEL].as_str()?.to_owned(),
        };
        Name::parse(&name).ok()
    }

    /// Whether the word stands in it by itself, so that it may mean an object of that name.
    pub(crate) fn may_name(&self, word: &Name) -> bool {
        self.body.contains(&format!("\"{word}\""))
    }

    /// What proxies make of it, if they are told of its kind.
    pub(super) fn refused(&self) -> Option<Refused> {
        let key = body::key(&self.key).filter(|key| is_traffic(key.kind))?;
        let faults = vec![Invalid {
            key: Some(key.clone()),
            path: String::new(),
            line: None,
            reason: format!("cannot be read: {}", self.reason),
            nearest: None,
        }];
        Some(Refused { key: Some(key), raw: self.raw(), faults })
    }
}

/// What counts in the place of an object among borders and claims.
pub(super) fn stand_in(key: &store::Key, body: &str, beside: &Snapshot) -> Option<Resource> {
    let ours = body::key(key)?;
    let meta = Meta::new(ours.namespace.clone(), ours.name.clone());
    match ours.kind {
        Kind::Workspace => Some(Resource::Workspace(Arc::new(Workspace {
            metadata: meta,
            spec: WorkspaceSpec {
                namespaces: namespaces(&ours, body, beside),
                clusters: match serde_json::from_str::<Value>(body) {
                    Ok(raw) => cluster::selector(raw.pointer("/spec/clusters")),
                    Err(_) => cluster::selector(Some(&Value::Null)),
                },
                ..WorkspaceSpec::default()
            },
        }))),
        // Without its labels, whole workspaces would be gone from it.
        Kind::Cluster => Some(Resource::Cluster(Arc::new(Cluster {
            metadata: Meta { labels: labels(body), ..meta },
            spec: ClusterSpec::default(),
        }))),
        Kind::Role => Some(Resource::Role(Arc::new(Role {
            metadata: meta,
            spec: RoleSpec { title: String::new(), rules: Vec::new() },
        }))),
        Kind::Claim => {
            let held = beside.hosts.iter().filter(|(by, _)| by == key);
            let hosts = held.filter_map(|(_, claim)| {
                let host = Hostname::parse(&claim.host).ok()?;
                Some(HostClaim { host, paths: vec![claim.path.clone()] })
            });
            let spec = ClaimSpec { hosts: hosts.collect() };
            Some(Resource::Claim(Arc::new(Claim { metadata: meta, spec })))
        }
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
        | Kind::Team
        | Kind::Grant
        | Kind::LoginProvider => None,
    }
}

fn labels(body: &str) -> BTreeMap<String, String> {
    let raw: Value = serde_json::from_str(body).unwrap_or_default();
    cluster::labels(raw.pointer("/metadata/labels"))
}

/// The namespaces of a workspace: those that it names where they are to be found today, and those
/// in which something of its own lies.
fn namespaces(key: &Key, body: &str, beside: &Snapshot) -> Vec<Name> {
    let raw: Value = serde_json::from_str(body).unwrap_or_default();
    let named = raw["spec"]["namespaces"].as_array().into_iter().flatten();
    let named = named.filter_map(|name| Name::parse(name.as_str()?).ok());
    let own = Scope::Workspace(key.name.clone());
    let inside = beside.resources.iter().filter(|stored| stored.scope == own);
    let inside = inside.filter_map(|stored| Name::parse(&stored.key.namespace).ok());
    let all: BTreeSet<_> = named.chain(inside).collect();
    all.into_iter().collect()
}
