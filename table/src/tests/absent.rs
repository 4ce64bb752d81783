//! References that lead nowhere are told with what was meant.

use model::Kind;
use serde_json::{Value, json};

use super::fixture::{faults, gateway_at, made, object};
use crate::{Assembly, Input, assemble};

/// A Service of `shop` with these ports of TCP.
fn service(name: &str, ports: &[u16]) -> model::Resource {
    let ports: Vec<_> =
        ports.iter().map(|port| json!({ "name": format!("p{port}"), "port": port })).collect();
    object(Kind::Service, "shop", name, json!({ "ports": ports }))
}

/// A route of `shop` to a backend, of this parent.
fn route(parent: Value, backend: Value) -> model::Resource {
    let spec = json!({ "parentRefs": [parent], "rules": [{ "backendRefs": [backend] }] });
    object(Kind::HttpRoute, "shop", "r", spec)
}

fn edge() -> model::Resource {
    gateway_at("shop", "edge", json!([{ "name": "web" }, { "name": "alt", "port": 81 }]))
}

#[test]
fn a_backend_that_is_not_there_is_told_with_the_nearest_name_or_the_ports() {
    let cases = [
        (
            json!({ "name": "flies", "port": 80 }),
            "no Service shop/flies with port 80; did you mean 'files'?",
        ),
        (
            json!({ "name": "files", "port": 81 }),
            "no Service shop/files with port 81; it has 80, 443",
        ),
        (json!({ "name": "files" }), "no port of Service shop/files is named; it has 80, 443"),
        (json!({ "name": "books", "port": 80 }), "no Service shop/books with port 80"),
    ];
    for (backend, wanted) in cases {
        let all =
            vec![edge(), service("files", &[80, 443]), route(json!({ "name": "edge" }), backend)];
        let place = "HTTPRoute shop/r: spec.rules[0].backendRefs[0]";
        assert_eq!(faults(&made(all)), [format!("{place}: {wanted}")]);
    }
}

#[test]
fn a_parent_that_is_not_there_is_told_with_the_nearest_name_or_its_listeners() {
    let cases = [
        (json!({ "name": "egde" }), ": no Gateway shop/egde; did you mean 'edge'?"),
        (
            json!({ "name": "edge", "sectionName": "wbe" }),
            ".sectionName: Gateway shop/edge has no listener 'wbe'; it has 'web', 'alt'",
        ),
        (
            json!({ "name": "edge", "sectionName": "web", "port": 81 }),
            ".sectionName: Gateway shop/edge has no listener 'web' on port 81; it has 'web' on port 80, \
             'alt' on port 81",
        ),
        (
            json!({ "name": "edge", "port": 82 }),
            ".port: Gateway shop/edge has no listener on port 82; it has 'web' on port 80, 'alt' on port 81",
        ),
    ];
    for (parent, wanted) in cases {
        let all = vec![
            edge(),
            service("files", &[80]),
            route(parent, json!({ "name": "files", "port": 80 })),
        ];
        assert_eq!(faults(&made(all)), [format!("HTTPRoute shop/r: spec.parentRefs[0]{wanted}")]);
    }
}

#[test]
fn what_secrets_there_are_is_not_told() {
    let tls = json!([{ "name": "web", "protocol": "HTTPS",
        "tls": { "certificateRefs": [{ "name": "stie" }] } }]);
    let pem =
        json!({ "type": "kubernetes.io/tls", "stringData": { "tls.crt": "c", "tls.key": "k" } });
    let secret = object(Kind::Secret, "shop", "site", pem);
    let told = faults(&made(vec![gateway_at("shop", "edge", tls), secret])).remove(0);
    assert!(told.ends_with("no Secret shop/stie"), "{told}");
}

#[test]
fn listeners_of_others_that_are_not_for_a_route_are_not_told() {
    let same = json!({ "namespaces": { "from": "Same" } });
    let listeners =
        json!([{ "name": "web" }, { "name": "own", "port": 81, "allowedRoutes": same }]);
    let parent = json!({ "name": "edge", "namespace": "infra", "sectionName": "x" });
    let backend = json!({ "name": "files", "port": 80 });
    let all = vec![
        gateway_at("infra", "edge", listeners),
        service("files", &[80]),
        route(parent, backend),
    ];
    let told = faults(&made(all));
    assert!(told[0].ends_with("Gateway infra/edge has no listener 'x'; it has 'web'"), "{told:?}");
}

#[test]
fn what_is_there_instead_is_what_is_there_now() {
    let to = |port: u16| route(json!({ "name": "edge" }), json!({ "name": "files", "port": port }));
    let next = |port, before: &Assembly| {
        let resources = vec![edge(), service("files", &[port]), to(81)];
        assemble(Input { resources, ..Input::default() }, Some(before))
    };
    let first = made(vec![edge(), service("files", &[80]), to(81)]);
    assert!(faults(&first)[0].ends_with("; it has 80"), "{:?}", faults(&first));
    let second = next(82, &first);
    assert!(faults(&second)[0].ends_with("; it has 82"), "{:?}", faults(&second));
}
