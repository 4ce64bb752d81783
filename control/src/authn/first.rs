//! The first admin's password: made once, lying in a file until it is used or changed.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// The user that an installation begins with.
pub(crate) const ADMIN: &str = "admin";

/// The file with the password, while it is there.
#[derive(Debug, Default)]
pub(crate) struct First(Mutex<Option<PathBuf>>);

impl First {
    /// Looks after the file at `path`, if there is one.
    pub(crate) fn watch(&self, path: &Path) {
        let path = path.is_file().then(|| path.to_owned());
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = path;
    }

    /// Somebody signed in with this password: if it is the one in the file, it need not lie there.
    pub(crate) fn used(&self, user: &str, password: &str) {
        let is_it = |path: &Path| {
            std::fs::read_to_string(path).is_ok_and(|text| text.trim_end() == password)
        };
        self.remove(user, is_it);
    }

    /// A user has another password: what lies in the file is worth nothing.
    pub(crate) fn changed(&self, user: &str) {
        self.remove(user, |_| true);
    }

    fn remove(&self, user: &str, when: impl FnOnce(&Path) -> bool) {
        let mut file = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let Some(path) = file.as_ref().filter(|path| user == ADMIN && when(path)) else { return };
        match std::fs::remove_file(path) {
            Ok(()) => tracing::info!("{} is no longer needed and was removed", path.display()),
            Err(error) => {
                tracing::warn!(%error, "{} is no longer needed; remove it", path.display());
            }
        }
        *file = None;
    }
}

/// Writes the password for its owner alone, in place of what an interrupted start left.
pub(crate) fn write(path: &Path, password: &str) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    writeln!(file, "{password}")?;
    file.sync_all()
}
