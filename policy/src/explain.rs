//! The story of a decision: what was shown, what each rule made of it, and what decided.
//!
//! No secret is in it: a key or token that was shown appears only as what came of it.

use std::sync::Arc;

use http::header::LOCATION;
use model::authn::Require;
use model::{Key, Name};
use serde::Serialize;

use crate::access::{CompiledPolicy, Rule, Seen};
use crate::authn::{Known, Methods};
use crate::chain::Verdict;
use crate::facts::{Facts, Layer};
use crate::level::Level;
use crate::limit::{CompiledLimits, Limit, stands_in};
use crate::reason::Reason;

mod changes;
mod remedy;
mod text;

pub use changes::{Changes, HeaderLine, HeaderStory, RewriteStory};

/// What happened to a request, and why. `Display` tells it in plain text.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Story {
    /// How it ends; `ok` where it goes on to a backend.
    pub reason: Reason,
    /// The status of our own answer; none where it goes on to a backend.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// What decided, in a sentence.
    pub because: String,
    /// The smallest change of a policy, or of the request, by which it would pass here; none where it
    /// passes, or ends by something else than a rule or the lack of one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<String>,
    /// Where a redirect points.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// Who is calling, and from which level on that counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub callers: Vec<CallerStory>,
    /// The credential that was refused, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// The levels, broadest first.
    pub levels: Vec<LevelStory>,
}

/// One of a request that goes on, of which nothing is told yet.
impl Default for Story {
    fn default() -> Self {
        Story {
            reason: Reason::Ok,
            status: None,
            because: String::new(),
            change: None,
            location: None,
            callers: Vec::new(),
            refused: None,
            levels: Vec::new(),
        }
    }
}

impl Story {
    /// One that ends before any policy is asked: why, and what would have it go on.
    pub fn of(reason: Reason, status: Option<u16>, because: String, change: String) -> Self {
        Story { reason, status, because, change: Some(change), ..Story::default() }
    }

    /// The same with its end.
    pub(crate) fn ended(mut self, verdict: &Verdict) -> Self {
        if let Verdict::Answer(answer) = verdict {
            self.reason = answer.reason;
            self.status = Some(answer.status.as_u16());
            let location = answer.headers.iter().find(|(name, _)| name == LOCATION);
            self.location =
                location.map(|(_, value)| String::from_utf8_lossy(value.as_bytes()).into_owned());
        }
        self.because = text::because(&self, verdict);
        self
    }
}

/// A caller that proved who it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CallerStory {
    /// Such as `apikey:clerk`.
    pub caller: String,
    /// The broadest level whose rules may name it, counted from 1.
    pub from_level: usize,
}

/// The policies of one target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LevelStory {
    /// Its place, broadest first, counted from 1.
    pub level: usize,
    /// What it makes of the request.
    pub outcome: LevelOutcome,
    /// The policy that could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<Key>,
    /// The policy that this program knows only by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unknown: Option<Arc<str>>,
    /// Its policies.
    pub policies: Vec<PolicyStory>,
}

/// What a level makes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum LevelOutcome {
    /// An allow rule matches.
    Allows,
    /// It has no allow rule, so it lets pass what no deny rule hits.
    Open,
    /// A deny rule matches.
    Denies,
    /// It has allow rules and none matches.
    DoesNotAllow,
    /// A policy of it requires a proof of who is calling that was not given.
    Unproved,
    /// A policy of it could not be read.
    Closed,
}

/// What a policy makes of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyStory {
    /// The policy.
    pub policy: Arc<Key>,
    /// Its rules: those that deny first, as they are asked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RuleStory>,
    /// Its limits.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<LimitStory>,
    /// Its ways to prove who is calling, where it has some.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<MethodStory>,
    /// Whether it requires a proof: by any of its methods, or by all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub require: Option<Require>,
}

impl PolicyStory {
    /// One of which nothing is told yet.
    pub(crate) fn of(policy: &Arc<Key>) -> Self {
        let (rules, limits, methods) = (Vec::new(), Vec::new(), Vec::new());
        PolicyStory { policy: Arc::clone(policy), rules, limits, methods, require: None }
    }

    /// Whether it requires a proof that was not given.
    pub fn is_unproved(&self) -> bool {
        let mut proved = self.methods.iter().map(|method| method.proved);
        match self.require {
            None => false,
            Some(Require::Any) => !proved.any(|proved| proved),
            Some(Require::All) => !proved.all(|proved| proved),
        }
    }
}

/// What came of one way to prove who is calling.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MethodStory {
    /// Its name.
    pub method: Name,
    /// Whether somebody proved by it who they are.
    pub proved: bool,
}

/// What one limit makes of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LimitStory {
    /// Its name.
    pub limit: Arc<Name>,
    /// How much it lets pass, and by what it counts apart, in words.
    pub rate: String,
    /// Whether it counts this request.
    pub matched: bool,
    /// The first condition that does not hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<Mismatch>,
    /// Whether it is only tried.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

/// What one rule makes of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleStory {
    /// Its name.
    pub rule: Arc<Name>,
    /// `Allow`, `Deny` or `Audit`.
    pub action: &'static str,
    /// Whether it means this request.
    pub matched: bool,
    /// The first condition that does not hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<Mismatch>,
}

/// A condition that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Mismatch {
    /// The field of `when`.
    pub condition: &'static str,
    /// What it asks for; of a long list the beginning.
    pub wanted: String,
    /// What it saw.
    pub saw: String,
}

/// Tells how `verdict` came about. Rules are asked by the same code that decided.
pub(crate) fn tell(
    levels: &[Arc<Level>],
    methods: &Methods,
    facts: &Facts<'_>,
    verdict: &Verdict,
) -> Story {
    let (mut known, refused) = match methods.prove(facts) {
        Ok(known) => (known, None),
        Err(refusal) => (Known::default(), Some(refusal.to_string())),
    };
    known.believe(facts.users);
    known.hide(methods.headers());
    let seen = Seen::new(facts, &known);
    let each = levels.iter().enumerate();
    let told = each
        .map(|(index, level)| tell_level(level, methods, &levels[index + 1..], &seen.at(index)));
    let told: Vec<_> = told.collect();
    let change = remedy::change(levels, &told, &seen, verdict);
    let callers = known.all().iter();
    let callers =
        callers.map(|one| CallerStory { caller: one.to_string(), from_level: one.level + 1 });
    let callers = callers.collect();
    Story { change, callers, refused, levels: told, ..Story::default() }.ended(verdict)
}

/// A level, without the limits of policies that narrower ones have, too: those count there.
fn tell_level(
    level: &Level,
    methods: &Methods,
    narrower: &[Arc<Level>],
    seen: &Seen<'_>,
) -> LevelStory {
    let (mut unreadable, mut unknown) = (None, None);
    match level {
        Level::Closed { key } => unreadable = Some(key.clone()),
        Level::Unknown { policy } => unknown = Some(Arc::clone(policy)),
        Level::Open(_) => {}
    }
    let authn = methods.stories(seen.level, seen.known);
    let access = level.access().iter().map(|policy| tell_policy(policy, seen));
    let limits = level.limits().iter().filter(|policy| !stands_in(narrower, policy));
    let limits = limits.filter(|_| seen.facts.layer != Layer::Datagrams);
    let limits = limits.map(|policy| tell_limits(policy, seen));
    let policies: Vec<_> = authn.chain(access).chain(limits).collect();
    let outcome = if level.is_closed() { LevelOutcome::Closed } else { level_outcome(&policies) };
    LevelStory { level: seen.level + 1, outcome, unreadable, unknown, policies }
}

fn level_outcome(policies: &[PolicyStory]) -> LevelOutcome {
    let rules = || policies.iter().flat_map(|policy| &policy.rules);
    let matched = |action| rules().any(|rule| rule.matched && rule.action == action);
    if policies.iter().any(PolicyStory::is_unproved) {
        LevelOutcome::Unproved
    } else if matched(DENY) {
        LevelOutcome::Denies
    } else if matched(ALLOW) {
        LevelOutcome::Allows
    } else if rules().any(|rule| rule.action == ALLOW) {
        LevelOutcome::DoesNotAllow
    } else {
        LevelOutcome::Open
    }
}

const ALLOW: &str = "Allow";
const DENY: &str = "Deny";
const AUDIT: &str = "Audit";

fn tell_policy(policy: &CompiledPolicy, seen: &Seen<'_>) -> PolicyStory {
    let deny = policy.deny.iter().map(|rule| tell_rule(rule, DENY, seen));
    let allow = policy.allow.iter().map(|rule| tell_rule(rule, ALLOW, seen));
    let audit = policy.audit.iter().map(|rule| tell_rule(rule, AUDIT, seen));
    let rules = deny.chain(allow).chain(audit).collect();
    PolicyStory { rules, ..PolicyStory::of(&policy.key) }
}

fn tell_limits(policy: &CompiledLimits, seen: &Seen<'_>) -> PolicyStory {
    let limit = |limit: &Arc<Limit>| {
        let failed = mismatch(&limit.rule, seen);
        LimitStory {
            limit: Arc::clone(&limit.rule.name),
            rate: limit.to_string(),
            matched: failed.is_none(),
            failed,
            dry_run: limit.dry_run,
        }
    };
    let limits = policy.limits.iter().map(limit).collect();
    PolicyStory { limits, ..PolicyStory::of(&policy.key) }
}

fn tell_rule(rule: &Rule, action: &'static str, seen: &Seen<'_>) -> RuleStory {
    let failed = mismatch(rule, seen);
    RuleStory { rule: Arc::clone(&rule.name), action, matched: failed.is_none(), failed }
}

/// The first condition of a rule that does not hold.
fn mismatch(rule: &Rule, seen: &Seen<'_>) -> Option<Mismatch> {
    let condition = rule.first_failing(seen)?;
    let (wanted, saw) = rule.describe(condition, seen);
    Some(Mismatch { condition: condition.as_str(), wanted, saw })
}

#[cfg(test)]
mod tests;
