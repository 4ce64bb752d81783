//! A small control plane that a test holds in its hand: it certifies, sends states, and notes what
//! nodes say.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::Stream;
use http::Request as HttpRequest;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use model::Scope;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tonic::codegen::Service as _;
use tonic::{Request, Response, Status, Streaming};
use wire::server::{Config, ConfigServer, Identity, IdentityServer};
use wire::{
    Ack, Begin, Certified, Commit, ControlFrame, ControlHeartbeat, Envelope, Hello, Join, Key,
    Lane, NodeFrame, Rejoin, Renew, Speak, Spoken, Vector, digest,
};

use crate::authority::{Authorities, CLUSTER, TRUST};

const NODE: &str = "0192f5c8-a1b2-7c3d-8e4f-5a6b7c8d9e0f";
const TOKEN: &str = "0192f5c8a1b27c3d8e4f5a6b7c8d9e0f";
pub(crate) const SECRET: &str = "marker_-abcdefghijklmnopqrstuvwxyz012345678";
const UNKNOWN: &str = "this join token is unknown, used up, expired or revoked; make a new one with \
                       `heddle join-token create`";

/// What nodes are to serve.
#[derive(Debug, Clone, Default)]
pub(crate) struct State {
    pub(crate) vector: Vector,
    pub(crate) objects: BTreeMap<Key, Envelope>,
}

/// What was heard and done so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    pub(crate) joins: usize,
    pub(crate) renewals: usize,
    pub(crate) rejoins: usize,
    /// The first frame of each greeting.
    pub(crate) hellos: Vec<Hello>,
    pub(crate) acks: Vec<Ack>,
    pub(crate) nacks: Vec<String>,
    pub(crate) resyncs: usize,
    /// Streams without the certificate that was issued last.
    pub(crate) streams: usize,
}

struct Inner {
    authorities: Authorities,
    states: watch::Sender<State>,
    seen: Mutex<Seen>,
    /// How long certificates last.
    lasts: Mutex<Duration>,
    /// So many further digests are wrong.
    wrong: Mutex<usize>,
    tokens: Mutex<usize>,
    /// The node's id.
    node: Mutex<String>,
    /// The certificate that was issued last.
    issued: Mutex<Vec<u8>>,
    /// The one by which that was asked for, since the answer may be lost.
    shown: Mutex<Vec<u8>>,
}

/// A control plane, which can be away for a while.
pub(crate) struct Control {
    inner: Arc<Inner>,
    pub(crate) address: SocketAddr,
    serving: Option<JoinSet<()>>,
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nobody panics while holding it")
}

#[derive(Clone)]
struct Services(Arc<Inner>);

impl Control {
    /// Not there yet.
    pub(crate) fn new() -> Self {
        let inner = Inner {
            authorities: Authorities::new(),
            states: watch::Sender::new(State::default()),
            seen: Mutex::default(),
            lasts: Mutex::new(Duration::from_secs(3600)),
            wrong: Mutex::new(0),
            tokens: Mutex::new(1),
            node: Mutex::new(NODE.to_owned()),
            issued: Mutex::default(),
            shown: Mutex::default(),
        };
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, e2e::program::free_port()));
        Control { inner: Arc::new(inner), address, serving: None }
    }

    pub(crate) async fn start() -> Self {
        let mut control = Self::new();
        control.come().await;
        control
    }

    /// Answers from now on.
    pub(crate) async fn come(&mut self) {
        let listener = e2e::wait::until("the control plane's port", || async {
            TcpListener::bind(self.address).await.ok()
        });
        let listener = listener.await;
        let mut serving = JoinSet::new();
        serving.spawn(accept(listener, Arc::clone(&self.inner)));
        self.serving = Some(serving);
    }

    /// Answers no more, and breaks off what is open.
    pub(crate) async fn go(&mut self) {
        if let Some(mut serving) = self.serving.take() {
            serving.shutdown().await;
        }
    }

    pub(crate) fn token(&self) -> String {
        format!("{TOKEN}.{SECRET}.{}", self.inner.authorities.fingerprint())
    }

    /// Forgets the node, which a further token lets in again under another id.
    pub(crate) fn forget(&self) {
        *held(&self.inner.tokens) += 1;
        *held(&self.inner.node) = "0192f5c8-ffff-7c3d-8e4f-5a6b7c8d9e0f".to_owned();
        held(&self.inner.issued).clear();
        held(&self.inner.shown).clear();
    }

    /// Certificates that are issued from now on last so long.
    pub(crate) fn certificates_last(&self, lasts: Duration) {
        *held(&self.inner.lasts) = lasts;
    }

    /// So many further states have a wrong digest.
    pub(crate) fn err(&self, times: usize) {
        *held(&self.inner.wrong) = times;
    }

    pub(crate) fn seen(&self) -> Seen {
        held(&self.inner.seen).clone()
    }

    /// What nodes are to serve from now on, as of this revision of the platform.
    pub(crate) fn set(&self, revision: i64, objects: impl IntoIterator<Item = Envelope>) {
        self.set_at([(Scope::Platform, revision)].into_iter().collect(), objects);
    }

    pub(crate) fn set_at(&self, vector: Vector, objects: impl IntoIterator<Item = Envelope>) {
        let objects = objects.into_iter().map(|one| (one.key.clone(), one)).collect();
        self.inner.states.send_replace(State { vector, objects });
    }

    /// Waits until a node acknowledged this state; what it said.
    pub(crate) async fn acknowledged(&self, revision: i64) -> Ack {
        e2e::wait::until(&format!("an acknowledgement of {revision}"), || {
            let seen = self.seen();
            let ack =
                seen.acks.iter().rev().find(|ack| ack.vector.values().any(|r| *r == revision));
            std::future::ready(ack.cloned())
        })
        .await
    }
}

/// Accepts until dropped.
async fn accept(listener: TcpListener, inner: Arc<Inner>) {
    let acceptor = TlsAcceptor::from(Arc::new(tls(&inner.authorities)));
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { return };
        let (acceptor, services) = (acceptor.clone(), Services(Arc::clone(&inner)));
        connections.spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let shown = stream.get_ref().1.peer_certificates().and_then(|all| all.first().cloned());
            let service = service_fn(move |mut request: HttpRequest<Incoming>| {
                request.extensions_mut().insert(Shown(shown.clone().map(|der| der.to_vec())));
                let services = services.clone();
                async move {
                    match request.uri().path().starts_with("/heddle.config.v1") {
                        true => ConfigServer::new(services).call(request).await,
                        false => IdentityServer::new(services).call(request).await,
                    }
                }
            });
            let http = http2::Builder::new(TokioExecutor::new());
            let _ended = http.serve_connection(TokioIo::new(stream), service).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

/// The certificate that the other side showed.
#[derive(Clone)]
struct Shown(Option<Vec<u8>>);

fn tls(authorities: &Authorities) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(authorities.root.der.clone())).expect("a root");
    let clients =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .allow_unauthenticated()
            .build()
            .expect("a check of clients");
    let (leaf, key) = authorities.hub.server();
    let chain = [leaf, authorities.hub.der.clone(), authorities.root.der.clone()];
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .with_client_cert_verifier(clients)
        .with_single_cert(
            chain.into_iter().map(CertificateDer::from).collect(),
            PrivatePkcs8KeyDer::from(key).into(),
        )
        .expect("a certificate with its key");
    config.alpn_protocols = vec![b"h2".to_vec()];
    config
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970").as_micros() as i64
}

impl Inner {
    fn certify(&self, csr: &[u8], name: &str) -> Response<Certified> {
        let lasts = *held(&self.lasts);
        let leaf = self.authorities.cluster.node(csr, name, lasts);
        held(&self.issued).clone_from(&leaf);
        Response::new(Certified {
            node_id: held(&self.node).clone(),
            cluster: CLUSTER.to_owned(),
            trust: TRUST.to_owned(),
            chain: vec![leaf, self.authorities.cluster.der.clone()],
            roots: vec![self.authorities.root.der.clone()],
            now: now(),
        })
    }

    /// Whether a node may ask for a certificate by this one, which is noted if so.
    fn takes(&self, shown: &[u8]) -> bool {
        let is_known = *shown == **held(&self.issued) || *shown == **held(&self.shown);
        if is_known && !shown.is_empty() {
            *held(&self.shown) = shown.to_vec();
        }
        is_known && !shown.is_empty()
    }

    fn note(&self, note: impl FnOnce(&mut Seen)) {
        note(&mut held(&self.seen));
    }

    /// Whether the next digest is to be a wrong one.
    fn errs(&self) -> bool {
        let mut wrong = held(&self.wrong);
        let errs = *wrong > 0;
        *wrong = wrong.saturating_sub(1);
        errs
    }
}

#[tonic::async_trait]
impl Identity for Services {
    async fn join(&self, request: Request<Join>) -> Result<Response<Certified>, Status> {
        let join = request.into_inner();
        let mut tokens = held(&self.0.tokens);
        if join.token_id != TOKEN || join.token_secret != SECRET || *tokens == 0 {
            return Err(Status::unauthenticated(UNKNOWN));
        }
        *tokens -= 1;
        self.0.note(|seen| seen.joins += 1);
        Ok(self.0.certify(&join.csr, &join.name))
    }

    async fn renew(&self, request: Request<Renew>) -> Result<Response<Certified>, Status> {
        let shown = request.extensions().get::<Shown>().and_then(|shown| shown.0.clone());
        if !shown.is_some_and(|shown| self.0.takes(&shown)) {
            return Err(Status::unauthenticated("show the certificate that was issued last"));
        }
        self.0.note(|seen| seen.renewals += 1);
        Ok(self.0.certify(&request.into_inner().csr, "edge"))
    }

    async fn rejoin(&self, request: Request<Rejoin>) -> Result<Response<Certified>, Status> {
        let rejoin = request.into_inner();
        if !self.0.takes(&rejoin.certificate) {
            return Err(Status::unauthenticated("that certificate is not the last one"));
        }
        self.0.note(|seen| seen.rejoins += 1);
        Ok(self.0.certify(&rejoin.csr, "edge"))
    }

    async fn speak(&self, _: Request<Speak>) -> Result<Response<Spoken>, Status> {
        Err(Status::failed_precondition("a gateway speaks by its own certificate"))
    }
}

#[tonic::async_trait]
impl Config for Services {
    type StreamStream = Pin<Box<dyn Stream<Item = Result<ControlFrame, Status>> + Send>>;

    async fn stream(
        &self,
        request: Request<Streaming<NodeFrame>>,
    ) -> Result<Response<Self::StreamStream>, Status> {
        let shown = request.extensions().get::<Shown>().and_then(|shown| shown.0.clone());
        if shown.is_none() {
            return Err(Status::unauthenticated("show a certificate"));
        }
        self.0.note(|seen| seen.streams += 1);
        let (say, mut said) = mpsc::channel(64);
        let (inner, frames) = (Arc::clone(&self.0), request.into_inner());
        let task = tokio::spawn(async move {
            let _ended = follow(&inner, frames, &say).await;
        });
        let task = Owned(task);
        Ok(Response::new(Box::pin(futures::stream::poll_fn(move |context| {
            let _owner = &task;
            said.poll_recv(context)
        }))))
    }
}

struct Owned(tokio::task::JoinHandle<()>);

impl Drop for Owned {
    fn drop(&mut self) {
        self.0.abort();
    }
}

type Say = mpsc::Sender<Result<ControlFrame, Status>>;

/// Sends each state as differences to what the node holds, one after the other.
async fn follow(inner: &Inner, mut frames: Streaming<NodeFrame>, say: &Say) -> Option<()> {
    let mut held: BTreeMap<Key, [u8; 32]> = BTreeMap::new();
    let mut at = Vector::new();
    loop {
        let NodeFrame::Hello(hello) = frames.message().await.ok()?? else { return None };
        held.extend(hello.held.iter().map(|held| (held.key.clone(), held.digest)));
        let more = hello.more;
        at.clone_from(&hello.vector);
        inner.note(|seen| seen.hellos.push(hello));
        if !more {
            break;
        }
    }
    let mut states = inner.states.subscribe();
    let mut beat = tokio::time::interval(Duration::from_millis(200));
    let (mut nonce, mut resync) = (0, false);
    // As the real one does, whatever the node holds: its Begin says that this is what is wanted.
    let mut is_first = true;
    loop {
        let state = states.borrow_and_update().clone();
        if (state.vector != at || resync || is_first) && !state.vector.is_empty() {
            nonce += 1;
            send(inner, say, &state, nonce, &held, resync).await?;
            loop {
                match frames.message().await.ok()?? {
                    NodeFrame::Ack(ack) if ack.nonce == nonce => {
                        inner.note(|seen| seen.acks.push(ack));
                        held = state
                            .objects
                            .iter()
                            .map(|(key, one)| (key.clone(), one.digest))
                            .collect();
                        at.clone_from(&state.vector);
                        (resync, is_first) = (false, false);
                    }
                    NodeFrame::Nack(nack) => {
                        inner.note(|seen| seen.nacks.push(nack.reason));
                        resync = true;
                    }
                    NodeFrame::Heartbeat(_) => continue,
                    NodeFrame::Ack(_) | NodeFrame::Hello(_) | NodeFrame::Standing(_) => {
                        return None;
                    }
                }
                break;
            }
            continue;
        }
        tokio::select! {
            changed = states.changed() => changed.ok()?,
            frame = frames.message() => match frame.ok()?? {
                NodeFrame::Ack(ack) if ack.nonce == nonce => {
                    inner.note(|seen| seen.acks.push(ack));
                }
                NodeFrame::Ack(_) | NodeFrame::Hello(_) | NodeFrame::Standing(_) => return None,
                NodeFrame::Nack(_) | NodeFrame::Heartbeat(_) => {}
            },
            _ = beat.tick() => {
                let heartbeat = ControlHeartbeat { now: now() };
                say.send(Ok(ControlFrame::Heartbeat(heartbeat))).await.ok()?;
            }
        }
    }
}

async fn send(
    inner: &Inner,
    say: &Say,
    state: &State,
    nonce: u64,
    held: &BTreeMap<Key, [u8; 32]>,
    resync: bool,
) -> Option<()> {
    if resync {
        inner.note(|seen| seen.resyncs += 1);
    }
    let mut frames = vec![ControlFrame::Begin(Begin {
        nonce,
        lane: Lane::Config,
        vector: state.vector.clone(),
        resync,
    })];
    let is_new = |one: &&Envelope| resync || held.get(&one.key) != Some(&one.digest);
    let puts: Vec<_> = state.objects.values().filter(is_new).cloned().collect();
    frames.extend(puts.chunks(wire::BATCH).map(|part| ControlFrame::Put(part.to_vec())));
    let gone = held.keys().filter(|key| !resync && !state.objects.contains_key(*key));
    frames.push(ControlFrame::Drop(gone.cloned().collect()));
    let all = state.objects.iter().map(|(key, one)| (key, one.generation, &one.digest));
    let mut whole = digest::held(all);
    if inner.errs() {
        whole[0] ^= 1;
    }
    let issued_at = now();
    let node = self::held(&inner.node).clone();
    let text = digest::statement(&node, issued_at, &state.vector, &whole);
    let signer = &inner.authorities.cluster;
    let (signature, signer) = (signer.sign(&text), signer.der.clone());
    frames.push(ControlFrame::Commit(Commit {
        nonce,
        digest: whole,
        issued_at,
        signature,
        signer,
    }));
    for frame in frames {
        say.send(Ok(frame)).await.ok()?;
    }
    Some(())
}

/// The objects of a YAML text, as control sends them.
pub(crate) fn envelopes(text: &str) -> Vec<Envelope> {
    let one = |document: model::Document| {
        let resource = document.result.expect("a good document");
        let body = bytes::Bytes::from(resource.to_json().to_string());
        let target = |name: &str| Key {
            kind: "HTTPRoute".to_owned(),
            namespace: e2e::yaml::NAMESPACE.to_owned(),
            name: name.to_owned(),
        };
        let policy = resource.kind() == model::Kind::AccessPolicy;
        let targets = match &resource {
            model::Resource::AccessPolicy(policy) => {
                policy.spec.target_refs.iter().map(|one| target(one.name.as_str())).collect()
            }
            _ => Vec::new(),
        };
        Envelope {
            key: Key::from(&resource.key()),
            scope: "platform".to_owned(),
            generation: 1,
            digest: [0; 32],
            body,
            schema: wire::SCHEMA,
            policy,
            targets,
        }
        .digested()
    };
    model::read(text).into_iter().map(one).collect()
}
