//! Workspace (`heddle.dev/v1alpha1`): the border within which a team works.
//!
//! ```yaml
//! apiVersion: heddle.dev/v1alpha1
//! kind: Workspace
//! metadata: { name: shop }
//! spec:
//!   namespaces: [shop, shop-staging]   # its own name where none is written
//!   clusters: { stage: production }    # every cluster where none is written
//! ```
//!
//! An object belongs to the workspace that holds its namespace, and to the platform where none does.
//! In a new workspace nobody may call anything until a rule lets them.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::invalid::Checker;
use crate::key::platform_namespace;
use crate::{Meta, Name};

/// A workspace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Workspace {
    /// Who it is.
    pub metadata: Meta,
    /// What is wanted.
    #[serde(default)]
    pub spec: WorkspaceSpec,
}

/// `spec` of a Workspace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WorkspaceSpec {
    /// What people read.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 256))]
    pub title: String,
    /// The namespaces that are its own; the one that is called as the workspace is where none is
    /// written. A namespace is in one workspace at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub namespaces: Vec<Name>,
    /// The labels that a cluster must carry for the workspace to be there; in every cluster where none
    /// is written. Elsewhere nobody is told of it, and none of its workloads is known.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub clusters: BTreeMap<String, String>,
    /// Who may call what no rule speaks of.
    #[serde(default)]
    pub access: DefaultAccess,
    /// How much its objects may take together, where that is not what is usual. Workspaces are the
    /// platform's, so no editor of one raises it.
    #[serde(default, skip_serializing_if = "Bounds::is_usual")]
    pub bounds: Bounds,
}

/// How much the objects of a workspace may take together; the server's own bound where nothing is
/// written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Bounds {
    /// Objects of all kinds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objects: Option<u32>,
    /// HTTPRoutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub routes: Option<u32>,
    /// Hosts that Claims hold, or paths of such.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claims: Option<u32>,
    /// Bytes as stored and sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u32>,
    /// Bytes of regular expressions, once compiled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expression_bytes: Option<u32>,
    /// Matches of routes, and rules of policies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<u32>,
    /// Listeners of Gateways.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listeners: Option<u32>,
    /// Addresses of endpoints, and Workloads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<u32>,
}

impl Bounds {
    /// Whether nothing is written.
    fn is_usual(&self) -> bool {
        *self == Bounds::default()
    }
}

/// What becomes of a request that no AccessPolicy speaks of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum DefaultAccess {
    /// It is denied.
    #[default]
    Deny,
    /// It passes.
    Open,
}

impl Workspace {
    /// Its namespaces, the one of its own name where none is written.
    pub fn namespaces(&self) -> impl Iterator<Item = &Name> {
        let own = self.spec.namespaces.is_empty().then_some(&self.metadata.name);
        self.spec.namespaces.iter().chain(own)
    }

    /// Reports what the schema cannot say.
    pub fn check(&self, at: &mut Checker) {
        let platform = platform_namespace();
        if self.spec.namespaces.is_empty() && self.metadata.name == platform {
            at.within("metadata", |at| at.fault_in("name", reserved(&platform)));
        }
        let mut seen = BTreeSet::new();
        at.within("spec", |at| {
            at.each("namespaces", &self.spec.namespaces, |at, namespace| {
                if *namespace == platform {
                    at.fault(reserved(&platform));
                } else if !seen.insert(namespace) {
                    at.fault(format!("'{namespace}' stands above"));
                }
            });
        });
    }
}

fn reserved(platform: &Name) -> String {
    format!("the namespace '{platform}' is the platform's own")
}
