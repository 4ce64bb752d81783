//! The reference: one slow reading of the Gateway API's text, with nothing of the table in it.
//!
//! It looks at every listener, route, rule and match, writes down how each that fits ranks by the
//! specification's list, and takes the first.

use std::cmp::Reverse;

use model::gateway::{FromNamespaces, Gateway, Listener};
use model::route::{
    GrpcMatch, GrpcMethodMatchType, GrpcRoute, HeaderMatch, HttpMatch, HttpRoute, ParentRef,
    PathMatchType, ValueMatchType,
};
use model::{Hostname, Meta, Resource};
use regex::Regex;

use super::generate::Request;

/// What a request leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    NoListener,
    NoRoute { listener: String },
    Rule { listener: String, route: String, rule: usize, prefix: Option<String> },
}

/// A route of either kind.
#[derive(Debug, Clone, Copy)]
enum Route<'w> {
    Http(&'w HttpRoute),
    Grpc(&'w GrpcRoute),
}

impl<'w> Route<'w> {
    fn of(resource: &'w Resource) -> Option<Self> {
        match resource {
            Resource::HttpRoute(route) => Some(Route::Http(route)),
            Resource::GrpcRoute(route) => Some(Route::Grpc(route)),
            _ => None,
        }
    }

    fn is_grpc(self) -> bool {
        matches!(self, Route::Grpc(_))
    }

    fn metadata(self) -> &'w Meta {
        match self {
            Route::Http(route) => &route.metadata,
            Route::Grpc(route) => &route.metadata,
        }
    }

    fn hostnames(self) -> &'w [Hostname] {
        match self {
            Route::Http(route) => &route.spec.hostnames,
            Route::Grpc(route) => &route.spec.hostnames,
        }
    }

    fn parents(self) -> &'w [ParentRef] {
        match self {
            Route::Http(route) => &route.spec.parent_refs,
            Route::Grpc(route) => &route.spec.parent_refs,
        }
    }

    /// The older first; who has no age counts as oldest.
    fn age(self) -> (bool, i128, String) {
        let meta = self.metadata();
        let created = meta.creation_timestamp.map(|at| at.unix_timestamp_nanos());
        let name = format!("{}/{}", meta.namespace, meta.name);
        (created.is_some(), created.unwrap_or_default(), name)
    }
}

/// Finds the answer, and whether two routes tied up to their age.
pub(crate) fn answer(world: &[Resource], request: &Request) -> (Answer, bool) {
    let Some((gateway, listener)) = listener(world, request) else {
        return (Answer::NoListener, false);
    };
    let name = format!("{}/{}", gateway_name(gateway), listener.name);
    let attached = attached(world, gateway, listener);
    let mut fitting: Vec<_> =
        attached.into_iter().flat_map(|route| ranks(route, request)).collect();
    fitting.sort_by(|a, b| a.0.cmp(&b.0));
    let tied = matches!(&fitting[..], [(a, _), (b, _), ..]
        if a.age != b.age && (a.host, a.path, a.rest) == (b.host, b.path, b.rest));
    let answer = match fitting.into_iter().next() {
        None => Answer::NoRoute { listener: name },
        Some((rank, prefix)) => {
            Answer::Rule { listener: name, route: rank.age.2, rule: rank.rule, prefix }
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

/// The routes of a listener. A host is there for routes of one kind, of which the oldest has it; who wants
/// one that is another kind's is not attached.
fn attached<'w>(world: &'w [Resource], gateway: &Gateway, listener: &Listener) -> Vec<Route<'w>> {
    let routes = world.iter().filter_map(Route::of);
    let mut routes: Vec<_> = routes.filter(|one| attaches(*one, gateway, listener)).collect();
    routes.sort_by_key(|one| one.age());
    let hosts = |route: Route<'_>| -> Vec<String> {
        let own: Vec<_> = match route.hostnames() {
            [] => vec!["*"],
            names => names.iter().map(Hostname::as_str).collect(),
        };
        let listens = listener.hostname.as_ref().map_or("*", Hostname::as_str);
        own.into_iter().filter_map(|own| common(own, listens)).collect()
    };
    let mut attached: Vec<Route<'w>> = Vec::new();
    for route in routes {
        let wanted = hosts(route);
        let is_had = attached.iter().filter(|one| one.is_grpc() != route.is_grpc()).any(|other| {
            let had = hosts(*other);
            had.iter().any(|had| wanted.iter().any(|wanted| common(had, wanted).is_some()))
        });
        if !is_had {
            attached.push(route);
        }
    }
    attached
}

/// The hosts that two names mean both, as a name; `*` means every host.
fn common(one: &str, other: &str) -> Option<String> {
    let is_within = |inner: &str, outer: &str| match outer.strip_prefix('*') {
        None => inner == outer,
        Some(rest) => inner.ends_with(rest) && (rest.is_empty() || inner.len() > rest.len()),
    };
    match (is_within(one, other), is_within(other, one)) {
        (true, _) => Some(one.to_owned()),
        (false, true) => Some(other.to_owned()),
        (false, false) => None,
    }
}

fn attaches(route: Route<'_>, gateway: &Gateway, listener: &Listener) -> bool {
    let own = &route.metadata().namespace;
    let meant = route.parents().iter().any(|parent| {
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
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    host: (Reverse<usize>, Reverse<usize>),
    path: Place,
    rest: (Reverse<bool>, Reverse<usize>, Reverse<usize>),
    age: (bool, i128, String),
    rule: usize,
    index: usize,
}

/// How specific a path is: its sort, and then by letters, which of a call are those of the service and those of
/// the method.
type Place = (u8, Reverse<usize>, Reverse<usize>);

/// How each match of a route that fits ranks, with its prefix.
fn ranks(route: Route<'_>, request: &Request) -> Vec<(Rank, Option<String>)> {
    let hosts: Vec<_> = match route.hostnames() {
        [] => vec![specificity(None)],
        names => {
            let fitting = names.iter().filter(|name| means(name, &request.host));
            fitting.map(|name| specificity(Some(name))).collect()
        }
    };
    let fitting = match route {
        Route::Http(route) => requests(route, request),
        Route::Grpc(route) => calls(route, request),
    };
    let rank = |host, Fit { path, rest, at: (rule, index), prefix }: &Fit| {
        let (path, rest, rule, index) = (*path, *rest, *rule, *index);
        (Rank { host, path, rest, age: route.age(), rule, index }, prefix.clone())
    };
    hosts.iter().flat_map(|host| fitting.iter().map(move |one| rank(*host, one))).collect()
}

/// A match that fits a request, whatever its host is.
struct Fit {
    path: Place,
    rest: (Reverse<bool>, Reverse<usize>, Reverse<usize>),
    at: (usize, usize),
    prefix: Option<String>,
}

fn requests(route: &HttpRoute, request: &Request) -> Vec<Fit> {
    let mut fitting = Vec::new();
    let everything = [HttpMatch::default()];
    for (rule, written) in route.spec.rules.iter().enumerate() {
        let none = written.matches.is_empty();
        let matches = if none { &everything[..] } else { &written.matches };
        for (index, one) in matches.iter().enumerate().filter(|(_, one)| fits(one, request)) {
            let sort = match one.path.kind {
                PathMatchType::Exact => 0,
                PathMatchType::RegularExpression => 1,
                PathMatchType::PathPrefix => 2,
            };
            let prefix = prefix(one);
            let letters = prefix.as_ref().unwrap_or(&one.path.value).chars().count();
            let method = Reverse(one.method.is_some());
            fitting.push(Fit {
                path: (sort, Reverse(letters), Reverse(0)),
                rest: (method, Reverse(one.headers.len()), Reverse(one.query_params.len())),
                at: (rule, index),
                prefix,
            });
        }
    }
    fitting
}

fn calls(route: &GrpcRoute, request: &Request) -> Vec<Fit> {
    let mut fitting = Vec::new();
    let everything = [GrpcMatch { method: None, headers: Vec::new() }];
    for (rule, written) in route.spec.rules.iter().enumerate() {
        let none = written.matches.is_empty();
        let matches = if none { &everything[..] } else { &written.matches };
        for (index, one) in matches.iter().enumerate() {
            if is_called(one, request) && headers_fit(&one.headers, request) {
                fitting.push(Fit {
                    path: called(one),
                    rest: (Reverse(false), Reverse(one.headers.len()), Reverse(0)),
                    at: (rule, index),
                    prefix: None,
                });
            }
        }
    }
    fitting
}

/// Whether a request calls what a match names. A service that is named alone has all below it; else a call has
/// just two elements.
fn is_called(one: &GrpcMatch, request: &Request) -> bool {
    let Some(of) = &one.method else { return true };
    let parts: Vec<_> = request.path[1..].split('/').collect();
    let fits = |wanted: &str, name: &str| match of.kind {
        GrpcMethodMatchType::Exact => wanted == name,
        GrpcMethodMatchType::RegularExpression => whole(wanted, name),
    };
    match (&of.service, &of.method, &parts[..]) {
        (Some(service), None, [name, ..]) if of.kind == GrpcMethodMatchType::Exact => {
            service == name
        }
        (service, method, [of_service, of_method])
            if !of_service.is_empty() && !of_method.is_empty() =>
        {
            service.as_ref().is_none_or(|wanted| fits(wanted, of_service))
                && method.as_ref().is_none_or(|wanted| fits(wanted, of_method))
        }
        _ => false,
    }
}

/// Letter by letter, before expressions, before what is not named in full.
fn called(one: &GrpcMatch) -> Place {
    let Some(of) = &one.method else { return (2, Reverse(0), Reverse(0)) };
    let letters = |part: &Option<String>| part.as_ref().map_or(0, |part| part.chars().count());
    let (service, method) = (letters(&of.service), letters(&of.method));
    match of.kind {
        GrpcMethodMatchType::RegularExpression => (1, Reverse(service + method), Reverse(0)),
        GrpcMethodMatchType::Exact if service > 0 && method > 0 => (0, Reverse(0), Reverse(0)),
        GrpcMethodMatchType::Exact => (2, Reverse(service), Reverse(method)),
    }
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
    let headers = headers_fit(&one.headers, request);
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

fn headers_fit(wanted: &[HeaderMatch], request: &Request) -> bool {
    wanted.iter().all(|header| {
        let lines = request.headers.get_all(&header.name).iter();
        let lines: Vec<_> = lines.map(|line| line.to_str().unwrap()).collect();
        !lines.is_empty() && value_fits(header.kind, &header.value, &lines.join(","))
    })
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
