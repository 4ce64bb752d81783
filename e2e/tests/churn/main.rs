//! Requests without end while routes, weights and certificates are rewritten: none may fail, none
//! may go where no table of its time would have sent it.
//!
//! Version *v* of the configuration follows from the seed and *v* alone ([`plan::Plan`]).
//! Each rule says its version in the answer's header `x-version`; the answer also names its table
//! and backend (`--debug-header`) and its origin.
//! An answer is right where the version was in force at some moment between request and answer,
//! the plan of that version allows the origin for the path, and all the names agree.
//!
//! `HEDDLE_SOAK_COUNT` (20,000) is the least number of requests, `HEDDLE_SOAK_SEED` the seed;
//! there is at least one rewrite for each thousand requests, never fewer than 20, and one after
//! the other until the last request.

mod caller;
mod plan;
mod verdict;

use std::sync::Arc;
use std::time::Instant;

use e2e::program::free_port;
use e2e::trust::Authority;
use e2e::{Gateway, Origin, Setup, soak, wait, yaml};

use caller::Kind;
use plan::{FILE, ORIGINS, Plan, SECURE_HOST};
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_lose_nothing() {
    let count = soak::count(20_000);
    let rewrites = (count / 1000).max(20);
    let plan = Plan { seed: soak::seed() };
    println!("churn: {count} requests, {rewrites} rewrites, seed {}", plan.seed);

    let (mut origins, authority) = (Vec::new(), Authority::new());
    for name in ORIGINS {
        origins.push(Origin::start(name).await);
    }
    let judge = Arc::new(Judge::new(plan, authority, CALLERS.len()));
    let gateway = start(&origins, &judge).await;
    let began = Instant::now();
    let callers: Vec<_> = CALLERS
        .iter()
        .enumerate()
        .map(|(index, kind)| {
            let places = (gateway.web(), gateway.listener("tls"));
            tokio::spawn(caller::call(index, *kind, places, Arc::clone(&judge)))
        })
        .collect();
    let mut written = 0;
    // As long as requests are missing it is rewritten: none is made while nothing changes.
    while written < rewrites || (judge.served() < count && judge.is_clean()) {
        written += 1;
        rewrite(&gateway, &judge, written).await;
    }
    judge.stop();
    for caller in callers {
        wait::within("a caller to stop", caller).await.expect("a caller ends");
    }
    let told = judge.summary();
    let seconds = began.elapsed().as_secs_f64();
    println!("churn: {told}; {written} rewrites; {seconds:.1} s; seed {}", plan.seed);
    assert!(judge.is_clean(), "{told}\n{}\n{}", judge.faults(), gateway.stderr());
    assert!(judge.served() >= count, "{told}");
}

async fn start(origins: &[Origin], judge: &Judge) -> Gateway {
    let (web, tls) = (free_port(), free_port());
    let mut setup = Setup::bare()
        .listener("web", web, yaml::http("web", web))
        .listener("tls", tls, yaml::https("tls", tls, SECURE_HOST, "cert"))
        .arguments(&["--workers", "2"])
        .file(FILE, judge.text(0));
    for (name, origin) in ORIGINS.iter().zip(origins) {
        setup = setup.with(yaml::service(name, &[origin.address]));
    }
    setup.start().await
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
}
