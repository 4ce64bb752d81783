//! Requests at a steady rate while routes, weights, certificates, endpoints and listeners are
//! rewritten and the program is replaced twice: none may fail, none may go where no table of its time
//! would have sent it.
//!
//! Version *v* of the configuration follows from the seed and *v* alone ([`plan::Plan`]).
//! Each rule says its version in the answer's header `x-version`; the answer also names its table
//! and backend (`--debug-header`) and its origin.
//! An answer is right where the version was in force at some moment between request and answer,
//! the plan of that version allows the origin for the path and has its endpoint ready, and all the
//! names agree. A listener that a version has moved is open at its new port and at no other; callers
//! follow it there. An endpoint that two versions in a row have not ready is gone, and comes back elsewhere.
//!
//! Each request gets its answer: one about which nothing was done, as GOAWAY says, is sent again on
//! another connection, as any client of HTTP/2 does, and counted. So is one on a connection to a
//! place where a version has nobody listen any more, which is answered `no_listener` and nothing else.
//! How steadily answers come is judged, too.
//!
//! `HEDDLE_SOAK_COUNT` (20,000) is the least number of requests, `HEDDLE_SOAK_SEED` the seed;
//! there is at least one rewrite for each thousand requests, never fewer than 20, and one after
//! the other until the last request. After a third of them, and after two thirds, another process
//! follows at the same sockets, while it is rewritten.

mod caller;
mod endpoints;
mod pace;
mod plan;
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
use plan::{FILE, ORIGINS, Plan, SECURE_HOST};
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
/// Requests a second of all callers together: in CI, and where a count is given.
const RATES: (u32, u32) = (1500, 3000);
/// What each process is told.
const ARGUMENTS: [&str; 2] = ["--workers", "2"];

/// The least share of these that are to be answered: the machines of CI have other things to do, too.
const SHARES: (f64, f64) = (0.7, 0.9);
/// How long an answer may take, from when its request was due.
const LONGEST: Duration = Duration::from_secs(5);

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
    while judge.is_clean() && (written < rewrites || judge.served() < count) {
        written += 1;
        endpoints.come_for(plan, written, &judge.places).await;
        replacing.is_rewritten();
        rewrite(&gateway, &judge, written).await;
        endpoints.go_after(plan, written);
        if written == rewrites / 3 || written == 2 * rewrites / 3 {
            gateway = replacing.replace(gateway).await;
        }
    }
    replacing.end().await;
    let steady = judge.pace.so_far();
    judge.stop();
    for caller in callers {
        wait::within("a caller to stop", caller).await.expect("a caller ends");
    }
    let told = judge.summary();
    println!(
        "churn: {told}; {steady}; {written} rewrites, {} endpoints gone; replaced {} times, during \
         {} rewrites; seed {}",
        endpoints.gone, replacing.times, replacing.rewrites, plan.seed
    );
    assert!(judge.is_clean(), "{told}\n{}\n{}", judge.faults(), gateway.stderr());
    assert_eq!(replacing.times, 2, "two processes were followed by another");
    assert!(judge.served() >= count && judge.is_answered(), "{told}");
    assert!(replacing.rewrites > 0 && endpoints.gone > 0, "too little was moved");
    let share = if soak::is_full() { SHARES.1 } else { SHARES.0 };
    assert!(steady.rate >= share * f64::from(rate), "{steady}, and not {share} of {rate}/s");
    assert!(steady.longest <= LONGEST, "{steady}");
}

/// All callers, as often as makes the rate.
fn callers(gateway: &Gateway, rate: u32, judge: &Arc<Judge>) -> Vec<JoinHandle<()>> {
    let at_once: u32 = CALLERS.iter().map(|kind| kind.at_once()).sum();
    let every = Duration::from_secs_f64(f64::from(at_once) / f64::from(rate));
    let places = (gateway.web(), gateway.listener("tls"));
    let call = |(index, kind): (usize, &Kind)| {
        tokio::spawn(caller::call(index, *kind, places, every, Arc::clone(judge)))
    };
    CALLERS.iter().enumerate().map(call).collect()
}

/// Processes that are followed by another while it is rewritten.
#[derive(Default)]
struct Replacing {
    under_way: Option<JoinHandle<()>>,
    times: usize,
    /// How many versions were written between the start of one process and the end of the one before.
    rewrites: usize,
}

impl Replacing {
    /// Starts the process that follows, and waits for nothing but the end of a former replacement.
    /// A version counts as in force once every caller has it on its connection, whose ever that is;
    /// so what is right does not depend on which of the two processes answers.
    async fn replace(&mut self, mut before: Gateway) -> Gateway {
        self.end().await;
        let next = before.next(&ARGUMENTS);
        self.under_way = Some(tokio::spawn(async move {
            assert_eq!(before.exited().await, 0, "{}", before.stderr());
        }));
        self.times += 1;
        next
    }

    /// A version is about to be written.
    fn is_rewritten(&mut self) {
        let is_under_way = self.under_way.as_ref().is_some_and(|one| !one.is_finished());
        self.rewrites += usize::from(is_under_way);
    }

    async fn end(&mut self) {
        if let Some(under_way) = self.under_way.take() {
            wait::within("a process to end", under_way).await.expect("it ends well");
        }
    }
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
        judge.fail(&format!("version {version} listens at {open}: {found:?}"));
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
