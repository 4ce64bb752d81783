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

#[test]
fn what_is_counted_goes_on_in_the_next_process() {
    let folder = TempDir::new().unwrap();
    let by_tenant =
        json!({ "name": "each", "requests": 9, "period": "Day", "by": [{ "type": "Host" }] });
    let mut all = limits(&[quota(1_000_000_000), by_tenant.clone()]);
    all.extend(limits_in("bank", &[by_tenant]));
    let names: Vec<_> = (0..500).map(|name| format!("caller {name}")).collect();
    let mut left = Vec::new();
    for round in 0..3 {
        let quotas = Arc::new(Quotas::at(&file(&folder)).unwrap());
        let keeper = Keeper::start(Arc::clone(&quotas)).unwrap();
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
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &fs::metadata(file(&folder)).unwrap().permissions(),
    );
    assert_eq!(mode & 0o077, 0);
    let beside = fs::read_dir(folder.path().join("state")).unwrap().count();
    assert_eq!(beside, 1, "no part is left");
}

#[test]
fn what_is_over_is_not_gone_on_with() {
    let charge = charge(&limits(&[quota(2)])[0], "one");
    let own = Own::keyed([7; 16]);
    // The last days of January, and the first of February.
    let (before, after) = (1_769_800_000, 1_769_920_000);
    let of = |second: u64| second * 1_000_000_000;
    assert_eq!(own.take(&charge, of(before)).left, 1);
    let all = own.all(of(before + 1));
    let [(namespace, pool, kept)] = &all[..] else { panic!("one pool counts: {all:?}") };
    for (second, left) in [(before + 1, 0), (after, 1)] {
        let next = Own::keyed([7; 16]);
        next.put(namespace, *pool, kept, of(second));
        assert_eq!(next.take(&charge, of(second)).left, left, "{second}");
        assert_eq!(next.all(of(second)).len(), 1);
    }
    assert!(own.all(of(after)).is_empty());
}

#[test]
fn a_file_that_says_nothing_is_put_aside_and_one_that_cannot_be_read_is_told() {
    let folder = TempDir::new().unwrap();
    let charge = charge(&limits(&[quota(5)])[0], "one");
    let take = || {
        let quotas = Arc::new(Quotas::at(&file(&folder)).unwrap());
        let keeper = Keeper::start(Arc::clone(&quotas)).unwrap();
        let left = quotas.own.take(&charge, now()).left;
        drop(keeper);
        left
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
    assert!(Quotas::at(&file(&folder)).is_err());
}

#[test]
fn who_is_followed_writes_nothing_more() {
    let folder = TempDir::new().unwrap();
    let quotas = Arc::new(Quotas::at(&file(&folder)).unwrap());
    let keeper = Keeper::start(Arc::clone(&quotas)).unwrap();
    quotas.own.take(&charge(&limits(&[quota(5)])[0], "one"), now());
    keeper.forgo();
    assert!(!file(&folder).exists());
}

#[test]
fn places_that_are_not_there_are_left_out() {
    let own = Own::keyed([7; 16]);
    let namespace = Name::parse("shop").unwrap();
    let odd = |at, owner| Kept { at, owner, state: 1 };
    let kept = [
        odd(u32::MAX, 9 << 32 | 99),
        odd(1 << 17, 9 << 32 | 99),
        odd(0, u64::MAX),
        odd(1, 9 << 32 | 99),
    ];
    own.put(&namespace, 0, &kept, 0);
    own.put(&namespace, 99, &kept, 0);
    let all = own.all(0);
    assert_eq!(all, [(namespace, 0, vec![kept[3]])]);
}
