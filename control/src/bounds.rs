//! How much one owner may ask of everybody's machines, and all owners together.
//!
//! What is there already holds, however it came (by a restore, a copy, or before a bound was
//! lowered): refused is what takes more than before and more than it may.

use std::collections::{BTreeMap, BTreeSet};

use model::api::LABEL;
use model::workspace::Bounds;
use model::{Invalid, Key, Kind, Name, Resource, Scope};

use crate::cost::Cost;
use crate::world::{Object, World, is_traffic};

/// Bytes of one object as it is stored.
const OBJECT: usize = 512 << 10;
/// Bytes of all that nodes are told of: a little less than a node takes, since bodies are counted here
/// before the store stamps them.
const EVERYBODY: usize = wire::STATE_BYTES - (32 << 20);
/// One Api may take this part of what its workspace may.
const SHARE: usize = 4;

/// Something of which a workspace may have so much, but where its Workspace says otherwise.
struct Measure {
    field: &'static str,
    words: &'static str,
    usual: usize,
    of: fn(Kind, &Cost) -> usize,
    own: fn(&Bounds) -> Option<u32>,
}

/// 5,000 routes as people write them take 8 MiB, and as many small expressions 70 MiB.
const MEASURES: [Measure; 8] = [
    Measure {
        field: "objects",
        words: "objects",
        usual: 20_000,
        of: |_, cost| cost.objects,
        own: |bounds| bounds.objects,
    },
    Measure {
        field: "routes",
        words: "routes",
        usual: 5_000,
        of: |kind, cost| if kind.is_route() { cost.objects } else { 0 },
        own: |bounds| bounds.routes,
    },
    Measure {
        // Everybody's routes are compared with them.
        field: "claims",
        words: "hosts and paths of Claims",
        usual: 1_000,
        of: |_, cost| cost.grounds,
        own: |bounds| bounds.claims,
    },
    Measure {
        field: "bytes",
        words: "bytes",
        usual: 64 << 20,
        of: |_, cost| cost.bytes,
        own: |bounds| bounds.bytes,
    },
    Measure {
        field: "expressionBytes",
        words: "bytes of compiled regular expressions",
        usual: 128 << 20,
        of: |_, cost| cost.expressions,
        own: |bounds| bounds.expression_bytes,
    },
    Measure {
        field: "rules",
        words: "matches of routes and rules of policies",
        usual: 100_000,
        of: |_, cost| cost.rules,
        own: |bounds| bounds.rules,
    },
    Measure {
        // Each may open a port, on every worker of every gateway.
        field: "listeners",
        words: "listeners",
        usual: 256,
        of: |_, cost| cost.listeners,
        own: |bounds| bounds.listeners,
    },
    Measure {
        field: "endpoints",
        words: "endpoints",
        usual: 50_000,
        of: |_, cost| cost.endpoints,
        own: |bounds| bounds.endpoints,
    },
];

/// What is wrong with the size of one object.
pub(crate) fn object(key: &Key, object: &Object) -> Option<Invalid> {
    let Cost { bytes, .. } = object.cost;
    let text = format!("takes {bytes} bytes; an object may take {OBJECT}");
    (bytes > OBJECT).then(|| fault(key, text))
}

/// What is wrong with what workspaces, and all together, come to take by a change of `edited`.
pub(crate) fn together(before: &World, after: &World, edited: &[&Key]) -> Vec<Invalid> {
    let mut seen = BTreeSet::new();
    let scopes = edited.iter().map(|key| (*key, after.directory.scope(&key.namespace)));
    let scopes = scopes.filter(|(_, scope)| seen.insert(scope.clone()));
    let mut faults: Vec<_> =
        scopes.flat_map(|(key, scope)| of_scope(before, after, key, &scope)).collect();
    faults.extend(edited.first().and_then(|key| everybody(before, after, key)));
    faults
}

fn of_scope(before: &World, after: &World, key: &Key, scope: &Scope) -> Vec<Invalid> {
    let Scope::Workspace(workspace) = scope else { return Vec::new() };
    let bounds = bounds(after, workspace);
    let over = |measure: &Measure| {
        let own = (measure.own)(&bounds).map(|most| usize::try_from(most).unwrap_or(usize::MAX));
        let most = own.unwrap_or(measure.usual);
        let taken = sum(after, scope, measure);
        if taken <= most || taken <= sum(before, scope, measure) {
            return None;
        }
        let parts = after.taken.iter().filter(|((namespace, _), _)| after.is_in(namespace, scope));
        let parts = parts.map(|((namespace, kind), cost)| {
            ((measure.of)(*kind, cost), format!("{kind}s in the namespace '{namespace}'"))
        });
        let (part, largest) = parts.max()?;
        let Measure { field, words, .. } = measure;
        Some(fault(
            key,
            format!(
                "{scope} would take {taken} {words}; it may take {most}, and {largest} take most of \
                 it, {part}; a platform admin may set 'spec.bounds.{field}' of its Workspace"
            ),
        ))
    };
    MEASURES.iter().filter_map(over).collect()
}

/// What is wrong with what the Apis of a team come to take, where who edits one may not edit all of its
/// workspace: so that no team uses up what its neighbours need.
pub(crate) fn share(before: &World, after: &World, key: &Key, team: &Name) -> Vec<Invalid> {
    let scope = after.directory.scope(&key.namespace);
    let Scope::Workspace(workspace) = &scope else { return Vec::new() };
    let bounds = bounds(after, workspace);
    let (was, taken) = (of_team(before, &scope, team), of_team(after, &scope, team));
    let sum = |costs: &BTreeMap<Kind, Cost>, measure: &Measure| -> usize {
        costs.iter().map(|(kind, cost)| (measure.of)(*kind, cost)).sum()
    };
    let over = |measure: &Measure| {
        let own = (measure.own)(&bounds).map(|most| usize::try_from(most).unwrap_or(usize::MAX));
        let most = own.unwrap_or(measure.usual) / SHARE;
        let taken = sum(&taken, measure);
        if taken <= most || taken <= sum(&was, measure) {
            return None;
        }
        let words = measure.words;
        Some(fault(
            key,
            format!(
                "the Apis of team '{team}' would take {taken} {words}; they may take {most}, a quarter of \
                 what {scope} may, unless somebody who may edit all of that gives them more"
            ),
        ))
    };
    MEASURES.iter().filter_map(over).collect()
}

/// What the objects of a team's Apis take, by kind.
fn of_team(world: &World, scope: &Scope, team: &Name) -> BTreeMap<Kind, Cost> {
    let apis = world.of_kind(Kind::Api).filter(|(key, _)| world.is_in(&key.namespace, scope));
    let own = apis.filter(|(_, object)| match &object.resource {
        Resource::Api(api) => api.spec.owner == *team,
        _ => false,
    });
    let own: BTreeSet<_> = own.map(|(key, _)| key.name.as_str()).collect();
    let mut costs = BTreeMap::<Kind, Cost>::new();
    for (key, object) in &world.objects {
        let label = object.resource.meta().labels.get(LABEL);
        let is_own = label.is_some_and(|label| own.contains(label.as_str()));
        if is_own && world.is_in(&key.namespace, scope) {
            *costs.entry(key.kind).or_default() += object.cost;
        }
    }
    costs
}

fn sum(world: &World, scope: &Scope, measure: &Measure) -> usize {
    let own = world.taken.iter().filter(|((namespace, _), _)| world.is_in(namespace, scope));
    own.map(|((_, kind), cost)| (measure.of)(*kind, cost)).sum()
}

/// What its Workspace says; nothing, where that cannot be read.
fn bounds(world: &World, workspace: &Name) -> Bounds {
    let key = Key::new(Kind::Workspace, Kind::Workspace.default_namespace(), workspace.clone());
    match world.known(&key) {
        Some(Resource::Workspace(workspace)) => workspace.spec.bounds,
        Some(_) | None => Bounds::default(),
    }
}

/// A node refuses a state that is larger than it takes, so one change could cut all of them off from
/// all that follows.
fn everybody(before: &World, after: &World, key: &Key) -> Option<Invalid> {
    let (was, scopes) = (told(before), told(after));
    let taken: usize = scopes.values().sum();
    if taken <= EVERYBODY || taken <= was.values().sum() {
        return None;
    }
    let (scope, most) = scopes.iter().max_by_key(|(_, bytes)| **bytes)?;
    Some(fault(
        key,
        format!(
            "all that nodes are told of would take {taken} bytes; they take {EVERYBODY}, and {scope} \
             takes most of it, {most}; something must be taken away first"
        ),
    ))
}

/// The bytes of each scope's objects that nodes are told of.
fn told(world: &World) -> BTreeMap<Scope, usize> {
    let mut scopes = BTreeMap::new();
    let told = world.taken.iter().filter(|((_, kind), _)| is_traffic(*kind));
    for ((namespace, _), cost) in told {
        *scopes.entry(world.directory.scope(namespace)).or_default() += cost.bytes;
    }
    for aside in world.unreadable.values() {
        *scopes.entry(aside.scope.clone()).or_default() += aside.body.len();
    }
    scopes
}

fn fault(key: &Key, reason: String) -> Invalid {
    Invalid { key: Some(key.clone()), path: String::new(), line: None, reason, nearest: None }
}

#[cfg(test)]
mod tests;
