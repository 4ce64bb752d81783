//! Consumers: who shows what, and whether that counts now.

use std::borrow::Cow;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use model::authn::{AuthnPolicy, CertificateSource, ConsumerSelector};
use model::consumer::{Consumer, ConsumerCertificate, Sha256Sum};
use model::{Invalid, Key, Kind};

use crate::apikey::KeyError;
use crate::authn::Declared;
use crate::facts::Certificate;
use crate::principal::Principal;
use crate::span::{Lies, Span};

/// Who has what proves them.
#[derive(Debug)]
pub(crate) struct Holders<P> {
    by: BTreeMap<P, Holder>,
    /// What they are called.
    names: BTreeSet<Box<str>>,
}

/// Who has one of these.
#[derive(Debug)]
pub(crate) enum Holder {
    One(Arc<Principal>, Span),
    /// One whom another method of the policy takes.
    Other(Arc<Principal>),
    /// Nobody can tell which of them shows it.
    Several,
}

/// The Consumers that a policy takes, and by what one of its methods picks among them.
pub(crate) struct Taken<'a> {
    policy: &'a AuthnPolicy,
    by: &'a ConsumerSelector,
    all: Vec<Arc<Consumer>>,
}

impl<'a> Taken<'a> {
    pub(crate) fn new(
        policy: &'a AuthnPolicy,
        by: &'a ConsumerSelector,
        declared: &dyn Declared,
    ) -> Self {
        let mut all = declared.consumers();
        all.retain(|one| policy.takes(one));
        Taken { policy, by, all }
    }
}

impl<P: Ord> Holders<P> {
    pub(crate) fn new() -> Self {
        Holders { by: BTreeMap::new(), names: BTreeSet::new() }
    }

    /// Somebody is called so, whether they have anything or not.
    pub(crate) fn name(&mut self, name: &str) {
        self.names.insert(name.into());
    }

    /// Gives somebody what nobody has; else who has it.
    pub(crate) fn give(
        &mut self,
        proof: P,
        principal: Arc<Principal>,
    ) -> Result<(), Arc<Principal>> {
        match self.by.entry(proof) {
            Entry::Vacant(place) => {
                place.insert(Holder::One(principal, Span::ALWAYS));
                Ok(())
            }
            Entry::Occupied(place) => match place.get() {
                Holder::One(other, _) | Holder::Other(other) => Err(Arc::clone(other)),
                Holder::Several => Ok(()),
            },
        }
    }

    /// What Consumers have, `each` of them as its field, its proof and its time. What several have whom the policy
    /// takes, be it by different methods, proves nobody, and all beside it is in force: whoever writes a Consumer
    /// hurts nobody else. It is told among `doubts`.
    pub(crate) fn of(
        taken: &Taken<'_>,
        each: impl Fn(&Consumer) -> Vec<(String, P, Span)>,
        doubts: &mut Vec<Invalid>,
    ) -> Self {
        let mut holders = Holders::new();
        for consumer in &taken.all {
            let meta = &consumer.metadata;
            let (namespace, name) = (meta.namespace.clone(), meta.name.clone());
            let principal = Arc::new(Principal::Consumer { namespace, name });
            let is_taken = taken.by.picks(taken.policy.api(), consumer);
            if is_taken {
                holders.name(meta.name.as_str());
            }
            for (_, proof, span) in each(consumer) {
                let principal = Arc::clone(&principal);
                match holders.by.entry(proof) {
                    Entry::Vacant(place) => {
                        place.insert(match is_taken {
                            true => Holder::One(principal, span),
                            false => Holder::Other(principal),
                        });
                    }
                    Entry::Occupied(mut place) => {
                        place.insert(Holder::Several);
                    }
                }
            }
        }
        for consumer in &taken.all {
            let meta = &consumer.metadata;
            for (path, proof, _) in each(consumer) {
                if let Some(Holder::Several) = holders.by.get(&proof) {
                    let key = Key::new(Kind::Consumer, meta.namespace.clone(), meta.name.clone());
                    let reason =
                        "another Consumer has the same: it proves nobody until each has its own";
                    let (key, reason) = (Some(key), reason.to_owned());
                    doubts.push(Invalid { key, path, line: None, reason, nearest: None });
                }
            }
        }
        holders
    }

    /// The names of those who have something, or could.
    pub(crate) fn names(&self) -> &BTreeSet<Box<str>> {
        &self.names
    }

    /// Who has this.
    pub(crate) fn get(&self, proof: &P) -> Option<&Holder> {
        self.by.get(proof)
    }
}

/// The certificates of one method.
pub(crate) struct Certificates(Holders<Shows<'static>>);

/// By what a certificate is known.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Shows<'a> {
    Sha256([u8; 32]),
    Dns(Cow<'a, str>),
    Uri(Cow<'a, str>),
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Certificates").field(&self.0.names).finish()
    }
}

impl Certificates {
    /// Compiles `source`, of a policy.
    pub(crate) fn compile(
        source: &CertificateSource,
        policy: &AuthnPolicy,
        declared: &dyn Declared,
        doubts: &mut Vec<Invalid>,
    ) -> Self {
        let taken = Taken::new(policy, &source.consumers, declared);
        let each = |consumer: &Consumer| {
            let all = consumer.spec.certificates.iter().enumerate();
            let all = all.filter_map(|(at, one)| {
                let path = format!("spec.certificates[{at}]");
                Some((path, Shows::by(one)?, Span::compile(&one.time())))
            });
            all.collect()
        };
        Certificates(Holders::of(&taken, each, doubts))
    }

    /// The names of the Consumers.
    pub(crate) fn names(&self) -> &BTreeSet<Box<str>> {
        &self.0.names
    }

    /// Whose a certificate is: one Consumer's, or nobody's.
    ///
    /// # Errors
    /// Why it proves nobody `now`, in seconds since 1970, though it is somebody's.
    pub(crate) fn find(
        &self,
        certificate: &Certificate,
        now: i64,
    ) -> Result<Option<Arc<Principal>>, KeyError> {
        let Certificate { sha256, dns, uris } = certificate;
        let holders: &Holders<Shows<'_>> = &self.0;
        let names = dns.iter().map(|name| Shows::Dns(Cow::Borrowed(name)));
        let shows = names.chain(uris.iter().map(|uri| Shows::Uri(Cow::Borrowed(uri))));
        let shows = [Shows::Sha256(*sha256)].into_iter().chain(shows);
        let (mut whose, mut outcome) = (None, Ok(None));
        for holder in shows.filter_map(|shows| holders.get(&shows)) {
            let (principal, span) = match holder {
                Holder::One(principal, span) => (principal, Some(span)),
                Holder::Other(principal) => (principal, None),
                Holder::Several => return Err(KeyError::Shared),
            };
            if *whose.get_or_insert(principal) != principal {
                return Err(KeyError::Shared);
            }
            let Some(span) = span else { continue };
            match span.lies(now) {
                Lies::Within => outcome = Ok(Some(Arc::clone(principal))),
                Lies::Before(from) if outcome == Ok(None) => {
                    outcome = Err(KeyError::Early { from })
                }
                Lies::Behind(until) if outcome == Ok(None) => {
                    outcome = Err(KeyError::Late { until });
                }
                Lies::Before(_) | Lies::Behind(_) => {}
            }
        }
        outcome
    }
}

impl Shows<'static> {
    fn by(one: &ConsumerCertificate) -> Option<Self> {
        let sha256 = one.sha256.map(|Sha256Sum(sum)| Shows::Sha256(sum));
        let dns = || one.dns.as_ref().map(|name| Shows::Dns(name.as_str().to_owned().into()));
        let uri = || one.uri.as_deref().map(|uri| Shows::Uri(uri.to_owned().into()));
        sha256.or_else(dns).or_else(uri)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::chain::Verdict;
    use crate::facts::Facts;
    use crate::fixtures::{Request, chain, level, reason};
    use crate::reason::Reason;

    struct Tills;

    impl Declared for Tills {
        fn secret(&self, _: &model::Name) -> Option<Arc<model::secret::Secret>> {
            None
        }

        fn consumers(&self) -> Vec<Arc<Consumer>> {
            let one = |name: &str, certificates: Value| {
                let metadata = json!({ "name": name, "namespace": "shop" });
                let spec = json!({ "certificates": certificates });
                let consumer = json!({ "metadata": metadata, "spec": spec });
                Arc::new(serde_json::from_value(consumer).unwrap())
            };
            let sum = |byte: &str| byte.repeat(32);
            let ends = "1970-01-12T13:46:40Z";
            vec![
                one(
                    "acme",
                    json!([
                        { "name": "one", "sha256": sum("01") },
                        { "name": "tills", "dns": "till.acme.example" },
                        { "name": "robots", "uri": "spiffe://acme.example/robot" },
                        { "name": "gone", "dns": "old.acme.example", "until": ends },
                    ]),
                ),
                one("globex", json!([{ "name": "one", "dns": "globex.example" }])),
                one("initech", json!([{ "name": "one", "dns": "shared.example" }])),
                one("hooli", json!([{ "name": "one", "dns": "shared.example" }])),
            ]
        }
    }

    fn certificates() -> (Certificates, Vec<String>) {
        let method = json!({ "name": "tills", "clientCertificate": { "consumers": {} } });
        let target = json!([{ "kind": "HTTPRoute", "name": "orders" }]);
        let spec = json!({ "targetRefs": target, "methods": [method] });
        let policy = json!({ "metadata": { "name": "p", "namespace": "shop" }, "spec": spec });
        let policy: AuthnPolicy = serde_json::from_value(policy).unwrap();
        let source = policy.spec.methods[0].client_certificate.as_ref().unwrap();
        let mut doubts = Vec::new();
        let made = Certificates::compile(source, &policy, &Tills, &mut doubts);
        (made, doubts.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_certificate_is_one_consumers_or_nobodys() {
        let (certificates, doubts) = certificates();
        let names = |names: &[&str]| names.iter().map(|&name| name.into()).collect();
        let (acme, nobody) = (Ok(Some("acme")), Ok(None));
        let late = Err(KeyError::Late { until: 1_000_000 });
        for (sum, dns, uris, wanted) in [
            (1, &[][..], &[][..], acme),
            (2, &["till.acme.example"], &[], acme),
            (2, &["till.acme.example", "else.example"], &[], acme),
            (2, &[], &["spiffe://acme.example/robot"], acme),
            (2, &[], &["spiffe://acme.example/Robot"], nobody),
            // All that is known of it speaks for one.
            (1, &["till.acme.example"], &["spiffe://acme.example/robot"], acme),
            (1, &["globex.example"], &[], Err(KeyError::Shared)),
            (2, &["globex.example"], &[], Ok(Some("globex"))),
            (2, &["*.acme.example", "acme.example", ""], &[], nobody),
            (2, &["old.acme.example"], &[], late),
            (2, &["old.acme.example", "till.acme.example"], &[], acme),
            (1, &["old.acme.example"], &[], acme),
            (2, &["old.acme.example", "globex.example"], &[], Err(KeyError::Shared)),
            (2, &["shared.example"], &[], Err(KeyError::Shared)),
            (1, &["shared.example"], &[], Err(KeyError::Shared)),
        ] {
            let shown = Certificate { sha256: [sum; 32], dns: names(dns), uris: names(uris) };
            let found = certificates.find(&shown, 1_000_000);
            let found = found.as_ref().map(|one| one.as_ref().and_then(|one| one.name()));
            assert_eq!(found, wanted.as_ref().map(|wanted| *wanted), "{shown:?}");
        }
        let old = Certificate { dns: names(&["old.acme.example"]), ..Certificate::default() };
        assert!(certificates.find(&old, 999_999).unwrap().is_some());
        assert_eq!(
            doubts[0],
            "Consumer shop/initech: spec.certificates[0]: another Consumer has the same: it proves \
             nobody until each has its own"
        );
        assert_eq!(doubts.len(), 2);
    }

    #[test]
    fn rules_name_whom_a_certificate_proves_and_one_of_nobody_proves_nothing() {
        let methods = json!([{ "name": "tills", "clientCertificate": { "consumers": {} } }]);
        let acme =
            json!({ "name": "a", "when": { "callers": [{ "consumer": { "name": "acme" } }] } });
        let chain = chain([level([json!({ "methods": methods, "rules": [acme] })])]);
        let request = Request::get("/");
        let acme = Certificate { sha256: [7; 32], ..Certificate::default() };
        let other = Certificate { sha256: [8; 32], ..Certificate::default() };
        for (certificate, wanted) in [
            (Some(&acme), Reason::Ok),
            (Some(&other), Reason::CredentialMissing),
            (None, Reason::CredentialMissing),
        ] {
            let facts = Facts { certificate, ..request.facts() };
            let found = match chain.uncounted(&facts, None) {
                Verdict::Pass(_) => Reason::Ok,
                Verdict::Answer(answer) => {
                    let asked: Vec<_> = answer.headers.iter().map(|(_, value)| value).collect();
                    assert_eq!(asked, ["ClientCertificate"]);
                    answer.reason
                }
            };
            assert_eq!(found, wanted, "{certificate:?}");
        }
        // What rules ask for by key, no certificate is.
        assert_eq!(reason(&chain, &request.key("acme")), Reason::CredentialMissing);
    }
}
