//! Walking the chain from the first row, against what the tables hold now.

use super::{Head, Record, changes, read, read_head};
use crate::db::Tx;
use crate::{Error, Store, digest};

/// What a walk to the end of the chain saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Where it ends.
    pub head: Head,
    /// How many rows of history it covers.
    pub history: i64,
}

/// The first thing that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("audit row {seq}{}: {what}", revision.map_or(String::new(), |r| format!(" (revision {r})")))]
pub struct Fault {
    /// The row of the audit where it shows.
    pub seq: i64,
    /// The revision concerned, if it is one.
    pub revision: Option<i64>,
    /// What differs.
    pub what: String,
}

/// Rows that are held at a time.
const PAGE: i64 = 500;

impl Store {
    /// Walks the whole chain within one snapshot.
    ///
    /// # Errors
    /// [`Error`] if the database fails; what the walk found wrong is its value.
    pub async fn audit_verify(&self) -> Result<Result<Verified, Fault>, Error> {
        let mut tx = self.db.snapshot().await?;
        let mut walk = Walk { at: Head::default(), history: 0 };
        loop {
            let select = "SELECT seq, at, actor, verb, object, outcome, revision, detail, \
                          changes, previous, hash FROM audit WHERE seq > $1 \
                          ORDER BY seq LIMIT $2";
            let rows = tx.rows(select, &[walk.at.seq.into(), PAGE.into()]).await?;
            if rows.is_empty() {
                break;
            }
            for row in rows {
                let record = read(row)?;
                if let Some(fault) = walk.step(&mut tx, record).await? {
                    return Ok(Err(fault));
                }
            }
        }
        walk.end(&mut tx).await
    }
}

/// How far the walk is.
struct Walk {
    at: Head,
    history: i64,
}

impl Walk {
    async fn step(&mut self, tx: &mut Tx, record: Record) -> Result<Option<Fault>, Error> {
        let expected = self.at.seq + 1;
        if record.seq != expected {
            return Ok(Some(fault(expected, None, "the row is not there")));
        }
        let here = |what: &str| Ok(Some(fault(record.seq, record.revision, what)));
        if record.previous != self.at.hash {
            return here("it does not follow the row before it");
        }
        if record.hash != record.computed_hash() {
            return here("its fields are not those that were written");
        }
        if let Some(revision) = record.revision.filter(|_| !record.changes.is_empty()) {
            if let Some(key) = self.bodies(tx, revision).await? {
                return here(&format!("the history of {key} has another body than its digest"));
            }
            if changes(tx, revision).await? != record.changes {
                return here("what this revision wrote is not as it was");
            }
        }
        self.at = Head { seq: record.seq, hash: record.hash };
        Ok(None)
    }

    /// The key of the first history row whose body has another digest.
    async fn bodies(&mut self, tx: &mut Tx, revision: i64) -> Result<Option<String>, Error> {
        let select = "SELECT kind, namespace, name, digest, body FROM history \
                      WHERE revision = $1 AND verb = 'put' \
                      ORDER BY cluster, kind, namespace, name";
        for mut row in tx.rows(select, &[revision.into()]).await? {
            let (kind, namespace, name) = (row.text()?, row.text()?, row.text()?);
            let (noted, body) = (row.text()?, row.text()?);
            if noted != digest(body.as_bytes()) {
                return Ok(Some(format!("{kind} {namespace}/{name}")));
            }
        }
        let count = "SELECT count(*) FROM history WHERE revision = $1";
        let row = tx.row(count, &[revision.into()]).await?;
        self.history += row.map_or(Ok(0), |mut row| row.int())?;
        Ok(None)
    }

    /// After the last row: the head says the same, and no history stands outside the chain.
    async fn end(self, tx: &mut Tx) -> Result<Result<Verified, Fault>, Error> {
        let head = tx.row("SELECT seq, hash FROM audit_head WHERE id = 1", &[]).await?;
        let head = head.map_or(Ok(Head::default()), read_head)?;
        if head.seq > self.at.seq {
            let what = format!("rows are missing from here to {}, the last one written", head.seq);
            return Ok(Err(fault(self.at.seq + 1, None, &what)));
        }
        if head != self.at {
            return Ok(Err(fault(self.at.seq, None, "it is not the last row that was written")));
        }
        let stray = "SELECT revision FROM history WHERE revision NOT IN \
            (SELECT revision FROM audit WHERE changes <> '' AND revision IS NOT NULL) \
            ORDER BY revision LIMIT 1";
        if let Some(mut row) = tx.row(stray, &[]).await? {
            let what = "there is history that no audit row tells of";
            return Ok(Err(fault(self.at.seq, Some(row.int()?), what)));
        }
        if let Some(found) = self.differs(tx).await? {
            return Ok(Err(found));
        }
        Ok(Ok(Verified { head, history: self.history }))
    }

    /// A resource that is not what its history ends with, or is not there though it should be.
    async fn differs(&self, tx: &mut Tx) -> Result<Option<Fault>, Error> {
        for select in NOT_AS_HISTORY_ENDS {
            let Some(mut row) = tx.row(select, &[]).await? else { continue };
            let (kind, namespace, name) = (row.text()?, row.text()?, row.text()?);
            let what = format!("{kind} {namespace}/{name} is not as its history says");
            return Ok(Some(fault(self.at.seq, Some(row.int()?), &what)));
        }
        Ok(None)
    }
}

/// Resources that are not as the history row of their revision has them; histories that end with an
/// object that is not there; and resources that were changed or deleted since.
const NOT_AS_HISTORY_ENDS: [&str; 3] = [
    "SELECT r.kind, r.namespace, r.name, r.revision FROM resources r \
     LEFT JOIN history h ON h.cluster = r.cluster AND h.kind = r.kind \
     AND h.namespace = r.namespace AND h.name = r.name AND h.revision = r.revision \
     WHERE h.body IS NULL OR h.verb <> 'put' OR h.body <> r.body OR h.digest <> r.digest \
     OR h.generation <> r.generation OR h.scope <> r.scope \
     OR h.owner_team <> r.owner_team OR h.source <> r.source \
     ORDER BY r.revision LIMIT 1",
    "SELECT h.kind, h.namespace, h.name, h.revision FROM history h \
     LEFT JOIN resources r ON r.cluster = h.cluster AND r.kind = h.kind \
     AND r.namespace = h.namespace AND r.name = h.name \
     WHERE h.verb = 'put' AND r.name IS NULL AND NOT EXISTS (SELECT 1 FROM history l \
     WHERE l.cluster = h.cluster AND l.kind = h.kind AND l.namespace = h.namespace \
     AND l.name = h.name AND l.revision > h.revision) \
     ORDER BY h.revision LIMIT 1",
    "SELECT r.kind, r.namespace, r.name, h.revision FROM resources r \
     JOIN history h ON h.cluster = r.cluster AND h.kind = r.kind \
     AND h.namespace = r.namespace AND h.name = r.name \
     WHERE h.revision > r.revision ORDER BY h.revision LIMIT 1",
];

fn fault(seq: i64, revision: Option<i64>, what: &str) -> Fault {
    Fault { seq, revision, what: what.to_owned() }
}
