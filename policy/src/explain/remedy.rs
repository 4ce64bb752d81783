//! The smallest change by which a request that a policy keeps out would pass.

use std::cmp::Reverse;
use std::sync::Arc;

use model::Name;
use model::identity::Peer;

use super::text::required;
use super::{LevelStory, Verdict};
use crate::access::{CompiledPolicy, Condition, OURS, Rule, Seen};
use crate::authn::Someone;
use crate::level::Level;
use crate::principal::Principal;
use crate::reason::Reason;

/// In words: of each level that does not let it pass the rule that comes nearest, and what it lacks;
/// of a rule that denies, its name.
pub(super) fn change(
    levels: &[Arc<Level>],
    told: &[LevelStory],
    seen: &Seen<'_>,
    verdict: &Verdict,
) -> Option<String> {
    let Verdict::Answer(answer) = verdict else { return None };
    match answer.reason {
        Reason::DefaultDenied => answer.detail.as_deref().map(str::to_owned),
        Reason::AccessDenied | Reason::CredentialMissing => {
            let each = levels.iter().enumerate();
            let lacks = each.filter_map(|(index, level)| of_level(level, &seen.at(index)));
            let lacks: Vec<_> = told.iter().filter_map(unproved).chain(lacks).collect();
            (!lacks.is_empty()).then(|| lacks.join("; and "))
        }
        _ => None,
    }
}

/// What has to be proved for the policies of a level that require it.
fn unproved(level: &LevelStory) -> Option<String> {
    let lacks = level.policies.iter().filter(|policy| policy.is_unproved());
    let lacks: Vec<_> = lacks
        .map(|policy| format!("{} would let it pass with {}", policy.policy, required(policy)))
        .collect();
    (!lacks.is_empty()).then(|| lacks.join("; and "))
}

/// What would have to change at one level: each rule that denies, and the allow rule that comes nearest.
fn of_level(level: &Level, seen: &Seen<'_>) -> Option<String> {
    let policies = || level.access().iter();
    let rules = policies().flat_map(|policy| policy.deny.iter().map(move |rule| (policy, rule)));
    let denies = rules.filter(|(_, rule)| rule.matches(seen));
    let denies = denies.map(|(policy, rule)| match untold(rule, seen) {
        Some(untold) => {
            let rule = policy.rule_ref(rule);
            format!("{rule} must not mean this connection, which does not tell its {untold}")
        }
        None => format!("{} must not mean this request", policy.rule_ref(rule)),
    });
    let all: Vec<_> = denies.chain(lacks(level, seen)).collect();
    (!all.is_empty()).then(|| all.join("; and "))
}

/// What the allow rule lacks that comes nearest, where the level has some and none matches.
fn lacks(level: &Level, seen: &Seen<'_>) -> Option<String> {
    let policies = level.access().iter();
    let allows = policies.flat_map(|policy| policy.allow.iter().map(move |rule| (policy, rule)));
    let lacks = allows.map(|(policy, rule)| (policy, rule, rule.failing(seen)));
    // Of two that lack as much, the one by which whoever calls could pass without any edit; then the
    // one that asks for more, since an edit of it lets less pass besides.
    let (policy, rule, failing) = lacks.min_by_key(|(_, rule, failing)| {
        (failing.len(), !failing.contains(&Condition::Callers), Reverse(rule.conditions()))
    })?;
    if failing.is_empty() {
        return None;
    }
    let lacks = failing.iter().map(|condition| lack(policy, rule, *condition, seen));
    let lacks: Vec<_> = lacks.collect();
    Some(format!("{} would allow it if {}", policy.rule_ref(rule), lacks.join(" and ")))
}

/// The conditions of a rule of which what is seen does not tell whether they hold.
fn untold(rule: &Rule, seen: &Seen<'_>) -> Option<String> {
    let untold = rule.untold(seen);
    let words: Vec<_> = untold.iter().map(|one| format!("'{}'", one.as_str())).collect();
    (!words.is_empty()).then(|| words.join(" and "))
}

/// What has to be so for one condition to hold: that the rule names what was seen, as it would be
/// written there, or where nothing was seen that it could name, that the request brings it.
fn lack(policy: &CompiledPolicy, rule: &Rule, condition: Condition, seen: &Seen<'_>) -> String {
    if rule.untold(seen).contains(&condition) {
        return format!(
            "it did not ask for '{}', which a TCP connection does not tell",
            condition.as_str()
        );
    }
    let (wanted, saw) = rule.describe(condition, seen);
    let entry = match condition {
        Condition::Callers => match seen.known.at(seen.level).next() {
            Some(one) => caller(one).unwrap_or(saw),
            None => return format!("the caller were proved to be {wanted}"),
        },
        Condition::Workloads => match seen.facts.peer {
            Some(peer) => workload(peer, &policy.key.namespace),
            None => return format!("it came through the mesh from {wanted}"),
        },
        Condition::Headers if saw == OURS => {
            return format!(
                "the rule asked for the caller in the place of {wanted}, which only we write"
            );
        }
        Condition::Headers => return format!("it had {wanted}"),
        Condition::Times => return format!("it came {wanted}"),
        Condition::Methods | Condition::Sources | Condition::Hosts | Condition::Paths => saw,
    };
    format!("its '{}' named {entry}", condition.as_str())
}

/// The entry of `callers` that means this one alone; none where no entry can.
fn caller(one: &Someone) -> Option<String> {
    let api = one.api.as_ref().map(|api| format!(", api: {api}")).unwrap_or_default();
    match &*one.principal {
        Principal::Consumer { namespace, name } => {
            Some(format!("{{consumer: {{name: {name}, namespace: {namespace}}}{api}}}"))
        }
        Principal::ApiKey { name } => Some(format!("{{apiKey: {name}{api}}}")),
        Principal::Jwt { issuer, subject, .. } => {
            Some(format!("{{issuer: {issuer}, subject: {}{api}}}", subject.as_ref()?))
        }
    }
}

/// The entry of `workloads`, in a policy in `namespace`, that means this one alone.
fn workload(peer: &Peer, namespace: &Name) -> String {
    match peer {
        Peer::Gateway { cluster, name } => format!("{{cluster: {cluster}, gateway: {name}}}"),
        Peer::Workload { cluster, namespace: its, service_account } => {
            let its = if its == namespace { String::new() } else { format!("namespace: {its}, ") };
            format!("{{cluster: {cluster}, {its}serviceAccount: {service_account}}}")
        }
    }
}
