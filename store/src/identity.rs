//! Who comes from a login provider: known by what the provider calls them, whatever their name here.

use std::collections::{BTreeMap, BTreeSet};

use crate::db::{Row, Value};
use crate::session::Session;
use crate::user::User;
use crate::{Entry, Error, Store, audit};

/// A user as a provider knows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The provider's name.
    pub provider: String,
    /// The issuer that it had.
    pub issuer: String,
    /// What it calls them, for ever.
    pub subject: String,
    /// The user's id.
    pub user: String,
    /// The groups that it said last.
    pub groups: BTreeSet<String>,
    /// When they first signed in.
    pub created: i64,
    /// When they last did.
    pub seen: i64,
}

impl Store {
    /// Stores a new user and who they are to their provider, and says so.
    ///
    /// # Errors
    /// [`Error::Conflict`] if the name is taken, or the provider's subject is another user already.
    pub async fn identity_create(
        &self,
        user: &User,
        identity: &Identity,
        said: &Entry,
    ) -> Result<(), Error> {
        let mut tx = self.db.write().await?;
        audit::say(&mut tx, std::slice::from_ref(said)).await?;
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
        tx.execute(insert, &values).await?;
        let insert = "INSERT INTO identities \
                      (provider, issuer, subject, user_id, told, created, seen) \
                      VALUES ($1, $2, $3, $4, $5, $6, $7)";
        let values: [Value; 7] = [
            (&identity.provider).into(),
            (&identity.issuer).into(),
            (&identity.subject).into(),
            (&user.id).into(),
            told(&identity.groups).into(),
            identity.created.into(),
            identity.seen.into(),
        ];
        tx.execute(insert, &values).await?;
        tx.commit().await
    }

    /// Who a provider's subject is here.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn identity(
        &self,
        provider: &str,
        issuer: &str,
        subject: &str,
    ) -> Result<Option<Identity>, Error> {
        let select = "SELECT provider, issuer, subject, user_id, told, created, seen \
                      FROM identities WHERE provider = $1 AND issuer = $2 AND subject = $3";
        let rows = self.db.read(select, &[provider.into(), issuer.into(), subject.into()]).await?;
        rows.into_iter().next().map(read).transpose()
    }

    /// Who a user is to their provider; none for a user of this server alone.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn identity_of(&self, user: &str) -> Result<Option<Identity>, Error> {
        let select = "SELECT provider, issuer, subject, user_id, told, created, seen \
                      FROM identities WHERE user_id = $1";
        let rows = self.db.read(select, &[user.into()]).await?;
        rows.into_iter().next().map(read).transpose()
    }

    /// How many users came by each provider.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn identity_counts(&self) -> Result<BTreeMap<String, i64>, Error> {
        let select = "SELECT provider, count(*) FROM identities GROUP BY provider";
        let rows = self.db.read(select, &[]).await?;
        rows.into_iter().map(|mut row| Ok((row.text()?, row.int()?))).collect()
    }

    /// Keeps the groups that a provider says now and stores a new session of its user, and says so;
    /// nothing is done, and false the answer, where the user may not sign in.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn identity_enter(
        &self,
        identity: &Identity,
        session: &Session,
        said: &Entry,
    ) -> Result<bool, Error> {
        let mut tx = self.db.write().await?;
        audit::say(&mut tx, std::slice::from_ref(said)).await?;
        let update = "UPDATE identities SET told = $5, seen = $6 WHERE provider = $1 \
                      AND issuer = $2 AND subject = $3 AND user_id = $4";
        let values: [Value; 6] = [
            (&identity.provider).into(),
            (&identity.issuer).into(),
            (&identity.subject).into(),
            (&identity.user).into(),
            told(&identity.groups).into(),
            identity.seen.into(),
        ];
        let known = tx.execute(update, &values).await? > 0;
        let insert = "INSERT INTO sessions (id, user_id, created, expires, seen, agent) \
                      SELECT $1, id, $3, $4, $5, $6 FROM users WHERE id = $2 AND disabled = 0";
        let values: [Value; 6] = [
            (&session.id).into(),
            (&identity.user).into(),
            session.created.into(),
            session.expires.into(),
            session.seen.into(),
            (&session.agent).into(),
        ];
        let entered = known && tx.execute(insert, &values).await? > 0;
        if entered {
            tx.commit().await?
        } else {
            tx.rollback().await?
        }
        Ok(entered)
    }
}

fn told(groups: &BTreeSet<String>) -> String {
    serde_json::to_string(groups).expect("a list of texts is JSON")
}

fn read(mut row: Row) -> Result<Identity, Error> {
    Ok(Identity {
        provider: row.text()?,
        issuer: row.text()?,
        subject: row.text()?,
        user: row.text()?,
        // What cannot be read is no group: it gives nothing.
        groups: serde_json::from_str(&row.text()?).unwrap_or_default(),
        created: row.int()?,
        seen: row.int()?,
    })
}
