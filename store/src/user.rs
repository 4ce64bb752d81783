//! Users who sign in here; their groups and roles are resources.

use crate::db::{Row, Value};
use crate::{Entry, Error, Store, audit};

/// Somebody who may sign in.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// UUIDv7.
    pub id: String,
    /// What they sign in with; no two have the same.
    pub name: String,
    /// The hash of the password; none for whoever comes from an identity provider alone.
    pub password: Option<String>,
    /// May not sign in.
    pub disabled: bool,
    /// When they were made.
    pub created: i64,
    /// When they were last changed.
    pub updated: i64,
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("disabled", &self.disabled)
            .finish_non_exhaustive()
    }
}

impl Store {
    /// Stores a new user, and says so.
    ///
    /// # Errors
    /// [`Error::Conflict`] if the name is taken.
    pub async fn user_create(&self, user: &User, said: &Entry) -> Result<(), Error> {
        let insert = "INSERT INTO users (id, name, password, disabled, created, updated) \
                      VALUES ($1, $2, $3, $4, $5, $6)";
        let values: [Value; 6] = [
            (&user.id).into(),
            (&user.name).into(),
            user.password.clone().into(),
            user.disabled.into(),
            user.created.into(),
            user.updated.into(),
        ];
        audit::with(self.db.write().await?, said, insert, &values).await?;
        Ok(())
    }

    /// The user of this id.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn user(&self, id: &str) -> Result<Option<User>, Error> {
        let select =
            "SELECT id, name, password, disabled, created, updated FROM users WHERE id = $1";
        let rows = self.db.read(select, &[id.into()]).await?;
        rows.into_iter().next().map(read).transpose()
    }

    /// The user of this name.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn user_named(&self, name: &str) -> Result<Option<User>, Error> {
        let select =
            "SELECT id, name, password, disabled, created, updated FROM users WHERE name = $1";
        let rows = self.db.read(select, &[name.into()]).await?;
        rows.into_iter().next().map(read).transpose()
    }

    /// The users behind `after`, by name.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn user_list(&self, after: &str, limit: i64) -> Result<Vec<User>, Error> {
        let select = "SELECT id, name, password, disabled, created, updated FROM users \
                      WHERE name > $1 ORDER BY name LIMIT $2";
        let rows = self.db.read(select, &[after.into(), limit.into()]).await?;
        rows.into_iter().map(read).collect()
    }

    /// Gives a user another password, and ends their sessions: whoever knew the old one is out.
    /// Whether there is such a user; the time is that of `said`.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn user_password(&self, id: &str, hash: &str, said: &Entry) -> Result<bool, Error> {
        let update = "UPDATE users SET password = $2, updated = $3 WHERE id = $1";
        let mut tx = self.db.write().await?;
        audit::say(&mut tx, std::slice::from_ref(said)).await?;
        let changed = tx.execute(update, &[id.into(), hash.into(), said.at.into()]).await? > 0;
        tx.execute("DELETE FROM sessions WHERE user_id = $1", &[id.into()]).await?;
        if changed {
            tx.commit().await?
        } else {
            tx.rollback().await?
        }
        Ok(changed)
    }

    /// Lets a user in no more: they cannot sign in, their sessions end and their tokens are
    /// revoked. Where there are `others`, one of whom must stay, nothing is done once none of them
    /// may sign in; whether it was done.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn user_disable(
        &self,
        id: &str,
        others: Option<&[String]>,
        said: &Entry,
    ) -> Result<bool, Error> {
        let mut tx = self.db.write().await?;
        // Says it first: so two who disable each other go one after the other.
        audit::say(&mut tx, std::slice::from_ref(said)).await?;
        let mut stays = others.is_none();
        for other in others.into_iter().flatten() {
            let select = "SELECT id FROM users WHERE id = $1 AND disabled = 0";
            stays = stays || tx.row(select, &[other.into()]).await?.is_some();
        }
        if !stays {
            tx.rollback().await?;
            return Ok(false);
        }
        let (user, at) = (Value::from(id), Value::from(said.at));
        let update = "UPDATE users SET disabled = 1, updated = $2 WHERE id = $1";
        tx.execute(update, &[user.clone(), at.clone()]).await?;
        tx.execute("DELETE FROM sessions WHERE user_id = $1", &[user.clone()]).await?;
        let update = "UPDATE tokens SET revoked = $2 WHERE user_id = $1 AND revoked IS NULL";
        tx.execute(update, &[user, at]).await?;
        tx.commit().await?;
        Ok(true)
    }
}

fn read(mut row: Row) -> Result<User, Error> {
    Ok(User {
        id: row.text()?,
        name: row.text()?,
        password: row.text_or_none()?,
        disabled: row.is()?,
        created: row.int()?,
        updated: row.int()?,
    })
}
