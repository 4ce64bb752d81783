//! Sealing what must not be read from a database: AES-256-GCM under keys that lie beside it.
//!
//! The key file holds several keys; the newest seals and all of them open, so that a rotation has
//! no moment at which something cannot be opened. Old keys stay in the file: a backup from before
//! a rotation opens by them alone. What is sealed is bound to its row, so that a value moved to
//! another row does not open there.

use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

mod rotate;

#[cfg(test)]
mod tests;

pub use rotate::RotateError;
pub(crate) use rotate::secret_row;

/// Why something was not sealed or not opened.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The key file could not be read or written.
    #[error("the key file {} cannot be read or written", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The key file is not one.
    #[error("the key file {} is damaged; bring it back from where you keep a copy", .0.display())]
    Damaged(PathBuf),
    /// The key that sealed this is not in the file.
    #[error("the key {0} is not in the key file; bring the file that belongs to this database")]
    Unknown(String),
    /// The bytes are not those that were sealed, or not those of this row.
    #[error("the sealed value of {0} was altered or moved here from elsewhere")]
    Altered(String),
    /// The system's randomness or the cipher failed.
    #[error("the system gave no randomness to seal with")]
    Chance,
}

/// A value that only the key file opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The key that sealed it.
    pub key_id: String,
    /// Nonce, ciphertext and tag.
    pub bytes: Vec<u8>,
}

/// What the key file holds.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// Oldest first.
    keys: Vec<Key>,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Key {
    id: String,
    /// 32 bytes in base64.
    key: String,
}

/// The keys of one installation.
pub struct Keyring {
    path: PathBuf,
    file: RwLock<Arc<File>>,
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keyring").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Keyring {
    /// Reads the keys in `path`; where there is no file, there are none yet.
    ///
    /// # Errors
    /// [`SealError`] if the file is there and cannot be read.
    pub fn open(path: &Path) -> Result<Self, SealError> {
        let file = RwLock::new(Arc::new(read(path)?));
        Ok(Keyring { path: path.to_owned(), file })
    }

    /// The ids of the keys, oldest first.
    pub fn ids(&self) -> Vec<String> {
        self.held().keys.iter().map(|key| key.id.clone()).collect()
    }

    /// Adds a new key, which seals from now on.
    ///
    /// # Errors
    /// [`SealError`] if there is no randomness or the file cannot be written.
    pub fn add(&self) -> Result<String, SealError> {
        let (mut id, mut key) = ([0; 8], [0; 32]);
        for bytes in [&mut id[..], &mut key[..]] {
            aws_lc_rs::rand::fill(bytes).map_err(|_| SealError::Chance)?;
        }
        let id = id.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let new = Key { id: id.clone(), key: STANDARD.encode(key) };
        self.change(|keys| keys.push(new))?;
        Ok(id)
    }

    /// Takes over the keys of `other` that are not here, as older ones.
    pub(crate) fn take_over(&self, other: &Keyring) -> Result<(), SealError> {
        let theirs = other.held();
        self.change(|keys| {
            let new: Vec<Key> =
                theirs.keys.iter().filter(|key| !keys.contains(key)).cloned().collect();
            keys.splice(0..0, new);
        })
    }

    /// Changes the file as it is now. Programs that do so at once take turns, for a key that one
    /// of them lost would be the end of what the other sealed.
    fn change(&self, change: impl FnOnce(&mut Vec<Key>)) -> Result<(), SealError> {
        let changed = || -> Result<File, SealError> {
            let _turn = turn(&self.path).map_err(|source| at(&self.path, source))?;
            let mut file = read(&self.path)?;
            change(&mut file.keys);
            write(&self.path, &file).map_err(|source| at(&self.path, source))?;
            Ok(file)
        };
        *self.file.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(changed()?);
        Ok(())
    }

    fn held(&self) -> Arc<File> {
        self.file.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Seals `plain` for the row that `row` names, under the newest key.
    ///
    /// # Errors
    /// [`SealError`] if there is no key, or no randomness for the nonce.
    pub fn seal(&self, row: &str, plain: &[u8]) -> Result<Sealed, SealError> {
        let file = self.held();
        let key = file.keys.last().ok_or_else(|| SealError::Unknown("to seal with".into()))?;
        let cipher = self.cipher(key)?;
        let mut body = plain.to_vec();
        let nonce = cipher.seal_in_place_append_tag(Aad::from(row.as_bytes()), &mut body);
        let nonce = nonce.map_err(|_| SealError::Chance)?;
        let bytes = [nonce.as_ref().as_slice(), &body].concat();
        Ok(Sealed { key_id: key.id.clone(), bytes })
    }

    /// Opens what was sealed for the row that `row` names.
    ///
    /// # Errors
    /// [`SealError`] if the key is not here, or these are not the bytes sealed for that row.
    pub fn open_sealed(&self, row: &str, sealed: &Sealed) -> Result<Vec<u8>, SealError> {
        let cipher = self.cipher(&self.key(&sealed.key_id)?)?;
        let altered = || SealError::Altered(row.replace('\0', " "));
        let (nonce, body) = sealed.bytes.split_at_checked(NONCE_LEN).ok_or_else(altered)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| altered())?;
        let mut body = body.to_vec();
        let opened = cipher.open_in_place(nonce, Aad::from(row.as_bytes()), &mut body);
        Ok(opened.map_err(|_| altered())?.to_vec())
    }

    /// The key of this id, also one that another process added to the file since.
    fn key(&self, id: &str) -> Result<Key, SealError> {
        let find = |file: &File| file.keys.iter().find(|key| key.id == id).cloned();
        if let Some(key) = find(&self.held()) {
            return Ok(key);
        }
        let fresh = read(&self.path)?;
        let found = find(&fresh).ok_or_else(|| SealError::Unknown(id.to_owned()))?;
        *self.file.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(fresh);
        Ok(found)
    }

    fn cipher(&self, key: &Key) -> Result<RandomizedNonceKey, SealError> {
        let damaged = || SealError::Damaged(self.path.clone());
        let bytes = STANDARD.decode(&key.key).map_err(|_| damaged())?;
        RandomizedNonceKey::new(&AES_256_GCM, &bytes).map_err(|_| damaged())
    }
}

fn at(path: &Path, source: io::Error) -> SealError {
    SealError::File { path: path.to_owned(), source }
}

fn read(path: &Path) -> Result<File, SealError> {
    let text = match std::fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(File::default()),
        other => other.map_err(|source| at(path, source))?,
    };
    serde_json::from_slice(&text).map_err(|_| SealError::Damaged(path.to_owned()))
}

/// A lock that lasts as long as the file that is returned.
fn turn(path: &Path) -> io::Result<std::fs::File> {
    crate::db::private_folder(path.parent().ok_or(io::ErrorKind::InvalidInput)?)?;
    let mut open = std::fs::OpenOptions::new();
    let lock = open.append(true).create(true).mode(0o600).open(path.with_extension("lock"))?;
    lock.lock()?;
    Ok(lock)
}

/// Whole or not at all, and on the disk before anything is sealed by it.
fn write(path: &Path, file: &File) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let draft = path.with_extension("draft");
    match std::fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut out =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    out.write_all(&serde_json::to_vec_pretty(file)?)?;
    out.sync_all()?;
    std::fs::rename(&draft, path)?;
    std::fs::File::open(folder)?.sync_all()
}
