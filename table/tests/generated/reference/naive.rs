//! The reference: one slow reading of the Gateway API's text, with nothing of the table in it.
//!
//! It looks at every listener, route, rule and match, writes down how each that fits ranks by the
//! specification's list, and takes the first.

use std::cmp::Reverse;

use model::gateway::{FromNamespaces, Gateway, Listener};
use model::route::{HttpMatch, HttpRoute, PathMatchType, ValueMatchType};
use model::{Hostname, Resource};
use regex::Regex;

use super::generate::Request;

/// What a request leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    NoListener,
    NoRoute { listener: String },
    Rule { listener: String, route: String, rule: usize, prefix: Option<String> },
}

/// Finds the answer, and whether two routes tied up to their age.
pub(crate) fn answer(world: &[Resource], request: &Request) -> (Answer, bool) {
    let Some((gateway, listener)) = listener(world, request) else {
        return (Answer::NoListener, false);
    };
    let name = format!("{}/{}", gateway_name(gateway), listener.name);
    let attached = world.iter().filter_map(|resource| match resource {
        Resource::HttpRoute(route) if attaches(route, gateway, listener) => Some(&**route),
        _ => None,
    });
    let mut fitting: Vec<_> = attached.flat_map(|route| ranks(route, request)).collect();
    fitting.sort_by(|a, b| a.0.cmp(&b.0));
    let tied = matches!(&fitting[..], [(a, _), (b, _), ..] if a.8 != b.8
        && (a.0, a.1, a.2, a.3, a.4, a.5) == (b.0, b.1, b.2, b.3, b.4, b.5));
    let answer = match fitting.into_iter().next() {
        None => Answer::NoRoute { listener: name },
        Some((rank, prefix)) => {
            Answer::Rule { listener: name, route: rank.8, rule: rank.9, prefix }
        }
    };
    (answer, tied)
}

fn gateway_name(gateway: &Gateway) -> String {
    format!("{}/{}", gateway.metadata.namespace, gateway.metadata.name)
}

/// The most specific listener; of two Gateways that hold the same host and port, the older's.
fn listener<'w>(world: &'w [Resource], request: &Request) -> Option<(&'w Gateway, &'w Listener)> {
    let mut gateways: Vec<_> = world
        .iter()
        .filter_map(|resource| match resource {
            Resource::Gateway(gateway) => Some(&**gateway),
            _ => None,
        })
        .collect();
    gateways.sort_by_key(|one| (one.metadata.creation_timestamp, gateway_name(one)));
    let all = gateways.iter().flat_map(|one| one.spec.listeners.iter().map(move |l| (*one, l)));
    let fitting = all.filter(|(_, one)| {
        one.port == request.port && one.hostname.as_ref().is_none_or(|h| means(h, &request.host))
    });
    // Of equals the first, so the older, wins.
    fitting.min_by_key(|(_, one)| specificity(one.hostname.as_ref()))
}

/// Characters in a host name without wildcard, then characters in any host name; most first.
fn specificity(name: Option<&Hostname>) -> (Reverse<usize>, Reverse<usize>) {
    let text = name.map_or("", Hostname::as_str);
    let exact = if text.starts_with('*') { 0 } else { text.len() };
    (Reverse(exact), Reverse(text.len()))
}

/// Label by label from the right; a wildcard stands for one label or more.
fn means(name: &Hostname, host: &str) -> bool {
    let wanted: Vec<_> = name.as_str().split('.').rev().collect();
    let labels: Vec<_> = host.split('.').rev().collect();
    match wanted.split_last() {
        Some((&"*", rest)) => labels.len() > rest.len() && labels.starts_with(rest),
        _ => labels == wanted,
    }
}

fn attaches(route: &HttpRoute, gateway: &Gateway, listener: &Listener) -> bool {
    let own = &route.metadata.namespace;
    let meant = route.spec.parent_refs.iter().any(|parent| {
        parent.name == gateway.metadata.name
            && *parent.namespace.as_ref().unwrap_or(own) == gateway.metadata.namespace
            && parent.section_name.as_ref().is_none_or(|section| *section == listener.name)
            && parent.port.is_none_or(|port| port == listener.port)
    });
    let from = listener.allowed_routes.as_ref().map_or(FromNamespaces::Same, |a| a.namespaces.from);
    let allowed = match from {
        FromNamespaces::All => true,
        FromNamespaces::Same => *own == gateway.metadata.namespace,
        FromNamespaces::None | FromNamespaces::Selector => false,
    };
    meant && allowed
}

/// The specification's list, in its order, each field so that the smaller comes first.
type Rank = (
    (Reverse<usize>, Reverse<usize>),
    u8,
    Reverse<usize>,
    Reverse<bool>,
    Reverse<usize>,
    Reverse<usize>,
    bool,
    i128,
    String,
    usize,
    usize,
);

/// How each match of a route that fits ranks, with its prefix.
fn ranks(route: &HttpRoute, request: &Request) -> Vec<(Rank, Option<String>)> {
    let hosts: Vec<_> = match &route.spec.hostnames[..] {
        [] => vec![specificity(None)],
        names => {
            let fitting = names.iter().filter(|name| means(name, &request.host));
            fitting.map(|name| specificity(Some(name))).collect()
        }
    };
    let everything = [HttpMatch::default()];
    let mut ranks = Vec::new();
    for host in hosts {
        for (rule, written) in route.spec.rules.iter().enumerate() {
            let none = written.matches.is_empty();
            let matches = if none { &everything[..] } else { &written.matches };
            for (index, one) in matches.iter().enumerate() {
                if fits(one, request) {
                    ranks.push((rank(route, one, host, rule, index), prefix(one)));
                }
            }
        }
    }
    ranks
}

fn rank(
    route: &HttpRoute,
    one: &HttpMatch,
    host: (Reverse<usize>, Reverse<usize>),
    rule: usize,
    index: usize,
) -> Rank {
    let meta = &route.metadata;
    let path = match one.path.kind {
        PathMatchType::Exact => 0,
        PathMatchType::RegularExpression => 1,
        PathMatchType::PathPrefix => 2,
    };
    let created = meta.creation_timestamp.map(|at| at.unix_timestamp_nanos());
    (
        host,
        path,
        Reverse(prefix(one).unwrap_or_else(|| one.path.value.clone()).chars().count()),
        Reverse(one.method.is_some()),
        Reverse(one.headers.len()),
        Reverse(one.query_params.len()),
        created.is_some(),
        created.unwrap_or_default(),
        format!("{}/{}", meta.namespace, meta.name),
        rule,
        index,
    )
}

fn prefix(one: &HttpMatch) -> Option<String> {
    let trimmed = one.path.value.trim_end_matches('/');
    let prefix = if trimmed.is_empty() { "/" } else { trimmed };
    (one.path.kind == PathMatchType::PathPrefix).then(|| prefix.to_owned())
}

fn fits(one: &HttpMatch, request: &Request) -> bool {
    let path = match one.path.kind {
        PathMatchType::Exact => request.path == one.path.value,
        PathMatchType::RegularExpression => whole(&one.path.value, &request.path),
        PathMatchType::PathPrefix => {
            elements(&request.path).starts_with(&elements(&one.path.value))
        }
    };
    let method = one.method.is_none_or(|method| method.as_str() == request.method.as_str());
    let headers = one.headers.iter().all(|header| {
        let lines = request.headers.get_all(&header.name).iter();
        let lines: Vec<_> = lines.map(|line| line.to_str().unwrap()).collect();
        !lines.is_empty() && value_fits(header.kind, &header.value, &lines.join(","))
    });
    let queries = one.query_params.iter().all(|query| {
        // A parameter without a value has the empty one; without a query there is none.
        let pairs = request.query.iter().flat_map(|query| query.split('&'));
        let mut pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let first = pairs.find(|(name, _)| meant(name) == query.name.as_bytes());
        let value = first.map(|(_, value)| meant(value));
        let value = value.and_then(|value| String::from_utf8(value).ok());
        value.is_some_and(|value| value_fits(query.kind, &query.value, &value))
    });
    path && method && headers && queries
}

/// What is meant by a part of a query, as forms are read (URL Standard, section 5.1): a plus is a space, and a
/// percent sign with two digits behind it a byte.
fn meant(text: &str) -> Vec<u8> {
    let text = text.replace('+', " ");
    let mut parts = text.split('%');
    let mut meant = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let digits = part.get(..2).filter(|two| two.bytes().all(|one| one.is_ascii_hexdigit()));
        match digits.map(|digits| u8::from_str_radix(digits, 16).unwrap()) {
            Some(byte) => {
                meant.push(byte);
                meant.extend(part[2..].bytes());
            }
            None => {
                meant.push(b'%');
                meant.extend(part.bytes());
            }
        }
    }
    meant
}

/// The elements of a path; a slash at its end is ignored.
fn elements(path: &str) -> Vec<&str> {
    path.split('/').filter(|element| !element.is_empty()).collect()
}

fn value_fits(kind: ValueMatchType, wanted: &str, value: &str) -> bool {
    match kind {
        ValueMatchType::Exact => wanted == value,
        ValueMatchType::RegularExpression => whole(wanted, value),
    }
}

fn whole(pattern: &str, text: &str) -> bool {
    thread_local! {
        static KNOWN: std::cell::RefCell<std::collections::HashMap<String, Regex>> =
            std::cell::RefCell::default();
    }
    KNOWN.with_borrow_mut(|known| {
        let make = || Regex::new(&format!("^(?:{pattern})$")).unwrap();
        known.entry(pattern.to_owned()).or_insert_with(make).is_match(text)
    })
}
