//! How a proxy process runs: what does not come from resources. Every bound has a default.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use model::path::EscapedSlash;

use crate::counts::Redis;

/// Settings of one proxy process.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How many workers serve traffic, each a thread with its own sockets and connections.
    pub workers: usize,
    /// The address that listeners bind to; loopback by default.
    pub bind: IpAddr,
    /// The zone that the process is in; none by default.
    pub zone: Option<String>,
    /// Callers whose `X-Forwarded-For`, `x-request-id` and `traceparent` are believed; none by
    /// default.
    pub trusted: Vec<IpNet>,
    /// How many proxies stand before every listener, each of which adds to `X-Forwarded-For`; where it is not 0,
    /// whoever opens a connection is believed to be the last of them, and `trusted` is not looked at.
    pub trusted_hops: usize,
    /// Who begins connections to listeners with a PROXY header, which says where they came from; none by
    /// default.
    pub proxy_protocol: Vec<IpNet>,
    /// What escaped slashes in a path are: letters by default.
    pub escaped_slashes: EscapedSlash,
    /// Whether answers carry `heddle-debug` (table, route and backend); off by default.
    pub debug_header: bool,
    /// By which Redis limits are counted together with other proxies; none by default.
    pub redis: Option<Redis>,
    /// The file in which counts of quotas outlive the process; they end with it by default.
    pub quotas: Option<PathBuf>,
    /// The networks, beside public addresses, where providers may be asked at which browsers log in; none by default.
    pub fetch_from: Vec<IpNet>,
    /// Bounds on what strangers and backends may cost.
    pub limits: Limits,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            workers: 1,
            bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
            zone: None,
            trusted: Vec::new(),
            trusted_hops: 0,
            proxy_protocol: Vec::new(),
            escaped_slashes: EscapedSlash::Keep,
            debug_header: false,
            redis: None,
            quotas: None,
            fetch_from: Vec::new(),
            limits: Limits::default(),
        }
    }
}

impl Settings {
    /// Whether `source` is believed about where a request came from.
    pub(crate) fn trusts(&self, source: IpAddr) -> bool {
        self.trusted_hops > 0
            || (!self.trusted.is_empty() && self.trusted.iter().any(|net| net.contains(&source)))
    }

    /// Whether connections from `peer` begin with a PROXY header.
    pub(crate) fn is_proxied(&self, peer: IpAddr) -> bool {
        !self.proxy_protocol.is_empty() && self.proxy_protocol.iter().any(|net| net.contains(&peer))
    }
}

/// The floor at the border: bounds that hold for every connection and request.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections through listeners that are open at once: any number here, and half as many as the process
    /// may have files where it is one.
    pub connections: Option<usize>,
    /// The same from one address; of IPv6 from a network of 64 bits: any number.
    pub connections_each: Option<usize>,
    /// Time for a TLS handshake: 10 s.
    pub handshake: Duration,
    /// Time from a connection's start to a whole HTTP/1.1 head, and from the first byte of a later one to its
    /// end, which may take twice as long: 30 s.
    pub head: Duration,
    /// Longest silence inside a request body: 30 s.
    pub body: Duration,
    /// Longest time in which a client takes nothing of what it is sent: 30 s.
    pub write: Duration,
    /// A connection without a request is closed after this long: 75 s.
    pub idle: Duration,
    /// Bytes of a request head, also of an HTTP/2 header list: 64 KiB.
    pub head_bytes: usize,
    /// Header lines in a request: 100.
    pub headers: usize,
    /// Bytes of a request body: 1 GiB.
    pub body_bytes: u64,
    /// HTTP/2 requests at once on a connection: 128.
    pub streams: u32,
    /// HTTP/2 streams reset by the client before they were accepted: 32, then the connection goes
    /// (CVE-2023-44487).
    pub pending_resets: usize,
    /// HTTP/2 streams reset by us for the client's errors: 256, then the connection goes.
    pub local_resets: usize,
    /// Time to connect to an endpoint, where its TrafficPolicy says nothing: 2 s.
    pub connect: Duration,
    /// Endpoints that are tried when connecting fails: 3.
    pub attempts: u32,
    /// Longest wait for a backend's head, once the request's body is whole, where the rule says
    /// nothing of either of its timeouts: 60 s.
    pub backend_head: Duration,
    /// Longest silence of a backend inside a response body, and of both sides of a tunnel (WebSocket), which may
    /// be silent for a quarter longer, where a TrafficPolicy says nothing: 5 min.
    pub stream_idle: Duration,
    /// An idle connection to a backend is dropped after this long: 30 s.
    pub backend_idle: Duration,
    /// Idle HTTP/1.1 connections kept to an endpoint by each worker: 256.
    pub backend_pool: usize,
    /// A connection of TCP or TLS, through the mesh or a listener, without a byte either way is closed after
    /// this long, or a quarter longer, where a TrafficPolicy says nothing: 1 h.
    pub connection_idle: Duration,
    /// A flow (all datagrams of UDP from one address and port to one listener) without a datagram either way is
    /// over after this long: 60 s.
    pub flow_idle: Duration,
    /// Flows at once of each worker: 16,384, and all together no more than an eighth of the files that the
    /// process may have, where it is one, and half of the ports that the system lends. Datagrams that would begin another one are dropped.
    pub flows: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections: None,
            connections_each: None,
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(30),
            body: Duration::from_secs(30),
            write: Duration::from_secs(30),
            idle: Duration::from_secs(75),
            head_bytes: 64 << 10,
            headers: 100,
            body_bytes: 1 << 30,
            streams: 128,
            pending_resets: 32,
            local_resets: 256,
            connect: Duration::from_secs(2),
            attempts: 3,
            backend_head: Duration::from_secs(60),
            stream_idle: Duration::from_secs(300),
            backend_idle: Duration::from_secs(30),
            backend_pool: 256,
            connection_idle: Duration::from_secs(3600),
            flow_idle: Duration::from_secs(60),
            flows: 16 << 10,
        }
    }
}
