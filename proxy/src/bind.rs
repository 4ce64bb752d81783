//! Sockets at which traffic comes in: one per worker and port, shared by the kernel (`SO_REUSEPORT`).
//!
//! Of UDP, too: the kernel leads all datagrams of one caller to the same socket for as long as the sockets of a
//! port are the same ones, so that a worker has a caller's flow for itself, without a lock.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};

use model::service::Transport;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

/// Connections that may wait to be accepted.
pub(crate) const BACKLOG: i32 = 4096;
/// Bytes of datagrams that may wait to be read, as far as the system lets us: a worker may be at something else.
const WAITING: usize = 1 << 20;

/// Where a socket is, and of which transport.
pub(crate) type Place = (Transport, SocketAddr);

/// A socket at which traffic comes in.
#[derive(Debug)]
pub(crate) enum Inlet {
    /// Connections.
    Tcp(TcpListener),
    /// Datagrams.
    Udp(UdpSocket),
}

impl Inlet {
    /// Where it is.
    pub(crate) fn place(&self) -> io::Result<Place> {
        Ok(match self {
            Inlet::Tcp(socket) => (Transport::Tcp, socket.local_addr()?),
            Inlet::Udp(socket) => (Transport::Udp, socket.local_addr()?),
        })
    }

    /// Another handle of the same socket.
    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Inlet::Tcp(socket) => Inlet::Tcp(socket.try_clone()?),
            Inlet::Udp(socket) => Inlet::Udp(socket.try_clone()?),
        })
    }

    /// Has it take connections; one that does already goes on. Datagrams come from the beginning.
    pub(crate) fn listen(&self) -> io::Result<()> {
        match self {
            Inlet::Tcp(socket) => listen(socket),
            Inlet::Udp(_) => Ok(()),
        }
    }
}

impl AsFd for Inlet {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Inlet::Tcp(socket) => socket.as_fd(),
            Inlet::Udp(socket) => socket.as_fd(),
        }
    }
}

/// Opens `count` sockets at a place.
///
/// # Errors
/// `AddrInUse` also where another process shares the port by `SO_REUSEPORT`: the kernel would let
/// us in, and half of what comes would go elsewhere.
pub(crate) fn open(place: Place, count: usize) -> io::Result<Vec<Inlet>> {
    let sockets = reserve(place, count)?;
    sockets.iter().try_for_each(Inlet::listen)?;
    Ok(sockets)
}

/// The same, but they take no connection before [`Inlet::listen`].
///
/// # Errors
/// As [`open`].
pub(crate) fn reserve(place: Place, count: usize) -> io::Result<Vec<Inlet>> {
    drop(socket(place, false)?);
    complete(Vec::new(), place, count)
}

/// Adds to sockets that another process opened at `place` until there are `count`. Those that are added take no
/// connection before [`Inlet::listen`]: nobody would accept it if this process came to nothing. To sockets for
/// datagrams none is added, which would get some at once, and callers that others have.
///
/// # Errors
/// If no more can be had.
pub(crate) fn complete(
    mut sockets: Vec<Inlet>,
    place: Place,
    count: usize,
) -> io::Result<Vec<Inlet>> {
    if place.0 == Transport::Udp && !sockets.is_empty() {
        return Ok(sockets);
    }
    while sockets.len() < count {
        let socket = socket(place, true)?;
        sockets.push(match place.0 {
            Transport::Tcp | Transport::Sctp => Inlet::Tcp(socket.into()),
            Transport::Udp => Inlet::Udp(socket.into()),
        });
    }
    Ok(sockets)
}

/// Has a socket take connections; one that does already goes on.
pub(crate) fn listen(socket: &TcpListener) -> io::Result<()> {
    SockRef::from(socket).listen(BACKLOG)
}

fn socket((transport, address): Place, shared: bool) -> io::Result<Socket> {
    let (kind, protocol) = match transport {
        Transport::Tcp => (Type::STREAM, Protocol::TCP),
        Transport::Udp => (Type::DGRAM, Protocol::UDP),
        Transport::Sctp => return Err(io::ErrorKind::Unsupported.into()),
    };
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    socket.set_nonblocking(true)?;
    match transport {
        // Of UDP it would let two processes have one port.
        Transport::Udp => socket.set_recv_buffer_size(WAITING)?,
        Transport::Tcp | Transport::Sctp => socket.set_reuse_address(true)?,
    }
    if shared {
        socket.set_reuse_port(true)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

#[cfg(test)]
mod tests;
