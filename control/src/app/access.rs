//! Asking what may be done.

use std::collections::BTreeSet;

use model::access::{Actor, Asked, Denied};
use model::role::Verb;
use model::{Key, Kind, Name, Resource};

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
    /// The Api that the object is to belong to, where it does not yet.
    pub api: Option<Name>,
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
            let actor = Actor { user: user.clone(), groups: self.groups_of(user).await? };
            sight.rights = sight.world.directory.rights(&actor);
        }
        let (verb, key) = (review.verb, &review.key);
        let scope = sight.world.directory.scope(&key.namespace);
        let changed: Vec<_> = review.field.iter().cloned().collect();
        let mut by: Vec<Key> = Vec::new();
        for api in apis(review, sight.world.objects.get(key).map(|object| &object.resource)) {
            let asked = Asked { verb, key, scope: &scope, api: api.as_ref(), changed: &changed };
            match sight.world.directory.permit(&sight.rights, &asked) {
                Ok(_) => {
                    by.extend(sight.world.directory.by(&sight.rights, &asked).into_iter().cloned())
                }
                Err(denied @ (Denied::Hidden | Denied::Forbidden { .. })) => {
                    let (reason, by) = (denied.to_string(), Vec::new());
                    return Ok(Reviewed { allowed: false, reason, by });
                }
            }
        }
        let mut told = BTreeSet::new();
        by.retain(|one| told.insert(one.clone()));
        Ok(Reviewed { allowed: true, reason: allowed(&by), by })
    }
}

/// The Apis in each of which a review asks, or none: where the object is, and where it is to be, as a
/// change that moves it is asked for at both.
fn apis(review: &Review, object: Option<&Resource>) -> Vec<Option<Name>> {
    if review.key.kind == Kind::Api {
        // The Api that is to be made is its own.
        return vec![Some(review.key.name.clone())];
    }
    let mut apis: Vec<_> = object.map(api_of).into_iter().collect();
    let to = review.api.is_some() || apis.is_empty();
    apis.extend(to.then(|| review.api.clone()));
    apis
}

fn allowed(by: &[Key]) -> String {
    let by: Vec<_> = by.iter().map(ToString::to_string).collect();
    format!("allowed by {}", by.join(", "))
}
