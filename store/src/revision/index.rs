//! What is looked up of resources, in tables of their own, and what they claim.

use super::Change;
use crate::commit::{Claim, CommitError, Put, Taken, Write};
use crate::db::{Tx, Value};
use crate::{Error, Key};

/// Forgets what a resource is found by and what it claims.
pub(super) async fn clear(tx: &mut Tx, key: &Key) -> Result<(), Error> {
    for delete in [
        "DELETE FROM labels \
         WHERE cluster = $1 AND kind = $2 AND namespace = $3 AND name = $4",
        "DELETE FROM refs \
         WHERE cluster = $1 AND kind = $2 AND namespace = $3 AND name = $4",
        "DELETE FROM grants \
         WHERE cluster = $1 AND kind = $2 AND namespace = $3 AND name = $4",
        "DELETE FROM claims \
         WHERE cluster = $1 AND kind = $2 AND namespace = $3 AND name = $4",
    ] {
        tx.execute(delete, &key.values()).await?;
    }
    Ok(())
}

/// Notes what a resource is found by.
pub(super) async fn fill(tx: &mut Tx, put: &Put) -> Result<(), Error> {
    let label = "INSERT INTO labels (cluster, kind, namespace, name, label, value) \
                 VALUES ($1, $2, $3, $4, $5, $6)";
    for (name, value) in &put.labels {
        add(tx, label, &put.key, &[name.into(), value.into()]).await?;
    }
    let refer = "INSERT INTO refs \
                 (cluster, kind, namespace, name, path, to_kind, to_namespace, to_name) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    for to in &put.references {
        let values = [&to.path, &to.kind, &to.namespace, &to.name].map(Value::from);
        add(tx, refer, &put.key, &values).await?;
    }
    let grant = "INSERT INTO grants (cluster, kind, namespace, name, subject, role, scope) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7)";
    for held in &put.grants {
        let values = [(&held.subject).into(), (&held.role).into(), (&held.scope).into()];
        add(tx, grant, &put.key, &values).await?;
    }
    Ok(())
}

async fn add(tx: &mut Tx, sql: &'static str, key: &Key, more: &[Value]) -> Result<(), Error> {
    let mut values = key.values();
    values.extend_from_slice(more);
    tx.execute(sql, &values).await?;
    Ok(())
}

/// Claims for all puts, after all that this commit gives up was given up: a claim may go from one
/// resource to another within it.
pub(super) async fn claim(tx: &mut Tx, changes: &[Change<'_>]) -> Result<(), CommitError> {
    let insert = "INSERT INTO claims \
                  (cluster, kind, namespace, name, sort, host, path, workspace) \
                  VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING";
    let mut taken = Vec::new();
    for change in changes {
        let Write::Put(put) = change.write else { continue };
        for claim in &put.claims {
            let mut values = put.key.values();
            values.extend(what(claim));
            values.push((&claim.workspace).into());
            if tx.execute(insert, &values).await? == 0 {
                taken.push(holder(tx, claim).await?);
            }
        }
    }
    if taken.is_empty() { Ok(()) } else { Err(CommitError::Claimed(taken)) }
}

async fn holder(tx: &mut Tx, claim: &Claim) -> Result<Taken, Error> {
    let select = "SELECT workspace, cluster, kind, namespace, name FROM claims \
                  WHERE sort = $1 AND host = $2 AND path = $3";
    let row = tx.row(select, &what(claim)).await?;
    let missing = || Error::Unreadable("a claim that is and is not there".to_owned());
    let mut row = row.ok_or_else(missing)?;
    Ok(Taken { claim: claim.clone(), holder: row.text()?, by: Key::read(&mut row)? })
}

fn what(claim: &Claim) -> [Value; 3] {
    [claim.sort.as_str().into(), (&claim.host).into(), (&claim.path).into()]
}
