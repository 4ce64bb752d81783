//! Borders in generated worlds: the table agrees with a naive reading of them, an edit of a border
//! touches what lies within it and nothing else, what was taken over equals what is made anew, and
//! nobody takes what another one claims.

use std::collections::BTreeMap;

use model::{Invalid, Key, Kind, Resource};
use policy::Reason;
use table::{Assembly, Closed, Input, assemble};

use crate::dice::{Dice, number};
use crate::isolation::observe::{Request, Seen, observe};
use crate::isolation::valid;
use edit::{Change, Edit};
use intruder::{Sort, intruder};
use naive::Reading;

mod edit;
mod intruder;
mod naive;
pub(crate) mod world;

const REQUESTS: usize = 24;

fn made(resources: &[Resource], previous: Option<&Assembly>) -> Assembly {
    assemble(Input { resources: resources.to_vec(), ..Input::default() }, previous)
}

/// Runs `one` for as many worlds as are wanted, with requests to each.
fn all(mut one: impl FnMut(&str, &mut Dice, &[Resource], &[Request])) -> u64 {
    let count = number("HEDDLE_SOAK_COUNT", 1_000);
    let seed = number("HEDDLE_SOAK_SEED", 1);
    let mut dice = Dice::new(seed.max(1));
    for set in 0..count {
        let world = world::world(&mut dice);
        let requests: Vec<_> = (0..REQUESTS).map(|_| valid::request(&mut dice, &world)).collect();
        one(&format!("seed {seed}, set {set}"), &mut dice, &world, &requests);
    }
    count
}

#[test]
fn borders_agree_with_a_naive_reading() {
    let mut ends = BTreeMap::<_, u64>::new();
    let count = all(|what, _, world, requests| {
        let is_border =
            |one: &&Resource| matches!(one.kind(), Kind::Workspace | Kind::Api | Kind::Claim);
        let bare: Vec<_> = world.iter().filter(|one| !is_border(one)).cloned().collect();
        let (bare, bordered) = (made(&bare, None), made(world, None));
        let reading = Reading::new(world);
        for request in requests {
            let wanted = reading.within(&observe(&bare.table, request), request);
            let got = observe(&bordered.table, request);
            assert_eq!(got, wanted, "{what}: {request:?}\n{world:#?}");
            *ends.entry(got.verdict.err()).or_default() += 1;
        }
    });
    println!("{count} worlds: {ends:?}");
    let rare = [Reason::DefaultDenied, Reason::ApiUnpublished, Reason::ApiRetired, Reason::NoRoute];
    for reason in rare.map(Some).into_iter().chain([None]) {
        assert!(count < 1000 || ends[&reason] > 100, "{reason:?} was hardly met: {ends:?}");
    }
}

#[test]
fn an_edit_of_a_border_touches_what_lies_within_it_and_is_made_as_anew() {
    let mut felt = BTreeMap::<Change, usize>::new();
    let count = all(|what, dice, world, requests| {
        let before = made(world, None);
        let edit = Edit::new(dice, world);
        let (fresh, after) = (made(&edit.after, None), made(&edit.after, Some(&before)));
        assert_eq!(fresh.table.digest, after.table.digest, "{what}");
        assert_eq!(fresh.faults, after.faults, "{what}: {edit:#?}");
        let (old, new) = (Reading::new(world), Reading::new(&edit.after));
        for request in requests {
            let (was, is) = (observe(&before.table, request), observe(&after.table, request));
            assert_eq!(is, observe(&fresh.table, request), "{what}: {request:?}\n{edit:#?}");
            if was != is {
                *felt.entry(edit.change).or_default() += 1;
                let is_meant = [(&old, &was), (&new, &is)]
                    .iter()
                    .any(|(reading, seen)| edit.concerns(reading, seen, request));
                assert!(is_meant, "{what}: {request:?}\n{was:#?}\n{is:#?}\n{edit:#?}");
            }
        }
    });
    println!("{count} edits; requests that felt them: {felt:?}");
    assert!(count < 1000 || felt.len() == Change::ALL.len(), "some were never felt: {felt:?}");
}

/// Leaves of each backend its name.
fn without_endpoints(seen: &mut Seen) {
    for (_, backend) in &mut seen.backends {
        backend.truncate(backend.find(" [").unwrap_or(backend.len()));
    }
}

#[test]
fn a_policy_known_by_name_closes_its_targets_and_nothing_else() {
    let mut shut = BTreeMap::<Kind, usize>::new();
    let count = all(|what, dice, world, requests| {
        let kinds =
            [Kind::Gateway, Kind::HttpRoute, Kind::Workspace, Kind::Api, Kind::EndpointSlice];
        let keys = world.iter().map(Resource::key).filter(|key| kinds.contains(&key.kind));
        let keys: Vec<_> = keys.collect();
        let target = dice.pick(&keys).clone();
        let before = made(world, None);
        let fault = fault();
        let closed =
            Closed { policy: "RegoPolicy x".to_owned(), targets: vec![target.clone()], fault };
        let input = Input { resources: world.to_vec(), closed: vec![closed], ..Input::default() };
        let reading = Reading::new(world);
        for previous in [None, Some(&before)] {
            let after = assemble(input.clone(), previous);
            assert_eq!(after.faults.len(), before.faults.len() + 1, "{what}");
            for request in requests {
                let was = observe(&before.table, request);
                let mut is = observe(&after.table, request);
                let mut wanted = closing(&reading, &target, &was);
                // With a namespace its Services are closed: nothing goes to them past a proxy.
                if matches!(target.kind, Kind::EndpointSlice | Kind::Workspace) {
                    without_endpoints(&mut is);
                    without_endpoints(&mut wanted);
                }
                assert_eq!(is, wanted, "{what}: {target}: {request:?}");
                *shut.entry(target.kind).or_default() += usize::from(was.verdict != is.verdict);
            }
        }
    });
    println!("{count} worlds; requests that met a closed target: {shut:?}");
    assert!(count < 1000 || shut.values().all(|times| *times > 50), "{shut:?}");
}

#[test]
fn what_came_past_the_door_takes_nothing_that_is_held() {
    let mut met = BTreeMap::<Sort, usize>::new();
    let count = all(|what, dice, world, requests| {
        let sort = *dice.pick(&Sort::ALL);
        let Some((intruder, holder)) = intruder(dice, sort, world) else { return };
        let mut more = world.to_vec();
        more.push(intruder.clone());
        let before = made(world, None);
        let after = made(&more, Some(&before));
        let key = Some(intruder.key());
        let is_told = |fault: &Invalid| fault.key == key && fault.reason.contains("by Claim ");
        assert!(after.faults.iter().any(is_told), "{what}: {:?} of {intruder:?}", after.faults);
        let reading = Reading::new(world);
        for request in requests {
            if reading.is_held(request, |own| *own == holder) {
                let (was, is) = (observe(&before.table, request), observe(&after.table, request));
                assert_eq!(was, is, "{what}: {request:?}\n{intruder:#?}");
                *met.entry(sort).or_default() += 1;
            }
        }
    });
    println!("{count} worlds; requests on held ground: {met:?}");
    assert!(count < 1000 || Sort::ALL.iter().all(|sort| met[sort] > 50), "{met:?}");
}

fn fault() -> Invalid {
    Invalid {
        key: None,
        path: String::new(),
        line: None,
        reason: "is not known here".to_owned(),
        nearest: None,
    }
}

/// What becomes of a request once its target is closed. An Api that answers nobody goes before.
fn closing(reading: &Reading<'_>, target: &Key, was: &Seen) -> Seen {
    let is_lifeless = matches!(was.verdict, Err(Reason::ApiUnpublished | Reason::ApiRetired));
    match was.rule.is_some() && !is_lifeless && reading.is_under(target, was) {
        true => Seen { verdict: Err(Reason::PolicyUnreadable), ..was.clone() },
        false => was.clone(),
    }
}
