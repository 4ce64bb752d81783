//! What tests begin with: a request, and policies written as JSON.

use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use model::authn::AuthnPolicy;
use model::consumer::{Consumer, Sha256Sum};
use model::limit::RateLimitPolicy;
use model::policy::AccessPolicy;
use model::secret::Secret;
use model::{Invalid, Name};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::access::{self, CompiledPolicy};
use crate::authn::{self, CompiledAuthn, Declared};
use crate::chain::{Chain, Verdict};
use crate::facts::{Facts, Layer, Scheme};
use crate::level::{Level, Policies};
use crate::limit::{self, CompiledLimits};
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

    /// With a user and a password.
    pub(crate) fn basic(self, user: &str, password: &str) -> Self {
        let pair = STANDARD.encode(format!("{user}:{password}"));
        self.with("authorization", &format!("Basic {pair}"))
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
            certificate: None,
            users: &[],
            sessions: &[],
            revoked: None,
        }
    }
}

/// The namespace `shop`: Secrets, and the Consumers of [`consumers`].
pub(crate) struct Shop;

impl Declared for Shop {
    fn secret(&self, name: &Name) -> Option<Arc<Secret>> {
        secret(name)
    }

    fn consumers(&self) -> Vec<Arc<Consumer>> {
        consumers()
    }
}

/// The key of a Consumer.
pub(crate) fn key_of(consumer: &str) -> String {
    format!("{consumer}-0123456789abcdef")
}

/// Those of gold, `acme`, with `acme-old` until a request comes and `acme-new` from a second later on beside a
/// key that always holds and a certificate of sevens, and `globex`; of silver `initech` and `hooli`, who have one key in common beside their own; and
/// `inner` of the Api `alpha`.
pub(crate) fn consumers() -> Vec<Arc<Consumer>> {
    let key = |name: &str, key: &str| json!({ "name": name, "sha256": sum(&key_of(key)) });
    let timed = |name: &str, field: &str, at: &str| {
        let mut key = key(name, &format!("acme-{name}"));
        key[field] = json!(at);
        key
    };
    let acme = json!([
        key("always", "acme"),
        timed("old", "until", "1970-01-12T13:46:40Z"),
        timed("new", "from", "1970-01-12T13:46:41Z"),
    ]);
    let one = |name: &str| json!([key("own", name)]);
    let two = |name: &str| json!([key("own", name), key("shared", "shared")]);
    let label = |name: &str, value: &str| json!({ name: value });
    let all = [
        ("acme", label("plan", "gold"), acme),
        ("globex", label("plan", "gold"), one("globex")),
        ("initech", label("plan", "silver"), two("initech")),
        ("hooli", label("plan", "silver"), two("hooli")),
        ("inner", label(model::api::LABEL, "alpha"), one("inner")),
    ];
    let all = all.map(|(name, labels, keys)| {
        let metadata = json!({ "name": name, "namespace": "shop", "labels": labels });
        let mut consumer = json!({ "metadata": metadata, "spec": { "keys": keys } });
        if name == "acme" {
            let seven = json!([{ "name": "seven", "sha256": "07".repeat(32) }]);
            consumer["spec"]["certificates"] = seven;
        }
        Arc::new(serde_json::from_value(consumer).unwrap())
    });
    all.to_vec()
}

fn sum(key: &str) -> String {
    Sha256Sum(Sha256::digest(key).into()).into()
}

/// The Secrets `keys`, `other-keys`, `short-keys`, `shared-keys` and `login`.
fn secret(name: &Name) -> Option<Arc<Secret>> {
    let entries = match name.as_str() {
        "keys" => json!({ "clerk": CLERK, "reader": format!("{READER}\n") }),
        "other-keys" => json!({ "guest": GUEST, "robot": "robot-0123456789abcdef" }),
        "short-keys" => json!({ "clerk": "short", "reader": "with\nline-0123456789" }),
        "login" => json!({ "client-secret": "a client's secret\n" }),
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
    authn::compile(&policy::<AuthnPolicy>(name, spec), &Shop)
}

/// The keys of the Consumers that this picks, in `x-api-key` and by Basic.
pub(crate) fn keys_of(consumers: &Value) -> Value {
    let from = json!([{ "header": "x-api-key" }, { "basic": "shop" }]);
    json!([{ "name": "customers", "apiKey": { "from": from, "consumers": consumers } }])
}

/// The keys of `clerk` and `reader` in `x-api-key`.
pub(crate) fn keys() -> Value {
    json!([{ "name": "keys", "apiKey": { "secretRef": { "name": "keys" } } }])
}

/// Compiles a RateLimitPolicy `shop/NAME` with this `spec`.
pub(crate) fn compile_limits(name: &str, spec: Value) -> Result<CompiledLimits, Vec<Invalid>> {
    limit::compile(&policy::<RateLimitPolicy>(name, spec))
}

/// A level of policies with these specs: one of each kind, where `methods`, `limits` and `rules` stand in one.
pub(crate) fn level(specs: impl IntoIterator<Item = Value>) -> Arc<Level> {
    let mut policies = Policies::default();
    for (index, mut spec) in specs.into_iter().enumerate() {
        let (name, spec) = (format!("p{index}"), spec.as_object_mut().unwrap());
        let mut authn = serde_json::Map::new();
        for field in ["methods", "require"] {
            authn.extend(spec.remove(field).map(|value| (field.to_owned(), value)));
        }
        if let Some(limits) = spec.remove("limits") {
            let limits = compile_limits(&name, json!({ "limits": limits })).unwrap();
            policies.limits.push(Arc::new(limits));
            if spec.is_empty() && authn.is_empty() {
                continue;
            }
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
    match chain.uncounted(&request.facts(), None) {
        Verdict::Pass(_) => Reason::Ok,
        Verdict::Answer(answer) => answer.reason,
    }
}
