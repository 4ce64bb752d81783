//! Counts of one's own and shared ones of one request, and what becomes of those that nobody can be asked for.

use std::time::Duration;

use policy::limit::{Count, Limit};
use serde_json::{Value, json};

use super::fixture::{Server, charge, limit, limits, with};
use super::*;
use crate::process::words::Hidden;

fn shared(name: &str, requests: u32, mode: &str) -> Value {
    with(limit(name, requests), json!({ "scope": "Shared", "failureMode": mode }))
}

fn charges(limits: &[Arc<Limit>]) -> Vec<Charge> {
    limits.iter().map(|limit| charge(limit, &limit.reference().to_string())).collect()
}

/// Of a process whose Redis is not there.
fn alone() -> Counts {
    let nowhere = Redis::given(&Hidden("unix:///nowhere/redis".to_owned()), None).unwrap();
    Counts::new(Some(&nowhere), 1, None)
}

const NOW: Now = Now { steady: 0, wall: 0 };

async fn granted(counts: &Counts, charges: &[Charge]) -> Vec<(bool, Count)> {
    let takes = match counts.take(charges, 0, || NOW) {
        Some(takes) => takes,
        None => counts.take_shared(charges, 0, NOW).await,
    };
    takes.iter().map(|take| (take.granted, take.count)).collect()
}

#[test]
fn what_one_limit_refuses_counts_for_none_and_what_is_only_tried_refuses_nothing() {
    let tried = with(limit("tried", 1), json!({ "dryRun": true }));
    let quota = json!({ "name": "quota", "requests": 3, "period": "Day" });
    let all = charges(&limits(&[limit("wide", 3), quota, tried, limit("narrow", 1)]));
    let counts = Counts::default();
    let granted = |charges: &[Charge]| {
        let takes = counts.take(charges, 0, || NOW).unwrap();
        takes.iter().map(|take| take.granted).collect::<Vec<_>>()
    };
    assert_eq!(granted(&all), [true, true, true, true]);
    for _ in 0..5 {
        assert_eq!(granted(&all), [true, true, false, false]);
    }
    // Two more of each wide one, since none of the five came to count there.
    for wide in [&all[..1], &all[1..2]] {
        assert_eq!([(); 3].map(|()| granted(wide)[0]), [true, true, false]);
    }
}

#[test]
fn a_quota_begins_where_its_file_says_once_and_else_with_the_process() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("quotas");
    let quota = charges(&limits(&[json!({ "name": "q", "requests": 9, "period": "Month" })]));
    let wall = crate::moment::nanos(std::time::SystemTime::now());
    let left =
        |counts: &Counts| counts.take(&quota, 0, || Now { steady: 0, wall }).unwrap()[0].left;
    for wanted in [8, 7] {
        let counts = Counts::new(None, 1, Some(&file));
        let keeper = counts.begin();
        assert!(keeper.is_some() && counts.begin().is_none());
        assert_eq!(counts.keeping().unwrap(), Keeping { file: file.clone(), why: None });
        assert_eq!(left(&counts), wanted);
    }
    let counts = Counts::new(None, 1, None);
    assert!(counts.begin().is_none() && counts.keeping().is_none());
    assert_eq!([left(&counts), left(&counts)], [8, 7]);
    // Where the folder cannot be had nobody is refused, and it is told.
    let counts = Counts::new(None, 1, Some(&file.join("quotas")));
    assert!(counts.begin().is_none());
    assert!(counts.keeping().unwrap().why.unwrap().contains("making the folder"));
    assert_eq!(left(&counts), 8);
}

#[test]
fn where_nothing_is_kept_a_full_namespace_refuses_no_quota_either() {
    let by_host =
        json!({ "name": "q", "requests": 3, "period": "Day", "by": [{ "type": "Host" }] });
    let (counts, quota) = (Counts::default(), &limits(&[by_host])[0]);
    let passed = (0..160_000).filter(|name| {
        let charges = [charge(quota, &name.to_string())];
        counts.take(&charges, 0, || NOW).unwrap()[0].granted
    });
    assert_eq!(passed.count(), 160_000);
}

#[tokio::test]
async fn while_nobody_can_be_asked_each_limit_does_as_it_says() {
    let limits =
        limits(&[shared("l", 1, "Local"), shared("o", 1, "Open"), shared("c", 1, "Closed")]);
    let [local, open, closed] = &charges(&limits)[..] else { panic!("three") };
    let (counts, of) = (alone(), |charge: &Charge| [charge.clone()]);
    let (kept, unreached) = (Count::Kept, Count::Unasked);
    for wanted in [
        [(true, kept), (true, unreached), (false, unreached)],
        [(false, kept), (true, unreached), (false, unreached)],
    ] {
        for (charge, wanted) in [local, open, closed].into_iter().zip(wanted) {
            assert_eq!(granted(&counts, &of(charge)).await, [wanted], "{}", charge.limit);
        }
    }
    // One that is refused counts for none: neither one's own before it, nor those that count here meanwhile.
    let own = limits_of_two();
    let (counts, own) = (alone(), charges(&own));
    let all: Vec<_> = own.iter().chain([local, closed]).cloned().collect();
    for _ in 0..3 {
        let wanted = [(true, kept), (true, kept), (true, kept), (false, unreached)];
        assert_eq!(granted(&counts, &all).await, wanted);
    }
}

fn limits_of_two() -> Vec<Arc<Limit>> {
    limits(&[limit("one", 1), limit("two", 2)])
}

#[tokio::test]
async fn what_redis_refuses_counts_nowhere_and_what_is_refused_here_is_not_asked_for() {
    let server = Server::start();
    let counts =
        Arc::new(Counts::new(Some(&server.redis().within(Duration::from_secs(30))), 1, None));
    let following = Arc::clone(counts.shared().unwrap());
    tokio::spawn(async move { following.follow(0).await });
    let connected = async {
        while counts.shared().unwrap().standing().connections == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), connected).await.unwrap();
    let limits = limits(&[limit("here", 3), shared("there", 1, "Local")]);
    let all = charges(&limits);
    assert!(counts.take(&all[..1], 0, || NOW).is_some(), "nobody is asked");
    assert!(counts.take(&all, 0, || NOW).is_none(), "somebody is");
    let kept = |granted| (granted, Count::Kept);
    assert_eq!(granted(&counts, &all).await, [kept(true), kept(true)]);
    for _ in 0..5 {
        assert_eq!(granted(&counts, &all).await, [kept(true), kept(false)]);
    }
    let here = counts.take(&all[..1], 0, || NOW).unwrap();
    assert_eq!((here[0].granted, here[0].left), (true, 0), "three, of which Redis refused none");
    let answered = counts.shared().unwrap().standing().answered;
    assert_eq!(granted(&counts, &all).await, [kept(false)]);
    assert_eq!(counts.shared().unwrap().standing().answered, answered);
    assert!(
        Counts::new(None, 1, None).take(&all, 0, || NOW).is_some(),
        "without a Redis nobody is asked"
    );
}
