//! Kinds of others that are passed over, because whoever runs the gateway named them.

use std::collections::BTreeSet;

use model::{Document, Kind};

use super::file::{OURS, is_ours};

/// The kinds that are passed over.
#[derive(Debug, Default)]
pub(super) struct Foreign(BTreeSet<String>);

impl Foreign {
    pub(super) fn new(kinds: &[String]) -> Self {
        Foreign(kinds.iter().cloned().collect())
    }

    /// Reads a text without the objects that are passed over.
    pub(super) fn read(&self, text: &str) -> Vec<Document> {
        let mut documents = model::read(text);
        documents.retain(|document| !self.is_passed_over(document));
        documents
    }

    /// What is of our own group may protect something, whatever kind was named.
    fn is_passed_over(&self, document: &Document) -> bool {
        let word = |field| document.raw.as_ref()?.get(field)?.as_str();
        let (Some(version), Some(kind)) = (word("apiVersion"), word("kind")) else { return false };
        document.key.is_none() && self.0.contains(kind) && !is_ours(version)
    }
}

/// Reads a kind that may be passed over.
///
/// # Errors
/// If it is one of those that are read, in whatever case, or no word at all.
pub(crate) fn kind(word: &str) -> Result<String, String> {
    if word.is_empty() || !word.chars().all(|letter| letter.is_ascii_alphanumeric()) {
        return Err("wants kinds, parted by commas, such as Namespace,Deployment".to_owned());
    }
    // Kinds of the control plane are called as others' are (a Role is RBAC's too), and those of our
    // own group are never passed over.
    let is_read = |kind: &&Kind| kind.group() != OURS || **kind == Kind::AccessPolicy;
    let mut read = Kind::ALL.iter().filter(is_read);
    match read.find(|kind| kind.as_str().eq_ignore_ascii_case(word)) {
        Some(kind) => {
            Err(format!("{kind} is a kind that heddle-gateway reads; it cannot be ignored"))
        }
        None => Ok(word.to_owned()),
    }
}
