//! A socket for datagrams: each comes with the address of ours that it was sent to, and the answers to it go
//! from there.
//!
//! A socket at one address has no other. At one for every address the kernel says with each datagram which it
//! was, and is told with each answer: else it would choose one by the way to the caller, who takes no answer
//! from whom they did not ask.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd as _, AsRawFd as _};

use nix::libc;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg, setsockopt,
    sockopt,
};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// The longest datagram: what is left of 65,535 bytes behind the heads of IPv4 and UDP.
pub(crate) const LONGEST: usize = 65_507;

/// A socket for the datagrams of many.
#[derive(Debug)]
pub(crate) struct Socket {
    socket: UdpSocket,
    /// Whether it is for every address of ours.
    is_everywhere: bool,
}

/// Between whom datagrams go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Ends {
    /// The caller.
    pub(crate) caller: SocketAddr,
    /// The address of ours, where the socket has several.
    pub(crate) own: Option<IpAddr>,
}

/// Where datagrams are read into.
#[derive(Debug)]
pub(crate) struct Room {
    bytes: Vec<u8>,
    /// What the kernel says beside a datagram.
    beside: Vec<u8>,
}

impl Room {
    /// For one datagram.
    pub(crate) fn new() -> Self {
        // One byte more, so that a longer one is seen to be.
        Room { bytes: vec![0; LONGEST + 1], beside: nix::cmsg_space!(libc::in6_pktinfo) }
    }

    /// The datagram of this length that was read last.
    pub(crate) fn datagram(&self, length: usize) -> &[u8] {
        &self.bytes[..length.min(self.bytes.len())]
    }
}

impl Socket {
    /// Of one that is bound; within a runtime.
    ///
    /// # Errors
    /// If the system does not let us.
    pub(crate) fn new(socket: std::net::UdpSocket) -> io::Result<Self> {
        let own = socket.local_addr()?;
        let is_everywhere = own.ip().is_unspecified();
        match own {
            SocketAddr::V4(_) if is_everywhere => {
                setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
            }
            SocketAddr::V6(_) if is_everywhere => {
                setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
            }
            SocketAddr::V4(_) | SocketAddr::V6(_) => {}
        }
        Ok(Socket { socket: UdpSocket::from_std(socket)?, is_everywhere })
    }

    /// Waits until there may be a datagram.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        self.socket.readable().await
    }

    /// Reads a datagram that is there: between whom it goes, and its length. One that was sent to many has
    /// no ends: the kernel gives it to every socket of the port.
    ///
    /// # Errors
    /// `WouldBlock` where there is none.
    pub(crate) fn receive(&self, room: &mut Room) -> io::Result<(Option<Ends>, usize)> {
        self.socket.try_io(Interest::READABLE, || self.read(room))
    }

    fn read(&self, room: &mut Room) -> io::Result<(Option<Ends>, usize)> {
        let fd = self.socket.as_fd().as_raw_fd();
        let into = &mut [IoSliceMut::new(&mut room.bytes)];
        let beside = self.is_everywhere.then_some(&mut room.beside[..]);
        let came = recvmsg::<SockaddrStorage>(fd, into, beside, MsgFlags::empty())?;
        let caller = came.address.as_ref().and_then(address);
        let caller = caller.ok_or_else(|| io::Error::other("a datagram of nobody"))?;
        // The address that it was sent to, and the one of ours that it came to.
        let to = came.cmsgs()?.find_map(|said| match said {
            ControlMessageOwned::Ipv4PacketInfo(info) => {
                let address =
                    |of: libc::in_addr| IpAddr::V4(Ipv4Addr::from(of.s_addr.to_ne_bytes()));
                Some((address(info.ipi_addr), address(info.ipi_spec_dst)))
            }
            ControlMessageOwned::Ipv6PacketInfo(info) => {
                let own = IpAddr::V6(Ipv6Addr::from(info.ipi6_addr.s6_addr));
                Some((own, own))
            }
            _ => None,
        });
        let is_for_many = to.is_some_and(|(to, own)| to != own || is_for_many(to.to_canonical()));
        let ends = Ends { caller, own: to.map(|(_, own)| own) };
        Ok(((!is_for_many).then_some(ends), came.bytes))
    }

    /// Sends an answer back, at once or not at all.
    ///
    /// # Errors
    /// If the system does not send it now.
    pub(crate) fn answer(&self, ends: Ends, datagram: &[u8]) -> io::Result<()> {
        let fd = self.socket.as_fd().as_raw_fd();
        let (piece, to) = ([IoSlice::new(datagram)], SockaddrStorage::from(ends.caller));
        let send = |beside: &[ControlMessage<'_>]| {
            sendmsg(fd, &piece, beside, MsgFlags::empty(), Some(&to)).map(drop)
        };
        match ends.own {
            None => send(&[])?,
            Some(IpAddr::V4(own)) => {
                let own = libc::in_addr { s_addr: u32::from_ne_bytes(own.octets()) };
                let info = libc::in_pktinfo {
                    ipi_ifindex: 0,
                    ipi_spec_dst: own,
                    ipi_addr: libc::in_addr { s_addr: 0 },
                };
                send(&[ControlMessage::Ipv4PacketInfo(&info)])?;
            }
            Some(IpAddr::V6(own)) => {
                let own = libc::in6_addr { s6_addr: own.octets() };
                let info = libc::in6_pktinfo { ipi6_addr: own, ipi6_ifindex: 0 };
                send(&[ControlMessage::Ipv6PacketInfo(&info)])?;
            }
        }
        Ok(())
    }
}

/// Whether an address is of many by itself; that one is a network's broadcast the kernel alone knows, which says
/// it of IPv4 by another address of ours beside.
fn is_for_many(to: IpAddr) -> bool {
    to.is_multicast() || to == IpAddr::V4(Ipv4Addr::BROADCAST)
}

fn address(of: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = of.as_sockaddr_in().map(|of| SocketAddr::V4(SocketAddrV4::from(*of)));
    v4.or_else(|| of.as_sockaddr_in6().map(|of| SocketAddr::V6(SocketAddrV6::from(*of))))
}

#[cfg(test)]
mod tests;
