//! From one assembly to the next: digest, last good forms, and what is taken over.

use std::sync::Arc;

use model::{Kind, Resource};
use serde_json::{Value, json};

use super::fixture::{get, made, object, path, plain, route};
use crate::{Assembly, Input, Refused, assemble};

fn world() -> Vec<Resource> {
    let labels = json!({ "kubernetes.io/service-name": "web" });
    let slice = json!({ "metadata": { "labels": labels }, "addressType": "IPv4",
        "endpoints": [{ "addresses": ["10.0.0.1"] }], "ports": [{ "port": 8080 }] });
    let backends = json!([{ "backendRefs": [{ "name": "web", "port": 80 }] }]);
    vec![
        plain(),
        object(Kind::Service, "shop", "web", json!({ "ports": [{ "port": 80 }] })),
        object(Kind::EndpointSlice, "shop", "web-1", slice),
        route("r", &[], backends),
    ]
}

fn without(kind: Kind, previous: Option<&Assembly>) -> Assembly {
    let (gone, rest): (Vec<_>, Vec<_>) =
        world().into_iter().partition(|resource| resource.kind() == kind);
    let key = gone.first().map(Resource::key);
    let refused = Refused { key, raw: Some(Value::Null), faults: Vec::new() };
    assemble(Input { resources: rest, refused: vec![refused], ..Input::default() }, previous)
}

#[test]
fn the_digest_is_of_what_is_said_and_not_of_its_order() {
    let forth = made(world());
    let mut back = world();
    back.reverse();
    assert_eq!(forth.table.digest, made(back).table.digest);
    assert_eq!(forth.table.digest.len(), 16);
    let mut more = world();
    more.push(route("s", &[], path("Exact", "/")));
    assert_ne!(forth.table.digest, made(more).table.digest);
}

#[test]
fn refused_objects_keep_their_last_good_form_or_are_absent() {
    let good = made(world());
    let asks = get("h", "/");
    for (kind, lost) in
        [(Kind::Service, "1 x backend_missing"), (Kind::EndpointSlice, "1 x shop/web:80 []")]
    {
        let kept = without(kind, Some(&good));
        assert_eq!(asks.backends(&kept.table), asks.backends(&good.table), "{kind}");
        assert_eq!(asks.backends(&without(kind, None).table), [lost], "{kind}");
    }
    assert_eq!(asks.rule(&without(Kind::HttpRoute, Some(&good)).table), "shop/r/0");
    assert_eq!(asks.rule(&without(Kind::HttpRoute, None).table), "no_route");
    assert_eq!(asks.rule(&without(Kind::Gateway, Some(&good)).table), "shop/r/0");
    assert_eq!(asks.rule(&without(Kind::Gateway, None).table), "no_listener");
}

#[test]
fn a_route_whose_pattern_does_not_compile_keeps_its_last_good_form() {
    let bad = route("r", &[], path("RegularExpression", "/("));
    let before = made(world());
    let mut resources = world();
    resources[3] = bad;
    let after = assemble(Input { resources, ..Input::default() }, Some(&before));
    assert_eq!(get("h", "/any").rule(&after.table), "shop/r/0");
    assert_eq!(after.table.digest, before.table.digest);
    let fault = &after.faults[0];
    assert_eq!(fault.path, "spec.rules[0].matches[0]");
    assert!(fault.reason.contains("is no regular expression"), "{fault}");
}

#[test]
fn a_refused_twin_leaves_the_good_object_in_its_place() {
    let refused = Refused { key: Some(world()[3].key()), raw: None, faults: Vec::new() };
    let beside = Input { resources: world(), refused: vec![refused], ..Input::default() };
    let good = made(world());
    for previous in [None, Some(&good)] {
        let after = assemble(beside.clone(), previous);
        assert_eq!(get("h", "/").rule(&after.table), "shop/r/0");
        assert!(after.kept.is_empty());
    }
}

#[test]
fn an_object_that_is_gone_is_gone() {
    let before = made(world());
    let mut resources = world();
    resources.pop();
    let after = assemble(Input { resources, ..Input::default() }, Some(&before));
    assert_eq!(get("h", "/").rule(&after.table), "no_route");
}

#[test]
fn what_did_not_change_is_taken_over() {
    let before = made(world());
    let mut resources = world();
    resources.push(route("new", &[], path("Exact", "/new")));
    let after = assemble(Input { resources, ..Input::default() }, Some(&before));
    assert!(Arc::ptr_eq(&before.table.services[0], &after.table.services[0]));
    let key = world()[3].key();
    let compiled = |assembly: &Assembly| {
        let mut routes = assembly.settled.routes();
        routes.find_map(|(one, route)| (*one == key).then(|| Arc::clone(route))).unwrap()
    };
    assert!(Arc::ptr_eq(&compiled(&before), &compiled(&after)));
}
