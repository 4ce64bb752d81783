//! Which listener serves, and which routes attach to it.

use model::{Kind, Resource};
use serde_json::{Value, json};

use super::fixture::{faults, gateway, gateway_at, get, made, object, path, plain, route};

fn attached(parent: Value, namespace: &str, hosts: &[&str], listener: Value) -> String {
    let spec = json!({ "parentRefs": [parent], "hostnames": hosts });
    let route = object(Kind::HttpRoute, namespace, "r", spec);
    let assembly = made(vec![gateway(json!([listener])), route]);
    let all = faults(&assembly);
    let is_attached = assembly.table.rules.len() == 1;
    assert_eq!(is_attached, all.is_empty(), "{all:?}");
    all.first().cloned().unwrap_or("attached".to_owned())
}

#[test]
fn a_route_attaches_where_parent_and_listener_agree() {
    let edge = json!({ "namespace": "infra", "name": "edge" });
    let with = |field: &str, value: Value| {
        let mut parent = edge.clone();
        parent[field] = value;
        parent
    };
    let from =
        |word: &str| json!({ "name": "web", "allowedRoutes": { "namespaces": { "from": word } } });
    let picking = |operator: &str| {
        let one = json!({ "key": "kubernetes.io/metadata.name", "operator": operator,
            "values": ["shop", "bank"] });
        let namespaces = json!({ "from": "Selector", "selector": { "matchExpressions": [one] } });
        json!({ "name": "web", "allowedRoutes": { "namespaces": namespaces } })
    };
    let hosted = json!({ "name": "web", "hostname": "*.example.com" });
    let web = json!({ "name": "web" });
    let other = json!({ "namespace": "infra", "name": "other" });
    // Of others, one that is not for them is told in the words for none.
    let none = |name: &str| format!("no Gateway infra/{name} takes routes of namespace 'shop'");
    let (not_theirs, not_there) = (none("edge"), none("other"));
    let cases: [(Value, &str, &[&str], Value, &str); 16] = [
        (edge.clone(), "shop", &[], web.clone(), "attached"),
        (json!({ "name": "edge" }), "infra", &[], web.clone(), "attached"),
        (json!({ "name": "edge" }), "shop", &[], web.clone(), "no Gateway shop/edge"),
        (with("sectionName", json!("web")), "shop", &[], web.clone(), "attached"),
        (
            with("sectionName", json!("x")),
            "shop",
            &[],
            web.clone(),
            "no listener 'x'; it has 'web'",
        ),
        (with("port", json!(80)), "shop", &[], web.clone(), "attached"),
        (with("port", json!(81)), "shop", &[], web, "no listener on port 81; it has 'web' on"),
        (edge.clone(), "infra", &[], from("Same"), "attached"),
        (edge.clone(), "shop", &[], from("Same"), &not_theirs),
        (other, "shop", &[], from("All"), &not_there),
        (edge.clone(), "shop", &[], picking("In"), "attached"),
        (edge.clone(), "infra", &[], picking("In"), "takes no routes of namespace 'infra'"),
        (edge.clone(), "shop", &[], picking("NotIn"), "to be none of 'shop', 'bank', and the"),
        (edge.clone(), "infra", &[], from("None"), "takes no routes of namespace 'infra'"),
        (edge.clone(), "shop", &["a.example.com", "b.org"], hosted.clone(), "attached"),
        (edge, "shop", &["b.org"], hosted, "none of the route's host names lies within"),
    ];
    for (index, (parent, namespace, hosts, listener, wanted)) in cases.into_iter().enumerate() {
        let got = attached(parent, namespace, hosts, listener);
        assert!(got.contains(wanted), "case {index}: {got}");
    }
}

#[test]
fn the_most_specific_listener_alone_serves_a_host() {
    let listeners = json!([
        { "name": "any" },
        { "name": "wild", "hostname": "*.example.com" },
        { "name": "exact", "hostname": "a.example.com" },
    ]);
    let on = |section: &str, prefix: &str| {
        let parent = json!([{ "namespace": "infra", "name": "edge", "sectionName": section }]);
        let spec = json!({ "parentRefs": parent, "rules": path("PathPrefix", prefix) });
        object(Kind::HttpRoute, "shop", section, spec)
    };
    let resources =
        vec![gateway(listeners), on("any", "/"), on("wild", "/wild"), on("exact", "/exact")];
    let table = made(resources).table;
    for (host, path, wanted) in [
        ("a.example.com", "/exact", "shop/exact/0"),
        ("a.example.com", "/wild", "no_route"),
        ("b.example.com", "/wild", "shop/wild/0"),
        ("b.example.com", "/", "no_route"),
        ("example.com", "/", "shop/any/0"),
        ("", "/", "shop/any/0"),
    ] {
        assert_eq!(get(host, path).rule(&table), wanted, "{host}{path}");
    }
    assert_eq!(get("a.example.com", "/").port(81).rule(&table), "no_listener");
}

#[test]
fn of_two_gateways_the_older_keeps_port_and_host() {
    let younger = |resource: Resource| {
        let Resource::Gateway(gateway) = resource else { panic!("a Gateway") };
        let mut text = serde_json::to_value(&*gateway).unwrap();
        text["metadata"]["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
        Resource::from_json(Kind::Gateway, text).unwrap()
    };
    let host = json!([{ "name": "web", "hostname": "a.test" }]);
    let tls = json!([{ "name": "web", "protocol": "HTTPS", "hostname": "b.test",
        "tls": { "certificateRefs": [{ "name": "pem" }] } }]);
    let pem =
        json!({ "type": "kubernetes.io/tls", "stringData": { "tls.crt": "c", "tls.key": "k" } });
    let resources = vec![
        younger(gateway_at("aaa", "same-host", host.clone())),
        younger(gateway_at("aaa", "same-port", tls)),
        object(Kind::Secret, "aaa", "pem", pem),
        gateway_at("zzz", "older", host),
    ];
    let assembly = made(resources);
    let serving = assembly.table.listener(80, "a.test").unwrap();
    assert_eq!(serving.gateway.name.as_str(), "older");
    assert!(assembly.table.listener(80, "b.test").is_none());
    let wanted = [
        "Gateway aaa/same-host: spec.listeners[0]: 'a.test' on port 80 is held by listener 'web' of \
         Gateway zzz/older",
        "Gateway aaa/same-port: spec.listeners[0]: port 80 is held by listener 'web' of Gateway \
         zzz/older, which speaks HTTP there",
    ];
    assert_eq!(faults(&assembly), wanted);
}

#[test]
fn a_route_with_two_ways_in_is_one_rule() {
    let listeners = json!([{ "name": "one" }, { "name": "two", "port": 81 }]);
    let table = made(vec![gateway(listeners), route("r", &[], path("Exact", "/"))]).table;
    assert_eq!(table.rules.len(), 1);
    assert_eq!(get("h", "/").rule(&table), get("h", "/").port(81).rule(&table));
}

#[test]
fn of_two_objects_with_one_key_the_first_stays() {
    let (one, other) = (path("Exact", "/one"), path("Exact", "/other"));
    let assembly = made(vec![plain(), route("r", &[], one), route("r", &[], other)]);
    assert_eq!(get("h", "/one").rule(&assembly.table), "shop/r/0");
    assert_eq!(get("h", "/other").rule(&assembly.table), "no_route");
    let wanted = "HTTPRoute shop/r: metadata.name: another one of this name stands above; the first \
                  stays";
    assert_eq!(faults(&assembly), [wanted]);
}
