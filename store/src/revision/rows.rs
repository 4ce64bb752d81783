//! The rows that a commit writes: revision, resources, history, sealed values, scopes.

use std::collections::BTreeSet;

use super::Change;
use crate::commit::{Commit, CommitError, Put};
use crate::db::{Tx, Value};
use crate::seal::{Keyring, secret_row};
use crate::{Error, Scope, digest};

pub(super) async fn revision(tx: &mut Tx, commit: &Commit, revision: i64) -> Result<(), Error> {
    let insert = "INSERT INTO revisions (revision, at, actor, request_id, message, reverts) \
                  VALUES ($1, $2, $3, $4, $5, $6)";
    let values: [Value; 6] = [
        revision.into(),
        commit.at.into(),
        (&commit.actor).into(),
        (&commit.request_id).into(),
        (&commit.message).into(),
        commit.reverts.into(),
    ];
    tx.execute(insert, &values).await?;
    Ok(())
}

pub(super) async fn put(tx: &mut Tx, put: &Put, change: &Change<'_>, at: i64) -> Result<(), Error> {
    let upsert = "INSERT INTO resources (cluster, kind, namespace, name, scope, owner_team, \
        source, generation, revision, created, updated, digest, body) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10, $11, $12) \
        ON CONFLICT (cluster, kind, namespace, name) DO UPDATE SET \
        scope = excluded.scope, owner_team = excluded.owner_team, source = excluded.source, \
        generation = excluded.generation, revision = excluded.revision, \
        updated = excluded.updated, digest = excluded.digest, body = excluded.body";
    let mut values = put.key.values();
    values.extend([
        (&put.scope).into(),
        (&put.owner_team).into(),
        (&put.source).into(),
        change.generation.into(),
        change.revision.into(),
        at.into(),
        digest(put.body.as_bytes()).into(),
        (&put.body).into(),
    ]);
    tx.execute(upsert, &values).await?;
    history(tx, change, Was { verb: "put", scope: &put.scope, put: Some(put) }).await
}

pub(super) async fn delete(tx: &mut Tx, change: &Change<'_>) -> Result<(), Error> {
    let key = change.write.key();
    let delete = "DELETE FROM resources \
                  WHERE cluster = $1 AND kind = $2 AND namespace = $3 AND name = $4";
    tx.execute(delete, &key.values()).await?;
    let Some(scope) = change.held.scope() else { return Ok(()) };
    history(tx, change, Was { verb: "delete", scope: &scope, put: None }).await
}

/// What a history row says of its change.
struct Was<'a> {
    verb: &'static str,
    scope: &'a Scope,
    put: Option<&'a Put>,
}

async fn history(tx: &mut Tx, change: &Change<'_>, was: Was<'_>) -> Result<(), Error> {
    let insert = "INSERT INTO history (cluster, kind, namespace, name, revision, generation, \
                  verb, scope, owner_team, source, digest, body) \
                  VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
    let (owner_team, source, digest, body) = match was.put {
        Some(put) => {
            (put.owner_team.as_str(), put.source.as_str(), digest(put.body.as_bytes()), &*put.body)
        }
        None => (change.held.owner_team(), change.held.source(), String::new(), ""),
    };
    let mut values = change.write.key().values();
    values.extend([
        change.revision.into(),
        change.generation.into(),
        was.verb.into(),
        was.scope.into(),
        owner_team.into(),
        source.into(),
        digest.into(),
        body.into(),
    ]);
    tx.execute(insert, &values).await?;
    Ok(())
}

pub(super) async fn secret(
    tx: &mut Tx,
    keys: &Keyring,
    change: &Change<'_>,
    plain: &[u8],
) -> Result<(), CommitError> {
    let insert = "INSERT INTO sealed (cluster, kind, namespace, name, generation, key_id, sealed) \
                  VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let key = change.write.key();
    let sealed = keys.seal(&secret_row(key, change.generation), plain)?;
    let mut values = key.values();
    values.extend([change.generation.into(), sealed.key_id.into(), sealed.bytes.into()]);
    tx.execute(insert, &values).await?;
    Ok(())
}

/// Moves the scopes to this revision, and notes where each was.
pub(super) async fn scopes(
    tx: &mut Tx,
    scopes: &BTreeSet<Scope>,
    revision: i64,
) -> Result<(), Error> {
    let note = "INSERT INTO revision_scopes (revision, scope, base) VALUES \
                ($1, $2, coalesce((SELECT revision FROM scopes WHERE scope = $2), 0))";
    let upsert = "INSERT INTO scopes (revision, scope) VALUES ($1, $2) \
                  ON CONFLICT (scope) DO UPDATE SET revision = excluded.revision";
    for scope in scopes {
        tx.execute(note, &[revision.into(), scope.into()]).await?;
        tx.execute(upsert, &[revision.into(), scope.into()]).await?;
    }
    Ok(())
}
