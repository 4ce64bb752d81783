//! Who is shut out before their credentials end, compiled.

use std::collections::HashMap;

use model::Name;
use model::revocation::{Revocation, Whom};
use serde_json::Value;

use crate::principal::Principal;

/// Everybody who is shut out, as it was told last.
#[derive(Debug, Default)]
pub struct Revoked {
    all: HashMap<Whom, Vec<Times>>,
    /// Those with API keys, by the name of the key.
    keys: HashMap<String, Vec<(Name, Times)>>,
}

/// When one is.
#[derive(Debug, Clone, Copy)]
struct Times {
    before: Option<i64>,
    until: Option<i64>,
}

/// What does not count of somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Out {
    /// Whatever they show.
    Whatever,
    /// What they proved before: they may sign in anew.
    Before,
}

impl Revoked {
    /// Compiles what was told.
    pub fn new(told: &[Revocation]) -> Self {
        let mut revoked = Revoked::default();
        for Revocation { whom, before, until } in told {
            let times = Times { before: *before, until: *until };
            match whom {
                Whom::ApiKey { namespace, name } => {
                    let keys = revoked.keys.entry(name.clone()).or_default();
                    keys.push((namespace.clone(), times));
                }
                Whom::User { .. } | Whom::Consumer { .. } | Whom::Node { .. } => {
                    revoked.all.entry(whom.clone()).or_default().push(times);
                }
            }
        }
        revoked
    }

    /// Whether nobody is.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty() && self.keys.is_empty()
    }

    /// What does not count at `now` of somebody whom a policy knows in a namespace that may be this one, who proved it
    /// at `since`: by a token when it was issued, where nothing else is known. What does not say when it was is taken
    /// for old.
    pub fn out(
        &self,
        principal: &Principal,
        may_be: impl Fn(&Name) -> bool,
        since: Option<i64>,
        now: i64,
    ) -> Option<Out> {
        if self.is_empty() {
            return None;
        }
        match principal {
            Principal::Jwt { issuer, subject: Some(subject), claims } => {
                let whom = Whom::User { issuer: issuer.clone(), subject: subject.clone() };
                let issued = || claims.get("iat").and_then(Value::as_f64);
                // A token of the very second is one of before.
                self.times(&whom, since.or_else(|| issued().map(|at| at as i64)), now)
            }
            // Nobody can be meant who has no name.
            Principal::Jwt { subject: None, .. } => None,
            Principal::Consumer { namespace, name } => {
                let whom = Whom::Consumer { namespace: namespace.clone(), name: name.clone() };
                self.times(&whom, since, now)
            }
            Principal::ApiKey { name } => {
                let keys = self.keys.get(name)?.iter();
                let theirs = keys.filter(|(namespace, _)| may_be(namespace));
                harder(theirs.map(|(_, times)| times), since, now)
            }
        }
    }

    /// Whether a node is, by its id.
    pub fn has_node(&self, id: &str, now: i64) -> bool {
        !self.is_empty() && self.times(&Whom::Node { id: id.to_owned() }, None, now).is_some()
    }

    fn times(&self, whom: &Whom, since: Option<i64>, now: i64) -> Option<Out> {
        harder(self.all.get(whom)?.iter(), since, now)
    }
}

/// Of several words the hardest.
fn harder<'t>(all: impl Iterator<Item = &'t Times>, since: Option<i64>, now: i64) -> Option<Out> {
    let holds = |times: &&Times| times.until.is_none_or(|until| now < until);
    let out = all.filter(holds).filter_map(|times| match times.before {
        None => Some(Out::Whatever),
        Some(before) if since.is_none_or(|since| since <= before) => Some(Out::Before),
        Some(_) => None,
    });
    out.reduce(|one, other| if one == Out::Whatever { one } else { other })
}

/// In words why somebody is refused.
pub(crate) fn told(whom: &Principal, out: Out) -> String {
    match out {
        Out::Whatever => format!("{whom} was shut out"),
        Out::Before => {
            format!("{whom} has to sign in anew: what they proved before does not count any more")
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_000;

    fn user(subject: &str) -> Whom {
        Whom::User { issuer: "https://id.example".to_owned(), subject: subject.to_owned() }
    }

    fn token(subject: &str, claims: Value) -> Principal {
        let Value::Object(claims) = claims else { panic!("claims are an object") };
        let issuer = "https://id.example".to_owned();
        Principal::Jwt { issuer, subject: Some(subject.to_owned()), claims }
    }

    fn revoked(whom: Whom, before: Option<i64>, until: Option<i64>) -> Revoked {
        Revoked::new(&[Revocation { whom, before, until }])
    }

    #[test]
    fn whoever_is_shut_out_is_nobody_else_and_not_for_longer() {
        let revoked = revoked(user("ann"), None, Some(NOW + 1));
        let out = |who: &Principal, now| revoked.out(who, |_| false, None, now);
        assert_eq!(out(&token("ann", json!({ "iat": NOW })), NOW), Some(Out::Whatever));
        assert_eq!(out(&token("ann", json!({ "iat": NOW })), NOW + 1), None);
        assert_eq!(out(&token("Ann", json!({})), NOW), None);
        let Principal::Jwt { subject, claims, .. } = token("ann", json!({})) else { return };
        let other = Principal::Jwt { issuer: "https://id.example/".to_owned(), subject, claims };
        assert_eq!(out(&other, NOW), None);
        assert_eq!(out(&Principal::ApiKey { name: "ann".to_owned() }, NOW), None);
    }

    #[test]
    fn who_may_sign_in_anew_is_let_in_by_what_came_later() {
        let revoked = revoked(user("ann"), Some(NOW), None);
        let out = |claims, since| {
            let token = token("ann", claims);
            revoked.out(&token, |_| false, since, NOW + 5)
        };
        assert_eq!(out(json!({ "iat": NOW - 1 }), None), Some(Out::Before));
        assert_eq!(out(json!({ "iat": NOW }), None), Some(Out::Before));
        assert_eq!(out(json!({ "iat": NOW + 1 }), None), None);
        assert_eq!(out(json!({}), None), Some(Out::Before), "nobody says when");
        assert_eq!(out(json!({ "iat": NOW + 1 }), Some(NOW - 1)), Some(Out::Before));
        assert_eq!(out(json!({ "iat": NOW - 1 }), Some(NOW + 1)), None);
    }

    #[test]
    fn of_two_words_on_the_same_one_the_harder_counts() {
        let past = Revocation { whom: user("ann"), before: Some(NOW), until: None };
        let all = Revocation { before: None, ..past.clone() };
        for told in [[past.clone(), all.clone()], [all, past]] {
            let out =
                Revoked::new(&told).out(&token("ann", json!({ "iat": 1 })), |_| false, None, NOW);
            assert_eq!(out, Some(Out::Whatever));
        }
    }

    #[test]
    fn a_key_is_that_of_a_policy_in_its_namespace() {
        let name = |name: &str| Name::parse(name).unwrap();
        let whom = Whom::ApiKey { namespace: name("shop"), name: "clerk".to_owned() };
        let revoked = revoked(whom, None, None);
        let clerk = Principal::ApiKey { name: "clerk".to_owned() };
        let out =
            |namespaces: &[Name]| revoked.out(&clerk, |one| namespaces.contains(one), None, NOW);
        assert_eq!(out(&[name("bank")]), None);
        assert_eq!(out(&[name("bank"), name("shop")]), Some(Out::Whatever));
        assert!(!revoked.has_node("clerk", NOW));
    }
}
