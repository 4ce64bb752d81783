//! What an origin answers, by the path of the request.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _, stream};
use http::header::{CONNECTION, CONTENT_TYPE, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::{Ill, State};
use crate::soak;

/// The fault of an origin that breaks off on purpose.
#[derive(Debug)]
pub(super) struct BrokenOff;

impl std::fmt::Display for BrokenOff {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("broken off on purpose")
    }
}

impl std::error::Error for BrokenOff {}

type Body = UnsyncBoxBody<Bytes, BrokenOff>;

const CHUNK: usize = 64 << 10;

pub(super) async fn answer(
    state: Arc<State>,
    request: Request<Incoming>,
) -> Result<Response<Body>, BrokenOff> {
    let told = told(&request);
    let mut response = match state.ails() {
        Some(ill) => ail(&state, ill, request).await?,
        None => well(&state, request).await?,
    };
    if let Ok(name) = HeaderValue::from_str(&state.name) {
        response.headers_mut().insert("x-origin", name);
    }
    if let Some(told) = told {
        response.headers_mut().insert("x-told", told);
    }
    Ok(response)
}

/// `METHOD TARGET NUMBER` of a request that has a number, by which its answer is known from all others.
fn told(request: &Request<Incoming>) -> Option<HeaderValue> {
    let number = request.headers().get("x-number")?.to_str().ok()?;
    let told = format!("{} {} {number}", request.method(), request.uri());
    HeaderValue::try_from(told).ok()
}

async fn well(state: &State, request: Request<Incoming>) -> Result<Response<Body>, BrokenOff> {
    let path = request.uri().path().to_owned();
    let (first, rest) = path[1..].split_once('/').unwrap_or((&path[1..], ""));
    let number = rest.rsplit('/').next().and_then(|last| last.parse().ok()).unwrap_or(0);
    let response = match first {
        "echo" => echo(request),
        "sink" => {
            let told = sink(state, request).await?;
            tokio::time::sleep(Duration::from_millis(number as u64)).await;
            told
        }
        "big" => Response::new(big(number)),
        "pieces" => Response::new(pieces(&request, number)),
        "delay" => {
            tokio::time::sleep(Duration::from_millis(number as u64)).await;
            text(&state.name)
        }
        "gate" => {
            let passed = state.gate.acquire().await;
            passed.map_err(|_| BrokenOff)?.forget();
            text(&state.name)
        }
        "status" => with_status(&state.name, number),
        "reset" => return Err(BrokenOff),
        "half" => Response::new(half()),
        "trailers" => Response::new(trailers()),
        "hop" => hop(),
        "unreached" => says(text(&state.name), "heddle-unreached"),
        "limited" => says(with_status(&state.name, 429), "heddle-limited"),
        "ws" => socket(request),
        _ => text(&state.name),
    };
    Ok(response)
}

async fn ail(
    state: &State,
    ill: Ill,
    request: Request<Incoming>,
) -> Result<Response<Body>, BrokenOff> {
    drop(sink(state, request).await?);
    match ill {
        Ill::Answers(status) => Ok(with_status(&state.name, usize::from(status))),
        Ill::BreaksOff => Err(BrokenOff),
        Ill::Mute => std::future::pending().await,
    }
}

fn echo(mut request: Request<Incoming>) -> Response<Body> {
    let media = request.headers_mut().remove(CONTENT_TYPE);
    let mut response = Response::new(request.into_body().map_err(|_| BrokenOff).boxed_unsync());
    media.map(|media| response.headers_mut().insert(CONTENT_TYPE, media));
    response
}

/// Says what only proxies say to each other.
fn says(mut response: Response<Body>, header: &'static str) -> Response<Body> {
    response.headers_mut().insert(header, HeaderValue::from_static("1"));
    response
}

fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(never).boxed_unsync()
}

fn never(error: Infallible) -> BrokenOff {
    match error {}
}

fn text(words: &str) -> Response<Body> {
    Response::new(full(words.to_owned()))
}

fn with_status(name: &str, number: usize) -> Response<Body> {
    let mut response = text(name);
    let status = u16::try_from(number).ok().and_then(|code| StatusCode::from_u16(code).ok());
    *response.status_mut() = status.unwrap_or(StatusCode::IM_A_TEAPOT);
    response
}

/// `BYTES`, and ` NAME=VALUE` of each trailer.
async fn sink(state: &State, request: Request<Incoming>) -> Result<Response<Body>, BrokenOff> {
    let (mut length, mut body, mut told) = (0, request.into_body(), String::new());
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| {
            state.took(length, false);
            BrokenOff
        })?;
        match frame.into_data() {
            Ok(data) => length += data.len(),
            Err(frame) => {
                for (name, value) in frame.trailers_ref().into_iter().flatten() {
                    told += &format!(" {name}={}", value.to_str().unwrap_or_default());
                }
            }
        }
    }
    state.took(length, true);
    Ok(text(&format!("{length}{told}")))
}

fn big(length: usize) -> Body {
    let chunks = stream::unfold(length, |left| async move {
        let size = left.min(CHUNK);
        let chunk = Bytes::from_static(&[b'x'; CHUNK]).slice(..size);
        (size > 0).then(|| (Ok(Frame::data(chunk)), left - size))
    });
    StreamBody::new(chunks).boxed_unsync()
}

/// Each piece leaves before the next one is there.
fn pieces(request: &Request<Incoming>, length: usize) -> Body {
    let number = request.headers().get("x-number").and_then(|number| number.to_str().ok());
    let seed = number.and_then(|number| number.parse().ok()).unwrap_or_default();
    let pieces = stream::iter(soak::pieces(soak::bytes(seed, length))).then(|piece| async {
        tokio::task::yield_now().await;
        Ok(Frame::data(piece))
    });
    StreamBody::new(pieces).boxed_unsync()
}

fn half() -> Body {
    let frames = [Ok(Frame::data(Bytes::from_static(b"the first half"))), Err(BrokenOff)];
    // The pause lets the first half leave before the connection breaks.
    let frames = stream::iter(frames).then(|frame| async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        frame
    });
    StreamBody::new(frames).boxed_unsync()
}

fn trailers() -> Body {
    let mut map = HeaderMap::new();
    map.insert("x-end", HeaderValue::from_static("reached"));
    let data = Frame::data(Bytes::from_static(b"before the end"));
    StreamBody::new(stream::iter([Ok(data), Ok(Frame::trailers(map))])).boxed_unsync()
}

/// Headers that no proxy may hand on, one of them named by `connection` alone.
fn hop() -> Response<Body> {
    let mut response = text("hop");
    for (name, value) in [
        ("connection", "x-mine"),
        ("x-mine", "of this connection"),
        ("connection", "x-second"),
        ("x-second", "of this connection too"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("proxy-authenticate", "Basic"),
        ("upgrade", "h2c"),
        ("x-end-to-end", "kept"),
    ] {
        response.headers_mut().append(name, HeaderValue::from_static(value));
    }
    response
}

fn socket(mut request: Request<Incoming>) -> Response<Body> {
    let Some(key) = request.headers().get(SEC_WEBSOCKET_KEY) else {
        return with_status("no websocket", 426);
    };
    let accept = derive_accept_key(key.as_bytes());
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let Ok(upgraded) = upgrade.await else { return };
        let io = TokioIo::new(upgraded);
        let mut socket = WebSocketStream::from_raw_socket(io, Role::Server, None).await;
        while let Some(Ok(message)) = socket.next().await {
            if message.to_text().is_ok_and(|text| text == "hang up") {
                return;
            }
            let is_data = message.is_text() || message.is_binary();
            if is_data && socket.send(message).await.is_err() {
                return;
            }
        }
    });
    let mut response = Response::new(Empty::new().map_err(never).boxed_unsync());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    if let Ok(accept) = HeaderValue::from_str(&accept) {
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    response
}
