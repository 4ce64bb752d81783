//! The secrets of which gateways' own are drawn, by which they seal sessions: sealed here, one for each day.

use model::secret::SecretBytes;

use crate::db::{Row, Tx};
use crate::seal::{RotateError, Sealed};
use crate::{Entry, Error, Store, audit};

/// One of them, without what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionSecret {
    /// UUIDv7.
    pub id: String,
    /// Since when it seals.
    pub begins: i64,
}

/// What becomes of all of them at once.
#[derive(Debug)]
pub struct Step<'s> {
    /// Those that there were when this was decided.
    pub seen: &'s [SessionSecret],
    /// The ids of those that are of no use any more.
    pub gone: &'s [String],
    /// Those that come.
    pub new: &'s [(SessionSecret, SecretBytes)],
}

/// Why a secret was not stored or not opened.
pub type SessionSecretError = RotateError;

const SELECT: &str = "SELECT id, begins FROM session_secrets ORDER BY begins, id";

impl Store {
    /// All that there are, in the order in which they seal.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn session_secret_list(&self) -> Result<Vec<SessionSecret>, Error> {
        self.db.read(SELECT, &[]).await?.into_iter().map(read).collect()
    }

    /// What one of them is; none if it is not there any more.
    ///
    /// # Errors
    /// [`SessionSecretError`] if it does not open or the database fails.
    pub async fn session_secret(
        &self,
        id: &str,
    ) -> Result<Option<SecretBytes>, SessionSecretError> {
        let select = "SELECT key_id, sealed FROM session_secrets WHERE id = $1";
        let Some(mut found) = self.db.read(select, &[id.into()]).await?.into_iter().next() else {
            return Ok(None);
        };
        let sealed = Sealed { key_id: found.text()?, bytes: found.bytes()? };
        Ok(Some(SecretBytes::new(self.keys.open_sealed(&row(id), &sealed)?)))
    }

    /// Does a step, and says so where somebody asked for it; `false`, and nothing, if they are not as they
    /// were seen. Programs that do so at once take turns by the counter's row.
    ///
    /// # Errors
    /// [`SessionSecretError`] if one cannot be sealed or the database fails.
    pub async fn session_secret_step(
        &self,
        step: &Step<'_>,
        said: Option<&Entry>,
    ) -> Result<bool, SessionSecretError> {
        let mut tx = self.db.write().await?;
        tx.execute("UPDATE counter SET revision = revision WHERE id = 1", &[]).await?;
        let held: Vec<_> =
            tx.rows(SELECT, &[]).await?.into_iter().map(read).collect::<Result<_, _>>()?;
        if held != step.seen {
            tx.rollback().await?;
            return Ok(false);
        }
        if let Some(said) = said {
            audit::say(&mut tx, std::slice::from_ref(said)).await?;
        }
        for id in step.gone {
            tx.execute("DELETE FROM session_secrets WHERE id = $1", &[id.into()]).await?;
        }
        for (one, secret) in step.new {
            self.insert_session_secret(&mut tx, one, secret).await?;
        }
        tx.commit().await?;
        Ok(true)
    }

    async fn insert_session_secret(
        &self,
        tx: &mut Tx,
        one: &SessionSecret,
        secret: &SecretBytes,
    ) -> Result<(), SessionSecretError> {
        let insert =
            "INSERT INTO session_secrets (id, begins, key_id, sealed) VALUES ($1, $2, $3, $4)";
        let Sealed { key_id, bytes } = self.keys.seal(&row(&one.id), secret.expose())?;
        let values = [(&one.id).into(), one.begins.into(), key_id.into(), bytes.into()];
        tx.execute(insert, &values).await?;
        Ok(())
    }
}

/// What a secret is bound to.
pub(crate) fn row(id: &str) -> String {
    format!("session secret\0{id}")
}

fn read(mut row: Row) -> Result<SessionSecret, Error> {
    Ok(SessionSecret { id: row.text()?, begins: row.int()? })
}
