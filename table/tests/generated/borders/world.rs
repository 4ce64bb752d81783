//! Valid worlds with borders: workspaces of one or two teams, Apis, and Claims on a team's own hosts.

use model::api::LABEL;
use model::{Kind, Resource};
use serde_json::{Value, json};

use crate::dice::Dice;
use crate::isolation::valid::{self, SHARED, TEAMS, object};

const APIS: [&str; 2] = ["a0", "a1"];
pub(crate) const STAGES: [&str; 4] = ["Draft", "Published", "Deprecated", "Retired"];

/// What is valid without borders, and borders around some of it.
pub(crate) fn world(dice: &mut Dice) -> Vec<Resource> {
    let mut world = valid::world(dice);
    let there = |team: &&str| world.iter().any(|one| one.meta().namespace.as_str() == *team);
    let mut teams: Vec<_> = TEAMS.iter().copied().filter(|team| there(team)).collect();
    if dice.once_in(6) {
        teams.push(SHARED);
    }
    for one in &mut world {
        label(dice, one);
    }
    while let Some(team) = teams.pop() {
        if dice.once_in(5) {
            continue;
        }
        let mut namespaces = vec![team];
        if dice.once_in(4) {
            namespaces.extend(teams.pop());
        }
        world.push(workspace(team, &namespaces, dice.once_in(2)));
        for namespace in namespaces {
            for name in APIS {
                if !dice.once_in(4) {
                    world.push(api(namespace, name, dice.pick::<&str>(&STAGES)));
                }
            }
            if dice.once_in(2) {
                world.push(claim(dice, namespace));
            }
        }
    }
    world
}

fn label(dice: &mut Dice, one: &mut Resource) {
    let Resource::HttpRoute(route) = one else { return };
    if dice.once_in(2) {
        let mut labelled = (**route).clone();
        labelled.metadata.labels.insert(LABEL.to_owned(), (*dice.pick(&APIS)).to_owned());
        *one = Resource::HttpRoute(labelled.into());
    }
}

pub(crate) fn workspace(name: &str, namespaces: &[&str], is_open: bool) -> Resource {
    let access = if is_open { "open" } else { "deny" };
    let spec = json!({ "namespaces": namespaces, "access": access });
    object(Kind::Workspace, "heddle", name, json!({ "spec": spec }))
}

pub(crate) fn api(namespace: &str, name: &str, lifecycle: &str) -> Resource {
    let spec = json!({ "owner": "team", "lifecycle": lifecycle });
    object(Kind::Api, namespace, name, json!({ "spec": spec }))
}

/// A claim on hosts that the team's own routes name.
pub(crate) fn claim(dice: &mut Dice, team: &str) -> Resource {
    let paths = dice.pick(&[json!([]), json!(["/a"]), json!(["/a/b", "/c"])]).clone();
    let hosts: Value = json!([
        { "host": format!("{team}.test"), "paths": paths },
        { "host": format!("*.{team}.test") },
    ]);
    object(Kind::Claim, team, "own", json!({ "spec": { "hosts": hosts } }))
}
