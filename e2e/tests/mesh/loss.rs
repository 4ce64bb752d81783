//! What a kill costs: the requests that were on what was killed, and nothing else.

use std::net::SocketAddr;
use std::time::Duration;

use e2e::people::heddle;
use e2e::program::{Ended, ended};
use e2e::soak::count;
use e2e::{Fleet, Joined, wait};
use tokio::time::Instant;

use crate::steady::{Load, Outcome, RATE};
use crate::two::Two;

/// Within which a loss is shown.
const SHOWN: Duration = Duration::from_secs(10);
/// Within which the other cluster serves.
const SERVED: Duration = Duration::from_secs(3);
/// What ended so long before a kill tells how busy the machine was at it.
const LATELY: Duration = Duration::from_secs(1);
/// Between two looks at what is shown: each starts a program, beside the load.
const LOOK: Duration = Duration::from_millis(250);

/// When something was killed.
#[derive(Debug, Clone, Copy)]
struct Kill {
    began: Instant,
    /// When it was gone.
    dead: Instant,
}

/// What a kill cost.
struct Cost {
    kill: Kill,
    /// The gateway before what was killed; none where no request goes through that.
    door: Option<SocketAddr>,
    /// From before the kill to behind the return of what was killed.
    outcomes: Vec<Outcome>,
}

impl Kill {
    /// Kills something some time after the last one came back.
    async fn of(load: &Load, kills: impl AsyncFnOnce()) -> Self {
        load.goes_on(count(200) / 2).await;
        load.until_calm().await;
        let began = Instant::now();
        kills().await;
        Kill { began, dead: Instant::now() }
    }

    /// Whether a request was under way then.
    fn is_during(self, one: &Outcome) -> bool {
        one.began <= self.dead && one.ended >= self.began
    }

    /// Sees that a loss was shown soon enough after it.
    fn shown_after(self) -> Duration {
        let took = self.began.elapsed();
        assert!(took < SHOWN, "{took:?}");
        took
    }
}

impl Cost {
    /// Some time after what was killed is back.
    async fn of(kill: Kill, door: Option<SocketAddr>, load: &mut Load) -> Self {
        load.goes_on(count(200) / 2).await;
        let cost = Cost { kill, door, outcomes: load.outcomes().await };
        let rate = cost.rate();
        assert!(rate > f64::from(*RATE) * 0.9, "{rate}/s are not the load");
        cost
    }

    fn rate(&self) -> f64 {
        let began = || self.outcomes.iter().map(|one| one.began);
        let (first, last) = (began().min(), began().max());
        let took = first.zip(last).map_or(Duration::ZERO, |(first, last)| last - first);
        self.outcomes.len() as f64 / took.as_secs_f64()
    }

    /// What had its end before the kill.
    fn before(&self) -> impl Iterator<Item = &Outcome> {
        self.outcomes.iter().filter(|one| one.ended < self.kill.began)
    }

    /// What was under way at the kill.
    fn under_way(&self) -> impl Iterator<Item = &Outcome> {
        self.outcomes.iter().filter(|one| self.kill.is_during(one))
    }

    fn failed(&self) -> impl Iterator<Item = &Outcome> {
        self.outcomes.iter().filter(|one| one.answer.is_err())
    }

    /// Whether a request can have been on what was killed.
    fn was_on_it(&self, one: &Outcome) -> bool {
        self.door == Some(one.door) && self.kill.is_during(one)
    }

    /// Sees that nothing failed but what can have been on what was killed, and not more than fits
    /// there. Nothing did before, while it was away, or as it came back.
    fn is_of_the_moment(&self) {
        let (lost, beyond): (Vec<_>, Vec<_>) = self.failed().partition(|one| self.was_on_it(one));
        assert!(beyond.is_empty(), "{self}\n{}", self.told(&beyond));
        assert!(lost.len() <= self.at_once(), "{self}\n{}", self.told(&lost));
    }

    /// What became of some, by when they began.
    fn told(&self, outcomes: &[&Outcome]) -> String {
        let lines = outcomes.iter().map(|one| {
            let Outcome { door, began, ended, answer, .. } = one;
            let before = self.kill.began.saturating_duration_since(*began);
            let after = began.saturating_duration_since(self.kill.began);
            let took = *ended - *began;
            format!("{before:.3?} before, {after:.3?} after, took {took:.3?} by {door}: {answer:?}")
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    /// How many can be on it at once: as many as begin behind its gateway while the slowest of then
    /// that it cannot have held up took its time and the kill its own; and one on each edge of that.
    fn at_once(&self) -> usize {
        if self.door.is_none() {
            return 0;
        }
        let Kill { began, dead } = self.kill;
        let lately = |one: &&Outcome| one.began <= dead && one.ended + LATELY > began;
        let free = self.outcomes.iter().filter(lately).filter(|one| !self.was_on_it(one));
        let slowest = free.map(|one| one.ended - one.began).max().unwrap_or_default();
        (f64::from(*RATE / 2) * (slowest + (dead - began)).as_secs_f64()).ceil() as usize + 2
    }

    /// Sees that nobody had to go to another gateway.
    fn is_behind_the_doors(&self) {
        assert!(!self.outcomes.iter().any(|one| one.elsewhere), "{self}");
    }
}

impl std::fmt::Display for Cost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (all, rate, before) = (self.outcomes.len(), self.rate(), self.before().count());
        let (under_way, failed) = (self.under_way().count(), self.failed().count());
        let lost = self.under_way().filter(|one| one.answer.is_err()).count();
        write!(
            f,
            "{all} requests at {rate:.0}/s, {before} before, {under_way} under way at its death and \
             {lost} of them failed where {} could, {} others failed",
            self.at_once(),
            failed - lost
        )
    }
}

/// What `heddle status` says and how it ends.
async fn status(fleet: &Fleet) -> Ended {
    let mut command = heddle(fleet);
    command.env("HEDDLE_TOKEN", fleet.token()).arg("status");
    let ended = tokio::task::spawn_blocking(move || ended(&mut command));
    ended.await.expect("nobody ends it")
}

/// Waits until `heddle status` says what is looked for; how long after the kill.
async fn shown(two: &Two, kill: Kill, is_shown: impl Fn(&str) -> bool) -> Duration {
    let mut beat = tokio::time::interval(LOOK);
    wait::until_true_of("the loss to be shown", async || {
        beat.tick().await;
        let said = status(&two.fleet).await;
        assert_eq!(said.code, 0, "{said:?}");
        is_shown(&said.stdout)
    })
    .await;
    kill.shown_after()
}

/// Whether the first table has the node of a cluster in another state than connected.
fn is_gone(said: &str, cluster: &str, node: &Joined) -> bool {
    let rows = said.lines().take_while(|line| !line.is_empty());
    let mut rows = rows.map(|row| row.split_whitespace().collect::<Vec<_>>());
    let name = node.name();
    let row = rows.find(|row| row[..2] == [&*name, cluster]).expect("the node is shown");
    row[4] != "connected"
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_killed_costs_what_was_on_it() {
    let mut two = Two::new().await;
    let mut load = Load::start(two.webs());
    println!("loss: {}", server(&mut two, &mut load).await);
    println!("loss: {}", proxy(&mut two, &mut load).await);
    println!("loss: {}", gateway(&mut two, &mut load).await);
    println!("loss: {}", application(&mut two, &mut load).await);
    let (last, all) = load.end().await;
    assert!(last.iter().all(|one| one.answer.is_ok()), "{last:#?}");
    println!("loss: {all} requests in all");
}

async fn server(two: &mut Two, load: &mut Load) -> String {
    let kill = Kill::of(load, async || two.fleet.kill().await).await;
    let said = status(&two.fleet).await;
    let took = kill.shown_after();
    assert_eq!(said.code, 3, "not reachable: {}", said.stderr);
    load.goes_on(count(200)).await;
    two.fleet.serve().await;
    let cost = Cost::of(kill, None, load).await;
    cost.is_of_the_moment();
    cost.is_behind_the_doors();
    format!("the server: {cost}, shown after {took:?}")
}

async fn proxy(two: &mut Two, load: &mut Load) -> String {
    let kill = Kill::of(load, async || two.east.proxies[1].kill()).await;
    let orders = &two.east.proxies[1];
    let (_, took) = tokio::join!(
        load.goes_on(count(200)),
        shown(two, kill, |said| is_gone(said, "east", orders))
    );
    two.east.proxies[1].respawn();
    two.east.proxies[1].until_ready().await;
    let cost = Cost::of(kill, Some(two.east.web), load).await;
    cost.is_of_the_moment();
    cost.is_behind_the_doors();
    format!("the proxy of the orders in the east: {cost}, shown after {took:?}")
}

async fn gateway(two: &mut Two, load: &mut Load) -> String {
    let door = two.west.web;
    let kills = async || {
        // Whoever has two addresses goes to the other one, until this one is ready again.
        load.forgive(Some(door));
        two.west.gateway.kill();
    };
    let kill = Kill::of(load, kills).await;
    let gateway = &two.west.gateway;
    let (_, took) = tokio::join!(
        load.goes_on(count(200)),
        shown(two, kill, |said| is_gone(said, "west", gateway))
    );
    two.west.gateway.respawn();
    two.west.gateway.until_ready().await;
    load.forgive(None);
    let cost = Cost::of(kill, Some(door), load).await;
    cost.is_of_the_moment();
    let mut turned_away = cost.outcomes.iter().filter(|one| one.elsewhere).peekable();
    assert!(turned_away.peek().is_some(), "{cost}");
    assert!(turned_away.all(|one| one.ended > kill.began), "{cost}");
    format!("the gateway of the west: {cost}, shown after {took:?}")
}

async fn application(two: &mut Two, load: &mut Load) -> String {
    let kill = Kill::of(load, async || two.east.apps[0].kill()).await;
    let silent = format!(
        "the application beside {} does not answer on port {}",
        two.east.proxies[0].name(),
        two.east.apps[0].address.port()
    );
    let (_, took) =
        tokio::join!(load.goes_on(count(200)), shown(two, kill, |said| said.contains(&silent)));
    two.east.apps[0].restart().await;
    load.until_answered(two.east.web, "east", Instant::now()).await;
    let cost = Cost::of(kill, Some(two.east.web), load).await;
    cost.is_of_the_moment();
    cost.is_behind_the_doors();
    let first = first_by_the_west(&cost);
    format!(
        "the catalog of the east: {cost}, shown after {took:?}, served by the west after {first:?}"
    )
}

/// Sees that the gateway of the east led to the catalog there, and soon after its death to the one
/// in the west: how long after.
fn first_by_the_west(cost: &Cost) -> Duration {
    let Kill { began, dead } = cost.kill;
    let is_led = |one: &&Outcome| Some(one.door) == cost.door;
    let led = |one: &&Outcome, to: &str| is_led(one) && one.answer.as_deref() == Ok(to);
    let before: Vec<_> = cost.before().filter(is_led).collect();
    assert!(
        !before.is_empty() && before.iter().all(|one| led(one, "east")),
        "{}",
        cost.told(&before)
    );
    let west = cost.outcomes.iter().filter(|one| one.began > dead && led(one, "west"));
    let first = west.map(|one| one.ended - began).min();
    let first = first.expect("the west serves it");
    assert!(first < SERVED, "{first:?}");
    first
}
