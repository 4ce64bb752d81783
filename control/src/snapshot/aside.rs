//! What this program cannot read goes to nodes as it is.
//!
//! To leave it out would be to take it back: a policy of a newer program would no longer protect
//! what it is attached to. A node that reads it applies it; one that does not keeps the last form
//! that it could read, or closes the targets.

use std::sync::Arc;

use bytes::Bytes;
use model::{Key, Kind};
use serde_json::Value;
use wire::Envelope;

use super::sight::CLUSTER;
use crate::body;
use crate::world::{Unreadable, is_traffic};

/// The kind of a target that stands for its whole namespace.
const WHOLE: &str = "Namespace";

/// An object that nodes are told of unread.
#[derive(Debug)]
pub(super) struct Aside {
    /// By which others may name it, if we know its kind.
    pub(super) key: Option<Key>,
    /// The cluster that it is for alone.
    pub(super) cluster: Option<String>,
    pub(super) envelope: Arc<Envelope>,
}

impl Aside {
    /// An object as nodes are told of it; none if they are not. A Secret is none of theirs, since its
    /// values are nothing that we could find in it, and a ConfigMap is for those alone whose Gateways name
    /// it.
    pub(super) fn of(aside: &Unreadable) -> Option<Self> {
        let raw = aside.raw().unwrap_or_default();
        let named = targets(&raw, &aside.key.namespace);
        let (is_told, is_policy) = match Kind::parse(&aside.key.kind) {
            Some(Kind::Secret | Kind::ConfigMap) => (false, false),
            Some(Kind::AccessPolicy) => (true, true),
            Some(kind) => (is_traffic(kind), false),
            // Of a kind that is not ours, what is attached to something is a policy.
            None => (named.as_ref().is_none_or(|targets| !targets.is_empty()), true),
        };
        if !is_told {
            return None;
        }
        let targets = match named {
            _ if !is_policy => Vec::new(),
            Some(targets) if !targets.is_empty() => targets,
            Some(_) | None => vec![whole(&aside.key.namespace)],
        };
        let store::Key { kind, namespace, name, .. } = aside.key.clone();
        let body = Bytes::copy_from_slice(aside.body.as_bytes());
        Some(Aside {
            key: body::key(&aside.key),
            cluster: raw["metadata"]["labels"][CLUSTER].as_str().map(str::to_owned),
            envelope: Arc::new(
                Envelope {
                    key: wire::Key { kind, namespace, name },
                    scope: aside.scope.to_string(),
                    generation: aside.generation,
                    digest: [0; 32],
                    body,
                    schema: wire::SCHEMA,
                    policy: is_policy,
                    targets,
                }
                .digested(),
            ),
        })
    }
}

/// What stands for all of a namespace, be it made later: a kind that no node knows.
fn whole(namespace: &str) -> wire::Key {
    let namespace = namespace.to_owned();
    wire::Key { kind: WHOLE.to_owned(), namespace: namespace.clone(), name: namespace }
}

/// What an object says it is attached to, where policies write it; none if any of that cannot be
/// told.
fn targets(raw: &Value, namespace: &str) -> Option<Vec<wire::Key>> {
    let spec = &raw["spec"];
    let one = spec.get("targetRef").into_iter();
    let all = match spec.get("targetRefs") {
        Some(refs) => refs.as_array()?.as_slice(),
        None => &[],
    };
    let target = |target: &Value| {
        let word = |field: &str| target[field].as_str().map(str::to_owned);
        let namespace = match target.get("namespace") {
            Some(namespace) => namespace.as_str()?.to_owned(),
            None => namespace.to_owned(),
        };
        Some(wire::Key { kind: word("kind")?, namespace, name: word("name")? })
    };
    all.iter().chain(one).map(target).collect()
}
