//! What a kill costs: the requests that were on what was killed, and nothing else.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use e2e::client::{Fault, nothing, request};
use e2e::soak::count;
use e2e::{Connection, Joined, wait};
use serde_json::Value;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use crate::scene::HOST;
use crate::two::Two;

/// Requests per second, half of them to each gateway.
const RATE: u32 = 200;
/// Within which a loss is shown.
const SHOWN: Duration = Duration::from_secs(10);
/// Within which the other cluster serves.
const SERVED: Duration = Duration::from_secs(3);

/// What became of one request.
#[derive(Debug, Clone)]
struct Outcome {
    began: Instant,
    ended: Instant,
    /// The cluster whose catalog answered, or what went wrong.
    answer: Result<String, String>,
}

/// Requests that go on until this is stopped.
struct Load {
    outcomes: Arc<Mutex<Vec<Outcome>>>,
    stop: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

/// What a kill cost.
struct Cost {
    /// When it was gone.
    dead: Instant,
    outcomes: Vec<Outcome>,
}

impl Load {
    fn start(webs: [SocketAddr; 2]) -> Self {
        let (outcomes, stop) = (Arc::default(), Arc::<AtomicBool>::default());
        let task = tokio::spawn(send(webs, Arc::clone(&outcomes), Arc::clone(&stop)));
        Load { outcomes, stop, task }
    }

    fn done(&self) -> usize {
        self.outcomes.lock().expect("nobody panics with it").len()
    }

    /// Waits until so many more are through.
    async fn goes_on(&self, more: u64) {
        let until = self.done() + usize::try_from(more).expect("a count");
        let bound = Duration::from_secs(more / u64::from(RATE) + 60);
        let began = Instant::now();
        while self.done() < until {
            assert!(began.elapsed() < bound, "the load does not go on");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Goes on for a while; how many are through then.
    async fn before(&self) -> usize {
        self.goes_on(count(200) / 2).await;
        self.done()
    }

    /// Goes on after something was killed, and tells what it cost.
    async fn after(&self, first: usize, dead: Instant) -> Cost {
        self.goes_on(count(200)).await;
        let outcomes = self.outcomes.lock().expect("nobody panics with it")[first..].to_vec();
        Cost { dead, outcomes }
    }

    async fn end(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.expect("the load ends");
        self.outcomes.lock().expect("nobody panics with it").len()
    }
}

impl Cost {
    fn failed(&self) -> Vec<&Outcome> {
        self.outcomes.iter().filter(|one| one.answer.is_err()).collect()
    }

    /// Sees that nothing failed but what was under way when it was killed.
    fn is_of_the_moment(&self) {
        let failed = self.failed();
        let beyond: Vec<_> = failed.iter().filter(|one| one.began > self.dead).collect();
        assert!(beyond.is_empty(), "{self} {beyond:#?}");
    }
}

impl std::fmt::Display for Cost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let under_way = self.outcomes.iter().filter(|one| one.began <= self.dead).count();
        let (failed, all) = (self.failed().len(), self.outcomes.len());
        write!(f, "{all} requests, {under_way} of them under way at its death, {failed} failed")
    }
}

/// Sends them at a steady rate, each on a connection of its own, to both gateways in turn.
async fn send(webs: [SocketAddr; 2], outcomes: Arc<Mutex<Vec<Outcome>>>, stop: Arc<AtomicBool>) {
    let mut beat = tokio::time::interval(Duration::from_secs(1) / RATE);
    let (mut under_way, mut nth) = (JoinSet::new(), 0);
    while !stop.load(Ordering::Relaxed) {
        beat.tick().await;
        while under_way.try_join_next().is_some() {}
        nth += 1;
        let (first, second) = (webs[nth % 2], webs[(nth + 1) % 2]);
        let outcomes = Arc::clone(&outcomes);
        under_way.spawn(async move {
            let began = Instant::now();
            let answer = ask(first, second).await.map_err(|fault| fault.to_string()).flatten();
            let outcome = Outcome { began, ended: Instant::now(), answer };
            outcomes.lock().expect("nobody panics with it").push(outcome);
        });
    }
    while under_way.join_next().await.is_some() {}
}

/// Asks the first gateway, and the second where the first refuses the connection.
async fn ask(first: SocketAddr, second: SocketAddr) -> Result<Result<String, String>, Fault> {
    let mut connection = match Connection::h1(first).await {
        Ok(connection) => connection,
        Err(_) => Connection::h1(second).await?,
    };
    let asked = request("GET", HOST, "/").body(nothing())?;
    let reply = connection.send(asked).await?;
    if reply.status != 200 {
        return Ok(Err(format!("{}: {}", reply.status, reply.text())));
    }
    let called = &reply.json()["called"]["called"]["cluster"];
    Ok(called.as_str().map(str::to_owned).ok_or_else(|| format!("no catalog: {}", reply.text())))
}

/// Waits until the server shows of a node what `is_shown` looks for; how long that took.
async fn shown(
    two: &Two,
    cluster: &str,
    node: &Joined,
    since: Instant,
    is_shown: impl Fn(&Value) -> bool,
) -> Duration {
    let name = node.name();
    wait::until_true_of("the loss to be shown", async || {
        let nodes = two.fleet.get("/nodes").await;
        let mut nodes = nodes["items"].as_array().into_iter().flatten();
        nodes.any(|one| one["cluster"] == cluster && one["name"] == name && is_shown(one))
    })
    .await;
    let took = since.elapsed();
    assert!(took < SHOWN, "{took:?}");
    took
}

fn is_gone(node: &Value) -> bool {
    node["state"] != "connected"
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_killed_costs_what_was_on_it() {
    let mut two = Two::new().await;
    let load = Load::start(two.webs());

    let first = load.before().await;
    two.fleet.kill().await;
    let cost = load.after(first, Instant::now()).await;
    println!("loss: the server: {cost}");
    assert!(cost.failed().is_empty(), "{:#?}", cost.failed());
    let status = e2e::program::ended(e2e::people::heddle(&two.fleet).arg("status"));
    assert_eq!(status.code, 3, "not reachable: {}", status.stderr);
    two.fleet.serve().await;

    let first = load.before().await;
    two.east.proxies[1].kill();
    let dead = Instant::now();
    let orders = &two.east.proxies[1];
    let (cost, took) =
        tokio::join!(load.after(first, dead), shown(&two, "east", orders, dead, is_gone));
    cost.is_of_the_moment();
    println!("loss: the proxy of the orders in the east: {cost}, shown after {took:?}");
    two.east.proxies[1].respawn();
    two.east.proxies[1].until_ready().await;

    let first = load.before().await;
    two.west.gateway.kill();
    let dead = Instant::now();
    let gateway = &two.west.gateway;
    let (cost, took) =
        tokio::join!(load.after(first, dead), shown(&two, "west", gateway, dead, is_gone));
    cost.is_of_the_moment();
    println!("loss: the gateway of the west: {cost}, shown after {took:?}");
    two.west.gateway.respawn();
    two.west.gateway.until_ready().await;

    let first = load.before().await;
    two.east.apps[0].kill();
    let dead = Instant::now();
    let is_silent =
        |node: &Value| node["silentPorts"].as_array().is_some_and(|ports| !ports.is_empty());
    let catalog = &two.east.proxies[0];
    let (cost, took) =
        tokio::join!(load.after(first, dead), shown(&two, "east", catalog, dead, is_silent));
    cost.is_of_the_moment();
    let east_last = cost.outcomes.iter().filter(|one| one.answer.as_deref() == Ok("east"));
    let east_last = east_last.map(|one| one.ended).max();
    assert!(east_last.is_none_or(|last| last < cost.dead + SERVED), "the west serves it");
    assert!(cost.outcomes.iter().any(|one| one.answer.as_deref() == Ok("west")));
    let west = cost.outcomes.iter().filter(|one| one.answer.as_deref() == Ok("west"));
    let first = west.filter(|one| one.began > cost.dead).map(|one| one.ended - cost.dead).min();
    println!("loss: the catalog of the east: {cost}, shown after {took:?}");
    println!("loss: the west serves it after {first:?}");
    two.east.apps[0].restart().await;
    wait::until_true_of("the east to serve its catalog again", async || {
        let answer = ask(two.east.web, two.east.web).await;
        answer.is_ok_and(|answer| answer.as_deref() == Ok("east"))
    })
    .await;

    println!("loss: {} requests in all", load.end().await);
}
