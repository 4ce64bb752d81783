//! What is there under a key when a commit comes to it.

use crate::commit::Write;
use crate::db::Tx;
use crate::{Error, Key, Scope, digest};

/// What is there under a key, and what was.
pub(super) struct Held {
    now: Option<Now>,
    /// The highest generation that the key ever had; 0 if it never was.
    highest: i64,
}

/// What of a resource tells whether a write changes it.
struct Now {
    generation: i64,
    digest: String,
    scope: Scope,
    owner_team: String,
    source: String,
}

impl Held {
    pub(super) async fn read(tx: &mut Tx, key: &Key) -> Result<Self, Error> {
        let now = "SELECT generation, digest, scope, owner_team, source FROM resources \
                   WHERE cluster = $1 AND kind = $2 AND namespace = $3 AND name = $4";
        let highest = "SELECT coalesce(max(generation), 0) FROM history \
                       WHERE cluster = $1 AND kind = $2 AND namespace = $3 AND name = $4";
        let now = match tx.row(now, &key.values()).await? {
            None => None,
            Some(mut row) => Some(Now {
                generation: row.int()?,
                digest: row.text()?,
                scope: crate::key::read_scope(&mut row)?,
                owner_team: row.text()?,
                source: row.text()?,
            }),
        };
        let highest = tx.row(highest, &key.values()).await?;
        Ok(Held { now, highest: highest.map_or(Ok(0), |mut row| row.int())? })
    }

    /// Its generation; none if nothing is there.
    pub(super) fn generation(&self) -> Option<i64> {
        self.now.as_ref().map(|now| now.generation)
    }

    pub(super) fn scope(&self) -> Option<Scope> {
        self.now.as_ref().map(|now| now.scope.clone())
    }

    pub(super) fn owner_team(&self) -> &str {
        self.now.as_ref().map_or("", |now| &now.owner_team)
    }

    pub(super) fn source(&self) -> &str {
        self.now.as_ref().map_or("", |now| &now.source)
    }

    /// The generation that a write makes, leaves as it is or ends; none if it deletes nothing.
    pub(super) fn generation_after(&self, write: &Write) -> Option<i64> {
        match write {
            Write::Put(_) if self.is_changed_by(write) => Some(self.highest + 1),
            Write::Put(_) | Write::Delete(_) => self.generation(),
        }
    }

    pub(super) fn is_changed_by(&self, write: &Write) -> bool {
        match (write, &self.now) {
            (Write::Put(_), None) | (Write::Delete(_), Some(_)) => true,
            (Write::Delete(_), None) => false,
            (Write::Put(put), Some(now)) => {
                now.digest != digest(put.body.as_bytes())
                    || now.scope != put.scope
                    || now.owner_team != put.owner_team
                    || now.source != put.source
            }
        }
    }
}
