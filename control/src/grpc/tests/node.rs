//! A node made by hand: TLS, frames, and nothing that it does by itself.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use model::revocation::Revocation;
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tonic::body::Body;
use tonic::{Status, Streaming};
use wire::client::{ConfigClient, IdentityClient, SeeingClient};
use wire::{
    Ack, Begin, Certified, Commit, ControlFrame, Counts, EndedSession, Envelope, Held, Hello, Join,
    Kept, Key, LoggedOut, Nack, NodeFrame, NodeHeartbeat, SessionSecrets, Told, Vector, digest,
};

use crate::ca::SERVER_NAME;
use crate::moment::micros;

const ORIGIN: &str = "https://control.heddle.internal";
/// Nothing in these tests takes so long.
const SOON: Duration = Duration::from_secs(120);

/// One connection.
pub(super) struct Channel {
    http: SendRequest<Body>,
    driver: JoinHandle<()>,
    /// The fingerprints of what the server showed.
    pub(super) shown: Vec<String>,
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

#[derive(Clone)]
pub(super) struct Requests(SendRequest<Body>);

impl tonic::codegen::Service<http::Request<Body>> for Requests {
    type Response = http::Response<hyper::body::Incoming>;
    type Error = hyper::Error;
    type Future =
        std::pin::Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}

impl Channel {
    /// Connects, with a certificate or without.
    pub(super) async fn open(
        to: SocketAddr,
        root: &CertificateDer<'static>,
        identity: Option<(Vec<CertificateDer<'static>>, &KeyPair)>,
    ) -> std::io::Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(root.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match identity {
            Some((chain, key)) => {
                let key = PrivatePkcs8KeyDer::from(key.serialize_der());
                config.with_client_auth_cert(chain, PrivateKeyDer::Pkcs8(key)).unwrap()
            }
            None => config.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        let socket = TcpStream::connect(to).await?;
        let name = ServerName::try_from(SERVER_NAME).unwrap();
        let tls = TlsConnector::from(Arc::new(config)).connect(name, socket).await?;
        let shown = tls.get_ref().1.peer_certificates().unwrap_or_default();
        let shown = shown.iter().map(|one| store::digest(one)).collect();
        let http = handshake(TokioExecutor::new(), TokioIo::new(tls)).await;
        let (http, driver) = http.map_err(std::io::Error::other)?;
        let driver = tokio::spawn(async move { drop(driver.await) });
        Ok(Channel { http, driver, shown })
    }

    pub(super) fn identity(&self) -> IdentityClient<Requests> {
        IdentityClient::with_origin(Requests(self.http.clone()), ORIGIN.parse().unwrap())
    }

    pub(super) fn config(&self) -> ConfigClient<Requests> {
        let client =
            ConfigClient::with_origin(Requests(self.http.clone()), ORIGIN.parse().unwrap());
        client.max_decoding_message_size(wire::FRAME)
    }

    pub(super) fn seeing(&self) -> SeeingClient<Requests> {
        SeeingClient::with_origin(Requests(self.http.clone()), ORIGIN.parse().unwrap())
    }
}

pub(super) fn key() -> KeyPair {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap()
}

pub(super) fn csr(key: &KeyPair) -> Vec<u8> {
    CertificateParams::default().serialize_request(key).unwrap().der().to_vec()
}

/// Words of a node that wants to join now.
pub(super) fn join(token: &(String, String), name: &str, key: &KeyPair) -> Join {
    Join {
        token_id: token.0.clone(),
        token_secret: token.1.clone(),
        kind: "gateway".into(),
        name: name.into(),
        version: "0.1.0".into(),
        csr: csr(key),
        now: micros(time::OffsetDateTime::now_utc()),
    }
}

/// A node that has a certificate, and what it holds.
pub(super) struct Node {
    pub(super) key: KeyPair,
    pub(super) certified: Certified,
    pub(super) held: BTreeMap<Key, Envelope>,
    pub(super) vector: Vector,
    /// Every byte of every body that it was ever sent.
    pub(super) seen: Vec<u8>,
    /// Whether it is told by what it seals sessions.
    pub(super) takes_sessions: bool,
    /// Whether it is told who is shut out and who logged out.
    pub(super) takes_revoked: bool,
}

impl Node {
    pub(super) fn new(key: KeyPair, certified: Certified) -> Self {
        let (held, vector) = (BTreeMap::new(), Vector::new());
        Node {
            key,
            certified,
            held,
            vector,
            seen: Vec::new(),
            takes_sessions: false,
            takes_revoked: false,
        }
    }

    pub(super) fn chain(&self) -> Vec<CertificateDer<'static>> {
        self.certified.chain.iter().map(|one| CertificateDer::from(one.clone())).collect()
    }

    pub(super) async fn connect(&self, to: SocketAddr) -> std::io::Result<Channel> {
        let root = CertificateDer::from(self.certified.roots[0].clone());
        Channel::open(to, &root, Some((self.chain(), &self.key))).await
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.held.keys().map(ToString::to_string).collect()
    }

    pub(super) fn digest(&self) -> [u8; 32] {
        digest::held(self.held.iter().map(|(key, one)| (key, one.generation, &one.digest)))
    }

    fn hello(&self) -> NodeFrame {
        let held = self.held.values().map(|one| Held {
            key: one.key.clone(),
            generation: one.generation,
            digest: one.digest,
        });
        NodeFrame::Hello(Hello {
            version: "0.1.0".into(),
            schema: wire::SCHEMA,
            vector: self.vector.clone(),
            digest: self.digest(),
            held: held.collect(),
            more: false,
            takes_trust: false,
            takes_sessions: self.takes_sessions,
            takes_revoked: self.takes_revoked,
            takes_ended: self.takes_revoked,
        })
    }

    /// Whether the bytes of any body hold this word, as it is or in base64.
    pub(super) fn saw(&self, word: &str) -> bool {
        use base64::Engine as _;
        let coded = base64::engine::general_purpose::STANDARD.encode(word);
        let has = |word: &str| self.seen.windows(word.len()).any(|part| part == word.as_bytes());
        has(word) || has(&coded)
    }
}

/// What came between Begin and Commit.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) begin: Begin,
    pub(super) puts: Vec<Envelope>,
    pub(super) drops: Vec<Key>,
    pub(super) commit: Commit,
}

/// One open stream.
pub(super) struct Open {
    _channel: Channel,
    frames: mpsc::Sender<NodeFrame>,
    from: Streaming<ControlFrame>,
    /// What it says while nothing comes, once it has taken something.
    beat: Option<NodeFrame>,
    next_beat: tokio::time::Instant,
    /// What it was told of sessions so far.
    pub(super) sessions: Vec<SessionSecrets>,
    /// Who was shut out, each time that it was told, and who logged out.
    pub(super) revoked: Vec<Vec<Revocation>>,
    pub(super) ended: Vec<EndedSession>,
}

struct Outgoing<T>(mpsc::Receiver<T>);

impl<T> futures::Stream for Outgoing<T> {
    type Item = T;

    fn poll_next(mut self: std::pin::Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.0.poll_recv(cx)
    }
}

impl Open {
    /// Opens a stream and says Hello.
    pub(super) async fn open(node: &Node, to: SocketAddr) -> Result<Self, Status> {
        let channel = node.connect(to).await.map_err(|error| Status::unknown(error.to_string()))?;
        Self::over(channel, node.hello()).await
    }

    pub(super) async fn over(channel: Channel, hello: NodeFrame) -> Result<Self, Status> {
        let (frames, outgoing) = mpsc::channel(16);
        frames.send(hello).await.unwrap();
        let from = channel.config().stream(Outgoing(outgoing)).await?.into_inner();
        let next_beat = tokio::time::Instant::now() + wire::HEARTBEAT;
        let (sessions, revoked, ended) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Open {
            _channel: channel,
            frames,
            from,
            beat: None,
            next_beat,
            sessions,
            revoked,
            ended,
        })
    }

    pub(super) async fn say(&self, frame: NodeFrame) {
        self.frames.send(frame).await.unwrap();
    }

    pub(super) async fn next(&mut self) -> Result<Option<ControlFrame>, Status> {
        let until = tokio::time::Instant::now() + SOON;
        loop {
            tokio::select! {
                frame = self.from.message() => return frame,
                () = tokio::time::sleep_until(self.next_beat) => {
                    self.next_beat += wire::HEARTBEAT;
                    if let Some(beat) = self.beat.clone() {
                        // A stream that is over says so by its last frame.
                        let _ = self.frames.send(beat).await;
                    }
                }
                () = tokio::time::sleep_until(until) => panic!("no frame in time"),
            }
        }
    }

    /// The next transaction.
    pub(super) async fn transaction(&mut self) -> Received {
        let mut begun = None;
        let (mut puts, mut drops) = (Vec::new(), Vec::new());
        loop {
            match self.next().await.unwrap().expect("a stream that goes on") {
                ControlFrame::Begin(begin) => assert!(begun.replace(begin).is_none()),
                ControlFrame::Put(batch) => puts.extend(batch),
                ControlFrame::Drop(batch) => drops.extend(batch),
                ControlFrame::Commit(commit) => {
                    let begin = begun.expect("a beginning before the end");
                    assert_eq!(begin.nonce, commit.nonce);
                    return Received { begin, puts, drops, commit };
                }
                ControlFrame::Heartbeat(_) => assert!(begun.is_none(), "amidst a transaction"),
                ControlFrame::Sessions(sessions) => self.sessions.push(sessions),
                ControlFrame::Revoked(told) => self.revoked.push(told.revocations),
                ControlFrame::Ended(told) => self.ended.extend(told.sessions),
                ControlFrame::Trust(_) => panic!("told of roots, which this node cannot take"),
            }
        }
    }

    /// Takes the next transaction as a node should, checks all of it, and answers.
    pub(super) async fn take(&mut self, node: &mut Node) -> Received {
        let received = self.transaction().await;
        if received.begin.resync {
            node.held.clear();
        }
        for key in &received.drops {
            assert!(node.held.remove(key).is_some(), "{key} was not there");
        }
        for one in &received.puts {
            assert!(one.is_whole());
            node.seen.extend_from_slice(&one.body);
            node.held.insert(one.key.clone(), one.clone());
        }
        assert_eq!(node.digest(), received.commit.digest);
        node.vector.clone_from(&received.begin.vector);
        check_signature(node, &received);
        let (nonce, vector, digest) = (received.begin.nonce, node.vector.clone(), node.digest());
        let beat = NodeHeartbeat { digest, silent: [].into(), resting: Vec::new() };
        self.beat = Some(NodeFrame::Heartbeat(beat));
        self.say(NodeFrame::Ack(Ack { nonce, vector, digest, rejected: Vec::new() })).await;
        received
    }

    pub(super) async fn refuse(&mut self) -> Received {
        let received = self.transaction().await;
        let nonce = received.begin.nonce;
        self.say(NodeFrame::Nack(Nack { nonce, reason: "a mood".into() })).await;
        received
    }

    /// In which words the stream ends.
    pub(super) async fn end(&mut self) -> Status {
        loop {
            match self.next().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("it ended without a word"),
                Err(status) => return status,
            }
        }
    }
}

/// That the authority of the node's own cluster signed for this node.
fn check_signature(node: &Node, received: &Received) {
    use x509_parser::prelude::FromDer as _;
    let Received { begin, commit, .. } = received;
    assert_eq!(commit.signer, node.certified.chain[1]);
    let (_, signer) = x509_parser::certificate::X509Certificate::from_der(&commit.signer).unwrap();
    let key = aws_lc_rs::signature::UnparsedPublicKey::new(
        &aws_lc_rs::signature::ECDSA_P256_SHA256_ASN1,
        &signer.public_key().subject_public_key.data,
    );
    let id = &node.certified.node_id;
    let statement = digest::statement(id, commit.issued_at, &begin.vector, &commit.digest);
    key.verify(&statement, &commit.signature).expect("a signature of this very statement");
}

/// One open stream on which a node tells of requests.
pub(super) struct Telling<T = Told> {
    _channel: Channel,
    batches: mpsc::Sender<T>,
    kept: Streaming<Kept>,
}

impl Telling<Counts> {
    pub(super) async fn counting(node: &Node, to: SocketAddr) -> Result<Self, Status> {
        let channel = node.connect(to).await.map_err(|error| Status::unknown(error.to_string()))?;
        let (batches, outgoing) = mpsc::channel(16);
        let kept = channel.seeing().count(Outgoing(outgoing)).await?.into_inner();
        Ok(Telling { _channel: channel, batches, kept })
    }
}

impl Telling<LoggedOut> {
    pub(super) async fn ending(node: &Node, to: SocketAddr) -> Result<Self, Status> {
        let channel = node.connect(to).await.map_err(|error| Status::unknown(error.to_string()))?;
        let (batches, outgoing) = mpsc::channel(16);
        let kept = channel.seeing().end(Outgoing(outgoing)).await?.into_inner();
        Ok(Telling { _channel: channel, batches, kept })
    }
}

impl Telling {
    pub(super) async fn open(node: &Node, to: SocketAddr) -> Result<Self, Status> {
        let channel = node.connect(to).await.map_err(|error| Status::unknown(error.to_string()))?;
        Self::over(channel).await
    }

    pub(super) async fn over(channel: Channel) -> Result<Self, Status> {
        let (batches, outgoing) = mpsc::channel(16);
        let kept = channel.seeing().tell(Outgoing(outgoing)).await?.into_inner();
        Ok(Telling { _channel: channel, batches, kept })
    }
}

impl<T: std::fmt::Debug> Telling<T> {
    /// Tells a batch; the number of the one that is kept.
    pub(super) async fn tell(&mut self, told: T) -> Result<u64, Status> {
        self.batches.send(told).await.unwrap();
        Ok(self.next().await?.expect("an answer").number)
    }

    pub(super) async fn next(&mut self) -> Result<Option<Kept>, Status> {
        let kept = tokio::time::timeout(SOON, self.kept.message()).await;
        kept.expect("an answer in time")
    }
}
