//! How a resource is named across the whole installation, and whose it is.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Name;
use crate::meta::default_namespace;

/// The kinds of resource that this version enforces.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[schemars(rename = "KindName")]
pub enum Kind {
    /// `gateway.networking.k8s.io/v1` Gateway.
    Gateway,
    /// `gateway.networking.k8s.io/v1` ListenerSet.
    ListenerSet,
    /// `gateway.networking.k8s.io/v1` HTTPRoute.
    #[serde(rename = "HTTPRoute")]
    HttpRoute,
    /// `gateway.networking.k8s.io/v1` GRPCRoute.
    #[serde(rename = "GRPCRoute")]
    GrpcRoute,
    /// `gateway.networking.k8s.io/v1` TLSRoute.
    #[serde(rename = "TLSRoute")]
    TlsRoute,
    /// `gateway.networking.k8s.io/v1` TCPRoute.
    #[serde(rename = "TCPRoute")]
    TcpRoute,
    /// `gateway.networking.k8s.io/v1` UDPRoute.
    #[serde(rename = "UDPRoute")]
    UdpRoute,
    /// `gateway.networking.k8s.io/v1` ReferenceGrant.
    ReferenceGrant,
    /// `v1` Namespace.
    Namespace,
    /// `gateway.networking.k8s.io/v1` BackendTLSPolicy.
    #[serde(rename = "BackendTLSPolicy")]
    BackendTlsPolicy,
    /// `v1` Service.
    Service,
    /// `discovery.k8s.io/v1` EndpointSlice.
    EndpointSlice,
    /// `heddle.dev/v1alpha1` Workload.
    Workload,
    /// `v1` Secret.
    Secret,
    /// `v1` ConfigMap.
    ConfigMap,
    /// `heddle.dev/v1alpha1` Consumer.
    Consumer,
    /// `heddle.dev/v1alpha1` AuthnPolicy.
    AuthnPolicy,
    /// `heddle.dev/v1alpha1` AccessPolicy.
    AccessPolicy,
    /// `heddle.dev/v1alpha1` RateLimitPolicy.
    RateLimitPolicy,
    /// `heddle.dev/v1alpha1` TrafficPolicy.
    TrafficPolicy,
    /// `heddle.dev/v1alpha1` Api.
    Api,
    /// `heddle.dev/v1alpha1` Claim.
    Claim,
    /// `heddle.dev/v1alpha1` Workspace.
    Workspace,
    /// `heddle.dev/v1alpha1` Cluster.
    Cluster,
    /// `heddle.dev/v1alpha1` Team.
    Team,
    /// `heddle.dev/v1alpha1` Role.
    Role,
    /// `heddle.dev/v1alpha1` Grant.
    Grant,
    /// `heddle.dev/v1alpha1` LoginProvider.
    LoginProvider,
}

impl Kind {
    /// Every kind, in the order in which listings show them.
    pub const ALL: [Kind; 28] = [
        Kind::Gateway,
        Kind::ListenerSet,
        Kind::HttpRoute,
        Kind::GrpcRoute,
        Kind::TlsRoute,
        Kind::TcpRoute,
        Kind::UdpRoute,
        Kind::ReferenceGrant,
        Kind::Namespace,
        Kind::BackendTlsPolicy,
        Kind::Service,
        Kind::EndpointSlice,
        Kind::Workload,
        Kind::Secret,
        Kind::ConfigMap,
        Kind::Consumer,
        Kind::AuthnPolicy,
        Kind::AccessPolicy,
        Kind::RateLimitPolicy,
        Kind::TrafficPolicy,
        Kind::Api,
        Kind::Claim,
        Kind::Workspace,
        Kind::Cluster,
        Kind::Team,
        Kind::Role,
        Kind::Grant,
        Kind::LoginProvider,
    ];

    /// The word in the field `kind`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::Gateway => "Gateway",
            Kind::ListenerSet => "ListenerSet",
            Kind::HttpRoute => "HTTPRoute",
            Kind::GrpcRoute => "GRPCRoute",
            Kind::TlsRoute => "TLSRoute",
            Kind::TcpRoute => "TCPRoute",
            Kind::UdpRoute => "UDPRoute",
            Kind::ReferenceGrant => "ReferenceGrant",
            Kind::Namespace => "Namespace",
            Kind::BackendTlsPolicy => "BackendTLSPolicy",
            Kind::Service => "Service",
            Kind::EndpointSlice => "EndpointSlice",
            Kind::Workload => "Workload",
            Kind::Secret => "Secret",
            Kind::ConfigMap => "ConfigMap",
            Kind::Consumer => "Consumer",
            Kind::AuthnPolicy => "AuthnPolicy",
            Kind::AccessPolicy => "AccessPolicy",
            Kind::RateLimitPolicy => "RateLimitPolicy",
            Kind::TrafficPolicy => "TrafficPolicy",
            Kind::Api => "Api",
            Kind::Claim => "Claim",
            Kind::Workspace => "Workspace",
            Kind::Cluster => "Cluster",
            Kind::Team => "Team",
            Kind::Role => "Role",
            Kind::Grant => "Grant",
            Kind::LoginProvider => "LoginProvider",
        }
    }

    /// The value of the field `apiVersion`.
    pub const fn api_version(self) -> &'static str {
        match self {
            Kind::Gateway
            | Kind::ListenerSet
            | Kind::HttpRoute
            | Kind::GrpcRoute
            | Kind::TlsRoute
            | Kind::TcpRoute
            | Kind::UdpRoute
            | Kind::ReferenceGrant
            | Kind::BackendTlsPolicy => "gateway.networking.k8s.io/v1",
            Kind::Namespace | Kind::Service | Kind::Secret | Kind::ConfigMap => "v1",
            Kind::EndpointSlice => "discovery.k8s.io/v1",
            Kind::Workload
            | Kind::Consumer
            | Kind::AuthnPolicy
            | Kind::AccessPolicy
            | Kind::RateLimitPolicy
            | Kind::TrafficPolicy
            | Kind::Api
            | Kind::Claim
            | Kind::Workspace
            | Kind::Cluster
            | Kind::Team
            | Kind::Role
            | Kind::Grant
            | Kind::LoginProvider => "heddle.dev/v1alpha1",
        }
    }

    /// Older values of `apiVersion` under which it means the same.
    pub fn older_versions(self) -> &'static [&'static str] {
        if self == Kind::ReferenceGrant {
            &["gateway.networking.k8s.io/v1beta1"]
        } else if self == Kind::BackendTlsPolicy {
            &["gateway.networking.k8s.io/v1alpha3"]
        } else if self == Kind::UdpRoute {
            &["gateway.networking.k8s.io/v1alpha2"]
        } else {
            &[]
        }
    }

    /// Whether an object of this kind may say this `apiVersion`.
    pub fn is_version(self, word: &str) -> bool {
        word == self.api_version() || self.older_versions().contains(&word)
    }

    /// The API group: `api_version` without the version; empty for the core group.
    pub fn group(self) -> &'static str {
        self.api_version().split_once('/').map_or("", |(group, _)| group)
    }

    /// Whether its objects are the whole installation's, and so lie in the platform's own namespace.
    pub const fn is_of_platform(self) -> bool {
        match self {
            Kind::Namespace
            | Kind::Workspace
            | Kind::Cluster
            | Kind::Team
            | Kind::LoginProvider => true,
            Kind::Gateway
            | Kind::ListenerSet
            | Kind::HttpRoute
            | Kind::GrpcRoute
            | Kind::TlsRoute
            | Kind::TcpRoute
            | Kind::UdpRoute
            | Kind::ReferenceGrant
            | Kind::BackendTlsPolicy
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
            | Kind::Api
            | Kind::Claim
            | Kind::Role
            | Kind::Grant => false,
        }
    }

    /// Those whose objects lead requests, connections or datagrams from listeners or callers to Services.
    pub const ROUTES: [Kind; 5] =
        [Kind::HttpRoute, Kind::GrpcRoute, Kind::TlsRoute, Kind::TcpRoute, Kind::UdpRoute];

    /// Whether it is one of [`Kind::ROUTES`].
    pub fn is_route(self) -> bool {
        Kind::ROUTES.contains(&self)
    }

    /// Those whose objects protect what they are attached to: one that cannot be read closes it, and nodes that
    /// are too old to read one close it, too.
    pub const GUARDS: [Kind; 3] = [Kind::AuthnPolicy, Kind::AccessPolicy, Kind::RateLimitPolicy];

    /// Whether it is one of [`Kind::GUARDS`].
    pub const fn is_guard(self) -> bool {
        match self {
            Kind::AuthnPolicy | Kind::AccessPolicy | Kind::RateLimitPolicy => true,
            Kind::Gateway
            | Kind::ListenerSet
            | Kind::HttpRoute
            | Kind::GrpcRoute
            | Kind::TlsRoute
            | Kind::TcpRoute
            | Kind::UdpRoute
            | Kind::ReferenceGrant
            | Kind::Namespace
            | Kind::BackendTlsPolicy
            | Kind::Service
            | Kind::EndpointSlice
            | Kind::Workload
            | Kind::Secret
            | Kind::ConfigMap
            | Kind::Consumer
            | Kind::TrafficPolicy
            | Kind::Api
            | Kind::Claim
            | Kind::Workspace
            | Kind::Cluster
            | Kind::Team
            | Kind::Role
            | Kind::Grant
            | Kind::LoginProvider => false,
        }
    }

    /// Whether its objects have listeners.
    pub const fn has_listeners(self) -> bool {
        matches!(self, Kind::Gateway | Kind::ListenerSet)
    }

    /// Whether its objects lead connections or datagrams, of which no request is read.
    pub const fn is_of_connections(self) -> bool {
        matches!(self, Kind::TlsRoute | Kind::TcpRoute | Kind::UdpRoute)
    }

    /// The namespace of an object that names none.
    pub fn default_namespace(self) -> Name {
        if self.is_of_platform() { platform_namespace() } else { default_namespace() }
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

/// Whose an object is: the border within which it is changed as a whole.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Scope {
    /// The installation's own.
    Platform,
    /// A workspace's, by its name.
    Workspace(Name),
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scope::Platform => f.write_str("platform"),
            Scope::Workspace(name) => write!(f, "workspace/{name}"),
        }
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> String {
        scope.to_string()
    }
}

impl TryFrom<String> for Scope {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let name = match text.strip_prefix("workspace/") {
            None if text == "platform" => return Ok(Scope::Platform),
            name => name.and_then(|name| Name::parse(name).ok()),
        };
        name.map(Scope::Workspace)
            .ok_or_else(|| format!("'{text}' is no scope: platform or workspace/NAME"))
    }
}

/// The namespace of what is the platform's own: Teams, Workspaces, and Grants that hold everywhere.
pub fn platform_namespace() -> Name {
    Name::parse("heddle").expect("'heddle' is a name")
}
