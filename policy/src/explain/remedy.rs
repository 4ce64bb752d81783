//! The smallest change by which a request that a policy keeps out would pass.

use std::sync::Arc;

use super::Verdict;
use crate::access::{CompiledPolicy, Condition, Level, Rule, Seen};
use crate::reason::Reason;

/// In words: of each level that does not let it pass the rule that comes nearest, and what it lacks;
/// of a rule that denies, its name.
pub(super) fn change(levels: &[Arc<Level>], seen: &Seen<'_>, verdict: &Verdict) -> Option<String> {
    let Verdict::Answer(answer) = verdict else { return None };
    match answer.reason {
        Reason::DefaultDenied => answer.detail.as_deref().map(str::to_owned),
        Reason::AccessDenied | Reason::CredentialMissing => {
            let each = levels.iter().enumerate();
            let lacks = each.filter_map(|(index, level)| of_level(level, &seen.at(index)));
            let lacks: Vec<_> = lacks.collect();
            (!lacks.is_empty()).then(|| lacks.join("; and "))
        }
        _ => None,
    }
}

/// What would have to change at one level: each rule that denies, and the allow rule that comes nearest.
fn of_level(level: &Level, seen: &Seen<'_>) -> Option<String> {
    let policies = || level.policies().iter();
    let rules = policies().flat_map(|policy| policy.deny.iter().map(move |rule| (policy, rule)));
    let denies = rules.filter(|(_, rule)| rule.matches(seen));
    let denies = denies
        .map(|(policy, rule)| format!("{} must not mean this request", policy.rule_ref(rule)));
    let all: Vec<_> = denies.chain(lacks(level, seen)).collect();
    (!all.is_empty()).then(|| all.join("; and "))
}

/// What the allow rule lacks that comes nearest, where the level has some and none matches.
fn lacks(level: &Level, seen: &Seen<'_>) -> Option<String> {
    let policies = level.policies().iter();
    let allows = policies.flat_map(|policy| policy.allow.iter().map(move |rule| (policy, rule)));
    let lacks = allows.map(|(policy, rule)| (policy, rule, rule.failing(seen)));
    // Of two that lack as much, the one by which whoever calls could pass without any edit.
    let (policy, rule, failing) = lacks
        .min_by_key(|(_, _, failing)| (failing.len(), !failing.contains(&Condition::Callers)))?;
    if failing.is_empty() {
        return None;
    }
    let lacks: Vec<_> = failing.iter().map(|condition| lack(rule, *condition, seen)).collect();
    Some(in_words(policy, rule, &lacks.join(" and ")))
}

fn in_words(policy: &CompiledPolicy, rule: &Rule, lacks: &str) -> String {
    format!("{} would allow it if {lacks}", policy.rule_ref(rule))
}

/// What has to be so for one condition to hold: that the rule names what was seen, or where nothing was
/// seen that it could name, that the request brings it.
fn lack(rule: &Rule, condition: Condition, seen: &Seen<'_>) -> String {
    let (wanted, saw) = rule.describe(condition, seen);
    match condition {
        Condition::Callers if saw == "nobody" => format!("the caller were proved to be {wanted}"),
        Condition::Workloads if saw == "none" => format!("it came through the mesh from {wanted}"),
        Condition::Headers => format!("it had {wanted}"),
        Condition::Methods
        | Condition::Sources
        | Condition::Workloads
        | Condition::Hosts
        | Condition::Callers
        | Condition::Paths => format!("its '{}' named {saw}", condition.as_str()),
    }
}
