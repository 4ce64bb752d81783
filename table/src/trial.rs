//! A request that somebody only thinks of, tried at some routes, such as those of one Api.
//!
//! It is read as it was typed, or told what is wrong with each field; then the table that decides for
//! requests on the network decides for it, and [`why`](crate::why) tells.
//!
//! What is tried knows of no endpoint, and of no route, policy, claim or Gateway but those that it was
//! given. So it says which of *these* routes a request leads to, and never what a gateway would
//! answer where none of them fits. Certificates are taken to be there, since no Secret is told to whom
//! tries, and so are grants of other namespaces.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use http::header::HOST;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use model::secret::{CA_ENTRY, TLS_SECRET};
use model::{Key, Kind, Resource};
use policy::{Facts, Layer, Reason, Scheme};
use serde_json::{Value, from_value, json};

use crate::why::{Line, Story, Won, lead};
use crate::{Input, Table, assemble};

#[cfg(feature = "browser")]
mod browser;
#[cfg(test)]
mod tests;

/// Of the matches that did not win so many are told.
const OTHERS: usize = 20;

/// Routes at which requests are tried.
#[derive(Debug)]
pub struct Trial {
    table: Arc<Table>,
    /// What is wrong with the routes.
    faults: Vec<String>,
    /// The routes that cannot be tried, such as those with an expression that a browser does not know.
    untried: Vec<String>,
}

/// A request as somebody typed it.
#[derive(Debug, Clone, Default)]
pub struct Typed {
    /// Such as `GET`.
    pub method: String,
    /// With or without a port, which means nothing.
    pub host: String,
    /// The port of the listener.
    pub port: u16,
    /// With the query, if there is one.
    pub path: String,
    /// One a line.
    pub headers: String,
}

/// What is told of a request.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// What is wrong with what was typed; then nothing else is told.
    pub slips: Vec<Slip>,
    /// What comes of it, in a sentence.
    pub sum: String,
    /// The listener, the rule that won, and what that does.
    pub lines: Vec<Line>,
    /// The nearest of the matches that did not win, each with the first thing that did not fit.
    pub others: Vec<String>,
    /// How many more there are.
    pub more: usize,
    /// What is wrong with the routes themselves.
    pub faults: Vec<String>,
}

/// Something wrong with what was typed.
#[derive(Debug, PartialEq, Eq)]
pub struct Slip {
    /// Where.
    pub field: Field,
    /// What, and where it helps what would be right.
    pub why: String,
}

/// A field that somebody types into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// The method.
    Method,
    /// The host, with or without a port.
    Host,
    /// The path, with its query.
    Path,
    /// The headers, one a line.
    Headers,
}

impl Field {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Field::Method => "method",
            Field::Host => "host",
            Field::Path => "path",
            Field::Headers => "headers",
        }
    }
}

/// The parts of a request that could be read.
struct Request<'t> {
    method: Method,
    host: Cow<'t, str>,
    path: Cow<'t, str>,
    query: Option<&'t str>,
    headers: HeaderMap,
}

impl Trial {
    /// What may be tried at these objects.
    pub fn new(mut resources: Vec<Resource>) -> Self {
        let certificates: Vec<_> = resources.iter().flat_map(certificates).collect();
        resources.extend(certificates);
        // Grants of others are nothing that they are told of.
        let assembly = assemble(Input { resources, lends: true, ..Input::default() }, None);
        let is_route = |key: &&Key| key.kind.is_route();
        let of_routes = assembly
            .faults
            .iter()
            .filter(|fault| fault.key.as_ref().is_some_and(|key| is_route(&key)));
        let faults = of_routes.map(ToString::to_string).collect();
        let untried = assembly.lost.iter().filter(is_route).map(ToString::to_string).collect();
        Trial { table: assembly.table, faults, untried }
    }

    /// The same of objects as REST shows them.
    ///
    /// # Errors
    /// What cannot be read, in words.
    pub fn of_json(objects: Vec<Value>) -> Result<Self, String> {
        Ok(Trial::new(objects.into_iter().map(object).collect::<Result<_, _>>()?))
    }

    /// Tries a request.
    pub fn tell(&self, typed: &Typed) -> Told {
        let request = match Request::read(typed) {
            Ok(request) => request,
            Err(slips) => return Told { slips, ..Told::default() },
        };
        let ports = self.table.ports();
        let scheme = ports.get(&typed.port).copied();
        let facts = Facts {
            layer: Layer::Request,
            now: 0,
            source: IpAddr::V4(Ipv4Addr::LOCALHOST),
            scheme: scheme.unwrap_or(Scheme::Http),
            port: typed.port,
            host: &request.host,
            method: &request.method,
            path: &request.path,
            query: request.query,
            headers: &request.headers,
            peer: None,
            certificate: None,
            users: &[],
            sessions: &[],
            revoked: None,
        };
        let (story, led) = lead(&self.table, &facts);
        let answer =
            led.and_then(|(entry, rule)| rule.chain.explain_answer(&facts, entry.of.prefix()));
        let mut told = told(story, &facts, scheme.is_some());
        told.lines.extend(answer.map(|one| Line { title: "answer", text: one.to_string() }));
        told.faults.clone_from(&self.faults);
        if !self.untried.is_empty() {
            told.sum += &format!(" It could not be tried at {}.", self.untried.join(", "));
        }
        told
    }
}

/// Reads an object of the kinds that say which requests a route gets. Reading all kinds there are would
/// make a browser load twice as much.
fn object(mut object: Value) -> Result<Resource, String> {
    let kind = object["kind"].as_str().unwrap_or_default();
    let kind = Kind::parse(kind).ok_or_else(|| format!("'{kind}' is no kind"))?;
    if let Some(fields) = object.as_object_mut() {
        for beside in ["apiVersion", "kind", "status"] {
            fields.remove(beside);
        }
    }
    let read = match kind {
        Kind::Gateway => from_value(object).map(|one| Resource::Gateway(Arc::new(one))),
        Kind::ListenerSet => from_value(object).map(|one| Resource::ListenerSet(Arc::new(one))),
        Kind::HttpRoute => from_value(object).map(|one| Resource::HttpRoute(Arc::new(one))),
        Kind::GrpcRoute => from_value(object).map(|one| Resource::GrpcRoute(Arc::new(one))),
        Kind::Namespace => from_value(object).map(|one| Resource::Namespace(Arc::new(one))),
        Kind::Service => from_value(object).map(|one| Resource::Service(Arc::new(one))),
        Kind::Api => from_value(object).map(|one| Resource::Api(Arc::new(one))),
        _ => return Err(format!("no request is tried at a {kind}")),
    };
    read.map_err(|error| format!("a {kind}: {error}"))
}

/// A story without what only a gateway knows.
fn told(mut story: Story, facts: &Facts<'_>, is_open: bool) -> Told {
    let line = |title, text| Line { title, text };
    let mut lines = Vec::new();
    lines.extend(story.listener.as_ref().map(|one| line("listener", one.to_string())));
    let sum = match (&mut story.won, story.reason) {
        (Some(won), _) => {
            forget_endpoints(won);
            lines.extend(won.lines());
            format!("Of these routes it meets rule {}, by {}.", won.rule, won.matched)
        }
        (None, Some(Reason::NoListener)) if is_open => format!(
            "It meets none of these routes: none of their listeners on port {} serves the host '{}'.",
            facts.port, facts.host
        ),
        (None, Some(Reason::NoListener)) => {
            let why = story.no_listener.take().unwrap_or_default();
            format!("It meets none of these routes: {why}.")
        }
        (None, _) => "It meets none of these routes: no match of theirs fits it.".to_owned(),
    };
    let more = story.others.len().saturating_sub(OTHERS);
    let others = story.others.iter().take(OTHERS).map(ToString::to_string).collect();
    Told { sum, lines, others, more, ..Told::default() }
}

fn forget_endpoints(won: &mut Won) {
    won.backends.iter_mut().for_each(|backend| backend.endpoints = None);
    won.mirrors.iter_mut().for_each(|mirror| mirror.endpoints = None);
}

/// Stands for the certificates that a Gateway or ListenerSet names.
fn certificates(of: &Resource) -> Vec<Resource> {
    let stand_in = |Key { kind, namespace, name }: Key| {
        let metadata = json!({ "namespace": namespace, "name": name });
        match kind {
            Kind::Secret => {
                let data = json!({ "tls.crt": "", "tls.key": "" });
                let secret = json!({ "metadata": metadata, "type": TLS_SECRET, "data": data });
                from_value(secret).ok().map(|one| Resource::Secret(Arc::new(one)))
            }
            _ => {
                let map = json!({ "metadata": metadata, "data": { CA_ENTRY: "" } });
                from_value(map).ok().map(|one| Resource::ConfigMap(Arc::new(one)))
            }
        }
    };
    of.certificates().into_iter().filter_map(|(_, key)| stand_in(key)).collect()
}

impl<'t> Request<'t> {
    fn read(typed: &'t Typed) -> Result<Self, Vec<Slip>> {
        let mut slips = Vec::new();
        let mut note = |field, why: String| slips.push(Slip { field, why });
        let method = method(typed.method.trim()).map_err(|why| note(Field::Method, why)).ok();
        let host = policy::host::normalise(typed.host.trim());
        let host = host.map_err(|why| note(Field::Host, why.to_string())).ok();
        let path = path(typed.path.trim()).map_err(|why| note(Field::Path, why)).ok();
        let headers = headers(&typed.headers).map_err(|why| note(Field::Headers, why)).ok();
        match (method, host, path, headers) {
            (Some(method), Some(host), Some((path, query)), Some(headers)) => {
                Ok(Request { method, host, path, query, headers })
            }
            _ => Err(slips),
        }
    }
}

fn method(text: &str) -> Result<Method, String> {
    match Method::from_bytes(text.as_bytes()) {
        Ok(Method::CONNECT) => Err("CONNECT would be answered 400".to_owned()),
        Ok(method) => Ok(method),
        Err(_) => Err(format!("'{text}' is no method; write one such as GET")),
    }
}

/// The path in its normal form, and the query.
fn path(text: &str) -> Result<(Cow<'_, str>, Option<&str>), String> {
    if !text.starts_with('/') {
        return Err("the path does not begin with '/'".to_owned());
    }
    if text.contains('#') {
        return Err("what begins with '#' is never sent".to_owned());
    }
    let (path, query) =
        text.split_once('?').map_or((text, None), |(path, query)| (path, Some(query)));
    let path = model::path::normalise(path).map_err(|why| why.to_string())?;
    match query.map(|query| format!("/?{query}").parse::<PathAndQuery>()) {
        Some(Err(_)) => Err("the query has a character that no query has".to_owned()),
        Some(Ok(_)) | None => Ok((path, query)),
    }
}

fn headers(text: &str) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (name, value) = header(line)?;
        if name == HOST {
            return Err("the host has a field of its own".to_owned());
        }
        headers.try_append(name, value).map_err(|_| "there are too many headers".to_owned())?;
    }
    Ok(headers)
}

/// A header as curl takes it: `name: value`.
///
/// # Errors
/// What is wrong with it, in words.
pub fn header(line: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = line.split_once(':').ok_or("write it as 'name: value'")?;
    let name = HeaderName::from_bytes(name.trim().as_bytes())
        .map_err(|_| format!("'{name}' is no header name"))?;
    let value = HeaderValue::from_str(value.trim())
        .map_err(|_| format!("the value of '{name}' is no header value"))?;
    Ok((name, value))
}
