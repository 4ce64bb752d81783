//! Counts that many workers share, and what becomes of those for which there is no room.

use std::sync::Arc;
use std::time::Duration;

use policy::limit::{Count, Limit};
use serde_json::json;

use super::*;
use crate::counts::fixture::{charge, limit, limits, limits_in};

/// Has the limit find no more places than one group has.
fn with_few_places(counts: &Own, limit: &Limit) {
    let pools = Pools::default();
    pools.0[limit.pool() as usize].set(Places::of(WAYS * GROUP)).unwrap();
    let all = BTreeMap::from([(limit.namespace().clone(), Arc::new(pools))]);
    counts.of.store(Arc::new(all));
}

fn granted(counts: &Own, charge: &Charge, now: u64) -> bool {
    counts.take(charge, now).granted
}

#[test]
fn each_name_has_a_count_of_its_own() {
    let (counts, limits) = (Own::default(), limits(&[limit("l", 2)]));
    let take = |name: &str| granted(&counts, &charge(&limits[0], name), 0);
    let taken = ["a", "a", "b", "a", "b", "b"].map(take);
    assert_eq!(taken, [true, true, true, false, true, false]);
}

#[test]
fn a_count_that_is_over_gives_its_place_to_others_and_begins_anew() {
    let (counts, limits) = (Own::default(), limits(&[limit("l", 1)]));
    with_few_places(&counts, &limits[0]);
    let take = |name: u32, now: u64| {
        let name = name.to_string();
        granted(&counts, &charge(&limits[0], &name), now * SECOND)
    };
    // Many more than there are places: some find room, and nobody is let pass without.
    let first = (0..1_000).filter(|name| take(*name, 0)).count();
    assert_eq!(first, WAYS * GROUP);
    assert_eq!((0..1_000).filter(|name| take(*name, 1)).count(), 0);
    assert_eq!((0..1_000).filter(|name| take(*name, 30)).count(), 0);
    // A window, and the one into which it reaches, are over two minutes and a second later.
    assert_eq!((1_000..2_000).filter(|name| take(*name, 122)).count(), WAYS * GROUP);
}

#[test]
fn who_fills_the_places_of_one_pool_shuts_nobody_out_of_another() {
    let (counts, limits) = (Own::default(), limits(&[limit("l", 1)]));
    with_few_places(&counts, &limits[0]);
    let other = limits_in("bank", &[limit("l", 1)]);
    let take = |limit, name: u32| counts.take(&charge(limit, &name.to_string()), 0);
    let refused =
        (0..1_000).map(|name| take(&limits[0], name)).filter(|take| take.count == Count::NoRoom);
    assert_eq!(refused.count(), 1_000 - WAYS * GROUP);
    assert!((0..1_000).all(|name| take(&other[0], name).granted));
    let mut by_address = limit("early", 1);
    by_address["by"] = json!([{ "type": "Address" }]);
    let mut tried = by_address.clone();
    tried["dryRun"] = json!(true);
    let mut by_caller = by_address.clone();
    by_caller["by"] = json!([{ "type": "Caller" }]);
    let pools = limits_in("shop", &[by_address, tried, by_caller]);
    assert_eq!(
        [0, 1, 2].map(|one: usize| pools[one].pool()),
        [Pool::Early, Pool::Tried, Pool::Late]
    );
    assert!(pools.iter().all(|limit| (0..1_000).all(|name| take(limit, name).granted)));
}

#[test]
fn a_namespace_in_which_nothing_counts_any_more_goes_when_another_comes() {
    let counts = Own::default();
    let of = |namespace: &str| charge(&limits_in(namespace, &[limit("l", 1)])[0], "one");
    for (namespace, now, wanted) in [
        ("shop", 0, "shop"),
        ("bank", 60, "bank shop"),
        ("yard", 121, "bank yard"),
        ("shop", 122, "bank shop yard"),
    ] {
        assert!(granted(&counts, &of(namespace), now * SECOND));
        let names: Vec<_> = counts.of.load().keys().map(ToString::to_string).collect();
        assert_eq!(names.join(" "), wanted);
    }
}

#[test]
fn workers_that_meet_at_a_new_count_find_one_place() {
    let limits = limits(&[limit("l", 1)]);
    let counts = Own::default();
    let work = || {
        let each =
            (0..2_000).map(|name| granted(&counts, &charge(&limits[0], &name.to_string()), 0));
        each.filter(|granted| *granted).count()
    };
    let all: usize = std::thread::scope(|scope| {
        let workers = [(); 4].map(|()| scope.spawn(work));
        workers.into_iter().map(|worker| worker.join().unwrap()).sum()
    });
    assert_eq!(all, 2_000);
}

#[test]
fn workers_that_meet_in_a_new_namespace_find_one_count() {
    let limits = limits(&[limit("l", 1)]);
    for _ in 0..2_000 {
        let (counts, start) = (Own::default(), std::sync::Barrier::new(2));
        let work = || {
            start.wait();
            granted(&counts, &charge(&limits[0], "one"), 0)
        };
        let all = std::thread::scope(|scope| {
            let workers = [(); 2].map(|()| scope.spawn(work));
            workers.map(|worker| worker.join().unwrap())
        });
        assert_ne!(all[0], all[1]);
    }
}

#[test]
fn workers_that_count_at_once_let_pass_what_the_limit_says() {
    for algorithm in ["SlidingWindow", "TokenBucket"] {
        let mut written = limit("l", 10_000);
        written["algorithm"] = json!(algorithm);
        let (counts, limits) = (Own::default(), limits(&[written]));
        let work = || {
            let charge = charge(&limits[0], "one");
            (0..20_000).filter(|_| granted(&counts, &charge, 0)).count()
        };
        let all: usize = std::thread::scope(|scope| {
            let workers = [(); 4].map(|()| scope.spawn(work));
            workers.into_iter().map(|worker| worker.join().unwrap()).sum()
        });
        assert_eq!(all, 10_000, "{algorithm}");
    }
}

#[test]
fn workers_that_push_each_other_out_find_room_and_grant_no_count_more_than_its_own() {
    let limits = limits(&[json!({ "name": "l", "requests": 40, "period": "Month" })]);
    let counts = Own::keyed([7; 16]);
    with_few_places(&counts, &limits[0]);
    let work = || {
        let names = (0..200).cycle().take(20_000).map(|name: u32| name.to_string());
        let takes =
            names.map(|name| counts.take(&charge(&limits[0], &name), 1_769_800_000 * SECOND));
        takes.fold([0, 0], |[granted, without], take| {
            [granted + u64::from(take.granted), without + u64::from(take.count != Count::Kept)]
        })
    };
    let all = std::thread::scope(|scope| {
        let workers = [(); 4].map(|()| scope.spawn(work));
        workers.map(|worker| worker.join().unwrap())
    });
    assert!(all.iter().all(|[granted, without]| *granted > 0 && *without == 0), "{all:?}");
    let kept = counts.all(1_769_800_000 * SECOND);
    let places: Vec<_> = kept.iter().flat_map(|pool| &pool.places).collect();
    assert_eq!(places.len(), WAYS * GROUP);
    assert!(
        places.iter().all(|place| (1..=40).contains(&Rate::count_in_period(place.state))),
        "{places:?}"
    );
}

#[test]
fn nothing_is_kept_before_a_limit_counts() {
    let (counts, limits) = (Own::default(), limits(&[limit("l", 1)]));
    assert!(counts.of.load().is_empty());
    let take = counts.take(&charge(&limits[0], "a"), 0);
    assert_eq!((take.left, take.wait), (0, Duration::ZERO));
    let of = counts.of.load_full();
    let pools = &of.values().next().unwrap().0;
    let [Places(groups)] = pools.iter().filter_map(OnceLock::get).collect::<Vec<_>>()[..] else {
        panic!("one pool counts")
    };
    assert_eq!(groups.iter().filter(|group| group.get().is_some()).count(), 1);
}
