//! Which proved caller a rule means.

use std::fmt;

use model::policy::CallerMatch;
use model::{Checker, Name};
use serde_json::{Map, Value};

use super::rules::Hook;
use crate::authn::Someone;
use crate::claims;
use crate::principal::Principal;

/// A caller to compare with; nothing written means any.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    wanted: CallerMatch,
    /// Of which Api, where another proxy says who is calling.
    api: Option<Name>,
}

impl Caller {
    /// Compiles `from`, in a policy of the Api `own`.
    pub(crate) fn compile(from: &CallerMatch, own: Option<&Name>, at: &mut Checker) -> Self {
        let of_token = from.issuer.is_some() || from.subject.is_some() || !from.claims.is_empty();
        if from.api_key.is_some() && of_token {
            at.fault(
                "no caller has both: 'apiKey' names a key, the other fields mean a token; write \
                 two entries for 'either'",
            );
        }
        let api = from.api.as_ref().or(own).cloned();
        Caller { wanted: from.clone(), api }
    }

    /// What a caller that it means brings, if it names one at all.
    pub(super) fn hook(&self) -> Option<Hook<'_>> {
        let key = self.wanted.api_key.as_deref().map(Hook::ApiKey);
        key.or_else(|| self.wanted.subject.as_deref().map(Hook::Subject))
    }

    /// Whether it means somebody.
    pub(super) fn means(&self, one: &Someone) -> bool {
        let counts = one.api.is_none() || one.api == self.api;
        counts && self.matches(&one.principal)
    }

    fn matches(&self, principal: &Principal) -> bool {
        let wanted = &self.wanted;
        match principal {
            Principal::ApiKey { name } => {
                wanted.issuer.is_none()
                    && wanted.subject.is_none()
                    && wanted.claims.is_empty()
                    && wanted.api_key.as_ref().is_none_or(|wanted| wanted == name)
            }
            Principal::Jwt { issuer, subject, claims } => {
                wanted.api_key.is_none()
                    && wanted.issuer.as_ref().is_none_or(|wanted| wanted == issuer)
                    && (wanted.subject.is_none() || wanted.subject == *subject)
                    && wanted.claims.iter().all(|claim| holds(claims, &claim.name, &claim.value))
            }
        }
    }
}

/// Whether a claim called `name` is or holds `value`.
fn holds(claims: &Map<String, Value>, name: &str, value: &str) -> bool {
    claims::any(claims, name, &mut |claim| is(claim, value))
}

fn is(claim: &Value, value: &str) -> bool {
    match claim {
        Value::String(text) => text == value,
        Value::Number(number) => number.to_string() == value,
        Value::Bool(truth) => value == if *truth { "true" } else { "false" },
        Value::Array(items) => items.iter().any(|item| !item.is_array() && is(item, value)),
        Value::Null | Value::Object(_) => false,
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wanted = &self.wanted;
        let mut parts = Vec::new();
        parts.extend(wanted.api_key.as_ref().map(|name| format!("apikey:{name}")));
        parts.extend(wanted.issuer.as_ref().map(|issuer| format!("issuer {issuer}")));
        parts.extend(wanted.subject.as_ref().map(|subject| format!("subject {subject}")));
        parts.extend(wanted.claims.iter().map(|claim| format!("{}={}", claim.name, claim.value)));
        if parts.is_empty() {
            parts.push("any proved caller".to_owned());
        }
        f.write_str(&parts.join(" with "))?;
        wanted.api.as_ref().map_or(Ok(()), |api| write!(f, " of Api '{api}'"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn claims_are_found_by_name_by_steps_and_in_lists() {
        let claims = json!({
            "team": "shop", "level": 3, "admin": true, "roles": ["clerk", "reader"],
            "realm": { "roles": ["clerk"] }, "https://x.example/team": "lab", "gone": null,
        });
        let Value::Object(claims) = claims else { panic!("an object") };
        for (name, value, wanted) in [
            ("team", "shop", true),
            ("team", "sho", false),
            ("level", "3", true),
            ("admin", "true", true),
            ("admin", "false", false),
            ("roles", "reader", true),
            ("roles", "admin", false),
            ("realm.roles", "clerk", true),
            ("realm", "clerk", false),
            ("realm.none", "clerk", false),
            ("https://x.example/team", "lab", true),
            ("gone", "null", false),
            ("none", "", false),
        ] {
            assert_eq!(holds(&claims, name, value), wanted, "{name}={value}");
        }
    }

    #[test]
    fn a_key_and_a_token_in_one_entry_is_a_fault() {
        let both = CallerMatch {
            api_key: Some("clerk".to_owned()),
            subject: Some("ann".to_owned()),
            ..CallerMatch::default()
        };
        let mut at = Checker::default();
        Caller::compile(&both, None, &mut at);
        assert_eq!(at.faults().len(), 1);
    }
}
