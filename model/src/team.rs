//! Team (`heddle.dev/v1alpha1`): people who own things together.
//!
//! ```yaml
//! apiVersion: heddle.dev/v1alpha1
//! kind: Team
//! metadata: { name: orders }
//! spec:
//!   members: [alice, bob]
//!   groups: [{ provider: corp, name: orders-developers }]
//! ```

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::invalid::Checker;
use crate::{Meta, Name};

/// A team.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Team {
    /// Who it is.
    pub metadata: Meta,
    /// What is wanted.
    #[serde(default)]
    pub spec: TeamSpec,
}

/// `spec` of a Team.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TeamSpec {
    /// What people read.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 256))]
    pub title: String,
    /// Where to write to them.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 256))]
    pub contact: String,
    /// Users, by the names that they log in with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    pub members: Vec<Name>,
    /// Groups at login providers, whose members are the team's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub groups: Vec<GroupRef>,
}

/// A group as a login provider names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GroupRef {
    /// The provider's name.
    pub provider: Name,
    /// The group's name there.
    #[schemars(length(min = 1, max = 256))]
    pub name: String,
}

impl Team {
    /// Reports what the schema cannot say.
    pub fn check(&self, at: &mut Checker) {
        at.within("spec", |at| {
            let mut seen = BTreeSet::new();
            at.each("members", &self.spec.members, |at, member| {
                if !seen.insert(member) {
                    at.fault(format!("'{member}' stands above"));
                }
            });
            let mut seen = BTreeSet::new();
            at.each("groups", &self.spec.groups, |at, group| {
                if !seen.insert(group) {
                    at.fault(format!("'{}' of '{}' stands above", group.name, group.provider));
                }
            });
        });
    }
}
