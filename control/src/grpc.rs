//! The port for nodes: TLS 1.3 with our own certificate, and the three services behind it.
//!
//! Whoever shows no certificate may join and come back, and is cut off after half a minute; whoever
//! shows one that is not a node's of ours does not get through the handshake.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::crypto::aws_lc_rs::{default_provider, sign::any_ecdsa_type};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, version::TLS13};
use time::OffsetDateTime;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tonic::body::Body;
use tonic::codegen::Service as _;
use tonic::{Code, Status};
use wire::server::{ConfigServer, IdentityServer, SeeingServer};

use crate::App;
use crate::ca::{Ca, CaError, NodeCheck, Proven, Roots, ServerCertificate};
use crate::clock::Clock;
use crate::fleet::Fleet;
use crate::identity::Identities;
use crate::push::{Configs, Push};
use crate::seeing::{self, Seeing, Seeings, Window};
use outward::Reach;

/// Connections of nodes at once.
const CONNECTIONS: usize = 10_000;
/// Connections of one node at once: its streams, a renewal, and as many that are about to end.
const OF_ONE: usize = 8;
/// Handshakes at once; who comes later waits in the socket.
const HANDSHAKES: usize = 1_024;
/// Connections at once that show no certificate.
const STRANGERS: usize = 512;
/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// How long whoever shows no certificate may stay.
const STRANGER: Duration = Duration::from_secs(30);
/// How long a node's connection may stay; its stream ends with its certificate, long before.
const NODE: Duration = Duration::from_secs(366 * 86_400);
/// How long connections may take to end.
const GRACE: Duration = Duration::from_secs(2);
/// How often a connection is asked whether it is there.
const PING: Duration = Duration::from_secs(15);
/// How often we look whether our own certificate needs to be followed by another.
const LOOK: Duration = Duration::from_secs(60);
/// How long after a failure to accept we try again.
const AGAIN: Duration = Duration::from_millis(100);

/// Why the port cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The authority failed.
    #[error("the authority of nodes cannot be used")]
    Ca(#[from] CaError),
    /// TLS cannot be set up.
    #[error("TLS for nodes cannot be set up")]
    Tls(#[from] rustls::Error),
    /// The socket failed.
    #[error("the port for nodes cannot be used")]
    Socket(#[from] io::Error),
}

/// What nodes speak to.
#[derive(Debug)]
pub struct Nodes {
    ca: Arc<Ca>,
    fleet: Arc<Fleet>,
    push: Arc<Push>,
    seeing: Arc<Seeing>,
    check: Arc<NodeCheck>,
    tls: Arc<ServerConfig>,
    shown: Arc<Shown>,
    config: ConfigServer<Configs>,
    identity: IdentityServer<Identities>,
    told: SeeingServer<Seeings>,
    clock: Clock,
    strangers: Semaphore,
    nodes: Semaphore,
    /// How many connections each node holds, by its id.
    held: Mutex<BTreeMap<String, usize>>,
}

impl Nodes {
    /// Over an app and its store; `fleet` is told of what nodes say, and what they tell of requests
    /// is kept as `window` says. Keys of issuers are fetched as far as `reach` leads.
    ///
    /// # Errors
    /// [`ServeError`].
    pub async fn new(
        app: Arc<App>,
        ca: Arc<Ca>,
        fleet: Arc<Fleet>,
        clock: Clock,
        window: Window,
        reach: Reach,
    ) -> Result<Self, ServeError> {
        let provider = Arc::new(default_provider());
        let check = Arc::new(NodeCheck::new(Arc::clone(&ca), Arc::clone(&provider)));
        let shown = Arc::new(Shown::new(&ca, clock.now()).await?);
        let verifier: Arc<dyn rustls::server::danger::ClientCertVerifier> = check.clone();
        let mut tls = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(shown.clone());
        tls.alpn_protocols = vec![b"h2".to_vec()];
        // A resumed connection would bring a certificate that was checked once, long ago.
        tls.send_tls13_tickets = 0;
        let push =
            Push::new(Arc::clone(&app), Arc::clone(&ca), Arc::clone(&fleet), clock.clone(), reach);
        let push = Arc::new(push);
        let seeing = Seeing::new(Arc::clone(&app), Arc::clone(&fleet), clock.clone(), window);
        let seeing = Arc::new(seeing);
        let identities = Identities::new(Arc::clone(&app), Arc::clone(&ca), clock.clone());
        let config = ConfigServer::new(Configs(Arc::clone(&push)));
        let config = config.max_decoding_message_size(wire::FRAME);
        let config = config.max_encoding_message_size(wire::FRAME);
        let identity = IdentityServer::new(identities).max_decoding_message_size(64 << 10);
        let told = SeeingServer::new(Seeings(Arc::clone(&seeing)));
        let told = told.max_decoding_message_size(seeing::BATCH);
        let tls = Arc::new(tls);
        let (strangers, nodes) = (Semaphore::new(STRANGERS), Semaphore::new(CONNECTIONS));
        let held = Mutex::default();
        Ok(Nodes {
            ca,
            fleet,
            push,
            seeing,
            check,
            tls,
            shown,
            config,
            identity,
            told,
            clock,
            strangers,
            nodes,
            held,
        })
    }

    /// Serves until `stop` says true, then ends all streams.
    pub async fn serve(self: Arc<Self>, listener: TcpListener, mut stop: watch::Receiver<bool>) {
        let mut tasks = JoinSet::new();
        tasks.spawn(Arc::clone(&self.ca).follow());
        tasks.spawn(Arc::clone(&self.push).follow());
        let (leave, leaving) = watch::channel(false);
        let keys = tokio::spawn(Arc::clone(&self.push).keep_keys(leaving.clone()));
        let mut keys = AbortOnDrop(keys);
        let secrets = tokio::spawn(Arc::clone(&self.push).keep_secrets(leaving.clone()));
        let mut secrets = AbortOnDrop(secrets);
        let revocations = tokio::spawn(Arc::clone(&self.push).keep_revocations(leaving));
        let mut revocations = AbortOnDrop(revocations);
        tasks.spawn(Arc::clone(&self.seeing).tidy());
        tasks.spawn(Arc::clone(&self).renew());
        let push = Arc::clone(&self.push);
        tasks.spawn(Arc::clone(&self.fleet).keep(move |id| push.forget(id)));
        let (close, closing) = watch::channel(false);
        let accepting = tokio::spawn(Arc::clone(&self).accept(listener, closing));
        let mut accepting = AbortOnDrop(accepting);
        said(&mut stop).await;
        // Streams first, so that connections still carry their last words.
        self.seeing.stop();
        self.push.stop().await;
        close.send_replace(true);
        let _ = tokio::time::timeout(GRACE, &mut accepting.0).await;
        // What it writes is not broken off: that would leave the store's connection open.
        leave.send_replace(true);
        let _ = tokio::time::timeout(GRACE, async {
            let _ = tokio::join!(&mut secrets.0, &mut keys.0, &mut revocations.0);
        })
        .await;
        tasks.shutdown().await;
        self.fleet.flush().await;
    }

    async fn accept(self: Arc<Self>, listener: TcpListener, mut closing: watch::Receiver<bool>) {
        // Who only shakes hands takes no place of nodes.
        let places = Arc::new(Semaphore::new(HANDSHAKES));
        // Dropped with this future, which aborts them all.
        let mut connections = JoinSet::new();
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                Some(_) = connections.join_next() => continue,
                () = said(&mut closing) => break,
            };
            match accepted {
                Ok((socket, peer)) => {
                    let (nodes, closing) = (Arc::clone(&self), closing.clone());
                    connections.spawn(async move {
                        nodes.connection(socket, peer, closing, place).await;
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection of a node could not be accepted");
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
        while connections.join_next().await.is_some() {}
    }

    async fn connection(
        self: Arc<Self>,
        socket: TcpStream,
        peer: SocketAddr,
        mut closing: watch::Receiver<bool>,
        handshake_place: OwnedSemaphorePermit,
    ) {
        let _ = socket.set_nodelay(true);
        let handshake = TlsAcceptor::from(Arc::clone(&self.tls)).accept(socket);
        let tls = match tokio::time::timeout(HANDSHAKE, handshake).await {
            Ok(Ok(tls)) => tls,
            Ok(Err(error)) => {
                return tracing::info!(%peer, %error, "no node: the handshake failed");
            }
            Err(_) => return tracing::info!(%peer, "no node: the handshake took too long"),
        };
        drop(handshake_place);
        let shown = tls.get_ref().1.peer_certificates();
        let node = match shown.map(|chain| self.check.proven(chain)).transpose() {
            Ok(node) => node,
            Err(unfit) => return tracing::info!(%peer, %unfit, "no node"),
        };
        let stays = if node.is_some() { NODE } else { STRANGER };
        let places = if node.is_some() { &self.nodes } else { &self.strangers };
        let Ok(_place) = places.try_acquire() else {
            let what = if node.is_some() { "of nodes" } else { "without a certificate" };
            return tracing::warn!(%peer, "too many connections {what}");
        };
        let one = node.as_ref().map(|node| OneMore::of(&self.held, &node.id));
        if matches!(one, Some(None)) {
            return tracing::warn!(%peer, "too many connections of one node");
        }
        let service = hyper::service::service_fn(|request| {
            let (nodes, node) = (Arc::clone(&self), node.clone());
            async move { nodes.answer(request, node).await }
        });
        let mut http = http2::Builder::new(TokioExecutor::new());
        http.timer(TokioTimer::new())
            .keep_alive_interval(PING)
            .keep_alive_timeout(PING)
            .max_concurrent_streams(8)
            .max_header_list_size(16 << 10);
        let served = http.serve_connection(TokioIo::new(tls), service);
        let mut served = std::pin::pin!(served);
        let ended = tokio::select! {
            served = &mut served => served,
            () = tokio::time::sleep(stays) => {
                return tracing::info!(%peer, "who shows no certificate may not stay");
            }
            () = self.retired(node.as_ref()) => {
                return tracing::info!(%peer, "a node under a root that was retired may not stay");
            }
            () = said(&mut closing) => {
                served.as_mut().graceful_shutdown();
                served.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%peer, %error, "a connection broke");
        }
    }

    async fn answer(
        &self,
        mut request: http::Request<Incoming>,
        node: Option<Proven>,
    ) -> Result<http::Response<Body>, Infallible> {
        if let Some(node) = node {
            request.extensions_mut().insert(node);
        }
        let path = request.uri().path();
        if path.starts_with("/heddle.config.v1.Config/") {
            self.config.clone().call(request).await
        } else if path.starts_with("/heddle.identity.v1.Identity/") {
            self.identity.clone().call(request).await
        } else if path.starts_with("/heddle.seeing.v1.Seeing/") {
            self.told.clone().call(request).await
        } else {
            Ok(Status::new(Code::Unimplemented, "there is no such service").into_http())
        }
    }

    /// Waits until the root above a node's certificate is trusted no more, and until its stream had
    /// time to say so.
    async fn retired(&self, node: Option<&Proven>) {
        let Some(node) = node else { return std::future::pending().await };
        let _ = self.ca.moves().wait_for(|roots| !roots.trusts(&node.root)).await;
        tokio::time::sleep(GRACE).await;
    }

    /// Follows our own certificates by the next ones until it is aborted.
    async fn renew(self: Arc<Self>) {
        let mut moves = self.ca.moves();
        loop {
            tokio::select! {
                _ = moves.changed() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
            if let Err(error) = self.shown.renew(&self.ca, self.clock.now()).await {
                tracing::warn!(%error, "our own certificate could not be renewed; trying again");
            }
        }
    }
}

/// Waits for a word, which nobody can say any more once they are gone.
async fn said(word: &mut watch::Receiver<bool>) {
    let _ = word.wait_for(|said| *said).await;
}

/// One more connection of a node, until it is dropped.
struct OneMore<'h> {
    held: &'h Mutex<BTreeMap<String, usize>>,
    id: String,
}

impl<'h> OneMore<'h> {
    /// None if the node has as many as it may have.
    fn of(held: &'h Mutex<BTreeMap<String, usize>>, id: &str) -> Option<Self> {
        let mut all = held.lock().unwrap_or_else(PoisonError::into_inner);
        let count = all.entry(id.to_owned()).or_default();
        if *count == OF_ONE {
            return None;
        }
        *count += 1;
        Some(OneMore { held, id: id.to_owned() })
    }
}

impl Drop for OneMore<'_> {
    fn drop(&mut self) {
        let mut all = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = all.get_mut(&self.id) {
            *count -= 1;
            if *count == 0 {
                all.remove(&self.id);
            }
        }
    }
}

/// Ends its task when nobody waits for it any more.
struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The certificates that nodes are shown: by default the one that most nodes believe.
#[derive(Debug)]
struct Shown(Mutex<Certificates>);

/// Under the root that signs first, and behind it under the one that is leaving.
#[derive(Debug)]
struct Certificates {
    all: Vec<(String, Arc<CertifiedKey>)>,
    /// When the next ones are due.
    renew: OffsetDateTime,
    roots: Arc<Roots>,
}

impl Shown {
    async fn new(ca: &Ca, now: OffsetDateTime) -> Result<Self, ServeError> {
        Ok(Shown(Mutex::new(made(ca, now).await?)))
    }

    async fn renew(&self, ca: &Ca, now: OffsetDateTime) -> Result<(), ServeError> {
        let is_due = {
            let shown = self.certificates();
            now >= shown.renew || shown.roots != ca.roots()
        };
        if is_due {
            let next = made(ca, now).await?;
            *self.certificates() = next;
        }
        Ok(())
    }

    fn certificates(&self) -> std::sync::MutexGuard<'_, Certificates> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let shown = self.certificates();
        let name = hello.server_name().unwrap_or_default();
        let asked = shown.all.iter().find(|(root, _)| wire::asks_for(name, root));
        let mut gone = shown.roots.all().filter(|root| !root.is_trusted());
        if let Some(root) = gone.find(|root| wire::asks_for(name, &root.fingerprint)) {
            let root = &root.fingerprint;
            tracing::warn!(
                root,
                "a node knows us by a root that was retired; let it join again with a new join token \
                 (`heddle join-token create`)"
            );
        }
        // Whoever says nothing knows the older root rather than the newer.
        asked.or(shown.all.last()).map(|(_, shown)| Arc::clone(shown))
    }
}

/// Certificates of ours, and when the next ones are due.
async fn made(ca: &Ca, now: OffsetDateTime) -> Result<Certificates, ServeError> {
    let roots = ca.roots();
    let made = ca.server(now).await?;
    let renew = made.iter().map(|one| one.renew).min().unwrap_or(now);
    let key = |one: ServerCertificate| {
        let key = any_ecdsa_type(&PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(one.key)))?;
        Ok::<_, ServeError>((one.root, Arc::new(CertifiedKey::new(one.chain, key))))
    };
    let all = made.into_iter().map(key).collect::<Result<_, _>>()?;
    Ok(Certificates { all, renew, roots })
}

#[cfg(test)]
mod tests;
