//! One node's stream as a machine: what happens goes in with the time, what to do comes out.
//!
//! ```text
//! Greeting ── Hello, in parts ──> Flying ── Ack ──> Resting ── other target ──> Flying ...
//!                                   └── Nack ──> Flying (all of it again), then with pauses
//! ```
//!
//! One transaction flies at a time; targets that come meanwhile are one target when it has landed.
//! After its Hello a node is always sent a transaction, be it empty: its answer says what it runs,
//! and what it rejects. The machine sends nothing, waits for nothing and reads no clock.

use std::sync::Arc;
use std::time::Duration;

use model::revocation::Revocation;
use tokio::time::Instant;
use wire::{
    Ack, EndedSession, HEARTBEAT, Held, Hello, Nack, NodeFrame, NodeHeartbeat, Rejection, STALE,
    SessionSecrets, Standing, Trust, Vector,
};

use crate::snapshot::Snapshot;

/// A node that is silent for so long has its stream ended; well before, it is shown as stale.
const GONE: Duration = Duration::from_secs(2 * STALE.as_secs());
/// How long a node may take over a transaction.
const FLIGHT: Duration = Duration::from_secs(60);
/// The pause before a node that refuses everything is sent everything once more, doubled each time.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest such pause.
const PAUSE_MOST: Duration = Duration::from_secs(30);
/// Objects that a node may say it holds.
const HELD_MOST: usize = 500_000;

/// What happens to a stream.
#[derive(Debug)]
pub enum Event {
    /// The node said something.
    Frame(NodeFrame),
    /// This is what the node is to run.
    Target(Arc<Snapshot>),
    /// These are the roots that it is to believe; another one may sign now.
    Trust(Arc<Trust>),
    /// This is by what it seals sessions.
    Sessions(Arc<SessionSecrets>),
    /// These are shut out.
    Revoked(Arc<[Revocation]>),
    /// These browsers logged out, beside those of before.
    Ended(Vec<EndedSession>),
    /// Time passed; see [`Session::deadline`].
    Tick,
}

/// What is to be done.
#[derive(Debug)]
pub enum Action {
    /// The node said what it is and runs.
    Greeted {
        /// Its software.
        version: String,
        /// What it runs.
        vector: Vector,
    },
    /// Say whom it is to believe.
    Trust(Arc<Trust>),
    /// Say by what it seals sessions.
    Sessions(Arc<SessionSecrets>),
    /// Say who is shut out.
    Revoked(Arc<[Revocation]>),
    /// Say which browsers logged out.
    Ended(Vec<EndedSession>),
    /// The node said under which roots it lives.
    Stands(Standing),
    /// Send a transaction.
    Transact(Transaction),
    /// Say that we are there.
    Heartbeat,
    /// The node runs what it was sent.
    Landed {
        /// What.
        snapshot: Arc<Snapshot>,
        /// What of it it does not serve as it was sent.
        rejected: Vec<Rejection>,
    },
    /// The node serves other things of what it runs not as they were sent, and all else.
    Rejects(Vec<Rejection>),
    /// The node refused a transaction.
    Refused {
        /// Why, in its words.
        reason: String,
    },
    /// End the stream.
    End(Ended),
}

/// A transaction that is to be sent.
#[derive(Debug)]
pub struct Transaction {
    /// Its number.
    pub nonce: u64,
    /// What the node holds; all of that is forgotten if it is nothing.
    pub from: Base,
    /// What it is to hold.
    pub to: Arc<Snapshot>,
}

/// What a node holds.
#[derive(Debug, Clone)]
pub enum Base {
    /// We do not know, so it is to forget it.
    Unknown,
    /// What it said it holds, in the order of keys.
    Told(Arc<[Held]>),
    /// What we sent.
    Sent(Arc<Snapshot>),
}

/// Why a stream ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Ended {
    /// Nothing was heard.
    #[error("nothing was heard of the node for {} s", GONE.as_secs())]
    Silent,
    /// A transaction got no answer.
    #[error("the node answered no transaction for {} s", FLIGHT.as_secs())]
    Unanswered,
    /// The node speaks out of turn.
    #[error("{0}")]
    Disorder(&'static str),
}

#[derive(Debug)]
enum Phase {
    Greeting(Vec<Held>),
    Flying { nonce: u64, to: Arc<Snapshot>, until: Instant },
    Resting(Arc<Snapshot>),
    Pausing(Instant),
    Over,
}

/// One stream.
#[derive(Debug)]
pub struct Session {
    phase: Phase,
    target: Arc<Snapshot>,
    heard: Instant,
    said: Instant,
    nonce: u64,
    /// The last transaction that the node took.
    answered: Option<u64>,
    /// Transactions that were refused one after the other.
    refused: u32,
    /// Whom it is to believe.
    trust: Option<Arc<Trust>>,
    /// Whether it can be told so.
    takes_trust: bool,
    /// By what it seals sessions, if we know that.
    sessions: Option<Arc<SessionSecrets>>,
    /// Whether it can be told so.
    takes_sessions: bool,
    /// Who is shut out, if we know that.
    revoked: Option<Arc<[Revocation]>>,
    /// Whether it can be told so.
    takes_revoked: bool,
    /// Which browsers logged out, before it said whether it takes that.
    ended: Vec<EndedSession>,
    /// Whether it does, once it said so.
    takes_ended: Option<bool>,
    /// Whether what it holds is to be signed anew.
    unsigned: bool,
}

impl Session {
    /// A stream that begins now, to bring its node to `target`.
    pub fn new(target: Arc<Snapshot>, now: Instant) -> Self {
        Session {
            phase: Phase::Greeting(Vec::new()),
            target,
            heard: now,
            said: now,
            nonce: 0,
            answered: None,
            refused: 0,
            trust: None,
            takes_trust: false,
            sessions: None,
            takes_sessions: false,
            revoked: None,
            takes_revoked: false,
            ended: Vec::new(),
            takes_ended: None,
            unsigned: false,
        }
    }

    /// When [`Event::Tick`] is due, unless something happens before.
    pub fn deadline(&self) -> Instant {
        let own = match &self.phase {
            Phase::Greeting(_) | Phase::Resting(_) | Phase::Over => None,
            Phase::Flying { until, .. } | Phase::Pausing(until) => Some(*until),
        };
        let usual = (self.heard + GONE).min(self.said + HEARTBEAT);
        own.map_or(usual, |own| own.min(usual))
    }

    /// What to do about `event`.
    pub fn on(&mut self, event: Event, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        if !matches!(self.phase, Phase::Over) {
            match event {
                Event::Frame(frame) => {
                    self.heard = now;
                    self.frame(frame, now, &mut actions);
                }
                // Whoever computes them may tell an older one last.
                Event::Target(target) if target.number > self.target.number => self.target = target,
                Event::Target(_) => {}
                Event::Trust(trust) => self.trust(trust, &mut actions),
                Event::Sessions(sessions) => self.sessions(sessions, &mut actions),
                Event::Revoked(out) => self.revoked(out, &mut actions),
                Event::Ended(sessions) => self.ended(sessions, &mut actions),
                Event::Tick => {}
            }
            self.proceed(now, &mut actions);
        }
        if actions.iter().any(|action| matches!(action, Action::End(_))) {
            self.phase = Phase::Over;
        }
        actions
    }

    fn frame(&mut self, frame: NodeFrame, now: Instant, actions: &mut Vec<Action>) {
        match frame {
            NodeFrame::Hello(hello) => self.hello(hello, now, actions),
            NodeFrame::Ack(ack) => self.ack(ack, now, actions),
            NodeFrame::Nack(nack) => self.nack(nack, now, actions),
            NodeFrame::Heartbeat(heartbeat) => self.heartbeat(&heartbeat, now, actions),
            NodeFrame::Standing(standing) => actions.push(Action::Stands(standing)),
        }
    }

    /// Tells a node whom to believe, if it can be told, and signs anew what it holds: the root that
    /// signs may be another one.
    fn trust(&mut self, trust: Arc<Trust>, actions: &mut Vec<Action>) {
        if self.takes_trust {
            actions.push(Action::Trust(Arc::clone(&trust)));
        }
        self.trust = Some(trust);
        self.unsigned = true;
    }

    /// Tells a node by what it seals sessions, if that is news and it can be told.
    fn sessions(&mut self, sessions: Arc<SessionSecrets>, actions: &mut Vec<Action>) {
        if self.sessions.as_ref() == Some(&sessions) {
            return;
        }
        if self.takes_sessions {
            actions.push(Action::Sessions(Arc::clone(&sessions)));
        }
        self.sessions = Some(sessions);
    }

    /// Tells a node who is shut out, if that is news and it can be told.
    fn revoked(&mut self, out: Arc<[Revocation]>, actions: &mut Vec<Action>) {
        if self.revoked.as_ref() == Some(&out) {
            return;
        }
        if self.takes_revoked {
            actions.push(Action::Revoked(Arc::clone(&out)));
        }
        self.revoked = Some(out);
    }

    /// Tells a node which browsers logged out, once it said that it takes that.
    fn ended(&mut self, sessions: Vec<EndedSession>, actions: &mut Vec<Action>) {
        match self.takes_ended {
            None => self.ended.extend(sessions),
            Some(true) if !sessions.is_empty() => actions.push(Action::Ended(sessions)),
            Some(_) => {}
        }
    }

    fn hello(&mut self, hello: Hello, now: Instant, actions: &mut Vec<Action>) {
        let Phase::Greeting(held) = &mut self.phase else {
            return actions.push(disorder("a Hello after the first one was complete"));
        };
        if held.len() + hello.held.len() > HELD_MOST {
            return actions.push(disorder("a Hello with more objects than a node can hold"));
        }
        held.extend(hello.held);
        if hello.more {
            return;
        }
        let held = std::mem::take(held);
        let from = told(held, &hello.digest);
        actions.push(Action::Greeted { version: hello.version, vector: hello.vector });
        self.takes_revoked = hello.takes_revoked;
        // Also where nobody is: somebody may have been while it was away.
        actions.extend(self.revoked.clone().filter(|_| self.takes_revoked).map(Action::Revoked));
        self.takes_ended = Some(hello.takes_ended);
        let ended = std::mem::take(&mut self.ended);
        self.ended(ended, actions);
        self.takes_trust = hello.takes_trust;
        // Before anything that a root unknown to it may have signed.
        actions.extend(self.trust.clone().filter(|_| self.takes_trust).map(Action::Trust));
        self.takes_sessions = hello.takes_sessions;
        let told = self.sessions.clone().filter(|_| self.takes_sessions);
        actions.extend(told.map(Action::Sessions));
        self.transact(from, now, actions);
    }

    fn ack(&mut self, ack: Ack, now: Instant, actions: &mut Vec<Action>) {
        if self.is_repeated(&ack) {
            return actions.push(Action::Rejects(ack.rejected));
        }
        let Some(to) = self.landed(ack.nonce) else {
            return actions.push(disorder("an Ack of nothing that was sent"));
        };
        if ack.digest != to.digest {
            let reason = "the node holds other objects than it was sent".to_owned();
            return self.refuse(reason, now, actions);
        }
        self.refused = 0;
        self.answered = Some(ack.nonce);
        self.phase = Phase::Resting(Arc::clone(&to));
        actions.push(Action::Landed { snapshot: to, rejected: ack.rejected });
    }

    fn nack(&mut self, nack: Nack, now: Instant, actions: &mut Vec<Action>) {
        match self.landed(nack.nonce) {
            Some(_) => self.refuse(nack.reason, now, actions),
            None => actions.push(disorder("a Nack of nothing that was sent")),
        }
    }

    /// Of a node in flight nobody can tell which of two states it means.
    fn heartbeat(&mut self, is: &NodeHeartbeat, now: Instant, actions: &mut Vec<Action>) {
        match &self.phase {
            Phase::Resting(at) if at.digest != is.digest => {
                let reason = "the node no longer holds what it was sent".to_owned();
                self.refuse(reason, now, actions);
            }
            Phase::Greeting(_) => actions.push(disorder("a heartbeat before the Hello")),
            Phase::Resting(_) | Phase::Flying { .. } | Phase::Pausing(_) | Phase::Over => {}
        }
    }

    /// Whether a node answers what it runs once more, since it rejects other things of it now. The
    /// answer to what flies meanwhile says all of that anew.
    fn is_repeated(&self, ack: &Ack) -> bool {
        let is_on = match &self.phase {
            Phase::Resting(at) => ack.digest == at.digest,
            Phase::Flying { .. } | Phase::Pausing(_) => true,
            Phase::Greeting(_) | Phase::Over => false,
        };
        is_on && self.answered == Some(ack.nonce)
    }

    /// What flew under this number.
    fn landed(&self, nonce: u64) -> Option<Arc<Snapshot>> {
        match &self.phase {
            Phase::Flying { nonce: flying, to, .. } if *flying == nonce => Some(Arc::clone(to)),
            Phase::Flying { .. }
            | Phase::Greeting(_)
            | Phase::Resting(_)
            | Phase::Pausing(_)
            | Phase::Over => None,
        }
    }

    /// All again: at once the first time, then with growing pauses.
    fn refuse(&mut self, reason: String, now: Instant, actions: &mut Vec<Action>) {
        actions.push(Action::Refused { reason });
        let pause = match self.refused {
            0 => Duration::ZERO,
            times => PAUSE.saturating_mul(1 << (times - 1).min(8)).min(PAUSE_MOST),
        };
        self.refused = self.refused.saturating_add(1);
        self.phase = Phase::Pausing(now + pause);
    }

    /// What time or a new target asks for.
    fn proceed(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if now >= self.heard + GONE {
            return actions.push(Action::End(Ended::Silent));
        }
        match &self.phase {
            Phase::Flying { until, .. } if now >= *until => {
                return actions.push(Action::End(Ended::Unanswered));
            }
            Phase::Pausing(until) if now >= *until => {
                self.transact(Base::Unknown, now, actions);
            }
            Phase::Resting(at) if self.unsigned || !is_same(at, &self.target) => {
                let from = Base::Sent(Arc::clone(at));
                self.transact(from, now, actions);
            }
            Phase::Greeting(_)
            | Phase::Flying { .. }
            | Phase::Pausing(_)
            | Phase::Resting(_)
            | Phase::Over => {}
        }
        if now >= self.said + HEARTBEAT {
            self.said = now;
            actions.push(Action::Heartbeat);
        }
    }

    fn transact(&mut self, from: Base, now: Instant, actions: &mut Vec<Action>) {
        self.nonce += 1;
        self.said = now;
        self.unsigned = false;
        let to = Arc::clone(&self.target);
        let flying = Arc::clone(&to);
        self.phase = Phase::Flying { nonce: self.nonce, to: flying, until: now + FLIGHT };
        actions.push(Action::Transact(Transaction { nonce: self.nonce, from, to }));
    }
}

/// What a node said it holds, if that is what its digest says.
fn told(mut held: Vec<Held>, digest: &[u8; 32]) -> Base {
    held.sort_by(|one, other| one.key.cmp(&other.key));
    let is_twice = held.windows(2).any(|pair| pair[0].key == pair[1].key);
    let said = held.iter().map(|one| (&one.key, one.generation, &one.digest));
    match !is_twice && wire::digest::held(said) == *digest {
        true => Base::Told(held.into()),
        false => Base::Unknown,
    }
}

fn is_same(one: &Snapshot, other: &Snapshot) -> bool {
    one.digest == other.digest && one.vector == other.vector
}

fn disorder(what: &'static str) -> Action {
    Action::End(Ended::Disorder(what))
}

#[cfg(test)]
mod tests;
