//! The configuration as `/config` shows it.

use model::{Key, Resource};
use serde_json::{Value, json};

use super::fault::Fault;

/// What is in force, and what is wrong. JSON is made of it when somebody asks: that takes several times the room
/// of the objects themselves.
#[derive(Debug)]
pub(crate) struct Shown {
    /// The objects in force.
    pub(super) resources: Vec<Resource>,
    /// Those that are served in their last good form.
    pub(super) kept: Vec<Key>,
    pub(super) faults: Vec<Fault>,
}

impl Shown {
    /// All of it, secrets as digests.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "resources": self.resources.iter().map(Resource::to_json).collect::<Vec<_>>(),
            "kept": self.kept.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "faults": self.faults.iter().map(Fault::to_json).collect::<Vec<_>>(),
        })
    }
}
