//! What the store holds under a key, read as far as this program can.

use model::secret::SecretBytes;
use model::{Kind, Resource};
use store::{Change, Snapshot, Store, Stored, Version};

use super::aside::{Unreadable, stand_in};
use super::{Object, is_border};
use crate::body::{self, Body};
use crate::refusal::Refusal;

/// What is there under a key.
#[derive(Debug)]
pub(crate) enum Found {
    Nothing,
    Object(Object),
    /// Something that this program cannot read.
    Aside(Unreadable),
}

/// A row as far as every program can read it.
struct Row<'s> {
    key: &'s store::Key,
    scope: &'s model::Scope,
    generation: i64,
    revision: i64,
    body: &'s str,
}

impl Found {
    /// What a version left.
    pub(crate) async fn version(store: &Store, version: &Version) -> Result<Self, Refusal> {
        let Change::Put { body, .. } = &version.change else { return Ok(Found::Nothing) };
        let Version { key, scope, generation, revision, .. } = version;
        let (generation, revision) = (*generation, *revision);
        Row { key, scope, generation, revision, body }.read(store, None).await
    }

    /// What is there, beside everything else that is.
    pub(super) async fn stored(
        store: &Store,
        stored: &Stored,
        beside: &Snapshot,
    ) -> Result<Self, Refusal> {
        let Stored { key, scope, generation, revision, body, .. } = stored;
        let (generation, revision) = (*generation, *revision);
        Row { key, scope, generation, revision, body }.read(store, Some(beside)).await
    }

    /// Whether it cannot be read and would draw a border, or part what is everybody's.
    pub(super) fn is_border_aside(&self) -> bool {
        let is_border = |kind| is_border(kind) || kind == Kind::Claim;
        match self {
            Found::Aside(aside) => Kind::parse(&aside.key.kind).is_some_and(is_border),
            Found::Nothing | Found::Object(_) => false,
        }
    }
}

impl Row<'_> {
    async fn read(&self, store: &Store, beside: Option<&Snapshot>) -> Result<Found, Refusal> {
        let reason = match self.resource(store).await? {
            Ok(resource) => {
                return Ok(Found::Object(Object::new(resource, (self.generation, self.revision))));
            }
            Err(reason) => reason,
        };
        Ok(Found::Aside(Unreadable {
            key: self.key.clone(),
            scope: self.scope.clone(),
            generation: self.generation,
            reason,
            body: self.body.into(),
            stand_in: beside.and_then(|beside| stand_in(self.key, self.body, beside)),
        }))
    }

    /// The object, or why it cannot be read.
    async fn resource(&self, store: &Store) -> Result<Result<Resource, String>, Refusal> {
        let Some(key) = body::key(self.key) else {
            return Ok(Err(format!("this version knows no kind '{}'", self.key.kind)));
        };
        let resource = resource(store, self.key, self.generation, self.body).await?;
        Ok(resource.and_then(|resource| match resource.key() == key {
            true => Ok(resource),
            false => Err(format!("it says that it is {}", resource.key())),
        }))
    }
}

/// The object that a body says, sealed values included; else why this program cannot read it.
pub(crate) async fn resource(
    store: &Store,
    key: &store::Key,
    generation: i64,
    body: &str,
) -> Result<Result<Resource, String>, Refusal> {
    let Some(kind) = Kind::parse(&key.kind) else {
        return Ok(Err(format!("this version knows no kind '{}'", key.kind)));
    };
    let secret = match kind {
        Kind::Secret => match store.secret(key, generation).await {
            Ok(Some(secret)) => Some(SecretBytes::new(secret)),
            Ok(None) => return Ok(Err("its values are not there".to_owned())),
            Err(store::seal::RotateError::Database(error)) => return Err(error.into()),
            Err(error) => return Ok(Err(error.to_string())),
        },
        _ => None,
    };
    Ok(Body { shown: body.to_owned(), secret }.resource(kind).map_err(|error| error.to_string()))
}
