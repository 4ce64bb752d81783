//! The frames of the stream between control and one node.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use model::Scope;

use crate::proto::config as proto;
use crate::{
    CLOSED, Ended, Envelope, HELD, Key, PORTS, REJECTIONS, RESTING, ROOTS, Revoked, SessionSecrets,
    TROUBLE, VERSION, Vector, WORD,
};

/// What a node says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeFrame {
    /// What it holds; the first frames of a stream.
    Hello(Hello),
    /// A transaction is in force.
    Ack(Ack),
    /// A transaction is refused as a whole.
    Nack(Nack),
    /// It is there.
    Heartbeat(NodeHeartbeat),
    /// Under which roots it lives.
    Standing(Standing),
}

/// What control says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ControlFrame {
    /// A transaction begins.
    Begin(Begin),
    /// Objects that are new or changed.
    Put(Vec<Envelope>),
    /// Objects that are gone, or are no longer for this node.
    Drop(Vec<Key>),
    /// The transaction is complete.
    Commit(Commit),
    /// It is there.
    Heartbeat(ControlHeartbeat),
    /// Whom the node believes from now on.
    Trust(Trust),
    /// By what the node seals sessions from now on, once all parts are there.
    Sessions(SessionSecrets),
    /// Who is shut out from now on, once all parts are there.
    Revoked(Revoked),
    /// Browsers that logged out.
    Ended(Ended),
}

/// By which queue a transaction goes; of two that wait, the lesser is sent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// What no longer holds: users, keys, certificates.
    Revocation,
    /// What is said of traffic.
    Config,
    /// Where services are.
    Endpoint,
    /// What is counted.
    Statistics,
}

/// An object that a node holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Which.
    pub key: Key,
    /// Its generation.
    pub generation: i64,
    /// [`digest::object`](crate::digest::object) of it.
    pub digest: [u8; 32],
}

/// A node's first words, in as many frames as it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// Its software.
    pub version: String,
    /// The newest schema of bodies that it reads.
    pub schema: u32,
    /// What it runs.
    pub vector: Vector,
    /// [`digest::held`](crate::digest::held) of all it holds.
    pub digest: [u8; 32],
    /// What it holds, [`HELD`](crate::HELD) at most in a frame.
    pub held: Vec<Held>,
    /// Whether another one follows.
    pub more: bool,
    /// Whether it takes [`Trust`].
    pub takes_trust: bool,
    /// Whether it takes [`SessionSecrets`].
    pub takes_sessions: bool,
    /// Whether it takes [`ControlFrame::Revoked`].
    pub takes_revoked: bool,
    /// Whether it takes [`ControlFrame::Ended`].
    pub takes_ended: bool,
}

/// Whom a node believes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    /// The roots, DER; the one that signs is the first.
    pub roots: Vec<Vec<u8>>,
    /// Within how many milliseconds a node asks for a certificate under the first one.
    pub spread: u32,
}

/// Under which roots a node lives, each told by the SHA-256 of its DER.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Those that it believes.
    pub trusts: Vec<[u8; 32]>,
    /// The one above its own certificate; zeros here and below for none that it believes.
    pub certificate: [u8; 32],
    /// The one above the certificate of its workload, if it has one.
    pub workload: Option<[u8; 32]>,
    /// The one above the signature of the state on its disk, if there is one.
    pub state: Option<[u8; 32]>,
}

/// The beginning of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begin {
    /// Its number on this stream.
    pub nonce: u64,
    /// Its queue.
    pub lane: Lane,
    /// What the node runs once it has taken it.
    pub vector: Vector,
    /// Whether the node forgets what it holds first.
    pub resync: bool,
}

/// The end of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Its number.
    pub nonce: u64,
    /// [`digest::held`](crate::digest::held) of all that is held afterwards.
    pub digest: [u8; 32],
    /// Microseconds since 1970.
    pub issued_at: i64,
    /// Over [`digest::statement`](crate::digest::statement): ECDSA P-256 SHA-256, ASN.1.
    pub signature: Vec<u8>,
    /// The certificate of the authority that signed, DER.
    pub signer: Vec<u8>,
}

/// An object that a node does not serve as it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// Which.
    pub key: Key,
    /// Its generation.
    pub generation: i64,
    /// Where in it, as a path such as `spec.rules[0]`.
    pub path: String,
    /// Why, in words.
    pub reason: String,
    /// What answers nobody because of it.
    pub closed: Vec<Key>,
}

/// A transaction is in force, but for what was rejected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ack {
    /// Its number.
    pub nonce: u64,
    /// What the node runs now.
    pub vector: Vector,
    /// [`digest::held`](crate::digest::held) of all it holds.
    pub digest: [u8; 32],
    /// What it could not take.
    pub rejected: Vec<Rejection>,
}

/// A transaction is refused as a whole, and nothing of it is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nack {
    /// Its number.
    pub nonce: u64,
    /// Why, in words.
    pub reason: String,
}

/// A node is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeHeartbeat {
    /// [`digest::held`](crate::digest::held) of all it holds.
    pub digest: [u8; 32],
    /// The ports at which the application beside it does not answer; at most [`PORTS`](crate::PORTS).
    pub silent: BTreeSet<u16>,
    /// The endpoints that get no requests from it, or only one by which they are tried; at most
    /// [`RESTING`](crate::RESTING).
    pub resting: Vec<Resting>,
}

/// An endpoint that gets no requests from a node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Resting {
    /// The Service.
    pub service: Key,
    /// Its port.
    pub port: u16,
    /// Where the endpoint is.
    pub address: SocketAddr,
    /// Why it gets none.
    pub cause: Cause,
    /// What was wrong with it last, in words, at most [`TROUBLE`](crate::TROUBLE) bytes; empty where that is not
    /// known.
    pub trouble: String,
}

/// Why an endpoint gets no requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// It does not answer health checks as it should.
    Unhealthy,
    /// Requests to it failed, or it could not be reached.
    Failing,
}

/// Control is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlHeartbeat {
    /// Its clock, microseconds since 1970.
    pub now: i64,
}

/// A frame that is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// It says nothing that this program knows.
    #[error("a frame without a part that this version knows")]
    Empty,
    /// A part that must be there is not.
    #[error("a frame without its '{0}'")]
    Missing(&'static str),
    /// A digest of another length.
    #[error("a digest of {0} bytes where there are 32")]
    Digest(usize),
    /// A scope that is none.
    #[error("{0}")]
    Scope(String),
    /// A lane that this program does not know.
    #[error("a lane {0} that this version does not know")]
    Lane(i32),
    /// A word that is longer than any of ours.
    #[error("a word of {0} bytes, which is too long")]
    Long(usize),
    /// A port that is none.
    #[error("a port {0}, which is none")]
    Port(u32),
    /// An address that is none.
    #[error("an address '{0}', which is none")]
    Address(String),
    /// A secret of another length.
    #[error("a secret of {0} bytes where there are 32")]
    Secret(usize),
    /// A cause that this program does not know.
    #[error("a cause {0} that this version does not know")]
    Cause(i32),
    /// More objects than one frame may tell of.
    #[error("{0} objects in one frame, which are too many")]
    Many(usize),
    /// Counts that are not of our form.
    #[error("counts that cannot be read: {0}")]
    Counts(&'static str),
    /// A name that is none.
    #[error("{0}")]
    Name(String),
    /// A decision that is not JSON, or not of our form.
    #[error("a decision that cannot be read: {0}")]
    Decision(String),
}

impl From<NodeFrame> for proto::NodeFrame {
    fn from(frame: NodeFrame) -> Self {
        use proto::node_frame::Frame;
        let frame = match frame {
            NodeFrame::Hello(hello) => Frame::Hello(proto::Hello {
                version: hello.version,
                schema: hello.schema,
                vector: vector(hello.vector),
                digest: hello.digest.to_vec(),
                held: hello.held.into_iter().map(Into::into).collect(),
                more: hello.more,
                takes_trust: hello.takes_trust,
                takes_sessions: hello.takes_sessions,
                takes_revoked: hello.takes_revoked,
                takes_ended: hello.takes_ended,
            }),
            NodeFrame::Ack(ack) => Frame::Ack(proto::Ack {
                nonce: ack.nonce,
                vector: vector(ack.vector),
                digest: ack.digest.to_vec(),
                rejected: ack.rejected.into_iter().map(Into::into).collect(),
            }),
            NodeFrame::Nack(nack) => {
                Frame::Nack(proto::Nack { nonce: nack.nonce, reason: nack.reason })
            }
            NodeFrame::Heartbeat(heartbeat) => Frame::Heartbeat(proto::NodeHeartbeat {
                digest: heartbeat.digest.to_vec(),
                silent: heartbeat.silent.into_iter().map(u32::from).collect(),
                resting: heartbeat.resting.into_iter().map(Into::into).collect(),
            }),
            NodeFrame::Standing(standing) => Frame::Standing(proto::Standing {
                trusts: standing.trusts.iter().map(|root| root.to_vec()).collect(),
                certificate: standing.certificate.to_vec(),
                workload: standing.workload.map(Vec::from),
                state: standing.state.map(Vec::from),
            }),
        };
        proto::NodeFrame { frame: Some(frame) }
    }
}

impl TryFrom<proto::NodeFrame> for NodeFrame {
    type Error = Malformed;

    fn try_from(message: proto::NodeFrame) -> Result<Self, Malformed> {
        use proto::node_frame::Frame;
        Ok(match message.frame.ok_or(Malformed::Empty)? {
            Frame::Hello(hello) if hello.version.len() > VERSION => {
                return Err(Malformed::Long(hello.version.len()));
            }
            Frame::Hello(hello) if hello.held.len() > HELD => {
                return Err(Malformed::Many(hello.held.len()));
            }
            Frame::Hello(hello) => NodeFrame::Hello(Hello {
                version: hello.version,
                schema: hello.schema,
                vector: read_vector(hello.vector)?,
                digest: digest(&hello.digest)?,
                held: hello.held.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
                more: hello.more,
                takes_trust: hello.takes_trust,
                takes_sessions: hello.takes_sessions,
                takes_revoked: hello.takes_revoked,
                takes_ended: hello.takes_ended,
            }),
            Frame::Ack(ack) if ack.rejected.len() > REJECTIONS => {
                return Err(Malformed::Many(ack.rejected.len()));
            }
            Frame::Ack(ack) => NodeFrame::Ack(Ack {
                nonce: ack.nonce,
                vector: read_vector(ack.vector)?,
                digest: digest(&ack.digest)?,
                rejected: ack
                    .rejected
                    .into_iter()
                    .map(TryInto::try_into)
                    .collect::<Result<_, _>>()?,
            }),
            Frame::Nack(nack) => NodeFrame::Nack(Nack { nonce: nack.nonce, reason: nack.reason }),
            Frame::Heartbeat(heartbeat) if heartbeat.silent.len() > PORTS => {
                return Err(Malformed::Many(heartbeat.silent.len()));
            }
            Frame::Heartbeat(heartbeat) if heartbeat.resting.len() > RESTING => {
                return Err(Malformed::Many(heartbeat.resting.len()));
            }
            Frame::Heartbeat(heartbeat) => NodeFrame::Heartbeat(NodeHeartbeat {
                digest: digest(&heartbeat.digest)?,
                silent: heartbeat.silent.into_iter().map(port).collect::<Result<_, _>>()?,
                resting: heartbeat
                    .resting
                    .into_iter()
                    .map(TryInto::try_into)
                    .collect::<Result<_, _>>()?,
            }),
            Frame::Standing(standing) if standing.trusts.len() > ROOTS => {
                return Err(Malformed::Many(standing.trusts.len()));
            }
            Frame::Standing(standing) => NodeFrame::Standing(Standing {
                trusts: standing.trusts.iter().map(|one| digest(one)).collect::<Result<_, _>>()?,
                certificate: digest(&standing.certificate)?,
                workload: standing.workload.as_deref().map(digest).transpose()?,
                state: standing.state.as_deref().map(digest).transpose()?,
            }),
        })
    }
}

impl From<ControlFrame> for proto::ControlFrame {
    fn from(frame: ControlFrame) -> Self {
        use proto::control_frame::Frame;
        let frame = match frame {
            ControlFrame::Begin(begin) => Frame::Begin(proto::Begin {
                nonce: begin.nonce,
                lane: proto::Lane::from(begin.lane).into(),
                vector: vector(begin.vector),
                resync: begin.resync,
            }),
            ControlFrame::Put(envelopes) => {
                let envelopes = envelopes.into_iter().map(Into::into).collect();
                Frame::Put(proto::Put { envelopes })
            }
            ControlFrame::Drop(keys) => {
                Frame::Drop(proto::Drop { keys: keys.into_iter().map(Into::into).collect() })
            }
            ControlFrame::Commit(commit) => Frame::Commit(proto::Commit {
                nonce: commit.nonce,
                digest: commit.digest.to_vec(),
                issued_at: commit.issued_at,
                signature: commit.signature,
                signer: commit.signer,
            }),
            ControlFrame::Heartbeat(heartbeat) => {
                Frame::Heartbeat(proto::ControlHeartbeat { now: heartbeat.now })
            }
            ControlFrame::Trust(Trust { roots, spread }) => {
                Frame::Trust(proto::Trust { roots, spread })
            }
            ControlFrame::Sessions(sessions) => Frame::Sessions(sessions.into()),
            ControlFrame::Revoked(revoked) => Frame::Revoked(revoked.into()),
            ControlFrame::Ended(ended) => Frame::Ended(ended.into()),
        };
        proto::ControlFrame { frame: Some(frame) }
    }
}

impl TryFrom<proto::ControlFrame> for ControlFrame {
    type Error = Malformed;

    fn try_from(message: proto::ControlFrame) -> Result<Self, Malformed> {
        use proto::control_frame::Frame;
        Ok(match message.frame.ok_or(Malformed::Empty)? {
            Frame::Begin(begin) => ControlFrame::Begin(Begin {
                nonce: begin.nonce,
                lane: lane(begin.lane)?,
                vector: read_vector(begin.vector)?,
                resync: begin.resync,
            }),
            Frame::Put(put) => ControlFrame::Put(
                put.envelopes.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            ),
            Frame::Drop(drop) => {
                ControlFrame::Drop(drop.keys.into_iter().map(Into::into).collect())
            }
            Frame::Commit(commit) => ControlFrame::Commit(Commit {
                nonce: commit.nonce,
                digest: digest(&commit.digest)?,
                issued_at: commit.issued_at,
                signature: commit.signature,
                signer: commit.signer,
            }),
            Frame::Heartbeat(heartbeat) => {
                ControlFrame::Heartbeat(ControlHeartbeat { now: heartbeat.now })
            }
            Frame::Trust(trust) if trust.roots.is_empty() => {
                return Err(Malformed::Missing("roots"));
            }
            Frame::Trust(trust) if trust.roots.len() > ROOTS => {
                return Err(Malformed::Many(trust.roots.len()));
            }
            Frame::Trust(proto::Trust { roots, spread }) => {
                ControlFrame::Trust(Trust { roots, spread })
            }
            Frame::Sessions(sessions) => ControlFrame::Sessions(sessions.try_into()?),
            Frame::Revoked(revoked) => ControlFrame::Revoked(revoked.try_into()?),
            Frame::Ended(ended) => ControlFrame::Ended(ended.try_into()?),
        })
    }
}

impl From<Key> for proto::Key {
    fn from(key: Key) -> Self {
        proto::Key { kind: key.kind, namespace: key.namespace, name: key.name }
    }
}

impl From<proto::Key> for Key {
    fn from(key: proto::Key) -> Self {
        Key { kind: key.kind, namespace: key.namespace, name: key.name }
    }
}

impl From<Held> for proto::Held {
    fn from(held: Held) -> Self {
        proto::Held {
            key: Some(held.key.into()),
            generation: held.generation,
            digest: held.digest.to_vec(),
        }
    }
}

impl TryFrom<proto::Held> for Held {
    type Error = Malformed;

    fn try_from(held: proto::Held) -> Result<Self, Malformed> {
        Ok(Held {
            key: short(key(held.key)?)?,
            generation: held.generation,
            digest: digest(&held.digest)?,
        })
    }
}

impl From<Envelope> for proto::Envelope {
    fn from(envelope: Envelope) -> Self {
        proto::Envelope {
            key: Some(envelope.key.into()),
            scope: envelope.scope,
            generation: envelope.generation,
            digest: envelope.digest.to_vec(),
            body: envelope.body,
            schema: envelope.schema,
            policy: envelope.policy,
            targets: envelope.targets.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<proto::Envelope> for Envelope {
    type Error = Malformed;

    fn try_from(envelope: proto::Envelope) -> Result<Self, Malformed> {
        Ok(Envelope {
            key: key(envelope.key)?,
            scope: envelope.scope,
            generation: envelope.generation,
            digest: digest(&envelope.digest)?,
            body: envelope.body,
            schema: envelope.schema,
            policy: envelope.policy,
            targets: envelope.targets.into_iter().map(Into::into).collect(),
        })
    }
}

impl From<Rejection> for proto::Rejection {
    fn from(rejection: Rejection) -> Self {
        proto::Rejection {
            key: Some(rejection.key.into()),
            generation: rejection.generation,
            path: rejection.path,
            reason: rejection.reason,
            closed: rejection.closed.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<proto::Rejection> for Rejection {
    type Error = Malformed;

    fn try_from(rejection: proto::Rejection) -> Result<Self, Malformed> {
        Ok(Rejection {
            key: short(key(rejection.key)?)?,
            generation: rejection.generation,
            path: rejection.path,
            reason: rejection.reason,
            // What a policy names may be odd, which is no fault of the node.
            closed: rejection
                .closed
                .into_iter()
                .take(CLOSED)
                .filter_map(|key| short(key.into()).ok())
                .collect(),
        })
    }
}

impl From<Lane> for proto::Lane {
    fn from(lane: Lane) -> Self {
        match lane {
            Lane::Revocation => proto::Lane::Revocation,
            Lane::Config => proto::Lane::Config,
            Lane::Endpoint => proto::Lane::Endpoint,
            Lane::Statistics => proto::Lane::Statistics,
        }
    }
}

fn lane(number: i32) -> Result<Lane, Malformed> {
    match proto::Lane::try_from(number) {
        Ok(proto::Lane::Revocation) => Ok(Lane::Revocation),
        Ok(proto::Lane::Config) => Ok(Lane::Config),
        Ok(proto::Lane::Endpoint) => Ok(Lane::Endpoint),
        Ok(proto::Lane::Statistics) => Ok(Lane::Statistics),
        Ok(proto::Lane::Unspecified) | Err(_) => Err(Malformed::Lane(number)),
    }
}

fn vector(vector: Vector) -> Vec<proto::ScopeRevision> {
    let one = |(scope, revision): (Scope, i64)| proto::ScopeRevision {
        scope: scope.to_string(),
        revision,
    };
    vector.into_iter().map(one).collect()
}

fn read_vector(vector: Vec<proto::ScopeRevision>) -> Result<Vector, Malformed> {
    let one = |one: proto::ScopeRevision| {
        Ok((Scope::try_from(one.scope).map_err(Malformed::Scope)?, one.revision))
    };
    vector.into_iter().map(one).collect()
}

impl From<Resting> for proto::Resting {
    fn from(resting: Resting) -> Self {
        let cause = match resting.cause {
            Cause::Unhealthy => proto::Cause::Unhealthy,
            Cause::Failing => proto::Cause::Failing,
        };
        proto::Resting {
            service: Some(resting.service.into()),
            port: resting.port.into(),
            address: resting.address.to_string(),
            cause: cause.into(),
            trouble: resting.trouble,
        }
    }
}

impl TryFrom<proto::Resting> for Resting {
    type Error = Malformed;

    fn try_from(resting: proto::Resting) -> Result<Self, Malformed> {
        let cause = match proto::Cause::try_from(resting.cause) {
            Ok(proto::Cause::Unhealthy) => Cause::Unhealthy,
            Ok(proto::Cause::Failing) => Cause::Failing,
            Ok(proto::Cause::Unspecified) | Err(_) => return Err(Malformed::Cause(resting.cause)),
        };
        if resting.address.len() > WORD {
            return Err(Malformed::Long(resting.address.len()));
        }
        if resting.trouble.len() > TROUBLE {
            return Err(Malformed::Long(resting.trouble.len()));
        }
        let address = resting.address.parse();
        Ok(Resting {
            service: short(key(resting.service)?)?,
            port: port(resting.port)?,
            address: address.map_err(|_| Malformed::Address(resting.address))?,
            cause,
            trouble: resting.trouble,
        })
    }
}

fn port(number: u32) -> Result<u16, Malformed> {
    u16::try_from(number).map_err(|_| Malformed::Port(number))
}

pub(crate) fn key(key: Option<proto::Key>) -> Result<Key, Malformed> {
    key.map(Into::into).ok_or(Malformed::Missing("key"))
}

/// A key of which no word is longer than any word of ours.
fn short(key: Key) -> Result<Key, Malformed> {
    match [&key.kind, &key.namespace, &key.name].iter().map(|word| word.len()).max() {
        Some(longest) if longest > WORD => Err(Malformed::Long(longest)),
        Some(_) | None => Ok(key),
    }
}

fn digest(bytes: &[u8]) -> Result<[u8; 32], Malformed> {
    bytes.try_into().map_err(|_| Malformed::Digest(bytes.len()))
}
