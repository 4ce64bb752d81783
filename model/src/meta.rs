//! What every object says of itself: `metadata`, in Kubernetes' own shape.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Name;

/// `metadata`: who an object is. Fields that a Kubernetes API server writes are read and kept
/// where they decide something (`creationTimestamp`, `generation`) and ignored where they do not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Meta {
    /// The object's name, unique for its kind within the namespace.
    pub name: Name,
    /// The namespace; `default` where none is written.
    #[serde(default = "default_namespace")]
    pub namespace: Name,
    /// Words to select by.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Words for people and tools.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// When it was first written (RFC 3339). Older routes win ties; none counts as oldest of all.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "time::serde::rfc3339::option"
    )]
    #[schemars(
        with = "Option<String>",
        length(max = 64),
        extend("format" = "date-time", "nullable" = true)
    )]
    pub creation_timestamp: Option<time::OffsetDateTime>,
    /// Counts changes of `spec`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub generation: Option<i64>,
    /// Written by Kubernetes; ignored.
    #[serde(default, skip_serializing)]
    pub uid: Option<String>,
    /// Written by Kubernetes; ignored.
    #[serde(default, skip_serializing)]
    pub resource_version: Option<String>,
    /// Written by Kubernetes; ignored.
    #[serde(default, skip_serializing)]
    pub managed_fields: Option<serde_json::Value>,
    /// Written by Kubernetes; ignored.
    #[serde(default, skip_serializing)]
    pub owner_references: Option<serde_json::Value>,
    /// Written by Kubernetes; ignored.
    #[serde(default, skip_serializing)]
    pub generate_name: Option<String>,
    /// Written by Kubernetes; ignored.
    #[serde(default, skip_serializing)]
    pub finalizers: Option<Vec<String>>,
}

impl Meta {
    /// Bare metadata of `namespace/name`.
    pub fn new(namespace: Name, name: Name) -> Self {
        Meta {
            name,
            namespace,
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            creation_timestamp: None,
            generation: None,
            uid: None,
            resource_version: None,
            managed_fields: None,
            owner_references: None,
            generate_name: None,
            finalizers: None,
        }
    }
}

/// The namespace of an object that names none.
pub fn default_namespace() -> Name {
    Name::parse("default").expect("'default' is a name")
}
