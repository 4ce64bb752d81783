//! A line: a tunnel or a stream that stays open, on which messages go both ways.

use bytes::{Bytes, BytesMut};
use e2e::client::{Fault, Payload, nothing, request, streamed};
use e2e::{Connection, Reply};
use futures::channel::mpsc::{self, UnboundedReceiver, UnboundedSender};
use futures::{SinkExt as _, StreamExt as _};
use http::header::{CONNECTION, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::{self, Message};

use crate::plan::{LASTING, SECURE_HOST};
use crate::tally::{Class, SILENCE};

/// What a line is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Sort {
    /// A WebSocket.
    Tunnel,
    /// A body each way, neither of which has its end yet.
    Stream,
}

impl Sort {
    pub(crate) fn class(self) -> Class {
        match self {
            Sort::Tunnel => Class::Tunnel,
            Sort::Stream => Class::Stream,
        }
    }

    /// The status that opens it.
    fn status(self) -> u16 {
        match self {
            Sort::Tunnel => 101,
            Sort::Stream => 200,
        }
    }

    fn method(self) -> &'static str {
        match self {
            Sort::Tunnel => "GET",
            Sort::Stream => "POST",
        }
    }

    fn target(self, number: u64) -> String {
        let first = match self {
            Sort::Tunnel => "ws",
            Sort::Stream => "echo",
        };
        format!("/{first}/r{LASTING}?n={number}")
    }

    /// What the origin says that it was asked.
    pub(crate) fn told(self, number: u64) -> String {
        format!("{} {} {number}", self.method(), self.target(number))
    }

    fn request(self, number: u64, body: UnboundedReceiver<Bytes>) -> Request<Payload> {
        let asked = request(self.method(), SECURE_HOST, &self.target(number));
        let asked = asked.header("x-number", number);
        let asked = match self {
            Sort::Tunnel => asked
                .header(CONNECTION, "Upgrade")
                .header(UPGRADE, "websocket")
                .header(SEC_WEBSOCKET_VERSION, "13")
                .header(SEC_WEBSOCKET_KEY, generate_key())
                .body(nothing()),
            Sort::Stream => asked.body(streamed(body)),
        };
        asked.expect("a well-formed request")
    }
}

/// How a line ended that was to stay open.
#[derive(Debug)]
pub(crate) enum End {
    /// It broke off.
    Broke(Fault),
    /// It ended in some other way, as if it were whole, or went silent.
    Strayed(String),
}

impl<E: Into<Fault>> From<E> for End {
    fn from(error: E) -> Self {
        End::Broke(error.into())
    }
}

/// One that is open.
pub(crate) struct Line {
    ends: Ends,
    /// Closes when it is dropped.
    _connection: Connection,
}

enum Ends {
    Tunnel(Box<WebSocketStream<TokioIo<Upgraded>>>),
    Stream { to: UnboundedSender<Bytes>, from: Incoming, come: BytesMut },
}

impl Line {
    /// Opens one by request `number`; gives the head of the answer, too.
    pub(crate) async fn open(
        sort: Sort,
        mut connection: Connection,
        number: u64,
    ) -> Result<(Self, Reply), Fault> {
        let (to, body) = mpsc::unbounded();
        let asked = sort.request(number, body);
        let response = timeout(SILENCE, connection.open(asked)).await??;
        if response.status() != sort.status() {
            let reply = Reply::read(response).await?;
            return Err(format!("{} {}", reply.status, reply.text()).into());
        }
        let head = head(&response);
        let ends = match sort {
            Sort::Tunnel => {
                let io = TokioIo::new(hyper::upgrade::on(response).await?);
                let socket = WebSocketStream::from_raw_socket(io, Role::Client, None).await;
                Ends::Tunnel(Box::new(socket))
            }
            Sort::Stream => Ends::Stream { to, from: response.into_body(), come: BytesMut::new() },
        };
        Ok((Line { ends, _connection: connection }, head))
    }

    /// What comes back for `message`.
    pub(crate) async fn echo(&mut self, message: Bytes) -> Result<Bytes, End> {
        let exchanged = timeout(SILENCE, self.ends.exchange(message)).await;
        exchanged.unwrap_or_else(|_| Err(End::Strayed(format!("silent for {SILENCE:?}"))))
    }

    /// Ends it, and waits for the other side to have done so, with nothing said before.
    pub(crate) async fn close(mut self) -> Result<(), End> {
        let closed = timeout(SILENCE, self.ends.close()).await;
        closed.unwrap_or_else(|_| Err(End::Strayed(format!("not closed in {SILENCE:?}"))))
    }
}

impl Ends {
    async fn exchange(&mut self, message: Bytes) -> Result<Bytes, End> {
        let length = message.len();
        match self {
            Ends::Tunnel(socket) => {
                socket.send(Message::binary(message)).await?;
                match socket.next().await {
                    Some(Ok(Message::Binary(back))) => Ok(back),
                    Some(Err(error)) if has_broken(&error) => Err(error.into()),
                    other => Err(End::Strayed(format!("no message: {other:?}"))),
                }
            }
            Ends::Stream { to, from, come } => {
                to.unbounded_send(message)?;
                while come.len() < length {
                    let Some(frame) = from.frame().await else {
                        return Err(End::Strayed("it ends as if it were whole".to_owned()));
                    };
                    come.extend(frame?.into_data());
                }
                Ok(come.split_to(length).freeze())
            }
        }
    }

    async fn close(&mut self) -> Result<(), End> {
        match self {
            Ends::Tunnel(socket) => {
                socket.send(Message::Close(None)).await?;
                while let Some(told) = socket.next().await {
                    let told = told?;
                    if !told.is_close() {
                        return Err(End::Strayed(format!("it says more: {told:?}")));
                    }
                }
            }
            Ends::Stream { to, from, come } => {
                to.close_channel();
                while let Some(frame) = from.frame().await {
                    come.extend(frame?.into_data());
                }
                if !come.is_empty() {
                    return Err(End::Strayed(format!("it says {} bytes more", come.len())));
                }
            }
        }
        Ok(())
    }
}

/// Whether the connection is gone, rather than what it says wrong.
fn has_broken(error: &tungstenite::Error) -> bool {
    use tungstenite::error::ProtocolError::ResetWithoutClosingHandshake as Reset;
    matches!(error, tungstenite::Error::Io(_) | tungstenite::Error::Protocol(Reset))
}

/// An answer without its body.
fn head(response: &Response<Incoming>) -> Reply {
    Reply {
        version: response.version(),
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        body: Bytes::new(),
        trailers: None,
    }
}

#[cfg(test)]
mod tests;
