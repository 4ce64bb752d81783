//! The stream that says "look again": each new revision, and that something became of a node.
//!
//! It never says what changed, so that it tells nobody more than they may read.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use prometheus_client::metrics::gauge::Gauge;
use time::OffsetDateTime;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::Rest;
use super::ask::Ask;
use super::problem::Problem;
use crate::authn::Caller;

/// Streams at once.
const STREAMS: usize = 512;

/// Streams of one user at once, so that nobody takes those of everybody else.
const OF_A_USER: usize = 64;

/// How often a comment is sent, so that nobody on the way takes the stream for dead.
const ALIVE: Duration = Duration::from_secs(15);

/// How often it is looked at nodes, and whether the caller is still let in.
const LOOK: Duration = Duration::from_secs(2);

/// An open stream.
struct Watching {
    rest: Arc<Rest>,
    caller: Caller,
    revisions: watch::Receiver<i64>,
    stopping: watch::Receiver<bool>,
    looks: Interval,
    /// What nodes looked like when it was last looked.
    nodes: Option<String>,
    _counted: Counted,
    _place: Place,
}

/// Room for streams.
#[derive(Debug)]
pub(super) struct Places {
    free: Arc<Semaphore>,
    /// How many each user has, by id.
    taken: Mutex<HashMap<String, usize>>,
}

/// Room that one stream takes, while it lives.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    user: String,
    _permit: OwnedSemaphorePermit,
}

impl Places {
    pub(super) fn new() -> Arc<Self> {
        let free = Arc::new(Semaphore::new(STREAMS));
        Arc::new(Places { free, taken: Mutex::default() })
    }

    /// Room for one more stream of a user's, by their id.
    pub(super) fn take(self: &Arc<Self>, user: &str) -> Result<Place, Problem> {
        let permit = Arc::clone(&self.free).try_acquire_owned();
        let permit = permit.map_err(|_| Problem::unavailable("too many streams are open"))?;
        let mut taken = self.taken();
        let own = taken.entry(user.to_owned()).or_default();
        if *own >= OF_A_USER {
            let words = format!("you have {OF_A_USER} streams open, and no more are for one user");
            return Err(Problem::unavailable(&words));
        }
        *own += 1;
        Ok(Place { places: Arc::clone(self), user: user.to_owned(), _permit: permit })
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        if let Some(own) = taken.get_mut(&self.user) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.user);
            }
        }
    }
}

/// Why a stream goes on, or not.
enum Woke {
    End,
    Revision,
    Look,
}

/// One more in a gauge, while it lives.
struct Counted(Gauge);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

pub(super) async fn open(ask: Ask) -> Result<Response, Problem> {
    let caller = ask.caller()?.clone();
    let place = ask.rest.streams.take(&caller.id)?;
    let gauge = ask.rest.metrics.watching().clone();
    gauge.inc();
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut revisions = ask.app().store().changes();
    // Whoever begins to watch is told where we are.
    revisions.mark_changed();
    let watching = Watching {
        revisions,
        stopping: ask.rest.stopping.clone(),
        rest: ask.rest,
        caller,
        looks,
        nodes: None,
        _counted: Counted(gauge),
        _place: place,
    };
    let events = futures::stream::unfold(watching, async |mut watching| {
        let event = watching.next().await?;
        Some((Ok::<_, Infallible>(event), watching))
    });
    let alive = KeepAlive::new().interval(ALIVE);
    Ok(Sse::new(events).keep_alive(alive).into_response())
}

impl Watching {
    /// The next event; none where the stream ends.
    async fn next(&mut self) -> Option<Event> {
        loop {
            let woke = tokio::select! {
                _ = self.stopping.wait_for(|stopping| *stopping) => Woke::End,
                changed = self.revisions.changed() => match changed {
                    Ok(()) => Woke::Revision,
                    Err(_) => Woke::End,
                },
                _ = self.looks.tick() => Woke::Look,
            };
            match woke {
                Woke::End => return None,
                Woke::Revision => {
                    let revision = *self.revisions.borrow_and_update();
                    let event = Event::default().event("revision");
                    return Some(event.data(format!("{{\"revision\":{revision}}}")));
                }
                Woke::Look if !self.is_let_in().await => return None,
                Woke::Look if self.nodes_changed().await => {
                    return Some(Event::default().event("nodes").data("{}"));
                }
                Woke::Look => {}
            }
        }
    }

    /// While the store does not answer, nobody is let in.
    async fn is_let_in(&self) -> bool {
        let asked = self.rest.app.caller_is_good(&self.caller, OffsetDateTime::now_utc());
        matches!(asked.await, Ok(true))
    }

    async fn nodes_changed(&mut self) -> bool {
        let Ok(now) = self.rest.app.node_pulse(OffsetDateTime::now_utc()).await else {
            return false;
        };
        let before = self.nodes.replace(now);
        before.is_some() && before != self.nodes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_user_has_no_more_than_their_share_and_gives_it_back() {
        let places = Places::new();
        let own: Vec<_> = (0..OF_A_USER).map(|_| places.take("eve").ok()).collect();
        assert!(own.iter().all(Option::is_some));
        assert!(places.take("eve").is_err());
        let other = places.take("admin");
        assert!(other.is_ok(), "there is room for everybody else");
        drop((own, other));
        assert!(places.taken().is_empty(), "nobody is remembered who has none");
        assert!(places.take("eve").is_ok());
        let users = (0..STREAMS).map(|number| places.take(&number.to_string()).ok());
        let all: Vec<_> = users.collect();
        assert!(all.iter().all(Option::is_some));
        assert!(places.take("one more").is_err(), "and only so many for all");
    }
}
