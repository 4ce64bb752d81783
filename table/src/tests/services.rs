//! Backends: services, endpoints, mirrors, and what is broken.

use model::{Kind, Resource};
use serde_json::{Value, json};

use super::fixture::{faults, get, made, object, plain, route};
use crate::{Mirror, Target};

fn to(backends: Value) -> Resource {
    route("r", &[], json!([{ "backendRefs": backends }]))
}

fn service(namespace: &str, ports: Value) -> Resource {
    object(Kind::Service, namespace, "web", json!({ "ports": ports }))
}

fn slice(name: &str, endpoints: Value, port: Value) -> Resource {
    let labels = json!({ "kubernetes.io/service-name": "web" });
    let body = json!({ "metadata": { "labels": labels }, "addressType": "IPv4",
        "endpoints": endpoints, "ports": [port] });
    object(Kind::EndpointSlice, "shop", name, body)
}

#[test]
fn ready_endpoints_are_found_by_port_name_each_once_and_in_order() {
    let ports = json!([{ "name": "a", "port": 80 }, { "name": "b", "port": 81 }]);
    let first = json!([
        { "addresses": ["10.0.0.2"] },
        { "addresses": ["10.0.0.1"], "conditions": { "ready": true } },
        { "addresses": ["10.0.0.3"], "conditions": { "ready": false } },
    ]);
    let second = json!([{ "addresses": ["10.0.0.2"] }]);
    let resources = vec![
        plain(),
        service("shop", ports),
        slice("one", first, json!({ "name": "a", "port": 8080 })),
        slice("two", second.clone(), json!({ "name": "a", "port": 8080 })),
        slice("three", second, json!({ "name": "b", "port": 9090 })),
        to(json!([{ "name": "web", "port": 80, "weight": 3 }, { "name": "web", "port": 81 }])),
    ];
    let assembly = made(resources);
    assert_eq!(faults(&assembly), [""; 0]);
    let wanted =
        ["3 x shop/web:80 [10.0.0.1:8080, 10.0.0.2:8080]", "1 x shop/web:81 [10.0.0.2:9090]"];
    assert_eq!(get("h", "/").backends(&assembly.table), wanted);
}

#[test]
fn broken_backends_keep_their_share_and_say_why() {
    let resources = vec![
        plain(),
        service(
            "shop",
            json!([{ "name": "a", "port": 80 },
            { "name": "b", "port": 5432, "appProtocol": "tcp" }]),
        ),
        service("other", json!([{ "port": 80 }])),
        to(json!([
            { "name": "web", "port": 80 },
            { "name": "web", "port": 81, "weight": 2 },
            { "name": "nobody", "port": 80, "weight": 3 },
            { "name": "web", "namespace": "other", "port": 80, "weight": 4 },
            { "name": "web", "kind": "Bucket", "group": "x.io", "weight": 5 },
            { "name": "web", "port": 5432, "weight": 6 },
        ])),
    ];
    let assembly = made(resources);
    let wanted = [
        "1 x shop/web:80 []",
        "2 x backend_missing",
        "3 x backend_missing",
        "4 x backend_not_allowed",
        "5 x backend_missing",
        "6 x backend_protocol",
    ];
    assert_eq!(get("h", "/").backends(&assembly.table), wanted);
    let said = faults(&assembly);
    assert_eq!(said.len(), 5);
    assert!(said[0].contains("spec.rules[0].backendRefs[1]: no Service shop/web with port 81"));
    assert!(said[2].contains("no ReferenceGrant in 'other'"), "{}", said[2]);
}

#[test]
fn a_rule_without_backends_answers_unless_it_redirects() {
    let redirect = json!({ "type": "RequestRedirect", "requestRedirect": { "scheme": "https" } });
    let rules = json!([
        { "matches": [{ "path": { "value": "/gone" } }] },
        { "matches": [{ "path": { "value": "/moved" } }], "filters": [redirect] },
    ]);
    let assembly = made(vec![plain(), route("r", &[], rules)]);
    assert_eq!(get("h", "/gone").backends(&assembly.table), ["1 x no_backend"]);
    assert_eq!(get("h", "/moved").backends(&assembly.table), [""; 0]);
    assert_eq!(get("h", "/moved").verdict(&assembly.table), "redirected");
    assert_eq!(assembly.faults.len(), 1);
}

#[test]
fn mirrors_are_shares_of_requests() {
    let mirror = |share: Value| {
        let mut mirror = json!({ "backendRef": { "name": "web", "port": 80 } });
        mirror.as_object_mut().unwrap().extend(share.as_object().unwrap().clone());
        json!({ "type": "RequestMirror", "requestMirror": mirror })
    };
    let filters = [
        mirror(json!({})),
        mirror(json!({ "percent": 5 })),
        mirror(json!({ "fraction": { "numerator": 1, "denominator": 3 } })),
    ];
    let rules = json!([{ "filters": filters, "backendRefs": [{ "name": "web", "port": 80 }] }]);
    let resources = vec![plain(), service("shop", json!([{ "port": 80 }])), route("r", &[], rules)];
    let table = made(resources).table;
    let target = Target::Service(0);
    let wanted = [(1, 1), (5, 100), (1, 3)].map(|(numerator, denominator)| Mirror {
        target,
        numerator,
        denominator,
    });
    assert_eq!(table.rules[0].mirrors, wanted);
}

#[test]
fn a_filter_that_does_not_compile_closes_its_rule_alone() {
    let bad = json!({ "type": "RequestHeaderModifier",
        "requestHeaderModifier": { "set": [{ "name": "a b", "value": "1" }] } });
    let rules = json!([
        { "matches": [{ "path": { "value": "/bad" } }], "filters": [bad] },
        { "matches": [{ "path": { "value": "/good" } }] },
    ]);
    let assembly = made(vec![plain(), route("r", &[], rules)]);
    assert_eq!(get("h", "/bad").verdict(&assembly.table), "policy_unreadable");
    assert_eq!(get("h", "/good").verdict(&assembly.table), "ok");
    assert!(faults(&assembly)[0].contains("spec.rules[0].filters"), "{:?}", assembly.faults);
}
