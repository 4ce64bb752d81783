//! Policies that went from one file and may stand in another that cannot be read.
//!
//! Somebody moves a policy and makes a mistake in the file where it goes: its old file is good
//! without it, its new one is refused, and what it protects would stand open.
//! So a policy that goes while a file is torn (refused, or still changing) is retained as it was,
//! until it stands in a file again, or each of the files that were torn then is whole or gone.
//! A file that was torn for longer than [`TOGETHER`] is another matter, and retains nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::{Document, Key};

use super::file::File;

/// What is done within this time is taken to be done together.
pub(super) const TOGETHER: Duration = Duration::from_secs(600);

/// The policies that are retained.
#[derive(Debug, Default)]
pub(super) struct Retained {
    policies: BTreeMap<Key, Policy>,
}

#[derive(Debug)]
struct Policy {
    /// Where it stood.
    path: PathBuf,
    /// The policy alone, as that file held it.
    file: File,
    /// The files that may hold it now.
    torn: BTreeSet<PathBuf>,
}

impl Retained {
    /// Whether nothing is.
    pub(super) fn is_empty(&self) -> bool {
        self.policies.is_empty()
    }

    /// Retains `gone`, policies that stood in the file at `path`, if there are `torn` files.
    pub(super) fn keep(&mut self, path: &Path, gone: Vec<Document>, torn: &BTreeSet<PathBuf>) {
        let torn: BTreeSet<_> = torn.iter().filter(|torn| *torn != path).cloned().collect();
        for document in gone {
            let Some(key) = document.key.clone() else { continue };
            let (from, files) = (path.display(), list(&torn));
            if torn.is_empty() {
                tracing::warn!("{from} no longer holds {key}, which is no longer in force");
                continue;
            }
            tracing::warn!(
                "{from} no longer holds {key}, which stays in force as it was until it is clear \
                 whether it has moved to what cannot be read: {files}"
            );
            let file = File::of(document);
            self.policies.insert(key, Policy { path: path.to_owned(), file, torn: torn.clone() });
        }
    }

    /// Lets go of what `stands` in a file again, or is in none of the files that may have held it;
    /// whether any was.
    pub(super) fn release(
        &mut self,
        stands: impl Fn(&Key) -> bool,
        is_torn: impl Fn(&Path) -> bool,
    ) -> bool {
        let before = self.policies.len();
        self.policies.retain(|key, policy| {
            policy.torn.retain(|path| is_torn(path));
            if !stands(key) && policy.torn.is_empty() {
                tracing::warn!("{key} stands in no file, and is no longer in force");
            }
            !stands(key) && !policy.torn.is_empty()
        });
        self.policies.len() != before
    }

    /// Each policy as a file of its own, with the path of the one where it stood.
    pub(super) fn files(&self) -> impl Iterator<Item = (&PathBuf, &File)> {
        self.policies.values().map(|policy| (&policy.path, &policy.file))
    }

    /// What is retained.
    pub(super) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.policies.keys()
    }
}

/// The policies of a file.
pub(super) fn policies(file: &File) -> Vec<Document> {
    let is_policy = |one: &&Document| one.key.as_ref().is_some_and(|key| key.kind.is_guard());
    file.good.iter().filter(is_policy).cloned().collect()
}

fn list(paths: &BTreeSet<PathBuf>) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}
