//! Flows of UDP: all datagrams of one caller, by address and port, to one listener go to one endpoint.
//!
//! ```text
//!            the listener's socket            a socket of the flow's own
//!  caller ──────────────────────────> flow ──────────────────────────> endpoint
//!         <──────────────────────────      <──────────────────────────
//! ```
//!
//! One task of a worker reads a listener's socket and has its flows for itself, since the kernel leads all
//! datagrams of a caller to one of the workers; each flow has a task that reads the answers.
//! For each datagram at most one goes out: what cannot be sent on is dropped and counted.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use policy::Reason;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::datagram::{Ends, LONGEST, Room, Socket};
use crate::flow::{Caller, Flow};
use crate::metrics::flows::Dropped;
use crate::worker::{Shared, canonical};

/// How long a socket waits after it failed.
const AGAIN: Duration = Duration::from_millis(20);
/// Datagrams that are read before others have their turn.
const TURN: usize = 64;
/// Of datagrams that lead nowhere one in so long is told of, at each socket: who sends them may be anybody.
const TOLD: Duration = Duration::from_secs(1);

/// The flows that a worker has, of all its sockets.
pub(crate) type Count = Arc<AtomicUsize>;

/// Takes the datagrams of one port on one worker.
#[derive(Debug)]
pub(crate) struct Taking {
    worker: usize,
    port: u16,
    shared: Arc<Shared>,
    tasks: TaskTracker,
    open: Count,
    flows: HashMap<Ends, Arc<Flow>>,
    /// Flows say here that they are over.
    over: mpsc::UnboundedSender<Ends>,
    ended: mpsc::UnboundedReceiver<Ends>,
    telling: Arc<Telling>,
}

/// When it was told of a flow that led nowhere, so that few are told of.
#[derive(Debug, Default)]
pub(crate) struct Telling(Mutex<Option<Instant>>);

impl Telling {
    /// Whether it is time to tell of one more.
    pub(crate) fn is_time(&self) -> bool {
        let (mut told, now) =
            (self.0.lock().unwrap_or_else(PoisonError::into_inner), Instant::now());
        let is_time = told.is_none_or(|told| now.saturating_duration_since(told) >= TOLD);
        if is_time {
            *told = Some(now);
        }
        is_time
    }
}

/// A flow's place among those of its worker.
struct Place(Count);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// Tells whoever reads the socket that a flow is over.
struct Told {
    over: mpsc::UnboundedSender<Ends>,
    ends: Ends,
}

impl Drop for Told {
    fn drop(&mut self) {
        // Where nobody reads any more, nobody looks for it.
        let _ = self.over.send(self.ends);
    }
}

impl Taking {
    pub(crate) fn new(
        worker: usize,
        at: SocketAddr,
        shared: &Arc<Shared>,
        tasks: &TaskTracker,
        open: &Count,
    ) -> Self {
        let (over, ended) = mpsc::unbounded_channel();
        Taking {
            worker,
            port: at.port(),
            shared: Arc::clone(shared),
            tasks: tasks.clone(),
            open: Arc::clone(open),
            flows: HashMap::new(),
            over,
            ended,
            telling: Arc::default(),
        }
    }

    /// Takes datagrams until `closed`; then, where the process ends and nobody follows it, those of flows that
    /// there are, until they are over.
    pub(crate) async fn run(
        mut self,
        socket: UdpSocket,
        closed: CancellationToken,
    ) -> io::Result<()> {
        tokio::select! {
            () = self.shared.phase.accepting() => {}
            () = closed.cancelled() => return Ok(()),
        }
        let (socket, mut room) = (Arc::new(Socket::new(socket)?), Room::new());
        loop {
            tokio::select! {
                () = closed.cancelled() => break,
                () = self.step(&socket, &mut room) => {}
            }
        }
        let phase = &self.shared.phase;
        // What comes to a process that is followed the next one takes; of a port that is closed no flow is left.
        let carries_on = phase.grace().is_some() && !phase.is_followed();
        while carries_on && !self.flows.is_empty() {
            self.step(&socket, &mut room).await;
        }
        Ok(())
    }

    /// Takes what is there, or forgets a flow that is over. Broken off while it waits it has lost nothing.
    async fn step(&mut self, socket: &Arc<Socket>, room: &mut Room) {
        tokio::select! {
            Some(ends) = self.ended.recv() => self.forget(ends),
            ready = socket.readable() => match ready.and_then(|()| self.take(socket, room)) {
                Ok(()) => tokio::task::yield_now().await,
                Err(error) => {
                    tracing::warn!(port = self.port, %error, "cannot take datagrams");
                    tokio::time::sleep(AGAIN).await;
                }
            },
        }
    }

    /// A flow that is over makes room; one that began in its place stays.
    fn forget(&mut self, ends: Ends) {
        if self.flows.get(&ends).is_some_and(|flow| flow.is_over()) {
            self.flows.remove(&ends);
        }
    }

    fn take(&mut self, socket: &Arc<Socket>, room: &mut Room) -> io::Result<()> {
        // No more flows are over than began here, and those are few each time.
        while let Ok(ends) = self.ended.try_recv() {
            self.forget(ends);
        }
        for _ in 0..TURN {
            let (ends, length) = match socket.receive(room) {
                Ok(came) => came,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            // Nobody has the port 0, so nobody could be answered there.
            let ends = ends.filter(|ends| ends.caller.port() != 0 && length <= LONGEST);
            let carried = match ends {
                Some(ends) => self.carry(socket, ends, room.datagram(length)),
                None => Err(Dropped::Unsent),
            };
            if let Err(why) = carried {
                self.shared.telemetry.flows(self.worker).dropped(why);
            }
        }
        Ok(())
    }

    /// Sends a datagram on; once more, to another endpoint, where its flow's own turns out to take none.
    fn carry(&mut self, socket: &Arc<Socket>, ends: Ends, datagram: &[u8]) -> Result<(), Dropped> {
        for _ in 0..2 {
            let flow = self.flow(socket, ends)?;
            match flow.send(datagram) {
                Ok(()) => return Ok(()),
                Err(_) if flow.is_over() => {}
                Err(error) => {
                    tracing::debug!(caller = %ends.caller, %error, "a datagram was not sent on");
                    return Err(Dropped::Unsent);
                }
            }
        }
        Err(Dropped::NoBackend)
    }

    /// The flow of a caller, which is begun where there is none.
    fn flow(&mut self, socket: &Arc<Socket>, ends: Ends) -> Result<Arc<Flow>, Dropped> {
        if let Some(flow) = self.flows.get(&ends).filter(|flow| !flow.is_over()) {
            return Ok(Arc::clone(flow));
        }
        let flow = self.begin(socket, ends)?;
        self.flows.insert(ends, Arc::clone(&flow));
        Ok(flow)
    }

    fn begin(&mut self, socket: &Arc<Socket>, ends: Ends) -> Result<Arc<Flow>, Dropped> {
        let shared = Arc::clone(&self.shared);
        if shared.phase.grace().is_some() {
            return Err(Dropped::Draining);
        }
        let from = canonical(ends.caller);
        let limits = &shared.settings.limits;
        let one_more = |open: usize| (open < limits.flows).then(|| open + 1);
        self.open.fetch_update(Relaxed, Relaxed, one_more).map_err(|_| Dropped::TooManyFlows)?;
        let place = Place(Arc::clone(&self.open));
        let seat = shared.flow_seats.take_for(limits, from.ip());
        let seat = seat.ok_or(Dropped::TooManyOfAddress)?;
        let (live, tasks) = (shared.live.load_full(), &self.tasks);
        let (worker, at) = (self.worker, (ends.own, self.port));
        let caller = Caller { shared: &shared, tasks, worker, from, at };
        let begun = caller.begin(&live, || self.telling.is_time()).map_err(dropped)?;
        let flow = Arc::clone(&begun.flow);
        let told = Told { over: self.over.clone(), ends };
        let carrying = begun.carry((socket, ends), &self.telling, (seat, place, told));
        self.tasks.spawn(carrying.run());
        Ok(flow)
    }
}

/// What a reason means for a datagram.
fn dropped(reason: Reason) -> Dropped {
    match reason {
        Reason::NoListener | Reason::NoRoute => Dropped::NoRoute,
        reason if reason.is_denial() => Dropped::Denied,
        _ => Dropped::NoBackend,
    }
}

#[cfg(test)]
mod tests;
