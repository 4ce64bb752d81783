//! Listening sockets: one per worker and port, shared by the kernel (`SO_REUSEPORT`).

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};

use socket2::{Domain, Protocol, SockRef, Socket, Type};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4096;

/// Opens `count` sockets on `address:port`.
///
/// # Errors
/// `AddrInUse` also where another process shares the port by `SO_REUSEPORT`: the kernel would let
/// us in, and half the connections would go elsewhere.
pub(crate) fn open(address: IpAddr, port: u16, count: usize) -> io::Result<Vec<TcpListener>> {
    let sockets = reserve(SocketAddr::new(address, port), count)?;
    sockets.iter().try_for_each(listen)?;
    Ok(sockets)
}

/// The same, but they take no connection before [`listen`].
///
/// # Errors
/// As [`open`].
pub(crate) fn reserve(place: SocketAddr, count: usize) -> io::Result<Vec<TcpListener>> {
    drop(socket(place, false)?);
    complete(Vec::new(), place, count)
}

/// Adds to sockets that another process opened at `place` until there are `count`. Those that are added take no
/// connection before [`listen`]: nobody would accept it if this process came to nothing.
///
/// # Errors
/// If no more can be had.
pub(crate) fn complete(
    mut sockets: Vec<TcpListener>,
    place: SocketAddr,
    count: usize,
) -> io::Result<Vec<TcpListener>> {
    while sockets.len() < count {
        sockets.push(socket(place, true)?.into());
    }
    Ok(sockets)
}

/// Has a socket take connections; one that does already goes on.
pub(crate) fn listen(socket: &TcpListener) -> io::Result<()> {
    SockRef::from(socket).listen(BACKLOG)
}

fn socket(place: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(place), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    if shared {
        socket.set_reuse_port(true)?;
    }
    socket.bind(&place.into())?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn a_port_that_another_shares_counts_as_in_use() {
        let ours = open(IpAddr::V4(Ipv4Addr::LOCALHOST), 0, 1).unwrap();
        let port = ours[0].local_addr().unwrap().port();
        let again = open(IpAddr::V4(Ipv4Addr::LOCALHOST), port, 1).unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn sockets_of_another_are_added_to_and_take_nothing_before_they_are_told_to() {
        let given = open(IpAddr::V4(Ipv4Addr::LOCALHOST), 0, 1).unwrap();
        let place = given[0].local_addr().unwrap();
        let all = complete(given, place, 3).unwrap();
        assert_eq!(all.len(), 3);
        let listening = |socket: &TcpListener| SockRef::from(socket).is_listener().unwrap();
        assert_eq!(all.iter().filter(|socket| listening(socket)).count(), 1);
        all.iter().for_each(|socket| listen(socket).unwrap());
        assert!(all.iter().all(listening));
        assert_eq!(complete(all, place, 2).unwrap().len(), 3, "none is left alone");
    }

    #[test]
    fn a_reserved_port_takes_nothing_before_it_is_told_to() {
        let probe = open(IpAddr::V4(Ipv4Addr::LOCALHOST), 0, 1).unwrap();
        let place = probe[0].local_addr().unwrap();
        assert_eq!(reserve(place, 2).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(probe);
        let reserved = reserve(place, 2).unwrap();
        assert!(std::net::TcpStream::connect(place).is_err());
        reserved.iter().for_each(|socket| listen(socket).unwrap());
        assert!(std::net::TcpStream::connect(place).is_ok());
    }

    #[test]
    fn every_worker_gets_a_socket_of_its_own() {
        let probe = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = probe.local_addr().unwrap().port();
        drop(probe);
        assert_eq!(open(IpAddr::V4(Ipv4Addr::LOCALHOST), port, 3).unwrap().len(), 3);
    }
}
