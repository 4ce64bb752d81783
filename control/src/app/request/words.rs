//! A hop in sentences.
//!
//! ```text
//! gateway edge of east let it pass: rule 'readers' of AccessPolicy shop/edge allows it
//! the proxy of workload shop/orders-1 denied it with 403 access_denied: no allow rule of level 1
//!   matches (rule 'clerks' would have needed callers apikey:clerk and saw nobody)
//! ```

use model::Name;
use model::workload::Workload;
use policy::Reason;
use serde_json::Value;
use store::decision::Teller;
use wire::{Decision, Side};

use super::tale::Tale;
use super::{is_denial, is_limit};

/// What is said of a denial without its story.
const UNTOLD: &str = "which rules it missed was not told: a worker of a proxy tells that of a hundred \
                      denials a second";

/// Rules that are told of as what would have been needed.
const NEEDED: usize = 3;

/// What a proxy made of a request: first who decided what, then what else there is to say.
pub(super) fn words(by: &Teller, decision: &Decision, tale: &Tale) -> Vec<String> {
    let mut words = vec![format!("{} {}{}", teller(by), deed(decision), why(decision, tale))];
    words.extend(backend(decision));
    if let Some(passport) = &decision.passport {
        words.push(format!("the passport that came with it was refused: {passport}"));
    }
    let detail = decision.detail.iter().filter(|detail| !words[0].contains(detail.as_str()));
    let detail: Vec<_> = detail.map(|detail| format!("the cause: {detail}")).collect();
    words.extend(detail);
    let is_named = tale.decider.is_some() || decision.policy.is_some();
    let is_told = tale.story.is_some() || is_named || decision.detail.is_some();
    if is_denial(&decision.reason) && !is_told {
        words.push(UNTOLD.to_owned());
    }
    let silent = tale.others.iter().filter(|other| tale.decider.as_ref() != Some(other));
    words.extend(silent.map(|other| format!("{other} was asked, too, and may not be shown")));
    words.extend(tale.change.iter().map(|change| format!("what would allow it: {change}")));
    words
}

fn teller(Teller { cluster, kind, name, .. }: &Teller) -> String {
    let workload = Name::parse(name).ok().filter(|_| kind == "mesh");
    match workload.as_ref().and_then(Workload::of_node) {
        Some(key) => format!("the proxy of workload {}/{}", key.namespace, key.name),
        None => format!("{kind} {name} of {cluster}"),
    }
}

fn deed(decision: &Decision) -> String {
    let Decision { reason, status, side, .. } = decision;
    if reason == Reason::Ok.as_str() {
        return match side {
            Side::Edge => "let it pass",
            Side::Outbound => "let it out",
            Side::Inbound => "let it in",
        }
        .to_owned();
    }
    let verb = if is_denial(reason) { "denied" } else { "answered" };
    match status {
        Some(status) => format!("{verb} it with {status} {reason}"),
        None if is_denial(reason) => format!("denied it without an answer, by {reason}"),
        None => format!("ended it without an answer, by {reason}"),
    }
}

/// What decided.
fn why(decision: &Decision, tale: &Tale) -> String {
    let passed = decision.reason == Reason::Ok.as_str();
    let is_by_policy = passed || is_denial(&decision.reason);
    if let Some(decider) = tale.decider.as_ref().filter(|_| is_by_policy) {
        return format!(", by {decider}");
    }
    let rule = || {
        let (policy, rule) = (decision.policy.as_ref()?, decision.policy_rule.as_ref()?);
        let what = if is_limit(&decision.reason) { "limit" } else { "rule" };
        is_by_policy.then(|| format!("by {what} '{rule}' of {policy}"))
    };
    // Policies that let it pass say nothing of what failed behind them.
    let story = tale.story.as_ref().filter(|story| story["reason"] == *decision.reason);
    let told = story.and_then(|_| tale.because.clone());
    match told.or_else(rule).or_else(|| decision.detail.clone()) {
        Some(because) => format!(": {because}{}", needed(decision, tale)),
        None => String::new(),
    }
}

/// What the rules that might have allowed it would have needed.
fn needed(decision: &Decision, tale: &Tale) -> String {
    let levels = tale.story.iter().filter(|_| is_denial(&decision.reason));
    let levels = levels.flat_map(|story| items(&story["levels"]));
    let closed = levels.filter(|level| level["outcome"] == "doesNotAllow");
    let rules = closed.flat_map(|level| items(&level["policies"]));
    let rules = rules.flat_map(|policy| items(&policy["rules"]));
    let needed = rules.filter(|rule| rule["action"] == "Allow").filter_map(|rule| {
        let text = |value: &'_ Value| value.as_str().map(str::to_owned);
        let failed = &rule["failed"];
        let (condition, wanted) = (text(&failed["condition"])?, text(&failed["wanted"])?);
        let (name, saw) = (text(&rule["rule"])?, text(&failed["saw"])?);
        Some(format!("rule '{name}' would have needed {condition} {wanted} and saw {saw}"))
    });
    let needed: Vec<_> = needed.take(NEEDED).collect();
    if needed.is_empty() { String::new() } else { format!(" ({})", needed.join("; ")) }
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// Where it went, and what came back.
fn backend(decision: &Decision) -> Option<String> {
    let backend = decision.backend.as_ref()?;
    let endpoint = decision.endpoint.iter().map(|endpoint| format!(" at {endpoint}"));
    let mut told = format!("it went to {backend}{}", endpoint.collect::<String>());
    if let (Some(took), Some(status)) = (decision.backend_took, decision.status) {
        told.push_str(&format!(", which answered {status} after {}", time(took)));
    }
    if decision.attempts > 1 {
        told.push_str(&format!("; {} endpoints were tried", decision.attempts));
    }
    Some(told)
}

/// A length of time that is given in microseconds.
fn time(micros: u64) -> String {
    match micros {
        0..1_000 => format!("{micros} us"),
        1_000..1_000_000 => format!("{}.{} ms", micros / 1_000, micros % 1_000 / 100),
        _ => format!("{}.{} s", micros / 1_000_000, micros % 1_000_000 / 100_000),
    }
}
