//! What a change would come to: objects, and requests that would go elsewhere.

use model::Key;
use model::field::changed;

use super::commit::{in_stored_form, judge};
use super::past::Deed;
use super::{App, Op};
use crate::body::compared;
use crate::edit::Edit;
use crate::refusal::Refusal;

/// What a change would come to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// The objects that would change.
    pub objects: Vec<Would>,
    /// Requests that would go elsewhere, each with where it goes and would go.
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

/// A request that would go elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rerouted {
    /// The host that it names.
    pub host: String,
    /// The port that it comes to.
    pub port: u16,
    /// Its path.
    pub path: String,
    /// Its method.
    pub method: String,
    /// The match that it stands for, in words.
    pub matched: String,
    /// What is done with it now, in words; none if nothing is there for it.
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
        let world = self.world().await?;
        let edits = edits.iter().map(|edit| in_stored_form(op, &world, edit, None));
        let edits: Vec<_> = edits.collect::<Result<_, _>>()?;
        let draft = judge(op, &world, &edits)?;
        let objects = draft.edits().map(|(key, edit)| {
            let before = world.objects.get(key).map(|object| compared(&object.resource));
            let after = edit.after().map(compared);
            let deed = if after.is_some() { Deed::Put } else { Deed::Delete };
            let fields = before.zip(after).map(|(before, after)| changed(&before, &after));
            Would { key: key.clone(), deed, fields: fields.unwrap_or_default() }
        });
        Ok(Plan { objects: objects.collect(), requests: Vec::new(), more: 0 })
    }
}
