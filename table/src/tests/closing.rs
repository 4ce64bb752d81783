//! Policies on their targets, and policies that close them.

use model::{Key, Kind, Name, Resource};
use serde_json::{Value, json};

use super::fixture::{Ask, faults, gateway_at, get, made, object};
use crate::{Assembly, Input, Refused, assemble};

const KEY: &str = "a-key-of-sixteen-bytes-or-more";

/// Gateway, two routes and a key that it knows, all in `shop`, and a route of `other` at the same Gateway.
fn world() -> Vec<Resource> {
    let route = |namespace: &str, name: &str| {
        let rules = json!([
            { "name": "open", "matches": [{ "path": { "value": format!("/{name}/open") } }] },
            { "name": "rest", "matches": [{ "path": { "value": format!("/{name}") } }] },
        ]);
        let parents = json!([{ "name": "edge", "namespace": "shop" }]);
        object(Kind::HttpRoute, namespace, name, json!({ "parentRefs": parents, "rules": rules }))
    };
    let listeners = json!([{ "name": "web" }, { "name": "side", "port": 81 }]);
    vec![
        gateway_at("shop", "edge", listeners),
        route("shop", "a"),
        route("shop", "b"),
        route("other", "c"),
        object(Kind::Secret, "shop", "keys", json!({ "stringData": { "clerk": KEY } })),
        object(
            Kind::AuthnPolicy,
            "shop",
            "keys",
            json!({
                "targetRefs": [{ "kind": "Gateway", "name": "edge" }],
                "methods": [{ "name": "keys", "apiKey": { "secretRef": { "name": "keys" } } }],
            }),
        ),
    ]
}

/// An AuthnPolicy or AccessPolicy that lets nobody pass but the clerk, by a key of this Secret, or a limit that
/// is used up.
fn policy_by(kind: Kind, targets: Value, secret: &str) -> Resource {
    let mut spec = json!({ "targetRefs": targets });
    match kind {
        Kind::AuthnPolicy => {
            spec["methods"] =
                json!([{ "name": "keys", "apiKey": { "secretRef": { "name": secret } } }]);
            spec["require"] = json!("Any");
        }
        Kind::RateLimitPolicy => {
            spec["limits"] = json!([{ "name": "all", "requests": 1, "window": "1m" }]);
        }
        _ => {
            let clerk = json!({ "callers": [{ "apiKey": "clerk" }] });
            spec["rules"] = json!([{ "name": "known", "when": clerk }]);
        }
    }
    object(kind, "shop", "p", spec)
}

fn policy(kind: Kind, targets: Value) -> Resource {
    policy_by(kind, targets, "keys")
}

fn key(kind: Kind) -> Key {
    let name = |word| Name::parse(word).unwrap();
    Key::new(kind, name("shop"), name("p"))
}

/// The verdicts of one request to each place.
fn verdicts(assembly: &Assembly) -> [String; 6] {
    let asks: [Ask; 6] = [
        get("h", "/a/open"),
        get("h", "/a"),
        get("h", "/b"),
        get("h", "/c"),
        get("h", "/b").port(81),
        get("h", "/c").port(81),
    ];
    asks.map(|ask| ask.verdict(&assembly.table))
}

fn with(policy: Resource) -> Assembly {
    let mut resources = world();
    resources.push(policy);
    made(resources)
}

fn refused(kind: Kind, raw: Option<Value>) -> Assembly {
    let refused = Refused { key: Some(key(kind)), raw, faults: Vec::new() };
    assemble(Input { resources: world(), refused: vec![refused], ..Input::default() }, None)
}

const OK: &str = "ok";

/// What comes of a request that a policy of this kind keeps out.
fn kept_out(kind: Kind) -> &'static str {
    if kind == Kind::RateLimitPolicy { "rate_limited" } else { "credential_missing" }
}

const SHUT: &str = "policy_unreadable";

fn route_a() -> Value {
    json!([{ "kind": "HTTPRoute", "name": "a" }])
}

#[test]
fn a_policy_holds_on_its_target_and_nowhere_else() {
    for kind in Kind::GUARDS {
        let no = kept_out(kind);
        let section = |kind: &str, name: &str, section: &str| json!([{ "kind": kind, "name": name, "sectionName": section }]);
        let cases = [
            (json!([{ "kind": "Gateway", "name": "edge" }]), [no, no, no, no, no, no]),
            (section("Gateway", "edge", "side"), [OK, OK, OK, OK, no, no]),
            (route_a(), [no, no, OK, OK, OK, OK]),
            (section("HTTPRoute", "a", "rest"), [OK, no, OK, OK, OK, OK]),
        ];
        for (targets, wanted) in cases {
            let assembly = with(policy(kind, targets.clone()));
            assert_eq!(verdicts(&assembly), wanted, "{targets}");
            let shown = get("h", "/a").header("x-api-key", KEY);
            let wanted = if kind == Kind::RateLimitPolicy { wanted[1] } else { OK };
            assert_eq!(shown.verdict(&assembly.table), wanted);
        }
    }
}

#[test]
fn a_policy_that_targets_nothing_is_a_fault() {
    for kind in Kind::GUARDS {
        let no = kept_out(kind);
        let targets = json!([
            { "kind": "HTTPRoute", "name": "nobody" },
            { "kind": "HTTPRoute", "name": "c" },
            { "kind": "HTTPRoute", "name": "b" },
        ]);
        let assembly = with(policy(kind, targets));
        assert_eq!(verdicts(&assembly), [OK, OK, no, OK, no, OK]);
        assert_eq!(
            faults(&assembly),
            [(0, "nobody"), (1, "c")].map(|(at, name)| {
                format!(
                    "{kind} shop/p: spec.targetRefs[{at}]: no HTTPRoute shop/{name}; there the \
                 policy protects nothing"
                )
            })
        );
        assert!(assembly.closed.is_empty());
    }
}

#[test]
fn a_policy_on_a_part_that_is_not_there_closes_the_whole_of_it() {
    for kind in Kind::GUARDS {
        let no = kept_out(kind);
        let part =
            |kind: &str, name: &str| json!({ "kind": kind, "name": name, "sectionName": "x" });
        let b = json!({ "kind": "HTTPRoute", "name": "b" });
        let so = "until it has, the policy closes the whole of it";
        for (target, wanted, lacks) in [
            (
                part("HTTPRoute", "a"),
                [SHUT, SHUT, no, OK, no, OK],
                "HTTPRoute shop/a has no rule 'x'",
            ),
            (part("Gateway", "edge"), [SHUT; 6], "Gateway shop/edge has no listener 'x'"),
        ] {
            let before = with(policy(kind, json!([{ "kind": "HTTPRoute", "name": "a" }])));
            let mut resources = world();
            resources.push(policy(kind, json!([target, b])));
            for previous in [None, Some(&before)] {
                let input = Input { resources: resources.clone(), ..Input::default() };
                let assembly = assemble(input, previous);
                assert_eq!(verdicts(&assembly), wanted, "{target}");
                assert!(assembly.closed.contains(&key(kind)));
                let told = format!("{kind} shop/p: spec.targetRefs[0]: {lacks}; {so}");
                assert_eq!(faults(&assembly), [told]);
            }
        }
    }
}

#[test]
fn a_policy_that_does_not_compile_closes_its_targets() {
    let assembly = with(policy_by(Kind::AuthnPolicy, route_a(), "nowhere"));
    assert_eq!(verdicts(&assembly), [SHUT, SHUT, OK, OK, OK, OK]);
    assert!(assembly.closed.contains(&key(Kind::AuthnPolicy)));
    assert_eq!(faults(&assembly).len(), 1);
}

#[test]
fn a_refused_policy_closes_what_its_text_names() {
    for kind in Kind::GUARDS {
        let spec = |targets: Value| Some(json!({ "spec": { "targetRefs": targets, "x": 1 } }));
        let part = |name: &str| json!([{ "kind": "HTTPRoute", "name": "a", "sectionName": name }]);
        let all_of_shop = [SHUT, SHUT, SHUT, SHUT, SHUT, SHUT];
        let cases = [
            (spec(route_a()), [SHUT, SHUT, OK, OK, OK, OK]),
            (spec(part("rest")), [OK, SHUT, OK, OK, OK, OK]),
            // A part that does not exist, or a word that is none, widens to the whole object.
            (spec(part("nobody")), [SHUT, SHUT, OK, OK, OK, OK]),
            (
                spec(json!([{ "kind": "HTTPRoute", "name": "a", "sectionName": 7 }])),
                [SHUT, SHUT, OK, OK, OK, OK],
            ),
            // What cannot be told closes every Gateway and route of the namespace.
            (spec(json!([])), all_of_shop),
            (spec(json!([{ "kind": "HttpRoute", "name": "a" }])), all_of_shop),
            (Some(json!({ "spec": 7 })), all_of_shop),
            (None, all_of_shop),
        ];
        for (index, (raw, wanted)) in cases.into_iter().enumerate() {
            assert_eq!(verdicts(&refused(kind, raw)), wanted, "case {index}");
        }
    }
}

#[test]
fn a_refused_policy_keeps_its_last_good_form() {
    for kind in Kind::GUARDS {
        let no = kept_out(kind);
        let before = with(policy(kind, route_a()));
        let refused = Refused { key: Some(key(kind)), raw: None, faults: Vec::new() };
        let after = assemble(
            Input { resources: world(), refused: vec![refused.clone()], ..Input::default() },
            Some(&before),
        );
        assert_eq!(verdicts(&after), [no, no, OK, OK, OK, OK]);
        let again = assemble(
            Input { resources: world(), refused: vec![refused], ..Input::default() },
            Some(&after),
        );
        assert_eq!(verdicts(&again), [no, no, OK, OK, OK, OK]);
        assert!(again.kept.contains(&key(kind)) && again.closed.is_empty());
    }
}

#[test]
fn a_policy_in_its_last_good_form_closes_what_only_its_refused_form_names() {
    for kind in Kind::GUARDS {
        let no = kept_out(kind);
        let before = with(policy(kind, route_a()));
        let part = |name: &str, part: &str| json!({ "kind": "HTTPRoute", "name": name, "sectionName": part });
        let route = |name: &str| json!({ "kind": "HTTPRoute", "name": name });
        let cases = [
            (json!([route("a"), route("b")]), [no, no, SHUT, OK, SHUT, OK], 1),
            (json!([part("a", "rest"), part("b", "rest")]), [no, no, SHUT, OK, SHUT, OK], 1),
            (
                json!([{ "kind": "Gateway", "name": "edge" }]),
                [SHUT, SHUT, SHUT, SHUT, SHUT, SHUT],
                1,
            ),
            (json!([route("a"), route("nobody")]), [no, no, OK, OK, OK, OK], 1),
            (json!([part("a", "open")]), [no, no, OK, OK, OK, OK], 0),
            // What can be told of these is closed; what was protected stays so.
            (
                json!([route("a"), route("b"), { "kind": "HttpRoute", "name": "c" }]),
                [no, no, SHUT, OK, SHUT, OK],
                1,
            ),
            (json!([{ "kind": "HttpRoute", "name": "b" }]), [no, no, OK, OK, OK, OK], 0),
        ];
        for (targets, wanted, told) in cases {
            let raw = json!({ "spec": { "targetRefs": targets, "x": 1 } });
            let refused =
                Refused { key: Some(key(kind)), raw: Some(raw.clone()), faults: Vec::new() };
            let input =
                Input { resources: world(), refused: vec![refused.clone()], ..Input::default() };
            let after = assemble(input.clone(), Some(&before));
            assert_eq!(verdicts(&after), wanted, "{raw}");
            assert_eq!(faults(&after).len(), told, "{:#?}", faults(&after));
            let again = assemble(input, Some(&after));
            assert_eq!(verdicts(&again), wanted, "{raw} again");
            assert!(again.kept.contains(&key(kind)));
        }
    }
}

#[test]
fn an_edit_that_lets_go_of_a_target_for_one_that_is_not_there_is_not_taken() {
    for kind in Kind::GUARDS {
        let no = kept_out(kind);
        let before = with(policy(kind, route_a()));
        let route = |name: &str| json!({ "kind": "HTTPRoute", "name": name });
        let edit = |targets: Value, previous: &Assembly| {
            let mut resources = world();
            resources.push(policy(kind, targets));
            assemble(Input { resources, ..Input::default() }, Some(previous))
        };
        for targets in [json!([route("aa")]), json!([route("b"), route("aa")])] {
            let after = edit(targets.clone(), &before);
            let again = edit(targets.clone(), &after);
            for assembly in [&after, &again] {
                assert_eq!(verdicts(assembly), [no, no, OK, OK, OK, OK], "{targets}");
                assert_eq!(faults(assembly).len(), 1, "{:#?}", faults(assembly));
            }
            // Mended, it is taken.
            assert_eq!(verdicts(&edit(json!([route("b")]), &again)), [OK, OK, no, OK, no, OK]);
        }
        // On purpose: what is named is there, or what was named is gone.
        assert_eq!(verdicts(&edit(json!([route("b")]), &before)), [OK, OK, no, OK, no, OK]);
        let more = edit(json!([route("a"), route("aa")]), &before);
        assert_eq!(verdicts(&more), [no, no, OK, OK, OK, OK]);
        assert!(more.kept.is_empty());
    }
}
