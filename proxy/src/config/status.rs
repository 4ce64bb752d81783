//! How a joined node stands, for `/config` and `/metrics`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use imbl::OrdMap;
use model::Resource;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use wire::{Rejection, STALE, Vector, digest};

use super::held::Held;
use crate::identity::Identity;

/// How a joined node stands; written by its own thread, read by any.
#[derive(Debug, Default)]
pub struct Status(ArcSwap<Standing>);

/// One moment of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Standing {
    pub(crate) node: Option<Arc<Identity>>,
    pub(crate) ends: Option<SystemTime>,
    pub(crate) server: Arc<str>,
    pub(crate) source: Source,
    pub(crate) is_connected: bool,
    pub(crate) heard: Option<SystemTime>,
    /// Why the server is not heard, or the certificate not renewed.
    pub(crate) trouble: Option<String>,
    /// Why the state cannot be kept on disk, or was not served from there.
    pub(crate) disk: Option<String>,
    pub(crate) vector: Vector,
    pub(crate) digest: [u8; 32],
    /// When control said so.
    pub(crate) issued: Option<SystemTime>,
    pub(crate) applied: u64,
    pub(crate) refused: u64,
    pub(crate) rejected: Arc<Vec<Rejection>>,
    pub(crate) resources: OrdMap<model::Key, Resource>,
    pub(crate) kept: Arc<BTreeSet<model::Key>>,
}

/// Where the state in force comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Source {
    /// There is none.
    #[default]
    Nowhere,
    /// From disk; the server did not confirm it yet.
    Disk,
    Server,
}

/// What is counted of a joined node.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Counts {
    /// Seconds since it was last certain that what is served is what control wants.
    pub(crate) age: Option<f64>,
    pub(crate) is_connected: bool,
    pub(crate) applied: u64,
    pub(crate) refused: u64,
    pub(crate) rejected: usize,
    /// Seconds since 1970.
    pub(crate) certificate_ends: Option<f64>,
}

impl Status {
    /// Changes what stands; for the one writer.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Standing)) {
        let mut standing = Standing::clone(&self.0.load());
        change(&mut standing);
        self.0.store(Arc::new(standing));
    }

    /// An object in force.
    pub(crate) fn resource(&self, key: &model::Key) -> Option<Resource> {
        self.0.load().resources.get(key).cloned()
    }

    /// What is counted.
    pub(crate) fn counts(&self) -> Counts {
        let standing = self.0.load();
        let seconds = |at: SystemTime| at.duration_since(UNIX_EPOCH).unwrap_or_default();
        Counts {
            age: standing.age().map(|age| age.as_secs_f64()),
            is_connected: standing.is_connected,
            applied: standing.applied,
            refused: standing.refused,
            rejected: standing.rejected.len(),
            certificate_ends: standing.ends.map(|ends| seconds(ends).as_secs_f64()),
        }
    }

    /// The configuration as `/config` shows it, secrets as digests.
    pub fn show(&self) -> Value {
        let standing = self.0.load();
        let rejected = standing.rejected.iter().map(|one| {
            json!({
                "object": one.key.to_string(),
                "generation": one.generation,
                "path": one.path,
                "message": one.reason,
                "closed": one.closed.iter().map(ToString::to_string).collect::<Vec<_>>(),
            })
        });
        json!({
            "source": "joined",
            "joined": standing.show(),
            "resources": standing.resources.values().map(Resource::to_json).collect::<Vec<_>>(),
            "kept": standing.kept.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "faults": rejected.collect::<Vec<_>>(),
        })
    }
}

impl Standing {
    /// A state is in force.
    pub(crate) fn take(&mut self, state: &Held, source: Source) {
        self.vector.clone_from(&state.vector);
        self.digest = state.digest;
        let issued = state.proof.as_ref().map(|proof| proof.issued_at.unsigned_abs());
        self.issued = issued.map(|at| UNIX_EPOCH + Duration::from_micros(at));
        self.source = source;
        self.applied += 1;
    }

    /// How long ago it was certain that what is served is what control wants.
    fn age(&self) -> Option<Duration> {
        let known = if self.source == Source::Server { self.heard } else { self.issued };
        known.map(|known| SystemTime::now().duration_since(known).unwrap_or_default())
    }

    fn show(&self) -> Value {
        let node = self.node.as_ref();
        let vector = self.vector.iter();
        let vector: BTreeMap<_, _> =
            vector.map(|(scope, revision)| (scope.to_string(), *revision)).collect();
        let from = match self.source {
            Source::Nowhere => "nowhere",
            Source::Disk => "last good on disk",
            Source::Server => "server",
        };
        let is_stale = !self.is_connected || self.age().is_none_or(|age| age > STALE);
        json!({
            "server": self.server,
            "node": node.map(|node| json!({
                "id": node.node,
                "name": node.name,
                "kind": node.kind,
                "cluster": node.cluster,
                "uri": node.uri(),
                "certificateEnds": self.ends.map(written),
            })),
            "from": from,
            "connected": self.is_connected,
            "stale": is_stale,
            "lastHeard": self.heard.map(written),
            "issuedAt": self.issued.map(written),
            "ageSeconds": self.age().map(|age| age.as_secs()),
            "vector": vector,
            "digest": digest::hex(&self.digest),
            "applied": self.applied,
            "refused": self.refused,
            "trouble": self.trouble,
            "disk": self.disk,
        })
    }
}

/// RFC 3339.
pub(crate) fn written(at: SystemTime) -> Option<String> {
    OffsetDateTime::from(at).format(&Rfc3339).ok()
}
