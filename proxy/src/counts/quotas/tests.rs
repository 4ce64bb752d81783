//! What is counted goes on in the next process, whatever becomes of the file.

use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::counts::fixture::{charge, limits, limits_in};

/// A quota of so many a month.
fn quota(requests: u32) -> Value {
    json!({ "name": "plan", "requests": requests, "period": "Month" })
}

fn file(folder: &TempDir) -> PathBuf {
    folder.path().join("state").join("quotas")
}

fn now() -> u64 {
    moment::nanos(SystemTime::now())
}

fn of(second: u64) -> u64 {
    second * 1_000_000_000
}

#[test]
fn what_is_counted_goes_on_in_the_next_process() {
    let folder = TempDir::new().unwrap();
    let by_tenant =
        json!({ "name": "each", "requests": 9, "period": "Month", "by": [{ "type": "Host" }] });
    let mut all = limits(&[quota(1_000_000_000), by_tenant.clone()]);
    all.extend(limits_in("bank", &[by_tenant]));
    let names: Vec<_> = (0..500).map(|name| format!("caller {name}")).collect();
    let mut left = Vec::new();
    for round in 0..3 {
        let (quotas, keeper) = Quotas::at(&file(&folder)).unwrap();
        let each = all.iter().flat_map(|limit| names.iter().map(move |name| charge(limit, name)));
        let takes: Vec<_> = each.map(|charge| quotas.own.take(&charge, now()).left).collect();
        if round > 0 {
            let wanted: Vec<u64> = left.iter().map(|left| left - 1).collect();
            assert_eq!(takes, wanted);
        }
        left = takes;
        drop(keeper);
    }
    // No name stands there, and nobody else reads it.
    let written = fs::read(file(&folder)).unwrap();
    assert!(!written.windows(6).any(|part| part == b"caller"));
    let modes = fs::metadata(file(&folder)).unwrap().permissions();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&modes) & 0o077, 0);
    let mut beside: Vec<_> = fs::read_dir(folder.path().join("state")).unwrap().collect();
    beside.retain(|entry| entry.as_ref().unwrap().file_name() != LOCK);
    assert_eq!(beside.len(), 1, "no part is left: {beside:?}");
}

/// What another build wrote: a key, and one count of 3 in January 2026.
const WRITTEN: &str = "686564646c652d71756f7461732d310a07070707070707070707070707070707000000010000000473686f70\
                       00000000000000010001a2e05c9c7b4b697e9781005ef900000000031bf3fe8964532ee2c59da38ebaf476d8\
                       8a05a45d3b5b4a0da42e5a82f6e59933";

#[test]
fn a_file_that_another_build_wrote_is_read() {
    let charge = charge(&limits(&[quota(9)])[0], "one");
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let own = Own::keyed([7; 16]);
    let second = 1_769_800_000;
    for left in [8, 7, 6] {
        assert_eq!(own.take(&charge, of(second)).left, left);
    }
    let written = bytes([7; 16], &own.all(of(second)));
    assert_eq!(hex(&written), WRITTEN);
    let (key, pools) = read(&written).unwrap();
    let next = Own::keyed(key);
    pools.iter().for_each(|pool| next.put(pool, of(second)));
    assert_eq!(next.take(&charge, of(second)).left, 5);
}

#[test]
fn what_is_over_is_not_gone_on_with_nor_what_was_counted_by_a_clock_far_ahead() {
    let charge = charge(&limits(&[quota(2)])[0], "one");
    let own = Own::keyed([7; 16]);
    // The last days of January, and the first of February.
    let (before, after) = (1_769_800_000, 1_769_920_000);
    assert_eq!(own.take(&charge, of(before)).left, 1);
    let all = own.all(of(before + 1));
    let [pool] = &all[..] else { panic!("one pool counts: {all:?}") };
    for (second, left) in [(before + 1, 0), (after, 1)] {
        let next = Own::keyed([7; 16]);
        next.put(pool, of(second));
        assert_eq!(next.take(&charge, of(second)).left, left, "{second}");
        assert_eq!(next.all(of(second)).len(), 1);
    }
    assert!(own.all(of(after)).is_empty());
    let decade = 10 * 365 * 24 * 60 * 60;
    let ahead = Own::keyed([7; 16]);
    assert_eq!(ahead.take(&charge, of(before + decade)).left, 1);
    let all = ahead.all(of(before + decade));
    assert_eq!(all.len(), 1);
    let back = Own::keyed([7; 16]);
    back.put(&all[0], of(before));
    assert!(ahead.all(of(before)).is_empty() && back.all(of(before)).is_empty());
}

#[test]
fn a_file_that_says_nothing_is_put_aside_and_one_that_cannot_be_read_is_told() {
    let folder = TempDir::new().unwrap();
    let charge = charge(&limits(&[quota(5)])[0], "one");
    let take = || {
        let (quotas, _keeper) = Quotas::at(&file(&folder)).unwrap();
        quotas.own.take(&charge, now()).left
    };
    assert_eq!([take(), take()], [4, 3]);
    let good = fs::read(file(&folder)).unwrap();
    assert!(read(&good).is_some());
    // Each byte counts, and none may be missing.
    for at in 0..good.len() {
        let mut odd = good.clone();
        odd[at] ^= 1;
        assert!(read(&odd).is_none() && read(&good[..at]).is_none(), "{at}");
    }
    fs::write(file(&folder), &good[1..]).unwrap();
    assert_eq!([take(), take()], [4, 3]);
    assert_eq!(fs::read(file(&folder).with_extension("odd")).unwrap(), good[1..]);
    fs::remove_file(file(&folder)).unwrap();
    fs::create_dir(file(&folder)).unwrap();
    let said = Quotas::at(&file(&folder)).unwrap_err().to_string();
    assert!(said.contains("state/quotas"), "{said}");
    let said = Quotas::at(&folder.path().join("state").join("quotas").join("x").join("quotas"));
    drop(said.unwrap());
}

#[test]
fn one_process_alone_has_the_file_and_hands_it_on() {
    let folder = TempDir::new().unwrap();
    let charge = charge(&limits(&[quota(9)])[0], "one");
    let left = |quotas: &Quotas| quotas.own.take(&charge, now()).left;
    let (quotas, keeper) = Quotas::at(&file(&folder)).unwrap();
    assert_eq!(left(&quotas), 8);
    keeper.let_go();
    let (next, its) = Quotas::at(&file(&folder)).unwrap();
    // What the one before counts from then on is its own alone.
    assert_eq!([left(&quotas), left(&quotas), left(&next)], [7, 6, 7]);
    keeper.take_back();
    assert!(quotas.why().unwrap().contains("is used by another process"));
    its.let_go();
    let kept = fs::read(file(&folder)).unwrap();
    // As soon as it can be had it is: with what either counted, of each count the more.
    until(|| quotas.why().is_none() && fs::read(file(&folder)).unwrap() != kept);
    assert_eq!(left(&quotas), 5);
    drop((keeper, its));
    let (last, _keeper) = Quotas::at(&file(&folder)).unwrap();
    assert_eq!(left(&last), 4);
}

#[test]
fn who_finds_the_file_taken_goes_on_with_what_it_says_and_has_it_in_the_end() {
    let folder = TempDir::new().unwrap();
    let charge = charge(&limits(&[quota(9)])[0], "one");
    let left = |quotas: &Quotas| quotas.own.take(&charge, now()).left;
    let (quotas, keeper) = Quotas::at(&file(&folder)).unwrap();
    assert_eq!(left(&quotas), 8);
    until(|| file(&folder).exists());
    let (next, its) = Quotas::at(&file(&folder)).unwrap();
    assert!(next.why().unwrap().contains("is used by another process"));
    assert_eq!([left(&quotas), left(&quotas), left(&next)], [7, 6, 7]);
    drop(keeper);
    until(|| next.why().is_none());
    assert_eq!(left(&next), 5);
    drop(its);
    let (last, _keeper) = Quotas::at(&file(&folder)).unwrap();
    assert_eq!(left(&last), 4);
}

fn until(holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(30));
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn what_cannot_be_written_is_told_and_tried_again() {
    let folder = TempDir::new().unwrap();
    let (quotas, keeper) = Quotas::at(&file(&folder)).unwrap();
    // Where the new file is made something else lies.
    let beside = file(&folder).with_extension("new");
    fs::create_dir(&beside).unwrap();
    quotas.own.take(&charge(&limits(&[quota(5)])[0], "one"), now());
    until(|| quotas.why().is_some());
    assert!(!file(&folder).exists());
    fs::remove_dir(&beside).unwrap();
    until(|| quotas.why().is_none() && file(&folder).exists());
    drop(keeper);
}

#[test]
fn what_is_refused_or_changes_nothing_is_not_written() {
    let folder = TempDir::new().unwrap();
    let charge = charge(&limits(&[quota(1)])[0], "one");
    let (quotas, keeper) = Quotas::at(&file(&folder)).unwrap();
    assert!(quotas.own.take(&charge, now()).granted);
    keeper.let_go();
    assert!(!quotas.own.has_changed());
    assert!(!quotas.own.take(&charge, now()).granted);
    assert!(!quotas.own.has_changed());
    quotas.own.give_back(&charge, now());
    assert!(quotas.own.has_changed());
}

#[test]
fn where_a_namespace_is_full_the_smallest_quota_makes_room_and_what_is_used_up_stays() {
    let by_host =
        json!({ "name": "each", "requests": 3, "period": "Month", "by": [{ "type": "Host" }] });
    let limit = &limits(&[by_host])[0];
    let (own, second) = (Own::keyed([7; 16]), 1_769_800_000);
    let used_up: Vec<_> = (0..200).map(|name| charge(limit, &format!("used up {name}"))).collect();
    for charge in &used_up {
        let granted = [(); 4].map(|()| own.take(charge, of(second)).granted);
        assert_eq!(granted, [true, true, true, false]);
    }
    let made_up = (0..160_000)
        .filter(|name| own.take(&charge(limit, &format!("made up {name}")), of(second)).granted);
    assert_eq!(made_up.count(), 160_000);
    let still = used_up.iter().filter(|charge| !own.take(charge, of(second)).granted);
    assert_eq!(still.count(), 200);
}

#[test]
fn places_that_are_not_there_are_left_out() {
    let own = Own::keyed([7; 16]);
    let namespace = Name::parse("shop").unwrap();
    let odd = |at, owner| Kept { at, owner, state: 1 };
    let owner = 9 << 32 | 99;
    let places = vec![odd(u32::MAX, owner), odd(1 << 17, owner), odd(0, u64::MAX), odd(1, owner)];
    let pool = |pool, places| KeptPool { namespace: namespace.clone(), pool, places };
    own.put(&pool(0, places.clone()), 0);
    own.put(&pool(99, places.clone()), 0);
    assert_eq!(own.all(0), [pool(0, vec![places[3]])]);
}
