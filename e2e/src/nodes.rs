//! Simulated nodes: each has an identity and a stream of its own, takes what it is sent, and
//! acknowledges it without serving anything; what it counts and tells of requests is made up. For
//! measuring the server, not for trusting one: they check no certificate and no signature.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use futures::stream::{self, TryStreamExt as _};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use rustls::ClientConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tonic::body::Body;
use wire::client::{ConfigClient, IdentityClient, SeeingClient};
use wire::{
    Ack, ControlFrame, Counts, Decision, Hello, Join, NodeFrame, NodeHeartbeat, Series, Told,
    Vector,
};

use crate::Fleet;
use crate::trust::credulous;

/// How many join at once.
const AT_ONCE: usize = 16;
/// How long all of them may take to come to one revision.
const BOUND: Duration = Duration::from_secs(60);
/// Frames that a node has not sent yet.
const QUEUE: usize = 8;
/// How often a node that counts says so, as a proxy does of which little is asked.
const COUNTED: Duration = Duration::from_secs(5);

/// Nodes that run until this is dropped.
#[derive(Debug)]
pub struct Nodes(Vec<Node>);

#[derive(Debug)]
struct Node {
    /// The newest revision that it acknowledged.
    at: Arc<AtomicI64>,
    tasks: Vec<JoinHandle<Result<()>>>,
}

/// What a node makes up of requests.
#[derive(Debug, Clone, Default)]
pub struct Requests {
    /// Told once, when it joined.
    pub decisions: Vec<Decision>,
    /// Counted again each five seconds.
    pub series: Vec<Series>,
}

impl Nodes {
    /// Joins `count` nodes and begins their streams.
    ///
    /// # Errors
    /// If one is not let in.
    pub async fn join(fleet: &Fleet, count: u32) -> Result<Self> {
        Self::join_in(fleet, "local", count, |_| None).await
    }

    /// The same in a cluster, where each tells of the requests that are made up for its number.
    ///
    /// # Errors
    /// If one is not let in.
    pub async fn join_in(
        fleet: &Fleet,
        cluster: &str,
        count: u32,
        requests: impl Fn(u32) -> Option<Requests>,
    ) -> Result<Self> {
        if count == 0 {
            return Ok(Nodes(Vec::new()));
        }
        let token = fleet.join_token(cluster, count).await;
        let (address, token) = (fleet.nodes, token.as_str());
        let joining = (0..count).map(|number| Node::join(address, token, number, requests(number)));
        let nodes = stream::iter(joining).buffer_unordered(AT_ONCE).try_collect().await?;
        Ok(Nodes(nodes))
    }

    /// How many have lost their streams.
    pub fn broken(&self) -> usize {
        let is_over = |node: &&Node| node.tasks.iter().any(JoinHandle::is_finished);
        self.0.iter().filter(is_over).count()
    }

    /// Takes others among these.
    pub fn add(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// How many have come to a revision; waits for all, but not for ever.
    pub async fn current(&self, revision: i64) -> usize {
        let began = Instant::now();
        loop {
            let at = self.0.iter().map(|node| node.at.load(Ordering::Relaxed));
            let current = at.filter(|at| *at >= revision).count();
            if current == self.0.len() || began.elapsed() > BOUND {
                return current;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Node {
    async fn join(
        address: SocketAddr,
        token: &str,
        number: u32,
        requests: Option<Requests>,
    ) -> Result<Self> {
        let mut parts = token.split('.').map(str::to_owned);
        let mut part = || parts.next().context("a join token has three parts");
        let (token_id, token_secret) = (part()?, part()?);
        let key = KeyPair::generate().context("making a key")?;
        let mut asked = CertificateParams::default();
        asked.distinguished_name = DistinguishedName::new();
        let csr = asked.serialize_request(&key).context("asking for a certificate")?;
        let join = Join {
            token_id,
            token_secret,
            kind: "gateway".to_owned(),
            name: format!("simulated-{number}"),
            version: "simulated".to_owned(),
            csr: csr.der().to_vec(),
            now: now(),
        };
        let sender = dial(address, &credulous(None)).await?;
        let certified = IdentityClient::new(service(sender)).join(join).await;
        let certified = certified.context("joining")?.into_inner();
        let chain = certified.chain.into_iter().map(CertificateDer::from).collect();
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        let papers = (chain, PrivateKeyDer::Pkcs8(key));
        let sender = dial(address, &credulous(Some(papers))).await?;
        let at = Arc::new(AtomicI64::new(0));
        let told = requests.map(|requests| tokio::spawn(tell(sender.clone(), requests)));
        let mut tasks = vec![tokio::spawn(follow(sender, Arc::clone(&at)))];
        tasks.extend(told);
        Ok(Node { at, tasks })
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Takes whatever comes, and says so.
async fn follow(sender: SendRequest<Body>, at: Arc<AtomicI64>) -> Result<()> {
    let (frames, outgoing) = mpsc::channel(QUEUE);
    let (mut vector, mut digest) = (Vector::new(), wire::digest::held([]));
    let hello = Hello {
        version: "simulated".to_owned(),
        schema: wire::SCHEMA,
        vector: vector.clone(),
        digest,
        held: Vec::new(),
        more: false,
        takes_trust: false,
        takes_sessions: false,
        takes_revoked: false,
        takes_ended: false,
    };
    frames.send(NodeFrame::Hello(hello)).await.context("the stream ended")?;
    let outgoing =
        stream::unfold(outgoing, |mut outgoing| async { Some((outgoing.recv().await?, outgoing)) });
    let mut client = ConfigClient::new(service(sender)).max_decoding_message_size(wire::FRAME);
    let mut incoming = client.stream(outgoing).await.context("opening the stream")?.into_inner();
    let mut beat = tokio::time::interval(wire::HEARTBEAT);
    let mut coming = Vector::new();
    loop {
        let frame = tokio::select! {
            frame = incoming.message() => frame.context("the stream broke")?,
            _ = beat.tick() => {
                let heartbeat = NodeHeartbeat { digest, silent: [].into(), resting: Vec::new() };
                frames.send(NodeFrame::Heartbeat(heartbeat)).await.context("the stream ended")?;
                continue;
            }
        };
        match frame.context("the stream ended")? {
            ControlFrame::Begin(begin) => coming = begin.vector,
            ControlFrame::Put(_)
            | ControlFrame::Drop(_)
            | ControlFrame::Heartbeat(_)
            | ControlFrame::Trust(_)
            | ControlFrame::Sessions(_)
            | ControlFrame::Revoked(_)
            | ControlFrame::Ended(_) => {}
            ControlFrame::Commit(commit) => {
                (vector, digest) = (coming.clone(), commit.digest);
                let nonce = commit.nonce;
                let ack = Ack { nonce, vector: vector.clone(), digest, rejected: Vec::new() };
                frames.send(NodeFrame::Ack(ack)).await.context("the stream ended")?;
                at.store(vector.values().max().copied().unwrap_or_default(), Ordering::Relaxed);
            }
        }
    }
}

/// Tells of decisions once, and of counts for ever.
async fn tell(sender: SendRequest<Body>, requests: Requests) -> Result<()> {
    let Requests { decisions, series } = requests;
    let mut client = SeeingClient::new(service(sender));
    let told = Told { number: 1, decisions, dropped: 0 };
    let mut kept = client.tell(stream::iter([told])).await.context("telling")?.into_inner();
    while kept.message().await.context("telling")?.is_some() {}
    let (frames, outgoing) = mpsc::channel(QUEUE);
    let outgoing =
        stream::unfold(outgoing, |mut outgoing| async { Some((outgoing.recv().await?, outgoing)) });
    let mut kept = client.count(outgoing).await.context("counting")?.into_inner();
    let mut beat = tokio::time::interval(COUNTED);
    let lasted = u64::try_from(COUNTED.as_micros()).unwrap_or(u64::MAX);
    for number in 1.. {
        beat.tick().await;
        let counts = Counts { start: 1, number, ago: 0, lasted, series: series.clone() };
        frames.send(counts).await.context("the stream ended")?;
        kept.message().await.context("counting")?.context("the stream ended")?;
    }
    Ok(())
}

/// A connection as the generated clients want it.
fn service(
    sender: SendRequest<Body>,
) -> impl tonic::client::GrpcService<
    Body,
    ResponseBody = hyper::body::Incoming,
    Error = hyper::Error,
    Future: Send,
> + Clone
+ Send {
    tower::service_fn(move |mut request: http::Request<Body>| {
        let mut sender = sender.clone();
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
        if let Ok(whole) = format!("https://control.heddle.internal{path}").parse() {
            *request.uri_mut() = whole;
        }
        async move { sender.send_request(request).await }
    })
}

async fn dial(address: SocketAddr, tls: &Arc<ClientConfig>) -> Result<SendRequest<Body>> {
    let stream = TcpStream::connect(address).await.context("dialling the server")?;
    stream.set_nodelay(true)?;
    let name = ServerName::try_from("control.heddle.internal").context("a name")?;
    let stream = TlsConnector::from(Arc::clone(tls)).connect(name, stream).await;
    let stream = TokioIo::new(stream.context("agreeing on TLS")?);
    let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await?;
    // It ends with the last of those who send by it.
    tokio::spawn(connection);
    Ok(sender)
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
