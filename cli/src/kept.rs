//! What `login` keeps: which server, and the token that it gave.

use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::{env, fmt, fs, io};

use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// What is kept from one login to the logout. The token is not shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Kept {
    pub(crate) server: String,
    pub(crate) user: String,
    /// What the server calls the token, so that it can be revoked.
    pub(crate) token_id: String,
    pub(crate) token: String,
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").field("server", &self.server).finish_non_exhaustive()
    }
}

/// The file: `$XDG_CONFIG_HOME/heddle/config.json`, or in `~/.config`.
///
/// # Errors
/// If neither variable names a folder.
pub(crate) fn path() -> Result<PathBuf, Failure> {
    let folder = |variable| env::var_os(variable).map(PathBuf::from).filter(|p| p.is_absolute());
    let config = folder("XDG_CONFIG_HOME").or_else(|| folder("HOME").map(|h| h.join(".config")));
    let why = "neither XDG_CONFIG_HOME nor HOME names a folder to keep the login in";
    let config = config.ok_or_else(|| Failure::Failed(why.to_owned()))?;
    Ok(config.join("heddle").join("config.json"))
}

/// Reads what is kept; `None` if nobody is signed in.
///
/// # Errors
/// If there is a file that cannot be read.
pub(crate) fn read(path: &Path) -> Result<Option<Kept>, Failure> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Failure::of(&format!("reading {}", path.display()), error)),
    };
    // What serde would quote may be the token.
    let broken = format!("{} is damaged; sign in anew: heddle login", path.display());
    serde_json::from_str(&text).map(Some).map_err(|_| Failure::Failed(broken))
}

/// Keeps `kept` in place of what was there, for the owner's eyes alone.
///
/// # Errors
/// If it cannot be written.
pub(crate) fn write(path: &Path, kept: &Kept) -> Result<(), Failure> {
    replace(path, kept).map_err(|error| Failure::of(&format!("writing {}", path.display()), error))
}

/// The new file gets its name only when it is whole.
fn replace(path: &Path, kept: &Kept) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let draft = path.with_extension(format!("draft-{}", std::process::id()));
    let written = (|| {
        let mut file =
            fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        file.write_all(&serde_json::to_vec_pretty(kept)?)?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::rename(&draft, path)
    })();
    if written.is_err() {
        // Nothing is lost with it.
        drop(fs::remove_file(&draft));
    }
    written
}

/// Forgets what is kept.
///
/// # Errors
/// If the file stays.
pub(crate) fn remove(path: &Path) -> Result<(), Failure> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Failure::of(&format!("removing {}", path.display()), error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn kept(token: &str) -> Kept {
        let [server, user, token_id] = ["http://s", "alice", "1"].map(str::to_owned);
        Kept { server, user, token_id, token: token.to_owned() }
    }

    #[test]
    fn what_is_kept_is_for_its_owner_alone_and_replaced_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("heddle/config.json");
        assert_eq!(read(&path).unwrap(), None);
        for token in ["hdl_one", "hdl_two"] {
            write(&path, &kept(token)).unwrap();
            assert_eq!(read(&path).unwrap(), Some(kept(token)));
        }
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        remove(&path).unwrap();
        remove(&path).unwrap();
        assert_eq!(read(&path).unwrap(), None);
    }

    #[test]
    fn a_damaged_file_is_told_without_quoting_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        fs::write(&path, "{\"token\": hdl_secret").unwrap();
        let told = read(&path).unwrap_err().to_string();
        assert!(told.contains("heddle login") && !told.contains("hdl_secret"), "{told}");
        assert!(!format!("{:?}", kept("hdl_secret")).contains("hdl_secret"));
    }
}
