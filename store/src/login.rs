//! Browsers that went to a login provider, each taken back once and for a while alone.

use crate::db::{Row, Value};
use crate::{Error, Store};

/// A browser that went to a login provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// [`digest`](crate::digest()) of the state that comes back with it.
    pub id: String,
    /// [`digest`](crate::digest()) of the cookie by which it is the same browser.
    pub browser: String,
    /// To which provider.
    pub provider: String,
    /// Scheme and host under which it reached the server.
    pub origin: String,
    /// Where it goes once it is back: a path.
    pub wanted: String,
    /// When it went.
    pub created: i64,
    /// Until when it is taken back.
    pub expires: i64,
}

impl Store {
    /// Stores a login, and forgets those that have ended by then, and the oldest beyond `most`.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn login_create(&self, login: &Login, most: i64) -> Result<(), Error> {
        let mut tx = self.db.write().await?;
        tx.execute("DELETE FROM logins WHERE expires <= $1", &[login.created.into()]).await?;
        let insert = "INSERT INTO logins \
                      (id, browser, provider, origin, wanted, created, expires) \
                      VALUES ($1, $2, $3, $4, $5, $6, $7)";
        let values: [Value; 7] = [
            (&login.id).into(),
            (&login.browser).into(),
            (&login.provider).into(),
            (&login.origin).into(),
            (&login.wanted).into(),
            login.created.into(),
            login.expires.into(),
        ];
        tx.execute(insert, &values).await?;
        let held = tx.row("SELECT count(*) FROM logins", &[]).await?;
        let over = held.map_or(Ok(0), |mut row| row.int())? - most;
        if over > 0 {
            let delete = "DELETE FROM logins WHERE id IN \
                          (SELECT id FROM logins ORDER BY created, id LIMIT $1)";
            tx.execute(delete, &[over.into()]).await?;
        }
        tx.commit().await
    }

    /// Takes the login of this id out, if it is of this browser and has not ended at `now`: so nobody
    /// takes it twice, and no other browser takes it away.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn login_take(
        &self,
        id: &str,
        browser: &str,
        now: i64,
    ) -> Result<Option<Login>, Error> {
        let delete = "DELETE FROM logins WHERE id = $1 AND browser = $2 AND expires > $3 \
                      RETURNING id, browser, provider, origin, wanted, created, expires";
        let rows = self.db.returning(delete, &[id.into(), browser.into(), now.into()]).await?;
        rows.into_iter().next().map(read).transpose()
    }
}

fn read(mut row: Row) -> Result<Login, Error> {
    Ok(Login {
        id: row.text()?,
        browser: row.text()?,
        provider: row.text()?,
        origin: row.text()?,
        wanted: row.text()?,
        created: row.int()?,
        expires: row.int()?,
    })
}
