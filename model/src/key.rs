//! How a resource is named across the whole installation, and whose it is.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Name;

/// The kinds of resource that this version enforces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// `gateway.networking.k8s.io/v1` Gateway.
    Gateway,
    /// `gateway.networking.k8s.io/v1` HTTPRoute.
    #[serde(rename = "HTTPRoute")]
    HttpRoute,
    /// `v1` Service.
    Service,
    /// `discovery.k8s.io/v1` EndpointSlice.
    EndpointSlice,
    /// `v1` Secret.
    Secret,
    /// `v1` ConfigMap.
    ConfigMap,
    /// `heddle.dev/v1alpha1` AccessPolicy.
    AccessPolicy,
}

impl Kind {
    /// Every kind, in the order in which listings show them.
    pub const ALL: [Kind; 7] = [
        Kind::Gateway,
        Kind::HttpRoute,
        Kind::Service,
        Kind::EndpointSlice,
        Kind::Secret,
        Kind::ConfigMap,
        Kind::AccessPolicy,
    ];

    /// The word in the field `kind`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::Gateway => "Gateway",
            Kind::HttpRoute => "HTTPRoute",
            Kind::Service => "Service",
            Kind::EndpointSlice => "EndpointSlice",
            Kind::Secret => "Secret",
            Kind::ConfigMap => "ConfigMap",
            Kind::AccessPolicy => "AccessPolicy",
        }
    }

    /// The value of the field `apiVersion`.
    pub const fn api_version(self) -> &'static str {
        match self {
            Kind::Gateway | Kind::HttpRoute => "gateway.networking.k8s.io/v1",
            Kind::Service | Kind::Secret | Kind::ConfigMap => "v1",
            Kind::EndpointSlice => "discovery.k8s.io/v1",
            Kind::AccessPolicy => "heddle.dev/v1alpha1",
        }
    }

    /// The API group: `api_version` without the version; empty for the core group.
    pub fn group(self) -> &'static str {
        self.api_version().split_once('/').map_or("", |(group, _)| group)
    }

    /// The kind called `word`, if it is one of ours.
    pub fn parse(word: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Names one resource: kind, namespace, name.
///
/// The cluster joins with the fleet; until then every key means the one cluster at hand.
/// Ordered by kind, then namespace, then name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key {
    /// What it is.
    pub kind: Kind,
    /// The name space it lies in.
    pub namespace: Name,
    /// Its name there.
    pub name: Name,
}

impl Key {
    /// The key of `kind` `namespace/name`.
    pub fn new(kind: Kind, namespace: Name, name: Name) -> Self {
        Key { kind, namespace, name }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}
