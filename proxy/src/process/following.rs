//! The loop of a process that is joined to a server: what comes is put in force, until it is told to stop.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use super::handover::{Place, Stock};
use super::{Outfit, Process, ProcessError, Signals, Stop, tell_missing};
use crate::Membership;
use crate::config::{self, Joined, Ready, Update};
use crate::decisions::Decisions;
use crate::tls::tickets::Told;
use crate::traffic::Traffic;

/// How often it is tried to open ports that could not be opened, or the folder after another process had it.
const AGAIN: Duration = Duration::from_secs(5);

/// How often it is looked which endpoints get no requests; the server learns of it every few seconds.
const LOOK: Duration = Duration::from_secs(1);

/// Joins a server and serves what it says until told to stop, or until another process does.
///
/// # Errors
/// If it cannot start, or turns out to be one that may not join.
pub fn follow(outfit: Outfit, node: config::Settings) -> Result<(), ProcessError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(ProcessError::Loop)?;
    let signals = runtime.block_on(async { Signals::listen() })?;
    let membership = Arc::<Membership>::default();
    let decisions = Arc::new(Decisions::new(outfit.settings.workers, outfit.decision_ratio));
    let traffic = Arc::new(Traffic::new(outfit.settings.workers));
    let (mut place, given) = runtime.block_on(Place::find(outfit.handover.as_deref()))?;
    runtime.block_on(place.want_folder())?;
    let (status, told) = (Arc::default(), Arc::<Told>::default());
    let node = Node { settings: node, membership, decisions, traffic, status, told };
    let joined = node.join()?;
    let (show, shared) = (Arc::clone(&node.status), Arc::clone(&node.membership));
    let show = Arc::new(move || show.show());
    let told = Some(Arc::clone(&node.told));
    let mut process = Process::start(outfit, shared, told, show, (place, given))?;
    let (status, decisions) = (Arc::clone(&node.status), Arc::clone(&node.decisions));
    process.telemetry.joined(status, decisions, Arc::clone(&node.traffic));
    let joined = Some(joined);
    let mut following = Following { node, joined, follows: true, serves: false };
    let followed = runtime.block_on(following.follow(&mut process, signals));
    // What is in force is kept before the drain, which may take long.
    drop(following.joined);
    process.end();
    followed
}

/// As what a process joins, and what it tells.
struct Node {
    settings: config::Settings,
    membership: Arc<Membership>,
    decisions: Arc<Decisions>,
    traffic: Arc<Traffic>,
    status: Arc<config::Status>,
    /// By what the server says that sessions are sealed.
    told: Arc<Told>,
}

impl Node {
    fn join(&self) -> Result<Joined, config::Error> {
        let parts = config::Parts {
            membership: Arc::clone(&self.membership),
            decisions: Arc::clone(&self.decisions),
            traffic: Arc::clone(&self.traffic),
            status: Arc::clone(&self.status),
            told: Arc::clone(&self.told),
        };
        Joined::start(self.settings.clone(), parts)
    }
}

/// A process that follows a server.
struct Following {
    node: Node,
    /// None while another process has the folder.
    joined: Option<Joined>,
    /// Whether anything more may come of it.
    follows: bool,
    /// Whether it was said that it serves.
    serves: bool,
}

impl Following {
    /// Puts in force what comes, until told to stop, until another process serves, or until it cannot join.
    async fn follow(
        &mut self,
        process: &mut Process,
        signals: Signals,
    ) -> Result<(), ProcessError> {
        let Signals { mut stop, mut again } = signals;
        let mut retry = tokio::time::interval(AGAIN);
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut news = process.membership.news();
        loop {
            tokio::select! {
                // Whoever is told to stop does not take the place of another first.
                biased;
                () = stop.told() => return Ok(()),
                _ = again.recv() => {
                    process.reopen_log();
                    process.look_at_tickets();
                }
                _ = retry.tick() => {
                    process.look_at_tickets();
                    if let Some(failed) = process.retry() {
                        self.joined.iter().for_each(|joined| joined.unopened(&failed));
                    }
                    self.join_again();
                    self.tell_ready(process, &mut stop).await?;
                }
                _ = look.tick() => {
                    self.joined.iter().for_each(|joined| joined.resting(process.resting()));
                }
                _ = news.changed() => self.tell_ready(process, &mut stop).await?,
                update = next(&mut self.joined), if self.follows => match update {
                    Some(Update::Table(ready)) => {
                        self.take(process, ready);
                        self.tell_ready(process, &mut stop).await?;
                    }
                    // It had joined before, and another process had the folder meanwhile.
                    Some(Update::Failed(error)) if self.serves => {
                        tracing::error!("{error}; it is tried again, and what is in force is served on");
                        self.joined = None;
                    }
                    Some(Update::Failed(error)) => return Err(error.into()),
                    None => {
                        tracing::error!("following the server broke off; what is in force is served on");
                        self.follows = false;
                    }
                },
                heir = process.called() => {
                    let heir = heir?;
                    // What the server said is in force there, too.
                    let stock = Stock::default();
                    let hands_over = process.hand_over(heir, &stock, || self.joined = None);
                    tokio::select! {
                        () = stop.told() => return Ok(()),
                        is_followed = hands_over => if is_followed { return Ok(()) },
                    }
                    self.join_again();
                }
            }
        }
    }

    /// Follows the server again, if the process that wanted to do so came to nothing.
    fn join_again(&mut self) {
        if self.joined.is_some() {
            return;
        }
        match self.node.join() {
            Ok(joined) => (self.joined, self.follows) = (Some(joined), true),
            Err(error) => {
                tracing::warn!("{error}; it is tried again, and what is in force is served on")
            }
        }
    }

    /// Puts a table in force.
    fn take(&mut self, process: &mut Process, ready: Ready) {
        for fault in &ready.faults {
            tracing::error!("{fault}");
        }
        let failed = process.apply(&ready.table, ready.faults.len());
        tell_missing(&failed);
        self.joined.iter().for_each(|joined| joined.unopened(&failed));
        ready.applied();
    }

    /// Says once that it serves: when a table is in force and every port of it is open.
    async fn tell_ready(
        &mut self,
        process: &mut Process,
        stop: &mut Stop,
    ) -> Result<(), ProcessError> {
        let speaks = !process.is_beside || process.membership.now().is_some();
        if process.applied && !self.serves && !process.missing && speaks {
            self.serves = process.ready(stop, &Stock::default()).await?;
            if self.serves {
                tracing::info!("ready");
            }
        }
        Ok(())
    }
}

/// What comes next from the server; nothing while nobody follows it.
async fn next(joined: &mut Option<Joined>) -> Option<Update> {
    match joined {
        Some(joined) => joined.next().await,
        None => std::future::pending().await,
    }
}
