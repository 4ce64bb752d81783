//! The command line.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use http::{HeaderName, HeaderValue};
use ipnet::IpNet;
use model::path::EscapedSlash;
use proxy::process::words::{self, Admin, Hidden, ratio};

use crate::explain;
use crate::joined::Join;
use crate::load::foreign;
use crate::load::pair::TlsSecret;

/// An API gateway that serves Gateway API resources, from files or joined to a server.
#[derive(Debug, Parser)]
#[command(name = "heddle-gateway", version, args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) serve: Serve,
}

/// The other doors.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Print every fault of a configuration; exit 0 if there is none, else 1.
    Check(Check),
    /// Say which route and rule a request meets, and why not the others.
    Explain(Explain),
}

/// What serving needs.
#[derive(Debug, ClapArgs)]
pub(crate) struct Serve {
    /// A YAML file, or a folder whose .yaml, .yml and .json files count together.
    #[arg(long, value_name = "FILE|DIR", conflicts_with_all = ["join", "server", "name"])]
    pub(crate) config: Option<PathBuf>,
    /// NAMESPACE/NAME=CERT,KEY: a Secret with the certificate and the key of two files, for a Gateway to
    /// name; may be repeated. They are looked at every 5 s while it serves.
    #[arg(long = "tls-secret", value_name = "NAME=CERT,KEY", requires = "config")]
    pub(crate) tls_secrets: Vec<TlsSecret>,
    /// Follows a server by the token it printed: the token, `-` for standard input, or `@FILE`.
    /// HEDDLE_JOIN_TOKEN holds it where --join is absent. Once joined, --state alone suffices.
    #[arg(long, value_name = "TOKEN|-|@FILE")]
    pub(crate) join: Option<Hidden>,
    /// Where the server answers nodes [default: 127.0.0.1:7081].
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) server: Option<String>,
    /// The folder that keeps who this node is, what it served last and what quotas counted [default:
    /// heddle-gateway-state]; with --config what quotas counted [default: they end with the process].
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    /// The name by which the node joins; the host's name by default.
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Threads that serve traffic; one for each processor by default.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=512))]
    pub(crate) workers: Option<u16>,
    /// Where /healthz, /readyz, /metrics and /config answer; `off` for nowhere.
    #[arg(long, value_name = "ADDR|off", default_value = "127.0.0.1:9901")]
    pub(crate) admin: Admin,
    /// A Unix socket, in a folder of this user's own: a process that serves there hands its listening sockets
    /// over, so that no connection is refused, and this one does so for the next.
    #[arg(long, value_name = "PATH")]
    pub(crate) handover: Option<PathBuf>,
    /// Where access log lines (JSON) go: a file, `-` for standard error, or `off`.
    #[arg(long, value_name = "FILE|-|off", default_value = "-")]
    pub(crate) access_log: String,
    /// The address that listeners bind to; loopback unless told otherwise.
    #[arg(long, value_name = "IP", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub(crate) bind: IpAddr,
    /// The zone that the gateway is in: endpoints there come first, where a TrafficPolicy or a Service says so.
    #[arg(long, value_name = "NAME", value_parser = words::zone)]
    pub(crate) zone: Option<String>,
    /// Callers whose X-Forwarded-*, x-request-id and traceparent are believed.
    #[arg(long, value_name = "CIDR")]
    pub(crate) trust_forwarded: Vec<IpNet>,
    /// How many proxies stand before the gateway, each of which adds to X-Forwarded-For: the caller is that
    /// many addresses from its end. Whoever can connect past them can be anybody.
    #[arg(long, value_name = "N", default_value_t = 0, conflicts_with = "trust_forwarded")]
    #[arg(value_parser = clap::value_parser!(u8).range(..=16))]
    pub(crate) trusted_hops: u8,
    /// Balancers whose connections begin with a PROXY header, of version 1 or 2, which says where they
    /// came from; one that does not is closed.
    #[arg(long, value_name = "CIDR")]
    pub(crate) proxy_protocol: Vec<IpNet>,
    /// A file of secrets by which gateways share TLS sessions, so that one that began at any of them
    /// resumes at each: lines of base64, of which the first seals and all open. Looked at every 5 s.
    #[arg(long, value_name = "FILE")]
    pub(crate) ticket_keys: Option<PathBuf>,
    /// A Redis by which limits of the scope `Shared` are counted together with other proxies:
    /// redis://USER:PASSWORD@HOST:PORT/NUMBER, of which the host is enough, rediss:// for TLS, or `@FILE`, which
    /// holds that. HEDDLE_REDIS holds it where --redis is absent.
    #[arg(long, value_name = "URL|@FILE")]
    pub(crate) redis: Option<Hidden>,
    /// The certificates, in PEM, of who vouches for a Redis that is spoken to by TLS; those whom browsers trust by
    /// default.
    #[arg(long, value_name = "FILE")]
    pub(crate) redis_ca: Option<PathBuf>,
    /// How long a request waits for that Redis at each step of limits; then they do as their failureMode says.
    #[arg(long, value_name = "TIME", default_value = "100ms", value_parser = words::redis_timeout)]
    pub(crate) redis_timeout: Duration,
    /// A network in which providers may be asked at which browsers log in, beside the public addresses of the
    /// internet: 10.20.0.0/16, or 127.0.0.1/32 for one on this machine. May be repeated.
    #[arg(long, value_name = "NETWORK")]
    pub(crate) fetch_from: Vec<IpNet>,
    /// Name table, route and backend in a header `heddle-debug` of every answer.
    #[arg(long)]
    pub(crate) debug_header: bool,
    /// An OTLP/gRPC collector that gets one span for each request, such as http://127.0.0.1:4317.
    #[arg(long, value_name = "URL")]
    pub(crate) otlp: Option<String>,
    /// Share of requests that get a span, 0 to 1; failures and denials always do.
    #[arg(long, value_name = "RATIO", default_value_t = 1.0, value_parser = ratio)]
    pub(crate) otlp_ratio: f64,
    /// Joined to a server: share of requests that pass, 0 to 1, of which it is told why, for `heddle
    /// explain`; of failures and denials it always is.
    #[arg(long, value_name = "RATIO", default_value_t = 0.01, value_parser = ratio)]
    pub(crate) decision_ratio: f64,
    /// How long, once it is told to stop, the gateway takes connections while /readyz says that it ends, for
    /// balancers to learn of it; a second signal ends it.
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = words::time)]
    pub(crate) drain_delay: Duration,
    /// How long a request under way may take to finish once no more connections are taken.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = words::time)]
    pub(crate) drain_timeout: Duration,
    /// Longest wait for a request's head, once it or its connection has begun.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = words::time)]
    pub(crate) head_timeout: Duration,
    /// A connection without a request is closed after this long.
    #[arg(long, value_name = "TIME", default_value = "75s", value_parser = words::time)]
    pub(crate) idle_timeout: Duration,
    /// Longest time in which a client takes nothing of what it is sent.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = words::time)]
    pub(crate) write_timeout: Duration,
    /// Longest wait for a backend's head where a rule says nothing.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = words::time)]
    pub(crate) backend_timeout: Duration,
    /// Longest silence inside a request's body.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = words::time)]
    pub(crate) body_timeout: Duration,
    /// Connections that may be open at once; seven for sixteen files that the process may have by default.
    #[arg(long, value_name = "N", value_parser = count)]
    pub(crate) max_connections: Option<usize>,
    /// The same from one address, of IPv6 from one network of 64 bits; any number by default.
    #[arg(long, value_name = "N", value_parser = count)]
    pub(crate) max_connections_per_ip: Option<usize>,
    /// The datagrams of UDP between a caller and a listener are one flow until none came, either way, for so
    /// long.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = words::time)]
    pub(crate) udp_idle: Duration,
    /// Flows of UDP that each worker may have at once; datagrams that would begin another one are dropped.
    #[arg(long, value_name = "N", default_value_t = 16384, value_parser = count)]
    pub(crate) max_udp_flows: usize,
    /// Largest request body in bytes, or in units of 1024 such as 512K, 20M and 1G.
    #[arg(long, value_name = "BYTES", default_value = "1G", value_parser = bytes)]
    pub(crate) max_body: u64,
    /// What an escaped slash (%2F) in a request's path is: a letter that stays escaped, a reason to refuse the
    /// request, or a slash, for the backend, too.
    #[arg(long, value_name = "HOW", value_enum, default_value_t)]
    pub(crate) escaped_slashes: EscapedSlashes,
    /// Pass over objects of these kinds, which are none that Heddle reads; may be repeated.
    #[arg(long, value_name = "KIND,...", value_delimiter = ',', value_parser = foreign::kind)]
    pub(crate) ignore_kinds: Vec<String>,
}

/// Who makes the tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// The files at this path.
    Files(PathBuf),
    /// A server.
    Server(Join),
}

impl Serve {
    /// Who makes the tables, if anybody was named; `token` is the environment's.
    pub(crate) fn source(&self, token: Option<String>) -> Option<Source> {
        if let Some(path) = &self.config {
            return Some(Source::Files(path.clone()));
        }
        let join = Join {
            token: self.join.clone().or(token.map(Hidden)),
            server: self.server.clone(),
            state: self.state.clone(),
            name: self.name.clone(),
        };
        (join != Join::default()).then_some(Source::Server(join))
    }
}

/// A number from 1 on.
fn count(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| "a number from 1 on".to_owned())
}

/// A number of bytes: `512`, or with one of the suffixes below.
fn bytes(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u32); 6] =
        [("Ki", 10), ("Mi", 20), ("Gi", 30), ("K", 10), ("M", 20), ("G", 30)];
    let unit = UNITS.iter().find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, *shift)));
    let (digits, shift) = unit.unwrap_or((text, 0));
    let number = digits.parse::<u64>().ok().filter(|_| !digits.starts_with('+'));
    number
        .and_then(|number| number.checked_mul(1 << shift))
        .ok_or_else(|| "a number of bytes such as 1048576, or 1024K, 20M, 1G".to_owned())
}

/// What `check` needs.
#[derive(Debug, ClapArgs)]
pub(crate) struct Check {
    /// A YAML file, or a folder of them.
    #[arg(long, value_name = "FILE|DIR")]
    pub(crate) config: PathBuf,
    /// NAMESPACE/NAME=CERT,KEY: a Secret with the certificate and the key of two files, for a Gateway to
    /// name; may be repeated.
    #[arg(long = "tls-secret", value_name = "NAME=CERT,KEY")]
    pub(crate) tls_secrets: Vec<TlsSecret>,
    /// Pass over objects of these kinds, which are none that Heddle reads; may be repeated.
    #[arg(long, value_name = "KIND,...", value_delimiter = ',', value_parser = foreign::kind)]
    pub(crate) ignore_kinds: Vec<String>,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Output,
}

/// What `explain` needs.
#[derive(Debug, ClapArgs)]
pub(crate) struct Explain {
    /// A YAML file, or a folder of them.
    #[arg(long, value_name = "FILE|DIR")]
    pub(crate) config: PathBuf,
    /// NAMESPACE/NAME=CERT,KEY: a Secret with the certificate and the key of two files, for a Gateway to
    /// name; may be repeated.
    #[arg(long = "tls-secret", value_name = "NAME=CERT,KEY")]
    pub(crate) tls_secrets: Vec<TlsSecret>,
    /// The method, such as GET; of a connection CONNECT, of datagrams UDP.
    #[arg(value_parser = explain::method)]
    pub(crate) method: http::Method,
    /// The whole URL with the listener's port, such as http://bookshop.localhost:8080/catalog; of a
    /// connection tls://mail.example.com:8443 or tcp://127.0.0.1:5432, of datagrams udp://127.0.0.1:53.
    #[arg(value_parser = explain::url)]
    pub(crate) url: http::Uri,
    /// A header `name: value`; may be repeated. `Host` is asked for in the place of the URL's.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = table::trial::header)]
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// The caller's address.
    #[arg(long, value_name = "IP", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub(crate) from: IpAddr,
    /// What an escaped slash is, as the gateway was told.
    #[arg(long, value_name = "HOW", value_enum, default_value_t)]
    pub(crate) escaped_slashes: EscapedSlashes,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Output,
}

/// What an escaped slash in a path is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum EscapedSlashes {
    #[default]
    Keep,
    Refuse,
    Decode,
}

impl From<EscapedSlashes> for EscapedSlash {
    fn from(told: EscapedSlashes) -> Self {
        match told {
            EscapedSlashes::Keep => EscapedSlash::Keep,
            EscapedSlashes::Refuse => EscapedSlash::Refuse,
            EscapedSlashes::Decode => EscapedSlash::Decode,
        }
    }
}

/// For people or for programs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    #[default]
    Text,
    Json,
}

#[cfg(test)]
mod tests;
