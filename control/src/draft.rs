//! A change that is being judged: the world before and after it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::access::{Asked, Denied, Directory, Rights};
use model::api::LABEL;
use model::field::changed;
use model::role::Verb;
use model::{Invalid, Key, Kind, Name, Resource, Scope};
use store::Committed;

use crate::body::{self, compared};
use crate::claims;
use crate::edit::Edit;
use crate::refusal::{Conflict, Refusal};
use crate::world::{Changed, Found, HUB, Object, World};

use beyond::Reached;
pub(crate) use beyond::{created, waited_for};

mod beyond;
mod place;
mod whole;

/// The edits of one change beside the world that they meet.
pub(crate) struct Draft {
    world: Arc<World>,
    /// By object: those that change something.
    edits: BTreeMap<Key, Edit>,
    /// By object: those that leave everything as it is.
    idle: BTreeMap<Key, Edit>,
    /// Of new objects for whose names others wait, the Api of the last one that had it.
    formerly: BTreeMap<Key, Option<Name>>,
    /// The world once the change is made.
    after: World,
    changed: Changed,
    is_judged: bool,
}

impl Draft {
    /// Puts the edits into the world.
    ///
    /// # Errors
    /// An object that is edited twice.
    pub(crate) fn new(world: Arc<World>, edits: Vec<Edit>) -> Result<Self, Refusal> {
        let mut all = BTreeMap::new();
        let mut twice = Vec::new();
        for edit in edits {
            let key = edit.key();
            if all.insert(key.clone(), edit).is_some() {
                let text = "this object stands twice in the change";
                twice.push(fault(&key, "metadata.name", text));
            }
        }
        if !twice.is_empty() {
            return Err(Refusal::Invalid(twice));
        }
        let (idle, edits): (BTreeMap<_, _>, BTreeMap<_, _>) =
            all.into_iter().partition(|(key, edit)| is_idle(&world, key, edit));
        let (mut after, mut changed) = (World::clone(&world), Changed::default());
        // What cannot be read is not edited, and stands for as long as that is to be said.
        for (key, edit) in edits.iter().filter(|(key, _)| world.aside(key).is_none()) {
            let found = edit.after().map_or(Found::Nothing, |resource| {
                Found::Object(Object::new(resource.clone(), (0, 0)))
            });
            after.take(&store::Key::new(HUB, key), found, &mut changed);
        }
        after.settle(changed);
        let formerly = BTreeMap::new();
        Ok(Draft { world, edits, idle, formerly, after, changed, is_judged: false })
    }

    /// The same, where some names were had before by objects of these Apis.
    pub(crate) fn knowing(self, formerly: BTreeMap<Key, Option<Name>>) -> Self {
        Draft { formerly, ..self }
    }

    /// The world with this change in it, if it is the commit next to the world it was judged by.
    pub(crate) fn into_world(self, committed: &Committed) -> Option<World> {
        let follows = committed.revision == self.world.revision + 1 && !committed.replayed;
        if !follows || !self.is_judged || committed.changed.len() != self.edits.len() {
            return None;
        }
        let (before, after) = (&self.world.directory, &self.after.directory);
        let kept_in = |directory: &Directory, key: &Key| match key.kind {
            Kind::Claim => Scope::Platform,
            _ => directory.scope(&key.namespace),
        };
        let mut scopes = BTreeSet::new();
        for (key, edit) in &self.edits {
            let was = self.world.objects.contains_key(key).then(|| kept_in(before, key));
            scopes.extend(was.into_iter().chain(edit.after().map(|_| kept_in(after, key))));
        }
        let mut world = self.after;
        for (key, generation) in &committed.generations {
            let object = world.objects.get_mut(&body::key(key)?)?;
            object.generation = *generation;
            object.revision = committed.revision;
        }
        world.revision = committed.revision;
        world.scopes.extend(scopes.into_iter().map(|scope| (scope, committed.revision)));
        Some(world)
    }

    /// Whether proxies are told of it.
    pub(crate) fn changes_traffic(&self) -> bool {
        self.changed.traffic
    }

    /// The world once the change is made.
    pub(crate) fn after(&self) -> &World {
        &self.after
    }

    /// The edits that change something.
    pub(crate) fn edits(&self) -> impl Iterator<Item = (&Key, &Edit)> {
        self.edits.iter()
    }

    /// Where an object belongs once the change is made. Claims part what is everybody's, so they
    /// are the platform's to keep, whoever makes them.
    pub(crate) fn scope(&self, key: &Key) -> Scope {
        match key.kind {
            Kind::Claim => Scope::Platform,
            _ => self.after.directory.scope(&key.namespace),
        }
    }

    /// The scopes that the change was decided from, each at its revision: where it changes something,
    /// and the platform, where roles, teams and claims are. Who claims, moves a border or takes away
    /// what anybody may name has looked at everybody's objects.
    pub(crate) fn bases(&self) -> Vec<(Scope, i64)> {
        let is_wide = self.edits.iter().any(|(key, edit)| match key.kind {
            Kind::Claim | Kind::Workspace | Kind::Cluster => true,
            _ => edit.after().is_none() && self.scope(key) == Scope::Platform,
        });
        let everybody = self.world.directory.workspaces().filter(|_| is_wide).cloned();
        let touched = self
            .edits
            .keys()
            .flat_map(|key| [self.scope(key), self.world.directory.scope(&key.namespace)]);
        let scopes = touched.chain(everybody.map(Scope::Workspace)).chain([Scope::Platform]);
        let scopes: BTreeSet<_> = scopes.collect();
        let at = |scope: Scope| {
            let revision = self.world.scopes.get(&scope).copied().unwrap_or(0);
            (scope, revision)
        };
        scopes.into_iter().map(at).collect()
    }

    /// Judges everything, in an order in which nobody learns of what they may not see.
    pub(crate) fn judge(&mut self, rights: &Rights) -> Result<(), Refusal> {
        self.permits(rights)?;
        let reached = self.reached(rights)?;
        let told: Vec<_> = reached.iter().filter_map(Reached::told).collect();
        if !told.is_empty() {
            return Err(Refusal::Denied(told));
        }
        self.readable()?;
        self.expectations()?;
        self.whole(rights)?;
        let touched: Vec<_> = self.edits.values().filter_map(|edit| edit.after()).collect();
        let mut overlaps = claims::overlaps(&touched, &self.after);
        overlaps.iter_mut().for_each(|overlap| self.veil(rights, overlap));
        overlaps.dedup();
        overlaps.extend(self.hidden(&reached));
        if !overlaps.is_empty() {
            return Err(Refusal::Claimed(overlaps));
        }
        self.assembles(rights)?;
        self.is_judged = true;
        Ok(())
    }

    fn permits(&self, rights: &Rights) -> Result<(), Refusal> {
        let changing = self.edits.iter().map(|(key, edit)| self.permit(rights, key, edit));
        // To say again what is there is to write it, though nothing comes of it.
        let idle = self.idle.iter().map(|(key, edit)| {
            let writes = ask(rights, Verb::Update, key, edit.after(), &self.after.directory, &[]);
            writes.map_err(|why| (key.clone(), why))
        });
        let denied = changing.chain(idle).filter_map(Result::err);
        let denied: Vec<_> = denied.collect();
        if denied.is_empty() { Ok(()) } else { Err(Refusal::Denied(denied)) }
    }

    /// An object that moves from one Api or workspace to another is asked for at both. What an object
    /// was is judged by the borders before the change, what it is to be by those after it: but
    /// rights are those of before, so that nobody gives them to themselves on the way.
    fn permit(&self, rights: &Rights, key: &Key, edit: &Edit) -> Result<(), (Key, Denied)> {
        let own = |why| (key.clone(), why);
        if let Some(aside) = self.world.aside(key) {
            let (scope, api) = (self.world.directory.scope(&key.namespace), aside.api());
            let (verb, scope, api) = (Verb::Read, &scope, api.as_ref());
            let asked = Asked { verb, key, scope, api, changed: &[] };
            return self.world.directory.permit(rights, &asked).map(drop).map_err(own);
        }
        let before = self.world.objects.get(key).map(|object| &object.resource);
        let after = edit.after();
        let places = match (before, after) {
            (Some(before), Some(after)) => changed(&compared(before), &compared(after)),
            (Some(_), None) | (None, Some(_)) | (None, None) => Vec::new(),
        };
        let verb = match (before, after) {
            (None, Some(_)) => Verb::Create,
            (Some(_), Some(_)) => Verb::Update,
            (_, None) => Verb::Delete,
        };
        for (resource, directory) in
            [(before, &self.world.directory), (after, &self.after.directory)]
        {
            ask(rights, verb, key, resource, directory, &places).map_err(own)?;
        }
        self.reaches(rights, before, after)?;
        // Nothing is there, which whoever may not see it learns in the same words.
        if before.is_none() && after.is_none() { Err(own(Denied::Hidden)) } else { Ok(()) }
    }

    /// What cannot be read is not written over: it says more than this program knows of.
    fn readable(&self) -> Result<(), Refusal> {
        let asides = self.edits.keys().filter_map(|key| Some((key, self.world.aside(key)?)));
        let faults = asides.map(|(key, aside)| {
            let text = format!(
                "is there in a form that this version of heddle-server cannot read ({}); change it \
                 by a newer one",
                aside.reason
            );
            fault(key, "", text)
        });
        let faults: Vec<_> = faults.collect();
        if faults.is_empty() { Ok(()) } else { Err(Refusal::Invalid(faults)) }
    }

    fn expectations(&self) -> Result<(), Refusal> {
        let stale = self.edits.iter().chain(&self.idle).filter_map(|(key, edit)| {
            let found = self.world.objects.get(key).map(|object| object.generation);
            let expected = edit.expected();
            let conflict = Conflict { key: key.clone(), expected: expected.generation(), found };
            (!expected.is(found)).then_some(conflict)
        });
        let stale: Vec<_> = stale.collect();
        if stale.is_empty() { Ok(()) } else { Err(Refusal::Conflict(stale)) }
    }

    /// The proxies' own compiler finds nothing wrong that was not wrong before, in the scopes that the
    /// change touches, and with what is of the same owner, or that who makes it may change: what others
    /// lose by it is theirs to see, and no reason to keep it for them.
    fn assembles(&self, rights: &Rights) -> Result<(), Refusal> {
        if !self.changed.traffic {
            return Ok(());
        }
        let new = self.new_faults().into_iter();
        let new: Vec<_> = new.filter_map(|fault| self.told(rights, fault)).collect();
        if new.is_empty() { Ok(()) } else { Err(Refusal::Invalid(new)) }
    }

    pub(crate) fn new_faults(&self) -> Vec<Invalid> {
        let scopes = |world: &World| -> BTreeSet<_> {
            self.edits.keys().map(|key| world.directory.scope(&key.namespace)).collect()
        };
        let touched = scopes(&self.after);
        let seen = &touched | &scopes(&self.world);
        let before = self.world.view(&seen, None);
        let after = self.after.view(&seen, Some(&before));
        let known: BTreeSet<_> = before.faults.iter().map(words).collect();
        let is_ours = |one: &&Invalid| {
            let scope = one.key.as_ref().map(|key| self.after.directory.scope(&key.namespace));
            scope.is_none_or(|scope| touched.contains(&scope))
        };
        let new = after.faults.iter().filter(|one| !known.contains(&words(one)));
        new.filter(is_ours).cloned().collect()
    }
}

/// Asks for one thing with an object, if there is one.
fn ask(
    rights: &Rights,
    verb: Verb,
    key: &Key,
    resource: Option<&Resource>,
    directory: &Directory,
    changed: &[String],
) -> Result<(), Denied> {
    let Some(resource) = resource else { return Ok(()) };
    let (scope, api) = (directory.scope(&key.namespace), api_of(resource));
    let (scope, api) = (&scope, api.as_ref());
    directory.permit(rights, &Asked { verb, key, scope, api, changed }).map(drop)
}

/// What makes two faults one.
fn words(invalid: &Invalid) -> (String, &str, &str) {
    let key = invalid.key.as_ref().map(ToString::to_string).unwrap_or_default();
    (key, &invalid.path, &invalid.reason)
}

/// Whether an edit leaves everything as it is. To take away what is not there is not idle: whoever
/// asks for it is told.
fn is_idle(world: &World, key: &Key, edit: &Edit) -> bool {
    let before = world.objects.get(key).map(|object| &object.resource);
    match (before, edit.after()) {
        (Some(before), Some(after)) => compared(before) == compared(after),
        (Some(_), None) | (None, Some(_)) | (None, None) => false,
    }
}

/// The Api that an object belongs to, or is.
pub(crate) fn api_of(resource: &Resource) -> Option<Name> {
    match resource {
        Resource::Api(api) => Some(api.metadata.name.clone()),
        other => Name::parse(other.meta().labels.get(LABEL)?).ok(),
    }
}

/// A fault of an object.
pub(crate) fn fault(key: &Key, path: &str, reason: impl Into<String>) -> Invalid {
    Invalid {
        key: Some(key.clone()),
        path: path.to_owned(),
        line: None,
        reason: reason.into(),
        nearest: None,
    }
}
