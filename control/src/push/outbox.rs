//! What waits to be sent to one node: by lanes, cut into frames one at a time.
//!
//! Nothing is encoded before there is room for it, so a node that reads slowly costs us the place of
//! a cursor, however much it is to be sent.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use model::revocation::Revocation;
use wire::{
    BATCH, BATCH_BYTES, Begin, Commit, ControlFrame, ControlHeartbeat, ENDED, Ended, EndedSession,
    Envelope, GATEWAYS, Lane, REVOKED, Revoked, SessionSecrets, Trust,
};

use crate::ca::Authority;
use crate::snapshot::{Difference, Snapshot};

/// A transaction that waits to be sent, or is being sent.
#[derive(Debug)]
pub(crate) struct Transfer {
    pub(crate) nonce: u64,
    pub(crate) resync: bool,
    pub(crate) difference: Arc<Difference>,
    pub(crate) to: Arc<Snapshot>,
    /// Who signs for the node's cluster.
    pub(crate) signer: Arc<Authority>,
    pub(crate) step: Step,
}

/// What of a transaction is sent next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Begin,
    Put(usize),
    Drop(usize),
    Commit,
}

/// What waits.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// A transaction that was begun goes on to its end.
    current: Option<Transfer>,
    waiting: BTreeMap<Lane, VecDeque<Transfer>>,
    heartbeat: Option<ControlHeartbeat>,
    /// Who is shut out: this and what is said of browsers go before all else, also inside a transaction.
    revoked: Option<Arc<[Revocation]>>,
    /// What of that is being said, and how much was: parts of two of them must not mix.
    revoking: Option<(Arc<[Revocation]>, usize)>,
    /// Which browsers logged out.
    ended: VecDeque<EndedSession>,
    /// Goes before all the rest: what follows may be signed under a root that it brings.
    trust: Option<Arc<Trust>>,
    /// By what the node is to seal sessions.
    sessions: Option<Arc<SessionSecrets>>,
    /// What of that is being said, and how much was: parts of two of them must not mix.
    telling: Option<(Arc<SessionSecrets>, usize)>,
}

impl Outbox {
    pub(crate) fn is_empty(&self) -> bool {
        self.revoked.is_none()
            && self.revoking.is_none()
            && self.ended.is_empty()
            && self.trust.is_none()
            && self.sessions.is_none()
            && self.telling.is_none()
            && self.current.is_none()
            && self.heartbeat.is_none()
            && self.waiting.is_empty()
    }

    pub(crate) fn push(&mut self, transfer: Transfer) {
        let lane = transfer.difference.lane();
        self.waiting.entry(lane).or_default().push_back(transfer);
    }

    /// Whom the node is to believe; what was said before and not sent yet counts no more.
    pub(crate) fn trust(&mut self, trust: Arc<Trust>) {
        self.trust = Some(trust);
    }

    /// By what the node is to seal sessions; what waited to be said counts no more.
    pub(crate) fn sessions(&mut self, sessions: Arc<SessionSecrets>) {
        self.sessions = Some(sessions);
    }

    /// Who is shut out; what waited to be said counts no more.
    pub(crate) fn revoked(&mut self, out: Arc<[Revocation]>) {
        self.revoked = Some(out);
    }

    /// Which browsers logged out, beside those of before.
    pub(crate) fn ended(&mut self, sessions: Vec<EndedSession>) {
        self.ended.extend(sessions);
    }

    /// Who still has frames to come knows that we are there.
    pub(crate) fn heartbeat(&mut self, now: i64) {
        if self.is_empty() {
            self.heartbeat = Some(ControlHeartbeat { now });
        }
    }

    /// The next frame; `node` and `now` are what a commit is signed for.
    ///
    /// # Errors
    /// If it cannot be signed.
    pub(crate) fn next(
        &mut self,
        node: &str,
        now: i64,
    ) -> Result<Option<ControlFrame>, crate::ca::CaError> {
        if let Some(part) = self.out() {
            return Ok(Some(ControlFrame::Revoked(part)));
        }
        if !self.ended.is_empty() {
            let part = self.ended.len().min(ENDED);
            let sessions = self.ended.drain(..part).collect();
            return Ok(Some(ControlFrame::Ended(Ended { sessions })));
        }
        if let Some(trust) = self.trust.take() {
            return Ok(Some(ControlFrame::Trust(Trust::clone(&trust))));
        }
        if let Some(part) = self.part() {
            return Ok(Some(ControlFrame::Sessions(part)));
        }
        if self.current.is_none() {
            self.current = self.first();
        }
        let Some(transfer) = &mut self.current else {
            return Ok(self.heartbeat.take().map(ControlFrame::Heartbeat));
        };
        let frame = transfer.next(node, now)?;
        if matches!(frame, ControlFrame::Commit(_)) {
            self.current = None;
        }
        Ok(Some(frame))
    }

    /// The next part of who is shut out.
    fn out(&mut self) -> Option<Revoked> {
        let next = || self.revoked.take().map(|out| (out, 0));
        let (whole, from) = self.revoking.take().or_else(next)?;
        let to = whole.len().min(from + REVOKED);
        let more = to < whole.len();
        let part = Revoked { revocations: whole[from..to].to_vec(), more };
        self.revoking = more.then_some((whole, to));
        Some(part)
    }

    /// The next part of what is said of sessions.
    fn part(&mut self) -> Option<SessionSecrets> {
        let next = || self.sessions.take().map(|sessions| (sessions, 0));
        let (whole, from) = self.telling.take().or_else(next)?;
        let to = whole.gateways.len().min(from + GATEWAYS);
        let more = to < whole.gateways.len();
        let part = SessionSecrets { gateways: whole.gateways[from..to].to_vec(), more };
        self.telling = more.then_some((whole, to));
        Some(part)
    }

    fn first(&mut self) -> Option<Transfer> {
        let mut lane = self.waiting.first_entry()?;
        let first = lane.get_mut().pop_front();
        if lane.get().is_empty() {
            lane.remove();
        }
        first
    }
}

impl Transfer {
    fn next(&mut self, node: &str, now: i64) -> Result<ControlFrame, crate::ca::CaError> {
        let (puts, drops) = (&self.difference.puts, &self.difference.drops);
        let after = |step: Step| match step {
            Step::Put(at) if at >= puts.len() => Step::Drop(0),
            other => other,
        };
        let after = |step: Step| match after(step) {
            Step::Drop(at) if at >= drops.len() => Step::Commit,
            other => other,
        };
        let (frame, step) = match self.step {
            Step::Begin => {
                let begin = Begin {
                    nonce: self.nonce,
                    lane: self.difference.lane(),
                    vector: self.to.vector.clone(),
                    resync: self.resync,
                };
                (ControlFrame::Begin(begin), Step::Put(0))
            }
            Step::Put(at) => {
                let batch = batch(&puts[at..]);
                let envelopes = batch.iter().map(|one| Envelope::clone(one)).collect();
                (ControlFrame::Put(envelopes), Step::Put(at + batch.len()))
            }
            Step::Drop(at) => {
                let to = drops.len().min(at + BATCH);
                (ControlFrame::Drop(drops[at..to].to_vec()), Step::Drop(to))
            }
            Step::Commit => (ControlFrame::Commit(self.commit(node, now)?), Step::Commit),
        };
        self.step = after(step);
        Ok(frame)
    }

    fn commit(&self, node: &str, now: i64) -> Result<Commit, crate::ca::CaError> {
        let Snapshot { vector, digest, .. } = &*self.to;
        let statement = wire::digest::statement(node, now, vector, digest);
        Ok(Commit {
            nonce: self.nonce,
            digest: *digest,
            issued_at: now,
            signature: self.signer.sign(&statement)?,
            signer: self.signer.certificate().to_vec(),
        })
    }
}

/// As many as fit into a frame, one at least.
fn batch(puts: &[Arc<Envelope>]) -> &[Arc<Envelope>] {
    let mut bytes = 0;
    let fits = |one: &&Arc<Envelope>| {
        bytes += one.body.len();
        bytes <= BATCH_BYTES
    };
    let count = puts.iter().take(BATCH).take_while(fits).count();
    &puts[..count.max(1).min(puts.len())]
}

/// The bytes of bodies in a frame.
pub(crate) fn weight(frame: &ControlFrame) -> usize {
    match frame {
        ControlFrame::Put(envelopes) => envelopes.iter().map(|one| one.body.len()).sum(),
        ControlFrame::Begin(_)
        | ControlFrame::Drop(_)
        | ControlFrame::Commit(_)
        | ControlFrame::Heartbeat(_)
        | ControlFrame::Trust(_)
        | ControlFrame::Sessions(_)
        | ControlFrame::Revoked(_)
        | ControlFrame::Ended(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use model::revocation::Whom;

    use super::*;

    /// So many Gateways, each of whose secrets are of this byte.
    fn sessions(gateways: usize, secret: u8) -> Arc<SessionSecrets> {
        let one = |name: usize| wire::GatewaySessions {
            gateway: wire::Key {
                kind: "Gateway".into(),
                namespace: "shop".into(),
                name: name.to_string(),
            },
            secrets: vec![model::secret::SecretBytes::new([secret; wire::SECRET])],
        };
        Arc::new(SessionSecrets { gateways: (0..gateways).map(one).collect(), more: false })
    }

    #[test]
    fn what_seals_sessions_is_said_in_parts_that_do_not_mix() {
        let next = |outbox: &mut Outbox| match outbox.next("node", 0) {
            Ok(Some(ControlFrame::Sessions(part))) => {
                let secret = part.gateways.first().map(|one| one.secrets[0].expose()[0]);
                (part.gateways.len(), secret, part.more)
            }
            other => panic!("{other:?}"),
        };
        let mut outbox = Outbox::default();
        outbox.sessions(sessions(GATEWAYS + 1, 1));
        assert_eq!(next(&mut outbox), (GATEWAYS, Some(1), true));
        outbox.sessions(sessions(1, 2));
        outbox.sessions(sessions(0, 3));
        assert_eq!(next(&mut outbox), (1, Some(1), false));
        assert_eq!(next(&mut outbox), (0, None, false), "the last word alone");
        assert!(outbox.is_empty());
    }

    #[test]
    fn who_is_shut_out_goes_ahead_of_what_is_being_said() {
        let out = |many: usize| -> Arc<[Revocation]> {
            let one = |at| Revocation {
                whom: Whom::Node { id: format!("n-{at}") },
                before: None,
                until: None,
            };
            (0..many).map(one).collect()
        };
        let next = |outbox: &mut Outbox| match outbox.next("node", 0) {
            Ok(Some(ControlFrame::Revoked(part))) => (part.revocations.len(), part.more),
            Ok(Some(ControlFrame::Ended(part))) => (part.sessions.len(), false),
            Ok(Some(ControlFrame::Sessions(part))) => (part.gateways.len(), part.more),
            other => panic!("{other:?}"),
        };
        let mut outbox = Outbox::default();
        outbox.sessions(sessions(GATEWAYS + 1, 1));
        assert_eq!(next(&mut outbox), (GATEWAYS, true));
        let left = EndedSession { id: "s".into(), until: 1 };
        outbox.ended(vec![left; ENDED + 1]);
        outbox.revoked(out(REVOKED + 2));
        assert_eq!(next(&mut outbox), (REVOKED, true), "amidst what was being said");
        outbox.revoked(out(3));
        assert_eq!(next(&mut outbox), (2, false), "no two of them mix");
        assert_eq!(next(&mut outbox), (3, false));
        assert_eq!(next(&mut outbox), (ENDED, false));
        assert_eq!(next(&mut outbox), (1, false));
        assert_eq!(next(&mut outbox), (1, false), "the rest of what was being said");
        assert!(outbox.is_empty());
    }
}
