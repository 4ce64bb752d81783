//! Cluster (`heddle.dev/v1alpha1`): where nodes and workloads run together, as workspaces select it.
//!
//! ```yaml
//! apiVersion: heddle.dev/v1alpha1
//! kind: Cluster
//! metadata: { name: east, labels: { stage: production } }
//! spec: { title: Frankfurt }
//! ```
//!
//! Nodes join a cluster by its name, with or without such an object; one that has none carries no
//! labels. Labels decide which workspaces are there, so they are the platform's to write.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::invalid::Checker;
use crate::{Meta, Name};

/// A cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    /// Who it is; its labels are what workspaces select by.
    pub metadata: Meta,
    /// What is known of it.
    #[serde(default)]
    pub spec: ClusterSpec,
}

/// `spec` of a Cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClusterSpec {
    /// What people read.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 256))]
    pub title: String,
}

impl Cluster {
    /// Reports what the schema cannot say.
    pub fn check(&self, at: &mut Checker) {
        if self.metadata.name.as_str().contains('.') {
            let text = "a cluster's name is one label, without dots";
            at.within("metadata", |at| at.fault_in("name", text));
        }
    }
}

/// The labels that something written asks for or carries, as far as they can be read; where one cannot,
/// none that could be asked for beside it.
pub fn labels(written: Option<&serde_json::Value>) -> BTreeMap<String, String> {
    let written = written.and_then(serde_json::Value::as_object).into_iter().flatten();
    let label = |(label, value): (&String, &serde_json::Value)| match value.as_str() {
        Some(value) => (label.clone(), value.to_owned()),
        // No cluster carries a label without a name.
        None => (String::new(), label.clone()),
    };
    written.map(label).collect()
}

/// In which clusters a workspace is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Reach {
    /// In every one, be it known or not.
    #[default]
    Everywhere,
    /// In these.
    In(BTreeSet<Name>),
}

impl Reach {
    /// The clusters that carry all labels of `selector`; every one where it asks for none.
    pub fn new<'c>(
        selector: &BTreeMap<String, String>,
        clusters: impl IntoIterator<Item = &'c Cluster>,
    ) -> Self {
        if selector.is_empty() {
            return Reach::Everywhere;
        }
        let is_meant = |cluster: &&Cluster| {
            let labels = &cluster.metadata.labels;
            selector.iter().all(|(label, value)| labels.get(label) == Some(value))
        };
        let meant = clusters.into_iter().filter(is_meant);
        Reach::In(meant.map(|cluster| cluster.metadata.name.clone()).collect())
    }

    /// Whether it is in this one.
    pub fn has(&self, cluster: &Name) -> bool {
        match self {
            Reach::Everywhere => true,
            Reach::In(clusters) => clusters.contains(cluster),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(name: &str, labels: &[(&str, &str)]) -> Cluster {
        let labels: BTreeMap<_, _> = labels.iter().copied().collect();
        serde_json::from_value(
            serde_json::json!({ "metadata": { "name": name, "labels": labels } }),
        )
        .unwrap()
    }

    #[test]
    fn a_workspace_is_where_all_its_labels_are() {
        let clusters = [
            cluster("east", &[("stage", "production"), ("region", "eu")]),
            cluster("west", &[("stage", "production")]),
            cluster("lab", &[]),
        ];
        let reach = |selector: &[(&str, &str)]| {
            let words = |(label, value): &(&str, &str)| (label.to_string(), value.to_string());
            let reach = Reach::new(&selector.iter().map(words).collect(), &clusters);
            ["east", "west", "lab", "unknown"].map(|name| reach.has(&Name::parse(name).unwrap()))
        };
        assert_eq!(reach(&[]), [true; 4]);
        assert_eq!(reach(&[("stage", "production")]), [true, true, false, false]);
        assert_eq!(
            reach(&[("stage", "production"), ("region", "eu")]),
            [true, false, false, false]
        );
        assert_eq!(reach(&[("stage", "")]), [false; 4]);
    }

    #[test]
    fn its_name_is_one_label() {
        for (name, faults) in [("east", 0), ("far.east", 1)] {
            let mut at = Checker::default();
            cluster(name, &[]).check(&mut at);
            assert_eq!(at.faults().len(), faults, "{name}");
        }
    }
}
