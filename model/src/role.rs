//! Role and Grant (`heddle.dev/v1alpha1`): what may be done, and who may do it where.
//!
//! ```yaml
//! apiVersion: heddle.dev/v1alpha1
//! kind: Role
//! metadata: { name: releaser, namespace: shop }
//! spec:
//!   rules:
//!     - { kinds: [HTTPRoute], verbs: [Read] }
//!     - { kinds: [HTTPRoute], verbs: [Update], fields: ["spec.rules[].backendRefs[].weight"] }
//! ---
//! apiVersion: heddle.dev/v1alpha1
//! kind: Grant
//! metadata: { name: orders-release, namespace: shop }
//! spec:
//!   subjects: [{ team: orders }]
//!   role: releaser
//!   apis: [orders]
//! ```
//!
//! A Grant holds in the workspace of its own namespace, one of the platform everywhere.
//! It names a Role of its own namespace, of the platform, or one that is built in
//! ([`crate::access`]); or it says by `rules` of its own what it gives.

use std::collections::BTreeSet;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access::builtin;
use crate::field::FieldPath;
use crate::invalid::Checker;
use crate::{Kind, Meta, Name};

/// What may be done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// Who it is.
    pub metadata: Meta,
    /// What is wanted.
    pub spec: RoleSpec,
}

/// `spec` of a Role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RoleSpec {
    /// What people read.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 256))]
    pub title: String,
    /// What it allows; nothing is denied by a role.
    #[schemars(length(min = 1, max = 64))]
    pub rules: Vec<RoleRule>,
}

/// Verbs on kinds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RoleRule {
    /// Kinds of object; every kind where none is written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 64))]
    pub kinds: Vec<Kind>,
    /// What may be done with them.
    #[schemars(length(min = 1, max = 6))]
    pub verbs: Vec<Verb>,
    /// The fields that `Update` may change, and all that is below them; `[]` stands for every place
    /// in a list. Every field where none is written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 64))]
    pub fields: Vec<FieldPath>,
}

/// What may be done with an object.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum Verb {
    /// See it, in lists and by itself, with its history.
    Read,
    /// Make it.
    Create,
    /// Change it.
    Update,
    /// Take it away.
    Delete,
    /// Give it to another team.
    Transfer,
    /// Lead traffic by it in objects of one's own: send to a Service, select a Workload, take keys from a
    /// Secret, or come before a route on what it answers. Whoever may change all of it may do so, too.
    Use,
}

impl Verb {
    /// Every verb.
    pub const ALL: [Verb; 6] =
        [Verb::Read, Verb::Create, Verb::Update, Verb::Delete, Verb::Transfer, Verb::Use];

    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Verb::Read => "Read",
            Verb::Create => "Create",
            Verb::Update => "Update",
            Verb::Delete => "Delete",
            Verb::Transfer => "Transfer",
            Verb::Use => "Use",
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who may do what a role allows, in the workspace of the grant's namespace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// Who it is.
    pub metadata: Meta,
    /// What is wanted.
    pub spec: GrantSpec,
}

/// `spec` of a Grant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GrantSpec {
    /// Who.
    #[schemars(length(min = 1, max = 64))]
    pub subjects: Vec<Subject>,
    /// A Role of the grant's namespace, of the platform, or one that is built in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Name>,
    /// What it gives, in place of a role.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 64))]
    pub rules: Vec<RoleRule>,
    /// Only objects of these Apis; every object where none is written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 256))]
    pub apis: Vec<Name>,
}

/// A user or a team: exactly one is written.
#[derive(
    Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Subject {
    /// A user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<Name>,
    /// Every member of a team.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<Name>,
}

impl Role {
    /// Reports what the schema cannot say.
    pub fn check(&self, at: &mut Checker) {
        if builtin::role(&self.metadata.name).is_some() {
            let reason =
                format!("the role '{}' is built in; choose another name", self.metadata.name);
            at.within("metadata", |at| at.fault_in("name", reason));
        }
        at.within("spec", |at| check_rules(at, &self.spec.rules));
    }
}

fn check_rules(at: &mut Checker, rules: &[RoleRule]) {
    at.each("rules", rules, |at, rule| {
        if !rule.fields.is_empty() && !rule.verbs.contains(&Verb::Update) {
            at.fault_in("fields", "fields narrow Update, which is not among the verbs");
        }
    });
}

/// `Read, Update HTTPRoute, only spec.hostnames`.
impl fmt::Display for RoleRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |words: Vec<String>| words.join(", ");
        write!(f, "{} ", list(self.verbs.iter().map(ToString::to_string).collect()))?;
        match self.kinds.is_empty() {
            true => f.write_str("everything")?,
            false => f.write_str(&list(self.kinds.iter().map(ToString::to_string).collect()))?,
        }
        match self.fields.is_empty() {
            true => Ok(()),
            false => {
                write!(f, ", only {}", list(self.fields.iter().map(ToString::to_string).collect()))
            }
        }
    }
}

impl Grant {
    /// Reports what the schema cannot say.
    pub fn check(&self, at: &mut Checker) {
        at.within("spec", |at| {
            match (&self.spec.role, self.spec.rules.is_empty()) {
                (Some(_), true) | (None, false) => {}
                (None, true) => at.fault_in("role", "wants a role, or rules in its place"),
                (Some(_), false) => {
                    at.fault_in("rules", "stand beside a role; write one of the two")
                }
            }
            check_rules(at, &self.spec.rules);
            let mut seen = BTreeSet::new();
            at.each("subjects", &self.spec.subjects, |at, subject| {
                match (&subject.user, &subject.team) {
                    (Some(_), None) | (None, Some(_)) if seen.insert(subject) => {}
                    (Some(_), None) | (None, Some(_)) => at.fault("stands above"),
                    (None, None) => at.fault("wants a user or a team"),
                    (Some(_), Some(_)) => at.fault("wants a user or a team, not both"),
                }
            });
        });
    }
}
