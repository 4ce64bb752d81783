//! Namespace (`v1`): the labels of a namespace, by which selectors of Gateways pick it.
//!
//! ```yaml
//! apiVersion: v1
//! kind: Namespace
//! metadata: { name: shop, labels: { team: shop, stage: production } }
//! ```
//!
//! A namespace is there with or without such an object; one that has none carries no label but its name,
//! `kubernetes.io/metadata.name`, which is what it is called whatever an object says.
//! Labels decide who attaches to the Gateways of others, so they are the platform's to write.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize};

use crate::invalid::Checker;
use crate::{Key, Kind, Meta, Name};

/// The label that every namespace has: its name.
pub const NAME: &str = "kubernetes.io/metadata.name";

/// The labels of a namespace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Namespace {
    /// Which namespace it is; its labels are what selectors pick by.
    pub metadata: Meta,
    /// Written by Kubernetes; ignored.
    #[serde(default, skip_serializing)]
    pub spec: NamespaceSpec,
}

/// `spec` of a Namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NamespaceSpec {
    /// Written by Kubernetes; ignored.
    #[serde(default, skip_serializing, deserialize_with = "passed_over")]
    #[schemars(with = "Vec<String>")]
    pub finalizers: (),
}

/// Reads what says nothing here.
fn passed_over<'de, D: Deserializer<'de>>(from: D) -> Result<(), D::Error> {
    IgnoredAny::deserialize(from).map(drop)
}

impl Namespace {
    /// The key under which the labels of a namespace stand.
    pub fn key(namespace: &Name) -> Key {
        Key::new(Kind::Namespace, Kind::Namespace.default_namespace(), namespace.clone())
    }

    /// Reports what the schema cannot say.
    pub fn check(&self, at: &mut Checker) {
        let name = &self.metadata.name;
        at.within("metadata.labels", |at| {
            for (key, value) in &self.metadata.labels {
                let is_another = key == NAME && value != name.as_str();
                let another = is_another.then(|| {
                    format!("is the name of the namespace, '{name}'; say that, or leave it out")
                });
                let wrong = key_fault(key).or_else(|| value_fault(value)).or(another);
                wrong.into_iter().for_each(|wrong| at.fault_in(&format!("['{key}']"), wrong));
            }
        });
    }
}

/// A namespace as selectors look at it.
#[derive(Debug, Clone, Copy)]
pub struct Labelled<'a> {
    name: &'a Name,
    labels: Labels<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Labels<'a> {
    /// Nobody wrote any.
    Bare,
    Written(&'a BTreeMap<String, String>),
    /// Some are written, and cannot be read.
    Untold,
}

/// The labels of a namespace are written and cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Untold;

impl<'a> Labelled<'a> {
    /// A namespace of which there is no object.
    pub fn bare(name: &'a Name) -> Self {
        Labelled { name, labels: Labels::Bare }
    }

    /// The namespace of this object.
    pub fn by(object: &'a Namespace) -> Self {
        Labelled { name: &object.metadata.name, labels: Labels::Written(&object.metadata.labels) }
    }

    /// A namespace whose object cannot be read.
    pub fn untold(name: &'a Name) -> Self {
        Labelled { name, labels: Labels::Untold }
    }

    /// What it is called.
    pub fn name(&self) -> &'a Name {
        self.name
    }

    /// The value of a label, if it has that.
    pub(crate) fn label(&self, key: &str) -> Result<Option<&'a str>, Untold> {
        match self.labels {
            _ if key == NAME => Ok(Some(self.name.as_str())),
            Labels::Bare => Ok(None),
            Labels::Written(labels) => Ok(labels.get(key).map(String::as_str)),
            Labels::Untold => Err(Untold),
        }
    }
}

/// Why this is no key of a label, if it is none: a name, or a prefix that is a DNS name, a slash and a name.
pub(crate) fn key_fault(key: &str) -> Option<String> {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    if let Some(prefix) = prefix.filter(|prefix| Name::parse(prefix).is_err()) {
        return Some(format!(
            "'{prefix}' before the slash is no DNS name: lower-case letters, digits, '-' and '.', \
             beginning and ending with a letter or digit, 1 to 253 long"
        ));
    }
    let is_name = !name.is_empty() && is_word(name);
    (!is_name).then(|| format!("'{name}' is no name of a label: {WORD}, 1 to 63 long"))
}

/// Why this is no value of a label, if it is none.
pub(crate) fn value_fault(value: &str) -> Option<String> {
    (!is_word(value)).then(|| format!("'{value}' is no value of a label: {WORD}, at most 63 long"))
}

const WORD: &str = "letters, digits, '-', '_' and '.', beginning and ending with a letter or digit";

/// Whether it is empty, or what names and values of labels are made of.
fn is_word(word: &str) -> bool {
    let is_end = |byte: Option<&u8>| byte.is_none_or(u8::is_ascii_alphanumeric);
    let bytes = word.as_bytes();
    let is_one = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    bytes.len() <= 63 && is_end(bytes.first()) && is_end(bytes.last()) && bytes.iter().all(is_one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values_of_labels_are_as_kubernetes_has_them() {
        let (long, longer) = ("a".repeat(63), "a".repeat(64));
        let subdomain = [&*long, &long, &long, &"a".repeat(61)].join(".");
        for (key, is_key) in [
            ("team", true),
            ("Team_of.Shops-1", true),
            (&long, true),
            (&longer, false),
            ("", false),
            ("-team", false),
            ("team.", false),
            ("te am", false),
            ("straße", false),
            ("example.com/team", true),
            (&format!("{subdomain}/{long}"), true),
            (&format!("{subdomain}a/{long}"), false),
            ("Example.com/team", false),
            ("example_com/team", false),
            ("/team", false),
            ("example.com/", false),
            ("example.com/shop/team", false),
        ] {
            assert_eq!(key_fault(key).is_none(), is_key, "{key}");
        }
        for (value, is_value) in [
            ("", true),
            ("v1.2_Beta-3", true),
            (&long, true),
            (&longer, false),
            (".a", false),
            ("a-", false),
            ("a/b", false),
            ("a b", false),
        ] {
            assert_eq!(value_fault(value).is_none(), is_value, "{value}");
        }
    }
}
