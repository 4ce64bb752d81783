//! What tests begin with: a request, and policies written as JSON.

use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use model::authn::AuthnPolicy;
use model::policy::AccessPolicy;
use model::secret::Secret;
use model::{Invalid, Name};
use serde_json::{Value, json};

use crate::access::{self, CompiledPolicy};
use crate::authn::{self, CompiledAuthn};
use crate::chain::{Chain, Verdict};
use crate::facts::{Facts, Layer, Scheme};
use crate::level::{Level, Policies};
use crate::reason::Reason;

/// The key of the caller `clerk` in the Secret `keys`.
pub(crate) const CLERK: &str = "clerk-0123456789abcdef";
/// The key of the caller `reader` in the Secret `keys`.
pub(crate) const READER: &str = "reader-0123456789abcdef";
/// The key of the caller `guest` in the Secret `other-keys`.
pub(crate) const GUEST: &str = "guest-0123456789abcdef";

/// A request that owns what facts borrow.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) now: i64,
    pub(crate) source: IpAddr,
    pub(crate) scheme: Scheme,
    pub(crate) port: u16,
    pub(crate) host: String,
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    pub(crate) headers: HeaderMap,
    pub(crate) layer: Layer,
}

impl Request {
    pub(crate) fn get(path: &str) -> Self {
        Request {
            now: 1_000_000,
            source: "10.1.1.1".parse().unwrap(),
            scheme: Scheme::Http,
            port: 8080,
            host: "shop.example".to_owned(),
            method: Method::GET,
            path: path.to_owned(),
            query: None,
            headers: HeaderMap::new(),
            layer: Layer::Request,
        }
    }

    pub(crate) fn method(self, method: Method) -> Self {
        Request { method, ..self }
    }

    pub(crate) fn from(self, source: &str) -> Self {
        Request { source: source.parse().unwrap(), ..self }
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        let name: HeaderName = name.parse().unwrap();
        self.headers.append(name, HeaderValue::from_str(value).unwrap());
        self
    }

    /// A connection in its place.
    pub(crate) fn connection(self) -> Self {
        Request { layer: Layer::Connection, ..self }
    }

    pub(crate) fn key(self, key: &str) -> Self {
        self.with("x-api-key", key)
    }

    pub(crate) fn facts(&self) -> Facts<'_> {
        Facts {
            layer: self.layer,
            now: self.now,
            source: self.source,
            scheme: self.scheme,
            port: self.port,
            host: &self.host,
            method: &self.method,
            path: &self.path,
            query: self.query.as_deref(),
            headers: &self.headers,
            peer: None,
            users: &[],
        }
    }
}

/// The Secrets `keys`, `other-keys`, `short-keys` and `shared-keys`.
pub(crate) fn secret(name: &Name) -> Option<Arc<Secret>> {
    let entries = match name.as_str() {
        "keys" => json!({ "clerk": CLERK, "reader": format!("{READER}\n") }),
        "other-keys" => json!({ "guest": GUEST, "robot": "robot-0123456789abcdef" }),
        "short-keys" => json!({ "clerk": "short", "reader": "with\nline-0123456789" }),
        "shared-keys" => json!({ "clerk": CLERK, "reader": CLERK }),
        _ => return None,
    };
    let secret = json!({ "metadata": { "name": name }, "stringData": entries });
    Some(Arc::new(serde_json::from_value(secret).unwrap()))
}

/// A policy `shop/NAME` with this `spec`; `targetRefs` are added.
fn policy<T: serde::de::DeserializeOwned>(name: &str, mut spec: Value) -> T {
    spec["targetRefs"] = json!([{ "kind": "HTTPRoute", "name": "orders" }]);
    let policy = json!({ "metadata": { "name": name, "namespace": "shop" }, "spec": spec });
    serde_json::from_value(policy).unwrap()
}

/// Compiles an AccessPolicy `shop/NAME` with this `spec`.
pub(crate) fn compile(name: &str, spec: Value) -> Result<CompiledPolicy, Vec<Invalid>> {
    access::compile(&policy::<AccessPolicy>(name, spec))
}

/// Compiles an AuthnPolicy `shop/NAME` with this `spec`.
pub(crate) fn compile_authn(name: &str, spec: Value) -> Result<CompiledAuthn, Vec<Invalid>> {
    authn::compile(&policy::<AuthnPolicy>(name, spec), &secret)
}

/// The keys of `clerk` and `reader` in `x-api-key`.
pub(crate) fn keys() -> Value {
    json!([{ "name": "keys", "apiKey": { "secretRef": { "name": "keys" } } }])
}

/// A level of policies with these specs: a pair of both kinds, where `methods` stands beside `rules`.
pub(crate) fn level(specs: impl IntoIterator<Item = Value>) -> Arc<Level> {
    let mut policies = Policies::default();
    for (index, mut spec) in specs.into_iter().enumerate() {
        let (name, spec) = (format!("p{index}"), spec.as_object_mut().unwrap());
        let mut authn = serde_json::Map::new();
        for field in ["methods", "require"] {
            authn.extend(spec.remove(field).map(|value| (field.to_owned(), value)));
        }
        if authn.is_empty() || !spec.is_empty() {
            let spec = Value::Object(spec.clone());
            policies.access.push(Arc::new(compile(&name, spec).unwrap()));
        }
        if !authn.is_empty() {
            policies.authn.push(Arc::new(compile_authn(&name, authn.into()).unwrap()));
        }
    }
    Arc::new(Level::Open(policies))
}

/// A chain of these levels, broadest first, without filters.
pub(crate) fn chain(levels: impl IntoIterator<Item = Arc<Level>>) -> Chain {
    Chain::compile(levels.into_iter().collect(), &[]).unwrap()
}

/// How the chain decides; `Reason::Ok` for pass.
pub(crate) fn reason(chain: &Chain, request: &Request) -> Reason {
    match chain.decide(&request.facts(), None) {
        Verdict::Pass(_) => Reason::Ok,
        Verdict::Answer(answer) => answer.reason,
    }
}
