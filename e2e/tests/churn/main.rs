//! Requests at a steady rate while routes, weights, certificates, endpoints and listeners are
//! rewritten and the program is replaced twice: none may fail, none may go where no table of its time
//! would have sent it.
//!
//! Version *v* of the configuration follows from the seed and *v* alone ([`plan::Plan`]).
//! Each rule says its version in the answer's header `x-version`; the answer also names its table
//! and backend (`--debug-header`) and its origin.
//! An answer is right where the version was in force at some moment between request and answer,
//! the plan of that version allows the origin for the path and has its endpoint ready, and all the
//! names agree. A listener that a version has moved is open at its new port and at no other.
//!
//! `HEDDLE_SOAK_COUNT` (20,000) is the least number of requests, `HEDDLE_SOAK_SEED` the seed;
//! there is at least one rewrite for each thousand requests, never fewer than 20, and one after
//! the other until the last request. After a third of them, and after two thirds, another process
//! follows at the same sockets.

mod caller;
mod plan;
mod verdict;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use e2e::client::{nothing, request};
use e2e::program::free_port;
use e2e::trust::Authority;
use e2e::{Connection, Gateway, Origin, Setup, soak, wait, yaml};

use caller::Kind;
use plan::{COPIES, FILE, ORIGINS, Places, Plan, SECURE_HOST};
use verdict::Judge;

/// Who calls: lasting connections of each protocol, and new ones that see new certificates.
const CALLERS: [Kind; 8] = [
    Kind::H1,
    Kind::H1,
    Kind::H1,
    Kind::H2c,
    Kind::H2c,
    Kind::HttpsH1,
    Kind::HttpsH2,
    Kind::HttpsH2,
];
/// Requests a second of all callers together: in CI, and where a count is given.
const RATES: (u32, u32) = (1500, 3000);
/// What each process is told.
const ARGUMENTS: [&str; 2] = ["--workers", "2"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_lose_nothing() {
    let count = soak::count(20_000);
    let rewrites = (count / 1000).max(20);
    let plan = Plan { seed: soak::seed() };
    let rate = soak::rate(RATES.0, RATES.1);
    println!("churn: {count} requests at {rate}/s, {rewrites} rewrites, seed {}", plan.seed);

    let mut origins = Vec::new();
    for name in ORIGINS {
        for copy in COPIES {
            origins.push(Origin::start(&format!("{name}{copy}")).await);
        }
    }
    let places =
        Places::new(origins.iter().map(|origin| origin.address), [free_port(), free_port()]);
    let judge = Arc::new(Judge::new(plan, places, Authority::new(), CALLERS.len()));
    let (mut gateway, mut former) = (start(&judge).await, Vec::new());
    let every = CALLERS.iter().map(|kind| kind.at_once()).sum::<u32>();
    let every = Duration::from_secs_f64(f64::from(every) / f64::from(rate));
    let began = Instant::now();
    let callers: Vec<_> = CALLERS
        .iter()
        .enumerate()
        .map(|(index, kind)| {
            let places = (gateway.web(), gateway.listener("tls"));
            tokio::spawn(caller::call(index, *kind, places, every, Arc::clone(&judge)))
        })
        .collect();
    let mut written = 0;
    // As long as requests are missing it is rewritten: none is made while nothing changes.
    while written < rewrites || (judge.served() < count && judge.is_clean()) {
        written += 1;
        rewrite(&gateway, &judge, written).await;
        if written == rewrites / 3 || written == 2 * rewrites / 3 {
            let next = follow(&mut gateway).await;
            former.push(std::mem::replace(&mut gateway, next));
        }
    }
    judge.stop();
    for caller in callers {
        wait::within("a caller to stop", caller).await.expect("a caller ends");
    }
    let told = judge.summary();
    let seconds = began.elapsed().as_secs_f64();
    let rate = judge.served() as f64 / seconds;
    println!(
        "churn: {told}; {written} rewrites; replaced {} times; {seconds:.1} s, {rate:.0}/s; seed {}",
        former.len(),
        plan.seed
    );
    assert_eq!(former.len(), 2, "two processes were followed by another");
    assert!(judge.is_clean(), "{told}\n{}\n{}", judge.faults(), gateway.stderr());
    assert!(judge.served() >= count, "{told}");
}

async fn start(judge: &Judge) -> Gateway {
    let (web, tls) = (free_port(), free_port());
    let mut setup = Setup::bare()
        .listener("web", web, yaml::http("web", web))
        .listener("tls", tls, yaml::https("tls", tls, SECURE_HOST, "cert"))
        .arguments(&ARGUMENTS)
        .replaceable()
        .file(FILE, judge.text(0));
    for name in ORIGINS {
        setup = setup.with(yaml::service(name, &[]));
    }
    setup.start().await
}

/// The process that follows, once the one before has ended.
async fn follow(before: &mut Gateway) -> Gateway {
    let next = before.next(&ARGUMENTS);
    next.until_said("objects=").await;
    assert_eq!(before.exited().await, 0, "{}", before.stderr());
    next
}

/// Writes `version` and waits until every caller has seen it on each connection that it holds.
async fn rewrite(gateway: &Gateway, judge: &Judge, version: u64) {
    let text = judge.text(version);
    judge.written(version);
    gateway.write(FILE, &text);
    wait::until_true(&format!("version {version} at every caller"), || {
        judge.seen_by_all() >= version || !judge.is_clean()
    })
    .await;
    // The callers may all be at one worker, and another be a moment behind; a whole rewrite behind
    // it may not be.
    judge.confirm(version - 1);
    if !judge.is_clean() {
        return;
    }
    let [open, closed] = judge.places.moving(version).map(local);
    let found = wait::within("the listener that moved", ask(open)).await;
    if found != Some(404) {
        judge.fail(&format!("version {version} listens at {open}: {found:?}"));
    }
    let is_free = || std::net::TcpListener::bind(closed).is_ok();
    wait::until_true(&format!("version {version} to close {closed}"), is_free).await;
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// The status that is answered where no route leads.
async fn ask(at: SocketAddr) -> Option<u16> {
    let connection = Connection::h1(at).await.ok()?;
    let asked = request("GET", SECURE_HOST, "/").body(nothing()).ok()?;
    let mut connection = connection;
    Some(connection.send(asked).await.ok()?.status)
}
