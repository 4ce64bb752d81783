//! The story in plain text.
//!
//! ```text
//! answered 403 access_denied: no allow rule of level 1 matches
//! callers: apikey:reader (from level 1)
//! level 1 does not allow
//!   AccessPolicy shop/orders
//!     no   Deny  not-from-the-lab: sources: 10.1.1.1 is not among 10.9.0.0 to 10.9.255.255
//!     yes  Allow anyone-reads
//! ```

use std::fmt;

use model::authn::Require;

use super::{LevelOutcome, LevelStory, LimitStory, Mismatch, PolicyStory, RuleStory, Story};
use crate::access::RuleRef;
use crate::chain::Verdict;
use crate::reason::Reason;

/// What decided, in a sentence without a full stop.
pub(super) fn because(story: &Story, verdict: &Verdict) -> String {
    let answer = match verdict {
        Verdict::Pass(pass) => return allowed(story, pass.rule.as_ref()),
        Verdict::Answer(answer) => answer,
    };
    match (answer.reason, &answer.rule) {
        (Reason::Redirected, _) => match &story.location {
            Some(location) => format!("the rule redirects to {location}"),
            None => "the rule redirects".to_owned(),
        },
        (Reason::Preflight, _) => match &answer.detail {
            Some(why) => format!("a preflight, and {why}"),
            None => "a preflight, and the CORS filter allows its origin".to_owned(),
        },
        (Reason::CredentialInvalid | Reason::CallerRevoked, _) => {
            story.refused.clone().unwrap_or_else(|| "a credential is refused".to_owned())
        }
        (Reason::PolicyUnreadable, _) => unreadable(story),
        (Reason::RateLimited | Reason::LimitUnreached, Some(limit)) => {
            let why = answer.detail.as_deref().unwrap_or_default();
            format!("{limit}: {why}")
        }
        (Reason::ApiUnpublished | Reason::ApiRetired | Reason::DefaultDenied, _) => {
            answer.detail.as_deref().unwrap_or(answer.reason.as_str()).to_owned()
        }
        (_, Some(rule)) => format!("{rule} denies it"),
        (Reason::CredentialMissing, None) => match unproved(story) {
            Some(policy) => format!("{} requires {}", policy.policy, required(policy)),
            None => format!("nobody proved who is calling, and {}", not_allowed(story)),
        },
        (Reason::AccessDenied, None) => not_allowed(story),
        (reason, None) => reason.as_str().to_owned(),
    }
}

fn allowed(story: &Story, rule: Option<&RuleRef>) -> String {
    match rule {
        Some(rule) => format!("{rule} allows it"),
        None if story.levels.is_empty() => "no policy stands here".to_owned(),
        None => "no deny rule matches and no allow rule is asked for".to_owned(),
    }
}

fn not_allowed(story: &Story) -> String {
    let level = story.levels.iter().find(|level| level.outcome == LevelOutcome::DoesNotAllow);
    match level {
        Some(level) => format!("no allow rule of level {} matches", level.level),
        None => "no allow rule matches".to_owned(),
    }
}

/// The first policy that requires a proof that was not given.
fn unproved(story: &Story) -> Option<&PolicyStory> {
    let mut policies = story.levels.iter().flat_map(|level| &level.policies);
    policies.find(|policy| policy.is_unproved())
}

/// The proof that a policy requires.
pub(super) fn required(policy: &PolicyStory) -> String {
    let methods: Vec<_> = policy.methods.iter().map(|one| one.method.as_str()).collect();
    let of = match policy.require {
        _ if methods.len() == 1 => "",
        Some(Require::All) => "all of ",
        Some(Require::Any) | None => "any of ",
    };
    format!("proof of who is calling by {of}{}", methods.join(", "))
}

fn unreadable(story: &Story) -> String {
    let policy = story.levels.iter().find_map(|level| {
        let known = level.unreadable.as_ref().map(ToString::to_string);
        known.or_else(|| Some(level.unknown.as_ref()?.to_string()))
    });
    let policy = policy.as_deref().unwrap_or("a policy");
    format!("{policy} could not be read, so its targets are closed")
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status {
            None => write!(f, "passes: {}", self.because)?,
            Some(status) => write!(f, "answered {status} {}: {}", self.reason, self.because)?,
        }
        if let Some(refused) = &self.refused
            && *refused != self.because
        {
            write!(f, "\nrefused: {refused}")?;
        }
        for (index, caller) in self.callers.iter().enumerate() {
            f.write_str(if index == 0 { "\ncallers: " } else { ", " })?;
            write!(f, "{} (from level {})", caller.caller, caller.from_level)?;
        }
        self.levels.iter().try_for_each(|level| write!(f, "\n{level}"))
    }
}

impl fmt::Display for LevelStory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "level {} ", self.level)?;
        f.write_str(match self.outcome {
            LevelOutcome::Allows => "allows",
            LevelOutcome::Open => "has no allow rule, so it lets pass",
            LevelOutcome::Denies => "denies",
            LevelOutcome::DoesNotAllow => "does not allow",
            LevelOutcome::Unproved => "requires a proof that was not given",
            LevelOutcome::Closed => "is closed",
        })?;
        if let Some(key) = &self.unreadable {
            write!(f, ": {key} could not be read")?;
        }
        if let Some(policy) = &self.unknown {
            write!(f, ": {policy} is not known to this version")?;
        }
        for policy in &self.policies {
            write!(f, "\n  {}", policy.policy)?;
            if policy.require.is_some() {
                write!(f, " requires {}", required(policy))?;
            }
            for method in &policy.methods {
                let word = if method.proved { "yes" } else { "no" };
                write!(f, "\n    {word:<4} Proof {}", method.method)?;
            }
            policy.rules.iter().try_for_each(|rule| write!(f, "\n    {rule}"))?;
            policy.limits.iter().try_for_each(|limit| write!(f, "\n    {limit}"))?;
        }
        Ok(())
    }
}

impl fmt::Display for RuleStory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.matched { "yes" } else { "no" };
        write!(f, "{word:<4} {:<5} {}", self.action, self.rule)?;
        self.failed.iter().try_for_each(|failed| write!(f, ": {failed}"))
    }
}

impl fmt::Display for LimitStory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.matched { "yes" } else { "no" };
        write!(f, "{word:<4} Limit {}: {}", self.limit, self.rate)?;
        if self.dry_run {
            f.write_str(", only tried")?;
        }
        self.failed.iter().try_for_each(|failed| write!(f, "; {failed}"))
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: saw {}, wanted {}", self.condition, self.saw, self.wanted)
    }
}
