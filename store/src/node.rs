//! Nodes: who they are, when they were heard of, and the vector that each runs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::db::{Row, Value};
use crate::revocation::Revocation;
use crate::{Entry, Error, Scope, Store, audit, revocation};

mod heard;

pub use heard::Heard;

/// A proxy, or a control plane below this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// UUIDv7.
    pub id: String,
    /// Its cluster.
    pub cluster: String,
    /// What it is: gateway, mesh, control.
    pub kind: String,
    /// Its name, of which a cluster has one for each kind.
    pub name: String,
    /// The software that it runs.
    pub version: String,
    /// When it joined.
    pub first_seen: i64,
    /// When it was last heard of.
    pub last_seen: i64,
    /// Its certificate.
    pub certificate: Option<Certificate>,
    /// Whether it holds a connection.
    pub connected: bool,
    /// Under which roots it lives, if it ever said so since it joined.
    pub standing: Option<Standing>,
}

/// Under which roots a node lives, each told by its fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Those that it believes.
    pub trusts: Vec<String>,
    /// The one above its own certificate; empty here and below for none that it believes.
    pub certificate: String,
    /// The one above the certificate of its workload, if it has one.
    pub workload: Option<String>,
    /// The one above the signature of the state on its disk, if there is one.
    pub state: Option<String>,
}

/// What a node proves itself with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Its serial number, in hexadecimal.
    pub serial: String,
    /// When it ends.
    pub expires: i64,
}

/// By what a node asks for a new certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown<'a> {
    /// The serial number of the certificate that it shows.
    pub serial: &'a str,
    /// That of the last one noted when it was let in.
    pub last: Option<&'a str>,
}

impl Store {
    /// Notes a node that joins, or joins again under its cluster, kind and name; its id, which
    /// stays that of the first time.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn node_join(&self, node: &Node) -> Result<String, Error> {
        let upsert = "INSERT INTO nodes (id, cluster, kind, name, version, first_seen, last_seen, \
            serial, certificate_expires, connected) \
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
            ON CONFLICT (cluster, kind, name) DO UPDATE SET version = excluded.version, \
            last_seen = excluded.last_seen, serial = excluded.serial, \
            certificate_expires = excluded.certificate_expires, connected = excluded.connected, \
            standing = NULL RETURNING id";
        let certificate = node.certificate.as_ref();
        let values: [Value; 10] = [
            (&node.id).into(),
            (&node.cluster).into(),
            (&node.kind).into(),
            (&node.name).into(),
            (&node.version).into(),
            node.first_seen.into(),
            node.last_seen.into(),
            certificate.map(|certificate| certificate.serial.clone()).into(),
            certificate.map(|certificate| certificate.expires).into(),
            node.connected.into(),
        ];
        let row = self.db.returning(upsert, &values).await?.into_iter().next();
        row.ok_or_else(|| Error::Unreadable("a node that is and is not there".to_owned()))?.text()
    }

    /// The node of this id.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn node(&self, id: &str) -> Result<Option<Node>, Error> {
        let select = "SELECT id, cluster, kind, name, version, first_seen, last_seen, serial, \
                      certificate_expires, connected, standing FROM nodes WHERE id = $1";
        let rows = self.db.read(select, &[id.into()]).await?;
        rows.into_iter().next().map(read).transpose()
    }

    /// All nodes by cluster, kind and name.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn node_list(&self) -> Result<Vec<Node>, Error> {
        let select = "SELECT id, cluster, kind, name, version, first_seen, last_seen, serial, \
                      certificate_expires, connected, standing FROM nodes ORDER BY cluster, kind, name";
        self.db.read(select, &[]).await?.into_iter().map(read).collect()
    }

    /// Notes the certificate that a node got anew, and by which it asked for it; false if there is
    /// no such node, or another certificate of it was noted meanwhile.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn node_certify(
        &self,
        id: &str,
        certificate: &Certificate,
        by: Option<Shown<'_>>,
    ) -> Result<bool, Error> {
        let set = "UPDATE nodes SET serial = $2, certificate_expires = $3, serial_before = $4 \
                   WHERE id = $1";
        let shown = by.map(|by| by.serial.to_owned());
        let mut values: Vec<Value> =
            vec![id.into(), (&certificate.serial).into(), certificate.expires.into(), shown.into()];
        let Some(by) = by else { return Ok(self.db.execute(set, &values).await? > 0) };
        values.push(by.last.unwrap_or_default().into());
        let update = "UPDATE nodes SET serial = $2, certificate_expires = $3, serial_before = $4 \
                      WHERE id = $1 AND coalesce(serial, '') = $5";
        Ok(self.db.execute(update, &values).await? > 0)
    }

    /// The serial number of the certificate by which a node asked for the one that it got last, if
    /// it did not join by a token.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn node_serial_before(&self, id: &str) -> Result<Option<String>, Error> {
        let select = "SELECT serial_before FROM nodes WHERE id = $1";
        let row = self.db.read(select, &[id.into()]).await?.into_iter().next();
        row.map_or(Ok(None), |mut row| row.text_or_none())
    }

    /// What a node runs: each scope with its revision, and since when.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn node_vector(&self, id: &str) -> Result<BTreeMap<Scope, (i64, i64)>, Error> {
        let select = "SELECT scope, revision, applied_at FROM node_scopes WHERE node = $1";
        let one = |mut row: Row| Ok((crate::key::read_scope(&mut row)?, (row.int()?, row.int()?)));
        self.db.read(select, &[id.into()]).await?.into_iter().map(one).collect()
    }

    /// Forgets a node, has its certificates end with that, and says so; whether there was one.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn node_forget(
        &self,
        id: &str,
        out: &Revocation,
        said: &Entry,
    ) -> Result<bool, Error> {
        let mut tx = self.db.write().await?;
        let number = revocation::advance(&mut tx).await?;
        tx.execute("DELETE FROM node_scopes WHERE node = $1", &[id.into()]).await?;
        if tx.execute("DELETE FROM nodes WHERE id = $1", &[id.into()]).await? == 0 {
            tx.rollback().await?;
            return Ok(false);
        }
        revocation::insert(&mut tx, out).await?;
        audit::say(&mut tx, std::slice::from_ref(said)).await?;
        self.tell_revocation(tx, number).await?;
        Ok(true)
    }
}

fn read(mut row: Row) -> Result<Node, Error> {
    Ok(Node {
        id: row.text()?,
        cluster: row.text()?,
        kind: row.text()?,
        name: row.text()?,
        version: row.text()?,
        first_seen: row.int()?,
        last_seen: row.int()?,
        certificate: match (row.text_or_none()?, row.int_or_none()?) {
            (Some(serial), Some(expires)) => Some(Certificate { serial, expires }),
            (Some(_) | None, _) => None,
        },
        connected: row.is()?,
        // What another version wrote is as if nothing were said; the node says it anew.
        standing: row.text_or_none()?.and_then(|text| serde_json::from_str(&text).ok()),
    })
}
