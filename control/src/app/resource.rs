//! Reading objects: lists, one of them, one as it was, and what became of it.

use std::ops::Bound::{self, Excluded, Unbounded};

use model::{Key, Kind, Name, Scope};
use serde_json::Value;
use time::OffsetDateTime;

use super::past::{Deed, time};
use super::sight::{Sight, body};
use super::{App, Op};
use crate::refusal::Refusal;
use crate::world::{HUB, Object, Unreadable};

/// Which objects a list shows: all that is given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// Of this kind.
    pub kind: Option<Kind>,
    /// In this namespace.
    pub namespace: Option<Name>,
    /// In this scope.
    pub scope: Option<Scope>,
    /// With this label.
    pub label: Option<(String, String)>,
    /// With this in its name or its namespace's, whatever the case of its letters.
    pub text: Option<String>,
    /// Those behind this one, by kind, namespace and name.
    pub after: Option<Key>,
    /// At most so many.
    pub limit: usize,
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T, C> {
    /// What is in it.
    pub items: Vec<T>,
    /// What to ask for what follows; none at the end.
    pub next: Option<C>,
    /// The revision of everything that it was read at.
    pub revision: i64,
}

/// An object as people see it.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    /// Which.
    pub key: Key,
    /// Its generation.
    pub generation: i64,
    /// All it says, secret values as digests, its generation in `metadata`.
    pub body: Value,
}

/// One of the versions of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastVersion {
    /// The revision that made it.
    pub revision: i64,
    /// The generation that it made, or ended.
    pub generation: i64,
    /// What happened.
    pub deed: Deed,
    /// Who did it.
    pub actor: String,
    /// When.
    pub at: OffsetDateTime,
    /// Why, in the actor's words.
    pub message: String,
}

impl App {
    /// The objects that who asks may read, in the order of their keys.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub async fn resource_list(
        &self,
        op: &Op,
        listing: &Listing,
    ) -> Result<Page<Shown, Key>, Refusal> {
        let sight = Sight::new(op, self.world().await?);
        // Names have no upper case.
        let text = listing.text.as_ref().map(|text| text.to_lowercase());
        let fits = |key: &Key, object: &Object| {
            let (scope, text) = (listing.scope.as_ref(), text.as_deref());
            let labels = &object.resource.meta().labels;
            listing.kind.is_none_or(|kind| key.kind == kind)
                && listing.namespace.as_ref().is_none_or(|namespace| key.namespace == *namespace)
                && scope.is_none_or(|scope| sight.world.directory.scope(&key.namespace) == *scope)
                && text.is_none_or(|text| {
                    key.name.as_str().contains(text) || key.namespace.as_str().contains(text)
                })
                && listing
                    .label
                    .as_ref()
                    .is_none_or(|(name, value)| labels.get(name) == Some(value))
        };
        let after = listing.after.as_ref().map_or(Unbounded, Excluded);
        let rest = sight.world.objects.range::<(Bound<&Key>, Bound<&Key>), Key>((after, Unbounded));
        let mut seen = rest.filter(|(key, object)| fits(key, object) && sight.sees(key, object));
        let items: Vec<_> =
            seen.by_ref().take(listing.limit).map(|(key, object)| shown(key, object)).collect();
        let next = seen.next().and(items.last()).map(|last| last.key.clone());
        Ok(Page { items, next, revision: sight.world.revision })
    }

    /// An object as it is, or as it was at a revision.
    ///
    /// # Errors
    /// [`Refusal::Denied`], which says that there is none, also where it may not be read.
    pub async fn resource_show(
        &self,
        op: &Op,
        key: &Key,
        revision: Option<i64>,
    ) -> Result<Shown, Refusal> {
        let sight = Sight::new(op, self.world().await?);
        let Some(revision) = revision else {
            let aside = sight.world.aside(key).filter(|aside| sight.sees_aside(key, aside));
            let found = sight.object(key).map(|object| shown(key, object));
            let found = found.or_else(|| unread(key, aside?));
            return found.ok_or_else(|| Refusal::hidden(key));
        };
        let name = store::Key::new(HUB, key);
        let versions = self.store.history(&name, Some(revision.saturating_add(1)), 1).await?;
        let at = match versions.first() {
            Some(version) => self.at(version.revision).await?,
            None => None,
        };
        let version = versions.first().zip(at);
        let version = version.filter(|version| sight.change(key, *version, None));
        let found = version.and_then(|(version, _)| {
            Some(Shown { key: key.clone(), generation: version.generation, body: body(version)? })
        });
        found.ok_or_else(|| Refusal::hidden(key))
    }

    /// The versions of an object before the revision `before`, newest first; also of one that is
    /// gone.
    ///
    /// # Errors
    /// [`Refusal::Denied`], which says that there is none, where none of it may be read.
    pub async fn resource_history(
        &self,
        op: &Op,
        key: &Key,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Page<PastVersion, i64>, Refusal> {
        let sight = Sight::new(op, self.world().await?);
        let name = store::Key::new(HUB, key);
        // One more tells what the last one ended, and whether there are more.
        let most = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
        let past = self.store.past(&name, before, most).await?;
        let seen = past.iter().enumerate().take(limit).filter(|(at, one)| {
            let older = past.get(at + 1).map(|older| &older.version);
            sight.change(key, (&one.version, one.at), older)
        });
        let items: Vec<_> = seen
            .map(|(_, one)| PastVersion {
                revision: one.version.revision,
                generation: one.version.generation,
                deed: Deed::of(&one.version.change),
                actor: one.actor.clone(),
                at: time(one.at),
                message: one.message.clone(),
            })
            .collect();
        let is_there = sight.world.objects.contains_key(key) || sight.world.aside(key).is_some();
        if sight.is_hidden(key) || items.is_empty() && !is_there {
            return Err(Refusal::hidden(key));
        }
        let next = past.get(limit).and(past.get(limit.saturating_sub(1)));
        let next = next.map(|last| last.version.revision);
        Ok(Page { items, next, revision: sight.world.revision })
    }
}

/// An object as people see it.
pub(super) fn shown(key: &Key, object: &Object) -> Shown {
    let mut body = object.resource.to_json();
    body["metadata"]["generation"] = object.generation.into();
    Shown { key: key.clone(), generation: object.generation, body }
}

/// What an object says that cannot be read, as it stands in the store.
fn unread(key: &Key, aside: &Unreadable) -> Option<Shown> {
    let mut body = aside.raw()?;
    body["metadata"]["generation"] = aside.generation.into();
    Some(Shown { key: key.clone(), generation: aside.generation, body })
}
