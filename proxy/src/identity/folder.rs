//! The folder in which a node keeps who it is: its key, its certificate, and what it served last.
//!
//! ```text
//! DIR/              0700
//!   lock            held while a process uses the folder
//!   key.pem         0600; never leaves the machine
//!   identity.json   who the node is, its certificates, the newest state it took
//!   workload.json   by which certificate it speaks in the mesh, where it stands for a workload
//!   last-good       that state, sealed
//!   session-secrets by what sessions are sealed, sealed
//!   revoked         who is shut out, sealed
//!   quotas          what quotas counted, under a lock of its own: see `counts`
//! ```
//!
//! Every file is written beside, flushed and renamed, so that a crash leaves the old one or the new.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::key::{KeyError, NodeKey};
use super::node::{Identity, Spoken, SpokenWritten, Written};

const LOCK: &str = "lock";
const KEY: &str = "key.pem";
const IDENTITY: &str = "identity.json";
const WORKLOAD: &str = "workload.json";
const LAST_GOOD: &str = "last-good";
const SESSIONS: &str = "session-secrets";
const REVOKED: &str = "revoked";

/// A node's folder, held by this process alone.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    _lock: File,
}

/// Why a folder cannot be used; each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// A file or the folder itself cannot be read or written.
    #[error("{doing} {}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// Another process has it.
    #[error(
        "{} is used by another process: each node needs a folder of its own, name one with --state",
        .0.display()
    )]
    Taken(PathBuf),
    /// Others may read the key.
    #[error(
        "{} can be read by others, so it may not be secret any more: `chmod 600` it if it is, or \
         remove the folder and join anew",
        .0.display()
    )]
    Exposed(PathBuf),
    /// A file says nothing that can be used.
    #[error("{} is damaged ({why}): restore it, or remove the folder and join anew", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

impl Folder {
    /// Opens the folder, made if it is not there, for this process alone.
    ///
    /// # Errors
    /// If it cannot be made or used, or another process has it.
    pub fn open(path: &Path) -> Result<Self, FolderError> {
        let lock = hold(path, LOCK)?;
        Ok(Folder { path: path.to_owned(), _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The key that is kept here, if there is one.
    pub(crate) fn key(&self) -> Result<Option<NodeKey>, FolderError> {
        let Some(pem) = self.read(KEY)? else { return Ok(None) };
        let path = self.path.join(KEY);
        let mode = fs::metadata(&path).map_err(|source| FolderError::Io {
            doing: "reading",
            path: path.clone(),
            source,
        })?;
        if mode.permissions().mode() & 0o077 != 0 {
            return Err(FolderError::Exposed(path));
        }
        let key = NodeKey::read(&String::from_utf8_lossy(&pem));
        key.map(Some).map_err(|error: KeyError| self.damaged(KEY, &error))
    }

    /// Keeps a key.
    pub(crate) fn keep_key(&self, key: &NodeKey) -> Result<(), FolderError> {
        self.write(KEY, key.pem().expose())
    }

    /// Who the node is, if it ever joined.
    pub(crate) fn identity(&self) -> Result<Option<Identity>, FolderError> {
        let Some(text) = self.read(IDENTITY)? else { return Ok(None) };
        let written: Written =
            serde_json::from_slice(&text).map_err(|error| self.damaged(IDENTITY, &error))?;
        let identity = Identity::try_from(written);
        identity.map(Some).map_err(|error| self.damaged(IDENTITY, &error))
    }

    /// Keeps who the node is.
    pub(crate) fn keep_identity(&self, identity: &Identity) -> Result<(), FolderError> {
        let mut text = serde_json::to_vec_pretty(&Written::from(identity))
            .map_err(|error| self.damaged(IDENTITY, &error))?;
        text.push(b'\n');
        self.write(IDENTITY, &text)
    }

    /// By which certificate it spoke in the mesh, if it ever did.
    pub(crate) fn spoken(&self) -> Result<Option<Spoken>, FolderError> {
        let Some(text) = self.read(WORKLOAD)? else { return Ok(None) };
        let written: SpokenWritten =
            serde_json::from_slice(&text).map_err(|error| self.damaged(WORKLOAD, &error))?;
        let spoken = Spoken::try_from(written);
        spoken.map(Some).map_err(|error| self.damaged(WORKLOAD, &error))
    }

    /// Keeps by which certificate it speaks in the mesh.
    pub(crate) fn keep_spoken(&self, spoken: &Spoken) -> Result<(), FolderError> {
        let mut text = serde_json::to_vec_pretty(&SpokenWritten::from(spoken))
            .map_err(|error| self.damaged(WORKLOAD, &error))?;
        text.push(b'\n');
        self.write(WORKLOAD, &text)
    }

    /// The state that was served last, sealed, if it was kept.
    pub(crate) fn last_good(&self) -> Result<Option<Vec<u8>>, FolderError> {
        self.read(LAST_GOOD)
    }

    /// Keeps the state that is served, sealed.
    pub(crate) fn keep_last_good(&self, sealed: &[u8]) -> Result<(), FolderError> {
        self.write(LAST_GOOD, sealed)
    }

    /// By what sessions were sealed last, sealed, if that was kept.
    pub(crate) fn sessions(&self) -> Result<Option<Vec<u8>>, FolderError> {
        self.read(SESSIONS)
    }

    /// Keeps by what sessions are sealed, sealed.
    pub(crate) fn keep_sessions(&self, sealed: &[u8]) -> Result<(), FolderError> {
        self.write(SESSIONS, sealed)
    }

    /// Who was shut out last, sealed, if that was kept.
    pub(crate) fn revoked(&self) -> Result<Option<Vec<u8>>, FolderError> {
        self.read(REVOKED)
    }

    /// Keeps who is shut out, sealed.
    pub(crate) fn keep_revoked(&self, sealed: &[u8]) -> Result<(), FolderError> {
        self.write(REVOKED, sealed)
    }

    /// Keeps nothing of the kind any more.
    pub(crate) fn drop_sessions(&self) -> Result<(), FolderError> {
        let path = self.path.join(SESSIONS);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(FolderError::Io { doing: "removing", path, source })
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, FolderError> {
        let path = self.path.join(name);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(FolderError::Io { doing: "reading", path, source }),
        }
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), FolderError> {
        let path = self.path.join(name);
        replace(&path, bytes).map_err(|source| FolderError::Io { doing: "writing", path, source })
    }

    fn damaged(&self, name: &str, why: &dyn std::fmt::Display) -> FolderError {
        FolderError::Damaged { path: self.path.join(name), why: why.to_string() }
    }
}

/// Puts a file in the place of the one before, or makes it, for this user alone: after a crash there is the one or
/// the other.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    // One that a crash left may have another mode.
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// Makes a folder, if it is not there, and holds the lock of this name in it for as long as the file is there.
pub(crate) fn hold(folder: &Path, lock: &str) -> Result<File, FolderError> {
    let io = |doing, source| FolderError::Io { doing, path: folder.to_owned(), source };
    let mut made = DirBuilder::new();
    made.recursive(true).mode(0o700);
    made.create(folder).map_err(|source| io("making the folder", source))?;
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true).mode(0o600);
    let lock = options.open(folder.join(lock)).map_err(|source| io("writing to", source))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(FolderError::Taken(folder.to_owned())),
        Err(TryLockError::Error(source)) => Err(io("locking", source)),
    }
}
