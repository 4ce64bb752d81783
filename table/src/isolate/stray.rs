//! Strays: refused routes without a good form, read as leniently as is safe.
//!
//! Where a policy protects such a route, the requests that it was meant for must not fall to a
//! broader route of the same owner that is open, so it must be known which requests those are.
//! What is not written counts as absent only where no unknown word beside it could have meant it.

use std::sync::Arc;

use model::api::LABEL;
use model::route::{
    GrpcMatch, GrpcRoute, GrpcRouteSpec, GrpcRule, HttpMatch, HttpRoute, HttpRouteSpec, HttpRule,
    ParentRef, PathMatch,
};
use model::{Checker, Key, Kind, Meta, Name};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::route::{Compiled, Leads};

type Fields = Map<String, Value>;

const OF_SPEC: [&str; 4] = ["parentRefs", "useDefaultGateways", "hostnames", "rules"];
const OF_PARENT: [&str; 6] = ["group", "kind", "namespace", "name", "sectionName", "port"];
const OF_RULE: [&str; 7] =
    ["name", "matches", "filters", "backendRefs", "timeouts", "retry", "sessionPersistence"];
const OF_MATCH: [&str; 4] = ["path", "headers", "queryParams", "method"];
const OF_CALL: [&str; 2] = ["method", "headers"];

/// What a refused route without a good form was meant for.
#[derive(Debug)]
pub(crate) struct Stray {
    /// The route.
    pub(crate) key: Key,
    /// The Gateways, ListenerSets or Services that it names; `None`: they cannot be told.
    pub(crate) parents: Option<Vec<ParentRef>>,
    /// The Services among them, even where not all else of them can be told; `None`: nor can these.
    services: Option<Vec<Served>>,
    /// Its hosts and paths; `None`: they cannot be told.
    pub(crate) reach: Option<Compiled>,
    /// The Api that it names.
    pub(crate) api: Option<String>,
}

/// A Service of the stray's own namespace, and one of its ports; all where none can be told.
type Served = (Name, Option<u16>);

impl Stray {
    /// Reads a refused route. If one host or path cannot be read, none is trusted, and none
    /// without the parents.
    pub(crate) fn of(key: &Key, raw: Option<&Value>) -> Self {
        let spec = raw.and_then(|raw| raw.get("spec")?.as_object());
        let parents = spec.and_then(parents);
        let services = spec.and_then(|spec| services(key, spec));
        let spec = spec.filter(|_| parents.is_some());
        let reach = spec.and_then(|spec| reach(key, spec));
        let label = raw.and_then(|raw| raw.get("metadata")?.get("labels")?.get(LABEL));
        let api = label.map(|label| label.as_str().unwrap_or_default().to_owned());
        Stray { key: key.clone(), parents, services, reach, api }
    }

    /// A refused route of which nothing more is to be told.
    pub(crate) fn untold(key: &Key) -> Self {
        Stray { key: key.clone(), parents: None, services: None, reach: None, api: None }
    }

    /// All that is known of it.
    pub(crate) fn written(&self) -> Vec<u8> {
        let reach = self.reach.as_ref().map(|reach| &reach.source);
        super::written(&(self.key.to_string(), &self.parents, &self.services, reach, &self.api))
    }

    /// Whether it was meant for a port of a Service; for every one of its own namespace where that
    /// cannot be told.
    pub(crate) fn is_of(&self, service: &Key, port: u16) -> bool {
        let means = |(name, meant): &Served| {
            *name == service.name && meant.is_none_or(|meant| meant == port)
        };
        let services = self.services.as_ref();
        service.namespace == self.key.namespace
            && services.is_none_or(|services| services.iter().any(means))
    }
}

fn parents(spec: &Fields) -> Option<Vec<ParentRef>> {
    let parents: Vec<ParentRef> = read(spec.get("parentRefs")?)?;
    let is_known =
        |parent: &ParentRef| parent.is_service() || parent.is_set() || parent.is_gateway();
    (parents.iter().all(is_known) && !parents.is_empty()).then_some(parents)
}

fn services(key: &Key, spec: &Fields) -> Option<Vec<Served>> {
    let Some(parents) = written(spec, "parentRefs", &OF_SPEC)? else { return Some(Vec::new()) };
    let all = parents.as_array()?.iter().map(|parent| service(key, parent));
    Some(all.collect::<Option<Vec<_>>>()?.into_iter().flatten().collect())
}

/// The Service that a parent is; `Some(None)` where it is something else, or another namespace's.
fn service(key: &Key, parent: &Value) -> Option<Option<Served>> {
    let parent = parent.as_object()?;
    let is_service = match written(parent, "kind", &OF_PARENT)? {
        Some(kind) => kind.as_str()? == "Service",
        None => false,
    };
    let namespace = parent.get("namespace").and_then(Value::as_str);
    if !is_service || namespace.is_some_and(|other| other != key.namespace.as_str()) {
        return Some(None);
    }
    let port = parent.get("port").and_then(read);
    Some(Some((read(parent.get("name")?)?, port)))
}

/// The route with nothing but its hosts and paths.
fn reach(key: &Key, spec: &Fields) -> Option<Compiled> {
    let hostnames = match written(spec, "hostnames", &OF_SPEC)? {
        Some(names) => read(names)?,
        None => Vec::new(),
    };
    let metadata = Meta::new(key.namespace.clone(), key.name.clone());
    let (parent_refs, use_default_gateways) = (Vec::new(), None);
    let mut at = Checker::default();
    // A path that has a fault was meant to be another one.
    let compiled = if key.kind == Kind::GrpcRoute {
        let rule = |matches| GrpcRule { matches, ..GrpcRule::default() };
        let rules = rules(spec, call)?.into_iter().map(rule).collect();
        let spec = GrpcRouteSpec { parent_refs, use_default_gateways, hostnames, rules };
        let route = GrpcRoute { metadata, spec };
        route.check(&mut at);
        Compiled::of_grpc(&route)
    } else if key.kind.is_of_connections() {
        let rules = vec![HttpRule::default()];
        // Nobody names a host in plain TCP or UDP.
        let hostnames = if key.kind == Kind::TlsRoute { hostnames } else { Vec::new() };
        let spec = HttpRouteSpec { parent_refs, use_default_gateways, hostnames, rules };
        Compiled::of_connections(HttpRoute { metadata, spec }, Leads::of(key.kind))
    } else {
        let rule = |matches| HttpRule { matches, ..HttpRule::default() };
        let rules = rules(spec, path)?.into_iter().map(rule).collect();
        let spec = HttpRouteSpec { parent_refs, use_default_gateways, hostnames, rules };
        let route = HttpRoute { metadata, spec };
        route.check(&mut at);
        Compiled::new(&Arc::new(route))
    };
    let compiled = compiled.ok().filter(|compiled| !compiled.rules.is_empty());
    compiled.filter(|_| at.faults().is_empty())
}

/// The matches of each rule, as far as each can be read by `one`.
fn rules<M>(spec: &Fields, one: impl Fn(&Value) -> Option<M>) -> Option<Vec<Vec<M>>> {
    let of_rule = |rule: &Value| match written(rule.as_object()?, "matches", &OF_RULE)? {
        Some(matches) => matches.as_array()?.iter().map(&one).collect::<Option<_>>(),
        None => Some(Vec::new()),
    };
    match written(spec, "rules", &OF_SPEC)? {
        Some(rules) => rules.as_array()?.iter().map(of_rule).collect(),
        None => Some(vec![Vec::new()]),
    }
}

/// A match by its path alone: whatever else it asks of a request only narrows it.
fn path(one: &Value) -> Option<HttpMatch> {
    let path = match written(one.as_object()?, "path", &OF_MATCH)? {
        Some(path) => read(path)?,
        None => PathMatch::default(),
    };
    Some(HttpMatch { path, ..HttpMatch::default() })
}

/// The same of gRPC: by its method alone.
fn call(one: &Value) -> Option<GrpcMatch> {
    let method = match written(one.as_object()?, "method", &OF_CALL)? {
        Some(method) => Some(read(method)?),
        None => None,
    };
    Some(GrpcMatch { method, ..GrpcMatch::default() })
}

/// A field, `Some(None)` where it is absent; `None` where an unknown one may stand for it.
fn written<'v>(fields: &'v Fields, name: &str, known: &[&str]) -> Option<Option<&'v Value>> {
    let field = fields.get(name);
    let are_known = fields.keys().all(|field| known.contains(&&**field));
    (field.is_some() || are_known).then_some(field)
}

fn read<T: DeserializeOwned>(value: &Value) -> Option<T> {
    serde_json::from_value(value.clone()).ok()
}
