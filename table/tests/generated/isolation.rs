//! For any valid set V and any invalid object X: V + X behaves as V outside X's namespace.
//! And for any valid edit that somebody makes to V: what is not his own behaves as before.

use std::collections::BTreeMap;
use std::fmt::Debug;

use table::{Assembly, Input, assemble};

use crate::dice::{Dice, number};
use bad::{Bad, Sort};
use edit::{Change, Edit};
use observe::{Request, Seen, observe};

mod bad;
mod edit;
pub(crate) mod observe;
pub(crate) mod valid;

/// Seeds that every run goes through; one that ever failed is added here.
const SEEDS: [u64; 8] = [1, 2, 3, 5, 8, 13, 21, 34];
const REQUESTS: usize = 16;

fn input(resources: &[model::Resource]) -> Input {
    Input { resources: resources.to_vec(), ..Input::default() }
}

/// Whether a request concerns the owner of `namespace`, by host, by what serves it without X, or by where
/// it is led, which is for its owner to let.
fn concerns(namespace: &str, request: &Request, seen: &Seen) -> bool {
    request.host.ends_with(&format!("{namespace}.test"))
        || seen.gateway.as_deref() == Some(namespace)
        || seen.owner.as_deref() == Some(namespace)
        || seen.led_to.contains(namespace)
}

/// Compares `after` with `before` outside the namespace; how many requests differ inside.
fn compare(
    what: &str,
    bad: &Bad,
    requests: &[Request],
    before: &Assembly,
    after: &Assembly,
) -> usize {
    let mut felt = 0;
    for request in requests {
        let (old, new) = (observe(&before.table, request), observe(&after.table, request));
        if concerns(&bad.namespace, request, &old) {
            felt += usize::from(old != new);
        } else {
            assert_eq!(old, new, "{what}: {request:?}\n{bad:#?}");
        }
    }
    felt
}

#[test]
fn a_bad_object_hurts_only_its_owner() {
    let (count, felt) = all_sets(&Sort::ALL, one_set);
    println!("{count} sets; requests that the owner felt: {felt:?}");
    for sort in Sort::ALL.iter().filter(|sort| sort.is_felt()) {
        assert!(count < 1000 || felt[sort] > 0, "{sort:?} was never felt by its owner: {felt:?}");
    }
}

#[test]
fn a_valid_edit_changes_only_what_is_its_owners() {
    let (count, felt) = all_sets(&Change::ALL, one_edit);
    println!("{count} sets; requests that the owner felt: {felt:?}");
    for change in Change::ALL {
        assert!(count < 1000 || felt[&change] > 0, "{change:?} was never felt: {felt:?}");
    }
}

/// Runs `one` for sets of every sort in turn; how many sets, and how many requests the owners of
/// each sort felt.
fn all_sets<S: Copy + Debug + Ord>(
    sorts: &[S],
    one: impl Fn(&str, S, &mut Dice) -> usize,
) -> (u64, BTreeMap<S, usize>) {
    let count = number("HEDDLE_SOAK_COUNT", 10_000);
    let seeds = match number("HEDDLE_SOAK_SEED", 0) {
        0 => SEEDS.to_vec(),
        seed => vec![seed],
    };
    let each = count.div_ceil(seeds.len() as u64);
    let mut felt = BTreeMap::new();
    for &seed in &seeds {
        let mut dice = Dice::new(seed);
        for set in 0..each {
            let what = format!("seed {seed}, set {set}");
            let sort = sorts[usize::try_from(set).unwrap() % sorts.len()];
            *felt.entry(sort).or_default() += one(&what, sort, &mut dice);
        }
    }
    (count, felt)
}

/// Somebody edits what is good into something else that is good by itself.
fn one_edit(what: &str, change: Change, dice: &mut Dice) -> usize {
    let world = valid::world(dice);
    let before = assemble(input(&world), None);
    let requests: Vec<_> = (0..REQUESTS).map(|_| valid::request(dice, &world)).collect();
    let edit = Edit::new(dice, change, &world);
    let mut felt = 0;
    for previous in [Some(&before), None] {
        let after = assemble(input(&edit.after), previous);
        felt = 0;
        for request in &requests {
            let (old, new) = (observe(&before.table, request), observe(&after.table, request));
            if edit.concerns(request, &old) {
                felt += usize::from(old != new);
            } else {
                assert_eq!(old, new, "{what}: {request:?}\n{edit:#?}");
            }
        }
    }
    felt
}

fn one_set(what: &str, sort: Sort, dice: &mut Dice) -> usize {
    let world = valid::world(dice);
    let before = assemble(input(&world), None);
    assert!(before.faults.is_empty(), "{what}: {:?}", before.faults);
    let requests: Vec<_> = (0..REQUESTS).map(|_| valid::request(dice, &world)).collect();
    let bad = Bad::new(dice, sort, &world);
    // Beside everything that is good, after a good table and from nothing.
    let mut felt = 0;
    for previous in [Some(&before), None] {
        let after = assemble(bad.beside(&world), previous);
        assert!(!after.faults.is_empty(), "{what}: no fault for {bad:?}");
        felt = compare(&format!("{what}, beside"), &bad, &requests, &before, &after);
    }
    replaced(what, dice, &world, &requests, &before);
    felt
}

/// A good object turns bad: nothing changes while its last good form is known.
fn replaced(
    what: &str,
    dice: &mut Dice,
    world: &[model::Resource],
    requests: &[Request],
    before: &Assembly,
) {
    let victim = dice.pick(world).key();
    let bad = Bad::refused(&victim);
    let after = assemble(bad.instead(world, &victim), Some(before));
    assert_eq!(after.kept.iter().collect::<Vec<_>>(), [&victim], "{what}");
    for request in requests {
        let (old, new) = (observe(&before.table, request), observe(&after.table, request));
        assert_eq!(old, new, "{what}, last good of {victim}: {request:?}");
    }
    assert_eq!(before.table.digest, after.table.digest, "{what}");
    let fresh = assemble(bad.instead(world, &victim), None);
    compare(&format!("{what}, no last good of {victim}"), &bad, requests, before, &fresh);
}
