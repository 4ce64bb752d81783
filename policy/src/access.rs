//! AccessPolicy: who may do what, compiled and judged.
//!
//! The policies of one target are a [level](crate::Level); the levels of a request go from the broadest (the
//! Gateway) to the narrowest (a route's rule).
//!
//! - Within a level the allow rules are alternatives; a level without any lets pass what no deny
//!   rule hits. Every level must let pass; a deny rule that matches at any level denies.
//! - A rule that audits decides nothing; that it matched is told.
//! - A level that could not be read is closed.

use std::fmt;
use std::sync::Arc;

use model::api::LABEL;
use model::policy::{AccessPolicy, Action};
use model::{Checker, Invalid, Key, Kind, Name};
use serde::Serialize;

use crate::level;

mod caller;
mod judge;
mod rule;
mod rules;
mod sources;
mod stranger;

pub(crate) use judge::{Judgement, audits, judge};
pub(crate) use rule::{Condition, OURS, Rule, Seen};
pub(crate) use rules::Rules;
pub use stranger::{Strangers, strangers};

/// One policy, ready to judge.
pub struct CompiledPolicy {
    pub(crate) key: Arc<Key>,
    /// The Api that it belongs to, by its label.
    pub(crate) api: Option<Name>,
    pub(crate) deny: Rules,
    pub(crate) allow: Rules,
    /// Those that decide nothing.
    pub(crate) audit: Rules,
}

impl CompiledPolicy {
    /// The policy it was made from.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// Whether it decides anything, as one does not whose rules only audit.
    pub(crate) fn decides(&self) -> bool {
        self.audit.is_empty() || !self.deny.is_empty() || !self.allow.is_empty()
    }

    pub(crate) fn rule_ref(&self, rule: &Rule) -> RuleRef {
        RuleRef { policy: Arc::clone(&self.key), rule: Arc::clone(&rule.name) }
    }
}

impl fmt::Debug for CompiledPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompiledPolicy")
            .field("key", &self.key)
            .field("deny", &self.deny.len())
            .field("allow", &self.allow.len())
            .field("audit", &self.audit.len())
            .finish()
    }
}

/// Names the rule, or the limit, that decided.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct RuleRef {
    /// The policy it stands in.
    pub policy: Arc<Key>,
    /// Its name there.
    pub rule: Arc<Name>,
}

impl fmt::Display for RuleRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.policy.kind == Kind::RateLimitPolicy { "limit" } else { "rule" };
        write!(f, "{what} '{}' of {}", self.rule, self.policy)
    }
}

/// Compiles `policy`.
///
/// # Errors
/// Every fault at once: patterns that match nothing, callers that contradict themselves.
pub fn compile(policy: &AccessPolicy) -> Result<CompiledPolicy, Vec<Invalid>> {
    let meta = &policy.metadata;
    let key = Key::new(Kind::AccessPolicy, meta.namespace.clone(), meta.name.clone());
    let mut at = Checker::default();
    let (mut deny, mut allow, mut audit) = (Vec::new(), Vec::new(), Vec::new());
    let mut compiled = CompiledPolicy {
        key: Arc::new(key),
        api: meta.labels.get(LABEL).and_then(|api| Name::parse(api).ok()),
        deny: Rules::default(),
        allow: Rules::default(),
        audit: Rules::default(),
    };
    let api = compiled.api.clone();
    let own = (&meta.namespace, api.as_ref());
    at.within("spec", |at| {
        at.each("rules", &policy.spec.rules, |at, rule| match rule.action {
            Action::Deny => deny.push(Rule::compile(rule, own, at)),
            Action::Allow => allow.push(Rule::compile(rule, own, at)),
            Action::Audit => audit.push(Rule::compile(rule, own, at)),
        });
    });
    let faults = at.faults();
    if !faults.is_empty() {
        return Err(level::invalid(&compiled.key, faults));
    }
    compiled.deny = Rules::new(deny);
    compiled.allow = Rules::new(allow);
    compiled.audit = Rules::new(audit);
    Ok(compiled)
}

#[cfg(test)]
mod tests;
