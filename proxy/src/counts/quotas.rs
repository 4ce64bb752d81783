//! Counts of quotas, which outlive the process: kept in a file, written a second after they changed and at the end.
//!
//! The file holds the key by which places are found and what is in them; no name of a count stands there. It ends
//! with a digest of itself, and takes the place of the one before as a whole.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use aws_lc_rs::digest::{SHA256, digest};
use model::Name;

use super::own::{Kept, Own};
use crate::moment;

/// What a file of this form begins with.
const FORM: &[u8; 16] = b"heddle-quotas-1\n";

/// How soon after a change it is written.
const SOON: Duration = Duration::from_secs(1);

/// A file is written no more often than that so many times the time passes that it took.
const SHARE: u32 = 20;

/// Counts of quotas. Time is nanoseconds since 1970.
#[derive(Debug, Default)]
pub(super) struct Quotas {
    pub(super) own: Own,
    key: [u8; 16],
    file: Option<PathBuf>,
}

/// Writes what quotas count until it is dropped.
#[derive(Debug)]
pub(crate) struct Keeper {
    /// Ends the thread when it is gone, or when something is sent: then without writing once more.
    ends: Option<mpsc::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Quotas {
    /// What the file says that was counted, if there is one; a file that says nothing is put aside.
    ///
    /// # Errors
    /// If its folder cannot be made, or it cannot be read.
    pub(super) fn at(file: &Path) -> io::Result<Self> {
        if let Some(folder) = file.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let key = rand::random();
        let fresh = Quotas { own: Own::keyed(key), key, file: Some(file.to_owned()) };
        let bytes = match fs::read(file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(fresh),
            Err(error) => return Err(error),
        };
        match read(&bytes) {
            Some((key, pools)) => {
                let quotas = Quotas { own: Own::keyed(key), key, ..fresh };
                let now = moment::nanos(SystemTime::now());
                for (namespace, pool, kept) in pools {
                    quotas.own.put(&namespace, pool, &kept, now);
                }
                Ok(quotas)
            }
            None => {
                let aside = file.with_extension("odd");
                fs::rename(file, &aside)?;
                let (file, aside) = (file.display(), aside.display());
                tracing::error!(%file, %aside, "what quotas had counted cannot be read and is put aside: they begin anew");
                Ok(fresh)
            }
        }
    }

    /// Writes what is counted, if it changed.
    fn write(&self) -> io::Result<()> {
        let Some(file) = self.file.as_ref().filter(|_| self.own.has_changed()) else {
            return Ok(());
        };
        let all = self.own.all(moment::nanos(SystemTime::now()));
        let part = file.with_extension(format!("{}.part", std::process::id()));
        let written =
            write_whole(&part, &bytes(self.key, &all)).and_then(|()| fs::rename(&part, file));
        if written.is_err() {
            // It is tried again.
            self.own.is_changed();
        }
        written
    }
}

impl Keeper {
    /// Begins to write what `quotas` count.
    ///
    /// # Errors
    /// If no thread can be had.
    pub(super) fn start(quotas: Arc<Quotas>) -> io::Result<Self> {
        let (ends, end) = mpsc::channel();
        let thread = thread::Builder::new().name("quotas".to_owned()).spawn(move || {
            let (mut wait, mut fails) = (SOON, false);
            loop {
                let is_over = match end.recv_timeout(wait) {
                    Ok(()) => return,
                    Err(RecvTimeoutError::Disconnected) => true,
                    Err(RecvTimeoutError::Timeout) => false,
                };
                let began = Instant::now();
                match quotas.write() {
                    Ok(()) => fails = false,
                    Err(error) if fails => tracing::debug!(%error, "what quotas count cannot be kept"),
                    Err(error) => {
                        fails = true;
                        tracing::error!(%error, "what quotas count cannot be kept, and is tried again");
                    }
                }
                wait = SOON.max(began.elapsed() * SHARE);
                if is_over {
                    return;
                }
            }
        })?;
        Ok(Keeper { ends: Some(ends), thread: Some(thread) })
    }

    /// Writes nothing more: another process goes on with the file.
    pub(crate) fn forgo(self) {
        // One that has ended has nothing to be told.
        let _ended = self.ends.as_ref().map(|ends| ends.send(()));
    }
}

/// Writes once more, and waits for that.
impl Drop for Keeper {
    fn drop(&mut self) {
        self.ends = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("what quotas count was not kept at the end");
        }
    }
}

fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file: File = options.create(true).truncate(true).write(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// What a file holds.
fn bytes(key: [u8; 16], all: &[(Name, usize, Vec<Kept>)]) -> Vec<u8> {
    let mut bytes = [&FORM[..], &key].concat();
    let number = |many: usize| u32::try_from(many).unwrap_or(u32::MAX).to_be_bytes();
    bytes.extend(number(all.len()));
    for (namespace, pool, kept) in all {
        bytes.extend(number(namespace.as_str().len()));
        bytes.extend(namespace.as_str().as_bytes());
        bytes.extend(number(*pool));
        bytes.extend(number(kept.len()));
        for Kept { at, owner, state } in kept {
            bytes.extend(at.to_be_bytes());
            bytes.extend(owner.to_be_bytes());
            bytes.extend(state.to_be_bytes());
        }
    }
    let end = digest(&SHA256, &bytes);
    bytes.extend(end.as_ref());
    bytes
}

/// The key, and what each pool counted.
type Read = ([u8; 16], Vec<(Name, usize, Vec<Kept>)>);

/// What a file says; none where it was not written whole, or in another form.
fn read(bytes: &[u8]) -> Option<Read> {
    let (whole, end) = bytes.split_last_chunk::<32>()?;
    if digest(&SHA256, whole).as_ref() != end {
        return None;
    }
    let mut rest = Rest(whole.strip_prefix(FORM)?);
    let key = rest.take()?;
    let many = rest.number()?;
    let mut pools = Vec::new();
    for _ in 0..many {
        let length = rest.number()?;
        let name = std::str::from_utf8(rest.bytes(length)?).ok()?;
        let (name, pool, many) = (Name::parse(name).ok()?, rest.number()?, rest.number()?);
        let mut kept = Vec::new();
        for _ in 0..many {
            let at = u32::from_be_bytes(rest.take()?);
            let (owner, state) =
                (u64::from_be_bytes(rest.take()?), u64::from_be_bytes(rest.take()?));
            kept.push(Kept { at, owner, state });
        }
        pools.push((name, pool, kept));
    }
    Some((key, pools))
}

/// What is yet to be read.
struct Rest<'b>(&'b [u8]);

impl Rest<'_> {
    fn bytes(&mut self, many: usize) -> Option<&[u8]> {
        let (bytes, rest) = self.0.split_at_checked(many)?;
        self.0 = rest;
        Some(bytes)
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.try_into().ok()
    }

    fn number(&mut self) -> Option<usize> {
        usize::try_from(u32::from_be_bytes(self.take()?)).ok()
    }
}

#[cfg(test)]
mod tests;
