//! What proxies made of requests: kept for a while, and found again by whatever joins them.
//!
//! A window of observations, not configuration: the oldest go first ([`Store::decision_prune`]), and
//! neither a copy nor a backup has them.

use sqlx::AssertSqlSafe;

use crate::db::{Row, Tx, Value};
use crate::{Error, Scope, Store};

/// Bytes of what one decision says, its story included; a longer one loses the story.
pub const LONGEST: usize = 32 << 10;

/// What a row costs beside what it says: its words, and its place in each index.
const ROW: usize = 512;

/// Rows that are looked at and deleted at once, so that no commit waits long behind it.
const PIECE: i64 = 1_000;

/// Decisions that one statement names.
const AT_ONCE: usize = 200;

/// What one proxy made of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Names it among all of its node.
    pub span: String,
    /// The id of its request.
    pub request: String,
    /// Its trace.
    pub trace: String,
    /// The trace under which the request came, where the proxy opened another one.
    pub link: Option<String>,
    /// When the request was there.
    pub at: i64,
    /// Why it ended as it did.
    pub reason: String,
    /// Where what it was led to belonged.
    pub scope: Scope,
    /// All that is to be said, in JSON.
    pub body: String,
    /// What each policy made of it, in JSON.
    pub story: Option<String>,
}

/// A decision with the node that told it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Who.
    pub by: Teller,
    /// What.
    pub decision: Decision,
}

/// A node as it was called when it told something.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Teller {
    /// Its id.
    pub id: String,
    /// Its cluster.
    pub cluster: String,
    /// What it is.
    pub kind: String,
    /// Its name.
    pub name: String,
}

/// The place of a decision in the order of time.
pub type Place = (i64, String);

/// Where a decision is found, and where it belongs: enough to know who cannot see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// Its place.
    pub place: Place,
    /// The id of the node that told it.
    pub node: String,
    /// Where what it was led to belonged.
    pub scope: Scope,
}

/// By what decisions are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By<'a> {
    /// The id of their request.
    Request(&'a str),
    /// Their trace.
    Trace(&'a str),
    /// The trace under which their request came.
    Link(&'a str),
}

impl Store {
    /// Keeps what a node tells, all or none; how many of them were not known, or `None` if there is
    /// no such node. What is told again changes nothing; what is too long is not kept.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn decision_keep(&self, node: &str, all: &[Decision]) -> Result<Option<u64>, Error> {
        let mut tx = self.db.write().await?;
        let select = "SELECT id, cluster, kind, name FROM nodes WHERE id = $1";
        let Some(row) = tx.row(select, &[node.into()]).await? else { return Ok(None) };
        let (by, mut new) = (row.rest(), 0);
        for decision in all.iter().filter(|one| one.body.len() <= LONGEST) {
            new += insert(&mut tx, &by, decision).await?;
        }
        tx.commit().await?;
        Ok(Some(new))
    }

    /// At most `limit` decisions that have this in common, oldest first.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn decision_find(&self, by: By<'_>, limit: i64) -> Result<Vec<Told>, Error> {
        let (by, word) = match by {
            By::Request(request) => ("request", request),
            By::Trace(trace) => ("trace", trace),
            By::Link(trace) => ("link", trace),
        };
        let select = format!(
            "SELECT node, cluster, kind, name, span, request, trace, link, at, reason, scope, body, \
             story FROM decisions WHERE {by} = $1 ORDER BY at, span, node LIMIT $2"
        );
        let rows = self.db.read(AssertSqlSafe(select), &[word.into(), limit.into()]).await?;
        rows.into_iter().map(read).collect()
    }

    /// The decisions before a place, newest first, by their nodes and where they belong; those of
    /// `reasons` alone, if any are given.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn decision_places(
        &self,
        before: Option<&Place>,
        reasons: &[&str],
        limit: i64,
    ) -> Result<Vec<Located>, Error> {
        let (at, span) = before.map_or((i64::MAX, ""), |(at, span)| (*at, span.as_str()));
        let mut values: Vec<Value> = vec![at.into(), span.into(), limit.into()];
        values.extend(reasons.iter().map(|reason| Value::from(*reason)));
        let places: Vec<_> = (4..4 + reasons.len()).map(|place| format!("${place}")).collect();
        let only = match places.is_empty() {
            true => String::new(),
            false => format!("AND reason IN ({})", places.join(", ")),
        };
        let select = format!(
            "SELECT at, span, node, scope FROM decisions WHERE (at, span) < ($1, $2) {only} \
             ORDER BY at DESC, span DESC, node DESC LIMIT $3"
        );
        let located = |mut row: Row| {
            let (place, node) = ((row.int()?, row.text()?), row.text()?);
            Ok(Located { place, node, scope: crate::key::read_scope(&mut row)? })
        };
        self.db.read(AssertSqlSafe(select), &values).await?.into_iter().map(located).collect()
    }

    /// These decisions, newest first and without their stories; those that are there.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn decision_list(&self, all: &[Located]) -> Result<Vec<Told>, Error> {
        let mut found = Vec::new();
        for some in all.chunks(AT_ONCE) {
            let values = some.iter().flat_map(|one| [(&one.node).into(), (&one.place.1).into()]);
            let values: Vec<Value> = values.collect();
            let pairs = (1..=some.len()).map(|pair| format!("(${}, ${})", 2 * pair - 1, 2 * pair));
            let pairs: Vec<_> = pairs.collect();
            let select = format!(
                "SELECT node, cluster, kind, name, span, request, trace, link, at, reason, scope, \
                 body, CAST(NULL AS TEXT) FROM decisions WHERE (node, span) IN (VALUES {}) \
                 ORDER BY at DESC, span DESC, node DESC",
                pairs.join(", ")
            );
            let rows = self.db.read(AssertSqlSafe(select), &values).await?;
            found.extend(rows.into_iter().map(read).collect::<Result<Vec<_>, _>>()?);
        }
        Ok(found)
    }

    /// Forgets decisions, oldest first: those from before a time, and as many more as it takes until
    /// all together have at most so many bytes; how many went.
    ///
    /// # Errors
    /// [`Error`] if the database fails; some may have gone then.
    pub async fn decision_prune(&self, before: i64, bytes: i64) -> Result<u64, Error> {
        let oldest = "SELECT at, span, node, bytes FROM decisions ORDER BY at, span, node LIMIT $1";
        let delete = "DELETE FROM decisions WHERE (at, span, node) <= ($1, $2, $3)";
        let mut gone = 0;
        loop {
            let mut excess = self.decision_bytes().await?.saturating_sub(bytes);
            let (mut last, mut goes) = (None, 0);
            for row in self.db.read(oldest, &[PIECE.into()]).await? {
                let values = row.rest();
                let [Value::Int(Some(at)), _, _, Value::Int(Some(weight))] = values[..] else {
                    return Err(Error::Unreadable("a decision without a time".to_owned()));
                };
                if at >= before && excess <= 0 {
                    break;
                }
                excess -= weight;
                goes += 1;
                last = Some(values);
            }
            let Some(last) = last else { return Ok(gone) };
            gone += self.db.execute(delete, &last[..3]).await?;
            if goes < PIECE {
                return Ok(gone);
            }
        }
    }

    /// What all decisions count for.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn decision_bytes(&self) -> Result<i64, Error> {
        let select = "SELECT CAST(coalesce(sum(bytes), 0) AS BIGINT) FROM decisions";
        let row = self.db.read(select, &[]).await?.into_iter().next();
        row.map_or(Ok(0), |mut row| row.int())
    }
}

/// Adds a decision of the node that `by` names; 0 if it is there.
async fn insert(tx: &mut Tx, by: &[Value], decision: &Decision) -> Result<u64, Error> {
    let insert = "INSERT INTO decisions (node, cluster, kind, name, span, request, trace, link, at, \
        reason, scope, bytes, body, story) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) \
        ON CONFLICT (node, span) DO NOTHING";
    let fits = |story: &&String| decision.body.len() + story.len() <= LONGEST;
    let story = decision.story.as_ref().filter(fits);
    let weight = ROW + decision.body.len() + story.map_or(0, String::len);
    let mut values = by.to_vec();
    values.extend([
        Value::from(&decision.span),
        (&decision.request).into(),
        (&decision.trace).into(),
        decision.link.clone().into(),
        decision.at.into(),
        (&decision.reason).into(),
        (&decision.scope).into(),
        i64::try_from(weight).unwrap_or(i64::MAX).into(),
        (&decision.body).into(),
        story.cloned().into(),
    ]);
    tx.execute(insert, &values).await
}

fn read(mut row: Row) -> Result<Told, Error> {
    Ok(Told {
        by: Teller { id: row.text()?, cluster: row.text()?, kind: row.text()?, name: row.text()? },
        decision: Decision {
            span: row.text()?,
            request: row.text()?,
            trace: row.text()?,
            link: row.text_or_none()?,
            at: row.int()?,
            reason: row.text()?,
            scope: crate::key::read_scope(&mut row)?,
            body: row.text()?,
            story: row.text_or_none()?,
        },
    })
}
