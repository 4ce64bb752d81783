//! From files to a table, keeping what was good.
//!
//! Whatever happens to files opens nothing that was closed: a file that cannot be read or parsed as
//! a whole keeps its last good content, and a new one gives nothing; an object that is refused
//! keeps its last good form; what comes or goes does so once it has been there, or gone, for
//! [`GRACE`]; a configuration that vanished changes nothing.
//! None of these keeps the other files from being taken.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use model::{Document, Invalid, Key, Resource};
use table::{Assembly, Input, Refused, assemble};

use file::{File, hides_a_border};
use pending::Pending;
use reading::{Reading, read, read_still};

mod file;
mod pending;
mod reading;

/// A change must be the same for so long before it counts.
const STILL: Duration = Duration::from_millis(100);
/// A change by which objects come or go, or that may be cut off, must be the same for so long.
const GRACE: Duration = Duration::from_secs(2);
/// No change waits longer for others to be ready.
const PATIENCE: Duration = Duration::from_secs(5);

/// A fault and the file it stands in.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    pub(crate) file: Option<PathBuf>,
    pub(crate) invalid: Invalid,
}

impl fmt::Display for Fault {
    /// `FILE:LINE: Kind namespace/name: path: what is wrong`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.invalid.clone();
        if let Some(file) = &self.file {
            write!(f, "{}:", file.display())?;
            if let Some(line) = rest.line.take() {
                write!(f, "{line}:")?;
            }
            f.write_str(" ")?;
        }
        rest.fmt(f)
    }
}

/// What a load made.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// All that is wrong, in the order of files and lines; told only where anything `changed`.
    pub(crate) faults: Vec<Fault>,
    /// How many objects are in force.
    pub(crate) objects: usize,
    /// Whether anything differs from the load before.
    pub(crate) changed: bool,
    /// When to look again, since something waits to be taken.
    pub(crate) again: Option<Duration>,
}

/// The configuration at a path, and its last good state.
#[derive(Debug)]
pub(crate) struct Config {
    path: PathBuf,
    files: BTreeMap<PathBuf, File>,
    pending: Pending,
    assembly: Option<Assembly>,
}

impl Config {
    pub(crate) fn at(path: &Path) -> Self {
        let (files, pending) = (BTreeMap::new(), Pending::default());
        Config { path: path.to_owned(), files, pending, assembly: None }
    }

    /// The table of the last load.
    pub(crate) fn table(&self) -> Option<&std::sync::Arc<table::Table>> {
        self.assembly.as_ref().map(|assembly| &assembly.table)
    }

    /// The objects that were read well, as `/config` shows them: secrets as digests.
    pub(crate) fn show(&self) -> serde_json::Value {
        let documents = self.files.values().flat_map(|file| &file.good);
        documents.filter_map(|document| Some(document.result.as_ref().ok()?.to_json())).collect()
    }

    /// The first load, before anything is in force, from files that lie still; `pause` waits
    /// between two looks at them.
    ///
    /// # Errors
    /// Also if a file or a document cannot be read: nobody can tell what it would have protected,
    /// and there is no last good content to keep.
    pub(crate) fn first(&mut self, pause: impl FnMut(Duration)) -> Result<Loaded> {
        let loaded = self.take_all(read_still(&self.path, pause)?);
        let torn = self.files.iter().flat_map(|(path, file)| {
            let documents = file.good.iter().filter(|document| hides_a_border(document));
            let faults = documents.flat_map(|document| document.result.clone().err()).flatten();
            let faults = file.broken.iter().cloned().chain(faults);
            faults.map(|invalid| Fault { file: Some(path.clone()), invalid })
        });
        let torn: Vec<_> = torn.map(|fault| fault.to_string()).collect();
        if torn.is_empty() { Ok(loaded) } else { bail!("{}", torn.join("\n")) }
    }

    /// Takes the files as they stand at this moment.
    ///
    /// # Errors
    /// If the path is gone or cannot be listed; everything then stays as it was.
    pub(crate) fn load(&mut self) -> Result<Loaded> {
        let reading = read(&self.path)?;
        Ok(self.take_all(reading))
    }

    /// Looks at the files while their former content is in force, and takes what has been there
    /// for long enough.
    ///
    /// # Errors
    /// If the path is gone or cannot be listed; everything then stays as it was.
    pub(crate) fn look(&mut self, now: Instant) -> Result<Loaded> {
        let reading = read(&self.path).inspect_err(|_| self.pending.clear())?;
        self.pending.note(reading, &self.files, now);
        let ready = self.pending.ready(now);
        let changed = !ready.is_empty();
        for (path, change) in ready {
            match change.seen {
                Some(seen) => self.files.entry(path).or_default().take(seen, change.read),
                None => drop(self.files.remove(&path)),
            }
        }
        let loaded = self.assemble(changed);
        Ok(Loaded { again: self.pending.wait(now), ..loaded })
    }

    /// Takes over what was read, whatever it is.
    fn take_all(&mut self, reading: Reading) -> Loaded {
        let before = self.files.len();
        self.files.retain(|path, _| reading.contains_key(path));
        let mut changed = self.files.len() != before;
        for (path, seen) in reading {
            match self.files.get_mut(&path) {
                Some(file) if file.is(&seen) => continue,
                Some(file) => file.take(seen, None),
                None => drop(self.files.insert(path, File::first(seen))),
            }
            changed = true;
        }
        self.assemble(changed)
    }

    /// Makes a table of the files if they `changed` or there is none.
    fn assemble(&mut self, changed: bool) -> Loaded {
        let mut faults = Vec::new();
        if changed || self.assembly.is_none() {
            let assembly = assemble(self.input(), self.assembly.as_ref());
            faults = self.locate(&assembly.faults);
            self.assembly = Some(assembly);
        }
        Loaded { faults, objects: self.objects(), changed, again: None }
    }

    /// Everything that the files say, the crypto of certificates checked.
    fn input(&self) -> Input {
        let mut input = Input { resources: Vec::new(), refused: Vec::new() };
        for document in self.files.values().flat_map(|file| &file.good) {
            match &document.result {
                Ok(resource) => match certificate_faults(resource) {
                    faults if faults.is_empty() => input.resources.push(resource.clone()),
                    faults => input.refused.push(refused(document, faults)),
                },
                Err(faults) => input.refused.push(refused(document, faults.clone())),
            }
        }
        input
    }

    /// Gives every fault its file and line, in the order of both.
    fn locate(&self, faults: &[Invalid]) -> Vec<Fault> {
        let mut places: BTreeMap<&Key, (&PathBuf, usize)> = BTreeMap::new();
        let mut located = Vec::new();
        for (path, file) in &self.files {
            let whole = file.broken.iter().map(|invalid| (path, invalid.clone()));
            located.extend(whole);
            for document in &file.good {
                if let Some(key) = &document.key {
                    places.entry(key).or_insert((path, document.line));
                }
                let own = document.result.as_ref().err().into_iter().flatten();
                located.extend(own.map(|invalid| (path, invalid.clone())));
            }
        }
        let mut known: Vec<Fault> = located
            .into_iter()
            .map(|(path, invalid)| Fault { file: Some(path.clone()), invalid })
            .collect();
        for invalid in faults {
            if known.iter().any(|fault| same(&fault.invalid, invalid)) {
                continue;
            }
            let place = invalid.key.as_ref().and_then(|key| places.get(key));
            let exact = place.zip(invalid.key.as_ref()).and_then(|((path, _), key)| {
                model::line_of(&self.files.get(*path)?.text, key, &invalid.path)
            });
            let line = invalid.line.or(exact).or(place.map(|(_, line)| *line));
            let invalid = Invalid { line, ..invalid.clone() };
            known.push(Fault { file: place.map(|(path, _)| (*path).clone()), invalid });
        }
        known.sort_by(|a, b| (&a.file, a.invalid.line).cmp(&(&b.file, b.invalid.line)));
        known
    }

    fn objects(&self) -> usize {
        let documents = self.files.values().flat_map(|file| &file.good);
        documents.filter(|document| document.result.is_ok()).count()
    }
}

fn same(one: &Invalid, other: &Invalid) -> bool {
    one.key == other.key && one.path == other.path && one.reason == other.reason
}

fn refused(document: &Document, faults: Vec<Invalid>) -> Refused {
    Refused { key: document.key.clone(), raw: document.raw.clone(), faults }
}

fn certificate_faults(resource: &Resource) -> Vec<Invalid> {
    match resource {
        Resource::Secret(secret) => proxy::tls::check(secret),
        Resource::Gateway(_)
        | Resource::HttpRoute(_)
        | Resource::Service(_)
        | Resource::EndpointSlice(_)
        | Resource::ConfigMap(_)
        | Resource::AccessPolicy(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests;
