//! What this program cannot read goes to nodes as it is.
//!
//! To leave it out would be to take it back: a policy of a newer program would no longer protect
//! what it is attached to. A node that reads it applies it; one that does not keeps the last form
//! that it could read, or closes the targets.

use std::sync::Arc;

use bytes::Bytes;
use model::namespace::{Labelled, Namespace, NamespaceSpec};
use model::{Key, Kind, Meta, cluster};
use serde_json::Value;
use wire::Envelope;

use super::sight::CLUSTER;
use crate::body;
use crate::world::{Unreadable, is_traffic};

/// The kind of a target that stands for its whole namespace.
const WHOLE: &str = Kind::Namespace.as_str();

/// An object that nodes are told of unread.
#[derive(Debug)]
pub(super) struct Aside {
    /// By which others may name it, if we know its kind.
    pub(super) key: Option<Key>,
    /// A namespace with the labels that can be read of it.
    pub(super) labels: Option<Namespace>,
    /// The cluster that it is for alone.
    pub(super) cluster: Option<String>,
    pub(super) envelope: Arc<Envelope>,
}

impl Aside {
    /// The labels of a namespace, if it is that. Nodes judge by the last form that they could read, so what can
    /// be read of it decides here what they are told.
    pub(super) fn labelled(&self) -> Option<Labelled<'_>> {
        let key = self.key.as_ref().filter(|key| key.kind == Kind::Namespace)?;
        Some(self.labels.as_ref().map_or(Labelled::untold(&key.name), Labelled::by))
    }

    /// An object as nodes are told of it; none if they are not. A Secret is none of theirs, since its
    /// values are nothing that we could find in it; a ConfigMap is for those alone whose Gateways name it, and a
    /// Consumer for those whose policies take it.
    pub(super) fn of(aside: &Unreadable) -> Option<Self> {
        let raw = aside.raw().unwrap_or_default();
        let named = targets(&raw, &aside.key.namespace);
        let (is_told, is_policy) = match Kind::parse(&aside.key.kind) {
            Some(Kind::Secret | Kind::ConfigMap | Kind::Consumer) => (false, false),
            Some(kind) if kind.is_guard() => (true, true),
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
        let own = body::key(&aside.key);
        Some(Aside {
            labels: own.as_ref().and_then(|key| labels(key, raw.pointer("/metadata/labels"))),
            key: own,
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

/// A namespace with its labels, where they can be read.
fn labels(key: &Key, written: Option<&Value>) -> Option<Namespace> {
    let is_read = key.kind == Kind::Namespace && written.is_some_and(Value::is_object);
    is_read.then(|| Namespace {
        metadata: Meta {
            labels: cluster::labels(written),
            ..Meta::new(key.namespace.clone(), key.name.clone())
        },
        spec: NamespaceSpec::default(),
    })
}

/// What stands for all of a namespace, be it made later. What bears its name in it is no object, as a
/// Namespace lies with the platform.
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
