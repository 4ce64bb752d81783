//! Edits of borders, and whom each may touch.

use model::workspace::DefaultAccess;
use model::{Key, Kind, Resource};

use super::naive::Reading;
use super::world::{self, STAGES};
use crate::dice::Dice;
use crate::isolation::observe::{Request, Seen};

/// What is edited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Change {
    /// A workspace opens or closes.
    Access,
    /// An Api moves on in its life.
    Lifecycle,
    /// A workspace goes.
    NoWorkspace,
    /// An Api goes.
    NoApi,
    /// A claim goes.
    NoClaim,
}

impl Change {
    pub(crate) const ALL: [Change; 5] =
        [Change::Access, Change::Lifecycle, Change::NoWorkspace, Change::NoApi, Change::NoClaim];

    fn kind(self) -> Kind {
        match self {
            Change::Access | Change::NoWorkspace => Kind::Workspace,
            Change::Lifecycle | Change::NoApi => Kind::Api,
            Change::NoClaim => Kind::Claim,
        }
    }
}

/// One edit.
#[derive(Debug)]
pub(crate) struct Edit {
    pub(crate) change: Change,
    /// What was there.
    edited: Option<Resource>,
    /// All that is there afterwards.
    pub(crate) after: Vec<Resource>,
}

impl Edit {
    /// An edit of something in `world`, or none where nothing is of its kind.
    pub(crate) fn new(dice: &mut Dice, world: &[Resource]) -> Self {
        let change = *dice.pick(&Change::ALL);
        let of_kind = world.iter().enumerate().filter(|(_, one)| one.kind() == change.kind());
        let of_kind: Vec<_> = of_kind.collect();
        let mut after = world.to_vec();
        if of_kind.is_empty() {
            return Edit { change, edited: None, after };
        }
        let (at, edited) = *dice.pick(&of_kind);
        match (change, edited) {
            (Change::Access, Resource::Workspace(one)) => {
                let mut one = (**one).clone();
                one.spec.access = match one.spec.access {
                    DefaultAccess::Deny => DefaultAccess::Open,
                    DefaultAccess::Open => DefaultAccess::Deny,
                };
                after[at] = Resource::Workspace(one.into());
            }
            (Change::Lifecycle, one) => {
                let Key { namespace, name, .. } = one.key();
                after[at] =
                    world::api(namespace.as_str(), name.as_str(), dice.pick::<&str>(&STAGES));
            }
            (_, _) => drop(after.remove(at)),
        }
        Edit { change, edited: Some(edited.clone()), after }
    }

    /// Whether a request that met `seen` in a world so read may feel it.
    pub(crate) fn concerns(&self, reading: &Reading<'_>, seen: &Seen, request: &Request) -> bool {
        let Some(edited) = &self.edited else { return false };
        let key = edited.key();
        let is_within = |namespace: &str| match edited {
            Resource::Workspace(one) => one.namespaces().any(|own| own.as_str() == namespace),
            _ => false,
        };
        let owner = seen.owner.as_deref();
        match self.change {
            Change::Access => owner.is_some_and(is_within),
            Change::Lifecycle | Change::NoApi => reading.is_under(&key, seen),
            // Without a workspace its claims become the platform's and hold against all others, and
            // its Apis those that the platform's routes may name.
            Change::NoWorkspace => {
                let api = reading.route(seen).and_then(|route| reading.api(route)?.ok());
                owner.is_some_and(is_within)
                    || api.is_some_and(|api| is_within(api.namespace.as_str()))
                    || reading.is_held(request, |namespace| is_within(namespace.as_str()))
            }
            Change::NoClaim => {
                let own = |namespace: &model::Name| *namespace == key.namespace;
                reading.is_held(request, own)
                    || request.host.ends_with(&format!("{}.test", key.namespace))
            }
        }
    }
}
