//! Tokens by which programs act for a user; only their hashes are here.

use crate::db::{Row, Value};
use crate::{Entry, Error, Store, audit};

/// A token of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// UUIDv7.
    pub id: String,
    /// The user's id.
    pub user: String,
    /// What the user calls it.
    pub name: String,
    /// [`digest`](crate::digest()) of the token.
    pub hash: String,
    /// What it may be used for, as `control` writes it.
    pub scopes: String,
    /// When it was made.
    pub created: i64,
    /// When it ends, if it does.
    pub expires: Option<i64>,
    /// When it was revoked.
    pub revoked: Option<i64>,
    /// When it was last used.
    pub seen: Option<i64>,
}

impl Store {
    /// Stores a new token, and says so.
    ///
    /// # Errors
    /// [`Error::Conflict`] if there is no such user.
    pub async fn token_create(&self, token: &Token, said: &Entry) -> Result<(), Error> {
        let insert = "INSERT INTO tokens \
            (id, user_id, name, hash, scopes, created, expires, revoked, seen) \
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
        let values: [Value; 9] = [
            (&token.id).into(),
            (&token.user).into(),
            (&token.name).into(),
            (&token.hash).into(),
            (&token.scopes).into(),
            token.created.into(),
            token.expires.into(),
            token.revoked.into(),
            token.seen.into(),
        ];
        audit::with(self.db.write().await?, said, insert, &values).await?;
        Ok(())
    }

    /// The token of this hash, if it is good at `now` and its user may sign in.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn token_by_hash(&self, hash: &str, now: i64) -> Result<Option<Token>, Error> {
        let select = "SELECT t.id, t.user_id, t.name, t.hash, t.scopes, t.created, t.expires, \
            t.revoked, t.seen FROM tokens t JOIN users u ON u.id = t.user_id \
            WHERE t.hash = $1 AND t.revoked IS NULL AND (t.expires IS NULL OR t.expires > $2) \
            AND u.disabled = 0";
        let rows = self.db.read(select, &[hash.into(), now.into()]).await?;
        rows.into_iter().next().map(read).transpose()
    }

    /// The tokens of a user, also those that are no longer good; oldest first.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn token_list(&self, user: &str) -> Result<Vec<Token>, Error> {
        let select = "SELECT id, user_id, name, hash, scopes, created, expires, revoked, seen \
                      FROM tokens WHERE user_id = $1 ORDER BY created, id";
        self.db.read(select, &[user.into()]).await?.into_iter().map(read).collect()
    }

    /// Notes that a token is used.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn token_touch(&self, id: &str, now: i64) -> Result<(), Error> {
        let update = "UPDATE tokens SET seen = $2 WHERE id = $1";
        self.db.execute(update, &[id.into(), now.into()]).await?;
        Ok(())
    }

    /// Revokes a token for good at the time of `said`; whether it was good before.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn token_revoke(&self, id: &str, said: &Entry) -> Result<bool, Error> {
        let update = "UPDATE tokens SET revoked = $2 WHERE id = $1 AND revoked IS NULL";
        let values = [id.into(), said.at.into()];
        Ok(audit::with(self.db.write().await?, said, update, &values).await? > 0)
    }
}

fn read(mut row: Row) -> Result<Token, Error> {
    Ok(Token {
        id: row.text()?,
        user: row.text()?,
        name: row.text()?,
        hash: row.text()?,
        scopes: row.text()?,
        created: row.int()?,
        expires: row.int_or_none()?,
        revoked: row.int_or_none()?,
        seen: row.int_or_none()?,
    })
}
