//! Counts of one's own and shared ones of one request, and what becomes of those that nobody can be asked for.

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
    Counts::new(Some(&nowhere), 1)
}

async fn granted(counts: &Counts, charges: &[Charge]) -> Vec<(bool, Count)> {
    let takes = counts.take_shared(charges, 0, 0).await;
    takes.iter().map(|take| (take.granted, take.count)).collect()
}

#[tokio::test]
async fn while_nobody_can_be_asked_each_limit_does_as_it_says() {
    let limits =
        limits(&[shared("l", 1, "Local"), shared("o", 1, "Open"), shared("c", 1, "Closed")]);
    let [local, open, closed] = &charges(&limits)[..] else { panic!("three") };
    let (counts, of) = (alone(), |charge: &Charge| [charge.clone()]);
    let (kept, unreached) = (Count::Kept, Count::Unreached);
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
    let counts = Arc::new(Counts::new(Some(&server.redis()), 1));
    let following = Arc::clone(counts.shared().unwrap());
    tokio::spawn(async move { following.follow(0).await });
    let connected = async {
        while counts.shared().unwrap().standing().connections == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), connected).await.unwrap();
    let limits = limits(&[limit("here", 3), shared("there", 1, "Local")]);
    let all = charges(&limits);
    assert!(counts.take(&all[..1], 0).is_some(), "nobody is asked");
    assert!(counts.take(&all, 0).is_none(), "somebody is");
    let kept = |granted| (granted, Count::Kept);
    assert_eq!(granted(&counts, &all).await, [kept(true), kept(true)]);
    for _ in 0..5 {
        assert_eq!(granted(&counts, &all).await, [kept(true), kept(false)]);
    }
    let here = counts.take(&all[..1], 0).unwrap();
    assert_eq!((here[0].granted, here[0].left), (true, 0), "three, of which Redis refused none");
    let answered = counts.shared().unwrap().standing().answered;
    assert_eq!(granted(&counts, &all).await, [kept(false)]);
    assert_eq!(counts.shared().unwrap().standing().answered, answered);
    assert!(Counts::new(None, 1).take(&all, 0).is_some(), "without a Redis nobody is asked");
}
