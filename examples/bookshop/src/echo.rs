//! A WebSocket that says back what it is told, until either side goes away.

use std::time::Duration;

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{
    CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION,
    UPGRADE,
};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper::{HeaderMap, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::nameplate::{Nameplate, Reply};

/// How many sockets are open at once.
const MOST_SOCKETS: usize = 256;

/// The largest message that is echoed.
pub(crate) const LARGEST_MESSAGE: usize = 64 * 1024;

/// How long a silent socket is kept.
const SILENCE: Duration = Duration::from_secs(300);

/// How long a peer may take to accept what is sent to it.
const SENDING: Duration = Duration::from_secs(5);

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// Answers the handshake, and leaves the echo running among `sockets`.
pub(crate) fn open(
    plate: &Nameplate,
    mut request: Request<Incoming>,
    sockets: &TaskTracker,
    stop: &CancellationToken,
) -> Reply {
    let Some(accept) = accept_key(request.headers()) else {
        let mut reply =
            plate.refuse(StatusCode::UPGRADE_REQUIRED, "this path speaks WebSocket version 13");
        reply.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
        reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
        reply.headers_mut().insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        return reply;
    };
    if sockets.len() >= MOST_SOCKETS {
        return plate.refuse(StatusCode::SERVICE_UNAVAILABLE, "too many sockets are open");
    }
    let upgrade = hyper::upgrade::on(&mut request);
    sockets.spawn(run(upgrade, stop.clone()));
    let mut reply = Response::new(Full::new(Bytes::new()));
    *reply.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    reply.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
    reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
    reply.headers_mut().insert(SEC_WEBSOCKET_ACCEPT, accept);
    reply
}

/// What proves that we speak the protocol, if the request asked for it.
fn accept_key(headers: &HeaderMap) -> Option<HeaderValue> {
    let has =
        |name, word: &str| {
            headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).any(|value| {
                value.split(',').any(|listed| listed.trim().eq_ignore_ascii_case(word))
            })
        };
    let asked =
        has(UPGRADE, "websocket") && has(CONNECTION, "upgrade") && has(SEC_WEBSOCKET_VERSION, "13");
    let key = headers.get(SEC_WEBSOCKET_KEY).filter(|_| asked)?;
    HeaderValue::from_str(&derive_accept_key(key.as_bytes())).ok()
}

async fn run(upgrade: OnUpgrade, stop: CancellationToken) {
    // An error means that the caller left between its request and our reply.
    let Ok(upgraded) = upgrade.await else { return };
    let config = WebSocketConfig::default()
        .max_message_size(Some(LARGEST_MESSAGE))
        .max_frame_size(Some(LARGEST_MESSAGE));
    let io = TokioIo::new(upgraded);
    let mut socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
    tokio::select! {
        () = echo(&mut socket) => {}
        () = stop.cancelled() => say_goodbye(&mut socket).await,
    }
}

async fn echo(socket: &mut Socket) {
    while let Ok(Some(Ok(message))) = timeout(SILENCE, socket.next()).await {
        let spoken = message.is_text() || message.is_binary();
        // Pings and closes are answered by the protocol itself.
        if spoken && !matches!(timeout(SENDING, socket.send(message)).await, Ok(Ok(()))) {
            return;
        }
    }
}

async fn say_goodbye(socket: &mut Socket) {
    let frame = CloseFrame { code: CloseCode::Away, reason: "the catalog closes".into() };
    // A peer that is gone already needs no goodbye.
    let _ = timeout(SENDING, socket.close(Some(frame))).await;
}
