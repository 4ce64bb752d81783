//! What one workspace holds by a Claim no other answers, and everybody else is as before.

use model::{Kind, Resource};
use serde_json::{Value, json};

use super::fixture::{faults, gateway_at, get, made, object, plain};
use crate::claimed::VISITED;
use crate::{Assembly, Input, Refused, State, assemble};

fn workspace(name: &str) -> Resource {
    object(Kind::Workspace, "heddle", name, json!({ "access": "open" }))
}

fn claim(namespace: &str, name: &str, hosts: Value) -> Resource {
    object(Kind::Claim, namespace, name, json!({ "hosts": hosts }))
}

/// The route `namespace/name` with one match for each path.
fn route(namespace: &str, name: &str, hosts: &[&str], paths: &[&str]) -> Resource {
    let matches: Vec<_> = paths.iter().map(|path| json!({ "path": { "value": path } })).collect();
    let spec = json!({
        "parentRefs": [{ "namespace": "infra", "name": "edge" }],
        "hostnames": hosts,
        "rules": [{ "matches": matches }],
    });
    object(Kind::HttpRoute, namespace, name, spec)
}

/// The workspaces `shop` and `rival`, and `shop`'s claim on all of `shop.test` and on `/shop` of
/// `www.test`.
fn with(more: impl IntoIterator<Item = Resource>) -> Assembly {
    let hosts = json!([{ "host": "shop.test" }, { "host": "www.test", "paths": ["/shop"] }]);
    let mut resources =
        vec![plain(), workspace("shop"), workspace("rival"), claim("shop", "hosts", hosts)];
    resources.extend(more);
    made(resources)
}

fn rules<const N: usize>(assembly: &Assembly, asks: [(&'static str, &str); N]) -> [String; N] {
    asks.map(|(host, path)| get(host, path).rule(&assembly.table))
}

#[test]
fn a_route_on_anothers_ground_is_not_attached_there() {
    let hosts = ["shop.test", "www.test", "rival.test"];
    let assembly = with([route("rival", "r", &hosts, &["/shop/cart", "/rival"])]);
    let asks = [
        ("shop.test", "/shop/cart"),
        ("shop.test", "/rival"),
        ("www.test", "/shop/cart"),
        ("www.test", "/rival"),
        ("rival.test", "/shop/cart"),
    ];
    let (none, r) = ("no_route", "rival/r/0");
    assert_eq!(rules(&assembly, asks), [none, none, none, r, r]);
    assert_eq!(
        faults(&assembly),
        [
            "HTTPRoute rival/r: spec.hostnames[0]: 'shop.test/shop/cart' overlaps with \
             'shop.test/', which workspace 'shop' holds by Claim shop/hosts; the route does not \
             answer there",
            "HTTPRoute rival/r: spec.hostnames[1]: 'www.test/shop/cart' overlaps with \
             'www.test/shop', which workspace 'shop' holds by Claim shop/hosts; the route does \
             not answer there",
        ]
    );
    let story = assembly.table.why(&get("shop.test", "/rival").facts());
    let held = "this falls on 'shop.test/', which workspace 'shop' holds by Claim shop/hosts";
    assert!(story.others.iter().any(|other| other.why == held), "{story}");
}

#[test]
fn whoever_covers_anothers_ground_is_refused_and_the_holder_serves() {
    let own = route("shop", "own", &["shop.test", "www.test"], &["/shop"]);
    for (hosts, path) in [(&["*.test"][..], "/"), (&["www.test"], "/"), (&["shop.test"], "/SHOP/x")]
    {
        let assembly = with([own.clone(), route("rival", "r", hosts, &[path])]);
        let asks = [("shop.test", "/shop/x"), ("www.test", "/shop"), ("www.test", "/else")];
        let own = "shop/own/0";
        assert_eq!(rules(&assembly, asks), [own, own, "no_route"], "{hosts:?} {path}");
        assert_eq!(faults(&assembly).len(), 1);
    }
}

#[test]
fn a_route_without_hosts_stays_and_answers_nothing_that_is_held() {
    let own = route("shop", "own", &["shop.test"], &["/shop"]);
    let assembly = with([own, route("rival", "all", &[], &["/"])]);
    let asks = [
        ("shop.test", "/shop"),
        ("shop.test", "/else"),
        ("www.test", "/Shop/x"),
        ("www.test", "/else"),
        ("any.test", "/"),
    ];
    let (none, all) = ("no_route", "rival/all/0");
    assert_eq!(rules(&assembly, asks), ["shop/own/0", none, none, all, all]);
    assert!(faults(&assembly).is_empty());
    let story = assembly.table.why(&get("shop.test", "/else").facts()).to_string();
    let held = "this falls on 'shop.test/', which workspace 'shop' holds by Claim shop/hosts";
    assert!(story.contains(held), "{story}");
}

#[test]
fn what_is_the_platforms_or_the_holders_own_is_attached() {
    let platform = route("tools", "p", &["shop.test"], &["/status"]);
    let assembly = with([platform, route("shop", "own", &["shop.test"], &["/"])]);
    let asks = [("shop.test", "/status"), ("shop.test", "/")];
    assert_eq!(rules(&assembly, asks), ["tools/p/0", "shop/own/0"]);
    assert!(faults(&assembly).is_empty());
}

#[test]
fn a_claim_of_the_platform_holds_against_every_workspace() {
    let held = claim("infra", "status", json!([{ "host": "status.test" }]));
    let assembly = with([held, route("rival", "r", &["status.test"], &["/"])]);
    assert_eq!(rules(&assembly, [("status.test", "/")]), ["no_route"]);
    let told = "'status.test/' overlaps with 'status.test/', which the platform holds by Claim \
                infra/status";
    assert!(faults(&assembly)[0].contains(told), "{:?}", faults(&assembly));
}

#[test]
fn a_listener_on_anothers_ground_is_refused_and_takes_no_port_from_anybody() {
    let rival = gateway_at(
        "rival",
        "own",
        json!([{ "name": "thief", "hostname": "shop.test", "port": 81 }, { "name": "web", "hostname": "rival.test", "port": 81 }]),
    );
    let shop =
        gateway_at("shop", "own", json!([{ "name": "web", "hostname": "shop.test", "port": 81 }]));
    let assembly = with([rival, shop]);
    assert_eq!(
        faults(&assembly),
        [
            "Gateway rival/own: spec.listeners[0].hostname: 'shop.test/' overlaps with 'shop.test/', \
          which workspace 'shop' holds by Claim shop/hosts"
        ]
    );
    let listener = |host| &assembly.table.listener(81, host).unwrap().gateway.namespace;
    assert_eq!(
        (listener("shop.test").as_str(), listener("rival.test").as_str()),
        ("shop", "rival")
    );
    let refused = assembly.table.listeners.iter().filter(|one| !one.is_serving());
    let states: Vec<_> = refused.map(|one| (one.name.as_str(), &one.state)).collect();
    assert!(
        matches!(states[..], [("thief", State::Refused(why))] if why.contains("Claim shop/hosts"))
    );
}

#[test]
fn of_claims_that_overlap_the_older_one_holds() {
    let aged = |namespace: &str, created: &str| {
        let meta = json!({ "name": "late", "namespace": namespace, "creationTimestamp": created });
        let claim = json!({ "metadata": meta, "spec": { "hosts": [{ "host": "both.test" }] } });
        Resource::from_json(Kind::Claim, claim).unwrap()
    };
    let claims = [aged("shop", "2026-02-01T00:00:00Z"), aged("rival", "2026-01-01T00:00:00Z")];
    let routes = ["shop", "rival"].map(|own| route(own, "r", &["both.test"], &["/"]));
    let assembly = with(claims.into_iter().chain(routes));
    assert_eq!(rules(&assembly, [("both.test", "/")]), ["rival/r/0"]);
    assert_eq!(
        faults(&assembly),
        [
            "Claim shop/late: spec.hosts[0]: 'both.test/' overlaps with 'both.test/', which \
             workspace 'rival' holds by Claim rival/late; the older one holds",
            "HTTPRoute shop/r: spec.hostnames[0]: 'both.test/' overlaps with 'both.test/', which \
             workspace 'rival' holds by Claim rival/late; the route does not answer there",
        ]
    );
}

#[test]
fn a_claim_that_cannot_be_read_holds_what_can_be_read_of_it() {
    let hosts = json!([{ "host": "shop.test" }, { "host": "www.test", "paths": ["/shop"] }]);
    let raw = json!({ "spec": { "hosts": hosts, "fromTheFuture": true } });
    let key = claim("shop", "late", json!([{ "host": "x.test" }])).key();
    let mut resources = vec![plain(), workspace("shop"), workspace("rival")];
    resources.push(route("rival", "thief", &["shop.test", "www.test"], &["/", "/shop/cart"]));
    resources.push(route("rival", "any", &[], &["/"]));
    let refused = vec![Refused { key: Some(key), raw: Some(raw), faults: Vec::new() }];
    let made = assemble(Input { resources, refused, ..Input::default() }, None);
    let asks = [("shop.test", "/"), ("www.test", "/shop/cart"), ("free.test", "/")];
    assert_eq!(rules(&made, asks), ["no_route", "no_route", "rival/any/0"]);
}

/// 5,000 routes, each on its own ground of a host that all share, beside as many claims.
#[test]
fn claims_cost_a_route_what_its_own_hosts_hold() {
    let count = 5_000;
    let mut resources = vec![plain()];
    for index in 0..count {
        let name = format!("w{index}");
        let path = format!("/{name}");
        resources.push(workspace(&name));
        resources.push(route(&name, "r", &["www.test"], &[&path]));
        let hosts = json!([{ "host": "www.test", "paths": [path] }]);
        resources.push(claim(&name, "c", hosts));
    }
    VISITED.set(0);
    let assembly = made(resources);
    assert!(faults(&assembly).is_empty());
    assert_eq!(rules(&assembly, [("www.test", "/w4999/x")]), ["w4999/r/0"]);
    // Its own claim, once; comparing each with each looks at 25,000,000.
    assert_eq!(VISITED.get(), count);
}
