//! A new key, and everything sealed anew under it.

use super::{SealError, Sealed};
use crate::db::Tx;
use crate::{Error, Key, Store, authority, session_secret};

/// Why a rotation did not finish. What it had resealed stays so; run it again.
#[derive(Debug, thiserror::Error)]
pub enum RotateError {
    /// A value did not open, or could not be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] Error),
}

/// How many rows one transaction reseals, so that commits are not held up by a long one.
const BATCH: i64 = 100;

impl Store {
    /// Adds a key and reseals all values under it; how many there were.
    ///
    /// # Errors
    /// [`RotateError`]; a value that does not open is named and the rest is left for another run.
    pub async fn seal_rotate(&self) -> Result<u64, RotateError> {
        let newest = self.keys.add()?;
        let mut count = 0;
        loop {
            let mut tx = self.db.write().await?;
            let done = self.reseal_secrets(&mut tx, &newest).await?
                + self.reseal_authorities(&mut tx, &newest).await?
                + self.reseal_session_secrets(&mut tx, &newest).await?;
            tx.commit().await?;
            if done == 0 {
                return Ok(count);
            }
            count += done;
        }
    }

    async fn reseal_secrets(&self, tx: &mut Tx, newest: &str) -> Result<u64, RotateError> {
        let old = "SELECT cluster, kind, namespace, name, generation, key_id, sealed FROM sealed \
                   WHERE key_id <> $1 LIMIT $2";
        let new = "UPDATE sealed SET key_id = $6, sealed = $7 WHERE cluster = $1 AND kind = $2 \
                   AND namespace = $3 AND name = $4 AND generation = $5";
        let rows = tx.rows(old, &[newest.into(), BATCH.into()]).await?;
        let count = rows.len() as u64;
        for mut row in rows {
            let (key, generation) = (Key::read(&mut row)?, row.int()?);
            let sealed = Sealed { key_id: row.text()?, bytes: row.bytes()? };
            let sealed = self.resealed(&secret_row(&key, generation), &sealed)?;
            let mut values = key.values();
            values.extend([generation.into(), sealed.key_id.into(), sealed.bytes.into()]);
            tx.execute(new, &values).await?;
        }
        Ok(count)
    }

    async fn reseal_authorities(&self, tx: &mut Tx, newest: &str) -> Result<u64, RotateError> {
        let old = "SELECT id, key_id, sealed FROM authorities WHERE key_id <> $1 LIMIT $2";
        let new = "UPDATE authorities SET key_id = $2, sealed = $3 WHERE id = $1";
        self.reseal_by_id(tx, newest, (old, new), authority::row).await
    }

    async fn reseal_session_secrets(&self, tx: &mut Tx, newest: &str) -> Result<u64, RotateError> {
        let old = "SELECT id, key_id, sealed FROM session_secrets WHERE key_id <> $1 LIMIT $2";
        let new = "UPDATE session_secrets SET key_id = $2, sealed = $3 WHERE id = $1";
        self.reseal_by_id(tx, newest, (old, new), session_secret::row).await
    }

    /// Reseals rows that have an id, which `place` makes what they are bound to.
    async fn reseal_by_id(
        &self,
        tx: &mut Tx,
        newest: &str,
        (old, new): (&'static str, &'static str),
        place: fn(&str) -> String,
    ) -> Result<u64, RotateError> {
        let rows = tx.rows(old, &[newest.into(), BATCH.into()]).await?;
        let count = rows.len() as u64;
        for mut row in rows {
            let id = row.text()?;
            let sealed = Sealed { key_id: row.text()?, bytes: row.bytes()? };
            let sealed = self.resealed(&place(&id), &sealed)?;
            tx.execute(new, &[id.into(), sealed.key_id.into(), sealed.bytes.into()]).await?;
        }
        Ok(count)
    }

    fn resealed(&self, row: &str, sealed: &Sealed) -> Result<Sealed, SealError> {
        self.keys.seal(row, &self.keys.open_sealed(row, sealed)?)
    }
}

/// What a Secret's values are bound to. No name holds a NUL.
pub(crate) fn secret_row(key: &Key, generation: i64) -> String {
    let Key { cluster, kind, namespace, name } = key;
    format!("sealed\0{cluster}\0{kind}\0{namespace}\0{name}\0{generation}")
}
