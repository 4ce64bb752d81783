//! The PROXY protocol, versions 1 and 2: where a connection came from, as the balancer before us says in its
//! first bytes, and as we say it to a backend (HAProxy's specification, "The PROXY protocol", 2020-03-05).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use model::traffic::ProxyProtocol;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

/// The longest line of version 1, with its end.
const LINE: usize = 107;
/// What version 2 begins with.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, command, family and length.
const HEAD: usize = 16;
/// The most that may follow: addresses, and what else a balancer tells, which nobody here asks for.
const MOST: usize = 4 << 10;

/// Why the first bytes of a connection say nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Odd {
    /// They are those of something else.
    #[error("it does not begin with a PROXY header")]
    Missing,
    /// The line of version 1 is no such line.
    #[error("its PROXY line is malformed")]
    Line,
    /// The header of version 2 is no such header.
    #[error("its PROXY header of version 2 is malformed")]
    Header,
}

impl From<Odd> for io::Error {
    fn from(odd: Odd) -> Self {
        io::Error::new(io::ErrorKind::InvalidData, odd)
    }
}

/// What a balancer says of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Said {
    /// Where it came from.
    From(SocketAddr),
    /// It is the balancer's own.
    Own,
    /// Nothing, and it is over.
    Nothing,
}

/// Reads the header off a connection, and nothing beyond it.
///
/// # Errors
/// If there is no such header, or the connection ends within it.
pub(crate) async fn read(stream: &mut TcpStream) -> io::Result<Said> {
    let mut seen = Vec::with_capacity(LINE);
    loop {
        let (mut ahead, before) = ([0; LINE], seen.len());
        let many = stream.peek(&mut ahead).await?;
        match (many, before) {
            (0, 0) => return Ok(Said::Nothing),
            (0, _) => return Err(io::ErrorKind::UnexpectedEof.into()),
            _ => seen.extend_from_slice(&ahead[..many]),
        }
        let header = judge(&seen)?;
        // What is behind the header is not ours to take.
        let taken = header.map_or(many, |header| header.length - before);
        stream.read_exact(&mut ahead[..taken]).await?;
        if let Some(header) = header {
            return Ok(header.from.map_or(Said::Own, Said::From));
        }
    }
}

/// A whole header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// Where the connection came from; none where it is the balancer's own.
    pub(crate) from: Option<SocketAddr>,
    /// How many bytes it has.
    pub(crate) length: usize,
}

/// What the first bytes of a connection come to; none where more must be seen, all of which belong to
/// the header. More bytes never change what fewer came to.
pub(crate) fn judge(seen: &[u8]) -> Result<Option<Header>, Odd> {
    match seen {
        [] => Ok(None),
        [b'P', ..] => {
            let most = &seen[..seen.len().min(LINE)];
            match most.iter().position(|byte| *byte == b'\n') {
                Some(end) => {
                    let from = line(&seen[..=end])?;
                    Ok(Some(Header { from, length: end + 1 }))
                }
                None if seen.len() >= LINE => Err(Odd::Line),
                None => Ok(None),
            }
        }
        [b'\r', ..] => {
            let Some((head, rest)) = seen.split_first_chunk::<HEAD>() else { return Ok(None) };
            match rest.get(..length(head)?) {
                Some(rest) => {
                    let from = header(head, rest)?;
                    Ok(Some(Header { from, length: HEAD + rest.len() }))
                }
                None => Ok(None),
            }
        }
        [_, ..] => Err(Odd::Missing),
    }
}

/// What a line of version 1 says, its end included.
fn line(line: &[u8]) -> Result<Option<SocketAddr>, Odd> {
    let text = line.strip_suffix(b"\r\n").filter(|_| line.len() <= LINE).ok_or(Odd::Line)?;
    let text = std::str::from_utf8(text).map_err(|_| Odd::Line)?;
    let rest = text.strip_prefix("PROXY ").ok_or(Odd::Missing)?;
    // Whatever follows this word is to be passed over.
    if rest == "UNKNOWN" || rest.starts_with("UNKNOWN ") {
        return Ok(None);
    }
    let words: Vec<_> = rest.split(' ').collect();
    let [family, from, to, from_port, to_port] = words[..] else { return Err(Odd::Line) };
    let address = |text: &str| -> Result<IpAddr, Odd> {
        match family {
            "TCP4" => text.parse::<Ipv4Addr>().map(IpAddr::V4).map_err(|_| Odd::Line),
            "TCP6" => text.parse::<Ipv6Addr>().map(IpAddr::V6).map_err(|_| Odd::Line),
            _ => Err(Odd::Line),
        }
    };
    let (from, _to) = (address(from)?, address(to)?);
    let (from_port, _to_port) = (port(from_port)?, port(to_port)?);
    Ok(Some(SocketAddr::new(from.to_canonical(), from_port)))
}

/// A port in decimal digits, without any zero before.
fn port(text: &str) -> Result<u16, Odd> {
    let is_plain = text == "0" || !text.starts_with(['0', '+']);
    text.parse().ok().filter(|_| is_plain).ok_or(Odd::Line)
}

/// How much follows the first bytes of version 2.
fn length(head: &[u8; HEAD]) -> Result<usize, Odd> {
    if !head.starts_with(&SIGNATURE) {
        return Err(Odd::Missing);
    }
    let length = usize::from(u16::from_be_bytes([head[14], head[15]]));
    if length <= MOST { Ok(length) } else { Err(Odd::Header) }
}

/// What a header of version 2 says.
fn header(head: &[u8; HEAD], rest: &[u8]) -> Result<Option<SocketAddr>, Odd> {
    const LOCAL: u8 = 0x20;
    const PROXY: u8 = 0x21;
    const TCP4: u8 = 0x11;
    const TCP6: u8 = 0x21;
    match (head[12], head[13]) {
        (LOCAL, _) => Ok(None),
        (PROXY, TCP4) => {
            // Two addresses, and two ports.
            let (from, rest) = rest.split_first_chunk::<4>().ok_or(Odd::Header)?;
            let (_to, rest) = rest.split_first_chunk::<4>().ok_or(Odd::Header)?;
            said(Ipv4Addr::from(*from).into(), rest)
        }
        (PROXY, TCP6) => {
            let (from, rest) = rest.split_first_chunk::<16>().ok_or(Odd::Header)?;
            let (_to, rest) = rest.split_first_chunk::<16>().ok_or(Odd::Header)?;
            said(Ipv6Addr::from(*from).into(), rest)
        }
        // Of what is no TCP over IP the header says nothing that anybody could go by.
        (PROXY, 0x00 | 0x12 | 0x22 | 0x31 | 0x32) => Ok(None),
        _ => Err(Odd::Header),
    }
}

fn said(from: IpAddr, ports: &[u8]) -> Result<Option<SocketAddr>, Odd> {
    let (port, rest) = ports.split_first_chunk::<2>().ok_or(Odd::Header)?;
    let (_to, _more) = rest.split_first_chunk::<2>().ok_or(Odd::Header)?;
    Ok(Some(SocketAddr::new(from.to_canonical(), u16::from_be_bytes(*port))))
}

/// The header by which a connection of our own says to a backend that it stands for nobody's: `UNKNOWN`, or
/// `LOCAL`.
pub(crate) fn header_of_own(version: ProxyProtocol) -> Vec<u8> {
    match version {
        ProxyProtocol::V1 => b"PROXY UNKNOWN\r\n".to_vec(),
        ProxyProtocol::V2 => [&SIGNATURE[..], &[0x20, 0, 0, 0]].concat(),
    }
}

/// The header by which a connection from `from` to `to` says so to a backend.
pub(crate) fn header_of(version: ProxyProtocol, from: SocketAddr, to: SocketAddr) -> Vec<u8> {
    let (from_ip, to_ip) = match (from.ip().to_canonical(), to.ip().to_canonical()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => (IpAddr::V4(from), IpAddr::V4(to)),
        // Both are of one family there.
        (from, to) => (wide(from), wide(to)),
    };
    match version {
        ProxyProtocol::V1 => {
            let family = if from_ip.is_ipv4() { "TCP4" } else { "TCP6" };
            let (from, to) = (from.port(), to.port());
            format!("PROXY {family} {from_ip} {to_ip} {from} {to}\r\n").into_bytes()
        }
        ProxyProtocol::V2 => {
            let (family, mut addresses) = match (from_ip, to_ip) {
                (IpAddr::V4(from), IpAddr::V4(to)) => {
                    (0x11, [&from.octets()[..], &to.octets()].concat())
                }
                (from, to) => (0x21, [octets(from), octets(to)].concat()),
            };
            addresses.extend(from.port().to_be_bytes());
            addresses.extend(to.port().to_be_bytes());
            let length = u16::try_from(addresses.len()).expect("36 bytes at most").to_be_bytes();
            [&SIGNATURE[..], &[0x21, family], &length, &addresses].concat()
        }
    }
}

fn wide(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) => IpAddr::V6(address.to_ipv6_mapped()),
        IpAddr::V6(_) => address,
    }
}

fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

#[cfg(test)]
mod tests;
