//! Kinds of others: passed over where whoever runs the gateway named them, else told with how to. And what of our own
//! kinds a server does alone.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use model::{Document, Invalid, Kind, Resource};

use super::file::{OURS, is_ours};
use super::standing::is_read;

/// The kinds that are read.
static READ: LazyLock<Vec<Kind>> =
    LazyLock::new(|| Kind::ALL.into_iter().filter(|kind| is_read(*kind)).collect());

/// The kinds that are passed over.
#[derive(Debug, Default)]
pub(super) struct Foreign(BTreeSet<String>);

impl Foreign {
    pub(super) fn new(kinds: &[String]) -> Self {
        Foreign(kinds.iter().cloned().collect())
    }

    /// Reads a text without the objects that are passed over.
    pub(super) fn read(&self, text: &str) -> Vec<Document> {
        let mut documents = model::read_for(text, &READ);
        documents.retain(|document| !self.is_passed_over(document));
        documents.iter_mut().filter(|document| document.key.is_none()).for_each(advise);
        documents.iter_mut().for_each(refuse_to_fetch);
        documents
    }

    /// What is of our own group may protect something, whatever kind was named.
    fn is_passed_over(&self, document: &Document) -> bool {
        document.key.is_none() && foreign_kind(document).is_some_and(|kind| self.0.contains(kind))
    }
}

/// The kind of a document that may be passed over, if it is not of our own group.
fn foreign_kind(document: &Document) -> Option<&str> {
    let word = |field| document.raw.as_ref()?.get(field)?.as_str();
    let (version, kind) = (word("apiVersion")?, word("kind")?);
    (!is_ours(version)).then_some(kind)
}

/// Says of a kind that is not read how to pass over such objects, unless a kind of ours is near, which will have
/// been meant.
fn advise(document: &mut Document) {
    let Some(kind) = foreign_kind(document).filter(|word| kind(word).is_ok()) else { return };
    let advice = format!("; --ignore-kinds {kind} passes over such objects");
    let faults = document.result.as_mut().err().into_iter().flatten();
    let told = faults.filter(|one| matches!(one.path.as_str(), "kind" | "apiVersion"));
    told.filter(|one| one.nearest.is_none()).for_each(|fault| fault.reason += &advice);
}

/// What is wrong with a URL of keys in a file.
const NOBODY_FETCHES: &str =
    "is for a gateway that joined a server, which fetches the keys; write them here as 'jwks'";

/// Refuses a policy whose keys a server would fetch: nobody would be known by it here, and nobody told why.
fn refuse_to_fetch(document: &mut Document) {
    let Ok(Resource::AuthnPolicy(policy)) = &document.result else { return };
    let fault = |(path, _)| Invalid {
        key: document.key.clone(),
        path,
        line: None,
        reason: NOBODY_FETCHES.to_owned(),
        nearest: None,
    };
    let faults: Vec<_> = policy.key_urls().map(fault).collect();
    if !faults.is_empty() {
        document.result = Err(faults);
    }
}

/// Whether a word may be a kind.
pub(super) fn kind_word(word: &str) -> bool {
    (1..=63).contains(&word.len()) && word.bytes().all(|letter| letter.is_ascii_alphanumeric())
}

/// Reads a kind that may be passed over.
///
/// # Errors
/// If it is one of those that are read, in whatever case, or no word at all.
pub(crate) fn kind(word: &str) -> Result<String, String> {
    if !kind_word(word) {
        return Err("wants kinds, parted by commas, such as Namespace,Deployment".to_owned());
    }
    // Kinds of the control plane are called as others' are (a Role is RBAC's too), and those of our
    // own group are never passed over.
    let is_read = |kind: &&Kind| kind.group() != OURS || kind.is_guard();
    let mut read = Kind::ALL.iter().filter(is_read);
    match read.find(|kind| kind.as_str().eq_ignore_ascii_case(word)) {
        Some(kind) => {
            Err(format!("{kind} is a kind that heddle-gateway reads; it cannot be ignored"))
        }
        None => Ok(word.to_owned()),
    }
}
