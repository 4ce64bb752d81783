//! Heads and trailers on their way through the proxy, against lists of names and values.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use http::{HeaderMap, HeaderName, HeaderValue};
use proxy::fuzz as proxied;

/// Names in lower case, each with its values in order.
type Lists = BTreeMap<String, Vec<Vec<u8>>>;

/// What ends at each hop.
const HOP: &str = "connection expect http2-settings keep-alive proxy-authenticate proxy-connection te \
                   trailer transfer-encoding upgrade";
/// What says where a request came from.
const CLAIMS: &str = "client-cert client-cert-chain forwarded proxy-authorization tracestate \
                      x-forwarded-client-cert x-forwarded-for x-forwarded-host x-forwarded-port \
                      x-forwarded-proto x-real-ip";
/// What is written on each request, and so nobody else's to say.
const WRITTEN: &str = "traceparent x-request-id";
/// What leads a request, or tells of its trace to others.
const LEADS: &str = "authorization b3 content-length cookie grpc-trace-bin heddle-limited \
                     heddle-passport heddle-unreached host ot-tracer-traceid uber-trace-id x-amzn-trace-id \
                     x-b3-flags x-b3-parentspanid x-b3-sampled x-b3-spanid x-b3-traceid \
                     x-cloud-trace-context x-datadog-parent-id x-datadog-tags x-datadog-trace-id";
const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 9));

/// Lines of `name: value`, and what becomes of them.
pub fn headers(data: &[u8]) {
    let came = read(data);
    hop_by_hop(&came);
    trailers(&came);
    session(&came);
    origin(&came);
    source(&came);
}

fn read(data: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n').take(200) {
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let (name, value) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let name = HeaderName::from_bytes(name.trim_ascii());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value.trim_ascii())) {
            headers.append(name, value);
        }
    }
    headers
}

fn lists(headers: &HeaderMap) -> Lists {
    let mut lists = Lists::new();
    for (name, value) in headers {
        lists.entry(name.to_string()).or_default().push(value.as_bytes().to_vec());
    }
    lists
}

/// What `change` makes of `came`, and that doing so again changes nothing.
fn changed(came: &HeaderMap, change: impl Fn(&mut HeaderMap)) -> Lists {
    let mut headers = came.clone();
    change(&mut headers);
    let once = lists(&headers);
    change(&mut headers);
    assert_eq!(lists(&headers), once, "once is enough for {came:?}");
    once
}

fn has(names: &str, name: &str) -> bool {
    names.split_ascii_whitespace().any(|one| one == name)
}

/// The words of a list, in lower case.
fn words(lists: &Lists, name: &str) -> Vec<String> {
    let lines = lists.get(name).into_iter().flatten();
    let words = lines.flat_map(|line| line.split(|byte| *byte == b','));
    words.map(|word| String::from_utf8_lossy(word).trim().to_ascii_lowercase()).collect()
}

fn hop_by_hop(came: &HeaderMap) {
    let mut wanted = lists(came);
    let named = words(&wanted, "connection");
    let trailers = words(&wanted, "te").iter().any(|word| word == "trailers");
    wanted.retain(|name, _| {
        let is_kept = matches!(&**name, "host" | "content-length" | "authorization");
        !has(HOP, name) && (is_kept || !named.contains(name))
    });
    if trailers {
        wanted.insert("te".to_owned(), vec![b"trailers".to_vec()]);
    }
    let got = changed(came, proxied::strip_hop_by_hop);
    assert_eq!(got, wanted, "what is left of {came:?}");
}

/// What passes for one of those names to who reads `_` as `-`.
fn is_respelled(name: &str) -> bool {
    let read = name.replace('_', "-");
    read != name && (has(CLAIMS, &read) || has(WRITTEN, &read))
}

fn trailers(came: &HeaderMap) {
    let mut wanted = lists(came);
    let never = [HOP, CLAIMS, WRITTEN, LEADS];
    wanted.retain(|name, _| !never.iter().any(|names| has(names, name)) && !is_respelled(name));
    assert_eq!(changed(came, proxied::strip_trailers), wanted, "what is left of {came:?}");
}

/// Cookies in order, but for blanks around them.
fn cookies(lists: &Lists) -> Vec<Vec<u8>> {
    let lines = lists.get("cookie").into_iter().flatten();
    let cookies = lines.flat_map(|line| line.split(|byte| *byte == b';'));
    let cookies = cookies.map(|cookie| cookie.trim_ascii().to_vec());
    cookies.filter(|cookie| !cookie.is_empty()).collect()
}

fn session(came: &HeaderMap) {
    let is_ours = |cookie: &[u8]| {
        let Some(end) = cookie.iter().position(|byte| *byte == b'=') else { return false };
        let name = String::from_utf8_lossy(cookie[..end].trim_ascii()).into_owned();
        let bare = name.strip_prefix("__Host-").unwrap_or(&name);
        bare == "heddle-session" || bare == "heddle-login"
    };
    let (before, got) = (lists(came), changed(came, proxied::strip_session));
    let mut wanted = cookies(&before);
    wanted.retain(|cookie| !is_ours(cookie));
    assert_eq!(cookies(&got), wanted, "cookies of {came:?}");
    let others = |lists: Lists| lists.into_iter().filter(|(name, _)| name != "cookie");
    assert!(others(got).eq(others(before)), "what is no cookie of {came:?}");
}

fn origin(came: &HeaderMap) {
    let place = ["10.0.0.9", "shop.example.com", "443"].map(HeaderValue::from_static);
    let place @ [peer, host, port] = place.each_ref();
    let before = lists(came);
    let line = |value: &HeaderValue| vec![value.as_bytes().to_vec()];
    let ours = [
        ("x-forwarded-proto", vec![b"http".to_vec()]),
        ("x-forwarded-host", line(host)),
        ("x-forwarded-port", line(port)),
    ];

    let mut wanted = before.clone();
    wanted.retain(|name, _| !has(CLAIMS, name) && !is_respelled(name));
    wanted.extend(ours.clone().map(|(name, lines)| (name.to_owned(), lines)));
    wanted.insert("x-forwarded-for".to_owned(), line(peer));
    let got = changed(came, |headers| proxied::write_origin(headers, place, false));
    assert_eq!(got, wanted, "what a backend is told of a stranger who sent {came:?}");

    let mut wanted = before;
    wanted.retain(|name, _| name != "forwarded" && name != "proxy-authorization");
    for (name, lines) in ours {
        wanted.entry(name.to_owned()).or_insert(lines);
    }
    let chain = wanted.entry("x-forwarded-for".to_owned()).or_default();
    let is_text = |byte: &u8| (b' '..=b'~').contains(byte) || *byte == b'\t';
    if !chain.iter().flatten().all(is_text) {
        chain.clear();
    }
    chain.push(peer.as_bytes().to_vec());
    *chain = vec![chain.join(&b", "[..])];
    let mut headers = came.clone();
    proxied::write_origin(&mut headers, place, true);
    assert_eq!(lists(&headers), wanted, "what a backend is told by a trusted proxy: {came:?}");
}

/// Everybody in 10.0.0.0/8 is trusted.
fn trusts(address: IpAddr) -> bool {
    matches!(address, IpAddr::V4(four) if four.octets()[0] == 10)
}

fn source(came: &HeaderMap) {
    let nobody = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let lines = lists(came).remove("x-forwarded-for").unwrap_or_default();
    let hops: Vec<_> = lines.iter().flat_map(|line| line.split(|byte| *byte == b',')).collect();

    for count in 1..=hops.len() + 1 {
        let at = hops.len().checked_sub(count);
        let wanted = at.map_or(PEER, |at| address(hops[at]).unwrap_or(nobody));
        assert_eq!(proxied::source_behind(PEER, came, count), wanted, "{count} hops of {came:?}");
    }

    let (mut wanted, mut before) = (PEER, lines);
    while let Some(line) = before.pop().filter(|_| trusts(wanted)) {
        // A line with a letter that is no text is nobody's as a whole.
        let is_text = line.iter().all(|byte| (b' '..=b'~').contains(byte) || *byte == b'\t');
        let hops: Vec<_> = line.split(|byte| *byte == b',').rev().collect();
        for hop in if is_text { hops } else { vec![&b"?"[..]] } {
            if trusts(wanted) {
                wanted = address(hop).unwrap_or(nobody);
            }
        }
    }
    assert_eq!(proxied::source(PEER, came, trusts), wanted, "where {came:?} came from");
    let stranger = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    assert_eq!(proxied::source(stranger, came, trusts), stranger, "a stranger is not believed");
}

/// `1.2.3.4`, `::1`, `[::1]`, and both with a port.
fn address(word: &[u8]) -> Option<IpAddr> {
    let word = std::str::from_utf8(word).ok()?.trim();
    let port = |address: SocketAddr| address.ip();
    let inside = || word.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let address = word.parse().ok().or_else(|| word.parse().ok().map(port)).or_else(inside)?;
    match address {
        IpAddr::V6(six) => Some(six.to_ipv4_mapped().map_or(address, IpAddr::V4)),
        IpAddr::V4(_) => Some(address),
    }
}
