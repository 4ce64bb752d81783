//! Upgraded connections (WebSocket): bytes both ways until one side ends, silence, drain, or a
//! table that no longer allows the request that opened it.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use policy::{Facts, Reason, Verdict};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional};

use crate::balance::Turn;
use crate::forward;
use crate::http::Conn;
use crate::live::Live;
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
    path: Box<str>,
    source: IpAddr,
}

impl Asked {
    pub(crate) fn new(_conn: &Conn, parts: &Parts, record: &Record) -> Self {
        Asked {
            method: parts.method.clone(),
            uri: parts.uri.clone(),
            headers: parts.headers.clone(),
            host: record.host.clone(),
            path: record.path.clone(),
            source: record.source,
        }
    }

    /// Whether `live` would let the request pass, now.
    fn passes(&self, conn: &Conn, live: &Live) -> bool {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let facts = Facts {
            now: i64::try_from(now.unwrap_or_default().as_secs()).unwrap_or(i64::MAX),
            source: self.source,
            scheme: conn.scheme,
            port: conn.port,
            host: &self.host,
            method: &self.method,
            path: &self.path,
            query: self.uri.query(),
            headers: &self.headers,
        };
        live.table.find(&facts).is_ok_and(|found| {
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
    let conn = Arc::clone(conn);
    // Ends by itself: by either side, silence, drain or a new table.
    tokio::spawn(async move {
        let _turn = turn;
        if let Err(error) = carry(&conn, &asked, client, backend, &mut record).await {
            record.detail = Some(error.to_string().into());
        }
    });
    let mut response = Response::new(Reply::Switched);
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *response.headers_mut() = head.headers;
    response
}

async fn carry(
    conn: &Conn,
    asked: &Asked,
    client: OnUpgrade,
    backend: OnUpgrade,
    record: &mut Record,
) -> io::Result<()> {
    let upgraded = async { tokio::try_join!(client, backend) };
    let (client, backend) = tokio::time::timeout(conn.shared.settings.limits.head, upgraded)
        .await
        .map_err(|_| io::Error::other("the upgrade was not finished in time"))?
        .map_err(io::Error::other)?;
    let (mut client, mut backend) = (Counted::new(client), Counted::new(backend));
    let (from_client, from_backend) = (Arc::clone(&client.read), Arc::clone(&backend.read));
    let total = || from_client.load(Relaxed) + from_backend.load(Relaxed);
    let result = tokio::select! {
        copied = copy_bidirectional(&mut client, &mut backend) => copied.map(drop),
        () = forbidden(conn, asked) => Err(io::Error::other("cut: a new table forbids it")),
        () = silent(conn.shared.settings.limits.tunnel_idle, total) => {
            Err(io::Error::other("closed after silence"))
        }
        () = conn.shared.phase.draining() => Err(io::Error::other("closed by drain")),
    };
    record.bytes_in = from_client.load(Relaxed);
    record.bytes_out = from_backend.load(Relaxed);
    result
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

/// An upgraded connection that counts what is read from it.
struct Counted {
    io: TokioIo<Upgraded>,
    read: Arc<AtomicU64>,
}

impl Counted {
    fn new(io: Upgraded) -> Self {
        Counted { io: TokioIo::new(io), read: Arc::default() }
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
        polled
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
