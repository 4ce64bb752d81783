//! From files to a table, keeping what was good.
//!
//! Whatever happens to files opens nothing that was closed: a file that cannot be read or parsed as
//! a whole keeps its last good content, and a new one gives nothing; an object that is refused
//! keeps its last good form; what comes or goes does so once it has been there, or gone, for
//! [`GRACE`]; a policy that may have gone into a file that cannot be read is retained; a
//! configuration that vanished changes nothing.
//! None of these keeps the other files from being taken.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Result, bail};
use model::{Document, Invalid, Key, Resource};
use table::{Assembly, Refused, assemble};

use fault::{Fault, Instead};
use file::{File, hides_a_border, keys, whole};
use foreign::Foreign;
use pair::{Renewed, TlsSecret};
use pending::Pending;
use reading::{Reading, Seen, read, read_still};
use retained::{Retained, TOGETHER, policies};
use shown::Shown;
use standing::{Standing, input, standings};
use warning::{Warning, warnings};

mod fault;
mod file;
pub(crate) mod foreign;
pub(crate) mod pair;
mod pending;
mod reading;
mod retained;
pub(crate) mod shown;
mod standing;
mod succession;
pub(crate) mod warning;

/// A change must be the same for so long before it counts.
const STILL: Duration = Duration::from_millis(100);
/// A change by which objects come or go, or that may be cut off, must be the same for so long.
const GRACE: Duration = Duration::from_secs(2);
/// No change waits longer for others to be ready.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a load made.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// All that is wrong, in the order of files and lines; told only where anything `changed`.
    pub(crate) faults: Vec<Fault>,
    /// What is no fault and most likely not meant, in the same order; told as those.
    pub(crate) warnings: Vec<Warning>,
    /// How many objects were read well and count.
    pub(crate) objects: usize,
    /// How many of those have no fault of any sort.
    pub(crate) good: usize,
    /// Whether anything differs from the load before.
    pub(crate) changed: bool,
    /// When to look again, since something waits to be taken.
    pub(crate) again: Option<Duration>,
    /// Certificates that came in the place of older ones, from files of their own.
    pub(crate) renewed: Vec<Renewed>,
}

/// The configuration at a path, and its last good state.
#[derive(Debug)]
pub(crate) struct Config {
    path: PathBuf,
    /// What else is read.
    pairs: Vec<TlsSecret>,
    foreign: Foreign,
    files: BTreeMap<PathBuf, File>,
    pending: Pending,
    retained: Retained,
    assembly: Option<Assembly>,
    /// The objects in force, as far as they can be told.
    shown: BTreeMap<Key, Resource>,
    /// All that was wrong when a table was last made.
    faults: Vec<Fault>,
    /// How many objects counted then, and how many of them had no fault.
    counted: (usize, usize),
    /// The objects in a file that were in force in no form then.
    lacking: BTreeSet<Key>,
}

impl Config {
    pub(crate) fn at(path: &Path) -> Self {
        Config {
            path: path.to_owned(),
            pairs: Vec::new(),
            foreign: Foreign::default(),
            files: BTreeMap::new(),
            pending: Pending::default(),
            retained: Retained::default(),
            assembly: None,
            shown: BTreeMap::new(),
            faults: Vec::new(),
            counted: (0, 0),
            lacking: BTreeSet::new(),
        }
    }

    /// The same, passing over objects of these kinds, which are none that we read.
    pub(crate) fn ignoring(self, kinds: &[String]) -> Self {
        Config { foreign: Foreign::new(kinds), ..self }
    }

    /// The same, with these Secrets.
    pub(crate) fn with(self, pairs: &[TlsSecret]) -> Self {
        Config { pairs: pairs.to_vec(), ..self }
    }

    /// Reads all that there is.
    fn read(&self) -> Result<Reading> {
        let mut reading = read(&self.path)?;
        for pair in &self.pairs {
            let place = pair.place();
            let seen = pair.seen(self.files.get(&place));
            if reading.insert(place, seen).is_some() {
                bail!("{} stands twice on the command line", pair.place().display());
            }
        }
        Ok(reading)
    }

    /// The table of the last load.
    pub(crate) fn table(&self) -> Option<&std::sync::Arc<table::Table>> {
        self.assembly.as_ref().map(|assembly| &assembly.table)
    }

    /// The configuration as `/config` shows it: the objects in force, the keys of those that are
    /// served in their last good form, and all faults. `unreadable` is why the files cannot be read
    /// any more, if that is so.
    pub(crate) fn show(&self, unreadable: Option<&str>) -> Shown {
        let unreadable = unreadable.map(|why| Fault::new(Some(&self.path), whole(why)));
        Shown {
            resources: self.shown.values().cloned().collect(),
            kept: self.kept().into_iter().cloned().collect(),
            faults: unreadable.into_iter().chain(self.faults.iter().cloned()).collect(),
        }
    }

    /// The objects that are served in an older form than the one that stands in their file.
    fn kept(&self) -> BTreeSet<&Key> {
        let broken = self.files.values().filter(|file| !file.broken.is_empty());
        let held = broken.flat_map(|file| &file.good).filter_map(|held| held.key.as_ref());
        let held = held.filter(|key| self.shown.contains_key(key));
        let held = held.chain(self.retained.keys());
        held.chain(self.assembly.iter().flat_map(|assembly| &assembly.kept)).collect()
    }

    /// The first load, before anything is in force, from files that lie still; `pause` waits
    /// between two looks at them.
    ///
    /// # Errors
    /// Also if a file or a document cannot be read: nobody can tell what it would have protected,
    /// and there is no last good content to keep.
    pub(crate) fn first(&mut self, pause: impl FnMut(Duration)) -> Result<Loaded> {
        let reading = read_still(&self.path, || self.read(), pause)?;
        let loaded = self.take_all(reading);
        let torn = self.files.iter().flat_map(|(path, file)| {
            let documents = file.good.iter().filter(|document| hides_a_border(document));
            let faults = documents.flat_map(|document| {
                let faults = document.result.as_ref().err().into_iter().flatten();
                faults.map(|one| Fault::new(Some(path), one.clone()).of(document))
            });
            let whole = file.broken.iter().map(|one| Fault::new(Some(path), one.clone()));
            whole.chain(faults).collect::<Vec<_>>()
        });
        let torn: Vec<_> = torn.map(|fault| fault.to_string()).collect();
        if torn.is_empty() { Ok(loaded) } else { bail!("{}", torn.join("\n")) }
    }

    /// Takes the files as they stand at this moment.
    ///
    /// # Errors
    /// If the path is gone or cannot be listed; everything then stays as it was.
    pub(crate) fn load(&mut self) -> Result<Loaded> {
        let reading = self.read()?;
        Ok(self.take_all(reading))
    }

    /// Looks at the files while their former content is in force, and takes what has been there
    /// for long enough.
    ///
    /// # Errors
    /// If the path is gone or cannot be listed; everything then stays as it was.
    pub(crate) fn look(&mut self, now: Instant) -> Result<Loaded> {
        let reading = self.read().inspect_err(|_| self.pending.clear())?;
        self.pending.note(reading, &self.files, &self.foreign, now);
        let ready = self.pending.ready(now);
        let mut changed = !ready.is_empty();
        let (mut held, mut renewed) = (Vec::new(), Vec::new());
        for (path, change) in ready {
            held.extend(self.files.get(&path).map(|file| (path.clone(), policies(file))));
            match change.seen {
                Some(seen) => {
                    let is_pair = self.pairs.iter().any(|pair| pair.place() == path);
                    let file = self.files.entry(path).or_default();
                    let is_new = !matches!(&seen, Seen::Text(text) if *text == file.text);
                    file.take(seen, change.read, &self.foreign);
                    if is_pair && is_new && file.broken.is_empty() {
                        renewed.extend(Renewed::from(file));
                    }
                    let since = file.broken_since.or(Some(change.since));
                    file.broken_since = since.filter(|_| !file.broken.is_empty());
                }
                None => drop(self.files.remove(&path)),
            }
        }
        if changed || !self.retained.is_empty() {
            changed |= self.retain(held, now);
        }
        let loaded = self.assemble(changed);
        Ok(Loaded { again: self.pending.wait(now), renewed, ..loaded })
    }

    /// Retains those of the policies that files `held` which stand in none now and may be in one
    /// that cannot be read, and lets go of those that cannot; whether any was let go.
    fn retain(&mut self, held: Vec<(PathBuf, Vec<Document>)>, now: Instant) -> bool {
        let stands: BTreeSet<_> = self.files.values().flat_map(|file| keys(&file.good)).collect();
        let lately = |file: &File| {
            file.broken_since.is_some_and(|since| now.duration_since(since) <= TOGETHER)
        };
        let torn = self.files.iter().filter(|(_, file)| lately(file)).map(|(path, _)| path);
        let torn = torn.chain(self.pending.paths()).cloned().collect();
        for (path, mut policies) in held {
            policies.retain(|one| one.key.as_ref().is_some_and(|key| !stands.contains(key)));
            self.retained.keep(&path, policies, &torn);
        }
        let changing: BTreeSet<_> = self.pending.paths().map(PathBuf::as_path).collect();
        self.retained.release(
            |key| stands.contains(key),
            |path| {
                let is_broken = |file: &File| !file.broken.is_empty();
                changing.contains(path) || self.files.get(path).is_some_and(is_broken)
            },
        )
    }

    /// Takes over what was read, whatever it is.
    fn take_all(&mut self, reading: Reading) -> Loaded {
        let before = self.files.len();
        self.files.retain(|path, _| reading.contains_key(path));
        let mut changed = self.files.len() != before;
        for (path, seen) in reading {
            match self.files.get_mut(&path) {
                Some(file) if file.is(&seen) => continue,
                Some(file) => file.take(seen, None, &self.foreign),
                None => drop(self.files.insert(path, File::first(seen, &self.foreign))),
            }
            changed = true;
        }
        self.assemble(changed)
    }

    /// Makes a table of the files if they `changed` or there is none.
    fn assemble(&mut self, changed: bool) -> Loaded {
        let (mut faults, mut warnings) = (Vec::new(), Vec::new());
        // Else nothing walks over the objects: this is asked every few seconds, beside the workers.
        if changed || self.assembly.is_none() {
            let standings = standings(self.files.iter().chain(self.retained.files()));
            let mut input = input(&standings);
            input.refused.extend(self.unread_pairs());
            let assembly = assemble(input, self.assembly.as_ref());
            faults = self.locate(&standings, &assembly);
            self.counted = counted(&standings, &faults);
            self.shown = in_force(&standings, &assembly, std::mem::take(&mut self.shown));
            let keys = standings.iter().filter_map(|one| one.document.key.clone());
            self.lacking = keys.filter(|key| !self.shown.contains_key(key)).collect();
            self.faults.clone_from(&faults);
            warnings = self.warnings(&standings, &assembly);
            self.assembly = Some(assembly);
        }
        let (objects, good) = self.counted;
        Loaded { faults, warnings, objects, good, changed, again: None, renewed: Vec::new() }
    }

    /// The Secrets of files that were never of use, so that who names one is not told that there is none.
    fn unread_pairs(&self) -> impl Iterator<Item = Refused> {
        let is_unread = |pair: &&TlsSecret| {
            self.files.get(&pair.place()).is_some_and(|file| file.good.is_empty())
        };
        let unread = self.pairs.iter().filter(is_unread);
        unread.map(|pair| Refused { key: Some(pair.object()), ..Refused::default() })
    }

    /// What there is to say of the objects in force, each with its file and line.
    fn warnings(&self, standings: &[Standing<'_>], assembly: &Assembly) -> Vec<Warning> {
        let counts = standings.iter().filter(|standing| !standing.is_dropped);
        let places: BTreeMap<_, _> =
            counts.filter_map(|one| Some((one.document.key.as_ref()?, one))).collect();
        let of_pair = |key: &Key| self.pairs.iter().find(|pair| pair.object() == *key);
        let found = warnings(&self.shown, &assembly.table, SystemTime::now()).into_iter();
        let told = found.map(|invalid| {
            let standing = invalid.key.as_ref().and_then(|key| places.get(key));
            let pair = invalid.key.as_ref().and_then(of_pair);
            match (pair, standing) {
                (Some(pair), Some(standing)) if standing.is_at(&pair.place()) => {
                    Fault::new(Some(&pair.place()), pair.told(&invalid.reason))
                }
                (_, Some(standing)) => standing.told(&invalid, assembly),
                (_, None) => Fault::new(None, invalid),
            }
        });
        let mut told: Vec<_> = told.map(Warning).collect();
        told.sort_by(|Warning(a), Warning(b)| {
            (&a.file, a.invalid.line).cmp(&(&b.file, b.invalid.line))
        });
        told
    }

    /// Gives every fault its file and line, in the order of both.
    fn locate(&self, standings: &[Standing<'_>], assembly: &Assembly) -> Vec<Fault> {
        let mut located = Vec::new();
        for (path, file) in &self.files {
            located.extend(file.broken.iter().map(|one| Fault::new(Some(path), one.clone())));
        }
        let mut told = BTreeSet::new();
        let mut places = BTreeMap::new();
        for standing in standings {
            let key = standing.document.key.as_ref();
            places.extend(key.filter(|_| !standing.is_dropped).map(|key| (key, standing)));
            for invalid in &standing.faults {
                told.insert(words(invalid));
                located.push(standing.told(invalid, assembly));
            }
        }
        for invalid in assembly.faults.iter().filter(|invalid| told.insert(words(invalid))) {
            let standing = invalid.key.as_ref().and_then(|key| places.get(key));
            located.push(match standing {
                Some(standing) => standing.told(invalid, assembly),
                None => Fault::new(None, invalid.clone()),
            });
        }
        located.sort_by(|a, b| (&a.file, a.invalid.line).cmp(&(&b.file, b.invalid.line)));
        located
    }
}

/// How many objects count, and how many of them have no fault.
fn counted(standings: &[Standing<'_>], faults: &[Fault]) -> (usize, usize) {
    let own = faults.iter().filter(|one| one.instead != Instead::Namesake);
    let bad: BTreeSet<_> = own.filter_map(|one| one.invalid.key.as_ref()).collect();
    let sound = || standings.iter().filter_map(Standing::sound);
    let good = sound().filter(|resource| !bad.contains(&resource.key())).count();
    (sound().count(), good)
}

/// What makes two faults one.
fn words(invalid: &Invalid) -> (Option<&Key>, &str, &str) {
    (invalid.key.as_ref(), &invalid.path, &invalid.reason)
}

/// The objects that a table was made from, refused ones in their form of `before`.
fn in_force(
    standings: &[Standing<'_>],
    assembly: &Assembly,
    mut before: BTreeMap<Key, Resource>,
) -> BTreeMap<Key, Resource> {
    let sound = standings.iter().filter_map(Standing::sound);
    let mut now: BTreeMap<_, _> = sound.map(|one| (one.key(), one.clone())).collect();
    now.extend(assembly.kept.iter().filter_map(|key| before.remove_entry(key)));
    now
}

#[cfg(test)]
mod tests;
