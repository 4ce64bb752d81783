//! Whatever the proxies' own compiler lets a route take from another, [`Stakes`] tells.

use std::net::{IpAddr, Ipv4Addr};

use http::{HeaderMap, Method};
use model::Key;
use policy::{Facts, Layer, Scheme};
use proptest::prelude::*;
use table::{Input, Table};

use super::*;

const GATEWAY: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: edge, namespace: shop }
spec:
  gatewayClassName: heddle
  listeners:
    - { name: one, protocol: HTTP, port: 80 }
    - { name: two, protocol: HTTP, port: 81 }
";

const HOSTS: [&str; 5] = ["", "a.example", "b.a.example", "*.a.example", "*.b.a.example"];
const ASKED: [&str; 5] = ["a.example", "b.a.example", "c.b.a.example", "x.a.example", "else"];
const PATHS: [&str; 6] = ["/", "/x", "/x/y", "/z", "/%78", "/x/%2e%2e/z"];

/// A route in words: hosts, a listener of its Gateway, paths each with its sort and a method.
#[derive(Debug, Clone)]
struct Written {
    hosts: Vec<&'static str>,
    section: Option<&'static str>,
    paths: Vec<(&'static str, &'static str, &'static str)>,
    age: u8,
}

impl Written {
    fn resource(&self, name: &str) -> Resource {
        let hosts: Vec<_> = self.hosts.iter().map(|host| format!("'{host}'")).collect();
        let path = |(sort, path, method): &(&str, &str, &str)| {
            let method =
                if method.is_empty() { String::new() } else { format!(", method: {method}") };
            format!("{{ matches: [{{ path: {{ type: {sort}, value: '{path}' }}{method} }}] }}")
        };
        let paths: Vec<_> = self.paths.iter().map(path).collect();
        let section = self.section.map(|one| format!(", sectionName: {one}")).unwrap_or_default();
        let text = format!(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n\
             metadata:\n  name: {name}\n  namespace: shop\n  \
             creationTimestamp: 2026-01-0{}T00:00:00Z\n\
             spec:\n  parentRefs: [{{ name: edge{section} }}]\n  hostnames: [{}]\n  rules: [{}]\n",
            self.age,
            hosts.join(", "),
            paths.join(", "),
        );
        model::read(&text).remove(0).result.unwrap()
    }
}

fn written() -> impl Strategy<Value = Written> {
    let host = prop::collection::vec(prop::sample::select(&HOSTS[1..]), 0..3);
    let sort = prop::sample::select(&["Exact", "PathPrefix", "RegularExpression"][..]);
    let method = prop::sample::select(&["", "", "GET"][..]);
    let paths = prop::collection::vec((sort, prop::sample::select(&PATHS[..]), method), 1..3);
    let section = prop::sample::select(&[None, None, Some("one"), Some("two")][..]);
    (host, section, paths, 1_u8..4).prop_map(|(mut hosts, section, paths, age)| {
        hosts.sort_unstable();
        hosts.dedup();
        Written { hosts, section, paths, age }
    })
}

fn stakes(resource: &Resource) -> Stakes<'_> {
    Stakes::of(resource, None, &mut Budget::new()).unwrap().unwrap()
}

fn table(routes: &[&Resource]) -> Table {
    let gateway = model::read(GATEWAY).remove(0).result.unwrap();
    let resources = std::iter::once(gateway).chain(routes.iter().map(|one| (*one).clone()));
    let assembly =
        table::assemble(Input { resources: resources.collect(), ..Input::default() }, None);
    std::sync::Arc::into_inner(assembly.table).unwrap()
}

fn answers(table: &Table, (host, port, path): (&str, u16, &str), method: &Method) -> Option<Key> {
    let facts = Facts {
        layer: Layer::Request,
        now: 0,
        source: IpAddr::V4(Ipv4Addr::LOCALHOST),
        scheme: Scheme::Http,
        port,
        host,
        method,
        path,
        query: None,
        headers: &HeaderMap::new(),
        peer: None,
        certificate: None,
        users: &[],
        sessions: &[],
        revoked: None,
    };
    table.find(&facts).ok().map(|found| found.rule.route.clone())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn what_a_route_takes_is_told(
        [other, own, new] in [written(), written(), written()],
        (is_itself, has_own) in (any::<bool>(), any::<bool>()),
    ) {
        // What it was before, or another one of the same Api.
        let own = Written { age: if is_itself { new.age } else { own.age }, ..own };
        let [other, new] = [other.resource("other"), new.resource("new")];
        let own = own.resource(if is_itself { "new" } else { "own" });
        let before: Vec<_> = [&other].into_iter().chain(has_own.then_some(&own)).collect();
        let after = [&other, &new].into_iter().chain((has_own && !is_itself).then_some(&own));
        let after: Vec<_> = after.collect();
        let (before, after) = (table(&before), table(&after));
        let [other, new, own] = [&other, &new, &own].map(stakes);
        let mut budget = Budget::new();
        let told = match (has_own, is_itself) {
            (false, _) => new.taken_from(&other, None, &[], &mut budget),
            (true, true) => new.taken_from(&other, Some(&own), &[], &mut budget),
            (true, false) => new.taken_from(&other, None, &[&own], &mut budget),
        };
        let told = told.unwrap();
        let key = |name: &str| {
            let [namespace, name] = ["shop", name].map(|word| Name::parse(word).unwrap());
            Some(Key::new(Kind::HttpRoute, namespace, name))
        };
        let asked = ASKED.iter().flat_map(|host| [80, 81].map(|port| (*host, port)));
        for (host, port) in asked {
            for path in ["/", "/x", "/x/y", "/x/y/w", "/z", "/w"] {
                for method in [Method::GET, Method::PUT] {
                    let asked = (host, port, path);
                    let [was, is] = [&before, &after].map(|table| answers(table, asked, &method));
                    let is_taken = was == key("other") && is == key("new");
                    prop_assert!(told.is_some() || !is_taken, "{method} {host}:{port}{path}");
                }
            }
        }
    }
}

#[test]
fn what_is_new_ground_beside_another_is_told_and_nothing_else() {
    let route = |host: &'static str, sort, path| Written {
        hosts: Some(host).filter(|host| !host.is_empty()).into_iter().collect(),
        section: None,
        paths: vec![(sort, path, "")],
        age: 1,
    };
    let [prefix, exact, regex] = ["PathPrefix", "Exact", "RegularExpression"];
    for (other, new, own, wanted) in [
        // Another host, another path.
        (route("a.example", prefix, "/x"), route("b.a.example", exact, "/x"), None, None),
        (route("a.example", prefix, "/x"), route("a.example", exact, "/z"), None, None),
        (route("a.example", exact, "/x"), route("a.example", exact, "/x/y"), None, None),
        (route("*.a.example", exact, "/x"), route("b.a.example", exact, "/x/y"), None, None),
        // Around it: what it leaves, or never had, would fall there; and who is there first could keep it
        // from growing.
        (
            route("a.example", prefix, "/x"),
            route("a.example", prefix, "/"),
            None,
            Some("a.example/"),
        ),
        (route("a.example", prefix, "/x"), route("", exact, "/x"), None, Some("every host, /x")),
        (
            route("a.example", exact, "/x"),
            route("a.example", prefix, "/x"),
            None,
            Some("a.example/x"),
        ),
        (
            route("a.example", exact, "/x"),
            route("a.example", regex, "/x"),
            None,
            Some("a.example/"),
        ),
        // But where one is around it already.
        (
            route("a.example", prefix, "/x"),
            route("a.example", prefix, "/"),
            Some(route("a.example", prefix, "/")),
            None,
        ),
        // The same, and below.
        (
            route("a.example", exact, "/x"),
            route("a.example", exact, "/x"),
            None,
            Some("a.example/x"),
        ),
        (
            route("a.example", prefix, "/"),
            route("a.example", exact, "/x"),
            None,
            Some("a.example/x"),
        ),
        (
            route("a.example", prefix, "/x"),
            route("a.example", regex, "/z"),
            None,
            Some("a.example/"),
        ),
        (
            route("*.a.example", exact, "/x"),
            route("b.a.example", prefix, "/"),
            None,
            Some("b.a.example/"),
        ),
        // What was taken before is not taken anew; a path below one that was is.
        (
            route("a.example", prefix, "/"),
            route("a.example", exact, "/x/y"),
            Some(route("a.example", prefix, "/x")),
            None,
        ),
        (
            route("a.example", prefix, "/x/y"),
            route("a.example", exact, "/x/y"),
            Some(route("a.example", prefix, "/x")),
            Some("a.example/x/y"),
        ),
        // Whatever it is written like: a prefix is what requests are matched by.
        (
            route("a.example", prefix, "/"),
            route("a.example", prefix, "/x/%2e%2e/z"),
            Some(route("a.example", prefix, "/x")),
            Some("a.example/z"),
        ),
        // At a listener where it was not before.
        (
            route("a.example", prefix, "/"),
            route("a.example", prefix, "/x"),
            Some(Written { section: Some("one"), ..route("a.example", prefix, "/x") }),
            Some("a.example/x"),
        ),
    ] {
        let [other, new] = [other, new].map(|one| one.resource("r"));
        let own = own.map(|own| own.resource("own"));
        let own: Vec<_> = own.iter().map(stakes).collect();
        let own: Vec<_> = own.iter().collect();
        let (new, other) = (stakes(&new), stakes(&other));
        let taken = new.taken_from(&other, None, &own, &mut Budget::new()).unwrap();
        let taken = taken.map(ToString::to_string);
        assert_eq!(taken.as_deref(), wanted, "{new:?} from {other:?}");
    }
}

#[test]
fn a_route_of_another_kind_takes_a_host_whole() {
    let http = Written {
        hosts: vec!["a.example"],
        section: None,
        paths: vec![("Exact", "/x", "")],
        age: 1,
    };
    let grpc = "apiVersion: gateway.networking.k8s.io/v1\nkind: GRPCRoute\n\
                metadata: { name: calls, namespace: shop }\nspec:\n  \
                parentRefs: [{ name: edge }]\n  hostnames: ['*.a.example', a.example]\n";
    let [http, grpc] = [http.resource("pages"), model::read(grpc).remove(0).result.unwrap()];
    let [http, grpc] = [&http, &grpc].map(stakes);
    for (one, other) in [(&grpc, &http), (&http, &grpc)] {
        assert!(one.taken_from(other, None, &[], &mut Budget::new()).unwrap().is_some());
    }
}

/// A change of routes with as many matches as the schema lets them have is no way to keep others
/// waiting.
#[test]
fn there_is_an_end_to_comparing() {
    let paths: Vec<_> = (0..4_000).map(|nth| format!("/p{nth}")).collect();
    let matches = paths.iter().map(|path| HttpMatch {
        path: model::route::PathMatch { kind: PathMatchType::PathPrefix, value: path.clone() },
        ..HttpMatch::default()
    });
    let text = "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n\
                metadata: { name: many, namespace: shop }\nspec:\n  \
                parentRefs: [{ name: edge }]\n  hostnames: ['*.a.example', a.example]\n";
    let Resource::HttpRoute(route) = model::read(text).remove(0).result.unwrap() else {
        panic!("a route")
    };
    let mut route = (*route).clone();
    route.spec.rules[0].matches = matches.collect();
    let many = Resource::HttpRoute(route.into());
    let mut budget = Budget::new();
    let all = Stakes::of(&many, None, &mut budget).unwrap().unwrap();
    let told = all.taken_from(&all, Some(&all), &[], &mut budget);
    assert!(told.is_err(), "{told:?}");
    // Nor are more looked at than there is room for.
    let mut budget = Budget::new();
    let looked = (0..100).take_while(|_| Stakes::of(&many, None, &mut budget).is_ok()).count();
    assert_eq!(looked, 20_000_000 / (40 * 2 * 4_000));
    // Of hosts that are far away nothing is.
    let near: Hostname = serde_json::from_value("b.example".into()).unwrap();
    let far = Stakes::of(&many, Some(&[&near]), &mut Budget::new()).unwrap().unwrap();
    assert_eq!(far.all.len(), 0);
}
