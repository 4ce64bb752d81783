//! Reading what was: one resource's versions, a scope at an older revision, what changed since.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::AssertSqlSafe;

use crate::db::{Row, Value, unreadable};
use crate::{Error, Key, Scope, Store};

/// Commits that are asked for by number at once.
const AT_ONCE: usize = 500;

/// One change of one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Which.
    pub key: Key,
    /// The revision that made it.
    pub revision: i64,
    /// The generation that it made, or ended.
    pub generation: i64,
    /// What happened.
    pub change: Change,
    /// Where the resource belongs, or belonged.
    pub scope: Scope,
    /// Who owned it.
    pub owner_team: String,
    /// Where it came from.
    pub source: String,
}

/// What happened to a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It became this.
    Put {
        /// The SHA-256 of the body.
        digest: String,
        /// Canonical JSON.
        body: String,
    },
    /// It went.
    Delete,
}

/// A commit as the list of commits shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision {
    /// Its number.
    pub revision: i64,
    /// When.
    pub at: i64,
    /// Who.
    pub actor: String,
    /// The request that asked for it.
    pub request_id: String,
    /// Why.
    pub message: String,
    /// The revision that it took back.
    pub reverts: Option<i64>,
    /// The scopes that it moved, and where each was before.
    pub scopes: Vec<(Scope, i64)>,
}

/// A version of a resource with the commit that made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Past {
    /// What it became.
    pub version: Version,
    /// When.
    pub at: i64,
    /// Who.
    pub actor: String,
    /// Why.
    pub message: String,
}

/// That a commit changed a resource, without what it became.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Touched {
    /// Which.
    pub key: Key,
    /// The generation that it made, or ended.
    pub generation: i64,
    /// Whether it went.
    pub is_gone: bool,
    /// Where the resource belongs, or belonged.
    pub scope: Scope,
}

impl Store {
    /// The versions of a resource before revision `before`, newest first.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn history(
        &self,
        key: &Key,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Vec<Version>, Error> {
        let select = "SELECT cluster, kind, namespace, name, revision, generation, verb, scope, \
            owner_team, source, digest, body FROM history \
            WHERE cluster = $1 AND kind = $2 AND namespace = $3 AND name = $4 \
            AND revision < $5 ORDER BY revision DESC LIMIT $6";
        let mut values = key.values();
        values.extend([before.unwrap_or(i64::MAX).into(), limit.into()]);
        self.db.read(select, &values).await?.into_iter().map(read).collect()
    }

    /// The versions of a resource before revision `before`, newest first, each with its commit.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn past(
        &self,
        key: &Key,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Vec<Past>, Error> {
        let select = "SELECT r.at, r.actor, r.message, h.cluster, h.kind, h.namespace, h.name, \
            h.revision, h.generation, h.verb, h.scope, h.owner_team, h.source, h.digest, h.body \
            FROM history h JOIN revisions r ON r.revision = h.revision \
            WHERE h.cluster = $1 AND h.kind = $2 AND h.namespace = $3 AND h.name = $4 \
            AND h.revision < $5 ORDER BY h.revision DESC LIMIT $6";
        let mut values = key.values();
        values.extend([before.unwrap_or(i64::MAX).into(), limit.into()]);
        let one = |mut row: Row| {
            let (at, actor, message) = (row.int()?, row.text()?, row.text()?);
            Ok(Past { version: read(row)?, at, actor, message })
        };
        self.db.read(select, &values).await?.into_iter().map(one).collect()
    }

    /// The resources that each of these revisions changed, in the order of keys; only those that
    /// belonged to one of the scopes, if some are given.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn touched(
        &self,
        numbers: &[i64],
        within: Option<&[Scope]>,
    ) -> Result<BTreeMap<i64, Vec<Touched>>, Error> {
        let mut found = BTreeMap::<_, Vec<_>>::new();
        for some in numbers.chunks(AT_ONCE) {
            let mut values: Vec<Value> = some.iter().map(|number| (*number).into()).collect();
            let is_within = within.map_or(String::new(), |scopes| {
                let first = values.len() + 1;
                values.extend(scopes.iter().map(Value::from));
                format!("AND scope IN ({})", places(first, scopes.len()))
            });
            let select = format!(
                "SELECT revision, cluster, kind, namespace, name, generation, verb, scope \
                 FROM history WHERE revision IN ({}) {is_within} \
                 ORDER BY revision, cluster, kind, namespace, name",
                places(1, some.len())
            );
            for mut row in self.db.read(AssertSqlSafe(select), &values).await? {
                let (revision, key) = (row.int()?, Key::read(&mut row)?);
                let (generation, is_gone) = (row.int()?, row.text()? == "delete");
                let scope = crate::key::read_scope(&mut row)?;
                let touched = Touched { key, generation, is_gone, scope };
                found.entry(revision).or_default().push(touched);
            }
        }
        Ok(found)
    }

    /// All changes behind revision `since` up to revision `until`, in the order of revisions.
    ///
    /// Whole revisions, so that a follower never sees half of a commit: it bounds its pages by
    /// `until`.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn changes_since(&self, since: i64, until: i64) -> Result<Vec<Version>, Error> {
        let select = "SELECT cluster, kind, namespace, name, revision, generation, verb, scope, \
            owner_team, source, digest, body FROM history \
            WHERE revision > $1 AND revision <= $2 \
            ORDER BY revision, cluster, kind, namespace, name";
        let rows = self.db.read(select, &[since.into(), until.into()]).await?;
        rows.into_iter().map(read).collect()
    }

    /// The scopes that revisions behind `since` up to `until` moved, each with the last that did.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn scopes_moved(
        &self,
        since: i64,
        until: i64,
    ) -> Result<BTreeMap<Scope, i64>, Error> {
        let select = "SELECT scope, max(revision) FROM revision_scopes \
            WHERE revision > $1 AND revision <= $2 GROUP BY scope";
        let one = |mut row: Row| Ok((crate::key::read_scope(&mut row)?, row.int()?));
        let rows = self.db.read(select, &[since.into(), until.into()]).await?;
        rows.into_iter().map(one).collect()
    }

    /// The commits of these numbers, newest first; without the scopes that they moved.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn revisions_of(&self, numbers: &BTreeSet<i64>) -> Result<Vec<Revision>, Error> {
        let mut found = Vec::new();
        let numbers: Vec<_> = numbers.iter().rev().copied().collect();
        for some in numbers.chunks(AT_ONCE) {
            let select = format!(
                "SELECT revision, at, actor, request_id, message, reverts FROM revisions \
                 WHERE revision IN ({}) ORDER BY revision DESC",
                places(1, some.len())
            );
            let values: Vec<_> = some.iter().map(|number| (*number).into()).collect();
            for row in self.db.read(AssertSqlSafe(select), &values).await? {
                found.push(read_revision(row)?);
            }
        }
        Ok(found)
    }

    /// The commits before revision `before`, newest first; those that moved one of the scopes, if
    /// some are given.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn revisions(
        &self,
        within: Option<&[Scope]>,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Vec<Revision>, Error> {
        if within.is_some_and(<[_]>::is_empty) {
            return Ok(Vec::new());
        }
        let mut values: Vec<Value> = vec![before.unwrap_or(i64::MAX).into(), limit.into()];
        let is_within = within.map_or(String::new(), |scopes| {
            let first = values.len() + 1;
            values.extend(scopes.iter().map(Value::from));
            format!(
                "AND revision IN (SELECT DISTINCT revision FROM revision_scopes \
                 WHERE scope IN ({}) AND revision < $1 ORDER BY revision DESC LIMIT $2)",
                places(first, scopes.len())
            )
        });
        let select = format!(
            "SELECT revision, at, actor, request_id, message, reverts FROM revisions \
             WHERE revision < $1 {is_within} ORDER BY revision DESC LIMIT $2"
        );
        let rows = self.db.read(AssertSqlSafe(select), &values).await?.into_iter();
        let mut revisions = rows.map(read_revision).collect::<Result<Vec<_>, _>>()?;
        let numbers: Vec<_> = revisions.iter().map(|one| one.revision).collect();
        let mut moved = self.moved_by(&numbers).await?;
        for revision in &mut revisions {
            revision.scopes = moved.remove(&revision.revision).unwrap_or_default();
        }
        Ok(revisions)
    }

    /// The scopes that each of these revisions moved, and where each was before.
    async fn moved_by(&self, numbers: &[i64]) -> Result<BTreeMap<i64, Vec<(Scope, i64)>>, Error> {
        let mut found = BTreeMap::<_, Vec<_>>::new();
        for some in numbers.chunks(AT_ONCE) {
            let select = format!(
                "SELECT revision, scope, base FROM revision_scopes WHERE revision IN ({}) \
                 ORDER BY revision, scope",
                places(1, some.len())
            );
            let values: Vec<_> = some.iter().map(|number| (*number).into()).collect();
            for mut row in self.db.read(AssertSqlSafe(select), &values).await? {
                let (revision, scope) = (row.int()?, crate::key::read_scope(&mut row)?);
                found.entry(revision).or_default().push((scope, row.int()?));
            }
        }
        Ok(found)
    }
}

/// So many places for values of a statement, from this one on.
fn places(first: usize, count: usize) -> String {
    let places: Vec<_> = (first..first + count).map(|place| format!("${place}")).collect();
    places.join(", ")
}

fn read(mut row: Row) -> Result<Version, Error> {
    let (key, revision, generation) = (Key::read(&mut row)?, row.int()?, row.int()?);
    let verb = row.text()?;
    let scope = crate::key::read_scope(&mut row)?;
    let (owner_team, source) = (row.text()?, row.text()?);
    let change = match verb.as_str() {
        "put" => Change::Put { digest: row.text()?, body: row.text()? },
        "delete" => Change::Delete,
        other => return Err(unreadable(&format!("the change '{other}'"))),
    };
    Ok(Version { key, revision, generation, change, scope, owner_team, source })
}

fn read_revision(mut row: Row) -> Result<Revision, Error> {
    Ok(Revision {
        revision: row.int()?,
        at: row.int()?,
        actor: row.text()?,
        request_id: row.text()?,
        message: row.text()?,
        reverts: row.int_or_none()?,
        scopes: Vec::new(),
    })
}
