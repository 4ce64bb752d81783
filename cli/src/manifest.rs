//! What `-f` names: files that count together, and where in them each object stands.
//!
//! The server gets one text, since a change is one; whatever it says of a line of that text is told
//! as the line of the file from which it came.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

use model::{Document, Key, Kind};

use crate::failure::Failure;

/// Files that count in a folder.
const SUFFIXES: [&str; 3] = ["yaml", "yml", "json"];
/// What the server takes in one change.
const BYTES: usize = 8 << 20;
/// Ends a document without beginning another, so that a file may begin with directives.
const BETWEEN: &str = "...\n";

/// Files that were read.
#[derive(Debug, Default)]
pub(crate) struct Manifest {
    files: Vec<File>,
    whole: String,
}

#[derive(Debug)]
struct File {
    name: String,
    text: String,
    /// How many lines of the whole stand before it.
    before: usize,
}

/// A document, and where it begins.
#[derive(Debug)]
pub(crate) struct Placed {
    pub(crate) document: Document,
    /// `FILE:LINE`.
    pub(crate) place: String,
    file: String,
}

impl Placed {
    /// What is wrong with it, one line each.
    pub(crate) fn faults(&self) -> Vec<String> {
        let faults = self.document.result.as_ref().err().into_iter().flatten();
        let told = faults.map(|fault| {
            let mut bare = fault.clone();
            let line = bare.line.take().unwrap_or(self.document.line);
            format!("{}:{line}: {bare}", self.file)
        });
        told.collect()
    }
}

impl Manifest {
    /// Reads each of `paths`: a file, a folder's .yaml, .yml and .json files in the order of their
    /// names, or `-` for standard input.
    ///
    /// # Errors
    /// If one cannot be read, a folder holds no such file, or all are more than a change may be.
    pub(crate) fn read(paths: &[PathBuf]) -> Result<Self, Failure> {
        let mut manifest = Manifest::default();
        for path in paths {
            if path.as_os_str() == "-" {
                let mut bytes = Vec::new();
                let bound = BYTES as u64 + 1;
                io::stdin()
                    .lock()
                    .take(bound)
                    .read_to_end(&mut bytes)
                    .map_err(|error| Failure::of("reading standard input", error))?;
                manifest.add("standard input", bytes)?;
            } else {
                for file in listed(path)? {
                    let name = file.display().to_string();
                    let bytes = bounded(&file)
                        .map_err(|error| Failure::of(&format!("reading {name}"), error))?;
                    manifest.add(&name, bytes)?;
                }
            }
        }
        Ok(manifest)
    }

    /// Adds what a file says.
    fn add(&mut self, name: &str, bytes: Vec<u8>) -> Result<(), Failure> {
        let text = String::from_utf8(bytes)
            .map_err(|_| Failure::Failed(format!("{name} is no UTF-8 text")))?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text).to_owned();
        if self.whole.len() + text.len() > BYTES {
            let bound = BYTES >> 20;
            let words =
                format!("{name}: a change is {bound} MiB at most; apply fewer files at once");
            return Err(Failure::Failed(words));
        }
        if !self.whole.is_empty() {
            if !self.whole.ends_with(['\n', '\r']) {
                self.whole.push('\n');
            }
            self.whole.push_str(BETWEEN);
        }
        let before = lines(&self.whole);
        self.whole.push_str(&text);
        self.files.push(File { name: name.to_owned(), text, before });
        Ok(())
    }

    /// All files as one text.
    pub(crate) fn text(&self) -> &str {
        &self.whole
    }

    /// Every document, in order.
    pub(crate) fn documents(&self) -> Vec<Placed> {
        let files = self.files.iter();
        let placed = files.flat_map(|file| {
            model::read(&file.text).into_iter().map(|document| {
                let place = format!("{}:{}", file.name, document.line);
                Placed { document, place, file: file.name.clone() }
            })
        });
        placed.collect()
    }

    /// Whether a Secret has digests in the place of its values, as what `get` shows of it has.
    pub(crate) fn has_digests(&self) -> bool {
        self.files.iter().any(|file| {
            let documents = model::read(&file.text).into_iter();
            let mut faults = documents.filter_map(|document| document.result.err()).flatten();
            faults.any(|fault| {
                let is_secret = fault.key.as_ref().is_some_and(|key| key.kind == Kind::Secret);
                let line = fault.line.and_then(|line| file.text.lines().nth(line - 1));
                is_secret && fault.path.starts_with("data") && line.is_some_and(has_digest)
            })
        })
    }

    /// Where line `line` of the whole text stands.
    pub(crate) fn place(&self, line: usize) -> Option<String> {
        let file = self.files.iter().rev().find(|file| file.before < line)?;
        Some(format!("{}:{}", file.name, line - file.before))
    }

    /// Where the object `key` has `path`, or the deepest place above it that was written.
    pub(crate) fn place_of(&self, key: &Key, path: &str) -> Option<String> {
        self.files.iter().find_map(|file| {
            let line = model::line_of(&file.text, key, path)?;
            Some(format!("{}:{line}", file.name))
        })
    }
}

/// The file itself, or those of the folder that count.
fn listed(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    let shown = path.display();
    let failed = |error: io::Error| Failure::of(&format!("reading {shown}"), error);
    if !fs::metadata(path).map_err(failed)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(failed)? {
        let file = entry.map_err(failed)?.path();
        if counts(&file) {
            files.push(file);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(Failure::Failed(format!("{shown} holds no .yaml, .yml or .json file")));
    }
    Ok(files)
}

fn counts(file: &Path) -> bool {
    let hidden = file.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
    let fits = file.extension().is_some_and(|end| SUFFIXES.iter().any(|suffix| end == *suffix));
    fits && !hidden && fs::metadata(file).is_ok_and(|meta| meta.is_file())
}

/// What a file holds, as far as a change may reach.
fn bounded(file: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(file)?.take(BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Whether a line has what stands for a secret value.
fn has_digest(line: &str) -> bool {
    let behind = line.split("sha256:").skip(1);
    behind.filter_map(|rest| rest.get(..16)).any(|it| it.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// How many line breaks (`\n`, `\r\n`, `\r`) stand in `text`, as the reader of YAML counts them.
fn lines(text: &str) -> usize {
    text.matches(['\n', '\r']).count() - text.matches("\r\n").count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(files: &[(&str, &str)]) -> Manifest {
        let mut manifest = Manifest::default();
        for (name, text) in files {
            manifest.add(name, text.as_bytes().to_vec()).unwrap();
        }
        manifest
    }

    const TEAM: &str = "apiVersion: heddle.dev/v1alpha1\nkind: Team\nmetadata: { name: sellers }\n";

    #[test]
    fn the_whole_reads_like_its_files_and_lines_lead_back_to_them() {
        let bad = "# a comment\nkind: Team\n";
        for first in [
            TEAM.to_owned(),
            TEAM.trim_end().to_owned(),
            format!("%YAML 1.2\n---\n{TEAM}...\n"),
            format!("\u{feff}---\n{TEAM}---\n"),
            TEAM.replace('\n', "\r\n"),
            r#"{"apiVersion":"heddle.dev/v1alpha1","kind":"Team","metadata":{"name":"sellers"}}"#
                .to_owned(),
            String::new(),
        ] {
            let manifest = of(&[("a.yaml", &first), ("b.yaml", &format!("%YAML 1.2\n---\n{bad}"))]);
            let alone = manifest.documents();
            let together = model::read(manifest.text());
            assert_eq!(together.len(), alone.len(), "{first:?}");
            for (one, other) in alone.iter().zip(&together) {
                assert_eq!(one.document.key, other.key, "{first:?}");
                let line = other.result.as_ref().err().and_then(|faults| faults[0].line);
                let told = line.map(|line| manifest.place(line).unwrap());
                let faults = one.faults();
                let place = faults.first().map(|fault| fault.split(": ").next().unwrap());
                assert_eq!(told.as_deref(), place, "{first:?}");
            }
            assert_eq!(alone.last().unwrap().faults().len(), 2, "{alone:?}");
        }
    }

    #[test]
    fn a_place_is_found_by_object_and_path() {
        let manifest = of(&[("x.yaml", "# nothing\n"), ("y.yaml", &format!("\n{TEAM}"))]);
        let key = manifest.documents()[0].document.key.clone().unwrap();
        assert_eq!(manifest.place_of(&key, "metadata.name").as_deref(), Some("y.yaml:4"));
        assert_eq!(manifest.place_of(&key, "").as_deref(), Some("y.yaml:2"));
    }

    #[test]
    fn digests_in_the_place_of_values_are_seen() {
        let secret = |data: &str| {
            let kind = "apiVersion: v1\nkind: Secret\nmetadata: { name: s }\n";
            of(&[("a.yaml", TEAM), ("s.yaml", &format!("{kind}{data}"))]).has_digests()
        };
        let digest = model::secret::SecretBytes::new("x").digest();
        assert!(secret(&format!("data:\n  a: YQ==\n  key: \"{digest}\"\n")));
        assert!(secret(&format!("data: {{ tls.key: '{digest}' }}\n")));
        assert!(!secret("data:\n  key: 'sha256:'\n"));
        assert!(!secret(&format!("stringData:\n  key: {digest}\n")));
        assert!(!secret(&format!("data:\n  key: YQ== # {digest}\n")));
    }

    #[test]
    fn a_folder_gives_its_files_that_count_in_order() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.yml", "a.json", "c.yaml", ".hidden.yaml", "notes.txt"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let files = listed(folder.path()).unwrap();
        let names: Vec<_> = files.iter().map(|file| file.file_name().unwrap()).collect();
        assert_eq!(names, ["a.json", "b.yml", "c.yaml"]);
        fs::create_dir(folder.path().join("empty")).unwrap();
        let failure = listed(&folder.path().join("empty")).unwrap_err();
        assert!(failure.to_string().contains("holds no .yaml, .yml or .json file"));
    }
}
