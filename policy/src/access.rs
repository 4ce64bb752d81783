//! AccessPolicy: who may do what, compiled and judged.
//!
//! The policies of one target are a *level*; the levels of a request go from the broadest (the
//! Gateway) to the narrowest (a route's rule).
//!
//! - Within a level the allow rules are alternatives; a level without any lets pass what no deny
//!   rule hits. Every level must let pass; a deny rule that matches at any level denies.
//! - A credential method counts for the rules of its own level and of narrower ones, never for
//!   broader ones: a route's owner cannot make up a caller that satisfies the Gateway's rule.
//! - A credential that is shown where a method reads it, and that no method accepts, is refused
//!   whatever the rules say.
//! - A level that could not be read is closed.

use std::fmt;
use std::sync::Arc;

use model::api::LABEL;
use model::policy::{AccessPolicy, Action};
use model::secret::Secret;
use model::{Checker, Invalid, Key, Kind, Name};
use serde::Serialize;

use crate::apikey::ApiKeys;
use crate::jwt::Issuer;

mod caller;
mod judge;
mod methods;
mod rule;
mod rules;
mod sources;
mod stranger;

pub(crate) use judge::{Judgement, judge};
pub(crate) use methods::{Known, Methods, Refusal, Someone};
pub(crate) use rule::{Condition, Rule, Seen};
pub(crate) use rules::Rules;
pub use stranger::{Strangers, strangers};

/// The policies of one target.
#[derive(Debug, Clone)]
pub enum Level {
    /// All of them could be read.
    Rules(Vec<Arc<CompiledPolicy>>),
    /// One could not be read, so nothing passes.
    Closed {
        /// The policy that could not be read.
        key: Key,
    },
    /// One stands here that this program knows only by name, so nothing passes.
    Unknown {
        /// Its name, in words.
        policy: Arc<str>,
    },
}

impl Level {
    /// Its policies; none where it is closed.
    pub fn policies(&self) -> &[Arc<CompiledPolicy>] {
        match self {
            Level::Rules(policies) => policies,
            Level::Closed { .. } | Level::Unknown { .. } => &[],
        }
    }

    /// Whether it consists of the very same policies, or is closed for the same one.
    pub fn is_same(&self, other: &Level) -> bool {
        match (self, other) {
            (Level::Rules(ours), Level::Rules(theirs)) => {
                let mut pairs = ours.iter().zip(theirs);
                ours.len() == theirs.len() && pairs.all(|(one, other)| Arc::ptr_eq(one, other))
            }
            (Level::Closed { key: one }, Level::Closed { key: other }) => one == other,
            (Level::Unknown { policy: one }, Level::Unknown { policy: other }) => one == other,
            (Level::Rules(_) | Level::Closed { .. } | Level::Unknown { .. }, _) => false,
        }
    }

    /// Whether a policy of it could not be read.
    pub fn is_closed(&self) -> bool {
        match self {
            Level::Closed { .. } | Level::Unknown { .. } => true,
            Level::Rules(_) => false,
        }
    }
}

/// One policy, ready to judge.
pub struct CompiledPolicy {
    pub(crate) key: Arc<Key>,
    /// The Api that it belongs to, by its label.
    pub(crate) api: Option<Name>,
    pub(crate) api_keys: Option<ApiKeys>,
    pub(crate) issuers: Vec<Issuer>,
    pub(crate) deny: Rules,
    pub(crate) allow: Rules,
}

impl CompiledPolicy {
    /// The policy it was made from.
    pub fn key(&self) -> &Key {
        &self.key
    }

    pub(crate) fn rule_ref(&self, rule: &Rule) -> RuleRef {
        RuleRef { policy: Arc::clone(&self.key), rule: Arc::clone(&rule.name) }
    }
}

impl fmt::Debug for CompiledPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompiledPolicy")
            .field("key", &self.key)
            .field("api_keys", &self.api_keys)
            .field("issuers", &self.issuers)
            .field("deny", &self.deny.len())
            .field("allow", &self.allow.len())
            .finish()
    }
}

/// Names the rule that decided.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct RuleRef {
    /// The policy it stands in.
    pub policy: Arc<Key>,
    /// Its name there.
    pub rule: Arc<Name>,
}

impl fmt::Display for RuleRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rule '{}' of {}", self.rule, self.policy)
    }
}

/// Compiles `policy`; `secret` finds a Secret of the policy's own namespace.
///
/// # Errors
/// Every fault at once: a Secret that is missing, keys that are short or shared, JWK Sets without
/// a usable key, patterns that match nothing.
pub fn compile(
    policy: &AccessPolicy,
    secret: &dyn Fn(&Name) -> Option<Arc<Secret>>,
) -> Result<CompiledPolicy, Vec<Invalid>> {
    let meta = &policy.metadata;
    let key = Key::new(Kind::AccessPolicy, meta.namespace.clone(), meta.name.clone());
    let mut at = Checker::default();
    let (mut deny, mut allow) = (Vec::new(), Vec::new());
    let mut compiled = CompiledPolicy {
        key: Arc::new(key),
        api: meta.labels.get(LABEL).and_then(|api| Name::parse(api).ok()),
        api_keys: None,
        issuers: Vec::new(),
        deny: Rules::default(),
        allow: Rules::default(),
    };
    let api = compiled.api.clone();
    let own = (&meta.namespace, api.as_ref());
    at.within("spec", |at| {
        at.within("credentials", |at| compile_credentials(policy, secret, &mut compiled, at));
        at.each("rules", &policy.spec.rules, |at, rule| match rule.action {
            Action::Deny => deny.push(Rule::compile(rule, own, at)),
            Action::Allow => allow.push(Rule::compile(rule, own, at)),
        });
    });
    let faults = at.faults();
    if !faults.is_empty() {
        return Err(invalid(&compiled.key, faults));
    }
    compiled.deny = Rules::new(deny);
    compiled.allow = Rules::new(allow);
    Ok(compiled)
}

fn compile_credentials(
    policy: &AccessPolicy,
    secret: &dyn Fn(&Name) -> Option<Arc<Secret>>,
    compiled: &mut CompiledPolicy,
    at: &mut Checker,
) {
    let Some(credentials) = &policy.spec.credentials else { return };
    if let Some(source) = &credentials.api_key {
        at.within("apiKey", |at| compiled.api_keys = ApiKeys::compile(source, secret, at));
    }
    at.each("jwt", &credentials.jwt, |at, issuer| {
        compiled.issuers.push(Issuer::compile(issuer, at));
    });
}

fn invalid(key: &Key, faults: Vec<(String, String)>) -> Vec<Invalid> {
    let fault = |(path, reason)| Invalid {
        key: Some(key.clone()),
        path,
        line: None,
        reason,
        nearest: None,
    };
    faults.into_iter().map(fault).collect()
}

#[cfg(test)]
mod tests;
