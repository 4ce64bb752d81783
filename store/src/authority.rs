//! Certificate authorities: certificates in the clear, private keys sealed.

use crate::db::{Row, Tx, Value, unreadable};
use crate::seal::{RotateError, Sealed};
use crate::{Entry, Error, Store, audit};

/// Where an authority stands in the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It signs intermediates.
    Root,
    /// It signs the certificates of one cluster.
    Intermediate,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Kind::Root => "root",
            Kind::Intermediate => "intermediate",
        }
    }
}

/// What an authority is used for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is in the bundles, so that all know it before it signs.
    Coming,
    /// It signs.
    Active,
    /// It is in the bundles until what it signed has expired.
    Leaving,
    /// It is in no bundle.
    Gone,
}

impl State {
    const ALL: [State; 4] = [State::Coming, State::Active, State::Leaving, State::Gone];

    const fn as_str(self) -> &'static str {
        match self {
            State::Coming => "coming",
            State::Active => "active",
            State::Leaving => "leaving",
            State::Gone => "gone",
        }
    }
}

/// One authority without its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    /// UUIDv7.
    pub id: String,
    /// The cluster whose names it vouches for; empty for a root over all.
    pub cluster: String,
    /// Root or intermediate.
    pub kind: Kind,
    /// PEM.
    pub certificate: String,
    /// When it was made.
    pub created: i64,
    /// When its certificate ends.
    pub expires: i64,
    /// What it is used for.
    pub state: State,
    /// Since when.
    pub since: i64,
}

/// What becomes of all authorities at once: roots and intermediates of one state go the same way.
#[derive(Debug)]
pub struct Step<'s> {
    /// The authorities as they were when this was decided.
    pub seen: &'s [Authority],
    /// Which state follows which.
    pub moves: &'s [(State, State)],
    /// An authority that comes with it, and its private key.
    pub new: Option<(&'s Authority, &'s [u8])>,
}

/// Why an authority was not stored or its key not opened.
pub type AuthorityError = RotateError;

const INSERT: &str = "INSERT INTO authorities \
    (id, cluster, kind, certificate, key_id, sealed, created, expires, state, moved) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";

const COLUMNS: &str = "SELECT id, cluster, kind, certificate, created, expires, state, \
     COALESCE(moved, created) FROM authorities WHERE cluster = $1 OR $1 = '*' ORDER BY created, id";

impl Store {
    fn authority_values(
        &self,
        authority: &Authority,
        private_key: &[u8],
    ) -> Result<[Value; 10], AuthorityError> {
        let sealed = self.keys.seal(&row(&authority.id), private_key)?;
        Ok([
            (&authority.id).into(),
            (&authority.cluster).into(),
            authority.kind.as_str().into(),
            (&authority.certificate).into(),
            sealed.key_id.into(),
            sealed.bytes.into(),
            authority.created.into(),
            authority.expires.into(),
            authority.state.as_str().into(),
            authority.since.into(),
        ])
    }

    /// Stores an authority unless its cluster has an active one of its kind that lasts beyond
    /// `until`; the one that is there then, the oldest of several. Programs that do so at once take
    /// turns by the counter's row, so that all of them end with the same.
    ///
    /// # Errors
    /// [`AuthorityError`] if the key cannot be sealed or the database fails.
    pub async fn authority_settle(
        &self,
        authority: &Authority,
        private_key: &[u8],
        until: i64,
    ) -> Result<Authority, AuthorityError> {
        let tx = self.authority_turn().await?;
        self.settled(tx, authority, private_key, until).await
    }

    /// The same of one that the root of id `root` signed; none if that root signs no more.
    ///
    /// # Errors
    /// [`AuthorityError`] if the key cannot be sealed or the database fails.
    pub async fn authority_settle_under(
        &self,
        root: &str,
        authority: &Authority,
        private_key: &[u8],
        until: i64,
    ) -> Result<Option<Authority>, AuthorityError> {
        let mut tx = self.authority_turn().await?;
        let signs = |one: &Authority| one.id == root && one.state == State::Active;
        if !authorities(&mut tx, "*").await?.iter().any(signs) {
            tx.rollback().await?;
            return Ok(None);
        }
        self.settled(tx, authority, private_key, until).await.map(Some)
    }

    /// Does a step and says so; `false`, and nothing, if the roots are not as they were seen.
    ///
    /// # Errors
    /// [`AuthorityError`] if a key cannot be sealed or the database fails.
    pub async fn authority_step(
        &self,
        step: &Step<'_>,
        said: &Entry,
    ) -> Result<bool, AuthorityError> {
        let mut tx = self.authority_turn().await?;
        audit::say(&mut tx, std::slice::from_ref(said)).await?;
        let held = authorities(&mut tx, "*").await?;
        if !roots(&held).eq(roots(step.seen)) {
            tx.rollback().await?;
            return Ok(false);
        }
        let update = "UPDATE authorities SET state = $2, moved = $3 WHERE id = $1";
        for one in &held {
            let Some((_, to)) = step.moves.iter().find(|(from, _)| *from == one.state) else {
                continue;
            };
            let values = [(&one.id).into(), to.as_str().into(), said.at.into()];
            tx.execute(update, &values).await?;
        }
        if let Some((authority, private_key)) = step.new {
            tx.execute(INSERT, &self.authority_values(authority, private_key)?).await?;
        }
        tx.commit().await?;
        Ok(true)
    }

    /// A transaction in which nobody else makes or moves authorities.
    async fn authority_turn(&self) -> Result<Tx, Error> {
        let mut tx = self.db.write().await?;
        tx.execute("UPDATE counter SET revision = revision WHERE id = 1", &[]).await?;
        Ok(tx)
    }

    async fn settled(
        &self,
        mut tx: Tx,
        authority: &Authority,
        private_key: &[u8],
        until: i64,
    ) -> Result<Authority, AuthorityError> {
        let held = authorities(&mut tx, &authority.cluster).await?;
        let lasts = |one: &Authority| {
            one.kind == authority.kind && one.state == State::Active && one.expires > until
        };
        if let Some(found) = held.into_iter().find(lasts) {
            tx.rollback().await?;
            return Ok(found);
        }
        let values = self.authority_values(authority, private_key)?;
        tx.execute(INSERT, &values).await?;
        tx.commit().await?;
        Ok(authority.clone())
    }

    /// The authorities of a cluster, or of all where there is none given; oldest first.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn authority_list(&self, cluster: Option<&str>) -> Result<Vec<Authority>, Error> {
        let rows = self.db.read(COLUMNS, &[cluster.unwrap_or("*").into()]).await?;
        rows.into_iter().map(read).collect()
    }

    /// The private key of an authority; none if there is no such authority.
    ///
    /// # Errors
    /// [`AuthorityError`] if the key does not open or the database fails.
    pub async fn authority_key(&self, id: &str) -> Result<Option<Vec<u8>>, AuthorityError> {
        let select = "SELECT key_id, sealed FROM authorities WHERE id = $1";
        let Some(mut found) = self.db.read(select, &[id.into()]).await?.into_iter().next() else {
            return Ok(None);
        };
        let sealed = Sealed { key_id: found.text()?, bytes: found.bytes()? };
        Ok(Some(self.keys.open_sealed(&row(id), &sealed)?))
    }
}

/// Those of a cluster, or of all for `*`.
async fn authorities(tx: &mut Tx, cluster: &str) -> Result<Vec<Authority>, Error> {
    tx.rows(COLUMNS, &[cluster.into()]).await?.into_iter().map(read).collect()
}

/// The roots with their states.
fn roots(all: &[Authority]) -> impl Iterator<Item = (&str, State)> {
    let roots = all.iter().filter(|one| one.kind == Kind::Root);
    roots.map(|one| (one.id.as_str(), one.state))
}

/// What an authority's key is bound to.
pub(crate) fn row(id: &str) -> String {
    format!("authority\0{id}")
}

fn read(mut row: Row) -> Result<Authority, Error> {
    Ok(Authority {
        id: row.text()?,
        cluster: row.text()?,
        kind: match row.text()?.as_str() {
            "root" => Kind::Root,
            "intermediate" => Kind::Intermediate,
            other => return Err(unreadable(&format!("an authority of kind '{other}'"))),
        },
        certificate: row.text()?,
        created: row.int()?,
        expires: row.int()?,
        state: {
            let word = row.text()?;
            let found = State::ALL.into_iter().find(|state| state.as_str() == word);
            found.ok_or_else(|| unreadable(&format!("an authority in state '{word}'")))?
        },
        since: row.int()?,
    })
}
