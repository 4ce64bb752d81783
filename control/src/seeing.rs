//! What nodes tell of the requests that they decided, and count of them: kept in batches, for a while.
//!
//! ```text
//! Told ── a node of ours? ── each made fit to keep ── one transaction ──> Kept
//!                                                     once a minute the oldest go
//! ```
//!
//! A batch is read when the one before it is kept, so whoever tells faster than we keep waits, and
//! drops what there is no room for. Of all nodes only a few batches are written at once, so that no
//! commit of a person waits long behind them.

use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use store::decision::Teller;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;
use tonic::{Request, Response, Status, Streaming};
use wire::{Counts, EndedSession, Kept, LoggedOut, Series, Told};

use crate::App;
use crate::ca::{NodeKind, Proven};
use crate::clock::Clock;
use crate::fleet::Fleet;
use crate::identity::{FORGOTTEN, failed, known, proven};
use crate::moment::micros;
use crate::refusal::Refusal;
use crate::revocation::SECOND;

mod fit;

/// The largest batch that is read, in bytes: what one may hold, and room for those who count less
/// closely.
pub(crate) const BATCH: usize = 2 << 20;
/// Batches that are written at once.
const TURNS: usize = 2;
/// Nodes that are looked up at once: fewer than connections that read, of which people want some.
const LOOKS: usize = 2;
/// How often the oldest are looked for.
const ROUND: Duration = Duration::from_secs(60);
/// Of a cluster so many browsers are remembered that logged out; of more, those go whose sessions end soonest.
const LOGGED_OUT: i64 = 100_000;
/// No session lasts longer, in microseconds.
const LONGEST: i64 = 32 * 86_400 * SECOND;
/// How often it is looked whether a node that counts was forgotten.
const LOOK: Duration = Duration::from_secs(30);

const ENDED: &str = "the certificate of this stream has ended; open another stream";
const STOPPING: &str = "the control plane stops; come again";

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// What is older goes.
    pub lasts: Duration,
    /// All together weigh at most so much; the oldest go first.
    pub bytes: u64,
}

impl Default for Window {
    fn default() -> Self {
        Window { lasts: Duration::from_secs(86_400), bytes: 256 << 20 }
    }
}

/// Keeps what nodes tell.
#[derive(Debug)]
pub struct Seeing {
    app: Arc<App>,
    fleet: Arc<Fleet>,
    clock: Clock,
    window: Window,
    turns: Semaphore,
    looks: Semaphore,
    stopping: watch::Sender<bool>,
}

impl Seeing {
    /// Over an app and its store; `fleet` counts.
    pub fn new(app: Arc<App>, fleet: Arc<Fleet>, clock: Clock, window: Window) -> Self {
        let (stopping, _) = watch::channel(false);
        let (turns, looks) = (Semaphore::new(TURNS), Semaphore::new(LOOKS));
        Seeing { app, fleet, clock, window, turns, looks, stopping }
    }

    /// Ends all streams, and lets no more go on.
    pub(crate) fn stop(&self) {
        self.stopping.send_replace(true);
    }

    /// Has the oldest go, until it is aborted.
    pub(crate) async fn tidy(self: Arc<Self>) {
        let mut rounds = tokio::time::interval(ROUND);
        rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            rounds.tick().await;
            if let Err(error) = self.prune().await {
                tracing::warn!(%error, "old decisions could not be forgotten; trying again");
            }
        }
    }

    /// Has those go that are too old or too many; how many that were.
    async fn prune(&self) -> Result<u64, store::Error> {
        let lasts = i64::try_from(self.window.lasts.as_micros()).unwrap_or(i64::MAX);
        let before = micros(self.clock.now()).saturating_sub(lasts);
        let bytes = i64::try_from(self.window.bytes).unwrap_or(i64::MAX);
        self.app.store().decision_prune(before, bytes).await
    }

    /// Keeps what a node counted.
    async fn count(&self, node: &Arc<Teller>, counts: Counts) -> Result<Kept, Status> {
        let world = self.app.world_heard().await.map_err(failed)?;
        let (number, many) = (counts.number, counts.series.len());
        let series: Vec<_> = counts.series.into_iter().filter(fit::is_named).collect();
        if series.len() < many {
            let unfit = many - series.len();
            tracing::warn!(node = node.id, unfit, "a node counted requests of what has no name");
        }
        let counts = Counts { series, ..counts };
        let whose = |series: &Series| (fit::scope_of(series, &world), fit::made(series, &world));
        self.app.traffic().keep(node, counts, whose, micros(self.clock.now()));
        Ok(Kept { number })
    }

    /// Has browsers be nobody that logged out at a gateway, at each other one of its cluster.
    pub(crate) async fn end(&self, node: &Proven, told: LoggedOut) -> Result<Kept, Status> {
        if node.node.kind != NodeKind::Gateway {
            return Err(Status::permission_denied("browsers log out at gateways"));
        }
        let now = micros(self.clock.now());
        let cluster = node.node.cluster.to_string();
        let longest = now.saturating_add(LONGEST);
        let ended = |EndedSession { id, until }: EndedSession| store::revocation::EndedSession {
            cluster: cluster.clone(),
            session: id,
            ends: until.saturating_mul(SECOND).min(longest),
        };
        let ended: Vec<_> = told.sessions.into_iter().map(ended).collect();
        // Nobody waits behind decisions: few log out, and others are to know it at once.
        let kept = self.app.store().ended_session_add(&ended, now, LOGGED_OUT).await;
        kept.map_err(|error| failed(Refusal::from(error)))?;
        Ok(Kept { number: told.number })
    }

    /// Keeps a batch of a node.
    pub(crate) async fn keep(&self, node: &str, told: Told) -> Result<Kept, Status> {
        let world = self.app.world_heard().await.map_err(failed)?;
        let now = micros(self.clock.now());
        let many = told.decisions.len();
        let fit = told.decisions.into_iter().filter_map(|one| fit::fit(one, &world, now));
        let fit: Vec<_> = fit.collect();
        if fit.len() < many {
            tracing::warn!(node, unfit = many - fit.len(), "a node told what is no decision");
        }
        // Nobody closes it.
        let _turn = self.turns.acquire().await;
        let new = self.app.store().decision_keep(node, &fit).await.map_err(failed)?;
        let new = new.ok_or_else(|| Status::unauthenticated(FORGOTTEN))?;
        self.fleet.told(node, new, told.dropped);
        Ok(Kept { number: told.number })
    }
}

/// The service.
#[derive(Debug, Clone)]
pub struct Seeings(pub Arc<Seeing>);

/// What a node is answered.
pub type Answers = std::pin::Pin<Box<dyn Stream<Item = Result<Kept, Status>> + Send>>;

#[tonic::async_trait]
impl wire::server::Seeing for Seeings {
    type TellStream = Answers;
    type CountStream = Answers;
    type EndStream = Answers;

    async fn tell(&self, request: Request<Streaming<Told>>) -> Result<Response<Answers>, Status> {
        self.answers(request).await
    }

    async fn count(
        &self,
        request: Request<Streaming<Counts>>,
    ) -> Result<Response<Answers>, Status> {
        self.answers(request).await
    }

    async fn end(
        &self,
        request: Request<Streaming<LoggedOut>>,
    ) -> Result<Response<Answers>, Status> {
        self.answers(request).await
    }
}

impl Seeings {
    /// Keeps what comes on a stream of a node.
    async fn answers<T: Batch>(
        &self,
        request: Request<Streaming<T>>,
    ) -> Result<Response<Answers>, Status> {
        let proven = proven(&request)?;
        known(self.0.app.store(), &proven).await?;
        let telling = Telling::new(Arc::clone(&self.0), proven, request.into_inner());
        Ok(Response::new(Box::pin(futures::stream::unfold(Some(telling), Telling::next))))
    }
}

/// What travels on a stream of a node.
trait Batch: Send + Sized + 'static {
    /// Keeps it.
    fn keep(self, from: &mut Source) -> impl Future<Output = Result<Kept, Status>> + Send;
}

impl Batch for Told {
    async fn keep(self, from: &mut Source) -> Result<Kept, Status> {
        from.seeing.keep(&from.node.id, self).await
    }
}

impl Batch for Counts {
    async fn keep(self, from: &mut Source) -> Result<Kept, Status> {
        from.still_known().await?;
        from.seeing.count(&from.teller, self).await
    }
}

impl Batch for LoggedOut {
    async fn keep(self, from: &mut Source) -> Result<Kept, Status> {
        from.still_known().await?;
        from.seeing.end(&from.node, self).await
    }
}

/// The node that a stream comes from.
struct Source {
    seeing: Arc<Seeing>,
    node: Proven,
    teller: Arc<Teller>,
    /// When it was last looked whether it was forgotten.
    looked: Instant,
}

impl Source {
    /// Refuses a node that was forgotten, not long after.
    async fn still_known(&mut self) -> Result<(), Status> {
        if self.looked.elapsed() > LOOK {
            // Nobody closes it.
            let _turn = self.seeing.looks.acquire().await;
            known(self.seeing.app.store(), &self.node).await?;
            self.looked = Instant::now();
        }
        Ok(())
    }
}

/// One stream of a node. It has no task of its own: it goes on when its connection asks it to.
struct Telling<T> {
    from: Source,
    batches: Streaming<T>,
    stopping: watch::Receiver<bool>,
    /// When the certificate ends by which it was opened.
    until: Instant,
}

impl<T: Batch> Telling<T> {
    fn new(seeing: Arc<Seeing>, node: Proven, batches: Streaming<T>) -> Self {
        let lasts = Duration::try_from(node.expires - seeing.clock.now()).unwrap_or_default();
        let stopping = seeing.stopping.subscribe();
        let (looked, until) = (Instant::now(), Instant::now() + lasts);
        let (cluster, kind) = (node.node.cluster.to_string(), node.node.kind.as_str().to_owned());
        let (id, name) = (node.id.clone(), node.node.name.to_string());
        let teller = Arc::new(Teller { id, cluster, kind, name });
        Telling { from: Source { seeing, node, teller, looked }, batches, stopping, until }
    }

    /// The next answer, and what goes on behind it: nothing behind the reason why it ends.
    async fn next(telling: Option<Self>) -> Option<(Result<Kept, Status>, Option<Self>)> {
        let mut telling = telling?;
        match telling.answer().await {
            Ok(Some(kept)) => Some((Ok(kept), Some(telling))),
            Ok(None) => None,
            Err(status) => Some((Err(status), None)),
        }
    }

    /// The answer to the next batch; none if the node has no more.
    async fn answer(&mut self) -> Result<Option<Kept>, Status> {
        let told = tokio::select! {
            told = self.batches.message() => told?,
            () = tokio::time::sleep_until(self.until) => {
                return Err(Status::unauthenticated(ENDED));
            }
            _ = self.stopping.wait_for(|stops| *stops) => {
                return Err(Status::unavailable(STOPPING));
            }
        };
        let Some(told) = told else { return Ok(None) };
        // The clock on the wall goes on while the machine sleeps.
        if self.from.node.expires <= self.from.seeing.clock.now() {
            return Err(Status::unauthenticated(ENDED));
        }
        told.keep(&mut self.from).await.map(Some)
    }
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::*;
    use crate::test::Bed;

    #[tokio::test]
    async fn what_is_too_old_or_too_much_goes() {
        let bed = Bed::new().await;
        let node = store::node::Node {
            id: "n1".to_owned(),
            cluster: "east".to_owned(),
            kind: "gateway".to_owned(),
            name: "edge-1".to_owned(),
            version: String::new(),
            first_seen: 0,
            last_seen: 0,
            certificate: None,
            connected: true,
            standing: None,
        };
        bed.store.node_join(&node).await.unwrap();
        let now = OffsetDateTime::now_utc();
        let clock = Clock::of(move || now);
        let decision = |seconds: i64| wire::Decision {
            span: format!("{seconds:016x}"),
            trace: "a".repeat(32),
            at: micros(now) - seconds * 1_000_000,
            ..wire::Decision::default()
        };
        let fleet = Arc::new(Fleet::new(bed.store.clone(), clock.clone()));
        let seeing = |seconds, bytes| {
            let window = Window { lasts: Duration::from_secs(seconds), bytes };
            Seeing::new(Arc::clone(&bed.app), Arc::clone(&fleet), clock.clone(), window)
        };
        let told = wire::Told { decisions: (0..10).map(decision).collect(), ..Default::default() };
        seeing(60, 0).keep("n1", told).await.unwrap();
        assert_eq!(seeing(60, 1 << 20).prune().await.unwrap(), 0);
        assert_eq!(seeing(4, 1 << 20).prune().await.unwrap(), 5, "those of 5 to 9 seconds ago");
        assert_eq!(seeing(60, 0).prune().await.unwrap(), 5);
    }
}
