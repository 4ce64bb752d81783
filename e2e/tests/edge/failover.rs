//! One endpoint of four flips between well and failing, under a steady load and without retries.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use e2e::client::{Connection, nothing, request};
use e2e::soak::count;
use e2e::{Gateway, Ill, Origin, Setup, wait, yaml};
use tokio::time::{MissedTickBehavior, interval};

use crate::scene::HOST;

/// How many send at once, each on a connection of its own.
const CALLERS: usize = 8;
/// How often each of them sends: 400 a second together.
const EVERY: Duration = Duration::from_millis(20);
/// How long after a flip requests may fail.
const SETTLES: Duration = Duration::from_secs(2);
/// How long is looked from there on.
const LOOKED: Duration = Duration::from_secs(3);
/// How soon an endpoint has to get requests again once it is well.
const RECOVERS: Duration = Duration::from_secs(5);

/// One answer: when it was there, and who gave it; none where it is a failure.
type Answer = (Instant, Option<String>);

/// What all callers share.
#[derive(Default)]
struct Load {
    ends: AtomicBool,
    answers: AtomicUsize,
}

impl Load {
    /// Waits until so many more answers are there as come in `time` at the steady rate, at the soonest.
    async fn goes_on_for(&self, time: Duration) {
        let each = time.as_millis() / EVERY.as_millis();
        let wanted = self.answers.load(Relaxed) + each as usize * CALLERS;
        wait::until_true("the load to go on", || self.answers.load(Relaxed) >= wanted).await;
    }
}

/// Sends at a steady rate until told to end.
async fn send(gateway: Arc<Gateway>, load: Arc<Load>) -> Vec<Answer> {
    let mut answers = Vec::new();
    let mut connection = None;
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !load.ends.load(Relaxed) {
        ticks.tick().await;
        let held = match connection.take() {
            Some(held) => held,
            None => Connection::h1(gateway.web()).await.expect("the gateway takes connections"),
        };
        let mut held = held;
        let asked = request("GET", HOST, "/").body(nothing()).expect("a request");
        let answer = held.send(asked).await.expect("the gateway answers");
        let origin = (answer.status == 200).then(|| answer.origin().to_owned());
        answers.push((Instant::now(), origin));
        load.answers.fetch_add(1, Relaxed);
        connection = Some(held);
    }
    answers
}

/// When one endpoint was made ill, and when well again.
struct Flip {
    ill: Ill,
    fails: Instant,
    heals: Instant,
}

#[tokio::test(flavor = "multi_thread")]
async fn few_requests_fail_when_an_endpoint_does_and_it_is_found_well_again_soon() {
    let mut origins = Vec::new();
    for index in 0..4 {
        origins.push(Origin::start(&format!("shop-{index}")).await);
    }
    let addresses: Vec<_> = origins.iter().map(|origin| origin.address).collect();
    let gateway = Setup::new()
        .with(yaml::service("shop", &addresses))
        .with(yaml::path_route("all", "/", "shop"))
        .start()
        .await;
    let (gateway, load) = (Arc::new(gateway), Arc::<Load>::default());
    let callers: Vec<_> =
        (0..CALLERS).map(|_| tokio::spawn(send(Arc::clone(&gateway), Arc::clone(&load)))).collect();
    let mut flips = Vec::new();
    for nth in 0..count(2) {
        let ill = if nth % 2 == 0 { Ill::Answers(503) } else { Ill::BreaksOff };
        origins[0].ail(ill, usize::MAX);
        let fails = Instant::now();
        load.goes_on_for(SETTLES + LOOKED).await;
        origins[0].ail(ill, 0);
        let heals = Instant::now();
        load.goes_on_for(RECOVERS + SETTLES).await;
        flips.push(Flip { ill, fails, heals });
    }
    load.ends.store(true, Relaxed);
    let mut answers = Vec::new();
    for caller in callers {
        answers.extend(caller.await.expect("a caller ends"));
    }
    for flip in &flips {
        judge(flip, &answers);
    }
}

fn judge(Flip { ill, fails, heals }: &Flip, answers: &[Answer]) {
    let between = |from: Instant, to: Instant| {
        answers.iter().filter(move |(at, _)| (from..to).contains(at)).map(|(_, origin)| origin)
    };
    let at_once = between(*fails, *fails + SETTLES).filter(|origin| origin.is_none()).count();
    let looked = between(*fails + SETTLES, *heals).count();
    let failed = between(*fails + SETTLES, *heals).filter(|origin| origin.is_none()).count();
    let back =
        answers.iter().filter(|(at, origin)| at > heals && origin.as_deref() == Some("shop-0"));
    let back = back.map(|(at, _)| *at - *heals).min();
    let share = 100.0 * failed as f64 / looked.max(1) as f64;
    eprintln!(
        "{ill:?}: {at_once} failed in the first {SETTLES:?}, then {failed} of {looked} \
         ({share:.2}%); found well again after {back:?}"
    );
    assert!(looked > 100, "the load was too small to judge: {looked}");
    assert!(failed * 100 < looked, "{ill:?}: {failed} of {looked}");
    assert!(back.is_some_and(|back| back <= RECOVERS), "{ill:?}: {back:?}");
    let after = between(*heals + RECOVERS, *heals + RECOVERS + SETTLES);
    assert_eq!(after.filter(|origin| origin.is_none()).count(), 0, "{ill:?}");
}
