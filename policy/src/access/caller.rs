//! Which proved caller a rule means.

use std::fmt;

use model::policy::{CallerMatch, ConsumerMatch};
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
    /// The namespace of the policy, in which a Consumer lies that names no other.
    namespace: Name,
    /// Of which Api, where another proxy says who is calling.
    api: Option<Name>,
}

impl Caller {
    /// Compiles `from`, in a policy in a namespace and of an Api.
    pub(crate) fn compile(
        from: &CallerMatch,
        own: (&Name, Option<&Name>),
        at: &mut Checker,
    ) -> Self {
        let of_token = from.issuer.is_some() || from.subject.is_some() || !from.claims.is_empty();
        let means = [from.consumer.is_some(), from.api_key.is_some(), of_token];
        if means.into_iter().filter(|means| *means).count() > 1 {
            at.fault(
                "no caller has both: 'consumer' names a Consumer, 'apiKey' a key, and the other \
                 fields mean a token; write two entries for 'either'",
            );
        }
        let api = from.api.as_ref().or(own.1).cloned();
        Caller { wanted: from.clone(), namespace: own.0.clone(), api }
    }

    /// What a caller that it means brings, if it names one at all.
    pub(super) fn hook(&self) -> Option<Hook<'_>> {
        let CallerMatch { consumer, api_key, subject, .. } = &self.wanted;
        let consumer = consumer.as_ref().map(|one| Hook::Consumer(one.name.as_str()));
        let key = || api_key.as_deref().map(Hook::ApiKey);
        consumer.or_else(key).or_else(|| subject.as_deref().map(Hook::Subject))
    }

    /// Whether it means somebody.
    pub(super) fn means(&self, one: &Someone) -> bool {
        let counts = one.api.is_none() || one.api == self.api;
        counts && self.matches(&one.principal)
    }

    fn matches(&self, principal: &Principal) -> bool {
        let wanted = &self.wanted;
        match principal {
            Principal::Consumer { namespace, name } => {
                wanted.api_key.is_none()
                    && wanted.issuer.is_none()
                    && wanted.subject.is_none()
                    && wanted.claims.is_empty()
                    && wanted.consumer.as_ref().is_none_or(|wanted| {
                        wanted.name == *name && self.namespace_of(wanted) == namespace
                    })
            }
            Principal::ApiKey { name } => {
                wanted.consumer.is_none()
                    && wanted.issuer.is_none()
                    && wanted.subject.is_none()
                    && wanted.claims.is_empty()
                    && wanted.api_key.as_ref().is_none_or(|wanted| wanted == name)
            }
            Principal::Jwt { issuer, subject, claims } => {
                wanted.consumer.is_none()
                    && wanted.api_key.is_none()
                    && wanted.issuer.as_ref().is_none_or(|wanted| wanted == issuer)
                    && (wanted.subject.is_none() || wanted.subject == *subject)
                    && wanted.claims.iter().all(|claim| holds(claims, &claim.name, &claim.value))
            }
        }
    }

    fn namespace_of<'a>(&'a self, wanted: &'a ConsumerMatch) -> &'a Name {
        wanted.namespace.as_ref().unwrap_or(&self.namespace)
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
        let named =
            |one: &ConsumerMatch| format!("consumer:{}/{}", self.namespace_of(one), one.name);
        parts.extend(wanted.consumer.as_ref().map(named));
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
        let shop = Name::parse("shop").unwrap();
        Caller::compile(&both, (&shop, None), &mut at);
        assert_eq!(at.faults().len(), 1);
    }
}
