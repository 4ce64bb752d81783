//! One flow: datagrams go to the endpoint that was picked for it, and what that answers goes back.
//!
//! A flow is one exchange: it has one record, told when it is over.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use http::HeaderMap;
use policy::Reason;
use socket2::SockRef;
use table::Target;
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::balance::{self, Said, Turn};
use crate::datagram::{Ends, LONGEST, Socket};
use crate::flows::Telling;
use crate::live::{Endpoint, Live};
use crate::metrics::flows::{Dropped, Way};
use crate::record::Record;
use crate::tls::backend::Face;
use crate::worker::Shared;
use caller::{facts, may};

mod caller;

pub(crate) use caller::Caller;

/// Answers that are read of one flow before others have their turn.
const TURN: usize = 16;

/// A flow, as whoever reads the listener's socket sees it.
#[derive(Debug)]
pub(crate) struct Flow {
    /// Connected to its endpoint.
    socket: UdpSocket,
    endpoint: Arc<Endpoint>,
    shared: Arc<Shared>,
    worker: usize,
    /// Datagrams and bytes, in the order of [`Way::ALL`].
    counts: [[AtomicU64; 2]; Way::ALL.len()],
    /// When a datagram went last, in nanoseconds since the process's epoch.
    touched: AtomicU64,
    is_over: AtomicBool,
    /// Says that its endpoint takes nothing.
    refused: Notify,
}

/// A flow that was begun, and what is told of it.
#[derive(Debug)]
pub(crate) struct Begun {
    pub(crate) flow: Arc<Flow>,
    record: Box<Record>,
    turn: Turn,
}

/// What a flow has for as long as it lasts.
pub(crate) struct Carrying<H> {
    begun: Begun,
    socket: Arc<Socket>,
    ends: Ends,
    telling: Arc<Telling>,
    /// Is dropped with it.
    _held: H,
}

/// Whether an error says that nobody is there.
fn is_unreachable(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
    )
}

/// Whether an error is that of one datagram, which was longer than the way takes.
fn is_passing(error: &io::Error) -> bool {
    error.raw_os_error() == Some(nix::libc::EMSGSIZE)
}

impl Flow {
    fn new(
        socket: UdpSocket,
        endpoint: Arc<Endpoint>,
        shared: Arc<Shared>,
        worker: usize,
        now: u64,
    ) -> Self {
        Flow {
            socket,
            endpoint,
            shared,
            worker,
            counts: Default::default(),
            touched: AtomicU64::new(now),
            is_over: AtomicBool::new(false),
            refused: Notify::new(),
        }
    }

    /// Whether it takes no more.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Relaxed)
    }

    /// Sends a datagram to its endpoint; whether it went there. Where it turns out that nobody takes any, the
    /// flow is over.
    ///
    /// # Errors
    /// If the system does not send it.
    pub(crate) fn send(&self, datagram: &[u8]) -> io::Result<()> {
        // Not by way of what is known of the socket: nothing is before its first datagram.
        match SockRef::from(&self.socket).send(datagram) {
            Ok(_) => {
                self.count(Way::There, datagram.len());
                Ok(())
            }
            Err(error) => {
                if is_unreachable(&error) {
                    self.fail();
                    self.refused.notify_one();
                }
                Err(error)
            }
        }
    }

    /// Learns that its endpoint takes nothing: it rests, like one that cannot be connected to.
    fn fail(&self) {
        if !self.is_over.swap(true, Relaxed) {
            let now = self.now();
            if self.endpoint.load.unreached(self.touched.load(Relaxed), now) {
                self.endpoint.load.ails_of("it could not be reached: it refuses datagrams");
            }
        }
    }

    fn count(&self, way: Way, bytes: usize) {
        let [datagrams, sum] = &self.counts[way as usize];
        datagrams.fetch_add(1, Relaxed);
        sum.fetch_add(bytes as u64, Relaxed);
        self.touched.store(self.now(), Relaxed);
        self.shared.telemetry.flows(self.worker).carried(way, bytes);
    }

    fn now(&self) -> u64 {
        balance::nanos(self.shared.epoch, Instant::now())
    }

    /// Ends when no datagram went for the bound on silence; at the end of the process that is a short one.
    async fn silent(&self) {
        let (idle, phase) = (self.shared.settings.limits.flow_idle, &self.shared.phase);
        loop {
            let grace = phase.grace();
            let bound = grace.map_or(idle, |grace| grace.min(idle));
            let since = self.now().saturating_sub(self.touched.load(Relaxed));
            let left = bound.saturating_sub(Duration::from_nanos(since));
            if left.is_zero() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(left) => {}
                () = phase.draining(), if grace.is_none() => {}
            }
        }
    }

    /// Why it ends by a table, if it does: by that its datagrams are to go elsewhere now, or nowhere.
    fn ends_by(&self, live: &Live, record: &Record) -> Option<(Reason, &'static str)> {
        let (method, headers) = (policy::udp(), HeaderMap::new());
        let facts = facts(record.source, record.port, SystemTime::now(), (&method, &headers));
        let found = match may(live, &facts) {
            Ok(found) => found,
            Err(reason) if reason.is_denial() => {
                return Some((Reason::AccessDenied, "cut: a new table forbids it"));
            }
            Err(_) => return Some((Reason::Ok, "a new table leads it nowhere")),
        };
        let mut targets = found.rule.backends.iter().filter(|backend| backend.weight > 0);
        let service = targets.find_map(|backend| match backend.target {
            Target::Service(id) => {
                Some(&live.services[id]).filter(|one| Some(&one.label) == record.backend.as_ref())
            }
            Target::Broken(_) => None,
        });
        let Some(service) = service else {
            return Some((Reason::Ok, "a new table leads it elsewhere"));
        };
        if !matches!(live.face(service, found.listener), Ok(Face::Plain)) {
            return Some((Reason::AccessDenied, "cut: nothing goes in the clear any more"));
        }
        let is_here =
            |one: &Arc<Endpoint>| one.address == self.endpoint.address && one.way.is_none();
        (!service.endpoints.iter().any(is_here)).then_some((Reason::Ok, "its endpoint is gone"))
    }

    /// Ends when a table comes into force by which it does.
    async fn moved(&self, record: &Record) -> (Reason, &'static str) {
        let mut changes = self.shared.changes.subscribe();
        loop {
            if let Some(why) = self.ends_by(&self.shared.live.load(), record) {
                return why;
            }
            if changes.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    /// Sends back what its endpoint answers, until that fails.
    async fn answers(&self, socket: &Socket, ends: Ends, turn: &mut Turn) -> io::Error {
        let mut is_first = true;
        loop {
            // Errors also by themselves: a refusal comes without anything to read.
            match self.socket.ready(Interest::READABLE | Interest::ERROR).await {
                Ok(ready) if ready.is_error() => match self.error() {
                    Some(error) if !is_passing(&error) => return error,
                    Some(_) | None => {}
                },
                Ok(_) => {}
                Err(error) => return error,
            }
            // Of many flows most are idle: none has room of its own for what may come.
            let mut room = Vec::with_capacity(LONGEST + 1);
            for _ in 0..TURN {
                room.clear();
                match self.socket.try_recv_buf(&mut room) {
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) if is_passing(&error) => continue,
                    Err(error) => return error,
                }
                if std::mem::take(&mut is_first) {
                    turn.answered(Instant::now(), Said::Well);
                }
                if room.len() > LONGEST {
                    self.shared.telemetry.flows(self.worker).dropped(Dropped::Unsent);
                    continue;
                }
                match socket.answer(ends, &room) {
                    Ok(()) => self.count(Way::Back, room.len()),
                    Err(error) => {
                        tracing::debug!(caller = %ends.caller, %error, "an answer was not sent");
                        self.shared.telemetry.flows(self.worker).dropped(Dropped::Unsent);
                    }
                }
            }
            drop(room);
            tokio::task::yield_now().await;
        }
    }

    /// What the socket was told of; it is not told again.
    fn error(&self) -> Option<io::Error> {
        // That it blocks says that this was heard.
        let heard = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
        let error = SockRef::from(&self.socket).take_error().ok().flatten();
        let _heard = self.socket.try_io(Interest::ERROR, heard);
        error
    }
}

impl Begun {
    /// Carries answers to its caller until the flow is over; what is `held` is dropped then.
    pub(crate) fn carry<H>(
        self,
        (socket, ends): (&Arc<Socket>, Ends),
        telling: &Arc<Telling>,
        held: H,
    ) -> Carrying<H> {
        self.flow.shared.telemetry.flows(self.flow.worker).begun();
        let (socket, telling) = (Arc::clone(socket), Arc::clone(telling));
        Carrying { begun: self, socket, ends, telling, _held: held }
    }
}

impl<H> Carrying<H> {
    /// Ends with the flow.
    pub(crate) async fn run(mut self) {
        let Begun { flow, record, turn, .. } = &mut self.begun;
        let (learnt, (reason, detail)) = tokio::select! {
            error = flow.answers(&self.socket, self.ends, turn) => {
                let learnt = if is_unreachable(&error) { Learnt::Refused } else { Learnt::Nothing };
                (learnt, (Reason::UpstreamReset, error.to_string()))
            }
            () = flow.refused.notified() => {
                let detail = "its endpoint takes nothing".to_owned();
                (Learnt::Refused, (Reason::UpstreamReset, detail))
            }
            (reason, why) = flow.moved(record) => (Learnt::Nothing, (reason, why.to_owned())),
            () = flow.silent() => {
                (Learnt::Silence, (Reason::Ok, "closed after silence".to_owned()))
            }
        };
        (record.reason, record.detail) = (reason, Some(detail.into()));
        if reason.is_denial() {
            // The rule that let it in is not what ended it.
            record.decided_by = None;
            record.aside = None;
        }
        match learnt {
            Learnt::Refused => {
                flow.fail();
                turn.blameless();
                // It led nowhere, if nobody ever answered: of those few are told.
                let has_answered = flow.counts[Way::Back as usize][0].load(Relaxed) > 0;
                record.is_untold = !has_answered && !self.telling.is_time();
            }
            // Where nobody ever answers, that nobody refused it says that somebody is there.
            Learnt::Silence => turn.reached(Instant::now(), Said::Well),
            Learnt::Nothing => turn.blameless(),
        }
    }
}

/// What the end of a flow says of its endpoint.
enum Learnt {
    Refused,
    Silence,
    Nothing,
}

/// What it carried is told also where the worker ends first.
impl<H> Drop for Carrying<H> {
    fn drop(&mut self) {
        let Begun { flow, record, .. } = &mut self.begun;
        flow.is_over.store(true, Relaxed);
        let [[into, bytes_in], [back, bytes_out]] =
            flow.counts.each_ref().map(|way| way.each_ref().map(|count| count.load(Relaxed)));
        (record.bytes_in, record.bytes_out) = (bytes_in, bytes_out);
        record.datagrams = Some([into, back]);
        flow.shared.telemetry.flows(flow.worker).over();
    }
}
