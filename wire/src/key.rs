//! Keys on the wire: kinds are words, since the other side may know more kinds than we do.

use std::fmt;

use model::{Kind, Name};
use serde::{Deserialize, Serialize};

/// Names one object; ordered by kind, namespace and name, as words.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key {
    /// What it is.
    pub kind: String,
    /// The name space it lies in.
    pub namespace: String,
    /// Its name there.
    pub name: String,
}

impl Key {
    /// The key that this program knows it by; none if it does not know the kind.
    pub fn known(&self) -> Option<model::Key> {
        let name = |word: &str| Name::parse(word).ok();
        Some(model::Key::new(Kind::parse(&self.kind)?, name(&self.namespace)?, name(&self.name)?))
    }
}

impl From<&model::Key> for Key {
    fn from(key: &model::Key) -> Self {
        Key {
            kind: key.kind.as_str().to_owned(),
            namespace: key.namespace.to_string(),
            name: key.name.to_string(),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}
