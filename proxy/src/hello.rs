//! The first words of TLS on a port where not all of it ends here: by the server name that they ask for
//! the table says what becomes of the connection, and nothing of it is lost where it goes on as it came.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use rustls::server::Acceptor;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::{LazyConfigAcceptor, StartHandshake};

use crate::tls;

/// A socket of which is kept what is read, until that is taken or known to be needless.
#[derive(Debug)]
pub(crate) struct Tap {
    socket: TcpStream,
    read: Option<BytesMut>,
}

/// What a client says first.
pub(crate) struct Hello {
    start: StartHandshake<Tap>,
    /// The server name that it asks for, in lower case; empty where it asks for none.
    pub(crate) server_name: Box<str>,
}

/// Why a connection is not carried on, as TLS tells it (RFC 8446, section 6.2).
#[derive(Debug, Clone, Copy)]
pub(crate) enum Alert {
    AccessDenied = 49,
    InternalError = 80,
    UnrecognisedName = 112,
}

/// Reads what a client says first. What is no TLS is told so.
///
/// # Errors
/// If it is no ClientHello, or the connection ends before one is whole.
pub(crate) async fn read(socket: TcpStream) -> io::Result<Hello> {
    let tap = Tap { socket, read: Some(BytesMut::new()) };
    let start = LazyConfigAcceptor::new(Acceptor::default(), tap).await?;
    let server_name = tls::server_name(start.client_hello().server_name());
    Ok(Hello { start, server_name })
}

impl Tap {
    /// Has the client learn that it was no end in order.
    pub(crate) fn break_off(&self) {
        // What cannot be set any more has ended itself.
        drop(self.socket.set_zero_linger());
    }

    /// What it reads from.
    pub(crate) fn socket(&self) -> &TcpStream {
        &self.socket
    }
}

impl Hello {
    /// To go on with the handshake here.
    pub(crate) fn end_here(mut self) -> StartHandshake<Tap> {
        self.start.io.read = None;
        self.start
    }

    /// To hand everything on: what was read, and the socket from where the rest comes.
    pub(crate) fn hand_on(self) -> (Bytes, TcpStream) {
        let Tap { socket, read } = self.start.io;
        (read.unwrap_or_default().freeze(), socket)
    }
}

/// Tells a client whose handshake did not begin why, as far as it still listens.
pub(crate) async fn alert(mut socket: TcpStream, why: Alert) {
    const ALERT: u8 = 21;
    const FATAL: u8 = 2;
    // A record of TLS 1.0's version, as every version is told before one is agreed on.
    let _gone = socket.write_all(&[ALERT, 3, 1, 0, 2, FATAL, why as u8]).await;
    let _gone = socket.shutdown().await;
}

impl AsyncRead for Tap {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        ready!(Pin::new(&mut self.socket).poll_read(cx, into))?;
        if let Some(read) = &mut self.read {
            read.extend_from_slice(&into.filled()[before..]);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tap {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, data)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(cx, data)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
