//! A service behind the gateway, inside the test: counts, remembers what it was sent, and does
//! what the path says.
//!
//! | path          | what happens                                                      |
//! |---------------|-------------------------------------------------------------------|
//! | `/echo`       | the request's body comes back, trailers and its type too          |
//! | `/sink`       | the body is read; its length and trailers are told                |
//! | `/sink/MS`    | the same, later                                                   |
//! | `/big/N`      | N bytes                                                           |
//! | `/pieces/N`   | N bytes in pieces, those of the request's `x-number`              |
//! | `/delay/MS`   | answers later                                                     |
//! | `/gate`       | answers once the test calls [`Origin::open_gate`]                 |
//! | `/status/N`   | answers N                                                         |
//! | `/reset`      | closes the connection instead of answering                        |
//! | `/half`       | closes it in the middle of the body                               |
//! | `/trailers`   | a body with the trailer `x-end`                                   |
//! | `/hop`        | headers that belong to the connection                             |
//! | `/unreached`  | the header by which proxies say that nobody was reached           |
//! | `/ws`         | a WebSocket that echoes, until it is told `hang up`               |
//! | anything else | 200 with the origin's name                                        |
//!
//! What goes before the number in a path, as in `/big/r3/N`, is the test's own.
//! Every answer carries the name as `x-origin`.
//! One that is [`Ill`] does the same to every path.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderMap, Method, Request, Version};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustls::pki_types::CertificateDer;
use rustls::{ServerConfig, ServerConnection};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use meter::Counted;

pub use meter::{Meter, Open};

mod answer;
mod meter;

/// How many requests are remembered.
const REMEMBERED: usize = 1000;
/// How long a caller may take to show who they are.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// A running origin, which ends when this is dropped.
#[derive(Debug)]
pub struct Origin {
    /// Where it listens.
    pub address: SocketAddr,
    state: Arc<State>,
    task: JoinHandle<()>,
}

/// A request as the origin got it.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The method.
    pub method: Method,
    /// Path and query.
    pub target: String,
    /// `Host`, or `:authority` over HTTP/2.
    pub host: String,
    /// The version of HTTP.
    pub version: Version,
    /// The headers.
    pub headers: HeaderMap,
    /// What TLS told of who sent it; nothing where it came in the clear.
    pub sealed: Option<Sealed>,
}

/// What TLS tells of a caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The server name that was asked for.
    pub server_name: String,
    /// What was agreed on (ALPN).
    pub alpn: String,
    /// The certificate that was shown.
    pub shown: Option<CertificateDer<'static>>,
}

/// A body that `/sink` read to its end, or to where it broke off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// Its bytes.
    pub length: usize,
    /// Whether the end came as an end.
    pub whole: bool,
}

/// What ails an origin. It reads a request's body all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ill {
    /// It answers with this status.
    Answers(u16),
    /// It closes the connection instead of answering.
    BreaksOff,
    /// It never answers.
    Mute,
}

#[derive(Debug)]
struct State {
    name: String,
    /// For how many requests it is ill yet, and how.
    ill: Mutex<Option<(usize, Ill)>>,
    count: AtomicUsize,
    connections: AtomicUsize,
    open: Meter,
    /// With those beside it.
    all_open: Meter,
    seen: Mutex<VecDeque<Seen>>,
    taken: Mutex<Vec<Taken>>,
    gate: Semaphore,
}

impl Origin {
    /// Starts one on a free port.
    pub async fn start(name: &str) -> Origin {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        Self::serve(name, listener, (None, Meter::default()))
    }

    /// Starts one whose connections [`Origin::most`] counts together with those of another.
    pub async fn start_beside(other: &Origin, name: &str) -> Origin {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        Self::serve(name, listener, (None, other.state.all_open.clone()))
    }

    /// Starts one that is reached by TLS alone, such as [`Authority::server`] makes.
    ///
    /// [`Authority::server`]: crate::trust::Authority::server
    pub async fn start_tls(name: &str, tls: Arc<ServerConfig>) -> Origin {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        Self::serve(name, listener, (Some(TlsAcceptor::from(tls)), Meter::default()))
    }

    /// Starts one where another was.
    pub async fn start_at(name: &str, address: SocketAddr) -> Origin {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_reuseaddr(true).expect("an option of every socket");
        socket.bind(address).expect("an address that nobody has");
        let listener = socket.listen(1024).expect("a socket that listens");
        Self::serve(name, listener, (None, Meter::default()))
    }

    fn serve(
        name: &str,
        listener: TcpListener,
        (tls, all_open): (Option<TlsAcceptor>, Meter),
    ) -> Origin {
        let address = listener.local_addr().expect("a bound socket has an address");
        let state = Arc::new(State {
            name: name.to_owned(),
            ill: Mutex::default(),
            count: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            open: Meter::default(),
            all_open,
            seen: Mutex::default(),
            taken: Mutex::new(Vec::new()),
            gate: Semaphore::new(0),
        });
        let task = tokio::spawn(accept(listener, tls, Arc::clone(&state)));
        Origin { address, state, task }
    }

    /// How many requests came.
    pub fn count(&self) -> usize {
        self.state.count.load(Ordering::SeqCst)
    }

    /// How many connections came.
    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }

    /// How many connections are open now.
    pub fn open(&self) -> usize {
        self.state.open.open()
    }

    /// The most connections that were open at once, here and at those beside it. In a test of one thread it is
    /// no more than the gateway had open.
    pub fn most(&self) -> usize {
        self.state.all_open.most()
    }

    /// The bodies that `/sink` took, oldest first.
    pub fn taken(&self) -> Vec<Taken> {
        self.state.taken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The requests that came, oldest first; no more than the last thousand.
    pub fn seen(&self) -> Vec<Seen> {
        let seen = self.state.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter().cloned().collect()
    }

    /// The newest of [`Origin::seen`].
    ///
    /// # Panics
    /// Where none came.
    pub fn last(&self) -> Seen {
        let seen = self.state.seen.lock().unwrap_or_else(PoisonError::into_inner).back().cloned();
        seen.unwrap_or_else(|| panic!("{} got no request", self.state.name))
    }

    /// It is ill for the next `count` requests, or for none.
    pub fn ail(&self, ill: Ill, count: usize) {
        *self.state.ill.lock().unwrap_or_else(PoisonError::into_inner) = Some((count, ill));
    }

    /// Lets every request to `/gate` be answered.
    pub fn open_gate(&self) {
        self.state.gate.add_permits(Semaphore::MAX_PERMITS / 2);
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Seen {
    /// The value of the header `name`; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Every line of a header.
    pub fn all(&self, name: &str) -> Vec<String> {
        let lines = self.headers.get_all(name).iter();
        lines.map(|value| value.to_str().unwrap_or_default().to_owned()).collect()
    }

    fn of(request: &Request<Incoming>) -> Self {
        let authority = request.uri().authority().map(ToString::to_string);
        let host = || request.headers().get("host")?.to_str().ok().map(str::to_owned);
        Seen {
            method: request.method().clone(),
            target: request.uri().path_and_query().map(ToString::to_string).unwrap_or_default(),
            host: authority.or_else(host).unwrap_or_default(),
            version: request.version(),
            headers: request.headers().clone(),
            sealed: None,
        }
    }
}

impl Sealed {
    fn of(session: &ServerConnection) -> Self {
        let alpn = session.alpn_protocol().unwrap_or_default();
        Sealed {
            server_name: session.server_name().unwrap_or_default().to_owned(),
            alpn: String::from_utf8_lossy(alpn).into_owned(),
            shown: session.peer_certificates().and_then(|chain| chain.first()).cloned(),
        }
    }
}

impl State {
    /// What ails it at this request.
    fn ails(&self) -> Option<Ill> {
        let mut ill = self.ill.lock().unwrap_or_else(PoisonError::into_inner);
        let (left, what) = ill.as_mut()?;
        *left = left.checked_sub(1)?;
        Some(*what)
    }

    fn took(&self, length: usize, whole: bool) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.push(Taken { length, whole });
    }

    fn remember(&self, request: &Request<Incoming>, sealed: Option<&Sealed>) {
        self.count.fetch_add(1, Ordering::SeqCst);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() == REMEMBERED {
            seen.pop_front();
        }
        seen.push_back(Seen { sealed: sealed.cloned(), ..Seen::of(request) });
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, state: Arc<State>) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        // Without this, finished connections would be kept until the end.
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else { continue };
        let _best_effort = stream.set_nodelay(true);
        state.connections.fetch_add(1, Ordering::SeqCst);
        let stream = Counted { stream, _open: [state.open.begin(), state.all_open.begin()] };
        state.all_open.note().await;
        let (state, tls) = (Arc::clone(&state), tls.clone());
        connections.spawn(async move {
            let Some(tls) = tls else { return talk(stream, None, state).await };
            // Nobody who comes with something else gets an answer.
            let shaken = tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await;
            if let Ok(Ok(stream)) = shaken {
                let sealed = Some(Sealed::of(stream.get_ref().1));
                talk(stream, sealed, state).await;
            }
        });
    }
}

/// Answers what comes on a connection.
async fn talk(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    sealed: Option<Sealed>,
    state: Arc<State>,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        state.remember(&request, sealed.as_ref());
        answer::answer(Arc::clone(&state), request)
    });
    let builder = auto::Builder::new(TokioExecutor::new());
    let served = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    // An origin that is told to break a connection ends with an error.
    let _broken = served.await;
}
