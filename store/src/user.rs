//! Users who sign in here; their groups and roles are resources.

use std::collections::BTreeSet;

use crate::db::{Row, Tx, Value, containing};
use crate::{Entry, Error, Scope, Store, access_request, audit, revision};

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

/// Who must stay when a user is let in no more.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keep {
    /// The names of users one of whom must be let in; nobody must, where there are none to name.
    pub one_of: Option<BTreeSet<String>>,
    /// Each scope that was read to decide this, and the revision it was read at.
    pub bases: Vec<(Scope, i64)>,
}

/// What came of letting a user in no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disabled {
    /// It is done.
    Done,
    /// Others changed what it was decided from: read again and decide again.
    Moved,
    /// None of those who are to stay is let in.
    Last,
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

    /// The users behind `after` who have `text` in their names, whatever the case of letters
    /// from A to Z; by name.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn user_list(&self, text: &str, after: &str, limit: i64) -> Result<Vec<User>, Error> {
        let select = "SELECT id, name, password, disabled, created, updated FROM users \
                      WHERE name > $1 AND lower(name) LIKE $3 ESCAPE '!' ORDER BY name LIMIT $2";
        let Some(pattern) = containing(text) else { return Ok(Vec::new()) };
        let values = [after.into(), limit.into(), pattern.into()];
        let rows = self.db.read(select, &values).await?;
        rows.into_iter().map(read).collect()
    }

    /// Gives a user another password, and ends their sessions: whoever knew the old one is out.
    /// Whether there is such a user who has one; the time is that of `said`.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn user_password(&self, id: &str, hash: &str, said: &Entry) -> Result<bool, Error> {
        let update = "UPDATE users SET password = $2, updated = $3 \
                      WHERE id = $1 AND password IS NOT NULL";
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

    /// Whether one of the users of these names is there and let in by a password.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn user_any(&self, names: &BTreeSet<String>) -> Result<bool, Error> {
        any_is_let_in(&mut self.db.snapshot().await?, names).await
    }

    /// Lets a user in no more: they cannot sign in, their sessions end, their tokens are revoked and
    /// what they asked for is withdrawn. Nothing is done where a scope moved from which `keep` was decided, or none of those
    /// is let in whom it names.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn user_disable(
        &self,
        id: &str,
        keep: &Keep,
        said: &Entry,
    ) -> Result<Disabled, Error> {
        let mut tx = self.db.write().await?;
        // Commits move this row first, too: so they and those who disable each other go one after
        // the other, and what is read from here on stays true.
        tx.execute("UPDATE counter SET revision = revision WHERE id = 1", &[]).await?;
        if let Some(refused) = refused(&mut tx, keep).await? {
            tx.rollback().await?;
            return Ok(refused);
        }
        audit::say(&mut tx, std::slice::from_ref(said)).await?;
        let (user, at) = (Value::from(id), Value::from(said.at));
        let update = "UPDATE users SET disabled = 1, updated = $2 WHERE id = $1";
        tx.execute(update, &[user.clone(), at.clone()]).await?;
        tx.execute("DELETE FROM sessions WHERE user_id = $1", std::slice::from_ref(&user)).await?;
        let update = "UPDATE tokens SET revoked = $2 WHERE user_id = $1 AND revoked IS NULL";
        tx.execute(update, &[user, at]).await?;
        access_request::drop_all(&mut tx, id, said).await?;
        tx.commit().await?;
        Ok(Disabled::Done)
    }
}

async fn refused(tx: &mut Tx, keep: &Keep) -> Result<Option<Disabled>, Error> {
    if !revision::moved(tx, &keep.bases).await?.is_empty() {
        return Ok(Some(Disabled::Moved));
    }
    let stays = match &keep.one_of {
        Some(names) => any_is_let_in(tx, names).await?,
        None => true,
    };
    Ok((!stays).then_some(Disabled::Last))
}

/// Whether one of the users of these names is there and let in by a password: whoever comes from a
/// login provider alone is out when that is.
pub(crate) async fn any_is_let_in(tx: &mut Tx, names: &BTreeSet<String>) -> Result<bool, Error> {
    for name in names {
        let select = "SELECT id FROM users \
                      WHERE name = $1 AND disabled = 0 AND password IS NOT NULL";
        if tx.row(select, &[name.into()]).await?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
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
