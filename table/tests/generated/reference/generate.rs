//! Worlds and requests out of small pools, so that routes tie, overlap and are hit.

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use model::route::{HttpMatch, PathMatchType, ValueMatchType};
use model::{Kind, Resource};
use serde_json::{Value, json};

use crate::dice::Dice;

/// The younger in name stands first, so that only an age can turn them round.
const GATEWAYS: [(&str, &str); 2] = [("edge", "b"), ("side", "a")];
const NAMESPACES: [&str; 3] = ["a", "a-b", "b"];
const LISTENER_HOSTS: [Option<&str>; 7] = [
    None,
    None,
    Some("*.example.com"),
    Some("a.example.com"),
    Some("*.a.example.com"),
    Some("other.test"),
    Some("*.test"),
];
const ROUTE_HOSTS: [&str; 7] = [
    "*.example.com",
    "a.example.com",
    "b.a.example.com",
    "*.a.example.com",
    "other.test",
    "*.test",
    "*.com",
];
const HOSTS: [&str; 9] = [
    "a.example.com",
    "b.example.com",
    "b.a.example.com",
    "c.b.a.example.com",
    "example.com",
    "other.test",
    "x.test",
    "nowhere.org",
    "",
];
const PATHS: [&str; 8] = ["/", "/a", "/a/", "/a/b", "/a/b/", "/ab", "/a/b/c", "/b"];
/// Of ASCII classes only: a dot means all of Unicode, which is slow to compile.
const EXPRESSIONS: [&str; 6] =
    ["/a[a-z/]*", "/[ab]+", "/a/b", "[a-c/]*", "/(a|b)/[a-z/]*", "/b|/a"];
const REQUEST_PATHS: [&str; 11] =
    ["/", "/a", "/a/", "/a/b", "/a/b/", "/ab", "/a/b/c", "/b", "/a/x", "/abc", "/a/b/c/d"];
const METHODS: [&str; 3] = ["GET", "POST", "DELETE"];
const VALUES: [&str; 3] = ["1", "2", "12"];
const TIMES: [Option<&str>; 4] =
    [None, None, Some("2026-01-01T00:00:00Z"), Some("2026-01-02T00:00:00+01:00")];

/// A request.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) port: u16,
    pub(crate) host: String,
    pub(crate) path: String,
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    pub(crate) query: Option<String>,
}

/// One or two Gateways and some routes.
pub(crate) fn world(dice: &mut Dice) -> Vec<Resource> {
    let mut world = Vec::new();
    for (name, namespace) in GATEWAYS.iter().take(1 + dice.roll(2)) {
        world.push(gateway(dice, name, namespace));
    }
    for index in 0..=3 + dice.roll(8) {
        world.push(route(dice, &format!("r{index}")));
    }
    world
}

fn metadata(dice: &mut Dice, namespaces: &[&str], name: &str) -> Value {
    json!({
        "name": name,
        "namespace": dice.pick(namespaces),
        "creationTimestamp": dice.pick(&TIMES),
    })
}

fn gateway(dice: &mut Dice, name: &str, namespace: &str) -> Resource {
    let mut listeners: Vec<Value> = Vec::new();
    for index in 0..=dice.roll(4) {
        let (port, host) = (*dice.pick(&[80, 80, 80, 81]), *dice.pick(&LISTENER_HOSTS));
        let taken = |one: &Value| one["port"] == port && one["hostname"] == json!(host);
        if listeners.iter().any(taken) {
            continue;
        }
        let from = *dice.pick(&["All", "All", "All", "All", "All", "Same", "None"]);
        listeners.push(json!({
            "name": format!("l{index}"), "port": port, "protocol": "HTTP", "hostname": host,
            "allowedRoutes": { "namespaces": { "from": from } },
        }));
    }
    let metadata = metadata(dice, &[namespace], name);
    let spec = json!({ "gatewayClassName": "heddle", "listeners": listeners });
    Resource::from_json(Kind::Gateway, json!({ "metadata": metadata, "spec": spec })).unwrap()
}

fn route(dice: &mut Dice, name: &str) -> Resource {
    let hosts: Vec<_> = (0..dice.roll(3)).map(|_| *dice.pick(&ROUTE_HOSTS)).collect();
    let parents: Vec<_> = (0..=dice.roll(2)).map(|_| parent(dice)).collect();
    let rules: Vec<_> = (0..=dice.roll(3))
        .map(|_| json!({ "matches": (0..dice.roll(4)).map(|_| one_match(dice)).collect::<Vec<_>>() }))
        .collect();
    let metadata = metadata(dice, &NAMESPACES, name);
    let spec = json!({ "parentRefs": parents, "hostnames": hosts, "rules": rules });
    Resource::from_json(Kind::HttpRoute, json!({ "metadata": metadata, "spec": spec })).unwrap()
}

fn parent(dice: &mut Dice) -> Value {
    let (name, namespace) = dice.pick(&GATEWAYS);
    let mut parent = json!({ "name": name });
    if !dice.once_in(6) {
        parent["namespace"] = json!(namespace);
    }
    if dice.once_in(6) {
        parent["sectionName"] = json!(format!("l{}", dice.roll(3)));
    }
    if dice.once_in(6) {
        parent["port"] = json!(dice.pick(&[80, 81]));
    }
    parent
}

fn one_match(dice: &mut Dice) -> Value {
    let mut one = json!({});
    one["path"] = match dice.roll(6) {
        0 => json!({}),
        1 | 2 => json!({ "type": "PathPrefix", "value": dice.pick(&PATHS) }),
        3 | 4 => json!({ "type": "Exact", "value": dice.pick(&PATHS) }),
        _ => json!({ "type": "RegularExpression", "value": dice.pick(&EXPRESSIONS) }),
    };
    if dice.once_in(4) {
        one["method"] = json!(dice.pick(&METHODS));
    }
    if dice.once_in(4) {
        one["headers"] = values(dice, &["x-a", "X-B"]);
    }
    if dice.once_in(4) {
        one["queryParams"] = values(dice, &["p", "q"]);
    }
    one
}

/// One or both names with a value, some by expression.
fn values(dice: &mut Dice, names: &[&str; 2]) -> Value {
    let first = dice.roll(2);
    let count = 1 + dice.roll(2);
    let one = |at: usize, dice: &mut Dice| match dice.roll(4) {
        0 => json!({ "type": "RegularExpression", "name": names[at % 2], "value": "1[12]?" }),
        _ => json!({ "name": names[at % 2], "value": dice.pick(&VALUES) }),
    };
    json!((first..first + count).map(|at| one(at, dice)).collect::<Vec<_>>())
}

/// A request, most of the time aimed at some match of the world.
pub(crate) fn request(dice: &mut Dice, world: &[Resource]) -> Request {
    let mut request = Request {
        port: *dice.pick(&[80, 80, 80, 80, 80, 81, 81, 82]),
        host: (*dice.pick(&HOSTS)).to_owned(),
        path: (*dice.pick(&REQUEST_PATHS)).to_owned(),
        method: Method::from_bytes(dice.pick(&METHODS).as_bytes()).unwrap(),
        headers: HeaderMap::new(),
        query: None,
    };
    for name in ["x-a", "x-b"] {
        for _ in 0..dice.roll(3).saturating_sub(dice.roll(2)) {
            request.headers.append(
                HeaderName::from_static(name),
                HeaderValue::from_static(dice.pick::<&str>(&VALUES)),
            );
        }
    }
    if !dice.once_in(3) {
        let names = ["p", "q", "r"];
        let pairs: Vec<_> = (0..dice.roll(4))
            .map(|_| format!("{}={}", dice.pick(&names), dice.pick(&VALUES)))
            .collect();
        request.query = Some(pairs.join("&"));
    }
    if !dice.once_in(3)
        && let Resource::HttpRoute(route) = dice.pick(world)
    {
        request.port = 80;
        if let Some(host) = route.spec.hostnames.first() {
            request.host = host.as_str().replace('*', "b");
        }
        let rule = dice.pick(&route.spec.rules);
        if !rule.matches.is_empty() {
            aim(&mut request, dice.pick(&rule.matches));
        }
    }
    request
}

/// Makes a request fit a match.
fn aim(request: &mut Request, one: &HttpMatch) {
    if one.path.kind != PathMatchType::RegularExpression {
        request.path.clone_from(&one.path.value);
    }
    if let Some(method) = one.method {
        request.method = Method::from_bytes(method.as_str().as_bytes()).unwrap();
    }
    let value = |kind, value: &str| match kind {
        ValueMatchType::Exact => value.to_owned(),
        ValueMatchType::RegularExpression => "1".to_owned(),
    };
    for header in &one.headers {
        let name = HeaderName::from_bytes(header.name.as_bytes()).unwrap();
        let value = HeaderValue::from_str(&value(header.kind, &header.value)).unwrap();
        request.headers.insert(name, value);
    }
    let pairs = one.query_params.iter();
    let pairs: Vec<_> =
        pairs.map(|query| format!("{}={}", query.name, value(query.kind, &query.value))).collect();
    if !pairs.is_empty() {
        request.query = Some(pairs.join("&"));
    }
}
