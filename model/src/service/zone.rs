//! Zones: where endpoints are, and whether a Service wishes that those near by are preferred.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Endpoint, Service};
use crate::workload::Workload;

/// The label by which nodes, and Workloads, say in which zone they are.
pub const ZONE_LABEL: &str = "topology.kubernetes.io/zone";

/// For whom an endpoint is meant, where whoever made the slice says so.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EndpointHints {
    /// The zones from which it is to be used; its own where none is written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub for_zones: Vec<Meant>,
    /// The nodes from which it is to be used; without effect here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub for_nodes: Vec<Meant>,
}

/// A zone or node that an endpoint is meant for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Meant {
    /// Its name.
    pub name: String,
}

impl Endpoint {
    /// The zones from which it is near: those of its hints, or its own.
    pub fn zones(&self) -> impl Iterator<Item = &str> {
        let hinted = self.hints.as_ref().map_or(&[][..], |hints| &hints.for_zones);
        let own = self.zone.as_deref().filter(|_| hinted.is_empty());
        hinted.iter().map(|meant| &*meant.name).chain(own)
    }
}

impl Workload {
    /// The zone that its label says it is in.
    pub fn zone(&self) -> Option<&str> {
        self.metadata.labels.get(ZONE_LABEL).map(String::as_str)
    }
}

impl Service {
    /// Whether it wishes that endpoints near by are preferred. Who cannot tell nodes apart takes the one of
    /// the node for that of the zone, which it falls back to.
    pub fn prefers_zone(&self) -> bool {
        let wish = self.spec.traffic_distribution.as_deref();
        matches!(wish, Some("PreferClose" | "PreferSameZone" | "PreferSameNode"))
    }
}
