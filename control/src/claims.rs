//! Who holds a host and path, and who would come between.

use std::borrow::Cow;
use std::fmt;

use model::claim::{Claim, Ground};
use model::route::{HttpRoute, PathMatchType};
use model::{Key, Name, Resource, Scope};

use crate::world::World;

mod index;
mod stake;

pub(crate) use index::Grounds;
pub(crate) use stake::{Budget, Spent, Stakes};

/// Something that was written on what others hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overlap {
    /// What was written.
    pub key: Key,
    /// What it asks for: a host and path, or what else in words.
    pub wanted: String,
    /// Who holds it.
    pub holder: Holder,
    /// The Claim, route or listener by which they do, and what that holds; none where that is not for
    /// who asks to see.
    pub by: Option<(Key, String)>,
    /// Whom to ask: teams and users that own it.
    pub ask: Vec<String>,
}

/// Who holds something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// A workspace, or the platform.
    Scope(Scope),
    /// An Api of the same workspace.
    Api(Name),
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Holder::Scope(Scope::Platform) => f.write_str("the platform"),
            Holder::Scope(Scope::Workspace(name)) => write!(f, "workspace '{name}'"),
            Holder::Api(name) => write!(f, "Api '{name}'"),
        }
    }
}

impl fmt::Display for Overlap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Overlap { key, wanted, holder, by, ask } = self;
        match by {
            Some((by, held)) => {
                write!(
                    f,
                    "{key}: '{wanted}' overlaps with '{held}', which {holder} holds by {by}; "
                )?;
            }
            None => write!(f, "{key}: {wanted} is held by {holder}; ")?,
        }
        match ask.as_slice() {
            [] => f.write_str("ask whoever runs this installation"),
            ask => write!(f, "ask {}", ask.join(" or ")),
        }
    }
}

/// Where what was written overlaps with what others hold: claims, routes and listeners with their
/// claims, and claims with the routes and listeners of other workspaces.
pub(crate) fn overlaps(touched: &[&Resource], after: &World) -> Vec<Overlap> {
    let directory = &after.directory;
    let scope = |resource: &Resource| directory.scope(&resource.meta().namespace);
    let mut overlaps = Vec::new();
    for resource in touched {
        let (own, wanted) = (scope(resource), grounds(resource));
        // What the platform opens is open to all; whose a host is, claims say.
        if wanted.is_empty() || (own == Scope::Platform && !matches!(resource, Resource::Claim(_)))
        {
            continue;
        }
        let near = after.grounds.near(resource);
        let near = near.iter().filter_map(|key| after.known(key));
        for other in near.filter(|other| meet(resource, other)) {
            let holder = scope(other);
            let is_held = match other {
                Resource::Claim(_) => holder != own,
                _ => holder != own && holder != Scope::Platform,
            };
            let Some((wanted, held)) = is_held.then(|| overlap(&wanted, other)).flatten() else {
                continue;
            };
            let (key, by, ask) = (resource.key(), other.key(), directory.owners(&holder));
            let (holder, by) = (Holder::Scope(holder), Some((by, held)));
            overlaps.push(Overlap { key, wanted, holder, by, ask });
        }
    }
    overlaps
}

/// Whether one may come between the other and its traffic. That routes meet routes is what claims
/// are for.
fn meet(one: &Resource, other: &Resource) -> bool {
    let is_traffic =
        |resource: &Resource| resource.kind().is_route() || resource.kind().has_listeners();
    match (one, other) {
        (Resource::Claim(_), Resource::Claim(_)) => true,
        // Who names no host claims nobody's: it was there first, and yields to whoever names one.
        (Resource::Claim(_), route) if route.kind().is_route() => !route.hostnames().is_empty(),
        (Resource::Claim(_), other) => is_traffic(other),
        (one, Resource::Claim(_)) => is_traffic(one),
        (_, _) => false,
    }
}

/// The first grounds of both that some request falls on.
fn overlap(ones: &[Ground<'_>], other: &Resource) -> Option<(String, String)> {
    let others = grounds(other);
    ones.iter().find_map(|one| {
        let other = others.iter().find(|other| one.overlaps(other))?;
        Some((one.to_string(), other.to_string()))
    })
}

fn grounds(resource: &Resource) -> Vec<Ground<'_>> {
    match resource {
        Resource::Claim(claim) => Claim::grounds(claim).collect(),
        // What applications call is a Service by its name: no host that anybody could hold.
        route if route.is_of_services() => Vec::new(),
        // Nobody names a host in plain TCP, so it has none that anybody could hold.
        Resource::TcpRoute(_) => Vec::new(),
        Resource::UdpRoute(_) => Vec::new(),
        route if route.kind().is_route() => of_route(route),
        // The most specific listener has all of a host; one without a name has what is left.
        other => {
            let hosts = other.listeners().iter().filter_map(|one| one.hostname.as_ref());
            hosts.map(|host| Ground::new(Some(host), "/")).collect()
        }
    }
}

/// What a route asks for: every host where it names none, the whole host where a path is an
/// expression.
fn of_route<'a>(resource: &'a Resource) -> Vec<Ground<'a>> {
    let hosts = resource.hostnames();
    let hosts: Vec<_> = match hosts.is_empty() {
        true => vec![None],
        false => hosts.iter().map(Some).collect(),
    };
    let paths: Vec<Cow<'a, str>> = match resource {
        Resource::HttpRoute(route) => asked(route).map(Cow::Borrowed).collect(),
        Resource::GrpcRoute(route) => {
            asked(&route.as_http()).map(|path| Cow::Owned(path.to_owned())).collect()
        }
        // A connection is for every path of its host.
        Resource::TlsRoute(_) => vec![Cow::Borrowed("/")],
        _ => Vec::new(),
    };
    let on = |path: Cow<'a, str>| hosts.iter().map(move |host| Ground::new(*host, path.clone()));
    paths.into_iter().flat_map(on).collect()
}

/// The path prefixes below which a route asks for requests.
fn asked(route: &HttpRoute) -> impl Iterator<Item = &str> {
    route.spec.rules.iter().flat_map(|rule| {
        let whole = rule.matches.is_empty().then_some("/");
        let matches = rule.matches.iter().map(|one| match one.path.kind {
            PathMatchType::Exact | PathMatchType::PathPrefix => one.path.value.as_str(),
            PathMatchType::RegularExpression => "/",
        });
        matches.chain(whole)
    })
}
