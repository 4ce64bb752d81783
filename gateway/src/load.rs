//! From files to a table, keeping what was good.
//!
//! A file that cannot be parsed as a whole (half written, say) keeps its last good content; an
//! object that is refused keeps its last good form; a configuration that vanished changes nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::{fs, io};

use anyhow::{Context as _, Result, bail};
use model::{Document, Invalid, Key, Resource};
use table::{Assembly, Input, Refused, assemble};

/// Files that count in a folder.
const SUFFIXES: [&str; 3] = ["yaml", "yml", "json"];
/// A larger file is refused.
const FILE_BYTES: u64 = 256 << 20;

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
    /// All that is wrong, in the order of files and lines.
    pub(crate) faults: Vec<Fault>,
    /// How many objects are in force.
    pub(crate) objects: usize,
    /// Whether anything differs from the load before.
    pub(crate) changed: bool,
}

/// The configuration at a path, and its last good state.
#[derive(Debug)]
pub(crate) struct Config {
    path: PathBuf,
    files: BTreeMap<PathBuf, File>,
    assembly: Option<Assembly>,
}

/// One file as it was last read.
#[derive(Debug)]
struct File {
    text: String,
    good: Vec<Document>,
    /// Faults of the file as a whole, while `good` is an older reading.
    broken: Vec<Invalid>,
}

impl Config {
    pub(crate) fn at(path: &Path) -> Self {
        Config { path: path.to_owned(), files: BTreeMap::new(), assembly: None }
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

    /// The first load, before anything is in force.
    ///
    /// # Errors
    /// Also if a document cannot be parsed: nobody can tell what it would have protected, and
    /// there is no last good content to keep.
    pub(crate) fn first(&mut self) -> Result<Loaded> {
        let loaded = self.load()?;
        let torn = self.files.iter().flat_map(|(path, file)| {
            let documents = file.good.iter().filter(|document| hides_a_border(document));
            let faults = documents.flat_map(|document| document.result.clone().err()).flatten();
            faults.map(|invalid| Fault { file: Some(path.clone()), invalid })
        });
        let torn: Vec<_> = torn.map(|fault| fault.to_string()).collect();
        if torn.is_empty() { Ok(loaded) } else { bail!("{}", torn.join("\n")) }
    }

    /// Reads the files anew and assembles what they say.
    ///
    /// # Errors
    /// If the path is gone or cannot be read; everything then stays as it was.
    pub(crate) fn load(&mut self) -> Result<Loaded> {
        let read = read_all(&self.path)?;
        let changed = self.take(read);
        if !changed && let Some(assembly) = &self.assembly {
            let faults = self.locate(&assembly.faults);
            return Ok(Loaded { faults, objects: self.objects(), changed });
        }
        let input = self.input();
        let assembly = assemble(input, self.assembly.as_ref());
        let faults = self.locate(&assembly.faults);
        self.assembly = Some(assembly);
        Ok(Loaded { faults, objects: self.objects(), changed })
    }

    /// Takes over what was read; whether anything changed.
    fn take(&mut self, read: BTreeMap<PathBuf, String>) -> bool {
        let before = self.files.len();
        self.files.retain(|path, _| read.contains_key(path));
        let mut changed = self.files.len() != before;
        for (path, text) in read {
            match self.files.get_mut(&path) {
                Some(file) if file.text == text => {}
                Some(file) => {
                    file.renew(text);
                    changed = true;
                }
                None => {
                    self.files.insert(path, File::new(text));
                    changed = true;
                }
            }
        }
        changed
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

impl File {
    fn new(text: String) -> Self {
        let good = model::read(&text);
        File { text, good, broken: Vec::new() }
    }

    /// Reads `text` in place of what was there, unless it is no whole file.
    fn renew(&mut self, text: String) {
        let read = model::read(&text);
        let nameless = || read.iter().filter(|document| document.key.is_none());
        let lost = self.good.iter().any(|old| read.iter().all(|new| new.key != old.key));
        let torn = nameless().filter(|document| lost || hides_a_border(document));
        let torn = torn.chain(read.iter().filter(|d| d.is_torn() && d.key.is_some()));
        let mut broken: Vec<_> =
            torn.filter_map(|document| document.result.clone().err()).flatten().collect();
        if text.trim().is_empty() && !self.good.is_empty() {
            broken.push(whole("the file is empty; what it held before stays in force"));
        }
        if broken.is_empty() {
            self.good = read;
        } else {
            for fault in &mut broken {
                fault.reason.push_str(" (what the file held before stays in force)");
            }
        }
        self.broken = broken;
        self.text = text;
    }
}

/// Whether a document may be a policy that nobody can tell whom it protects: it does not parse, it
/// does not say what it is, or it is of our own group and no kind that we know.
fn hides_a_border(document: &Document) -> bool {
    let Some(raw) = &document.raw else { return document.result.is_err() };
    let word = |field: &str| raw.get(field).and_then(|value| value.as_str());
    let (Some(version), Some(_)) = (word("apiVersion"), word("kind")) else { return true };
    document.key.is_none() && version.starts_with("heddle.dev/")
}

fn whole(reason: &str) -> Invalid {
    Invalid { key: None, path: String::new(), line: None, reason: reason.to_owned(), nearest: None }
}

/// The file, or each of the folder's files, with its text.
fn read_all(path: &Path) -> Result<BTreeMap<PathBuf, String>> {
    let meta = fs::metadata(path).with_context(|| format!("reading {}", path.display()))?;
    let files = if meta.is_dir() { folder(path)? } else { vec![path.to_owned()] };
    let mut read = BTreeMap::new();
    for file in files {
        match text(&file) {
            Ok(text) => drop(read.insert(file, text)),
            // Gone between listing and reading: as if it had not been listed.
            Err(error) if meta.is_dir() && error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(error).with_context(|| format!("reading {}", file.display()));
            }
        }
    }
    Ok(read)
}

fn folder(path: &Path) -> Result<Vec<PathBuf>> {
    let listed = fs::read_dir(path).with_context(|| format!("listing {}", path.display()))?;
    let mut files = Vec::new();
    for entry in listed {
        let file = entry.with_context(|| format!("listing {}", path.display()))?.path();
        let hidden = file.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        let fits = file.extension().is_some_and(|end| SUFFIXES.iter().any(|s| end == *s));
        if fits && !hidden && file.is_file() {
            files.push(file);
        }
    }
    if files.is_empty() {
        bail!("{} holds no .yaml, .yml or .json file", path.display());
    }
    Ok(files)
}

fn text(file: &Path) -> io::Result<String> {
    if fs::metadata(file)?.len() > FILE_BYTES {
        let bound = format!("larger than {} MiB", FILE_BYTES >> 20);
        return Err(io::Error::new(io::ErrorKind::InvalidData, bound));
    }
    fs::read_to_string(file)
}

#[cfg(test)]
mod tests;
