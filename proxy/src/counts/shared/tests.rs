//! What a real Redis counts, beside the arithmetic of `policy`, and what becomes of it when it is gone.

use policy::limit::Count;
use redis::AsyncTypedCommands as _;
use serde_json::{Value, json};
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

/// What processes share that have so many workers, all of which can ask.
async fn shared(server: &Server, workers: usize) -> Arc<Shared> {
    let shared = Arc::new(Shared::new(server.redis(), workers));
    for worker in 0..workers {
        let shared = Arc::clone(&shared);
        tokio::spawn(async move { shared.follow(worker).await });
    }
    until(&shared, |standing| standing.connections == workers).await;
    shared
}

async fn client(server: &Server) -> MultiplexedConnection {
    server.redis().client().get_multiplexed_async_connection().await.unwrap()
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
            let number = rate.number_at(now.as_secs()).unwrap();
            for number in [number - 2, number - 1, number, number + 1, number + 2] {
                values.extend([0, 1, most - 1, most].map(|count| format!("{number} {count}")));
            }
        }
    }
    values
}

/// Moments about which something is over.
fn moments(rate: Rate) -> Vec<Duration> {
    // The beginnings of years that leap and do not, of a March in both, and any moment.
    let seconds = match rate {
        Rate::Window { .. } | Rate::Bucket { .. } => vec![1_796_090_867, 1_796_090_868],
        Rate::Period { .. } => vec![
            1_796_090_867,
            1_767_225_600,
            1_830_297_600,
            1_835_481_600,
            1_803_859_200,
            4_107_542_400,
            951_868_800,
            68_169_600,
        ],
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
    let refused = shared.take(&all, 0).await.unwrap();
    assert_eq!(refused.iter().map(|take| take.granted).collect::<Vec<_>>(), [true, false, false]);
    // What is known to be used up is not asked for again; nothing is told of the others then.
    let asked = shared.standing().answered;
    for _ in 0..5 {
        let again = shared.take(&all, 0).await.unwrap();
        assert_eq!(again[..2], [Take::OPEN, Take::OPEN]);
        assert_eq!((again[2].granted, again[2].count), (false, Count::Kept));
        assert!(again[2].wait <= refused[2].wait, "{again:?}");
    }
    assert_eq!(shared.standing().answered, asked);
    let wide = [charge(&limits[0], "wide")];
    for wanted in [true, true, false] {
        assert_eq!(granted(&shared, &wide).await, [wanted]);
    }
    // A limit that grants more is not used up.
    let wider = [charge(&fixture::limits(&[limit("wide", 4)])[0], "wide")];
    assert_eq!(granted(&shared, &wider).await, [true]);
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
    let shared = shared(&server, 1).await;
    let limit = &limits(&[limit("l", 10)])[0];
    let charges = [charge(limit, "one")];
    assert_eq!(shared.take(&charges, 0).await.unwrap()[0].left, 9);
    // It hangs: whoever asks first waits for no longer than anybody may, and after that nobody does.
    server.signal("-STOP");
    assert_eq!(shared.take(&charges, 0).await, None);
    assert!(shared.lines[0].open.load().is_none());
    assert_eq!(shared.take(&charges, 0).await, None);
    let Standing { connections, unreached, why, .. } = shared.standing();
    assert_eq!((connections, unreached), (0, 2));
    assert_eq!(why.unwrap().as_str(), "no answer within 100 ms");
    server.signal("-CONT");
    until(&shared, |standing| standing.connections == 1).await;
    assert!(shared.take(&charges, 0).await.unwrap()[0].left < 9);
    // It ends, which is seen without a question, and comes anew, with nothing counted.
    server.stop();
    until(&shared, |standing| standing.connections == 0 && standing.why.is_some()).await;
    assert_eq!(shared.take(&charges, 0).await, None);
    server.restart();
    until(&shared, |standing| standing.connections == 1 && standing.why.is_none()).await;
    assert_eq!(shared.take(&charges, 0).await.unwrap()[0].left, 9);
}

#[tokio::test]
async fn a_redis_that_takes_no_writes_does_not_count() {
    let server = Server::start();
    let shared = shared(&server, 1).await;
    let mut client = client(&server).await;
    let set = async |client: &mut MultiplexedConnection, to: &str| {
        redis::cmd("CONFIG").arg("SET").arg("maxmemory").arg(to).exec_async(client).await.unwrap();
    };
    set(&mut client, "1").await;
    until(&shared, |standing| standing.connections == 0 && standing.why.is_some()).await;
    let why = shared.standing().why.unwrap();
    assert!(why.contains("OOM"), "{why}");
    set(&mut client, "0").await;
    until(&shared, |standing| standing.connections == 1).await;
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
