//! Doors for fuzzers: what here reads the bytes of strangers and writes what others read, as plain functions.
//! No program of ours is built with them.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderValue};
use model::traffic::ProxyProtocol;
use policy::Scheme;

use crate::forward::{self, Origin};
use crate::proxy_protocol;

/// What the first bytes of a connection from a balancer come to: where it came from, if that is said,
/// and how many bytes say so; none where more must be seen.
///
/// # Errors
/// In words, where they are no PROXY header.
pub fn proxy_header(seen: &[u8]) -> Result<Option<(Option<SocketAddr>, usize)>, String> {
    let header = proxy_protocol::judge(seen).map_err(|odd| odd.to_string())?;
    Ok(header.map(|header| (header.from, header.length)))
}

/// What a backend is told of a connection from one place to another.
pub fn write_proxy_header(version: ProxyProtocol, from: SocketAddr, to: SocketAddr) -> Vec<u8> {
    proxy_protocol::header_of(version, from, to)
}

/// Takes off what belongs to the connection alone.
pub fn strip_hop_by_hop(headers: &mut HeaderMap) {
    forward::strip_hop_by_hop(headers);
}

/// Takes off of trailers what may not stand there.
pub fn strip_trailers(trailers: &mut HeaderMap) {
    forward::strip_trailers(trailers);
}

/// Takes off the console's cookies.
pub fn strip_session(headers: &mut HeaderMap) {
    forward::strip_session(headers, |_, _| false);
}

/// Where a request came from, by the proxies that are trusted.
pub fn source(peer: IpAddr, headers: &HeaderMap, trusts: impl Fn(IpAddr) -> bool) -> IpAddr {
    forward::source(peer, headers, trusts)
}

/// Where a request came from, by how many proxies it passed.
pub fn source_behind(peer: IpAddr, headers: &HeaderMap, hops: usize) -> IpAddr {
    forward::source_behind(peer, headers, hops)
}

/// Writes where a request came from: over HTTP, from `peer`, to `host` at `port`.
pub fn write_origin(headers: &mut HeaderMap, place: [&HeaderValue; 3], trusted: bool) {
    let [peer, host, port] = place;
    let origin = Origin { peer, trusted, scheme: Scheme::Http, port, host, client: None };
    origin.write(headers);
}
