//! Join tokens: what lets a new node in, so many times and until then.

use crate::db::{Row, Value};
use crate::{Entry, Error, Store, audit};

/// What lets nodes of one sort in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinToken {
    /// UUIDv7.
    pub id: String,
    /// [`digest`](crate::digest()) of its secret.
    pub hash: String,
    /// The cluster that nodes join.
    pub cluster: String,
    /// The kind of node.
    pub kind: String,
    /// The identities that it is good for.
    pub pattern: String,
    /// How many nodes may still join by it.
    pub uses_left: i64,
    /// When it was made.
    pub created: i64,
    /// When it ends.
    pub expires: i64,
    /// When it was revoked.
    pub revoked: Option<i64>,
}

impl Store {
    /// Stores a new join token, and says so.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn join_token_create(&self, token: &JoinToken, said: &Entry) -> Result<(), Error> {
        let insert = "INSERT INTO join_tokens \
            (id, hash, cluster, kind, pattern, uses_left, created, expires, revoked) \
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
        let values: [Value; 9] = [
            (&token.id).into(),
            (&token.hash).into(),
            (&token.cluster).into(),
            (&token.kind).into(),
            (&token.pattern).into(),
            token.uses_left.into(),
            token.created.into(),
            token.expires.into(),
            token.revoked.into(),
        ];
        audit::with(self.db.write().await?, said, insert, &values).await?;
        Ok(())
    }

    /// Uses up one use of the token with this hash, as it is afterwards; none if it is not good at
    /// `now`. One statement does both, so no two nodes share the last use.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn join_token_use(&self, hash: &str, now: i64) -> Result<Option<JoinToken>, Error> {
        let update = "UPDATE join_tokens SET uses_left = uses_left - 1 \
            WHERE hash = $1 AND uses_left > 0 AND expires > $2 AND revoked IS NULL \
            RETURNING id, hash, cluster, kind, pattern, uses_left, created, expires, revoked";
        let rows = self.db.returning(update, &[hash.into(), now.into()]).await?;
        rows.into_iter().next().map(read).transpose()
    }

    /// The token with this hash, whether it is good or not.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn join_token_find(&self, hash: &str) -> Result<Option<JoinToken>, Error> {
        let select = "SELECT id, hash, cluster, kind, pattern, uses_left, created, expires, \
                      revoked FROM join_tokens WHERE hash = $1";
        let rows = self.db.read(select, &[hash.into()]).await?;
        rows.into_iter().next().map(read).transpose()
    }

    /// All join tokens, oldest first.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn join_token_list(&self) -> Result<Vec<JoinToken>, Error> {
        let select = "SELECT id, hash, cluster, kind, pattern, uses_left, created, expires, \
                      revoked FROM join_tokens ORDER BY created, id";
        self.db.read(select, &[]).await?.into_iter().map(read).collect()
    }

    /// Revokes a join token at the time of `said`; whether it was not before.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn join_token_revoke(&self, id: &str, said: &Entry) -> Result<bool, Error> {
        let update = "UPDATE join_tokens SET revoked = $2 WHERE id = $1 AND revoked IS NULL";
        let values = [id.into(), said.at.into()];
        Ok(audit::with(self.db.write().await?, said, update, &values).await? > 0)
    }
}

fn read(mut row: Row) -> Result<JoinToken, Error> {
    Ok(JoinToken {
        id: row.text()?,
        hash: row.text()?,
        cluster: row.text()?,
        kind: row.text()?,
        pattern: row.text()?,
        uses_left: row.int()?,
        created: row.int()?,
        expires: row.int()?,
        revoked: row.int_or_none()?,
    })
}
