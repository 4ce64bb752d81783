//! Which object a document means: `apiVersion`, `kind`, `metadata.namespace`, `metadata.name`.

use super::tree::{Content, Map, Node};
use crate::walk::Fault;
use crate::walk::wording::{nearest, short};
use crate::{Key, Kind, Name};

/// What a document means, as far as it could be told.
#[derive(Debug)]
pub(super) struct Identity {
    /// The kind by whose schema it is to be walked.
    pub(super) kind: Option<Kind>,
    pub(super) key: Option<Key>,
    pub(super) faults: Vec<Fault>,
}

/// Kinds of the Gateway API and of Heddle that other versions enforce.
const ELSEWHERE: [(&str, &[&str]); 2] = [
    (
        "gateway.networking.k8s.io",
        &["BackendTrafficPolicy", "GatewayClass", "XBackendTrafficPolicy", "XListenerSet", "XMesh"],
    ),
    (
        "heddle.dev",
        &[
            "Change",
            "ComposePolicy",
            "CorsPolicy",
            "ExternalService",
            "FaultPolicy",
            "Guardrail",
            "HeaderPolicy",
            "Node",
            "RegoPolicy",
            "Rollout",
            "Share",
            "TelemetryPolicy",
            "TransformPolicy",
            "ValidationPolicy",
        ],
    ),
];

/// The object that `map` means.
pub(super) fn key(map: &Map) -> Option<Key> {
    identify(map, &[]).key
}

/// Tells which object `map`, the outermost fields of a document, means; faults tell of `kinds` where it is of none.
pub(super) fn identify(map: &Map, kinds: &[Kind]) -> Identity {
    let line = map.entries.values().map(|entry| entry.line).min().unwrap_or(1);
    let mut faults = Vec::new();
    let mut fault = |field: &str, reason: String, nearest| {
        let line = map.entries.get(field).map_or(line, |entry| entry.line);
        faults.push(Fault { path: field.to_owned(), line, reason, nearest });
    };
    let version = word(map, "apiVersion");
    let kind = match word(map, "kind") {
        Ok(word) => judge_kind(word, version.as_ref().ok().copied(), kinds, &mut fault),
        Err(reason) => {
            fault("kind", format!("{reason}; one of {}", listed(kinds)), None);
            None
        }
    };
    let is_ours = match (kind, version) {
        (None, Err(reason)) => {
            fault("apiVersion", reason.to_owned(), None);
            false
        }
        (None, Ok(_)) => false,
        (Some(kind), Ok(version)) if kind.is_version(version) => true,
        (Some(kind), Ok(version)) => {
            let (wanted, version_found) = (kind.api_version(), short(version));
            fault("apiVersion", format!("{kind} is '{wanted}', not '{version_found}'"), None);
            // Somebody else's kind of the same name is not to be confused with ours.
            version.split_once('/').map_or("", |(group, _)| group) == kind.group()
        }
        (Some(kind), Err(reason)) => {
            fault("apiVersion", format!("{reason}; {kind} is '{}'", kind.api_version()), None);
            true
        }
    };
    let kind = kind.filter(|_| is_ours);
    let key = kind.and_then(|kind| {
        let metadata = map.value("metadata")?;
        Some(Key::new(kind, namespace(kind, metadata)?, name(metadata.text_of("name")?)?))
    });
    Identity { kind, key, faults }
}

/// The kind called `word`, or a fault that says what it is instead.
fn judge_kind(
    word: &str,
    version: Option<&str>,
    kinds: &[Kind],
    fault: &mut impl FnMut(&str, String, Option<String>),
) -> Option<Kind> {
    if let Some(kind) = Kind::parse(word) {
        return Some(kind);
    }
    let group = version.map(|version| version.split_once('/').map_or("", |(group, _)| group));
    let is_elsewhere = ELSEWHERE
        .iter()
        .any(|(of, kinds)| group.is_none_or(|group| group == *of) && kinds.contains(&word));
    let (known, text) = (listed(kinds), short(word));
    if is_elsewhere {
        fault("kind", format!("{word} is not enforced by this version; it reads {known}"), None);
        return None;
    }
    let near = nearest(word, Kind::ALL.iter().map(|kind| kind.as_str()));
    fault("kind", format!("'{text}' is no kind that this version knows; it reads {known}"), near);
    None
}

fn listed(kinds: &[Kind]) -> String {
    kinds.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(", ")
}

/// The text of a field that must be one, or what is wrong with it.
fn word<'m>(map: &'m Map, field: &str) -> Result<&'m str, &'static str> {
    let Some(node) = map.value(field) else { return Err("is missing") };
    match &node.content {
        Content::Scalar(scalar) if scalar.is_null() => Err("has no value"),
        Content::Scalar(scalar) => scalar.as_text().ok_or("wants text"),
        Content::List(_) | Content::Map(_) => Err("wants text"),
    }
}

fn name(word: &str) -> Option<Name> {
    Name::parse(word).ok()
}

fn namespace(kind: Kind, metadata: &Node) -> Option<Name> {
    match metadata.as_map()?.value("namespace") {
        None => Some(kind.default_namespace()),
        Some(_) => name(metadata.text_of("namespace")?),
    }
}
