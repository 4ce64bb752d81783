//! Asking what may be done.

use std::collections::BTreeSet;

use model::access::{Actor, Asked, Denied};
use model::role::Verb;
use model::{Key, Kind, Name};

use super::sight::Sight;
use super::{App, Op};
use crate::authn::is_platform_admin;
use crate::draft::api_of;
use crate::refusal::Refusal;

/// What is asked about somebody's rights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Review {
    /// What is to be done.
    pub verb: Verb,
    /// With which object, there or not.
    pub key: Key,
    /// The field that an update is to change; the update of anything, if none.
    pub field: Option<String>,
    /// Who is to do it, if it is not who asks.
    pub user: Option<Name>,
}

/// Whether something may be done, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reviewed {
    /// Whether it may be done.
    pub allowed: bool,
    /// Why, in words.
    pub reason: String,
    /// The Grants that allow it, and the Apis whose owner may do it.
    pub by: Vec<Key>,
}

impl App {
    /// Whether something may be done by who asks, or by somebody else, if a platform admin asks.
    ///
    /// # Errors
    /// [`Refusal::Denied`] where who asks for somebody else is none.
    pub async fn access_review(&self, op: &Op, review: &Review) -> Result<Reviewed, Refusal> {
        let mut sight = Sight::new(op, self.world().await?);
        if let Some(user) = &review.user {
            if !is_platform_admin(&sight.rights) {
                return Err(Refusal::hidden(&review.key));
            }
            let actor = Actor { user: user.clone(), groups: BTreeSet::new() };
            sight.rights = sight.world.directory.rights(&actor);
        }
        let key = &review.key;
        let object = sight.world.objects.get(key);
        let api = match key.kind {
            // The Api that is to be made is its own.
            Kind::Api => Some(key.name.clone()),
            _ => object.and_then(|object| api_of(&object.resource)),
        };
        let scope = sight.world.directory.scope(&key.namespace);
        let changed: Vec<_> = review.field.iter().cloned().collect();
        let verb = review.verb;
        let asked = Asked { verb, key, scope: &scope, api: api.as_ref(), changed: &changed };
        let by = sight.rights.by(&asked).into_iter().cloned().collect::<Vec<_>>();
        let (allowed, reason) = match sight.rights.permit(&asked) {
            Ok(_) => (true, allowed(&by)),
            Err(denied @ (Denied::Hidden | Denied::Forbidden { .. })) => {
                (false, denied.to_string())
            }
        };
        Ok(Reviewed { allowed, reason, by: if allowed { by } else { Vec::new() } })
    }
}

fn allowed(by: &[Key]) -> String {
    let by: Vec<_> = by.iter().map(ToString::to_string).collect();
    format!("allowed by {}", by.join(", "))
}
