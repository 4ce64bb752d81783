//! An object as the store keeps it: canonical JSON, secret values apart.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::secret::{Secret, SecretBytes};
use model::{Key, Kind, Resource};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::world::HUB;

/// What is written of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Body {
    /// Canonical JSON, secret values as digests.
    pub(crate) shown: String,
    /// The same with the values, if it has any.
    pub(crate) secret: Option<SecretBytes>,
}

impl Body {
    /// Of an object that was first written at `created`, which is part of what it says: the older
    /// of two routes wins.
    pub(crate) fn of(resource: &Resource, created: OffsetDateTime) -> Self {
        let secret = match resource {
            Resource::Secret(secret) => Some(text(stamped(exposed(resource, secret), created))),
            _ => None,
        };
        let shown = text(stamped(resource.to_json(), created));
        Body { shown, secret: secret.map(SecretBytes::new) }
    }

    /// The object itself.
    pub(crate) fn resource(&self, kind: Kind) -> Result<Resource, serde_json::Error> {
        let value: Value = match &self.secret {
            Some(secret) => serde_json::from_slice(secret.expose())?,
            None => serde_json::from_str(&self.shown)?,
        };
        Resource::from_json(kind, value)
    }
}

/// The form in which two versions of an object are compared, without what the store counts.
pub(crate) fn compared(resource: &Resource) -> Value {
    let mut value = resource.to_json();
    if let Some(metadata) = value["metadata"].as_object_mut() {
        metadata.remove("creationTimestamp");
        metadata.remove("generation");
    }
    value
}

/// When an object that was stored was first written.
pub(crate) fn created(resource: &Resource) -> OffsetDateTime {
    resource.meta().creation_timestamp.unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// The key that a stored key means; `None` for a kind of another version, or another cluster's.
pub(crate) fn key(stored: &store::Key) -> Option<Key> {
    if stored.cluster != HUB {
        return None;
    }
    let name = |word: &str| model::Name::parse(word).ok();
    Some(Key::new(Kind::parse(&stored.kind)?, name(&stored.namespace)?, name(&stored.name)?))
}

fn stamped(mut value: Value, created: OffsetDateTime) -> Value {
    let created = created.format(&Rfc3339).expect("a time of this age is written in four digits");
    value["metadata"]["creationTimestamp"] = created.into();
    if let Some(metadata) = value["metadata"].as_object_mut() {
        metadata.remove("generation");
    }
    value
}

/// A Secret with its values. Nobody but the store, which seals it, gets this.
fn exposed(resource: &Resource, secret: &Secret) -> Value {
    let values = secret.values();
    let data = values
        .iter()
        .map(|(name, bytes)| ((*name).to_owned(), STANDARD.encode(bytes.expose()).into()));
    let mut value = resource.to_json();
    value["data"] = Value::Object(data.collect());
    if let Some(fields) = value.as_object_mut() {
        fields.remove("stringData");
    }
    value
}

/// The same bytes for the same value, whatever order its fields were put in.
fn text(mut value: Value) -> String {
    value.sort_all_objects();
    value.to_string()
}
