//! Who waits to be connected, and whether they still do.
//!
//! Who closes a connection on which nothing stands that was to be carried wants nothing any more. Who closes
//! it behind something may want an answer to that, as far as anybody can see, until it breaks off.

use bytes::BytesMut;
use tokio::io::{AsyncReadExt as _, Interest};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::PIECE;
use crate::hello::Tap;

/// By what it is seen whether they do.
pub(super) enum Caller<'a> {
    /// Its socket.
    Socket(&'a TcpStream),
    /// Its TLS, which ends here; what comes through it meanwhile is kept.
    Sealed(&'a mut TlsStream<Tap>, &'a mut BytesMut),
    /// Whoever asked for it drops what it asked for.
    Asker,
}

impl Caller<'_> {
    /// Ends once they are gone.
    pub(super) async fn gone(&mut self) {
        let socket = match self {
            Caller::Socket(socket) => {
                if !matches!(socket.peek(&mut [0]).await, Ok(1..)) {
                    return;
                }
                socket
            }
            Caller::Sealed(stream, ahead) => {
                ahead.reserve(PIECE);
                if !matches!(stream.read_buf(*ahead).await, Ok(1..)) {
                    return;
                }
                stream.get_ref().0.socket()
            }
            Caller::Asker => return std::future::pending().await,
        };
        // One that cannot be asked is as good as gone.
        drop(socket.ready(Interest::ERROR).await);
    }
}
