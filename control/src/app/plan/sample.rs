//! Sample requests: some that a match of a route was written for. Of a route for connections it is a
//! connection, and of one for datagrams the datagrams of a caller.

use std::net::{IpAddr, Ipv4Addr};

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use model::route::{HttpMatch, HttpRoute, PathMatchType, ValueMatchType};
use model::{Hostname, Kind};
use policy::{Facts, Layer, Scheme};

use super::expression;
use super::reroute::Ports;

/// Where samples come from: an address of the documentation (RFC 5737).
const SOURCE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// What stands for any name, and for any path element: nobody means just this one.
const ANY: &str = "any-other";

/// A request or connection, and the match that it was made for.
#[derive(Debug)]
pub(super) struct Sample<'r> {
    of: Option<&'r HttpMatch>,
    layer: Layer,
    pub(super) host: String,
    pub(super) port: u16,
    scheme: Scheme,
    path: String,
    query: Option<String>,
    pub(super) method: Method,
    headers: HeaderMap,
}

impl<'r> Sample<'r> {
    /// Requests for every match of a route, at every host and port that it could come in by. A
    /// prefix has two, one for itself and one for what is below. An expression of which no example
    /// can be made has none.
    pub(super) fn all(kind: Kind, route: &'r HttpRoute, ports: &Ports) -> Vec<Sample<'r>> {
        let matches = route.spec.rules.iter().flat_map(|rule| {
            let none = rule.matches.is_empty().then_some(None);
            rule.matches.iter().map(Some).chain(none)
        });
        let matches: Vec<_> = matches.collect();
        let mut samples = Vec::new();
        for (host, port, scheme) in places(route, ports) {
            if kind.is_of_connections() {
                samples.push(unread(kind, host, port, scheme));
                continue;
            }
            for of in &matches {
                for path in paths(*of) {
                    samples.extend(sample(*of, &host, (port, scheme), path));
                }
            }
        }
        samples
    }

    /// Asks something of it.
    pub(super) fn ask<T>(&self, now: i64, ask: impl FnOnce(&Facts<'_>) -> T) -> T {
        ask(&Facts {
            layer: self.layer,
            now,
            source: SOURCE,
            scheme: self.scheme,
            port: self.port,
            host: &self.host,
            method: &self.method,
            path: &self.path,
            query: self.query.as_deref(),
            headers: &self.headers,
            peer: None,
            certificate: None,
            users: &[],
            sessions: &[],
            revoked: None,
        })
    }

    /// Path and query.
    pub(super) fn target(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        }
    }

    /// What it sets besides host, path and method.
    pub(super) fn conditions(&self) -> String {
        format!("{:?} {:?}", self.layer, self.headers)
    }

    /// The match in words.
    pub(super) fn matched(&self) -> String {
        let Some(of) = self.of else {
            let all = match self.layer {
                Layer::Request => "every request",
                Layer::Connection => "every connection",
                Layer::Datagrams => "every datagram",
            };
            return all.to_owned();
        };
        let kind = match of.path.kind {
            PathMatchType::Exact => "Exact",
            PathMatchType::PathPrefix => "PathPrefix",
            PathMatchType::RegularExpression => "RegularExpression",
        };
        let sign = |kind: ValueMatchType| match kind {
            ValueMatchType::Exact => '=',
            ValueMatchType::RegularExpression => '~',
        };
        let mut words = vec![format!("{kind} {}", of.path.value)];
        words.extend(of.method.map(|method| format!("method {}", method.as_str())));
        let header = |name: &str, kind, value: &str| format!("header {name}{}{value}", sign(kind));
        words.extend(of.headers.iter().map(|one| header(&one.name, one.kind, &one.value)));
        let query = |name: &str, kind, value: &str| format!("query {name}{}{value}", sign(kind));
        words.extend(of.query_params.iter().map(|one| query(&one.name, one.kind, &one.value)));
        words.join(", ")
    }
}

/// The hosts and sockets by which requests for a route could come in.
fn places(route: &HttpRoute, ports: &Ports) -> Vec<(String, u16, Scheme)> {
    let names = &route.spec.hostnames;
    let own: Vec<_> = names.iter().map(Some).chain(names.is_empty().then_some(None)).collect();
    let mut places = Vec::new();
    for ((port, scheme), hosts) in ports {
        for (host, mine) in hosts.iter().flat_map(|host| own.iter().map(move |mine| (host, mine))) {
            let meeting = match (host, mine) {
                (Some(host), Some(mine)) => match host.intersect(mine) {
                    Some(both) => Some(both),
                    None => continue,
                },
                (host, mine) => host.as_ref().or(*mine),
            };
            let place = (meeting.map_or_else(|| format!("{ANY}.example"), name), *port, *scheme);
            if !places.contains(&place) {
                places.push(place);
            }
        }
    }
    places
}

/// A host that a host name means.
fn name(host: &Hostname) -> String {
    match host.suffix() {
        Some(suffix) => format!("{ANY}{suffix}"),
        None => host.to_string(),
    }
}

fn paths(of: Option<&HttpMatch>) -> Vec<String> {
    let (kind, value) = match of {
        Some(of) => (of.path.kind, of.path.value.as_str()),
        None => (PathMatchType::PathPrefix, "/"),
    };
    match kind {
        PathMatchType::Exact => vec![value.to_owned()],
        PathMatchType::PathPrefix => {
            vec![value.to_owned(), format!("{}/{ANY}", value.trim_end_matches('/'))]
        }
        PathMatchType::RegularExpression => {
            expression::example(value).filter(|path| path.starts_with('/')).into_iter().collect()
        }
    }
}

/// A connection or datagrams, without a host where nobody names one.
fn unread(kind: Kind, host: String, port: u16, scheme: Scheme) -> Sample<'static> {
    let host = if scheme == Scheme::Https { host } else { String::new() };
    let (path, headers) = (String::new(), HeaderMap::new());
    let (layer, method) = match kind {
        Kind::UdpRoute => (Layer::Datagrams, policy::udp()),
        _ => (Layer::Connection, Method::CONNECT),
    };
    Sample { of: None, layer, host, port, scheme, path, query: None, method, headers }
}

fn sample<'r>(
    of: Option<&'r HttpMatch>,
    host: &str,
    (port, scheme): (u16, Scheme),
    path: String,
) -> Option<Sample<'r>> {
    let value = |kind, value: &str| match kind {
        ValueMatchType::Exact => Some(value.to_owned()),
        ValueMatchType::RegularExpression => expression::example(value),
    };
    let (mut headers, mut query, mut method) = (HeaderMap::new(), Vec::new(), Method::GET);
    if let Some(of) = of {
        for one in &of.headers {
            let name = HeaderName::from_bytes(one.name.as_bytes()).ok()?;
            let value = value(one.kind, &one.value)?;
            headers.insert(name, HeaderValue::from_str(&value).ok()?);
        }
        for one in &of.query_params {
            query.push(format!("{}={}", one.name, value(one.kind, &one.value)?));
        }
        if let Some(written) = of.method {
            method = Method::from_bytes(written.as_str().as_bytes()).ok()?;
        }
    }
    let query = (!query.is_empty()).then(|| query.join("&"));
    let (host, layer) = (host.to_owned(), Layer::Request);
    Some(Sample { of, layer, host, port, scheme, path, query, method, headers })
}
