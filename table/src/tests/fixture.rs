//! Small resources and requests.

use std::net::{IpAddr, Ipv4Addr};

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use model::{Kind, Resource};
use policy::{Decision, Facts, Layer, Said, Scheme, Verdict};
use serde_json::{Value, json};

use crate::{Assembly, Input, Table, Target, assemble};

/// An object with the spec (or, for a Secret, a ConfigMap and an EndpointSlice, the fields) `body`.
pub(crate) fn object(kind: Kind, namespace: &str, name: &str, body: Value) -> Resource {
    let mut object = match kind {
        Kind::Secret | Kind::ConfigMap | Kind::EndpointSlice => body,
        _ => json!({ "spec": body }),
    };
    if object["metadata"].is_null() {
        object["metadata"] = json!({});
    }
    object["metadata"]["namespace"] = json!(namespace);
    object["metadata"]["name"] = json!(name);
    Resource::from_json(kind, object).unwrap()
}

/// The Gateway `infra/edge` with these listeners, each of which takes all routes where it says
/// nothing else.
pub(crate) fn gateway(listeners: Value) -> Resource {
    gateway_at("infra", "edge", listeners)
}

pub(crate) fn gateway_at(namespace: &str, name: &str, mut listeners: Value) -> Resource {
    for listener in listeners.as_array_mut().unwrap() {
        let defaults = json!({ "port": 80, "protocol": "HTTP",
            "allowedRoutes": { "namespaces": { "from": "All" } } });
        for (field, value) in defaults.as_object().unwrap() {
            if listener[field].is_null() {
                listener[field] = value.clone();
            }
        }
    }
    let spec = json!({ "gatewayClassName": "heddle", "listeners": listeners });
    object(Kind::Gateway, namespace, name, spec)
}

/// A Gateway with one plain listener.
pub(crate) fn plain() -> Resource {
    gateway(json!([{ "name": "web" }]))
}

/// The route `shop/name` of `infra/edge`.
pub(crate) fn route(name: &str, hosts: &[&str], rules: Value) -> Resource {
    let parents = json!([{ "namespace": "infra", "name": "edge" }]);
    let spec = json!({ "parentRefs": parents, "hostnames": hosts, "rules": rules });
    object(Kind::HttpRoute, "shop", name, spec)
}

/// One rule with the match of a path.
pub(crate) fn path(kind: &str, value: &str) -> Value {
    json!([{ "matches": [{ "path": { "type": kind, "value": value } }] }])
}

pub(crate) fn made(resources: Vec<Resource>) -> Assembly {
    assemble(Input { resources, ..Input::default() }, None)
}

/// The faults but for rules without backends, which most cases here have.
pub(crate) fn faults(assembly: &Assembly) -> Vec<String> {
    let all = assembly.faults.iter().filter(|fault| !fault.reason.starts_with("neither"));
    all.map(ToString::to_string).collect()
}

/// A request.
pub(crate) struct Ask {
    pub(crate) layer: Layer,
    pub(crate) method: Method,
    pub(crate) port: u16,
    pub(crate) host: &'static str,
    pub(crate) path: String,
    pub(crate) query: Option<&'static str>,
    pub(crate) headers: HeaderMap,
}

pub(crate) fn get(host: &'static str, path: &str) -> Ask {
    let (method, headers) = (Method::GET, HeaderMap::new());
    Ask {
        layer: Layer::Request,
        method,
        port: 80,
        host,
        path: path.to_owned(),
        query: None,
        headers,
    }
}

impl Ask {
    pub(crate) fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        self
    }

    pub(crate) fn query(mut self, query: &'static str) -> Self {
        self.query = Some(query);
        self
    }

    pub(crate) fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    pub(crate) fn facts(&self) -> Facts<'_> {
        Facts {
            layer: self.layer,
            now: 0,
            source: IpAddr::V4(Ipv4Addr::LOCALHOST),
            scheme: Scheme::Http,
            port: self.port,
            host: self.host,
            method: &self.method,
            path: &self.path,
            query: self.query,
            headers: &self.headers,
            peer: None,
            certificate: None,
            users: &[],
            sessions: &[],
            revoked: None,
        }
    }

    /// The label of the rule that it leads to, or the reason.
    pub(crate) fn rule(&self, table: &Table) -> String {
        match table.find(&self.facts()) {
            Ok(found) => found.rule.label.to_string(),
            Err(reason) => reason.to_string(),
        }
    }

    /// `ok` where policies and filters let it pass and no limit counts it, since each is used up; else the reason.
    pub(crate) fn verdict(&self, table: &Table) -> String {
        let facts = self.facts();
        let (chain, prefix) = match table.find(&facts) {
            Err(reason) => return reason.to_string(),
            Ok(found) => (&found.rule.chain, found.prefix),
        };
        let mut decision = chain.decide(&facts, prefix);
        loop {
            match decision {
                Decision::Done(Verdict::Pass(_)) => return "ok".to_owned(),
                Decision::Done(Verdict::Answer(answer)) => return answer.reason.to_string(),
                Decision::Ask(pending) => {
                    decision = chain.resume(*pending, &Said::Counted(Vec::new()), &facts, prefix);
                }
            }
        }
    }

    /// Where it would go: service, endpoints and share, or what is broken.
    pub(crate) fn backends(&self, table: &Table) -> Vec<String> {
        let found = table.find(&self.facts()).unwrap();
        let text = |target| match target {
            Target::Service(id) => {
                let service = &table.services[id];
                let addresses = service.endpoints.iter().map(|endpoint| endpoint.address);
                format!("{} {:?}", service.label, addresses.collect::<Vec<_>>())
            }
            Target::Broken(reason) => reason.to_string(),
        };
        let backends = found.rule.backends.iter();
        backends.map(|one| format!("{} x {}", one.weight, text(one.target))).collect()
    }
}
