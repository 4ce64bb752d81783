//! Requests at a steady rate, with and without bodies, tunnels and streams, while routes, weights,
//! certificates, endpoints and listeners are rewritten and the program is replaced twice: none may fail, none
//! may go where no table of its time would have sent it, and no byte may be lost.
//!
//! Version *v* of the configuration follows from the seed and *v* alone ([`plan::Plan`]).
//! Each rule says its version in the answer's header `x-version`; the answer also names its table
//! and backend (`--debug-header`), its origin, and what that was asked.
//! An answer is right where the version was in force at some moment between request and answer,
//! the plan of that version allows the origin for the path and has its endpoint ready, all the
//! names agree, and the body is what has to come, to the byte. A listener that a version has moved is open at
//! its new port and at no other; callers follow it there. An endpoint that two versions in a row have not
//! ready is gone, and comes back elsewhere.
//!
//! Each request gets its answer: one about which nothing was done, as GOAWAY says, is sent again on
//! another connection, as any client of HTTP/2 does, and counted. So is one on a connection to a
//! place where a version has nobody listen any more, which is answered `no_listener` and nothing else.
//!
//! Tunnels and streams ([`lasting`]) lead to a Service that stays, and have to outlive every table. A drain
//! ends them once it has had its time, no sooner, and so that nobody takes a stream for whole.
//!
//! What is asked, right and wrong is counted by class ([`tally`]). How steadily answers come is judged, too
//! ([`pace`]), less strictly in CI.
//!
//! `HEDDLE_SOAK_COUNT` (20,000) is the least number of requests, `HEDDLE_SOAK_SEED` the seed;
//! there is at least one rewrite for each thousand requests, never fewer than 20, and one after
//! the other until the last request. After a third of them, and after two thirds, another process
//! follows at the same sockets, while it is rewritten.

mod asked;
mod caller;
mod endpoints;
mod lasting;
mod line;
mod pace;
mod plan;
mod replacing;
mod tally;
mod verdict;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use e2e::client::{nothing, request};
use e2e::program::free_port;
use e2e::trust::Authority;
use e2e::{Connection, Gateway, Setup, soak, wait, yaml};
use tokio::task::JoinHandle;

use caller::Kind;
use endpoints::Endpoints;
use lasting::LINES;
use line::Sort;
use pace::Bounds;
use plan::{FILE, ORIGINS, Plan, SECURE_HOST};
use replacing::{ARGUMENTS, Replacing};
use tally::{Class, Wrong};
use verdict::Judge;

/// Who calls: lasting connections of each protocol, new ones that see new certificates, and
/// some that have to move.
const CALLERS: [Kind; 10] = [
    Kind::H1,
    Kind::H1,
    Kind::H1,
    Kind::H2c,
    Kind::H2c,
    Kind::HttpsH1,
    Kind::HttpsH2,
    Kind::HttpsH2,
    Kind::MovingH1,
    Kind::MovingH2c,
];
/// As many requests at once are under way to the listener that moves: so many may be turned away by each
/// version, and by each process that goes.
const TURNED: u64 = 9;
/// Requests a second of all callers together: in CI, and where a count is given.
const RATES: (u32, u32) = (1500, 3000);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_lose_nothing() {
    let count = soak::count(20_000);
    let rewrites = (count / 1000).max(20);
    let plan = Plan { seed: soak::seed() };
    let rate = soak::rate(RATES.0, RATES.1);
    println!("churn: {count} requests at {rate}/s, {rewrites} rewrites, seed {}", plan.seed);

    let mut endpoints = Endpoints::start().await;
    let places = endpoints.places([free_port(), free_port()]);
    let judge = Arc::new(Judge::new(plan, places, Authority::new(), CALLERS.len()));
    let mut gateway = start(&judge).await;
    let callers = callers(&gateway, rate, &judge);
    let (mut written, mut replacing) = (0, Replacing::default());
    // As long as requests are missing it is rewritten: none is made while nothing changes.
    while judge.is_clean() && (written < rewrites || judge.tally.served() < count) {
        written += 1;
        endpoints.come_for(plan, written, &judge.places).await;
        replacing.is_rewritten();
        rewrite(&gateway, &judge, written).await;
        endpoints.go_after(plan, written);
        if written == rewrites / 3 || written == 2 * rewrites / 3 {
            gateway = replacing.replace(gateway, &judge).await;
        }
    }
    replacing.end(&judge).await;
    let steady = judge.pace.so_far();
    judge.stop();
    for caller in callers {
        wait::within("a caller to stop", caller).await.expect("a caller ends");
    }
    let told = judge.summary();
    println!(
        "churn: {steady}; {told}; {written} rewrites, {} endpoints gone; replaced {} times, during \
         {} rewrites; seed {}\n{}",
        endpoints.gone, replacing.times, replacing.rewrites, plan.seed, judge.tally
    );
    assert!(judge.is_clean(), "{}\n{}\n{}", judge.tally, judge.faults(), gateway.stderr());
    assert_eq!(replacing.times, 2, "two processes were followed by another");
    assert_eq!(judge.lines.drained(), 2 * LINES.len() as u64, "each line ends by each drain");
    assert!(judge.tally.served() >= count && judge.tally.is_answered(), "{}", judge.tally);
    let heard = judge.tally.served() + judge.lines.opened();
    assert_eq!(
        endpoints.heard(),
        heard,
        "each request came to an origin once, however often it was sent"
    );
    assert!(judge.turned_away() <= TURNED * (written + 2), "{told}");
    assert!(steady.again <= TURNED * (written + 2), "{steady}");
    assert!(replacing.rewrites > 0 && endpoints.gone > 0, "too little was moved");
    let bounds = if soak::is_full() { Bounds::FULL } else { Bounds::SMALL };
    assert!(steady.is_within(bounds, f64::from(rate)), "{steady}, and not {bounds:?} of {rate}/s");
}

/// All callers, as often as makes the rate, and who holds the lines.
fn callers(gateway: &Gateway, rate: u32, judge: &Arc<Judge>) -> Vec<JoinHandle<()>> {
    let at_once: u32 = CALLERS.iter().map(|kind| kind.at_once()).sum();
    let every = Duration::from_secs_f64(f64::from(at_once) / f64::from(rate));
    let places = (gateway.web(), gateway.listener("tls"));
    let call = |(index, kind): (usize, &Kind)| {
        tokio::spawn(caller::call(index, *kind, places, every, Arc::clone(judge)))
    };
    let hold = |line: &(Sort, Kind)| tokio::spawn(lasting::hold(*line, places, Arc::clone(judge)));
    let calling: Vec<_> = CALLERS.iter().enumerate().map(call).collect();
    calling.into_iter().chain(LINES.iter().map(hold)).collect()
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
    let [open, closed] = judge.places.moving(version);
    let found = wait::within("the listener that moved", ask(open)).await;
    if found != Some(404) {
        let told = format!("version {version} listens at {open}: {found:?}");
        judge.wrong(Class::Plain, Wrong::Failed, &told);
    }
    let is_closed = async || tokio::net::TcpStream::connect(closed).await.is_err();
    wait::until_true_of(&format!("version {version} to close {closed}"), is_closed).await;
}

/// The status that is answered where no route leads.
async fn ask(at: SocketAddr) -> Option<u16> {
    let connection = Connection::h1(at).await.ok()?;
    let asked = request("GET", SECURE_HOST, "/").body(nothing()).ok()?;
    let mut connection = connection;
    Some(connection.send(asked).await.ok()?.status)
}
