//! Strangers: callers that a rule or a limit names and that nobody can be.
//!
//! Where only `bob` has a key, a rule for `bobb` means nobody.
//! If it allows, it lets nobody in; if it denies, it lets pass whom it was meant to keep out; if it limits, whom
//! it was meant to bound.
//! Who can be whom is a matter of every level whose credentials count for the rule, so this is
//! asked once all levels are at hand.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::api::LABEL;
use model::policy::{CallerMatch, ConsumerMatch, TargetKind};
use model::{Invalid, Key, Kind, Name, Resource};

use super::rule::some_of;
use crate::apikey::ApiKeys;
use crate::authn::CompiledAuthn;
use crate::consumer::Certificates;
use crate::jwt::Issuer;
use crate::level::Level;
use crate::principal::Plain;

/// A policy may name thousands; so many are told one by one.
const TOLD: usize = 100;

/// The strangers that a policy's rules name.
#[derive(Debug, Default)]
pub struct Strangers {
    /// What is wrong with each of the first hundred, and how many more there are.
    pub faults: Vec<Invalid>,
    /// One is named by what keeps out, so the policy must not be relied on.
    pub kept_out: bool,
}

/// The strangers that the rules or limits of `policy` name under `levels`: all whose credentials count at one of its
/// targets, or are believed there. Under a level that could not be read nobody can tell, and there are none.
pub fn strangers(policy: &Resource, levels: &[Arc<Level>]) -> Strangers {
    let mut found = Strangers::default();
    if levels.iter().any(|level| level.is_closed()) {
        return found;
    }
    let offer = Offer::of(policy, levels);
    let key = policy.key();
    let (mut untold, mut list) = (0, "");
    for when in policy.whens() {
        list = when.list;
        let callers = when.conditions.callers.iter().enumerate();
        for (which, caller) in callers.filter(|(_, caller)| !offer.has(caller)) {
            found.kept_out |= when.keeps_out;
            if found.faults.len() == TOLD {
                untold += 1;
                continue;
            }
            let lack = offer.lack(caller);
            let path = format!("{}.callers[{which}]{}", when.path(), lack.field);
            let (reason, nearest) = (lack.reason, lack.nearest);
            found.faults.push(Invalid {
                key: Some(key.clone()),
                path,
                line: None,
                reason,
                nearest,
            });
        }
    }
    if untold > 0 {
        let reason = format!("name {untold} more callers that nobody can be");
        let path = format!("spec.{list}");
        found.faults.push(Invalid { key: Some(key), path, line: None, reason, nearest: None });
    }
    found
}

/// All that callers can prove.
struct Offer<'a> {
    /// The namespace of who asks, and its Api.
    own: (&'a Name, Option<&'a str>),
    /// With the policies that declare them.
    keys: Vec<(&'a CompiledAuthn, &'a ApiKeys)>,
    issuers: Vec<(&'a CompiledAuthn, &'a Issuer)>,
    certificates: Vec<(&'a CompiledAuthn, &'a Certificates)>,
    /// Whether it is asked where another proxy says who is calling, and by whose policy.
    is_behind: bool,
    /// Where all of it is declared.
    place: &'static str,
}

/// What is missing for a caller to be anybody.
struct Lack {
    /// The field below the entry, with its dot.
    field: &'static str,
    reason: String,
    nearest: Option<String>,
}

impl<'a> Offer<'a> {
    fn of(policy: &'a Resource, levels: &'a [Arc<Level>]) -> Self {
        let mut targets = policy.guarded().into_iter().flatten();
        let is_behind = targets.any(|to| to.kind == TargetKind::Service);
        let place = match is_behind {
            true => {
                "by an AuthnPolicy of its Api, of its workspace or of the platform; for callers of another Api \
                 say which, by 'api'"
            }
            false => "at the policy's targets or above them",
        };
        let policies = || levels.iter().flat_map(|level| level.authn());
        let keys =
            policies().flat_map(|policy| policy.api_keys().map(move |(_, one)| (&**policy, one)));
        let issuers = policies().flat_map(|policy| {
            let tokens = policy.issuers().map(|(_, one)| one);
            let logins = policy.logins().map(|(_, login)| login.verifier());
            tokens.chain(logins).map(move |one| (&**policy, one))
        });
        let certificates = policies()
            .flat_map(|policy| policy.certificates().map(move |(_, one)| (&**policy, one)));
        let meta = policy.meta();
        let own = (&meta.namespace, meta.labels.get(LABEL).map(String::as_str));
        let (keys, issuers) = (keys.collect(), issuers.collect());
        Offer { own, keys, issuers, certificates: certificates.collect(), is_behind, place }
    }

    /// Whether somebody can be `caller`, as far as that can be told without its token.
    fn has(&self, caller: &CallerMatch) -> bool {
        let CallerMatch { api, consumer, api_key, issuer, subject, claims } = caller;
        let api = api.as_ref().map(Name::as_str).or(self.own.1);
        let counts = |policy: &CompiledAuthn| {
            let of = policy.api.as_ref().map(Name::as_str);
            !self.is_behind || of.is_none() || of == api || policy.key.namespace != *self.own.0
        };
        let mut keys = self.keys.iter().filter(|(policy, _)| counts(policy));
        let mut issuers = self.issuers.iter().filter(|(policy, _)| counts(policy));
        if let Some(consumer) = consumer {
            let namespace = self.namespace_of(consumer);
            let mut takers = self.takers().filter(|(policy, _)| counts(policy));
            return takers.any(|(policy, names)| {
                policy.key.namespace == *namespace && names.contains(consumer.name.as_str())
            });
        }
        let mut certificates = self.certificates.iter().filter(|(policy, _)| counts(policy));
        match (api_key, issuer) {
            (Some(name), _) => {
                keys.any(|(_, keys)| keys.secret().is_some() && keys.names().contains(&**name))
            }
            (None, Some(issuer)) => issuers.any(|(_, one)| one.issuer() == issuer),
            (None, None) if subject.is_some() || !claims.is_empty() => issuers.next().is_some(),
            (None, None) => {
                issuers.next().is_some() || keys.next().is_some() || certificates.next().is_some()
            }
        }
    }

    /// Why nobody can be `caller`.
    fn lack(&self, caller: &CallerMatch) -> Lack {
        let place = self.place;
        let near = self.issuers.iter().filter(|(policy, _)| self.is_near(policy));
        let near = near.map(|(_, one)| one.issuer());
        if let Some(consumer) = &caller.consumer {
            return self.lack_of_consumer(consumer);
        }
        match (&caller.api_key, &caller.issuer) {
            (Some(name), _) => {
                let mut lack = self.lack_of_key(name);
                if self.is_behind && caller.api.is_none() && !self.keys.is_empty() {
                    lack.reason += "; for callers of another Api say which, by 'api'";
                }
                lack
            }
            (None, Some(issuer)) => Lack {
                field: ".issuer",
                reason: format!("no AuthnPolicy has the issuer '{}'", Plain(issuer)),
                nearest: nearest(issuer, near),
            },
            (None, None) => {
                let any = caller.subject.is_none() && caller.claims.is_empty();
                let what = if any { "method" } else { "jwt method" };
                let reason = format!(
                    "nobody can be this caller: no {what} of an AuthnPolicy is declared {place}"
                );
                Lack { field: "", reason, nearest: None }
            }
        }
    }

    /// Whether a policy is of the same owner as who asks.
    fn is_near(&self, policy: &CompiledAuthn) -> bool {
        (&policy.key.namespace, policy.api.as_ref().map(Name::as_str)) == self.own
    }

    fn namespace_of<'c>(&'c self, consumer: &'c ConsumerMatch) -> &'c Name {
        consumer.namespace.as_ref().unwrap_or(self.own.0)
    }

    fn lack_of_consumer(&self, consumer: &ConsumerMatch) -> Lack {
        let (namespace, name) = (self.namespace_of(consumer), consumer.name.as_str());
        let near = self
            .takers()
            .filter(|(policy, _)| self.is_near(policy) && policy.key.namespace == *namespace);
        let names = near.flat_map(|(_, names)| names).map(|name| &**name);
        let reason = format!("no AuthnPolicy takes a Consumer {namespace}/{name} {}", self.place);
        Lack { field: ".consumer", reason, nearest: nearest(name, names) }
    }

    /// The policies that take Consumers, each with the names of those that a method of it takes.
    fn takers(&self) -> impl Iterator<Item = (&CompiledAuthn, &BTreeSet<Box<str>>)> {
        let keys = self.keys.iter().filter(|(_, keys)| keys.secret().is_none());
        let keys = keys.map(|(policy, keys)| (*policy, keys.names()));
        let certificates = self.certificates.iter();
        keys.chain(certificates.map(|(policy, certificates)| (*policy, certificates.names())))
    }

    /// Those that stand in Secrets.
    fn secrets(&self) -> impl Iterator<Item = (&CompiledAuthn, &ApiKeys, &Name)> {
        self.keys.iter().filter_map(|(policy, keys)| Some((*policy, *keys, keys.secret()?)))
    }

    fn lack_of_key(&self, name: &str) -> Lack {
        let field = ".apiKey";
        let name_shown = Plain(name);
        if self.secrets().next().is_none() {
            let reason =
                format!("no key '{name_shown}': no apiKey method is declared {}", self.place);
            return Lack { field, reason, nearest: None };
        }
        // What others have is not for who writes this to know.
        let near = || self.secrets().filter(|(policy, _, _)| self.is_near(policy));
        let secrets = near().map(|(policy, _, secret)| {
            Key::new(Kind::Secret, policy.key.namespace.clone(), secret.clone())
        });
        let others = self.secrets().count() - near().count();
        let mut places: Vec<_> =
            (near().count() > 0).then(|| some_of(secrets)).into_iter().collect();
        places
            .extend((others > 0).then(|| "what other owners' policies take keys from".to_owned()));
        let names = near().flat_map(|(_, keys, _)| keys.names()).map(|name| &**name);
        let reason = format!("no key '{name_shown}' in {}", places.join(", or in "));
        Lack { field, reason, nearest: nearest(name, names) }
    }
}

fn nearest<'w>(word: &str, known: impl Iterator<Item = &'w str>) -> Option<String> {
    model::nearest(word, known).map(|known| Plain(&known).to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::fixtures::{keys, level};
    use crate::level::Policies;

    fn policy(rules: &Value) -> Resource {
        let spec = json!({ "targetRefs": [{ "kind": "HTTPRoute", "name": "r" }], "rules": rules });
        let metadata = json!({ "name": "p", "namespace": "shop" });
        let policy = json!({ "metadata": metadata, "spec": spec });
        Resource::from_json(Kind::AccessPolicy, policy).unwrap()
    }

    fn told(caller: &Value, levels: &[Arc<Level>]) -> String {
        let rules = json!([{ "name": "r", "when": { "callers": [caller] } }]);
        let found = strangers(&policy(&rules), levels);
        let faults: Vec<_> = found.faults.iter().map(ToString::to_string).collect();
        faults.join("\n")
    }

    #[test]
    fn a_caller_whom_nobody_can_be_is_told_with_the_nearest_name() {
        let other =
            json!([{ "name": "others", "apiKey": { "secretRef": { "name": "other-keys" } } }]);
        let jwks = crate::jwt::tests::jwks();
        let tokens = json!([{ "name": "token", "jwt":
            { "issuer": "https://issuer.example", "audiences": ["shop"], "jwks": jwks } }]);
        let level = |methods: &Value| level([json!({ "methods": methods })]);
        let (keys, other, tokens) = (level(&keys()), level(&other), level(&tokens));
        let none = "nobody can be this caller: no";
        let above = "declared at the policy's targets or above them";
        for (caller, levels, wanted) in [
            (json!({ "apiKey": "clerk" }), vec![&keys], String::new()),
            (json!({ "apiKey": "guest" }), vec![&keys, &other], String::new()),
            (json!({}), vec![&keys], String::new()),
            (json!({}), vec![&tokens], String::new()),
            (
                json!({ "issuer": "https://issuer.example", "subject": "x" }),
                vec![&tokens],
                String::new(),
            ),
            (json!({ "claims": [{ "name": "a", "value": "b" }] }), vec![&tokens], String::new()),
            (
                json!({ "apiKey": "clerck" }),
                vec![&keys],
                ".apiKey: no key 'clerck' in Secret shop/keys; did you mean 'clerk'?".to_owned(),
            ),
            (
                json!({ "apiKey": "a\nb" }),
                vec![&keys, &other],
                ".apiKey: no key 'a\\nb' in Secret shop/keys, Secret shop/other-keys".to_owned(),
            ),
            (
                json!({ "apiKey": "clerk" }),
                vec![&tokens],
                format!(".apiKey: no key 'clerk': no apiKey method is {above}"),
            ),
            (
                json!({ "issuer": "https://isuer.example" }),
                vec![&keys, &tokens],
                ".issuer: no AuthnPolicy has the issuer 'https://isuer.example'; did you mean \
                 'https://issuer.example'?"
                    .to_owned(),
            ),
            (
                json!({ "subject": "x" }),
                vec![&keys],
                format!(": {none} jwt method of an AuthnPolicy is {above}"),
            ),
            (json!({}), vec![], format!(": {none} method of an AuthnPolicy is {above}")),
        ] {
            let levels: Vec<_> = levels.into_iter().cloned().collect();
            let place = "AccessPolicy shop/p: spec.rules[0].when.callers[0]";
            let wanted = if wanted.is_empty() { wanted } else { format!("{place}{wanted}") };
            assert_eq!(told(&caller, &levels), wanted, "{caller}");
        }
    }

    #[test]
    fn behind_the_edge_callers_are_those_of_ones_own_api_or_of_the_one_that_is_named() {
        let keyed = |api: Option<&str>| {
            let labels = api.map_or_else(|| json!({}), |api| json!({ LABEL: api }));
            let metadata = json!({ "name": "k", "namespace": "shop", "labels": labels });
            let spec = json!({ "targetRefs": [{ "kind": "HTTPRoute", "name": "r" }],
                "methods": keys() });
            let policy = json!({ "metadata": metadata, "spec": spec });
            let policy = serde_json::from_value(policy).unwrap();
            let compiled = crate::authn::compile(&policy, &crate::fixtures::Shop).unwrap();
            Arc::new(Level::Open(Policies {
                authn: vec![Arc::new(compiled)],
                ..Policies::default()
            }))
        };
        let behind = |caller: Value, level: Arc<Level>| {
            let policy = policy(&json!([{ "name": "r", "when": { "callers": [caller] } }]));
            let mut policy = policy.to_json();
            policy["metadata"]["labels"] = json!({ LABEL: "alpha" });
            policy["spec"]["targetRefs"][0]["kind"] = json!("Service");
            let policy = Resource::from_json(Kind::AccessPolicy, policy).unwrap();
            strangers(&policy, &[level]).faults.len()
        };
        let (plain, named) =
            (json!({ "apiKey": "clerk" }), json!({ "apiKey": "clerk", "api": "beta" }));
        for (caller, of, wanted) in [
            (&plain, Some("alpha"), 0),
            (&plain, None, 0),
            (&plain, Some("beta"), 1),
            (&named, Some("beta"), 0),
            (&named, Some("alpha"), 1),
            (&json!({}), Some("beta"), 1),
        ] {
            assert_eq!(behind(caller.clone(), keyed(of)), wanted, "{caller} {of:?}");
        }
    }

    #[test]
    fn under_a_level_that_could_not_be_read_nobody_can_tell() {
        let key = policy(&json!([])).key().name;
        let key = Key::new(Kind::AccessPolicy, key.clone(), key);
        assert_eq!(told(&json!({ "apiKey": "x" }), &[Arc::new(Level::Closed { key })]), "");
    }

    #[test]
    fn thousands_are_counted_and_one_in_a_deny_rule_is_not_overlooked() {
        let many: Vec<_> = (0..150).map(|n| json!({ "apiKey": format!("k{n}") })).collect();
        let mut rules = json!([{ "name": "a", "when": { "callers": many } }]);
        let found = strangers(&policy(&rules), &[]);
        assert_eq!((found.faults.len(), found.kept_out), (101, false));
        let last = "AccessPolicy shop/p: spec.rules: name 50 more callers that nobody can be";
        assert_eq!(found.faults[100].to_string(), last);
        let deny = json!({ "name": "d", "action": "Deny", "when": { "callers": [{}] } });
        rules.as_array_mut().unwrap().push(deny);
        assert!(strangers(&policy(&rules), &[]).kept_out);
    }
}
