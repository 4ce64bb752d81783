//! Worlds and requests out of small pools and of few letters, so that routes tie, overlap and are hit.

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use model::route::{
    GrpcMatch, GrpcMethodMatchType, HeaderMatch, HttpMatch, PathMatchType, ValueMatchType,
};
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
/// Services and methods of gRPC, and expressions for them.
const SERVICES: [&str; 4] = ["a", "a.b", "shop.v1.A", "shop.v1.Ab"];
const CALLED: [&str; 3] = ["Get", "GetAll", "Set"];
const CALL_EXPRESSIONS: [&str; 4] = ["[Ga].*", "a|Get", "(?:shop[.]v1[.])?A?[a-z]*", "[A-Za-z]+"];
const METHODS: [&str; 3] = ["GET", "POST", "DELETE"];
const VALUES: [&str; 3] = ["1", "2", "12"];
/// What the element of a path is made of, in its normal form.
const ELEMENT: [&str; 7] = ["a", "b", "~", "-", ".a", "%20", "%C3%A9"];
/// What names and values of queries are made of, before anything is escaped.
const QUERY_NAME: [&str; 6] = ["p", "q", "+", "%", "&", "%70"];
const QUERY_VALUE: [&str; 9] = ["1", "2", "a", " ", "+", "%", "=", "&", "é"];
/// What stands in a query as it comes, well escaped or not.
const QUERY: [&str; 12] = ["p", "q", "=", "&", "+", "%", "%2", "%70", "%2B", "%zz", "1", "%25"];
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

/// One or two Gateways and some routes, of one kind or of both.
pub(crate) fn world(dice: &mut Dice) -> Vec<Resource> {
    let mut world = Vec::new();
    let kinds: &[Kind] = match dice.roll(4) {
        0 | 1 => &[Kind::HttpRoute],
        2 => &[Kind::GrpcRoute],
        _ => &[Kind::HttpRoute, Kind::GrpcRoute],
    };
    for (name, namespace) in GATEWAYS.iter().take(1 + dice.roll(2)) {
        world.push(gateway(dice, name, namespace));
    }
    for index in 0..=3 + dice.roll(8) {
        let kind = *dice.pick(kinds);
        world.push(route(dice, kind, &format!("r{index}")));
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
        let port = *dice.pick(&[80, 80, 80, 81]);
        let host = match dice.once_in(8) {
            true => Some(pattern(dice)),
            false => dice.pick(&LISTENER_HOSTS).map(str::to_owned),
        };
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

fn route(dice: &mut Dice, kind: Kind, name: &str) -> Resource {
    let host = |dice: &mut Dice| match dice.once_in(4) {
        true => pattern(dice),
        false => (*dice.pick(&ROUTE_HOSTS)).to_owned(),
    };
    let hosts: Vec<_> = (0..dice.roll(3)).map(|_| host(dice)).collect();
    let parents: Vec<_> = (0..=dice.roll(2)).map(|_| parent(dice)).collect();
    let one = if kind == Kind::GrpcRoute { one_call } else { one_match };
    let rules: Vec<_> = (0..=dice.roll(3))
        .map(|_| json!({ "matches": (0..dice.roll(4)).map(|_| one(dice)).collect::<Vec<_>>() }))
        .collect();
    let metadata = metadata(dice, &NAMESPACES, name);
    let spec = json!({ "parentRefs": parents, "hostnames": hosts, "rules": rules });
    Resource::from_json(kind, json!({ "metadata": metadata, "spec": spec })).unwrap()
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
        1 | 2 => json!({ "type": "PathPrefix", "value": path(dice, &PATHS) }),
        3 | 4 => json!({ "type": "Exact", "value": path(dice, &PATHS) }),
        _ => json!({ "type": "RegularExpression", "value": dice.pick(&EXPRESSIONS) }),
    };
    if dice.once_in(4) {
        one["method"] = json!(dice.pick(&METHODS));
    }
    if dice.once_in(4) {
        one["headers"] = values(dice, &["x-a", "X-B"]);
    }
    if dice.once_in(4) {
        one["queryParams"] = queries(dice);
    }
    one
}

/// The same of a GRPCRoute.
fn one_call(dice: &mut Dice) -> Value {
    let mut one = json!({});
    if !dice.once_in(6) {
        let (services, called): (&[&str], &[&str]) = match dice.once_in(4) {
            true => (&CALL_EXPRESSIONS, &CALL_EXPRESSIONS),
            false => (&SERVICES, &CALLED),
        };
        let mut method = json!({});
        if called == CALL_EXPRESSIONS {
            method["type"] = json!("RegularExpression");
        }
        // At least one of the two is written.
        let left_out = dice.roll(4);
        if left_out != 0 {
            method["service"] = json!(dice.pick(services));
        }
        if left_out != 1 {
            method["method"] = json!(dice.pick(called));
        }
        one["method"] = method;
    }
    if dice.once_in(3) {
        one["headers"] = values(dice, &["x-a", "X-B"]);
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

/// The same of a query, some of them with what is escaped there.
fn queries(dice: &mut Dice) -> Value {
    let mut values = values(dice, &["p", "q"]);
    if dice.once_in(2) {
        values[0]["name"] = json!(text(dice, &QUERY_NAME));
        // No name stands twice in one match.
        values.as_array_mut().unwrap().truncate(1);
    }
    if dice.once_in(2) {
        values[0] = json!({ "name": values[0]["name"].clone(), "value": text(dice, &QUERY_VALUE) });
    }
    values
}

/// One to three of these.
fn text(dice: &mut Dice, pieces: &[&str]) -> String {
    (0..=dice.roll(3)).map(|_| *dice.pick(pieces)).collect()
}

/// One to three labels.
fn host(dice: &mut Dice) -> String {
    let label = |dice: &mut Dice| match dice.once_in(4) {
        true => format!("{}-{}", text(dice, &["a", "b"]), text(dice, &["a", "0"])),
        false => text(dice, &["a", "b"]),
    };
    (0..=dice.roll(3)).map(|_| label(dice)).collect::<Vec<_>>().join(".")
}

/// A host, or all below it.
fn pattern(dice: &mut Dice) -> String {
    let all = if dice.once_in(2) { "*." } else { "" };
    format!("{all}{}", host(dice))
}

/// One of these paths, or one of other elements.
fn path(dice: &mut Dice, pool: &[&str]) -> String {
    if !dice.once_in(4) {
        return (*dice.pick(pool)).to_owned();
    }
    let elements = (0..=dice.roll(3)).map(|_| format!("/{}", text(dice, &ELEMENT)));
    let mut path: String = elements.collect();
    if dice.once_in(4) {
        path.push('/');
    }
    path
}

/// A query that begins with what comes before it.
fn query(dice: &mut Dice, before: Vec<String>) -> String {
    let names = ["p", "q", "r"];
    let pairs = (0..dice.roll(4)).map(|_| match dice.roll(4) {
        0 => (0..dice.roll(6)).map(|_| *dice.pick(&QUERY)).collect(),
        1 => {
            let (name, value) = (text(dice, &QUERY_NAME), text(dice, &QUERY_VALUE));
            pair(dice, &name, &value)
        }
        _ => format!("{}={}", dice.pick(&names), dice.pick(&VALUES)),
    });
    let pairs: Vec<_> = before.into_iter().chain(pairs).collect();
    pairs.join("&")
}

/// A parameter as a client writes it: what may not stand as it is is escaped, and some of the rest.
fn pair(dice: &mut Dice, name: &str, value: &str) -> String {
    let mut escaped = |text: &str| -> String {
        let bytes = text.bytes().map(|byte| match byte {
            b' ' if dice.once_in(2) => "+".to_owned(),
            byte if byte.is_ascii_alphanumeric() && !dice.once_in(4) => char::from(byte).into(),
            byte if dice.once_in(2) => format!("%{byte:02x}"),
            byte => format!("%{byte:02X}"),
        });
        bytes.collect()
    };
    format!("{}={}", escaped(name), escaped(value))
}

/// A request, most of the time aimed at some match of the world.
pub(crate) fn request(dice: &mut Dice, world: &[Resource]) -> Request {
    let mut request = Request {
        port: *dice.pick(&[80, 80, 80, 80, 80, 81, 81, 82]),
        host: match dice.once_in(8) {
            true => host(dice),
            false => (*dice.pick(&HOSTS)).to_owned(),
        },
        path: path(dice, &REQUEST_PATHS),
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
        request.query = Some(query(dice, Vec::new()));
    }
    if dice.once_in(4) {
        return request;
    }
    let hosts = match dice.pick(world) {
        Resource::HttpRoute(route) => {
            let rule = dice.pick(&route.spec.rules);
            if !rule.matches.is_empty() {
                let one = dice.pick(&rule.matches);
                aim(dice, &mut request, one);
            }
            &route.spec.hostnames
        }
        Resource::GrpcRoute(route) => {
            let rule = dice.pick(&route.spec.rules);
            let any = GrpcMatch { method: None, headers: Vec::new() };
            let none = rule.matches.is_empty();
            let one = if none { &any } else { dice.pick(&rule.matches) };
            call(dice, &mut request, one);
            &route.spec.hostnames
        }
        _ => return request,
    };
    request.port = 80;
    if let Some(host) = hosts.first() {
        request.host = host.as_str().replace('*', dice.pick::<&str>(&["b", "b.a"]));
    }
    request
}

/// Makes a request fit a match of a GRPCRoute, most of the time.
fn call(dice: &mut Dice, request: &mut Request, one: &GrpcMatch) {
    let exact = one.method.as_ref().filter(|of| of.kind == GrpcMethodMatchType::Exact);
    let service = exact.and_then(|of| of.service.as_deref());
    let method = exact.and_then(|of| of.method.as_deref());
    let service = service.unwrap_or_else(|| dice.pick::<&str>(&SERVICES));
    let method = method.unwrap_or_else(|| dice.pick::<&str>(&CALLED));
    request.path = match dice.roll(12) {
        0 => format!("/{service}"),
        1 => format!("/{service}/{method}/"),
        2 => format!("/{service}/{method}/x"),
        _ => format!("/{service}/{method}"),
    };
    bear(request, &one.headers);
}

/// Gives a request these headers.
fn bear(request: &mut Request, headers: &[HeaderMatch]) {
    for header in headers {
        let name = HeaderName::from_bytes(header.name.as_bytes()).unwrap();
        let value = HeaderValue::from_str(&meant(header.kind, &header.value)).unwrap();
        request.headers.insert(name, value);
    }
}

/// A value that fits.
fn meant(kind: ValueMatchType, value: &str) -> String {
    match kind {
        ValueMatchType::Exact => value.to_owned(),
        ValueMatchType::RegularExpression => "1".to_owned(),
    }
}

/// Makes a request fit a match.
fn aim(dice: &mut Dice, request: &mut Request, one: &HttpMatch) {
    if one.path.kind != PathMatchType::RegularExpression {
        request.path.clone_from(&one.path.value);
    }
    if let Some(method) = one.method {
        request.method = Method::from_bytes(method.as_str().as_bytes()).unwrap();
    }
    bear(request, &one.headers);
    let pairs = one.query_params.iter();
    let pairs: Vec<_> =
        pairs.map(|one| pair(dice, &one.name, &meant(one.kind, &one.value))).collect();
    if !pairs.is_empty() {
        request.query = Some(query(dice, pairs));
    }
}
