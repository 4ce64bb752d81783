//! Opening the store: the database brought to our schema, the keys that open its secrets, the feed.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::Error;
use crate::db::{Db, Open, Settings, private_folder};
use crate::feed::Feed;
use crate::migration::{self, MigrationError};
use crate::seal::{Keyring, SealError};

/// Where the store is.
#[derive(Clone, PartialEq, Eq)]
pub enum Location {
    /// A folder of its own: SQLite in `heddle.db`, the keys in `keys/seal.json`.
    Folder(PathBuf),
    /// A PostgreSQL server. The keys stay off it, in `keys/seal.json` of the folder; every
    /// program that shares the database needs the same file.
    Postgres {
        /// `postgres://user:password@host/database`.
        url: String,
        /// The folder of the keys.
        folder: PathBuf,
    },
}

impl std::fmt::Debug for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Location::Folder(folder) => f.debug_tuple("Folder").field(folder).finish(),
            // The URL holds a password.
            Location::Postgres { folder, .. } => {
                f.debug_struct("Postgres").field("folder", folder).finish_non_exhaustive()
            }
        }
    }
}

impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Location::Folder(folder) => write!(f, "the folder {}", folder.display()),
            // The URL holds a password.
            Location::Postgres { folder, .. } => {
                write!(f, "the PostgreSQL database with the keys of {}", folder.display())
            }
        }
    }
}

impl Location {
    pub(crate) fn keys(&self) -> PathBuf {
        self.folder().join("keys").join("seal.json")
    }

    fn folder(&self) -> &Path {
        match self {
            Location::Folder(folder) | Location::Postgres { folder, .. } => folder,
        }
    }
}

/// Why the store was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder cannot be made.
    #[error("the folder {} cannot be made; check who owns the one above it", path.display())]
    Folder {
        /// Which folder.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The folder is there, and the database in it is not ours to open.
    #[error("{} cannot be opened; see that you may read and write it and its folder", path.display())]
    File {
        /// The database's file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// There is no store, and none was to be made.
    #[error("there is no store; see that the place is right, or start the server there once")]
    Missing,
    /// A newer program wrote this database.
    #[error(
        "the database has schema {found} and this program knows schemas up to {known}; run a \
         newer Heddle, or restore the backup that was made before the newer one ran"
    )]
    Newer {
        /// The database's schema.
        found: i64,
        /// The newest that this program knows.
        known: i64,
    },
    /// The database failed.
    #[error(transparent)]
    Database(#[from] Error),
    /// The keys do not open what is in the database.
    #[error(transparent)]
    Seal(#[from] SealError),
}

impl From<MigrationError> for OpenError {
    fn from(error: MigrationError) -> Self {
        match error {
            MigrationError::Newer { found, known } => OpenError::Newer { found, known },
            MigrationError::Database(error) => OpenError::Database(error),
        }
    }
}

/// An open store; clones share it.
#[derive(Debug, Clone)]
pub struct Store {
    pub(crate) db: Db,
    pub(crate) keys: Arc<Keyring>,
    pub(crate) feed: Arc<Feed>,
}

impl Store {
    /// Opens the store, makes it where there is none, and brings it to this program's schema.
    ///
    /// # Errors
    /// [`OpenError`], which says what a person does about it.
    pub async fn open(location: &Location) -> Result<Self, OpenError> {
        let folder = location.folder();
        private_folder(folder)
            .map_err(|source| OpenError::Folder { path: folder.to_owned(), source })?;
        let store = Self::with(database(location, Open::OrCreate).await?, location).await?;
        if store.keys.ids().is_empty() {
            store.keys.add()?;
        }
        Ok(store)
    }

    /// Opens a store that is there already: a wrong place is told, not filled with an empty store.
    ///
    /// # Errors
    /// [`OpenError`], which says what a person does about it.
    pub async fn open_existing(location: &Location) -> Result<Self, OpenError> {
        let db = database(location, Open::Existing).await?;
        if !migration::there(&db).await? {
            db.close().await;
            return Err(OpenError::Missing);
        }
        Self::with(db, location).await
    }

    async fn with(db: Db, location: &Location) -> Result<Self, OpenError> {
        migration::run(&db).await?;
        let keys = Arc::new(Keyring::open(&location.keys())?);
        if let Some(id) = key_missing(&db, &keys).await? {
            return Err(SealError::Unknown(id).into());
        }
        let feed = Arc::new(Feed::start(&db).await?);
        Ok(Store { db, keys, feed })
    }

    /// Ends the connections, after the statements that are under way.
    pub async fn close(&self) {
        self.feed.stop();
        self.db.close().await;
    }

    /// What SQLite says of its settings; none on PostgreSQL.
    ///
    /// # Errors
    /// [`Error`] if the database fails.
    pub async fn settings(&self) -> Result<Option<Settings>, Error> {
        self.db.settings().await
    }

    /// The keys that open the secrets.
    pub fn keys(&self) -> &Keyring {
        &self.keys
    }
}

/// Connects to the database, whose file is tried first: what the system says of it names the reason.
async fn database(location: &Location, open: Open) -> Result<Db, OpenError> {
    let folder = match location {
        Location::Postgres { url, .. } => return Ok(Db::postgres(url).await?),
        Location::Folder(folder) => folder,
    };
    let path = folder.join("heddle.db");
    let tried = std::fs::OpenOptions::new().read(true).append(true).open(&path);
    match tried.map(drop) {
        Err(source) if source.kind() == io::ErrorKind::NotFound => {
            if open == Open::Existing {
                return Err(OpenError::Missing);
            }
        }
        Err(source) => return Err(OpenError::File { path, source }),
        Ok(()) => {}
    }
    Ok(Db::sqlite(&path, open).await?)
}

/// A key that sealed some row and is not held: better told at the start than when a node asks for
/// a secret.
pub(crate) async fn key_missing(db: &Db, keys: &Keyring) -> Result<Option<String>, Error> {
    let used = "SELECT DISTINCT key_id FROM sealed UNION SELECT DISTINCT key_id FROM authorities";
    let held = keys.ids();
    for mut row in db.read(used, &[]).await? {
        let id = row.text()?;
        if !held.contains(&id) {
            return Ok(Some(id));
        }
    }
    Ok(None)
}
