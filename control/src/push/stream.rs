//! One stream: the task between a node's connection and its [`Session`].

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::Stream as Frame;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tonic::{Status, Streaming};
use wire::{NodeFrame, Trust};

use super::outbox::{self, Outbox, Step, Transfer};
use super::session::{Action, Base, Event, Session, Transaction};
use super::{Class, Proven, Push, Sent};
use crate::ca::Roots;
use crate::fleet::Ticket;
use crate::identity::failed;
use crate::moment::micros;
use crate::snapshot::Difference;

/// How long the last word of a stream may wait for room.
const LAST: Duration = Duration::from_millis(100);

/// Nodes that are to have other certificates take so long each, one after the other.
const EACH: Duration = Duration::from_millis(10);
/// The shortest time over which they are spread.
const SPREAD_LEAST: Duration = Duration::from_secs(1);
/// The longest such time.
const SPREAD_MOST: Duration = Duration::from_secs(300);

const RETIRED: &str = "the certificate of this stream lies under a root that was retired; let the \
                       node join again with a new join token (`heddle join-token create`)";
const ENDED: &str = "the certificate of this stream has ended; open another stream";

/// What a node is sent.
#[derive(Debug)]
pub struct Frames(mpsc::Receiver<Sent>);

impl Frames {
    pub(super) fn new(queue: mpsc::Receiver<Sent>) -> Self {
        Frames(queue)
    }
}

impl Frame for Frames {
    type Item = Sent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Sent>> {
        self.0.poll_recv(cx)
    }
}

/// One stream.
pub(super) struct Stream<'p> {
    push: &'p Push,
    class: Class,
    node: &'p Proven,
    ticket: Ticket,
    session: Session,
    outbox: Outbox,
    to_node: mpsc::Sender<Sent>,
    /// Up to which number the session knows which browsers logged out.
    ended: i64,
    /// When the certificate ends by which it was opened.
    until: Instant,
}

impl<'p> Stream<'p> {
    pub(super) fn new(
        push: &'p Push,
        class: Class,
        node: &'p Proven,
        ticket: Ticket,
        to_node: mpsc::Sender<Sent>,
    ) -> Self {
        let now = Instant::now();
        let lasts = Duration::try_from(node.expires - push.clock.now()).unwrap_or_default();
        let session = Session::new(push.target(&class), now);
        let outbox = Outbox::default();
        let (ended, until) = (0, now + lasts);
        Stream { push, class, node, ticket, session, outbox, to_node, ended, until }
    }

    /// Goes on until one side ends it.
    pub(super) async fn run(
        mut self,
        news: watch::Receiver<i64>,
        frames: Streaming<NodeFrame>,
        ended: oneshot::Receiver<Status>,
    ) {
        tracing::info!(node = self.node.id, "{} connected", self.node.node);
        let end = self.carry(news, frames, ended).await;
        self.push.fleet.closed(&self.ticket);
        match end {
            Some(status) => {
                let words = status.message();
                tracing::info!(node = self.node.id, "{} is let go: {words}", self.node.node);
                let _ = tokio::time::timeout(LAST, self.to_node.send(Err(status))).await;
            }
            None => tracing::info!(node = self.node.id, "{} went away", self.node.node),
        }
    }

    /// Why we end it; none if the node did.
    async fn carry(
        &mut self,
        mut news: watch::Receiver<i64>,
        mut frames: Streaming<NodeFrame>,
        mut ended: oneshot::Receiver<Status>,
    ) -> Option<Status> {
        news.mark_unchanged();
        let mut moves = self.push.ca.moves();
        let trust = self.trust(&moves.borrow_and_update());
        self.session.on(Event::Trust(trust), Instant::now());
        let mut ring = self.push.ring();
        ring.mark_unchanged();
        let mut revocations = self.push.revocations.news();
        revocations.mark_unchanged();
        self.on(Event::Revoked(self.push.revocations.out()));
        // What came between the first target and now.
        let mut event = Event::Target(self.push.target(&self.class));
        loop {
            for action in self.on(event) {
                if let Err(status) = self.act(action).await {
                    return Some(status);
                }
            }
            // The clock on the wall goes on while the machine sleeps; we look with each heartbeat.
            if self.node.expires <= self.push.clock.now() {
                return Some(Status::unauthenticated(ENDED));
            }
            event = loop {
                let deadline = self.session.deadline();
                tokio::select! {
                    Ok(()) = revocations.changed() => {
                        break Event::Revoked(self.push.revocations.out());
                    }
                    status = &mut ended => {
                        return Some(status.unwrap_or_else(|_| Status::aborted("the stream is over")));
                    }
                    () = tokio::time::sleep_until(self.until) => {
                        return Some(Status::unauthenticated(ENDED));
                    }
                    frame = frames.message() => match frame {
                        Ok(Some(frame)) => {
                            self.push.fleet.heard(&self.ticket);
                            if let NodeFrame::Heartbeat(heartbeat) = &frame {
                                self.push.fleet.beats(&self.ticket, heartbeat);
                            }
                            break Event::Frame(frame);
                        }
                        Ok(None) => return None,
                        Err(status) => {
                            tracing::debug!(node = self.node.id, %status, "a stream broke");
                            return None;
                        }
                    },
                    told = news.changed() => match told {
                        Ok(()) => break Event::Target(self.push.target(&self.class)),
                        Err(_) => return Some(Status::unavailable("the control plane stops")),
                    },
                    moved = moves.changed() => {
                        let roots = Arc::clone(&moves.borrow_and_update());
                        match moved {
                            Ok(()) if roots.trusts(&self.node.root) => {
                                break Event::Trust(self.trust(&roots));
                            }
                            Ok(()) | Err(_) => return Some(Status::unauthenticated(RETIRED)),
                        }
                    }
                    // The same state as before, with what seals now.
                    Ok(()) = ring.changed() => break Event::Target(self.push.target(&self.class)),
                    () = tokio::time::sleep_until(deadline) => break Event::Tick,
                    room = self.to_node.reserve(), if !self.outbox.is_empty() => {
                        let Ok(room) = room else { return None };
                        let now = micros(self.push.clock.now());
                        match self.outbox.next(&self.node.id, now) {
                            Ok(Some(frame)) => {
                                self.push.fleet.sent(outbox::weight(&frame));
                                room.send(Ok(frame));
                            }
                            Ok(None) => {}
                            Err(error) => return Some(failed(error)),
                        }
                    }
                }
            };
        }
    }

    /// What to do about an event: before a new state about what seals sessions of its Gateways, and with who is shut
    /// out about which browsers logged out since.
    fn on(&mut self, event: Event) -> Vec<Action> {
        let now = Instant::now();
        let mut actions = Vec::new();
        if let Event::Target(target) = &event
            && let Some(sessions) = self.push.sessions(&self.class, target)
        {
            actions = self.session.on(Event::Sessions(sessions), now);
        }
        if let Event::Revoked(_) = &event {
            let cluster = self.class.cluster.as_str();
            let (ended, number) = self.push.revocations.ended(cluster, self.ended);
            self.ended = number;
            actions = self.session.on(Event::Ended(ended), now);
        }
        actions.extend(self.session.on(event, now));
        actions
    }

    /// Whom nodes are to believe, who ask for other certificates the more slowly the more they are.
    fn trust(&self, roots: &Roots) -> Arc<Trust> {
        let nodes = self.push.fleet.figures().connected;
        let spread = EACH.saturating_mul(u32::try_from(nodes).unwrap_or(u32::MAX));
        let spread = spread.clamp(SPREAD_LEAST, SPREAD_MOST).as_millis();
        Arc::new(Trust { roots: roots.bundle(), spread: u32::try_from(spread).unwrap_or(u32::MAX) })
    }

    async fn act(&mut self, action: Action) -> Result<(), Status> {
        let fleet = &self.push.fleet;
        match action {
            Action::Greeted { version, vector } => fleet.greeted(&self.ticket, &version, &vector),
            Action::Trust(trust) => self.outbox.trust(trust),
            Action::Sessions(sessions) => self.outbox.sessions(sessions),
            Action::Revoked(out) => self.outbox.revoked(out),
            Action::Ended(sessions) => self.outbox.ended(sessions),
            Action::Stands(standing) => fleet.stands(&self.ticket, &standing),
            Action::Transact(transaction) => {
                let transfer = self.transfer(transaction).await?;
                self.outbox.push(transfer);
                self.push.fleet.pushed();
            }
            Action::Heartbeat => self.outbox.heartbeat(micros(self.push.clock.now())),
            Action::Landed { snapshot, rejected } => {
                fleet.landed(&self.ticket, &snapshot, rejected);
            }
            Action::Rejects(rejected) => fleet.rejects(&self.ticket, rejected),
            Action::Refused { reason } => {
                tracing::warn!(node = self.node.id, reason, "{} refused all", self.node.node);
                fleet.refused(&self.ticket);
            }
            Action::End(why) => return Err(Status::failed_precondition(why.to_string())),
        }
        Ok(())
    }

    async fn transfer(&self, transaction: Transaction) -> Result<Transfer, Status> {
        let Transaction { nonce, from, to } = transaction;
        let cluster = self.class.cluster.as_str();
        let signer = self.push.ca.issuer(cluster, self.push.clock.now()).await.map_err(failed)?;
        let resync = matches!(from, Base::Unknown);
        let difference: Arc<Difference> = match &from {
            Base::Unknown => Arc::new(to.whole()),
            Base::Told(held) => Arc::new(to.since_held(held)),
            Base::Sent(from) => self.push.catalogue().difference(from, &to),
        };
        Ok(Transfer { nonce, resync, difference, to, signer, step: Step::Begin })
    }
}
