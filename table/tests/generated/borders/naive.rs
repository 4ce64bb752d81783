//! A reading of the borders, rule by rule, without any index.

use std::collections::BTreeSet;

use model::api::{LABEL, Lifecycle};
use model::claim::Ground;
use model::policy::{PolicyTargetRef, TargetKind};
use model::route::HttpRoute;
use model::workspace::{DefaultAccess, Workspace};
use model::{Key, Kind, Name, Resource};
use policy::Reason;

use crate::isolation::observe::{Request, Seen};

/// All objects of a world.
pub(crate) struct Reading<'w>(&'w [Resource]);

impl<'w> Reading<'w> {
    pub(crate) fn new(world: &'w [Resource]) -> Self {
        Reading(world)
    }

    /// What a request meets that would have met `bare` without any border.
    pub(crate) fn within(&self, bare: &Seen, request: &Request) -> Seen {
        let Some(route) = self.route(bare) else { return bare.clone() };
        if route.spec.hostnames.is_empty() && self.is_held_by_another(route, request) {
            return Seen {
                rule: None,
                owner: None,
                verdict: Err(Reason::NoRoute),
                backends: Vec::new(),
                led_to: BTreeSet::new(),
                ..bare.clone()
            };
        }
        let (mut seen, stage) = (bare.clone(), self.stage(route));
        seen.says_more = stage == Ok(Lifecycle::Deprecated);
        match stage {
            Err(reason) => seen.verdict = Err(reason),
            Ok(_) if self.is_denied(route, bare) => {
                // Limits come behind borders.
                if matches!(bare.verdict, Ok(()) | Err(Reason::RateLimited)) {
                    seen.verdict = Err(Reason::DefaultDenied);
                }
            }
            Ok(_) => {}
        }
        seen
    }

    pub(crate) fn route(&self, seen: &Seen) -> Option<&'w HttpRoute> {
        let mut label = seen.rule.as_ref()?.splitn(3, '/');
        let (namespace, name) = (label.next()?, label.next()?);
        self.0.iter().find_map(|one| match one {
            Resource::HttpRoute(route)
                if route.metadata.namespace.as_str() == namespace
                    && route.metadata.name.as_str() == name =>
            {
                Some(&**route)
            }
            _ => None,
        })
    }

    pub(crate) fn workspace(&self, namespace: &Name) -> Option<&'w Workspace> {
        let holding = self.0.iter().filter_map(|one| match one {
            Resource::Workspace(one) if one.namespaces().any(|own| own == namespace) => {
                Some(&**one)
            }
            _ => None,
        });
        holding.min_by_key(|one| &one.metadata.name)
    }

    fn scope(&self, namespace: &Name) -> Option<&'w Name> {
        self.workspace(namespace).map(|one| &one.metadata.name)
    }

    /// The Api that a route belongs to.
    pub(crate) fn api(&self, route: &HttpRoute) -> Option<Result<Key, ()>> {
        let label = route.metadata.labels.get(LABEL)?;
        let scope = self.scope(&route.metadata.namespace);
        let keys = self.0.iter().map(Resource::key).filter(|key| {
            key.kind == Kind::Api
                && key.name.as_str() == label
                && self.scope(&key.namespace) == scope
        });
        Some(keys.min().ok_or(()))
    }

    fn stage(&self, route: &HttpRoute) -> Result<Lifecycle, Reason> {
        let key = match self.api(route) {
            None => return Ok(Lifecycle::Published),
            Some(Err(())) if self.scope(&route.metadata.namespace).is_none() => {
                return Ok(Lifecycle::Published);
            }
            Some(Err(())) => return Err(Reason::ApiUnpublished),
            Some(Ok(key)) => key,
        };
        let lifecycle = self.0.iter().find_map(|one| match one {
            Resource::Api(api) if one.key() == key => Some(api.spec.lifecycle),
            _ => None,
        });
        match lifecycle.unwrap() {
            Lifecycle::Draft => Err(Reason::ApiUnpublished),
            Lifecycle::Retired => Err(Reason::ApiRetired),
            answers @ (Lifecycle::Published | Lifecycle::Deprecated) => Ok(answers),
        }
    }

    fn is_denied(&self, route: &HttpRoute, seen: &Seen) -> bool {
        let Some(workspace) = self.workspace(&route.metadata.namespace) else { return false };
        let speaks = |one: &Resource| match one {
            Resource::AccessPolicy(policy) => {
                self.scope(&policy.metadata.namespace) == Some(&workspace.metadata.name)
                    && policy
                        .spec
                        .target_refs
                        .iter()
                        .any(|target| is_on(&policy.metadata.namespace, target, seen))
            }
            _ => false,
        };
        workspace.spec.access == DefaultAccess::Deny && !self.0.iter().any(speaks)
    }

    /// Whether a claim of another workspace holds what is asked for.
    fn is_held_by_another(&self, route: &HttpRoute, request: &Request) -> bool {
        let Some(own) = self.scope(&route.metadata.namespace) else { return false };
        self.is_held(request, |namespace| self.scope(namespace) != Some(own))
    }

    pub(crate) fn is_held(&self, request: &Request, by: impl Fn(&Name) -> bool) -> bool {
        let holds = |ground: &Ground<'_>| {
            let below = format!("{}/", ground.path.trim_end_matches('/'));
            ground.host.is_some_and(|host| host.matches(&request.host))
                && (request.path == ground.path || request.path.starts_with(&below))
        };
        self.0.iter().any(|one| match one {
            Resource::Claim(claim) => {
                by(&claim.metadata.namespace) && claim.grounds().any(|ground| holds(&ground))
            }
            _ => false,
        })
    }

    /// Whether what a request met lies under a target.
    pub(crate) fn is_under(&self, target: &Key, seen: &Seen) -> bool {
        let Some(route) = self.route(seen) else { return false };
        let own = &route.metadata.namespace;
        let gateway = format!("Gateway {}/{}/", target.namespace, target.name);
        match target.kind {
            Kind::Gateway => seen.listener.as_ref().is_some_and(|one| one.starts_with(&gateway)),
            Kind::HttpRoute => target.namespace == *own && target.name == route.metadata.name,
            Kind::Workspace => self.scope(own) == Some(&target.name),
            Kind::Api => {
                let label = route.metadata.labels.get(LABEL).map(String::as_str);
                label == Some(target.name.as_str())
                    && self.scope(own) == self.scope(&target.namespace)
            }
            _ => {
                target.namespace == *own
                    || seen.gateway.as_deref() == Some(target.namespace.as_str())
            }
        }
    }
}

/// Whether a policy's target is the listener, route or rule that a request met.
fn is_on(namespace: &Name, target: &PolicyTargetRef, seen: &Seen) -> bool {
    let (text, kind) = match target.kind {
        TargetKind::Gateway => (&seen.listener, "Gateway "),
        TargetKind::HttpRoute => (&seen.rule, ""),
        // No request at the edge meets what is attached to a Service, and every route here is for HTTP.
        TargetKind::Service
        | TargetKind::ListenerSet
        | TargetKind::GrpcRoute
        | TargetKind::TlsRoute
        | TargetKind::TcpRoute
        | TargetKind::UdpRoute => return false,
    };
    let Some((object, part)) = text.as_ref().and_then(|text| text.rsplit_once('/')) else {
        return false;
    };
    object == format!("{kind}{namespace}/{}", target.name)
        && target.section_name.as_ref().is_none_or(|section| section.as_str() == part)
}
