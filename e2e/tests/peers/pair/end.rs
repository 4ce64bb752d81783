//! One of the two is killed under load: what it had at that moment fails, and nothing else does.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use e2e::client::{Fault, nothing, request};
use e2e::{Connection, Reply, wait};
use rustls::ClientConfig;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};

use super::{HOST, Pair};

const CALLERS: usize = 25;
/// Of how many a request waits at the origin when the one gateway ends.
const HELD: usize = 8;
const EACH: Duration = Duration::from_millis(50);
/// As long they call before the end, and as long after it.
const HALF: Duration = Duration::from_secs(3);
/// How long HAProxy may take to pass on what the kernel tells it.
const PASSED_ON: Duration = Duration::from_millis(100);
/// How long an answer may take. Machines under load are slow.
const ANSWER: Duration = Duration::from_secs(1);

/// Either for each of the gateways, which take turns themselves.
fn version(number: usize) -> &'static str {
    ["http/1.1", "h2"][number / 2 % 2]
}

/// What became of a caller's requests: when those began that were answered, and when the others did and ended.
#[derive(Default)]
struct Told {
    answered: Vec<Instant>,
    failed: Vec<(Instant, Instant)>,
}

/// Asks on a lasting connection, one request after another at each tick, until told to stop.
async fn call(address: SocketAddr, client: Arc<ClientConfig>, until: Instant) -> Told {
    let mut told = Told::default();
    let mut connection = None::<Connection>;
    let mut tick = tokio::time::interval(EACH);
    // What a stall leaves out is not made up for, so that it is missed.
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    while Instant::now() < until {
        tick.tick().await;
        let began = Instant::now();
        let mut open = match connection.take().filter(|open| !open.is_closed()) {
            Some(open) => open,
            None => match Box::pin(Connection::tls_as(address, HOST, Arc::clone(&client))).await {
                Ok(open) => open,
                Err(_) => {
                    told.failed.push((began, Instant::now()));
                    continue;
                }
            },
        };
        let asked = request("GET", HOST, "/").body(nothing()).expect("a request");
        match open.send(asked).await {
            Ok(reply) if reply.status == 200 => {
                told.answered.push(began);
                connection = Some(open);
            }
            Ok(_) | Err(_) => told.failed.push((began, Instant::now())),
        }
    }
    told
}

/// A request that waits at the origin, and which of the gateways has it.
struct Held {
    gateway: usize,
    request: JoinHandle<Result<Reply, Fault>>,
}

impl Pair {
    /// As many requests as are held, each on a connection of its own.
    async fn hold(&self) -> Vec<Held> {
        let mut held = Vec::new();
        for number in 0..HELD {
            let client = self.authority.client(&[version(number)]);
            let connecting = Connection::tls_as(self.address(), HOST, client);
            let mut open = Box::pin(connecting).await.expect("a connection");
            // By what is answered first it is known where the connection leads.
            let path = format!("/held-{number}");
            let asked = request("GET", HOST, &path).body(nothing()).expect("a request");
            assert_eq!(open.send(asked).await.expect("an answer").status, 200);
            let gateway = wait::until("its log line", || async {
                self.gateways.iter().position(|one| one.access_log().contains(&path))
            });
            let gateway = gateway.await;
            let asked = request("GET", HOST, "/gate").body(nothing()).expect("a request");
            let request = tokio::spawn(async move { open.send(asked).await });
            held.push(Held { gateway, request });
        }
        wait::until_true("all to wait at the origin", || {
            self.origin.seen().iter().filter(|one| one.target == "/gate").count() == HELD
        })
        .await;
        held
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_one_fails_at_most_what_it_had() {
    let mut pair = Pair::start().await;
    let held = pair.hold().await;
    let start = Instant::now();
    let middle = start + HALF;
    // 25 callers, each 20 times a second.
    let call = |number: usize| {
        call(pair.address(), pair.authority.client(&[version(number)]), middle + HALF)
    };
    let callers: Vec<_> = (0..CALLERS).map(|number| tokio::spawn(call(number))).collect();
    tokio::time::sleep_until(middle).await;
    let spread = pair.logged(0).await;
    assert!(spread.iter().all(|count| *count > 100), "{spread:?}");
    // Killed at once, and waited for.
    let dying = Instant::now();
    drop(pair.gateways.remove(0));
    let gone = Instant::now();
    let (mut answered, mut failed) = (Vec::new(), Vec::new());
    for caller in callers {
        let told = caller.await.unwrap();
        answered.extend(told.answered);
        failed.extend(told.failed);
    }
    // Nothing but what was under way then: it began no later, and ended no earlier.
    let others = failed.iter().filter(|(began, ended)| {
        *began > gone + PASSED_ON || *began + ANSWER < dying || *ended < dying
    });
    let others: Vec<_> = others.map(|(began, ended)| (*began - start, *ended - start)).collect();
    let end = dying - start;
    assert!(others.is_empty(), "failed, though not by the end at {end:?}: {others:?}");
    // No caller fails twice.
    assert!(failed.len() <= CALLERS / 2 + 1, "{} failed", failed.len());
    // Two thirds of 500 a second, before it and after it: no stall of a second goes unseen.
    let before = answered.iter().filter(|began| **began < dying).count();
    let after = answered.iter().filter(|began| **began > gone).count();
    assert!(before.min(after) >= 1_000, "{before} answered before the end, {after} after it");
    until_settled(&pair, held).await;
}

/// Those fail that the first one had; the others are answered once the origin lets them.
async fn until_settled(pair: &Pair, held: Vec<Held>) {
    let (lost, kept): (Vec<_>, Vec<_>) = held.into_iter().partition(|one| one.gateway == 0);
    assert_eq!((lost.len(), kept.len()), (HELD / 2, HELD / 2), "they take turns");
    for one in lost {
        let ended =
            wait::within("what went with the gateway", one.request).await.expect("no panic");
        assert!(ended.is_err(), "{ended:?}");
    }
    assert!(kept.iter().all(|one| !one.request.is_finished()), "nobody answered these");
    pair.origin.open_gate();
    for one in kept {
        let ended = wait::within("an answer", one.request).await.expect("no panic");
        assert_eq!(ended.expect("the other one has it").status, 200);
    }
}
