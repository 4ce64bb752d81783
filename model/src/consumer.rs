//! Consumer (`heddle.dev/v1alpha1`): a program, a partner or a person that calls, by a name of its own, and what
//! proves it.
//!
//! ```yaml
//! apiVersion: heddle.dev/v1alpha1
//! kind: Consumer
//! metadata: { name: acme, namespace: shop, labels: { plan: gold } }
//! spec:
//!   keys:
//!     - name: autumn
//!       sha256: b00f626cfd725c1f4e41d677089647ac8aacd611cc20fa1b64313415efc5264a
//!       until: 2026-12-15T00:00:00Z     # until then both keys hold
//!     - name: winter
//!       sha256: 5d07b0b29ed167c9f8387b4a9ed0cda48f21d60d4f95e8059acc648adddbf04c
//!   certificates:
//!     - { name: till, dns: till.acme.example }
//! ```
//!
//! It is known where an [`AuthnPolicy`](crate::authn::AuthnPolicy) of its namespace takes consumers; one that belongs
//! to an Api, where a policy of that Api does. Of a key only the digest is written anywhere.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::api::LABEL;
use crate::invalid::Checker;
use crate::policy::TimeMatch;
use crate::{Hostname, Meta, Name};

/// A caller with a name of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Consumer {
    /// Who it is; by its labels policies pick it.
    pub metadata: Meta,
    /// What proves it.
    pub spec: ConsumerSpec,
}

/// `spec` of a Consumer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConsumerSpec {
    /// Its keys: each of them proves it, as long as that one holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub keys: Vec<ConsumerKey>,
    /// Certificates that it shows, where a listener asks for one: each that an authority of the listener signed, and
    /// that is one of these, proves it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub certificates: Vec<ConsumerCertificate>,
}

/// A key that only the consumer holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConsumerKey {
    /// What it is called, to tell it from the others.
    pub name: Name,
    /// The SHA-256 of the key, in hexadecimal digits of lower case. Who knows a digest finds a key that can be
    /// guessed, so it has to be one that was drawn, of 16 bytes at least.
    pub sha256: Sha256Sum,
    /// When it begins to hold, to the second (RFC 3339); it does so at once where nothing is written.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "time::serde::rfc3339::option"
    )]
    #[schemars(with = "Option<String>", length(max = 64), extend("format" = "date-time"))]
    pub from: Option<OffsetDateTime>,
    /// When it holds no longer, to the second (RFC 3339); it does so for ever where nothing is written.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "time::serde::rfc3339::option"
    )]
    #[schemars(with = "Option<String>", length(max = 64), extend("format" = "date-time"))]
    pub until: Option<OffsetDateTime>,
}

/// Which certificates: one of the ways to say so, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConsumerCertificate {
    /// What it is called, to tell it from the others.
    pub name: Name,
    /// The one with this SHA-256, of its DER.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Sha256Sum>,
    /// Those with this DNS name among their subject's alternative names, whichever of the listener's authorities
    /// signed them; no wildcard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns: Option<Hostname>,
    /// Those with this URI there, character for character.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub uri: Option<String>,
    /// When it begins to count, to the second (RFC 3339); it does so at once where nothing is written.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "time::serde::rfc3339::option"
    )]
    #[schemars(with = "Option<String>", length(max = 64), extend("format" = "date-time"))]
    pub from: Option<OffsetDateTime>,
    /// When it counts no longer, to the second (RFC 3339); it does so for ever where nothing is written.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "time::serde::rfc3339::option"
    )]
    #[schemars(with = "Option<String>", length(max = 64), extend("format" = "date-time"))]
    pub until: Option<OffsetDateTime>,
}

impl ConsumerCertificate {
    /// The time in which it counts.
    pub fn time(&self) -> TimeMatch {
        TimeMatch { from: self.from, until: self.until }
    }

    fn check(&self, at: &mut Checker) {
        let ways = [self.sha256.is_some(), self.dns.is_some(), self.uri.is_some()];
        if ways.into_iter().filter(|way| *way).count() != 1 {
            at.fault("is told in one way: one of sha256, dns, uri");
        }
        if self.dns.as_ref().is_some_and(|name| name.suffix().is_some()) {
            at.fault_in("dns", "is one name, not a wildcard");
        }
        if (self.from, self.until) != (None, None) {
            self.time().check(at);
        }
    }
}

/// A SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sha256Sum(pub [u8; 32]);

impl TryFrom<String> for Sha256Sum {
    type Error = String;

    /// Never tells the text, which may be a key.
    fn try_from(text: String) -> Result<Self, String> {
        let fault = "is no SHA-256 of 64 hexadecimal digits in lower case; of a key its digest stands here, \
                     never the key";
        let digit = |digit: u8| match digit {
            b'0'..=b'9' => Some(digit - b'0'),
            b'a'..=b'f' => Some(digit - b'a' + 10),
            _ => None,
        };
        let digits: Option<Vec<u8>> = text.bytes().map(digit).collect();
        let digits = digits.filter(|digits| digits.len() == 64).ok_or(fault)?;
        let mut digest = [0; 32];
        for (byte, pair) in digest.iter_mut().zip(digits.chunks(2)) {
            *byte = pair[0] << 4 | pair[1];
        }
        Ok(Sha256Sum(digest))
    }
}

impl From<Sha256Sum> for String {
    fn from(Sha256Sum(digest): Sha256Sum) -> String {
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl JsonSchema for Sha256Sum {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Sha256Sum".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "a SHA-256, in hexadecimal digits of lower case",
            "type": "string",
            "format": "sha-256",
            "maxLength": 64,
            "pattern": r"^[0-9a-f]{64}$",
        })
    }
}

impl ConsumerKey {
    /// The time in which it holds.
    pub fn time(&self) -> TimeMatch {
        TimeMatch { from: self.from, until: self.until }
    }
}

impl Consumer {
    /// Whether what belongs to the Api `of` may know it: one of an Api is that Api's alone, so that nobody who
    /// owns one Api makes up callers of another.
    pub fn is_known_to(&self, of: Option<&str>) -> bool {
        let own = self.metadata.labels.get(LABEL).map(String::as_str);
        own.is_none() || own == of
    }

    /// Reports what the schema cannot say.
    pub fn check(&self, at: &mut Checker) {
        let (mut names, mut digests) = (BTreeSet::new(), BTreeSet::new());
        at.within("spec", |at| {
            at.each("keys", &self.spec.keys, |at, key| {
                if !names.insert(&key.name) {
                    at.fault_in("name", format!("a key '{}' stands above", key.name));
                }
                if !digests.insert(key.sha256) {
                    at.fault_in("sha256", "is the digest of a key that stands above");
                }
                if (key.from, key.until) != (None, None) {
                    key.time().check(at);
                }
            });
            let (mut names, mut told) = (BTreeSet::new(), BTreeSet::new());
            at.each("certificates", &self.spec.certificates, |at, one| {
                if !names.insert(&one.name) {
                    at.fault_in("name", format!("a certificate '{}' stands above", one.name));
                }
                if !told.insert((one.sha256, one.dns.as_ref(), one.uri.as_ref())) {
                    at.fault("is told as one that stands above");
                }
                one.check(at);
            });
        });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn consumer(keys: &Value, api: Option<&str>) -> Consumer {
        let labels = api.map_or_else(|| json!({}), |api| json!({ LABEL: api }));
        let metadata = json!({ "name": "acme", "labels": labels });
        serde_json::from_value(json!({ "metadata": metadata, "spec": { "keys": keys } })).unwrap()
    }

    fn faults(keys: &Value) -> Vec<String> {
        let mut at = Checker::default();
        consumer(keys, None).check(&mut at);
        at.faults().into_iter().map(|(path, reason)| format!("{path}: {reason}")).collect()
    }

    #[test]
    fn keys_are_told_apart_and_hold_for_some_time() {
        let [one, other] = ["1", "2"].map(|digit| digit.repeat(64));
        let key = |name: &str, digest: &str| json!({ "name": name, "sha256": digest });
        assert_eq!(faults(&json!([key("a", &one), key("b", &other)])), [""; 0]);
        let told = faults(&json!([key("a", &one), key("a", &one)]));
        assert_eq!(
            told,
            [
                "spec.keys[1].name: a key 'a' stands above",
                "spec.keys[1].sha256: is the digest of a key that stands above",
            ]
        );
        let mut key = key("a", &one);
        key["from"] = json!("2026-12-01T00:00:00Z");
        key["until"] = json!("2026-12-01T00:00:00Z");
        assert_eq!(
            faults(&json!([key])),
            ["spec.keys[0].until: is no later than 'from', so that no time is meant"]
        );
    }

    #[test]
    fn a_digest_is_64_digits_of_lower_case_and_what_is_none_is_not_told() {
        let digest = "0f".repeat(32);
        let read = Sha256Sum::try_from(digest.clone()).unwrap();
        assert_eq!((read, String::from(read)), (Sha256Sum([15; 32]), digest));
        for wrong in ["0f".repeat(31), "0f".repeat(33), "0F".repeat(32), "+1".repeat(32)] {
            let fault = Sha256Sum::try_from(wrong.clone()).unwrap_err();
            assert!(!fault.contains(&wrong), "{fault}");
        }
    }

    #[test]
    fn one_of_an_api_is_that_apis_alone() {
        let (alpha, all) = (consumer(&json!([]), Some("alpha")), consumer(&json!([]), None));
        for (of, wanted) in [(Some("alpha"), true), (Some("beta"), false), (None, false)] {
            assert_eq!(alpha.is_known_to(of), wanted, "{of:?}");
            assert!(all.is_known_to(of), "{of:?}");
        }
    }
}
