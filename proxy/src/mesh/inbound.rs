//! From other proxies to the application: who connects, and HTTP on each tunnel of theirs.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use h2::RecvStream;
use h2::server::{self, SendResponse};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use model::identity::Peer;
use policy::{Layer, Reason};
use table::Target;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::stream::{Tunnel, gone};
use super::{DISOWNED, Disowned, FRAME, HEAD, TUNNELS, WINDOW, WINDOWS, left};
use crate::connect::Hop;
use crate::cork::Cork;
use crate::dial::{self, Opened};
use crate::failure::Failure;
use crate::http::{Conn, Servers, Spoken};
use crate::pool;
use crate::telemetry::Outcome;
use crate::tls::backend::Face;

type Stream = Cork<TlsStream<TcpStream>>;
type Connection = server::Connection<Stream, Bytes>;

/// Serves the tunnels of one connection until it ends, its certificate does, or the process drains.
pub(crate) async fn serve(outer: Conn, stream: TcpStream, servers: &Arc<Servers>) -> Outcome {
    let outer = Arc::new(outer);
    let limits = &outer.shared.settings.limits;
    let membership = &outer.shared.ground.membership;
    let Some(credentials) = membership.now() else {
        tracing::debug!(peer = %outer.peer, "nobody is let in before this proxy has a certificate");
        return Outcome::HandshakeFailed;
    };
    let handshake = TlsAcceptor::from(Arc::clone(&credentials.server)).accept(stream);
    let stream = match tokio::time::timeout(limits.handshake, handshake).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            match unproved(&error) {
                Some(reason) => dial::unproved(&outer, reason, &error.to_string()),
                None => tracing::info!(peer = %outer.peer, %error, "not let in from the mesh"),
            }
            return Outcome::HandshakeFailed;
        }
        Err(_) => return Outcome::HandshakeFailed,
    };
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default().to_vec();
    let Ok(proven) = credentials.check.proven(&chain) else { return Outcome::HandshakeFailed };
    let ends = proven.certificate.not_after;
    let opener = Arc::new(Opener { peer: Arc::new(proven.peer), ends, open: Arc::new(()) });
    let cork = Cork::new(stream);
    let disowned = membership.disowns(&chain, credentials.number);
    let serving = serve_tunnels(cork.clone(), &outer, &opener, servers, disowned);
    cork.sending(serving).await
}

/// The same once it is known who is there, until they are `disowned`.
async fn serve_tunnels(
    stream: Stream,
    outer: &Arc<Conn>,
    opener: &Arc<Opener>,
    servers: &Arc<Servers>,
    disowned: impl Future<Output = Disowned>,
) -> Outcome {
    let (limits, ends) = (&outer.shared.settings.limits, opener.ends);
    let handshake = server::Builder::new()
        .max_concurrent_streams(TUNNELS)
        .max_header_list_size(HEAD)
        .max_concurrent_reset_streams(TUNNELS as usize)
        .initial_window_size(WINDOW)
        .initial_connection_window_size(WINDOWS)
        .max_frame_size(FRAME)
        .handshake(stream);
    let mut connection = match tokio::time::timeout(limits.handshake, handshake).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(_)) => return Outcome::Reset,
        Err(_) => return Outcome::TimedOut,
    };
    let pings = connection.ping_pong().expect("nobody took them before");
    // What goes on in its tunnels ends by itself, soon behind the certificate.
    let soon = 2 * limits.head;
    let (closing, bound) = tokio::select! {
        served = take(&mut connection, outer, opener, servers) => {
            return over(&served, Outcome::Done);
        }
        () = gone(pings, limits.idle, limits.head) => return Outcome::TimedOut,
        () = outer.shared.phase.draining() => (Outcome::Cut, left(ends) + soon),
        () = tokio::time::sleep(left(ends)) => (Outcome::TimedOut, soon),
        disowned = disowned => match disowned {
            Disowned::Retired if opener.has_tunnels() => (Outcome::Cut, DISOWNED),
            Disowned::Retired => (Outcome::Cut, Duration::ZERO),
            Disowned::Revoked => return Outcome::Cut,
        },
    };
    connection.graceful_shutdown();
    let taking = take(&mut connection, outer, opener, servers);
    match tokio::time::timeout(bound, taking).await {
        Ok(served) => over(&served, closing),
        Err(_) => closing,
    }
}

/// Answers what comes on a connection until it has ended; it goes on where it was when it is dropped.
async fn take(
    connection: &mut Connection,
    outer: &Arc<Conn>,
    opener: &Arc<Opener>,
    servers: &Arc<Servers>,
) -> Result<(), h2::Error> {
    while let Some(asked) = connection.accept().await {
        let (request, answer) = asked?;
        let (outer, opener, servers) = (Arc::clone(outer), Arc::clone(opener), Arc::clone(servers));
        let tasks = outer.tasks.clone();
        tasks.spawn(async move { tunnel(&outer, &opener, &servers, request, answer).await });
    }
    Ok(())
}

/// Why who connects is nobody, where it was for their certificate that the handshake failed.
fn unproved(error: &io::Error) -> Option<Reason> {
    match error.get_ref()?.downcast_ref::<rustls::Error>()? {
        rustls::Error::NoCertificatesPresented => Some(Reason::CredentialMissing),
        rustls::Error::InvalidCertificate(_) => Some(Reason::CredentialInvalid),
        _ => None,
    }
}

fn over(served: &Result<(), h2::Error>, usual: Outcome) -> Outcome {
    if served.is_ok() { usual } else { Outcome::Reset }
}

/// Who opened a connection.
struct Opener {
    peer: Arc<Peer>,
    /// When the certificate ends that says so.
    ends: SystemTime,
    /// Each tunnel that is open has one more.
    open: Arc<()>,
}

impl Opener {
    fn has_tunnels(&self) -> bool {
        Arc::strong_count(&self.open) > 1
    }
}

/// Answers a CONNECT, and serves what comes through it: HTTP, or bytes, as the port takes it. Where
/// nobody answers for the application, it is refused, so that who asks goes elsewhere before it has
/// sent anything.
async fn tunnel(
    outer: &Arc<Conn>,
    opener: &Opener,
    servers: &Servers,
    request: Request<RecvStream>,
    mut answer: SendResponse<Bytes>,
) {
    let _open = Arc::clone(&opener.open);
    let (parts, from) = request.into_parts();
    let (status, purpose) = admit(outer, opener, &parts).await;
    let mut response = Response::new(());
    *response.status_mut() = status;
    let to = match answer.send_response(response, purpose.is_none()) {
        Ok(to) => to,
        Err(error) => return tracing::debug!(%error, "a tunnel was not opened"),
    };
    let tunnel = Tunnel::new(to, from);
    match purpose {
        Some(Use::Requests(conn)) => drop(servers.serve(conn, tunnel, Spoken::Detect).await),
        Some(Use::Bytes(opened)) => opened.carry(tunnel, Bytes::new()).await,
        None => {}
    }
}

/// What a tunnel is for.
enum Use {
    Requests(Arc<Conn>),
    Bytes(Box<Opened>),
}

/// What a CONNECT is answered, and what its tunnel is for if there is to be one.
async fn admit(outer: &Arc<Conn>, opener: &Opener, parts: &Parts) -> (StatusCode, Option<Use>) {
    if parts.method != Method::CONNECT {
        return (StatusCode::METHOD_NOT_ALLOWED, None);
    }
    let from = &opener.peer;
    let Some(port) = meant(outer, parts) else {
        tracing::info!(to = %parts.uri, %from, "no port of this workload is meant");
        return (StatusCode::NOT_FOUND, None);
    };
    let (shared, worker, tasks) = (Arc::clone(&outer.shared), outer.worker, outer.tasks.clone());
    let conn = Conn::new(shared, worker, outer.peer, port, tasks).of(Arc::clone(from), opener.ends);
    let (conn, live) = (Arc::new(conn), outer.shared.live.load_full());
    let is_bytes = live.table.takes(port) == Some(Layer::Connection);
    if dial::is_meant(parts) != is_bytes {
        // Requests that nobody reads would not be judged, and bytes of whoever is behind a gateway would
        // be taken for what that says.
        tracing::info!(%port, %from, is_bytes, "what is sent is not what the port takes");
        return (StatusCode::MISDIRECTED_REQUEST, None);
    }
    if conn.is_stranger(&live) || is_bytes {
        return match dial::inbound(conn, &live, parts).await {
            Ok(opened) => (StatusCode::OK, Some(Use::Bytes(Box::new(opened)))),
            Err(status) => (status, None),
        };
    }
    let bound = outer.shared.settings.limits.connect;
    let reached = tokio::time::timeout(bound, reach(outer, port)).await;
    if let Err(failure) = reached.map_err(Failure::unreached).flatten() {
        tracing::debug!(%port, %from, %failure, "the application cannot be reached");
        return (StatusCode::SERVICE_UNAVAILABLE, None);
    }
    (StatusCode::OK, Some(Use::Requests(conn)))
}

/// Sees that the application answers at a port of its.
async fn reach(outer: &Conn, port: u16) -> Result<(), Failure> {
    let live = outer.shared.live.load_full();
    let rule =
        live.table.inbound.as_ref().and_then(|inbound| live.table.rules.get(inbound.rule(port)?));
    let Some(Target::Service(id)) = rule.and_then(|rule| rule.backends.target(0)) else {
        return Err(Failure::backend(Reason::NoBackend));
    };
    let limits = &outer.shared.settings.limits;
    for endpoint in &live.services[*id].endpoints {
        let hop = Hop { endpoint, worker: outer.worker, face: &Face::Plain };
        pool::reach(hop, limits, Instant::now()).await?;
    }
    Ok(())
}

/// The port of our application that a CONNECT names.
fn meant(outer: &Conn, parts: &Parts) -> Option<u16> {
    let live = outer.shared.live.load();
    let inbound = live.table.inbound.as_ref()?;
    let to: std::net::SocketAddr = parts.uri.authority()?.as_str().parse().ok()?;
    let is_ours = to.ip() == inbound.address.ip() && inbound.ports().any(|port| port == to.port());
    is_ours.then_some(to.port())
}
