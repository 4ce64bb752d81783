//! A typed resource of any kind: what a valid document becomes.

use std::sync::Arc;

use serde::Serialize;

use crate::api::Api;
use crate::authn::AuthnPolicy;
use crate::backend_tls::BackendTlsPolicy;
use crate::claim::Claim;
use crate::cluster::Cluster;
use crate::consumer::Consumer;
use crate::gateway::{Gateway, Listener, ListenerSet};
use crate::invalid::Checker;
use crate::limit::RateLimitPolicy;
use crate::login::LoginProvider;
use crate::namespace::Namespace;
use crate::policy::{AccessPolicy, Action, PolicyTargetRef, When};
use crate::reference::ReferenceGrant;
use crate::role::{Grant, Role};
use crate::route::{GrpcRoute, HttpRoute, ParentRef, TcpRoute, TlsRoute, UdpRoute};
use crate::secret::{ConfigMap, Secret};
use crate::service::{EndpointSlice, Service};
use crate::team::Team;
use crate::traffic::TrafficPolicy;
use crate::workload::Workload;
use crate::workspace::Workspace;
use crate::{Hostname, Key, Kind, Meta};

/// One resource; cloning shares it.
///
/// Serialised it is the object's own JSON without `apiVersion` and `kind`, secrets as digests.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
#[allow(missing_docs)]
pub enum Resource {
    Gateway(Arc<Gateway>),
    ListenerSet(Arc<ListenerSet>),
    HttpRoute(Arc<HttpRoute>),
    GrpcRoute(Arc<GrpcRoute>),
    TlsRoute(Arc<TlsRoute>),
    TcpRoute(Arc<TcpRoute>),
    UdpRoute(Arc<UdpRoute>),
    ReferenceGrant(Arc<ReferenceGrant>),
    Namespace(Arc<Namespace>),
    BackendTlsPolicy(Arc<BackendTlsPolicy>),
    Service(Arc<Service>),
    EndpointSlice(Arc<EndpointSlice>),
    Workload(Arc<Workload>),
    Secret(Arc<Secret>),
    ConfigMap(Arc<ConfigMap>),
    Consumer(Arc<Consumer>),
    AuthnPolicy(Arc<AuthnPolicy>),
    AccessPolicy(Arc<AccessPolicy>),
    RateLimitPolicy(Arc<RateLimitPolicy>),
    TrafficPolicy(Arc<TrafficPolicy>),
    Api(Arc<Api>),
    Claim(Arc<Claim>),
    Workspace(Arc<Workspace>),
    Cluster(Arc<Cluster>),
    Team(Arc<Team>),
    Role(Arc<Role>),
    Grant(Arc<Grant>),
    LoginProvider(Arc<LoginProvider>),
}

impl Resource {
    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Resource::Gateway(_) => Kind::Gateway,
            Resource::ListenerSet(_) => Kind::ListenerSet,
            Resource::HttpRoute(_) => Kind::HttpRoute,
            Resource::GrpcRoute(_) => Kind::GrpcRoute,
            Resource::TlsRoute(_) => Kind::TlsRoute,
            Resource::TcpRoute(_) => Kind::TcpRoute,
            Resource::UdpRoute(_) => Kind::UdpRoute,
            Resource::ReferenceGrant(_) => Kind::ReferenceGrant,
            Resource::Namespace(_) => Kind::Namespace,
            Resource::BackendTlsPolicy(_) => Kind::BackendTlsPolicy,
            Resource::Service(_) => Kind::Service,
            Resource::EndpointSlice(_) => Kind::EndpointSlice,
            Resource::Workload(_) => Kind::Workload,
            Resource::Secret(_) => Kind::Secret,
            Resource::ConfigMap(_) => Kind::ConfigMap,
            Resource::Consumer(_) => Kind::Consumer,
            Resource::AuthnPolicy(_) => Kind::AuthnPolicy,
            Resource::AccessPolicy(_) => Kind::AccessPolicy,
            Resource::RateLimitPolicy(_) => Kind::RateLimitPolicy,
            Resource::TrafficPolicy(_) => Kind::TrafficPolicy,
            Resource::Api(_) => Kind::Api,
            Resource::Claim(_) => Kind::Claim,
            Resource::Workspace(_) => Kind::Workspace,
            Resource::Cluster(_) => Kind::Cluster,
            Resource::Team(_) => Kind::Team,
            Resource::Role(_) => Kind::Role,
            Resource::Grant(_) => Kind::Grant,
            Resource::LoginProvider(_) => Kind::LoginProvider,
        }
    }

    /// Its metadata.
    pub fn meta(&self) -> &Meta {
        match self {
            Resource::Gateway(object) => &object.metadata,
            Resource::ListenerSet(object) => &object.metadata,
            Resource::HttpRoute(object) => &object.metadata,
            Resource::GrpcRoute(object) => &object.metadata,
            Resource::TlsRoute(object) => &object.metadata,
            Resource::TcpRoute(object) => &object.metadata,
            Resource::UdpRoute(object) => &object.metadata,
            Resource::ReferenceGrant(object) => &object.metadata,
            Resource::Namespace(object) => &object.metadata,
            Resource::BackendTlsPolicy(object) => &object.metadata,
            Resource::Service(object) => &object.metadata,
            Resource::EndpointSlice(object) => &object.metadata,
            Resource::Workload(object) => &object.metadata,
            Resource::Secret(object) => &object.metadata,
            Resource::ConfigMap(object) => &object.metadata,
            Resource::Consumer(object) => &object.metadata,
            Resource::AuthnPolicy(object) => &object.metadata,
            Resource::AccessPolicy(object) => &object.metadata,
            Resource::RateLimitPolicy(object) => &object.metadata,
            Resource::TrafficPolicy(object) => &object.metadata,
            Resource::Api(object) => &object.metadata,
            Resource::Claim(object) => &object.metadata,
            Resource::Workspace(object) => &object.metadata,
            Resource::Cluster(object) => &object.metadata,
            Resource::Team(object) => &object.metadata,
            Resource::Role(object) => &object.metadata,
            Resource::Grant(object) => &object.metadata,
            Resource::LoginProvider(object) => &object.metadata,
        }
    }

    /// Its key.
    pub fn key(&self) -> Key {
        let meta = self.meta();
        Key::new(self.kind(), meta.namespace.clone(), meta.name.clone())
    }

    /// Whether both are one object in memory, so that comparing what they say is needless.
    pub fn is_shared(&self, other: &Resource) -> bool {
        match (self, other) {
            (Resource::Gateway(one), Resource::Gateway(other)) => Arc::ptr_eq(one, other),
            (Resource::ListenerSet(one), Resource::ListenerSet(other)) => Arc::ptr_eq(one, other),
            (Resource::HttpRoute(one), Resource::HttpRoute(other)) => Arc::ptr_eq(one, other),
            (Resource::GrpcRoute(one), Resource::GrpcRoute(other)) => Arc::ptr_eq(one, other),
            (Resource::TlsRoute(one), Resource::TlsRoute(other)) => Arc::ptr_eq(one, other),
            (Resource::TcpRoute(one), Resource::TcpRoute(other)) => Arc::ptr_eq(one, other),
            (Resource::UdpRoute(one), Resource::UdpRoute(other)) => Arc::ptr_eq(one, other),
            (Resource::ReferenceGrant(one), Resource::ReferenceGrant(other)) => {
                Arc::ptr_eq(one, other)
            }
            (Resource::Namespace(one), Resource::Namespace(other)) => Arc::ptr_eq(one, other),
            (Resource::BackendTlsPolicy(one), Resource::BackendTlsPolicy(other)) => {
                Arc::ptr_eq(one, other)
            }
            (Resource::Service(one), Resource::Service(other)) => Arc::ptr_eq(one, other),
            (Resource::EndpointSlice(one), Resource::EndpointSlice(other)) => {
                Arc::ptr_eq(one, other)
            }
            (Resource::Workload(one), Resource::Workload(other)) => Arc::ptr_eq(one, other),
            (Resource::Secret(one), Resource::Secret(other)) => Arc::ptr_eq(one, other),
            (Resource::ConfigMap(one), Resource::ConfigMap(other)) => Arc::ptr_eq(one, other),
            (Resource::Consumer(one), Resource::Consumer(other)) => Arc::ptr_eq(one, other),
            (Resource::AuthnPolicy(one), Resource::AuthnPolicy(other)) => Arc::ptr_eq(one, other),
            (Resource::AccessPolicy(one), Resource::AccessPolicy(other)) => Arc::ptr_eq(one, other),
            (Resource::RateLimitPolicy(one), Resource::RateLimitPolicy(other)) => {
                Arc::ptr_eq(one, other)
            }
            (Resource::TrafficPolicy(one), Resource::TrafficPolicy(other)) => {
                Arc::ptr_eq(one, other)
            }
            (Resource::Api(one), Resource::Api(other)) => Arc::ptr_eq(one, other),
            (Resource::Claim(one), Resource::Claim(other)) => Arc::ptr_eq(one, other),
            (Resource::Workspace(one), Resource::Workspace(other)) => Arc::ptr_eq(one, other),
            (Resource::Cluster(one), Resource::Cluster(other)) => Arc::ptr_eq(one, other),
            (Resource::Team(one), Resource::Team(other)) => Arc::ptr_eq(one, other),
            (Resource::Role(one), Resource::Role(other)) => Arc::ptr_eq(one, other),
            (Resource::Grant(one), Resource::Grant(other)) => Arc::ptr_eq(one, other),
            (Resource::LoginProvider(one), Resource::LoginProvider(other)) => {
                Arc::ptr_eq(one, other)
            }
            (
                Resource::Gateway(_)
                | Resource::ListenerSet(_)
                | Resource::HttpRoute(_)
                | Resource::GrpcRoute(_)
                | Resource::TlsRoute(_)
                | Resource::TcpRoute(_)
                | Resource::UdpRoute(_)
                | Resource::ReferenceGrant(_)
                | Resource::Namespace(_)
                | Resource::BackendTlsPolicy(_)
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
                | Resource::Api(_)
                | Resource::Claim(_)
                | Resource::Workspace(_)
                | Resource::Cluster(_)
                | Resource::Team(_)
                | Resource::Role(_)
                | Resource::Grant(_)
                | Resource::LoginProvider(_),
                _,
            ) => false,
        }
    }

    /// What it says as a route, in the words of an HTTPRoute; `None` for what is no route.
    pub fn as_route(&self) -> Option<Arc<HttpRoute>> {
        match self {
            Resource::HttpRoute(route) => Some(Arc::clone(route)),
            Resource::GrpcRoute(route) => Some(Arc::new(route.as_http())),
            Resource::TlsRoute(route) => Some(Arc::new(route.as_http())),
            Resource::TcpRoute(route) => Some(Arc::new(route.as_http())),
            Resource::UdpRoute(route) => Some(Arc::new(route.as_http())),
            _ => None,
        }
    }

    /// The parents that it names; none of what is no route.
    pub fn parent_refs(&self) -> &[ParentRef] {
        match self {
            Resource::HttpRoute(route) => &route.spec.parent_refs,
            Resource::GrpcRoute(route) => &route.spec.parent_refs,
            Resource::TlsRoute(route) => &route.spec.parent_refs,
            Resource::TcpRoute(route) => &route.spec.parent_refs,
            Resource::UdpRoute(route) => &route.spec.parent_refs,
            _ => &[],
        }
    }

    /// The hosts that it names; none of what is no route.
    pub fn hostnames(&self) -> &[Hostname] {
        match self {
            Resource::HttpRoute(route) => &route.spec.hostnames,
            Resource::GrpcRoute(route) => &route.spec.hostnames,
            Resource::TlsRoute(route) => &route.spec.hostnames,
            _ => &[],
        }
    }

    /// The listeners that it adds; none of what is no Gateway and no ListenerSet.
    pub fn listeners(&self) -> &[Listener] {
        match self {
            Resource::Gateway(gateway) => &gateway.spec.listeners,
            Resource::ListenerSet(set) => &set.spec.listeners,
            _ => &[],
        }
    }

    /// The Secrets and ConfigMaps that its listeners name, each behind the place at which they do; none of
    /// what has no listeners.
    pub fn certificates(&self) -> Vec<(String, Key)> {
        match self {
            Resource::Gateway(gateway) => gateway.certificates().collect(),
            Resource::ListenerSet(set) => set.certificates().collect(),
            _ => Vec::new(),
        }
    }

    /// What it protects, in its own namespace; `None` for what is none of [`Kind::GUARDS`].
    pub fn guarded(&self) -> Option<&[PolicyTargetRef]> {
        match self {
            Resource::AuthnPolicy(policy) => Some(&policy.spec.target_refs),
            Resource::AccessPolicy(policy) => Some(&policy.spec.target_refs),
            Resource::RateLimitPolicy(policy) => Some(&policy.spec.target_refs),
            _ => None,
        }
    }

    /// What its rules or limits ask of requests; nothing of what has neither.
    pub fn whens(&self) -> impl Iterator<Item = When<'_>> {
        let (rules, limits) = match self {
            Resource::AccessPolicy(policy) => (&policy.spec.rules[..], &[][..]),
            Resource::RateLimitPolicy(policy) => (&[][..], &policy.spec.limits[..]),
            _ => (&[][..], &[][..]),
        };
        let rules = rules.iter().enumerate().map(|(index, rule)| When {
            list: "rules",
            index,
            conditions: &rule.when,
            keeps_out: rule.action == Action::Deny,
        });
        let limits = limits.iter().enumerate().map(|(index, limit)| When {
            list: "limits",
            index,
            conditions: &limit.when,
            keeps_out: !limit.dry_run,
        });
        rules.chain(limits)
    }

    /// The Secrets by which callers prove to it who they are, each behind the place at which it names it.
    pub fn credentials(&self) -> Vec<(String, Key)> {
        match self {
            Resource::AuthnPolicy(policy) => policy.credentials().collect(),
            _ => Vec::new(),
        }
    }

    /// Whether it is a route that attaches to Services, and not to Gateways.
    pub fn is_of_services(&self) -> bool {
        self.parent_refs().iter().any(ParentRef::is_service)
    }

    /// The whole object as JSON, `apiVersion` and `kind` included; secrets as digests.
    pub fn to_json(&self) -> serde_json::Value {
        let mut value =
            serde_json::to_value(self).expect("a resource is plain data with text keys");
        value["apiVersion"] = self.kind().api_version().into();
        value["kind"] = self.kind().as_str().into();
        value
    }

    /// Reports what the schema of its kind cannot say.
    pub fn check(&self, at: &mut Checker) {
        let (kind, namespace) = (self.kind(), &self.meta().namespace);
        if kind.is_of_platform() && *namespace != kind.default_namespace() {
            let reason =
                format!("a {kind} lies in '{}', not '{namespace}'", kind.default_namespace());
            at.within("metadata", |at| at.fault_in("namespace", reason));
        }
        match self {
            Resource::Gateway(object) => object.check(at),
            Resource::ListenerSet(object) => object.check(at),
            Resource::HttpRoute(object) => object.check(at),
            Resource::GrpcRoute(object) => object.check(at),
            Resource::TlsRoute(object) => object.check(at),
            Resource::TcpRoute(object) => object.check(at),
            Resource::UdpRoute(object) => object.check(at),
            Resource::ReferenceGrant(object) => object.check(at),
            Resource::Namespace(object) => object.check(at),
            Resource::BackendTlsPolicy(object) => object.check(at),
            Resource::Service(object) => object.check(at),
            Resource::EndpointSlice(object) => object.check(at),
            Resource::Workload(object) => object.check(at),
            Resource::Secret(object) => object.check(at),
            Resource::ConfigMap(_) => {}
            Resource::Consumer(object) => object.check(at),
            Resource::AuthnPolicy(object) => object.check(at),
            Resource::AccessPolicy(object) => object.check(at),
            Resource::RateLimitPolicy(object) => object.check(at),
            Resource::TrafficPolicy(object) => object.check(at),
            Resource::Api(object) => object.check(at),
            Resource::Claim(object) => object.check(at),
            Resource::Workspace(object) => object.check(at),
            Resource::Cluster(object) => object.check(at),
            Resource::Team(object) => object.check(at),
            Resource::Role(object) => object.check(at),
            Resource::Grant(object) => object.check(at),
            Resource::LoginProvider(object) => object.check(at),
        }
    }

    /// Reads an object whose schema holds. `apiVersion` and `kind` may be left out; what stands
    /// there must be right. `status` is not read.
    ///
    /// # Errors
    /// What serde says where a value is not of its type, or has a field that the type has not.
    pub fn from_json(kind: Kind, mut value: serde_json::Value) -> Result<Self, serde_json::Error> {
        use serde_json::from_value;
        if let Some(fields) = value.as_object_mut() {
            let versions = [&[kind.api_version()], kind.older_versions()].concat();
            for (field, right) in [("apiVersion", &versions[..]), ("kind", &[kind.as_str()])] {
                let written = fields.remove(field);
                if let Some(wrong) = written.filter(|word| !right.iter().any(|one| word == one)) {
                    let text = format!("{field} is {wrong}, not {}", right[0]);
                    return Err(serde::de::Error::custom(text));
                }
            }
            fields.remove("status");
        }
        Ok(match kind {
            Kind::Gateway => Resource::Gateway(Arc::new(from_value(value)?)),
            Kind::ListenerSet => Resource::ListenerSet(Arc::new(from_value(value)?)),
            Kind::HttpRoute => Resource::HttpRoute(Arc::new(from_value(value)?)),
            Kind::GrpcRoute => Resource::GrpcRoute(Arc::new(from_value(value)?)),
            Kind::TlsRoute => Resource::TlsRoute(Arc::new(from_value(value)?)),
            Kind::TcpRoute => Resource::TcpRoute(Arc::new(from_value(value)?)),
            Kind::UdpRoute => Resource::UdpRoute(Arc::new(from_value(value)?)),
            Kind::ReferenceGrant => Resource::ReferenceGrant(Arc::new(from_value(value)?)),
            Kind::Namespace => Resource::Namespace(Arc::new(from_value(value)?)),
            Kind::BackendTlsPolicy => Resource::BackendTlsPolicy(Arc::new(from_value(value)?)),
            Kind::Service => Resource::Service(Arc::new(from_value(value)?)),
            Kind::EndpointSlice => Resource::EndpointSlice(Arc::new(from_value(value)?)),
            Kind::Workload => Resource::Workload(Arc::new(from_value(value)?)),
            Kind::Secret => Resource::Secret(Arc::new(from_value(value)?)),
            Kind::ConfigMap => Resource::ConfigMap(Arc::new(from_value(value)?)),
            Kind::Consumer => Resource::Consumer(Arc::new(from_value(value)?)),
            Kind::AuthnPolicy => Resource::AuthnPolicy(Arc::new(from_value(value)?)),
            Kind::AccessPolicy => Resource::AccessPolicy(Arc::new(from_value(value)?)),
            Kind::RateLimitPolicy => Resource::RateLimitPolicy(Arc::new(from_value(value)?)),
            Kind::TrafficPolicy => Resource::TrafficPolicy(Arc::new(from_value(value)?)),
            Kind::Api => Resource::Api(Arc::new(from_value(value)?)),
            Kind::Claim => Resource::Claim(Arc::new(from_value(value)?)),
            Kind::Workspace => Resource::Workspace(Arc::new(from_value(value)?)),
            Kind::Cluster => Resource::Cluster(Arc::new(from_value(value)?)),
            Kind::Team => Resource::Team(Arc::new(from_value(value)?)),
            Kind::Role => Resource::Role(Arc::new(from_value(value)?)),
            Kind::Grant => Resource::Grant(Arc::new(from_value(value)?)),
            Kind::LoginProvider => Resource::LoginProvider(Arc::new(from_value(value)?)),
        })
    }
}
