//! Keeping the store: opened, backed up, restored, moved and verified, for whoever runs the server.
//!
//! Each is one act from opening to closing, and its error says what was attempted on which place;
//! the cause below says what would be right. A place that is a database is never shown by its
//! address, which holds a password.

use std::path::{Path, PathBuf};

use store::{Backup, CopyError, OpenError};

pub use store::{Copied, Location, Store};

#[cfg(test)]
mod tests;

/// Why an act failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store was not opened.
    #[error("opening the store in {place}")]
    Open {
        /// Where.
        place: Location,
        /// Why.
        #[source]
        source: OpenError,
    },
    /// No backup was made.
    #[error("backing up {place} to {}", file.display())]
    Backup {
        /// What was to be backed up.
        place: Location,
        /// Where to.
        file: PathBuf,
        /// Why.
        #[source]
        source: CopyError,
    },
    /// Nothing was restored.
    #[error("restoring {} into {place}", file.display())]
    Restore {
        /// From which backup.
        file: PathBuf,
        /// Where to.
        place: Location,
        /// Why.
        #[source]
        source: CopyError,
    },
    /// Nothing was copied.
    #[error("copying {from} to {to}")]
    Copy {
        /// What was to be copied.
        from: Location,
        /// Where to.
        to: Location,
        /// Why.
        #[source]
        source: CopyError,
    },
    /// The audit was not walked to its end.
    #[error("reading the audit in {place}")]
    Verify {
        /// Whose audit.
        place: Location,
        /// Why.
        #[source]
        source: store::Error,
    },
}

/// An address that no database of ours has. It may hold a password, so it is not repeated.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the address is none of PostgreSQL; write postgres://USER:PASSWORD@HOST/DATABASE")]
pub struct NotAnAddress;

/// The place that the folder `data` alone is, or with a database for all but the keys.
///
/// # Errors
/// [`NotAnAddress`] if there is a database that is none of PostgreSQL.
pub fn place(data: &Path, database: Option<&str>) -> Result<Location, NotAnAddress> {
    let folder = data.to_owned();
    let Some(url) = database else { return Ok(Location::Folder(folder)) };
    if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
        return Err(NotAnAddress);
    }
    Ok(Location::Postgres { url: url.to_owned(), folder })
}

/// The place that a copy of a store goes to: a database whose keys stay in `data`, or a folder.
///
/// # Errors
/// [`NotAnAddress`] if it is an address, and none of PostgreSQL. What has user and password like one
/// is none of a folder: the password would be its name.
pub fn target(to: &str, data: &Path) -> Result<Location, NotAnAddress> {
    let is_address = to.contains("://") || (to.contains(':') && to.contains('@'));
    if is_address { place(data, Some(to)) } else { place(Path::new(to), None) }
}

/// Opens the store, and makes it where there is none.
///
/// # Errors
/// [`Error::Open`].
pub async fn open(place: &Location) -> Result<Store, Error> {
    Store::open(place).await.map_err(|source| Error::Open { place: place.clone(), source })
}

async fn open_existing(place: &Location) -> Result<Store, Error> {
    let opened = Store::open_existing(place).await;
    opened.map_err(|source| Error::Open { place: place.clone(), source })
}

/// Writes all but the keys into a new file, also while a server runs.
///
/// # Errors
/// [`Error`]; there is no file then.
pub async fn back_up(place: &Location, file: &Path) -> Result<Copied, Error> {
    let store = open_existing(place).await?;
    let copied = store.backup(file).await;
    store.close().await;
    let (place, file) = (place.clone(), file.to_owned());
    copied.map_err(|source| Error::Backup { place, file, source })
}

/// Reads a backup into a store that is empty or not there yet, and that has the backup's keys.
///
/// # Errors
/// [`Error`]; the store is as it was then.
pub async fn restore(place: &Location, file: &Path) -> Result<Copied, Error> {
    let failed = |source| Error::Restore { file: file.to_owned(), place: place.clone(), source };
    // Before a store is made for what cannot be read into it.
    let backup = Backup::open(file, place).await.map_err(failed)?;
    let store = match open(place).await {
        Ok(store) => store,
        Err(error) => {
            backup.close().await;
            return Err(error);
        }
    };
    let copied = store.restore(backup).await;
    store.close().await;
    copied.map_err(failed)
}

/// Copies all of a store, its keys too, into one that is empty or not there yet.
///
/// # Errors
/// [`Error`]; the store that was to be filled is as it was then.
pub async fn copy(from: &Location, to: &Location) -> Result<Copied, Error> {
    let failed = |source| Error::Copy { from: from.clone(), to: to.clone(), source };
    let source = open_existing(from).await?;
    let copied = async {
        source.rehearse().await.map_err(failed)?;
        let target = open(to).await?;
        let copied = store::copy(&source, &target).await;
        target.close().await;
        copied.map_err(failed)
    };
    let copied = copied.await;
    source.close().await;
    copied
}

/// What a walk over the audit found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chain {
    /// Every row is as it was written.
    Holds {
        /// How many rows.
        entries: i64,
        /// The hash of the last one; empty if there is none.
        head: String,
    },
    /// Somebody changed something; in words, with the first row where it shows.
    Broken(String),
}

/// Walks the chain of the audit from its first row, also while a server runs.
///
/// # Errors
/// [`Error`] if it could not be walked; that it does not hold is a [`Chain`].
pub async fn verify(place: &Location) -> Result<Chain, Error> {
    let store = open_existing(place).await?;
    let walked = store.audit_verify().await;
    store.close().await;
    let walked = walked.map_err(|source| Error::Verify { place: place.clone(), source })?;
    Ok(match walked {
        Ok(whole) => Chain::Holds { entries: whole.head.seq, head: whole.head.hash },
        Err(fault) => Chain::Broken(fault.to_string()),
    })
}
