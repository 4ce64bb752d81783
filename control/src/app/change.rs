//! Changing things: edits, taking back, giving away, and what a change would come to.

use std::sync::Arc;

use model::{Key, Kind, Name, Resource};
use store::{Change, Version};

use super::commit::judge;
use super::sight::Sight;
use super::{App, Op, Receipt};
use crate::body;
use crate::draft::fault;
use crate::edit::{Edit, Expect};
use crate::refusal::{Conflict, Refusal};
use crate::world::{HUB, resource};

impl App {
    /// Makes a change, all of it or nothing.
    ///
    /// # Errors
    /// [`Refusal`], which names all that stands in the way.
    pub async fn change_commit(&self, op: &Op, edits: Vec<Edit>) -> Result<Receipt, Refusal> {
        self.once(op, self.commit(op, edits, None)).await
    }

    /// What a change would come to, or what stands in its way; nothing is written.
    ///
    /// # Errors
    /// What the change would be refused for.
    pub async fn change_dry_run(&self, op: &Op, edits: Vec<Edit>) -> Result<Receipt, Refusal> {
        let world = self.world().await?;
        let (by, seen) = (op.clone(), Arc::clone(&world));
        let formerly = self.formerly(&world, &edits).await?;
        let draft = self.aside(move || judge(&by, &seen, &edits, None, formerly)).await??;
        self.keeps(&draft).await?;
        let mut changed = Vec::new();
        for (key, edit) in draft.edits() {
            let generation = match (edit.after(), world.objects.get(key)) {
                (None, _) => None,
                (Some(_), Some(object)) => Some(object.generation + 1),
                // It may have been there before; generations go on where they were.
                (Some(_), None) => {
                    let last = self.store.history(&store::Key::new(HUB, key), None, 1).await?;
                    Some(last.first().map_or(1, |last| last.generation + 1))
                }
            };
            changed.push((key.clone(), generation));
        }
        Ok(Receipt { revision: world.revision, changed, replayed: false })
    }

    /// Takes back what a revision changed, where nothing has changed it since.
    ///
    /// # Errors
    /// [`Refusal::NoRevision`] where who asks may see nothing of it, [`Refusal::Partly`] where not
    /// all, [`Refusal::Conflict`] with every object that later changes touched, and whatever a
    /// change can be refused for.
    pub async fn change_revert(&self, op: &Op, revision: i64) -> Result<Receipt, Refusal> {
        self.once(op, self.revert(op, revision)).await
    }

    /// Gives an Api to another Team.
    ///
    /// # Errors
    /// What a change can be refused for.
    pub async fn api_transfer(&self, op: &Op, api: &Key, to: &Name) -> Result<Receipt, Refusal> {
        self.once(op, self.transfer(op, api, to)).await
    }

    async fn transfer(&self, op: &Op, api: &Key, to: &Name) -> Result<Receipt, Refusal> {
        let sight = Sight::new(op, self.world().await?);
        let object = sight.object(api).filter(|_| api.kind == Kind::Api);
        let object = object.ok_or_else(|| Refusal::hidden(api))?;
        let Resource::Api(before) = &object.resource else { return Err(Refusal::hidden(api)) };
        let mut after = before.as_ref().clone();
        after.spec.owner = to.clone();
        let expected = Expect::Generation(object.generation);
        let edit = Edit::Put { resource: Resource::Api(after.into()), expected };
        self.commit(op, vec![edit], None).await
    }

    async fn revert(&self, op: &Op, revision: i64) -> Result<Receipt, Refusal> {
        let sight = Sight::new(op, self.world().await?);
        let (mut edits, mut touched, mut hidden) = (Vec::new(), Vec::new(), 0u32);
        let at = self.at(revision).await?.ok_or(Refusal::NoRevision(revision))?;
        for version in self.store.changes_since(revision - 1, revision).await? {
            // What this program does not know it cannot take back.
            let Some(key) = body::key(&version.key) else {
                hidden += 1;
                continue;
            };
            let before = self.store.history(&version.key, Some(revision), 1).await?;
            if !sight.change(&key, (&version, at), before.first()) {
                hidden += 1;
                continue;
            }
            let last = self.store.history(&version.key, None, 1).await?;
            if last.first().is_none_or(|last| last.revision != revision) {
                let found = sight.object(&key).map(|now| now.generation);
                touched.push(Conflict { key, expected: Some(version.generation), found });
                continue;
            }
            edits.push(self.inverse(key, &version).await?);
        }
        match (hidden, touched.is_empty() && edits.is_empty()) {
            (_, true) => Err(Refusal::NoRevision(revision)),
            (1.., false) => Err(Refusal::Partly(revision)),
            (0, false) if !touched.is_empty() => Err(Refusal::Conflict(touched)),
            (0, false) => self.commit(op, edits, Some(revision)).await,
        }
    }

    pub(super) async fn inverse(&self, key: Key, version: &Version) -> Result<Edit, Refusal> {
        let expected = match version.change {
            Change::Put { .. } => Expect::Generation(version.generation),
            Change::Delete => Expect::Absent,
        };
        let before = self.store.history(&version.key, Some(version.revision), 1).await?;
        Ok(match before.first().map(|before| (before, &before.change)) {
            Some((before, Change::Put { body, .. })) => {
                let found = resource(&self.store, &before.key, before.generation, body).await?;
                let unreadable = |reason| {
                    let text = format!("as it was before cannot be read by this version: {reason}");
                    Refusal::Invalid(vec![fault(&key, "", text)])
                };
                Edit::Put { resource: found.map_err(unreadable)?, expected }
            }
            Some((_, Change::Delete)) | None => Edit::Delete { key, expected },
        })
    }
}
