//! What the rules look at: crates, resolved trees and files, read once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use super::licences::{self, Licensed};
use super::tree::{self, Tree};
use crate::shell;

/// Files larger than this are data, not something a person wrote.
const LARGEST_TEXT: u64 = 2 * 1024 * 1024;

#[derive(Debug, Clone, Default)]
pub(super) struct Workspace {
    pub(super) crates: Vec<Crate>,
    /// By the name of the [`tree::Subject`].
    pub(super) trees: BTreeMap<&'static str, Tree>,
    /// The packages of others that we build.
    pub(super) licences: Vec<Licensed>,
    /// Path from the root, with `/`, to text.
    pub(super) files: BTreeMap<String, String>,
    /// Paths of what is no text, as pictures are.
    pub(super) data: BTreeSet<String>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Crate {
    pub(super) name: String,
    /// Path of its `Cargo.toml` from the root.
    pub(super) manifest: String,
    /// Paths of the root files of its library and binaries.
    pub(super) roots: Vec<String>,
    pub(super) dependencies: Vec<Dependency>,
}

/// A direct dependency as written, of any kind: normal, build or dev.
#[derive(Debug, Clone)]
pub(super) struct Dependency {
    pub(super) name: String,
    /// It lies in this workspace.
    pub(super) ours: bool,
    /// Tests alone have it.
    pub(super) dev: bool,
}

impl Workspace {
    /// Asks cargo and git about the workspace at `root`.
    pub(super) fn load(root: &Path) -> Result<Self> {
        let root =
            &root.canonicalize().with_context(|| format!("looking at {}", root.display()))?;
        let metadata = metadata(root, &["--no-deps"])?;
        let crates = parse_crates(&metadata)?;
        let mut trees = BTreeMap::new();
        for subject in tree::SUBJECTS.iter().filter(|subject| subject.exists(&crates)) {
            let printed = shell::output(
                shell::cargo()
                    .args(["tree", "--quiet", "--prefix", "depth", "--format", " {p}"])
                    .args(subject.args)
                    .current_dir(root),
            )?;
            trees.insert(subject.name, Tree::parse(&printed));
        }
        let all = metadata_of_all(root)?;
        let (files, data) = read_files(root)?;
        Ok(Self { crates, trees, licences: licences::parse(&all), files, data })
    }

    /// The files whose names end with `end`.
    pub(super) fn files_ending<'a>(
        &'a self,
        end: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.files
            .iter()
            .filter(move |(path, _)| path.ends_with(end))
            .map(|(path, text)| (path.as_str(), text.as_str()))
    }
}

fn metadata(root: &Path, args: &[&str]) -> Result<Value> {
    let mut ask = shell::cargo();
    ask.args(["metadata", "--format-version", "1"]).args(args).current_dir(root);
    serde_json::from_str(&shell::output(&mut ask)?).context("reading cargo metadata")
}

/// With the packages of others, for the targets that we build.
fn metadata_of_all(root: &Path) -> Result<Value> {
    let targets = tree::TARGETS.iter().flat_map(|target| ["--filter-platform", *target]);
    metadata(root, &targets.collect::<Vec<_>>())
}

/// The members of the workspace from what `cargo metadata --no-deps` prints.
pub(super) fn parse_crates(metadata: &Value) -> Result<Vec<Crate>> {
    let root = metadata["workspace_root"].as_str().context("metadata has no workspace_root")?;
    let below = |path: &Value| {
        let path = path.as_str().unwrap_or_default();
        let path = path.strip_prefix(root).unwrap_or(path);
        path.replace('\\', "/").trim_start_matches('/').to_owned()
    };
    let packages = metadata["packages"].as_array().context("metadata has no packages")?;
    let crates = packages.iter().map(|package| {
        let targets = package["targets"].as_array().into_iter().flatten();
        let dependencies = package["dependencies"].as_array().into_iter().flatten();
        Crate {
            name: package["name"].as_str().unwrap_or_default().to_owned(),
            manifest: below(&package["manifest_path"]),
            roots: targets
                .filter(|target| is_root(target))
                .map(|t| below(&t["src_path"]))
                .collect(),
            dependencies: dependencies
                .map(|dependency| Dependency {
                    name: dependency["name"].as_str().unwrap_or_default().to_owned(),
                    dev: dependency["kind"] == "dev",
                    ours: packages
                        .iter()
                        .any(|p| dependency["path"].is_string() && p["name"] == dependency["name"]),
                })
                .collect(),
        }
    });
    Ok(crates.collect())
}

/// Libraries of every crate type and binaries; not tests, examples or build scripts.
fn is_root(target: &Value) -> bool {
    let kinds = target["kind"].as_array().into_iter().flatten().filter_map(Value::as_str);
    kinds.into_iter().any(|kind| {
        matches!(kind, "lib" | "rlib" | "dylib" | "cdylib" | "staticlib" | "proc-macro" | "bin")
    })
}

/// Every text that git tracks or would track, so that a new file is checked before its commit; and the
/// paths of what is no text.
fn read_files(root: &Path) -> Result<(BTreeMap<String, String>, BTreeSet<String>)> {
    let listed = shell::output(
        Command::new("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .current_dir(root),
    )?;
    let (mut files, mut data) = (BTreeMap::new(), BTreeSet::new());
    for path in listed.split('\0').filter(|path| !path.is_empty()) {
        let on_disk = root.join(path);
        // Gone from the folder but not yet from the index, or a link.
        let Ok(about) = on_disk.symlink_metadata() else { continue };
        if !about.is_file() {
            continue;
        }
        if about.len() > LARGEST_TEXT {
            data.insert(path.to_owned());
            continue;
        }
        let bytes =
            std::fs::read(&on_disk).with_context(|| format!("reading {}", on_disk.display()))?;
        match String::from_utf8(bytes) {
            Ok(text) => drop(files.insert(path.to_owned(), text)),
            Err(_) => drop(data.insert(path.to_owned())),
        }
    }
    Ok((files, data))
}
