//! One endpoint of four flips between well and failing, under a steady load and without retries.
//!
//! It fails in each of six ways, and for a time that the seed chooses, so that it is well again at any
//! moment of a rest.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use e2e::client::{Connection, nothing, request};
use e2e::soak::{count, mix, seed};
use e2e::{Gateway, Ill, Origin, Setup, wait, yaml};
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::scene::HOST;

/// How many send at once, each on a connection of its own.
const CALLERS: usize = 8;
/// How often each of them sends: 400 a second together.
const EVERY: Duration = Duration::from_millis(20);
/// How long after a flip requests may fail.
const SETTLES: Duration = Duration::from_secs(2);
/// How long is looked from there on.
const LOOKED: Duration = Duration::from_secs(3);
/// By how much at most an endpoint is ill for longer than that.
const LONGER: Duration = Duration::from_secs(4);
/// How soon an endpoint has to get requests again once it is well.
const RECOVERS: Duration = Duration::from_secs(5);
/// How long is waited for that before anything is judged.
const PATIENCE: Duration = Duration::from_secs(20);
/// In how long a time from there on it gets half of its quarter of them at least.
const WINDOW: Duration = Duration::from_secs(1);
/// How long one try may take: a mute endpoint fails by that.
const TRY: &str = "250ms";
/// How long a caller waits for an answer where no rule bounds the wait, before it takes the request to
/// have failed.
const WAITS: Duration = Duration::from_secs(1);

/// One answer: when it was there, and who gave it; none where it is a failure.
type Answer = (Instant, Option<String>);

/// What all callers share.
#[derive(Default)]
struct Load {
    ends: AtomicBool,
    answers: AtomicUsize,
    /// Those of the endpoint that flips.
    its: AtomicUsize,
    /// Whether requests go by the route that bounds no try.
    unbounded: AtomicBool,
}

impl Load {
    /// Waits until so many more answers are there as come in `time` at the steady rate, at the soonest.
    async fn goes_on_for(&self, time: Duration) {
        let each = time.as_millis() / EVERY.as_millis();
        let wanted = self.answers.load(Relaxed) + each as usize * CALLERS;
        wait::until_true("the load to go on", || self.answers.load(Relaxed) >= wanted).await;
    }

    /// Waits until the endpoint that flips gives half of its quarter of the answers, at least.
    async fn is_shared(&self) {
        let began = Instant::now();
        loop {
            let (all, its) = (self.answers.load(Relaxed), self.its.load(Relaxed));
            self.goes_on_for(WINDOW).await;
            let (all, its) = (self.answers.load(Relaxed) - all, self.its.load(Relaxed) - its);
            if its * 8 >= all {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "{FLIPPING} gives {its} of {all}");
        }
    }
}

/// Sends at a steady rate until told to end.
async fn send(gateway: Arc<Gateway>, load: Arc<Load>) -> Vec<Answer> {
    let mut answers = Vec::new();
    let mut connection = None;
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    while !load.ends.load(Relaxed) {
        ticks.tick().await;
        let held = match connection.take() {
            Some(held) => held,
            None => Connection::h1(gateway.web()).await.expect("the gateway takes connections"),
        };
        let mut held = held;
        let path = if load.unbounded.load(Relaxed) { "/unbounded" } else { "/" };
        let asked = request("GET", HOST, path).body(nothing()).expect("a request");
        // Who has waited too long hangs up.
        let answer = timeout(WAITS, held.send(asked)).await.ok();
        let answer = answer.map(|answer| answer.expect("the gateway answers"));
        connection = answer.is_some().then_some(held);
        let served = answer.filter(|answer| answer.status == 200);
        let origin = served.map(|answer| answer.origin().to_owned());
        load.answers.fetch_add(1, Relaxed);
        load.its.fetch_add(usize::from(origin.as_deref() == Some(FLIPPING)), Relaxed);
        answers.push((Instant::now(), origin));
    }
    answers
}

#[tokio::test]
async fn an_endpoint_that_falls_mute_gets_few_requests_though_nothing_bounds_the_wait() {
    let origins = futures::future::join_all((0..4).map(|_| Origin::start("shop"))).await;
    let addresses: Vec<_> = origins.iter().map(|origin| origin.address).collect();
    let setup = Setup::new().with(yaml::service("shop", &addresses));
    let gateway = Arc::new(setup.with(yaml::path_route("all", "/", "shop")).start().await);
    for _ in 0..40 {
        assert_eq!(gateway.get(HOST, "/").await.status, 200);
    }
    // The one that is asked most: another may have been slow once, and is asked by nobody for a while.
    let mute = origins.iter().max_by_key(|origin| origin.count()).expect("there are four");
    mute.ail(Ill::Mute, usize::MAX);
    let before = mute.count();
    let answered = Arc::<AtomicUsize>::default();
    let (mut callers, mut ticks) = (Vec::new(), interval(Duration::from_millis(2)));
    for _ in 0..400 {
        ticks.tick().await;
        let (gateway, answered) = (Arc::clone(&gateway), Arc::clone(&answered));
        callers.push(tokio::spawn(async move {
            assert_eq!(gateway.get(HOST, "/").await.status, 200);
            answered.fetch_add(1, Relaxed);
        }));
    }
    wait::until_true("all but few to be answered", || answered.load(Relaxed) >= 380).await;
    let asked = mute.count() - before;
    assert!((1..=20).contains(&asked), "{asked} of 400");
    callers.iter().for_each(tokio::task::JoinHandle::abort);
}

/// How an endpoint fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Ill(Ill),
    /// Nobody listens at its address.
    Refuses,
    /// It never answers, and no rule bounds how long that is waited for.
    Hangs,
}

const WAYS: [Way; 6] = [
    Way::Ill(Ill::Answers(503)),
    Way::Refuses,
    Way::Ill(Ill::BreaksOff),
    Way::Ill(Ill::Mute),
    Way::Ill(Ill::Answers(500)),
    Way::Hangs,
];
/// The name of the endpoint that flips.
const FLIPPING: &str = "shop-0";

/// The endpoint that flips.
struct Flipping {
    address: SocketAddr,
    /// None while nobody listens.
    origin: Option<Origin>,
}

impl Flipping {
    fn fail(&mut self, way: Way) {
        match (way, &self.origin) {
            (Way::Ill(ill), Some(origin)) => origin.ail(ill, usize::MAX),
            (Way::Hangs, Some(origin)) => origin.ail(Ill::Mute, usize::MAX),
            (Way::Refuses, _) | (_, None) => self.origin = None,
        }
    }

    async fn heal(&mut self) {
        match &self.origin {
            Some(origin) => origin.ail(Ill::Mute, 0),
            None => self.origin = Some(Origin::start_at(FLIPPING, self.address).await),
        }
    }
}

/// When one endpoint began to fail, and when it was well again.
struct Flip {
    way: Way,
    fails: Instant,
    heals: Instant,
    ends: Instant,
}

#[tokio::test(flavor = "multi_thread")]
async fn few_requests_fail_when_an_endpoint_does_and_it_is_found_well_again_soon() {
    let mut origins = Vec::new();
    for index in 0..4 {
        origins.push(Origin::start(&format!("shop-{index}")).await);
    }
    let addresses: Vec<_> = origins.iter().map(|origin| origin.address).collect();
    let to = "backendRefs: [{ name: shop, port: 80 }]";
    let rules = format!(
        "rules: [{{ {to}, timeouts: {{ backendRequest: {TRY} }} }}, \
         {{ {to}, matches: [{{ path: {{ value: /unbounded }} }}] }}]"
    );
    let gateway = Setup::new()
        .with(yaml::service("shop", &addresses))
        .with(yaml::route("all", &rules))
        .start()
        .await;
    let (gateway, load) = (Arc::new(gateway), Arc::<Load>::default());
    let callers: Vec<_> =
        (0..CALLERS).map(|_| tokio::spawn(send(Arc::clone(&gateway), Arc::clone(&load)))).collect();
    let mut flipping = Flipping { address: addresses[0], origin: Some(origins.remove(0)) };
    let mut flips = Vec::new();
    for nth in 0..count(WAYS.len() as u64) {
        let way = WAYS[nth as usize % WAYS.len()];
        let longer = LONGER.mul_f64((mix(seed() ^ mix(nth)) % 1000) as f64 / 1000.0);
        load.is_shared().await;
        load.unbounded.store(way == Way::Hangs, Relaxed);
        flipping.fail(way);
        let fails = Instant::now();
        load.goes_on_for(SETTLES + LOOKED + longer).await;
        flipping.heal().await;
        let heals = Instant::now();
        load.goes_on_for(RECOVERS + SETTLES).await;
        flips.push(Flip { way, fails, heals, ends: Instant::now() });
    }
    load.ends.store(true, Relaxed);
    let mut answers = Vec::new();
    for caller in callers {
        answers.extend(caller.await.expect("a caller ends"));
    }
    answers.sort_by_key(|(at, _)| *at);
    for flip in &flips {
        judge(flip, &answers);
    }
}

fn judge(Flip { way, fails, heals, ends }: &Flip, answers: &[Answer]) {
    let between = |from: Instant, to: Instant| {
        answers.iter().filter(move |(at, _)| (from..to).contains(at)).map(|(_, origin)| origin)
    };
    let failures =
        |from: Instant, to: Instant| between(from, to).filter(|origin| origin.is_none()).count();
    let at_once = failures(*fails, *fails + SETTLES);
    let looked = between(*fails + SETTLES, *heals).count();
    let failed = failures(*fails + SETTLES, *heals);
    let recovering = between(*heals + SETTLES, *heals + RECOVERS).count();
    let failed_then = failures(*heals + SETTLES, *heals + RECOVERS);
    let again = back(*heals, answers);
    let full = CALLERS as f64 / EVERY.as_secs_f64();
    let rate = between(*fails, *ends).count() as f64 / (*ends - *fails).as_secs_f64();
    let share = 100.0 * failed as f64 / looked.max(1) as f64;
    let lasted = *heals - *fails;
    eprintln!(
        "{way:?} for {lasted:.1?}: {at_once} failed in the first {SETTLES:?}, then {failed} of {looked} \
         ({share:.2}%), and {failed_then} of {recovering} once it was well for {SETTLES:?}; its share \
         again after {again:.1?}; {rate:.0}/s"
    );
    assert!(rate >= 0.8 * full, "{way:?}: the load was too small to judge: {rate:.0} of {full}/s");
    // Who finds nobody listening is sent elsewhere at once, so that none needs to fail.
    assert!(at_once > 0 || *way == Way::Refuses, "{way:?}: nothing failed");
    assert!(failed * 100 < looked, "{way:?}: {failed} of {looked}");
    assert!(failed_then * 100 < recovering, "{way:?}: {failed_then} of {recovering}, well again");
    assert!(again.is_some_and(|again| again <= RECOVERS), "{way:?}: {again:?}");
    assert_eq!(failures(*heals + RECOVERS, *heals + RECOVERS + SETTLES), 0, "{way:?}");
}

/// After how long the first window begins in which the endpoint gives half of its quarter of the answers.
fn back(heals: Instant, answers: &[Answer]) -> Option<Duration> {
    let is_its = |(_, origin): &&Answer| origin.as_deref() == Some(FLIPPING);
    let since = &answers[answers.partition_point(|(at, _)| *at < heals)..];
    let first = since.iter().enumerate().filter(|(_, answer)| is_its(answer));
    let mut begins = first.map(|(index, (at, _))| (*at, &since[index..]));
    let found = begins.find(|(begin, rest)| {
        let window = &rest[..rest.partition_point(|(at, _)| *at < *begin + WINDOW)];
        window.iter().filter(is_its).count() * 8 >= window.len()
    });
    found.map(|(begin, _)| begin - heals)
}
