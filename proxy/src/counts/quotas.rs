//! Counts of quotas, which outlive the process: kept in a file, written soon after they changed and at the end.
//!
//! The file holds the key by which places are found and what is in them; no name of a count stands there. It ends
//! with a digest of itself, and takes the place of the one before as a whole. One process alone has it at a time.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwapOption;
use aws_lc_rs::digest::{SHA256, digest};
use model::Name;

use super::own::{Kept, KeptPool, Own};
use crate::identity::{FolderError, hold, replace};
use crate::moment;

/// What a file of this form begins with: another number where another order of pools, another name of a count or
/// other places are meant.
const FORM: &[u8; 16] = b"heddle-quotas-1\n";

/// What holds the file for a process.
const LOCK: &str = "quotas.lock";

/// How soon after a change it is written,
const SOON: Duration = Duration::from_secs(1);

/// no more often than that so many times the time passes that it took,
const SHARE: u32 = 20;

/// and so much later for each so many bytes.
const BULK: usize = 1 << 20;

/// Counts of quotas. Time is nanoseconds since 1970.
#[derive(Debug)]
pub(super) struct Quotas {
    pub(super) own: Own,
    key: [u8; 16],
    /// Why they are not kept, where they are not.
    why: ArcSwapOption<String>,
}

/// How it stands with what quotas count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Keeping {
    /// Where they are kept.
    pub(crate) file: PathBuf,
    /// Why they are not.
    pub(crate) why: Option<Arc<String>>,
}

/// Keeps what quotas count until it is dropped.
#[derive(Debug)]
pub(crate) struct Keeper {
    desk: Arc<Desk>,
    thread: Option<thread::JoinHandle<()>>,
}

/// Where it is written.
#[derive(Debug)]
struct Desk {
    quotas: Arc<Quotas>,
    file: PathBuf,
    /// There while the file is this process's own.
    held: Mutex<Option<File>>,
    /// Whether it is to be.
    wants: AtomicBool,
    ends: AtomicBool,
}

/// Why what quotas had counted cannot be gone on with.
#[derive(Debug, thiserror::Error)]
pub(super) enum QuotasError {
    /// The folder cannot be had.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The file cannot be read, or not be put aside.
    #[error("reading {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// There is no thread to be had.
    #[error("starting the thread that keeps them")]
    Thread(#[source] io::Error),
}

impl Quotas {
    /// What the file says that was counted, if there is one, and what keeps it from now on: at once, or as soon as
    /// another process lets go of it. A file that says nothing is put aside.
    pub(super) fn at(file: &Path) -> Result<(Arc<Self>, Keeper), QuotasError> {
        let (held, taken) = match hold(folder(file), LOCK) {
            Ok(held) => (Some(held), None),
            Err(error @ FolderError::Taken(_)) => (None, Some(error.to_string())),
            Err(error) => return Err(error.into()),
        };
        let (key, pools) = match bytes_of(file)? {
            None => (rand::random(), Vec::new()),
            Some(bytes) => match read(&bytes) {
                Some(read) => read,
                // Whoever has it puts it aside.
                None if held.is_none() => (rand::random(), Vec::new()),
                None => {
                    let aside = file.with_extension("odd");
                    let unmoved = |source| QuotasError::Read { path: file.to_owned(), source };
                    fs::rename(file, &aside).map_err(unmoved)?;
                    let (file, aside) = (file.display(), aside.display());
                    tracing::error!(%file, %aside, "what quotas had counted says nothing and is put aside: they begin anew");
                    (rand::random(), Vec::new())
                }
            },
        };
        let quotas = Arc::new(Quotas::keyed(key));
        let now = moment::nanos(SystemTime::now());
        pools.iter().for_each(|pool| quotas.own.put(pool, now));
        let desk = Desk {
            quotas: Arc::clone(&quotas),
            file: file.to_owned(),
            held: Mutex::new(held),
            wants: AtomicBool::new(true),
            ends: AtomicBool::new(false),
        };
        taken.iter().for_each(|why| desk.fails(why));
        Ok((quotas, Keeper::start(desk).map_err(QuotasError::Thread)?))
    }

    fn keyed(key: [u8; 16]) -> Self {
        Quotas { own: Own::keyed(key), key, why: ArcSwapOption::empty() }
    }

    /// They are not kept, for this reason.
    pub(super) fn not_kept(why: String) -> Self {
        Quotas { why: ArcSwapOption::from_pointee(why), ..Quotas::default() }
    }

    /// Why they are not kept, where they are not.
    pub(super) fn why(&self) -> Option<Arc<String>> {
        self.why.load_full()
    }
}

/// Those that end with the process.
impl Default for Quotas {
    fn default() -> Self {
        Quotas::keyed(rand::random())
    }
}

impl Keeper {
    fn start(desk: Desk) -> io::Result<Self> {
        let desk = Arc::new(desk);
        let at = Arc::clone(&desk);
        let thread = thread::Builder::new().name("quotas".to_owned()).spawn(move || at.work())?;
        desk.quotas.own.wakes(thread.thread().clone());
        Ok(Keeper { desk, thread: Some(thread) })
    }

    /// Writes once more and lets go of the file, which another process goes on with.
    pub(crate) fn let_go(&self) {
        self.desk.wants.store(false, SeqCst);
        let mut held = self.desk.held();
        self.desk.write(&held);
        *held = None;
    }

    /// Takes the file back: the other process came to nothing.
    pub(crate) fn take_back(&self) {
        self.desk.wants.store(true, SeqCst);
        self.desk.want();
        self.thread.iter().for_each(|thread| thread.thread().unpark());
    }
}

/// Writes once more, and waits for that.
impl Drop for Keeper {
    fn drop(&mut self) {
        self.desk.ends.store(true, SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            if thread.join().is_err() {
                tracing::error!("what quotas count was not kept at the end");
            }
        }
    }
}

impl Desk {
    /// Writes what changes until told to end.
    fn work(&self) {
        loop {
            while !self.quotas.own.has_changed() && !self.ends.load(SeqCst) {
                match self.lacks() {
                    true => self.want(),
                    false => thread::park(),
                }
                if self.lacks() {
                    thread::park_timeout(SOON);
                }
            }
            // Of many changes one is written.
            self.rest(Instant::now() + SOON);
            self.want();
            let (began, written) = (Instant::now(), self.write(&self.held()));
            if self.ends.load(SeqCst) {
                return;
            }
            let bulk = u32::try_from(written / BULK).unwrap_or(u32::MAX);
            let wait = (began.elapsed() * SHARE).max(SOON * bulk);
            self.rest(Instant::now() + wait.saturating_sub(SOON));
        }
    }

    /// Whether the file is another's and is to be this process's own.
    fn lacks(&self) -> bool {
        self.wants.load(SeqCst) && self.held().is_none()
    }

    /// Tries to have the file, where it is to be had: then what another process counted counts, too.
    fn want(&self) {
        if !self.lacks() {
            return;
        }
        let mut held = self.held();
        match hold(folder(&self.file), LOCK) {
            Ok(lock) => {
                let now = moment::nanos(SystemTime::now());
                let kept = bytes_of(&self.file).ok().flatten().and_then(|bytes| read(&bytes));
                // By another key nothing is found: what is counted here takes its place.
                if let Some((_, pools)) = kept.filter(|(key, _)| *key == self.quotas.key) {
                    pools.iter().for_each(|pool| self.quotas.own.put(pool, now));
                }
                *held = Some(lock);
                self.quotas.own.change();
            }
            Err(error) => self.fails(&words(&error)),
        }
    }

    /// Waits until then, or until told to end.
    fn rest(&self, until: Instant) {
        while !self.ends.load(SeqCst) {
            match until.checked_duration_since(Instant::now()) {
                Some(left) if !left.is_zero() => thread::park_timeout(left),
                Some(_) | None => return,
            }
        }
    }

    /// Writes what is counted, if it changed and the file is held; how many bytes.
    fn write(&self, held: &Option<File>) -> usize {
        if held.is_none() || !self.quotas.own.take_change() {
            return 0;
        }
        let all = self.quotas.own.all(moment::nanos(SystemTime::now()));
        let bytes = bytes(self.quotas.key, &all);
        match replace(&self.file, &bytes) {
            Ok(()) => {
                if self.quotas.why.swap(None).is_some() {
                    tracing::info!(file = %self.file.display(), "what quotas count is kept again");
                }
            }
            Err(error) => {
                // It is tried again.
                self.quotas.own.change();
                self.fails(&error.to_string());
            }
        }
        bytes.len()
    }

    fn fails(&self, why: &str) {
        let before = self.quotas.why.swap(Some(Arc::new(why.to_owned())));
        if before.is_none_or(|before| *before != why) {
            let file = self.file.display();
            tracing::error!(%file, why, "what quotas count cannot be kept, and is tried again");
        }
    }

    fn held(&self) -> MutexGuard<'_, Option<File>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The folder that a file lies in.
fn folder(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn bytes_of(file: &Path) -> Result<Option<Vec<u8>>, QuotasError> {
    match fs::read(file) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(QuotasError::Read { path: file.to_owned(), source }),
    }
}

/// An error with its causes.
pub(super) fn words(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |words, cause| format!("{words}: {cause}"))
}

/// What a file holds.
fn bytes(key: [u8; 16], all: &[KeptPool]) -> Vec<u8> {
    let mut bytes = [&FORM[..], &key].concat();
    let number = |many: usize| u32::try_from(many).unwrap_or(u32::MAX).to_be_bytes();
    bytes.extend(number(all.len()));
    for KeptPool { namespace, pool, places } in all {
        bytes.extend(number(namespace.as_str().len()));
        bytes.extend(namespace.as_str().as_bytes());
        bytes.extend(number(*pool));
        bytes.extend(number(places.len()));
        for Kept { at, owner, state } in places {
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
type Read = ([u8; 16], Vec<KeptPool>);

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
        let (namespace, pool, many) = (Name::parse(name).ok()?, rest.number()?, rest.number()?);
        let mut places = Vec::new();
        for _ in 0..many {
            let at = u32::from_be_bytes(rest.take()?);
            let (owner, state) =
                (u64::from_be_bytes(rest.take()?), u64::from_be_bytes(rest.take()?));
            places.push(Kept { at, owner, state });
        }
        pools.push(KeptPool { namespace, pool, places });
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
