//! The judgement over all levels.

use std::sync::Arc;

use super::{CompiledPolicy, Rule, RuleRef, Rules, Seen};
use crate::authn::Known;
use crate::facts::Facts;
use crate::level::Level;
use crate::principal::Principal;

/// What the levels say together.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Judgement<'a> {
    /// Every level lets it pass; the narrowest allow rule that matched, and whom it named.
    Allowed(Option<Decisive<'a>>, Option<&'a Arc<Principal>>),
    /// This rule denies it.
    Denied(Decisive<'a>),
    /// Some level has allow rules, and none of them matches.
    NotAllowed,
    /// Some level has a policy that could not be read.
    Closed,
}

/// A rule that decided, with its policy.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Decisive<'a> {
    pub(crate) policy: &'a CompiledPolicy,
    pub(crate) rule: &'a Rule,
}

/// Judges: closed levels first, then every deny rule, then each level's allow rules.
pub(crate) fn judge<'a>(
    levels: &'a [Arc<Level>],
    facts: &'a Facts<'a>,
    known: &'a Known,
) -> Judgement<'a> {
    if levels.iter().any(|level| level.is_closed()) {
        return Judgement::Closed;
    }
    let seen = Seen::new(facts, known);
    for (index, level) in levels.iter().enumerate() {
        if let Some(decisive) = find(level, |policy| &policy.deny, &seen.at(index)) {
            return Judgement::Denied(decisive);
        }
    }
    let (mut by, mut whom) = (None, None);
    for (index, level) in levels.iter().enumerate() {
        let seen = seen.at(index);
        match find(level, |policy| &policy.allow, &seen) {
            Some(decisive) => {
                by = Some(decisive);
                whom = decisive.rule.caller(&seen).or(whom);
            }
            None if has_allow(level) => return Judgement::NotAllowed,
            None => {}
        }
    }
    Judgement::Allowed(by, whom)
}

/// Of each policy the first rule that audits what is seen.
#[cold]
pub(crate) fn audits(levels: &[Arc<Level>], facts: &Facts<'_>, known: &Known) -> Vec<RuleRef> {
    let seen = Seen::new(facts, known);
    let each = levels.iter().enumerate();
    let audits = each.flat_map(|(index, level)| {
        let seen = seen.at(index);
        level
            .access()
            .iter()
            .filter_map(move |policy| Some(policy.rule_ref(policy.audit.first_matching(&seen)?)))
    });
    audits.collect()
}

/// Without any allow rule a level lets pass what no deny rule hits.
fn has_allow(level: &Level) -> bool {
    level.access().iter().any(|policy| !policy.allow.is_empty())
}

fn find<'a>(
    level: &'a Level,
    rules: impl Fn(&'a CompiledPolicy) -> &'a Rules,
    seen: &Seen<'_>,
) -> Option<Decisive<'a>> {
    level.access().iter().find_map(|policy| {
        let rule = rules(policy).first_matching(seen)?;
        Some(Decisive { policy, rule })
    })
}
