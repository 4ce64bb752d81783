//! Assemblies that follow each other, each taking over from the one before: whatever way led there,
//! all is as if it had been assembled from nothing.

use std::sync::Arc;

use model::{Kind, Resource};
use serde_json::json;
use table::{Assembly, Input, Refused, assemble};

use crate::borders::world;
use crate::dice::{Dice, number};
use crate::isolation::observe::observe;
use crate::isolation::valid;

const REQUESTS: usize = 16;
const STEPS: usize = 12;

#[test]
fn whatever_way_led_there_all_is_as_if_made_from_nothing() {
    let count = number("HEDDLE_SOAK_COUNT", 400);
    let seed = number("HEDDLE_SOAK_SEED", 1);
    let mut dice = Dice::new(seed.max(1));
    let (mut shared, mut made) = (0, 0);
    for set in 0..count {
        let mut scene = Scene { there: world::world(&mut dice), gone: Vec::new() };
        let mut last = assemble(input(&scene.there), None);
        for step in 0..STEPS {
            let what = format!("seed {seed}, set {set}, step {step}");
            scene.edit(&mut dice);
            if dice.once_in(4) {
                // For a while one of them cannot be read; nothing of that stays.
                let at = dice.roll(scene.there.len());
                let (without, refusing) = scene.refusing(at);
                if dice.once_in(2) {
                    // It has no good form then, as if all were made from nothing.
                    last = assemble(without, Some(&last));
                    let fresh = assemble(refusing.clone(), None);
                    last = assemble(refusing, Some(&last));
                    compare(&what, &mut dice, &scene.there, &fresh, &last);
                } else {
                    last = assemble(refusing, Some(&last));
                }
            }
            let next = assemble(input(&scene.there), Some(&last));
            let fresh = assemble(input(&scene.there), None);
            compare(&what, &mut dice, &scene.there, &fresh, &next);
            let is_shared = |rule| last.table.rules.iter().any(|one| Arc::ptr_eq(one, rule));
            shared += next.table.rules.iter().filter(|rule| is_shared(rule)).count();
            made += next.table.rules.len();
            last = next;
        }
    }
    println!("of {made} rules {shared} were taken over");
    assert!(count < 100 || shared * 4 > made, "of {made} rules only {shared} were taken over");
}

fn compare(what: &str, dice: &mut Dice, there: &[Resource], fresh: &Assembly, next: &Assembly) {
    assert_eq!(fresh.table.digest, next.table.digest, "{what}");
    assert_eq!(fresh.faults, next.faults, "{what}: {there:#?}");
    assert_eq!((&fresh.kept, &fresh.lost), (&next.kept, &next.lost), "{what}");
    assert_eq!(fresh.closed, next.closed, "{what}");
    let labels = |assembly: &Assembly| -> Vec<_> {
        assembly.table.rules.iter().map(|rule| Arc::clone(&rule.label)).collect()
    };
    assert_eq!(labels(fresh), labels(next), "{what}");
    assert_eq!(fresh.table.services, next.table.services, "{what}");
    for _ in 0..REQUESTS {
        let request = valid::request(dice, there);
        let (wanted, got) = (observe(&fresh.table, &request), observe(&next.table, &request));
        assert_eq!(wanted, got, "{what}: {request:?}\n{there:#?}");
    }
}

fn input(resources: &[Resource]) -> Input {
    // As a node sees it, so that no edit is taken for a slip and held back.
    Input { resources: resources.to_vec(), slice: true, ..Input::default() }
}

/// What is there, and what was there.
struct Scene {
    there: Vec<Resource>,
    gone: Vec<Resource>,
}

impl Scene {
    /// Changes one object: mostly a route or what it leads to, as people do.
    fn edit(&mut self, dice: &mut Dice) {
        match dice.roll(8) {
            0 if !self.gone.is_empty() => {
                let back = self.gone.swap_remove(dice.roll(self.gone.len()));
                self.there.push(back);
            }
            1 => {
                let gone = self.there.swap_remove(dice.roll(self.there.len()));
                self.gone.push(gone);
            }
            2 => self.change(dice, Kind::EndpointSlice, |object, dice| {
                let address = format!("10.9.0.{}", 1 + dice.roll(9));
                object["endpoints"] = json!([{ "addresses": [address] }]);
            }),
            3 => self.change(dice, Kind::Gateway, |object, dice| {
                let listeners = object["spec"]["listeners"].as_array_mut().expect("listeners");
                let at = dice.roll(listeners.len());
                match dice.once_in(2) {
                    true => {
                        listeners[at]["allowedRoutes"] = json!({ "namespaces": { "from": "All" } })
                    }
                    false => listeners[at]["port"] = json!(80 + dice.roll(3)),
                }
            }),
            4 => self.change(dice, Kind::AccessPolicy, |object, dice| {
                let action = if dice.once_in(2) { "Allow" } else { "Deny" };
                object["spec"]["rules"] = json!([{ "name": "edited", "action": action }]);
            }),
            5 => self.change(dice, Kind::HttpRoute, |object, dice| {
                let rules = object["spec"]["rules"].as_array_mut().expect("rules");
                if rules.len() > 1 {
                    let at = dice.roll(rules.len());
                    rules.remove(at);
                }
            }),
            _ => self.change(dice, Kind::HttpRoute, |object, dice| {
                let path = format!("/edited{}", dice.roll(3));
                let matches = json!([{ "path": { "type": "PathPrefix", "value": path } }]);
                object["spec"]["rules"][0]["matches"] = matches;
            }),
        }
    }

    fn change(
        &mut self,
        dice: &mut Dice,
        kind: Kind,
        edit: impl Fn(&mut serde_json::Value, &mut Dice),
    ) {
        let of_kind = self.there.iter_mut().filter(|one| one.kind() == kind);
        let mut of_kind: Vec<_> = of_kind.collect();
        if of_kind.is_empty() {
            return;
        }
        let at = dice.roll(of_kind.len());
        let mut value = serde_json::to_value(&*of_kind[at]).expect("plain data");
        edit(&mut value, dice);
        *of_kind[at] = Resource::from_json(kind, value).expect("it is still one");
    }

    /// All of it but for one, and the same with that one there but not to be read.
    fn refusing(&self, at: usize) -> (Input, Input) {
        let mut resources = self.there.clone();
        let key = Some(resources.remove(at).key());
        let without = input(&resources);
        let refused = vec![Refused { key, raw: None, faults: Vec::new() }];
        (without.clone(), Input { refused, ..without })
    }
}
