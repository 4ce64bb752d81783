//! Sessions of browsers, known by the digest of a cookie that is nowhere else.

use crate::db::{Row, Value};
use crate::{Entry, Error, Store, audit};

/// A browser that signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// [`digest`](crate::digest()) of the cookie.
    pub id: String,
    /// The user's id.
    pub user: String,
    /// When they signed in.
    pub created: i64,
    /// When it ends.
    pub expires: i64,
    /// When it was last used.
    pub seen: i64,
    /// What the browser calls itself.
    pub agent: String,
}

impl Store {
    /// Stores a new session of a user who may sign in and still has the `password` (its hash) that
    /// was checked, and says so; whether it was done.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn session_create(
        &self,
        session: &Session,
        password: &str,
        said: &Entry,
    ) -> Result<bool, Error> {
        let insert = "INSERT INTO sessions (id, user_id, created, expires, seen, agent) \
                      SELECT $1, id, $3, $4, $5, $6 FROM users \
                      WHERE id = $2 AND disabled = 0 AND password = $7";
        let values: [Value; 7] = [
            (&session.id).into(),
            (&session.user).into(),
            session.created.into(),
            session.expires.into(),
            session.seen.into(),
            (&session.agent).into(),
            password.into(),
        ];
        Ok(audit::with(self.db.write().await?, said, insert, &values).await? > 0)
    }

    /// The session of this id, if it has not ended at `now` and its user may sign in.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn session(&self, id: &str, now: i64) -> Result<Option<Session>, Error> {
        let select = "SELECT s.id, s.user_id, s.created, s.expires, s.seen, s.agent \
            FROM sessions s JOIN users u ON u.id = s.user_id \
            WHERE s.id = $1 AND s.expires > $2 AND u.disabled = 0";
        let rows = self.db.read(select, &[id.into(), now.into()]).await?;
        rows.into_iter().next().map(read).transpose()
    }

    /// The sessions of a user, the last used first.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn session_list(&self, user: &str, now: i64) -> Result<Vec<Session>, Error> {
        let select = "SELECT id, user_id, created, expires, seen, agent FROM sessions \
                      WHERE user_id = $1 AND expires > $2 ORDER BY seen DESC, id";
        let rows = self.db.read(select, &[user.into(), now.into()]).await?;
        rows.into_iter().map(read).collect()
    }

    /// How many sessions have not ended at `now`.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn session_count(&self, now: i64) -> Result<i64, Error> {
        let select = "SELECT count(*) FROM sessions WHERE expires > $1";
        let rows = self.db.read(select, &[now.into()]).await?;
        rows.into_iter().next().map_or(Ok(0), |mut row| row.int())
    }

    /// Notes that a session is used, and until when it lasts now.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn session_touch(&self, id: &str, now: i64, expires: i64) -> Result<bool, Error> {
        let update = "UPDATE sessions SET seen = $2, expires = $3 WHERE id = $1 AND expires > $2";
        Ok(self.db.execute(update, &[id.into(), now.into(), expires.into()]).await? > 0)
    }

    /// Ends a session, and says so; whether there was one.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn session_end(&self, id: &str, said: &Entry) -> Result<bool, Error> {
        let delete = "DELETE FROM sessions WHERE id = $1";
        Ok(audit::with(self.db.write().await?, said, delete, &[id.into()]).await? > 0)
    }

    /// Forgets the sessions that have ended at `now`; how many.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn session_sweep(&self, now: i64) -> Result<u64, Error> {
        self.db.execute("DELETE FROM sessions WHERE expires <= $1", &[now.into()]).await
    }
}

fn read(mut row: Row) -> Result<Session, Error> {
    Ok(Session {
        id: row.text()?,
        user: row.text()?,
        created: row.int()?,
        expires: row.int()?,
        seen: row.int()?,
        agent: row.text()?,
    })
}
