//! Which namespaces a Gateway or ListenerSet picks by their labels.
//!
//! ```yaml
//! allowedRoutes:
//!   namespaces:
//!     from: Selector
//!     selector:
//!       matchLabels: { stage: production }
//!       matchExpressions:
//!         - { key: kubernetes.io/metadata.name, operator: In, values: [shop, bank] }
//! ```
//!
//! Every namespace has one label, its name, which nobody writes and so nobody can give to another. Further ones
//! are those of its [`Namespace`](crate::namespace::Namespace). Of labels that cannot be read nothing holds, not
//! even that one is not there.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::FromNamespaces;
use crate::Name;
use crate::invalid::Checker;
use crate::namespace::{Labelled, key_fault, value_fault};

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
    /// The label.
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

/// What a selector asks of one label, and what a namespace has there instead.
#[derive(Debug, Clone, Copy)]
pub struct Unmet<'a> {
    key: &'a str,
    operator: SelectorOperator,
    /// None where they are not to be told.
    values: Option<&'a [String]>,
    found: Found<'a>,
}

/// What a namespace has by a key.
#[derive(Debug, Clone, Copy)]
enum Found<'a> {
    Value(&'a str),
    Nothing,
    Untold,
}

impl NamespaceSelector {
    /// Whether it picks a namespace.
    pub fn picks(&self, namespace: Labelled<'_>) -> bool {
        self.unmet(namespace).is_none()
    }

    /// The first thing that it asks for and a namespace does not meet, if it does not pick that.
    pub fn unmet<'a>(&'a self, namespace: Labelled<'a>) -> Option<Unmet<'a>> {
        let labels = self.match_labels.iter();
        let labels =
            labels.map(|(key, value)| (&**key, SelectorOperator::In, std::slice::from_ref(value)));
        let expressions = self.match_expressions.iter();
        let expressions = expressions.map(|one| (&*one.key, one.operator, &*one.values));
        labels.chain(expressions).find_map(|(key, operator, values)| {
            let found = match namespace.label(key) {
                Ok(Some(value)) => Found::Value(value),
                Ok(None) => Found::Nothing,
                Err(_) => Found::Untold,
            };
            let unmet = Unmet { key, operator, values: Some(values), found };
            (!operator.holds(found, values)).then_some(unmet)
        })
    }

    fn check(&self, at: &mut Checker) {
        at.within("matchLabels", |at| {
            for (key, value) in &self.match_labels {
                let wrong = key_fault(key).or_else(|| value_fault(value));
                wrong.into_iter().for_each(|wrong| at.fault_in(&format!("['{key}']"), wrong));
            }
        });
        at.each("matchExpressions", &self.match_expressions, |at, one| {
            key_fault(&one.key).into_iter().for_each(|wrong| at.fault_in("key", wrong));
            at.each("values", &one.values, |at, value| {
                value_fault(value).into_iter().for_each(|wrong| at.fault(wrong));
            });
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

impl SelectorOperator {
    /// Whether it holds of what is there; nothing holds of what cannot be told.
    fn holds(self, found: Found<'_>, values: &[String]) -> bool {
        let is_in = |value| values.iter().any(|one| one == value);
        match (self, found) {
            (_, Found::Untold) => false,
            (SelectorOperator::In, Found::Value(value)) => is_in(value),
            (SelectorOperator::NotIn, Found::Value(value)) => !is_in(value),
            (SelectorOperator::Exists, Found::Value(_))
            | (SelectorOperator::NotIn | SelectorOperator::DoesNotExist, Found::Nothing) => true,
            (SelectorOperator::DoesNotExist, Found::Value(_))
            | (SelectorOperator::In | SelectorOperator::Exists, Found::Nothing) => false,
        }
    }
}

impl Unmet<'_> {
    /// The same without what is wanted of the label, for whom that is not.
    #[must_use]
    pub fn veiled(self) -> Self {
        Unmet { values: None, ..self }
    }
}

/// `wants the label 'team' to be 'shop', and the namespace has 'bank' there`
impl fmt::Display for Unmet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.values {
            Some(values) => wants(f, self.key, self.operator, values)?,
            None => write!(f, "judges by the label '{}'", self.key)?,
        }
        match self.found {
            Found::Value(value) => write!(f, ", and the namespace has '{value}' there"),
            Found::Nothing => f.write_str(", and the namespace has none of that name"),
            Found::Untold => f.write_str(", and the labels of the namespace cannot be read"),
        }
    }
}

fn wants(
    f: &mut fmt::Formatter<'_>,
    key: &str,
    operator: SelectorOperator,
    values: &[String],
) -> fmt::Result {
    let all: Vec<_> = values.iter().map(|value| format!("'{value}'")).collect();
    let all = all.join(", ");
    match (operator, values.len()) {
        (SelectorOperator::In, 1) => write!(f, "wants the label '{key}' to be {all}"),
        (SelectorOperator::In, _) => write!(f, "wants the label '{key}' to be one of {all}"),
        (SelectorOperator::NotIn, 1) => write!(f, "wants the label '{key}' not to be {all}"),
        (SelectorOperator::NotIn, _) => write!(f, "wants the label '{key}' to be none of {all}"),
        (SelectorOperator::Exists, _) => write!(f, "wants a label '{key}'"),
        (SelectorOperator::DoesNotExist, _) => write!(f, "wants no label '{key}'"),
    }
}

impl FromNamespaces {
    /// Whether what is in the namespace `own` lets what is in another one attach.
    pub(super) fn lets(
        self,
        selector: Option<&NamespaceSelector>,
        own: &Name,
        namespace: Labelled<'_>,
    ) -> bool {
        match self {
            FromNamespaces::All => true,
            FromNamespaces::Same => own == namespace.name(),
            FromNamespaces::Selector => selector.is_some_and(|one| one.picks(namespace)),
            FromNamespaces::None => false,
        }
    }

    /// What a selector asks for in vain of a namespace; none where no selector decides.
    pub(super) fn unmet<'a>(
        self,
        selector: Option<&'a NamespaceSelector>,
        namespace: Labelled<'a>,
    ) -> Option<Unmet<'a>> {
        match self {
            FromNamespaces::Selector => selector?.unmet(namespace),
            FromNamespaces::All | FromNamespaces::Same | FromNamespaces::None => None,
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
mod tests;
