//! How a node comes by its certificate: by a join token, by its certificate, or by one that ended.
//!
//! | | proves itself by | refused when |
//! |---|---|---|
//! | join | a join token | the token is no good, or not for this kind and name |
//! | renew | the certificate of its connection | it was forgotten |
//! | rejoin | a certificate that ended, and its key | that is neither its last one nor that by which it asked for it, or 30 days have passed |
//!
//! The clocks must agree first, for certificates mean nothing where they do not.

use std::fmt::Display;
use std::sync::Arc;

use model::Resource;
use model::identity::Peer;
use model::workload::Workload;
use store::Store;
use store::join::JoinToken;
use store::node::{Certificate, Node, Shown};
use time::{Duration, OffsetDateTime};
use tonic::{Request, Response, Status};
use wire::{Certified, Join, Rejoin, Renew, Speak, Spoken};

use crate::ca::{Ca, NodeKind, NodeName, Proven, Requested, serial};
use crate::clock::Clock;
use crate::moment::micros;
use crate::{App, World};

/// How far a node's clock may be from ours.
const SKEW: Duration = Duration::minutes(5);
/// How long after its certificate ended a node may still come back by it.
const LATE: Duration = Duration::days(30);
/// The longest word of a request: names, versions.
const WORD: usize = 253;

const NO_TOKEN: &str = "this join token is unknown, used up, expired or revoked; make a new one \
                        with `heddle join-token create`";
pub(crate) const FORGOTTEN: &str = "this node was forgotten; let it join again with a new join token \
                         (`heddle join-token create`)";
const NOT_LAST: &str = "this is not the last certificate that the node got; let it join again with \
                        a new join token (`heddle join-token create`)";

/// The service.
#[derive(Debug)]
pub struct Identities {
    app: Arc<App>,
    ca: Arc<Ca>,
    store: Store,
    clock: Clock,
}

impl Identities {
    /// Over `app` and its store, certificates by `ca`.
    pub fn new(app: Arc<App>, ca: Arc<Ca>, clock: Clock) -> Self {
        let store = app.store().clone();
        Identities { app, ca, store, clock }
    }

    async fn let_in(&self, join: Join) -> Result<Certified, Status> {
        let now = self.clock.now();
        clocks_agree(join.now, now)?;
        let request = requested(&join.csr)?;
        let token = self.token(&join, now).await?;
        let node = NodeName::parse(&token.cluster, &join.kind, &join.name).ok_or_else(|| {
            let (kind, name) = (&join.kind, &join.name);
            Status::invalid_argument(format!(
                "'{kind}' and '{name}' are no kind and name of a node"
            ))
        })?;
        fits(&token, &node)?;
        // The use is taken once all else is in order, and taken from whoever comes second.
        let used = self.store.join_token_use(&token.hash, micros(now)).await.map_err(failed)?;
        used.ok_or_else(|| Status::unauthenticated(NO_TOKEN))?;
        let row = Node {
            id: uuid::Uuid::now_v7().to_string(),
            cluster: node.cluster.to_string(),
            kind: node.kind.to_string(),
            name: node.name.to_string(),
            version: join.version,
            first_seen: micros(now),
            last_seen: micros(now),
            certificate: None,
            connected: false,
            standing: None,
        };
        let id = self.store.node_join(&row).await.map_err(failed)?;
        self.app.node_changed();
        tracing::info!(node = id, "{node} joined by the token {}", token.id);
        self.certified(&node, id, &request, now, None).await
    }

    /// The token, if it is good now; nothing is used up yet.
    async fn token(&self, join: &Join, now: OffsetDateTime) -> Result<JoinToken, Status> {
        let hash = store::digest(join.token_secret.as_bytes());
        let found = self.store.join_token_find(&hash).await.map_err(failed)?;
        let is_good = |token: &JoinToken| {
            let same = token.id.replace('-', "") == join.token_id.replace('-', "");
            let lasts = token.expires > micros(now) && token.revoked.is_none();
            same && lasts && token.uses_left > 0
        };
        found.filter(is_good).ok_or_else(|| Status::unauthenticated(NO_TOKEN))
    }

    async fn renewed(&self, proven: &Proven, renew: Renew) -> Result<Certified, Status> {
        let now = self.clock.now();
        clocks_agree(renew.now, now)?;
        let request = requested(&renew.csr)?;
        still_holds(proven, now)?;
        let node = known(&self.store, proven).await?;
        let last = node.certificate.as_ref().map(|last| last.serial.as_str());
        let by = Shown { serial: &proven.serial, last };
        self.certified(&proven.node, node.id, &request, now, Some(by)).await
    }

    async fn let_back_in(&self, rejoin: Rejoin) -> Result<Certified, Status> {
        let now = self.clock.now();
        clocks_agree(rejoin.now, now)?;
        let request = requested(&rejoin.csr)?;
        let proven = self.ca.prove(&rejoin.certificate).await.map_err(failed)?;
        let proven = proven.map_err(|unfit| {
            Status::unauthenticated(format!("the certificate is of no use: {unfit}"))
        })?;
        if request.key() != proven.key {
            let text = "the certificate request is for another key than the certificate";
            return Err(Status::unauthenticated(text));
        }
        if proven.expires + LATE < now {
            let days = (now - proven.expires).whole_days();
            return Err(Status::unauthenticated(format!(
                "the certificate ended {days} days ago, and at most {} are allowed; let the node \
                 join again with a new join token (`heddle join-token create`)",
                LATE.whole_days()
            )));
        }
        let node = known(&self.store, &proven).await?;
        let last = node.certificate.as_ref().map(|last| last.serial.as_str());
        if last != Some(&proven.serial) {
            // The answer with the last one may have been lost.
            let before = self.store.node_serial_before(&node.id).await.map_err(failed)?;
            if before.as_ref() != Some(&proven.serial) {
                return Err(Status::unauthenticated(NOT_LAST));
            }
        }
        tracing::info!(node = node.id, "{} came back by a certificate that ended", proven.node);
        let by = Shown { serial: &proven.serial, last };
        self.certified(&proven.node, node.id, &request, now, Some(by)).await
    }

    /// A certificate of the workload whose proxy the node is: the Workload that its name means, in
    /// its own cluster.
    async fn spoken(&self, proven: &Proven, speak: Speak) -> Result<Spoken, Status> {
        let now = self.clock.now();
        clocks_agree(speak.now, now)?;
        let request = requested(&speak.csr)?;
        if request.key() != proven.key {
            let text = "the certificate request is for another key than the node's certificate";
            return Err(Status::unauthenticated(text));
        }
        still_holds(proven, now)?;
        known(&self.store, proven).await?;
        let world = self.app.world().await.map_err(failed)?;
        let peer = speaks_as(&world, &proven.node).map_err(Status::failed_precondition)?;
        let issued = self.ca.vouch(&proven.id, &peer, &request, now).await.map_err(failed)?;
        tracing::info!(node = proven.id, "{} speaks as {peer}", proven.node);
        Ok(Spoken {
            chain: issued.chain.iter().map(|one| one.to_vec()).collect(),
            roots: self.ca.roots().bundle(),
            now: micros(now),
        })
    }

    /// A new certificate, noted before it is handed out.
    async fn certified(
        &self,
        node: &NodeName,
        id: String,
        request: &Requested,
        now: OffsetDateTime,
        by: Option<Shown<'_>>,
    ) -> Result<Certified, Status> {
        let serial = serial().map_err(failed)?;
        let issued = self.ca.certify(node, &id, &serial, request, now).await.map_err(failed)?;
        let certificate = Certificate { serial, expires: micros(issued.expires) };
        let is_noted = self.store.node_certify(&id, &certificate, by).await.map_err(failed)?;
        self.app.node_changed();
        if !is_noted {
            return Err(match self.store.node(&id).await.map_err(failed)? {
                None => Status::unauthenticated(FORGOTTEN),
                // Of two that ask at once by one certificate, one is answered.
                Some(_) => Status::unavailable("this node got another certificate meanwhile"),
            });
        }
        Ok(Certified {
            node_id: id,
            cluster: node.cluster.to_string(),
            trust: self.ca.trust().to_owned(),
            chain: issued.chain.iter().map(|one| one.to_vec()).collect(),
            roots: self.ca.roots().bundle(),
            now: micros(now),
        })
    }
}

#[tonic::async_trait]
impl wire::server::Identity for Identities {
    async fn join(&self, request: Request<Join>) -> Result<Response<Certified>, Status> {
        let join = request.into_inner();
        short(&[&join.token_id, &join.token_secret, &join.kind, &join.name, &join.version])?;
        self.let_in(join).await.map(Response::new)
    }

    async fn renew(&self, request: Request<Renew>) -> Result<Response<Certified>, Status> {
        let proven = proven(&request)?;
        self.renewed(&proven, request.into_inner()).await.map(Response::new)
    }

    async fn rejoin(&self, request: Request<Rejoin>) -> Result<Response<Certified>, Status> {
        self.let_back_in(request.into_inner()).await.map(Response::new)
    }

    async fn speak(&self, request: Request<Speak>) -> Result<Response<Spoken>, Status> {
        let proven = proven(&request)?;
        self.spoken(&proven, request.into_inner()).await.map(Response::new)
    }
}

/// A connection may be older than the end of the certificate that it was opened by.
fn still_holds(proven: &Proven, now: OffsetDateTime) -> Result<(), Status> {
    match proven.expires < now {
        true => Err(Status::unauthenticated(
            "the certificate of this connection has ended; come back by it on a new one",
        )),
        false => Ok(()),
    }
}

/// As whom a node speaks in the mesh, or why it does not.
fn speaks_as(world: &World, node: &NodeName) -> Result<Peer, String> {
    let NodeName { cluster, kind, name } = node;
    if *kind != NodeKind::Mesh {
        return Err(format!("a {kind} speaks by its own certificate"));
    }
    let key = Workload::of_node(name).ok_or_else(|| {
        format!("'{name}' names no workload; a proxy of the mesh joins as NAMESPACE.WORKLOAD")
    })?;
    let Some(Resource::Workload(workload)) = world.objects.get(&key).map(|one| &one.resource)
    else {
        return Err(format!("there is no {key} for this proxy to speak for"));
    };
    if workload.spec.cluster != *cluster {
        let other = &workload.spec.cluster;
        return Err(format!("{key} runs in cluster '{other}', and this proxy joined '{cluster}'"));
    }
    if !world.directory.reach(&key.namespace).has(cluster) {
        return Err(format!("the workspace of {key} is not in the cluster '{cluster}'"));
    }
    if workload.spec.mesh.is_none() {
        return Err(format!("{key} has no proxy; 'spec.mesh' gives it one"));
    }
    Ok(workload.peer())
}

/// Who is at the other end of the connection that a request came by.
pub(crate) fn proven<T>(request: &Request<T>) -> Result<Proven, Status> {
    let shown = request.extensions().get::<Proven>().cloned();
    shown.ok_or_else(|| {
        Status::unauthenticated(
            "this takes the certificate of a node; join first, with a join token",
        )
    })
}

/// The node that proved itself, unless it was forgotten since.
pub(crate) async fn known(store: &Store, proven: &Proven) -> Result<Node, Status> {
    let node = store.node(&proven.id).await.map_err(failed)?;
    let is_same = |node: &Node| {
        let NodeName { cluster, kind, name } = &proven.node;
        node.cluster == cluster.as_str() && node.kind == kind.as_str() && node.name == name.as_str()
    };
    node.filter(is_same).ok_or_else(|| Status::unauthenticated(FORGOTTEN))
}

/// The cause is for our log; the node can do nothing but try again.
pub(crate) fn failed(error: impl std::error::Error) -> Status {
    let cause = error.source().map(ToString::to_string).unwrap_or_default();
    tracing::warn!(%error, cause, "a node could not be served");
    Status::unavailable("the control plane cannot answer right now; try again")
}

fn requested(csr: &[u8]) -> Result<Requested, Status> {
    Requested::read(csr).map_err(|error| Status::invalid_argument(error.to_string()))
}

fn short(words: &[&String]) -> Result<(), Status> {
    match words.iter().all(|word| word.len() <= WORD) {
        true => Ok(()),
        false => Err(Status::invalid_argument(format!("a word of more than {WORD} bytes"))),
    }
}

fn fits(token: &JoinToken, node: &NodeName) -> Result<(), Status> {
    let name = node.name.as_str();
    let is_named = match token.pattern.strip_suffix('*') {
        Some(stem) => name.starts_with(stem),
        None => token.pattern == name,
    };
    if is_named && token.kind == node.kind.as_str() {
        return Ok(());
    }
    let JoinToken { kind, pattern, .. } = token;
    Err(Status::failed_precondition(format!(
        "this join token lets in nodes of the kind '{kind}' called '{pattern}', and this is the \
         {} '{name}'; make one that fits with `heddle join-token create`",
        node.kind
    )))
}

fn clocks_agree(node: i64, now: OffsetDateTime) -> Result<(), Status> {
    let behind = Duration::microseconds(micros(now).saturating_sub(node));
    if behind.abs() <= SKEW {
        return Ok(());
    }
    let way = if behind.is_positive() { "behind" } else { "ahead of" };
    Err(Status::failed_precondition(format!(
        "the clock of this node is {} {way} that of the server; {} are allowed: set the one that is \
         wrong, and keep both right by NTP",
        Long(behind.abs()),
        Long(SKEW)
    )))
}

/// A length of time in words.
struct Long(Duration);

impl Display for Long {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (days, hours) = (self.0.whole_days(), self.0.whole_hours() % 24);
        let (minutes, seconds) = (self.0.whole_minutes() % 60, self.0.whole_seconds() % 60);
        match (days, hours, minutes) {
            (0, 0, _) => write!(f, "{minutes} min {seconds} s"),
            (0, _, _) => write!(f, "{hours} h {minutes} min"),
            (_, _, _) => write!(f, "{days} d {hours} h"),
        }
    }
}

#[cfg(test)]
mod tests;
