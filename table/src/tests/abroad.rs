//! Deny rules for callers whom a Gateway of another namespace knows: its owner may take a key back,
//! or go away, and closes nobody's routes by that.

use model::{Kind, Resource};
use serde_json::{Value, json};

use super::fixture::{Ask, faults, gateway_at, get, made, object};
use crate::{Assembly, Input, assemble};

const ALICE: &str = "alice-0123456789abcdef";
const BOB: &str = "bob-0123456789abcdef";
const CLERK: &str = "clerk-0123456789abcdef";
const SHUT: &str = "policy_unreadable";

fn keys(namespace: &str, entries: Value) -> Resource {
    object(Kind::Secret, namespace, "keys", json!({ "stringData": entries }))
}

/// The policy `NAMESPACE/p` on one object, with the keys of its namespace or without any.
fn policy(namespace: &str, target: Value, has_keys: bool, rules: Value) -> Resource {
    let mut spec = json!({ "targetRefs": [target], "rules": rules });
    if has_keys {
        spec["credentials"] = json!({ "apiKey": { "secretRef": { "name": "keys" } } });
    }
    object(Kind::AccessPolicy, namespace, "p", spec)
}

/// `infra/edge` on port 80, which knows these callers; `from` is whose routes it takes.
fn infra(callers: Value, from: &str) -> Vec<Resource> {
    let allowed = json!({ "namespaces": { "from": from } });
    let listeners = json!([{ "name": "web", "allowedRoutes": allowed }]);
    let target = json!({ "kind": "Gateway", "name": "edge" });
    vec![
        gateway_at("infra", "edge", listeners),
        keys("infra", callers),
        policy("infra", target, true, json!([])),
    ]
}

/// `shop/own` on port 81, a route of it and of `infra/edge`, and a policy that denies `caller`.
fn shop(caller: &str, has_keys: bool) -> Vec<Resource> {
    let deny = json!([{ "name": "not", "action": "Deny",
        "when": { "callers": [{ "apiKey": caller }] } }]);
    let parents = json!([{ "name": "edge", "namespace": "infra" }, { "name": "own" }]);
    vec![
        gateway_at("shop", "own", json!([{ "name": "web", "port": 81 }])),
        object(Kind::HttpRoute, "shop", "r", json!({ "parentRefs": parents })),
        keys("shop", json!({ "clerk": CLERK })),
        policy("shop", json!({ "kind": "HTTPRoute", "name": "r" }), has_keys, deny),
    ]
}

fn all() -> Value {
    json!({ "alice": ALICE, "bob": BOB })
}

fn verdict(assembly: &Assembly, port: u16, key: Option<&'static str>) -> String {
    let ask: Ask = get("h", "/").port(port);
    let ask = key.into_iter().fold(ask, |ask, key| ask.header("x-api-key", key));
    ask.verdict(&assembly.table)
}

#[test]
fn what_another_namespace_takes_back_closes_nothing() {
    for has_keys in [false, true] {
        let before = made([infra(all(), "All"), shop("bob", has_keys)].concat());
        assert_eq!(faults(&before), [""; 0]);
        assert_eq!(verdict(&before, 80, Some(BOB)), "access_denied");
        assert_eq!(verdict(&before, 80, Some(ALICE)), "ok");
        let mut world = infra(all(), "All");
        for (what, later, on_80) in [
            ("the key", infra(json!({ "alice": ALICE }), "All"), "ok"),
            ("the way in", infra(all(), "Same"), "no_route"),
            ("the Gateway", world.split_off(1), "no_listener"),
        ] {
            for previous in [None, Some(&before)] {
                let resources = [later.clone(), shop("bob", has_keys)].concat();
                let after = assemble(Input { resources, ..Input::default() }, previous);
                let said = faults(&after);
                let is_told = said.iter().any(|one| one.contains("no key 'bob'"));
                assert!(is_told, "{what}: {said:?}");
                assert!(after.closed.is_empty(), "{what}: {:?}", after.closed);
                assert_eq!(verdict(&after, 80, None), on_80, "{what}");
                assert_eq!(verdict(&after, 81, None), "ok", "{what}");
                let clerk = verdict(&after, 81, Some(CLERK));
                assert_eq!(clerk, "ok", "{what}");
            }
        }
    }
}

#[test]
fn who_lives_by_the_keys_of_another_namespace_alone_is_not_closed_when_they_all_go() {
    let gateway = infra(all(), "All").swap_remove(0);
    let after = made([vec![gateway], shop("bob", false)].concat());
    assert_eq!(faults(&after).len(), 1);
    assert_eq!(verdict(&after, 80, None), "ok");
}

#[test]
fn a_stranger_to_ones_own_keys_closes_on_the_gateway_of_another_namespace_too() {
    let gateway = infra(all(), "All").swap_remove(0);
    let after = made([vec![gateway], shop("clerc", true)].concat());
    assert_eq!(faults(&after).len(), 1);
    assert_eq!(after.closed.len(), 1);
    for port in [80, 81] {
        assert_eq!(verdict(&after, port, None), SHUT);
        assert_eq!(verdict(&after, port, Some(CLERK)), SHUT);
    }
}

/// `infra/edge`, which takes ListenerSets of all namespaces and knows these callers.
fn lending(callers: Value) -> Vec<Resource> {
    let mut all = infra(callers, "All");
    let mut gateway = all[0].to_json();
    gateway["spec"]["allowedListeners"] = json!({ "namespaces": { "from": "All" } });
    all[0] = Resource::from_json(Kind::Gateway, gateway).unwrap();
    all
}

/// The set `shop/set` of `infra/edge` on port 82, a route of it and of `shop/own`, and a policy on one of
/// the two that denies `bob`.
fn shop_by_set(target: &str) -> Vec<Resource> {
    let mut all = shop("bob", false);
    let listeners = json!([{ "name": "web", "port": 82, "protocol": "HTTP" }]);
    let spec =
        json!({ "parentRef": { "namespace": "infra", "name": "edge" }, "listeners": listeners });
    let parents = json!([{ "kind": "ListenerSet", "name": "set" }, { "name": "own" }]);
    all[1] = object(Kind::HttpRoute, "shop", "r", json!({ "parentRefs": parents }));
    let mut policy = all[3].to_json();
    let name = if target == "ListenerSet" { "set" } else { "r" };
    policy["spec"]["targetRefs"] = json!([{ "kind": target, "name": name }]);
    all[3] = Resource::from_json(Kind::AccessPolicy, policy).unwrap();
    all.push(object(Kind::ListenerSet, "shop", "set", spec));
    all
}

#[test]
fn what_another_namespace_takes_back_closes_nothing_behind_a_set_of_its_gateway() {
    for target in ["HTTPRoute", "ListenerSet"] {
        let before = made([lending(all()), shop_by_set(target)].concat());
        assert_eq!(faults(&before), [""; 0]);
        assert_eq!(verdict(&before, 82, Some(BOB)), "access_denied", "{target}");
        assert_eq!(verdict(&before, 82, Some(ALICE)), "ok", "{target}");
        let mut gone = lending(all());
        for (what, later, on_82) in [
            ("the key", lending(json!({ "alice": ALICE })), "ok"),
            ("the way in", infra(all(), "All"), "no_listener"),
            ("the Gateway", gone.split_off(1), "no_listener"),
        ] {
            for previous in [None, Some(&before)] {
                let resources = [later.clone(), shop_by_set(target)].concat();
                let after = assemble(Input { resources, ..Input::default() }, previous);
                assert!(after.closed.is_empty(), "{target}, {what}: {:?}", after.closed);
                assert_eq!(verdict(&after, 82, None), on_82, "{target}, {what}");
                assert_eq!(verdict(&after, 81, None), "ok", "{target}, {what}");
            }
        }
    }
}

#[test]
fn a_stranger_to_all_of_ones_own_closes_a_set_of_ones_own_gateway() {
    let mut own = shop_by_set("ListenerSet");
    let mut gateway = own[0].to_json();
    gateway["spec"]["allowedListeners"] = json!({ "namespaces": { "from": "Same" } });
    own[0] = Resource::from_json(Kind::Gateway, gateway).unwrap();
    let mut set = own[4].to_json();
    set["spec"]["parentRef"] = json!({ "name": "own" });
    own[4] = Resource::from_json(Kind::ListenerSet, set).unwrap();
    let after = made(own);
    assert_eq!(after.closed.len(), 1, "{:?}", faults(&after));
    assert_eq!(
        (verdict(&after, 82, None).as_str(), verdict(&after, 81, None).as_str()),
        (SHUT, "ok")
    );
}
