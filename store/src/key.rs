//! How the store names a resource, and reads the scope that it belongs to.

use std::fmt;

use model::Scope;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::db::{Row, Value, unreadable};

/// Names one resource of the installation: cluster, kind, namespace, name; ordered in that order.
///
/// Kinds are text here: a store may hold one that this program does not enforce.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key {
    /// The cluster, or the hub.
    pub cluster: String,
    /// The word in the field `kind`.
    pub kind: String,
    /// The name space it lies in.
    pub namespace: String,
    /// Its name there.
    pub name: String,
}

impl Key {
    /// The key of `key` in `cluster`.
    pub fn new(cluster: &str, key: &model::Key) -> Self {
        Key {
            cluster: cluster.to_owned(),
            kind: key.kind.as_str().to_owned(),
            namespace: key.namespace.as_str().to_owned(),
            name: key.name.as_str().to_owned(),
        }
    }

    /// From the four columns of a row.
    pub(crate) fn read(row: &mut Row) -> Result<Self, Error> {
        Ok(Key {
            cluster: row.text()?,
            kind: row.text()?,
            namespace: row.text()?,
            name: row.text()?,
        })
    }

    /// The four columns, in the order of every table that has them.
    pub(crate) fn values(&self) -> Vec<Value> {
        [&self.cluster, &self.kind, &self.namespace, &self.name].map(Value::from).into()
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}/{}", self.cluster, self.kind, self.namespace, self.name)
    }
}

/// The scope in the next column of a row.
pub(crate) fn read_scope(row: &mut Row) -> Result<Scope, Error> {
    let word = row.text()?;
    Scope::try_from(word).map_err(|wrong| unreadable(&wrong))
}

impl From<&Scope> for Value {
    fn from(scope: &Scope) -> Self {
        Value::Text(Some(scope.to_string()))
    }
}
