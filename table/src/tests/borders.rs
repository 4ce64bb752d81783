//! Default deny, the life of an Api, and what closes by a name alone.

use model::{Invalid, Key, Kind, Name, Resource};
use serde_json::{Value, json};

use super::fixture::{faults, gateway_at, get, made, object, plain};
use crate::{Assembly, Closed, Input, Refused, assemble};

const OK: &str = "ok";
const DENIED: &str = "default_denied";
const DRAFT: &str = "api_unpublished";
const SHUT: &str = "policy_unreadable";

fn workspace(name: &str, spec: Value) -> Resource {
    object(Kind::Workspace, "heddle", name, spec)
}

/// The route `namespace/name` of the path `/name`, with the rule `all`, of these Gateways.
fn route(namespace: &str, name: &str, gateways: &[(&str, &str)]) -> Resource {
    labelled(namespace, name, gateways, json!({}))
}

fn labelled(namespace: &str, name: &str, gateways: &[(&str, &str)], labels: Value) -> Resource {
    let parents =
        gateways.iter().map(|(namespace, name)| json!({ "namespace": namespace, "name": name }));
    let matches = json!([{ "path": { "value": format!("/{name}") } }]);
    let spec = json!({
        "parentRefs": parents.collect::<Vec<_>>(),
        "rules": [{ "name": "all", "matches": matches }],
    });
    let route = json!({ "metadata": { "namespace": namespace, "name": name, "labels": labels }, "spec": spec });
    Resource::from_json(Kind::HttpRoute, route).unwrap()
}

const EDGE: &[(&str, &str)] = &[("infra", "edge")];

/// Routes `a` and `b` of `shop` and `c` of `other` at the platform's Gateway.
fn world() -> Vec<Resource> {
    vec![plain(), route("shop", "a", EDGE), route("shop", "b", EDGE), route("other", "c", EDGE)]
}

fn with(more: impl IntoIterator<Item = Resource>) -> Assembly {
    let mut resources = world();
    resources.extend(more);
    made(resources)
}

fn policy(namespace: &str, target: Value, rules: Value) -> Resource {
    object(Kind::AccessPolicy, namespace, "p", json!({ "targetRefs": [target], "rules": rules }))
}

fn verdicts(assembly: &Assembly) -> [String; 3] {
    ["/a", "/b", "/c"].map(|path| get("h", path).verdict(&assembly.table))
}

fn key(kind: Kind, namespace: &str, name: &str) -> Key {
    let [namespace, name] = [namespace, name].map(|word| Name::parse(word).unwrap());
    Key::new(kind, namespace, name)
}

#[test]
fn a_workspace_denies_what_no_policy_speaks_of() {
    let shop = || workspace("shop", json!({}));
    assert_eq!(verdicts(&with([])), [OK, OK, OK]);
    assert_eq!(verdicts(&with([shop()])), [DENIED, DENIED, OK]);
    assert_eq!(verdicts(&with([workspace("shop", json!({ "access": "open" }))])), [OK, OK, OK]);
    let anyone = json!([{ "name": "anyone", "when": {} }]);
    let get_only = json!([{ "name": "read", "when": { "methods": ["POST"] } }]);
    let a =
        |section: Option<&str>| json!({ "kind": "HTTPRoute", "name": "a", "sectionName": section });
    for (target, rules, wanted) in [
        (a(None), anyone.clone(), [OK, DENIED, OK]),
        (a(Some("all")), anyone, [OK, DENIED, OK]),
        (a(None), get_only, ["access_denied", DENIED, OK]),
        (a(None), json!([]), [OK, DENIED, OK]),
    ] {
        assert_eq!(
            verdicts(&with([shop(), policy("shop", target.clone(), rules)])),
            wanted,
            "{target}"
        );
    }
    let both = workspace("all", json!({ "namespaces": ["shop", "other"] }));
    assert_eq!(verdicts(&with([both])), [DENIED; 3]);
}

#[test]
fn who_asks_who_is_calling_does_not_say_who_may() {
    const KEY: &str = "a-key-of-sixteen-bytes-or-more";
    let keys = object(Kind::Secret, "shop", "keys", json!({ "stringData": { "clerk": KEY } }));
    let own = gateway_at("shop", "own", json!([{ "name": "web", "port": 81 }]));
    for target in [("HTTPRoute", "a"), ("Gateway", "own")] {
        for require in [None, Some("Any")] {
            let authn = json!({
                "targetRefs": [{ "kind": target.0, "name": target.1 }],
                "methods": [{ "name": "keys", "apiKey": { "secretRef": { "name": "keys" } } }],
                "require": require,
            });
            let authn = object(Kind::AuthnPolicy, "shop", "p", authn);
            let a = route("shop", "a", &[("shop", "own")]);
            let world = vec![own.clone(), a, keys.clone(), authn, workspace("shop", json!({}))];
            let ask = || get("h", "/a").port(81).header("x-api-key", KEY);
            assert_eq!(ask().verdict(&made(world.clone()).table), DENIED, "{target:?} {require:?}");
            let anyone = json!([{ "name": "anyone", "when": {} }]);
            let access = policy("shop", json!({ "kind": "HTTPRoute", "name": "a" }), anyone);
            let both = made([world, vec![access]].concat());
            assert_eq!(ask().verdict(&both.table), OK, "{target:?} {require:?}");
        }
    }
}

#[test]
fn a_gateway_opens_only_what_is_of_its_own_workspace() {
    let anyone = json!([{ "name": "anyone", "when": {} }]);
    let edge = json!({ "kind": "Gateway", "name": "edge" });
    let open = policy("infra", edge, anyone);
    let shop = workspace("shop", json!({}));
    assert_eq!(verdicts(&with([shop, open.clone()])), [DENIED, DENIED, OK]);
    let wide = workspace("shop", json!({ "namespaces": ["shop", "infra"] }));
    assert_eq!(verdicts(&with([wide, open])), [OK, OK, OK]);
}

#[test]
fn one_rule_is_open_by_one_gateway_and_denied_by_another() {
    let own = gateway_at("shop", "own", json!([{ "name": "web", "port": 81 }]));
    let anyone = json!([{ "name": "anyone", "when": {} }]);
    let open = policy("shop", json!({ "kind": "Gateway", "name": "own" }), anyone);
    let both = route("shop", "a", &[("infra", "edge"), ("shop", "own")]);
    let assembly = made(vec![plain(), own, open, both, workspace("shop", json!({}))]);
    assert_eq!(get("h", "/a").verdict(&assembly.table), DENIED);
    assert_eq!(get("h", "/a").port(81).verdict(&assembly.table), OK);
    assert_eq!(assembly.table.rules.len(), 2);
}

#[test]
fn a_denial_names_the_workspace_and_what_would_open_it() {
    let assembly = with([workspace("market", json!({ "namespaces": ["shop"] }))]);
    let story = assembly.table.why(&get("h", "/a").facts()).policy.unwrap();
    let wanted = "workspace 'market' denies what no AccessPolicy of it speaks of; 'access: open' \
                  of it, or an AccessPolicy on HTTPRoute shop/a that allows it, opens it";
    assert_eq!((story.reason.as_str(), &*story.because), (DENIED, wanted));
    assert!(faults(&assembly).is_empty());
}

#[test]
fn a_workspace_that_cannot_be_read_stays_a_border() {
    let refused = |raw: Option<Value>| Refused {
        key: Some(key(Kind::Workspace, "heddle", "shop")),
        raw,
        faults: Vec::new(),
    };
    let without = |raw, previous: Option<&Assembly>| {
        let input = Input { resources: world(), refused: vec![refused(raw)], ..Input::default() };
        verdicts(&assemble(input, previous))
    };
    let names = json!({ "spec": { "namespaces": ["other"], "access": "open", "x": 1 } });
    assert_eq!(without(None, None), [DENIED, DENIED, OK]);
    assert_eq!(without(Some(json!({ "spec": { "access": "open" } })), None), [DENIED, DENIED, OK]);
    assert_eq!(without(Some(names), None), [OK, OK, DENIED]);
    let before = with([workspace("shop", json!({ "access": "open" }))]);
    assert_eq!(without(None, Some(&before)), [OK, OK, OK]);
}

#[test]
fn a_stray_that_was_denied_does_not_fall_to_a_broader_route() {
    let broad = labelled("shop", "a", EDGE, json!({}));
    let Resource::HttpRoute(broad) = broad else { panic!("a route") };
    let mut broad = (*broad).clone();
    broad.spec.rules[0].matches.clear();
    let anyone = json!([{ "name": "anyone", "when": {} }]);
    let open = policy("shop", json!({ "kind": "HTTPRoute", "name": "a" }), anyone);
    let raw = |labels: Value| {
        let mut raw = labelled("shop", "x", EDGE, labels).to_json();
        raw["spec"]["rules"][0]["filters"] = json!(7);
        raw
    };
    let api = |lifecycle: &str| {
        object(Kind::Api, "shop", "x", json!({ "owner": "team", "lifecycle": lifecycle }))
    };
    let open_shop = || workspace("shop", json!({ "access": "open" }));
    let x = json!({ "heddle.dev/api": "x" });
    for (labels, border, wanted) in [
        (json!({}), vec![], OK),
        (json!({}), vec![open_shop()], OK),
        (json!({}), vec![workspace("shop", json!({}))], SHUT),
        (x.clone(), vec![open_shop(), api("Published")], OK),
        (x.clone(), vec![open_shop(), api("Draft")], SHUT),
        (x.clone(), vec![open_shop(), api("Retired")], SHUT),
        (x, vec![open_shop()], SHUT),
    ] {
        let mut resources = vec![plain(), open.clone(), Resource::HttpRoute(broad.clone().into())];
        resources.extend(border);
        let raw = Some(raw(labels));
        let key = Some(key(Kind::HttpRoute, "shop", "x"));
        let refused = vec![Refused { key, raw: raw.clone(), faults: Vec::new() }];
        let assembly = assemble(Input { resources, refused, ..Input::default() }, None);
        assert_eq!(get("h", "/x").verdict(&assembly.table), wanted, "{raw:?}");
        assert_eq!(get("h", "/y").verdict(&assembly.table), OK);
    }
}

#[test]
fn a_route_lives_by_the_api_of_its_own_workspace() {
    let api = |namespace: &str, lifecycle: &str| {
        object(Kind::Api, namespace, "orders", json!({ "owner": "team", "lifecycle": lifecycle }))
    };
    let orders = || labelled("shop", "orders", EDGE, json!({ "heddle.dev/api": "orders" }));
    let shop = || workspace("shop", json!({ "namespaces": ["shop", "apis"], "access": "open" }));
    let verdict = |more: Vec<Resource>| get("h", "/orders").verdict(&with(more).table);
    for (namespace, lifecycle, wanted) in [
        ("shop", "Draft", DRAFT),
        ("apis", "Draft", DRAFT),
        ("apis", "Published", OK),
        ("shop", "Deprecated", OK),
        ("shop", "Retired", "api_retired"),
        // Of another workspace, or of none.
        ("other", "Published", DRAFT),
    ] {
        let api = api(namespace, lifecycle);
        assert_eq!(verdict(vec![shop(), orders(), api]), wanted, "{namespace} {lifecycle}");
    }
    // What is the platform's may name one, and need not.
    assert_eq!(verdict(vec![orders()]), OK);
    assert_eq!(verdict(vec![orders(), api("other", "Draft")]), DRAFT);
    let assembly = with([shop(), orders()]);
    assert_eq!(
        faults(&assembly),
        ["HTTPRoute shop/orders: metadata.labels['heddle.dev/api']: workspace 'shop' has no Api \
          'orders'; until there is one, the route answers nobody"]
    );
    let why = assembly.table.why(&get("h", "/orders").facts()).policy.unwrap().because;
    assert!(why.starts_with("workspace 'shop' has no Api 'orders'"), "{why}");
}

#[test]
fn a_deprecated_api_changes_answers_and_no_verdict() {
    let spec =
        json!({ "owner": "team", "lifecycle": "Deprecated", "deprecated": "2026-01-01T00:00:00Z" });
    let api = object(Kind::Api, "shop", "a", spec);
    let a = labelled("shop", "a", EDGE, json!({ "heddle.dev/api": "a" }));
    let assembly = made(vec![plain(), a, api, workspace("shop", json!({ "access": "open" }))]);
    let ask = get("h", "/a");
    let facts = ask.facts();
    let chain = &assembly.table.find(&facts).unwrap().rule.chain;
    assert!(chain.changes_response());
    assert_eq!(ask.verdict(&assembly.table), OK);
}

fn closed(targets: &[Key]) -> Closed {
    let fault = Invalid {
        key: None,
        path: String::new(),
        line: None,
        reason: "RegoPolicy shop/p is of a kind that this version does not know".to_owned(),
        nearest: None,
    };
    Closed { policy: "RegoPolicy shop/p".to_owned(), targets: targets.to_vec(), fault }
}

fn assembly_closing(targets: &[Key], more: Vec<Resource>) -> Assembly {
    let mut resources = world();
    resources.extend(more);
    assemble(Input { resources, closed: vec![closed(targets)], ..Input::default() }, None)
}

#[test]
fn a_policy_that_is_known_by_name_alone_closes_its_targets() {
    let shop = || workspace("shop", json!({ "access": "open" }));
    let labelled = || labelled("shop", "a", EDGE, json!({ "heddle.dev/api": "a" }));
    let api =
        || object(Kind::Api, "shop", "a", json!({ "owner": "team", "lifecycle": "Published" }));
    for (target, more, wanted) in [
        (key(Kind::HttpRoute, "shop", "a"), vec![], [SHUT, OK, OK]),
        (key(Kind::HttpRoute, "shop", "nobody"), vec![], [OK, OK, OK]),
        (key(Kind::Gateway, "infra", "edge"), vec![], [SHUT, SHUT, SHUT]),
        (key(Kind::Workspace, "heddle", "shop"), vec![shop()], [SHUT, SHUT, OK]),
        (key(Kind::Workspace, "heddle", "shop"), vec![], [SHUT, SHUT, OK]),
        (key(Kind::Workspace, "heddle", "x"), vec![shop()], [OK, OK, OK]),
        (key(Kind::ConfigMap, "shop", "any"), vec![], [SHUT, SHUT, OK]),
        // Asked at the proxies behind it, and there are none.
        (key(Kind::Service, "shop", "web"), vec![], [OK, OK, OK]),
    ] {
        let assembly = assembly_closing(std::slice::from_ref(&target), more);
        assert_eq!(verdicts(&assembly), wanted, "{target}");
        let told = "RegoPolicy shop/p is of a kind that this version does not know";
        assert_eq!(faults(&assembly), [told]);
    }
    let target = key(Kind::Api, "shop", "a");
    let mut resources =
        vec![plain(), labelled(), route("shop", "b", EDGE), route("other", "c", EDGE)];
    resources.extend([shop(), api()]);
    let closed = vec![closed(&[target])];
    let assembly = assemble(Input { resources, closed, ..Input::default() }, None);
    assert_eq!(verdicts(&assembly), [SHUT, OK, OK]);
    let why = assembly.table.why(&get("h", "/a").facts()).policy.unwrap().to_string();
    assert!(why.contains("RegoPolicy shop/p could not be read"), "{why}");
}

#[test]
fn what_closes_by_name_is_part_of_the_digest() {
    let a = key(Kind::HttpRoute, "shop", "a");
    let b = key(Kind::HttpRoute, "shop", "b");
    let digest = |targets: &[Key]| assembly_closing(targets, Vec::new()).table.digest.clone();
    assert_eq!(digest(&[a.clone(), b.clone()]), digest(&[b.clone(), a.clone()]));
    assert_ne!(digest(&[a]), digest(&[b]));
}
