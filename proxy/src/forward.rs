//! Heads across the border: what belongs to one connection stays there, and what strangers claim
//! about where a request came from is replaced by what we saw.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, FORWARDED, HOST, HeaderMap,
    HeaderName, HeaderValue, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::{Response, Version};
use model::cookie;
use policy::Scheme;

use crate::exchange::TRACEPARENT;
use crate::passport::PASSPORT;
use crate::record::REQUEST_ID;
use crate::trace::TRACESTATE;

pub(crate) const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
const CLIENT_CERT: HeaderName = HeaderName::from_static("x-forwarded-client-cert");
// The same by RFC 9440.
const CERT: HeaderName = HeaderName::from_static("client-cert");
const CERT_CHAIN: HeaderName = HeaderName::from_static("client-cert-chain");
/// What is said of the certificate that a caller showed.
static CERTIFICATES: [HeaderName; 3] = [CLIENT_CERT, CERT, CERT_CHAIN];

/// By which the proxy of an application says that a request did not reach it, to the proxy that sent
/// it. It comes from nobody else and goes to nobody else.
pub(crate) const UNREACHED: HeaderName = HeaderName::from_static("heddle-unreached");

/// By which it says so of one that a limit refused, which is nothing that the endpoint could be blamed for.
pub(crate) const LIMITED: HeaderName = HeaderName::from_static("heddle-limited");

/// The headers that end at each hop (RFC 9110, section 7.6.1, and their old companions). What
/// `Expect` asks for is answered here. `static`, as are the other lists: a `const` of names is built anew
/// wherever it is looked at.
static HOP: [HeaderName; 10] = [
    EXPECT,
    CONNECTION,
    KEEP_ALIVE,
    PROXY_CONNECTION,
    TRANSFER_ENCODING,
    UPGRADE,
    TE,
    TRAILER,
    HTTP2_SETTINGS,
    PROXY_AUTHENTICATE,
];
/// The place of a name among those, if it is one. By its text, which the compiler tells apart by length and
/// whole words, where names would be compared one after the other.
fn hop(name: &HeaderName) -> Option<usize> {
    match name.as_str() {
        "expect" => Some(0),
        "connection" => Some(1),
        "keep-alive" => Some(2),
        "proxy-connection" => Some(3),
        "transfer-encoding" => Some(4),
        "upgrade" => Some(5),
        "te" => Some(6),
        "trailer" => Some(7),
        "http2-settings" => Some(8),
        "proxy-authenticate" => Some(9),
        _ => None,
    }
}

/// Takes off what belongs to the connection, and what its `Connection` header names.
/// `TE: trailers` stays, since gRPC needs it (RFC 9110, section 10.1.4).
pub(crate) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    // One look over the few names that came is cheaper than looking up each of these.
    let (mut came, mut names_others, mut wants_trailers) = (0_u32, false, false);
    for (name, value) in &*headers {
        let Some(at) = hop(name) else { continue };
        came |= 1 << at;
        if *name == CONNECTION {
            // What nearly all say names nothing but what goes in any case.
            names_others |= value.as_bytes() != b"keep-alive";
        } else if *name == TE {
            wants_trailers |= names(value).any(|word| word == "trailers");
        }
    }
    if names_others {
        let named: Vec<_> = headers.get_all(CONNECTION).iter().flat_map(names).collect();
        for name in named {
            // What frames or addresses the message is not the client's to take off.
            if !matches!(&*name, "host" | "content-length" | "authorization") {
                headers.remove(&*name);
            }
        }
    }
    for (at, name) in HOP.iter().enumerate() {
        if came & 1 << at != 0 {
            headers.remove(name);
        }
    }
    if wants_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

/// The comma-parted words of a header, in lower case. What is no text hides no word beside it.
fn names(value: &HeaderValue) -> impl Iterator<Item = String> {
    let words = value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    let words = words.filter(|word| !word.is_empty());
    words.map(|word| String::from_utf8_lossy(word).to_ascii_lowercase())
}

/// The protocol that the client asks to switch to; `h2c` is never switched to (RFC 9113 took it
/// out).
pub(crate) fn wanted_upgrade(parts: &Parts) -> Option<HeaderValue> {
    if parts.version != http::Version::HTTP_11 {
        return None;
    }
    let asks = parts.headers.get_all(CONNECTION).iter().flat_map(names).any(|w| w == "upgrade");
    let wanted = parts.headers.get(UPGRADE).filter(|_| asks)?;
    names(wanted).all(|word| word != "h2c").then(|| wanted.clone())
}

/// Whether a 101 switches to a protocol that was asked for.
pub(crate) fn switches_to<B>(response: &Response<B>, asked: &HeaderValue) -> bool {
    let chosen = response.headers().get(UPGRADE);
    chosen.is_some_and(|chosen| {
        names(chosen).next().is_some()
            && names(chosen).all(|word| names(asked).any(|one| one == word))
    })
}

/// Where the request came from: the connection's peer or, if that is trusted, the last address
/// in its `X-Forwarded-For` that is not. What is no address there is nobody's, `0.0.0.0`: it may not
/// pass for the trusted proxy that wrote it.
pub(crate) fn source(peer: IpAddr, headers: &HeaderMap, trusts: impl Fn(IpAddr) -> bool) -> IpAddr {
    let mut source = peer;
    if !trusts(peer) {
        return source;
    }
    for line in headers.get_all(FORWARDED_FOR).iter().rev() {
        for hop in line.to_str().unwrap_or_default().rsplit(',') {
            let Some(address) = forwarded(hop.trim()) else {
                return IpAddr::V4(Ipv4Addr::UNSPECIFIED);
            };
            source = address.to_canonical();
            if !trusts(source) {
                return source;
            }
        }
    }
    source
}

/// Where a request came from that passed so many proxies before us: each wrote behind the others where it got it
/// from, so it is that many addresses from the end of `X-Forwarded-For`. Whoever comes with fewer passed by some
/// of them, and is themselves where it came from.
pub(crate) fn source_behind(peer: IpAddr, headers: &HeaderMap, hops: usize) -> IpAddr {
    let lines = headers.get_all(FORWARDED_FOR).iter().rev();
    // What is no text counts as the address that it stands for, too: else it would move all others.
    let words = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
    let Some(word) = words.into_iter().nth(hops.saturating_sub(1)) else { return peer };
    let address = std::str::from_utf8(word).ok().and_then(|word| forwarded(word.trim()));
    address.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.to_canonical())
}

/// An address, also with the port that some proxies add.
fn forwarded(hop: &str) -> Option<IpAddr> {
    let bare = || hop.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let with_port = || hop.parse::<SocketAddr>().ok().map(|address| address.ip());
    hop.parse().ok().or_else(with_port).or_else(bare)
}

/// Joins the lines of `Cookie`, into which HTTP/2 may part it, as HTTP/1.1 wants it and as everybody
/// reads it (RFC 9113, section 8.2.3).
pub(crate) fn join_cookies(headers: &mut HeaderMap) {
    if headers.get_all(COOKIE).iter().nth(1).is_none() {
        return;
    }
    let lines: Vec<_> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(whole) = HeaderValue::from_bytes(&lines.join(&b"; "[..])) {
        headers.insert(COOKIE, whole);
    }
}

/// Takes off the cookies of the console, which browsers send to every port of its host, and those that are ours
/// besides by name and value. All others stay byte for byte.
pub(crate) fn strip_session(headers: &mut HeaderMap, is_ours: impl Fn(&[u8], &[u8]) -> bool) {
    // One look over the few names that came is cheaper than looking it up.
    if !headers.keys().any(|name| *name == COOKIE) {
        return;
    }
    let is_session = |cookie: &[u8]| is_session(cookie, &is_ours);
    let is_clean = |line: &HeaderValue| !cookies(line).any(is_session);
    if headers.get_all(COOKIE).iter().all(is_clean) {
        return;
    }
    let kept = headers.get_all(COOKIE).iter().filter_map(|line| without(line, is_session));
    let lines: Vec<_> = kept.collect();
    headers.remove(COOKIE);
    for line in lines {
        headers.append(COOKIE, line);
    }
}

/// What a caller speaks: with us, or with who stands before us, where that is believed.
pub(crate) fn scheme_of(scheme: Scheme, is_trusted: bool, headers: &HeaderMap) -> Scheme {
    let says = || headers.get(&FORWARDED_PROTO).is_some_and(|said| said == "https");
    if is_trusted && says() { Scheme::Https } else { scheme }
}

/// The cookies of a line, with the space before them.
fn cookies(line: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    line.as_bytes().split(|byte| *byte == b';')
}

fn is_session(cookie: &[u8], is_ours: impl Fn(&[u8], &[u8]) -> bool) -> bool {
    let mut parts = cookie.splitn(2, |byte| *byte == b'=').map(<[u8]>::trim_ascii);
    let name = parts.next().unwrap_or_default();
    let is_ours = |value: &[u8]| {
        cookie::ALL.iter().any(|ours| name == ours.as_bytes())
            || cookie::is_of_login(name)
            || is_ours(name, value)
    };
    parts.next().is_some_and(is_ours)
}

/// A line without our cookies; none where nothing is left.
fn without(line: &HeaderValue, is_session: impl Fn(&[u8]) -> bool) -> Option<HeaderValue> {
    let kept: Vec<_> = cookies(line).filter(|cookie| !is_session(cookie)).collect();
    let joined = kept.join(&b';');
    let kept = if cookies(line).next().is_some_and(&is_session) {
        joined.trim_ascii_start()
    } else {
        &joined
    };
    // Part of a value is one, too.
    (!kept.is_empty()).then(|| HeaderValue::from_bytes(kept).ok()).flatten()
}

/// Headers by which other tracers tell a trace. An application that believed one of them would send on a
/// `traceparent` that its own proxy never showed it.
const OTHER_TRACES: [&str; 14] = [
    "b3",
    "x-b3-traceid",
    "x-b3-spanid",
    "x-b3-parentspanid",
    "x-b3-sampled",
    "x-b3-flags",
    "x-datadog-trace-id",
    "x-datadog-parent-id",
    "x-datadog-tags",
    "x-amzn-trace-id",
    "x-cloud-trace-context",
    "uber-trace-id",
    "grpc-trace-bin",
    "ot-tracer-traceid",
];

/// Takes off what tells of another trace than ours.
pub(crate) fn strip_other_traces(headers: &mut HeaderMap) {
    for name in OTHER_TRACES {
        headers.remove(name);
    }
}

/// Whether no transfer coding but one `chunked` is on the body: another would be lost here, and
/// who comes next would take coded bytes for plain ones (RFC 9112, section 6.1).
pub(crate) fn is_framed_plainly(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    codings.next().is_none_or(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"))
        && codings.next().is_none()
}

/// What is said of a length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Length {
    /// Nothing, or one number.
    Plain,
    /// The same number several times.
    Repeated,
    /// Several, or what is none.
    Odd,
}

/// What is said of the length of an answer (RFC 9110, section 8.6): where that has no body nobody else looks at it.
pub(crate) fn length(headers: &HeaderMap) -> Length {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter().map(HeaderValue::as_bytes);
    match (lengths.next(), lengths.next()) {
        (None, _) => Length::Plain,
        (Some(one), _) if one.is_empty() || !one.iter().all(u8::is_ascii_digit) => Length::Odd,
        (Some(_), None) => Length::Plain,
        (Some(one), Some(other)) if one == other && lengths.all(|other| other == one) => {
            Length::Repeated
        }
        (Some(_), Some(_)) => Length::Odd,
    }
}

/// Whether no value has a blank before or behind it (RFC 9113, section 8.2.1): rules would compare it, and who comes
/// next over HTTP/1.1 would not see it.
pub(crate) fn is_without_margins(headers: &HeaderMap) -> bool {
    let mut values = headers.values().map(HeaderValue::as_bytes);
    values.all(|value| !matches!(value, [b' ' | b'\t', ..] | [.., b' ' | b'\t']))
}

/// What the backend is told of where the request came from.
#[derive(Debug)]
pub(crate) struct Origin<'a> {
    /// The peer's address.
    pub(crate) peer: &'a HeaderValue,
    /// The peer's own forwarding headers are believed.
    pub(crate) trusted: bool,
    pub(crate) scheme: Scheme,
    /// The listener's port.
    pub(crate) port: &'a HeaderValue,
    pub(crate) host: &'a HeaderValue,
    /// The certificate that the peer proved to be its own.
    pub(crate) client: Option<&'a HeaderValue>,
}

/// What only a trusted proxy may say, and what is not for the backend.
static CLAIMS: [HeaderName; 11] = [
    TRACESTATE,
    FORWARDED,
    FORWARDED_FOR,
    FORWARDED_HOST,
    FORWARDED_PROTO,
    FORWARDED_PORT,
    REAL_IP,
    PROXY_AUTHORIZATION,
    CLIENT_CERT,
    CERT,
    CERT_CHAIN,
];

/// Whether a name is one of those to who reads `_` as `-`, as everybody does who makes variables of headers
/// (RFC 3875, section 4.1.18).
fn is_respelled(name: &HeaderName) -> bool {
    let name = name.as_str();
    name.as_bytes().contains(&b'_') && {
        let read = name.replace('_', "-");
        let is_it = |names: &[HeaderName]| names.iter().any(|name| name.as_str() == read);
        is_it(&CLAIMS) || is_it(&WRITTEN)
    }
}

/// Takes off of a request's trailers what may not stand there (RFC 9110, section 6.5.1): what frames it, leads
/// it, or says who sends it, to whoever puts them with its headers.
pub(crate) fn strip_trailers(trailers: &mut HeaderMap) {
    const NEVER: [HeaderName; 7] =
        [HOST, CONTENT_LENGTH, AUTHORIZATION, COOKIE, PASSPORT, UNREACHED, LIMITED];
    let is_odd = |name: &HeaderName| {
        [&NEVER[..], &HOP, &CLAIMS, &WRITTEN].iter().any(|names| names.contains(name))
            || OTHER_TRACES.contains(&name.as_str())
            || is_respelled(name)
    };
    let odd: Vec<_> = trailers.keys().filter(|name| is_odd(name)).cloned().collect();
    odd.iter().for_each(|name| drop(trailers.remove(name)));
}

/// What is written anew on every request.
static WRITTEN: [HeaderName; 2] = [REQUEST_ID, TRACEPARENT];

impl Origin<'_> {
    /// Writes `X-Forwarded-For`, `-Proto`, `-Host` and `-Port`: in place of a stranger's, behind
    /// those of a trusted proxy. Of certificates, what was proved here stands in place of anybody's.
    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        self.write_place(headers);
        if let Some(client) = self.client {
            headers.insert(CLIENT_CERT, client.clone());
        }
    }

    fn write_place(&self, headers: &mut HeaderMap) {
        let scheme = match self.scheme {
            Scheme::Http => HeaderValue::from_static("http"),
            Scheme::Https => HeaderValue::from_static("https"),
        };
        let ours = [
            (FORWARDED_FOR, self.peer.clone()),
            (FORWARDED_PROTO, scheme),
            (FORWARDED_HOST, self.host.clone()),
            (FORWARDED_PORT, self.port.clone()),
        ];
        let is_claim = |name: &HeaderName| CLAIMS.contains(name) || is_respelled(name);
        if !headers.keys().any(is_claim) {
            for (name, value) in ours {
                headers.insert(name, value);
            }
            return;
        }
        if !self.trusted || self.client.is_some() {
            let respelled: Vec<_> =
                headers.keys().filter(|name| is_respelled(name)).cloned().collect();
            respelled.iter().for_each(|name| drop(headers.remove(name)));
        }
        headers.remove(FORWARDED);
        headers.remove(PROXY_AUTHORIZATION);
        if !self.trusted {
            headers.remove(REAL_IP);
            headers.remove(TRACESTATE);
        }
        if !self.trusted || self.client.is_some() {
            CERTIFICATES.iter().for_each(|name| drop(headers.remove(name)));
        }
        let chain = self.chain(headers);
        for (name, value) in ours {
            let is_kept = self.trusted && name != FORWARDED_FOR && headers.contains_key(&name);
            if !is_kept {
                headers.insert(name, value);
            }
        }
        if let Some(chain) = chain {
            headers.insert(FORWARDED_FOR, chain);
        }
    }

    /// All lines of `X-Forwarded-For` as one, with the peer behind; `None` where there is none, or
    /// one of them is no text.
    fn chain(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let mut lines = headers.get_all(FORWARDED_FOR).iter().filter(|_| self.trusted).peekable();
        lines.peek()?;
        let mut chain = String::new();
        for line in lines {
            chain.push_str(line.to_str().ok()?);
            chain.push_str(", ");
        }
        chain.push_str(self.peer.to_str().ok()?);
        HeaderValue::try_from(chain).ok()
    }
}

/// The one host that a request names: the authority of its target and its `Host` header, which
/// must agree (RFC 9112, section 3.2; RFC 9113, section 8.3.1). Several `Host` lines are refused, and so is a
/// request of HTTP/1.1 without any, whatever its target says.
pub(crate) fn one_host(parts: &Parts) -> Option<&str> {
    let mut lines = parts.headers.get_all(HOST).iter();
    let header = match (lines.next(), lines.next()) {
        (Some(_), Some(_)) => return None,
        (Some(line), None) => Some(line.to_str().ok()?),
        (None, _) => None,
    };
    match (parts.uri.authority(), header) {
        (Some(authority), _) if authority.as_str().as_bytes().contains(&b'@') => None,
        (Some(_), None) if parts.version == Version::HTTP_11 => None,
        (Some(authority), None) => Some(authority.as_str()),
        (Some(authority), Some(host)) => {
            authority.as_str().eq_ignore_ascii_case(host).then_some(host)
        }
        (None, host) => host,
    }
}

#[cfg(test)]
mod tests;
