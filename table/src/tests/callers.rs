//! Rules that name a caller whom nobody can be.

use model::{Key, Kind, Name, Resource};
use serde_json::{Value, json};

use super::fixture::{Ask, faults, gateway_at, get, made, object};
use crate::{Assembly, Input, Refused, assemble};

const ALICE: &str = "alice-0123456789abcdef";
const BOB: &str = "bob-0123456789abcdef";

fn keys(names: &[&str]) -> Resource {
    let entries = names.iter().map(|name| (*name, format!("{name}-0123456789abcdef")));
    let entries: serde_json::Map<_, _> =
        entries.map(|(name, key)| (name.to_owned(), json!(key))).collect();
    object(Kind::Secret, "shop", "keys", json!({ "stringData": entries }))
}

/// What a policy is attached to: a route or Gateway, part of it or whole (`a`, `a/rest`, `edge`).
fn target(target: &str) -> Value {
    let (object_name, section) = target.split_once('/').unwrap_or((target, ""));
    let kind = if object_name == "edge" { "Gateway" } else { "HTTPRoute" };
    let mut target = json!({ "kind": kind, "name": object_name });
    if !section.is_empty() {
        target["sectionName"] = json!(section);
    }
    target
}

/// The AuthnPolicy `shop/NAME` with the keys of `shop`.
fn offer(name: &str, on: &str) -> Resource {
    let methods = json!([{ "name": "keys", "apiKey": { "secretRef": { "name": "keys" } } }]);
    let spec = json!({ "targetRefs": [target(on)], "methods": methods });
    object(Kind::AuthnPolicy, "shop", name, spec)
}

/// The AccessPolicy `shop/NAME`.
fn policy(name: &str, on: &str, rules: Value) -> Resource {
    object(Kind::AccessPolicy, "shop", name, json!({ "targetRefs": [target(on)], "rules": rules }))
}

fn deny(caller: &str) -> Value {
    json!([{ "name": "not", "action": "Deny", "when": { "callers": [{ "apiKey": caller }] } }])
}

fn allow(callers: &[&str]) -> Value {
    let callers: Vec<_> = callers.iter().map(|name| json!({ "apiKey": name })).collect();
    json!([{ "name": "these", "when": { "callers": callers } }])
}

fn route(name: &str, gateways: &[&str]) -> Resource {
    let parents: Vec<_> = gateways.iter().map(|name| json!({ "name": name })).collect();
    let rules =
        json!([{ "name": "rest", "matches": [{ "path": { "value": format!("/{name}") } }] }]);
    object(Kind::HttpRoute, "shop", name, json!({ "parentRefs": parents, "rules": rules }))
}

/// A Gateway with routes `a` and `b`, and these.
fn world(more: impl IntoIterator<Item = Resource>) -> Vec<Resource> {
    let gateway = gateway_at("shop", "edge", json!([{ "name": "web" }]));
    let mut world = vec![gateway, route("a", &["edge"]), route("b", &["edge"])];
    world.extend(more);
    world
}

fn after(resources: Vec<Resource>, previous: &Assembly) -> Assembly {
    assemble(Input { resources, ..Input::default() }, Some(previous))
}

fn a() -> Ask {
    get("h", "/a")
}

const SHUT: &str = "policy_unreadable";

#[test]
fn a_deny_rule_for_nobody_closes_its_targets_and_says_whom_it_may_mean() {
    let assembly =
        made(world([keys(&["alice", "bob"]), offer("p", "a"), policy("p", "a", deny("bobb"))]));
    assert_eq!(
        faults(&assembly),
        ["AccessPolicy shop/p: spec.rules[0].when.callers[0].apiKey: no key 'bobb' in Secret \
             shop/keys; did you mean 'bob'?"]
    );
    assert_eq!(a().header("x-api-key", BOB).verdict(&assembly.table), SHUT);
    assert_eq!(a().verdict(&assembly.table), SHUT);
    assert_eq!(get("h", "/b").verdict(&assembly.table), "ok");
    assert_eq!(assembly.closed.len(), 1);
}

#[test]
fn an_allow_rule_for_nobody_is_told_and_lets_nobody_in() {
    let rules = allow(&["alice", "bobb"]);
    let assembly = made(world([keys(&["alice", "bob"]), offer("p", "a"), policy("p", "a", rules)]));
    assert_eq!(faults(&assembly).len(), 1);
    assert!(faults(&assembly)[0].contains("spec.rules[0].when.callers[1].apiKey: no key 'bobb'"));
    assert_eq!(a().header("x-api-key", ALICE).verdict(&assembly.table), "ok");
    assert_eq!(a().header("x-api-key", BOB).verdict(&assembly.table), "access_denied");
    assert!(assembly.closed.is_empty());
}

#[test]
fn a_credential_counts_at_its_own_level_and_narrower_ones() {
    for (offers, names, is_known) in [
        ("a", "a", true),
        ("edge", "a", true),
        ("edge/web", "a", true),
        ("edge", "edge/web", true),
        ("a", "a/rest", true),
        ("edge/web", "a/rest", true),
        ("a/rest", "a", false),
        ("a", "edge", false),
        ("edge/web", "edge", false),
        ("b", "a", false),
    ] {
        let offer = offer("offer", offers);
        let rules = policy("rules", names, deny("bob"));
        let assembly = made(world([keys(&["bob"]), offer, rules]));
        let said = faults(&assembly);
        assert_eq!(said.is_empty(), is_known, "{offers} for {names}: {said:?}");
        let wanted = if is_known { "access_denied" } else { SHUT };
        assert_eq!(
            a().header("x-api-key", BOB).verdict(&assembly.table),
            wanted,
            "{offers} {names}"
        );
    }
}

#[test]
fn one_target_that_offers_the_caller_is_enough() {
    let mut rules = policy("p", "a", deny("bob"));
    let Resource::AccessPolicy(policy_) = &rules else { panic!("a policy") };
    let mut both = (**policy_).clone();
    both.spec.target_refs.push(both.spec.target_refs[0].clone());
    both.spec.target_refs[1].name = Name::parse("b").unwrap();
    rules = Resource::AccessPolicy(both.into());
    let offer = offer("offer", "b");
    let assembly = made(world([keys(&["bob"]), offer, rules]));
    assert_eq!(faults(&assembly), [""; 0]);
    assert_eq!(get("h", "/b").header("x-api-key", BOB).verdict(&assembly.table), "access_denied");
}

#[test]
fn a_secret_that_loses_a_key_opens_nothing() {
    let with = |secret: &[&str], rules: Value| {
        world([keys(secret), offer("p", "a"), policy("p", "a", rules)])
    };
    let bob = || a().header("x-api-key", BOB);
    let before = made(with(&["alice", "bob"], deny("bob")));
    assert_eq!(bob().verdict(&before.table), "access_denied");
    let later = after(with(&["alice"], deny("bob")), &before);
    for ask in [bob(), a(), a().header("x-api-key", ALICE)] {
        assert_eq!(ask.verdict(&later.table), SHUT);
    }
    let again = after(with(&["alice", "bob"], deny("bob")), &later);
    assert_eq!(bob().verdict(&again.table), "access_denied");
    assert_eq!(a().verdict(&again.table), "ok");

    let before = made(with(&["alice", "bob"], allow(&["alice", "bob"])));
    let later = after(with(&["alice"], allow(&["alice", "bob"])), &before);
    assert_eq!(bob().verdict(&later.table), "credential_invalid");
    assert_eq!(a().header("x-api-key", ALICE).verdict(&later.table), "ok");
    assert_eq!(faults(&later).len(), 1);
}

#[test]
fn what_cannot_be_told_is_no_fault() {
    let name = |word| Name::parse(word).unwrap();
    let gateway = Key::new(Kind::Gateway, name("shop"), name("lost"));
    let mut resources = world([policy("p", "a", deny("bob"))]);
    resources[1] = route("a", &["edge", "lost"]);
    let refused = Refused { key: Some(gateway), raw: None, faults: Vec::new() };
    let assembly = assemble(Input { resources, refused: vec![refused], ..Input::default() }, None);
    // Only that the Gateway is missing: its policies might know bob.
    assert_eq!(faults(&assembly).len(), 1);
    assert!(assembly.closed.is_empty());

    let unread = offer("offer", "edge");
    let assembly = made(world([unread, policy("p", "a", deny("bob"))]));
    let said = faults(&assembly);
    assert!(said.len() == 1 && said[0].contains("no Secret 'keys'"), "{said:?}");

    let nowhere = policy("p", "nowhere", deny("bobb"));
    let said = faults(&made(world([keys(&["bob"]), nowhere])));
    assert!(said.len() == 1 && said[0].contains("no HTTPRoute shop/nowhere"), "{said:?}");
}

#[test]
fn a_route_that_did_not_change_closes_with_the_policy_that_another_one_closed() {
    let both = json!([{ "kind": "HTTPRoute", "name": "a" }, { "kind": "HTTPRoute", "name": "b" }]);
    let denying = json!({ "targetRefs": both, "rules": deny("alice") });
    let other = gateway_at("shop", "other", json!([{ "name": "web", "port": 81 }]));
    let mut resources = world([
        keys(&["alice"]),
        other,
        offer("offer", "edge"),
        object(Kind::AccessPolicy, "shop", "p", denying),
    ]);
    resources[2] = route("b", &["other"]);
    let before = made(resources.clone());
    let b = get("h", "/b").port(81);
    assert_eq!(b.verdict(&before.table), "ok");
    // Now no target is reached through the Gateway that knows Alice.
    resources[1] = route("a", &["other"]);
    let after = after(resources, &before);
    assert_eq!(b.verdict(&after.table), SHUT, "{:?}", after.faults);
}

/// A policy of the Service `behind/orders` that denies `caller`.
fn behind(caller: &str) -> [Resource; 2] {
    let targets = json!([{ "group": "", "kind": "Service", "name": "orders" }]);
    let spec = json!({ "targetRefs": targets, "rules": deny(caller) });
    let service = object(Kind::Service, "behind", "orders", json!({ "ports": [{ "port": 80 }] }));
    [service, object(Kind::AccessPolicy, "behind", "p", spec)]
}

fn workspace(name: &str, namespaces: &[&str]) -> Resource {
    let spec = json!({ "namespaces": namespaces, "access": "open" });
    object(Kind::Workspace, "heddle", name, spec)
}

#[test]
fn a_policy_of_a_service_may_name_whom_its_workspace_or_the_platform_knows() {
    let lack = "AccessPolicy behind/p: spec.rules[0].when.callers[0].apiKey: no key";
    let hint = "for callers of another Api say which, by 'api'";
    let nowhere = format!(
        ": no apiKey method is declared by an AuthnPolicy of its Api, of its workspace or of the \
         platform; {hint}"
    );
    for (spaces, caller, wanted) in [
        // Where there are no workspaces, and where both namespaces are in one.
        (vec![], "alice", String::new()),
        (vec![workspace("one", &["shop", "behind"])], "alice", String::new()),
        // Whom the platform knows everybody knows.
        (vec![workspace("one", &["behind"])], "alice", String::new()),
        (
            vec![workspace("one", &["behind"])],
            "alic",
            format!("{lack} 'alic' in what other owners' policies take keys from; {hint}"),
        ),
        // Another workspace's.
        (
            vec![workspace("one", &["behind"]), workspace("two", &["shop"])],
            "alice",
            format!("{lack} 'alice'{nowhere}"),
        ),
    ] {
        let edge = [keys(&["alice"]), offer("p", "a")];
        let assembly = made(world(edge.into_iter().chain(spaces).chain(behind(caller))));
        assert_eq!(faults(&assembly).join("\n"), wanted, "{caller}");
        assert!(assembly.closed.is_empty());
    }
}

#[test]
fn a_proxy_of_the_mesh_does_not_ask_who_can_be_whom() {
    let stands_for = Some(Key::new(
        Kind::Workload,
        Name::parse("behind").unwrap(),
        Name::parse("orders-1").unwrap(),
    ));
    let resources = behind("alice").to_vec();
    let input = Input { resources, slice: true, stands_for, ..Input::default() };
    let assembly = assemble(input, None);
    assert_eq!(faults(&assembly), [""; 0]);
    assert!(assembly.closed.is_empty());
}
