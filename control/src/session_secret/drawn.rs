//! What is drawn of the secrets for one Gateway in one cluster.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use model::secret::SecretBytes;
use wire::{GatewaySessions, Key, SECRET, SessionSecrets};

use crate::snapshot::Class;

/// A Gateway that nodes serve. One that was deleted and made anew is another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// Which.
    pub key: Key,
    /// When it was made, microseconds since 1970.
    pub created: i64,
}

/// The secrets of now, the one that seals first; no more than a node takes.
pub(crate) struct Ring(Vec<(String, SecretBytes)>);

/// Shows which they are, and nothing of them.
impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ring").field(&self.ids().collect::<Vec<_>>()).finish()
    }
}

impl Ring {
    pub(crate) fn new(secrets: Vec<(String, SecretBytes)>) -> Self {
        Ring(secrets)
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(id, _)| id.as_str())
    }

    pub(super) fn secret(&self, id: &str) -> Option<&SecretBytes> {
        self.0.iter().find(|(one, _)| one == id).map(|(_, secret)| secret)
    }

    /// What nodes of a class are told, who serve these Gateways: of no Gateway anything where there is no
    /// secret, so that each seals by its own; none if nothing can be drawn.
    pub(crate) fn of(&self, class: &Class, gateways: &[Served]) -> Option<Arc<SessionSecrets>> {
        let one = |of: &Served| {
            let drawn = self.0.iter().map(|(_, secret)| draw(secret, class, of));
            let secrets = drawn.collect::<Option<_>>()?;
            Some(GatewaySessions { gateway: of.key.clone(), secrets })
        };
        let told = if self.0.is_empty() { &[] } else { gateways };
        let gateways = told.iter().map(one).collect::<Option<_>>()?;
        Some(Arc::new(SessionSecrets { gateways, more: false }))
    }
}

/// The length of what is drawn.
struct Length;

impl KeyType for Length {
    fn len(&self) -> usize {
        SECRET
    }
}

/// The secret of a Gateway in a cluster, of which no other follows, nor the one it is drawn of.
fn draw(secret: &SecretBytes, class: &Class, gateway: &Served) -> Option<SecretBytes> {
    let drawn = Salt::new(HKDF_SHA256, b"heddle sessions of a gateway").extract(secret.expose());
    let created = gateway.created.to_string();
    let Key { kind: _, namespace, name } = &gateway.key;
    // No name holds a NUL.
    let words = [class.cluster.as_str(), namespace, name, &created].join("\0");
    let mut bytes = [0; SECRET];
    drawn.expand(&[words.as_bytes()], Length).ok()?.fill(&mut bytes).ok()?;
    Some(SecretBytes::new(bytes))
}
