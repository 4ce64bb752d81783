//! One client connection: which HTTP is spoken on it, its bounds, its end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use policy::Scheme;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::exchange::exchange;
use crate::reply::Reply;
use crate::settings::Limits;
use crate::telemetry::Outcome;
use crate::worker::Shared;

/// A client connection and what holds for all its requests.
#[derive(Debug)]
pub(crate) struct Conn {
    pub(crate) shared: Arc<Shared>,
    pub(crate) worker: usize,
    pub(crate) peer: SocketAddr,
    /// The listener's port.
    pub(crate) port: u16,
    pub(crate) scheme: Scheme,
    /// The server name of the handshake, in lower case.
    pub(crate) server_name: Option<Box<str>>,
    /// Requests begun, in the upper half, and under way, in the lower.
    requests: AtomicU64,
}

const BEGUN: u64 = 1 << 32;

impl Conn {
    pub(crate) fn new(
        shared: Arc<Shared>,
        worker: usize,
        peer: SocketAddr,
        port: u16,
        scheme: Scheme,
    ) -> Self {
        let (server_name, requests) = (None, AtomicU64::new(0));
        Conn { shared, worker, peer, port, scheme, server_name, requests }
    }
}

/// What was agreed on in the TLS handshake, if there was one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spoken {
    /// Nothing: the first bytes tell.
    Detect,
    /// `http/1.1`.
    Http1,
    /// `h2`.
    Http2,
}

/// hyper's server side with our bounds.
pub(crate) fn server(limits: &Limits, spoken: Spoken) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_headers(limits.headers)
        .max_buf_size(limits.head_bytes.max(8192));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(u32::try_from(limits.head_bytes).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(limits.pending_resets)
        .max_local_error_reset_streams(limits.local_resets)
        .keep_alive_interval(limits.idle)
        .keep_alive_timeout(limits.head);
    match spoken {
        Spoken::Detect => builder,
        Spoken::Http1 => builder.http1_only(),
        Spoken::Http2 => builder.http2_only(),
    }
}

/// Serves the requests of one connection until it ends, idles too long, or the process drains.
pub(crate) async fn serve<S>(conn: Arc<Conn>, stream: S, server: &Builder<TokioExecutor>) -> Outcome
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = {
        let conn = Arc::clone(&conn);
        service_fn(move |request| answer(Arc::clone(&conn), request))
    };
    let serving = server.serve_connection_with_upgrades(TokioIo::new(stream), service);
    let mut serving = std::pin::pin!(serving);
    let mut closing = None;
    loop {
        tokio::select! {
            biased;
            result = serving.as_mut() => return match (result, closing) {
                (Err(error), _) => broken(&conn, &*error),
                (Ok(()), Some(outcome)) => outcome,
                (Ok(()), None) => Outcome::Done,
            },
            () = conn.shared.phase.draining(), if closing.is_none() => {
                closing = Some(Outcome::Cut);
            }
            () = idle(&conn), if closing.is_none() => closing = Some(Outcome::TimedOut),
        }
        serving.as_mut().graceful_shutdown();
    }
}

async fn answer(
    conn: Arc<Conn>,
    request: Request<Incoming>,
) -> Result<Response<Reply>, std::convert::Infallible> {
    let _busy = Busy::on(&conn);
    Ok(exchange(Arc::clone(&conn), request).await)
}

/// A request that is not answered yet; also over when the client takes it back.
struct Busy<'c>(&'c Conn);

impl<'c> Busy<'c> {
    fn on(conn: &'c Conn) -> Self {
        conn.requests.fetch_add(BEGUN + 1, Relaxed);
        Busy(conn)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.requests.fetch_sub(1, Relaxed);
    }
}

/// Ends when no request came at all within the bound on heads, which hyper keeps only once it
/// knows what is spoken; later, when there was no request for the bound on idleness.
async fn idle(conn: &Conn) {
    let limits = &conn.shared.settings.limits;
    tokio::time::sleep(limits.head).await;
    let mut before = conn.requests.load(Relaxed);
    if before == 0 {
        return;
    }
    loop {
        tokio::time::sleep(limits.idle).await;
        let now = conn.requests.load(Relaxed);
        if now == before && now.is_multiple_of(BEGUN) {
            return;
        }
        before = now;
    }
}

/// What it means that hyper gave a connection up.
fn broken(conn: &Conn, error: &(dyn std::error::Error + 'static)) -> Outcome {
    tracing::debug!(peer = %conn.peer, error, "connection ended");
    match error.downcast_ref::<hyper::Error>() {
        Some(error) if error.is_parse() => Outcome::ParseFailed,
        Some(error) if error.is_timeout() => Outcome::TimedOut,
        Some(_) | None => Outcome::Reset,
    }
}
