//! Why: which listener, route and rule a request leads to, and for every other match of that
//! listener the first thing that did not fit.

use std::cmp::Ordering;
use std::sync::Arc;

use model::gateway::FrontendValidationMode;
use model::route::{HeaderMatch, HttpMatch, PathMatch, PathMatchType, QueryMatch, ValueMatchType};
use model::service::Transport;
use model::{Hostname, Key};
use policy::{Facts, Layer, Reason, Scheme, explain};
use serde::Serialize;

use crate::listener::Listener;
use crate::precedence::{By, HostRank};
use crate::route::{Entry, Match};
use crate::{ClientValidation, Rule, State, Table};
use won::won;

mod text;
mod won;

pub use text::Line;
pub use won::{BackendStory, MirrorStory, RetryStory, SessionStory, TimeoutStory, Won};

/// The story of one request. `Display` tells it in plain text.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Story {
    /// The digest of the table.
    pub table: String,
    /// The listener that serves the request.
    pub listener: Option<ListenerStory>,
    /// Why no listener serves the request, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_listener: Option<String>,
    /// Why no rule was found.
    pub reason: Option<Reason>,
    /// The rule that won.
    pub won: Option<Won>,
    /// The other matches of the same listener, the nearest first.
    pub others: Vec<Other>,
    /// What the policies of the rule say.
    pub policy: Option<explain::Story>,
}

/// A listener in a story.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListenerStory {
    /// `namespace/name` of the Gateway.
    pub gateway: String,
    /// `namespace/name` of the ListenerSet that adds it, unless it is the Gateway's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set: Option<String>,
    /// The listener's name.
    pub name: String,
    /// Its port.
    pub port: u16,
    /// Its host name, if it has one.
    pub hostname: Option<String>,
    /// What callers prove by certificates, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
}

/// A match that did not win.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Other {
    /// `namespace/name` of the route.
    pub route: String,
    /// The rule's label.
    pub rule: String,
    /// The match.
    pub matched: String,
    /// The first thing that did not fit.
    pub obstacle: Obstacle,
    /// The same in words.
    pub why: String,
}

/// What kept a match from winning, the nearest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Obstacle {
    /// It fits; another one comes first.
    Precedence,
    /// It fits; another workspace holds what is asked for.
    Held,
    /// A query parameter.
    Query,
    /// A header.
    Header,
    /// The method.
    Method,
    /// The path.
    Path,
    /// The host.
    Host,
}

/// The match that won, and its rule.
type Led<'t> = (&'t Entry, &'t Rule);

/// Tells the story of a request.
pub(crate) fn tell(table: &Table, facts: &Facts<'_>) -> Story {
    let (mut story, led) = lead(table, facts);
    story.policy = led.map(|(entry, rule)| rule.chain.explain(facts, entry.of.prefix()));
    story
}

/// The same without what the rule's policies say, and with the rule.
pub(crate) fn lead<'t>(table: &'t Table, facts: &Facts<'_>) -> (Story, Option<Led<'t>>) {
    let mut story = Story {
        table: table.digest.clone(),
        listener: None,
        no_listener: None,
        reason: None,
        won: None,
        others: Vec::new(),
        policy: None,
    };
    let listener = match facts.layer {
        Layer::Request | Layer::Connection => table.listener(facts.port, facts.host),
        Layer::Datagrams => table.udp_listener(facts.port),
    };
    let fits = |listener: &&Arc<Listener>| {
        listener.scheme() == facts.scheme && listener.layer() == facts.layer
    };
    let Some(listener) = listener.filter(fits) else {
        story.reason = Some(Reason::NoListener);
        story.no_listener = Some(no_listener(table, facts));
        return (story, None);
    };
    story.listener = Some(listener_story(listener));
    let winner = listener.lead(facts);
    story.others = others(table, listener, winner, facts);
    let led = winner.and_then(|entry| Some((entry, &**table.rules.get(entry.rule)?)));
    match led {
        None => story.reason = Some(Reason::NoRoute),
        Some((entry, rule)) => story.won = Some(won((table, listener), entry, rule, facts)),
    }
    (story, led)
}

/// What is there instead of a listener for the request.
fn no_listener(table: &Table, facts: &Facts<'_>) -> String {
    let (port, asked) = (facts.port, asked(facts));
    if facts.layer == Layer::Datagrams {
        return no_udp_listener(table, port);
    }
    let ports = table.ports();
    if let Some(scheme) = ports.get(&port) {
        if let Some(listener) = table.listener(port, facts.host)
            && listener.layer() != facts.layer
        {
            let (Listener { name, protocol, .. }, whose) = (&**listener, listener.whose());
            let spoken = protocol.as_str();
            let so = match facts.layer {
                Layer::Request => "of which no request is read",
                Layer::Connection | Layer::Datagrams => "and leads requests, not connections",
            };
            return format!("'{name}' of {whose} on port {port} speaks {spoken}, {so}");
        }
        return if *scheme == facts.scheme {
            format!("none on port {port} serves the host '{}': {}", facts.host, unserved(facts))
        } else {
            format!("port {port} speaks {}, not {asked}", spoken(table, port))
        };
    }
    if let Some(refused) = refused(table, (Transport::Tcp, port)) {
        return refused;
    }
    let ports = ports.keys().map(|&port| format!("{port} ({})", spoken(table, port)));
    let ports = ports.collect::<Vec<_>>().join(", ");
    let there =
        if ports.is_empty() { "no port is open".to_owned() } else { format!("there are {ports}") };
    format!("nothing listens on port {port}; {there}")
}

/// What is spoken by what is asked about.
fn asked(facts: &Facts<'_>) -> &'static str {
    match (facts.layer, facts.scheme) {
        (Layer::Request, Scheme::Http) => "HTTP",
        (Layer::Request, Scheme::Https) => "HTTPS",
        (Layer::Connection, Scheme::Http) => "TCP",
        (Layer::Connection, Scheme::Https) => "TLS",
        (Layer::Datagrams, _) => "UDP",
    }
}

/// What becomes of a host that no listener of its port has. Over TLS it is most often the handshake's name, too.
fn unserved(facts: &Facts<'_>) -> &'static str {
    match (facts.scheme, facts.layer) {
        (Scheme::Https, Layer::Request) => {
            "its TLS handshake is refused with the alert access_denied; on a connection for another name \
             it is answered 404"
        }
        (Scheme::Https, _) => "its TLS handshake is refused with the alert access_denied",
        (Scheme::Http, Layer::Request) => "answered 404",
        (Scheme::Http, _) => "closed",
    }
}

/// The protocols of the listeners that serve at a port of TCP.
fn spoken(table: &Table, port: u16) -> String {
    let at = (Transport::Tcp, port);
    let there = table.listeners.iter().filter(|one| one.place() == at && one.is_serving());
    let mut protocols: Vec<_> = there.map(|one| one.protocol.as_str()).collect();
    protocols.sort_unstable();
    protocols.dedup();
    protocols.join(" and ")
}

/// The same for datagrams.
fn no_udp_listener(table: &Table, port: u16) -> String {
    if let Some(refused) = refused(table, (Transport::Udp, port)) {
        return refused;
    }
    let ports: Vec<_> = table.udp_ports().map(|port| port.to_string()).collect();
    let there = match ports.is_empty() {
        true => "no port of UDP is open".to_owned(),
        false => format!("there are {}", ports.join(", ")),
    };
    format!("nothing takes datagrams on port {port}; {there}")
}

/// The listener that would be at a place, and why it is refused.
fn refused(table: &Table, place: (Transport, u16)) -> Option<String> {
    table.listeners.iter().filter(|listener| listener.place() == place).find_map(|listener| {
        let State::Refused(why) = &listener.state else { return None };
        let (name, whose, port) = (&listener.name, listener.whose(), listener.port);
        Some(format!("'{name}' of {whose}, the one for port {port}, is refused: {why}"))
    })
}

fn listener_story(listener: &Listener) -> ListenerStory {
    let short = |key: &Key| format!("{}/{}", key.namespace, key.name);
    ListenerStory {
        gateway: short(&listener.gateway),
        set: listener.set.as_ref().map(short),
        name: listener.name.to_string(),
        port: listener.port,
        hostname: listener.hostname.as_ref().map(Hostname::to_string),
        client: listener.client_validation.as_deref().map(client),
    }
}

/// What callers prove by certificates.
fn client(asked: &ClientValidation) -> String {
    let named = asked.authorities.iter().map(|one| one.config_map.to_string());
    let named = named.collect::<Vec<_>>().join(" or ");
    match asked.mode {
        FrontendValidationMode::AllowValidOnly if asked.is_optional => {
            format!("may show a certificate, which {named} has to have signed, and is passed on")
        }
        FrontendValidationMode::AllowValidOnly => {
            format!("shows a certificate signed by {named}, or gets no connection")
        }
        FrontendValidationMode::AllowInsecureFallback => {
            format!("may show a certificate; one signed by {named} is passed on")
        }
    }
}

fn others(
    table: &Table,
    listener: &Listener,
    winner: Option<&Entry>,
    facts: &Facts<'_>,
) -> Vec<Other> {
    let is_winner = |entry: &&Entry| winner.is_some_and(|won| won.of.rank == entry.of.rank);
    let rest = listener.routes.all().into_iter().filter(|entry| !is_winner(entry));
    let mut others: Vec<Other> = rest
        .map(|entry| {
            let held = || {
                let holder = listener.routes.holder(&entry.of, facts)?;
                Some((Obstacle::Held, format!("this falls on {holder}")))
            };
            let (obstacle, why) = obstacle(&entry.of, facts)
                .or_else(held)
                .unwrap_or_else(|| (Obstacle::Precedence, lower(&entry.of, winner, facts)));
            Other {
                route: entry.of.rank.route.to_string(),
                rule: table.rules.get(entry.rule).map_or("", |rule| &rule.label).to_owned(),
                matched: in_words(&entry.of, facts.layer),
                obstacle,
                why,
            }
        })
        .collect();
    // Stable: within one obstacle the order of precedence stays.
    others.sort_by_key(|other| other.obstacle);
    others
}

/// The first thing that does not fit, if there is one.
fn obstacle(of: &Match, facts: &Facts<'_>) -> Option<(Obstacle, String)> {
    if of.best_host(facts.host).is_none() {
        let names: Vec<_> = of.source.spec.hostnames.iter().map(Hostname::as_str).collect();
        let text = format!("host '{}' is none of {}", facts.host, names.join(", "));
        return Some((Obstacle::Host, text));
    }
    let everything = HttpMatch::default();
    let written = of.written().unwrap_or(&everything);
    if !of.path.matches(facts.path) {
        let text = format!("path '{}' does not fit {}", facts.path, path(&written.path));
        return Some((Obstacle::Path, text));
    }
    if let Some(method) = of.method.as_ref().filter(|method| *method != facts.method) {
        let text = format!("method is {}, not {method}", facts.method);
        return Some((Obstacle::Method, text));
    }
    let headers = of.headers.iter().zip(&written.headers);
    if let Some((_, wanted)) = headers.into_iter().find(|(one, _)| !one.matches(facts.headers)) {
        let there = facts.headers.contains_key(wanted.name.as_str());
        return Some((Obstacle::Header, unfit(&header(wanted), there)));
    }
    let queries = of.queries.iter().zip(&written.query_params);
    let (_, wanted) = queries.into_iter().find(|(one, _)| !one.matches(facts.query))?;
    let names = facts.query.unwrap_or_default().split('&');
    let there = names.map(|pair| pair.split('=').next()).any(|name| name == Some(&wanted.name));
    Some((Obstacle::Query, unfit(&query(wanted), there)))
}

/// What was seen is not told: it may be a credential.
fn unfit(wanted: &str, there: bool) -> String {
    let seen = if there { "another value was sent" } else { "it was not sent" };
    format!("wants {wanted}; {seen}")
}

/// Why a match that fits comes after the winner.
fn lower(of: &Match, winner: Option<&Entry>, facts: &Facts<'_>) -> String {
    let Some(winner) = winner else {
        return "its route is not attached under this host, see its faults".to_owned();
    };
    let rank = |one: &Match| one.best_host(facts.host).map(HostRank::of);
    let by = match rank(&winner.of).cmp(&rank(of)) {
        Ordering::Equal => winner.of.rank.compare(&of.rank).1,
        Ordering::Less | Ordering::Greater => By::Host,
    };
    format!("lower precedence because {by}")
}

/// A match in words, all of which must hold.
fn in_words(of: &Match, layer: Layer) -> String {
    match layer {
        Layer::Request => {}
        Layer::Connection => return "every connection".to_owned(),
        Layer::Datagrams => return "every datagram".to_owned(),
    }
    let everything = HttpMatch::default();
    let written = of.written().unwrap_or(&everything);
    let mut words = vec![path(&written.path)];
    words.extend(written.method.map(|method| format!("method {}", method.as_str())));
    words.extend(written.headers.iter().map(header));
    words.extend(written.query_params.iter().map(query));
    words.join(", ")
}

fn path(path: &PathMatch) -> String {
    let kind = match path.kind {
        PathMatchType::Exact => "Exact",
        PathMatchType::PathPrefix => "PathPrefix",
        PathMatchType::RegularExpression => "RegularExpression",
    };
    format!("{kind} {}", path.value)
}

fn header(header: &HeaderMatch) -> String {
    format!("header {}{}{}", header.name, sign(header.kind), header.value)
}

fn query(query: &QueryMatch) -> String {
    format!("query {}{}{}", query.name, sign(query.kind), query.value)
}

fn sign(kind: ValueMatchType) -> char {
    match kind {
        ValueMatchType::Exact => '=',
        ValueMatchType::RegularExpression => '~',
    }
}
