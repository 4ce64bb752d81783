//! Trying a request at the routes of an Api: what browsers are told for that.
//!
//! They are told what who reads may read, and no Secret. Of a Gateway, ListenerSet or Service that they may
//! not read, they are told what the routes themselves say of it, and the page says so.

use std::collections::{BTreeMap, BTreeSet};

use control::Refusal;
use control::app::{ApiInFull, ApiRoute};
use leptos::prelude::*;
use model::namespace::Namespace;
use model::route::{HttpRoute, PathMatchType, ValueMatchType};
use model::{Key, Kind, Name, Resource};
use serde_json::{Value, json};

use crate::islands::matching::{Matching, Port, Typed};
use crate::pages::Asked;
use crate::parts::count;

/// The element that holds what is tried at.
const GIVEN: &str = "matching-given";

/// What a request is tried at.
#[derive(Debug, Clone, Default)]
pub(super) struct Given {
    objects: Vec<Resource>,
    /// What who reads may not read, or what is not there.
    unseen: Vec<Key>,
}

/// All that says which requests the routes of an Api get, as far as who asks may read it.
pub(super) async fn given(asked: &Asked, api: &ApiInFull) -> Result<Given, Refusal> {
    let mut given = Given::default();
    given.objects.push(Resource::Api(api.row.api.clone()));
    let mut named = BTreeMap::new();
    // What is for connections no request meets.
    let is_tried =
        |one: &&ApiRoute| !one.route.is_of_services() && !one.resource.kind().is_of_connections();
    for one in api.routes.iter().filter(is_tried) {
        given.objects.push(one.resource.clone());
        name(&one.route, &mut named);
    }
    let mut left: Vec<_> = named.into_iter().rev().collect();
    while let Some((key, said)) = left.pop() {
        let shown = read(asked, &key).await?;
        let is_seen = shown.is_some();
        let Some(object) = shown.or_else(|| stand_in(&key, &said)) else { continue };
        // What a set adds is there by its Gateway alone.
        if let Resource::ListenerSet(set) = &object {
            let gateway = set.gateway();
            let is_known = |key: &Key| *key == gateway;
            if !left.iter().any(|(key, _)| is_known(key))
                && !given.objects.iter().any(|one| is_known(&one.key()))
            {
                left.push((gateway, Said::new()));
            }
        }
        given.objects.push(object);
        if !is_seen {
            given.unseen.push(key);
        }
    }
    // By their labels Gateways judge who attaches.
    let namespaces = given.objects.iter().map(|one| &one.meta().namespace);
    let namespaces: BTreeSet<_> = namespaces.map(Namespace::key).collect();
    for key in namespaces {
        given.objects.extend(read(asked, &key).await?);
    }
    Ok(given)
}

/// An object, if it is there and may be read.
async fn read(asked: &Asked, key: &Key) -> Result<Option<Resource>, Refusal> {
    match asked.app.resource_show(&asked.op(), key, None).await {
        Ok(shown) => Ok(Resource::from_json(key.kind, shown.body).ok()),
        Err(Refusal::Denied(_) | Refusal::None(_)) => Ok(None),
        Err(refusal) => Err(refusal),
    }
}

/// What routes say of a Gateway, ListenerSet or Service: sections with ports.
type Said = BTreeSet<(Option<Name>, Option<u16>)>;

/// Notes each Gateway, ListenerSet and Service that a route names.
fn name(route: &HttpRoute, named: &mut BTreeMap<Key, Said>) {
    let (spec, own) = (&route.spec, &route.metadata.namespace);
    for parent in &spec.parent_refs {
        let said = named.entry(parent.key(own)).or_default();
        said.insert((parent.section_name.clone(), parent.port));
    }
    let backends = spec.rules.iter().flat_map(|rule| {
        let mirrors = rule.mirrors().map(|(_, mirror)| mirror.backend_ref.clone());
        rule.backend_refs.iter().map(|backend| backend.target()).chain(mirrors)
    });
    for backend in backends.filter(|backend| backend.kind == Kind::Service.as_str()) {
        let namespace = backend.namespace.as_ref().unwrap_or(own).clone();
        let said = named.entry(Key::new(Kind::Service, namespace, backend.name)).or_default();
        said.insert((None, backend.port));
    }
}

/// What stands in the place of a Gateway, ListenerSet or Service that may not be read.
fn stand_in(key: &Key, said: &Said) -> Option<Resource> {
    let everybody = json!({ "namespaces": { "from": "All" } });
    let listeners = || -> Vec<_> {
        let all = said.iter().enumerate().map(|(at, (section, port))| {
            let name = section.as_ref().map_or_else(|| format!("l{at}"), ToString::to_string);
            json!({
                "name": name, "port": port.unwrap_or(80), "protocol": "HTTP",
                "allowedRoutes": everybody,
            })
        });
        all.collect()
    };
    let spec = match key.kind {
        Kind::Gateway => json!({
            "gatewayClassName": "heddle", "listeners": listeners(), "allowedListeners": everybody,
        }),
        // Which Gateway has it nobody tells who may not read it.
        Kind::ListenerSet => json!({
            "parentRef": { "name": "unknown" }, "listeners": listeners(),
        }),
        _ => {
            let ports = said.iter().filter_map(|(_, port)| *port);
            let ports = ports.map(|port| json!({ "name": format!("p{port}"), "port": port }));
            json!({ "ports": ports.collect::<Vec<_>>() })
        }
    };
    let metadata = json!({ "namespace": key.namespace, "name": key.name });
    Resource::from_json(key.kind, json!({ "metadata": metadata, "spec": spec })).ok()
}

impl Given {
    /// The card; none where no route of a Gateway is there.
    pub(super) fn draw(&self, more: usize) -> Option<AnyView> {
        let first = self.first()?;
        let ports: BTreeSet<_> = self.listeners().map(|(port, _)| port).collect();
        let command = format!(
            "heddle-gateway explain --config FILE {} 'http://{}:{}{}'",
            first.method, first.host, first.port, first.path
        );
        let objects: Vec<Value> = self.objects.iter().map(Resource::to_json).collect();
        let objects = json!({ "objects": objects }).to_string();
        let unseen: Vec<_> = self.unseen.iter().map(ToString::to_string).collect();
        let unseen = (!unseen.is_empty()).then(|| {
            let words = format!(
                "Not there, or not for you to read: {}. Of these only what the routes say is known here; a \
                 Gateway among them is taken to listen for every host, on port 80 where no route names one.",
                unseen.join(", ")
            );
            view! { <p class="faint">{words}</p> }
        });
        let more = (more > 0).then(|| {
            let words = format!(
                "{} of this Api that the page does not show: not tried.",
                count(more, "route")
            );
            view! { <p class="faint">{words}</p> }
        });
        let card = view! {
            <section class="card" id="matching" aria-labelledby="matching-title">
                <h2 id="matching-title">"Try a request"</h2>
                <p class="faint">
                    "Which rule it meets, told by the code that decides for gateways. It is tried at the routes \
                     of this Api only: a route of another Api, or a claim of another workspace, may take it \
                     first, or take what none of these takes. Whether policies let it pass is told above, under \
                     Who may request. Nothing that you type here is sent."
                </p>
                {unseen}
                {more}
                <div id=GIVEN hidden data-given=objects></div>
                <Matching given=GIVEN.to_owned() first ports=ports.into_iter().collect() command />
            </section>
        };
        Some(card.into_any())
    }

    /// The port of each listener, with its host.
    fn listeners(&self) -> impl Iterator<Item = (Port, Option<&str>)> {
        self.objects.iter().flat_map(Resource::listeners).map(|listener| {
            let speaks = format!("{:?}", listener.protocol).to_lowercase();
            let host = listener.hostname.as_ref().map(|host| host.as_str());
            (Port { number: listener.port, speaks }, host)
        })
    }

    /// A request that the first match of the first route is meant for, as far as that can be told.
    fn first(&self) -> Option<Typed> {
        let route = self.objects.iter().find_map(Resource::as_route)?;
        let (port, of_listener) = self.listeners().next()?;
        let host = route.spec.hostnames.first().map(|host| host.as_str()).or(of_listener);
        let host = host.map_or_else(|| "localhost".to_owned(), |host| host.replacen('*', "www", 1));
        let asked = route.spec.rules.iter().flat_map(|rule| &rule.matches).next();
        let asked = asked.cloned().unwrap_or_default();
        let path = match asked.path.kind {
            PathMatchType::Exact | PathMatchType::PathPrefix => asked.path.value,
            PathMatchType::RegularExpression => "/".to_owned(),
        };
        let headers = asked.headers.iter().filter(|one| one.kind == ValueMatchType::Exact);
        let headers: Vec<_> =
            headers.map(|header| format!("{}: {}", header.name, header.value)).collect();
        let method = asked.method.map_or("GET", |method| method.as_str()).to_owned();
        Some(Typed { method, host, port: port.number, path, headers: headers.join("\n") })
    }
}

#[cfg(test)]
mod tests {
    use model::namespace::Labelled;

    use super::*;

    #[test]
    fn of_what_may_not_be_read_is_told_what_the_route_says() {
        let spec = json!({
            "parentRefs": [{ "namespace": "infra", "name": "edge", "sectionName": "web" }],
            "rules": [{ "backendRefs": [{ "name": "books", "port": 81 }] }],
        });
        let route = json!({ "metadata": { "namespace": "shop", "name": "r" }, "spec": spec });
        let Ok(Resource::HttpRoute(route)) = Resource::from_json(Kind::HttpRoute, route) else {
            panic!("a route")
        };
        let mut named = BTreeMap::new();
        name(&route, &mut named);
        let mut given = Given { objects: vec![Resource::HttpRoute(route)], ..Given::default() };
        assert_eq!(given.first(), None, "nothing listens yet");
        given.objects.extend(named.iter().filter_map(|(key, said)| stand_in(key, said)));
        let told: Vec<_> = given.objects.iter().map(|object| object.key().to_string()).collect();
        assert_eq!(told, ["HTTPRoute shop/r", "Gateway infra/edge", "Service shop/books"]);
        let ports: Vec<_> = given.listeners().collect();
        assert_eq!(ports, [(Port { number: 80, speaks: "http".to_owned() }, None)]);
        let first = given.first().unwrap();
        assert_eq!((&*first.method, &*first.host, &*first.path), ("GET", "localhost", "/"));
        let Resource::Service(service) = &given.objects[2] else { panic!("a Service") };
        assert_eq!(service.spec.ports[0].port, 81);
    }

    #[test]
    fn a_set_that_may_not_be_read_is_taken_by_a_gateway_that_stands_in() {
        let name = |word: &str| Name::parse(word).unwrap();
        let key = Key::new(Kind::ListenerSet, name("shop"), name("books"));
        let set = stand_in(&key, &Said::from([(None, Some(8080))])).unwrap();
        let given = Given { objects: vec![set], ..Given::default() };
        let ports: Vec<_> = given.listeners().collect();
        assert_eq!(ports, [(Port { number: 8080, speaks: "http".to_owned() }, None)]);
        let Resource::ListenerSet(set) = &given.objects[0] else { panic!("a set") };
        let gateway = stand_in(&set.gateway(), &Said::new());
        let Some(Resource::Gateway(gateway)) = gateway else { panic!("a Gateway") };
        assert!(
            gateway.lets(Labelled::bare(&set.metadata.namespace))
                && gateway.spec.listeners.is_empty()
        );
    }
}
