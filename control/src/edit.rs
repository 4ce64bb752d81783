//! What somebody wants changed.

use model::{Invalid, Key, Resource};

/// One object's change.
#[derive(Debug, Clone, PartialEq)]
pub enum Edit {
    /// It is to be like this.
    Put {
        /// The object.
        resource: Resource,
        /// What must be there before.
        expected: Expect,
    },
    /// It is to be gone.
    Delete {
        /// Which.
        key: Key,
        /// What must be there before.
        expected: Expect,
    },
}

/// What must be there for an edit to be made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Expect {
    /// Whatever is.
    #[default]
    Any,
    /// Nothing.
    Absent,
    /// This generation.
    Generation(i64),
}

impl Expect {
    /// Whether `found`, the generation that is there, is what is expected.
    pub(crate) fn is(self, found: Option<i64>) -> bool {
        match self {
            Expect::Any => true,
            Expect::Absent => found.is_none(),
            Expect::Generation(generation) => found == Some(generation),
        }
    }

    /// The generation, where one is meant.
    pub(crate) fn generation(self) -> Option<i64> {
        match self {
            Expect::Any | Expect::Absent => None,
            Expect::Generation(generation) => Some(generation),
        }
    }
}

impl Edit {
    /// The object that it changes.
    pub fn key(&self) -> Key {
        match self {
            Edit::Put { resource, .. } => resource.key(),
            Edit::Delete { key, .. } => key.clone(),
        }
    }

    pub(crate) fn expected(&self) -> Expect {
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

/// Edits of one change.
pub(crate) const EDITS: usize = 5_000;

/// Faults that are told of one change.
const TOLD: usize = 100;

/// The first faults of many, and how many there are beyond.
pub(crate) fn told(mut faults: Vec<Invalid>) -> Vec<Invalid> {
    let more = faults.len().saturating_sub(TOLD);
    if more > 0 {
        faults.truncate(TOLD);
        let reason = format!("there are {more} faults beyond those told here");
        let (path, nearest) = (String::new(), None);
        faults.push(Invalid { key: None, path, line: None, reason, nearest });
    }
    faults
}

/// The objects of a text of YAML or JSON documents, each to be put as it stands there.
///
/// # Errors
/// All faults of all documents, with path and line.
pub fn read(text: &str) -> Result<Vec<Edit>, Vec<Invalid>> {
    let (mut edits, mut faults) = (Vec::new(), Vec::new());
    for document in model::read_bounded(text, EDITS) {
        match document.result {
            Ok(resource) => edits.push(Edit::Put { resource, expected: Expect::Any }),
            Err(mut invalid) => faults.append(&mut invalid),
        }
    }
    if faults.is_empty() { Ok(edits) } else { Err(told(faults)) }
}
