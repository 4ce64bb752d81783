//! Who sees what: an object as it is, and as it was.
//!
//! What was is seen by whoever could read it then by the borders of then, and may read what is
//! there now: a namespace that went from one workspace to another took no history along.

use std::collections::BTreeMap;
use std::sync::Arc;

use foldhash::HashMap;
use model::access::{Asked, Rights};
use model::api::LABEL;
use model::role::Verb;
use model::{Key, Kind, Name, Scope};
use serde_json::Value;
use store::{Change, Version};

use super::{Op, rights};
use crate::draft::api_of;
use crate::moment::micros;
use crate::world::{Object, Unreadable, World};

/// What one actor sees of a world.
pub(super) struct Sight {
    pub(super) world: Arc<World>,
    pub(super) rights: Rights,
}

impl Sight {
    pub(super) fn new(op: &Op, world: Arc<World>) -> Self {
        Sight { rights: rights(op, &world), world }
    }

    /// The object of this name, if there is one that may be read.
    pub(super) fn object(&self, key: &Key) -> Option<&Object> {
        self.world.objects.get(key).filter(|object| self.sees(key, object))
    }

    /// Whether an object of the world may be read.
    pub(super) fn sees(&self, key: &Key, object: &Object) -> bool {
        let scope = self.world.directory.scope(&key.namespace);
        self.reads(key, &scope, api_of(&object.resource).as_ref())
    }

    /// Whether an object of the name is there and may not be read.
    pub(super) fn is_hidden(&self, key: &Key) -> bool {
        self.world.objects.get(key).is_some_and(|object| !self.sees(key, object))
            || self.world.aside(key).is_some_and(|aside| !self.sees_aside(key, aside))
    }

    /// Whether an object may be read that this program cannot read.
    pub(super) fn sees_aside(&self, key: &Key, aside: &Unreadable) -> bool {
        self.reads(key, &self.world.directory.scope(&key.namespace), aside.api().as_ref())
    }

    /// Whether a version may be read: as it was, in the scope it was in, and as it is.
    pub(super) fn version(&self, key: &Key, scope: &Scope, api: Option<&Name>) -> bool {
        !self.is_hidden(key) && self.reads(key, &self.home(key, scope), api)
    }

    /// Whether a version may be read if only it belongs to the right Api: where not, nobody has to
    /// look what it said.
    pub(super) fn may_read(&self, key: &Key, scope: &Scope) -> bool {
        !self.is_hidden(key) && self.rights.reads(key.kind, &self.home(key, scope))
    }

    /// Whose a version was that was kept in `scope`: Claims are kept by the platform and belong to
    /// the workspace of their namespace.
    fn home(&self, key: &Key, scope: &Scope) -> Scope {
        match key.kind {
            Kind::Claim => self.world.directory.scope(&key.namespace),
            _ => scope.clone(),
        }
    }

    /// Whether it may be seen what an object did, at a time in microseconds since 1970 while it belonged
    /// to `scope`: by whoever may read it as it is, and could read it there. What another one of its name
    /// did is for who may read it whatever Api it was of.
    pub(super) fn decided(&self, key: &Key, scope: &Scope, at: i64) -> bool {
        let object = self.world.objects.get(key).map(|object| api_of(&object.resource));
        let api = object.or_else(|| self.world.aside(key).map(Unreadable::api)).flatten();
        self.version(key, scope, api.as_ref().filter(|_| self.was(key, at)))
    }

    /// Whether what has this name now had it at a time, in microseconds since 1970.
    pub(super) fn was(&self, key: &Key, at: i64) -> bool {
        let made = |object: &Object| object.resource.meta().creation_timestamp;
        let made = self.world.objects.get(key).and_then(made);
        made.is_none_or(|made| micros(made) <= at)
    }

    /// Whether a change of one object may be seen that was made at a time, in microseconds since 1970,
    /// knowing what was there before it. What belonged to an Api of before is not for one that only has
    /// its name.
    pub(super) fn change(
        &self,
        key: &Key,
        (version, at): (&Version, i64),
        before: Option<&Version>,
    ) -> bool {
        let body = body(version).or_else(|| body(before?));
        let scope = self.home(key, &version.scope);
        let was_there = |api: &Name| {
            let api = self.world.directory.api(&scope, api);
            let made = api.and_then(|api| api.metadata.creation_timestamp);
            made.is_none_or(|made| micros(made) <= at)
        };
        let api = body.and_then(|body| api_in(key.kind, &body)).filter(was_there);
        self.version(key, &version.scope, api.as_ref())
    }

    fn reads(&self, key: &Key, scope: &Scope, api: Option<&Name>) -> bool {
        let asked = Asked { verb: Verb::Read, key, scope, api, changed: &[] };
        self.world.directory.permit(&self.rights, &asked).is_ok()
    }
}

/// How much of a kind may be read in a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// Each object.
    All,
    /// Some of them: each has to be asked for.
    Some,
    Nothing,
}

/// That of each kind and scope, once it was found out.
#[derive(Debug, Default)]
pub(super) struct Reaches(HashMap<Scope, BTreeMap<Kind, Reach>>);

impl Reaches {
    pub(super) fn of(&mut self, rights: &Rights, kind: Kind, scope: &Scope) -> Reach {
        if let Some(found) = self.0.get(scope).and_then(|of| of.get(&kind)) {
            return *found;
        }
        let reach = match rights.reads(kind, scope) {
            true if rights.is_all(Verb::Read, kind, scope) => Reach::All,
            true => Reach::Some,
            false => Reach::Nothing,
        };
        self.0.entry(scope.clone()).or_default().insert(kind, reach);
        reach
    }
}

/// What a version says, secret values as digests, with its generation; none if it is the end of the
/// object, or is not JSON.
pub(super) fn body(version: &Version) -> Option<Value> {
    let Change::Put { body, .. } = &version.change else { return None };
    let mut value: Value = serde_json::from_str(body).ok()?;
    value["metadata"]["generation"] = version.generation.into();
    Some(value)
}

/// The Api that an object's text says it belongs to, or is.
pub(super) fn api_in(kind: Kind, body: &Value) -> Option<Name> {
    let metadata = &body["metadata"];
    let name = match kind {
        Kind::Api => &metadata["name"],
        _ => &metadata["labels"][LABEL],
    };
    Name::parse(name.as_str()?).ok()
}
