//! What a change would come to: objects, and requests that would go elsewhere.

use std::sync::Arc;

use model::Key;
use model::field::changed;

use super::commit::{Formerly, judge};
use super::past::Deed;
use super::sight::Sight;
use super::{App, Op};
use crate::body::compared;
use crate::draft::Draft;
use crate::edit::Edit;
use crate::refusal::Refusal;
use crate::world::World;

mod answer;
mod expression;
mod reroute;
mod sample;

/// What a change would come to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// The objects that would change.
    pub objects: Vec<Would>,
    /// Requests that would go elsewhere, at most 1000: one for each match of a route, host and port
    /// that is answered in another way.
    pub requests: Vec<Rerouted>,
    /// How many more requests there are than are named.
    pub more: usize,
}

/// An object that would change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Would {
    /// Which.
    pub key: Key,
    /// What would happen to it.
    pub deed: Deed,
    /// The fields that would differ, where it is there before and after.
    pub fields: Vec<String>,
}

/// A request that would go elsewhere. Where it stands for a route that who asks may not read, it
/// is called another workspace's, and is told once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rerouted {
    /// The host that it names.
    pub host: String,
    /// The port that it comes to.
    pub port: u16,
    /// Its path, with the query.
    pub path: String,
    /// Its method.
    pub method: String,
    /// The match that it stands for, in words.
    pub matched: String,
    /// What is done with it now, in words; none if no route fits it.
    pub before: Option<String>,
    /// What would be done with it.
    pub after: Option<String>,
}

impl App {
    /// What a change would come to, or what stands in its way; nothing is written.
    ///
    /// # Errors
    /// What the change would be refused for.
    pub async fn change_plan(&self, op: &Op, edits: Vec<Edit>) -> Result<Plan, Refusal> {
        let (op, world) = (op.clone(), self.world().await?);
        let formerly = self.formerly(&world, &edits).await?;
        let (plan, draft) = self.aside(move || plan(&op, &world, &edits, formerly)).await??;
        self.keeps(&draft).await?;
        Ok(plan)
    }
}

fn plan(
    op: &Op,
    world: &Arc<World>,
    edits: &[Edit],
    formerly: Formerly,
) -> Result<(Plan, Draft), Refusal> {
    let draft = judge(op, world, edits, None, formerly)?;
    let objects = draft.edits().map(|(key, edit)| would(world, key, edit)).collect();
    let sight = Sight::new(op, Arc::clone(world));
    let (requests, more) = match draft.changes_traffic() {
        true => requests(op, &sight, &draft),
        false => (Vec::new(), 0),
    };
    Ok((Plan { objects, requests, more }, draft))
}

fn would(world: &World, key: &Key, edit: &Edit) -> Would {
    let before = world.objects.get(key).map(|object| compared(&object.resource));
    let after = edit.after().map(compared);
    let deed = if after.is_some() { Deed::Put } else { Deed::Delete };
    let fields = before.zip(after).map(|(before, after)| changed(&before, &after));
    Would { key: key.clone(), deed, fields: fields.unwrap_or_default() }
}

fn requests(op: &Op, sight: &Sight, draft: &Draft) -> (Vec<Rerouted>, usize) {
    let now = op.now.unix_timestamp();
    reroute::reroutes(&sight.rights, [&sight.world, draft.after()], now)
}
