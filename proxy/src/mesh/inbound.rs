//! From other proxies to the application: who connects, and HTTP on each tunnel of theirs.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use model::identity::Peer;
use policy::{Layer, Reason};
use table::Target;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use super::{DISOWNED, FRAME, WINDOW, WINDOWS, left};
use crate::dial;
use crate::failure::Failure;
use crate::http::{Conn, Servers, Spoken};
use crate::pool;
use crate::telemetry::Outcome;

/// Tunnels of one connection at once: each is one HTTP/1.1 connection of the other side.
const TUNNELS: u32 = 4096;

/// Serves the tunnels of one connection until it ends, its certificate does, or the process drains.
pub(crate) async fn serve(outer: Conn, stream: TcpStream, servers: &Arc<Servers>) -> Outcome {
    let outer = Arc::new(outer);
    let limits = &outer.shared.settings.limits;
    let Some(credentials) = outer.shared.ground.membership.now() else {
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
    let from = Arc::new(Opener { peer: Arc::new(proven.peer), ends, open: Arc::new(()) });
    let service = {
        let (outer, servers, from) = (Arc::clone(&outer), Arc::clone(servers), Arc::clone(&from));
        service_fn(move |request| {
            let (outer, servers, from) =
                (Arc::clone(&outer), Arc::clone(&servers), Arc::clone(&from));
            async move { Ok::<_, Infallible>(tunnel(&outer, &from, &servers, request).await) }
        })
    };
    let serving = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(TUNNELS)
        .max_header_list_size(16 << 10)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOWS)
        .max_frame_size(FRAME)
        .keep_alive_interval(limits.idle)
        .keep_alive_timeout(limits.head)
        .serve_connection(TokioIo::new(stream), service);
    let mut serving = std::pin::pin!(serving);
    let membership = &outer.shared.ground.membership;
    // What goes on in its tunnels ends by itself, soon behind the certificate.
    let soon = 2 * limits.head;
    let (closing, bound) = tokio::select! {
        served = serving.as_mut() => return over(&served, Outcome::Done),
        () = outer.shared.phase.draining() => (Outcome::Cut, left(ends) + soon),
        () = tokio::time::sleep(left(ends)) => (Outcome::TimedOut, soon),
        () = membership.disowns(&chain, credentials.number) => {
            (Outcome::Cut, if from.has_tunnels() { DISOWNED } else { Duration::ZERO })
        }
    };
    serving.as_mut().graceful_shutdown();
    match tokio::time::timeout(bound, serving).await {
        Ok(served) => over(&served, closing),
        Err(_) => closing,
    }
}

/// Why who connects is nobody, where it was for their certificate that the handshake failed.
fn unproved(error: &io::Error) -> Option<Reason> {
    match error.get_ref()?.downcast_ref::<rustls::Error>()? {
        rustls::Error::NoCertificatesPresented => Some(Reason::CredentialMissing),
        rustls::Error::InvalidCertificate(_) => Some(Reason::CredentialInvalid),
        _ => None,
    }
}

fn over(served: &Result<(), hyper::Error>, usual: Outcome) -> Outcome {
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
    servers: &Arc<Servers>,
    mut request: Request<Incoming>,
) -> Response<Empty<Bytes>> {
    let answer = |status| {
        let mut answer = Response::new(Empty::new());
        *answer.status_mut() = status;
        answer
    };
    if request.method() != Method::CONNECT {
        return answer(StatusCode::METHOD_NOT_ALLOWED);
    }
    let from = &opener.peer;
    let Some(port) = meant(outer, &request) else {
        tracing::info!(to = %request.uri(), %from, "no port of this workload is meant");
        return answer(StatusCode::NOT_FOUND);
    };
    let (shared, worker, tasks) = (Arc::clone(&outer.shared), outer.worker, outer.tasks.clone());
    let conn = Conn::new(shared, worker, outer.peer, port, tasks).of(Arc::clone(from), opener.ends);
    let (conn, live) = (Arc::new(conn), outer.shared.live.load_full());
    let open = Arc::clone(&opener.open);
    if conn.is_stranger(&live) || live.table.takes(port) == Some(Layer::Connection) {
        let client = hyper::upgrade::on(&mut request);
        let (parts, _) = request.into_parts();
        return dial::inbound(conn, &live, &parts, client, open).await;
    }
    let bound = outer.shared.settings.limits.connect;
    let reached = tokio::time::timeout(bound, reach(outer, port)).await;
    if let Err(failure) = reached.map_err(Failure::unreached).flatten() {
        tracing::debug!(%port, %from, %failure, "the application cannot be reached");
        return answer(StatusCode::SERVICE_UNAVAILABLE);
    }
    let servers = Arc::clone(servers);
    outer.tasks.spawn(async move {
        let _open = open;
        match hyper::upgrade::on(request).await {
            Ok(upgraded) => {
                servers.serve(conn, TokioIo::new(upgraded), Spoken::Detect).await;
            }
            Err(error) => tracing::debug!(%error, "a tunnel was not opened"),
        }
    });
    answer(StatusCode::OK)
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
        pool::reach(endpoint, outer.worker, limits, Instant::now()).await?;
    }
    Ok(())
}

/// The port of our application that a CONNECT names.
fn meant(outer: &Conn, request: &Request<Incoming>) -> Option<u16> {
    let live = outer.shared.live.load();
    let inbound = live.table.inbound.as_ref()?;
    let to: std::net::SocketAddr = request.uri().authority()?.as_str().parse().ok()?;
    let is_ours = to.ip() == inbound.address.ip() && inbound.ports().any(|port| port == to.port());
    is_ours.then_some(to.port())
}
