//! Reading changes: who changed what when, and how it was before.

use std::collections::{BTreeMap, BTreeSet};

use model::field::changed;
use model::{Key, Scope};
use serde_json::Value;
use store::{Change, Revision, Version};
use time::OffsetDateTime;

use super::node::{Reader, reads_any};
use super::resource::Page;
use super::sight::{Sight, body};
use super::{App, Op};
use crate::body;
use crate::refusal::Refusal;

/// When revisions were made, in microseconds since 1970; none of one that there is not.
type Times = BTreeMap<i64, Option<i64>>;

/// Revisions that one list looks at, seen or not.
const LOOKED_AT: usize = 1000;

/// Revisions that are read at once, with what they touched.
const AT_ONCE: i64 = 25;

/// What happened to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// It came to be like this.
    Put,
    /// It went.
    Delete,
}

impl Deed {
    /// The word for it: `put` or `delete`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Deed::Put => "put",
            Deed::Delete => "delete",
        }
    }

    pub(super) fn of(change: &Change) -> Self {
        match change {
            Change::Put { .. } => Deed::Put,
            Change::Delete => Deed::Delete,
        }
    }
}

/// A change that was made, as far as who asks may see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastChange {
    /// Its revision.
    pub revision: i64,
    /// When.
    pub at: OffsetDateTime,
    /// Who.
    pub actor: String,
    /// Why, in the actor's words.
    pub message: String,
    /// The request that it came with.
    pub request_id: String,
    /// The revision that it took back.
    pub reverts: Option<i64>,
    /// Where the objects are that may be seen.
    pub scopes: Vec<Scope>,
    /// The objects that may be seen.
    pub objects: Vec<Touched>,
}

/// An object that a change touched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Touched {
    /// Which.
    pub key: Key,
    /// What happened to it.
    pub deed: Deed,
}

/// An object before and after a change.
#[derive(Debug, Clone, PartialEq)]
pub struct PastObject {
    /// Which.
    pub key: Key,
    /// What happened to it.
    pub deed: Deed,
    /// What it said before, secret values as digests; none if it was not there.
    pub before: Option<Value>,
    /// What it said after; none if it went.
    pub after: Option<Value>,
    /// The fields that differ, where it was there before and after.
    pub fields: Vec<String>,
    /// Its generation; the first is 1.
    pub generation: i64,
    /// The last revision that changed it, if that is not this one.
    pub later: Option<i64>,
}

impl App {
    /// The changes before the revision `before`, newest first, of which who asks may see something;
    /// what was done in `scope` alone, if given. At most 1000 revisions are looked at: a page may hold
    /// fewer than `limit`, or none, and still have a next one.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub async fn change_list(
        &self,
        op: &Op,
        scope: Option<&Scope>,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Page<PastChange, i64>, Refusal> {
        let sight = Sight::new(op, self.world().await?);
        // Which changes touched a workspace tells that there is one.
        let is_hidden = |scope: &Scope| {
            matches!(scope, Scope::Workspace(_)) && !reads_any(&sight.rights, scope)
        };
        if scope.is_some_and(is_hidden) {
            return Ok(Page { items: Vec::new(), next: None, revision: sight.world.revision });
        }
        let mut reader = Reader::new(sight.rights.clone());
        let known = sight.world.scopes.keys();
        // Claims of all workspaces are kept by the platform.
        let is_in = |one: &&Scope| match scope {
            Some(scope) => *one == scope,
            None => **one == Scope::Platform || reader.reads(one),
        };
        let within: Vec<_> = known.filter(is_in).cloned().collect();
        let within = (within.len() < sight.world.scopes.len()).then_some(within.as_slice());
        let (mut items, mut looked, mut next) = (Vec::new(), 0, before);
        while items.len() < limit && looked < LOOKED_AT {
            let page = self.store.revisions(within, next, AT_ONCE).await?;
            let Some(last) = page.last() else {
                return Ok(Page { items, next: None, revision: sight.world.revision });
            };
            next = Some(last.revision);
            looked += page.len();
            items.extend(self.seen(&sight, &mut reader, page, scope).await?);
        }
        if items.len() > limit {
            items.truncate(limit);
            next = items.last().map(|last| last.revision);
        }
        let more = self.store.revisions(within, next, 1).await?;
        let next = next.filter(|_| !more.is_empty());
        Ok(Page { items, next, revision: sight.world.revision })
    }

    /// A change with what it did to each object that may be seen.
    ///
    /// # Errors
    /// [`Refusal::NoRevision`], also where nothing of it may be seen.
    pub async fn change_show(
        &self,
        op: &Op,
        revision: i64,
    ) -> Result<(PastChange, Vec<PastObject>), Refusal> {
        let sight = Sight::new(op, self.world().await?);
        let none = Refusal::NoRevision(revision);
        let found = self.store.revisions(None, Some(revision.saturating_add(1)), 1).await?;
        let found = found.into_iter().find(|one| one.revision == revision);
        let Some(found) = found else { return Err(none) };
        let at = found.at;
        let mut reader = Reader::new(sight.rights.clone());
        let seen = self.seen(&sight, &mut reader, vec![found], None).await?.pop();
        let Some(change) = seen else { return Err(none) };
        let (mut objects, mut times) = (Vec::new(), Times::from([(revision, Some(at))]));
        for version in self.store.changes_since(revision - 1, revision).await? {
            let Some(key) = body::key(&version.key) else { continue };
            let before = self.store.history(&version.key, Some(revision), 1).await?;
            if sight.change(&key, (&version, at), before.first()) {
                let later = self.last_of(&sight, &key, &version, &mut times).await?;
                let later = Some(later).filter(|last| *last > revision);
                let before = self.seen_before(&sight, &key, before.first(), &mut times).await?;
                objects.push(PastObject { later, ..object(key, &version, before) });
            }
        }
        Ok((change, objects))
    }

    /// What an object said before, as far as that may be seen.
    async fn seen_before(
        &self,
        sight: &Sight,
        key: &Key,
        before: Option<&Version>,
        times: &mut Times,
    ) -> Result<Option<Value>, Refusal> {
        let Some(before) = before else { return Ok(None) };
        let at = self.known_at(before.revision, times).await?;
        let seen = at.filter(|at| sight.change(key, (before, *at), None));
        Ok(seen.and_then(|_| body(before)))
    }

    /// The same as [`App::at`], asked once for each revision: of a large change most objects share few.
    async fn known_at(&self, revision: i64, times: &mut Times) -> Result<Option<i64>, Refusal> {
        if let Some(at) = times.get(&revision) {
            return Ok(*at);
        }
        let at = self.at(revision).await?;
        times.insert(revision, at);
        Ok(at)
    }

    /// When a revision was made, in microseconds since 1970.
    pub(super) async fn at(&self, revision: i64) -> Result<Option<i64>, Refusal> {
        let found = self.store.revisions(None, Some(revision.saturating_add(1)), 1).await?;
        Ok(found.into_iter().find(|one| one.revision == revision).map(|one| one.at))
    }

    /// The revision that last changed an object of which this version was made, as far as that may be
    /// seen.
    async fn last_of(
        &self,
        sight: &Sight,
        key: &Key,
        version: &Version,
        times: &mut Times,
    ) -> Result<i64, Refusal> {
        if let Some(object) = sight.world.objects.get(key) {
            return Ok(object.revision);
        }
        let last = self.store.history(&version.key, None, 2).await?;
        let [last, before @ ..] = last.as_slice() else { return Ok(version.revision) };
        let at = self.known_at(last.revision, times).await?;
        let is_seen = at.is_some_and(|at| sight.change(key, (last, at), before.first()));
        Ok(if is_seen { last.revision } else { version.revision })
    }

    /// What may be seen of changes, of each of which something may be: all, or what was done in one
    /// scope.
    async fn seen(
        &self,
        sight: &Sight,
        reader: &mut Reader,
        changes: Vec<Revision>,
        only: Option<&Scope>,
    ) -> Result<Vec<PastChange>, Refusal> {
        // What lies in a scope in which nothing may be read is not even looked at. Claims of all
        // workspaces are kept by the platform.
        let mut within = BTreeSet::new();
        let mut is_all = true;
        let moved = changes.iter().flat_map(|change| &change.scopes);
        for (scope, _) in moved {
            let is_wanted = only.is_none_or(|only| only == scope);
            match is_wanted && (*scope == Scope::Platform || reader.reads(scope)) {
                true => drop(within.insert(scope.clone())),
                false => is_all = false,
            }
        }
        let is_in = |change: &&Revision| change.scopes.iter().any(|(one, _)| within.contains(one));
        let numbers: Vec<_> = changes.iter().filter(is_in).map(|one| one.revision).collect();
        let within: Vec<_> = within.iter().cloned().collect();
        let within = (!is_all).then_some(within.as_slice());
        let mut touched = self.store.touched(&numbers, within).await?;
        let mut seen = Vec::new();
        for change in changes {
            let touched = touched.remove(&change.revision).unwrap_or_default();
            seen.extend(self.seen_of(sight, change, touched).await?);
        }
        Ok(seen)
    }

    /// What may be seen of a change, if anything.
    async fn seen_of(
        &self,
        sight: &Sight,
        of: Revision,
        all: Vec<store::Touched>,
    ) -> Result<Option<PastChange>, Refusal> {
        let (mut objects, mut scopes) = (Vec::new(), Vec::new());
        for touched in all {
            let Some(key) = body::key(&touched.key) else { continue };
            let is_plain = sight.version(&key, &touched.scope, None);
            if !is_plain {
                if !sight.may_read(&key, &touched.scope) {
                    continue;
                }
                // Only what it said tells whether it belongs to an Api that may be read.
                let before = of.revision.saturating_add(1);
                let versions = self.store.history(&touched.key, Some(before), 2).await?;
                let [version, older @ ..] = versions.as_slice() else { continue };
                if !sight.change(&key, (version, of.at), older.first()) {
                    continue;
                }
            }
            scopes.push(touched.scope);
            let deed = if touched.is_gone { Deed::Delete } else { Deed::Put };
            objects.push(Touched { key, deed });
        }
        if objects.is_empty() {
            return Ok(None);
        }
        scopes.sort();
        scopes.dedup();
        Ok(Some(PastChange {
            revision: of.revision,
            at: time(of.at),
            actor: of.actor,
            message: of.message,
            request_id: of.request_id,
            reverts: of.reverts,
            scopes,
            objects,
        }))
    }
}

fn object(key: Key, version: &Version, before: Option<Value>) -> PastObject {
    let after = body(version);
    let fields = match (&before, &after) {
        (Some(before), Some(after)) => {
            let counted = |place: &String| {
                place != "metadata.generation" && place != "metadata.creationTimestamp"
            };
            changed(before, after).into_iter().filter(counted).collect()
        }
        (_, None) | (None, _) => Vec::new(),
    };
    let (deed, generation) = (Deed::of(&version.change), version.generation);
    PastObject { key, deed, before, after, fields, generation, later: None }
}

/// A time that the store keeps, in microseconds since 1970.
pub(super) fn time(micros: i64) -> OffsetDateTime {
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1000);
    time.unwrap_or(OffsetDateTime::UNIX_EPOCH)
}
