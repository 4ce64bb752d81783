//! One look at the files: what each of them says, all of one revision where there are revisions.
//!
//! Kubernetes mounts a ConfigMap as a folder whose `..data` links to the revision in force, and
//! swaps that link.
//! Such a folder is read through the place that the link named when the look began, and read again
//! if the link was swapped meanwhile.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use anyhow::{Context as _, Result, bail};

/// Files that count in a folder.
const SUFFIXES: [&str; 3] = ["yaml", "yml", "json"];
/// A larger file is refused.
pub(super) const FILE_BYTES: u64 = 256 << 20;
/// The link to the revision in force, in a folder that Kubernetes mounts.
const REVISION: &str = "..data";
/// A folder that is swapped as often as this while it is read is left alone for now.
const SWAPS: usize = 10;
/// So often the files are looked at before the first load gives up on their lying still.
const LOOKS: usize = 50;

/// What became of reading a file that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Seen {
    Text(String),
    /// Why it cannot be read.
    Unreadable(String),
}

/// Every file that counts.
pub(super) type Reading = BTreeMap<PathBuf, Seen>;

/// Reads the file, or the folder's files.
///
/// # Errors
/// If the path is gone, cannot be listed or holds no file that counts.
pub(super) fn read(path: &Path) -> Result<Reading> {
    let meta = fs::metadata(path).with_context(|| format!("reading {}", path.display()))?;
    if !meta.is_dir() {
        let Some(seen) = content(path) else { bail!("{} is gone", path.display()) };
        return Ok(Reading::from([(path.to_owned(), seen)]));
    }
    for _ in 0..SWAPS {
        let before = place(path)?;
        let reading = folder(&before, path);
        if before == place(path)? {
            return reading;
        }
    }
    bail!("{} is swapped again and again while it is read", path.display())
}

/// Reads until two readings, [`STILL`](super::STILL) apart, of what is at the path and beside it are the same.
///
/// # Errors
/// As `read`, and if the files go on changing.
pub(super) fn read_still(
    path: &Path,
    read: impl Fn() -> Result<Reading>,
    mut pause: impl FnMut(Duration),
) -> Result<Reading> {
    let mut reading = read()?;
    if is_stream(path) {
        // It gives what it has once.
        return Ok(reading);
    }
    for _ in 0..LOOKS {
        pause(super::STILL);
        let again = read()?;
        if again == reading {
            return Ok(reading);
        }
        reading = again;
    }
    bail!("{} goes on changing while it is read", path.display())
}

/// Where a folder's files really lie.
fn place(folder: &Path) -> Result<PathBuf> {
    let revision = folder.join(REVISION);
    let place = if fs::symlink_metadata(&revision).is_ok() { &revision } else { folder };
    fs::canonicalize(place).with_context(|| format!("reading {}", place.display()))
}

/// Reads the files in `place`, named as if they lay in `shown`.
fn folder(place: &Path, shown: &Path) -> Result<Reading> {
    let listing = || format!("listing {}", shown.display());
    let mut files = Reading::new();
    for entry in fs::read_dir(place).with_context(listing)? {
        let file = entry.with_context(listing)?.path();
        let Some(name) = file.file_name() else { continue };
        if counts(&file)
            && let Some(seen) = content(&file)
        {
            files.insert(shown.join(name), seen);
        }
    }
    if files.is_empty() {
        bail!("{} holds no .yaml, .yml or .json file", shown.display());
    }
    Ok(files)
}

fn counts(file: &Path) -> bool {
    let hidden = file.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
    let fits = file.extension().is_some_and(|end| SUFFIXES.iter().any(|s| end == *s));
    let is_folder = fs::metadata(file).is_ok_and(|meta| meta.is_dir());
    fits && !hidden && !is_folder && !is_stream(file)
}

/// Whether it is a pipe, a socket or a device, which reading may empty or wait for.
fn is_stream(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| !meta.is_file() && !meta.is_dir())
}

/// What a file says; `None` if there is none. A link that leads nowhere is there: what it links to
/// may be on a disk that is away.
fn content(file: &Path) -> Option<Seen> {
    match text(file) {
        Ok(text) => Some(Seen::Text(text)),
        Err(_) if gone(file) => None,
        Err(error) => Some(Seen::Unreadable(format!("cannot be read: {error}"))),
    }
}

fn gone(file: &Path) -> bool {
    fs::symlink_metadata(file).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

fn text(file: &Path) -> io::Result<String> {
    if fs::metadata(file)?.len() > FILE_BYTES {
        let bound = format!("larger than {} MiB", FILE_BYTES >> 20);
        return Err(io::Error::new(io::ErrorKind::InvalidData, bound));
    }
    fs::read_to_string(file)
}
