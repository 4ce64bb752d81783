//! AuthnPolicy: how callers prove who they are, compiled.
//!
//! - A method counts for the rules of its own level and of narrower ones, never for broader ones: a route's
//!   owner cannot make up a caller that satisfies the Gateway's rule.
//! - A credential that is shown where a method reads it, and that no method accepts, is refused whatever the
//!   rules say.
//! - The backend is told who is calling by headers that nobody but us writes.
//! - A policy that requires proof lets nobody pass without, whatever the rules say.

use std::fmt;
use std::sync::Arc;

use model::authn::{AuthnPolicy, Require};
use model::consumer::Consumer;
use model::secret::Secret;
use model::{Checker, Invalid, Key, Kind, Name};

use crate::apikey::ApiKeys;
use crate::consumer::Certificates;
use crate::jwt::Issuer;
use crate::level;
use crate::login::Login;

mod methods;
mod place;
mod tell;

pub(crate) use methods::{Known, Methods, Refusal, Someone};
pub(crate) use place::Place;
pub(crate) use tell::Tell;
pub use tell::Told;

/// One policy, ready to judge credentials.
pub struct CompiledAuthn {
    pub(crate) key: Arc<Key>,
    /// The Api that it belongs to, by its label.
    pub(crate) api: Option<Name>,
    pub(crate) methods: Vec<Method>,
    pub(crate) require: Option<Require>,
    /// What is wrong with others, and closes nothing.
    doubts: Vec<Invalid>,
}

/// What credentials are declared by beside a policy, in its own namespace.
pub trait Declared {
    /// The Secret of this name.
    fn secret(&self, name: &Name) -> Option<Arc<Secret>>;
    /// All Consumers.
    fn consumers(&self) -> Vec<Arc<Consumer>>;
}

/// One way to prove oneself.
pub(crate) struct Method {
    pub(crate) name: Name,
    pub(crate) way: Way,
    /// What it tells the backend of whom it knows.
    pub(crate) tells: Vec<Tell>,
}

/// What is looked at.
pub(crate) enum Way {
    ApiKey(ApiKeys),
    Jwt(Issuer),
    Certificate(Certificates),
    Oidc(Arc<Login>),
}

impl CompiledAuthn {
    /// The policy it was made from.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// What is wrong with the Consumers that it takes, and leaves it in force.
    pub fn doubts(&self) -> &[Invalid] {
        &self.doubts
    }

    /// Its API keys, each set with the place of its method.
    pub(crate) fn api_keys(&self) -> impl Iterator<Item = (usize, &ApiKeys)> {
        self.methods.iter().enumerate().filter_map(|(at, method)| match &method.way {
            Way::ApiKey(keys) => Some((at, keys)),
            Way::Jwt(_) | Way::Certificate(_) | Way::Oidc(_) => None,
        })
    }

    /// Its issuers of tokens, the same.
    pub(crate) fn issuers(&self) -> impl Iterator<Item = (usize, &Issuer)> {
        self.methods.iter().enumerate().filter_map(|(at, method)| match &method.way {
            Way::Jwt(issuer) => Some((at, issuer)),
            Way::ApiKey(_) | Way::Certificate(_) | Way::Oidc(_) => None,
        })
    }

    /// Its certificates of Consumers, the same.
    pub(crate) fn certificates(&self) -> impl Iterator<Item = (usize, &Certificates)> {
        self.methods.iter().enumerate().filter_map(|(at, method)| match &method.way {
            Way::Certificate(certificates) => Some((at, certificates)),
            Way::ApiKey(_) | Way::Jwt(_) | Way::Oidc(_) => None,
        })
    }

    /// Where browsers log in, the same.
    pub(crate) fn logins(&self) -> impl Iterator<Item = (usize, &Arc<Login>)> + Clone {
        self.methods.iter().enumerate().filter_map(|(at, method)| match &method.way {
            Way::Oidc(login) => Some((at, login)),
            Way::ApiKey(_) | Way::Jwt(_) | Way::Certificate(_) => None,
        })
    }
}

impl fmt::Debug for CompiledAuthn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let methods: Vec<_> = self.methods.iter().map(|method| method.name.as_str()).collect();
        f.debug_struct("CompiledAuthn")
            .field("key", &self.key)
            .field("methods", &methods)
            .field("require", &self.require)
            .finish()
    }
}

/// Compiles `policy`.
///
/// # Errors
/// Every fault at once: a Secret that is missing, keys that are short or shared, JWK Sets without a usable key.
pub fn compile(
    policy: &AuthnPolicy,
    declared: &dyn Declared,
) -> Result<CompiledAuthn, Vec<Invalid>> {
    let meta = &policy.metadata;
    let key = Key::new(Kind::AuthnPolicy, meta.namespace.clone(), meta.name.clone());
    let (mut at, mut methods, mut doubts) = (Checker::default(), Vec::new(), Vec::new());
    at.within("spec", |at| {
        let mut index = 0..;
        at.each("methods", &policy.spec.methods, |at, method| {
            let (mut way, index) = (None, index.next().unwrap_or_default());
            if let Some(source) = &method.api_key {
                at.within("apiKey", |at| {
                    let keys = ApiKeys::compile(source, policy, declared, &mut doubts, at);
                    way = Some(Way::ApiKey(keys));
                });
            }
            if let Some(issuer) = &method.jwt {
                at.within("jwt", |at| way = Some(Way::Jwt(Issuer::compile(issuer, at))));
            }
            if let Some(source) = &method.client_certificate {
                let made = Certificates::compile(source, policy, declared, &mut doubts);
                way = Some(Way::Certificate(made));
            }
            if let Some(login) = &method.oidc {
                at.within("oidc", |at| {
                    let made = Login::compile(login, (policy, index), declared, at);
                    way = Some(Way::Oidc(Arc::new(made)));
                });
            }
            let tells = Tell::all(&method.to_headers, at);
            methods.extend(way.map(|way| Method { name: method.name.clone(), way, tells }));
        });
    });
    let faults = at.faults();
    if !faults.is_empty() {
        return Err(level::invalid(&key, faults));
    }
    let api = policy.api().and_then(|api| Name::parse(api).ok());
    let require = policy.spec.require;
    Ok(CompiledAuthn { key: Arc::new(key), api, methods, require, doubts })
}
