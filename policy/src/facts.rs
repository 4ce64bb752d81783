//! What is known of a request when it is judged: a borrowed view, made once.

use std::net::IpAddr;

use http::{HeaderMap, Method};
use model::identity::Peer;
use serde::Serialize;

use crate::login::LoggedIn;
use crate::principal::Believed;
use crate::revoked::Revoked;

/// A request as every rule sees it.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// What of it is known at all.
    pub layer: Layer,
    /// Seconds since 1970, UTC. It comes in; nothing here reads a clock.
    pub now: i64,
    /// The caller's address.
    pub source: IpAddr,
    /// What the listener speaks.
    pub scheme: Scheme,
    /// The listener's port.
    pub port: u16,
    /// The host in the form of [`crate::host::normalise`]; empty where none was sent.
    pub host: &'a str,
    /// The method.
    pub method: &'a Method,
    /// The path in the form of [`model::path::normalise`], without the query.
    pub path: &'a str,
    /// What stands after the `?`.
    pub query: Option<&'a str>,
    /// The headers as they came.
    pub headers: &'a HeaderMap,
    /// Who sent it through the mesh, as their certificate says. What came any other way has none.
    pub peer: Option<&'a Peer>,
    /// The certificate that the caller showed in the handshake, and that an authority of the listener signed.
    pub certificate: Option<&'a Certificate>,
    /// Who is calling, as another proxy proved it to one that believes it. They count at every level.
    pub users: &'a [Believed],
    /// Whose sessions the browser brought: known once [`Ask::Visit`](crate::Ask::Visit) was answered.
    pub sessions: &'a [LoggedIn],
    /// Who is shut out before their credentials end; nobody where that is not known.
    pub revoked: Option<&'a Revoked>,
}

/// What a certificate says of whoever shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Certificate {
    /// The SHA-256 of its DER.
    pub sha256: [u8; 32],
    /// The DNS names among its subject's alternative names, in lower case.
    pub dns: Vec<Box<str>>,
    /// The URIs there.
    pub uris: Vec<Box<str>>,
}

/// What is judged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Layer {
    /// A request.
    #[default]
    Request,
    /// A TCP connection of which nobody reads what goes through: who opens it, from where and to which
    /// port is known. Host, method, path, query, headers and users are not, whatever stands there: a rule
    /// that asks for one of them allows no connection, and denies each that its other conditions mean.
    Connection,
    /// The datagrams of one caller to one port of UDP, of which nobody reads any: the same is known of them
    /// as of a connection, and nothing more.
    Datagrams,
}

impl Layer {
    /// Whether what is asked for is read.
    pub const fn is_read(self) -> bool {
        match self {
            Layer::Request => true,
            Layer::Connection | Layer::Datagrams => false,
        }
    }
}

/// What stands for the method of datagrams, which have none.
pub fn udp() -> Method {
    Method::from_bytes(b"UDP").expect("three letters are a method")
}

/// What a listener speaks, as it stands in a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// Without TLS.
    Http,
    /// With TLS.
    Https,
}

impl Scheme {
    /// The word in a URL.
    pub const fn as_str(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }

    /// The port that a URL leaves out.
    pub const fn well_known_port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
        }
    }
}
