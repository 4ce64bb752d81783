//! Reading what is: one resource, pages of them, who refers to one, who holds what.

use std::collections::BTreeMap;

use sqlx::AssertSqlSafe;

use crate::commit::{Claim, Grant, Sort};
use crate::db::{Row, Value, unreadable};
use crate::seal::{RotateError, Sealed, secret_row};
use crate::{Error, Key, Scope, Store};

/// A resource as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its name.
    pub key: Key,
    /// Where it belongs.
    pub scope: Scope,
    /// Who owns it; empty for nobody.
    pub owner_team: String,
    /// Where it comes from.
    pub source: String,
    /// Its generation.
    pub generation: i64,
    /// The revision that made this generation.
    pub revision: i64,
    /// When it was made.
    pub created: i64,
    /// When it was last changed.
    pub updated: i64,
    /// The SHA-256 of its body.
    pub digest: String,
    /// Canonical JSON.
    pub body: String,
}

/// That a resource names another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// Where in its body.
    pub path: String,
    /// The kind that it names.
    pub kind: String,
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

/// Everything that is, as of one revision.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The last revision that is in it.
    pub revision: i64,
    /// The revision that last changed each scope.
    pub scopes: BTreeMap<Scope, i64>,
    /// The resources of the cluster, in the order of their keys.
    pub resources: Vec<Stored>,
    /// The hosts that are claimed, each with the resource by which it is.
    pub hosts: Vec<(Key, Claim)>,
}

/// Which resources; all that is given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this cluster.
    pub cluster: Option<String>,
    /// Of this kind.
    pub kind: Option<String>,
    /// In this namespace.
    pub namespace: Option<String>,
    /// In this scope.
    pub scope: Option<Scope>,
    /// With all these labels.
    pub labels: BTreeMap<String, String>,
}

const SELECT: &str = "SELECT r.cluster, r.kind, r.namespace, r.name, r.scope, r.owner_team, \
    r.source, r.generation, r.revision, r.created, r.updated, r.digest, r.body FROM resources r";

const SCOPES: &str = "SELECT scope, revision FROM scopes";

const CLAIMS: &str = "SELECT cluster, kind, namespace, name, host, path, workspace FROM claims \
                      WHERE sort = $1 ORDER BY host, path";

impl Store {
    /// The resource of this name.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn resource(&self, key: &Key) -> Result<Option<Stored>, Error> {
        let select = format!(
            "{SELECT} WHERE r.cluster = $1 AND r.kind = $2 AND r.namespace = $3 AND r.name = $4"
        );
        let rows = self.db.read(AssertSqlSafe(select), &key.values()).await?;
        rows.into_iter().next().map(read).transpose()
    }

    /// Everything that is in `cluster`, as of one revision, whatever others commit meanwhile.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn snapshot(&self, cluster: &str) -> Result<Snapshot, Error> {
        let mut tx = self.db.snapshot().await?;
        let counter = tx.row("SELECT revision FROM counter WHERE id = 1", &[]).await?;
        let revision = counter.map_or(Ok(0), |mut row| row.int())?;
        let scopes = tx.rows(SCOPES, &[]).await?.into_iter().map(read_scope);
        let scopes = scopes.collect::<Result<_, _>>()?;
        let filter = Filter { cluster: Some(cluster.to_owned()), ..Filter::default() };
        let (sql, values) = page(&filter, None, i64::MAX);
        let resources = tx.rows(AssertSqlSafe(sql), &values).await?.into_iter().map(read);
        let resources = resources.collect::<Result<_, _>>()?;
        let hosts = tx.rows(CLAIMS, &[Sort::Host.as_str().into()]).await?.into_iter();
        let hosts = hosts.map(|row| read_claim(row, Sort::Host)).collect::<Result<_, _>>()?;
        tx.rollback().await?;
        Ok(Snapshot { revision, scopes, resources, hosts })
    }

    /// A page of resources in the order of their keys, those behind `after`.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn resources(
        &self,
        filter: &Filter,
        after: Option<&Key>,
        limit: i64,
    ) -> Result<Vec<Stored>, Error> {
        let (sql, values) = page(filter, after, limit);
        self.db.read(AssertSqlSafe(sql), &values).await?.into_iter().map(read).collect()
    }

    /// The resources that name this one, and where.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn referring_to(&self, key: &Key) -> Result<Vec<(Key, String)>, Error> {
        let select = "SELECT cluster, kind, namespace, name, path FROM refs \
            WHERE cluster = $1 AND to_kind = $2 AND to_namespace = $3 AND to_name = $4 \
            ORDER BY cluster, kind, namespace, name, path";
        let rows = self.db.read(select, &key.values()).await?;
        rows.into_iter().map(|mut row| Ok((Key::read(&mut row)?, row.text()?))).collect()
    }

    /// The roles that a user or group holds, and the resource that gives each.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn grants_of(&self, subject: &str) -> Result<Vec<(Key, Grant)>, Error> {
        let select = "SELECT cluster, kind, namespace, name, subject, role, scope FROM grants \
            WHERE subject = $1 ORDER BY cluster, kind, namespace, name, role, scope";
        let one = |mut row: Row| {
            let key = Key::read(&mut row)?;
            let (subject, role) = (row.text()?, row.text()?);
            Ok((key, Grant { subject, role, scope: crate::key::read_scope(&mut row)? }))
        };
        self.db.read(select, &[subject.into()]).await?.into_iter().map(one).collect()
    }

    /// Everything that is claimed of one sort, and the resource by which it is.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn claims(&self, sort: Sort) -> Result<Vec<(Key, Claim)>, Error> {
        let rows = self.db.read(CLAIMS, &[sort.as_str().into()]).await?;
        rows.into_iter().map(|row| read_claim(row, sort)).collect()
    }

    /// Where each scope is: the vector of the whole installation.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn scopes(&self) -> Result<BTreeMap<Scope, i64>, Error> {
        self.db.read(SCOPES, &[]).await?.into_iter().map(read_scope).collect()
    }

    /// The sealed values of one generation of a resource, opened; none if it has none.
    ///
    /// # Errors
    /// [`RotateError`] if they do not open or the database fails.
    pub async fn secret(&self, key: &Key, generation: i64) -> Result<Option<Vec<u8>>, RotateError> {
        let select = "SELECT key_id, sealed FROM sealed WHERE cluster = $1 AND kind = $2 \
                      AND namespace = $3 AND name = $4 AND generation = $5";
        let mut values = key.values();
        values.push(generation.into());
        let Some(mut row) = self.db.read(select, &values).await?.into_iter().next() else {
            return Ok(None);
        };
        let sealed = Sealed { key_id: row.text()?, bytes: row.bytes()? };
        Ok(Some(self.keys.open_sealed(&secret_row(key, generation), &sealed)?))
    }
}

/// The statement for a page. It is put together from words of ours alone; what a user wrote is in
/// the values. Only the conditions asked for stand in it, so that each can use its index.
fn page(filter: &Filter, after: Option<&Key>, limit: i64) -> (String, Vec<Value>) {
    let mut values: Vec<Value> = Vec::new();
    let mut conditions: Vec<String> = Vec::new();
    let Filter { cluster, kind, namespace, scope, labels } = filter;
    let columns = [
        ("cluster", cluster.as_ref().map(Value::from)),
        ("kind", kind.as_ref().map(Value::from)),
        ("namespace", namespace.as_ref().map(Value::from)),
        ("scope", scope.as_ref().map(Value::from)),
    ];
    for (column, value) in columns {
        let Some(value) = value else { continue };
        values.push(value);
        conditions.push(format!("r.{column} = ${}", values.len()));
    }
    for (label, value) in labels {
        values.extend([label.into(), value.into()]);
        let (of_label, of_value) = (values.len() - 1, values.len());
        conditions.push(format!(
            "EXISTS (SELECT 1 FROM labels l WHERE l.cluster = r.cluster AND l.kind = r.kind \
             AND l.namespace = r.namespace AND l.name = r.name \
             AND l.label = ${of_label} AND l.value = ${of_value})"
        ));
    }
    if let Some(after) = after {
        let first = values.len() + 1;
        values.extend(after.values());
        let [second, third, fourth] = [first + 1, first + 2, first + 3];
        conditions.push(format!(
            "(r.cluster, r.kind, r.namespace, r.name) > (${first}, ${second}, ${third}, ${fourth})"
        ));
    }
    values.push(limit.into());
    let place = values.len();
    let filter = if conditions.is_empty() { "1 = 1".to_owned() } else { conditions.join(" AND ") };
    let order = "r.cluster, r.kind, r.namespace, r.name";
    (format!("{SELECT} WHERE {filter} ORDER BY {order} LIMIT ${place}"), values)
}

fn read_scope(mut row: Row) -> Result<(Scope, i64), Error> {
    Ok((crate::key::read_scope(&mut row)?, row.int()?))
}

fn read_claim(mut row: Row, sort: Sort) -> Result<(Key, Claim), Error> {
    let key = Key::read(&mut row)?;
    let (host, path, workspace) = (row.text()?, row.text()?, row.text()?);
    Ok((key, Claim { sort, host, path, workspace }))
}

fn read(mut row: Row) -> Result<Stored, Error> {
    let stored = Stored {
        key: Key::read(&mut row)?,
        scope: crate::key::read_scope(&mut row)?,
        owner_team: row.text()?,
        source: row.text()?,
        generation: row.int()?,
        revision: row.int()?,
        created: row.int()?,
        updated: row.int()?,
        digest: row.text()?,
        body: row.text()?,
    };
    if stored.generation < 1 {
        return Err(unreadable(&format!("generation {}", stored.generation)));
    }
    Ok(stored)
}
