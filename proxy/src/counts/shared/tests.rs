//! What a real Redis counts, beside the arithmetic of `policy`, and what becomes of it when it is gone.

use futures::FutureExt as _;
use policy::limit::Count;
use redis::AsyncTypedCommands as _;
use serde_json::{Value, json};
use time::{Date, Month};
use tokio::task::JoinSet;

use super::*;
use crate::counts::fixture::{self, Server, charge, limits, with};

/// Waits until it stands so.
async fn until(shared: &Shared, holds: impl Fn(&Standing) -> bool) {
    let waiting = async {
        while !holds(&shared.standing()) {
            sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(Duration::from_secs(30), waiting).await.unwrap_or_else(|_| panic!("{shared:?}"));
}

fn limit(name: &str, requests: u32) -> Value {
    with(fixture::limit(name, requests), json!({ "window": "1h", "scope": "Shared" }))
}

fn bucket(name: &str, requests: u32, window: &str, burst: u32) -> Value {
    let more = json!({ "algorithm": "TokenBucket", "window": window, "burst": burst });
    with(limit(name, requests), more)
}

/// What processes share that have so many workers, all of which can ask and wait for as long as it takes.
async fn shared(server: &Server, workers: usize) -> Arc<Shared> {
    following(server.redis().within(Duration::from_secs(30)), workers).await
}

async fn following(redis: Redis, workers: usize) -> Arc<Shared> {
    let shared = Arc::new(Shared::new(redis, workers));
    for worker in 0..workers {
        let shared = Arc::clone(&shared);
        tokio::spawn(async move { shared.follow(worker).await });
    }
    until(&shared, |standing| standing.connections == workers).await;
    shared
}

async fn client(server: &Server) -> MultiplexedConnection {
    server.redis().client().unwrap().get_multiplexed_async_connection().await.unwrap()
}

async fn granted(shared: &Shared, charges: &[Charge]) -> Vec<bool> {
    let takes = shared.take(charges, 0).await.expect("Redis counts");
    takes.iter().map(|take| take.granted).collect()
}

/// Values that a count may have had before, whenever that was.
fn values(rate: Rate, now: Duration) -> Vec<String> {
    let mut values = ["", "nonsense", "1", "1 2", "1 2 3"].map(str::to_owned).to_vec();
    match rate {
        Rate::Window { most, window } => {
            let number = u64::try_from(now.as_micros()).unwrap() / window + 1;
            let numbers = [number - 2, number - 1, number, number + 1, number + 16, number + 17];
            let many = [0, 1, most / 2, most - 1, most, 1_000_000];
            for number in numbers {
                for last in many {
                    values.extend(many.map(|this| format!("{number} {last} {this}")));
                }
            }
        }
        Rate::Bucket { interval, burst } => {
            let room = interval.saturating_mul(burst);
            let aheads =
                [0, 1, interval, room / 2, room - interval, room, room + interval, 2 * room];
            for ahead in aheads {
                let at = now + Duration::from_nanos(ahead);
                values.push(format!("{} {}", at.as_secs(), at.subsec_nanos()));
            }
            let seconds = [now.as_secs() - 10, now.as_secs() + 1, now.as_secs() + 5];
            values.extend(seconds.map(|at| format!("{at} 999999999")));
        }
        Rate::Period { most, .. } => {
            let number = rate.take(0, u64::try_from(now.as_nanos()).unwrap()).state >> 40;
            for number in [number - 2, number - 1, number, number + 1, number + 2] {
                values.extend([0, 1, most - 1, most].map(|count| format!("{number} {count}")));
            }
        }
    }
    values
}

/// Moments about which something is over.
fn moments(rate: Rate) -> Vec<Duration> {
    // The beginnings of all months of years that leap and that do not.
    let month = |year, month| {
        let first = Date::from_calendar_date(year, Month::try_from(month).unwrap(), 1).unwrap();
        u64::try_from(first.midnight().assume_utc().unix_timestamp()).unwrap()
    };
    let seconds = match rate {
        Rate::Window { .. } | Rate::Bucket { .. } => vec![1_796_090_867, 1_796_090_868],
        Rate::Period { .. } => {
            let years = [1972, 2000, 2027, 2028, 2100];
            years.into_iter().flat_map(|year| (1..=12).map(move |of| month(year, of))).collect()
        }
    };
    let micros =
        |second: u64| [-1, 0, 1, 499_999, 500_500].map(|by: i64| second as i64 * 1_000_000 + by);
    let all = seconds.into_iter().flat_map(micros);
    all.map(|micros| Duration::from_micros(u64::try_from(micros).unwrap())).collect()
}

#[tokio::test]
async fn it_counts_by_the_same_arithmetic() {
    let server = Server::start();
    let mut client = client(&server).await;
    // The same script, with a time that is told.
    let text =
        include_str!("take.lua").replace("redis.call('TIME')", "{ ARGV[#ARGV - 1], ARGV[#ARGV] }");
    let script = Script::new(&text);
    let windows = [(1, "1s"), (7, "1s"), (100, "1m"), (1_000_000, "24h"), (999_983, "86399s")];
    let windows =
        windows.map(|(requests, window)| with(limit("l", requests), json!({ "window": window })));
    let buckets = [
        (1, "1s", 1),
        (3, "1s", 2),
        (100, "1m", 1_000),
        (1_000_000, "1s", 1_000_000),
        (7, "24h", 5),
        (1, "24h", 100),
    ];
    let buckets = buckets.map(|(requests, window, burst)| bucket("l", requests, window, burst));
    let periods = [(1, "Day"), (1_000_000_000, "Day"), (1, "Month"), (1_000, "Month")];
    let periods = periods
        .map(|(requests, period)| json!({ "name": "l", "requests": requests, "period": period }));
    let mut compared = 0;
    for one in windows.into_iter().chain(buckets).chain(periods) {
        let limit = &limits(&[one])[0];
        let (rate, charge) = (limit.rate(), charge(limit, "one"));
        let (key, (how, much, long)) = (key(&charge.name), words(rate));
        for now in moments(rate) {
            for was in values(rate, now) {
                client.set(&key, &was).await.unwrap();
                let mut asked = script.prepare_invoke();
                asked.key(&key).arg(how).arg(much).arg(long).arg(0);
                asked.arg(now.as_secs()).arg(now.subsec_micros());
                let answer: Vec<String> = asked.invoke_async(&mut client).await.unwrap();
                let context = format!("{rate:?} '{was}' at {now:?}: {answer:?}");
                let granted = match &answer[2] {
                    told if *told == format!("1 {was}") => true,
                    told if *told == format!("0 {was}") => false,
                    _ => panic!("{context}"),
                };
                let mut nanos = u64::try_from(now.as_nanos()).unwrap();
                if matches!(rate, Rate::Window { .. }) {
                    nanos -= nanos % 1_000_000;
                }
                let next = rate.take(state(rate, &was), nanos);
                assert_eq!(granted, next.take.granted, "{context}");
                // What callers are told is what it counted.
                let takes = read(&answer, std::slice::from_ref(&charge));
                assert_eq!(takes, Some(vec![next.take]), "{context}");
                // It goes when it says no more than none would: not before, nor much later.
                let left: i64 =
                    redis::cmd("PTTL").arg(&key).query_async(&mut client).await.unwrap();
                let stored = client.get(&key).await.unwrap();
                let lasts = i64::try_from(next.idle_at.saturating_sub(nanos) / 1_000_000).unwrap();
                match stored {
                    Some(stored) if granted => {
                        assert_eq!(state(rate, &stored), next.state, "{context} '{stored}'");
                        let latest = lasts + slack(rate);
                        assert!(
                            left <= latest && left > lasts - 5_000,
                            "{context}: {left} {lasts}"
                        );
                    }
                    None if granted => assert!(lasts < 100, "{context}: {lasts}"),
                    Some(stored) => assert_eq!(stored, was, "{context}"),
                    None => panic!("{context}"),
                }
                compared += 1;
            }
        }
    }
    assert!(compared > 10_000, "{compared}");
}

/// For how many milliseconds longer at most Redis keeps a count: a window or period that lies ahead lasts until it
/// is over, by Redis' own time.
fn slack(rate: Rate) -> i64 {
    let slack = match rate {
        Rate::Window { window, .. } => 17 * window / 1_000,
        Rate::Bucket { .. } | Rate::Period { .. } => 2,
    };
    i64::try_from(slack).unwrap()
}

#[tokio::test]
async fn what_one_limit_refuses_counts_for_none_and_what_is_only_tried_refuses_nothing() {
    let server = Server::start();
    let shared = shared(&server, 1).await;
    let tried = with(limit("tried", 1), json!({ "dryRun": true }));
    let limits = limits(&[limit("wide", 3), tried, limit("narrow", 1)]);
    let all: Vec<_> = ["wide", "tried", "narrow"].iter().zip(&limits).collect();
    let all: Vec<_> = all.into_iter().map(|(name, limit)| charge(limit, name)).collect();
    assert_eq!(granted(&shared, &all).await, [true, true, true]);
    assert!(matches!(shared.known(&all, 0), Known::Nothing));
    let refused = shared.take(&all, 0).await.unwrap();
    assert_eq!(refused.iter().map(|take| take.granted).collect::<Vec<_>>(), [true, false, false]);
    // What is known to be used up is not asked for again; nothing is told of the others then.
    let Known::UsedUp(again) = shared.known(&all, 0) else { panic!("one is used up") };
    assert_eq!(again[..2], [Take::UNTOLD, Take::UNTOLD]);
    assert_eq!((again[2].granted, again[2].count), (false, Count::Kept));
    // When there is room it says as before, as far as callers are told: by the second.
    let later = refused[2].wait.saturating_sub(again[2].wait);
    assert!(
        later < Duration::from_secs(30) && again[2].wait > Duration::from_secs(60),
        "{again:?}"
    );
    assert!(again[2].wait <= refused[2].wait + Duration::from_millis(2 * UNIT), "{again:?}");
    // Of one that is only tried nothing is known, since others go on.
    assert!(matches!(shared.known(&all[..2], 0), Known::Nothing));
    let wide = [charge(&limits[0], "wide")];
    for wanted in [true, true, false] {
        assert_eq!(granted(&shared, &wide).await, [wanted]);
    }
    // A limit that grants more is not used up, and goes on with its count.
    let wider = [charge(&fixture::limits(&[limit("wide", 4)])[0], "wide")];
    assert!(matches!(shared.known(&wider, 0), Known::Nothing));
    for wanted in [true, false] {
        assert_eq!(granted(&shared, &wider).await, [wanted]);
    }
}

#[test]
fn what_is_used_up_is_known_for_a_second_at_most_and_tells_when_there_is_room() {
    let (used_up, limit) = (UsedUp::default(), &limits(&[limit("l", 1)])[0]);
    let [one, other] = ["one", "other"].map(|name| charge(limit, name));
    let now = Instant::now();
    let known = |charge: &Charge, millis: u64| {
        let take = used_up.take(charge, now + Duration::from_millis(millis));
        take.map(|take| (take.granted, u64::try_from(take.wait.as_millis()).unwrap()))
    };
    let hour = 3_600_000;
    used_up.remember(&one, now, Duration::from_millis(hour));
    for millis in [0, 1, 500, 900, LOOK.as_millis() as u64 - UNIT - 1] {
        let (granted, wait) = known(&one, millis).unwrap();
        assert!(!granted && wait.abs_diff(hour - millis) <= UNIT, "{wait} after {millis}");
    }
    assert_eq!((known(&one, 1_001), known(&other, 0)), (None, None));
    // Nobody is refused for whom there is room.
    used_up.remember(&other, now, Duration::from_millis(100));
    assert!(known(&other, 50).is_some_and(|(granted, wait)| !granted && wait.abs_diff(50) <= UNIT));
    assert_eq!(known(&other, 101), None);
    used_up.remember(&other, now, Duration::from_millis(100));
    used_up.forget();
    assert_eq!(known(&other, 0), None);
}

#[tokio::test]
async fn what_is_no_answer_of_the_script_counts_nothing() {
    let limits = limits(&[limit("a", 1), limit("b", 1)]);
    let charges = [charge(&limits[0], "a"), charge(&limits[1], "b")];
    let read = |answer: &[&str]| {
        let answer: Vec<_> = answer.iter().map(|word| (*word).to_owned()).collect();
        super::read(&answer, &charges).map(|takes| takes.len())
    };
    assert_eq!(read(&["1796090867", "5", "1 ", "1 "]), Some(2));
    assert_eq!(read(&["1796090867", "5", "1 ", "0 498915 0 1"]), Some(2));
    assert_eq!(read(&["1796090867", "5", "0 498915 0 1"]), Some(1));
    for odd in [
        &["1796090867", "5", "1 "][..],
        &["1796090867", "5", "1 ", "1 ", "1 "],
        &["1796090867", "5", "1 ", "1"],
        &["18446744073709551615", "5", "1 ", "1 "],
        &["1", "18446744073709551615", "1 ", "1 "],
        &["x", "5", "1 ", "1 "],
        &["1796090867"],
        &[],
    ] {
        assert_eq!(read(odd), None, "{odd:?}");
    }
}

#[tokio::test]
async fn whoever_asks_at_once_is_granted_what_the_limit_says() {
    let server = Server::start();
    let (one, other) = (shared(&server, 2).await, shared(&server, 1).await);
    for written in [limit("window", 100), bucket("bucket", 1, "24h", 100)] {
        let limit = &limits(&[written])[0];
        let mut all = JoinSet::new();
        for index in 0..300 {
            let (shared, worker) = if index % 3 == 0 { (&other, 0) } else { (&one, index % 2) };
            let (shared, charges) = (Arc::clone(shared), [charge(limit, "one")]);
            all.spawn(async move {
                shared.take(&charges, worker).await.expect("Redis counts")[0].granted
            });
        }
        let granted = all.join_all().await;
        assert_eq!(granted.into_iter().filter(|granted| *granted).count(), 100, "{limit}");
    }
}

#[tokio::test]
async fn a_redis_that_is_gone_or_says_nothing_is_not_waited_for_and_is_found_again() {
    let mut server = Server::start();
    let shared = following(server.redis().within(Duration::from_millis(500)), 1).await;
    let limit = &limits(&[limit("l", 10)])[0];
    let charges = [charge(limit, "one")];
    assert_eq!(shared.take(&charges, 0).await.unwrap()[0].left, 9);
    // It hangs: whoever asks first waits for no longer than anybody may, and after that nobody does.
    server.signal("-STOP");
    let began = Instant::now();
    let first = timeout(Duration::from_secs(10), shared.take(&charges, 0)).await;
    assert_eq!(first.expect("no longer"), None);
    assert!(began.elapsed() >= Duration::from_millis(400), "it asked");
    assert!(shared.lines[0].open.load().is_none());
    assert!(matches!(shared.known(&charges, 0), Known::Unreached));
    assert_eq!(shared.take(&charges, 0).now_or_never(), Some(None));
    let Standing { connections, unreached, why, .. } = shared.standing();
    assert_eq!((connections, unreached), (0, 2));
    assert_eq!(why.unwrap().as_str(), "no answer within 500 ms");
    server.signal("-CONT");
    until(&shared, |standing| standing.connections == 1).await;
    // What it was asked meanwhile it may have counted.
    let left = shared.take(&charges, 0).await.unwrap()[0].left;
    assert!((7..=8).contains(&left), "{left}");
    // It ends, which is seen without a question, and comes anew, with nothing counted.
    server.stop();
    until(&shared, |standing| standing.connections == 0 && standing.why.is_some()).await;
    assert_eq!(shared.take(&charges, 0).now_or_never(), Some(None));
    server.restart();
    until(&shared, |standing| standing.connections == 1 && standing.why.is_none()).await;
    assert_eq!(shared.take(&charges, 0).await.unwrap()[0].left, 9);
}

#[tokio::test]
async fn a_script_that_redis_forgot_is_told_again() {
    let server = Server::start();
    let shared = shared(&server, 1).await;
    let charges = [charge(&limits(&[limit("l", 10)])[0], "one")];
    let mut client = client(&server).await;
    for left in [9, 8] {
        redis::cmd("SCRIPT").arg("FLUSH").exec_async(&mut client).await.unwrap();
        assert_eq!(shared.take(&charges, 0).await.unwrap()[0].left, left);
    }
    assert_eq!(shared.standing().unreached, 0);
}

#[tokio::test]
async fn a_redis_that_takes_no_writes_does_not_count() {
    let server = Server::start();
    let shared = shared(&server, 1).await;
    let mut client = client(&server).await;
    let mut say = async |words: &[&str]| {
        let mut said = redis::cmd(words[0]);
        said.arg(&words[1..]);
        said.exec_async(&mut client).await.unwrap();
    };
    for (ends, goes_on, why) in [
        (["CONFIG", "SET", "maxmemory", "1"], ["CONFIG", "SET", "maxmemory", "0"], "OOM"),
        (["REPLICAOF", "127.0.0.1", "1", ""], ["REPLICAOF", "NO", "ONE", ""], "READONLY"),
    ] {
        let words = |all: [&'static str; 4]| {
            all.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>()
        };
        say(&words(ends)).await;
        until(&shared, |standing| standing.connections == 0 && standing.why.is_some()).await;
        let told = shared.standing().why.unwrap().to_uppercase().replace(['-', ' '], "");
        assert!(told.contains(why), "{told}");
        say(&words(goes_on)).await;
        until(&shared, |standing| standing.connections == 1).await;
    }
}

#[tokio::test]
async fn keys_show_nothing_of_what_callers_send_and_go_by_themselves() {
    let server = Server::start();
    let shared = shared(&server, 1).await;
    let limit = &limits(&[limit("l", 10)])[0];
    assert_eq!(granted(&shared, &[charge(limit, "marker")]).await, [true]);
    let mut client = client(&server).await;
    let mut keys = client.keys("*").await.unwrap();
    keys.retain(|key| !key.ends_with(":probe"));
    let [key] = &keys[..] else { panic!("{keys:?}") };
    assert!(key.starts_with("heddle:limit:") && !key.contains("marker"), "{key}");
    let left: i64 = redis::cmd("PTTL").arg(key).query_async(&mut client).await.unwrap();
    assert!((1..=7_200_000).contains(&left), "{left}");
}
