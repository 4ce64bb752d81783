//! What belongs to which Api, by the label that says so.

use foldhash::HashMap;
use model::{Key, Kind, Name};

use super::World;
use crate::draft::api_of;

/// What belongs to each Api, those of one name together.
#[derive(Debug, Default)]
pub(crate) struct Belongings {
    /// The Api of what requests are led to.
    led: HashMap<wire::Key, Name>,
    all: HashMap<Name, Vec<Belonging>>,
}

/// An object of an Api that is not the Api itself.
#[derive(Debug, Clone)]
pub(crate) struct Belonging {
    /// Which.
    pub(crate) key: Key,
    /// The revision that made it as it is.
    pub(crate) revision: i64,
}

impl Belongings {
    pub(super) fn of(world: &World) -> Self {
        let mut all = Belongings::default();
        for (key, object) in world.objects.iter().filter(|(key, _)| key.kind != Kind::Api) {
            let Some(api) = api_of(&object.resource) else { continue };
            if key.kind.is_route() || matches!(key.kind, Kind::Service | Kind::Workload) {
                all.led.insert(key.into(), api.clone());
            }
            let one = Belonging { key: key.clone(), revision: object.revision };
            all.all.entry(api).or_default().push(one);
        }
        all
    }

    /// The Api of something that requests are led to.
    pub(crate) fn api(&self, led: &wire::Key) -> Option<&Name> {
        self.led.get(led)
    }

    /// What belongs to the Apis of this name, in the order of keys, of whatever scope.
    pub(crate) fn all(&self, api: &Name) -> &[Belonging] {
        self.all.get(api).map_or(&[], Vec::as_slice)
    }
}
