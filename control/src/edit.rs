//! What somebody wants changed.

use model::{Invalid, Key, Resource};

/// One object's change.
#[derive(Debug, Clone, PartialEq)]
pub enum Edit {
    /// It is to be like this.
    Put {
        /// The object.
        resource: Resource,
        /// The generation that it was edited from; any, if none.
        expected: Option<i64>,
    },
    /// It is to be gone.
    Delete {
        /// Which.
        key: Key,
        /// The generation that is meant; any, if none.
        expected: Option<i64>,
    },
}

impl Edit {
    /// The object that it changes.
    pub fn key(&self) -> Key {
        match self {
            Edit::Put { resource, .. } => resource.key(),
            Edit::Delete { key, .. } => key.clone(),
        }
    }

    pub(crate) fn expected(&self) -> Option<i64> {
        match self {
            Edit::Put { expected, .. } | Edit::Delete { expected, .. } => *expected,
        }
    }

    /// What it is to be afterwards.
    pub(crate) fn after(&self) -> Option<&Resource> {
        match self {
            Edit::Put { resource, .. } => Some(resource),
            Edit::Delete { .. } => None,
        }
    }
}

/// The objects of a text of YAML or JSON documents, each to be put as it stands there.
///
/// # Errors
/// All faults of all documents, with path and line.
pub fn read(text: &str) -> Result<Vec<Edit>, Vec<Invalid>> {
    let (mut edits, mut faults) = (Vec::new(), Vec::new());
    for document in model::read(text) {
        match document.result {
            Ok(resource) => edits.push(Edit::Put { resource, expected: None }),
            Err(mut invalid) => faults.append(&mut invalid),
        }
    }
    if faults.is_empty() { Ok(edits) } else { Err(faults) }
}
