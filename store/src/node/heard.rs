//! What many nodes said, written at once.

use super::Standing;
use crate::db::Value;
use crate::{Error, Scope, Store};

/// What one node said since it was last written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Heard {
    /// The node.
    pub id: String,
    /// Its software, if it told.
    pub version: Option<String>,
    /// When it was last heard of.
    pub seen: i64,
    /// Whether it holds a connection.
    pub connected: bool,
    /// Under which roots it lives, if it told.
    pub standing: Option<Standing>,
    /// Scopes that it runs at another revision than was written: the revision, and since when.
    pub moved: Vec<(Scope, i64, i64)>,
    /// Scopes that it no longer serves.
    pub left: Vec<Scope>,
}

impl Store {
    /// Notes what nodes said, in one transaction; the ids of those that are not there any more.
    ///
    /// # Errors
    /// [`Error`] if the database fails; then nothing was noted.
    pub async fn node_heard(&self, heard: &[Heard]) -> Result<Vec<String>, Error> {
        let touch = "UPDATE nodes SET last_seen = CASE WHEN last_seen > $2 THEN last_seen ELSE $2 END, \
            connected = $3, version = COALESCE($4, version), standing = COALESCE($5, standing) \
            WHERE id = $1";
        let upsert = "INSERT INTO node_scopes (node, scope, revision, applied_at) \
            VALUES ($1, $2, $3, $4) ON CONFLICT (node, scope) DO UPDATE SET \
            revision = excluded.revision, applied_at = excluded.applied_at";
        let leave = "DELETE FROM node_scopes WHERE node = $1 AND scope = $2";
        let (mut tx, mut unknown) = (self.db.write().await?, Vec::new());
        for one in heard {
            let id = Value::from(&one.id);
            let values = [
                id.clone(),
                one.seen.into(),
                one.connected.into(),
                Value::Text(one.version.clone()),
                Value::Text(one.standing.as_ref().map(written).transpose()?),
            ];
            if tx.execute(touch, &values).await? == 0 {
                unknown.push(one.id.clone());
                continue;
            }
            for scope in &one.left {
                tx.execute(leave, &[id.clone(), scope.into()]).await?;
            }
            for (scope, revision, since) in &one.moved {
                let values = [id.clone(), scope.into(), (*revision).into(), (*since).into()];
                tx.execute(upsert, &values).await?;
            }
        }
        tx.commit().await?;
        Ok(unknown)
    }

    /// Notes that nobody holds a connection who was not heard of since `before`: a server that
    /// was killed could not say so.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn node_silent(&self, before: i64) -> Result<u64, Error> {
        let update = "UPDATE nodes SET connected = $2 WHERE last_seen < $1 AND connected <> $2";
        self.db.execute(update, &[before.into(), false.into()]).await
    }
}

fn written(standing: &Standing) -> Result<String, Error> {
    serde_json::to_string(standing).map_err(|error| Error::Unreadable(error.to_string()))
}
