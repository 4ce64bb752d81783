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

/// The AccessPolicy `NAMESPACE/p` on one object, and the AuthnPolicy with the keys of its namespace, or none.
fn policies(namespace: &str, target: Value, has_keys: bool, rules: Value) -> Vec<Resource> {
    let spec = json!({ "targetRefs": [target], "rules": rules });
    let mut policies = vec![object(Kind::AccessPolicy, namespace, "p", spec)];
    if has_keys {
        let methods = json!([{ "name": "keys", "apiKey": { "secretRef": { "name": "keys" } } }]);
        let spec = json!({ "targetRefs": [target], "methods": methods });
        policies.push(object(Kind::AuthnPolicy, namespace, "p", spec));
    }
    policies
}

/// `infra/edge` on port 80, which knows these callers; `from` is whose routes it takes.
fn infra(callers: Value, from: &str) -> Vec<Resource> {
    let allowed = json!({ "namespaces": { "from": from } });
    let listeners = json!([{ "name": "web", "allowedRoutes": allowed }]);
    let target = json!({ "kind": "Gateway", "name": "edge" });
    let mut all = policies("infra", target, true, json!([]));
    all.extend([gateway_at("infra", "edge", listeners), keys("infra", callers)]);
    all
}

/// `shop/own` on port 81, a route of it and of `infra/edge`, and a policy that denies `caller`.
fn shop(caller: &str, has_keys: bool) -> Vec<Resource> {
    let deny = json!([{ "name": "not", "action": "Deny",
        "when": { "callers": [{ "apiKey": caller }] } }]);
    let parents = json!([{ "name": "edge", "namespace": "infra" }, { "name": "own" }]);
    let mut all = policies("shop", json!({ "kind": "HTTPRoute", "name": "r" }), has_keys, deny);
    all.extend([
        gateway_at("shop", "own", json!([{ "name": "web", "port": 81 }])),
        object(Kind::HttpRoute, "shop", "r", json!({ "parentRefs": parents })),
        keys("shop", json!({ "clerk": CLERK })),
    ]);
    all
}

/// Changes the one object of a kind.
fn edit(all: &mut [Resource], kind: Kind, change: impl FnOnce(&mut Value)) {
    let object = all.iter_mut().find(|object| object.kind() == kind).unwrap();
    let mut value = object.to_json();
    change(&mut value);
    *object = Resource::from_json(kind, value).unwrap();
}

fn gateway_of(all: Vec<Resource>) -> Resource {
    all.into_iter().find(|object| object.kind() == Kind::Gateway).unwrap()
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
        world.retain(|object| object.kind() != Kind::Gateway);
        for (what, later, on_80) in [
            ("the key", infra(json!({ "alice": ALICE }), "All"), "ok"),
            ("the way in", infra(all(), "Same"), "no_route"),
            ("the Gateway", world, "no_listener"),
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
    let gateway = gateway_of(infra(all(), "All"));
    let after = made([vec![gateway], shop("bob", false)].concat());
    assert_eq!(faults(&after).len(), 1);
    assert_eq!(verdict(&after, 80, None), "ok");
}

#[test]
fn a_stranger_to_ones_own_keys_closes_on_the_gateway_of_another_namespace_too() {
    let gateway = gateway_of(infra(all(), "All"));
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
    edit(&mut all, Kind::Gateway, |gateway| {
        gateway["spec"]["allowedListeners"] = json!({ "namespaces": { "from": "All" } });
    });
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
    edit(&mut all, Kind::HttpRoute, |route| route["spec"]["parentRefs"] = parents);
    let name = if target == "ListenerSet" { "set" } else { "r" };
    edit(&mut all, Kind::AccessPolicy, |policy| {
        policy["spec"]["targetRefs"] = json!([{ "kind": target, "name": name }]);
    });
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
        gone.retain(|object| object.kind() != Kind::Gateway);
        for (what, later, on_82) in [
            ("the key", lending(json!({ "alice": ALICE })), "ok"),
            ("the way in", infra(all(), "All"), "no_listener"),
            ("the Gateway", gone, "no_listener"),
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
    edit(&mut own, Kind::Gateway, |gateway| {
        gateway["spec"]["allowedListeners"] = json!({ "namespaces": { "from": "Same" } });
    });
    edit(&mut own, Kind::ListenerSet, |set| set["spec"]["parentRef"] = json!({ "name": "own" }));
    let after = made(own);
    assert_eq!(after.closed.len(), 1, "{:?}", faults(&after));
    assert_eq!(
        (verdict(&after, 82, None).as_str(), verdict(&after, 81, None).as_str()),
        (SHUT, "ok")
    );
}
