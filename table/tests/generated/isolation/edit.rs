//! Valid edits of every sort, each by the owner of one namespace.

use model::{Kind, Resource};
use serde_json::{Value, json};

use super::observe::{Request, Seen};
use super::valid::{GUEST, SHARED, object};
use crate::dice::Dice;

/// What is edited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Change {
    /// The shared Gateway takes the guest's key back.
    KeyRemoved,
    /// A Gateway goes.
    GatewayRemoved,
    /// The shared Gateway no longer takes the routes of others.
    GatewayToItself,
    /// A Gateway has a policy more.
    PolicyOnGateway,
    /// A route has a policy more.
    PolicyOnRoute,
    /// A namespace lets others no longer refer to what it has.
    GrantRemoved,
}

impl Change {
    pub(crate) const ALL: [Change; 6] = [
        Change::KeyRemoved,
        Change::GatewayRemoved,
        Change::GatewayToItself,
        Change::PolicyOnGateway,
        Change::PolicyOnRoute,
        Change::GrantRemoved,
    ];
}

/// One edit.
#[derive(Debug)]
pub(crate) struct Edit {
    change: Change,
    owner: String,
    /// All that is there afterwards.
    pub(crate) after: Vec<Resource>,
}

impl Edit {
    /// An edit of this sort by an owner of something in `world`.
    pub(crate) fn new(dice: &mut Dice, change: Change, world: &[Resource]) -> Self {
        let of_kind = |kind| world.iter().filter(move |one| one.kind() == kind).collect::<Vec<_>>();
        let edited = match change {
            Change::KeyRemoved | Change::GatewayToItself => &world[0],
            Change::GatewayRemoved | Change::PolicyOnGateway => *dice.pick(&of_kind(Kind::Gateway)),
            Change::PolicyOnRoute => *dice.pick(&of_kind(Kind::HttpRoute)),
            // Not every world has one.
            Change::GrantRemoved => match of_kind(Kind::ReferenceGrant).first() {
                Some(grant) => *grant,
                None => &world[0],
            },
        };
        let meta = edited.meta();
        let (owner, name) = (meta.namespace.as_str(), meta.name.as_str());
        let mut after = world.to_vec();
        let at = after.iter().position(|one| one.key() == edited.key()).unwrap();
        match change {
            Change::KeyRemoved => {
                let rest = json!({ "stringData": { "other": "key-of-another-guest-of-all" } });
                let rest = object(Kind::Secret, SHARED, "guests", rest);
                let there = after.iter_mut().find(|one| one.key() == rest.key());
                there.into_iter().for_each(|there| *there = rest.clone());
            }
            Change::GatewayRemoved => drop(after.remove(at)),
            Change::GrantRemoved => after.retain(|one| one.kind() != Kind::ReferenceGrant),
            Change::GatewayToItself => {
                let mut fields = serde_json::to_value(&after[at]).unwrap();
                let allowed = fields.pointer_mut("/spec/listeners/0/allowedRoutes/namespaces/from");
                *allowed.unwrap() = json!("Same");
                after[at] = Resource::from_json(Kind::Gateway, fields).unwrap();
            }
            Change::PolicyOnGateway => after.push(policy(owner, "Gateway", name)),
            Change::PolicyOnRoute => after.push(policy(owner, "HTTPRoute", name)),
        }
        Edit { change, owner: owner.to_owned(), after }
    }

    /// Whether a request, which was served as `seen`, met what its owner changed: the very caller,
    /// Gateway or route, or the reference that was let.
    pub(crate) fn concerns(&self, request: &Request, seen: &Seen) -> bool {
        let is_at_gateway = seen.gateway.as_ref() == Some(&self.owner);
        match self.change {
            Change::KeyRemoved => is_at_gateway && request.headers.contains_key(GUEST.0),
            Change::GatewayRemoved | Change::GatewayToItself | Change::PolicyOnGateway => {
                is_at_gateway
            }
            Change::PolicyOnRoute => seen.owner.as_ref() == Some(&self.owner),
            Change::GrantRemoved => {
                seen.owner.as_ref() != Some(&self.owner) && seen.led_to.contains(&self.owner)
            }
        }
    }
}

/// A policy that lets nobody in but with a method that nobody uses.
fn policy(namespace: &str, kind: &str, name: &str) -> Resource {
    let target: Value = json!([{ "kind": kind, "name": name }]);
    let rules = json!([{ "name": "none", "when": { "methods": ["TRACE"] } }]);
    let spec = json!({ "spec": { "targetRefs": target, "rules": rules } });
    object(Kind::AccessPolicy, namespace, "edited", spec)
}
