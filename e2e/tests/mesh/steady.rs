//! Requests at a steady rate to two gateways in turn, and what became of each of them.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use e2e::client::{Fault, nothing, request};
use e2e::soak::rate;
use e2e::{Connection, wait};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, timeout};

use crate::scene::HOST;

/// Requests per second, half of them to each gateway.
pub(crate) static RATE: LazyLock<u32> = LazyLock::new(|| rate(50, 200));
/// Below this a machine keeps up with what it is asked: the part of a second that a request takes.
const CALM: f64 = 0.25;
/// What has no answer within this has failed.
const ANSWERED: Duration = Duration::from_secs(10);

/// What became of one request.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    /// The gateway that it was meant for.
    pub(crate) door: SocketAddr,
    /// Whether that one refused the connection, and the other one was asked.
    pub(crate) elsewhere: bool,
    pub(crate) began: Instant,
    pub(crate) ended: Instant,
    /// The cluster whose catalog answered, or what went wrong.
    pub(crate) answer: Result<String, String>,
}

/// Requests that go on until this is ended.
pub(crate) struct Load {
    calls: Arc<Calls>,
    /// How many were told of.
    told: usize,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Calls {
    /// In the order in which they began; none for what is under way.
    outcomes: Mutex<Vec<Option<Outcome>>>,
    /// The gateway whose callers know that it may be gone, and go to the other one.
    forgiven: Mutex<Option<SocketAddr>>,
    is_over: AtomicBool,
}

impl Load {
    pub(crate) fn start(doors: [SocketAddr; 2]) -> Self {
        let calls = Arc::<Calls>::default();
        let task = tokio::spawn(send(doors, Arc::clone(&calls)));
        Load { calls, told: 0, task }
    }

    /// From now on a connection that this gateway refuses is tried at the other one. Any other that
    /// is refused is a failure.
    pub(crate) fn forgive(&self, door: Option<SocketAddr>) {
        *self.calls.forgiven.lock().expect("nobody panics with it") = door;
    }

    /// Waits until so many more have begun.
    pub(crate) async fn goes_on(&self, more: u64) {
        let until = self.calls.begun() + usize::try_from(more).expect("a count");
        let bound = Duration::from_secs(more / u64::from(*RATE) + 60);
        let began = Instant::now();
        while self.calls.begun() < until {
            assert!(began.elapsed() < bound, "the load does not go on");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until no more are under way than a machine has that keeps up.
    pub(crate) async fn until_calm(&self) {
        wait::until_true("the machine to keep up with the load", || {
            let outcomes = self.calls.outcomes.lock().expect("nobody panics with it");
            let under_way = outcomes.iter().filter(|one| one.is_none()).count();
            (under_way as f64) < f64::from(*RATE) * CALM
        })
        .await;
    }

    /// Waits until a request that began after `since` is answered by a cluster's catalog.
    pub(crate) async fn until_answered(&self, door: SocketAddr, cluster: &str, since: Instant) {
        let is_it = |one: &Outcome| {
            one.door == door && one.began > since && one.answer.as_deref() == Ok(cluster)
        };
        wait::until_true(&format!("the {cluster} to serve its catalog"), || {
            let outcomes = self.calls.outcomes.lock().expect("nobody panics with it");
            outcomes.iter().flatten().any(is_it)
        })
        .await;
    }

    /// What became of all that began since this was asked last, each waited for to its end.
    pub(crate) async fn outcomes(&mut self) -> Vec<Outcome> {
        let (first, end) = (self.told, self.calls.begun());
        self.told = end;
        wait::until("every request to end", || {
            let outcomes = self.calls.outcomes.lock().expect("nobody panics with it");
            std::future::ready(outcomes[first..end].iter().cloned().collect())
        })
        .await
    }

    /// Sends no more; what became of the last ones, and how many there were in all.
    pub(crate) async fn end(mut self) -> (Vec<Outcome>, usize) {
        self.calls.is_over.store(true, Ordering::Relaxed);
        let last = self.outcomes().await;
        wait::within("the end of the load", self.task).await.expect("it ends");
        (last, self.told)
    }
}

impl Calls {
    fn begun(&self) -> usize {
        self.outcomes.lock().expect("nobody panics with it").len()
    }

    fn begin(&self) -> usize {
        let mut outcomes = self.outcomes.lock().expect("nobody panics with it");
        outcomes.push(None);
        outcomes.len() - 1
    }

    fn end(&self, nth: usize, outcome: Outcome) {
        self.outcomes.lock().expect("nobody panics with it")[nth] = Some(outcome);
    }

    fn forgives(&self, door: SocketAddr) -> bool {
        *self.forgiven.lock().expect("nobody panics with it") == Some(door)
    }
}

/// Sends them at their rate, each on a connection of its own, whatever became of those before.
async fn send(doors: [SocketAddr; 2], calls: Arc<Calls>) {
    let mut beat = tokio::time::interval(Duration::from_secs(1) / *RATE);
    let mut under_way = JoinSet::new();
    while !calls.is_over.load(Ordering::Relaxed) {
        beat.tick().await;
        while under_way.try_join_next().is_some() {}
        let nth = calls.begin();
        let (door, other) = (doors[nth % 2], doors[(nth + 1) % 2]);
        let other = calls.forgives(door).then_some(other);
        let calls = Arc::clone(&calls);
        under_way.spawn(async move { calls.end(nth, call(door, other).await) });
    }
    while under_way.join_next().await.is_some() {}
}

/// Asks a gateway, or the other one where there is one and the first refuses the connection.
async fn call(door: SocketAddr, other: Option<SocketAddr>) -> Outcome {
    let (began, mut elsewhere) = (Instant::now(), false);
    let asked = timeout(ANSWERED, async {
        let connection = match (Connection::h1(door).await, other) {
            (Err(_), Some(other)) => {
                elsewhere = true;
                Connection::h1(other).await
            }
            (opened, _) => opened,
        };
        ask(connection?).await
    });
    let answer = asked.await.unwrap_or_else(|_| Err(format!("no answer in {ANSWERED:?}").into()));
    let answer = answer.map_err(|fault| fault.to_string());
    Outcome { door, elsewhere, began, ended: Instant::now(), answer }
}

/// The cluster whose catalog answers.
async fn ask(mut connection: Connection) -> Result<String, Fault> {
    let reply = connection.send(request("GET", HOST, "/").body(nothing())?).await?;
    if reply.status != 200 {
        return Err(format!("{}: {}", reply.status, reply.text()).into());
    }
    let called = &reply.json()["called"]["called"]["cluster"];
    Ok(called.as_str().ok_or_else(|| format!("no catalog: {}", reply.text()))?.to_owned())
}
