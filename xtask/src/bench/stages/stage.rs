//! What is done in a moment of a request, by where its instructions stand.

/// Where an instruction stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place<'a> {
    /// In the kernel, which serves a call of this name; or an interrupt.
    Kernel {
        call: Option<&'a str>,
    },
    /// In the program itself, in this source file.
    Source(&'a str),
    /// In a library of the system.
    Library {
        object: &'a str,
        symbol: &'a str,
    },
    Unknown,
}

impl Place<'_> {
    /// The source file, by its crate or from the workspace's root.
    pub(super) fn file(&self) -> Option<&str> {
        let Place::Source(path) = self else { return None };
        let registry = path.split_once("/registry/src/").map(|(_, rest)| rest);
        let within = registry.and_then(|rest| rest.split_once('/')).map(|(_, file)| file);
        Some(within.unwrap_or_else(|| own(path).unwrap_or(path)))
    }
}

/// A file of ours from the workspace's root.
fn own(path: &str) -> Option<&str> {
    let starts = OWN.iter().filter_map(|name| path.rfind(&format!("/{name}/src/")));
    starts.max().map(|at| &path[at + 1..])
}

/// The crates of ours that a proxy is made of.
const OWN: [&str; 6] = ["model", "policy", "table", "proxy", "gateway", "e2e"];

/// One stage of a request's way, or what all of them need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    Receive,
    Send,
    Wait,
    Kernel,
    Http,
    Headers,
    Tls,
    Runtime,
    Memory,
    Copy,
    Clock,
    Connection,
    Route,
    Decide,
    Rewrite,
    Backend,
    Tell,
    Other,
}

impl Stage {
    pub(super) const ALL: [Self; 18] = [
        Self::Receive,
        Self::Send,
        Self::Wait,
        Self::Kernel,
        Self::Http,
        Self::Headers,
        Self::Tls,
        Self::Runtime,
        Self::Memory,
        Self::Copy,
        Self::Clock,
        Self::Connection,
        Self::Route,
        Self::Decide,
        Self::Rewrite,
        Self::Backend,
        Self::Tell,
        Self::Other,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Receive => "kernel: receiving",
            Self::Send => "kernel: sending",
            Self::Wait => "kernel: waiting for events",
            Self::Kernel => "kernel: all else",
            Self::Http => "HTTP's frames and heads: `hyper`, `h2`, `httparse`",
            Self::Headers => "maps of headers: `http`",
            Self::Tls => "TLS: `rustls`, `aws-lc`",
            Self::Runtime => "tasks and timers: `tokio`",
            Self::Memory => "the allocator",
            Self::Copy => "copying and filling memory",
            Self::Clock => "the clock",
            Self::Connection => "a connection and its bounds",
            Self::Route => "reading a request, finding its route",
            Self::Decide => "deciding: policies",
            Self::Rewrite => "headers to send on",
            Self::Backend => "an endpoint, a connection to it, tries",
            Self::Tell => "log, metrics, ids, spans",
            Self::Other => "all else",
        }
    }

    pub(super) fn of(place: &Place<'_>) -> Self {
        match *place {
            Place::Kernel { call: Some(call) } => Self::of_call(call),
            Place::Kernel { call: None } => Self::Kernel,
            Place::Library { object: "[vdso]", symbol: _ } => Self::Clock,
            Place::Library { object: _, symbol } => Self::of_symbol(symbol),
            Place::Source(_) => place.file().map_or(Self::Other, Self::of_file),
            Place::Unknown => Self::Other,
        }
    }

    fn of_call(call: &str) -> Self {
        match call {
            "recvfrom" | "recvmsg" | "read" | "readv" => Self::Receive,
            "sendto" | "sendmsg" | "write" | "writev" => Self::Send,
            "epoll_wait" | "epoll_pwait" => Self::Wait,
            _ => Self::Kernel,
        }
    }

    fn of_symbol(symbol: &str) -> Self {
        match symbol {
            _ if symbol.starts_with("__mem") => Self::Copy,
            _ if symbol.contains("clock_gettime") => Self::Clock,
            _ => Self::Other,
        }
    }

    fn of_file(file: &str) -> Self {
        let is = |starts: &[&str]| starts.iter().any(|start| file.starts_with(start));
        match file {
            _ if is(&["hyper", "h2-", "httparse-", "bytes-", "httpdate-", "atomic-waker-"]) => {
                Self::Http
            }
            _ if is(&["http-"]) => Self::Headers,
            _ if is(&["rustls", "aws-lc", "tokio-rustls"]) => Self::Tls,
            _ if is(&["tokio-", "mio-", "futures-", "parking_lot"]) => Self::Runtime,
            _ if is(&["libmimalloc", "mimalloc"]) => Self::Memory,
            _ if is(OF_CONNECTIONS) => Self::Connection,
            _ if is(OF_ROUTES) => Self::Route,
            _ if is(OF_DECISIONS) => Self::Decide,
            _ if is(OF_HEADERS) => Self::Rewrite,
            _ if is(OF_BACKENDS) => Self::Backend,
            _ if is(OF_TELLING) => Self::Tell,
            _ => Self::Other,
        }
    }
}

const OF_CONNECTIONS: &[&str] = &[
    "proxy/src/worker",
    "proxy/src/http.rs",
    "proxy/src/steady",
    "proxy/src/gather",
    "proxy/src/carry",
    "proxy/src/alarm",
    "proxy/src/moment",
    "proxy/src/hello",
    "proxy/src/tls",
    "proxy/src/seats",
    "e2e/src/bin/bare",
];
const OF_ROUTES: &[&str] = &["table/", "model/", "proxy/src/exchange", "proxy/src/live"];
const OF_DECISIONS: &[&str] = &["policy/", "proxy/src/decisions", "proxy/src/passport"];
const OF_HEADERS: &[&str] = &["proxy/src/forward", "proxy/src/session", "proxy/src/address"];
const OF_BACKENDS: &[&str] = &[
    "proxy/src/attempts",
    "proxy/src/balance",
    "proxy/src/body",
    "proxy/src/connect",
    "proxy/src/health",
    "proxy/src/pool",
    "proxy/src/reply",
    "proxy/src/resting",
    "proxy/src/retry",
    "proxy/src/room",
    "proxy/src/grpc",
];
const OF_TELLING: &[&str] = &[
    "proxy/src/access_log",
    "proxy/src/metrics",
    "proxy/src/otlp",
    "proxy/src/phase",
    "proxy/src/record",
    "proxy/src/telemetry",
    "proxy/src/trace",
    "proxy/src/traffic",
    "itoa-",
    "rand",
    "uuid-",
    "getrandom-",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_is_told_by_call_symbol_and_file() {
        let of = |place: Place<'_>| Stage::of(&place);
        assert_eq!(of(Place::Kernel { call: Some("sendto") }), Stage::Send);
        assert_eq!(of(Place::Kernel { call: None }), Stage::Kernel);
        let copy = Place::Library { object: "libc.so.6", symbol: "__memcpy_avx_unaligned_erms" };
        assert_eq!(of(copy), Stage::Copy);
        let hyper = Place::Source("/a/registry/src/index-1/hyper-1.8.0/src/lib.rs");
        assert_eq!((of(hyper), hyper.file()), (Stage::Http, Some("hyper-1.8.0/src/lib.rs")));
        let own = Place::Source("/proxy/src/clone/proxy/src/access_log/line.rs");
        assert_eq!((of(own), own.file()), (Stage::Tell, Some("proxy/src/access_log/line.rs")));
    }
}
