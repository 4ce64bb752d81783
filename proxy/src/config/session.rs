//! The node's side of the stream, as a state machine that waits for nothing itself.
//!
//! ```text
//!            Opened            Commit (whole, signed)        Taken
//! resting ──────────> open ─────────────────────────> taking ──────> open, Ack
//!    ^  Hello          │ Commit (anything else): Nack
//!    └──── Lost, or nothing heard for 10 s: again after a wait that doubles
//! ```
//!
//! It is told events and the time, and says what is to be done; [`super::life`] does it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use model::revocation::Revocation;
use tokio::time::Instant;
use wire::{
    Ack, ControlFrame, EndedSession, GatewaySessions, HEARTBEAT, HELD, Held as Holds, Hello, Nack,
    NodeFrame, NodeHeartbeat, Rejection, Resting, Revoked, SCHEMA, STALE, SessionSecrets, Standing,
    Trust,
};

use super::held::Held;
use super::life::GATEWAY;
use super::transaction::Incoming;
use crate::identity::Identity;

/// The longest wait before the first try to open the stream again; it doubles with each failure.
const FIRST: Duration = Duration::from_millis(100);
/// No wait is longer.
const LONGEST: Duration = Duration::from_secs(10);

/// Of so many Gateways it takes secrets at most.
const GATEWAYS: usize = 100_000;
/// So many who are shut out it takes at most.
const REVOKED: usize = 100_000;

/// What happened.
#[derive(Debug)]
pub(crate) enum Event {
    /// The stream is open, for the first time or anew.
    Opened,
    /// Control said something.
    Frame(ControlFrame),
    /// The stream is gone, or could not be opened.
    Lost,
    /// What [`Action::Take`] said is in force, without these objects.
    Taken(Vec<Rejection>),
    /// What of the state in force is not served as it was sent is another list now.
    Rejects(Vec<Rejection>),
    /// Under which roots the node lives.
    Stands(Standing),
    /// The ports at which the application beside it does not answer are others now.
    Silent(BTreeSet<u16>),
    /// The endpoints that get no requests are others now.
    Resting(Vec<Resting>),
    /// It is the time that [`Session::wakes`] named.
    Tick,
}

/// What is to be done.
#[derive(Debug)]
pub(crate) enum Action {
    /// Open the stream.
    Open,
    /// Say this on it.
    Say(NodeFrame),
    /// Believe these roots from now on, then tell [`Event::Stands`].
    Believe(Trust),
    /// Seal sessions by these from now on.
    Share(Vec<GatewaySessions>),
    /// Shut these out from now on, and nobody else.
    ShutOut(Vec<Revocation>),
    /// These browsers logged out, beside those of before.
    LogOut(Vec<EndedSession>),
    /// Put this state in force, then tell [`Event::Taken`].
    Take(Arc<Held>),
    /// Tell that a transaction was refused.
    Refused(String),
    /// Close the stream, for this reason.
    Close(String),
}

/// A stream that lasts longer than this is no failure.
const HOLDS: Duration = Duration::from_secs(10);

/// The time of an event, and a throw of dice from 0 to 1.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    pub(crate) at: Instant,
    pub(crate) wall: SystemTime,
    pub(crate) dice: f64,
}

/// A node's side of the protocol.
#[derive(Debug)]
pub(crate) struct Session {
    node: Arc<Identity>,
    version: String,
    held: Arc<Held>,
    phase: Phase,
    /// Streams in a row that did not hold.
    failures: u32,
    /// When the last stream was opened.
    opened: Instant,
    heard: Instant,
    said: Instant,
    incoming: Option<Incoming>,
    taking: Option<Taking>,
    /// What was told of sessions so far, in parts.
    secrets: Vec<GatewaySessions>,
    /// Who was told to be shut out so far, in parts.
    revoked: Vec<Revocation>,
    /// The transaction that brought what is held, if it came on this stream.
    landed: Option<u64>,
    /// Whether control wants to be told under which roots we live: since this stream told of roots.
    asked: bool,
    /// What it was told of that on this stream.
    stood: Option<Standing>,
    /// What the next heartbeat says of the application.
    silent: BTreeSet<u16>,
    /// What it says of endpoints.
    resting: Vec<Resting>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing is to be done before `until`.
    Resting { until: Instant },
    /// The stream is being opened.
    Opening,
    /// It is open; `greeted` once we said what we hold, `answered` once anything was heard.
    Open { greeted: bool, answered: bool },
}

/// A state that is being put in force.
#[derive(Debug)]
struct Taking {
    /// The number of its transaction, while the stream lives that it came on.
    nonce: Option<u64>,
    state: Arc<Held>,
}

impl Session {
    /// Begins with what the node holds already; the stream is to be opened at once.
    pub(crate) fn new(node: Arc<Identity>, version: &str, held: Arc<Held>, now: Instant) -> Self {
        Session {
            node,
            version: version.to_owned(),
            held,
            phase: Phase::Resting { until: now },
            failures: 0,
            opened: now,
            heard: now,
            said: now,
            silent: BTreeSet::new(),
            resting: Vec::new(),
            incoming: None,
            taking: None,
            secrets: Vec::new(),
            revoked: Vec::new(),
            landed: None,
            asked: false,
            stood: None,
        }
    }

    /// What is held.
    #[cfg(test)]
    pub(crate) fn held(&self) -> &Arc<Held> {
        &self.held
    }

    /// What is being put in force.
    pub(crate) fn taking(&self) -> Option<&Arc<Held>> {
        self.taking.as_ref().map(|taking| &taking.state)
    }

    /// Rests no longer: what it waited for may have come.
    pub(crate) fn hurry(&mut self, now: Instant) {
        if let Phase::Resting { until } = &mut self.phase {
            *until = now;
        }
    }

    /// Whether control is there: the stream is open and something was heard on it lately.
    pub(crate) fn is_connected(&self) -> bool {
        matches!(self.phase, Phase::Open { answered: true, .. })
    }

    /// The node has another certificate, and maybe other roots.
    pub(crate) fn renewed(&mut self, node: Arc<Identity>) {
        self.node = node;
    }

    /// When it next wants to be told [`Event::Tick`].
    pub(crate) fn wakes(&self) -> Option<Instant> {
        match self.phase {
            Phase::Resting { until } => Some(until),
            Phase::Opening => None,
            Phase::Open { .. } => Some((self.said + HEARTBEAT).min(self.heard + STALE)),
        }
    }

    /// What is to be done about `event`, in this order.
    pub(crate) fn on(&mut self, event: Event, now: Now) -> Vec<Action> {
        match event {
            Event::Opened => self.opened(now),
            Event::Frame(frame) => self.frame(frame, now),
            Event::Lost => {
                self.lost(now);
                Vec::new()
            }
            Event::Taken(rejected) => self.taken(rejected, now),
            Event::Rejects(rejected) => self.answer(rejected, now),
            Event::Stands(standing) => self.stands(standing),
            Event::Silent(ports) => {
                self.silent = ports;
                Vec::new()
            }
            Event::Resting(endpoints) => {
                self.resting = endpoints;
                Vec::new()
            }
            Event::Tick => self.tick(now),
        }
    }

    /// Says what we hold, once nothing is on the way to being held.
    fn opened(&mut self, now: Now) -> Vec<Action> {
        self.incoming = None;
        self.secrets.clear();
        self.revoked.clear();
        self.landed = None;
        (self.asked, self.stood) = (false, None);
        self.opened = now.at;
        self.heard = now.at;
        self.said = now.at;
        match &mut self.taking {
            Some(taking) => {
                taking.nonce = None;
                self.phase = Phase::Open { greeted: false, answered: false };
                Vec::new()
            }
            None => {
                self.phase = Phase::Open { greeted: true, answered: false };
                self.hello().into_iter().map(Action::Say).collect()
            }
        }
    }

    fn hello(&self) -> Vec<NodeFrame> {
        let held = self.held.objects.iter().map(|(key, held)| Holds {
            key: key.clone(),
            generation: held.generation,
            digest: held.digest,
        });
        let held: Vec<_> = held.collect();
        let mut parts: Vec<_> = held.chunks(HELD).map(<[Holds]>::to_vec).collect();
        if parts.is_empty() {
            parts.push(Vec::new());
        }
        let last = parts.len() - 1;
        let hello = |(at, held)| {
            NodeFrame::Hello(Hello {
                version: self.version.clone(),
                schema: SCHEMA,
                vector: self.held.vector.clone(),
                digest: self.held.digest,
                held,
                more: at < last,
                takes_trust: true,
                takes_sessions: self.node.kind == GATEWAY,
                takes_revoked: true,
                takes_ended: self.node.kind == GATEWAY,
            })
        };
        parts.into_iter().enumerate().map(hello).collect()
    }

    fn frame(&mut self, frame: ControlFrame, now: Now) -> Vec<Action> {
        let Phase::Open { answered, .. } = &mut self.phase else { return Vec::new() };
        *answered = true;
        self.heard = now.at;
        match (frame, &mut self.incoming) {
            (ControlFrame::Heartbeat(_), _) => {
                self.hold(now);
                Vec::new()
            }
            (ControlFrame::Trust(trust), _) => {
                self.asked = true;
                vec![Action::Believe(trust)]
            }
            (ControlFrame::Sessions(part), _) => self.sessions(part, now),
            (ControlFrame::Revoked(part), _) => self.revoked(part, now),
            (ControlFrame::Ended(part), _) => vec![Action::LogOut(part.sessions)],
            (ControlFrame::Begin(begin), None) if self.taking.is_none() => {
                self.incoming = Some(Incoming::begin(begin, &self.held));
                Vec::new()
            }
            (ControlFrame::Begin(_), _) => {
                self.close("the server began a transaction inside another", now)
            }
            (ControlFrame::Put(envelopes), Some(incoming)) => {
                incoming.put(envelopes);
                Vec::new()
            }
            (ControlFrame::Drop(keys), Some(incoming)) => {
                incoming.drop(&keys);
                Vec::new()
            }
            (ControlFrame::Commit(commit), incoming @ Some(_)) => match incoming.take() {
                Some(incoming) => self.commit(incoming, commit, now),
                None => Vec::new(),
            },
            (ControlFrame::Put(_) | ControlFrame::Drop(_) | ControlFrame::Commit(_), None) => {
                self.close("the server spoke of a transaction that it did not begin", now)
            }
        }
    }

    /// Takes by what sessions are sealed, once all parts are there.
    fn sessions(&mut self, part: SessionSecrets, now: Now) -> Vec<Action> {
        self.secrets.extend(part.gateways);
        if self.secrets.len() > GATEWAYS {
            self.secrets.clear();
            return self.close("the server told of more Gateways than a node takes", now);
        }
        match part.more {
            true => Vec::new(),
            false => vec![Action::Share(std::mem::take(&mut self.secrets))],
        }
    }

    /// Takes who is shut out, once all parts are there.
    fn revoked(&mut self, part: Revoked, now: Now) -> Vec<Action> {
        self.revoked.extend(part.revocations);
        if self.revoked.len() > REVOKED {
            self.revoked.clear();
            return self.close("the server told of more who are shut out than a node takes", now);
        }
        match part.more {
            true => Vec::new(),
            false => vec![Action::ShutOut(std::mem::take(&mut self.revoked))],
        }
    }

    /// Takes the transaction, or refuses the whole of it. If even all objects sent anew cannot be
    /// taken, the stream is closed, so that it is tried again after a wait.
    fn commit(&mut self, incoming: Incoming, commit: wire::Commit, now: Now) -> Vec<Action> {
        let (nonce, is_whole) = (commit.nonce, incoming.is_whole());
        match incoming.commit(commit, &self.node, now.wall) {
            Ok(state) => {
                let state = Arc::new(state);
                self.taking = Some(Taking { nonce: Some(nonce), state: Arc::clone(&state) });
                vec![Action::Take(state)]
            }
            Err(reason) => {
                let nack = NodeFrame::Nack(Nack { nonce, reason: reason.clone() });
                let mut actions = vec![Action::Refused(reason), Action::Say(nack)];
                self.said = now.at;
                if is_whole {
                    let why = "even all objects sent anew could not be taken";
                    actions.extend(self.close(why, now));
                }
                actions
            }
        }
    }

    fn taken(&mut self, rejected: Vec<Rejection>, now: Now) -> Vec<Action> {
        let Some(taking) = self.taking.take() else { return Vec::new() };
        self.held = taking.state;
        if matches!(self.phase, Phase::Open { greeted: false, .. }) {
            return self.opened(now);
        }
        if taking.nonce.is_none() {
            return Vec::new();
        }
        self.landed = taking.nonce;
        self.hold(now);
        self.answer(rejected, now)
    }

    /// Answers the transaction that brought what is held, be it again.
    fn answer(&mut self, rejected: Vec<Rejection>, now: Now) -> Vec<Action> {
        let Some(nonce) = self.landed.filter(|_| self.taking.is_none()) else { return Vec::new() };
        self.said = now.at;
        vec![Action::Say(NodeFrame::Ack(Ack {
            nonce,
            vector: self.held.vector.clone(),
            digest: self.held.digest,
            rejected,
        }))]
    }

    /// Tells under which roots we live, if that is news to control and it knows such words.
    fn stands(&mut self, standing: Standing) -> Vec<Action> {
        let is_open = matches!(self.phase, Phase::Open { .. });
        if !is_open || !self.asked || self.stood.as_ref() == Some(&standing) {
            return Vec::new();
        }
        self.stood = Some(standing.clone());
        vec![Action::Say(NodeFrame::Standing(standing))]
    }

    fn tick(&mut self, now: Now) -> Vec<Action> {
        match self.phase {
            Phase::Resting { until } if until <= now.at => {
                self.phase = Phase::Opening;
                vec![Action::Open]
            }
            Phase::Open { .. } if self.heard + STALE <= now.at => {
                self.close("nothing was heard from the server for 10 s", now)
            }
            Phase::Open { greeted: true, .. } if self.said + HEARTBEAT <= now.at => {
                self.said = now.at;
                let (silent, resting) = (self.silent.clone(), self.resting.clone());
                let heartbeat = NodeHeartbeat { digest: self.held.digest, silent, resting };
                vec![Action::Say(NodeFrame::Heartbeat(heartbeat))]
            }
            Phase::Open { greeted: false, .. } => {
                self.said = now.at;
                Vec::new()
            }
            Phase::Open { .. } | Phase::Resting { .. } | Phase::Opening => Vec::new(),
        }
    }

    fn close(&mut self, why: &str, now: Now) -> Vec<Action> {
        self.lost(now);
        vec![Action::Close(why.to_owned())]
    }

    /// Forgets the failures once the stream has held for a while: of two hosts that show the same
    /// node each ends the other's stream, and either is answered before that.
    fn hold(&mut self, now: Now) {
        if self.opened + HOLDS < now.at {
            self.failures = 0;
        }
    }

    /// Rests before the stream is opened again: longer each time, by the dice, so that nodes that
    /// lost their server together do not come back together.
    fn lost(&mut self, now: Now) {
        self.failures = self.failures.saturating_add(1);
        let bound = FIRST.saturating_mul(1 << (self.failures - 1).min(16)).min(LONGEST);
        self.phase = Phase::Resting { until: now.at + bound.mul_f64(now.dice.clamp(0.0, 1.0)) };
        self.incoming = None;
        self.landed = None;
        if let Some(taking) = &mut self.taking {
            taking.nonce = None;
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
