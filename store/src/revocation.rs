//! Who is shut out before their credentials end, and browsers that logged out.

use crate::db::{Row, Tx};
use crate::{Entry, Error, Store, audit, feed};

/// Somebody who is shut out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// UUIDv7.
    pub id: String,
    /// Who, as `model` writes it.
    pub whom: String,
    /// Since when.
    pub at: i64,
    /// Who did it.
    pub actor: String,
    /// Why.
    pub note: String,
    /// What was proved before this alone does not count; whatever they show where there is none.
    pub proved_before: Option<i64>,
    /// When it is over by itself, if it ever is.
    pub ends: Option<i64>,
}

/// A browser that logged out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct EndedSession {
    /// The cluster whose gateways take its session.
    pub cluster: String,
    /// What they call that.
    pub session: String,
    /// When it would have been over in any case.
    pub ends: i64,
}

impl Store {
    /// Wakes with their number after each change, or after several, of who is shut out and who logged out.
    pub fn revocations(&self) -> tokio::sync::watch::Receiver<i64> {
        self.feed.revocations()
    }

    /// The number of the last change.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn revocation_number(&self) -> Result<i64, Error> {
        let rows = self.db.read("SELECT number FROM revocation_counter WHERE id = 1", &[]).await?;
        rows.into_iter().next().map_or(Ok(0), |mut row| row.int())
    }

    /// All who are shut out, in the order in which they were; also those that are over.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn revocation_list(&self) -> Result<Vec<Revocation>, Error> {
        let select = "SELECT id, whom, at, actor, note, proved_before, ends FROM revocations \
                      ORDER BY at, id";
        self.db.read(select, &[]).await?.into_iter().map(read).collect()
    }

    /// Shuts somebody out, and says so; `false`, and nothing, if as many are as may be.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn revocation_add(
        &self,
        one: &Revocation,
        most: i64,
        said: &Entry,
    ) -> Result<bool, Error> {
        let mut tx = self.db.write().await?;
        let number = advance(&mut tx).await?;
        // Those that are over need no room.
        let over = "DELETE FROM revocations WHERE ends <= $1";
        tx.execute(over, &[one.at.into()]).await?;
        // Nodes that were forgotten take nobody's room.
        let count = "SELECT COUNT(*) FROM revocations WHERE whom NOT LIKE '{\"node\":%'";
        let count = tx.row(count, &[]).await?;
        if count.map_or(Ok(0), |mut row| row.int())? >= most {
            tx.rollback().await?;
            return Ok(false);
        }
        insert(&mut tx, one).await?;
        audit::say(&mut tx, std::slice::from_ref(said)).await?;
        self.tell_revocation(tx, number).await?;
        Ok(true)
    }

    /// Lifts one, and says so; whether there was one.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn revocation_lift(&self, id: &str, said: &Entry) -> Result<bool, Error> {
        let mut tx = self.db.write().await?;
        let number = advance(&mut tx).await?;
        if tx.execute("DELETE FROM revocations WHERE id = $1", &[id.into()]).await? == 0 {
            tx.rollback().await?;
            return Ok(false);
        }
        audit::say(&mut tx, std::slice::from_ref(said)).await?;
        self.tell_revocation(tx, number).await?;
        Ok(true)
    }

    /// Notes at `now` that sessions are over, of each cluster at most so many: of more, those go that would have
    /// been over soonest. What is noted again changes nothing.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn ended_session_add(
        &self,
        ended: &[EndedSession],
        now: i64,
        most: i64,
    ) -> Result<(), Error> {
        let mut tx = self.db.write().await?;
        let number = advance(&mut tx).await?;
        tx.execute("DELETE FROM ended_sessions WHERE ends <= $1", &[now.into()]).await?;
        let mut clusters = std::collections::BTreeSet::new();
        for EndedSession { cluster, session, ends } in ended.iter().filter(|one| one.ends > now) {
            let insert = "INSERT INTO ended_sessions (cluster, session, ends, number) \
                          VALUES ($1, $2, $3, $4) ON CONFLICT (cluster, session) DO NOTHING";
            let values = [cluster.into(), session.into(), (*ends).into(), number.into()];
            if tx.execute(insert, &values).await? > 0 {
                clusters.insert(cluster);
            }
        }
        if clusters.is_empty() {
            return tx.rollback().await;
        }
        for cluster in clusters {
            let over = "DELETE FROM ended_sessions WHERE cluster = $1 AND session IN \
                        (SELECT session FROM ended_sessions WHERE cluster = $1 \
                         ORDER BY ends DESC, session LIMIT 1000000000 OFFSET $2)";
            tx.execute(over, &[cluster.into(), most.into()]).await?;
        }
        self.tell_revocation(tx, number).await
    }

    /// The sessions that were noted behind a number, in that order, each with its own.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn ended_session_list(&self, since: i64) -> Result<Vec<(i64, EndedSession)>, Error> {
        let select = "SELECT number, cluster, session, ends FROM ended_sessions \
                      WHERE number > $1 ORDER BY number, cluster, session";
        let one = |mut row: Row| {
            let number = row.int()?;
            let (cluster, session) = (row.text()?, row.text()?);
            Ok((number, EndedSession { cluster, session, ends: row.int()? }))
        };
        self.db.read(select, &[since.into()]).await?.into_iter().map(one).collect()
    }

    /// Commits, and tells whoever follows.
    pub(crate) async fn tell_revocation(&self, mut tx: Tx, number: i64) -> Result<(), Error> {
        feed::notify(&mut tx, number).await?;
        tx.commit().await?;
        self.feed.tell_revocation(number);
        Ok(())
    }
}

/// The number of this change, which makes changes wait for each other.
pub(crate) async fn advance(tx: &mut Tx) -> Result<i64, Error> {
    let bump = "UPDATE revocation_counter SET number = number + 1 WHERE id = 1 RETURNING number";
    let row = tx.row(bump, &[]).await?;
    row.ok_or_else(|| Error::Unreadable("no counter of revocations".to_owned()))?.int()
}

pub(crate) async fn insert(tx: &mut Tx, one: &Revocation) -> Result<(), Error> {
    let insert = "INSERT INTO revocations (id, whom, at, actor, note, proved_before, ends) \
                  VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let values = [
        (&one.id).into(),
        (&one.whom).into(),
        one.at.into(),
        (&one.actor).into(),
        (&one.note).into(),
        one.proved_before.into(),
        one.ends.into(),
    ];
    tx.execute(insert, &values).await?;
    Ok(())
}

fn read(mut row: Row) -> Result<Revocation, Error> {
    Ok(Revocation {
        id: row.text()?,
        whom: row.text()?,
        at: row.int()?,
        actor: row.text()?,
        note: row.text()?,
        proved_before: row.int_or_none()?,
        ends: row.int_or_none()?,
    })
}
