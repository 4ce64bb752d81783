//! Attachment: which listeners a route's rules are reached through.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::gateway::{self, FromNamespaces};
use model::route::{HttpRoute, ParentRef};
use model::{Hostname, Invalid, Key, Kind, Name, Resource};
use policy::Level;

use crate::Rule;
use crate::assemble::policies::Policies;
use crate::assemble::rules::{Draft, drafts};
use crate::isolate::{Settled, fault};
use crate::listener::Listener;
use crate::route::Compiled;
use crate::service::Catalog;

const GATEWAY_GROUP: &str = "gateway.networking.k8s.io";

/// Attaches routes to listeners, and makes the rules that listeners lead to.
pub(crate) struct Attacher<'a> {
    settled: &'a Settled,
    policies: &'a Policies,
    catalog: &'a Catalog,
    listeners: &'a mut [Listener],
    /// Where each listener stands, by Gateway and name.
    places: BTreeMap<(Key, Name), usize>,
    rules: Vec<Rule>,
}

impl<'a> Attacher<'a> {
    pub(crate) fn new(
        settled: &'a Settled,
        policies: &'a Policies,
        catalog: &'a Catalog,
        listeners: &'a mut [Listener],
    ) -> Self {
        let named = listeners.iter().map(|one| (one.gateway.clone(), one.name.clone()));
        let places = named.enumerate().map(|(at, name)| (name, at)).collect();
        Attacher { settled, policies, catalog, listeners, places, rules: Vec::new() }
    }

    /// Attaches every route; the rules that came of it.
    pub(crate) fn run(mut self, faults: &mut Vec<Invalid>) -> Vec<Rule> {
        for (key, route) in &self.settled.routes {
            let listeners = self.parents(key, &route.source, faults);
            for draft in drafts(key, &route.source, self.catalog, faults) {
                self.attach(route, &draft, &listeners, faults);
            }
        }
        self.rules
    }

    /// The serving listeners that a route attaches to, each once.
    fn parents(&self, key: &Key, route: &HttpRoute, faults: &mut Vec<Invalid>) -> BTreeSet<usize> {
        let mut all = BTreeSet::new();
        for (index, parent) in route.spec.parent_refs.iter().enumerate() {
            match self.parent(key, route, parent) {
                Ok(found) => all.extend(found),
                Err(reason) => {
                    faults.push(fault(key, &format!("spec.parentRefs[{index}]"), reason));
                }
            }
        }
        if route.spec.parent_refs.is_empty() {
            let reason = "names no Gateway, so no request can reach it";
            faults.push(fault(key, "spec.parentRefs", reason));
        }
        all.into_iter().filter(|&at| self.listeners[at].is_serving()).collect()
    }

    /// The listeners that one reference means, or the first thing that is in the way of all.
    fn parent(
        &self,
        key: &Key,
        route: &HttpRoute,
        parent: &ParentRef,
    ) -> Result<Vec<usize>, String> {
        if parent.group != GATEWAY_GROUP || parent.kind != "Gateway" {
            return Err("this version attaches routes to Gateways only".to_owned());
        }
        let namespace = parent.namespace.as_ref().unwrap_or(&key.namespace);
        let name = Key::new(Kind::Gateway, namespace.clone(), parent.name.clone());
        let Some(Resource::Gateway(gateway)) = self.settled.get(&name) else {
            return Err(format!("no {name}"));
        };
        let written = gateway.spec.listeners.iter();
        let meant = written.filter(|one| {
            parent.section_name.as_ref().is_none_or(|section| *section == one.name)
                && parent.port.is_none_or(|port| port == one.port)
        });
        let mut attached = Vec::new();
        let mut obstacle = format!("{name} has no such listener");
        for one in meant {
            match admits(&name, one, key, &route.spec.hostnames) {
                Ok(()) => attached.extend(self.listener(&name, one)),
                Err(reason) => obstacle = reason,
            }
        }
        if attached.is_empty() { Err(obstacle) } else { Ok(attached) }
    }

    fn listener(&self, gateway: &Key, written: &gateway::Listener) -> Option<usize> {
        self.places.get(&(gateway.clone(), written.name.clone())).copied()
    }

    /// Makes one rule reachable through listeners; those that see the same policies share it.
    fn attach(
        &mut self,
        route: &Compiled,
        draft: &Draft<'_>,
        listeners: &BTreeSet<usize>,
        faults: &mut Vec<Invalid>,
    ) {
        let mut made: Vec<(Vec<Arc<Level>>, usize)> = Vec::new();
        for &at in listeners {
            let levels = self.levels(&self.listeners[at], draft);
            let known = made.iter().find(|(other, _)| same_levels(other, &levels));
            let rule = match known {
                Some(&(_, rule)) => rule,
                None => {
                    let Some(rule) = draft.rule(self.rules.len(), levels.clone(), faults) else {
                        continue;
                    };
                    self.rules.push(rule);
                    made.push((levels, self.rules.len() - 1));
                    self.rules.len() - 1
                }
            };
            self.listeners[at].routes.add(route.hosts(), &route.rules[draft.index], rule);
        }
    }

    /// The policies that a request of this rule passes, broadest first.
    fn levels(&self, listener: &Listener, draft: &Draft<'_>) -> Vec<Arc<Level>> {
        let name = draft.written.name.as_ref();
        let levels = [
            self.policies.level(&listener.gateway, None),
            self.policies.level(&listener.gateway, Some(&listener.name)),
            self.policies.level(draft.route, None),
            name.and_then(|name| self.policies.level(draft.route, Some(name))),
        ];
        levels.into_iter().flatten().cloned().collect()
    }
}

fn same_levels(one: &[Arc<Level>], other: &[Arc<Level>]) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(a, b)| Arc::ptr_eq(a, b))
}

/// Whether a listener lets a route attach, or why not.
fn admits(
    gateway: &Key,
    listener: &gateway::Listener,
    route: &Key,
    hosts: &[Hostname],
) -> Result<(), String> {
    let allowed = listener.allowed_routes.clone().unwrap_or_default();
    let place = format!("listener '{}' of {gateway}", listener.name);
    let namespace_fits = match allowed.namespaces.from {
        FromNamespaces::All => true,
        FromNamespaces::Same => gateway.namespace == route.namespace,
        FromNamespaces::Selector | FromNamespaces::None => false,
    };
    if !namespace_fits {
        return Err(format!("{place} takes no routes of namespace '{}'", route.namespace));
    }
    let mut kinds = allowed.kinds.iter();
    if !allowed.kinds.is_empty()
        && !kinds.any(|kind| kind.group == GATEWAY_GROUP && kind.kind == "HTTPRoute")
    {
        return Err(format!("{place} takes no HTTPRoutes"));
    }
    match &listener.hostname {
        Some(own) if !hosts.is_empty() && !hosts.iter().any(|h| own.intersect(h).is_some()) => {
            Err(format!("none of the route's host names lies within '{own}' of {place}"))
        }
        Some(_) | None => Ok(()),
    }
}
