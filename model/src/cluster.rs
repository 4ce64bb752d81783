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
use serde_json::Value;

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

/// The labels of a cluster that cannot be read as a whole, as far as each can.
pub fn labels(written: Option<&Value>) -> BTreeMap<String, String> {
    let written = written.and_then(Value::as_object).into_iter().flatten();
    written.filter_map(|(label, value)| Some((label.clone(), value.as_str()?.to_owned()))).collect()
}

/// What a workspace selects by that cannot be read as a whole, `None` where nothing is written. Where any
/// of it cannot be read, it selects nothing.
pub fn selector(written: Option<&Value>) -> BTreeMap<String, String> {
    let Some(written) = written else { return BTreeMap::new() };
    let read = labels(Some(written));
    let is_whole = written.as_object().is_some_and(|all| all.len() == read.len());
    if is_whole { read } else { BTreeMap::from([NOBODYS.map(str::to_owned).into()]) }
}

/// A label that no cluster has: none is without a name.
const NOBODYS: [&str; 2] = ["", ""];

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
            let has = |(label, value): (&String, &String)| {
                !label.is_empty() && labels.get(label) == Some(value)
            };
            selector.iter().all(has)
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
