//! Keys of issuers, as they were fetched last.

use std::ops::RangeInclusive;

use crate::db::Row;
use crate::{Entry, Error, Store, audit};

/// What is known of the keys that lie behind a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySet {
    /// Where they are fetched.
    pub url: String,
    /// When those were fetched that there are.
    pub fetched: Option<i64>,
    /// When somebody last went for them; 0 where somebody is to at once.
    pub tried: i64,
    /// How often that was in vain since they were fetched last.
    pub failures: i64,
    /// Why, the last time.
    pub fault: Option<String>,
}

impl Store {
    /// All that there are, by URL, without the keys.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn key_set_list(&self) -> Result<Vec<KeySet>, Error> {
        let select = "SELECT url, fetched, tried, failures, fault FROM key_sets ORDER BY url";
        self.db.read(select, &[]).await?.into_iter().map(read).collect()
    }

    /// The keys of one, as the text of a JWK Set.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn key_set_keys(&self, url: &str) -> Result<Option<String>, Error> {
        let select = "SELECT keys FROM key_sets WHERE url = $1";
        let rows = self.db.read(select, &[url.into()]).await?;
        rows.into_iter().next().map_or(Ok(None), |mut row| row.text_or_none())
    }

    /// Takes the turn to fetch, at `now`, what was tried last at `before`; whether nobody was quicker.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn key_set_turn(
        &self,
        url: &str,
        before: Option<i64>,
        now: i64,
    ) -> Result<bool, Error> {
        let taken = match before {
            None => {
                let insert = "INSERT INTO key_sets (url, tried, failures) VALUES ($1, $2, 0) \
                              ON CONFLICT (url) DO NOTHING";
                self.db.execute(insert, &[url.into(), now.into()]).await?
            }
            Some(before) => {
                let update = "UPDATE key_sets SET tried = $3 WHERE url = $1 AND tried = $2";
                self.db.execute(update, &[url.into(), before.into(), now.into()]).await?
            }
        };
        Ok(taken == 1)
    }

    /// Has keys fetched as soon as somebody looks, and says who wanted that; `false`, and nothing, if they were tried
    /// within `but`, or are to be fetched already.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn key_set_due(
        &self,
        url: &str,
        but: RangeInclusive<i64>,
        said: &Entry,
    ) -> Result<bool, Error> {
        let mut tx = self.db.write().await?;
        tx.execute("UPDATE counter SET revision = revision WHERE id = 1", &[]).await?;
        let update = "UPDATE key_sets SET tried = 0 \
                      WHERE url = $1 AND tried > 0 AND (tried < $2 OR tried > $3)";
        let values = [url.into(), (*but.start()).into(), (*but.end()).into()];
        let is_due = tx.execute(update, &values).await? == 1;
        if is_due {
            audit::say(&mut tx, std::slice::from_ref(said)).await?;
        }
        tx.commit().await?;
        Ok(is_due)
    }

    /// Keeps keys for which somebody went at `turn`; unless somebody went for them since, who knows better.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn key_set_keep(&self, url: &str, keys: &str, turn: i64) -> Result<(), Error> {
        let update = "UPDATE key_sets SET keys = $2, fetched = $3, failures = 0, fault = NULL \
                      WHERE url = $1 AND tried = $3";
        self.db.execute(update, &[url.into(), keys.into(), turn.into()]).await?;
        Ok(())
    }

    /// Notes why there were none to be had at `turn`, likewise; those of before stay.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn key_set_fail(&self, url: &str, fault: &str, turn: i64) -> Result<(), Error> {
        let update = "UPDATE key_sets SET failures = failures + 1, fault = $2 \
                      WHERE url = $1 AND tried = $3";
        self.db.execute(update, &[url.into(), fault.into(), turn.into()]).await?;
        Ok(())
    }

    /// Forgets a URL, unless somebody went for its keys since `tried`.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn key_set_forget(&self, url: &str, tried: i64) -> Result<(), Error> {
        let delete = "DELETE FROM key_sets WHERE url = $1 AND tried = $2";
        self.db.execute(delete, &[url.into(), tried.into()]).await?;
        Ok(())
    }
}

fn read(mut row: Row) -> Result<KeySet, Error> {
    Ok(KeySet {
        url: row.text()?,
        fetched: row.int_or_none()?,
        tried: row.int()?,
        failures: row.int()?,
        fault: row.text_or_none()?,
    })
}
