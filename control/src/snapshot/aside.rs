//! What this program cannot read goes to nodes as it is.
//!
//! To leave it out would be to take it back: a policy of a newer program would no longer protect
//! what it is attached to. A node that reads it applies it; one that does not keeps the last form
//! that it could read, or closes the targets.

use std::sync::Arc;

use bytes::Bytes;
use model::{Key, Kind};
use serde_json::Value;
use wire::{Envelope, digest};

use super::sight::CLUSTER;
use crate::World;
use crate::body;
use crate::world::{Unreadable, is_traffic};

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
    /// An object as nodes are told of it; none if they are not. A Secret is none of theirs: its
    /// values are nothing that we could find in it.
    pub(super) fn of(aside: &Unreadable, world: &World) -> Option<Self> {
        let raw = aside.raw().unwrap_or_default();
        let mut targets = targets(&raw, &aside.key.namespace);
        let (is_told, is_policy) = match Kind::parse(&aside.key.kind) {
            Some(Kind::Secret) => (false, false),
            Some(Kind::AccessPolicy) => (true, true),
            Some(kind) => (is_traffic(kind), false),
            // Of a kind that is not ours, what is attached to something is a policy.
            None => (!targets.is_empty(), true),
        };
        if !is_told {
            return None;
        }
        if is_policy && targets.is_empty() {
            targets = all(world, &aside.key.namespace);
        }
        let store::Key { kind, namespace, name, .. } = aside.key.clone();
        let body = Bytes::copy_from_slice(aside.body.as_bytes());
        Some(Aside {
            key: body::key(&aside.key),
            cluster: raw["metadata"]["labels"][CLUSTER].as_str().map(str::to_owned),
            envelope: Arc::new(Envelope {
                key: wire::Key { kind, namespace, name },
                scope: aside.scope.to_string(),
                generation: aside.generation,
                digest: digest::body(&body),
                body,
                schema: wire::SCHEMA,
                policy: is_policy,
                targets: if is_policy { targets } else { Vec::new() },
            }),
        })
    }
}

/// All that a policy of a namespace can be attached to.
fn all(world: &World, namespace: &str) -> Vec<wire::Key> {
    let is_target = |key: &&Key| {
        let is_kind = matches!(key.kind, Kind::Gateway | Kind::HttpRoute);
        is_kind && key.namespace.as_str() == namespace
    };
    world.objects.keys().filter(is_target).map(wire::Key::from).collect()
}

/// What an object says it is attached to, as far as that is written where policies write it.
fn targets(raw: &Value, namespace: &str) -> Vec<wire::Key> {
    let refs = raw["spec"]["targetRefs"].as_array().into_iter().flatten();
    let one = &raw["spec"]["targetRef"];
    let target = |target: &Value| {
        let word = |field: &str| target[field].as_str().map(str::to_owned);
        let namespace = word("namespace").unwrap_or_else(|| namespace.to_owned());
        Some(wire::Key { kind: word("kind")?, namespace, name: word("name")? })
    };
    refs.chain([one]).filter_map(target).collect()
}
