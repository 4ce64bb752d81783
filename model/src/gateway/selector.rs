//! Which namespaces a Gateway or ListenerSet picks by their labels.
//!
//! ```yaml
//! allowedRoutes:
//!   namespaces:
//!     from: Selector
//!     selector:
//!       matchExpressions:
//!         - { key: kubernetes.io/metadata.name, operator: In, values: [shop, bank] }
//! ```
//!
//! Every namespace has one label, its name, which nobody writes and so nobody can give to another. Other labels
//! are not known here: whoever could write them would say who may attach to whose Gateway.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::FromNamespaces;
use crate::Name;
use crate::invalid::Checker;

/// The label that every namespace has: its name.
const NAME: &str = "kubernetes.io/metadata.name";
const ONE_LABEL: &str = "this version knows one label of namespaces, \
                         'kubernetes.io/metadata.name', which is the name of each";

/// Labels that a namespace must have; an empty one picks every namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NamespaceSelector {
    /// Labels with these values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: BTreeMap<String, String>,
    /// What else is to hold of labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub match_expressions: Vec<NamespaceExpression>,
}

/// What is to hold of one label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NamespaceExpression {
    /// The label: `kubernetes.io/metadata.name`.
    pub key: String,
    /// How it is compared.
    pub operator: SelectorOperator,
    /// With what, for `In` and `NotIn`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

/// How a label is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SelectorOperator {
    /// It is one of the values.
    In,
    /// It is none of them.
    NotIn,
    /// It is there.
    Exists,
    /// It is not.
    DoesNotExist,
}

impl NamespaceSelector {
    /// Whether it picks a namespace; none where it asks for a label that is not known.
    pub fn picks(&self, namespace: &Name) -> bool {
        let is_called = |value: &String| value == namespace.as_str();
        let labels = self.match_labels.iter().all(|(key, value)| key == NAME && is_called(value));
        labels
            && self.match_expressions.iter().all(|one| {
                let is_in = one.values.iter().any(is_called);
                let holds = match one.operator {
                    SelectorOperator::In => is_in,
                    SelectorOperator::NotIn => !is_in,
                    SelectorOperator::Exists => true,
                    SelectorOperator::DoesNotExist => false,
                };
                one.key == NAME && holds
            })
    }

    fn check(&self, at: &mut Checker) {
        at.within("matchLabels", |at| {
            for key in self.match_labels.keys().filter(|key| *key != NAME) {
                at.fault_in(&format!("['{key}']"), ONE_LABEL);
            }
        });
        at.each("matchExpressions", &self.match_expressions, |at, one| {
            if one.key != NAME {
                at.fault_in("key", ONE_LABEL);
            }
            match (one.operator, one.values.is_empty()) {
                (SelectorOperator::In | SelectorOperator::NotIn, true) => {
                    at.fault_in("values", "In and NotIn want one value at least");
                }
                (SelectorOperator::Exists | SelectorOperator::DoesNotExist, false) => {
                    at.fault_in("values", "Exists and DoesNotExist want no value");
                }
                (SelectorOperator::In | SelectorOperator::NotIn, false)
                | (SelectorOperator::Exists | SelectorOperator::DoesNotExist, true) => {}
            }
        });
    }
}

impl FromNamespaces {
    /// Whether what is in the namespace `own` lets what is in another one attach.
    pub(super) fn lets(
        self,
        selector: Option<&NamespaceSelector>,
        own: &Name,
        namespace: &Name,
    ) -> bool {
        match self {
            FromNamespaces::All => true,
            FromNamespaces::Same => own == namespace,
            FromNamespaces::Selector => selector.is_some_and(|one| one.picks(namespace)),
            FromNamespaces::None => false,
        }
    }

    /// Reports what a selector says that cannot be, and that it goes with one word alone.
    pub(super) fn check(self, selector: Option<&NamespaceSelector>, at: &mut Checker) {
        match (self, selector) {
            (FromNamespaces::Selector, None) => {
                at.fault_in("selector", "'from: Selector' wants one");
            }
            (FromNamespaces::Selector, Some(selector)) => {
                at.within("selector", |at| selector.check(at));
            }
            (FromNamespaces::All | FromNamespaces::Same | FromNamespaces::None, Some(_)) => {
                at.fault_in("selector", "goes with 'from: Selector' alone");
            }
            (FromNamespaces::All | FromNamespaces::Same | FromNamespaces::None, None) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picks(text: &str) -> [bool; 2] {
        let selector: NamespaceSelector = serde_json::from_str(text).unwrap();
        ["shop", "bank"].map(|name| selector.picks(&Name::parse(name).unwrap()))
    }

    #[test]
    fn all_that_a_selector_says_holds_of_what_it_picks() {
        let name = |operator: &str, values: &str| {
            format!(
                r#"{{"matchExpressions": [{{"key": "kubernetes.io/metadata.name",
                    "operator": "{operator}"{values}}}]}}"#
            )
        };
        for (text, wanted) in [
            ("{}".to_owned(), [true, true]),
            (r#"{"matchLabels": {"kubernetes.io/metadata.name": "shop"}}"#.into(), [true, false]),
            (name("In", r#", "values": ["shop", "x"]"#), [true, false]),
            (name("NotIn", r#", "values": ["shop", "x"]"#), [false, true]),
            (name("Exists", ""), [true, true]),
            (name("DoesNotExist", ""), [false, false]),
            // Such are refused; what is not known opens nothing all the same.
            (r#"{"matchLabels": {"team": "shop"}}"#.into(), [false, false]),
            (name("NotIn", r#", "values": ["x"]"#).replace("name\"", "x\""), [false, false]),
            (
                r#"{"matchLabels": {"kubernetes.io/metadata.name": "shop"}, "matchExpressions":
                    [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["bank"]}]}"#
                    .into(),
                [false, false],
            ),
        ] {
            assert_eq!(picks(&text), wanted, "{text}");
        }
    }
}
