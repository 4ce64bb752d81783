//! Upgraded connections (WebSocket): bytes both ways until both sides have ended, silence, drain, or a
//! table that no longer allows the request that opened it.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use policy::{Facts, Reason, Verdict};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional};
use wire::Side;

use crate::balance::Turn;
use crate::exchange::{meant_here, port_of};
use crate::forward;
use crate::http::Conn;
use crate::live::Live;
use crate::moment;
use crate::passport::{self, Carried};
use crate::pool::Answered;
use crate::record::Record;
use crate::reply::Reply;

/// The request that opened a tunnel, kept so that a new table can be asked about it.
#[derive(Debug)]
pub(crate) struct Asked {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    host: Box<str>,
    /// The port beside the host, where there was one.
    port: Option<u16>,
    path: Box<str>,
    source: IpAddr,
    side: Side,
    behalf: Option<Arc<Carried>>,
}

impl Asked {
    pub(crate) fn new(parts: &Parts, record: &Record) -> Self {
        Asked {
            method: parts.method.clone(),
            uri: parts.uri.clone(),
            headers: parts.headers.clone(),
            host: record.host.clone(),
            port: forward::one_host(parts).and_then(port_of),
            path: record.path.clone(),
            source: record.source,
            side: record.side,
            behalf: record.behalf.clone(),
        }
    }

    /// Whether `live` would let the request pass, were it made now.
    fn passes(&self, conn: &Conn, live: &Live) -> bool {
        let users = passport::believed(live, self.side, self.behalf.as_ref());
        let facts = Facts {
            now: moment::signed(SystemTime::now()),
            source: self.source,
            scheme: conn.scheme,
            port: conn.port,
            host: &self.host,
            method: &self.method,
            path: &self.path,
            query: self.uri.query(),
            headers: &self.headers,
            peer: conn.from.as_deref(),
            users: &users,
        };
        let found = match conn.is_outbound(live) {
            true => live.table.called(&facts, self.port),
            false => live.table.find(&facts),
        };
        !conn.is_stranger(live)
            && meant_here(conn, live, &self.host).is_ok()
            && found.is_ok_and(|found| {
                matches!(found.rule.chain.decide(&facts, found.prefix), Verdict::Pass(_))
            })
    }
}

/// Answers 101 and carries bytes between the two from then on.
pub(crate) fn start(
    conn: &Arc<Conn>,
    asked: Asked,
    client: OnUpgrade,
    mut answered: Answered,
    turn: Turn,
    mut record: Box<Record>,
) -> Response<Reply> {
    let backend = hyper::upgrade::on(&mut answered.response);
    let (mut head, _) = answered.response.into_parts();
    let word = head.headers.get(http::header::UPGRADE).cloned();
    forward::strip_hop_by_hop(&mut head.headers);
    head.headers.insert(http::header::CONNECTION, HeaderValue::from_static("upgrade"));
    if let Some(word) = word {
        head.headers.insert(http::header::UPGRADE, word);
    }
    record.status = Some(StatusCode::SWITCHING_PROTOCOLS);
    record.reason = Reason::Ok;
    let tunnel = Tunnel { conn: Arc::clone(conn), asked, record, _turn: turn };
    // Ends by itself, by either side, silence or a new table; a worker that drains waits for it.
    conn.tasks.spawn(tunnel.run(client, backend));
    let mut response = Response::new(Reply::Switched);
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *response.headers_mut() = head.headers;
    response
}

/// A tunnel in use.
struct Tunnel {
    conn: Arc<Conn>,
    asked: Asked,
    record: Box<Record>,
    _turn: Turn,
}

impl Tunnel {
    async fn run(mut self, client: OnUpgrade, backend: OnUpgrade) {
        let limits = &self.conn.shared.settings.limits;
        let upgraded = async { tokio::try_join!(client, backend) };
        let (client, backend) = match tokio::time::timeout(limits.head, upgraded).await {
            Ok(Ok(both)) => both,
            Ok(Err(error)) => {
                self.record.reason = Reason::ClientGone;
                return self.record.detail = Some(error.to_string().into());
            }
            Err(_) => {
                self.record.reason = Reason::ClientTimeout;
                self.record.detail = Some("the upgrade was not finished in time".into());
                return;
            }
        };
        let (client, backend) = (Counted::new(client), Counted::new(backend));
        // Writes the counts into the record also where the worker ends first.
        let mut told = Told { record: self.record, client, backend };
        let (reason, detail) = told.carry(&self.conn, &self.asked).await;
        (told.record.reason, told.record.detail) = (reason, detail);
    }
}

/// Both ends, and the record that gets their counts at last.
struct Told {
    record: Box<Record>,
    client: Counted,
    backend: Counted,
}

impl Told {
    /// Why the tunnel ended.
    async fn carry(&mut self, conn: &Conn, asked: &Asked) -> (Reason, Option<Box<str>>) {
        let read = (Arc::clone(&self.client.read), Arc::clone(&self.backend.read));
        let total = || read.0.load(Relaxed) + read.1.load(Relaxed);
        let copied = tokio::select! {
            copied = copy_bidirectional(&mut self.client, &mut self.backend) => copied,
            () = forbidden(conn, asked) => {
                return (Reason::AccessDenied, Some("cut: a new table forbids it".into()));
            }
            () = conn.outlived(Duration::ZERO) => {
                return (Reason::AccessDenied, Some("cut: its sender's certificate has ended".into()));
            }
            () = silent(conn.shared.settings.limits.tunnel_idle, total) => {
                return (Reason::Ok, Some("closed after silence".into()));
            }
        };
        let Err(error) = copied else { return (Reason::Ok, None) };
        let reason = if self.backend.failed { Reason::UpstreamReset } else { Reason::ClientGone };
        (reason, Some(error.to_string().into()))
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        self.record.bytes_in = self.client.read.load(Relaxed);
        self.record.bytes_out = self.backend.read.load(Relaxed);
    }
}

/// Ends when a table comes into force that does not let the request pass.
async fn forbidden(conn: &Conn, asked: &Asked) {
    let mut changes = conn.shared.changes.subscribe();
    loop {
        if !asked.passes(conn, &conn.shared.live.load()) {
            return;
        }
        if changes.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

/// Ends when `total` stood still for `bound`.
async fn silent(bound: Duration, total: impl Fn() -> u64) {
    let mut before = total();
    loop {
        tokio::time::sleep(bound).await;
        let now = total();
        if now == before {
            return;
        }
        before = now;
    }
}

/// An upgraded connection that counts what is read from it and knows whether it broke.
struct Counted {
    io: TokioIo<Upgraded>,
    read: Arc<AtomicU64>,
    failed: bool,
}

impl Counted {
    fn new(io: Upgraded) -> Self {
        Counted { io: TokioIo::new(io), read: Arc::default(), failed: false }
    }

    fn seen<T>(&mut self, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        self.failed |= matches!(polled, Poll::Ready(Err(_)));
        polled
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(cx, buf);
        self.read.fetch_add((buf.filled().len() - before) as u64, Relaxed);
        self.seen(polled)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write(cx, data);
        self.seen(polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.io).poll_flush(cx);
        self.seen(polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
